/*
 * The experiment `policies`: what does each merge policy make of the same work, and what does it cost the TD? The work is that
 * of a workload (kernel/experiment/workload/); behind it the policy has time, and the share of large pages is watched.
 */
#include "kernel/experiment/policy_look.h"
#include "kernel/experiment/workload/settings.h"
#include "kernel/experiment/workload/workload.h"
#include "kernel/experiment/world.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/policy/policy.h"

/* --- one sample --------------------------------------------------------------------------------------------------- */

static void add_who(struct work *w, struct json *j)
{
    json_text(j, "policy", w->policy->name);
    json_text(j, "workload", w->workload->name);
    if (w->workload->phases[w->phase])
        json_text(j, "phase", w->workload->phases[w->phase]);
    json_number(j, "round", w->round);
    json_number(j, "vcpus", vm.vcpu_count);
}

/* What it is worth: TLB misses of reads at random, all over the regions as they are now. */
static enum err read_all(struct work *w, struct probe_result *r)
{
    const struct probe_work reads = {.op = PROBE_TOUCH,
                                     .gpa = w->base.raw,
                                     .len = w->bytes,
                                     .stride = PAGE_BYTES,
                                     .order = PROBE_RANDOM,
                                     .count = w->x->values[READS],
                                     .seed = w->x->seed};

    *r = (struct probe_result){0};
    bool may_read = !w->workload->untouched && !w->workload->leaves_pending;
    return reads.count && may_read ? world_work(w->x, 0, &reads, r) : ERR_OK;
}

static void add_reads(struct json *j, const struct probe_result *r)
{
    json_object(j, "reads");
    json_number(j, "count", r->touched);
    json_number(j, "tsc", r->tsc);
    if (r->counted)
        json_number(j, "misses", r->walks[0] + r->walks[1] + r->walks[2]);
    json_end_object(j);
}

static enum err sample(struct work *w, const struct policy_look *from, u64 work_ms, u64 ms)
{
    struct probe_result reads;
    struct policy_look to;
    enum err e = policy_look_again(w->x, w->policy, &to);

    if (e == ERR_OK)
        e = read_all(w, &reads);
    if (e != ERR_OK)
        return e;
    struct json *j = sample_begin(w->x);
    add_who(w, j);
    if (w->workload->add)
        w->workload->add(w, j);
    json_number(j, "conversions", w->conversions);
    json_number(j, "work_ms", work_ms);
    json_number(j, "ms", ms);
    watch_add(w->watch, j);
    add_reads(j, &reads);
    policy_look_add(j, from, &to);
    sample_end(w->x);
    return ERR_OK;
}

/* --- one phase ---------------------------------------------------------------------------------------------------- */

static bool is_touched(const struct work *w)
{
    return w->x->values[TOUCH] && (!w->workload->untouched || w->workload->touch);
}

static enum err touch(struct work *w)
{
    return w->workload->touch ? w->workload->touch(w) : work_touch(w);
}

/* Until all is large again, or the time is over; then each region is touched once more, so that what is large is of use. */
static enum err settle(struct work *w, u64 *ms)
{
    u64 from = time_us();
    enum err e = work_wait(w, 0);

    while (e == ERR_OK && w->watch->large < w->watch->whole && time_us() - from < w->x->values[SETTLE] * 1000) {
        if (is_touched(w))
            e = touch(w);
        if (e == ERR_OK && w->watch->large < w->watch->whole) /* or the touch has merged the last one */
            e = work_wait(w, w->x->values[STEP]);
    }
    *ms = (time_us() - from) / 1000;
    return e == ERR_OK && is_touched(w) ? touch(w) : e;
}

static enum err one_phase(struct work *w)
{
    struct policy_look from;
    u64 began = time_us(), work_ms, ms = 0;

    watch_begin_sample(w->watch);
    w->conversions = 0;
    policy_look(&from);
    enum err e = w->workload->work(w);
    work_ms = (time_us() - began) / 1000;
    if (e == ERR_OK && !w->workload->keeps_time)
        e = settle(w, &ms);
    return e == ERR_OK ? sample(w, &from, work_ms, ms) : e;
}

/* --- one TD ------------------------------------------------------------------------------------------------------- */

/* The work has one vCPU, touches another where the machine has CPUs for them. */
static unsigned workers(void)
{
    return vm_vcpus_max() > 1 ? 2 : 1;
}

