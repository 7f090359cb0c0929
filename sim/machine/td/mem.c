/*
 * The TD's memory: its software TLB on this CPU, nested page faults (a TLB miss, a virtualization exception, or an
 * exit), and accesses by the machine on behalf of an instruction. SDM volume 3, sections 26.5.7 ("Virtualization
 * exceptions"), 29.3.3 ("EPT violations"), 29.4.3 ("Guidelines for use of INVEPT").
 *
 * Instruction fetches from shared memory and page tables in it are page faults with the reserved bit, as for a TD on
 * a server.
 */
#include "sim/machine/config.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/guard.h"
#include "sim/machine/mca.h"
#include "sim/machine/log.h"
#include "sim/machine/memory.h"
#include "sim/machine/pmu.h"
#include "sim/machine/pool.h"
#include "sim/machine/td/td.h"
#include "sim/machine/td/internal.h"
#include "sim/module/platform.h"

#define PAGE         4096ull
#define GPA_BITS_MAX 52

/* Exit qualification of an EPT violation: SDM volume 3, table 28-7. */
#define QUAL_PERMISSIONS_SHIFT 3
#define QUAL_LINEAR_VALID      (1ull << 7)
#define QUAL_FINAL             (1ull << 8)

#define PF_PRESENT  (1u << 0)
#define PF_WRITE    (1u << 1)
#define PF_USER     (1u << 2)
#define PF_RESERVED (1u << 3)
#define PF_FETCH    (1u << 4)

#define PTE_ACCESSED (1u << 5)
#define PTE_DIRTY    (1u << 6)

/* --- which TLB ---------------------------------------------------------------------------------------------------- */

static struct td_tlb *find_tlb(struct td_cpu *td, const struct td_vmcs *v)
{
    for (unsigned i = 0; i < TD_TLBS; i++)
        if (td->tlbs[i].vcpu == v && td->tlbs[i].eptp == v->eptp)
            return &td->tlbs[i];
    return NULL;
}

static struct td_tlb *take_tlb(struct td_cpu *td, const struct td_vmcs *v)
{
    struct td_tlb *tlb = &td->tlbs[td->next_tlb++ % TD_TLBS];

    if (!tlb->tlb.root) {
        const struct sim_config *config = sim_config();
        u32 capacity[STLB_SIZES] = {config->tlb_4k, config->tlb_2m, config->tlb_1g};
        stlb_init(&tlb->tlb, capacity, config->tlb_policy, &td->tables_left, pool_take(stlb_bytes(capacity) / PAGE));
    }
    stlb_flush(&tlb->tlb);
    tlb->vcpu = v;
    tlb->eptp = v->eptp;
    return tlb;
}

void td_mem_enter(struct cpu *cpu)
{
    struct td_cpu *td = cpu->td_state;
    const struct td_vmcs *v = td_vmcs(cpu);

    td->current = find_tlb(td, v);
    if (!td->current)
        td->current = take_tlb(td, v);
    td->space = (struct ept_space){v->eptp, v->shared_eptp, v->gpaw};
}

void td_tlb_invept(struct cpu *cpu, u64 eptp)
{
    struct td_cpu *td = cpu->td_state;

    for (unsigned i = 0; td && i < TD_TLBS; i++) {
        struct td_tlb *tlb = &td->tlbs[i];
        if (tlb->vcpu && (eptp == TD_INVEPT_ALL || ept_strip_keyid(eptp) == ept_strip_keyid(tlb->eptp)))
            stlb_flush(&tlb->tlb);
    }
}

void td_tlb_stats(struct cpu *cpu, struct td_tlb_stats *out)
{
    *out = (struct td_tlb_stats){0};
    for (unsigned i = 0; i < TD_TLBS; i++) {
        const struct stlb_stats *stats = &cpu->td_state->tlbs[i].tlb.stats;
        for (unsigned size = 0; size < STLB_SIZES; size++) {
            out->misses[size] += stats->fills[size];
            out->walk_steps[size] += stats->walk_steps[size];
            out->evictions[size] += stats->evictions[size];
        }
        out->flushes += stats->flushes;
    }
}

