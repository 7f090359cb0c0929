/*
 * Firmware that is not to be believed: starts the next image with a memory map upside down, its descriptors longer than they are
 * defined, and two more that overlap the largest: part of it free once more, part of it set aside for a special purpose. The first
 * ExitBootServices() is refused, and the map has grown by hundreds of descriptors then, as where an event's handler allocates.
 */
#include <efi.h>

#include "tests/system/guests/lib/guest.h"
#include "tests/system/guests/lib/next.h"

#define GROWN_RUNS     400
#define STEP           72
#define EXTRA          2
#define TWICE_AT       0x10000000ull /* in the largest descriptor */
#define TWICE_PAGES    0x4000ull
#define PURPOSE_AT     0x20000000ull
#define PURPOSE_PAGES  0x8000ull
#define MEMORY_PURPOSE (1ull << 18)

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static EFI_BOOT_SERVICES *boot;
static EFI_GET_MEMORY_MAP true_map;
static EFI_EXIT_BOOT_SERVICES true_exit;
static int exits;
static UINT8 as_it_is[1 << 18];

static EFIAPI EFI_STATUS odd_exit(EFI_HANDLE image, UINTN key)
{
    if (exits++)
        return true_exit(image, key);
    next_fragment(boot, 0xffffffff, GROWN_RUNS, 1);
    return EFI_INVALID_PARAMETER;
}

static UINT8 *put(UINT8 *to, const EFI_MEMORY_DESCRIPTOR *d)
{
    for (UINTN i = 0; i < STEP; i++)
        to[i] = i < sizeof(*d) ? ((const UINT8 *)d)[i] : 0xee;
    return to + STEP;
}

static const EFI_MEMORY_DESCRIPTOR *nth(UINTN i, UINTN step)
{
    return (const void *)(as_it_is + i * step);
}

static EFI_MEMORY_DESCRIPTOR largest(UINTN count, UINTN step)
{
    const EFI_MEMORY_DESCRIPTOR *found = nth(0, step);
    for (UINTN i = 0; i < count; i++)
        if (nth(i, step)->Type == EfiConventionalMemory && nth(i, step)->NumberOfPages > found->NumberOfPages)
            found = nth(i, step);
    return *found;
}

static EFIAPI EFI_STATUS odd_map(UINTN *bytes, EFI_MEMORY_DESCRIPTOR *map, UINTN *key, UINTN *step, UINT32 *version)
{
    UINTN true_bytes = sizeof(as_it_is), true_step;
    EFI_STATUS status = true_map(&true_bytes, (EFI_MEMORY_DESCRIPTOR *)as_it_is, key, &true_step, version);
    UINTN count = true_bytes / true_step, room = *bytes;
    if (EFI_ERROR(status))
        return status;
    *step = STEP;
    *bytes = (count + EXTRA) * STEP;
    if (room < *bytes)
        return EFI_BUFFER_TOO_SMALL;
    UINT8 *to = (UINT8 *)map;
    EFI_MEMORY_DESCRIPTOR twice = largest(count, true_step), purpose = twice;
    twice.PhysicalStart += TWICE_AT;
    twice.NumberOfPages = TWICE_PAGES;
    purpose.PhysicalStart += PURPOSE_AT;
    purpose.NumberOfPages = PURPOSE_PAGES;
    purpose.Attribute |= MEMORY_PURPOSE;
    to = put(put(to, &purpose), &twice);
    for (UINTN i = count; i-- > 0;)
        to = put(to, nth(i, true_step));
    return EFI_SUCCESS;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    boot = system->BootServices;
    true_map = boot->GetMemoryMap;
    true_exit = boot->ExitBootServices;
    boot->GetMemoryMap = (void *)odd_map;
    boot->ExitBootServices = (void *)odd_exit;
    return next_start(image, boot);
}
