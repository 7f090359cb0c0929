/* See world.h. This file also stands in the place of kernel/vm/kick.c: mm/hold.h. */
#include "tests/bench/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "mm/hold.h"
#include "mm/page.h"
#include "tdx/abi_leaf.h"
#include "tdx/count.h"
#include "tdx/module.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define MEMORY_BASE       0x100000000ull
#define PENDING_NO_VE     (1ull << 28)
#define STEP_BYTES        200 /* of RIP between two exits: what the stepping filters take for progress */
#define REASON_INTERRUPT  1
#define INTERRUPT         0x800000ecu
#define CONTROL_PAGES_MAX 32

struct world world;
static struct world_config config;
static u32 held;      /* vCPUs that hold_begin() drove out; one bit each */
static u64 out_since; /* calls when they left */

_Noreturn void world_fail(const char *what, u64 value)
{
    fprintf(stderr, "bench: %s (%llx)\n", what, (unsigned long long)value);
    exit(1);
}

static void need(struct td_fault f)
{
    if (f.err != ERR_OK)
        world_fail(f.leaf ? f.leaf : "TD life cycle", f.status.raw);
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

static hpa_t take(u64 bytes, u64 align)
{
    hpa_t base;
    return page_alloc_range(bytes, align, &base) == ERR_OK ? base : HPA_NONE;
}

/* This thread is one processor after the other. */
static enum err on_each_cpu(void (*work)(void *arg), void *arg)
{
    for (unsigned i = 0; i < WORLD_CPUS; i++) {
        cpu_host_use(i);
        work(arg);
    }
    cpu_host_use(0);
    return ERR_OK;
}

static unsigned count_cpus(void)
{
    return WORLD_CPUS;
}

static u32 package_of(unsigned cpu)
{
    return platform_host_lps[cpu].package;
}

static enum err on_one_cpu(unsigned cpu, void (*work)(void *arg), void *arg)
{
    cpu_host_use(cpu);
    work(arg);
    cpu_host_use(0);
    return ERR_OK;
}

static void on_this_cpu(void (*work)(void *arg), void *arg)
{
    work(arg);
}

static const struct tdx_cpus cpus = {count_cpus, package_of, on_each_cpu, on_one_cpu, on_this_cpu};

void world_boot(u64 memory_bytes)
{
    struct plat_info info = *platform_host_default_info();
    const struct phys_range memory = {{MEMORY_BASE}, memory_bytes};
    const char *missing = "";

    info.lp_count = WORLD_CPUS;
    info.cmr_count = 1;
    info.cmrs[0] = (struct plat_range){MEMORY_BASE, memory_bytes};
    platform_host_start(&info);
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){.leaf = 0xd, .regs = {7, 0x340, 0x340, 0}}; /* XCR0 */
    platform_host_knobs.cpuid_rows = 1;
    cpu_host_reset();
    seamcall_host_reset();
    tdx_set_cpus(&cpus);
    page_init();
    page_add_range(memory.base, memory.bytes);
    if (tdx_detect(&missing) != ERR_OK)
        world_fail(missing, 0);
    struct tdx_init_fault f = tdx_module_init(&memory, 1, 0, take);
    if (f.err != ERR_OK)
        world_fail(f.what ? f.what : "module init", f.status.raw);
}

/* The module says so, and the VMM has heard it. */
static void add_features(u64 bits)
{
    struct plat_info *info = (struct plat_info *)plat_info(); /* the platform's own is no constant */
    info->features0 |= bits;
    tdx_module.features0 = info->features0;
}

static void take_pages(hpa_t *pages, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (page_alloc(LEVEL_4K, &pages[i]) != ERR_OK)
            world_fail("no memory", i);
}

void world_start(const struct world_config *wanted)
{
    hpa_t pages[CONTROL_PAGES_MAX];
    hkid_t hkid;
    const struct td_config td = {.attributes = PENDING_NO_VE, .vcpus = wanted->vcpus};

    config = *wanted;
    add_features(config.features0);
    if (tdx_hkid_take(&hkid) != ERR_OK)
        world_fail("no KeyID", 0);
    take_pages(pages, td_control_pages());
    need(td_create(&world.td, &td, hkid, pages));
    for (unsigned i = 0; i < config.vcpus; i++) {
        take_pages(pages, vcpu_control_pages());
        need(td_add_vcpu(&world.td, i, pages));
    }
}

void world_use_septum(void)
{
    if (tdp_create(&world.tdp, &world.td, config.td_bytes, LEVEL_1G, config.backing, PAGE_ANY_NODE) != ERR_OK)
        world_fail("TD memory", config.td_bytes);
}

void world_finalize(void)
{
    need(td_finalize(&world.td));
}

/* --- vCPUs -------------------------------------------------------------------------------------------------------- */

