/* What the module model asks of the lab's machine: sim/module/platform.h. Module 1.5.01, KeyIDs as on a server. */
#include "lab/platform.h"

#include <string.h>
#include <tomcrypt.h>

#include "lab/cost.h"
#include "lab/cpuid.h"
#include "lab/guest.h"
#include "lab/machine.h"
#include "lab/memory.h"
#include "lib/addr.h"
#include "sim/module/platform.h"

#define RFLAGS_START 0x202u
#define APIC_X2      0xfee00d00u

static struct plat_info info = {
    .maxpa = 52,
    .keyid_shift = 46,
    .keyid_bits = 6,
    .first_private_hkid = 32,
    .package_count = 1,
    .tsc_hz = LAB_TSC_HZ,
    .ept_levels_max = 5,
    .features0 = 0xf0fbf,
    .module_major = 1,
    .module_minor = 5,
    .module_update = 1,
    .cmr_count = 1,
};

static struct seam_lp lps[MACHINE_CPUS_MAX];
static u64 random_state = 0x9e3779b97f4a7c15; /* the same numbers in each run */

void platform_start(unsigned cpus, u64 memory_bytes)
{
    info.lp_count = cpus;
    info.cmrs[0] = (struct plat_range){MEMORY_BASE, memory_bytes};
    for (unsigned i = 0; i < MACHINE_CPUS_MAX; i++)
        lps[i] = (struct seam_lp){.index = i, .vmm_rflags = RFLAGS_START, .apic_base = APIC_X2};
    module_reset();
}

struct seam_lp *platform_lp(void)
{
    return &lps[machine_index()];
}

const struct plat_info *plat_info(void)
{
    return &info;
}

void *plat_page(u64 hpa)
{
    return memory_at(hpa & ~(PAGE_BYTES - 1));
}

/* Nothing guards memory here: what the VMM may not touch it is caught at by the simulated platform, and in part by
 * cpu_reset_pages(). */
void plat_own(u64 hpa, u64 bytes)
{
    (void)hpa;
    (void)bytes;
}

u64 plat_tsc(void)
{
    return machine_self->clock;
}

bool plat_random(u64 *value)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    *value = random_state;
    return true;
}

unsigned plat_interrupt_pending(struct seam_lp *lp)
{
    (void)lp;
    return machine_is_interrupted() ? PLAT_EVENT_INTERRUPT : 0;
}

enum plat_key_result plat_program_key(struct seam_lp *lp, u16 hkid)
{
    (void)lp;
    (void)hkid;
    return PLAT_KEY_OK;
}

void plat_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
    cpuid_answer(leaf, subleaf, out);
}

void plat_invept(struct seam_lp *lp, u64 eptp)
{
    guest_invept(lp->index, eptp);
}

/* A cache is written back in one block. */
bool plat_flush_cache_block(struct seam_lp *lp)
{
    (void)lp;
    machine_pass(cost_of(COST_CACHE_WB));
    return false;
}

_Static_assert(sizeof(struct sha512_state) <= PLAT_SHA384_BYTES, "SHA-384 state fits what the module sets aside");

static void must_hash(int result)
{
    if (result != CRYPT_OK)
        machine_stop("SHA-384: %s", error_to_string(result));
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
    (void)lp;
    machine_call_point();
}

_Noreturn void plat_broken(const char *file, int line, const char *what)
{
    machine_stop("module model: broken invariant at %s:%d: %s", file, line, what);
}
