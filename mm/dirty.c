/* Dirty logging: see mm/dirty.h. */
#include "mm/dirty.h"

#include <stdatomic.h>

#include "mm/page.h"
#include "mm/perform.h"
#include "mm/plan_build.h"

#define REGION_WORDS (TABLE_ENTRIES / 64)
#define PIECE_BYTES  (8 * level_bytes(LEVEL_2M)) /* a vCPU's fault waits for no more than 4096 BLOCKs */

/* --- marks -------------------------------------------------------------------------------------------------------- */

void dirty_mark(struct tdp *t, gpa_t gpa, level_t level, bool by_read)
{
    struct dirty *d = &t->dirty;
    u64 page = gpa.raw >> PAGE_SHIFT;

    if (!d->on || page / 64 >= d->words)
        return;
    if (level_is(level, LEVEL_4K)) {
        u64 bit = 1ull << page % 64;
        u64 before = atomic_fetch_or_explicit(&d->bits[page / 64], bit, memory_order_relaxed);
        if (by_read && !(before & bit))
            d->by_read++;
        return;
    }
    for (u64 i = 0; i < REGION_WORDS; i++)
        atomic_store_explicit(&d->bits[page / 64 + i], ~0ull, memory_order_relaxed);
}

void dirty_destroy(struct tdp *t)
{
    t->dirty.on = false;
    page_give((void *)t->dirty.bits, t->dirty.words * sizeof(u64));
    t->dirty.bits = NULL;
}

/* --- telling them --------------------------------------------------------------------------------------------------- */

struct piece {
    gpa_t from, end;
};

/* Runs of marked pages on their way to whoever asks; one that reaches the end of a piece may go on in the next. */
struct teller {
    void (*line)(gpa_t from, u64 bytes, void *arg);
    void *arg;
    gpa_t from;
    u64 bytes; /* of the run that is open */
    u64 pages; /* told */
};

static void flush(struct teller *told)
{
    if (told->bytes)
        told->line(told->from, told->bytes, told->arg);
    told->pages += told->bytes / PAGE_BYTES;
    told->bytes = 0;
}

static bool has_marks(const struct tdp *t, struct piece p)
{
    for (u64 i = p.from.raw >> PAGE_SHIFT; i < p.end.raw >> PAGE_SHIFT; i += 64)
        if (t->dirty.bits[i / 64])
            return true;
    return false;
}

/* Tells the marks of a piece that is claimed, and clears them. What is shared by now is not the log's. */
static void tell(struct tdp *t, struct piece p, struct teller *told)
{
    for (gpa_t at = p.from; at.raw < p.end.raw; at = gpa_add(at, PAGE_BYTES)) {
        u64 page = at.raw >> PAGE_SHIFT;
        if (!(t->dirty.bits[page / 64] >> page % 64 & 1) || slot_is_shared(&t->slots[0], at))
            continue;
        if (told->bytes && told->from.raw + told->bytes != at.raw)
            flush(told);
        if (told->bytes == 0)
            told->from = at;
        told->bytes += PAGE_BYTES;
    }
    for (u64 i = p.from.raw >> PAGE_SHIFT; i < p.end.raw >> PAGE_SHIFT; i += 64)
        t->dirty.bits[i / 64] = 0;
}

/* --- plans over a piece of memory --------------------------------------------------------------------------------- */

/* What to file for an entry. */
typedef void file_fn(struct tdp *t, struct plan *p, const struct mirror_iter *it);

static void file_split(struct tdp *t, struct plan *p, const struct mirror_iter *it)
{
    if (!mirror_is_leaf(it->entry) || (it->entry & MIRROR_BY_HAND) || it->level.raw == 0)
        return;
    struct plan_fault f = plan_split(t, p, it->gpa, it->level);
    if (f.err != ERR_OK)
        p->err = f.err;
}

