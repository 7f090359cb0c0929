/* Control registers of a TD: which bits the module owns, and what the TD reads there. */
#ifndef SIM_MODULE_CONTROL_H
#define SIM_MODULE_CONTROL_H

#include "sim/module/guest.h"

#define CR4_FIXED0 0x2000ull  /* VMXE */
#define CR4_FIXED1 ~0ull      /* no bit is known to be refused by the processor */
#define XCR0_USER  0x602ffull /* components of XCR0 that the module knows */
#define XSS_KNOWN  0x1fd00ull /* components of IA32_XSS that the module knows */

u64 mdl_cr0_mask(void);
u64 mdl_cr0_shadow(void);
u64 mdl_cr4_mask(const struct tdcs *tdcs);
u64 mdl_cr4_shadow(void);

#endif
