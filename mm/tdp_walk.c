/*
 * Looking at a TD's translations: walk, census, runs, sizes; see mm/tdp.h. All but the last ask TDH.MEM.SEPT.RD, with the
 * vCPUs held out, for SEPT.RD takes locks that a running ACCEPT may meet.
 */
#include "mm/tdp_internal.h"

#include "lib/hw/cpu.h"
#include "mm/hold.h"
#include "mm/page.h"
#include "tdx/abi_sept.h"
#include "tdx/retry.h"

/* --- what the module says ----------------------------------------------------------------------------------------- */

enum err tdp_read_module(const struct tdp *t, gpa_t gpa, level_t level, struct tdx_entry *entry, struct tdp_report *r)
{
    struct tdx_retry again = tdx_retry(TDH_MEM_SEPT_RD, gpa.raw);
    struct tdx_entry_answer a;

    do {
        a = tdh_mem_sept_rd(t->td->tdr, gpa, level);
        r->seamcalls++;
    } while (tdx_again(&again, a.status));
    *entry = a.entry;
    if (tdx_ok(a.status) || tdx_is(a.status, TDX_EPT_WALK_FAILED))
        return ERR_OK;
    r->status = a.status;
    r->what = "SEPT.RD";
    r->at = gpa;
    return tdx_verdict(a.status) == TDX_REPEAT ? ERR_BUSY : ERR_TDX;
}

/* Mapped and pending are one to the mirror, for ACCEPT changes one into the other without an exit. */
static bool says_the_same(u64 entry, level_t level, const struct tdx_entry *m)
{
    if (!level_is(level, m->level))
        return false;
    switch (mirror_state(entry)) {
    case MIRROR_NONE:
        return m->state == SEPT_FREE;
    case MIRROR_LEAF:
        return (m->state == SEPT_MAPPED || m->state == SEPT_PENDING) && hpa_is(mirror_page(entry), m->page);
    case MIRROR_BLOCKED_LEAF:
        return (m->state == SEPT_BLOCKED || m->state == SEPT_PENDING_BLOCKED) && hpa_is(mirror_page(entry), m->page);
    case MIRROR_TABLE:
        return m->state == SEPT_TABLE_MAPPED;
    case MIRROR_BLOCKED_TABLE:
        return m->state == SEPT_TABLE_BLOCKED;
    default:
        return false; /* FROZEN: an operation never ended */
    }
}

static enum tdp_state state_of(const struct tdx_entry *m)
{
    switch (m->state) {
    case SEPT_MAPPED:
        return TDP_MAPPED;
    case SEPT_PENDING:
        return TDP_PENDING;
    case SEPT_BLOCKED:
    case SEPT_TABLE_BLOCKED:
        return TDP_BLOCKED;
    case SEPT_PENDING_BLOCKED:
        return TDP_PENDING_BLOCKED;
    default:
        return TDP_ABSENT;
    }
}

/* --- the frame of a look ------------------------------------------------------------------------------------------ */

/* A look claims all memory: nothing moves while mirror and module are compared. */
static enum err look_begin(struct tdp_op *l, struct tdp *t, gpa_t gpa)
{
    if (tdp_op_begin_look(l, t, gpa) != ERR_OK)
        return l->report.err;
    enum err e = hold_begin(t->td, &l->report.ipis);
    if (e == ERR_OK)
        return e;
    tdp_op_fail(l, e, "holding the vCPUs out", gpa);
    return tdp_op_end(l).err;
}

static struct tdp_report look_end(struct tdp_op *l)
{
    hold_end(l->t->td);
    return tdp_op_end(l);
}

/* --- walk --------------------------------------------------------------------------------------------------------- */

/* A shared page has its translation in the shared EPT, unless it is a device's, and none in the Secure EPT, or none that a blocked
 * table shows. */
static void describe_shared(const struct tdp *t, gpa_t gpa, struct tdp_walk *walk)
{
    struct shared_leaf leaf = shared_ept_walk(&t->shared, gpa);
    bool is_device = tdp_has_device(t, gpa, PAGE_BYTES);
    walk->agree &= (walk->state == TDP_ABSENT || walk->is_table) && hpa_is(leaf.page, HPA_NONE) == is_device;
    walk->state = TDP_IS_SHARED;
    walk->level = leaf.level;
    walk->page = leaf.page;
    walk->mirror_raw = leaf.raw;
}

