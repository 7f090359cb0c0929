/*
 * A look at all base address registers: PCI Local Bus 3.0, section 6.2.5. OVMF puts 64-bit BARs near the top of the physical
 * address space, where a TDX platform of the same width keeps its KeyIDs; such a window is a device's and no KeyID alias.
 */
#include "sim/machine/pci.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/platform.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define NO_DEVICE      0xffff
#define REG_COMMAND    0x04
#define REG_HEADER     0x0c /* type in bits 22:16, multi-function in bit 23 */
#define REG_BAR0       0x10
#define COMMAND_MEMORY 0x2
#define BAR_IO         0x1
#define BAR_64BIT      0x4
#define BAR_TYPE       0x6

static u32 read(u32 function, u32 reg)
{
    cpu_out32(CONFIG_ADDRESS, 0x80000000u | function << 8 | reg);
    return cpu_in32(CONFIG_DATA);
}

static void write(u32 function, u32 reg, u32 value)
{
    cpu_out32(CONFIG_ADDRESS, 0x80000000u | function << 8 | reg);
    cpu_out32(CONFIG_DATA, value);
}

static u64 bar_bytes(u32 function, u32 reg, u32 low, u32 high)
{
    u32 command = read(function, REG_COMMAND) & 0xffff;
    write(function, REG_COMMAND, command & ~COMMAND_MEMORY);
    write(function, reg, ~0u);
    write(function, reg + 4, ~0u);
    u64 mask = (u64)read(function, reg + 4) << 32 | (read(function, reg) & ~15u);
    write(function, reg, low);
    write(function, reg + 4, high);
    write(function, REG_COMMAND, command);
    return ~mask + 1;
}

static void scan_function(u32 function, unsigned bars)
{
    for (unsigned i = 0; i < bars; i++) {
        u32 reg = REG_BAR0 + 4 * i, low = read(function, reg);
        if (low & BAR_IO || (low & BAR_TYPE) != BAR_64BIT || i + 1 == bars)
            continue;
        u32 high = read(function, reg + 4);
        u64 base = (u64)high << 32 | (low & ~15u);
        if (base >> PLATFORM_KEYID_SHIFT)
            platform_add_device_window(base, bar_bytes(function, reg, low, high));
        i++; /* the upper half is the next register */
    }
}

void pci_find_high_windows(void)
{
    for (u32 slot = 0; slot < 256 * 32; slot++)
        for (u32 f = 0; f < 8; f++) {
            u32 function = slot << 3 | f;
            if ((read(function, 0) & 0xffff) == NO_DEVICE)
                break;
            u32 header = read(function, REG_HEADER) >> 16;
            scan_function(function, (header & 0x7f) == 0 ? 6 : 2);
            if (!f && !(header & 0x80))
                break;
        }
}