/* One line of what happened since the last one. */
void td_tlb_report(struct cpu *cpu)
{
    struct td_tlb_stats now, *last = &cpu->td_state->reported;
    unsigned long d[3][STLB_SIZES];

    td_tlb_stats(cpu, &now);
    for (unsigned size = 0; size < STLB_SIZES; size++) {
        d[0][size] = now.misses[size] - last->misses[size];
        d[1][size] = now.walk_steps[size] - last->walk_steps[size];
        d[2][size] = now.evictions[size] - last->evictions[size];
    }
    sim_log(
        "tlb: misses 4k %lu 2m %lu 1g %lu, walk steps 4k %lu 2m %lu 1g %lu, replaced 4k %lu 2m %lu 1g %lu, flushes %lu",
        d[0][0], d[0][1], d[0][2], d[1][0], d[1][1], d[1][2], d[2][0], d[2][1], d[2][2],
        (unsigned long)(now.flushes - last->flushes));
    *last = now;
}

/* An access that the TLB does not translate. */
struct violation {
    u64 gpa;
    u32 access;
    bool table;
};

/* --- TLB misses --------------------------------------------------------------------------------------------------- */

/* May the TD see all of this memory through a private (else shared) entry? */
static bool is_sound(u64 hpa, u64 bytes, bool shared)
{
    if (!shared && mca_is_broken(hpa, bytes))
        return false;
    if (!shared && !guard_has_poisoned())
        return true;
    for (u64 at = hpa; at < hpa + bytes; at += PAGE)
        if (shared ? guard_is_closed(at) : guard_is_poisoned(at))
            return false;
    return true;
}

/* The largest page around `hpa` that can be entered as one; shared pages are at most 2M, to keep is_sound() short. */
static unsigned fill_level(u64 hpa, unsigned level, bool shared)
{
    if (level > (shared ? 1u : 2u))
        level = shared ? 1 : 2;
    while (level > 0 && !is_sound(hpa & ~((PAGE << 9 * level) - 1), PAGE << 9 * level, shared))
        level--;
    return level;
}

/* Tables that other vCPUs' TLBs hold on this CPU are better used here. */
static bool fill_at_others_cost(struct cpu *cpu, u64 gpa, u64 hpa, unsigned level, u32 permissions)
{
    struct td_cpu *td = cpu->td_state;

    for (unsigned i = 0; i < TD_TLBS; i++)
        if (&td->tlbs[i] != td->current && td->tlbs[i].vcpu)
            stlb_release(&td->tlbs[i].tlb);
    return stlb_fill(&td->current->tlb, gpa, hpa, level, permissions);
}

/* Entries of the TD's own tables are met on the way of a walk, and are none of their own. */
static enum td_next fill(struct cpu *cpu, const struct violation *what, const struct ept_walk *walk)
{
    u64 gpa = what->gpa;
    struct stlb *tlb = &cpu->td_state->current->tlb;
    bool shared = ept_is_shared(&cpu->td_state->space, gpa);
    u64 hpa = walk->hpa, within = (PAGE << 9 * walk->level) - 1;

    if (!shared)
        mca_note_mapping(gpa & ~within, hpa & ~within, within + 1);
    unsigned level = fill_level(hpa, walk->level, shared);

    if (!is_sound(hpa & ~(PAGE - 1), PAGE, shared)) {
        if (!shared) {
            mca_note_broken(&cpu->mca, hpa);
            return td_leave_exception(cpu, VECTOR_MC, 0, false, 0);
        }
        hpa = cpu->td_state->absent_page; /* the platform's or a TD's memory, seen with the wrong key */
    }
    tlb->stats.walk_steps[level] += walk->steps;
    if (!what->table)
        pmu_count_walk(&td_vmcs(cpu)->pmu, what->access, td_cpl(cpu), level, walk->steps);
    if (!stlb_fill(tlb, gpa, hpa, level, walk->permissions) &&
        !fill_at_others_cost(cpu, gpa, hpa, level, walk->permissions))
        sim_stop("no memory left for the tables of a TD's software TLB");
    td_event_repeat(cpu);
    return TD_RESUME;
}

