/*
 * The local APIC of this CPU, in x2APIC mode where the CPU has it, else through its page in memory: the periodic
 * timer, end of interrupt, interrupts to other CPUs. SDM vol. 3, chapter 11.
 */
#ifndef DRIVERS_APIC_H
#define DRIVERS_APIC_H

#include "lib/addr.h"
#include "lib/err.h"

#define APIC_VECTOR_TIMER    0x40
#define APIC_VECTOR_SERIAL   0x41
#define APIC_VECTOR_WATCH    0x42
#define APIC_VECTOR_ALARM    0x43
#define APIC_VECTOR_CALL     0xf0
#define APIC_VECTOR_POSTED   0xf1
#define APIC_VECTOR_SPURIOUS 0xff

/* Enables the local APIC of this CPU with the timer masked. ERR_PLATFORM: none. All CPUs get the same mode. */
MUST_CHECK enum err apic_init(void);

u32 apic_id(void);
/* APIC IDs that are equal above so many bits are of one package; 0: this machine does not tell. */
unsigned apic_package_shift(void);
/* Only x2APIC names a CPU from 255 on. */
bool apic_can_reach(u32 id);
void apic_eoi(void);
/* Does an interrupt of this vector wait for its EOI? Of APIC_VECTOR_SPURIOUS only one that somebody has sent. */
bool apic_is_in_service(u8 vector);

/* In x2APIC mode, in which alone a CPU notifies itself of posted interrupts (tdx/posted.h)? */
bool apic_is_x2(void);

/* To the CPU with this APIC ID: an interrupt of `vector`; INIT; SIPI with its vector the page at `start`, below 1 MiB. */
void apic_send_ipi(u32 to, u8 vector);
void apic_send_init(u32 to);
void apic_send_startup(u32 to, hpa_t start);
/* An NMI: to the CPU with this APIC ID, to all other CPUs. */
void apic_send_nmi(u32 to);
void apic_send_nmi_to_others(void);

/* An overflow of this CPU's performance counters is an NMI, once. False: the APIC has no such entry. */
bool apic_counter_nmi(void);

/* Ticks of the timer (divided by 16) that pass while `wait(us)` waits; for calibration. */
u32 apic_timer_measure(void (*wait)(u64 us), u64 us);

/* Periodic interrupt every `ticks` of the divided clock; 0 stops it. */
void apic_timer_start(u8 vector, u32 ticks);
/* One interrupt APIC_VECTOR_ALARM after so many, in the place of the periodic one. */
void apic_timer_once(u32 ticks);

#endif
