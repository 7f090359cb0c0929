/* Many vCPUs in a host process: see crowd.h. ABI numbers are typed here again. */
#include "tests/host/crowd.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "mm/page.h"
#include "sim/machine/ept.h"
#include "tdx/count.h"
#include "tdx/module.h"
#include "tdx/module_internal.h"
#include "tests/host/baton.h"
#include "tests/host/cpu.h"
#include "tests/host/hold.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define K4             0x1000ull
#define M2             0x200000ull
#define MEMORY_BASE    0x100000000ull
#define MEMORY_BYTES   0x80000000ull
#define COMMON_REGIONS 6u
#define OWN_REGIONS    2u
#define PIECE          0x10000ull
#define GUESTS_MAX     7u
#define PAGES_MAX      ((COMMON_REGIONS + OWN_REGIONS * GUESTS_MAX) * 512)
#define TLB_ENTRIES    24u
#define TRIES_MAX      1000000u
#define HELD_SECONDS   60 /* a net */
#define UNBLOCKS_MAX   1000u
#define SPY_YIELDS     20000u /* some time for it to act, in a test that says it cannot */
#define SHARED_BIT     (1ull << 47)
#define PROGRESS_BYTES 200u

#define REASON_INTR   1u
#define REASON_EPT    48u
#define REASON_TDCALL 77u
#define TDCALL_ACCEPT 6u
#define RAX_BUSY      0x80000200u
#define RAX_ACCEPTED  0x00000b0au
#define RAX_MISMATCH  0xc0000b0bu
#define LEAF_PROMOTE  23u
#define PROMOTE_NO    0xc0000b09u

struct tlb_entry {
    u64 gpa, hpa, bytes; /* gpa with its shared bit */
};

enum page_state { PAGE_NONE, PAGE_ACCEPTED, PAGE_SHARED };

/* What its owner knows of a page: nobody else looks. */
struct page {
    enum page_state state;
    u64 version;
};

struct guest {
    unsigned index;
    struct vcpu *v;
    u64 random;
    /* what it wants to do next, inside */
    enum { WANT_ACCESS, WANT_ACCEPT } want;
    u64 gpa, value, rip;
    unsigned level;
    bool write, flying, done;
    u64 result; /* what was read; RAX of ACCEPT */
    struct tlb_entry tlb[TLB_ENTRIES];
    unsigned tlb_used, tlb_next;
    u64 invepts;
    /* a spy: it has the translation, it is told to write, it has ended with `end` */
    bool is_spy;
    _Atomic bool inside, told, ended;
    enum err end;
};

static struct {
    const struct crowd_plan *plan;
    struct crowd_result result;
    struct td td;
    struct tdp *tdp;
    u64 bytes;
    struct page pages[PAGES_MAX];
    struct guest guests[GUESTS_MAX];
    _Atomic unsigned at_work; /* guests */
    _Atomic bool give_up;
} crowd;

static _Thread_local struct guest *self;
static _Thread_local u64 dice_state;
static _Thread_local bool may_fail; /* the operation under way has met no fault yet */

_Noreturn static void fail(const char *what, u64 value)
{
    fprintf(stderr, "crowd: %s (%llx); SEED=%llu STEPS=%llu repeats it%s\n", what, (unsigned long long)value,
            (unsigned long long)crowd.plan->seed, (unsigned long long)crowd.plan->steps,
            crowd.plan->baton ? "" : ", if the threads meet in the same way");
    abort();
}

static void need(bool good, const char *what, u64 value)
{
    if (!good)
        fail(what, value);
}