static void describe(struct tdp *t, gpa_t page, const struct tdx_entry *m, struct tdp_walk *walk)
{
    struct mirror_iter it;

    (void)mirror_find(&it, &t->mirror, page, LEVEL_4K);
    walk->level = m->level;
    walk->state = state_of(m);
    walk->is_table = m->state == SEPT_TABLE_BLOCKED;
    if (!hpa_is(m->page, HPA_NONE))
        walk->page = hpa_add(m->page, page.raw & (level_bytes(m->level) - PAGE_BYTES));
    walk->agree = says_the_same(it.entry, it.level, m);
    walk->mirror_raw = it.entry;
    walk->module_raw = m->raw;
    if (slot_is_shared(tdp_slot(t, page, PAGE_BYTES), page))
        describe_shared(t, page, walk);
}

struct tdp_report tdp_walk(struct tdp *t, gpa_t gpa, struct tdp_walk *walk)
{
    gpa_t page = gpa_floor(gpa, LEVEL_4K);
    struct tdp_report r = tdp_check(t, page, PAGE_BYTES);
    struct tdx_entry m;
    struct tdp_op l;

    *walk = (struct tdp_walk){.page = HPA_NONE};
    if (r.err != ERR_OK)
        return r;
    if (look_begin(&l, t, page) != ERR_OK)
        return l.report;
    l.report.err = tdp_read_module(t, page, LEVEL_4K, &m, &l.report);
    if (l.report.err == ERR_OK)
        describe(t, page, &m, walk);
    return look_end(&l);
}

/* --- census ------------------------------------------------------------------------------------------------------- */

static void count_entry(struct tdp_census *c, const struct mirror_iter *it)
{
    if (mirror_is_leaf(it->entry))
        c->leaf[it->level.raw]++;
    if (mirror_is_table(it->entry))
        c->tables++;
    if (mirror_is_blocked(it->entry))
        c->blocked++;
}

/* Shared memory has no private leaf over it. */
static bool covers_shared(struct tdp *t, const struct mirror_iter *it)
{
    const struct slot *s = tdp_slot(t, it->gpa, level_bytes(it->level));
    return mirror_is_leaf(it->entry) && slot_shared_count(s, it->gpa, it->level) != 0;
}

static enum err compare_entry(struct tdp_op *l, struct tdp_census *c, const struct mirror_iter *it)
{
    struct tdx_entry m;
    enum err e = tdp_read_module(l->t, it->gpa, it->level, &m, &l->report);
    bool agrees = says_the_same(it->entry, it->level, &m) && !covers_shared(l->t, it);
    if (e == ERR_OK && !agrees && c->agree) {
        c->agree = false;
        c->first_disagreement = it->gpa;
    }
    return e;
}

static bool is_stopped(struct tdp_op *l, gpa_t at)
{
    if (!tdp_op_is_stopped(l))
        return false;
    tdp_op_fail(l, ERR_INTERRUPTED, "stopped", at);
    return true;
}

static enum err census_range(struct tdp_op *l, gpa_t from, gpa_t end, struct tdp_census *c)
{
    struct mirror_iter it;
    mirror_begin(&it, &l->t->mirror, from, end);
    while (mirror_valid(&it)) {
        count_entry(c, &it);
        enum err e = is_stopped(l, it.gpa) ? ERR_INTERRUPTED : compare_entry(l, c, &it);
        if (e != ERR_OK)
            return e;
        /* What is below a blocked table the module does not show. */
        if (mirror_state(it.entry) == MIRROR_TABLE)
            mirror_down(&it);
        else
            mirror_next(&it);
    }
    return ERR_OK;
}

static u64 shared_bytes(const struct slot *s, gpa_t from, gpa_t end)
{
    u64 sum = 0;
    for (gpa_t gpa = from, next; gpa.raw < end.raw; gpa = next) {
        next = slot_attr_run(s, gpa, end);
        if (slot_is_shared(s, gpa))
            sum += next.raw - gpa.raw;
    }
    return sum;
}

/* The part of the slot that [gpa, gpa + bytes) asks for; all of it with bytes 0. False: none. */
static bool part_of_slot(const struct slot *s, gpa_t gpa, u64 bytes, gpa_t *from, gpa_t *end)
{
    *from = (gpa_t){bytes ? max_u64(gpa.raw, s->base.raw) : s->base.raw};
    *end = (gpa_t){bytes ? min_u64(gpa.raw + bytes, slot_end(s).raw) : slot_end(s).raw};
    return from->raw < end->raw;
}

struct tdp_report tdp_census(struct tdp *t, gpa_t gpa, u64 bytes, struct tdp_census *census)
{
    struct tdp_report r = bytes ? tdp_check(t, gpa, bytes) : tdp_check(t, t->slots[0].base, t->slots[0].bytes);
    gpa_t from, end;
    struct tdp_op l;

