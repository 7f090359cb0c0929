/*
 * The experiment `zerostep`: what does the module's filter against stepping do to a VMM that enters a vCPU again and again in the
 * same fault; and does a merge policy ever meet it, one that blocks again while a vCPU stands in a fault? First a read of
 * a page that is blocked by hand, and entries with nothing done about it, alone and beside BLOCKs of other memory; then each
 * policy, as hasty as its parameters allow, while a vCPU reads and nothing else.
 */
#include "kernel/cpus.h"
#include "kernel/experiment/world.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/policy/policy.h"

enum { ROUNDS, ENTRIES, MANY, REGIONS, MS };
enum { POLICY };

static const gpa_t blocked = {WORLD_BASE}, elsewhere = {WORLD_BASE + (1ull << 21)};
static const struct vm_pauses nothing;
static const struct tdp_policy_status none;
static struct vm_stuck stuck; /* not on the stack: another CPU writes to it */

/* --- the filter --------------------------------------------------------------------------------------------------- */

/* vCPU 0 reads the blocked page, and waits. */
static enum err stand_in_fault(struct experiment_run *x)
{
    const struct probe_work work = {
        .op = PROBE_TOUCH, .gpa = blocked.raw, .len = PAGE_BYTES, .stride = PAGE_BYTES, .count = 1};
    enum err e = world_did(x, "block", tdp_block(vm.tdp, blocked, LEVEL_2M, NULL));

    if (e == ERR_OK)
        e = world_work_begin(x, 0, &work);
    while (e == ERR_OK && !vm_work_is_done(0))
        e = world_wait(x, 1);
    return e;
}

static enum err let_go(struct experiment_run *x)
{
    enum err e = world_did(x, "unblock", tdp_unblock(vm.tdp, blocked, LEVEL_2M, NULL));

    return e == ERR_OK ? world_run(x) : e;
}

static enum err enter(struct experiment_run *x, u64 times)
{
    enum err e = vm_stuck_begin(&stuck, 0, (unsigned)times, &x->fault);

    return e == ERR_OK ? vm_stuck_end(&stuck, &x->fault) : e;
}

static struct json *begin(struct experiment_run *x, const char *step)
{
    struct json *j = sample_begin(x);

    json_text(j, "step", step);
    json_number(j, "entered", stuck.entered);
    json_number(j, "ran", stuck.ran);
    json_number(j, "ran_first", stuck.ran_first);
    json_number(j, "refused", stuck.refused);
    return j;
}

static void sample_filter(struct experiment_run *x, u64 round)
{
    struct json *j = begin(x, "alone");

    json_number(j, "round", round);
    world_add_spread(j, "ran_ticks", &nothing, &stuck.ran_ticks);
    world_add_spread(j, "refused_ticks", &nothing, &stuck.refused_ticks);
    sample_end(x);
}

/* BLOCK and UNBLOCK of other memory until the vCPU is through; so many. */
static enum err block_elsewhere(struct experiment_run *x, u64 *operations)
{
    enum err e = ERR_OK;

    for (*operations = 0; e == ERR_OK && !stuck.done; ++*operations) {
        e = world_did(x, "block", tdp_block(vm.tdp, elsewhere, LEVEL_2M, NULL));
        if (e == ERR_OK)
            e = world_did(x, "unblock", tdp_unblock(vm.tdp, elsewhere, LEVEL_2M, NULL));
    }
    return e;
}

/* With the filter on, VP.ENTER takes the whole tree to itself: the console's calls and the vCPU's are in each other's way. */
static enum err beside_blocks(struct experiment_run *x, u64 round)
{
    u64 busy = tdx_counts_status(TDX_OPERAND_BUSY), operations;
    struct world_counts from, to;
    struct fault_text fault;

    world_counts(&from);
    if (vm_stuck_begin(&stuck, 0, (unsigned)x->values[MANY], &x->fault) != ERR_OK)
        return ERR_STATE;
    enum err e = block_elsewhere(x, &operations), end = vm_stuck_end(&stuck, &fault);
    if (e != ERR_OK)
        return e;
    if (end != ERR_OK)
        return fault_say(&x->fault, end, "%s", fault.text);
    world_counts(&to);
    struct json *j = begin(x, "beside");
    json_number(j, "round", round);
    json_number(j, "operations", operations);
    json_number(j, "busy", tdx_counts_status(TDX_OPERAND_BUSY) - busy);
    world_add_spread(j, "refused_ticks", &nothing, &stuck.refused_ticks);
    world_add_counts(j, &from, &to);
    sample_end(x);
    return ERR_OK;
}

static enum err one_round(struct experiment_run *x, u64 round)
{
    enum err e = stand_in_fault(x);

    if (e == ERR_OK)
        e = enter(x, x->values[ENTRIES]);
    if (e != ERR_OK)
        return e;
    sample_filter(x, round);
    if (cpus_online() > 1)
        e = beside_blocks(x, round);
    return e == ERR_OK ? let_go(x) : e;
}

