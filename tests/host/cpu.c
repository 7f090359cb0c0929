/*
 * Host twin of lib/hw/cpu.c. Physical memory is the sparse memory of tests/host/platform.c, so VMM and module model
 * see the same bytes. There are no caches and no encryption: flushes and resets are counted, and a reset clears.
 */
#include "tests/host/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>

#include "lib/bits.h"
#include "tests/host/platform.h"

#define ROWS_MAX     64
#define MEMORY_BYTES ((u64)PLATFORM_HOST_GIB << 30)

#define RELAXES_A_YIELD  64
#define MSR_BIOS_SIGN_ID 0x8b

struct cpu_host_counts cpu_host_counts;
void (*cpu_host_relaxed)(void);
_Atomic u64 cpu_host_tsc_ahead;

static struct {
    u32 msr;
    bool present;
    u64 value;
} msr_rows[ROWS_MAX];
static unsigned msr_count;

/* One MSR that differs on one CPU; `msr` 0: none does. */
static struct {
    unsigned cpu;
    u32 msr;
    u64 value;
} odd;

static _Thread_local unsigned current;
static _Thread_local bool interrupts_off;

static _Noreturn void broken(const char *what, u64 value)
{
    fprintf(stderr, "host cpu: %s: 0x%llx\n", what, (unsigned long long)value);
    abort();
}

/* The module under the VMM sees the same CPU: one table for both. A row that answers every subleaf goes on doing so. */
void cpu_host_set_cpuid(u32 leaf, u32 subleaf, struct cpuid_regs regs)
{
    unsigned i = 0;
    struct platform_host_cpuid *rows = platform_host_knobs.cpuid;
    while (i < platform_host_knobs.cpuid_rows &&
           (rows[i].leaf != leaf || (rows[i].subleaf != subleaf && rows[i].subleaf != ~0u)))
        i++;
    if (i == PLATFORM_HOST_CPUID_ROWS)
        broken("too many CPUID rows, leaf", leaf);
    if (i == platform_host_knobs.cpuid_rows)
        rows[platform_host_knobs.cpuid_rows++] = (struct platform_host_cpuid){leaf, subleaf, {0}};
    memcpy(rows[i].regs, (u32[4]){regs.eax, regs.ebx, regs.ecx, regs.edx}, sizeof(rows[i].regs));
}

static void set_msr(u32 msr, bool present, u64 value)
{
    unsigned i = 0;
    while (i < msr_count && msr_rows[i].msr != msr)
        i++;
    if (i == ROWS_MAX)
        broken("too many MSRs", msr);
    msr_rows[i].msr = msr;
    msr_rows[i].present = present;
    msr_rows[i].value = value;
    msr_count = i == msr_count ? i + 1 : msr_count;
}

void cpu_host_set_msr(u32 msr, u64 value)
{
    set_msr(msr, true, value);
}

void cpu_host_set_odd_msr(unsigned cpu, u32 msr, u64 value)
{
    odd.cpu = cpu;
    odd.msr = msr;
    odd.value = value;
}

void cpu_host_remove_msr(u32 msr)
{
    set_msr(msr, false, 0);
}

static void reset_msrs(const struct plat_info *info)
{
    u64 shared_keys = info->first_private_hkid - 1u;
    u64 private_keys = (1ull << info->keyid_bits) - info->first_private_hkid;
    msr_count = 0;
    odd.msr = 0;
    cpu_host_set_msr(0x1b, 0xfee00d00);                       /* IA32_APIC_BASE: x2APIC */
    cpu_host_set_msr(0x3a, 0x40005);                          /* IA32_FEATURE_CONTROL: locked, VMX, SGX */
    cpu_host_set_msr(0x3b, 0);                                /* IA32_TSC_ADJUST */
    cpu_host_set_msr(0x87, private_keys << 32 | shared_keys); /* IA32_MKTME_KEYID_PARTITIONING */
    cpu_host_set_msr(0x8b, 0x2b00059000000000);               /* IA32_BIOS_SIGN_ID */
    cpu_host_set_msr(0xfe, 0xcd0a);                           /* IA32_MTRRCAP: SEAMRR, lockable SMRR */
    cpu_host_set_msr(0x1a0, 0x850089);                        /* IA32_MISC_ENABLE */
    cpu_host_set_msr(0x1f2, 0x7f800006);                      /* IA32_SMRR_PHYSBASE, PHYSMASK: 8 MiB, valid, locked */
    cpu_host_set_msr(0x1f3, 0xff800c00);
    cpu_host_set_msr(0x480, 0x00da040000000013);              /* IA32_VMX_BASIC */
    cpu_host_set_msr(0x982, (u64)info->keyid_bits << 32 | 3); /* IA32_TME_ACTIVATE */
    cpu_host_set_msr(0x1400, 0x7c000008);                     /* IA32_SEAMRR_PHYS_BASE: configured */
    cpu_host_set_msr(0x1401, 0xffffe000c00);                  /* IA32_SEAMRR_PHYS_MASK: locked, enabled */
    /* What VP.ENTER clobbers: distinct values, so that a test sees whether they come back. */
    cpu_host_set_msr(0xc0000081, 0x81);
    cpu_host_set_msr(0xc0000082, 0x82);
    cpu_host_set_msr(0xc0000084, 0x84);
    cpu_host_set_msr(0xc0000102, 0x102);
    cpu_host_set_msr(0xc0000103, 0x103);
}

