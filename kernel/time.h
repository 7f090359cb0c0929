/*
 * Time since start by the TSC. Its rate comes from CPUID leafs 0x15 and 0x16 where they are complete, else it is measured
 * once against the HPET or the ACPI power-management timer (3.579545 MHz); ACPI 6.5, section 4.8.3.3.
 */
#ifndef KERNEL_TIME_H
#define KERNEL_TIME_H

#include "lib/types.h"

/* After acpi_init(). Assumes 1 GHz, and says so, where nothing tells. */
void time_init(void);

u64 time_tsc_khz(void);
u64 time_us(void); /* since time_init() */
void time_wait_us(u64 us);

/* The VMM is ready for its first command, after a start that began at `tsc`. */
void time_is_started(u64 tsc);
/* TSC ticks of the start, without those of time_wait_us(), which are devices'. */
u64 time_start_ticks(void);

#endif
