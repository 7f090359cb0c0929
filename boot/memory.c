/* The firmware's memory map: room for it, and for what kernel/memory_map.c reads out of it. UEFI 2.10, section 7.2.3. */
#include "boot/boot.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "mm/page.h"

#define MAP_SLACK_BYTES  16384 /* descriptors that appear between asking for the size and reading the map */
#define POOL_PAGES       64    /* roots, the image's own tables, guard, trampoline, registers */
#define CPUID_EXT_EDX_1G BIT(26)

/* The map and both lists are one piece of pool memory: what is allocated to read the map changes it. */
bool boot_memory_map_reserve(struct boot_env *env, struct boot_info *info)
{
    UINTN key, step = 0;
    UINT32 version;

    if (env->map != NULL)
        env->boot->FreePool(env->map);
    env->map = NULL;
    env->map_bytes = 0;
    env->boot->GetMemoryMap(&env->map_bytes, NULL, &key, &step, &version);
    step = max_u64(step, sizeof(EFI_MEMORY_DESCRIPTOR)); /* some firmware says it only with a map */
    env->map_bytes = align_up(env->map_bytes + MAP_SLACK_BYTES, sizeof(struct phys_range));
    unsigned room = memory_map_room(env->map_bytes, step);
    UINTN bytes = env->map_bytes + 2 * room * sizeof(struct phys_range);
    if (env->boot->AllocatePool(EfiLoaderData, bytes, (void **)&env->map) != EFI_SUCCESS)
        return false;
    info->map.free = (struct phys_ranges){.r = (void *)((u8 *)env->map + env->map_bytes), .max = room};
    info->map.described = (struct phys_ranges){.r = info->map.free.r + room, .max = room};
    return true;
}

EFI_STATUS boot_memory_map(struct boot_env *env, struct boot_info *info, UINTN *key)
{
    UINTN bytes = env->map_bytes, step;
    UINT32 version;
    EFI_STATUS s = env->boot->GetMemoryMap(&bytes, env->map, key, &step, &version);

    if (s != EFI_SUCCESS)
        return s;
    if (!memory_map_read(&info->map, env->map, bytes, step))
        return EFI_UNSUPPORTED;
    ranges_trim(&info->map.free, PAGE_RANGES_MAX);
    return EFI_SUCCESS;
}

u64 boot_pool_pages(struct boot_env *env, struct boot_info *info)
{
    UINTN key;

    if (!boot_memory_map_reserve(env, info) || boot_memory_map(env, info, &key) != EFI_SUCCESS)
        return 0;
    bool has_1g = cpu_cpuid(0x80000001, 0).edx & CPUID_EXT_EDX_1G;
    u64 gibs = 4 + ranges_units(&info->map.described, level_shift(LEVEL_1G));
    return POOL_PAGES + ranges_units(&info->map.described, level_shift(LEVEL_512G)) + (has_1g ? 0 : gibs);
}
