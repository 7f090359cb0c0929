/* What boot/ leaves behind for the kernel: options, memory, scripts. */
#ifndef KERNEL_BOOT_INFO_H
#define KERNEL_BOOT_INFO_H

#include "kernel/memory_map.h"
#include "kernel/options.h"
#include "kernel/console/script.h"
#include "tdx/check.h"
#include "tdx/seamldr.h"

#define BOOT_FILE_NAME_BYTES 64

/* A file of the boot volume, in memory that is never given to a TD. */
struct boot_file {
    char name[BOOT_FILE_NAME_BYTES];
    const void *content; /* whole pages, zero behind the file's end; NULL: it could not be read */
    u64 bytes;
};

struct boot_info {
    struct options options;
    hpa_t rsdp;                /* HPA_NONE: the firmware has none */
    struct serial_port serial; /* the console's line; base 0: there is none */
    const char *serial_by;     /* who named it */
    const char *tdx_missing;   /* what the platform lacks, NULL: nothing */
    u64 reset_system;          /* the firmware's ResetSystem; 0: there is none */
    bool cpuid_was_limited;    /* by the firmware, on CPU 0: it is not any more */
    enum tdx_secure_boot secure_boot;
    struct memory_map map;
    hpa_t trampoline; /* a page below 1 MiB, where other CPUs start */
    hpa_t guard;      /* the page below the stack */
    hpa_t pool;       /* pages for the page tables */
    u64 pool_pages;
    struct seamldr_files module; /* what the options name; no bytes: nothing */
    struct script_file *files;
    unsigned file_count;
    struct boot_file *linux_files; /* of the folder \\linux: kernels and initrds */
    unsigned linux_count;
};

/* All of [at, at + bytes) is described as memory, free or used, by what boot_info_set() was given. */
bool boot_info_is_described(hpa_t at, u64 bytes);
/* All of it is what the firmware gives away: ordinary memory, and no registers. False before boot_info_set(). */
bool boot_info_is_free(hpa_t at, u64 bytes);

void boot_info_set(const struct boot_info *info);
const struct boot_info *boot_info(void);

#endif
