/* Many vCPUs in a host process: see crowd.h. */
#include "tests/host/crowd_internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hw/cpu.h"
#include "lib/bits.h"
#include "mm/page.h"
#include "mm/policy/policy.h"
#include "tdx/count.h"
#include "tdx/module.h"
#include "tdx/module_internal.h"
#include "tests/host/baton.h"
#include "tests/host/cpu.h"
#include "tests/host/hold.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define MEMORY_BASE  0x100000000ull
#define MEMORY_BYTES 0x80000000ull
#define UNBLOCKS_MAX 1000u
#define SPY_YIELDS   20000u /* some time for it to act, in a test that says it cannot */

struct crowd crowd;
_Thread_local struct guest *self;
_Thread_local u64 dice_state;
_Thread_local bool may_fail;

_Noreturn void crowd_fail(const char *what, u64 value)
{
    fprintf(stderr, "crowd: %s (%llx); SEED=%llu STEPS=%llu repeats it%s\n", what, (unsigned long long)value,
            (unsigned long long)crowd.plan->seed, (unsigned long long)crowd.plan->steps,
            crowd.plan->baton ? "" : ", if the threads meet in the same way");
    abort();
}

void need(bool good, const char *what, u64 value)
{
    if (!good)
        crowd_fail(what, value);
}

u64 count(u64 *counter)
{
    return __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

u64 dice(u64 n)
{
    dice_state += 0x9e3779b97f4a7c15ull;
    u64 z = dice_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (z ^ (z >> 31)) % n;
}

/* --- operators ---------------------------------------------------------------------------------------------------- */

/* By hand, for a moment. ERR_STATE: it is unblocked already, or another operator has blocked the table above. */
static void block(gpa_t at, level_t level)
{
    struct tdp_report r = tdp_block(crowd.tdp, at, level, NULL);

    may(r);
    baton_point();
    for (unsigned tries = 0; r.err == ERR_OK && tries < UNBLOCKS_MAX && !crowd.give_up; tries++) {
        struct tdp_report u = tdp_unblock(crowd.tdp, at, level, NULL);
        may(u);
        if (u.err == ERR_OK || u.err == ERR_NOT_FOUND)
            return;
        cpu_relax();
    }
}

static void look(gpa_t at)
{
    struct tdp_walk w;
    struct tdp_report r = tdp_walk(crowd.tdp, at, &w);

    if (is_over(&r))
        return;
    need(r.err == ERR_OK || r.err == ERR_BUSY || r.err == ERR_INTERRUPTED, r.what, r.err);
    need(r.err != ERR_OK || w.agree, "mirror and module disagree", at.raw);
}

/* Parts of different regions behind the same TRACKs. */
static void mix(void)
{
    u64 regions = crowd.bytes / M2, first = dice(regions);
    gpa_t at[3];
    for (unsigned i = 0; i < 3; i++)
        at[i] = (gpa_t){(first + i * (1 + regions / 4)) % regions * M2};
    const struct tdp_part parts[] = {
        {.kind = TDP_SPLIT, .gpa = at[0], .level = LEVEL_2M},
        {.kind = TDP_MERGE, .gpa = at[1], .level = LEVEL_2M},
        {.kind = TDP_RELOCATE, .gpa = gpa_add(at[2], dice(512) * K4), .bytes = K4},
    };
    bool scattered = crowd.plan->backing == TDP_SCATTER;
    unsigned from = (unsigned)dice(2), count = 1 + (unsigned)dice(scattered ? 3 - from : 2 - from);
    may(tdp_together(crowd.tdp, parts + from, count, NULL));
}

/* The GiB that no vCPU uses, pending all of it: made one page, cut at random places, put together again. */
static void work_on_giant(void)
{
    gpa_t at = gpa_add(GIANT, dice(GIANT_BYTES / K4) * K4), region = gpa_floor(at, LEVEL_2M);

    switch (dice(6)) {
    case 0:
        may(tdp_convert(crowd.tdp, GIANT, GIANT_BYTES, TDP_PRIVATE, NULL));
        may(tdp_map(crowd.tdp, GIANT, GIANT_BYTES, LEVEL_2M, NULL));
        break;
    case 1:
        may(tdp_convert(crowd.tdp, at, K4, TDP_SHARED, NULL));
        break;
    case 2:
        may(tdp_convert(crowd.tdp, region, M2, dice(2) ? TDP_SHARED : TDP_PRIVATE, NULL));
        break;
    case 3:
        may(tdp_split(crowd.tdp, GIANT, LEVEL_1G, NULL));
        break;
    default:
        may(tdp_merge(crowd.tdp, GIANT, LEVEL_1G, NULL));
    }
}

static void check_line(gpa_t from, u64 bytes, void *arg)
{
    need(bytes > 0 && from.raw + bytes <= crowd.bytes, "a page that is none of the TD's was touched", from.raw);
}

/* Dirty logging, which one CPU turns on, asks and turns off. */
static void log_touches(void)
{
    struct tdp_dirty d;

    switch (dice(3)) {
    case 0:
        may(tdp_dirty_on(crowd.tdp));
        break;
    case 1:
        may(tdp_dirty_get(crowd.tdp, check_line, NULL, &d));
        break;
    default:
        may(tdp_dirty_off(crowd.tdp));
    }
}

/* A policy's time to work; once in a while another policy, with parameters that act at once. */
static void police(void)
{
    static _Atomic u64 now;

    if (dice(40)) {
        now += dice(8);
        tdp_policy_tick(crowd.tdp, now);
        return;
    }
    const struct policy *next = policies[dice(6)];
    u64 values[POLICY_PARAMETERS_MAX];
    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX; i++)
        values[i] = max_u64(next->parameters[i].least, dice(20));
    enum err e = tdp_policy_choose(crowd.tdp, next, values);
    need(e == ERR_OK || e == ERR_BUSY, "choosing a policy", e);
}

