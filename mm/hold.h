/*
 * Keeping vCPUs out of the TD. kernel/vm/kick.c implements it with IPIs; tests/host/hold.c in a host process, where each
 * vCPU has a thread.
 *
 * That a vCPU is inside is said by vcpu.inside; that it has left since, by a change of vcpu.exits: one that leaves and
 * enters again at once has left. The acknowledgement of an IPI says neither. td.epoch counts what vCPUs have to leave for
 * once, TRACKs and drops of shared translations, and vcpu.epoch is what that count was when the vCPU entered. Both sides
 * use sequentially consistent order:
 *
 *     vcpu_enter(), interrupts off                       mm/tlb.c, then kick.c
 *     epoch = td.epoch; inside = 1                       TRACK; td.epoch++       (hold_begin: td.held++)
 *     td.held: leave it at that, inside = 0              for each vCPU: x = exits; is it inside, with epoch < td.epoch
 *     td.drops: INVEPT where this CPU has not yet          (hold_begin: inside)? Then an IPI to its CPU,
 *     VP.ENTER; exits++; inside = 0                        and wait until inside is 0 or exits is not x
 *
 * So one of the two sees the other: what is not waited for enters after the TRACK, or not at all.
 *
 * Each wait is bounded. ERR_TIMEOUT: a vCPU did not leave; the log names its CPU. `ipis` gets the number of IPIs that
 * were sent added to it. All functions may be called on several CPUs at once, and by a CPU that runs vCPUs itself while it
 * is outside; they wait for nothing but vCPUs that are inside, and take no lock of mm/.
 */
#ifndef MM_HOLD_H
#define MM_HOLD_H

#include "tdx/td.h"

/* One round of kicks: when it returns, every vCPU that has been inside since before td.epoch became what it is has left at
 * least once. Those that entered since are left alone. */
MUST_CHECK enum err hold_kick(struct td *td, u64 *ipis);

/* No vCPU enters until hold_end(); those inside are kicked out first. Holds may overlap and nest: vCPUs enter again when
 * all have ended. Nothing is held after an error. */
MUST_CHECK enum err hold_begin(struct td *td, u64 *ipis);
void hold_end(struct td *td);

/* WBINVD on every CPU that a vCPU of the TD has run on. */
MUST_CHECK enum err hold_write_back(struct td *td, u64 *ipis);

#endif
