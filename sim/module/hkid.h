/* Private KeyIDs: the KeyID Ownership Table in struct sys, and programming of keys. */
#ifndef SIM_MODULE_HKID_H
#define SIM_MODULE_HKID_H

#include "sim/module/call.h"

/* A KeyID operand, all 64 bits of it: private, and nothing in the reserved bits 63:16. */
bool hkid_is_private(u64 operand);
/* OPERAND_BUSY|KET or KEY_GENERATION_FAILED where PCONFIG fails. */
u64 hkid_program_key(struct call *c, u16 hkid);

#endif
