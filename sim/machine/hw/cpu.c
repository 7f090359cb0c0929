/* Privileged and special instructions of the core. Intel SDM vol. 2. */
#include "sim/machine/hw/cpu.h"

#define AMX_TILES (3ull << 17)

u8 cpu_in8(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void cpu_out8(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

void cpu_out16(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

u32 cpu_in32(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void cpu_out32(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

u64 cpu_rdmsr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}

void cpu_wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

void cpu_raw_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

u64 cpu_rdtsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

bool cpu_rdrand(u64 *value)
{
    for (unsigned tries = 0; tries < 10; tries++) {
        bool ok;
        __asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(ok));
        if (ok)
            return true;
    }
    return false;
}

#define CONTROL_REGISTER(n)                                                                                            \
    u64 cpu_cr##n(void)                                                                                                \
    {                                                                                                                  \
        u64 value;                                                                                                     \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(value)::"memory");                                                \
        return value;                                                                                                  \
    }                                                                                                                  \
    void cpu_set_cr##n(u64 value)                                                                                      \
    {                                                                                                                  \
        __asm__ volatile("mov %0, %%cr" #n ::"r"(value) : "memory");                                                   \
    }
CONTROL_REGISTER(0)
CONTROL_REGISTER(2)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)
CONTROL_REGISTER(8)

#define READ_DR(n)                                                                                                     \
    case n:                                                                                                            \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(value));                                                          \
        break
#define WRITE_DR(n)                                                                                                    \
    case n:                                                                                                            \
        __asm__ volatile("mov %0, %%dr" #n ::"r"(value));                                                              \
        break

u64 cpu_dr(unsigned n)
{
    u64 value = 0;
    switch (n) {
        READ_DR(0);
        READ_DR(1);
        READ_DR(2);
        READ_DR(3);
        READ_DR(6);
        READ_DR(7);
    }
    return value;
}

void cpu_set_dr(unsigned n, u64 value)
{
    switch (n) {
        WRITE_DR(0);
        WRITE_DR(1);
        WRITE_DR(2);
        WRITE_DR(3);
        WRITE_DR(6);
        WRITE_DR(7);
    }
}

u64 cpu_xgetbv0(void)
{
    u32 low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (u64)high << 32 | low;
}

void cpu_xsetbv0(u64 value)
{
    __asm__ volatile("xsetbv" ::"c"(0), "a"((u32)value), "d"((u32)(value >> 32)));
}

/* The same on all CPUs: found once. */
u64 cpu_extended_state(void)
{
    static u64 found; /* atomic */
    u64 all = __atomic_load_n(&found, __ATOMIC_RELAXED);
    u32 r[4];
    if (!all) {
        cpu_raw_cpuid(0xd, 0, r);
        all = (r[0] | (u64)r[3] << 32) & ~AMX_TILES;
        __atomic_store_n(&found, all, __ATOMIC_RELAXED);
    }
    return all;
}

void cpu_xsave(void *area, u64 mask)
{
    __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32)) : "memory");
}

void cpu_xrstor(const void *area, u64 mask)
{
    __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32)) : "memory");
}

void cpu_fxsave(void *area)
{
    __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

void cpu_fxrstor(const void *area)
{
    __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

void cpu_wbinvd(void)
{
    __asm__ volatile("wbinvd" ::: "memory");
}

_Noreturn void cpu_halt_forever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}
