/*
 * The virtual APIC of a TD vCPU: the virtual-APIC page and the guest interrupt status, and what the processor does with them by
 * itself: SDM volume 3, chapter 30 ("APIC virtualization and virtual interrupts"), with "virtualize x2APIC mode", "APIC-register
 * virtualization", "virtual-interrupt delivery" and "process posted interrupts".
 *
 * Pure logic. Page and status belong to the vCPU and go with it from CPU to CPU; only the posted-interrupt descriptor is shared
 * with other CPUs. Left out: the EOI-exit bitmap, which is zero in a TD.
 */
#ifndef SIM_MACHINE_VAPIC_H
#define SIM_MACHINE_VAPIC_H

#include "sim/types.h"

struct vapic {
    u8 *page; /* registers as the local APIC's page has them */
    u16 *
        status; /* guest interrupt status: RVI, the highest vector requested, and SVI, the highest in service, above it */
};

/* SDM volume 3, table 30-1. */
struct posted_descriptor {
    u64 requests[4]; /* PIR: bit n is vector n */
    u64 outstanding; /* bit 0: ON */
    u64 reserved[3];
};
_Static_assert(sizeof(struct posted_descriptor) == 64, "SDM volume 3, table 30-1");

/* The vector that is delivered as soon as the TD lets it in and the task priority, by its class, is below it; 0: none. */
u8 vapic_candidate(const struct vapic *a);
/* The processor has delivered the candidate. */
void vapic_delivered(struct vapic *a);

u8 vapic_tpr(const struct vapic *a);
void vapic_set_tpr(struct vapic *a, u8 tpr);
void vapic_eoi(struct vapic *a);
/* A self-IPI. */
void vapic_request(struct vapic *a, u8 vector);
/* The notification has come: what the descriptor holds is requested. */
void vapic_take_posted(struct vapic *a, struct posted_descriptor *d);

/* RDMSR and WRMSR of an x2APIC MSR that does not exit. */
enum vapic_write { VAPIC_DONE, VAPIC_FAULT, VAPIC_EXIT }; /* FAULT: #GP; EXIT: APIC-write exit behind the instruction */
u64 vapic_read_msr(const struct vapic *a, u32 msr);
enum vapic_write vapic_write_msr(struct vapic *a, u32 msr, u64 value);

#endif
