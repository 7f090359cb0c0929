/* TDG.VP.VMCALL<MapGPA>: GHCI, section 3.2. */
#include "kernel/vm/ghci/vmcall.h"

#include "lib/bits.h"
#include "lib/log.h"

/* A MapGPA of more goes to the next multiple of this and answers RETRY, so that the TD sees its interrupts and the console its ^C.
 * No large page spans two of them. What is no more is one plan, whatever border it lies across. */
#define MAPGPA_CHUNK GIB

/* Status for a range that cannot be converted at all, else SUCCESS. */
static u64 check(u64 gpa, u64 bytes, u64 shared_bit)
{
    if (!is_aligned(gpa | bytes, PAGE_BYTES))
        return VMCALL_STATUS_ALIGN_ERROR;
    u64 base = gpa & ~shared_bit;
    if (bytes == 0 || base >= shared_bit || bytes > shared_bit - base)
        return VMCALL_STATUS_INVALID_OPERAND;
    return VMCALL_STATUS_SUCCESS;
}

/* A TD may ask for what it cannot have as often as it likes: the log hears of the 1st, 2nd, 4th, 8th and so on. */
static enum ghci_next refuse(const struct vmcall *c, u64 status, const char *why)
{
    u64 n = ++vm.vcpus[c->vcpu].refused;

    if ((n & (n - 1)) == 0)
        log_msg(LOG_WARN, "vCPU %u: MapGPA 0x%llx, 0x%llx bytes: %s (%llu refused so far)", c->vcpu,
                (unsigned long long)c->r->r12, (unsigned long long)c->r->r13, why, (unsigned long long)n);
    return vmcall_answer(c, status);
}

/* How far a conversion of [base, base + bytes) came. */
static u64 bytes_done(const struct tdp_report *r, u64 base, u64 bytes)
{
    if (r->err == ERR_OK)
        return bytes;
    return r->at.raw > base && r->at.raw < base + bytes ? r->at.raw - base : 0;
}

/* Done in full: SUCCESS. In part, or nothing yet but it may work the next time: RETRY, and where to go on. */
enum ghci_next vmcall_map_gpa(const struct vmcall *c)
{
    u64 shared_bit = BIT(vm.td.shared_bit), gpa = c->r->r12, bytes = c->r->r13;
    enum tdp_attr to = gpa & shared_bit ? TDP_SHARED : TDP_PRIVATE;
    u64 status = check(gpa, bytes, shared_bit);
    u64 base = gpa & ~shared_bit, now = bytes <= MAPGPA_CHUNK ? bytes : MAPGPA_CHUNK - base % MAPGPA_CHUNK;

    c->r->r11 = gpa;
    if (status != VMCALL_STATUS_SUCCESS)
        return vmcall_answer(c, status);
    struct tdp_report report = tdp_convert(vm.tdp, (gpa_t){base}, now, to, NULL);
    vm_cost_add(&vm.vcpus[c->vcpu].cost, &report);
    u64 done = bytes_done(&report, base, now);
    if (done == bytes)
        return vmcall_answer(c, VMCALL_STATUS_SUCCESS);
    if (report.err == ERR_OK || report.err == ERR_BUSY || report.err == ERR_INTERRUPTED || done != 0) {
        c->r->r11 = gpa + done;
        return vmcall_answer(c, VMCALL_STATUS_RETRY);
    }
    return refuse(c, VMCALL_STATUS_INVALID_OPERAND, report.what != NULL ? report.what : err_text(report.err));
}
