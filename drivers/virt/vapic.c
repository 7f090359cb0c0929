/* A vCPU's local APIC. See vapic.h. SDM vol. 3, table 11-6. */
#include "drivers/virt/vapic.h"

#include "lib/bits.h"

enum {
    MSR_ID = 0x802,
    MSR_VERSION = 0x803,
    MSR_LDR = 0x80d,
    MSR_SPIV = 0x80f,
    MSR_ESR = 0x828,
    MSR_LVT = 0x832, /* the first of VAPIC_LVTS */
    MSR_INITIAL = 0x838,
    MSR_CURRENT = 0x839,
    MSR_DIVIDE = 0x83e,
};

#define VERSION       (0x14u | (VAPIC_LVTS - 1) << 16)
#define SPIV_RESET    0xffu
#define SPIV_MASK     0x1ffu
#define LVT_MASKED    BIT(16)
#define LVT_PERIODIC  BIT(17)
#define LVT_DEADLINE  BIT(18)
#define DIVIDE_MASK   0xbu
#define ICR_WRITABLE  0xffffffff000ccfffull /* bit 12, delivery status, is not there in x2APIC mode */
#define BROADCAST     0xffffffffu
#define SHORTHAND(i)  ((i) >> 18 & 3)
#define VECTOR_LOWEST 16u

/* Which bits of each LVT entry there are: table 11-8 and following figures. */
static const u32 lvt_mask[VAPIC_LVTS] = {0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

void vapic_reset(struct vapic *a, u32 id)
{
    *a = (struct vapic){.id = id, .spiv = SPIV_RESET, .due = VAPIC_NEVER};
    for (unsigned i = 0; i < VAPIC_LVTS; i++)
        a->lvt[i] = LVT_MASKED;
}

/* --- timer -------------------------------------------------------------------------------------------------------- */

static unsigned divisor(const struct vapic *a)
{
    unsigned code = (a->divide & 3) | (a->divide >> 1 & 4);

    return code == 7 ? 1 : 2u << code;
}

static bool is_periodic(const struct vapic *a)
{
    return a->lvt[0] & LVT_PERIODIC;
}

/* Shorter ones would be due at each entry, and the guest never come to an instruction of its own. */
static u64 period(const struct vapic *a)
{
    u64 asked = (u64)a->initial * divisor(a);

    return is_periodic(a) ? max_u64(asked, VAPIC_PERIOD_MIN) : asked;
}

static void start(struct vapic *a, u64 now)
{
    a->due = a->initial == 0 ? VAPIC_NEVER : now + period(a);
}

static u32 current_count(const struct vapic *a, u64 now)
{
    if (a->due == VAPIC_NEVER || now >= a->due)
        return 0;
    return (u32)min_u64((a->due - now + divisor(a) - 1) / divisor(a), a->initial);
}

bool vapic_timer_fires(struct vapic *a, u64 now, u8 *vector)
{
    if (now < a->due)
        return false;
    if (is_periodic(a))
        a->due += ((now - a->due) / period(a) + 1) * period(a);
    else
        a->due = VAPIC_NEVER;
    *vector = (u8)a->lvt[0];
    return !(a->lvt[0] & LVT_MASKED) && *vector >= VECTOR_LOWEST;
}

/* --- registers ---------------------------------------------------------------------------------------------------- */

/* In x2APIC mode it follows from the id: section 11.12.10.2. */
static u32 logical_id(u32 id)
{
    return (id >> 4) << 16 | 1u << (id & 15);
}

bool vapic_read(const struct vapic *a, u32 msr, u64 now, u64 *value)
{
    if (msr >= MSR_LVT && msr < MSR_LVT + VAPIC_LVTS) {
        *value = a->lvt[msr - MSR_LVT];
        return true;
    }
    switch (msr) {
    case MSR_ID:
        *value = a->id;
        return true;
    case MSR_VERSION:
        *value = VERSION;
        return true;
    case MSR_LDR:
        *value = logical_id(a->id);
        return true;
    case MSR_SPIV:
        *value = a->spiv;
        return true;
    case MSR_ESR:
        *value = 0;
        return true;
    case VAPIC_MSR_ICR:
        *value = a->icr;
        return true;
    case MSR_INITIAL:
        *value = a->initial;
        return true;
    case MSR_CURRENT:
        *value = current_count(a, now);
        return true;
    case MSR_DIVIDE:
        *value = a->divide;
        return true;
    default:
        return false;
    }
}

/* From one-shot to periodic or back the count goes on. */
static bool write_lvt(struct vapic *a, unsigned i, u64 value)
{
    if (value & ~(u64)lvt_mask[i])
        return false;
    a->lvt[i] = (u32)value;
    return true;
}

/* Where the clock changes what is left of the count goes on by the new one. */
static bool write_divide(struct vapic *a, u64 value, u64 now)
{
    u32 left = current_count(a, now);

    if (value & ~(u64)DIVIDE_MASK)
        return false;
    a->divide = (u32)value;
    if (a->due != VAPIC_NEVER)
        a->due = now + (u64)left * divisor(a);
    return true;
}

static bool store(u32 *to, u64 value, u64 mask)
{
    if (value & ~mask)
        return false;
    *to = (u32)value;
    return true;
}

static bool write_icr(struct vapic *a, u64 value)
{
    if (value & ~ICR_WRITABLE)
        return false;
    a->icr = value;
    return true;
}

bool vapic_write(struct vapic *a, u32 msr, u64 value, u64 now)
{
    if (msr >= MSR_LVT && msr < MSR_LVT + VAPIC_LVTS)
        return write_lvt(a, msr - MSR_LVT, value);
    switch (msr) {
    case MSR_SPIV:
        return store(&a->spiv, value, SPIV_MASK);
    case MSR_ESR:
        return value == 0;
    case VAPIC_MSR_ICR:
        return write_icr(a, value);
    case MSR_INITIAL:
        if (!store(&a->initial, value, ~0u))
            return false;
        start(a, now);
        return true;
    case MSR_DIVIDE:
        return write_divide(a, value, now);
    default:
        return false;
    }
}

/* --- interrupt commands ------------------------------------------------------------------------------------------- */

struct vapic_ipi vapic_ipi(u64 icr)
{
    unsigned shorthand = SHORTHAND(icr);

    return (struct vapic_ipi){.vector = (u8)icr,
                              .mode = icr >> 8 & 7,
                              .is_logical = icr >> 11 & 1,
                              .destination = (u32)(icr >> 32),
                              .has_shorthand = shorthand != 0,
                              .to_self = shorthand == 1 || shorthand == 2,
                              .to_others = shorthand >= 2};
}

bool vapic_is_target(const struct vapic_ipi *ipi, u32 id, u32 sender)
{
    u32 logical = logical_id(id), d = ipi->destination;

    if (ipi->has_shorthand)
        return id == sender ? ipi->to_self : ipi->to_others;
    if (d == BROADCAST)
        return true;
    if (ipi->is_logical)
        return d >> 16 == logical >> 16 && (d & logical & 0xffff);
    return d == id;
}
