/* The TD of an experiment, and what is counted: see kernel/experiment/world.h. */
#include "kernel/experiment/world.h"

#include "kernel/console/console.h"
#include "kernel/hw/traps.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "tdx/abi_leaf.h"
#include "tdx/count.h"

/* --- the TD ------------------------------------------------------------------------------------------------------- */

enum err world_begin(struct experiment_run *x, u64 bytes, level_t level, unsigned vcpus)
{
    /* The payload lies at the end, so that what is measured is a GiB, or a row of regions, of its own. */
    const struct vm_config config = {
        .memory_bytes = align_up(WORLD_BASE + bytes, level_bytes(LEVEL_2M)) + 16 * MIB, .level = level, .vcpus = vcpus};
    enum err e = vm_create(&config, &x->fault);

    return e == ERR_OK ? vm_run(&x->fault) : e;
}

enum err world_end(struct experiment_run *x)
{
    struct fault_text fault;
    enum err e = vm.state == VM_NONE ? ERR_OK : vm_destroy(&fault);

    if (e != ERR_OK)
        x->fault = fault;
    return e;
}

/* --- work of the payload ------------------------------------------------------------------------------------------ */

static enum err do_work(struct experiment_run *x, unsigned vcpu, const struct probe_work *work)
{
    struct probe_result result;
    enum err e = vm_work_begin(vcpu, work, &x->fault);

    if (e == ERR_OK)
        e = vm_work_end(vcpu, &result, &x->fault);
    if (e == ERR_INTERRUPTED)
        return fault_say(&x->fault, e, "stopped by ^C after %u samples", x->samples);
    if (e != ERR_OK || result.status == PROBE_OK)
        return e;
    return fault_say(&x->fault, ERR_TDX, "the payload's work at 0x%llx did not end well: status %u at 0x%llx",
                     (unsigned long long)work->gpa, result.status, (unsigned long long)result.at_gpa);
}

enum err world_accept(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    return do_work(x, vcpu, &(struct probe_work){.op = PROBE_ACCEPT, .gpa = gpa.raw, .len = bytes, .level = 1});
}

enum err world_fill(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    return do_work(x, vcpu, &(struct probe_work){.op = PROBE_FILL, .gpa = gpa.raw, .len = bytes, .seed = x->seed});
}

enum err world_verify(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    return do_work(x, vcpu, &(struct probe_work){.op = PROBE_VERIFY, .gpa = gpa.raw, .len = bytes, .seed = x->seed});
}

enum err world_convert(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, bool shared)
{
    return do_work(x, vcpu,
                   &(struct probe_work){.op = PROBE_CONVERT, .gpa = gpa.raw, .len = bytes, .to_shared = shared});
}

enum err world_touch(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, u64 stride, bool write)
{
    return do_work(
        x, vcpu,
        &(struct probe_work){
            .op = PROBE_TOUCH, .gpa = gpa.raw, .len = bytes, .stride = stride, .write = write, .seed = x->seed});
}

enum err world_wait(struct experiment_run *x, u64 ms)
{
    for (u64 end = time_us() + ms * 1000; time_us() < end;) {
        if (console_take_interrupt())
            return fault_say(&x->fault, ERR_INTERRUPTED, "stopped by ^C after %u samples", x->samples);
        vm_tick();
        irq_wait();
    }
    return ERR_OK;
}

/* --- counts ------------------------------------------------------------------------------------------------------- */

static void add_pauses(struct vm_pauses *sum, const struct vm_pauses *p)
{
    sum->count += p->count;
    sum->total += p->total;
    sum->longest = max_u64(sum->longest, p->longest);
    for (unsigned i = 0; i < VM_PAUSE_BINS; i++)
        sum->bins[i] += p->bins[i];
}

void world_counts(struct world_counts *now)
{
    const struct tdx_counts *c = &tdx_counts;

    *now = (struct world_counts){.flushes = c->leaf[TDH_PHYMEM_PAGE_WBINVD],
                                 .tracks = c->leaf[TDH_MEM_TRACK],
                                 .kicks = c->kicks,
                                 .ipis = c->ipis,
                                 .retries = c->retries,
                                 .tsc = cpu_tsc()};
    for (unsigned i = 0; i < TDX_LEAF_COUNT_MAX; i++)
        now->seamcalls += i == TDH_VP_ENTER || i == TDH_PHYMEM_PAGE_WBINVD ? 0 : c->leaf[i];
    for (unsigned i = 0; i < TDX_EXIT_REASON_COUNT_MAX; i++)
        now->exits += c->exits[i];
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        add_pauses(&now->pauses, &vm.vcpus[i].pauses);
}

/* An upper bound of the p-th percentile: the end of the bin that it is in. */
static u64 percentile(const struct vm_pauses *from, const struct vm_pauses *to, u64 p)
{
    u64 rank = ((to->count - from->count) * p + 99) / 100, seen = 0;

    for (unsigned i = 0; i < VM_PAUSE_BINS; i++) {
        seen += to->bins[i] - from->bins[i];
        if (seen >= rank && rank)
            return min_u64(1ull << i, to->longest);
    }
    return 0;
}

void world_add_counts(struct json *j, const struct world_counts *from, const struct world_counts *to)
{
    json_number(j, "seamcalls", to->seamcalls - from->seamcalls);
    json_number(j, "flushes", to->flushes - from->flushes);
    json_number(j, "tracks", to->tracks - from->tracks);
    json_number(j, "kicks", to->kicks - from->kicks);
    json_number(j, "ipis", to->ipis - from->ipis);
    json_number(j, "exits", to->exits - from->exits);
    json_number(j, "retries", to->retries - from->retries);
    json_number(j, "tsc", to->tsc - from->tsc);
    json_object(j, "pauses");
    json_number(j, "count", to->pauses.count - from->pauses.count);
    json_number(j, "total", to->pauses.total - from->pauses.total);
    json_number(j, "median_at_most", percentile(&from->pauses, &to->pauses, 50));
    json_number(j, "p99_at_most", percentile(&from->pauses, &to->pauses, 99));
    json_number(j, "longest_so_far", to->pauses.longest);
    json_end_object(j);
}