    *census = (struct tdp_census){.agree = true};
    if (r.err != ERR_OK)
        return r;
    if (look_begin(&l, t, gpa) != ERR_OK)
        return l.report;
    for (unsigned i = 0; i < t->slot_count && l.report.err == ERR_OK; i++) {
        if (!part_of_slot(&t->slots[i], gpa, bytes, &from, &end))
            continue;
        l.report.err = census_range(&l, from, end, census);
        census->shared_bytes += shared_bytes(&t->slots[i], from, end);
    }
    return look_end(&l);
}

/* --- runs --------------------------------------------------------------------------------------------------------- */

/* Entries that are looked at while the vCPUs are held out once: a table of 4K entries. */
#define PIECE_ENTRIES 512u

/* The run that grows until something else follows. */
struct run {
    gpa_t from;
    u64 bytes;
    level_t level;
    enum tdp_state state;
    void (*line)(gpa_t from, u64 bytes, level_t level, enum tdp_state state, void *arg);
    void *arg;
};

static void run_end(struct run *r)
{
    if (r->bytes)
        r->line(r->from, r->bytes, r->level, r->state, r->arg);
    r->bytes = 0;
}

static void run_add(struct run *r, gpa_t from, gpa_t end, level_t level, enum tdp_state state)
{
    bool continues =
        r->bytes && gpa_is(gpa_add(r->from, r->bytes), from) && level_is(r->level, level) && r->state == state;
    if (!continues) {
        run_end(r);
        r->from = from;
        r->level = level;
        r->state = state;
    }
    r->bytes += end.raw - from.raw;
}

/* What has no private mapping: shared and absent stretches. */
static void add_unmapped(const struct tdp *t, const struct slot *s, struct run *r, gpa_t from, gpa_t end)
{
    for (gpa_t next; from.raw < end.raw; from = next) {
        next = slot_attr_run(s, from, end);
        if (!slot_is_shared(s, from)) {
            run_add(r, from, next, LEVEL_4K, TDP_ABSENT);
            continue;
        }
        struct shared_leaf leaf = shared_ept_walk(&t->shared, from);
        next.raw = min_u64(next.raw, gpa_floor(from, leaf.level).raw + level_bytes(leaf.level));
        run_add(r, from, next, leaf.level, TDP_IS_SHARED);
    }
}

/* Up to PIECE_ENTRIES entries of [from, end); where the next piece begins, or `end`. */
static gpa_t add_entries(struct tdp_op *l, const struct slot *s, struct run *r, gpa_t from, gpa_t end)
{
    struct mirror_iter it;
    struct tdx_entry m;

    mirror_begin(&it, &l->t->mirror, from, end);
    for (unsigned n = 0; mirror_valid(&it) && n < PIECE_ENTRIES && !is_stopped(l, it.gpa);) {
        if (mirror_state(it.entry) == MIRROR_TABLE) {
            mirror_down(&it);
            continue;
        }
        if (mirror_state(it.entry) == MIRROR_NONE)
            add_unmapped(l->t, s, r, mirror_part_start(&it), mirror_part_end(&it));
        else if ((l->report.err = tdp_read_module(l->t, it.gpa, it.level, &m, &l->report)) != ERR_OK)
            break;
        else
            run_add(r, mirror_part_start(&it), mirror_part_end(&it), it.level, state_of(&m));
        mirror_next(&it);
        n++;
    }
    return mirror_valid(&it) ? mirror_part_start(&it) : end;
}

/* All of [from, end), a part of the slot; the vCPUs may enter between two pieces. False: `sum` has the error. */
static bool add_part(struct tdp *t, const struct slot *s, struct run *r, gpa_t from, gpa_t end, struct tdp_report *sum)
{
    while (from.raw < end.raw && sum->err == ERR_OK) {
        struct tdp_op l;
        if (look_begin(&l, t, from) == ERR_OK) {
            from = add_entries(&l, s, r, from, end);
            (void)look_end(&l);
        }
        l.report.seamcalls += sum->seamcalls;
        l.report.ipis += sum->ipis;
        l.report.tsc += sum->tsc;
        *sum = l.report;
    }
    return sum->err == ERR_OK;
}

struct tdp_report tdp_each_run(struct tdp *t, gpa_t gpa, u64 bytes,
                               void (*line)(gpa_t from, u64 bytes, level_t level, enum tdp_state state, void *arg),
                               void *arg)
{
    struct tdp_report sum = bytes ? tdp_check(t, gpa, bytes) : tdp_check(t, t->slots[0].base, t->slots[0].bytes);
    struct run r = {.line = line, .arg = arg};
    gpa_t from, end;

    for (unsigned i = 0; i < t->slot_count && sum.err == ERR_OK; i++)
        if (part_of_slot(&t->slots[i], gpa, bytes, &from, &end) && !add_part(t, &t->slots[i], &r, from, end, &sum))
            return sum;
    run_end(&r);
    return sum;
}

/* --- sizes -------------------------------------------------------------------------------------------------------- */