static u64 count(u64 *counter)
{
    return __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static u64 dice(u64 n)
{
    dice_state += 0x9e3779b97f4a7c15ull;
    u64 z = dice_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (z ^ (z >> 31)) % n;
}

/* --- whose memory ------------------------------------------------------------------------------------------------- */

static unsigned owner_of(u64 gpa)
{
    u64 region = gpa / M2;
    return region < COMMON_REGIONS ? gpa / PIECE % crowd.plan->vcpus : (region - COMMON_REGIONS) / OWN_REGIONS;
}

static struct page *page_at(u64 gpa)
{
    return &crowd.pages[gpa / K4];
}

/* The word that a version of a page begins with at each of its first words. */
static u64 word(u64 gpa, u64 version)
{
    return version ? (gpa ^ 0x5eb7a000000ull) * 0x9e3779b97f4a7c15ull + version : 0;
}

static u64 random_own_page(void)
{
    for (;;) {
        u64 gpa = dice(crowd.bytes / K4) * K4;
        if (owner_of(gpa) == self->index)
            return gpa;
    }
}

/* --- inside the TD ------------------------------------------------------------------------------------------------ */

static void leave(struct td_vmcs *td, u32 reason, u64 qualification, u64 gpa)
{
    td->exit_reason = reason;
    td->qualification = qualification;
    td->guest_physical = gpa;
    td->guest_linear = 0;
    td->exit_intr_info = reason == REASON_INTR ? 0x800000ec : 0;
    td->exit_error_code = td->idt_vectoring_info = td->idt_vectoring_error = td->exit_instr_info = 0;
    td->exit_instr_len = reason == REASON_TDCALL ? 4 : 0;
}

static bool look_up(const struct guest *g, u64 gpa, u64 *hpa)
{
    for (unsigned i = 0; i < g->tlb_used; i++)
        if (gpa - g->tlb[i].gpa < g->tlb[i].bytes) {
            *hpa = g->tlb[i].hpa + (gpa - g->tlb[i].gpa);
            return true;
        }
    return false;
}

static bool translate(struct guest *g, const struct td_vmcs *td, u64 gpa, u64 *hpa)
{
    const struct ept_space space = {td->eptp, td->shared_eptp, td->gpaw};

    if (look_up(g, gpa, hpa))
        return true;
    struct ept_walk w = ept_translate(&space, gpa, EPT_READ | EPT_WRITE);
    if (w.outcome != EPT_OK)
        return false;
    u64 bytes = K4 << 9 * w.level, offset = gpa & (bytes - 1);
    g->tlb[g->tlb_next] = (struct tlb_entry){gpa - offset, w.hpa - offset, bytes};
    g->tlb_next = (g->tlb_next + 1) % TLB_ENTRIES;
    g->tlb_used += g->tlb_used < TLB_ENTRIES;
    *hpa = w.hpa;
    return true;
}

static u64 *word_at(u64 hpa)
{
    return (u64 *)(platform_host_memory() + hpa);
}

static void check_word(u64 gpa, u64 found)
{
    if (found != word(gpa & ~SHARED_BIT & ~(K4 - 1), page_at(gpa & ~SHARED_BIT)->version))
        fail(found ? "the TD's memory does not hold what it wrote" : "the TD's memory is zero", gpa);
}

/* Reads again what the cache translates of this vCPU's memory, until it is asked to leave or has enough. */
static void linger(struct guest *g)
{
    for (u64 turns = dice(40); turns && !hold_host_asked(g->v); turns--) {
        baton_point();
        if (!g->tlb_used)
            return;
        const struct tlb_entry *e = &g->tlb[dice(g->tlb_used)];
        u64 offset = dice(e->bytes / K4) * K4, gpa = (e->gpa + offset) & ~SHARED_BIT;
        bool shared = e->gpa & SHARED_BIT;
        if (owner_of(gpa) == g->index && page_at(gpa)->state == (shared ? PAGE_SHARED : PAGE_ACCEPTED))
            check_word(gpa, __atomic_load_n(word_at(e->hpa + offset), __ATOMIC_RELAXED));
    }
}

/* Waits inside with what it translates until it is told to go on; false: it is thrown out before. */
static bool is_told(struct guest *g)
{
    g->inside = true;
    while (!g->told) {
        if (hold_host_asked(g->v))
            return false;
        cpu_relax();
    }
    return true;
}

static void access(struct guest *g, struct td_vmcs *td)
{
    u64 hpa;

    if (!translate(g, td, g->gpa, &hpa)) {
        leave(td, REASON_EPT, g->write ? 2 : 1, g->gpa);
        return;
    }
    if (g->is_spy && !is_told(g)) {
        leave(td, REASON_INTR, 0, 0);
        return;
    }
    if (g->write)
        __atomic_store_n(word_at(hpa), g->value, __ATOMIC_RELAXED);
    g->result = __atomic_load_n(word_at(hpa), __ATOMIC_RELAXED);
    g->done = true;
    td->rip += PROGRESS_BYTES;
    if (!g->is_spy)
        linger(g);
    leave(td, REASON_INTR, 0, 0);
}

/* The TD runs. A TDCALL that the module has answered lies behind RIP. */
static void run(struct seam_lp *lp)
{
    struct guest *g = self;
    struct td_vmcs *td = lp->td;
    u64 invepts = __atomic_load_n(&platform_host_counts.invepts_of[lp->index], __ATOMIC_RELAXED);

    if (invepts != g->invepts)
        g->tlb_used = g->tlb_next = 0;
    g->invepts = invepts;
    td->entry_intr_info = 0;
    guest_enter_long_mode(td);
    if (g->flying && td->rip != g->rip) {
        g->result = td->gpr[RAX];
        g->flying = false;
        g->done = true;
    }
    if (g->done) {
        leave(td, REASON_INTR, 0, 0);
    } else if (g->want == WANT_ACCESS) {
        access(g, td);
    } else {
        td->rip += g->flying ? 0 : PROGRESS_BYTES;
        g->rip = td->rip;
        g->flying = true;
        td->gpr[RAX] = TDCALL_ACCEPT;
        td->gpr[RCX] = g->gpa | g->level;
        leave(td, REASON_TDCALL, 0, 0);
    }
}

/* --- its VMM ------------------------------------------------------------------------------------------------------ */

/* An operation may end by a fault that was injected, and every operation by the one that kills the TD. */
static bool is_injected(const struct tdp_report *r)
{
    return crowd.plan->faults && r->err == ERR_TDX && r->what;
}

static bool is_over(const struct tdp_report *r)
{
    if (!crowd.plan->fatal_at || r->err != ERR_TD_DEAD)
        return false;
    crowd.give_up = true;
    return true;
}

static void answer_fault(struct guest *g, const struct vcpu_exit *e)
{
    const char *what = NULL;

    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        struct tdp_report r = tdp_fault(crowd.tdp, e, g->index);
        count(&crowd.result.faults);
        if (r.err == ERR_OK || is_over(&r))
            return;
        if (r.err != ERR_BUSY && r.err != ERR_STATE && !is_injected(&r)) /* blocked by hand: soon unblocked */
            fail(r.what, e->gpa.raw | r.err);
        what = r.what;
        cpu_relax();
    }
    fail(what, e->gpa.raw);
}

