/*
 * Running a vCPU: VP.ENTER, the host state that it changes, and what its exit means. TDX Module ABI Specification,
 * "TDH.VP.ENTER", tables of output operands after a TD exit; SDM vol. 3, "VMX basic exit reasons".
 *
 * VP.ENTER also changes CR2, the debug registers and the extended state. The VMM uses none of them across it: it is
 * built without SSE, sets no breakpoints, and reads CR2 in its page-fault handler only.
 */
#include "tdx/td.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/trace.h"
#include "tdx/abi_field.h"
#include "tdx/abi_leaf.h"
#include "tdx/count.h"
#include "tdx/module_internal.h"
#include "tdx/retry.h"

/* Basic exit reasons that a VMM of TDs meets: number, name. */
/* clang-format off */
#define EXIT_LIST(X) \
    X(0, EXCEPTION_OR_NMI) X(1, EXTERNAL_INTERRUPT) X(2, TRIPLE_FAULT) X(3, INIT) X(4, SIPI) X(5, IO_SMI) X(6, SMI) \
    X(9, TASK_SWITCH) X(10, CPUID) X(12, HLT) X(28, CR_ACCESS) X(30, IO) X(31, RDMSR) X(32, WRMSR) \
    X(33, ENTRY_FAILURE_STATE) X(37, MONITOR_TRAP) X(41, ENTRY_FAILURE_MACHINE_CHECK) X(43, TPR_BELOW_THRESHOLD) \
    X(48, EPT_VIOLATION) X(49, EPT_MISCONFIGURATION) X(55, XSETBV) X(74, BUS_LOCK) X(75, NOTIFY) X(77, TDVMCALL)
/* clang-format on */

enum exit_reason {
#define X(number, name) EXIT_##name = number,
    EXIT_LIST(X)
#undef X
};

#define EXIT_REASON_BASIC 0xffffu

#define MSR_X2APIC_SELF_IPI 0x83fu

/* R9: the VM-exit interruption information. */
#define INTERRUPTION_TYPE(i)   ((i) >> 8 & 7)
#define INTERRUPTION_VECTOR(i) ((i)&0xff)
#define INTERRUPTION_NMI       2u
#define INTERRUPTION_VALID     BIT(31)
#define VECTOR_MC              18u

/* RDX of an EPT-violation exit: the extended exit qualification. */
#define EXTENDED_TYPE_SHIFT  0
#define EXTENDED_TYPE_WIDTH  4
#define EXTENDED_LEVEL_SHIFT 32
#define EXTENDED_LEVEL_WIDTH 3
#define EXTENDED_ACCEPT      1u
#define EXTENDED_PENDING     6u

const char *vcpu_exit_name(u32 reason)
{
    switch (reason) {
#define X(number, name)                                                                                                \
    case number:                                                                                                       \
        return #name;
        EXIT_LIST(X)
#undef X
    default:
        return "UNKNOWN";
    }
}

/* --- host state -------------------------------------------------------------------------------------------------- */

/* MSRs that a TD exit leaves with other values: STAR, LSTAR, FMASK, KERNEL_GS_BASE, TSC_AUX. */
static const u32 clobbered[] = {0xc0000081, 0xc0000082, 0xc0000084, 0xc0000102, 0xc0000103};

/* The VMM sets them before the first TD runs on a CPU and never after, so one look a CPU is enough. */
static struct host_state {
    bool known;
    bool readable[ARRAY_COUNT(clobbered)];
    u64 value[ARRAY_COUNT(clobbered)];
} host_state[CPU_COUNT_MAX];

static void save_host(struct host_state *h)
{
    if (h->known)
        return;
    for (unsigned i = 0; i < ARRAY_COUNT(clobbered); i++)
        h->readable[i] = cpu_read_msr(clobbered[i], &h->value[i]);
    h->known = true;
}

static void restore_host(const struct host_state *h)
{
    for (unsigned i = 0; i < ARRAY_COUNT(clobbered); i++)
        if (h->readable[i] && !cpu_write_msr(clobbered[i], h->value[i]))
            panic("MSR 0x%x does not take back the value 0x%llx", clobbered[i], (unsigned long long)h->value[i]);
}

/* --- exits ------------------------------------------------------------------------------------------------------- */

static void decode_ept_violation(const struct vcpu *v, struct vcpu_exit *e)
{
    u64 shared = BIT(v->td->shared_bit);
    unsigned type = (unsigned)FIELD_GET(EXTENDED_TYPE, e->extended);
    e->kind = VCPU_EXIT_EPT_VIOLATION;
    e->shared = v->regs.r8 & shared;
    e->gpa.raw = v->regs.r8 & ~shared;
    e->accept = type == EXTENDED_ACCEPT;
    e->level.raw = e->accept ? (u8)FIELD_GET(EXTENDED_LEVEL, e->extended) : 0;
    e->pending = type == EXTENDED_PENDING;
}

