/*
 * Stands in the module's place behind sim/module/seam.h, so that sim/machine runs a TD with nothing else around it.
 * SEAMCALL 1 builds the TD in 32 MiB of memory at RCX, SEAMCALL 2 enters it. Every VM exit but those of interrupts is
 * logged in one line, `td: ...`; the TD asks for what comes next by TDCALLs, see td.asm. For two CPUs at once: pair.c.
 */
#include "sim/machine/log.h"
#include "tests/system/tdcore/module.h"

#define PAGE   4096ull
#define RWX_WB 0x37ull
#define LARGE  0x80ull
#define NO_VE  (1ull << 63)
#define SHARED (1ull << 47)
#define TABLES 0x1000000ull /* of the memory: EPT pages and what else the module needs */
#define BIG    0x800000ull

#define XSETBV 55

#define CMD_REPORT     1
#define CMD_EXCEPTION  2
#define CMD_REMAP      3
#define CMD_INVEPT     4
#define CMD_INJECT     5
#define CMD_STEP       6
#define CMD_NMI_WINDOW 7
#define CMD_END        8

#define ABSENT      0x400000ull
#define CONVERTIBLE 0x401000ull
#define STALE       0x402000ull
#define NO_STACK    0x403000ull

extern const u8 td_image[], td_image_end[];

static struct td_vmcs *v;
static u64 memory, next, root, shared_root;
static u64 steps;

static u64 take(void)
{
    u64 *page = (u64 *)next;
    for (unsigned i = 0; i < PAGE / 8; i++)
        page[i] = 0;
    next += PAGE;
    return next - PAGE;
}

static u64 take_with(u64 first_word)
{
    u64 page = take();
    *(u64 *)page = first_word;
    return page;
}

static void put(u64 table, u64 gpa, unsigned level, u64 value)
{
    for (unsigned l = 3; l > level; l--) {
        u64 *entry = (u64 *)table + (gpa >> (12 + 9 * l) & 511);
        if (!*entry)
            *entry = take() | 7;
        table = *entry & ~0xfffull;
    }
    ((u64 *)table)[gpa >> (12 + 9 * level) & 511] = value;
}

/* Identity for 1 GiB, but 600000h and 601000h are shared. The TD's tables lie where its code expects them. */
static void make_guest_tables(void)
{
    u64 *pml4 = (u64 *)(memory + 0x20000), *pdpt = pml4 + 512, *pd = pdpt + 512, *pt = pd + 512;
    for (unsigned i = 0; i < 512; i++) {
        pml4[i] = pdpt[i] = pt[i] = 0;
        pd[i] = ((u64)i << 21) | 0x87;
    }
    pml4[0] = 0x21007;
    pdpt[0] = 0x22007;
    pd[3] = 0x23007;
    pt[0] = SHARED | 0x5007;
    pt[1] = SHARED | 0x6007;
}

static void map_memory(void)
{
    for (u64 gpa = 0; gpa < 0x100000; gpa += PAGE)
        put(root, gpa, 0, (memory + gpa) | RWX_WB | NO_VE);
    put(root, ABSENT, 0, NO_VE);
    put(root, CONVERTIBLE, 0, 0);
    put(root, STALE, 0, take_with(0xaaa1) | RWX_WB | NO_VE);
    put(root, NO_STACK, 0, NO_VE);
    put(root, BIG, 1, (memory + BIG) | LARGE | RWX_WB | NO_VE);
    *(u64 *)(memory + BIG) = 0x2222;
    put(shared_root, SHARED | 0x5000, 0, take_with(0x5151) | 0x33);
    put(shared_root, SHARED | 0x6000, 0, 0);
}

static void set_controls(void)
{
    u8 *bitmap = (u8 *)take();
    for (unsigned i = 0; i < PAGE; i++)
        bitmap[i] = 0xff;
    bitmap[0x400 + 0x80 / 8] &= ~1;  /* EFER: read */
    bitmap[0x400 + 0x101 / 8] &= ~2; /* GS base: read and write */
    bitmap[0xc00 + 0x101 / 8] &= ~2;
    v->msr_bitmap_hpa = (u64)bitmap;
    v->xsave_hpa = take();
    v->ve_info_hpa = take();
    v->vapic_hpa = take();
    v->eptp = root | 0x1e;
    v->shared_eptp = shared_root;
    v->cr0_mask = 0x60000021;
    v->cr0_shadow = 0x21;
    v->cr4_mask = 0x2040;
    v->cr4_shadow = 0x40;
    v->tsc_multiplier = 1ull << 48;
    v->gpaw = 48;
}

static void set_state(void)
{
    const struct seam_seg data = {.access = 0xc093, .limit = ~0u};
    v->cs = (struct seam_seg){.access = 0xc09b, .limit = ~0u};
    v->es = v->ss = v->ds = v->fs = v->gs = data;
    v->ldtr = (struct seam_seg){.access = 0x10082, .limit = 0xffff};
    v->tr = (struct seam_seg){.access = 0x8b, .limit = 0xffff};
    v->rflags = 2;
    v->cr0 = 0x21;
    v->cr4 = 0x2040;
    v->efer = 0x901;
    v->xcr0 = 1;
    v->dr6 = 0xffff0ff0;
    v->dr7 = 0x400;
    v->pat = 0x0007040600070406;
}