/* Out until who holds it is through, which is for the machine to say: its thread may wait long for its turn. */
static struct vcpu_exit enter_when_let(struct guest *g)
{
    time_t end = time(NULL) + HELD_SECONDS;
    struct vcpu_exit e;

    while ((e = vcpu_enter(g->v)).kind == VCPU_EXIT_HELD) {
        need(time(NULL) < end, "a vCPU that nobody lets in", g->gpa);
        cpu_relax();
    }
    return e;
}

/* Until what the guest wants is done. */
static void enter(struct guest *g)
{
    g->done = false;
    for (unsigned tries = 0; !g->done && !crowd.give_up; tries++) {
        need(tries < TRIES_MAX, "a vCPU that does not get on", g->gpa);
        struct vcpu_exit e = enter_when_let(g);
        if (e.kind == VCPU_EXIT_EPT_VIOLATION)
            answer_fault(g, &e);
        else
            need(e.kind == VCPU_EXIT_INTERRUPT || (crowd.plan->fatal_at && crowd.give_up), "an exit", e.status.raw);
    }
}

static void do_access(u64 gpa, bool write, u64 value)
{
    self->want = WANT_ACCESS;
    self->gpa = gpa | (page_at(gpa)->state == PAGE_SHARED ? SHARED_BIT : 0);
    self->write = write;
    self->value = value;
    enter(self);
}

static void write_page(u64 gpa)
{
    struct page *p = page_at(gpa);
    static _Thread_local u64 versions;

    p->version = ++versions << 4 | self->index | 8; /* nothing is read before the write is through */
    do_access(gpa, true, word(gpa, p->version));
}

static void verify_page(u64 gpa)
{
    do_access(gpa, false, 0);
    if (self->done)
        check_word(gpa, self->result);
}

/* False: a page of this level cannot be accepted here. */
static bool accept(u64 gpa, unsigned level)
{
    for (unsigned tries = 0; tries < TRIES_MAX && !crowd.give_up; tries++) {
        self->want = WANT_ACCEPT;
        self->gpa = gpa;
        self->level = level;
        enter(self);
        if (!self->done)
            return true; /* all is over */
        u64 code = self->result >> 32;
        if (code == RAX_BUSY)
            continue;
        if (code == RAX_MISMATCH && level)
            return false;
        need(self->result == 0 || (code == RAX_ACCEPTED && level), "ACCEPT", self->result);
        for (u64 at = gpa; at < gpa + (level ? M2 : K4); at += K4)
            if (page_at(at)->state != PAGE_ACCEPTED)
                *page_at(at) = (struct page){PAGE_ACCEPTED, 0};
        return true;
    }
    return crowd.give_up;
}

