/*
 * Spin locks of the core. Held for a few hundred instructions with GIF = 0, so nothing interrupts a holder; a wait of seconds
 * means that one never came back, and stops the machine.
 */
#ifndef SIM_MACHINE_LOCK_H
#define SIM_MACHINE_LOCK_H

#include "sim/types.h"

/* clang-format off */
struct lock { u32 taken; };
/* clang-format on */

void lock_take(struct lock *lock);
void lock_give(struct lock *lock);

#endif
