/*
 * The few ACPI tables that Septum needs: MADT (processors), FADT and the DSDT's \_S5_ (power-off, reset, PM timer).
 * ACPI 6.5, chapter 5. No AML interpreter: \_S5_ is found by its byte pattern, as small kernels do.
 */
#ifndef DRIVERS_ACPI_H
#define DRIVERS_ACPI_H

#include "lib/addr.h"
#include "lib/err.h"

#define ACPI_CPUS_MAX 256

struct acpi_cpu {
    u32 apic_id, uid;
    bool enabled, online_capable;
};

struct acpi_gas { /* Generic Address Structure, the parts that are used */
    u8 space;     /* 0 memory, 1 I/O */
    u64 address;  /* 0: there is none */
};

struct acpi_info {
    bool found;
    unsigned cpu_count;
    struct acpi_cpu cpus[ACPI_CPUS_MAX];
    hpa_t lapic;
    u16 pm1a_control, pm1b_control; /* ports; 0: none */
    u16 pm_timer;                   /* port; 0: none */
    bool pm_timer_32;
    bool has_s5;
    u8 s5_a, s5_b; /* SLP_TYP values */
    struct acpi_gas reset;
    u8 reset_value;
};

extern struct acpi_info acpi;

/* `rsdp`: from the UEFI configuration table. ERR_NOT_FOUND, or ERR_ARGUMENT where a checksum is wrong; what was
 * readable until then stays. */
MUST_CHECK enum err acpi_init(hpa_t rsdp);

#endif
