/* The shared EPT: see mm/shared_ept.h. */
#include "mm/shared_ept.h"

#include <stdatomic.h>

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "mm/page.h"

/* An EPT entry. SDM volume 3, "Format of an EPT page-table entry". */
#define EPT_RWX         7ull
#define EPT_TYPE_WB     (6ull << 3)
#define EPT_LARGE       BIT(7)
#define EPT_SUPPRESS_VE BIT(63)
#define EPT_DEVICE      0ull /* not present, and #VE says so */
#define EPT_PAGE_SHIFT  12
#define EPT_PAGE_WIDTH  40

#define EPT_TOP LEVEL_512G

static _Atomic u64 *slot_of(hpa_t table, u64 address, level_t level)
{
    _Atomic u64 *entries = phys_ptr(table);
    return &entries[gpa_index((gpa_t){address}, level)];
}

static bool is_present(u64 entry)
{
    return entry & EPT_RWX;
}

static bool is_leaf(u64 entry, level_t level)
{
    return is_present(entry) && (level.raw == 0 || (entry & EPT_LARGE));
}

static hpa_t page_of(u64 entry)
{
    return (hpa_t){entry & FIELD_MASK(EPT_PAGE)};
}

static u64 leaf_entry(hpa_t page, level_t level)
{
    return page.raw | EPT_RWX | EPT_TYPE_WB | (level.raw ? EPT_LARGE : 0) | EPT_SUPPRESS_VE;
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

static void fill_table(hpa_t table, u64 first, u64 step)
{
    _Atomic u64 *entries = phys_ptr(table);
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        atomic_store_explicit(&entries[i], first + i * step, memory_order_relaxed);
}

/* A table of entries that begin with `first` and grow by `step`. */
static enum err new_table(struct shared_ept *s, u64 first, u64 step, hpa_t *table)
{
    enum err e = page_alloc_zeroed_near(s->node, table);
    if (e != ERR_OK)
        return e;
    fill_table(*table, first, step);
    s->tables++;
    return ERR_OK;
}

enum err shared_ept_create(struct shared_ept *s, unsigned shared_bit, unsigned node)
{
    *s = (struct shared_ept){.root = HPA_NONE, .node = node, .shared_bit = BIT(shared_bit)};
    return new_table(s, EPT_SUPPRESS_VE, 0, &s->root);
}

static void free_table(struct shared_ept *s, hpa_t table, level_t level)
{
    _Atomic u64 *entries = phys_ptr(table);
    for (unsigned i = 0; level.raw > 0 && i < TABLE_ENTRIES; i++)
        if (is_present(entries[i]) && !is_leaf(entries[i], level))
            free_table(s, page_of(entries[i]), level_below(level)); /* at most three deep */
    page_free(table, LEVEL_4K);
    s->tables--;
}

void shared_ept_destroy(struct shared_ept *s)
{
    if (!hpa_is(s->root, HPA_NONE))
        free_table(s, s->root, EPT_TOP);
    *s = (struct shared_ept){.root = HPA_NONE};
}

/* A table below `at`: a fresh one, or one that says at 4K what the 2M leaf said. One exchange makes it visible; where
 * another CPU was first, its table is as good. */
static enum err grow(struct shared_ept *s, _Atomic u64 *at, level_t level)
{
    u64 old = atomic_load(at);
    hpa_t table;
    enum err e = is_present(old) ? new_table(s, leaf_entry(page_of(old), level_below(level)), PAGE_BYTES, &table)
                                 : new_table(s, EPT_SUPPRESS_VE, 0, &table);
    if (e != ERR_OK)
        return e;
    if (!atomic_compare_exchange_strong_explicit(at, &old, table.raw | EPT_RWX, memory_order_release,
                                                 memory_order_relaxed)) {
        page_free(table, LEVEL_4K);
        s->tables--;
    }
    return ERR_OK;
}

/* --- ranges ------------------------------------------------------------------------------------------------------- */

/* The entry that ends the way to `address`, at `stop` or above; its level goes to `level`. */
static _Atomic u64 *find(const struct shared_ept *s, u64 address, level_t stop, level_t *level)
{
    hpa_t table = s->root;
    for (*level = EPT_TOP;; *level = level_below(*level)) {
        _Atomic u64 *at = slot_of(table, address, *level);
        u64 entry = atomic_load(at);
        if (level_is(*level, stop) || !is_present(entry) || is_leaf(entry, *level))
            return at;
        table = page_of(entry);
    }
}

/* Tables down to `stop`; a larger leaf on the way is split. */
static enum err grow_to(struct shared_ept *s, u64 address, level_t stop)
{
    for (;;) {
        level_t level;
        _Atomic u64 *at = find(s, address, stop, &level);
        if (level_is(level, stop))
            return ERR_OK;
        enum err e = grow(s, at, level);
        if (e != ERR_OK)
            return e;
    }
}

/* The end of what one 2M entry holds of [address, end). */
static u64 region_end(u64 address, u64 end)
{
    return min_u64(align_down(address, level_bytes(LEVEL_2M)) + level_bytes(LEVEL_2M), end);
}

static bool is_whole_region(u64 address, u64 end)
{
    return is_aligned(address, level_bytes(LEVEL_2M)) && end - address == level_bytes(LEVEL_2M);
}

enum err shared_ept_prepare(struct shared_ept *s, const struct slot *slot, gpa_t gpa, u64 bytes)
{
    u64 address = gpa.raw | s->shared_bit, end = address + bytes;
    for (u64 next; address < end; address = next) {
        next = region_end(address, end);
        gpa_t at = {address & ~s->shared_bit};
        bool large = is_whole_region(address, next) && slot_may_be(slot, at, LEVEL_2M);
        enum err e = grow_to(s, address, large ? LEVEL_2M : LEVEL_4K);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

void shared_ept_cut(struct shared_ept *s, gpa_t gpa, hpa_t *spare)
{
    level_t level;
    _Atomic u64 *at = find(s, gpa.raw | s->shared_bit, LEVEL_4K, &level);
    u64 old = atomic_load(at);

    if (!level_is(level, LEVEL_2M)) /* cut already, or far from anything shared */
        return;
    cpu_reset_pages(*spare, PAGE_BYTES);
    if (is_present(old))
        fill_table(*spare, leaf_entry(page_of(old), LEVEL_4K), PAGE_BYTES);
    else
        fill_table(*spare, EPT_SUPPRESS_VE, 0);
    s->tables++;
    atomic_store_explicit(at, spare->raw | EPT_RWX, memory_order_release);
    *spare = HPA_NONE;
}

/* The region has a table. */
static void set_4k(struct shared_ept *s, const struct slot *slot, u64 address, u64 end)
{
    for (; address < end; address += PAGE_BYTES) {
        level_t level;
        _Atomic u64 *at = find(s, address, LEVEL_4K, &level);
        ASSERT(level_is(level, LEVEL_4K));
        u64 old = atomic_load(at);
        gpa_t gpa = {address & ~s->shared_bit};
        atomic_store_explicit(at, slot ? leaf_entry(slot_page(slot, gpa), LEVEL_4K) : EPT_SUPPRESS_VE,
                              memory_order_release);
        s->bytes += (slot ? PAGE_BYTES : 0) - (is_present(old) ? PAGE_BYTES : 0);
    }
}

/* One 2M entry without a table below it: maps, or with no slot unmaps, the region at once. */
static void set_2m(struct shared_ept *s, const struct slot *slot, _Atomic u64 *at, u64 address)
{
    u64 old = atomic_load(at);
    gpa_t gpa = {address & ~s->shared_bit};
    atomic_store_explicit(at, slot ? leaf_entry(slot_page(slot, gpa), LEVEL_2M) : EPT_SUPPRESS_VE,
                          memory_order_release);
    s->bytes += (slot ? level_bytes(LEVEL_2M) : 0) - (is_present(old) ? level_bytes(LEVEL_2M) : 0);
}

static void set_range(struct shared_ept *s, const struct slot *slot, gpa_t gpa, u64 bytes)
{
    u64 address = gpa.raw | s->shared_bit, end = address + bytes;
    for (u64 next; address < end; address = next) {
        level_t level;
        next = region_end(address, end);
        _Atomic u64 *at = find(s, address, LEVEL_2M, &level);
        u64 entry = atomic_load(at);
        if (is_whole_region(address, next) && (!is_present(entry) || is_leaf(entry, LEVEL_2M)))
            set_2m(s, slot, at, address);
        else
            set_4k(s, slot, address, next);
    }
}

void shared_ept_map(struct shared_ept *s, const struct slot *slot, gpa_t gpa, u64 bytes)
{
    set_range(s, slot, gpa, bytes);
}

void shared_ept_clear(struct shared_ept *s, gpa_t gpa, u64 bytes)
{
    set_range(s, NULL, gpa, bytes);
}

enum err shared_ept_set_device(struct shared_ept *s, gpa_t gpa, u64 bytes)
{
    u64 address = gpa.raw | s->shared_bit, end = address + bytes;

    for (; address < end; address += PAGE_BYTES) {
        level_t level;
        enum err e = grow_to(s, address, LEVEL_4K);
        if (e != ERR_OK)
            return e;
        atomic_store_explicit(find(s, address, LEVEL_4K, &level), EPT_DEVICE, memory_order_release);
    }
    return ERR_OK;
}

struct shared_leaf shared_ept_walk(const struct shared_ept *s, gpa_t gpa)
{
    struct shared_leaf leaf = {.page = HPA_NONE};
    u64 address = gpa.raw | s->shared_bit;

    leaf.raw = atomic_load(find(s, address, LEVEL_4K, &leaf.level));
    if (is_present(leaf.raw))
        leaf.page = hpa_add(page_of(leaf.raw), address & (level_bytes(leaf.level) - PAGE_BYTES));
    return leaf;
}
