/* TDG.VP.VMCALL. See ghci.h. */
#include "kernel/vm/ghci/ghci.h"

#include "kernel/vm/ghci/vmcall.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "lib/trace.h"

#define FATAL_MESSAGE_BYTES 64
#define INFO_BASE           0ull /* R12 of GetTdVmCallInfo: are all base leafs there? */
#define INFO_OTHERS         1ull /* which others are, a bit each */
#define INFO_EVENT_NOTIFY   BIT(1)

/* Section 3.1. */
static enum ghci_next get_info(const struct vmcall *c)
{
    u64 what = c->r->r12;

    c->r->r11 = what == INFO_OTHERS ? INFO_EVENT_NOTIFY : 0;
    c->r->r12 = c->r->r13 = c->r->r14 = 0;
    return vmcall_answer(c, what == INFO_BASE || what == INFO_OTHERS ? VMCALL_STATUS_SUCCESS
                                                                     : VMCALL_STATUS_INVALID_OPERAND);
}

/* Section 3.4. */
static enum ghci_next report_fatal_error(const struct vmcall *c)
{
    const struct seamcall_regs *r = c->r;
    const u64 words[] = {r->r14, r->r15, r->rbx, r->rdi, r->rsi, r->r8, r->r9, r->rdx};
    char text[FATAL_MESSAGE_BYTES + 1];

    _Static_assert(sizeof(words) == FATAL_MESSAGE_BYTES, "GHCI, ReportFatalError");
    memcpy(text, words, sizeof(words));
    text[FATAL_MESSAGE_BYTES] = '\0';
    for (unsigned i = 0; i < FATAL_MESSAGE_BYTES && text[i] != '\0'; i++)
        if (text[i] < 0x20 || text[i] >= 0x7f)
            text[i] = '.';
    (void)fault_say(c->why, ERR_STATE, "vCPU %u reports a fatal error, code 0x%llx: %s", c->vcpu,
                    (unsigned long long)r->r12, text);
    return GHCI_FATAL;
}

/* Section 3.8. R12: its interrupts are off, and none of them wakes it. */
static enum ghci_next halt(const struct vmcall *c)
{
    vm.vcpus[c->vcpu].halts_deaf = c->r->r12 & 1;
    (void)vmcall_answer(c, VMCALL_STATUS_SUCCESS);
    return GHCI_HALT;
}

/* What a TD must not do here: caches are the VMM's, and so are keys. Sections 3.12 and 3.13. */
static enum ghci_next refuse(const struct vmcall *c)
{
    return vmcall_answer(c, VMCALL_STATUS_INVALID_OPERAND);
}

static enum ghci_next unsupported(const struct vmcall *c)
{
    return vmcall_answer(c, VMCALL_STATUS_UNSUPPORTED);
}

/* --- payload's own ------------------------------------------------------------------------------------------------ */

static enum ghci_next probe(const struct vmcall *c)
{
    if (vm.kind != VM_PROBE || c->r->r10 != PROBE_VMCALL || c->r->r11 != PROBE_NEXT)
        return refuse(c);
    (void)vmcall_answer(c, VMCALL_STATUS_SUCCESS);
    return GHCI_IDLE;
}

/* --- by leaf ------------------------------------------------------------------------------------------------------ */

enum { KIND_OTHER, KIND_VENDOR, KIND_FIRST_STANDARD };

/* The first two are for what has no row of its own. */
static const struct {
    u64 leaf;
    const char *name;
    enum ghci_next (*serve)(const struct vmcall *c);
} kinds[] = {
    [KIND_OTHER] = {0, "others", unsupported},
    [KIND_VENDOR] = {0, "vendor", probe},
    [KIND_FIRST_STANDARD] = {VMCALL_CPUID, "CPUID", vmcall_cpuid},
    {VMCALL_HLT, "HLT", halt},
    {VMCALL_IO, "IO", vmcall_io},
    {VMCALL_RDMSR, "RDMSR", vmcall_rdmsr},
    {VMCALL_WRMSR, "WRMSR", vmcall_wrmsr},
    {VMCALL_MMIO, "MMIO", vmcall_mmio},
    {VMCALL_WBINVD, "WBINVD", refuse},
    {VMCALL_PCONFIG, "PCONFIG", refuse},
    {VMCALL_GET_TDVMCALL_INFO, "GetTdVmCallInfo", get_info},
    {VMCALL_MAP_GPA, "MapGPA", vmcall_map_gpa},
    {VMCALL_GET_QUOTE, "GetQuote", vmcall_get_quote},
    {VMCALL_REPORT_FATAL_ERROR, "ReportFatalError", report_fatal_error},
    {VMCALL_SETUP_EVENT_NOTIFY, "SetupEventNotifyInterrupt", vmcall_setup_event_notify},
};

static u64 counts[ARRAY_COUNT(kinds)]; /* atomic */

static unsigned find(const struct seamcall_regs *r)
{
    if (r->r10 != 0)
        return KIND_VENDOR;
    for (unsigned i = KIND_FIRST_STANDARD; i < ARRAY_COUNT(kinds); i++)
        if (kinds[i].leaf == r->r11)
            return i;
    return KIND_OTHER;
}

enum ghci_next ghci_vmcall(unsigned vcpu, struct fault_text *why)
{
    struct vmcall call = {.r = &vm.td.vcpus[vcpu].regs, .vcpu = vcpu, .why = why};
    unsigned kind = find(call.r);

    trace_record(TRACE_VMCALL, call.r->r10, call.r->r11, call.r->r12, call.r->r13);
    __atomic_fetch_add(&counts[kind], 1, __ATOMIC_RELAXED);
    return kinds[kind].serve(&call);
}

struct ghci_count ghci_count(unsigned n)
{
    if (n >= ARRAY_COUNT(kinds))
        return (struct ghci_count){0};
    return (struct ghci_count){kinds[n].name, counts[n]};
}

void ghci_counts_reset(void)
{
    memset(counts, 0, sizeof(counts));
}