static void accept_range(u64 gpa, u64 bytes)
{
    if (bytes == M2 && gpa % M2 == 0 && page_at(gpa)->state == PAGE_NONE && dice(2) && accept(gpa, 1))
        return;
    for (u64 at = gpa; at < gpa + bytes && !crowd.give_up; at += K4)
        if (page_at(at)->state == PAGE_NONE)
            (void)accept(at, 0);
}

static void note(const struct tdp_report *r)
{
    count(&crowd.result.operations);
    if (r->err == ERR_BUSY)
        count(&crowd.result.busy);
    if (r->err == ERR_INTERRUPTED)
        count(&crowd.result.interrupted);
}

/* MapGPA: until all of it is converted, as a guest would ask for the rest. */
static void convert(u64 gpa, u64 bytes, enum tdp_attr to)
{
    u64 end = gpa + bytes;

    for (unsigned tries = 0; gpa < end && !crowd.give_up; tries++) {
        need(tries < TRIES_MAX, "a conversion that never ends", gpa);
        for (u64 at = gpa; at < end; at += K4) /* by now it may be gone at any moment */
            if ((page_at(at)->state == PAGE_SHARED) != (to == TDP_SHARED))
                page_at(at)->state = PAGE_NONE;
        struct tdp_report r = tdp_convert(crowd.tdp, (gpa_t){gpa}, end - gpa, to, NULL);
        note(&r);
        if (is_over(&r))
            return;
        need(r.err == ERR_OK || r.err == ERR_BUSY || r.err == ERR_INTERRUPTED || r.err == ERR_STATE || is_injected(&r),
             r.what, r.err);
        need(r.at.raw >= gpa && r.at.raw <= end, "how far a conversion came", r.at.raw);
        for (; gpa < r.at.raw; gpa += K4)
            if (to == TDP_SHARED && page_at(gpa)->state == PAGE_NONE)
                *page_at(gpa) = (struct page){PAGE_SHARED, 0};
        cpu_relax();
    }
}

/* Some pages of one piece, or of a region of its own. */
static void random_range(u64 *gpa, u64 *bytes)
{
    *gpa = random_own_page();
    if (*gpa / M2 >= COMMON_REGIONS && dice(3) == 0) {
        *gpa &= ~(M2 - 1);
        *bytes = M2;
        return;
    }
    u64 left = PIECE - *gpa % PIECE;
    *bytes = (1 + dice(left / K4)) * K4;
}

static void may(struct tdp_report r);

/* A region of this vCPU's own, all of it accepted one way or the other, becomes one page, and is cut again. */
static void ripen(void)
{
    u64 region = (COMMON_REGIONS + OWN_REGIONS * self->index + dice(OWN_REGIONS)) * M2;

    convert(region, M2, TDP_PRIVATE);
    accept_range(region, M2);
    may(tdp_merge(crowd.tdp, (gpa_t){region}, LEVEL_2M, NULL));
    if (dice(2))
        convert(region + K4 * dice(512), K4, TDP_SHARED);
    convert(region, M2, TDP_SHARED); /* piece by piece where it was cut, which leaves an empty table */
    convert(region, M2, TDP_PRIVATE);
}

static void guest_step(void)
{
    u64 gpa, bytes, page = random_own_page();

    may_fail = true;
    switch (dice(16)) {
    case 0:
        random_range(&gpa, &bytes);
        convert(gpa, bytes, TDP_SHARED);
        break;
    case 1:
    case 2:
        random_range(&gpa, &bytes);
        convert(gpa, bytes, TDP_PRIVATE);
        accept_range(gpa, bytes);
        break;
    case 3:
        if (dice(4) == 0) {
            ripen();
        } else if (page_at(page)->state == PAGE_NONE) {
            convert(page, K4, TDP_PRIVATE);
            (void)accept(page, 0);
        }
        break;
    default:
        if (page_at(page)->state == PAGE_NONE)
            break;
        if (dice(2))
            write_page(page);
        else
            verify_page(page);
    }
}

static void *guest_work(void *arg)
{
    self = arg;
    dice_state = crowd.plan->seed * 1000 + self->index;
    baton_join(self->index + 1);
    for (u64 i = 0; i < crowd.plan->steps && !crowd.give_up; i++) {
        guest_step();
        count(&crowd.result.steps);
        baton_point();
    }
    for (u64 gpa = 0; gpa < crowd.bytes && !crowd.give_up; gpa += K4)
        if (owner_of(gpa) == self->index && page_at(gpa)->state != PAGE_NONE)
            verify_page(gpa);
    crowd.at_work--;
    baton_leave();
    return NULL;
}

