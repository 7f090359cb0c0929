/* What a machine's firmware leaves behind, for the lab: memory, ACPI tables, options and a script; and the start of CPUs. */
#ifndef LAB_FIRMWARE_H
#define LAB_FIRMWARE_H

#include "kernel/console/script.h"

#define FIRMWARE_PM1A_CONTROL 0x604u /* power-off: SLP_EN there */
#define FIRMWARE_IOAPIC       0xfec00000ull

#define FIRMWARE_FILES_MAX 16u

/* `files` are those of the boot volume, the first is the script that runs at start. All stays the caller's. */
struct firmware_config {
    unsigned cpus;
    u64 memory_bytes; /* above MEMORY_BASE */
    struct script_file files[FIRMWARE_FILES_MAX];
    unsigned file_count;
};

/* Starts the machine and Septum on it; never returns. */
_Noreturn void firmware_boot(struct firmware_config *config);
/* A start-up IPI has come to this CPU: it goes where kernel/hw/ap.h aimed the trampoline. */
void firmware_start_cpu(unsigned cpu);

#endif
