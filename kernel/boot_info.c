/* See boot_info.h. */
#include "kernel/boot_info.h"

static const struct boot_info *current;

void boot_info_set(const struct boot_info *info)
{
    current = info;
}

const struct boot_info *boot_info(void)
{
    return current;
}
