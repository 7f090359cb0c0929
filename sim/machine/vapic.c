/* The virtual APIC of a TD vCPU: see vapic.h. SDM volume 3, sections 30.1.3 to 30.1.5, 30.2, 30.5 and 30.6. */
#include "sim/machine/vapic.h"

/* Offsets in the page; a register of 256 bits has its 32-bit words 16 bytes apart. */
#define TPR      0x80
#define PPR      0xa0
#define EOI      0xb0
#define ISR      0x100
#define IRR      0x200
#define SELF_IPI 0x3f0

#define MSR_FIRST    0x800
#define MSR_TPR      0x808
#define MSR_EOI      0x80b
#define MSR_SELF_IPI 0x83f

#define WORDS            8
#define CLASS(vector)    ((vector)&0xf0)
#define FIRST_LEGAL      16
#define OUTSTANDING      1ull
#define RVI(a)           ((u8) * (a)->status)
#define SVI(a)           ((u8)(*(a)->status >> 8))
#define STATUS(svi, rvi) ((u16)((svi) << 8 | (rvi)))

static u32 *word(const struct vapic *a, unsigned reg, unsigned n)
{
    return (u32 *)(a->page + reg + 16 * n);
}

static void set(struct vapic *a, unsigned reg, u8 vector)
{
    *word(a, reg, vector / 32) |= 1u << vector % 32;
}

static void clear(struct vapic *a, unsigned reg, u8 vector)
{
    *word(a, reg, vector / 32) &= ~(1u << vector % 32);
}

/* 0: none is set. */
static u8 highest(const struct vapic *a, unsigned reg)
{
    for (unsigned n = WORDS; n-- > 0;)
        if (*word(a, reg, n))
            return (u8)(32 * n + 31 - (unsigned)__builtin_clz(*word(a, reg, n)));
    return 0;
}

/* PPR virtualization: section 30.1.3. */
static void update_priority(struct vapic *a)
{
    u8 tpr = vapic_tpr(a), svi = SVI(a);

    *word(a, PPR, 0) = CLASS(tpr) >= CLASS(svi) ? tpr : CLASS(svi);
}

u8 vapic_candidate(const struct vapic *a)
{
    return CLASS(RVI(a)) > CLASS(SVI(a)) ? RVI(a) : 0;
}

void vapic_delivered(struct vapic *a)
{
    u8 vector = RVI(a);

    set(a, ISR, vector);
    clear(a, IRR, vector);
    *a->status = STATUS(vector, highest(a, IRR));
    *word(a, PPR, 0) = CLASS(vector);
}

u8 vapic_tpr(const struct vapic *a)
{
    return (u8)*word(a, TPR, 0);
}

void vapic_set_tpr(struct vapic *a, u8 tpr)
{
    *word(a, TPR, 0) = tpr;
    update_priority(a);
}

void vapic_eoi(struct vapic *a)
{
    *word(a, EOI, 0) = 0;
    clear(a, ISR, SVI(a));
    *a->status = STATUS(highest(a, ISR), RVI(a));
    update_priority(a);
}

void vapic_request(struct vapic *a, u8 vector)
{
    set(a, IRR, vector);
    if (vector > RVI(a))
        *a->status = STATUS(SVI(a), vector);
}

/* ON goes first: whoever posts behind that sends a notification of its own. */
void vapic_take_posted(struct vapic *a, struct posted_descriptor *d)
{
    __atomic_fetch_and(&d->outstanding, ~OUTSTANDING, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < 4; i++) {
        u64 requests = __atomic_exchange_n(&d->requests[i], 0, __ATOMIC_SEQ_CST);
        *word(a, IRR, 2 * i) |= (u32)requests;
        *word(a, IRR, 2 * i + 1) |= (u32)(requests >> 32);
    }
    *a->status = STATUS(SVI(a), highest(a, IRR));
}

/* Any of the page's registers, whether an x2APIC has it or not: section 30.5. */
u64 vapic_read_msr(const struct vapic *a, u32 msr)
{
    return *(const u64 *)(a->page + ((msr - MSR_FIRST) << 4));
}

/* Only three are virtual. The others reach the APIC underneath, which a TD has none of: read-only ones and those that x2APIC lacks
 * are all that the module lets through. */
enum vapic_write vapic_write_msr(struct vapic *a, u32 msr, u64 value)
{
    if ((msr != MSR_TPR && msr != MSR_EOI && msr != MSR_SELF_IPI) || value >> 8 || (msr == MSR_EOI && value))
        return VAPIC_FAULT;
    if (msr == MSR_TPR) {
        vapic_set_tpr(a, (u8)value);
    } else if (msr == MSR_EOI) {
        vapic_eoi(a);
    } else {
        *word(a, SELF_IPI, 0) = (u32)value;
        if (value < FIRST_LEGAL)
            return VAPIC_EXIT;
        vapic_request(a, (u8)value);
    }
    return VAPIC_DONE;
}
