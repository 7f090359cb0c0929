/*
 * The CPU that the VMM runs on: see lib/hw/cpu.h. SDM vol. 2 for each instruction, vol. 4 for the MSRs. What a CPU can
 * do is asked of CPUID once; all CPUs of a TDX machine are alike.
 */
#include "lib/hw/cpu.h"

#include "lib/bits.h"
#include "lib/log.h"
#include "lib/string.h"

#define MSR_GS_BASE   0xc0000101u
#define RFLAGS_IF     BIT(9)
#define LINE_BYTES    64ull
#define CLFLUSHOPT    BIT(23) /* CPUID.7.0:EBX */
#define MOVDIR64B     BIT(28) /* CPUID.7.0:ECX */
#define FEATURES_READ 1u
#define HAS_DIRECT    2u
#define HAS_FLUSHOPT  4u

void cpu_movdir64b_zero(void *to, u64 lines);
void cpu_clflushopt(void *at, u64 lines);
void cpu_clflush(void *at, u64 lines);

static _Atomic bool local_ready; /* GS of the first CPU points to its area: from then on every CPU sets its own first */
static _Atomic unsigned features;

void cpu_set_local(struct cpu_local *local)
{
    local->self = local;
    if (!cpu_write_msr(MSR_GS_BASE, (u64)(uintptr_t)local))
        panic("writing IA32_GS_BASE raises #GP");
    local_ready = true;
}

struct cpu_local *cpu_get_local(void)
{
    struct cpu_local *local = NULL;
    if (local_ready)
        __asm__ volatile("mov %%gs:%c1, %0" : "=r"(local) : "i"(offsetof(struct cpu_local, self)));
    return local;
}

unsigned cpu_index(void)
{
    const struct cpu_local *local = cpu_get_local();
    return local ? local->index : 0;
}

u64 cpu_tsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

void cpu_relax(void)
{
    __asm__ volatile("pause");
}

/* MFENCE does not hold back an instruction that is no access to memory; LFENCE does. */
void cpu_fence(void)
{
    __asm__ volatile("mfence; lfence" ::: "memory");
}

struct cpuid_regs cpu_cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid_regs r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

u64 cpu_irq_save(void)
{
    u64 flags;
    __asm__ volatile("pushfq; pop %0; cli" : "=r"(flags) : : "memory");
    return flags & RFLAGS_IF;
}

void cpu_irq_restore(u64 saved)
{
    if (saved & RFLAGS_IF)
        __asm__ volatile("sti" : : : "memory");
}

/* By way of the IDT that is loaded: which handler that is, is its owner's affair. SDM vol. 3, figures 6-8 and 6-9. */
void cpu_take_interrupt(u8 vector)
{
    struct __attribute__((packed)) {
        u16 limit;
        u64 base;
    } idtr;
    __asm__ volatile("sidt %0" : "=m"(idtr));
    const u64 *gate = (const u64 *)idtr.base + 2ull * vector;
    u64 handler = (gate[0] & 0xffff) | gate[0] >> 48 << 16 | gate[1] << 32;
    __asm__ volatile("mov %%rsp, %%rax; and $-16, %%rsp; mov %%ss, %%ecx; push %%rcx; push %%rax\n"
                     "pushfq; mov %%cs, %%ecx; push %%rcx; call *%0"
                     :
                     : "r"(handler)
                     : "rax", "rcx", "memory", "cc");
}

void *phys_ptr(hpa_t at)
{
    return (void *)(uintptr_t)at.raw;
}

hpa_t phys_of(const void *ptr)
{
    return (hpa_t){(u64)(uintptr_t)ptr};
}

static unsigned read_features(void)
{
    unsigned found = FEATURES_READ;
    if (cpu_cpuid(0, 0).eax >= 7) {
        struct cpuid_regs r = cpu_cpuid(7, 0);
        found |= (r.ecx & MOVDIR64B ? HAS_DIRECT : 0) | (r.ebx & CLFLUSHOPT ? HAS_FLUSHOPT : 0);
    }
    features = found;
    return found;
}

static bool has(unsigned feature)
{
    unsigned known = features;
    return (known ? known : read_features()) & feature;
}

void cpu_flush_lines(hpa_t at, u64 bytes)
{
    u64 from = align_down(at.raw, LINE_BYTES);
    u64 lines = (align_up(at.raw + bytes, LINE_BYTES) - from) / LINE_BYTES;
    if (has(HAS_FLUSHOPT))
        cpu_clflushopt(phys_ptr((hpa_t){from}), lines);
    else
        cpu_clflush(phys_ptr((hpa_t){from}), lines);
}

/* Only MOVDIR64B clears the integrity error that a page of another KeyID would raise. A CPU without it has no TDX
 * either. */
void cpu_reset_pages(hpa_t at, u64 bytes)
{
    if (has(HAS_DIRECT)) {
        cpu_movdir64b_zero(phys_ptr(at), bytes / LINE_BYTES);
        return;
    }
    memset(phys_ptr(at), 0, bytes);
    cpu_flush_lines(at, bytes);
}

void cpu_flush_all(void)
{
    __asm__ volatile("wbinvd" : : : "memory");
}