static void operator_step(void)
{
    gpa_t region = {dice(crowd.bytes / M2) * M2}, page = {dice(crowd.bytes / K4) * K4};

    may_fail = true;
    if (crowd.plan->giant && dice(4) == 0) {
        work_on_giant();
        return;
    }
    if (crowd.plan->policies && cpu_index() == 0 && dice(100) == 0) {
        log_touches();
        return;
    }
    if (crowd.plan->policies && dice(2)) {
        police();
        return;
    }
    switch (dice(11)) {
    case 0:
    case 1:
        may(tdp_split(crowd.tdp, region, LEVEL_2M, NULL));
        break;
    case 2:
    case 3:
        may(tdp_merge(crowd.tdp, region, LEVEL_2M, NULL));
        break;
    case 4:
        block(page, LEVEL_4K);
        break;
    case 5:
        block(region, LEVEL_2M);
        break;
    case 6:
        may(tdp_relocate(crowd.tdp, page, K4, NULL));
        break;
    case 7:
        may(tdp_map(crowd.tdp, page, K4, LEVEL_4K, NULL));
        break;
    case 8:
        may(tdp_merge_range(crowd.tdp, region, min_u64((1 + dice(4)) * M2, crowd.bytes - region.raw), LEVEL_2M, NULL));
        break;
    case 9:
        mix();
        break;
    default:
        look(page);
    }
}

static void *operator_work(void *arg)
{
    unsigned index = *(unsigned *)arg;

    cpu_host_use(index);
    dice_state = crowd.plan->seed * 1000 + 500 + index;
    baton_join(index);
    while (crowd.at_work && !crowd.give_up) {
        operator_step();
        baton_point();
        cpu_relax();
    }
    baton_leave();
    return NULL;
}

static void *guest_work(void *arg)
{
    self = arg;
    dice_state = crowd.plan->seed * 1000 + self->index;
    baton_join(self->index + 1);
    for (u64 i = 0; i < crowd.plan->steps && !crowd.give_up; i++) {
        guest_step();
        count(&crowd.result.steps);
        baton_point();
    }
    for (u64 gpa = 0; gpa < crowd.bytes && !crowd.give_up; gpa += K4)
        if (owner_of(gpa) == self->index && page_at(gpa)->state != PAGE_NONE)
            verify_page(gpa);
    crowd.at_work--;
    baton_leave();
    return NULL;
}

static void *vcpu_thread(void *arg)
{
    struct guest *g = arg;

    cpu_host_use(g->index + 1);
    return guest_work(arg);
}

/* --- machine and TD ----------------------------------------------------------------------------------------------- */

static unsigned cpu_count;

static unsigned count_cpus(void)
{
    return cpu_count;
}

/* One thread plays all CPUs before and after the work. */
static enum err on_each(void (*work)(void *arg), void *arg)
{
    for (unsigned i = cpu_count; i-- > 0;) {
        cpu_host_use(i);
        work(arg);
    }
    return ERR_OK;
}

static enum err on_one(unsigned cpu, void (*work)(void *arg), void *arg)
{
    unsigned here = cpu_index();

    cpu_host_use(cpu);
    work(arg);
    cpu_host_use(here);
    return ERR_OK;
}

static void share(void (*work)(void *arg), void *arg)
{
    work(arg);
}

static u32 package_of(unsigned cpu)
{
    return platform_host_lps[cpu].package;
}

static hpa_t take(u64 bytes, u64 align)
{
    hpa_t base;
    return page_alloc_range(bytes, align, &base) == ERR_OK ? base : HPA_NONE;
}

