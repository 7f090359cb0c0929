/*
 * The experiment `contention`: what do vCPUs that fault and convert side by side, and a merge policy beside them, do to each
 * other? One vCPU, then two, and so on: first each accepts fresh regions at 4K, a fault a page, while the policy merges those
 * that are done; then they share and take back pages of the same regions, which the policy merges again and again, while the
 * last of them reads in all regions: it feels what the others and the policy do.
 */
#include "kernel/cpus.h"
#include "kernel/experiment/world.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/policy/policy.h"

enum { VCPUS, REGIONS, ROUNDS, BATCH, KICK };
enum { POLICY };

#define VCPUS_MOST  4u
#define RUN_PAGES   64u /* that a vCPU converts at once */
#define SETTLE_US   5000000ull
#define POLICY_HERE "ready"

struct course {
    struct experiment_run *x;
    const struct policy *policy;
    u64 values[POLICY_PARAMETERS_MAX];
    unsigned vcpus, workers; /* of them work just now; one that does not reads */
};

/* What was counted at its begin, beyond world_counts. */
struct look {
    struct world_counts counts;
    struct tdp_policy_status policy;
    u64 entry_busy, epoch_busy, us;
};

/* --- samples ------------------------------------------------------------------------------------------------------ */

static void look(struct look *l)
{
    world_counts(&l->counts);
    tdp_policy_status(vm.tdp, &l->policy);
    l->entry_busy = tdx_counts_status(TDX_OPERAND_BUSY);
    l->epoch_busy = tdx_counts_status(TDX_PREVIOUS_TLB_EPOCH_BUSY);
    l->us = time_us();
}

static void sample(const struct course *c, const char *phase, const struct look *from)
{
    struct look to;

    look(&to);
    struct json *j = sample_begin(c->x);
    json_text(j, "policy", c->policy->name);
    json_text(j, "phase", phase);
    json_number(j, "vcpus", c->vcpus);
    json_number(j, "ms", (to.us - from->us) / 1000);
    json_object(j, "busy");
    json_number(j, "operand", to.entry_busy - from->entry_busy);
    json_number(j, "epoch", to.epoch_busy - from->epoch_busy);
    json_end_object(j);
    world_add_policy(j, &from->policy, &to.policy);
    world_add_counts(j, &from->counts, &to.counts);
    sample_end(c->x);
}

/* --- work on all vCPUs at once ------------------------------------------------------------------------------------ */

/* Each that was begun is waited for; the first failure is told. */
static enum err together(const struct course *c,
                         struct probe_work (*work)(const struct course *c, unsigned vcpu, u64 n), u64 n)
{
    struct probe_result result;
    struct fault_text first;
    enum err e = ERR_OK;
    unsigned begun = 0;

    for (; begun < c->workers && e == ERR_OK; begun += e == ERR_OK) {
        const struct probe_work w = work(c, begun, n);
        e = world_work_begin(c->x, begun, &w);
    }
    first = c->x->fault;
    for (unsigned i = 0; i < begun; i++) {
        enum err end = world_work_end(c->x, i, &result);
        if (e == ERR_OK && end != ERR_OK)
            first = c->x->fault;
        e = e == ERR_OK ? end : e;
    }
    c->x->fault = first;
    return e;
}

static u64 region_at(u64 n)
{
    return WORLD_BASE + n * level_bytes(LEVEL_2M);
}

/* Regions of its own. */
static struct probe_work accept_own(const struct course *c, unsigned vcpu, u64 n)
{
    u64 regions = c->x->values[REGIONS];

    return (struct probe_work){
        .op = PROBE_ACCEPT, .gpa = region_at(vcpu * regions), .len = regions * level_bytes(LEVEL_2M), .level = 0};
}

/* A run of pages in the same region as all others. */
static struct probe_work convert(const struct course *c, unsigned vcpu, u64 n, bool shared)
{
    u64 region = n % (c->x->values[REGIONS] * c->vcpus);

    return (struct probe_work){.op = PROBE_CONVERT,
                               .gpa = region_at(region) + vcpu * RUN_PAGES * PAGE_BYTES,
                               .len = RUN_PAGES * PAGE_BYTES,
                               .to_shared = shared};
}

static struct probe_work share(const struct course *c, unsigned vcpu, u64 n)
{
    return convert(c, vcpu, n, true);
}

static struct probe_work take_back(const struct course *c, unsigned vcpu, u64 n)
{
    return convert(c, vcpu, n, false);
}

/* --- phases ------------------------------------------------------------------------------------------------------- */

/* Until the policy has merged what there is, or for a while. */
static enum err settle(const struct course *c)
{
    u64 began = time_us(), large = 0;
    enum err e = ERR_OK;

    while (e == ERR_OK && large < c->x->values[REGIONS] * c->vcpus && time_us() - began < SETTLE_US) {
        e = world_wait(c->x, 1);
        if (e == ERR_OK)
            e = world_large(c->x, &large);
    }
    return e;
}

static enum err fault_beside_merges(const struct course *c)
{
    struct look from;

    look(&from);
    enum err e = together(c, accept_own, 0);
    if (e == ERR_OK)
        sample(c, "fault", &from);
    return e;
}

