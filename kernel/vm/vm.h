/*
 * The one TD that Septum runs: its life cycle, its memory (mm/tdp.h), its payload and the loop that runs its vCPUs on
 * this CPU. A vCPU runs only while a console command waits for it.
 */
#ifndef KERNEL_VM_VM_H
#define KERNEL_VM_VM_H

#include "guest/probe/protocol.h"
#include "kernel/vm/fault_text.h"
#include "mm/tdp.h"

/* Changed by the functions below only. VM_DEAD: the module refuses it; it can only be destroyed. */
enum vm_state { VM_NONE, VM_CREATED, VM_RUNNING, VM_STOPPED, VM_DEAD };

/* VCPU_WAITS and VCPU_HALTED keep `why`. A vCPU that waits goes on with vm_run(); one that halted never does. */
enum vm_vcpu_state { VCPU_STARTS, VCPU_IDLE, VCPU_WORKS, VCPU_WAITS, VCPU_HALTED };

struct vm_vcpu {
    enum vm_vcpu_state state;
    bool has_work; /* was given work and has not given its result */
    bool finished; /* vm_run() saw the end of work that had stopped on the way: `result` says what came out of it */
    struct probe_result result;
    struct fault_text why;
};

/* What the TDP MMU did for the TD since vm_cost_reset(): faults and conversions that the payload asked for. */
struct vm_cost {
    u64 seamcalls, tracks, ipis, faults;
};

struct vm {
    enum vm_state state;
    struct td td;
    struct tdp *tdp;
    u64 memory_bytes;
    level_t level;
    enum tdp_backing backing;
    unsigned vcpu_count;
    gpa_t payload, mailboxes, rom; /* where the parts of the payload lie */
    u64 payload_bytes;
    struct vm_vcpu vcpus[TD_VCPUS_MAX];
    struct vm_cost cost;
    u64 free_bytes_before; /* of the page allocator, when nothing was taken yet */
};

extern struct vm vm;

struct vm_config {
    u64 memory_bytes;
    unsigned vcpus;
    level_t level;
    enum tdp_backing backing;
    bool debug;
};

#define VM_MEMORY_MIN (8 * MIB)
#define VM_MEMORY_MAX (1024 * GIB)

/* Creates, loads, measures and finalizes the TD; all or nothing. */
MUST_CHECK enum err vm_create(const struct vm_config *config, struct fault_text *fault);
/* Tears down whatever exists of it. ERR_STATE: none. Pages that the module does not give back are named in `fault`. */
MUST_CHECK enum err vm_destroy(struct fault_text *fault);

/* Runs each vCPU until it asks for work, waits or halts. ERR_INTERRUPTED: ^C. */
MUST_CHECK enum err vm_run(struct fault_text *fault);
void vm_stop(void);

/*
 * Gives `work` to vCPU `index` and runs it until it is done. ERR_OK: `result` is what the payload says (nothing in it
 * can be trusted). ERR_INTERRUPTED: ^C took the payload out of it, `result` says how far it came. ERR_STATE: the vCPU
 * is not there for work, or it waits now for something that only the console can do (`fault` says what).
 */
MUST_CHECK enum err vm_work(unsigned index, const struct probe_work *work, struct probe_result *result,
                            struct fault_text *fault);

void vm_cost_reset(void);
const char *vm_state_name(enum vm_state s);
const char *vm_vcpu_state_name(enum vm_vcpu_state s);

/* --- between the parts of kernel/vm/ --- */

/* Where payload, mailboxes and ROM go for a TD of `memory_bytes` (load.c). ERR_RANGE: they do not fit. */
MUST_CHECK enum err vm_layout(struct fault_text *fault);
/* Adds and measures the ROM and the payload, makes the mailboxes shared. */
MUST_CHECK enum err vm_load(struct fault_text *fault);
/* NULL when the page is not shared, which only a broken MMU can bring about. */
struct probe_mailbox *vm_mailbox(unsigned index);
void vm_cost_add(const struct tdp_report *r);

#endif