/* --- the linear address of a violation ---------------------------------------------------------------------------- */

static struct gpt_mode gpt_mode(const struct cpu *cpu)
{
    const struct vmcb *b = cpu->td;
    struct gpt_mode mode = {
        .no_execute = b->efer & EFER_NXE,
        .cr3 = b->cr3,
        .physical_bits = td_vmcs(cpu)->gpaw,
    };

    if (!(b->cr0 & CR0_PG))
        mode.paging = GPT_OFF;
    else if (b->efer & EFER_LMA)
        mode.paging = b->cr4 & CR4_LA57 ? GPT_5_LEVEL : GPT_4_LEVEL;
    else
        mode.paging = b->cr4 & CR4_PAE ? GPT_PAE : GPT_32;
    return mode;
}

static u64 read_pte(const void *pte, unsigned bytes)
{
    return bytes == 4 ? *(const volatile u32 *)pte : *(const volatile u64 *)pte;
}

/*
 * Walks without side effects as far as the tables can be read. True: the walk of `linear` meets `gpa`, at its end or
 * (`table`) as an entry.
 */
static bool walk_meets(struct cpu *cpu, u64 linear, u64 gpa, bool table)
{
    struct gpt_mode mode = gpt_mode(cpu);
    struct gpt_walk walk = gpt_begin(&mode, linear);

    while (!walk.done) {
        const void *pte;
        if (table && walk.entry_gpa == (gpa & ~(u64)(walk.entry_bytes - 1)))
            return true;
        pte = td_gpa_pointer(cpu, walk.entry_gpa, EPT_READ);
        if (!pte)
            return false;
        gpt_step(&walk, read_pte(pte, walk.entry_bytes));
    }
    return !table && walk.present && !walk.reserved && walk.gpa / PAGE == gpa / PAGE;
}

/* `linear` or the page behind it (an access may cross): which of them led to the violation. */
static bool try_linear(struct cpu *cpu, const struct violation *what, u64 linear, u64 *found)
{
    for (unsigned i = 0; i < 2; i++, linear = (linear & ~(PAGE - 1)) + PAGE) {
        if (!walk_meets(cpu, linear, what->gpa, what->table))
            continue;
        *found = what->table ? linear : (linear & ~(PAGE - 1)) | (what->gpa & (PAGE - 1));
        return true;
    }
    return false;
}

static u64 linear_rip(const struct cpu *cpu)
{
    const struct vmcb *b = cpu->td;
    return td_code_mode(cpu) == INSN_64 ? b->rip : (u32)(b->cs.base + b->rip);
}

/* What delivering an event touches: the IDT, the GDT, the TSS, and a stack (of this privilege level). */
static bool find_in_delivery(struct cpu *cpu, const struct violation *what, u64 *found)
{
    struct vmcb *b = cpu->td;
    u64 vector = b->exit_int_info & 0xff;

    svm_vmsave(b); /* TR */
    return try_linear(cpu, what, b->idtr.base + vector * (b->efer & EFER_LMA ? 16 : 8), found) ||
           try_linear(cpu, what, b->gdtr.base, found) || try_linear(cpu, what, b->tr.base, found) ||
           try_linear(cpu, what, b->rsp - 48, found);
}

static bool find_linear(struct cpu *cpu, const struct violation *what, u64 *found)
{
    struct insn_registers registers;
    u64 addresses[INSN_ADDRESSES_MAX];
    struct insn insn;
    unsigned count;

    if (cpu->td->exit_int_info & VMCB_EVENT_VALID)
        return find_in_delivery(cpu, what, found);
    if (what->access == EPT_EXEC || what->table)
        if (try_linear(cpu, what, linear_rip(cpu), found))
            return true;
    if (!td_fetch(cpu, &insn))
        return false;
    td_insn_registers(cpu, &registers);
    count = insn_addresses(&insn, &registers, addresses);
    for (unsigned i = 0; i < count; i++)
        if (try_linear(cpu, what, addresses[i], found))
            return true;
    return false;
}