/* The last page of each region, which nobody converts. */
static enum err keep_reading(const struct course *c)
{
    u64 at = level_bytes(LEVEL_2M) - PAGE_BYTES, bytes = c->x->values[REGIONS] * c->vcpus * level_bytes(LEVEL_2M);

    return c->workers == c->vcpus
               ? ERR_OK
               : world_keep_reading(c->x, c->workers, (gpa_t){WORLD_BASE + at}, bytes - at, level_bytes(LEVEL_2M));
}

static enum err convert_beside_merges(struct course *c)
{
    struct look from;
    enum err e = settle(c);

    c->workers = c->vcpus > 1 ? c->vcpus - 1 : 1;
    look(&from);
    if (e == ERR_OK)
        e = keep_reading(c);
    for (u64 round = 0; round < c->x->values[ROUNDS] && e == ERR_OK; round++) {
        experiment_progress(c->x, "contention: %u vCPUs, round %llu of %llu", c->vcpus, (unsigned long long)round + 1,
                            (unsigned long long)c->x->values[ROUNDS]);
        e = together(c, share, round);
        if (e == ERR_OK)
            e = together(c, take_back, round);
    }
    if (e == ERR_OK)
        sample(c, "convert", &from);
    return e;
}

static enum err one_count(struct course *c)
{
    u64 bytes = c->x->values[REGIONS] * c->vcpus * level_bytes(LEVEL_2M);
    enum err e = world_begin(c->x, bytes, LEVEL_2M, c->vcpus);

    if (e == ERR_OK)
        e = world_policy(c->x, c->policy, c->values);
    if (e == ERR_OK) {
        tdp_set_kick_again(vm.tdp, c->x->values[KICK]);
        c->workers = c->vcpus;
        e = fault_beside_merges(c);
    }
    if (e == ERR_OK)
        e = convert_beside_merges(c);
    return e == ERR_OK ? world_end(c->x) : e;
}

/* --- what is asked for -------------------------------------------------------------------------------------------- */

static const struct policy *find_policy(const char *name)
{
    unsigned i = 0;

    while (policies[i + 1] && strcmp(policies[i]->name, name) != 0)
        i++;
    return policies[i];
}

static bool is_called(const struct parameter *p, const char *name)
{
    return p->name && strcmp(p->name, name) == 0;
}

/* The policy's parameters, with the batch that is asked for; it waits for nothing, so as to be at work beside the vCPUs. */
static enum err set_values(struct course *c)
{
    u64 batch = c->x->values[BATCH];
    const struct parameter *found = NULL;

    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX; i++) {
        const struct parameter *p = &c->policy->parameters[i];
        c->values[i] = is_called(p, "batch") && batch ? batch : is_called(p, "delay") ? p->least : p->initial;
        found = is_called(p, "batch") ? p : found;
    }
    if (batch == 0 || (found && batch >= found->least && batch <= found->most))
        return ERR_OK;
    if (found == NULL)
        return fault_say(&c->x->fault, ERR_ARGUMENT, "policy %s has no batch", c->policy->name);
    return fault_say(&c->x->fault, ERR_ARGUMENT, "batch=%llu: policy %s takes a number from %llu to %llu",
                     (unsigned long long)batch, c->policy->name, (unsigned long long)found->least,
                     (unsigned long long)found->most);
}

static enum err check_machine(struct experiment_run *x, unsigned *vcpus)
{
    unsigned most = cpus_online() - 1;

    if (most == 0)
        return fault_say(&x->fault, ERR_STATE,
                         "this machine has one CPU: contention takes one for the console and one for each vCPU");
    *vcpus = (unsigned)(x->values[VCPUS] ? x->values[VCPUS] : min_u64(most, VCPUS_MOST));
    if (*vcpus <= most)
        return ERR_OK;
    return fault_say(&x->fault, ERR_STATE, "vcpus=%u takes %u CPUs, one of them the console's: this machine has %u",
                     *vcpus, *vcpus + 1, most + 1);
}

static enum err run(struct experiment_run *x)
{
    struct course c = {.x = x, .policy = find_policy(x->chosen[POLICY] ? x->chosen[POLICY] : POLICY_HERE)};
    unsigned most = 0;
    enum err e = check_machine(x, &most);

    if (e == ERR_OK)
        e = set_values(&c);
    for (c.vcpus = 1; c.vcpus <= most && e == ERR_OK; c.vcpus++)
        e = one_count(&c);
    return e;
}

const struct experiment experiment_contention = {
    .name = "contention",
    .question = "what do vCPUs that fault and convert side by side, and a policy that merges, do to each other?",
    .parameters = {[VCPUS] = {"vcpus", "", "at most, from 1 on; 0: 4, or as many as there are CPUs for", 0, 0,
                              VCPUS_MOST},
                   [REGIONS] = {"regions", "2m regions", "for each vCPU", 2, 1, 4096},
                   [ROUNDS] = {"rounds", "", "of 64 pages that each vCPU shares and takes back", 8, 1, 1000000},
                   [BATCH] = {"batch", "regions", "that the policy works on at once; 0: as it has it", 0, 0, 512},
                   [KICK] = {"kick", "0|1", "the vCPUs are kicked at each TRACK, not held out between them", 0, 0, 1}},
    .choices = {[POLICY] = {.key = "policy", .what = "in the place of ready", .name = experiment_policy_name}},
    .run = run,
};