static void decode_exception(const struct vcpu *v, struct vcpu_exit *e)
{
    u64 info = v->regs.r9;

    e->kind = INTERRUPTION_TYPE(info) == INTERRUPTION_NMI ? VCPU_EXIT_NMI : VCPU_EXIT_OTHER;
    e->is_machine_check = e->kind != VCPU_EXIT_NMI && INTERRUPTION_VECTOR(info) == VECTOR_MC;
}

static void decode(const struct vcpu *v, struct vcpu_exit *e)
{
    e->reason = (u32)e->status.raw & EXIT_REASON_BASIC;
    e->qualification = v->regs.rcx;
    e->extended = v->regs.rdx;
    switch (e->reason) {
    case EXIT_EPT_VIOLATION:
        decode_ept_violation(v, e);
        break;
    case EXIT_TDVMCALL:
        e->kind = VCPU_EXIT_VMCALL;
        break;
    case EXIT_EXTERNAL_INTERRUPT:
        e->kind = VCPU_EXIT_INTERRUPT;
        break;
    case EXIT_EXCEPTION_OR_NMI:
        decode_exception(v, e);
        break;
    case EXIT_TRIPLE_FAULT:
        e->kind = VCPU_EXIT_TRIPLE_FAULT;
        break;
    default:
        e->kind = VCPU_EXIT_OTHER;
    }
}

/* Did the vCPU leave the TD with this status, or did it never get in? Three statuses that are no success tell of an
 * exit. */
static bool is_exit(tdx_status_t s)
{
    return tdx_is(s, TDX_SUCCESS) || tdx_is(s, TDX_NON_RECOVERABLE_VCPU) || tdx_is(s, TDX_NON_RECOVERABLE_TD) ||
           tdx_is(s, TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE);
}

static struct vcpu_exit interpret(struct vcpu *v, tdx_status_t status)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_REFUSED, .status = status};
    enum tdx_verdict verdict = tdx_verdict(status);
    if (is_exit(status)) {
        decode(v, &e);
        tdx_count_exit(e.reason);
        trace_record(TRACE_TD_EXIT, e.reason, e.qualification, v->regs.r8, e.extended);
        v->calls += e.kind == VCPU_EXIT_VMCALL;
    }
    v->dead |= verdict == TDX_VCPU_DEAD;
    if (verdict == TDX_TD_DEAD) {
        e.kind = VCPU_EXIT_TD_DEAD;
        v->td->dead = true;
    }
    return e;
}

/* --- entry ------------------------------------------------------------------------------------------------------- */

static bool may_enter(const struct vcpu *v, struct vcpu_exit *why_not)
{
    *why_not = (struct vcpu_exit){.kind = VCPU_EXIT_REFUSED};
    if (v->td->dead)
        why_not->kind = VCPU_EXIT_TD_DEAD;
    why_not->status.raw = (u64)(v->dead ? TDX_VCPU_STATE_INCORRECT : TDX_OP_STATE_INCORRECT) << 32;
    return v->td->state == TD_RUNNABLE && !v->td->dead && !v->dead;
}

/* The shared half's translations that this CPU may have from before mm/tlb.c dropped them go now: nobody but a vCPU
 * that enters here can use them. `inside` is set already, so that whoever drops later sees a vCPU to kick. */
static void drop_shared(struct td *td)
{
    u64 drops = td->drops, *seen = &td->dropped[cpu_index()];
    if (*seen == drops)
        return;
    seam_invept(td->eptp);
    *seen = drops;
}

/* The module runs TDs with "acknowledge interrupt on exit": the APIC holds this one for served, and lets none of its priority
 * through until its handler has sent the EOI. */
static void take_interrupt(const struct vcpu *v, tdx_status_t status)
{
    if ((status.raw & EXIT_REASON_BASIC) == EXIT_EXTERNAL_INTERRUPT && is_exit(status) &&
        v->regs.r9 & INTERRUPTION_VALID)
        cpu_take_interrupt((u8)INTERRUPTION_VECTOR(v->regs.r9));
}

/* What was posted while the vCPU was outside: the notification waits until the entry, with interrupts off. */
static void notify_self(const struct vcpu *v)
{
    if (v->posted != NULL && (v->posted->control & POSTED_OUTSTANDING) &&
        !cpu_write_msr(MSR_X2APIC_SELF_IPI, v->posted_vector))
        panic("the APIC refuses an IPI to itself: vector 0x%x", v->posted_vector);
}

/*
 * One VP.ENTER. `inside` is set first and `held` read after, both sequentially consistent, as a holder writes `held`
 * first and reads `inside` after: one of the two sees the other. False: held out.
 */
