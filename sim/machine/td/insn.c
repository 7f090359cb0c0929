/*
 * Instructions of a TD that the real CPU refuses: VMX and SEAM instructions become VM exits, and what a TDX CPU has
 * but this one may lack (MOVDIR64B, MOVDIRI, INVPCID, RDPID, SERIALIZE) is done here. SDM volume 3, section 26.1
 * ("Instructions that cause VM exits"); Intel TDX CPU architectural extensions, "TDCALL".
 */
#include "sim/machine/td/internal.h"
#include "sim/machine/hw/cpu.h"

/* --- which exit --------------------------------------------------------------------------------------------------- */

#define NO_EXIT (~0u)

struct prefix_reason {
    u8 code;
    u32 reason;
};

static u32 find_reason(const struct prefix_reason *list, unsigned count, u8 code)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i].code == code)
            return list[i].reason;
    return NO_EXIT;
}

/* 0F 01 with a register form; with prefix 66 SEAM's own. Outside SEAM root SEAMRET and SEAMOPS stay #UD. */
static u32 reason_0f01(const struct insn *insn)
{
    static const struct prefix_reason plain[] = {
        {0xc0, REASON_ENCLV},  {0xc1, REASON_VMCALL},  {0xc2, REASON_VMLAUNCH}, {0xc3, REASON_VMRESUME},
        {0xc4, REASON_VMXOFF}, {0xc5, REASON_PCONFIG}, {0xcf, REASON_ENCLS},    {0xd4, REASON_VMFUNC},
    };
    static const struct prefix_reason seam[] = {{0xcc, REASON_TDCALL}, {0xcf, REASON_SEAMCALL}};

    if (insn->rep)
        return NO_EXIT;
    if (insn->opsize)
        return find_reason(seam, sizeof(seam) / sizeof(seam[0]), insn->modrm);
    return find_reason(plain, sizeof(plain) / sizeof(plain[0]), insn->modrm);
}

static u32 reason_0fc7(const struct insn *insn)
{
    unsigned reg = insn->modrm >> 3 & 7;

    if (!insn_rm_is_memory(insn))
        return NO_EXIT;
    if (reg == 7)
        return REASON_VMPTRST;
    if (reg != 6)
        return NO_EXIT;
    return insn->rep == 0xf3 ? REASON_VMXON : insn->opsize ? REASON_VMCLEAR : REASON_VMPTRLD;
}

static u32 exit_reason(const struct insn *insn)
{
    if (insn->vex)
        return NO_EXIT;
    if (insn->map == MAP_0F38) {
        if (insn->opcode == 0x80 && insn->opsize)
            return REASON_INVEPT;
        if (insn->opcode == 0x81 && insn->opsize)
            return REASON_INVVPID;
        if (insn->opcode == 0xf8 && insn->rep)
            return insn->rep == 0xf2 ? REASON_ENQCMD : REASON_ENQCMDS;
        return NO_EXIT;
    }
    if (insn->map != MAP_0F)
        return NO_EXIT;
    switch (insn->opcode) {
    case 0x01:
        return reason_0f01(insn);
    case 0x37:
        return REASON_GETSEC;
    case 0x78:
        return REASON_VMREAD;
    case 0x79:
        return REASON_VMWRITE;
    case 0xaa:
        return REASON_RSM;
    case 0xc7:
        return reason_0fc7(insn);
    default:
        return NO_EXIT;
    }
}

/* --- what this CPU may lack --------------------------------------------------------------------------------------- */

static unsigned operand_bytes(const struct insn *insn)
{
    return insn->rex & 8 ? 8 : 4;
}

static enum td_next movdir64b(struct cpu *cpu, const struct insn *insn)
{
    u64 addresses[INSN_ADDRESSES_MAX];
    struct insn_registers registers;
    enum td_next next;
    u8 line[64];

    td_insn_registers(cpu, &registers);
    if (insn_addresses(insn, &registers, addresses) != 2)
        return td_raise(cpu, VECTOR_UD);
    if (addresses[1] & 63)
        return td_raise_error(cpu, VECTOR_GP, 0);
    if (!td_read(cpu, addresses[0], line, sizeof(line), &next) ||
        !td_write(cpu, addresses[1], line, sizeof(line), &next))
        return next;
    return td_skip(cpu, insn);
}

static enum td_next movdiri(struct cpu *cpu, const struct insn *insn)
{
    u64 linear, value = td_read_gpr(cpu, insn_reg(insn));
    struct insn_registers registers;
    enum td_next next;

    td_insn_registers(cpu, &registers);
    if (!insn_operand(insn, &registers, &linear))
        return td_raise(cpu, VECTOR_UD);
    if (!td_write(cpu, linear, &value, operand_bytes(insn), &next))
        return next;
    return td_skip(cpu, insn);
}

/* Translations of linear addresses are dropped at every VM entry, so INVPCID has only its checks left to do. */
static enum td_next invpcid(struct cpu *cpu, const struct insn *insn)
{
    u64 linear, descriptor[2], type = td_read_gpr(cpu, insn_reg(insn));
    struct insn_registers registers;
    enum td_next next;

