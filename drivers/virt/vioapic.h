/*
 * A virtual I/O APIC of 24 pins: 82093AA data sheet, section 3; the EOI register of version 20H, for the VMM of a TD never sees an
 * EOI of the local APIC: a level-triggered pin is ended by that register, or by making it edge-triggered for a moment. Pure state:
 * the owner moves the pins and takes the messages. A pin that is asserted is so whatever polarity its entry says.
 */
#ifndef DRIVERS_VIRT_VIOAPIC_H
#define DRIVERS_VIRT_VIOAPIC_H

#include "guest/shim/machine.h"
#include "lib/types.h"

#define VIOAPIC_BYTES 0x1000u

struct vioapic {
    u8 select;
    u32 id;
    u64 entry[MACHINE_IOAPIC_PINS]; /* redirection table */
    u32 asserted;                   /* pins, a bit each */
    u32 waiting;                    /* interrupts of pins that vioapic_take() has not given out */
};

/* What the pin's entry says of the interrupt: SDM vol. 3, "Interrupt Command Register" has the same fields. */
struct vioapic_message {
    u8 vector, mode;
    bool is_logical;
    u8 destination;
};

void vioapic_reset(struct vioapic *a);

/* Registers of 32 bits at their offset in the page; others read as 0 and take nothing. */
u32 vioapic_read(const struct vioapic *a, u32 offset);
void vioapic_write(struct vioapic *a, u32 offset, u32 value);

void vioapic_set_pin(struct vioapic *a, unsigned pin, bool is_asserted);
/* False: nothing is to be sent. */
bool vioapic_take(struct vioapic *a, struct vioapic_message *m);

#endif
