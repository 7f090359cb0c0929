/*
 * VMX as far as a VMM needs it to use SEAMCALL: VMXON, VMXOFF, INVEPT, INVVPID. A VMCS of the VMM's own does not exist here:
 * VMPTRLD and its kin fail with VMfailInvalid. SDM vol. 3, chapter "VMX instruction reference".
 */
#include "sim/machine/vmx.h"
#include "sim/machine/log.h"
#include "sim/machine/memory.h"
#include "sim/machine/msr.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/td/td.h"
#include "sim/seamldr/seamldr.h"

#define CR4_VMXE      (1ull << 13)
#define CR4_SMXE      (1ull << 14)
#define RFLAGS_CF     (1ull << 0)
#define RFLAGS_TF     (1ull << 8)
#define RFLAGS_STATUS 0x8d5ull /* OF SF ZF AF PF CF */
#define MSR_TSC_AUX   0xc0000103
#define DR6_BS        (1ull << 14)

#define WATCHED_INSTRUCTIONS 64

static void succeed(struct cpu *cpu, const struct insn *insn)
{
    cpu->vmm->rflags &= ~RFLAGS_STATUS;
    cpu->vmm->rip += insn->length;
}

static void fail_invalid(struct cpu *cpu, const struct insn *insn)
{
    succeed(cpu, insn);
    cpu->vmm->rflags |= RFLAGS_CF;
}

/* Memory operand of 8 or 16 bytes; on failure an event is injected. A missing page is not told from a bad address: #GP. */
static bool read_operand(struct cpu *cpu, const struct insn *insn, void *to, unsigned bytes)
{
    u64 linear;
    if (guest_operand(cpu, insn, &linear) && guest_read(cpu, linear, to, bytes))
        return true;
    guest_inject_error(cpu, VECTOR_GP, 0);
    return false;
}

static bool is_privileged(struct cpu *cpu)
{
    if (!guest_cpl(cpu))
        return true;
    guest_inject_error(cpu, VECTOR_GP, 0);
    return false;
}

static void vmxon(struct cpu *cpu, const struct insn *insn)
{
    u64 region;
    if (!(cpu->vmm_cr4 & CR4_VMXE)) {
        guest_inject(cpu, VECTOR_UD);
        return;
    }
    if (!is_privileged(cpu) || !read_operand(cpu, insn, &region, 8))
        return;
    if (cpu->vmx_root || region & 0xfff || !memory_is_ram(region) || *(const u32 *)region != VMX_REVISION) {
        fail_invalid(cpu, insn);
        return;
    }
    cpu->vmxon_region = region;
    cpu->vmx_root = true;
    succeed(cpu, insn);
}

static void vmxoff(struct cpu *cpu, const struct insn *insn)
{
    cpu->vmx_root = false;
    succeed(cpu, insn);
}

/* The type is in the register operand: 1 one EPTP, 2 all. */
static void invept(struct cpu *cpu, const struct insn *insn)
{
    u64 descriptor[2];
    u64 type = *guest_gpr(cpu, insn_reg(insn));
    if (!read_operand(cpu, insn, descriptor, 16))
        return;
    if ((type != 1 && type != 2) || descriptor[1]) {
        fail_invalid(cpu, insn);
        return;
    }
    td_tlb_invept(cpu, type == 1 ? descriptor[0] : TD_INVEPT_ALL);
    succeed(cpu, insn);
}

static void no_vmcs(struct cpu *cpu, const struct insn *insn)
{
    static bool told; /* atomic; by any CPU */
    if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        sim_log("the VMM at %lx uses a VMCS instruction: not simulated, VMfailInvalid", (unsigned long)cpu->vmm->rip);
    fail_invalid(cpu, insn);
}

static void seamldr(struct cpu *cpu, const struct insn *insn)
{
    cpu->lp.vmm[RAX] = cpu->vmm->rax;
    if (!seamldr_call(&cpu->lp)) {
        fail_invalid(cpu, insn);
        return;
    }
    cpu->vmm->rax = cpu->lp.vmm[RAX];
    succeed(cpu, insn);
}

/* What SEAMCALL's own checks say; SDM and the TDX CPU architectural extensions, SEAMCALL, operation section. */
static void seamcall(struct cpu *cpu, const struct insn *insn)
{
    if (guest_mode(cpu) != INSN_64) {
        guest_inject(cpu, VECTOR_UD);
        return;
    }
    if (cpu->vmm->rax >> 63)
        seamldr(cpu, insn);
    else if (seamldr_module_is_ready())
        seam_call(cpu, insn);
    else
        fail_invalid(cpu, insn);
}

static void rdpid(struct cpu *cpu, const struct insn *insn)
{
    *guest_gpr(cpu, insn_rm(insn)) = cpu_rdmsr(MSR_TSC_AUX);
    cpu->vmm->rip += insn->length;
}

/* GETSEC[CAPABILITIES] only: no leaf exists. */
static void getsec(struct cpu *cpu, const struct insn *insn)
{
    if (!(cpu->vmm_cr4 & CR4_SMXE)) {
        guest_inject(cpu, VECTOR_UD);
    } else if ((u32)cpu->vmm->rax) {
        guest_inject_error(cpu, VECTOR_GP, 0);
    } else {
        cpu->vmm->rax = 0;
        cpu->vmm->rip += insn->length;
    }
}