void cpu_host_reset(void)
{
    const struct plat_info *info = plat_info();
    cpu_host_set_cpuid(0, 0, (struct cpuid_regs){0x20, 0x756e6547, 0x6c65746e, 0x49656e69}); /* GenuineIntel */
    cpu_host_set_cpuid(
        1, 0, (struct cpuid_regs){.eax = 0x806f8, .ecx = 1u << 5 | 1u << 21, .edx = 1u << 12}); /* VMX, x2APIC; MTRR */
    cpu_host_set_cpuid(
        7, 0, (struct cpuid_regs){.ebx = 1u << 23 | 1u << 2, .ecx = 1u << 28}); /* CLFLUSHOPT, SGX; MOVDIR64B */
    cpu_host_set_cpuid(0xd, 0, (struct cpuid_regs){.eax = 0x2e7});              /* user state: x87 to AVX-512, PKRU */
    cpu_host_set_cpuid(0xd, 1, (struct cpuid_regs){.eax = 0xf, .ecx = 0x1800}); /* supervisor state: CET */
    cpu_host_set_cpuid(0x15, 0, (struct cpuid_regs){2, 160, 25000000, 0});
    cpu_host_set_cpuid(0x80000000, 0, (struct cpuid_regs){.eax = 0x80000008});
    cpu_host_set_cpuid(0x80000008, 0, (struct cpuid_regs){.eax = 0x3000 | info->maxpa});
    reset_msrs(info);
    cpu_host_counts = (struct cpu_host_counts){0};
    current = 0;
    interrupts_off = false;
}

void cpu_host_use(unsigned index)
{
    if (index >= PLATFORM_HOST_LPS)
        broken("no such CPU", index);
    current = index;
}

bool cpu_host_interrupts_on(void)
{
    return !interrupts_off;
}

unsigned cpu_index(void)
{
    return current;
}

u64 cpu_tsc(void)
{
    return __builtin_ia32_rdtsc() + cpu_host_tsc_ahead;
}

/* Whoever is waited for may be waiting for a processor of this machine: now and then it gets this one. Where there is one
 * thread nobody is. */
void cpu_relax(void)
{
    static _Thread_local unsigned turns;

    if (cpu_host_relaxed)
        cpu_host_relaxed();
    else if (__libc_single_threaded)
        return;
    else if (++turns % RELAXES_A_YIELD == 0)
        sched_yield();
    else
        __builtin_ia32_pause();
}

/* Threads have nothing but accesses to memory to order, which atomic ones do. */
void cpu_fence(void) {}

struct cpuid_regs cpu_cpuid(u32 leaf, u32 subleaf)
{
    u32 out[4];
    plat_cpuid(leaf, subleaf, out);
    return (struct cpuid_regs){out[0], out[1], out[2], out[3]};
}

bool cpu_read_msr(u32 msr, u64 *value)
{
    if (odd.msr && odd.msr == msr && odd.cpu == current) {
        *value = odd.value;
        return true;
    }
    for (unsigned i = 0; i < msr_count; i++)
        if (msr_rows[i].msr == msr && msr_rows[i].present) {
            *value = msr_rows[i].value;
            return true;
        }
    return false;
}

void (*cpu_host_watch_msr)(u32 msr, u64 value);

bool cpu_write_msr(u32 msr, u64 value)
{
    u64 old;
    if (!cpu_read_msr(msr, &old))
        return false;
    if (cpu_host_watch_msr)
        cpu_host_watch_msr(msr, value);
    if (msr == MSR_BIOS_SIGN_ID) /* CPUID leaf 1 puts the revision back */
        return true;
    if (old == value) /* other threads read it */
        return true;
    cpu_host_set_msr(msr, value);
    return true;
}

u64 cpu_irq_save(void)
{
    bool were_on = !interrupts_off;
    interrupts_off = true;
    return were_on;
}

void cpu_irq_restore(u64 saved)
{
    interrupts_off = !saved;
}

_Atomic u64 cpu_host_interrupts[256];

void cpu_take_interrupt(u8 vector)
{
    if (!interrupts_off)
        broken("an interrupt is taken with interrupts on", vector);
    cpu_host_interrupts[vector]++;
}

void *phys_ptr(hpa_t at)
{
    if (at.raw >= MEMORY_BYTES)
        broken("physical address without memory", at.raw);
    return platform_host_memory() + at.raw;
}

hpa_t phys_of(const void *ptr)
{
    u64 offset = (u64)((uintptr_t)ptr - (uintptr_t)platform_host_memory());
    if (offset >= MEMORY_BYTES)
        broken("pointer outside physical memory", (u64)(uintptr_t)ptr);
    return (hpa_t){offset};
}

/* On a server the write would poison memory that the module uses; here it stops the test. */
void cpu_reset_pages(hpa_t at, u64 bytes)
{
    for (u64 done = 0; done < bytes; done += PAGE_BYTES)
        if (module_uses_page(at.raw + done))
            broken("the VMM resets a page that the module uses", at.raw + done);
    memset(phys_ptr(at), 0, bytes);
    __atomic_fetch_add(&cpu_host_counts.reset_bytes, bytes, __ATOMIC_RELAXED);
}

void cpu_flush_lines(hpa_t at, u64 bytes)
{
    (void)at;
    __atomic_fetch_add(&cpu_host_counts.flushed_bytes, bytes, __ATOMIC_RELAXED);
}

void cpu_flush_all(void)
{
    __atomic_fetch_add(&cpu_host_counts.flushed_all, 1, __ATOMIC_RELAXED);
}
