/*
 * The VMM of the machine's own TD test (tests/system/tdcore): VMXON, SEAMCALL 1 with memory for the TD, then SEAMCALL
 * 2 for as long as interrupts end it, twice over the TD's own end. Powers the machine off.
 */
#include <efi.h>

#include "tests/system/guests/lib/guest.h"

#define TD_BYTES       (32ull << 20)
#define TD_ALIGN       (2ull << 20)
#define LEFT_INTERRUPT 1
#define LEFT_DEAD      3

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static UINT8 vmxon_region[4096] __attribute__((aligned(4096)));

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    EFI_PHYSICAL_ADDRESS at = 0x7fffffff;
    UINT64 why;
    if (EFI_ERROR(
            system->BootServices->AllocatePages(AllocateMaxAddress, EfiLoaderData, (TD_BYTES + TD_ALIGN) / 4096, &at)))
        return EFI_OUT_OF_RESOURCES;
    guest_vmx_on(vmxon_region);
    guest_seamcall(1, (at + TD_ALIGN - 1) & ~(TD_ALIGN - 1), 0, 0);
    do {
        why = guest_seamcall(2, 0, 0, 0);
        if ((why & 0xff) == LEFT_INTERRUPT)
            guest_take_interrupt((unsigned)(why >> 8));
        else
            guest_put("enter: the TD left\r\n");
    } while (why != LEFT_DEAD);
    guest_put("enter: end\r\n");
    guest_power_off();
}