/* The window is claimed. A table of 4K entries knows how many there are, so none of those is read. */
static void add_window(const struct tdp *t, gpa_t from, gpa_t end, struct tdp_sizes *sizes)
{
    struct mirror_iter it;

    mirror_begin(&it, &t->mirror, from, end);
    while (mirror_valid(&it)) {
        if (mirror_is_table(it.entry) && !level_is(it.level, LEVEL_2M)) {
            mirror_down(&it);
            continue;
        }
        if (mirror_is_table(it.entry))
            sizes->mapped[LEVEL_4K.raw] += mirror_used(mirror_child(it.entry)) * (u64)PAGE_BYTES;
        else if (mirror_is_leaf(it.entry))
            sizes->mapped[it.level.raw] += level_bytes(it.level);
        mirror_next(&it);
    }
    for (unsigned i = 0; i < t->slot_count; i++) {
        const struct slot *s = &t->slots[i];
        if (s->base.raw < end.raw && from.raw < slot_end(s).raw)
            sizes->shared += slot_shared_count(s, from, LEVEL_1G) * PAGE_BYTES;
    }
}

struct tdp_report tdp_sizes(struct tdp *t, struct tdp_sizes *sizes)
{
    struct tdp_op l = {.t = t, .tsc = cpu_tsc()};

    *sizes = (struct tdp_sizes){0};
    for (gpa_t from = {0}, end; from.raw < tdp_end(t).raw; from = end) {
        end = gpa_add(from, level_bytes(LEVEL_1G));
        if (tdp_op_claim(&l, from, LEVEL_1G, false) != ERR_OK)
            break;
        add_window(t, from, end, sizes);
    }
    return tdp_op_end(&l);
}

enum err tdp_level(struct tdp *t, gpa_t gpa, level_t *level)
{
    struct tdp_op l = {.t = t, .tsc = cpu_tsc()};
    struct mirror_iter it;

    *level = LEVEL_4K;
    if (tdp_op_claim(&l, gpa, LEVEL_2M, false) == ERR_OK) {
        (void)mirror_find(&it, &t->mirror, gpa, LEVEL_2M);
        *level = mirror_is_leaf(it.entry) ? it.level : LEVEL_4K;
    }
    return tdp_op_end(&l).err;
}

bool tdp_has_shared(struct tdp *t, gpa_t gpa)
{
    const struct slot *s = tdp_slot(t, gpa, PAGE_BYTES);

    return s != NULL && slot_shared_count(s, gpa, LEVEL_2M) > 0;
}

/* --- the same at a glance ----------------------------------------------------------------------------------------- */

static u64 seen_bytes(const struct tdp *t)
{
    return align_up(tdp_end(t).raw, level_bytes(LEVEL_1G)) / level_bytes(LEVEL_1G) * sizeof(*t->seen);
}

void tdp_forget_seen(struct tdp *t)
{
    page_give(t->seen, seen_bytes(t));
    t->seen = NULL;
}

static void add_sizes(struct tdp_sizes *sum, const struct tdp_sizes *s)
{
    for (unsigned i = 0; i < ARRAY_COUNT(s->mapped); i++)
        sum->mapped[i] += s->mapped[i];
    sum->shared += s->shared;
}

/* Who is waited for makes nobody else wait for the glance: it stands in no line. */
static bool try_patiently(struct tdp_op *l, gpa_t from, bool (*is_patient)(void))
{
    bool granted;

    while (!(granted = tdp_op_try(l, from, LEVEL_1G, false)) && is_patient())
        cpu_relax();
    return granted;
}

struct tdp_report tdp_glance(struct tdp *t, bool (*is_patient)(void), struct tdp_sizes *sizes, u64 *old)
{
    struct tdp_op l = {.t = t, .tsc = cpu_tsc()};

    *sizes = (struct tdp_sizes){0};
    *old = 0;
    if (t->dead)
        return tdp_error(ERR_TD_DEAD, "the TD is dead: only destruction is left", (gpa_t){0});
    if (!t->seen)
        t->seen = page_take(seen_bytes(t));
    if (!t->seen)
        return tdp_error(ERR_NO_MEMORY, "no memory for the sizes of each GiB", (gpa_t){0});
    for (gpa_t from = {0}; from.raw < tdp_end(t).raw; from = gpa_add(from, level_bytes(LEVEL_1G))) {
        struct tdp_sizes *seen = &t->seen[from.raw / level_bytes(LEVEL_1G)];
        if (try_patiently(&l, from, is_patient)) {
            *seen = (struct tdp_sizes){0};
            add_window(t, from, gpa_add(from, level_bytes(LEVEL_1G)), seen);
        } else {
            ++*old;
        }
        add_sizes(sizes, seen);
    }
    return tdp_op_end(&l);
}
