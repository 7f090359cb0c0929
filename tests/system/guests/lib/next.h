/* For guests that change what the firmware says and then start another image: \next.efi of the volume that they came from. */
#ifndef TESTS_SYSTEM_GUESTS_LIB_NEXT_H
#define TESTS_SYSTEM_GUESTS_LIB_NEXT_H

#include <efi.h>

EFI_STATUS next_start(EFI_HANDLE self, EFI_BOOT_SERVICES *boot);

/* [at, at + runs * (free + 1) pages) below `below` becomes runs of free pages with a page in use at runtime between each two. */
EFI_STATUS next_fragment(EFI_BOOT_SERVICES *boot, EFI_PHYSICAL_ADDRESS below, UINTN runs, UINTN free);

#endif
