/*
 * The one TD that Septum runs: its life cycle, its memory (mm/tdp.h), its payload and its vCPUs. Each runs on a CPU of its
 * own, of the TD's node as long as there are, while the console goes on; on a machine with one CPU the vCPUs take turns on it while a
 * command waits for them.
 *
 *     who sets what            state of the TD for the module     what is left of its memory     what people are told
 *                              td.state, td.dead (tdx/td.h)       tdp.dead (mm/)                 vm.state
 *     console's commands       each step of its life              -                              each
 *     a vCPU's CPU             dead                               by an undo that failed         VM_DEAD, VM_ENDED
 */
#ifndef KERNEL_VM_VM_H
#define KERNEL_VM_VM_H

#include "drivers/virt/vapic.h"
#include "guest/probe/protocol.h"
#include "guest/shim/bzimage.h"
#include "kernel/boot_info.h"
#include "kernel/vm/fault_text.h"
#include "lib/lock.h"
#include "mm/page.h"
#include "mm/tdp.h"

/* Changed by the functions below, and by any vCPU to VM_DEAD: the module refuses the TD; or to VM_ENDED: the guest powered off,
 * reset the machine, reported a fatal error or met a triple fault. Then it can only be destroyed. */
enum vm_state { VM_NONE, VM_CREATED, VM_RUNNING, VM_STOPPED, VM_ENDED, VM_DEAD };

/* What the TD starts with: guest/probe/, or a Linux that guest/shim/ leads in. */
enum vm_payload { VM_PROBE, VM_LINUX };

/* VCPU_WAITS and VCPU_HALTED keep `why`. A vCPU that waits goes on with vm_run(); one that halted never does. */
enum vm_vcpu_state { VCPU_STARTS, VCPU_IDLE, VCPU_WORKS, VCPU_WAITS, VCPU_HALTED };

/* Times that a vCPU was out of the TD because of its memory (faults, holds, kicks), in TSC ticks. */
#define VM_PAUSE_BINS 40u
struct vm_pauses {
    u64 count, total, longest;
    u32 bins[VM_PAUSE_BINS]; /* by the power of two above */
};

/* What the TDP MMU did for a vCPU since its work began: faults, and conversions that the payload asked for. */
struct vm_cost {
    u64 seamcalls, tracks, ipis, faults, lost;
};

/*
 * While `runs`, the CPU that runs the vCPU owns all of it but what is said to be the console's; otherwise the console does.
 * `runs` is set by the console and cleared by the CPU that is done.
 */
struct vm_vcpu {
    unsigned cpu; /* that runs it; 0: the console's, in turn with the others */
    _Atomic enum vm_vcpu_state state;
    _Atomic bool runs;
    _Atomic bool begun; /* its CPU has taken the run up */
    u64 reminded_at;    /* time_us() when it was last sent an interrupt to do so: the console's */
    _Atomic bool abort; /* the payload is to be taken out of its work: the console's */
    u64 aborted_at;     /* time_us() of that, 0: not yet; by which entry it was inside then: the console's */
    u64 aborted_inside;
    u64 abort_until;  /* time_us(): how long it has for that; 0: it was not told yet */
    bool has_work;    /* was given work and has not given its result */
    bool finished;    /* vm_run() saw the end of work that had stopped on the way: `result` says what came out of it */
    bool parked;      /* waits because of `fault`, which is answered again before the TD is entered */
    bool got_nowhere; /* ... and had been answered in vain */
    struct vcpu_exit fault;
    unsigned busy;  /* answers to faults in a row that were to be tried again */
    enum err ended; /* how the last run ended */
    u64 left_at;    /* TSC since when its memory keeps it out; 0: it does not */
    struct vm_pauses pauses;
    u64 write_faults; /* by a write and no ACCEPT; where the TD only reads, these are answers of the zero-step filter */
    u64 refused;      /* MapGPAs that were answered with an error */
    struct vapic apic;
    bool is_halted;         /* by HLT; not entered until interrupt_wakes() */
    bool halts_deaf;        /* ... with its interrupts off */
    u64 deaf_until;         /* TSC when it may look again all the same */
    _Atomic bool nmi_waits; /* set by any CPU, taken by its own */
    _Atomic bool is_untold; /* its run has ended with nobody waiting for it: vm_tick() tells `why` */
    struct probe_result result;
    struct fault_text why;
    struct vm_cost cost;
};

