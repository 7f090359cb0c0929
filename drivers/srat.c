/* ACPI's SRAT: see srat.h. Fields are read bytewise: tables need not be aligned. */
#include "drivers/srat.h"

#include "lib/bits.h"
#include "lib/log.h"
#include "lib/unaligned.h"

#define SRAT_ENTRIES   48u
#define MEMORY_TYPE    1u
#define MEMORY_BYTES   40u
#define MEMORY_DOMAIN  2u
#define MEMORY_BASE    8u
#define MEMORY_LENGTH  16u
#define MEMORY_FLAGS   28u
#define MEMORY_ENABLED 1u

/* SRAT_NODES_MAX: there is no room for one more. */
static u32 node_of_domain(struct srat *s, u32 domain)
{
    u32 node = 0;

    while (node < s->node_count && s->domains[node] != domain)
        node++;
    if (node == s->node_count && node < SRAT_NODES_MAX)
        s->domains[s->node_count++] = domain;
    return node;
}

/* The first range that ends behind `at`. */
static unsigned first_behind(const struct srat *s, u64 at)
{
    unsigned i = 0;

    while (i < s->range_count && range_end(&s->ranges[i].memory) <= at)
        i++;
    return i;
}

static void insert(struct srat *s, unsigned at, struct srat_range new)
{
    for (unsigned i = s->range_count++; i > at; i--)
        s->ranges[i] = s->ranges[i - 1];
    s->ranges[at] = new;
}

/* A range that continues one of its node, as firmware lists them, joins it. False: no room, or another range is there. */
static bool add_range(struct srat *s, struct srat_range new)
{
    u64 base = new.memory.base.raw, end = range_end(&new.memory);
    unsigned at = first_behind(s, base);

    if (at < s->range_count && s->ranges[at].memory.base.raw < end)
        return false;
    struct srat_range *before = at ? &s->ranges[at - 1] : NULL;
    if (before && range_end(&before->memory) == base && before->node == new.node) {
        before->memory.bytes += new.memory.bytes;
        return true;
    }
    if (s->range_count == SRAT_RANGES_MAX)
        return false;
    insert(s, at, new);
    return true;
}

/* False: it cannot be used. */
static bool read_memory(struct srat *s, const u8 *e)
{
    struct srat_range new = {.memory = {{read64(e + MEMORY_BASE)}, read64(e + MEMORY_LENGTH)}};

    if (!(read32(e + MEMORY_FLAGS) & MEMORY_ENABLED) || new.memory.bytes == 0)
        return true;
    if (new.memory.bytes > ~0ull - new.memory.base.raw)
        return false;
    new.node = node_of_domain(s, read32(e + MEMORY_DOMAIN));
    return new.node < SRAT_NODES_MAX &&add_range(s, new);
}

void srat_read(const u8 *t, u32 bytes, struct srat *s)
{
    unsigned unused = 0;

    if (s->node_count != 0) {
        log_msg(LOG_WARN, "acpi: a second SRAT, not used");
        return;
    }
    for (u32 at = SRAT_ENTRIES; at + 2 <= bytes;) {
        u32 len = t[at + 1];
        if (len < 2 || at + len > bytes)
            break;
        if (t[at] == MEMORY_TYPE && len >= MEMORY_BYTES)
            unused += !read_memory(s, t + at);
        at += len;
    }
    if (unused != 0)
        log_msg(LOG_WARN, "acpi: SRAT: %u ranges overlap others or are too many, their memory counts as node 0's",
                unused);
}

unsigned srat_node(const struct srat *s, hpa_t at, hpa_t *end)
{
    unsigned i = first_behind(s, at.raw);

    if (i == s->range_count) {
        *end = HPA_NONE;
        return 0;
    }
    bool inside = s->ranges[i].memory.base.raw <= at.raw;
    *end = (hpa_t){inside ? range_end(&s->ranges[i].memory) : s->ranges[i].memory.base.raw};
    return inside ? s->ranges[i].node : 0;
}

hpa_t srat_border(const struct srat *s, hpa_t at)
{
    unsigned first = first_behind(s, at.raw), i = first;

    while (i < s->range_count && s->ranges[i].node == s->ranges[first].node)
        i++;
    return i < s->range_count ? s->ranges[i].memory.base : HPA_NONE;
}