/* Of 1G pages it would take too long, and some workloads leave no pattern. */
static bool is_filled(const struct work *w)
{
    const struct workload *load = w->workload;

    return w->x->values[FILL] && !load->untouched && !load->fresh && load->level.raw <= 1;
}

static enum err accept_all(struct work *w)
{
    enum err e = work_on_all(w, "accepting", world_accept);

    for (u64 at = 0; at < w->bytes && e == ERR_OK && w->workload->level.raw > 1; at += level_bytes(LEVEL_1G))
        e = world_did(w->x, "merge", tdp_merge(vm.tdp, gpa_add(w->base, at), LEVEL_1G, NULL));
    return e == ERR_OK && is_filled(w) ? work_on_all(w, "filling", world_fill) : e;
}

static enum err begin_readers(struct work *w)
{
    u64 stride = level_bytes(LEVEL_2M);
    gpa_t first = gpa_add(w->base, READ_PAGE * PAGE_BYTES);
    bool spins = w->workload->untouched || w->workload->fresh;
    enum err e = ERR_OK;

    for (unsigned i = workers(); i < vm.vcpu_count && e == ERR_OK; i++)
        e = spins ? world_keep_spinning(w->x, i)
                  : world_keep_reading(w->x, i, first, w->bytes - stride + sizeof(u64), stride);
    w->watch->is_read = !spins && vm.vcpu_count > workers();
    return e;
}

static enum err choose(struct work *w)
{
    u64 values[POLICY_PARAMETERS_MAX];

    settings_of(w->x->chosen[WITH], w->policy, values);
    enum err e = tdp_policy_choose(vm.tdp, w->policy, values);
    return e == ERR_OK ? e : fault_say(&w->x->fault, e, "the policy could not be chosen: %s", err_text(e));
}

static enum err begin(struct work *w)
{
    u64 size = level_bytes(w->workload->level);
    unsigned vcpus = workers() + (unsigned)w->x->values[READERS];

    w->base = world_place(w->bytes, w->workload->level);
    enum err e = watch_begin(w->watch, w->base, w->bytes / size, w->workload->level);
    if (e != ERR_OK)
        return fault_say(&w->x->fault, e, "no memory to keep count of the regions");
    e = world_begin(w->x, w->base.raw + w->bytes - WORLD_BASE, w->workload->level, vcpus);
    if (e == ERR_OK && !w->workload->fresh)
        e = accept_all(w);
    if (e == ERR_OK)
        e = begin_readers(w);
    if (e == ERR_OK)
        e = watch_look(w->watch);
    return e == ERR_OK ? choose(w) : e;
}

static bool has_phase(const struct workload *workload, u64 phase)
{
    return phase < PHASES_MAX && (phase == 0 || workload->phases[phase]);
}

/* All phases of a round, or one of them. */
static enum err one_round(struct work *w, u64 first, bool all)
{
    enum err e = ERR_OK;

    for (w->phase = first; e == ERR_OK && has_phase(w->workload, w->phase); w->phase++) {
        e = one_phase(w);
        if (!all)
            break;
    }
    return e;
}

/* The TD goes, whatever has happened, and what has happened is what is told. */
static enum err end(struct work *w, enum err e)
{
    if (e == ERR_OK && is_filled(w))
        e = work_on_all(w, "verifying", world_verify);
    struct fault_text why = w->x->fault;
    enum err gone = world_end(w->x);
    watch_end(w->watch);
    if (e == ERR_OK)
        return gone;
    w->x->fault = why;
    return e;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static enum err in_fresh_tds(struct work *w)
{
    enum err e = ERR_OK;

    for (w->round = 0; w->round < w->rounds && e == ERR_OK; w->round++)
        for (u64 phase = 0; e == ERR_OK && has_phase(w->workload, phase); phase++) {
            e = begin(w);
            if (e == ERR_OK)
                e = one_round(w, phase, false);
            e = end(w, e);
        }
    return e;
}

static enum err in_one_td(struct work *w)
{
    enum err e = begin(w);

    for (w->round = 0; w->round < w->rounds && e == ERR_OK; w->round++)
        e = one_round(w, 0, true);
    return end(w, e);
}

static enum err one(struct experiment_run *x, const struct workload *workload, const struct policy *policy)
{
    static struct watch watch;
    struct work w = {.x = x, .workload = workload, .policy = policy, .rounds = x->values[ROUNDS], .watch = &watch};
    u64 regions = x->values[REGIONS];
    enum err e = workload->plan ? workload->plan(x, &regions, &w.rounds) : ERR_OK;

