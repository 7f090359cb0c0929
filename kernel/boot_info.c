/* What boot/ leaves behind. See boot_info.h. */
#include "kernel/boot_info.h"

static const struct boot_info *current;

bool boot_info_is_described(hpa_t at, u64 bytes)
{
    return bytes <= ~0ull - at.raw && ranges_hold(&current->map.described, at.raw, at.raw + bytes);
}

bool boot_info_is_free(hpa_t at, u64 bytes)
{
    return current != NULL && bytes <= ~0ull - at.raw && ranges_hold(&current->map.free, at.raw, at.raw + bytes);
}

void boot_info_set(const struct boot_info *info)
{
    current = info;
}

const struct boot_info *boot_info(void)
{
    return current;
}