static void start_machine(void)
{
    static const struct tdx_cpus cpus = {
        .count = count_cpus, .each = on_each, .one = on_one, .share = share, .package = package_of};
    struct plat_info info = *platform_host_default_info();
    const u64 bytes = crowd.plan->giant ? MEMORY_BYTES + 3 * GIANT_BYTES : MEMORY_BYTES;
    const struct phys_range memory = {{MEMORY_BASE}, bytes};
    const char *missing = "";

    cpu_count = 1 + crowd.plan->vcpus + crowd.plan->operators;
    need(cpu_count <= PLATFORM_HOST_LPS, "too many CPUs", cpu_count);
    info.lp_count = cpu_count;
    platform_host_start(&info);
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){.leaf = 0xd, .regs = {7, 0x340, 0x340, 0}};
    platform_host_knobs.cpuid_rows = 1;
    cpu_host_reset();
    seamcall_host_reset();
    tdx_module_forget();
    page_init();
    page_add_range((hpa_t){MEMORY_BASE}, bytes);
    tdx_set_cpus(&cpus);
    need(tdx_detect(&missing) == ERR_OK, missing, 0);
    struct tdx_init_fault f = tdx_module_init(&memory, 1, 0, take);
    need(f.err == ERR_OK, f.what, f.status.raw);
}

static void good(struct td_fault f)
{
    need(f.err == ERR_OK, f.leaf ? f.leaf : "the TD's life cycle", f.status.raw);
}

static void take_pages(hpa_t *pages, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        need(page_alloc(LEVEL_4K, &pages[i]) == ERR_OK, "a page", i);
}

/* The vCPUs go to CPUs of their own, while this one has other work. */
static void let_go_of_vcpus(void)
{
    for (unsigned i = 0; i < crowd.plan->vcpus; i++) {
        need(tdx_ok(tdh_vp_flush(crowd.td.vcpus[i].tdvpr).status), "VP.FLUSH", i);
        crowd.td.vcpus[i].cpu = -1;
    }
}

static void create_td(void)
{
    struct td_config config = {.attributes = 1ull << 28, .vcpus = crowd.plan->vcpus};
    hpa_t pages[32];
    hkid_t hkid;

    need(tdx_hkid_take(&hkid) == ERR_OK, "a key", 0);
    take_pages(pages, td_control_pages());
    good(td_create(&crowd.td, &config, hkid, pages));
    for (unsigned i = 0; i < crowd.plan->vcpus; i++) {
        take_pages(pages, vcpu_control_pages());
        good(td_add_vcpu(&crowd.td, 0, pages));
    }
    need(tdp_create(&crowd.tdp, &crowd.td, crowd.plan->giant ? gpa_add(GIANT, GIANT_BYTES).raw : crowd.bytes,
                    crowd.plan->giant ? LEVEL_1G : LEVEL_2M, crowd.plan->backing, PAGE_ANY_NODE) == ERR_OK,
         "the TDP MMU", 0);
    tdp_set_stop(crowd.tdp, crowd_stop);
    tdp_set_kick_again(crowd.tdp, crowd.plan->kicks_again);
    for (unsigned i = 0; i < crowd.plan->vcpus; i++) {
        good(vcpu_set_shared_ept(&crowd.td.vcpus[i], tdp_shared_root(crowd.tdp)));
        crowd.guests[i] = (struct guest){.index = i, .v = &crowd.td.vcpus[i]};
    }
    good(td_finalize(&crowd.td));
    let_go_of_vcpus();
}

static void give(hpa_t page, void *arg)
{
    (void)arg;
    page_free(page, LEVEL_4K);
}

static void destroy_td(u64 free_before)
{
    struct tdp_report r = tdp_prepare_destroy(crowd.tdp);
    need(r.err == ERR_OK || (r.err == ERR_TD_DEAD && crowd.plan->fatal_at), r.what, r.status.raw);
    good(td_release_key(&crowd.td));
    r = tdp_destroy(crowd.tdp);
    need(r.err == ERR_OK, r.what, r.status.raw);
    hkid_t hkid = crowd.td.hkid;
    good(td_destroy(&crowd.td, give, NULL));
    tdx_hkid_give(hkid);
    need(page_free_bytes() == free_before, "pages are missing", free_before - page_free_bytes());
}

