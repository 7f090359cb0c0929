/*
 * Keeping vCPUs out of the TD. kernel/vm/kick.c implements it with IPIs; tests/host/hold.c in a host process.
 */
#ifndef MM_HOLD_H
#define MM_HOLD_H

#include "tdx/td.h"

/* One round of kicks: when it returns, every vCPU that was inside has left at least once since the call.
 * ERR_TIMEOUT. */
MUST_CHECK enum err hold_kick(struct td *td);

/* No vCPU enters until hold_end(); those inside are kicked out first. May nest. */
MUST_CHECK enum err hold_begin(struct td *td);
void hold_end(struct td *td);

#endif
