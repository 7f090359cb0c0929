/* The mirror of the Secure EPT: see mm/mirror.h. */
#include "mm/mirror.h"

#include <stdatomic.h>

#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "mm/page.h"

#define FROZEN_SPINS 1000000000ull /* longer than any SEAMCALL and its repetitions take */

_Static_assert((MIRROR_BY_HAND & FIELD_MASK(MIRROR_STATE)) == 0, "marks lie beside the state");

/* --- tables ------------------------------------------------------------------------------------------------------- */

enum err mirror_create(struct mirror *m)
{
    m->root = page_take(sizeof(struct mirror_table));
    if (!m->root)
        return ERR_NO_MEMORY;
    m->root->sept = HPA_NONE;
    return ERR_OK;
}

void mirror_destroy(struct mirror *m)
{
    ASSERT(mirror_used(m->root) == 0);
    mirror_table_free(m->root);
    m->root = NULL;
}

/* Two pages a table: 512 entries fill the first, the counts have the second to themselves. Beside the 2M of memory
 * that a table stands for this is nothing, and a table is found from its entry without a second look-up. */
struct mirror_table *mirror_table_new(unsigned node)
{
    struct mirror_table *t = page_take(sizeof(*t));
    if (t && page_alloc_near(node, &t->sept) != ERR_OK) {
        mirror_table_free(t);
        return NULL;
    }
    return t;
}

void mirror_table_free(struct mirror_table *t)
{
    page_give(t, sizeof(*t));
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

u64 mirror_leaf_entry(hpa_t page, bool at_home)
{
    return page.raw | FIELD_PUT(MIRROR_STATE, MIRROR_LEAF) | (at_home ? MIRROR_AT_HOME : 0);
}

u64 mirror_table_entry(const struct mirror_table *t)
{
    return phys_of(t).raw | FIELD_PUT(MIRROR_STATE, MIRROR_TABLE);
}

u64 mirror_with_state(u64 entry, enum mirror_state state)
{
    return FIELD_SET(MIRROR_STATE, entry & ~MIRROR_BY_HAND, state);
}

struct mirror_table *mirror_child(u64 entry)
{
    ASSERT(mirror_is_table(entry));
    return phys_ptr(mirror_page(entry));
}

/* --- walking ------------------------------------------------------------------------------------------------------ */

/* Nobody who has an entry frozen waits for a lock of the VMM's, only for the module and for vCPUs to leave. */
static u64 thawed(_Atomic u64 *slot)
{
    u64 entry = atomic_load_explicit(slot, memory_order_acquire);
    for (u64 spins = 0; mirror_state(entry) == MIRROR_FROZEN && spins < FROZEN_SPINS; spins++) {
        cpu_relax();
        entry = atomic_load_explicit(slot, memory_order_acquire);
    }
    return entry;
}

static void load(struct mirror_iter *it)
{
    it->entry = thawed(mirror_slot(it));
}

void mirror_begin(struct mirror_iter *it, const struct mirror *m, gpa_t from, gpa_t end)
{
    *it = (struct mirror_iter){.from = from, .end = end, .level = MIRROR_TOP, .gpa = gpa_floor(from, MIRROR_TOP)};
    it->path[MIRROR_TOP.raw] = m->root;
    load(it);
}

bool mirror_valid(const struct mirror_iter *it)
{
    return it->gpa.raw < it->end.raw;
}

/* Past the last entry of a table the walk goes on behind the entry that points to it. */
void mirror_next(struct mirror_iter *it)
{
    it->gpa = gpa_add(it->gpa, level_bytes(it->level));
    while (it->level.raw < MIRROR_TOP.raw && gpa_index(it->gpa, it->level) == 0)
        it->level = level_above(it->level);
    if (mirror_valid(it))
        load(it);
}

void mirror_down(struct mirror_iter *it)
{
    struct mirror_table *child = mirror_child(it->entry);
    it->level = level_below(it->level);
    it->path[it->level.raw] = child;
    it->gpa = (gpa_t){max_u64(it->gpa.raw, gpa_floor(it->from, it->level).raw)};
    load(it);
}

bool mirror_covered(const struct mirror_iter *it)
{
    return it->gpa.raw >= it->from.raw && it->end.raw - it->gpa.raw >= level_bytes(it->level);
}

gpa_t mirror_part_start(const struct mirror_iter *it)
{
    return (gpa_t){max_u64(it->gpa.raw, it->from.raw)};
}

gpa_t mirror_part_end(const struct mirror_iter *it)
{
    return (gpa_t){min_u64(gpa_add(it->gpa, level_bytes(it->level)).raw, it->end.raw)};
}

bool mirror_find(struct mirror_iter *it, const struct mirror *m, gpa_t gpa, level_t level)
{
    struct mirror_table *table = m->root;
    unsigned at = MIRROR_TOP.raw, shift = level_shift(MIRROR_TOP);
    _Atomic u64 *slot;
    u64 entry;

    for (;; at--, shift -= TABLE_SHIFT) {
        it->path[at] = table;
        slot = &table->entry[gpa.raw >> shift & (TABLE_ENTRIES - 1)];
        entry = atomic_load_explicit(slot, memory_order_acquire);
        if (mirror_state(entry) == MIRROR_FROZEN)
            entry = thawed(slot);
        if (mirror_state(entry) != MIRROR_TABLE || at == level.raw)
            break;
        table = phys_ptr(mirror_page(entry));
    }
    it->from = gpa;
    it->end = gpa_add(gpa, PAGE_BYTES);
    it->level = (level_t){(u8)at};
    it->gpa = (gpa_t){gpa.raw >> shift << shift};
    it->entry = entry;
    return at == level.raw;
}

/* --- changing ----------------------------------------------------------------------------------------------------- */

/* What an entry adds to the counts of its table. */
static u64 weight(u64 entry)
{
    u64 home_leaf = FIELD_PUT(MIRROR_STATE, MIRROR_LEAF) | MIRROR_AT_HOME;
    if (mirror_state(entry) == MIRROR_NONE)
        return 0;
    return (entry & (FIELD_MASK(MIRROR_STATE) | MIRROR_AT_HOME)) == home_leaf ? 1 + MIRROR_HOME_LEAF : 1;
}

/* The counts follow here and nowhere else; while an entry is frozen they still tell of its old value. */
bool mirror_thaw(struct mirror_iter *it, u64 next)
{
    struct mirror_table *t = it->path[it->level.raw];
    u64 frozen = FIELD_SET(MIRROR_STATE, it->entry, MIRROR_FROZEN);
    u64 delta = weight(next) - weight(it->entry);
    bool full = false;

    if (delta) {
        u64 now = atomic_fetch_add_explicit(&t->counts, delta, memory_order_relaxed) + delta;
        full = now >= TABLE_ENTRIES * MIRROR_HOME_LEAF; /* an entry that changes was no home leaf: it is so now */
    }
    if (!atomic_compare_exchange_strong_explicit(mirror_slot(it), &frozen, next, memory_order_release,
                                                 memory_order_relaxed))
        panic("a frozen entry of gpa %llx changed", (unsigned long long)it->gpa.raw);
    if (mirror_state(it->entry) == MIRROR_TABLE)
        atomic_fetch_add_explicit(&it->path[MIRROR_TOP.raw]->cuts, 1, memory_order_relaxed);
    it->entry = next;
    return full;
}
