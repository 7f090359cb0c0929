/*
 * Which NUMA node memory and CPUs belong to: ACPI's SRAT. ACPI 6.5, section 5.2.16. Nodes are numbered from 0 in the order in which
 * the proximity domains of memory appear, then those that have CPUs alone.
 */
#ifndef DRIVERS_SRAT_H
#define DRIVERS_SRAT_H

#include "lib/ranges.h"

#define SRAT_NODES_MAX  64u
#define SRAT_RANGES_MAX 256u
#define SRAT_CPUS_MAX   1024u

struct srat {
    unsigned node_count; /* 0: the machine says nothing of nodes; all memory is of node 0 then */
    u32 domains[SRAT_NODES_MAX];
    unsigned range_count;
    struct srat_range { /* sorted and apart */
        struct phys_range memory;
        u32 node;
    } ranges[SRAT_RANGES_MAX];
    unsigned cpu_count;
    struct srat_cpu {
        u32 apic_id, node;
    } cpus[SRAT_CPUS_MAX];
};

/* `t`: a table whose length and checksum are right. Ranges that overlap those of another node, or find no room, are not used, and a
 * warning says so. */
void srat_read(const u8 *t, u32 bytes, struct srat *s);

/* The node of the memory at `at`, 0 where none is said, and where what is said of it ends. */
unsigned srat_node(const struct srat *s, hpa_t at, hpa_t *end);
/* Where memory of another node begins behind `at`, whatever gaps are in between; HPA_NONE. */
hpa_t srat_border(const struct srat *s, hpa_t at);
/* The node of a CPU, 0 where none is said. */
unsigned srat_cpu_node(const struct srat *s, u32 apic_id);

#endif
