/*
 * What the VMM has of a vCPU's local APIC: SDM vol. 3, chapter 11, in x2APIC mode. The TDX module virtualizes TPR, EOI and what
 * waits or is in service; every other register is asked for by TDVMCALL. Pure state; times are ticks of the bus clock, the
 * core crystal's of CPUID leaf 15H, given by the owner.
 *
 * Left out: TSC-deadline mode (a TD of ours has it not in its CPUID), errors (ESR stays 0), LVT entries but for the timer's, which
 * are kept and never fire.
 */
#ifndef DRIVERS_VIRT_VAPIC_H
#define DRIVERS_VIRT_VAPIC_H

#include "lib/types.h"

#define VAPIC_BUS_HZ     25000000u
#define VAPIC_PERIOD_MIN (VAPIC_BUS_HZ / 5000) /* of the periodic timer, whatever less is asked for */
#define VAPIC_NEVER      (~0ull)
#define VAPIC_MSR_BASE   0x800u
#define VAPIC_MSR_END    0x840u
#define VAPIC_MSR_ICR    0x830u

#define VAPIC_LVTS 6u /* timer, thermal, performance, LINT0, LINT1, error: in the order of their MSRs */

struct vapic {
    u32 id;
    u32 spiv, divide, initial;
    u32 lvt[VAPIC_LVTS];
    u64 icr;
    u64 due; /* when the count will be 0; VAPIC_NEVER: it stands */
};

void vapic_reset(struct vapic *a, u32 id);

/* False, and nothing changes: there is no such register, or a reserved bit is set, which is #GP for the guest. What a write of ICR
 * sends is the owner's to find out and to deliver. */
MUST_CHECK bool vapic_read(const struct vapic *a, u32 msr, u64 now, u64 *value);
MUST_CHECK bool vapic_write(struct vapic *a, u32 msr, u64 value, u64 now);

/* Has the timer run out, and is its interrupt not masked? Then `vector`; a periodic timer goes on from when it was due. */
bool vapic_timer_fires(struct vapic *a, u64 now, u8 *vector);

/* An interrupt command, or what an I/O APIC sends. */
enum vapic_mode { VAPIC_FIXED = 0, VAPIC_LOWEST = 1, VAPIC_NMI = 4, VAPIC_INIT = 5, VAPIC_STARTUP = 6 };
struct vapic_ipi {
    u8 vector, mode;
    bool is_logical;
    u32 destination;
    bool has_shorthand, to_self, to_others; /* with a shorthand the destination is none */
};
struct vapic_ipi vapic_ipi(u64 icr);
/* Is the APIC `id` one that it goes to, sent by `sender`? */
bool vapic_is_target(const struct vapic_ipi *ipi, u32 id, u32 sender);

#endif
