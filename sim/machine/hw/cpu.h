/* Privileged and special instructions of the core, one function each. */
#ifndef SIM_MACHINE_HW_CPU_H
#define SIM_MACHINE_HW_CPU_H

#include "sim/types.h"

u8 cpu_in8(u16 port);
void cpu_out8(u16 port, u8 value);
void cpu_out16(u16 port, u16 value);
u32 cpu_in32(u16 port);
void cpu_out32(u16 port, u32 value);

u64 cpu_rdmsr(u32 msr);
void cpu_wrmsr(u32 msr, u64 value);
void cpu_raw_cpuid(u32 leaf, u32 subleaf, u32 out[4]);
u64 cpu_rdtsc(void);
bool cpu_rdrand(u64 *value); /* false: the CPU had no random number after ten tries */

u64 cpu_cr0(void), cpu_cr2(void), cpu_cr3(void), cpu_cr4(void), cpu_cr8(void);
void cpu_set_cr0(u64 value), cpu_set_cr2(u64 value), cpu_set_cr3(u64 value), cpu_set_cr4(u64 value),
    cpu_set_cr8(u64 value);
u64 cpu_dr(unsigned n); /* 0..3, 6, 7 */
void cpu_set_dr(unsigned n, u64 value);

u64 cpu_xgetbv0(void); /* XCR0; CR4.OSXSAVE must be set */
void cpu_xsetbv0(u64 value);
u64 cpu_extended_state(void); /* all that XCR0 can name, but AMX's tiles, which fit into no page and are not shown */
void cpu_xsave(void *area, u64 mask); /* 64-byte aligned, standard format */
void cpu_xrstor(const void *area, u64 mask);
void cpu_fxsave(void *area); /* 512 bytes, 16-byte aligned */
void cpu_fxrstor(const void *area);

void cpu_wbinvd(void);
_Noreturn void cpu_halt_forever(void);

/* Device registers: one access, of this size, not merged or reordered by the compiler. */
static inline u32 mmio_read32(u64 at)
{
    return *(volatile u32 *)at;
}
static inline void mmio_write32(u64 at, u32 value)
{
    *(volatile u32 *)at = value;
}

#endif
