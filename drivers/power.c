/* Power-off and reset. See power.h. */
#include "drivers/power.h"

#include "drivers/acpi.h"
#include "drivers/hw/io.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"

#define PM1_SLP_TYP_SHIFT 10
#define PM1_SLP_TYP_WIDTH 3
#define PM1_SLP_EN        BIT(13)

#define PORT_RESET_CONTROL   0xcf9 /* of PC chipsets */
#define RESET_CONTROL_FULL   0x0e
#define PORT_KEYBOARD        0x64
#define KEYBOARD_PULSE_RESET 0xfe

#define SETTLE_SPINS 10000000u

static void settle(void)
{
    for (unsigned i = 0; i < SETTLE_SPINS; i++)
        cpu_relax();
}

static void sleep_write(u16 port, u8 type)
{
    u16 keep = io_in16(port) & (u16) ~(FIELD_MASK(PM1_SLP_TYP) | PM1_SLP_EN);
    io_out16(port, (u16)(keep | FIELD_PUT(PM1_SLP_TYP, type) | PM1_SLP_EN));
}

void power_off(void)
{
    if (!acpi.has_s5 || acpi.pm1a_control == 0)
        return;
    sleep_write(acpi.pm1a_control, acpi.s5_a);
    if (acpi.pm1b_control != 0)
        sleep_write(acpi.pm1b_control, acpi.s5_b);
    settle();
}

void power_reset(void)
{
    if (acpi.reset.address != 0 && acpi.reset.space == ACPI_SPACE_IO)
        io_out8((u16)acpi.reset.address, acpi.reset_value);
    else if (acpi.reset.address != 0 && acpi.reset.space == ACPI_SPACE_MEMORY)
        mmio_write8((hpa_t){acpi.reset.address}, acpi.reset_value);
    settle();
    io_out8(PORT_RESET_CONTROL, RESET_CONTROL_FULL);
    settle();
    io_out8(PORT_KEYBOARD, KEYBOARD_PULSE_RESET);
    settle();
}