/* Of a Linux: where it lies in TD memory. */
struct vm_linux {
    const struct boot_file *kernel, *initrd; /* initrd NULL: there is none */
    gpa_t kernel_gpa, initrd_gpa, handover;
    bool accepts_lazily;
    char version[BZIMAGE_TEXT_BYTES]; /* what the kernel says of itself */
};

struct vm {
    _Atomic enum vm_state state;
    struct td td;
    struct tdp *tdp;
    enum vm_payload kind;
    u64 memory_bytes;
    level_t level;
    enum tdp_backing backing;
    unsigned node;                 /* that backs its memory, or PAGE_ANY_NODE */
    unsigned spare_cpu, far_vcpus; /* a CPU for work beside the vCPUs, 0: none; vCPUs on CPUs of other nodes */
    u64 far_pages_before;          /* see vm_far_pages() */
    struct vm_linux linux;
    unsigned vcpu_count;
    gpa_t payload, mailboxes, rom; /* where the parts of the payload lie */
    u64 payload_bytes;
    struct posted_interrupts *posted; /* of all vCPUs, in one page; NULL: there are none, and HLT is a short pause */
    _Atomic u32 event_notify; /* what a quote that is ready is told by: the vector, above it the vCPU; 0: nothing */
    struct spin end_lock;
    struct fault_text end; /* VM_ENDED: why, under end_lock until then */
    bool is_power_off;     /* ... and it is what a guest does that is done */
    bool end_told;         /* by the console's CPU */
    struct vm_vcpu vcpus[TD_VCPUS_MAX];
    u64 free_bytes_before, lost_bytes_before; /* of the page allocator, when nothing was taken yet */
    u64 lost_bytes;                           /* with the TD gone: of it are lost since then */
};

extern struct vm vm;

struct vm_config {
    enum vm_payload kind;
    u64 memory_bytes;
    unsigned vcpus;
    level_t level;
    enum tdp_backing backing;
    unsigned node; /* or PAGE_ANY_NODE */
    bool debug, perfmon;
    /* VM_LINUX: names of files of the boot volume's folder linux, and what the kernel is told; NULL: nothing. */
    const char *kernel, *initrd, *command_line;
    bool accepts_lazily; /* the kernel accepts memory when it needs it, else the shim all of it before */
};

#define VM_MEMORY_MIN (8 * MIB)
#define VM_MEMORY_MAX (2048 * GIB) /* what the payload has page tables for */

/* The first page of [gpa, gpa + bytes) that the payload keeps for itself, and whose it is, in words; NULL: there is none. */
const char *vm_in_the_way(gpa_t gpa, u64 bytes, gpa_t *page);
/* Is there a whole GiB of memory that can't become one page, for the mailboxes in it are shared? */
bool vm_has_shared_gib(gpa_t *gib);

/* Creates, loads, measures and finalizes the TD; all or nothing. */
MUST_CHECK enum err vm_create(const struct vm_config *config, struct fault_text *fault);
/* Tears down whatever exists of it. ERR_STATE: none. Pages that the module does not give back are named in `fault`. */
MUST_CHECK enum err vm_destroy(struct fault_text *fault);

/* The TD is dead: nobody is left inside, and nothing but vm_destroy() is done with it. On any CPU. */
void vm_dies(void);

/* The guest is at its end, as `why` says: nobody is left inside. On any CPU; of several calls the first counts. */
void vm_end(const struct fault_text *why, bool is_power_off);
/* Why it ended; NULL: it has not, or vm_tick() has not told it yet. */
const char *vm_end_text(void);

/* Waits for that. ERR_TIMEOUT; ERR_INTERRUPTED: ^C; ERR_STATE: it does not run, or ended by another way than powering off, as
 * `fault` says. */
MUST_CHECK enum err vm_wait_end(u64 timeout_us, struct fault_text *fault);
#define VM_NO_TIMEOUT (~0ull)

/* How many vCPUs a TD may have here: what the payload has stacks for, and a CPU for each beside the console's. */
unsigned vm_vcpus_max(void);

/* Does the module give performance counters to TDs (config.perfmon)? */
bool vm_may_have_perfmon(void);

/* Runs each vCPU until it asks for work, waits or halts. ERR_INTERRUPTED: ^C. One that halts for good is told at once,
 * whatever the others do. Those of a Linux run on beside the console. */
MUST_CHECK enum err vm_run(struct fault_text *fault);
/* Takes all vCPUs out of the TD. ERR_TIMEOUT: one does not leave; it ends its run when it does, and the function may be
 * called again. */
