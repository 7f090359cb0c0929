/* The platform's constants beyond what the module sees of them, and physical addresses with KeyID bits. */
#ifndef SIM_MACHINE_PLATFORM_H
#define SIM_MACHINE_PLATFORM_H

#include "sim/module/platform.h"

#define PLATFORM_MAXPA       48
#define PLATFORM_KEYID_SHIFT 42
#define PLATFORM_KEYID_BITS  6

/* After configuration and memory are known; measures the TSC's frequency. */
void platform_init(void);

static inline u64 platform_strip_key(u64 hpa)
{
    return hpa & ((1ull << PLATFORM_KEYID_SHIFT) - 1);
}

/* The address carries a KeyID other than 0 and is not a device that the firmware placed up there. */
bool platform_is_keyed(u64 hpa);
bool platform_is_private_key(u64 hpa);

/* A device's address window inside the KeyID bits, found at start. */
void platform_add_device_window(u64 base, u64 bytes);

#endif
