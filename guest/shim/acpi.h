/*
 * The ACPI tables of the machine of machine.h: RSDP, XSDT, FADT, MADT, DSDT. ACPI 6.5, chapter 5. Pure: tables are written where
 * they are to lie, and name each other by the address that they have there.
 */
#ifndef GUEST_SHIM_ACPI_H
#define GUEST_SHIM_ACPI_H

#include <stdint.h>

#define ACPI_ROOM_BYTES 4096u /* enough for 64 vCPUs, which tests see to */

/* Of multiprocessor wakeup: the mailbox, and where the kernel sends vCPUs back to. */
struct acpi_wakeup {
    uint64_t mailbox, reset_vector;
};

/* Into `room`, 16-byte aligned, zeroed, which lies at `address` in the TD. Address of the RSDP. */
uint64_t acpi_build(void *room, uint64_t address, uint32_t vcpus, const struct acpi_wakeup *wakeup);

#endif