    if (e != ERR_OK)
        return e;
    w.bytes = regions * level_bytes(workload->level);
    x->random = x->seed; /* the same pages under each policy */
    return workload->fresh ? in_fresh_tds(&w) : in_one_td(&w);
}

static bool is_chosen(const char *chosen, const char *name, bool on_request)
{
    return chosen ? strcmp(chosen, name) == 0 : !on_request;
}

/* Before there is a TD: what cannot be, for one of the workloads or all, is not found when half of the samples are there. */
static enum err check(struct experiment_run *x, const char *workload)
{
    u64 regions = x->values[REGIONS], rounds, readers = vm_vcpus_max() - workers();
    enum err e = ERR_OK;

    if (x->chosen[LIST] && strcmp(workload, workload_list.name) != 0)
        return fault_say(&x->fault, ERR_ARGUMENT, "list=%s is for workload=list, not for %s", x->chosen[LIST],
                         workload);
    if (x->values[READERS] > readers)
        return fault_say(&x->fault, ERR_STATE, "readers=%llu: this machine has CPUs for %llu beside the work's",
                         (unsigned long long)x->values[READERS], (unsigned long long)readers);
    if (x->chosen[WITH])
        e = settings_check(x->chosen[WITH], x->chosen[POLICY], &x->fault);
    for (unsigned i = 0; workloads[i] && e == ERR_OK; i++)
        if (workloads[i]->plan && is_chosen(workload, workloads[i]->name, workloads[i]->on_request))
            e = workloads[i]->plan(x, &regions, &rounds);
    return e;
}

static enum err run(struct experiment_run *x)
{
    const char *workload = x->chosen[WORKLOAD] || !x->chosen[LIST] ? x->chosen[WORKLOAD] : workload_list.name;
    enum err e = check(x, workload);

    for (unsigned i = 0; workloads[i]; i++)
        for (unsigned n = 0; policies[n] && e == ERR_OK; n++)
            if (is_chosen(workload, workloads[i]->name, workloads[i]->on_request) &&
                is_chosen(x->chosen[POLICY], policies[n]->name, false))
                e = one(x, workloads[i], policies[n]);
    return e;
}

const struct experiment experiment_policies = {
    .name = "policies",
    .question = "what does each merge policy make of a guest's conversions, and what does it cost?",
    .parameters = {[REGIONS] = {"regions", "2m regions", "that the work is on", 8, 1, WATCH_REGIONS_MAX},
                   [ROUNDS] = {"rounds", "", "of the work, each with its sample", 3, 1, 100000},
                   [SETTLE] = {"settle", "ms", "that the policy has at most after each", 2000, 1, 3600000},
                   [STEP] = {"step", "ms", "between two looks at the pages", 20, 1, 60000},
                   [TOUCH] = {"touch", "0|1", "another vCPU reads each region between the looks", 1, 0, 1},
                   [READERS] = {"readers", "vCPUs", "that read all regions all the time", 0, 0, 30},
                   [TIMES] = {"times", "", "that attest and swiotlb convert in a round", 20, 1, 1000000},
                   [GAP] = {"gap", "ms", "behind each of these", 2, 0, 60000},
                   [SLOWEST] = {"slowest", "conversions a second", "of rate", 4, 1, 100000},
                   [FASTEST] = {"fastest", "conversions a second", "of rate", 256, 1, 100000},
                   [LASTS] = {"lasts", "ms", "each rate", 2000, 1, 3600000},
                   [READS] = {"reads", "", "of pages at random, to count TLB misses, behind each sample", 4096, 0,
                              1u << 30},
                   [FILL] = {"fill", "0|1", "all regions are filled before and verified behind", 1, 0, 1}},
    .choices = {[POLICY] = {"policy", "one alone", experiment_policy_name, NULL},
                [WORKLOAD] = {"workload", "one alone", workload_name, workload_what},
                [WITH] = {"with", "parameters of policies, such as with=delay:50,batch:1", NULL, NULL},
                [LIST] = {"list", "a file of the boot volume, for workload=list", NULL, NULL}},
    .run = run,
};