static enum err filter(struct experiment_run *x)
{
    u64 bytes = 2 * level_bytes(LEVEL_2M);
    enum err e = world_begin(x, bytes, LEVEL_2M, 1);

    if (e == ERR_OK)
        e = world_accept(x, 0, blocked, bytes);
    for (u64 round = 0; round < x->values[ROUNDS] && e == ERR_OK; round++) {
        experiment_progress(x, "zerostep: round %llu of %llu", (unsigned long long)round + 1,
                            (unsigned long long)x->values[ROUNDS]);
        e = one_round(x, round);
    }
    return e == ERR_OK ? world_end(x) : e;
}

/* --- policies ----------------------------------------------------------------------------------------------------- */

static gpa_t page_of(const struct experiment_run *x, u64 n)
{
    return (gpa_t){WORLD_BASE + n % x->values[REGIONS] * level_bytes(LEVEL_2M)};
}

/* The last page of each region is read, the first is converted. */
static enum err read_now_and_then(struct experiment_run *x, bool keep)
{
    u64 stride = level_bytes(LEVEL_2M), at = stride - PAGE_BYTES, bytes = x->values[REGIONS] * stride - at;

    if (keep)
        return world_keep_reading(x, vm.vcpu_count - 1, (gpa_t){WORLD_BASE + at}, bytes, stride);
    return vm.vcpu_count > 1 ? ERR_OK : world_touch(x, 0, (gpa_t){WORLD_BASE + at}, bytes, stride, false);
}

static enum err cut(struct experiment_run *x, u64 n)
{
    enum err e = world_convert(x, 0, page_of(x, n), PAGE_BYTES, true);

    if (e == ERR_OK)
        e = world_convert(x, 0, page_of(x, n), PAGE_BYTES, false);
    if (e == ERR_OK)
        e = world_wait(x, 2);
    return e == ERR_OK ? read_now_and_then(x, false) : e;
}

static void sample_policy(struct experiment_run *x, const struct policy *policy, u64 conversions, u64 writes_before,
                          const struct world_counts *from)
{
    struct tdp_policy_status s;
    struct world_counts to;

    world_counts(&to);
    tdp_policy_status(vm.tdp, &s);
    struct json *j = sample_begin(x);
    json_text(j, "step", "policy");
    json_text(j, "policy", policy->name);
    json_number(j, "conversions", conversions);
    json_number(j, "refused", vm.vcpus[vm.vcpu_count - 1].write_faults - writes_before);
    world_add_policy(j, &none, &s);
    world_add_counts(j, from, &to);
    sample_end(x);
}

/* As hasty as it may be. */
static enum err choose_hasty(struct experiment_run *x, const struct policy *policy)
{
    u64 values[POLICY_PARAMETERS_MAX];

    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX; i++)
        values[i] = policy->parameters[i].least;
    return world_policy(x, policy, values);
}

static enum err one_policy(struct experiment_run *x, const struct policy *policy)
{
    u64 bytes = x->values[REGIONS] * level_bytes(LEVEL_2M), conversions = 0, writes, began = time_us();
    struct world_counts from;
    enum err e = world_begin(x, bytes, LEVEL_2M, vm_vcpus_max() > 1 ? 2 : 1);

    if (e == ERR_OK)
        e = world_accept(x, 0, page_of(x, 0), bytes);
    if (e == ERR_OK)
        e = choose_hasty(x, policy);
    if (e == ERR_OK && vm.vcpu_count > 1)
        e = read_now_and_then(x, true);
    world_counts(&from);
    writes = vm.vcpus[vm.vcpu_count ? vm.vcpu_count - 1 : 0].write_faults;
    for (; e == ERR_OK && (conversions == 0 || time_us() - began < x->values[MS] * 1000); conversions++)
        e = cut(x, conversions);
    if (e != ERR_OK)
        return e;
    sample_policy(x, policy, conversions, writes, &from);
    return world_end(x);
}

static enum err run(struct experiment_run *x)
{
    const char *only = x->chosen[POLICY];
    enum err e = filter(x);

    for (unsigned i = 0; policies[i] && e == ERR_OK; i++)
        if (only == NULL || strcmp(only, policies[i]->name) == 0)
            e = one_policy(x, policies[i]);
    return e;
}

const struct experiment experiment_zerostep = {
    .name = "zerostep",
    .question = "what does a vCPU meet that is entered again and again in one fault, and does a policy bring it there?",
    .parameters = {[ROUNDS] = {"rounds", "", "of one fault", 3, 1, 100000},
                   [ENTRIES] = {"entries", "", "in each, with nothing done about the fault", 12, 1, 1000000},
                   [MANY] = {"many", "entries", "beside BLOCKs of other memory", 200, 1, 1000000},
                   [REGIONS] = {"regions", "2m regions", "that each policy has", 4, 1, 4096},
                   [MS] = {"ms", "ms", "that each policy has", 500, 1, 3600000}},
    .choices = {[POLICY] = {.key = "policy", .what = "one alone", .name = experiment_policy_name}},
    .run = run,
};