    td_insn_registers(cpu, &registers);
    if (!insn_operand(insn, &registers, &linear))
        return td_raise(cpu, VECTOR_UD);
    if (td_cpl(cpu) > 0)
        return td_raise_error(cpu, VECTOR_GP, 0);
    if (!td_read(cpu, linear, descriptor, sizeof(descriptor), &next))
        return next;
    if (type > 3 || descriptor[0] >> 12)
        return td_raise_error(cpu, VECTOR_GP, 0);
    return td_skip(cpu, insn);
}

static enum td_next rdpid(struct cpu *cpu, const struct insn *insn)
{
    td_write_gpr(cpu, insn_rm(insn), cpu_rdmsr(0xc0000103));
    return td_skip(cpu, insn);
}

static enum td_next emulate(struct cpu *cpu, const struct insn *insn)
{
    bool memory = insn_rm_is_memory(insn);

    if (!insn->vex && insn->map == MAP_0F38 && !insn->rep && memory) {
        if (insn->opcode == 0xf8 && insn->opsize)
            return movdir64b(cpu, insn);
        if (insn->opcode == 0xf9 && !insn->opsize)
            return movdiri(cpu, insn);
        if (insn->opcode == 0x82 && insn->opsize)
            return invpcid(cpu, insn);
    }
    if (!insn->vex && insn->map == MAP_0F) {
        if (insn->opcode == 0xc7 && insn->rep == 0xf3 && !memory && (insn->modrm >> 3 & 7) == 7)
            return rdpid(cpu, insn);
        if (insn->opcode == 0x01 && insn->modrm == 0xe8 && !insn->opsize && !insn->rep)
            return td_skip(cpu, insn); /* SERIALIZE: the exit has done it */
    }
    return td_raise(cpu, VECTOR_UD);
}

enum td_next td_undefined(struct cpu *cpu)
{
    struct insn insn;
    u32 reason;

    if (!td_fetch(cpu, &insn)) /* cut by the end of what is mapped: the CPU has seen enough of it to refuse it */
        return insn.length ? td_raise(cpu, VECTOR_UD) : TD_RESUME;
    reason = insn.lock ? NO_EXIT : exit_reason(&insn);
    if (reason != NO_EXIT) {
        td_leave(cpu, reason, 0);
        td_vmcs(cpu)->exit_instr_len = insn.length;
        return TD_LEAVE;
    }
    if (td_vmcs(cpu)->exception_bitmap >> VECTOR_UD & 1)
        return td_leave_exception(cpu, VECTOR_UD, 0, false, 0);
    return emulate(cpu, &insn);
}

/* --- port I/O ----------------------------------------------------------------------------------------------------- */

/* EXITINFO1 of an I/O exit, APM volume 2, figure 15-2, and the VMX qualification, SDM volume 3, table 28-5. */
#define SVM_IO_IN         (1u << 0)
#define SVM_IO_STRING     (1u << 2)
#define SVM_IO_REP        (1u << 3)
#define SVM_IO_SIZE_SHIFT 4
#define SVM_IO_PORT_SHIFT 16
#define VMX_IO_IN         (1u << 3)
#define VMX_IO_STRING     (1u << 4)
#define VMX_IO_REP        (1u << 5)
#define VMX_IO_IMMEDIATE  (1u << 6)
#define VMX_IO_PORT_SHIFT 16

enum td_next td_io(struct cpu *cpu)
{
    u32 info = (u32)cpu->td->exit_info_1;
    u32 size = info >> SVM_IO_SIZE_SHIFT & 7; /* 1, 2 or 4 */
    u64 qualification = (size - 1) | (u64)(info >> SVM_IO_PORT_SHIFT) << VMX_IO_PORT_SHIFT;
    struct insn insn;

    qualification |= info & SVM_IO_IN ? VMX_IO_IN : 0;
    qualification |= info & SVM_IO_STRING ? VMX_IO_STRING : 0;
    qualification |= info & SVM_IO_REP ? VMX_IO_REP : 0;
    if (td_fetch(cpu, &insn) && insn.opcode >= 0xe4 && insn.opcode <= 0xe7)
        qualification |= VMX_IO_IMMEDIATE;
    td_leave(cpu, REASON_IO, qualification);
    td_vmcs(cpu)->exit_instr_len = (u32)(cpu->td->exit_info_2 - cpu->td->rip);
    if (info & SVM_IO_STRING) {
        struct insn_registers registers;
        u64 addresses[INSN_ADDRESSES_MAX];
        td_insn_registers(cpu, &registers);
        if (insn_addresses(&insn, &registers, addresses))
            td_vmcs(cpu)->guest_linear = addresses[0];
    }
    return TD_LEAVE;
}

/* --- time --------------------------------------------------------------------------------------------------------- */

u64 td_tsc(const struct cpu *cpu)
{
    const struct td_vmcs *v = td_vmcs(cpu);
    return (u64)((unsigned __int128)cpu_rdtsc() * v->tsc_multiplier >> 48) + v->tsc_offset;
}

enum td_next td_rdtsc(struct cpu *cpu)
{
    u64 tsc = td_tsc(cpu);
    struct insn insn;

    if (!td_fetch(cpu, &insn))
        return TD_RESUME;
    td_write_gpr(cpu, RAX, (u32)tsc);
    td_write_gpr(cpu, RDX, tsc >> 32);
    if (insn.map == MAP_0F && insn.opcode == 0x01) /* RDTSCP */
        td_write_gpr(cpu, RCX, (u32)cpu_rdmsr(0xc0000103));
    return td_skip(cpu, &insn);
}
