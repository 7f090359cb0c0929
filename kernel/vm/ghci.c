/* TDG.VP.VMCALL. See ghci.h. */
#include "kernel/vm/ghci.h"

#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "lib/trace.h"
#include "tdx/abi_vmcall.h"

/* A MapGPA of more goes to the next multiple of this and answers RETRY, so that the TD sees its interrupts and the console its ^C.
 * No large page spans two of them. What is no more is one plan, whatever border it lies across. */
#define MAPGPA_CHUNK GIB

#define FATAL_MESSAGE_BYTES 64

static void answer(struct seamcall_regs *r, u64 status)
{
    r->r10 = status;
}

/* --- MapGPA --- */

/* Status for a range that cannot be converted at all, else SUCCESS. */
static u64 mapgpa_check(u64 gpa, u64 bytes, u64 shared_bit)
{
    if (!is_aligned(gpa | bytes, PAGE_BYTES))
        return VMCALL_STATUS_ALIGN_ERROR;
    u64 base = gpa & ~shared_bit;
    if (bytes == 0 || base >= shared_bit || bytes > shared_bit - base)
        return VMCALL_STATUS_INVALID_OPERAND;
    return VMCALL_STATUS_SUCCESS;
}

/* A TD may ask for what it cannot have as often as it likes: the log hears of the 1st, 2nd, 4th, 8th and so on. */
static void refuse_mapgpa(struct seamcall_regs *r, unsigned vcpu, u64 status, const char *why)
{
    u64 n = ++vm.vcpus[vcpu].refused;

    answer(r, status);
    if ((n & (n - 1)) == 0)
        log_msg(LOG_WARN, "vCPU %u: MapGPA 0x%llx, 0x%llx bytes: %s (%llu refused so far)", vcpu,
                (unsigned long long)r->r12, (unsigned long long)r->r13, why, (unsigned long long)n);
}

/* How far a conversion of [base, base + bytes) came. */
static u64 bytes_done(const struct tdp_report *r, u64 base, u64 bytes)
{
    if (r->err == ERR_OK)
        return bytes;
    return r->at.raw > base && r->at.raw < base + bytes ? r->at.raw - base : 0;
}

/* Done in full: SUCCESS. In part, or nothing yet but it may work the next time: RETRY, and where to go on. */
static void mapgpa(struct seamcall_regs *r, unsigned vcpu)
{
    u64 shared_bit = BIT(vm.td.shared_bit), gpa = r->r12, bytes = r->r13;
    enum tdp_attr to = gpa & shared_bit ? TDP_SHARED : TDP_PRIVATE;
    u64 status = mapgpa_check(gpa, bytes, shared_bit);
    u64 base = gpa & ~shared_bit, now = bytes <= MAPGPA_CHUNK ? bytes : MAPGPA_CHUNK - base % MAPGPA_CHUNK;

    r->r11 = gpa;
    if (status != VMCALL_STATUS_SUCCESS) {
        answer(r, status);
        return;
    }
    struct tdp_report report = tdp_convert(vm.tdp, (gpa_t){base}, now, to, NULL);
    vm_cost_add(&vm.vcpus[vcpu].cost, &report);
    u64 done = bytes_done(&report, base, now);
    if (done == bytes) {
        answer(r, VMCALL_STATUS_SUCCESS);
    } else if (report.err == ERR_OK || report.err == ERR_BUSY || report.err == ERR_INTERRUPTED || done != 0) {
        r->r11 = gpa + done;
        answer(r, VMCALL_STATUS_RETRY);
    } else {
        refuse_mapgpa(r, vcpu, VMCALL_STATUS_INVALID_OPERAND, report.what != NULL ? report.what : err_text(report.err));
    }
}

/* --- ReportFatalError --- */

static void fatal_error(const struct seamcall_regs *r, unsigned vcpu, struct fault_text *why)
{
    const u64 words[] = {r->r14, r->r15, r->rbx, r->rdi, r->rsi, r->r8, r->r9, r->rdx};
    char text[FATAL_MESSAGE_BYTES + 1];

    _Static_assert(sizeof(words) == FATAL_MESSAGE_BYTES, "GHCI, ReportFatalError");
    memcpy(text, words, sizeof(words));
    text[FATAL_MESSAGE_BYTES] = '\0';
    for (unsigned i = 0; i < FATAL_MESSAGE_BYTES && text[i] != '\0'; i++)
        if (text[i] < 0x20 || text[i] >= 0x7f)
            text[i] = '.';
    (void)fault_say(why, ERR_STATE, "vCPU %u reports a fatal error, code 0x%llx: %s", vcpu, (unsigned long long)r->r12,
                    text);
}

/* --- what instructions would do --- */

/* CPUID leaves that cause #VE are about the platform; a TD gets none of it. */
static void emulate_cpuid(struct seamcall_regs *r)
{
    r->r12 = r->r13 = r->r14 = r->r15 = 0;
    answer(r, VMCALL_STATUS_SUCCESS);
}

/* Port I/O: there are no devices. Reads float high, as on a bus without them; R12 size, R13 direction (0: in). */
static void emulate_io(struct seamcall_regs *r)
{
    u64 size = r->r12;

    if ((size != 1 && size != 2 && size != 4) || r->r13 > 1 || r->r14 > 0xffff) {
        answer(r, VMCALL_STATUS_INVALID_OPERAND);
        return;
    }
    if (r->r13 == 0)
        r->r11 = ~0ull >> (64 - 8 * size);
    answer(r, VMCALL_STATUS_SUCCESS);
}

/* No MSR of the VMM's is for the TD: INVALID_OPERAND, which a guest turns into #GP. */
static void refuse(struct seamcall_regs *r)
{
    answer(r, VMCALL_STATUS_INVALID_OPERAND);
}

static enum ghci_next standard(struct seamcall_regs *r, unsigned vcpu, struct fault_text *why)
{
    switch (r->r11) {
    case VMCALL_GET_TDVMCALL_INFO: /* R12 0: the base set; all of its leaves are here, and no others */
        r->r11 = r->r12 = r->r13 = r->r14 = 0;
        answer(r, VMCALL_STATUS_SUCCESS);
        return GHCI_RESUME;
    case VMCALL_MAP_GPA:
        mapgpa(r, vcpu);
        return GHCI_RESUME;
    case VMCALL_REPORT_FATAL_ERROR:
        fatal_error(r, vcpu, why);
        return GHCI_FATAL;
    case VMCALL_HLT:
        answer(r, VMCALL_STATUS_SUCCESS);
        return GHCI_PAUSE;
    case VMCALL_CPUID:
        emulate_cpuid(r);
        return GHCI_RESUME;
    case VMCALL_IO:
        emulate_io(r);
        return GHCI_RESUME;
    default:
        refuse(r);
        return GHCI_RESUME;
    }
}

enum ghci_next ghci_vmcall(unsigned vcpu, struct fault_text *why)
{
    struct seamcall_regs *r = &vm.td.vcpus[vcpu].regs;

    trace_record(TRACE_VMCALL, r->r10, r->r11, r->r12, r->r13);
    if (r->r10 == 0)
        return standard(r, vcpu, why);
    if (r->r10 == PROBE_VMCALL && r->r11 == PROBE_NEXT) {
        answer(r, VMCALL_STATUS_SUCCESS);
        return GHCI_IDLE;
    }
    refuse(r);
    return GHCI_RESUME;
}