/* --- violations --------------------------------------------------------------------------------------------------- */

/* The virtualization-exception information area: SDM volume 3, table 26-1. */
struct ve_info {
    u32 reason, busy;
    u64 qualification, linear, gpa;
    u16 eptp_index;
};
_Static_assert(offsetof(struct ve_info, eptp_index) == 32, "SDM volume 3, table 26-1");

static bool deliver_ve(struct cpu *cpu, u64 qualification, u64 linear, u64 gpa)
{
    const struct td_vmcs *v = td_vmcs(cpu);
    struct ve_info *info = plat_page(ept_strip_keyid(v->ve_info_hpa));

    if (!info || !(cpu->td->cr0 & CR0_PE) || (cpu->td->exit_int_info & VMCB_EVENT_VALID) || info->busy)
        return false;
    *info = (struct ve_info){REASON_EPT_VIOLATION, ~0u, qualification, linear, gpa, 0};
    if (v->exception_bitmap >> VECTOR_VE & 1)
        td_leave_exception(cpu, VECTOR_VE, 0, false, 0);
    else
        td_raise(cpu, VECTOR_VE);
    return true;
}

static enum td_next violate(struct cpu *cpu, const struct violation *what, const struct ept_walk *walk)
{
    u64 linear = 0, qualification = what->access | walk->permissions << QUAL_PERMISSIONS_SHIFT;
    struct td_vmcs *v = td_vmcs(cpu);
    struct insn insn;

    if (find_linear(cpu, what, &linear))
        qualification |= QUAL_LINEAR_VALID | (what->table ? 0 : QUAL_FINAL);
    if (!walk->suppress_ve && deliver_ve(cpu, qualification, linear, what->gpa))
        return v->exception_bitmap >> VECTOR_VE & 1 ? TD_LEAVE : TD_RESUME;
    td_leave(cpu, REASON_EPT_VIOLATION, qualification);
    v->guest_linear = linear;
    v->guest_physical = what->gpa;
    if (!v->exit_instr_len && td_fetch(cpu, &insn))
        v->exit_instr_len = insn.length;
    return TD_LEAVE;
}

static enum td_next misconfigured(struct cpu *cpu, u64 gpa)
{
    td_leave(cpu, REASON_EPT_MISCONFIG, 0);
    td_vmcs(cpu)->guest_physical = gpa;
    return TD_LEAVE;
}

static enum td_next page_fault(struct cpu *cpu, u64 linear, u32 error)
{
    cpu->td->cr2 = linear;
    if (td_vmcs(cpu)->exception_bitmap >> VECTOR_PF & 1)
        return td_leave_exception(cpu, VECTOR_PF, linear, true, error);
    return td_raise_error(cpu, VECTOR_PF, error);
}

/* Code and page tables have to be private. */
static enum td_next shared_fault(struct cpu *cpu, const struct violation *what)
{
    u32 error = PF_PRESENT | PF_RESERVED | (td_cpl(cpu) == 3 ? PF_USER : 0) | (what->access == EPT_EXEC ? PF_FETCH : 0);
    u64 linear = linear_rip(cpu);

    find_linear(cpu, what, &linear);
    return page_fault(cpu, linear, error);
}

/*
 * A translation that the TLB lacks, or has with too few permissions. TD_RESUME: try again (or an event is on its
 * way).
 */
static enum td_next translate(struct cpu *cpu, struct violation *what)
{
    struct td_cpu *td = cpu->td_state;
    struct ept_walk walk;