/* Pages that are marked have been touched since they were blocked, or mapped. */
static void file_block(struct tdp *t, struct plan *p, const struct mirror_iter *it)
{
    if (mirror_state(it->entry) == MIRROR_LEAF && level_is(it->level, LEVEL_4K))
        plan_add(p, 1, STEP_BLOCK, it->gpa, it->level);
}

/* A try: blocked tables are met, see open_table(). */
static void file_nothing(struct tdp *t, struct plan *p, const struct mirror_iter *it) {}

static void file_unblock(struct tdp *t, struct plan *p, const struct mirror_iter *it)
{
    if (mirror_state(it->entry) == MIRROR_BLOCKED_LEAF && !(it->entry & MIRROR_BY_HAND))
        plan_add(p, 0, STEP_UNBLOCK, it->gpa, it->level);
}

/* What is below a blocked table is out of reach. One that a policy has blocked is unblocked, for the next round to go into. */
static void open_table(struct plan *p, const struct mirror_iter *it)
{
    if (it->entry & MIRROR_BY_HAND)
        p->err = ERR_STATE;
    else
        plan_add(p, 0, STEP_UNBLOCK, it->gpa, it->level);
}

static void file_all(struct tdp_op *op, struct piece p, file_fn *file)
{
    struct mirror_iter it;

    for (mirror_begin(&it, &op->t->mirror, p.from, p.end); mirror_valid(&it);) {
        if (mirror_state(it.entry) == MIRROR_TABLE) {
            mirror_down(&it);
            continue;
        }
        if (mirror_state(it.entry) == MIRROR_BLOCKED_TABLE)
            open_table(op->plan, &it);
        else
            file(op->t, op->plan, &it);
        mirror_next(&it);
    }
}

static void add(struct tdp_report *sum, const struct tdp_report *r)
{
    sum->seamcalls += r->seamcalls;
    sum->tracks += r->tracks;
    sum->ipis += r->ipis;
    sum->tsc += r->tsc;
    sum->err = r->err;
    sum->what = r->what;
    sum->status = r->status;
    sum->at = r->at;
}

static const char *plan_words(enum err e)
{
    if (e == ERR_OK)
        return NULL;
    return e == ERR_STATE ? "a table here is blocked by hand: unblock it first" : "no memory for the plan";
}

/* One piece, one plan; what is told under its claim, before the plan is made, goes to `told`. */
static enum err do_piece(struct tdp *t, struct piece piece, file_fn *file, struct teller *told, struct tdp_report *sum)
{
    struct tdp_op op;

    if (tdp_op_begin(&op, t, piece.from, piece.end.raw - piece.from.raw, NULL) != ERR_OK) {
        add(sum, &op.report);
        return op.report.err;
    }
    if (told)
        tell(t, piece, told);
    file_all(&op, piece, file);
    op.report = tdp_error(op.plan->err, plan_words(op.plan->err), piece.from);
    tdp_op_perform(&op);
    struct tdp_report r = tdp_op_end(&op);
    add(sum, &r);
    return r.err;
}

/* From `at` on; false: the slot has ended. */
static bool next_piece(const struct tdp *t, gpa_t at, struct piece *piece)
{
    u64 end = slot_end(&t->slots[0]).raw;

    *piece = (struct piece){at, {min_u64(at.raw + PIECE_BYTES, end)}};
    return at.raw < end;
}

static enum err each_piece(struct tdp *t, file_fn *file, struct tdp_report *sum)
{
    struct piece p;
    enum err e = ERR_OK;

    for (gpa_t at = t->slots[0].base; e == ERR_OK && next_piece(t, at, &p); at = p.end)
        e = do_piece(t, p, file, NULL, sum);
    return e;
}

/* --- on and off --------------------------------------------------------------------------------------------------- */

/* 1G pages come apart in the first round, the 2M pages that they were in the second. */
static enum err protect_all(struct tdp *t, struct tdp_report *sum)
{
    enum err e = ERR_OK;

