/*
 * The few ACPI tables that Septum needs: MADT (processors, I/O APICs), FADT and the DSDT's \_S5_ (power-off, reset, PM timer),
 * SPCR (the console's serial port), HPET, SRAT (which node memory and CPUs are of).
 * ACPI 6.5, chapter 5. No AML interpreter: \_S5_ is found by its byte pattern, as small kernels do.
 */
#ifndef DRIVERS_ACPI_H
#define DRIVERS_ACPI_H

#include "drivers/serial.h"
#include "drivers/srat.h"
#include "lib/addr.h"
#include "lib/err.h"

#define ACPI_CPUS_MAX    1024
#define ACPI_IOAPICS_MAX 16u
#define ACPI_ISA_IRQS    16u

struct acpi_cpu { /* each APIC id once */
    u32 apic_id, uid;
    bool enabled, online_capable;
};

struct acpi_ioapic {
    hpa_t base;   /* of its registers */
    u32 gsi_base; /* the global system interrupt that its first pin is */
};

struct acpi_irq {
    u32 gsi;
    bool active_low, level;
};

enum { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1 };

struct acpi_gas { /* Generic Address Structure, the parts that are used */
    u8 space;
    u64 address; /* 0: there is none */
};

struct acpi_info {
    bool found;
    unsigned cpu_count, cpus_left_out; /* in the list; behind its end */
    struct acpi_cpu cpus[ACPI_CPUS_MAX];
    hpa_t lapic;
    unsigned ioapic_count;
    struct acpi_ioapic ioapics[ACPI_IOAPICS_MAX];
    struct acpi_irq isa_irqs[ACPI_ISA_IRQS]; /* by IRQ; the same number, edge, active high, where nothing is said */
    u16 pm1a_control, pm1b_control;          /* ports; 0: none */
    u16 pm_timer;                            /* port; 0: none */
    bool pm_timer_32;
    bool has_s5;
    u8 s5_a, s5_b; /* SLP_TYP values */
    struct acpi_gas reset;
    u8 reset_value;
    struct serial_port spcr; /* base 0: none that can be used */
    hpa_t hpet;              /* its registers; 0: none */
    struct srat srat;
};

extern struct acpi_info acpi;

/*
 * `rsdp`: from the UEFI configuration table. `is_memory`: whether all of a range is memory as the firmware's map has it;
 * tables elsewhere are not used, nothing else is read. ERR_NOT_FOUND, or ERR_ARGUMENT where a checksum is wrong; what
 * was readable until then stays.
 */
MUST_CHECK enum err acpi_init(hpa_t rsdp, bool (*is_memory)(hpa_t at, u64 bytes));

/* The I/O APIC that has the interrupt; NULL: none is known. */
const struct acpi_ioapic *acpi_ioapic_of(u32 gsi);

#endif