    if (ept_is_shared(&td->space, what->gpa) && (what->table || what->access == EPT_EXEC))
        return shared_fault(cpu, what);
    stlb_drop(&td->current->tlb, what->gpa);
    walk = ept_translate(&td->space, what->gpa, what->access);
    if (walk.outcome == EPT_OK && what->table && !(walk.permissions & EPT_WRITE)) {
        what->access |= EPT_WRITE; /* the walk sets accessed and dirty flags */
        walk.outcome = EPT_VIOLATION;
    }
    if (walk.outcome == EPT_OK)
        return fill(cpu, what, &walk);
    if (walk.outcome == EPT_VIOLATION)
        return violate(cpu, what, &walk);
    return misconfigured(cpu, what->gpa);
}

/*
 * With paging off QEMU reads an IDT whose base has 64 bits where they lead, a CPU where the lower 32 do. A kernel that leaves long
 * mode to reset its machine ends so: nothing there is an IDT.
 */
static bool is_no_gpa(u64 gpa)
{
    return gpa >> GPA_BITS_MAX != 0;
}

enum td_next td_nested_fault(struct cpu *cpu)
{
    u64 info = cpu->td->exit_info_1;
    struct violation what = {.gpa = cpu->td->exit_info_2, .table = info & NPF_TABLE, .access = EPT_READ};

    if (is_no_gpa(what.gpa)) {
        cpu->td->exit_int_info = 0;
        return td_leave(cpu, REASON_TRIPLE_FAULT, 0);
    }
    if (!what.table && (info & NPF_FETCH))
        what.access = EPT_EXEC;
    else if (!what.table && (info & NPF_WRITE))
        what.access = EPT_WRITE;
    return translate(cpu, &what);
}

/* --- accesses on behalf of an instruction ------------------------------------------------------------------------- */

void *td_gpa_pointer(struct cpu *cpu, u64 gpa, u32 access)
{
    struct td_cpu *td = cpu->td_state;
    struct stlb_entry entry;
    struct ept_walk walk;
    u8 *page;

    if (stlb_find(&td->current->tlb, gpa, &entry))
        return access & ~entry.permissions ? NULL : (void *)(uintptr_t)entry.hpa;
    walk = ept_translate(&td->space, gpa, access);
    if (walk.outcome != EPT_OK)
        return NULL;
    page = plat_page(walk.hpa & ~(PAGE - 1));
    return page ? page + (walk.hpa & (PAGE - 1)) : NULL;
}

/* Linear to guest-physical for reading code; false where the tables do not say. */
static bool code_gpa(struct cpu *cpu, u64 linear, u64 *gpa)
{
    struct gpt_mode mode = gpt_mode(cpu);
    struct gpt_walk walk = gpt_begin(&mode, linear);

    while (!walk.done) {
        const void *pte = td_gpa_pointer(cpu, walk.entry_gpa, EPT_READ);
        if (!pte)
            return false;
        gpt_step(&walk, read_pte(pte, walk.entry_bytes));
    }
    *gpa = walk.gpa;
    return walk.present && !walk.reserved;
}

bool td_fetch(struct cpu *cpu, struct insn *insn)
{
    u8 bytes[INSN_BYTES_MAX];
    unsigned count = 0;
    u64 linear = linear_rip(cpu), gpa = 0;
    const u8 *code = NULL;

    while (count < INSN_BYTES_MAX) {
        if (!code || !(linear & (PAGE - 1))) {
            code = code_gpa(cpu, linear, &gpa) ? td_gpa_pointer(cpu, gpa, EPT_EXEC) : NULL;
            if (!code)
                break;
        }
        bytes[count++] = *code++;
        linear++;
    }
    return insn_decode(bytes, count, td_code_mode(cpu), insn);
}

/*
 * A real pointer to guest-physical memory by way of the TLB. NULL: it faulted, or was missing and is there at the
 * next try.
 */
static void *reach(struct cpu *cpu, u64 gpa, u32 access, bool table, enum td_next *next)
{
    struct violation what = {gpa, access, table};
    struct stlb_entry entry;

    if (stlb_find(&cpu->td_state->current->tlb, gpa, &entry) && !(access & ~entry.permissions))
        return (void *)(uintptr_t)entry.hpa;
    *next = translate(cpu, &what);
    return NULL;
}