/* ModRM kinds: /0 to /7 of a memory or of a register operand, one exact byte, or anything. */
enum modrm_kind { ANY, MEMORY, REGISTER, EXACT };
enum prefix_kind { NO_PREFIX, P66, PF3, ANY_PREFIX };

struct opcode {
    enum insn_map map;
    u8 opcode;
    enum prefix_kind prefix;
    enum modrm_kind kind;
    u8 modrm;
    bool needs_root; /* #UD outside VMX operation, #GP at CPL > 0 */
    void (*run)(struct cpu *cpu, const struct insn *insn);
};

/* clang-format off */
static const struct opcode opcodes[] = {
    {MAP_0F,   0x01, P66,        EXACT,    0xcf, true,  seamcall},
    {MAP_0F38, 0xf8, P66,        MEMORY,   0xff, false, movdir_run},
    {MAP_0F,   0xc7, PF3,        MEMORY,   6,    false, vmxon},
    {MAP_0F,   0x01, ANY_PREFIX, EXACT,    0xc4, true,  vmxoff},
    {MAP_0F38, 0x80, P66,        MEMORY,   0xff, true,  invept},
    {MAP_0F38, 0x81, P66,        MEMORY,   0xff, true,  succeed},  /* INVVPID: no translation is ever tagged */
    {MAP_0F,   0xc7, PF3,        REGISTER, 7,    false, rdpid},
    {MAP_0F,   0x37, ANY_PREFIX, ANY,      0,    false, getsec},
    {MAP_0F,   0xc7, P66,        MEMORY,   6,    true,  no_vmcs},  /* VMCLEAR */
    {MAP_0F,   0xc7, NO_PREFIX,  MEMORY,   6,    true,  no_vmcs},  /* VMPTRLD */
    {MAP_0F,   0xc7, NO_PREFIX,  MEMORY,   7,    true,  no_vmcs},  /* VMPTRST */
    {MAP_0F,   0x78, NO_PREFIX,  ANY,      0,    true,  no_vmcs},  /* VMREAD */
    {MAP_0F,   0x79, NO_PREFIX,  ANY,      0,    true,  no_vmcs},  /* VMWRITE */
    {MAP_0F,   0x01, NO_PREFIX,  EXACT,    0xc2, true,  no_vmcs},  /* VMLAUNCH */
    {MAP_0F,   0x01, NO_PREFIX,  EXACT,    0xc3, true,  no_vmcs},  /* VMRESUME */
};
/* clang-format on */
#define OPCODE_COUNT (sizeof(opcodes) / sizeof(opcodes[0]))

static bool prefix_matches(const struct opcode *o, const struct insn *insn)
{
    switch (o->prefix) {
    case NO_PREFIX:
        return !insn->opsize && !insn->rep;
    case P66:
        return insn->opsize && !insn->rep;
    case PF3:
        return insn->rep == 0xf3;
    default:
        return true;
    }
}

static bool modrm_matches(const struct opcode *o, const struct insn *insn)
{
    bool memory = insn_rm_is_memory(insn);
    switch (o->kind) {
    case MEMORY:
        return memory && (o->modrm == 0xff || (insn->modrm >> 3 & 7) == o->modrm);
    case REGISTER:
        return !memory && (insn->modrm >> 3 & 7) == o->modrm;
    case EXACT:
        return insn->modrm == o->modrm;
    default:
        return true;
    }
}

static const struct opcode *find(const struct insn *insn)
{
    for (unsigned i = 0; i < OPCODE_COUNT; i++) {
        const struct opcode *o = &opcodes[i];
        if (o->map == insn->map && o->opcode == insn->opcode && !insn->vex && !insn->evex && prefix_matches(o, insn) &&
            modrm_matches(o, insn))
            return o;
    }
    return NULL;
}

static void end_watch(struct cpu *cpu)
{
    cpu->vmxon_watch = 0;
    cpu->vmm->rflags &= ~RFLAGS_TF;
    cpu->vmm->intercept_exceptions &= ~(1u << VECTOR_DB);
}

/* The instruction that comes next. */
static void watch_next(struct cpu *cpu)
{
    struct insn insn;
    const struct opcode *o = guest_insn(cpu, &insn) ? find(&insn) : NULL;
    if (o && o->run == vmxon) {
        end_watch(cpu);
        vmxon(cpu, &insn);
    } else if (!--cpu->vmxon_watch) {
        end_watch(cpu);
        cpu->vmx_root = cpu->vmm_cr4 & CR4_VMXE;
    }
}

void vmx_watch(struct cpu *cpu)
{
    if (cpu->vmx_root || cpu->vmm->rflags & RFLAGS_TF)
        return;
    cpu->vmxon_watch = WATCHED_INSTRUCTIONS;
    cpu->vmm->rflags |= RFLAGS_TF;
    cpu->vmm->intercept_exceptions |= 1u << VECTOR_DB;
    watch_next(cpu);
}

void vmx_watch_exit(struct cpu *cpu)
{
    cpu->vmm->dr6 &= ~DR6_BS;
    watch_next(cpu);
}

void vmx_undefined_exit(struct cpu *cpu)
{
    struct insn insn;
    const struct opcode *o = guest_insn(cpu, &insn) && !insn.lock ? find(&insn) : NULL;
    if (!o || (o->needs_root && !cpu->vmx_root)) {
        guest_inject(cpu, VECTOR_UD);
        return;
    }
    if (!o->needs_root || is_privileged(cpu))
        o->run(cpu, &insn);
}
