/* The local APIC. See apic.h. SDM vol. 3, tables 11-1 (memory) and 11-6 (x2APIC MSRs). */
#include "drivers/apic.h"

#include "drivers/hw/io.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"

#define MSR_APIC_BASE          0x1b
#define APIC_BASE_ENABLE       BIT(11)
#define APIC_BASE_X2           BIT(10)
#define APIC_BASE_ADDRESS_MASK BITS_MASK(12, 40)
#define MSR_X2APIC             0x800 /* + register offset / 16 */

#define REG_ID            0x20
#define REG_TPR           0x80
#define REG_EOI           0xb0
#define REG_SVR           0xf0
#define REG_ISR           0x100 /* to 170h, 32 vectors each */
#define REG_ICR           0x300
#define REG_ICR_HIGH      0x310
#define REG_LVT_TIMER     0x320
#define REG_LVT_COUNTER   0x340
#define REG_LVT_LINT0     0x350
#define REG_LVT_LINT1     0x360
#define REG_INITIAL_COUNT 0x380
#define REG_CURRENT_COUNT 0x390
#define REG_DIVIDE        0x3e0

#define SVR_ENABLE   BIT(8)
#define LVT_MASKED   BIT(16)
#define LVT_PERIODIC BIT(17)
#define LVT_NMI      (4u << 8)
#define DIVIDE_16    3

#define ICR_FIXED      0u
#define ICR_NMI        (4u << 8)
#define ICR_INIT       (5u << 8)
#define ICR_STARTUP    (6u << 8)
#define ICR_PENDING    BIT(12)
#define ICR_ASSERT     BIT(14)
#define ICR_OTHERS     (3u << 18)
#define ICR_WAIT_READS 1000000u

#define CPUID_1_EDX_APIC   BIT(9)
#define CPUID_1_ECX_X2APIC BIT(21)

#define CPUID_TOPOLOGY      0x0bu
#define CPUID_TOPOLOGY_V2   0x1fu
#define TOPOLOGY_LEVEL_TYPE 0xff00u /* ECX; 0: there is no such level */
#define TOPOLOGY_SHIFT      0x1fu   /* EAX */
#define TOPOLOGY_LEVELS_MAX 8u
#define APIC_ID_BROADCAST   255u

static bool x2;
static hpa_t page;

static u32 reg_read(u32 reg)
{
    u64 value = 0;

    if (!x2)
        return mmio_read32(hpa_add(page, reg));
    return cpu_read_msr(MSR_X2APIC + reg / 16, &value) ? (u32)value : 0;
}

static void reg_write(u32 reg, u32 value)
{
    if (!x2)
        mmio_write32(hpa_add(page, reg), value);
    else if (!cpu_write_msr(MSR_X2APIC + reg / 16, value))
        return; /* a register that this APIC lacks: the timer then never ticks and start-up says so */
}

static const char *mode_name(u64 base)
{
    return !(base & APIC_BASE_ENABLE) ? "disabled" : base & APIC_BASE_X2 ? "in x2APIC mode" : "in xAPIC mode";
}

enum err apic_init(void)
{
    struct cpuid_regs id = cpu_cpuid(1, 0);
    u64 base;

    if (!(id.edx & CPUID_1_EDX_APIC) || !cpu_read_msr(MSR_APIC_BASE, &base))
        return ERR_PLATFORM;
    page = (hpa_t){base & APIC_BASE_ADDRESS_MASK};
    x2 = id.ecx & CPUID_1_ECX_X2APIC;
    /* x2APIC is reached only from the enabled xAPIC. */
    if (!cpu_write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLE))
        return ERR_PLATFORM;
    if (x2 && !cpu_write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2))
        x2 = false;
    if (cpu_index() == 0)
        log_msg(LOG_DEBUG, "the local APIC was %s; now it is %s", mode_name(base),
                x2 ? "in x2APIC mode" : "in xAPIC mode");
    reg_write(REG_TPR, 0);
    reg_write(REG_LVT_TIMER, LVT_MASKED);
    reg_write(REG_LVT_LINT0, LVT_MASKED);
    reg_write(REG_LVT_LINT1, LVT_NMI);
    reg_write(REG_SVR, SVR_ENABLE | APIC_VECTOR_SPURIOUS);
    return ERR_OK;
}

u32 apic_id(void)
{
    u32 id = reg_read(REG_ID);
    return x2 ? id : id >> 24;
}

