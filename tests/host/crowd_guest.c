/*
 * The vCPUs of the crowd and their memory: what each of them touches through a translation cache of its own, accepts and
 * converts, and what its VMM does about its exits. See tests/host/crowd.h.
 */
#include "tests/host/crowd_internal.h"

#include <time.h>

#include "lib/hw/cpu.h"
#include "sim/machine/ept.h"
#include "tests/host/baton.h"
#include "tests/host/hold.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define WAIT_SECONDS   60 /* a net: the thread that is waited for may wait long for its turn */
#define PROGRESS_BYTES 200u
#define REASON_INTR    1u
#define REASON_EPT     48u
#define REASON_TDCALL  77u
#define TDCALL_ACCEPT  6u
#define RAX_BUSY       0x80000200u
#define RAX_ACCEPTED   0x00000b0au
#define RAX_MISMATCH   0xc0000b0bu
#define PROMOTE_NO     0xc0000b09u

/* --- whose memory ------------------------------------------------------------------------------------------------- */

unsigned owner_of(u64 gpa)
{
    u64 region = gpa / M2;
    return region < COMMON_REGIONS ? gpa / PIECE % crowd.plan->vcpus : (region - COMMON_REGIONS) / OWN_REGIONS;
}

struct page *page_at(u64 gpa)
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

/* What a page of `version` held where it was read. */
static void check_word(u64 gpa, u64 version, u64 found)
{
    if (found != word(gpa & ~SHARED_BIT & ~(K4 - 1), version))
        crowd_fail(found ? "the TD's memory does not hold what it wrote" : "the TD's memory is zero", gpa);
}

static u64 new_version(const struct guest *g)
{
    static _Thread_local u64 versions;
    return ++versions << 4 | g->index | 8;
}

/* By a translation that may have stood in the cache for long. What is written by one that is not true any more is missing
 * where the page is verified next. */
static void use_again(struct guest *g, const struct tlb_entry *e)
{
    u64 offset = dice(e->bytes / K4) * K4, gpa = (e->gpa + offset) & ~SHARED_BIT;
    bool shared = e->gpa & SHARED_BIT;
    struct page *p = page_at(gpa);

    if (owner_of(gpa) != g->index || p->state != (shared ? PAGE_SHARED : PAGE_ACCEPTED))
        return;
    check_word(gpa, p->version, __atomic_load_n(word_at(e->hpa + offset), __ATOMIC_RELAXED));
    if (dice(4))
        return;
    p->version = new_version(g);
    __atomic_store_n(word_at(e->hpa + offset), word(gpa, p->version), __ATOMIC_RELAXED);
}

/* Stays inside with what the cache translates, until it is asked to leave or has enough; now and then for longer than the
 * operations of others take, where threads run free. */
static void linger(struct guest *g)
{
    u64 turns = dice(crowd.plan->baton || dice(16) ? SHORT_STAY : LONG_STAY);

    for (; turns && !hold_host_asked(g->v); turns--) {
        baton_point();
        if (!g->tlb_used)
            return;
        use_again(g, &g->tlb[dice(g->tlb_used)]);
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
void crowd_run_td(struct seam_lp *lp)
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
bool is_injected(const struct tdp_report *r)
{
    return crowd.plan->faults && r->err == ERR_TDX && r->what;
}

bool is_over(const struct tdp_report *r)
{
    if (!crowd.plan->fatal_at || r->err != ERR_TD_DEAD)
        return false;
    crowd.give_up = true;
    return true;
}

static void answer_fault(struct guest *g, const struct vcpu_exit *e)
{
    time_t end = time(NULL) + WAIT_SECONDS;
    const char *what = NULL;

    do {
        struct tdp_report r = tdp_fault(crowd.tdp, e, g->index);
        count(&crowd.result.faults);
        if (r.err == ERR_OK || is_over(&r))
            return;
        if (r.err != ERR_BUSY && r.err != ERR_STATE && !is_injected(&r)) /* blocked by hand: soon unblocked */
            crowd_fail(r.what, e->gpa.raw | r.err);
        what = r.what;
        cpu_relax();
    } while (time(NULL) < end);
    crowd_fail(what, e->gpa.raw);
}

/* Out until who holds it is through, which is for the machine to say. */
static struct vcpu_exit enter_when_let(struct guest *g)
{
    time_t end = time(NULL) + WAIT_SECONDS;
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

void do_access(u64 gpa, bool write, u64 value)
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

    p->version = new_version(self); /* nothing is read before the write is through */
    do_access(gpa, true, word(gpa, p->version));
}

void verify_page(u64 gpa)
{
    u64 version = page_at(gpa)->version; /* it may write the page again before it leaves */

    do_access(gpa, false, 0);
    if (self->done)
        check_word(gpa, version, self->result);
}

/* False: a page of this level cannot be accepted here. */
bool accept(u64 gpa, unsigned level)
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

void note(const struct tdp_report *r)
{
    count(&crowd.result.operations);
    if (r->err == ERR_BUSY)
        count(&crowd.result.busy);
    if (r->err == ERR_INTERRUPTED)
        count(&crowd.result.interrupted);
}

void may(struct tdp_report r)
{
    note(&r);
    if ((r.err == ERR_TDX && r.status.raw >> 32 == PROMOTE_NO) || is_injected(&r) || is_over(&r))
        return;
    need(r.err == ERR_OK || r.err == ERR_BUSY || r.err == ERR_INTERRUPTED || r.err == ERR_EXISTS ||
             r.err == ERR_NOT_FOUND || r.err == ERR_STATE || r.err == ERR_ATTR_MISMATCH || r.err == ERR_NO_MEMORY,
         r.what, r.status.raw);
}

/* MapGPA: until all of it is converted, as a guest would ask for the rest. */
static void convert(u64 gpa, u64 bytes, enum tdp_attr to)
{
    time_t until = time(NULL) + WAIT_SECONDS;
    u64 end = gpa + bytes;

    while (gpa < end && !crowd.give_up) { /* what is blocked by hand is soon unblocked */
        need(time(NULL) < until, "a conversion that never ends", gpa);
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

void guest_step(void)
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
