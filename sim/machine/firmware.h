/* What the machine's firmware does wrong because simtdx.cfg says so. */
#ifndef SIM_MACHINE_FIRMWARE_H
#define SIM_MACHINE_FIRMWARE_H

#include <efi.h>

/* Puts something else in the place of ResetSystem: enum reset_state. While boot services are there. */
EFI_STATUS firmware_break_reset(EFI_SYSTEM_TABLE *system, UINT32 how);

#endif
