/* Reading fields of tables that need not be aligned: ACPI's. Little endian, as the CPU is. */
#ifndef LIB_UNALIGNED_H
#define LIB_UNALIGNED_H

#include "lib/string.h"
#include "lib/types.h"

static inline u16 read16(const u8 *at)
{
    u16 v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline u32 read32(const u8 *at)
{
    u32 v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline u64 read64(const u8 *at)
{
    u64 v;

    memcpy(&v, at, sizeof(v));
    return v;
}

#endif