/* --- operators ---------------------------------------------------------------------------------------------------- */

static void may(struct tdp_report r)
{
    note(&r);
    if ((r.err == ERR_TDX && r.status.raw >> 32 == PROMOTE_NO) || is_injected(&r) || is_over(&r))
        return;
    need(r.err == ERR_OK || r.err == ERR_BUSY || r.err == ERR_INTERRUPTED || r.err == ERR_EXISTS ||
             r.err == ERR_NOT_FOUND || r.err == ERR_STATE || r.err == ERR_ATTR_MISMATCH || r.err == ERR_NO_MEMORY,
         r.what, r.status.raw);
}

/* By hand, for a moment. ERR_STATE: it is unblocked already, or another operator has blocked the table above. */
static void block(gpa_t at, level_t level)
{
    struct tdp_report r = tdp_block(crowd.tdp, at, level, NULL);

    may(r);
    baton_point();
    for (unsigned tries = 0; r.err == ERR_OK && tries < UNBLOCKS_MAX && !crowd.give_up; tries++) {
        struct tdp_report u = tdp_unblock(crowd.tdp, at, level, NULL);
        may(u);
        if (u.err == ERR_OK || u.err == ERR_NOT_FOUND)
            return;
        cpu_relax();
    }
}

static void look(gpa_t at)
{
    struct tdp_walk w;
    struct tdp_report r = tdp_walk(crowd.tdp, at, &w);

    if (is_over(&r))
        return;
    need(r.err == ERR_OK || r.err == ERR_BUSY || r.err == ERR_INTERRUPTED, r.what, r.err);
    need(r.err != ERR_OK || w.agree, "mirror and module disagree", at.raw);
}

static void operator_step(void)
{
    gpa_t region = {dice(crowd.bytes / M2) * M2}, page = {dice(crowd.bytes / K4) * K4};

    may_fail = true;
    switch (dice(9)) {
    case 0:
    case 1:
        may(tdp_split(crowd.tdp, region, LEVEL_2M, NULL));
        break;
    case 2:
    case 3:
        may(tdp_merge(crowd.tdp, region, LEVEL_2M, NULL));
        break;
    case 4:
        block(page, LEVEL_4K);
        break;
    case 5:
        block(region, LEVEL_2M);
        break;
    case 6:
        may(tdp_relocate(crowd.tdp, page, K4, NULL));
        break;
    case 7:
        may(tdp_map(crowd.tdp, page, K4, LEVEL_4K, NULL));
        break;
    default:
        look(page);
    }
}

static void *operator_work(void *arg)
{
    unsigned index = *(unsigned *)arg;

    cpu_host_use(index);
    dice_state = crowd.plan->seed * 1000 + 500 + index;
    baton_join(index);
    while (crowd.at_work && !crowd.give_up) {
        operator_step();
        baton_point();
        cpu_relax();
    }
    baton_leave();
    return NULL;
}

static void *vcpu_thread(void *arg)
{
    struct guest *g = arg;

    cpu_host_use(g->index + 1);
    return guest_work(arg);
}

/* --- what the module meets ---------------------------------------------------------------------------------------- */

static unsigned events(struct seam_lp *lp)
{
    (void)lp;
    return dice(1000) < crowd.plan->interrupts ? PLAT_EVENT_INTERRUPT | (dice(2) ? PLAT_EVENT_NMI : 0) : 0;
}

/* The leaves of the TDP MMU's steps, by number, and what each of them is made to answer; `times` in a row. */
static const unsigned step_leaves[] = {3, 5, 6, 7, 15, 23, 29, 30, 38, 39};
static const struct {
    u64 status;
    unsigned times;
} fault_list[] = {
    {0x8000020000000001, 1}, {0x8000020000000092, 1026}, {0xc0000b0d00000001, 1}, {0x8000000400000000, 1},
    {0x8000020100000000, 1}, {0xc0000b0800000001, 1},    {0xc0000b0600000001, 1}, {0xc0000b0000000001, 1},
    {0xc0000b0900000001, 1}, {0xc000030000000008, 1},    {0xc000010000000001, 1}, {0xdead0bad00000000, 1},
};
#define LEAVES (sizeof(step_leaves) / sizeof(step_leaves[0]))
#define FAULTS (sizeof(fault_list) / sizeof(fault_list[0]))

static u64 calls_so_far;
static u64 faults_of[LEAVES]; /* so far: which comes next is this modulo FAULTS */