static bool enter_once(struct vcpu *v, tdx_status_t *status)
{
    u64 irq = cpu_irq_save();
    struct host_state *host = &host_state[cpu_index()];
    save_host(host);
    v->cpu = (int)cpu_index();
    v->epoch = v->td->epoch;
    v->inside = 1;
    bool held = v->td->held;
    if (!held) {
        drop_shared(v->td);
        notify_self(v);
        *status = tdh_vp_enter(v->tdvpr, &v->regs);
        restore_host(host);
        v->exits++;
    }
    v->inside = 0;
    if (!held)
        take_interrupt(v, *status);
    cpu_irq_restore(irq);
    return !held;
}

/* --- migration --------------------------------------------------------------------------------------------------- */

struct flush_work {
    struct vcpu *v;
    tdx_status_t status;
};

static void flush_here(void *arg)
{
    struct flush_work *w = arg;
    struct tdx_retry again = tdx_retry(TDH_VP_FLUSH, w->v->tdvpr.raw);
    do
        w->status = tdh_vp_flush(w->v->tdvpr).status;
    while (tdx_again(&again, w->status));
}

/* What another CPU caches of the vCPU, its VMCS and translations, is written back there. A vCPU that is not associated
 * where it was thought to be is fine. */
static bool leave_old_cpu(struct vcpu *v, struct vcpu_exit *why_not)
{
    struct flush_work w = {.v = v};
    int old = v->cpu;
    if (old < 0 || old == (int)cpu_index())
        return true;
    if (tdx_on_cpu((unsigned)old, flush_here, &w) != ERR_OK)
        w.status.raw = (u64)TDX_VCPU_ASSOCIATED << 32;
    if (tdx_ok(w.status) || tdx_is(w.status, TDX_VCPU_NOT_ASSOCIATED))
        return true;
    *why_not = (struct vcpu_exit){.kind = VCPU_EXIT_NOT_FLUSHED, .status = w.status};
    return false;
}

struct vcpu_exit vcpu_enter(struct vcpu *v)
{
    struct vcpu_exit why_not;
    if (!may_enter(v, &why_not) || !leave_old_cpu(v, &why_not))
        return why_not;
    struct tdx_retry again = tdx_retry(TDH_VP_ENTER, v->tdvpr.raw);
    tdx_status_t status;
    do
        if (!enter_once(v, &status))
            return (struct vcpu_exit){.kind = VCPU_EXIT_HELD};
    while (tdx_again(&again, status));
    return interpret(v, status);
}

/* --- fields ------------------------------------------------------------------------------------------------------ */

static struct td_fault write_field(struct vcpu *v, u64 field, u64 value, u64 mask)
{
    struct tdx_retry again = tdx_retry(TDH_VP_WR, v->tdvpr.raw);
    struct tdx_field_answer a;
    do
        a = tdh_vp_wr(v->tdvpr, field, value, mask);
    while (tdx_again(&again, a.status));
    if (tdx_ok(a.status)) {
        v->cpu = (int)cpu_index();
        return (struct td_fault){.err = ERR_OK};
    }
    return (struct td_fault){.err = ERR_TDX, .leaf = tdx_leaf_name(TDH_VP_WR), .status = a.status};
}

struct td_fault vcpu_set_shared_ept(struct vcpu *v, hpa_t root)
{
    return write_field(v, FIELD_VP_SHARED_EPTP, root.raw, FIELD_VP_SHARED_EPTP_BITS);
}

/* The control last: the module takes it only when the others are there. */
struct td_fault vcpu_set_posted(struct vcpu *v, struct posted_interrupts *posted, u8 vector)
{
    u64 at = phys_of(posted).raw;
    struct td_fault f = write_field(v, FIELD_VP_POSTED_VECTOR, vector, 0xffff);

    if (f.err == ERR_OK)
        f = write_field(v, FIELD_VP_POSTED_DESCRIPTOR, at, ~63ull);
    if (f.err == ERR_OK)
        f = write_field(v, FIELD_VP_PIN_CONTROLS, PIN_POSTED_INTERRUPTS, PIN_POSTED_INTERRUPTS);
    if (f.err != ERR_OK)
        return f;
    posted->control = (u64)vector << POSTED_VECTOR_SHIFT;
    v->posted_vector = vector;
    v->posted = posted;
    return f;
}

struct td_fault vcpu_pend_nmi(struct vcpu *v)
{
    struct vcpu_exit why_not;
    if (!leave_old_cpu(v, &why_not))
        return (struct td_fault){.err = ERR_TDX, .leaf = tdx_leaf_name(TDH_VP_FLUSH), .status = why_not.status};
    return write_field(v, FIELD_VP_PEND_NMI, 1, 1);
}

bool vcpu_has_interrupt(struct vcpu *v)
{
    struct tdx_field_answer a = tdh_vp_rd(v->tdvpr, FIELD_VP_STATE_DETAILS);

    return tdx_ok(a.status) && (a.value & STATE_DETAILS_VMXIP);
}