struct td_vmcs *core_build(u64 base)
{
    memory = base;
    next = base + TABLES;
    v = (struct td_vmcs *)take();
    root = take();
    shared_root = take();
    for (u64 i = 0; i < (u64)(td_image_end - td_image); i++)
        ((u8 *)memory)[i] = td_image[i];
    make_guest_tables();
    map_memory();
    set_controls();
    set_state();
    return v;
}

u64 core_root(void)
{
    return root;
}

u64 core_take(void)
{
    return take();
}

void core_map(u64 gpa, u64 page)
{
    put(root, gpa, 0, page | RWX_WB | NO_VE);
}

void module_reset(void) {}
bool module_uses_page(u64 hpa)
{
    return pair_uses_page(hpa);
}

enum seam_next module_seamcall(struct seam_lp *lp)
{
    u64 leaf = lp->vmm[RAX];
    enum seam_next next;
    if (pair_seamcall(lp, &next))
        return next;
    lp->vmm[RAX] = 0;
    if (leaf == 1)
        core_build(lp->vmm[RCX]);
    if (leaf != 2)
        return SEAM_TO_VMM;
    lp->td = v;
    return SEAM_TO_TD;
}

/* RAX tells the VMM why the TD left: 1 an interrupt, its vector above, 2 the TD said so, 3 it is dead. */
static enum seam_next leave(struct seam_lp *lp, u64 why)
{
    lp->td = NULL;
    lp->vmm[RAX] = why;
    return SEAM_TO_VMM;
}

static enum seam_next command(struct seam_lp *lp)
{
    v->rip += v->exit_instr_len;
    switch (v->gpr[RAX]) {
    case CMD_EXCEPTION:
        sim_log("td:   exception %lx error %lx cr2 %lx", v->gpr[RDX], v->gpr[RBX], v->gpr[R8]);
        if (v->gpr[RDX] == 20) {
            const u64 *ve = (u64 *)v->ve_info_hpa;
            sim_log("td:   #VE %lx qualification %lx linear %lx gpa %lx", ve[0], ve[1], ve[2], ve[3]);
            ((u32 *)v->ve_info_hpa)[1] = 0;
            put(root, CONVERTIBLE, 0, take() | RWX_WB | NO_VE);
        }
        break;
    case CMD_REMAP:
        put(root, STALE, 0, take_with(0xaaa2) | RWX_WB | NO_VE);
        break;
    case CMD_INVEPT:
        plat_invept(lp, root);
        break;
    case CMD_INJECT:
        v->entry_intr_info = (u32)v->gpr[RDX];
        v->entry_instr_len = (u32)v->gpr[RCX];
        break;
    case CMD_STEP:
        steps = v->gpr[RDX];
        v->monitor_trap = true;
        break;
    case CMD_NMI_WINDOW:
        v->entry_intr_info = 0x80000202;
        v->nmi_window = true;
        break;
    case CMD_END:
        return leave(lp, 2);
    default:
        break;
    }
    return SEAM_TO_TD;
}

static enum seam_next violation(void)
{
    put(root, v->guest_physical & ~(PAGE - 1), 0, take() | RWX_WB | NO_VE);
    v->entry_intr_info = v->idt_vectoring_info;
    v->entry_error_code = v->idt_vectoring_error;
    v->entry_instr_len = v->exit_instr_len;
    return SEAM_TO_TD;
}

enum seam_next module_td_exit(struct seam_lp *lp)
{
    enum seam_next next;
    if (pair_td_exit(lp, &next))
        return next;
    u32 reason = v->exit_reason;
    if (reason == XSETBV) { /* no line: QEMU 7.2 has no such exit */
        v->xcr0 = (u32)v->gpr[RAX];
        v->rip += v->exit_instr_len;
        return SEAM_TO_TD;
    }
    if (reason == 1)
        return leave(lp, 1 | (v->exit_intr_info & 0xff) << 8);
    sim_log("td: exit %u length %u rdx %lx qualification %lx linear %lx gpa %lx event %x vectoring %x", reason,
            v->exit_instr_len, v->gpr[RDX], v->qualification, v->guest_linear, v->guest_physical, v->exit_intr_info,
            v->idt_vectoring_info);
    switch (reason) {
    case 77:
        return command(lp);
    case 48:
        return violation();
    case 37:
        v->monitor_trap = --steps > 0;
        return SEAM_TO_TD;
    case 8:
        v->nmi_window = false;
        return SEAM_TO_TD;
    case 10:
    case 12:
    case 18:
    case 28:
    case 30:
    case 31:
    case 32:
    case 54:
        v->rip += v->exit_instr_len;
        return SEAM_TO_TD;
    default:
        return leave(lp, 3);
    }
}