static int step_leaf(const struct seamcall_regs *regs)
{
    for (unsigned i = 0; i < LEAVES; i++)
        if (step_leaves[i] == (regs->rax & 0xffff))
            return (int)i;
    return -1;
}

/* What is rare fails more often, until it has answered each of them. */
static u64 fault_rate(unsigned leaf)
{
    static const u64 rates[LEAVES] = {[0] = 1000, [1] = 300, [4] = 300, [5] = 300, [7] = 1000, [8] = 50, [9] = 300};
    bool is_missing = __atomic_load_n(&faults_of[leaf], __ATOMIC_RELAXED) < FAULTS;
    return crowd.plan->faults ? max_u64(crowd.plan->faults, is_missing ? rates[leaf] : 0) : 0;
}

/* Nothing is moved in memory that is in place; scattered memory is rarely merged. */
static bool is_expected(unsigned leaf)
{
    unsigned number = step_leaves[leaf];
    return crowd.plan->backing == TDP_INPLACE ? number != 5 : number != 15 && number != 23 && number != 30;
}

/* How many of the statuses this leaf has yet to answer. */
static unsigned missing_of(unsigned leaf)
{
    bool is_wanted = crowd.plan->faults && is_expected(leaf) && faults_of[leaf] < FAULTS;
    return is_wanted ? (unsigned)(FAULTS - faults_of[leaf]) : 0;
}

static unsigned faults_missing(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < LEAVES; i++)
        sum += missing_of(i);
    return sum;
}

void crowd_tell_missing(void)
{
    for (unsigned i = 0; i < LEAVES; i++)
        if (missing_of(i))
            printf("leaf %u did not answer %u of the statuses\n", step_leaves[i], missing_of(i));
}

/* BUSY for nothing, or a fault. */
static bool answer(struct seamcall_regs *regs)
{
    static const u64 statuses[] = {0x8000020000000001, 0x8000020000000092, 0x8000020000000008};
    static _Thread_local unsigned again, again_leaf;
    static _Thread_local u64 again_status;
    int leaf = step_leaf(regs);

    baton_point();
    if (leaf < 0)
        return false;
    if (crowd.plan->fatal_at && count(&calls_so_far) == crowd.plan->fatal_at) {
        regs->rax = 0xe000060400000000;
    } else if (again && again_leaf == (unsigned)leaf) {
        again--;
        regs->rax = again_status;
    } else if (may_fail && dice(1000) < fault_rate((unsigned)leaf)) {
        unsigned f = (unsigned)(__atomic_fetch_add(&faults_of[leaf], 1, __ATOMIC_RELAXED) % FAULTS);
        may_fail = false;
        again = fault_list[f].times - 1;
        again_leaf = (unsigned)leaf;
        again_status = regs->rax = fault_list[f].status;
    } else if (step_leaves[leaf] != 38 && dice(1000) < crowd.plan->busy) {
        regs->rax = statuses[dice(3)];
    } else {
        if (step_leaves[leaf] == LEAF_PROMOTE)
            may_fail = false; /* where that is refused, an undo comes next, which cannot fail */
        return false;
    }
    return true;
}

static bool stop(void)
{
    if (self || dice(1000) >= crowd.plan->stops)
        return false;
    may_fail = false; /* an undo comes next */
    return true;
}

static void at_atomic_point(struct seam_lp *lp)
{
    (void)lp;
    baton_point();
}

/* --- machine and TD ----------------------------------------------------------------------------------------------- */

static unsigned cpu_count;

static unsigned count_cpus(void)
{
    return cpu_count;
}

/* One thread plays all CPUs before and after the work. */
static enum err on_each(void (*work)(void *arg), void *arg)
{
    for (unsigned i = cpu_count; i-- > 0;) {
        cpu_host_use(i);
        work(arg);
    }
    return ERR_OK;
}

static enum err on_one(unsigned cpu, void (*work)(void *arg), void *arg)
{
    unsigned here = cpu_index();

    cpu_host_use(cpu);
    work(arg);
    cpu_host_use(here);
    return ERR_OK;
}

static void share(void (*work)(void *arg), void *arg)
{
    work(arg);
}

static hpa_t take(u64 bytes, u64 align)
{
    hpa_t base;
    return page_alloc_range(bytes, align, &base) == ERR_OK ? base : HPA_NONE;
}