static struct seam_lp *enter_on(unsigned lp, unsigned vcpu)
{
    struct seam_lp *on = &platform_host_lps[lp];
    on->vmm[RAX] = TDH_VP_ENTER;
    on->vmm[RCX] = world.td.vcpus[vcpu].tdvpr.raw;
    if (module_seamcall(on) != SEAM_TO_TD)
        world_fail("VP.ENTER", on->vmm[RAX]);
    return on;
}

static void leave_from(struct seam_lp *on)
{
    on->td->rip += STEP_BYTES;
    on->td->exit_reason = REASON_INTERRUPT;
    on->td->exit_intr_info = INTERRUPT;
    on->td->qualification = on->td->guest_physical = on->td->guest_linear = 0;
    on->td->idt_vectoring_info = on->td->exit_instr_len = 0;
    if (module_td_exit(on) != SEAM_TO_VMM)
        world_fail("a vCPU does not leave", on->vmm[RAX]);
}

static void enter(unsigned vcpu)
{
    struct vcpu *v = &world.td.vcpus[vcpu];
    v->epoch = world.td.epoch;
    v->inside = 1;
    (void)enter_on(vcpu + 1, vcpu);
}

static void leave(unsigned vcpu)
{
    struct vcpu *v = &world.td.vcpus[vcpu];
    leave_from(&platform_host_lps[vcpu + 1]);
    v->exits++;
    v->inside = 0;
}

/* The vCPUs were created on this processor, and are let go from there. */
void world_enter(void)
{
    for (unsigned i = 0; i < config.vcpus && !config.unfinished; i++) {
        if (!tdx_ok(tdh_vp_flush(world.td.vcpus[i].tdvpr).status))
            world_fail("VP.FLUSH", i);
        world.td.vcpus[i].cpu = (int)i + 1;
        enter(i);
    }
}

void world_leave(void)
{
    for (unsigned i = 0; i < config.vcpus; i++)
        if (world.td.vcpus[i].inside)
            leave(i);
}

/* vCPUs that are inside, by an entry of an older epoch or by any; one bit each. */
static u32 kick_out(bool any_epoch)
{
    u32 out = 0;
    for (unsigned i = 0; i < config.vcpus; i++) {
        const struct vcpu *v = &world.td.vcpus[i];
        if (!v->inside || (!any_epoch && v->epoch >= world.td.epoch))
            continue;
        leave(i);
        out |= 1u << i;
        world.counts.ipis++;
        world.counts.exits++;
    }
    world.counts.kick_rounds += out != 0;
    return out;
}

static void let_in(u32 out)
{
    for (unsigned i = 0; i < config.vcpus; i++)
        if (out & 1u << i)
            enter(i);
}

void world_kick(void)
{
    let_in(kick_out(true));
}

static unsigned nmis_left;

static unsigned next_nmi(struct seam_lp *lp)
{
    (void)lp;
    return nmis_left && nmis_left-- ? PLAT_EVENT_NMI : 0;
}

void world_send_nmis(unsigned count)
{
    nmis_left = count;
    platform_host_knobs.events = next_nmi;
}

/* --- mm/hold.h ---------------------------------------------------------------------------------------------------- */

enum err hold_kick(struct td *td, u64 *ipis)
{
    (void)td;
    u64 before = world.counts.ipis;
    let_in(kick_out(false));
    *ipis += world.counts.ipis - before;
    return ERR_OK;
}

enum err hold_begin(struct td *td, u64 *ipis)
{
    u64 before = world.counts.ipis;
    if (td->held++ == 0) {
        held = kick_out(true);
        out_since = tdx_counts_seamcalls();
    }
    *ipis += world.counts.ipis - before;
    return ERR_OK;
}

void hold_end(struct td *td)
{
    if (--td->held)
        return;
    u64 pause = tdx_counts_seamcalls() - out_since;
    if (held && pause > world.counts.longest_pause)
        world.counts.longest_pause = pause;
    let_in(held);
}

enum err hold_write_back(struct td *td, u64 *ipis)
{
    (void)td;
    (void)ipis;
    return ERR_OK;
}

/* --- counts ------------------------------------------------------------------------------------------------------- */

static struct {
    u64 calls, tracks, flushed;
} before;

u64 world_calls(void)
{
    return tdx_counts_seamcalls() - tdx_counts.leaf[TDH_PHYMEM_PAGE_WBINVD] - before.calls;
}

u64 world_tracks(void)
{
    return tdx_counts.leaf[TDH_MEM_TRACK] - before.tracks;
}

u64 world_flushes(void)
{
    return (tdx_counts.flushed_bytes - before.flushed) / WORLD_4K;
}

void world_counts_reset(void)
{
    world.counts = (struct world_counts){0};
    before.calls = tdx_counts_seamcalls() - tdx_counts.leaf[TDH_PHYMEM_PAGE_WBINVD];
    before.tracks = tdx_counts.leaf[TDH_MEM_TRACK];
    before.flushed = tdx_counts.flushed_bytes;
}
