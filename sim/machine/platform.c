/* What the module asks of the machine: sim/module/platform.h on real memory. */
#include "sim/machine/platform.h"
#include "sim/machine/apic.h"
#include "sim/machine/config.h"
#include "sim/machine/cpu.h"
#include "sim/machine/cpuid.h"
#include "sim/machine/guard.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/log.h"
#include "sim/machine/memory.h"
#include "sim/machine/pool.h"
#include "sim/machine/td/td.h"

#define DEVICE_WINDOWS_MAX 32
#define CACHE_BLOCKS       8 /* pieces that WBINVD of a package is cut into */

/* 8254 timer, channel 2, whose gate port 61h controls. */
#define PIT_HZ                1193182u
#define PIT_CH2               0x42
#define PIT_COMMAND           0x43
#define PIT_GATE              0x61
#define PIT_LATCH_CH2         0x80
#define PIT_START_CH2         0xb0 /* both bytes, mode 0 */
#define TIMER_TRIES           5
#define TIMER_READINGS_MAX    100000
#define APIC_POLLS_PER_SECOND 50000
#define TSC_HZ_MIN            100000000
#define TSC_HZ_UNKNOWN        1000000000
#define TSC_UNIT_HZ           25000000 /* what a server's is a multiple of, and what TD_PARAMS counts a TD's in */

/* Constant after start. */
static struct plat_info info;
static struct plat_range device_windows[DEVICE_WINDOWS_MAX];
static unsigned device_window_count;

/* Atomic. One package's, by its number: how far the WBINVD has come that some CPU of it is at. */
static unsigned cache_blocks[MACHINE_PACKAGES_MAX];

/* TSC and counter of the timer at one moment, as near as one of a few tries came. */
struct moment {
    u64 tsc;
    u16 count;
};

static struct moment read_timer(void)
{
    struct moment best = {0};
    u64 best_width = ~0ull;
    for (unsigned i = 0; i < TIMER_TRIES; i++) {
        u64 before = cpu_rdtsc();
        cpu_out8(PIT_COMMAND, PIT_LATCH_CH2);
        u64 width = cpu_rdtsc() - before;
        u16 count = cpu_in8(PIT_CH2);
        count |= (u16)(cpu_in8(PIT_CH2) << 8);
        if (width < best_width) {
            best_width = width;
            best = (struct moment){before + width / 2, count};
        }
    }
    return best;
}

/*
 * Two readings of channel 2 of the 8254, which counts down from FFFFh, about 20 ms apart. Being interrupted in between, by the
 * scheduler of the machine that emulates this one, does no harm. Bounded in case there is no such timer.
 */
static u64 measure_tsc_hz(void)
{
    u8 gate = cpu_in8(PIT_GATE);
    cpu_out8(PIT_GATE, (gate & ~2) | 1);
    cpu_out8(PIT_COMMAND, PIT_START_CH2);
    cpu_out8(PIT_CH2, 0xff);
    cpu_out8(PIT_CH2, 0xff);
    struct moment first = read_timer(), last = first;
    for (unsigned i = 0; i < TIMER_READINGS_MAX && (u16)(first.count - last.count) < PIT_HZ / 50; i++)
        last = read_timer();
    cpu_out8(PIT_GATE, gate);
    u16 counted = (u16)(first.count - last.count);
    u64 hz = counted ? (last.tsc - first.tsc) * PIT_HZ / counted : 0;
    return hz < TSC_HZ_MIN ? TSC_HZ_UNKNOWN : (hz + TSC_UNIT_HZ / 2) / TSC_UNIT_HZ * TSC_UNIT_HZ;
}

