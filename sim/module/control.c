/*
 * The TD's control registers: writes of bits that the module owns, and XSETBV (Intel TDX Module v1.5 Base Architecture
 * Specification, "CR Handling" and "Extended Feature Set Virtualization"). CR0 and CR4 bits that must be one or zero
 * are those of a processor with VMX: the fixed values below.
 */
#include "sim/module/control.h"

#define EXIT_CR_ACCESS 28

/* Fields of a control-register access's qualification. */
#define QUAL_CR(q)   ((unsigned)(q)&15)
#define QUAL_TYPE(q) ((unsigned)(q) >> 4 & 3)
#define QUAL_GPR(q)  ((unsigned)(q) >> 8 & 15)
#define QUAL_LMSW(q) ((q) >> 16 & 0xffff)
enum { CR_MOV_TO = 0, CR_MOV_FROM = 1, CR_CLTS = 2, CR_LMSW = 3 };

#define CR0_PE      (1ull << 0)
#define CR0_NE      (1ull << 5)
#define CR0_WP      (1ull << 16)
#define CR0_NW      (1ull << 29)
#define CR0_CD      (1ull << 30)
#define CR0_PG      (1ull << 31)
#define CR0_LMSW    0xeull
#define CR0_IGNORED 0x1ffaffc0ull /* reserved bits 28:19, 17, 15:6: a write leaves them alone */
#define CR0_FIXED0  (CR0_PE | CR0_NE | CR0_PG)
#define CR0_FIXED1  0xffffffffull

#define CR4_MCE   (1ull << 6)
#define CR4_VMXE  (1ull << 13)
#define CR4_SMXE  (1ull << 14)
#define CR4_KL    (1ull << 19)
#define CR4_PKE   (1ull << 22)
#define CR4_CET   (1ull << 23)
#define CR4_PKS   (1ull << 24)
#define CR4_UINTR (1ull << 25)

#define XFAM_PKRU  (1ull << 9)
#define XFAM_CET   (3ull << 11)
#define XFAM_UINTR (1ull << 14)

enum write_result { WRITE_DONE, WRITE_GP, WRITE_VE };

u64 mdl_cr0_mask(void)
{
    u64 reserved = ~0xffffffffull | CR0_IGNORED;
    return ((CR0_FIXED0 | ~CR0_FIXED1) & ~CR0_PG) | CR0_PE | CR0_NE | CR0_NW | CR0_CD | reserved;
}

u64 mdl_cr0_shadow(void)
{
    return CR0_FIXED0 | CR0_PE | CR0_NE;
}

u64 mdl_cr4_mask(const struct tdcs *tdcs)
{
    u64 mask = CR4_FIXED0 | ~CR4_FIXED1 | CR4_MCE | CR4_VMXE | CR4_SMXE | 1ull << 15 | ~((1ull << 26) - 1) | CR4_KL;
    mask |= tdcs->xfam & XFAM_PKRU ? 0 : CR4_PKE;
    mask |= (tdcs->xfam & XFAM_CET) == XFAM_CET ? 0 : CR4_CET;
    mask |= tdcs->xfam & XFAM_UINTR ? 0 : CR4_UINTR;
    mask |= tdcs->attributes & ATTR_PKS ? 0 : CR4_PKS;
    return mask;
}

u64 mdl_cr4_shadow(void)
{
    return (CR4_FIXED0 & ~CR4_VMXE) | CR4_MCE;
}

static enum write_result write_cr0(struct td_vmcs *td, u64 value)
{
    u64 must = CR0_FIXED0 & ~(CR0_PE | CR0_PG);
    if ((~value & must) || (value & ~CR0_FIXED1) || (!(value & CR0_PE) && (value & CR0_PG)))
        return WRITE_GP;
    if ((td->cr4 & CR4_CET) && !(value & CR0_WP))
        return WRITE_GP;
    if (!(value & CR0_PE) || !(value & CR0_NE) || (value & (CR0_NW | CR0_CD)) || value >> 32)
        return WRITE_VE;
    td->cr0 = (value & ~CR0_IGNORED) | (td->cr0 & CR0_IGNORED);
    return WRITE_DONE;
}

/* All legal changes of CR4 happen without an exit, so that what arrives here is refused one way or the other. */
static enum write_result write_cr4(const struct lp_local *local, u64 value)
{
    u64 xfam = local->tdvps->xfam;
    if ((~value & CR4_FIXED0 & ~CR4_VMXE) || (value & ~CR4_FIXED1))
        return WRITE_GP;
    if ((!(xfam & XFAM_PKRU) && (value & CR4_PKE)) || ((xfam & XFAM_CET) != XFAM_CET && (value & CR4_CET)) ||
        (!(xfam & XFAM_UINTR) && (value & CR4_UINTR)))
        return WRITE_GP;
    if ((value & CR4_KL) || (!(local->tdcs->attributes & ATTR_PKS) && (value & CR4_PKS)))
        return WRITE_GP;
    if ((value & CR4_CET) && !(local->vmcs->run.cr0 & CR0_WP))
        return WRITE_GP;
    return WRITE_VE;
}

static bool mov_to_cr(struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    unsigned gpr = QUAL_GPR(td->qualification), cr = QUAL_CR(td->qualification);
    u64 value = gpr == RSP ? td->rsp : td->gpr[gpr];
    if (cr != 0 && cr != 4)
        return false;
    enum write_result result = cr == 0 ? write_cr0(td, value) : write_cr4(local, value);
    if (result == WRITE_GP)
        mdl_inject_gp(td, 0);
    else if (result == WRITE_VE)
        mdl_inject_ve(local, EXIT_CR_ACCESS, td->qualification, 0, 0);
    return true;
}

bool mdl_exit_cr_access(struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    switch (QUAL_TYPE(td->qualification)) {
    case CR_MOV_TO:
        return mov_to_cr(local);
    case CR_LMSW:
        td->cr0 = (td->cr0 & ~CR0_LMSW) | (QUAL_LMSW(td->qualification) & CR0_LMSW);
        return true;
    default:
        return false;
    }
}

/* XCR0 rules of SDM vol. 1, 13.3, within what the TD has. */
static bool is_legal_xcr0(u64 value, u64 xfam)
{
    u32 native[4];
    plat_cpuid(0xd, 0, native);
    u64 can = native[0] & XCR0_USER & xfam;
    unsigned avx512 = value >> 5 & 7, amx = value >> 17 & 3;
    if ((value & ~can) || !(value & 1))
        return false;
    if ((value & 4) && !(value & 2))
        return false;
    if (avx512 != 0 && (avx512 != 7 || !(value & 4)))
        return false;
    return amx == 0 || amx == 3;
}

void mdl_exit_xsetbv(struct lp_local *local)
{
    struct td_vmcs *td = &local->vmcs->run;
    u64 value = td->gpr[RDX] << 32 | (u32)td->gpr[RAX];
    if ((u32)td->gpr[RCX] != 0 || !is_legal_xcr0(value, local->tdvps->xfam))
        mdl_inject_gp(td, 0);
    else
        td->xcr0 = value;
}
