/* A virtual I/O APIC. See vioapic.h. */
#include "drivers/virt/vioapic.h"

#include "lib/bits.h"

#define REG_SELECT 0x00u
#define REG_WINDOW 0x10u
#define REG_EOI    0x40u

#define INDEX_ID          0u
#define INDEX_VERSION     1u
#define INDEX_ARBITRATION 2u
#define INDEX_TABLE       0x10u

#define VERSION        (0x20u | (MACHINE_IOAPIC_PINS - 1) << 16)
#define ID_MASK        0x0f000000u
#define ENTRY_WRITABLE 0xff0000000001afffull
#define ENTRY_REMOTE   BIT(14) /* sent, and not ended: level-triggered pins */
#define ENTRY_LEVEL    BIT(15)
#define ENTRY_MASKED   BIT(16)

void vioapic_reset(struct vioapic *a)
{
    *a = (struct vioapic){.id = MACHINE_IOAPIC_ID << 24};
    for (unsigned i = 0; i < MACHINE_IOAPIC_PINS; i++)
        a->entry[i] = ENTRY_MASKED;
}

/* --- registers ---------------------------------------------------------------------------------------------------- */

static u32 read_window(const struct vioapic *a)
{
    unsigned pin = (a->select - INDEX_TABLE) / 2u;

    if (a->select == INDEX_ID || a->select == INDEX_ARBITRATION)
        return a->id;
    if (a->select == INDEX_VERSION)
        return VERSION;
    if (a->select < INDEX_TABLE || pin >= MACHINE_IOAPIC_PINS)
        return 0;
    return (u32)(a->entry[pin] >> (a->select % 2 ? 32 : 0));
}

u32 vioapic_read(const struct vioapic *a, u32 offset)
{
    if (offset == REG_SELECT)
        return a->select;
    return offset == REG_WINDOW ? read_window(a) : 0;
}

/* A level-triggered pin that is asserted interrupts again and again until it is not. */
static void look_at_level(struct vioapic *a, unsigned pin)
{
    if ((a->entry[pin] & ENTRY_LEVEL) && (a->asserted >> pin & 1))
        a->waiting |= 1u << pin;
}

static void write_entry(struct vioapic *a, unsigned pin, bool is_high, u32 value)
{
    u64 old = a->entry[pin], keep = is_high ? 0xffffffffull : ~0xffffffffull;
    u64 new = (old & keep) | (u64)value << (is_high ? 32 : 0);

    new = (new &ENTRY_WRITABLE) | (old & ENTRY_REMOTE);
    if (!(new &ENTRY_LEVEL))
        new &= ~ENTRY_REMOTE;
    a->entry[pin] = new;
    if ((old ^ new) & ENTRY_LEVEL)
        a->waiting &= ~(1u << pin);
    look_at_level(a, pin);
}

static void write_window(struct vioapic *a, u32 value)
{
    unsigned pin = (a->select - INDEX_TABLE) / 2u;

    if (a->select == INDEX_ID)
        a->id = value & ID_MASK;
    else if (a->select >= INDEX_TABLE && pin < MACHINE_IOAPIC_PINS)
        write_entry(a, pin, a->select % 2, value);
}

static void end_of_interrupt(struct vioapic *a, u8 vector)
{
    for (unsigned pin = 0; pin < MACHINE_IOAPIC_PINS; pin++) {
        if ((u8)a->entry[pin] != vector || !(a->entry[pin] & ENTRY_REMOTE))
            continue;
        a->entry[pin] &= ~ENTRY_REMOTE;
        look_at_level(a, pin);
    }
}

void vioapic_write(struct vioapic *a, u32 offset, u32 value)
{
    if (offset == REG_SELECT)
        a->select = (u8)value;
    else if (offset == REG_WINDOW)
        write_window(a, value);
    else if (offset == REG_EOI)
        end_of_interrupt(a, (u8)value);
}

/* --- pins --------------------------------------------------------------------------------------------------------- */

/* An edge at a pin that is masked is lost. */
void vioapic_set_pin(struct vioapic *a, unsigned pin, bool is_asserted)
{
    u32 bit = 1u << pin;
    bool rises = is_asserted && !(a->asserted & bit);

    a->asserted = is_asserted ? a->asserted | bit : a->asserted & ~bit;
    if (a->entry[pin] & ENTRY_LEVEL) {
        a->waiting = is_asserted ? a->waiting | bit : a->waiting & ~bit;
    } else if (rises && !(a->entry[pin] & ENTRY_MASKED)) {
        a->waiting |= bit;
    }
}

static bool may_send(const struct vioapic *a, unsigned pin)
{
    return (a->waiting >> pin & 1) && !(a->entry[pin] & (ENTRY_MASKED | ENTRY_REMOTE));
}

bool vioapic_take(struct vioapic *a, struct vioapic_message *m)
{
    for (unsigned pin = 0; pin < MACHINE_IOAPIC_PINS; pin++) {
        u64 *entry = &a->entry[pin];
        if (!may_send(a, pin))
            continue;
        a->waiting &= ~(1u << pin);
        if (*entry & ENTRY_LEVEL)
            *entry |= ENTRY_REMOTE;
        *m = (struct vioapic_message){.vector = (u8)*entry,
                                      .mode = *entry >> 8 & 7,
                                      .is_logical = *entry >> 11 & 1,
                                      .destination = (u8)(*entry >> 56)};
        return true;
    }
    return false;
}
