/* ACPI's SRAT: see srat.h. Fields are read bytewise: tables need not be aligned. */
#include "drivers/srat.h"

#include "lib/bits.h"
#include "lib/log.h"
#include "lib/unaligned.h"

#define SRAT_ENTRIES   48u
#define APIC_TYPE      0u
#define APIC_BYTES     16u
#define APIC_DOMAIN    2u /* bits 7:0 */
#define APIC_ID        3u
#define APIC_FLAGS     4u
#define APIC_DOMAIN_HI 8u /* the upper three bytes: bits 31:8 of the domain; the lowest is no part of it */
#define MEMORY_TYPE    1u
#define MEMORY_BYTES   40u
#define MEMORY_DOMAIN  2u
#define MEMORY_BASE    8u
#define MEMORY_LENGTH  16u
#define MEMORY_FLAGS   28u
#define X2APIC_TYPE    2u
#define X2APIC_BYTES   24u
#define X2APIC_DOMAIN  4u
#define X2APIC_ID      8u
#define X2APIC_FLAGS   12u
#define ENABLED        1u /* in the flags of each */

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

    if (!(read32(e + MEMORY_FLAGS) & ENABLED) || new.memory.bytes == 0)
        return true;
    if (new.memory.bytes > ~0ull - new.memory.base.raw)
        return false;
    new.node = node_of_domain(s, read32(e + MEMORY_DOMAIN));
    return new.node < SRAT_NODES_MAX &&add_range(s, new);
}

/* The same. What is said of an APIC id first holds. */
static bool add_cpu(struct srat *s, u32 apic_id, u32 domain)
{
    u32 node = node_of_domain(s, domain);

    if (node == SRAT_NODES_MAX || s->cpu_count == SRAT_CPUS_MAX)
        return false;
    s->cpus[s->cpu_count++] = (struct srat_cpu){apic_id, node};
    return true;
}

static bool read_apic(struct srat *s, const u8 *e)
{
    u32 domain = (read32(e + APIC_DOMAIN_HI) & ~0xffu) | e[APIC_DOMAIN];
    return !(read32(e + APIC_FLAGS) & ENABLED) || add_cpu(s, e[APIC_ID], domain);
}

static bool read_x2apic(struct srat *s, const u8 *e)
{
    return !(read32(e + X2APIC_FLAGS) & ENABLED) || add_cpu(s, read32(e + X2APIC_ID), read32(e + X2APIC_DOMAIN));
}

struct entry_kind {
    u8 type, bytes;
    bool (*read)(struct srat *s, const u8 *entry);
};

/* How many entries of the kind can't be used. */
static unsigned read_all(struct srat *s, const u8 *t, u32 bytes, const struct entry_kind *kind)
{
    unsigned unused = 0;

    for (u32 at = SRAT_ENTRIES; at + 2 <= bytes;) {
        u32 len = t[at + 1];
        if (len < 2 || at + len > bytes)
            break;
        if (t[at] == kind->type && len >= kind->bytes)
            unused += !kind->read(s, t + at);
        at += len;
    }
    return unused;
}

/* Memory first: nodes are numbered by it. */
void srat_read(const u8 *t, u32 bytes, struct srat *s)
{
    static const struct entry_kind memory = {MEMORY_TYPE, MEMORY_BYTES, read_memory},
                                   apic = {APIC_TYPE, APIC_BYTES, read_apic},
                                   x2apic = {X2APIC_TYPE, X2APIC_BYTES, read_x2apic};

    if (s->node_count != 0) {
        log_msg(LOG_WARN, "acpi: a second SRAT, not used");
        return;
    }
    unsigned ranges = read_all(s, t, bytes, &memory);
    unsigned cpus = read_all(s, t, bytes, &apic) + read_all(s, t, bytes, &x2apic);

    if (ranges != 0)
        log_msg(LOG_WARN, "acpi: SRAT: %u ranges overlap others or are too many, their memory counts as node 0's",
                ranges);
    if (cpus != 0)
        log_msg(LOG_WARN, "acpi: SRAT: %u CPUs, or their domains, are too many; they count as node 0's", cpus);
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

unsigned srat_cpu_node(const struct srat *s, u32 apic_id)
{
    for (unsigned i = 0; i < s->cpu_count; i++)
        if (s->cpus[i].apic_id == apic_id)
            return s->cpus[i].node;
    return 0;
}