static void start_machine(void)
{
    static const struct tdx_cpus cpus = {.count = count_cpus, .each = on_each, .one = on_one, .share = share};
    struct plat_info info = *platform_host_default_info();
    const struct phys_range memory = {{MEMORY_BASE}, MEMORY_BYTES};
    const char *missing = "";

    cpu_count = 1 + crowd.plan->vcpus + crowd.plan->operators;
    need(cpu_count <= PLATFORM_HOST_LPS, "too many CPUs", cpu_count);
    info.lp_count = cpu_count;
    platform_host_start(&info);
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){.leaf = 0xd, .regs = {7, 0x340, 0x340, 0}};
    platform_host_knobs.cpuid_rows = 1;
    cpu_host_reset();
    seamcall_host_reset();
    tdx_module_forget();
    page_init();
    page_add_range((hpa_t){MEMORY_BASE}, MEMORY_BYTES);
    tdx_set_cpus(&cpus);
    need(tdx_detect(&missing) == ERR_OK, missing, 0);
    struct tdx_init_fault f = tdx_module_init(&memory, 1, 0, take);
    need(f.err == ERR_OK, f.what, f.status.raw);
}

static void good(struct td_fault f)
{
    need(f.err == ERR_OK, f.leaf ? f.leaf : "the TD's life cycle", f.status.raw);
}

static void take_pages(hpa_t *pages, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        need(page_alloc(LEVEL_4K, &pages[i]) == ERR_OK, "a page", i);
}

static void create_td(void)
{
    struct td_config config = {.attributes = 1ull << 28, .vcpus = crowd.plan->vcpus};
    hpa_t pages[32];
    hkid_t hkid;

    need(tdx_hkid_take(&hkid) == ERR_OK, "a key", 0);
    take_pages(pages, td_control_pages());
    good(td_create(&crowd.td, &config, hkid, pages));
    for (unsigned i = 0; i < crowd.plan->vcpus; i++) {
        take_pages(pages, vcpu_control_pages());
        good(td_add_vcpu(&crowd.td, 0, pages));
    }
    need(tdp_create(&crowd.tdp, &crowd.td, crowd.bytes, LEVEL_2M, crowd.plan->backing) == ERR_OK, "the TDP MMU", 0);
    tdp_set_stop(crowd.tdp, stop);
    for (unsigned i = 0; i < crowd.plan->vcpus; i++) {
        good(vcpu_set_shared_ept(&crowd.td.vcpus[i], tdp_shared_root(crowd.tdp)));
        crowd.guests[i] = (struct guest){.index = i, .v = &crowd.td.vcpus[i]};
    }
    good(td_finalize(&crowd.td));
    for (unsigned i = 0; i < crowd.plan->vcpus; i++) { /* they go to CPUs of their own, while this one has other work */
        need(tdx_ok(tdh_vp_flush(crowd.td.vcpus[i].tdvpr).status), "VP.FLUSH", i);
        crowd.td.vcpus[i].cpu = -1;
    }
}

static void give(hpa_t page, void *arg)
{
    (void)arg;
    page_free(page, LEVEL_4K);
}

static void destroy_td(u64 free_before)
{
    struct tdp_report r = tdp_prepare_destroy(crowd.tdp);
    need(r.err == ERR_OK || (r.err == ERR_TD_DEAD && crowd.plan->fatal_at), r.what, r.status.raw);
    good(td_release_key(&crowd.td));
    r = tdp_destroy(crowd.tdp);
    need(r.err == ERR_OK, r.what, r.status.raw);
    hkid_t hkid = crowd.td.hkid;
    good(td_destroy(&crowd.td, give, NULL));
    tdx_hkid_give(hkid);
    need(page_free_bytes() == free_before, "pages are missing", free_before - page_free_bytes());
}

static void work(void)
{
    pthread_t vcpus[GUESTS_MAX], operators[GUESTS_MAX];
    unsigned index[GUESTS_MAX];
    const struct crowd_plan *p = crowd.plan;

    guest_program = run;
    seamcall_host_answer = answer;
    memset(faults_of, 0, sizeof(faults_of));
    calls_so_far = 0;
    platform_host_knobs.events = events;
    platform_host_knobs.atomic_point = at_atomic_point;
    cpu_host_relaxed = p->baton ? baton_point : NULL;
    if (p->baton)
        baton_start(1 + p->vcpus + p->operators, p->seed, p->baton);
    crowd.at_work = p->vcpus;
    for (unsigned i = 0; i < p->vcpus; i++)
        pthread_create(&vcpus[i], NULL, vcpu_thread, &crowd.guests[i]);
    for (unsigned i = 0; i < p->operators; i++) {
        index[i] = 1 + p->vcpus + i;
        pthread_create(&operators[i], NULL, operator_work, &index[i]);
    }
    index[p->operators] = 0;
    (void)operator_work(&index[p->operators]);
    for (unsigned i = 0; i < p->vcpus; i++)
        pthread_join(vcpus[i], NULL);
    for (unsigned i = 0; i < p->operators; i++)
        pthread_join(operators[i], NULL);
    seamcall_host_answer = NULL;
    platform_host_knobs.events = NULL;
    platform_host_knobs.atomic_point = NULL;
    cpu_host_relaxed = NULL;
    tdp_set_stop(crowd.tdp, NULL);
    guest_program = NULL;
}

