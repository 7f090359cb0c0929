/* The TD of an experiment: see kernel/experiment/world.h. */
#include "kernel/experiment/world.h"

#include "kernel/console/console.h"
#include "kernel/time.h"
#include "lib/bits.h"
#include "mm/policy/policy.h"

#define READER_PAUSES 8u /* behind each access: a thousand cycles, in which a modelled CPU has little to do */

static enum err say_stopped(struct experiment_run *x)
{
    return fault_say(&x->fault, ERR_INTERRUPTED, "stopped by ^C after %u samples", x->samples);
}

/* --- the TD ------------------------------------------------------------------------------------------------------- */

enum err world_run(struct experiment_run *x)
{
    enum err e = vm_run(&x->fault);

    return e == ERR_INTERRUPTED ? say_stopped(x) : e;
}

static enum err begin(struct experiment_run *x, struct vm_config config, u64 bytes)
{
    /* The payload lies at the end, so that what is measured is a GiB, or a row of regions, of its own. */
    config.memory_bytes = align_up(WORLD_BASE + bytes, level_bytes(LEVEL_2M)) + 16 * MIB;
    config.node = PAGE_ANY_NODE;
    config.perfmon = vm_may_have_perfmon();
    world_begin_walks();
    enum err e = vm_create(&config, &x->fault);

    return e == ERR_OK ? world_run(x) : e;
}

enum err world_begin(struct experiment_run *x, u64 bytes, level_t level, unsigned vcpus)
{
    return begin(x, (struct vm_config){.level = level, .vcpus = vcpus}, bytes);
}

enum err world_begin_scattered(struct experiment_run *x, u64 bytes, level_t level, unsigned vcpus)
{
    return begin(x, (struct vm_config){.level = level, .vcpus = vcpus, .backing = TDP_SCATTER}, bytes);
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

enum err world_work_begin(struct experiment_run *x, unsigned vcpu, const struct probe_work *work)
{
    if (console_take_interrupt()) /* between two works: it is about the experiment */
        return say_stopped(x);
    return vm_work_begin(vcpu, work, &x->fault);
}

enum err world_work_end(struct experiment_run *x, unsigned vcpu, struct probe_result *result)
{
    enum err e = vm_work_end(vcpu, result, &x->fault);

    if (e == ERR_INTERRUPTED)
        return say_stopped(x);
    if (e == ERR_OK)
        world_note_walks(result);
    if (e != ERR_OK || result->status == PROBE_OK)
        return e;
    return fault_say(&x->fault, ERR_TDX, "the payload's work did not end well: status %u at 0x%llx", result->status,
                     (unsigned long long)result->at_gpa);
}

enum err world_work(struct experiment_run *x, unsigned vcpu, const struct probe_work *work, struct probe_result *result)
{
    enum err e = world_work_begin(x, vcpu, work);

    return e == ERR_OK ? world_work_end(x, vcpu, result) : e;
}

static enum err do_work(struct experiment_run *x, unsigned vcpu, const struct probe_work *work)
{
    struct probe_result result;

    return world_work(x, vcpu, work, &result);
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

enum err world_accept_small(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    return do_work(x, vcpu, &(struct probe_work){.op = PROBE_ACCEPT, .gpa = gpa.raw, .len = bytes, .level = 0});
}

enum err world_leave_pending(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes)
{
    return do_work(x, vcpu,
                   &(struct probe_work){.op = PROBE_CONVERT, .gpa = gpa.raw, .len = bytes, .leave_pending = true});
}

enum err world_touch(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, u64 stride, bool write)
{
    return do_work(
        x, vcpu,
        &(struct probe_work){
            .op = PROBE_TOUCH, .gpa = gpa.raw, .len = bytes, .stride = stride, .write = write, .seed = x->seed});
}

enum err world_large(struct experiment_run *x, u64 *count)
{
    struct tdp_sizes sizes;
    enum err e = world_did(x, "counting pages", tdp_sizes(vm.tdp, &sizes));

    *count = e == ERR_OK ? sizes.mapped[LEVEL_2M.raw] / level_bytes(LEVEL_2M) : 0;
    return e;
}

enum err world_policy(struct experiment_run *x, const struct policy *policy, const u64 *values)
{
    u64 initial[POLICY_PARAMETERS_MAX];

    for (unsigned i = 0; i < POLICY_PARAMETERS_MAX; i++)
        initial[i] = policy->parameters[i].initial;
    enum err e = tdp_policy_choose(vm.tdp, policy, values ? values : initial);
    return e == ERR_OK ? e : fault_say(&x->fault, e, "policy %s could not be chosen: %s", policy->name, err_text(e));
}

enum err world_did(struct experiment_run *x, const char *doing, struct tdp_report r)
{
    if (r.err == ERR_TD_DEAD)
        vm_dies();
    if (r.err == ERR_INTERRUPTED)
        return say_stopped(x);
    return r.err == ERR_OK ? ERR_OK : vm_say(&x->fault, doing, &r);
}

enum err world_keep_reading(struct experiment_run *x, unsigned vcpu, gpa_t gpa, u64 bytes, u64 stride)
{
    return vm_work_begin(vcpu,
                         &(struct probe_work){.op = PROBE_TOUCH,
                                              .gpa = gpa.raw,
                                              .len = bytes,
                                              .stride = stride,
                                              .order = PROBE_RANDOM,
                                              .count = ~0ull,
                                              .pauses = READER_PAUSES,
                                              .seed = x->seed},
                         &x->fault);
}

enum err world_keep_spinning(struct experiment_run *x, unsigned vcpu)
{
    u64 khz = time_tsc_khz();

    return vm_work_begin(vcpu, &(struct probe_work){.op = PROBE_SPIN, .milliseconds = ~0ull / khz, .tsc_khz = khz},
                         &x->fault);
}

enum err world_wait(struct experiment_run *x, u64 ms)
{
    for (u64 end = time_us() + ms * 1000; time_us() < end;) {
        if (console_take_interrupt())
            return say_stopped(x);
        vm_wait();
    }
    return ERR_OK;
}
