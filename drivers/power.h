/*
 * Power-off (ACPI S5) and reset. ACPI 6.5, sections 4.8.3.2 and 4.8.3.6. Both return only where the platform did not
 * react.
 */
#ifndef DRIVERS_POWER_H
#define DRIVERS_POWER_H

void power_off(void);
void power_reset(void);

#endif
