/* The firmware's memory map, turned into ranges of free memory. UEFI 2.10, section 7.2.3. */
#include "boot/boot.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"

#define MAP_SLACK_BYTES  16384 /* descriptors that appear between asking for the size and reading the map */
#define POOL_PAGES       64    /* roots, the image's own tables, guard, trampoline, registers */
#define CPUID_EXT_EDX_1G BIT(26)

bool boot_memory_map_reserve(struct boot_env *env)
{
    UINTN key, step;
    UINT32 version;

    env->map_bytes = 0;
    env->boot->GetMemoryMap(&env->map_bytes, NULL, &key, &step, &version);
    env->map_bytes += MAP_SLACK_BYTES;
    return env->boot->AllocatePool(EfiLoaderData, env->map_bytes, (void **)&env->map) == EFI_SUCCESS;
}

static bool is_memory(UINT32 type)
{
    return type != EfiReservedMemoryType && type != EfiMemoryMappedIO && type != EfiMemoryMappedIOPortSpace;
}

/* Firmware keeps tables in reserved memory too. */
static bool is_readable(UINT32 type)
{
    return type != EfiUnusableMemory && type != EfiMemoryMappedIO && type != EfiMemoryMappedIOPortSpace;
}

static bool is_free(UINT32 type)
{
    return type == EfiConventionalMemory || type == EfiBootServicesCode || type == EfiBootServicesData;
}

EFI_STATUS boot_memory_map(struct boot_env *env, struct boot_info *info, UINTN *key)
{
    UINTN bytes = env->map_bytes, step;
    UINT32 version;
    EFI_STATUS s = env->boot->GetMemoryMap(&bytes, env->map, key, &step, &version);

    if (s != EFI_SUCCESS)
        return s;
    info->memory_count = info->described_count = 0;
    info->memory_top = 0;
    for (UINTN at = 0; at + step <= bytes; at += step) {
        const EFI_MEMORY_DESCRIPTOR *d = (const void *)((const u8 *)env->map + at);
        u64 size = d->NumberOfPages * PAGE_BYTES;
        if (is_memory(d->Type))
            info->memory_top = max_u64(info->memory_top, d->PhysicalStart + size);
        if (is_readable(d->Type))
            boot_info_add_described(info, (hpa_t){d->PhysicalStart}, size);
        if (is_free(d->Type))
            boot_info_add_memory(info, (hpa_t){d->PhysicalStart}, size);
    }
    return EFI_SUCCESS;
}

u64 boot_pool_pages(struct boot_env *env)
{
    static struct boot_info probe;
    UINTN key;

    if (!boot_memory_map_reserve(env) || boot_memory_map(env, &probe, &key) != EFI_SUCCESS)
        return 0;
    env->boot->FreePool(env->map);
    u64 gibs = align_up(max_u64(probe.memory_top, 4 * GIB), GIB) / GIB;
    bool has_1g = cpu_cpuid(0x80000001, 0).edx & CPUID_EXT_EDX_1G;
    return POOL_PAGES + gibs / TABLE_ENTRIES + (has_1g ? 0 : gibs);
}
