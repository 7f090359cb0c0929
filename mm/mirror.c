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
    ASSERT(m->root->used == 0);
    mirror_table_free(m->root);
    m->root = NULL;
}

/* Two pages a table: 512 entries fill the first, the counts have the second to themselves. Beside the 2M of memory
 * that a table stands for this is nothing, and a table is found from its entry without a second look-up. */
struct mirror_table *mirror_table_new(void)
{
    struct mirror_table *t = page_take(sizeof(*t));
    if (t && page_alloc(LEVEL_4K, &t->sept) != ERR_OK) {
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

static _Atomic u64 *current(const struct mirror_iter *it)
{
    return &it->path[it->level.raw]->entry[gpa_index(it->gpa, it->level)];
}

/* Nobody who has an entry frozen waits for a lock of the VMM's, only for the module and for vCPUs to leave. */
static void load(struct mirror_iter *it)
{
    it->entry = atomic_load_explicit(current(it), memory_order_acquire);
    for (u64 spins = 0; mirror_state(it->entry) == MIRROR_FROZEN && spins < FROZEN_SPINS; spins++) {
        cpu_relax();
        it->entry = atomic_load_explicit(current(it), memory_order_acquire);
    }
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
    mirror_begin(it, m, gpa, gpa_add(gpa, PAGE_BYTES));
    while (it->level.raw > level.raw) {
        if (mirror_state(it->entry) != MIRROR_TABLE)
            return false;
        mirror_down(it);
    }
    return true;
}

/* --- changing ----------------------------------------------------------------------------------------------------- */

bool mirror_freeze(struct mirror_iter *it)
{
    u64 old = it->entry, frozen = FIELD_SET(MIRROR_STATE, old, MIRROR_FROZEN);
    if (mirror_state(old) == MIRROR_FROZEN)
        return false;
    return atomic_compare_exchange_strong_explicit(current(it), &old, frozen, memory_order_acquire,
                                                   memory_order_relaxed);
}

static bool counts_at_home(u64 entry)
{
    return mirror_state(entry) == MIRROR_LEAF && (entry & MIRROR_AT_HOME);
}

/* The counts follow here and nowhere else; while an entry is frozen they still tell of its old value. */
bool mirror_thaw(struct mirror_iter *it, u64 next)
{
    struct mirror_table *t = it->path[it->level.raw];
    u64 frozen = FIELD_SET(MIRROR_STATE, it->entry, MIRROR_FROZEN);
    u32 used = (mirror_state(next) != MIRROR_NONE) - (u32)(mirror_state(it->entry) != MIRROR_NONE);
    u32 home = counts_at_home(next) - (u32)counts_at_home(it->entry);

    if (used)
        atomic_fetch_add_explicit(&t->used, used, memory_order_relaxed);
    bool full = home && atomic_fetch_add_explicit(&t->home_leaves, home, memory_order_relaxed) + home == TABLE_ENTRIES;
    if (!atomic_compare_exchange_strong_explicit(current(it), &frozen, next, memory_order_release,
                                                 memory_order_relaxed))
        panic("a frozen entry of gpa %llx changed", (unsigned long long)it->gpa.raw);
    it->entry = next;
    return full;
}