MUST_CHECK enum err vm_stop(struct fault_text *fault);
/* Does any vCPU run? */
bool vm_is_at_work(void);

/*
 * Gives `work` to vCPU `index` and lets it run. ERR_STATE: it is not there for work. Then vm_work_end() waits for it, once.
 * ERR_OK: `result` is what the payload says (nothing in it can be trusted). ERR_INTERRUPTED: ^C took the payload out of it,
 * `result` says how far it came. ERR_STATE: the vCPU waits now for something that only the console can do (`fault` says
 * what).
 */
MUST_CHECK enum err vm_work_begin(unsigned index, const struct probe_work *work, struct fault_text *fault);
bool vm_work_is_done(unsigned index);
MUST_CHECK enum err vm_work_end(unsigned index, struct probe_result *result, struct fault_text *fault);

/* Takes all vCPUs out of their work, as ^C does, and says how many; each tells it when it is waited for. */
unsigned vm_abort(void);

/* Takes a vCPU out of the TD for a moment: `inside` says whether it was there. ERR_TIMEOUT: it does not leave. */
MUST_CHECK enum err vm_kick(unsigned index, bool *inside, struct fault_text *fault);

/*
 * Enters a vCPU that waits in a fault, of a read of a page that is blocked by hand, `times` times more with nothing done about it, on
 * its own CPU: what the module's zero-step filter is against. It counts the entries in which the TD ran, to fault again,
 * those before the filter refused the first, and those that it refused; and how long they took. `s` is the machine's until
 * vm_stuck_end(); nothing else is done with the vCPU meanwhile.
 */
struct vm_stuck {
    unsigned vcpu, times;
    unsigned entered, ran, ran_first, refused;
    struct vm_pauses ran_ticks, refused_ticks;
    enum err err;
    struct vcpu_exit other; /* where the error is ERR_STATE: what took it out, and is no fault */
    _Atomic bool done;
};
MUST_CHECK enum err vm_stuck_begin(struct vm_stuck *s, unsigned vcpu, unsigned times, struct fault_text *fault);
MUST_CHECK enum err vm_stuck_end(struct vm_stuck *s, struct fault_text *fault);

/* To be called by the console's CPU whenever it waits: lets the TD's merge policy work, prints what the guest says and how it
 * ended, and vm_remind(). */
void vm_tick(void);
/* The same, and the rest of a moment's wait, until the next interrupt: on the one CPU the vCPUs take turns here. */
void vm_wait(void);
/* When nothing is to be done at the console: the wait for an interrupt; on the one CPU a Linux goes on meanwhile. */
void vm_idle(void);

const char *vm_state_name(enum vm_state s);
const char *vm_vcpu_state_name(enum vm_vcpu_state s);

/* How many tables and control pages were taken from other nodes, for its own had no memory then. */
u64 vm_far_pages(void);

/* --- between the parts of kernel/vm/ --- */

/* Gives each vCPU its CPU (place.c). */
void vm_place(void);

/* Where payload and ROM go for a TD of `memory_bytes`, and is all there that it takes (load.c)? ERR_RANGE: they do not fit. */
MUST_CHECK enum err vm_layout(const struct vm_config *config, struct fault_text *fault);
/* Sends another interrupt to each CPU that has not taken up its vCPU's run for long (work.c). */
void vm_remind(void);
/* Tells the console what happened beside it: end.c. */
void vm_tell(void);
/* Waits for the merge policy's work on another CPU; vm_tick() begins none meanwhile. ERR_TIMEOUT: it does not end. */
MUST_CHECK enum err vm_tick_end(struct fault_text *fault);
/* Is the operation on the TD's memory that this CPU is at to end, because of ^C (work.c)? */
bool vm_is_stopped(void);
/* Adds the ROM and the payload, and what goes with it. */
MUST_CHECK enum err vm_load(struct fault_text *fault);
/* The mailbox of a vCPU, which stays shared memory until vm_mailbox_release(); NULL, and nothing held: the payload has made it
 * private. */
struct probe_mailbox *vm_mailbox_hold(unsigned index, struct claim *held);
void vm_mailbox_release(struct claim *held);
/* fault_tdp(), and which vCPU it was that did not leave the TD, where that is why. */
enum err vm_say(struct fault_text *fault, const char *doing, const struct tdp_report *r);
void vm_cost_add(struct vm_cost *cost, const struct tdp_report *r);
void vm_pauses_add(struct vm_pauses *p, u64 ticks);

#endif
