/* What boot/ leaves behind for the kernel: options, memory, scripts. */
#ifndef KERNEL_BOOT_INFO_H
#define KERNEL_BOOT_INFO_H

#include "kernel/options.h"
#include "kernel/console/script.h"
#include "tdx/module.h"

#define BOOT_RANGES_MAX 256

struct boot_info {
    struct options options;
    hpa_t rsdp;                                /* HPA_NONE: the firmware has none */
    const char *tdx_missing;                   /* what the platform lacks, NULL: nothing */
    struct phys_range memory[BOOT_RANGES_MAX]; /* free after boot services: sorted, page aligned, above 1 MiB */
    unsigned memory_count;
    struct phys_range described[BOOT_RANGES_MAX]; /* what is no device: free or used; sorted, from 0 on */
    unsigned described_count;
    u64 memory_top;   /* end of all memory, for the page tables */
    hpa_t trampoline; /* a page below 1 MiB, where other CPUs start */
    hpa_t guard;      /* the page below the stack */
    hpa_t pool;       /* pages for the page tables */
    u64 pool_pages;
    struct script_file *files;
    unsigned file_count;
};

/* Adds free memory to the list, which stays sorted and joined. What lies below 1 MiB is left alone: real-mode
 * structures of the firmware. Ranges do not overlap. A range that finds no
 * room is lost memory, not an error. */
void boot_info_add_memory(struct boot_info *info, hpa_t base, u64 bytes);

/* The same for what can be read, from 0 on. */
void boot_info_add_described(struct boot_info *info, hpa_t base, u64 bytes);
/* All of [at, at + bytes) is described, by what boot_info_set() was given. */
bool boot_info_is_described(hpa_t at, u64 bytes);

void boot_info_set(const struct boot_info *info);
const struct boot_info *boot_info(void);

#endif
