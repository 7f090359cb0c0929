/*
 * A vCPU's run, between the CPU that it is on (run.c) and the console's (work.c): begun by the console, ended by that CPU
 * when the payload asks for work, waits or halts.
 */
#ifndef KERNEL_VM_RUN_H
#define KERNEL_VM_RUN_H

#include "kernel/vm/vm.h"

unsigned run_index(const struct vm_vcpu *v);
/* The CPU that runs vCPU `index`. */
unsigned run_cpu(unsigned index);

/* The life of a CPU while its vCPU runs: what cpus_assign() gives to it. */
void run_here(void *vcpu);
/* One VP.ENTER and its answer on this CPU. False: the run has ended, and the console may have begun the next one already. */
bool run_turn(struct vm_vcpu *v);
/* Ends the run of a vCPU that no CPU runs just now. */
void run_drop(struct vm_vcpu *v);

/* The payload finds the flag in its mailbox at its next look, wherever it runs; on any CPU. */
void run_tell_abort(struct vm_vcpu *v);
/* The vCPU whose turn this CPU is at, or NULL. */
struct vm_vcpu *run_current(void);
/* Is a vCPU inside the TD on this CPU? For any CPU, as of just now. */
bool run_is_inside(unsigned cpu);

#endif
