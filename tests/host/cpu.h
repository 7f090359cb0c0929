/*
 * The CPU of a host process behind lib/hw/cpu.h: what a test decides of it, and what it counts. Each thread is one
 * logical processor. Its answers are those of a TDX machine until a test takes something away.
 */
#ifndef TESTS_HOST_CPU_H
#define TESTS_HOST_CPU_H

#include "lib/hw/cpu.h"

/* The machine of plat_info(): all CPUID leaves and MSRs that a TDX host checks; this thread is CPU 0 with interrupts
 * on. */
void cpu_host_reset(void);
/* From now on the calling thread is CPU `index`. */
void cpu_host_use(unsigned index);
bool cpu_host_interrupts_on(void);
/* That were taken behind a TD exit, by vector. */
extern _Atomic u64 cpu_host_interrupts[256];
/* Added to the TSC: time that a test lets pass. */
extern _Atomic u64 cpu_host_tsc_ahead;
/* Called in each cpu_relax(): where a test lets other threads run (NULL: nothing). */
extern void (*cpu_host_relaxed)(void);

void cpu_host_set_cpuid(u32 leaf, u32 subleaf, struct cpuid_regs regs);
void cpu_host_set_msr(u32 msr, u64 value);
/* Before each WRMSR of an MSR that there is; NULL: none. */
extern void (*cpu_host_watch_msr)(u32 msr, u64 value);
void cpu_host_remove_msr(u32 msr); /* it raises #GP */
/* The MSR reads otherwise on this one CPU; one such MSR at a time. */
void cpu_host_set_odd_msr(unsigned cpu, u32 msr, u64 value);

struct cpu_host_counts {
    u64 flushed_all, flushed_bytes, reset_bytes;
};
extern struct cpu_host_counts cpu_host_counts;

#endif