static void join(const pthread_t *threads, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void work(void)
{
    pthread_t vcpus[GUESTS_MAX], operators[GUESTS_MAX];
    unsigned index[GUESTS_MAX];
    const struct crowd_plan *p = crowd.plan;

    guest_program = crowd_run_td;
    crowd_module_begin();
    cpu_host_relaxed = p->baton ? baton_point : NULL;
    if (p->baton)
        baton_start(1 + p->vcpus + p->operators, p->seed, p->baton);
    crowd.at_work = p->vcpus;
    for (unsigned i = 0; i < p->vcpus; i++)
        pthread_create(&vcpus[i], NULL, vcpu_thread, &crowd.guests[i]);
    for (unsigned i = 0; i < p->operators; i++) {
        index[i] = 1 + p->vcpus + i;
        pthread_create(&operators[i], NULL, operator_work, &index[i]);
    }
    index[p->operators] = 0;
    (void)operator_work(&index[p->operators]);
    join(vcpus, p->vcpus);
    join(operators, p->operators);
    crowd_module_end();
    cpu_host_relaxed = NULL;
    tdp_set_stop(crowd.tdp, NULL);
    guest_program = NULL;
}

static void check_all(void)
{
    struct tdp_census c;
    struct tdp_report r = tdp_census(crowd.tdp, (gpa_t){0}, 0, &c);

    need(r.err == ERR_OK, r.what, r.status.raw);
    need(c.agree, "mirror and module disagree", c.first_disagreement.raw);
    need(c.blocked == 0, "blocked entries are left", c.blocked);
}

/* Nothing that a policy has blocked stays so without it. */
static void end_policy(void)
{
    const u64 none[POLICY_PARAMETERS_MAX] = {0};

    struct tdp_report r = tdp_dirty_off(crowd.tdp);

    need(r.err == ERR_OK || r.err == ERR_NOT_FOUND, "the end of dirty logging", r.err);
    need(tdp_policy_choose(crowd.tdp, &policy_none, none) == ERR_OK, "the end of a policy", 0);
}

static u64 free_before;

static void open_with(const struct crowd_plan *plan)
{
    memset(&crowd, 0, sizeof(crowd));
    crowd.plan = plan;
    crowd.bytes = (COMMON_REGIONS + OWN_REGIONS * plan->vcpus) * M2;
    start_machine();
    free_before = page_free_bytes();
    create_td();
}

struct crowd_result crowd_run(const struct crowd_plan *plan)
{
    open_with(plan);
    work();
    crowd.result.faults_missing = crowd_faults_missing();
    if (!plan->fatal_at) {
        end_policy();
        check_all();
    }
    destroy_td(free_before);
    return crowd.result;
}

/* --- step by step ------------------------------------------------------------------------------------------------- */

void crowd_open(const struct crowd_plan *plan)
{
    open_with(plan);
    guest_program = crowd_run_td;
    dice_state = plan->seed;
}

void crowd_close(bool whole)
{
    seamcall_host_answer = NULL;
    guest_program = NULL;
    cpu_host_use(0);
    if (whole) {
        check_all();
        destroy_td(free_before);
    }
}

struct tdp *crowd_tdp(void)
{
    return crowd.tdp;
}

static pthread_t spy_thread;

static void *spy(void *arg)
{
    struct guest *g = arg;

    self = g;
    cpu_host_use(1);
    while (!g->done && g->end == ERR_OK) {
        struct vcpu_exit e = vcpu_enter(g->v);
        if (e.kind == VCPU_EXIT_EPT_VIOLATION)
            g->end = tdp_fault(crowd.tdp, &e, g->index).err;
        else
            need(e.kind == VCPU_EXIT_INTERRUPT || e.kind == VCPU_EXIT_HELD, "an exit of the spy", e.status.raw);
    }
    g->ended = true;
    return NULL;
}

void crowd_spy_enter(u64 gpa, bool shared)
{
    struct guest *g = &crowd.guests[0];

    g->want = WANT_ACCESS;
    g->gpa = gpa | (shared ? SHARED_BIT : 0);
    g->is_spy = g->write = true;
    g->inside = g->told = g->ended = g->done = false;
    g->end = ERR_OK;
    pthread_create(&spy_thread, NULL, spy, g);
    while (!g->inside)
        cpu_relax();
}

void crowd_spy_tell(u64 value)
{
    struct guest *g = &crowd.guests[0];

    g->value = value;
    g->told = true;
    for (unsigned i = 0; i < SPY_YIELDS && !g->ended; i++)
        sched_yield();
}

enum err crowd_spy_end(void)
{
    pthread_join(spy_thread, NULL);
    return crowd.guests[0].end;
}

/* As vCPU 1, on its CPU. */
static void act(void (*work)(u64 gpa, unsigned level), u64 gpa, unsigned level)
{
    self = &crowd.guests[1];
    cpu_host_use(2);
    work(gpa, level);
    cpu_host_use(0);
    self = NULL;
}

static void accept_now(u64 gpa, unsigned level)
{
    need(accept(gpa, level), "ACCEPT", gpa);
}

static void read_now(u64 gpa, unsigned level)
{
    (void)level;
    page_at(gpa)->state = PAGE_ACCEPTED;
    do_access(gpa, false, 0);
}

void crowd_accept(u64 gpa, unsigned level)
{
    act(accept_now, gpa, level);
}

u64 crowd_read(u64 gpa)
{
    act(read_now, gpa, 0);
    return crowd.guests[1].result;
}
