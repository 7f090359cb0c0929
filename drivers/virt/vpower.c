/* The ACPI ports. See vpower.h. */
#include "drivers/virt/vpower.h"

#include "guest/shim/machine.h"

#define SLP_TYP_MASK (7u << MACHINE_SLP_TYP_SHIFT)

enum vpower vpower_write(u16 port, u8 value)
{
    if (port == MACHINE_RESET_PORT && value == MACHINE_RESET_VALUE)
        return VPOWER_RESET;
    if (port == MACHINE_SLEEP_CONTROL_PORT && (value & MACHINE_SLP_EN) &&
        (value & SLP_TYP_MASK) == MACHINE_S5_TYPE << MACHINE_SLP_TYP_SHIFT)
        return VPOWER_OFF;
    return VPOWER_ON;
}
