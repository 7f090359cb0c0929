/*
 * The VMM's own page tables: physical memory mapped one to one by the largest pages, nothing both writable and
 * executable, page 0 and the guard under the stack not there. SDM vol. 3, section 4.5. Only start-up code changes
 * them.
 */
#ifndef KERNEL_HW_PAGING_H
#define KERNEL_HW_PAGING_H

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/ranges.h"

struct paging_config {
    const struct phys_ranges *memory; /* each GiB that holds some of it is mapped, and the first four */
    hpa_t pool;                       /* pages for tables: the VMM's for ever */
    u64 pool_pages;
    const hpa_t *uncached; /* pages of registers: APICs */
    unsigned uncached_count;
    hpa_t guard;      /* one page that must not be mapped */
    hpa_t trampoline; /* one page that other CPUs start in: writable, and no text of the image, but executable */
};

/* Builds the tables and switches to them. ERR_NO_MEMORY: the pool is too small, nothing is changed. */
MUST_CHECK enum err paging_init(const struct paging_config *config);

/* Takes one page of memory out of the tables, for good: a stack's guard. Only while no other CPU runs on them, or has
 * touched the page. ERR_NO_MEMORY: no page for a table. */
MUST_CHECK enum err paging_unmap(hpa_t page);

/* What was data may be executed from here on, so that the firmware's runtime code can: at the machine's end. */
void paging_let_firmware_run(void);

#endif
