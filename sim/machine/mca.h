/*
 * Machine-check banks, as far as the platform has something to put there: a page that failed its integrity check, or broke
 * as simtdx.cfg says. SDM volume 3, chapter 16 ("Machine-check architecture"). Four banks, with software error recovery; the
 * error is a data load's, in bank 1. Left out: all other errors, corrected-error interrupts, broadcast to other CPUs, and what
 * the VMM itself does with a broken page. Pure logic.
 */
#ifndef SIM_MACHINE_MCA_H
#define SIM_MACHINE_MCA_H

#include "sim/machine/cpu.h"

/* A TD on this CPU used the page at `hpa`: the banks say so, until the VMM clears them. */
void mca_note_broken(struct cpu_mca *mca, u64 hpa);

/*
 * memory_error of simtdx.cfg: a TD maps `bytes` from `hpa` on at `gpa`. A page that is named breaks where it is met first, and
 * stays broken, whoever has it and wherever.
 */
void mca_note_mapping(u64 gpa, u64 hpa, u64 bytes);
/* Is a page of these broken? */
bool mca_is_broken(u64 hpa, u64 bytes);

bool mca_has_msr(u32 msr);
/* Of an MSR that it has. False: #GP. */
bool mca_read(const struct cpu_mca *mca, u32 msr, u64 *value);
bool mca_write(struct cpu_mca *mca, u32 msr, u64 value);

#endif
