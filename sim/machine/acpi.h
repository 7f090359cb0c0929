/* The firmware's tables: its list of CPUs where they are shown with other APIC IDs or not at all, and tables as bad firmware leaves them. */
#ifndef SIM_MACHINE_ACPI_H
#define SIM_MACHINE_ACPI_H

#include "sim/types.h"

#define ACPI_MADT_BYTES_MAX 8192

/*
 * Writes the MADT anew into `room` of ACPI_MADT_BYTES_MAX bytes, where the XSDT names it from then on: CPUs other than `own` with
 * APIC IDs that are `base` higher, as local x2APICs. False: there is no XSDT or MADT, or it is too long; nothing has changed.
 */
bool acpi_show_ids(void *rsdp, void *room, u32 own, u32 base);

/* Takes a CPU out of the MADT's list. False: there is no XSDT or MADT, or it does not list that one. */
bool acpi_hide_cpu(void *rsdp, u32 apic_id);

/*
 * Damages each table that a VMM wants in another way: the HPET's checksum, the FADT's length, in the MADT the length of the last
 * CPU's entry, which is 0 then; and the XSDT's last entry names the XSDT. False: one of them is not there.
 */
bool acpi_damage(void *rsdp);

#endif
