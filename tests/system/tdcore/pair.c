/* A TD of two vCPUs, which may be inside on two CPUs at once: see pair.h. */
#include "sim/machine/td/td.h"
#include "tests/system/tdcore/module.h"
#include "tests/system/tdcore/pair.h"

#define VCPUS        2
#define EXTERNAL_INT 1
#define EXCEPTION    0
#define TDCALL       77
#define MC_INFO      0x80000312u /* valid, hardware exception, vector 18 */

extern const u8 pair_image[], pair_image_end[];

/* Made by one CPU before others use it; afterwards each vCPU and its epoch are the CPU's that is in it. */
static struct td_vmcs *vcpus[VCPUS];
static u64 epochs[VCPUS];
/* Written by one CPU, read by all, atomically. */
static u64 epoch = 1;
static u64 owned = ~0ull;

static void make_vcpu(unsigned i, const struct td_vmcs *template)
{
    struct td_vmcs *v = vcpus[i] = (struct td_vmcs *)core_take();
    *v = *template;
    v->xsave_hpa = core_take();
    v->ve_info_hpa = core_take();
    v->vapic_hpa = core_take();
    v->cs.access = 0xa09b;
    v->cr0 = 0x80000031;
    v->cr4 = 0x2060;
    v->cr3 = 0x20000;
    v->efer = 0xd01;
    v->rip = PAIR_CODE;
    v->gpr[RBX] = PAIR_MAILBOX + i * 0x1000;
    v->gpr[RDI] = PAIR_MAILBOX + !i * 0x1000;
}

/* EOI and self-IPI, of vCPU 0. */
static void let_apic_through(void)
{
    u8 *bitmap = (u8 *)vcpus[0]->msr_bitmap_hpa;
    bitmap[0x800 + 0x80b / 8] &= ~(1 << 3);
    bitmap[0x800 + 0x83f / 8] &= ~(1 << 7);
}

static void take_posted(u64 descriptor)
{
    let_apic_through();
    vcpus[0]->posted_descriptor = descriptor;
    vcpus[0]->posted_vector = PAIR_NOTIFICATION;
    vcpus[0]->pinbased = 0xa9;
}

static void build(u64 memory)
{
    const struct td_vmcs *template = core_build(memory);
    for (u64 i = 0; i < (u64)(pair_image_end - pair_image); i++)
        ((u8 *)memory)[PAIR_CODE + i] = pair_image[i];
    for (unsigned i = 0; i < VCPUS; i++) {
        *(struct pair_mailbox *)(memory + PAIR_MAILBOX + i * 0x1000) = (struct pair_mailbox){0};
        make_vcpu(i, template);
    }
}

static void enter(struct seam_lp *lp, unsigned i)
{
    u64 now = __atomic_load_n(&epoch, __ATOMIC_SEQ_CST);
    if (epochs[i] != now)
        plat_invept(lp, core_root());
    epochs[i] = now;
    lp->td = vcpus[i];
}

static void remap(u64 first_word)
{
    u64 page = core_take();
    *(u64 *)page = first_word;
    core_map(PAIR_REMAPPED, page);
}

static u64 misses(unsigned index)
{
    struct td_tlb_stats stats;
    td_tlb_stats(cpu_at(index), &stats);
    return stats.misses[0];
}

bool pair_seamcall(struct seam_lp *lp, enum seam_next *next)
{
    u64 operand = lp->vmm[RCX], leaf = lp->vmm[RAX];
    if (leaf < PAIR_BUILD || leaf > PAIR_POSTED)
        return false;
    lp->vmm[RAX] = 0;
    *next = leaf == PAIR_ENTER ? SEAM_TO_TD : SEAM_TO_VMM;
    if (leaf == PAIR_BUILD)
        build(operand);
    else if (leaf == PAIR_ENTER)
        enter(lp, (unsigned)operand);
    else if (leaf == PAIR_REMAP)
        remap(operand);
    else if (leaf == PAIR_TRACK)
        __atomic_fetch_add(&epoch, 1, __ATOMIC_SEQ_CST);
    else if (leaf == PAIR_INVEPT)
        plat_invept(lp, core_root());
    else if (leaf == PAIR_POSTED)
        take_posted(operand);
    else if (leaf == PAIR_MISSES)
        lp->vmm[RAX] = misses((unsigned)operand);
    else {
        __atomic_store_n(&owned, operand, __ATOMIC_SEQ_CST);
        plat_own(operand, 4096);
    }
    return true;
}

static enum pair_exit why(const struct td_vmcs *v)
{
    if (v->exit_reason == EXTERNAL_INT)
        return PAIR_INTERRUPT;
    if (v->exit_reason == TDCALL)
        return PAIR_LEFT;
    return v->exit_reason == EXCEPTION && v->exit_intr_info == MC_INFO ? PAIR_MACHINE_CHECK : PAIR_DIED;
}

bool pair_td_exit(struct seam_lp *lp, enum seam_next *next)
{
    if (lp->td != vcpus[0] && lp->td != vcpus[1])
        return false;
    lp->vmm[RAX] = why(lp->td);
    if (lp->vmm[RAX] == PAIR_INTERRUPT)
        lp->vmm[RAX] |= (lp->td->exit_intr_info & 0xff) << PAIR_VECTOR_SHIFT;
    if (lp->td->exit_reason == TDCALL)
        lp->td->rip += lp->td->exit_instr_len;
    lp->td = NULL;
    *next = SEAM_TO_VMM;
    return true;
}

bool pair_uses_page(u64 hpa)
{
    return hpa == __atomic_load_n(&owned, __ATOMIC_SEQ_CST);
}
