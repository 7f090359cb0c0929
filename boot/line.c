/*
 * The console's serial line, looked for while the firmware is there to tell where it went: what is printed until boot services
 * end goes to the firmware's console, which on a server is the same line most of the time.
 */
#include "boot/boot.h"

#include "drivers/acpi.h"
#include "kernel/line.h"
#include "kernel/print.h"
#include "lib/format.h"

static EFI_SYSTEM_TABLE *firmware;

static void put(const char *text, size_t bytes)
{
    CHAR16 wide[2] = {0};

    for (size_t i = 0; i < bytes; i++) {
        wide[0] = (CHAR16)(u8)text[i];
        firmware->ConOut->OutputString(firmware->ConOut, wide);
    }
}

/* ACPI's tables are read where the firmware's map has memory. */
static bool read_map(struct boot_env *env, struct boot_info *info)
{
    UINTN key;

    if (!boot_memory_map_reserve(env, info) || boot_memory_map(env, info, &key) != EFI_SUCCESS)
        return false;
    boot_info_set(info);
    return true;
}

bool boot_find_line(struct boot_env *env, struct boot_info *info)
{
    const struct options *o = &info->options;
    char name[SERIAL_NAME_BYTES], text[200];

    firmware = env->system;
    print_redirect(put);
    if (read_map(env, info) && acpi_init(info->rsdp, boot_info_is_described) == ERR_ARGUMENT)
        boot_say(env, "ACPI's tables cannot be used: no SPCR");
    info->serial_by = line_find(o->has_serial ? &o->serial : NULL, &info->serial);
    bool is_wanted = o->has_serial && o->serial.base == 0;
    if (info->serial_by != NULL)
        format_to(text, sizeof(text), "the console is on the serial line at %s (by %s)",
                  serial_name(&info->serial, name), info->serial_by);
    else if (is_wanted)
        format_to(text, sizeof(text), "there is no console: serial=none");
    else
        format_to(text, sizeof(text), "there is no serial line for the console: %s",
                  o->has_serial ? "nothing answers at the port that serial= names"
                                : "neither SPCR nor COM1 to COM4 nor the PCI bus has a 16550");
    boot_say(env, text);
    return info->serial_by != NULL || is_wanted;
}

void boot_line_ends(void)
{
    print_redirect(NULL);
}
