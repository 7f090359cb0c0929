/*
 * The lab's twin of lib/hw/cpu.c: time is the CPU's clock in the machine, memory is sparse, and an x2APIC stands behind its
 * MSRs: IPIs, the periodic timer. There are no caches: flushes only take their time.
 *
 * Whoever asks for the time or waits passes time here, and lets interrupts in.
 */
#include "lib/hw/cpu.h"

#include "lab/cost.h"
#include "lab/cpuid.h"
#include "lab/firmware.h"
#include "lab/machine.h"
#include "lab/memory.h"
#include "lib/bits.h"
#include "lib/log.h"
#include "sim/module/platform.h"

#define MSR_APIC_BASE    0x1bu
#define MSR_X2APIC       0x800u
#define MSR_X2APIC_LAST  0x8ffu
#define X2APIC_ID        0x802u
#define X2APIC_ICR       0x830u
#define X2APIC_LVT_TIMER 0x832u
#define X2APIC_INITIAL   0x838u
#define X2APIC_CURRENT   0x839u
#define APIC_BASE        0xfee00900ull
#define APIC_DIVISOR     16u /* the only one that drivers/apic.c sets; the timer counts at the rate of the TSC */
#define LVT_MASKED       BIT(16)
#define ICR_MODE(icr)    ((icr) >> 8 & 7)
#define ICR_MODE_FIXED   0u
#define ICR_MODE_STARTUP 6u

struct msr {
    u32 number;
    u64 value;
};

/* The same on all CPUs, and constant. The last ones are what VP.ENTER clobbers: nobody here looks at them. */
static const struct msr msrs[] = {
    {0x3a, 5},                   /* IA32_FEATURE_CONTROL: locked, VMX */
    {0xfe, 0x8d0a},              /* IA32_MTRRCAP: SEAMRR */
    {0x480, 0x00da040000000013}, /* IA32_VMX_BASIC */
    {0xc0000081, 0},
    {0xc0000082, 0},
    {0xc0000084, 0},
    {0xc0000102, 0},
    {0xc0000103, 0},
};

static struct {
    u64 base;
    u32 lvt_timer, initial;
    u64 started_at;
} apics[MACHINE_CPUS_MAX];

/* --- who and when ------------------------------------------------------------------------------------------------- */

unsigned cpu_index(void)
{
    return machine_index();
}

void cpu_set_local(struct cpu_local *local)
{
    local->self = local;
}

u64 cpu_tsc(void)
{
    machine_pass(cost_of(COST_RDTSC));
    machine_take_interrupts();
    return machine_self->clock;
}

void cpu_relax(void)
{
    machine_pass(cost_of(COST_PAUSE));
    machine_take_interrupts();
}

void cpu_fence(void) {}

u64 cpu_irq_save(void)
{
    bool were_on = machine_self->interrupts_on;

    machine_self->interrupts_on = false;
    return were_on;
}

void cpu_irq_restore(u64 saved)
{
    machine_self->interrupts_on = saved;
    machine_take_interrupts();
}

void cpu_take_interrupt(u8 vector)
{
    machine_handle(vector);
}

struct cpuid_regs cpu_cpuid(u32 leaf, u32 subleaf)
{
    u32 out[4];

    cpuid_answer(leaf, subleaf, out);
    return (struct cpuid_regs){out[0], out[1], out[2], out[3]};
}

/* --- the local APIC ----------------------------------------------------------------------------------------------- */

static u64 timer_now(void)
{
    u64 passed = (machine_self->clock - apics[machine_index()].started_at) / APIC_DIVISOR;
    u32 initial = apics[machine_index()].initial;

    return passed < initial ? initial - passed : 0;
}

static void start_timer(u32 initial)
{
    u32 lvt = apics[machine_index()].lvt_timer;

    apics[machine_index()].initial = initial;
    apics[machine_index()].started_at = machine_self->clock;
    machine_set_timer((u8)lvt, lvt & LVT_MASKED ? 0 : (u64)initial * APIC_DIVISOR);
}

