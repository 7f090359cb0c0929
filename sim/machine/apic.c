/*
 * x2APIC MSRs over the memory-mapped APIC, or passed on where the APIC is in x2APIC mode already. Left out: the xAPIC page stays
 * accessible to the VMM in x2APIC mode, and INIT or start-up IPIs sent through it are not seen.
 */
#include "sim/machine/apic.h"
#include "sim/machine/ap.h"
#include "sim/machine/config.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/log.h"
#include "sim/machine/relief.h"

#define MSR_APIC_BASE 0x1b
#define BASE_BSP      (1ull << 8)
#define BASE_EXTD     (1ull << 10)
#define BASE_ENABLE   (1ull << 11)
#define BASE_ADDR     0x000ffffffffff000ull

/* Register numbers: offset in the xAPIC page / 16 = MSR - 800h. */
enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_LVT_CMCI = 0x2f,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT_TIMER = 0x32,
    REG_LVT_ERROR = 0x37,
    REG_TIMER_INITIAL = 0x38,
    REG_TIMER_CURRENT = 0x39,
    REG_TIMER_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f,
};

#define LVT_MASKED         0x00010000u
#define LVT_PERIODIC       0x00020000u
#define SVR_AT_RESET       0xffu
#define SVR_ENABLE         0x100u
#define ICR_MODE(low)      ((low) >> 8 & 7)
#define ICR_MODE_BITS      0x00000700u
#define ICR_MODE_LOWEST    1
#define ICR_MODE_NMI       4
#define ICR_MODE_INIT      5
#define ICR_MODE_SIPI      6
#define ICR_LOGICAL        0x00000800u
#define ICR_PENDING        0x00001000u
#define ICR_ASSERT         0x00004000u
#define ICR_LEVEL          0x00008000u
#define ICR_SHORTHAND(low) ((low) >> 18 & 3)
#define ICR_SHORTHANDS     0x000c0000u
#define ALL_CPUS           0xffffffffu
#define ICR_POLLS_MAX      1000000