void platform_init(void)
{
    const struct sim_config *config = sim_config();
    info = (struct plat_info){
        .maxpa = PLATFORM_MAXPA,
        .keyid_shift = PLATFORM_KEYID_SHIFT,
        .keyid_bits = PLATFORM_KEYID_BITS,
        .first_private_hkid = (u16)((1u << PLATFORM_KEYID_BITS) - config->hkids),
        .lp_count = cpu_count(),
        .package_count = config->packages,
        .tsc_hz = measure_tsc_hz(),
        .ept_levels_max = config->ept_levels,
        .features0 = config->features0,
        .module_major = (u16)config->module_major,
        .module_minor = (u16)config->module_minor,
        .module_update = (u16)config->module_update,
        .tdcs_pages = config->tdcs_pages,
        .refused_cpuid = config->cpuid_refused,
        .odd_lp = config->msr_differs,
        .absent_count = config->absent_fields.count,
    };
    for (u32 i = 0; i < config->absent_fields.count; i++)
        info.absent_fields[i] = config->absent_fields.lines[i][0];
    info.cmr_count = memory_cmrs(info.cmrs);
}

const struct plat_info *plat_info(void)
{
    return &info;
}

void platform_add_device_window(u64 base, u64 bytes)
{
    if (device_window_count < DEVICE_WINDOWS_MAX)
        device_windows[device_window_count++] = (struct plat_range){base, bytes};
}

bool platform_is_keyed(u64 hpa)
{
    for (unsigned i = 0; i < device_window_count; i++)
        if (hpa - device_windows[i].base < device_windows[i].bytes)
            return false;
    return hpa >> PLATFORM_KEYID_SHIFT != 0;
}

bool platform_is_private_key(u64 hpa)
{
    return platform_is_keyed(hpa) && hpa >> PLATFORM_KEYID_SHIFT >= info.first_private_hkid;
}

void *plat_page(u64 hpa)
{
    return memory_is_ram(hpa) && !guard_is_hidden(hpa) ? (void *)hpa : NULL;
}

void plat_own(u64 hpa, u64 bytes)
{
    guard_own(hpa, bytes);
}

u64 plat_tsc(void)
{
    return cpu_rdtsc();
}
bool plat_random(u64 *value)
{
    return cpu_rdrand(value);
}

/*
 * NMIs and SMIs that wait cannot be seen from here; the module meets them when a TD runs. Some leaves ask for each 4K page of a
 * large one, and a look at an emulated APIC costs as much as clearing such a page: it is not looked at again for a while.
 */
unsigned plat_interrupt_pending(struct seam_lp *lp)
{
    struct cpu *cpu = cpu_of_lp(lp);
    u64 now = cpu_rdtsc();
    const struct sim_config *config = sim_config();
    u64 look = ++cpu->interrupt_looks;
    if (config->smi_every && look % config->smi_every == 0)
        return PLAT_EVENT_SMI;
    if (config->interrupt_every && look % config->interrupt_every == 0)
        return PLAT_EVENT_INTERRUPT;
    if (now - cpu->apic_polled_at < info.tsc_hz / APIC_POLLS_PER_SECOND)
        return 0;
    if (apic_has_deliverable(cpu))
        return PLAT_EVENT_INTERRUPT;
    cpu->apic_polled_at = now;
    return 0;
}

/* Keys are simulated by the guard's noise: there is nothing to program, but the entropy has to be there. */
enum plat_key_result plat_program_key(struct seam_lp *lp, u16 hkid)
{
    u64 key;
    return cpu_rdrand(&key) ? PLAT_KEY_OK : PLAT_KEY_NO_ENTROPY;
}

void plat_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
    cpuid_as_intel(cpu_this(), leaf, subleaf, out);
}

void plat_invept(struct seam_lp *lp, u64 eptp)
{
    td_tlb_invept(cpu_of_lp(lp), eptp);
}

bool plat_flush_cache_block(struct seam_lp *lp)
{
    unsigned done = __atomic_add_fetch(&cache_blocks[lp->package], 1, __ATOMIC_RELAXED);
    if (done % CACHE_BLOCKS)
        return true;
    cpu_wbinvd();
    return false;
}

void plat_atomic_point(struct seam_lp *lp) {}

_Noreturn void plat_broken(const char *file, int line, const char *what)
{
    sim_stop("broken: %s, line %d: %s", file, line, what);
}