    for (unsigned level = t->max_level.raw; level > 0 && e == ERR_OK; level--)
        e = each_piece(t, file_split, sum);
    return e == ERR_OK ? each_piece(t, file_block, sum) : e;
}

static enum err take_bitmap(struct tdp *t)
{
    struct dirty *d = &t->dirty;

    d->words = align_up(slot_end(&t->slots[0]).raw, level_bytes(LEVEL_2M)) / PAGE_BYTES / 64;
    d->bits = page_take(d->words * sizeof(u64));
    d->by_read = 0;
    d->on = d->bits != NULL;
    return d->on ? ERR_OK : ERR_NO_MEMORY;
}

struct tdp_report tdp_dirty_on(struct tdp *t)
{
    struct tdp_report r = tdp_check(t, t->slots[0].base, PAGE_BYTES);

    if (r.err != ERR_OK)
        return r;
    if (t->dirty.on)
        return tdp_error(ERR_EXISTS, "dirty logging is on already", r.at);
    if (each_piece(t, file_nothing, &r) != ERR_OK)
        return r;
    if (take_bitmap(t) != ERR_OK)
        return tdp_error(ERR_NO_MEMORY, "no memory for the bitmap", r.at);
    if (protect_all(t, &r) == ERR_OK)
        return r;
    struct tdp_report undo = tdp_dirty_off(t);
    r.seamcalls += undo.seamcalls;
    return r;
}

/* Whoever marks has a claim. */
static struct tdp_report end_logging(struct tdp *t)
{
    struct tdp_op op;

    if (tdp_op_begin_look(&op, t, t->slots[0].base) != ERR_OK)
        return op.report;
    dirty_destroy(t);
    return tdp_op_end(&op);
}

/* Pages that are not blocked, or not again, may be written unseen: all of the piece is marked, more than was touched. */
static void mark_piece(struct tdp *t, struct piece p)
{
    for (gpa_t at = p.from; at.raw < p.end.raw; at = gpa_add(at, level_bytes(LEVEL_2M)))
        dirty_mark(t, at, LEVEL_2M, false);
}

/* Logging goes on where its end failed at `last`: nothing before that is blocked any more. */
static void mark_up_to(struct tdp *t, gpa_t last)
{
    struct piece p;

    for (gpa_t at = t->slots[0].base; at.raw <= last.raw && next_piece(t, at, &p); at = p.end)
        mark_piece(t, p);
}

struct tdp_report tdp_dirty_off(struct tdp *t)
{
    struct tdp_report r = tdp_error(ERR_OK, NULL, t->slots[0].base);

    if (!t->dirty.on)
        return tdp_error(ERR_NOT_FOUND, "dirty logging is off", r.at);
    if (each_piece(t, file_unblock, &r) != ERR_OK) {
        mark_up_to(t, r.at);
        return r;
    }
    struct tdp_report end = end_logging(t);
    if (end.err != ERR_OK)
        return end;
    policy_adopt(t);
    return r;
}

/* --- get ---------------------------------------------------------------------------------------------------------- */

struct tdp_report tdp_dirty_get(struct tdp *t, void (*line)(gpa_t from, u64 bytes, void *arg), void *arg,
                                struct tdp_dirty *dirty)
{
    struct tdp_report r = tdp_error(ERR_OK, NULL, t->slots[0].base);
    struct teller told = {.line = line, .arg = arg};
    struct piece p;

    if (!t->dirty.on)
        return tdp_error(ERR_NOT_FOUND, "dirty logging is off", r.at);
    for (gpa_t at = r.at; r.err == ERR_OK && next_piece(t, at, &p); at = p.end)
        if (has_marks(t, p) && do_piece(t, p, file_split, NULL, &r) == ERR_OK) {
            if (do_piece(t, p, file_block, &told, &r) != ERR_OK)
                mark_piece(t, p);
        }
    flush(&told);
    *dirty = (struct tdp_dirty){.pages = told.pages, .by_read = t->dirty.by_read};
    return r;
}
