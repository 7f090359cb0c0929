/*
 * From the firmware's hands to the console: what boot/ leaves behind, and the start-up order.
 */
#ifndef KERNEL_START_H
#define KERNEL_START_H

#include "kernel/options.h"
#include "kernel/script.h"
#include "lib/addr.h"
#include "tdx/module.h"

#define BOOT_RANGES_MAX 256

struct boot_info {
    struct options options;
    hpa_t rsdp;                                /* HPA_NONE: the firmware has none */
    const char *tdx_missing;                   /* what the platform lacks, NULL: nothing */
    struct phys_range memory[BOOT_RANGES_MAX]; /* free after boot services: sorted, page aligned, above 1 MiB */
    unsigned memory_count;
    u64 memory_top; /* end of all memory, for the page tables */
    hpa_t guard;    /* the page below the stack */
    hpa_t pool;     /* pages for the page tables */
    u64 pool_pages;
    struct script_file *files;
    unsigned file_count;
};

/* On the final stack, boot services gone, interrupts off. Takes a `const struct boot_info *`; never returns. */
void kernel_start(void *boot_info);

/* Memory that may ever be given to TDs, for tdx_module_init(). */
const struct boot_info *kernel_boot_info(void);

#endif
