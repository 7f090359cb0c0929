/* See firmware.h. UEFI specification 2.9, sections 4.2 and 8.5.1. */
#include "sim/machine/firmware.h"
#include "sim/machine/config.h"
#include "sim/machine/log.h"

#define CODE_BYTES 4

EFI_STATUS firmware_break_reset(EFI_SYSTEM_TABLE *system, UINT32 how)
{
    static const u8 code[][CODE_BYTES] = {
        [RESET_RETURNS] = {0xc3},                 /* ret */
        [RESET_FAULTS] = {0x0f, 0x0b},            /* ud2 */
        [RESET_HANGS] = {0xfa, 0xf4, 0xeb, 0xfd}, /* cli; hlt, again and again */
    };
    EFI_BOOT_SERVICES *boot = system->BootServices;
    EFI_TABLE_HEADER *header = &system->RuntimeServices->Hdr;
    EFI_PHYSICAL_ADDRESS at;
    if (how == RESET_WORKS)
        return EFI_SUCCESS;
    EFI_STATUS status = boot->AllocatePages(AllocateAnyPages, EfiRuntimeServicesCode, 1, &at);
    if (EFI_ERROR(status)) {
        sim_log("reset: the firmware has no page for another ResetSystem");
        return status;
    }
    boot->CopyMem((void *)at, (void *)code[how], CODE_BYTES);
    system->RuntimeServices->ResetSystem = (EFI_RESET_SYSTEM)at;
    header->CRC32 = 0;
    return boot->CalculateCrc32(header, header->HeaderSize, &header->CRC32);
}
