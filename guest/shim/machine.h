/*
 * The virtual machine that a Linux in the TD finds: described to it by the shim's ACPI tables and memory map, served by the VMM.
 * Beside handover.h all that the two know of each other. ACPI 6.5: hardware-reduced, section 4.1; sleep registers, 4.8.3.7;
 * multiprocessor wakeup, 5.2.12.19 (with a reset vector in ACPI 6.6).
 *
 * There is no RTC, PIT, PIC, i8042, VGA and PCI. A read of a port where nothing is answers 0: what Linux would wait for on a bus
 * that floats high it does not wait for then.
 */
#ifndef GUEST_SHIM_MACHINE_H
#define GUEST_SHIM_MACHINE_H

/* A 16550A: the console, ttyS0. Edge-triggered. */
#define MACHINE_UART_PORT  0x3f8u
#define MACHINE_UART_PORTS 8u
#define MACHINE_UART_GSI   4u

/* Local APICs are x2APICs from the start, APIC id = index of the vCPU. One I/O APIC, for GSI 0 and following. */
#define MACHINE_IOAPIC_GPA  0xfec00000ull
#define MACHINE_IOAPIC_ID   0u
#define MACHINE_IOAPIC_PINS 24u
#define MACHINE_LAPIC_GPA   0xfee00000ull /* what MADT has to name; nobody goes there */

/* Each of one byte. SLEEP_CONTROL: SLP_TYP in bits 4:2, SLP_EN in bit 5. */
#define MACHINE_SLEEP_CONTROL_PORT 0x600u
#define MACHINE_SLEEP_STATUS_PORT  0x601u
#define MACHINE_RESET_PORT         0x602u
#define MACHINE_RESET_VALUE        1u
#define MACHINE_SLP_TYP_SHIFT      2u
#define MACHINE_SLP_EN             0x20u
#define MACHINE_S5_TYPE            5u

/* Memory is from 0 on, but what of it lies in the hole is never told to the guest: devices, and the ROM with the reset vector. */
#define MACHINE_HOLE_GPA 0xfe000000ull
#define MACHINE_HOLE_END 0x100000000ull

/* CPUID leaf 40000000H: EAX the last leaf, EBX, ECX, EDX this text. Leaf 40000001H: no features. */
#define MACHINE_HYPERVISOR      "KVMKVMKVM\0\0\0"
#define MACHINE_HYPERVISOR_LEAF 0x40000000u
#define MACHINE_HYPERVISOR_LAST 0x40000001u

#endif