/* INIT and NMI have nobody here to tell: a CPU that was started once does its work to the end. */
static void send(u64 icr)
{
    if (ICR_MODE(icr) == ICR_MODE_FIXED)
        machine_send_ipi((unsigned)(icr >> 32), (u8)icr);
    else if (ICR_MODE(icr) == ICR_MODE_STARTUP)
        firmware_start_cpu((unsigned)(icr >> 32));
}

static u64 apic_read(u32 msr)
{
    switch (msr) {
    case X2APIC_ID:
        return machine_index();
    case X2APIC_CURRENT:
        return timer_now();
    default:
        return 0;
    }
}

static void apic_write(u32 msr, u64 value)
{
    if (msr == X2APIC_ICR)
        send(value);
    else if (msr == X2APIC_LVT_TIMER)
        apics[machine_index()].lvt_timer = (u32)value;
    else if (msr == X2APIC_INITIAL)
        start_timer((u32)value);
}

static bool is_apic(u32 msr)
{
    return msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST;
}

/* --- MSRs --------------------------------------------------------------------------------------------------------- */

static bool read_key_msr(u32 msr, u64 *value)
{
    const struct plat_info *info = plat_info();

    if (msr == 0x87) /* IA32_MKTME_KEYID_PARTITIONING */
        *value = ((1ull << info->keyid_bits) - info->first_private_hkid) << 32 | (info->first_private_hkid - 1u);
    else if (msr == 0x982) /* IA32_TME_ACTIVATE */
        *value = (u64)info->keyid_bits << 32 | 3;
    else
        return false;
    return true;
}

bool cpu_read_msr(u32 msr, u64 *value)
{
    if (is_apic(msr)) {
        *value = apic_read(msr);
        return true;
    }
    if (msr == MSR_APIC_BASE) {
        *value = apics[machine_index()].base ? apics[machine_index()].base : APIC_BASE;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_COUNT(msrs); i++)
        if (msrs[i].number == msr) {
            *value = msrs[i].value;
            return true;
        }
    return read_key_msr(msr, value);
}

bool cpu_write_msr(u32 msr, u64 value)
{
    u64 old;

    if (is_apic(msr))
        apic_write(msr, value);
    else if (msr == MSR_APIC_BASE)
        apics[machine_index()].base = value;
    else
        return cpu_read_msr(msr, &old);
    return true;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

void *phys_ptr(hpa_t at)
{
    void *to = memory_at(at.raw);

    if (!to)
        machine_stop("the VMM reaches for physical address 0x%llx, where no memory is", (unsigned long long)at.raw);
    return to;
}

hpa_t phys_of(const void *ptr)
{
    u64 at = memory_address(ptr);

    if (at == ~0ull)
        machine_stop("the VMM takes %p for a pointer to physical memory", ptr);
    return (hpa_t){at};
}

/* On a server the write would poison memory that the module uses. */
void cpu_reset_pages(hpa_t at, u64 bytes)
{
    for (u64 done = 0; done < bytes; done += PAGE_BYTES)
        if (module_uses_page(at.raw + done))
            machine_stop("the VMM resets 0x%llx, which the module uses", (unsigned long long)(at.raw + done));
    memory_clear(phys_ptr(at), bytes);
    machine_pass(cost_of(COST_RESET_PAGE) * (bytes / PAGE_BYTES));
}

void cpu_flush_lines(hpa_t at, u64 bytes)
{
    u64 pages = (align_up(at.raw + bytes, PAGE_BYTES) - align_down(at.raw, PAGE_BYTES)) / PAGE_BYTES;

    machine_pass(cost_of(COST_FLUSH_PAGE) * pages);
}

void cpu_flush_all(void)
{
    machine_pass(cost_of(COST_CACHE_WB));
}
