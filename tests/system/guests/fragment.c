/*
 * Leaves a hundred and fifty holes in the firmware's memory below 4 GiB, a page in use at runtime between each two runs of twenty
 * free ones, as long uptimes of a firmware's drivers do; then starts the next image.
 */
#include <efi.h>

#include "tests/system/guests/lib/guest.h"
#include "tests/system/guests/lib/next.h"

#define RUNS      150
#define RUN_PAGES 20

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    EFI_STATUS status = next_fragment(system->BootServices, 0xffffffff, RUNS, RUN_PAGES);
    if (EFI_ERROR(status))
        guest_put("fragment: no memory\r\n");
    return EFI_ERROR(status) ? status : next_start(image, system->BootServices);
}
