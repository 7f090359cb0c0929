/* Lists of physical ranges: see lib/ranges.h. */
#include "lib/ranges.h"

#include "lib/bits.h"

/* The first range that ends behind `at`. What is added in ascending order is found at once. */
static unsigned first_behind(const struct phys_ranges *l, u64 at)
{
    unsigned low = 0, high = l->count;

    if (high && range_end(&l->r[high - 1]) <= at)
        return high;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (range_end(&l->r[middle]) <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove(struct phys_ranges *l, unsigned at, unsigned count)
{
    l->count -= count;
    for (; count && at < l->count; at++)
        l->r[at] = l->r[at + count];
}

static void give_up(struct phys_ranges *l, u64 bytes)
{
    l->given_up_bytes += bytes;
    l->given_up++;
}

static unsigned smallest(const struct phys_ranges *l)
{
    unsigned found = 0;

    for (unsigned i = 1; i < l->count; i++)
        if (l->r[i].bytes < l->r[found].bytes)
            found = i;
    return found;
}

static void insert(struct phys_ranges *l, unsigned at, struct phys_range new)
{
    if (l->count == l->max) {
        unsigned least = smallest(l);
        if (new.bytes <= l->r[least].bytes) {
            give_up(l, new.bytes);
            return;
        }
        give_up(l, l->r[least].bytes);
        remove(l, least, 1);
        at -= least < at;
    }
    for (unsigned i = l->count++; i > at; i--)
        l->r[i] = l->r[i - 1];
    l->r[at] = new;
}

static u64 common_bytes(const struct phys_range *r, u64 from, u64 to)
{
    from = max_u64(from, r->base.raw);
    to = min_u64(to, range_end(r));
    return from < to ? to - from : 0;
}

/* Those that touch [from, to) are joined with it: the first of them is `at`, for which `from` may lie at its end. */
u64 ranges_add(struct phys_ranges *l, u64 from, u64 to)
{
    u64 twice = 0, base = from, end = to;
    unsigned at, past;

    if (from >= to)
        return 0;
    at = first_behind(l, from ? from - 1 : 0);
    for (past = at; past < l->count && l->r[past].base.raw <= to; past++) {
        twice += common_bytes(&l->r[past], from, to);
        base = min_u64(base, l->r[past].base.raw);
        end = max_u64(end, range_end(&l->r[past]));
    }
    if (past == at) {
        insert(l, at, (struct phys_range){{from}, to - from});
        return 0;
    }
    l->r[at] = (struct phys_range){{base}, end - base};
    remove(l, at + 1, past - at - 1);
    return twice;
}

u64 ranges_cut(struct phys_ranges *l, u64 from, u64 to)
{
    u64 cut = 0;
    unsigned at = first_behind(l, from);

    while (from < to && at < l->count && l->r[at].base.raw < to) {
        struct phys_range old = l->r[at], behind = {{to}, range_end(&old) - to};
        cut += common_bytes(&old, from, to);
        bool leaves_front = old.base.raw<from, leaves_back = range_end(&old)> to;
        if (leaves_front)
            l->r[at++].bytes = from - old.base.raw;
        if (leaves_back && leaves_front)
            insert(l, at, behind);
        else if (leaves_back)
            l->r[at] = behind;
        else if (!leaves_front)
            remove(l, at, 1);
        if (leaves_back)
            break;
    }
    return cut;
}

void ranges_trim(struct phys_ranges *l, unsigned max)
{
    while (l->count > max) {
        unsigned least = smallest(l);
        give_up(l, l->r[least].bytes);
        remove(l, least, 1);
    }
}

bool ranges_hold(const struct phys_ranges *l, u64 from, u64 to)
{
    unsigned at = first_behind(l, from);
    return at < l->count && l->r[at].base.raw <= from && to >= from && to <= range_end(&l->r[at]);
}

u64 ranges_bytes(const struct phys_ranges *l)
{
    u64 sum = 0;

    for (unsigned i = 0; i < l->count; i++)
        sum += l->r[i].bytes;
    return sum;
}

u64 ranges_units(const struct phys_ranges *l, unsigned shift)
{
    u64 units = 0, next = 0;

    for (unsigned i = 0; i < l->count; i++) {
        u64 first = max_u64(l->r[i].base.raw >> shift, next), past = ((range_end(&l->r[i]) - 1) >> shift) + 1;
        units += past > first ? past - first : 0;
        next = max_u64(next, past);
    }
    return units;
}