static bool is_canonical(const struct cpu *cpu, u64 linear)
{
    unsigned bits = cpu->td->cr4 & CR4_LA57 ? 57 : 48;
    s64 high = (s64)linear >> (bits - 1);
    return !(cpu->td->efer & EFER_LMA) || high == 0 || high == -1;
}

static bool access_allowed(const struct cpu *cpu, const struct gpt_walk *walk, bool write)
{
    const struct vmcb *b = cpu->td;
    bool user = td_cpl(cpu) == 3;

    if (!(b->cr0 & CR0_PG))
        return true;
    if (user && !walk->user)
        return false;
    if (!user && walk->user && (b->cr4 & CR4_SMAP) && !(b->rflags & RFLAGS_AC))
        return false;
    return !write || walk->writable || (!user && !(b->cr0 & CR0_WP));
}

static void set_flags(void *pte, unsigned bytes, u32 flags)
{
    if (bytes == 4)
        __atomic_fetch_or((u32 *)pte, flags, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_or((u64 *)pte, flags, __ATOMIC_SEQ_CST);
}

/* A pointer to the byte at `linear`, as the TD's instruction would reach it; NULL: see reach(). */
static void *reach_linear(struct cpu *cpu, u64 linear, bool write, enum td_next *next)
{
    struct gpt_mode mode = gpt_mode(cpu);
    struct gpt_walk walk = gpt_begin(&mode, linear);
    u32 error = (write ? PF_WRITE : 0) | (td_cpl(cpu) == 3 ? PF_USER : 0);

    while (!walk.done) {
        unsigned bytes = walk.entry_bytes;
        void *pte = reach(cpu, walk.entry_gpa, EPT_READ | EPT_WRITE, true, next);
        if (!pte)
            return NULL;
        gpt_step(&walk, read_pte(pte, bytes));
        if (walk.present || !walk.done)
            set_flags(pte, bytes, PTE_ACCESSED | (walk.done && write ? PTE_DIRTY : 0));
    }
    if (!walk.present || walk.reserved || !access_allowed(cpu, &walk, write)) {
        error |= (walk.present ? PF_PRESENT : 0) | (walk.reserved ? PF_RESERVED : 0);
        *next = page_fault(cpu, linear, error);
        return NULL;
    }
    return reach(cpu, walk.gpa, write ? EPT_WRITE : EPT_READ, false, next);
}

/* The first `first` bytes are at at[0], the others at at[1]. */
static void move_bytes(u8 *const at[2], unsigned first, u8 *data, unsigned bytes, bool write)
{
    for (unsigned i = 0; i < bytes; i++) {
        u8 *byte = i < first ? at[0] + i : at[1] + (i - first);
        if (write)
            *byte = data[i];
        else
            data[i] = *byte;
    }
}

/* Both pages are reached before a byte moves, so that a fault leaves nothing half done. */
static bool transfer(struct cpu *cpu, u64 linear, u8 *data, unsigned bytes, bool write, enum td_next *next)
{
    unsigned first = PAGE - (linear & (PAGE - 1));
    u8 *at[2] = {NULL, NULL};

    if (!is_canonical(cpu, linear) || !is_canonical(cpu, linear + bytes - 1)) {
        *next = td_raise_error(cpu, VECTOR_GP, 0);
        return false;
    }
    at[0] = reach_linear(cpu, linear, write, next);
    if (!at[0])
        return false;
    if (first < bytes) {
        at[1] = reach_linear(cpu, linear + first, write, next);
        if (!at[1])
            return false;
    }
    move_bytes(at, first, data, bytes, write);
    return true;
}

bool td_read(struct cpu *cpu, u64 linear, void *data, unsigned bytes, enum td_next *next)
{
    return transfer(cpu, linear, data, bytes, false, next);
}

bool td_write(struct cpu *cpu, u64 linear, const void *data, unsigned bytes, enum td_next *next)
{
    return transfer(cpu, linear, (u8 *)(uintptr_t)data, bytes, true, next);
}
