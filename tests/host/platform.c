/* A TDX platform in a host process: see platform.h. Memory is one sparse mapping, given back to the kernel at a start.
 */
#define _GNU_SOURCE /* MAP_NORESERVE and madvise() */
#include "tests/host/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tomcrypt.h>

#define MEMORY_BYTES ((u64)PLATFORM_HOST_GIB << 30)

struct platform_host_knobs platform_host_knobs;
struct platform_host_counts platform_host_counts;
struct seam_lp platform_host_lps[PLATFORM_HOST_LPS];

static u8 *memory;
static struct plat_info current;

static const struct plat_info default_info = {
    .maxpa = 52,
    .keyid_shift = 46,
    .keyid_bits = 6,
    .first_private_hkid = 32,
    .lp_count = 2,
    .package_count = 1,
    .tsc_hz = 2000000000,
    .ept_levels_max = 5,
    .features0 = 0xf0fbf,
    .module_major = 1,
    .module_minor = 5,
    .module_update = 1,
    .cmr_count = 2,
    .cmrs = {{0x100000, 0x7df00000}, {0x100000000, 0x280000000}},
};

const struct plat_info *platform_host_default_info(void)
{
    return &default_info;
}

void platform_host_set_info(const struct plat_info *info)
{
    current = *info;
}

static void map_memory(void)
{
    if (memory) {
        if (madvise(memory, MEMORY_BYTES, MADV_DONTNEED) == 0)
            return;
        perror("platform: giving memory back");
        exit(2);
    }
    memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("platform: mapping sparse memory");
        exit(2);
    }
}

void platform_host_start(const struct plat_info *info)
{
    map_memory();
    current = info ? *info : default_info;
    platform_host_knobs = (struct platform_host_knobs){
        .tsc_step = 1000000, .cache_blocks = 4, .random_state = 0x9e3779b97f4a7c15, .tsc = 0x1000000000};
    platform_host_knobs.cpuid_rows = platform_host_default_cpuid_rows;
    memcpy(platform_host_knobs.cpuid, platform_host_default_cpuid,
           platform_host_default_cpuid_rows * sizeof(platform_host_default_cpuid[0]));
    platform_host_counts = (struct platform_host_counts){0};
    memset(platform_host_lps, 0, sizeof(platform_host_lps));
    for (unsigned i = 0; i < PLATFORM_HOST_LPS; i++) {
        platform_host_lps[i].index = i;
        platform_host_lps[i].package = i * current.package_count / (current.lp_count ? current.lp_count : 1);
        platform_host_lps[i].vmm_rflags = 0x202; /* interrupts enabled */
        platform_host_lps[i].apic_base = 0xfee00d00;
    }
    module_reset();
}

u8 *platform_host_memory(void)
{
    return memory;
}

const struct plat_info *plat_info(void)
{
    return &current;
}

void *plat_page(u64 hpa)
{
    if (hpa & 0xfff) {
        fprintf(stderr, "plat_page(0x%llx): not a page\n", (unsigned long long)hpa);
        abort();
    }
    if (hpa >= MEMORY_BYTES)
        return NULL;
    if (platform_host_knobs.page_used)
        platform_host_knobs.page_used(hpa);
    return memory + hpa;
}

void plat_own(u64 hpa, u64 bytes)
{
    (void)hpa;
    __atomic_fetch_add(&platform_host_counts.owned_bytes, bytes, __ATOMIC_RELAXED);
}

u64 plat_tsc(void)
{
    return __atomic_add_fetch(&platform_host_knobs.tsc, platform_host_knobs.tsc_step, __ATOMIC_RELAXED);
}

/* Xorshift (13, 7, 17): repeats from run to run, so that a failing sequence can be run again. */
bool plat_random(u64 *value)
{
    if (platform_host_knobs.no_entropy)
        return false;
    u64 x = __atomic_load_n(&platform_host_knobs.random_state, __ATOMIC_RELAXED);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    __atomic_store_n(&platform_host_knobs.random_state, x, __ATOMIC_RELAXED);
    *value = x;
    return true;
}

unsigned plat_interrupt_pending(struct seam_lp *lp)
{
    __atomic_fetch_add(&platform_host_counts.polls, 1, __ATOMIC_RELAXED);
    if (platform_host_knobs.polled)
        platform_host_knobs.polled(lp);
    if (platform_host_knobs.events)
        return platform_host_knobs.events(lp);
    if (!platform_host_knobs.pending)
        return 0;
    if (platform_host_knobs.polls_before) {
        platform_host_knobs.polls_before--;
        return 0;
    }
    return platform_host_knobs.pending_events;
}

enum plat_key_result plat_program_key(struct seam_lp *lp, u16 hkid)
{
    (void)lp;
    (void)hkid;
    return platform_host_knobs.key;
}

/* The row of the table; a leaf that it lacks reads as zero. */
static void read_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
    memset(out, 0, 4 * sizeof(u32));
    for (unsigned i = 0; i < platform_host_knobs.cpuid_rows; i++) {
        const struct platform_host_cpuid *row = &platform_host_knobs.cpuid[i];
        if (row->leaf == leaf && (row->subleaf == ~0u || row->subleaf == subleaf)) {
            memcpy(out, row->regs, sizeof(row->regs));
            return;
        }
    }
}

void plat_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
    read_cpuid(leaf, subleaf, out);
    if (platform_host_knobs.cpuid_read)
        platform_host_knobs.cpuid_read(leaf, subleaf, out);
}

void plat_invept(struct seam_lp *lp, u64 eptp)
{
    (void)eptp;
    __atomic_fetch_add(&platform_host_counts.invepts, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&platform_host_counts.invepts_of[lp->index], 1, __ATOMIC_RELAXED);
}

bool plat_flush_cache_block(struct seam_lp *lp)
{
    __atomic_fetch_add(&platform_host_counts.cache_blocks_flushed, 1, __ATOMIC_RELAXED);
    if (++platform_host_knobs.next_cache_block[lp->package] < platform_host_knobs.cache_blocks)
        return true;
    platform_host_knobs.next_cache_block[lp->package] = 0;
    return false;
}

_Static_assert(sizeof(hash_state) <= 512, "hash state of the library has grown");
_Static_assert(sizeof(struct sha512_state) <= PLAT_SHA384_BYTES, "SHA-384 state fits what the module sets aside");

static void must_hash(int result)
{
    if (result != CRYPT_OK) {
        fprintf(stderr, "platform: SHA-384: %s\n", error_to_string(result));
        abort();
    }
}

void plat_sha384_begin(void *state)
{
    must_hash(sha384_init(state));
}

void plat_sha384_add(void *state, const void *data, size_t bytes)
{
    must_hash(sha384_process(state, data, bytes));
}

void plat_sha384_end(void *state, u8 digest[48])
{
    must_hash(sha384_done(state, digest));
}

void plat_atomic_point(struct seam_lp *lp)
{
    if (platform_host_knobs.atomic_point)
        platform_host_knobs.atomic_point(lp);
}

_Noreturn void plat_broken(const char *file, int line, const char *what)
{
    fprintf(stderr, "module model: broken invariant at %s:%d: %s\n", file, line, what);
    abort();
}