enum shorthand { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

static u64 page_at(unsigned reg)
{
    return (cpu_rdmsr(MSR_APIC_BASE) & BASE_ADDR) + 16 * reg;
}
static u32 page_read(unsigned reg)
{
    return mmio_read32(page_at(reg));
}
static void page_write(unsigned reg, u32 value)
{
    mmio_write32(page_at(reg), value);
}

static u32 apic_read(struct cpu *cpu, unsigned reg)
{
    return cpu->x2apic_native ? (u32)cpu_rdmsr(MSR_X2APIC_FIRST + reg) : page_read(reg);
}

static void apic_write(struct cpu *cpu, unsigned reg, u32 value)
{
    if (cpu->x2apic_native)
        cpu_wrmsr(MSR_X2APIC_FIRST + reg, value);
    else
        page_write(reg, value);
}

bool apic_is_x2(void)
{
    return cpu_rdmsr(MSR_APIC_BASE) & BASE_EXTD;
}

void apic_init(struct cpu *cpu)
{
    cpu->x2apic_native = apic_is_x2();
    cpu->x2apic = cpu->x2apic_native || sim_config()->x2apic;
}

u32 apic_own_id(void)
{
    if (apic_is_x2())
        return (u32)cpu_rdmsr(MSR_X2APIC_FIRST + REG_ID);
    return page_read(REG_ID) >> 24;
}

/* What INIT does to an APIC: the mode stays, everything else as at reset. SDM vol. 3, "x2APIC states". */
void apic_reset(struct cpu *cpu)
{
    for (unsigned reg = REG_LVT_TIMER; reg <= REG_LVT_ERROR; reg++)
        apic_write(cpu, reg, LVT_MASKED);
    apic_write(cpu, REG_TIMER_INITIAL, 0);
    apic_write(cpu, REG_TPR, 0);
    apic_write(cpu, REG_SVR, SVR_AT_RESET);
}

void apic_save(struct cpu *cpu, struct apic_state *state)
{
    state->spurious = apic_read(cpu, REG_SVR);
    state->task_priority = apic_read(cpu, REG_TPR);
    state->logical_id = apic_read(cpu, REG_LDR);
    state->logical_format = apic_read(cpu, REG_DFR);
    for (unsigned i = 0; i <= REG_LVT_ERROR - REG_LVT_TIMER; i++)
        state->lvt[i] = apic_read(cpu, REG_LVT_TIMER + i);
    state->divide = apic_read(cpu, REG_TIMER_DIVIDE);
    state->initial = apic_read(cpu, REG_TIMER_INITIAL);
    state->current = apic_read(cpu, REG_TIMER_CURRENT);
}

/* A periodic timer begins its period anew, the other goes on with what is left. */
void apic_load(struct cpu *cpu, const struct apic_state *state)
{
    apic_write(cpu, REG_SVR, state->spurious);
    apic_write(cpu, REG_TPR, state->task_priority);
    apic_write(cpu, REG_LDR, state->logical_id);
    apic_write(cpu, REG_DFR, state->logical_format);
    for (unsigned i = 0; i <= REG_LVT_ERROR - REG_LVT_TIMER; i++)
        apic_write(cpu, REG_LVT_TIMER + i, state->lvt[i]);
    apic_write(cpu, REG_TIMER_DIVIDE, state->divide);
    apic_write(cpu, REG_TIMER_INITIAL, state->lvt[0] & LVT_PERIODIC ? state->initial : state->current);
}

void apic_enable(struct cpu *cpu)
{
    apic_write(cpu, REG_SVR, SVR_AT_RESET | SVR_ENABLE);
}

void apic_take_id(u32 id)
{
    page_write(REG_ID, id << 24);
}

bool apic_is_in_service(struct cpu *cpu)
{
    u32 bits = 0;
    for (unsigned i = 0; i < 8; i++)
        bits |= apic_read(cpu, REG_ISR + i);
    return bits;
}

/* The VMM's first CPU is the one that the machine started on, whichever goes on in its place. */
u64 apic_base_read(struct cpu *cpu)
{
    return (cpu_rdmsr(MSR_APIC_BASE) & ~(BASE_EXTD | BASE_BSP)) | (cpu->x2apic ? BASE_EXTD : 0) |
           (cpu->index ? 0 : BASE_BSP);
}

bool apic_base_write(struct cpu *cpu, u64 value)
{
    bool extd = value & BASE_EXTD;
    if (extd && !(value & BASE_ENABLE))
        return false;
    if (!extd && cpu->x2apic && value & BASE_ENABLE) /* x2APIC to xAPIC only through disabled */
        return false;
    cpu_wrmsr(MSR_APIC_BASE, (value & ~BASE_EXTD) | (cpu->x2apic_native && extd ? BASE_EXTD : 0));
    cpu->x2apic_native &= extd;
    cpu->x2apic = extd;
    return true;
}

static bool exists(unsigned reg)
{
    static const u8 lone[] = {
        REG_ID,  REG_VERSION,  REG_TPR, REG_PPR,           REG_EOI,           REG_LDR,          REG_SVR,
        REG_ESR, REG_LVT_CMCI, REG_ICR, REG_TIMER_INITIAL, REG_TIMER_CURRENT, REG_TIMER_DIVIDE, REG_SELF_IPI};
    for (unsigned i = 0; i < sizeof(lone); i++)
        if (lone[i] == reg)
            return true;
    return (reg >= REG_ISR && reg < REG_ESR) || (reg >= REG_LVT_TIMER && reg <= REG_LVT_ERROR);
}

bool apic_read_msr(struct cpu *cpu, u32 msr, u64 *value)
{
    unsigned reg = msr - MSR_X2APIC_FIRST;
    if (!cpu->x2apic || !exists(reg) || reg == REG_EOI || reg == REG_SELF_IPI)
        return false;
    if (reg == REG_ID)
        *value = cpu->apic_id;
    else if (reg == REG_LDR)
        *value = (cpu->apic_id >> 4) << 16 | 1u << (cpu->apic_id & 15);
    else if (cpu->x2apic_native)
        *value = cpu_rdmsr(msr);
    else if (reg == REG_ICR)
        *value = page_read(REG_ICR) | (u64)(page_read(REG_ICR_HIGH) >> 24) << 32;
    else
        *value = page_read(reg);
    return true;
}

static void send(struct cpu *cpu, u32 low, u32 dest)
{
    if (cpu->x2apic_native) {
        cpu_wrmsr(MSR_X2APIC_FIRST + REG_ICR, low | (u64)dest << 32);
        return;
    }
    for (unsigned i = 0; i < ICR_POLLS_MAX && page_read(REG_ICR) & ICR_PENDING; i++)
        ;
    page_write(REG_ICR_HIGH, (dest > 0xff ? 0xff : dest) << 24);
    page_write(REG_ICR, low);
}

void apic_send_nmi(struct cpu *cpu, u32 dest)
{
    send(cpu, ICR_MODE_NMI << 8 | ICR_ASSERT, dest);
}

void apic_send_init(struct cpu *cpu, u32 dest)
{
    send(cpu, ICR_MODE_INIT << 8 | ICR_ASSERT | ICR_LEVEL, dest);
    send(cpu, ICR_MODE_INIT << 8 | ICR_LEVEL, dest);
}

void apic_send_startup(struct cpu *cpu, u32 dest, u8 vector)
{
    send(cpu, ICR_MODE_SIPI << 8 | ICR_ASSERT | vector, dest);
}

void apic_send_on(struct cpu *cpu, u32 dest)
{
    for (unsigned vector = 16; vector < 256; vector++) {
        bool waits = apic_read(cpu, REG_IRR + vector / 32) >> vector % 32 & 1;
        bool is_level = apic_read(cpu, REG_TMR + vector / 32) >> vector % 32 & 1;
        if (waits)
            send(cpu, ICR_ASSERT | (is_level ? ICR_LEVEL : 0) | vector, dest);
    }
}

/* Does an IPI of the VMM go to this CPU? Logical x2APIC IDs: cluster above, one bit for each of its 16 CPUs below. */
static bool is_meant(const struct cpu *from, const struct cpu *to, u32 low, u32 dest)
{
    switch (ICR_SHORTHAND(low)) {
    case TO_SELF:
        return to == from;
    case TO_ALL:
        return true;
    case TO_OTHERS:
        return to != from;
    default:
        break;
    }
    if (dest == ALL_CPUS)
        return true;
    return low & ICR_LOGICAL ? to->apic_id >> 4 == dest >> 16 && (dest >> (to->apic_id & 15) & 1) : to->apic_id == dest;
}

/* INIT, start-up and NMI are the platform's to deliver, one CPU after the other. Level-deasserted INIT does nothing. */
static void deliver(struct cpu *from, u32 low, u32 dest)
{
    bool is_deassert = low & ICR_LEVEL && !(low & ICR_ASSERT);
    for (unsigned i = 0; i < cpu_count() && !is_deassert; i++) {
        struct cpu *to = cpu_at(i);
        if (!is_meant(from, to, low, dest))
            continue;
        if (ICR_MODE(low) == ICR_MODE_INIT)
            ap_init_ipi(from, to);
        else if (ICR_MODE(low) == ICR_MODE_SIPI)
            ap_startup_ipi(from, to, (u8)low);
        else
            ap_nmi_ipi(from, to);
    }
    if (!is_deassert && ICR_MODE(low) != ICR_MODE_NMI)
        relief_see_ipi(from, ICR_MODE(low) == ICR_MODE_SIPI, ICR_SHORTHAND(low) == TO_OTHERS, (u8)low);
}

/* An xAPIC knows other logical IDs, IDs may be shown that no APIC has, and behind shorthands QEMU 7.2 finds the wrong CPU where an ID has
 * moved: each CPU that is meant gets an interrupt of its own, the first one alone of lowest priority. */
static void send_each(struct cpu *from, u32 low, u32 dest)
{
    for (unsigned i = 0; i < cpu_count(); i++) {
        if (!is_meant(from, cpu_at(i), low, dest))
            continue;
        send(from, low & ~(ICR_LOGICAL | ICR_MODE_BITS | ICR_SHORTHANDS), cpu_at(i)->real_apic_id);
        if (ICR_MODE(low) == ICR_MODE_LOWEST)
            return;
    }
}

static bool needs_each(const struct cpu *cpu, u32 low)
{
    if (ICR_SHORTHAND(low) != TO_DEST)
        return !cpu->x2apic_native;
    return sim_config()->apic_id_base || (low & ICR_LOGICAL && !cpu->x2apic_native);
}

static void send_ipi(struct cpu *cpu, u64 icr)
{
    u32 low = (u32)icr, dest = (u32)(icr >> 32);
    if (ICR_MODE(low) >= ICR_MODE_NMI)
        deliver(cpu, low, dest);
    else if (needs_each(cpu, low))
        send_each(cpu, low, dest);
    else
        send(cpu, low, dest);
}

static bool is_read_only(unsigned reg)
{
    return reg == REG_ID || reg == REG_VERSION || reg == REG_PPR || reg == REG_LDR ||
           (reg >= REG_ISR && reg < REG_ESR) || reg == REG_TIMER_CURRENT;
}

bool apic_write_msr(struct cpu *cpu, u32 msr, u64 value)
{
    unsigned reg = msr - MSR_X2APIC_FIRST;
    if (!cpu->x2apic || !exists(reg) || is_read_only(reg) || (reg != REG_ICR && value >> 32))
        return false;
    if ((reg == REG_EOI || reg == REG_ESR) && value)
        return false;
    if (reg == REG_ICR)
        send_ipi(cpu, value);
    else if (cpu->x2apic_native)
        cpu_wrmsr(msr, value);
    else if (reg == REG_SELF_IPI)
        send(cpu, ICR_ASSERT | (u8)value, cpu->real_apic_id);
    else
        page_write(reg, (u32)value);
    return true;
}

void apic_eoi(struct cpu *cpu)
{
    apic_write(cpu, REG_EOI, 0);
}

bool apic_has_deliverable(struct cpu *cpu)
{
    for (unsigned i = 8; i-- > 0;) {
        u32 bits = apic_read(cpu, REG_IRR + i);
        if (!bits)
            continue;
        unsigned vector = 32 * i + 31 - (unsigned)__builtin_clz(bits);
        return vector >> 4 > apic_read(cpu, REG_PPR) >> 4;
    }
    return false;
}
