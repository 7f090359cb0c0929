/*
 * The work that the VMM asks for (protocol.h), on one vCPU. Memory is reached through two windows, so that the same
 * code runs in a host process against an array.
 */
#ifndef GUEST_PROBE_WORK_H
#define GUEST_PROBE_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/probe/protocol.h"
#include "guest/probe/range.h"

#define PROBE_KEPT_RANGES 3

/* What all vCPUs share; set once, before the first work. */
struct probe_td {
    uintptr_t private_window; /* a private GPA's address is this + GPA */
    uintptr_t shared_window;  /* the same for its shared alias */
    uint64_t shared_bit;
    struct probe_range memory;
    struct probe_range kept[PROBE_KEPT_RANGES]; /* image, mailboxes, ROM: never worked on */
};

/* What one vCPU counts while it works; its #VE handler counts here too. */
struct probe_vcpu {
    const struct probe_td *td;
    struct probe_mailbox *mailbox;
    uint64_t accepted[2];
    uint64_t ve_count;
    bool has_pmu; /* probe_pmu_is_there(): set once, before its first work */
};

/*
 * Does mailbox->work and fills mailbox->result. The work is copied first: the VMM can change the mailbox at any time.
 */
void probe_work_do(struct probe_vcpu *vcpu);

/*
 * Accepts the page around `gpa`: 2M if the host mapped 2M there, else 4K. Returns the completion status; counts in
 * `vcpu`.
 */
uint64_t probe_work_accept_around(struct probe_vcpu *vcpu, uint64_t gpa);

#endif