static void check_all(void)
{
    struct tdp_census c;
    struct tdp_report r = tdp_census(crowd.tdp, (gpa_t){0}, 0, &c);

    need(r.err == ERR_OK, r.what, r.status.raw);
    need(c.agree, "mirror and module disagree", c.first_disagreement.raw);
    need(c.blocked == 0, "blocked entries are left", c.blocked);
}

static u64 free_before;

static void open_with(const struct crowd_plan *plan)
{
    memset(&crowd, 0, sizeof(crowd));
    crowd.plan = plan;
    crowd.bytes = (COMMON_REGIONS + OWN_REGIONS * plan->vcpus) * M2;
    start_machine();
    free_before = page_free_bytes();
    create_td();
}

struct crowd_result crowd_run(const struct crowd_plan *plan)
{
    open_with(plan);
    work();
    crowd.result.faults_missing = faults_missing();
    if (!plan->fatal_at)
        check_all();
    destroy_td(free_before);
    return crowd.result;
}

/* --- step by step ------------------------------------------------------------------------------------------------- */

void crowd_open(const struct crowd_plan *plan)
{
    open_with(plan);
    guest_program = run;
    dice_state = plan->seed;
}

void crowd_close(bool whole)
{
    seamcall_host_answer = NULL;
    guest_program = NULL;
    cpu_host_use(0);
    if (whole) {
        check_all();
        destroy_td(free_before);
    }
}

struct tdp *crowd_tdp(void)
{
    return crowd.tdp;
}

static pthread_t spy_thread;

static void *spy(void *arg)
{
    struct guest *g = arg;

    self = g;
    cpu_host_use(1);
    while (!g->done && g->end == ERR_OK) {
        struct vcpu_exit e = vcpu_enter(g->v);
        if (e.kind == VCPU_EXIT_EPT_VIOLATION)
            g->end = tdp_fault(crowd.tdp, &e, g->index).err;
        else
            need(e.kind == VCPU_EXIT_INTERRUPT || e.kind == VCPU_EXIT_HELD, "an exit of the spy", e.status.raw);
    }
    g->ended = true;
    return NULL;
}

void crowd_spy_enter(u64 gpa, bool shared)
{
    struct guest *g = &crowd.guests[0];

    g->want = WANT_ACCESS;
    g->gpa = gpa | (shared ? SHARED_BIT : 0);
    g->is_spy = g->write = true;
    g->inside = g->told = g->ended = g->done = false;
    g->end = ERR_OK;
    pthread_create(&spy_thread, NULL, spy, g);
    while (!g->inside)
        cpu_relax();
}

void crowd_spy_tell(u64 value)
{
    struct guest *g = &crowd.guests[0];

    g->value = value;
    g->told = true;
    for (unsigned i = 0; i < SPY_YIELDS && !g->ended; i++)
        sched_yield();
}

enum err crowd_spy_end(void)
{
    pthread_join(spy_thread, NULL);
    return crowd.guests[0].end;
}

/* As vCPU 1, on its CPU. */
static void act(void (*work)(u64 gpa, unsigned level), u64 gpa, unsigned level)
{
    self = &crowd.guests[1];
    cpu_host_use(2);
    work(gpa, level);
    cpu_host_use(0);
    self = NULL;
}

static void accept_now(u64 gpa, unsigned level)
{
    need(accept(gpa, level), "ACCEPT", gpa);
}

static void read_now(u64 gpa, unsigned level)
{
    (void)level;
    page_at(gpa)->state = PAGE_ACCEPTED;
    do_access(gpa, false, 0);
}

void crowd_accept(u64 gpa, unsigned level)
{
    act(accept_now, gpa, level);
}

u64 crowd_read(u64 gpa)
{
    act(read_now, gpa, 0);
    return crowd.guests[1].result;
}