/* The last level of the topology is the package's. SDM vol. 2, CPUID leafs 0BH and 1FH, which has more levels. */
unsigned apic_package_shift(void)
{
    u32 leaf = cpu_cpuid(0, 0).eax;
    unsigned shift = 0;

    if (leaf < CPUID_TOPOLOGY)
        return 0;
    leaf = leaf >= CPUID_TOPOLOGY_V2 && cpu_cpuid(CPUID_TOPOLOGY_V2, 0).ebx ? CPUID_TOPOLOGY_V2 : CPUID_TOPOLOGY;
    for (u32 level = 0; level < TOPOLOGY_LEVELS_MAX; level++) {
        struct cpuid_regs r = cpu_cpuid(leaf, level);
        if (!(r.ecx & TOPOLOGY_LEVEL_TYPE))
            break;
        shift = r.eax & TOPOLOGY_SHIFT;
    }
    return shift;
}

bool apic_is_x2(void)
{
    return x2;
}

bool apic_can_reach(u32 id)
{
    return x2 || id < APIC_ID_BROADCAST;
}

void apic_eoi(void)
{
    reg_write(REG_EOI, 0);
}

bool apic_is_in_service(u8 vector)
{
    return reg_read(REG_ISR + vector / 32 * 0x10u) >> vector % 32 & 1;
}

/*
 * The memory APIC holds one IPI until it is accepted; x2APIC has no such state, and its write may overtake the stores that the
 * IPI is about. SDM vol. 3, "MSR Access in x2APIC Mode".
 */
static void send(u32 to, u32 command)
{
    u64 irq = cpu_irq_save();

    if (x2)
        cpu_fence();
    if (x2 && !cpu_write_msr(MSR_X2APIC + REG_ICR / 16, (u64)to << 32 | command))
        panic("the APIC refuses an IPI: to 0x%x, command 0x%x", to, command);
    for (unsigned i = 0; !x2 && i < ICR_WAIT_READS && reg_read(REG_ICR) & ICR_PENDING; i++)
        cpu_relax();
    if (!x2) {
        reg_write(REG_ICR_HIGH, to << 24);
        reg_write(REG_ICR, command);
    }
    cpu_irq_restore(irq);
}

void apic_send_ipi(u32 to, u8 vector)
{
    send(to, ICR_FIXED | ICR_ASSERT | vector);
}

void apic_send_init(u32 to)
{
    send(to, ICR_INIT | ICR_ASSERT);
}

void apic_send_startup(u32 to, hpa_t start)
{
    send(to, ICR_STARTUP | ICR_ASSERT | (u32)(start.raw >> PAGE_SHIFT));
}

void apic_send_nmi(u32 to)
{
    send(to, ICR_NMI | ICR_ASSERT);
}

void apic_send_nmi_to_others(void)
{
    send(0, ICR_OTHERS | ICR_NMI | ICR_ASSERT);
}

bool apic_counter_nmi(void)
{
    reg_write(REG_LVT_COUNTER, LVT_NMI);
    return reg_read(REG_LVT_COUNTER) == LVT_NMI;
}

u32 apic_timer_measure(void (*wait)(u64 us), u64 us)
{
    reg_write(REG_LVT_TIMER, LVT_MASKED);
    reg_write(REG_DIVIDE, DIVIDE_16);
    reg_write(REG_INITIAL_COUNT, ~0u);
    u32 from = reg_read(REG_CURRENT_COUNT);
    wait(us);
    u32 to = reg_read(REG_CURRENT_COUNT);
    reg_write(REG_INITIAL_COUNT, 0);
    return from - to;
}

/* Stopped first: an alarm's short count would go on, over and over, until it is replaced. */
void apic_timer_start(u8 vector, u32 ticks)
{
    reg_write(REG_INITIAL_COUNT, 0);
    reg_write(REG_DIVIDE, DIVIDE_16);
    reg_write(REG_LVT_TIMER, ticks == 0 ? LVT_MASKED : LVT_PERIODIC | vector);
    reg_write(REG_INITIAL_COUNT, ticks);
}

void apic_timer_once(u32 ticks)
{
    reg_write(REG_DIVIDE, DIVIDE_16);
    reg_write(REG_LVT_TIMER, APIC_VECTOR_ALARM);
    reg_write(REG_INITIAL_COUNT, ticks);
}
