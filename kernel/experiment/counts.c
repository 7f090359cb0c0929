/* What the machine has done, for samples: see kernel/experiment/world.h. */
#include "kernel/experiment/world.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "tdx/abi_leaf.h"
#include "tdx/count.h"

#define EXIT_EPT_VIOLATION 48u /* SDM, "VMX basic exit reasons" */

/* Leaves that a sample counts one by one. */
static const struct {
    const char *name;
    unsigned leaf;
} shown[] = {{"aug", TDH_MEM_PAGE_AUG},          {"sept_add", TDH_MEM_SEPT_ADD},     {"sept_rd", TDH_MEM_SEPT_RD},
             {"block", TDH_MEM_RANGE_BLOCK},     {"unblock", TDH_MEM_RANGE_UNBLOCK}, {"track", TDH_MEM_TRACK},
             {"promote", TDH_MEM_PAGE_PROMOTE},  {"demote", TDH_MEM_PAGE_DEMOTE},    {"remove", TDH_MEM_PAGE_REMOVE},
             {"relocate", TDH_MEM_PAGE_RELOCATE}};

static struct world_walks walks; /* so far, in all TDs */
static bool walks_are_counted;   /* in this one */

void world_begin_walks(void)
{
    walks_are_counted = false;
}

void world_note_walks(const struct probe_result *result)
{
    for (unsigned i = 0; i < ARRAY_COUNT(walks.of); i++)
        walks.of[i] += result->walks[i];
    walks.cycles += result->walk_cycles;
    walks_are_counted |= result->counted;
}

bool world_counts_walks(void)
{
    return walks_are_counted;
}

static void add_pauses(struct vm_pauses *sum, const struct vm_pauses *p)
{
    sum->count += p->count;
    sum->total += p->total;
    sum->longest = max_u64(sum->longest, p->longest);
    for (unsigned i = 0; i < VM_PAUSE_BINS; i++)
        sum->bins[i] += p->bins[i];
}

gpa_t world_place(u64 bytes, level_t level)
{
    u64 low = align_up(WORLD_BASE, level_bytes(level));

    return (gpa_t){low + bytes + 16 * MIB < WORLD_HIGH ? low : WORLD_HIGH}; /* the payload is between, or above */
}

/* What comes with time, not with work: entries, and looks whether a halted vCPU is to go on. Flushes are counted apart. */
static bool is_left_out(unsigned leaf)
{
    return leaf == TDH_VP_ENTER || leaf == TDH_VP_RD || leaf == TDH_PHYMEM_PAGE_WBINVD;
}

void world_counts(struct world_counts *now)
{
    const struct tdx_counts *c = &tdx_counts;

    *now = (struct world_counts){.flushes = c->leaf[TDH_PHYMEM_PAGE_WBINVD],
                                 .tracks = c->leaf[TDH_MEM_TRACK],
                                 .kicks = c->kicks,
                                 .ipis = c->ipis,
                                 .retries = c->retries,
                                 .faults = c->exits[EXIT_EPT_VIOLATION],
                                 .walks = walks,
                                 .tsc = cpu_tsc()};
    for (unsigned i = 0; i < TDX_LEAF_COUNT_MAX; i++) {
        now->leaf[i] = c->leaf[i];
        now->seamcalls += is_left_out(i) ? 0 : c->leaf[i];
    }
    for (unsigned i = 0; i < TDX_EXIT_REASON_COUNT_MAX; i++)
        now->exits += c->exits[i];
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        add_pauses(&now->pauses, &vm.vcpus[i].pauses);
}

/* The bin of the p-th percentile; 0: there is none. */
static unsigned bin_of(const struct vm_pauses *from, const struct vm_pauses *to, u64 p)
{
    u64 rank = ((to->count - from->count) * p + 99) / 100, seen = 0;

    for (unsigned i = 0; i < VM_PAUSE_BINS; i++) {
        seen += to->bins[i] - from->bins[i];
        if (seen >= rank && rank)
            return i;
    }
    return 0;
}

/* An upper bound: the end of the bin. */
static u64 percentile(const struct vm_pauses *from, const struct vm_pauses *to, u64 p)
{
    return to->count == from->count ? 0 : min_u64(1ull << bin_of(from, to, p), to->longest);
}

void world_add_spread(struct json *j, const char *key, const struct vm_pauses *from, const struct vm_pauses *to)
{
    json_object(j, key);
    json_number(j, "count", to->count - from->count);
    json_number(j, "total", to->total - from->total);
    json_number(j, "median_at_most", percentile(from, to, 50));
    json_number(j, "p99_at_most", percentile(from, to, 99));
    json_number(j, "longest_at_most", percentile(from, to, 100));
    json_number(j, "longest_so_far", to->longest);
    json_end_object(j);
}

void world_add_policy(struct json *j, const struct tdp_policy_status *from, const struct tdp_policy_status *to)
{
    json_object(j, "did");
#define X(name, text) json_number(j, text, to->counters[TDP_POLICY_##name] - from->counters[TDP_POLICY_##name]);
    TDP_POLICY_COUNTER_LIST(X)
#undef X
    json_end_object(j);
}

static void add_walks(struct json *j, const struct world_walks *from, const struct world_walks *to)
{
    json_object(j, "walks");
    for (unsigned i = 0; i < ARRAY_COUNT(to->of); i++)
        json_number(j, level_name((level_t){(u8)i}), to->of[i] - from->of[i]);
    json_number(j, "cycles", to->cycles - from->cycles);
    json_end_object(j);
}

void world_add_counts(struct json *j, const struct world_counts *from, const struct world_counts *to)
{
    json_number(j, "seamcalls", to->seamcalls - from->seamcalls);
    json_number(j, "flushes", to->flushes - from->flushes);
    json_number(j, "tracks", to->tracks - from->tracks);
    json_number(j, "kicks", to->kicks - from->kicks);
    json_number(j, "ipis", to->ipis - from->ipis);
    json_number(j, "exits", to->exits - from->exits);
    json_number(j, "faults", to->faults - from->faults);
    json_number(j, "retries", to->retries - from->retries);
    json_number(j, "tsc", to->tsc - from->tsc);
    json_object(j, "calls");
    for (unsigned i = 0; i < ARRAY_COUNT(shown); i++)
        json_number(j, shown[i].name, to->leaf[shown[i].leaf] - from->leaf[shown[i].leaf]);
    json_end_object(j);
    world_add_spread(j, "pauses", &from->pauses, &to->pauses);
    if (walks_are_counted)
        add_walks(j, &from->walks, &to->walks);
}
