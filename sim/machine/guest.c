/* Reading the VMM's state where SVM gives no decode assists. SDM vol. 3, chapter 4 (paging). */
#include "sim/machine/guest.h"
#include "sim/machine/memory.h"
#include "sim/machine/guard.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/platform.h"

#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define CR0_PG      (1ull << 31)
#define CR4_LA57    (1ull << 12)
#define EFER_LMA    (1ull << 10)
#define SEG_L       (1u << 9)
#define SEG_DB      (1u << 10)
#define PTE_P       (1ull << 0)
#define PTE_PS      (1ull << 7)
#define PTE_ADDR    0x000ffffffffff000ull

enum insn_mode guest_mode(const struct cpu *cpu)
{
    const struct vmcb *v = cpu->vmm;
    if (v->efer & EFER_LMA && v->cs.attributes & SEG_L)
        return INSN_64;
    return v->cs.attributes & SEG_DB ? INSN_32 : INSN_16;
}

static bool is_readable(u64 gpa)
{
    return memory_is_ram(gpa) && !guard_is_closed(gpa);
}

bool guest_translate(struct cpu *cpu, u64 linear, u64 *gpa)
{
    const struct vmcb *v = cpu->vmm;
    if (!(v->cr0 & CR0_PG)) {
        *gpa = linear;
        return true;
    }
    if (!(v->efer & EFER_LMA))
        return false;
    u64 table = v->cr3 & PTE_ADDR;
    for (int level = v->cr4 & CR4_LA57 ? 4 : 3; level >= 0; level--) {
        unsigned shift = 12 + 9 * (unsigned)level;
        if (!is_readable(table))
            return false;
        u64 entry = ((const u64 *)table)[linear >> shift & 511];
        u64 inside = linear & ((1ull << shift) - 1);
        if (!(entry & PTE_P))
            return false;
        if (!level || (level < 3 && entry & PTE_PS)) {
            *gpa = (entry & PTE_ADDR & ~((1ull << shift) - 1)) | inside;
            return true;
        }
        table = entry & PTE_ADDR;
    }
    return false;
}

bool guest_read(struct cpu *cpu, u64 linear, void *to, unsigned bytes)
{
    u64 gpa = 0;
    for (unsigned i = 0; i < bytes; i++) {
        if (i == 0 || !((linear + i) & 0xfff)) {
            if (!guest_translate(cpu, linear + i, &gpa) || !is_readable(gpa))
                return false;
        }
        ((u8 *)to)[i] = *(const volatile u8 *)gpa++;
    }
    return true;
}

bool guest_insn(struct cpu *cpu, struct insn *insn)
{
    u8 bytes[INSN_BYTES_MAX];
    enum insn_mode mode = guest_mode(cpu);
    u64 at = cpu->vmm->rip + (mode == INSN_64 ? 0 : cpu->vmm->cs.base);
    unsigned to_page_end = 4096 - (unsigned)(at & 0xfff);
    unsigned count = to_page_end < INSN_BYTES_MAX ? to_page_end : INSN_BYTES_MAX;
    if (!guest_read(cpu, at, bytes, count))
        return false;
    if (insn_decode(bytes, count, mode, insn))
        return true;
    return count < INSN_BYTES_MAX && guest_read(cpu, at + count, bytes + count, INSN_BYTES_MAX - count) &&
           insn_decode(bytes, INSN_BYTES_MAX, mode, insn);
}

bool guest_operand(struct cpu *cpu, const struct insn *insn, u64 *linear)
{
    struct insn_registers registers = {.rip = cpu->vmm->rip};
    const struct vmcb *v = cpu->vmm;
    for (unsigned i = 0; i < 16; i++)
        registers.gpr[i] = *guest_gpr(cpu, i);
    registers.base[SEG_ES] = v->es.base;
    registers.base[SEG_CS] = v->cs.base;
    registers.base[SEG_SS] = v->ss.base;
    registers.base[SEG_DS] = v->ds.base;
    registers.base[SEG_FS] = cpu_rdmsr(MSR_FS_BASE); /* #VMEXIT leaves these two in the CPU, not in the VMCB */
    registers.base[SEG_GS] = cpu_rdmsr(MSR_GS_BASE);
    return insn_operand(insn, &registers, linear);
}

void guest_inject(struct cpu *cpu, unsigned vector)
{
    cpu->vmm->event_injection = VMCB_EVENT_VALID | VMCB_EVENT_EXCEPTION | vector;
}

void guest_inject_error(struct cpu *cpu, unsigned vector, u32 error)
{
    cpu->vmm->event_injection =
        VMCB_EVENT_VALID | VMCB_EVENT_EXCEPTION | VMCB_EVENT_HAS_ERROR | VMCB_EVENT_ERROR(error) | vector;
}
