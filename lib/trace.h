/*
 * The trace: fixed binary records in one ring a CPU, cheap enough to stay on. kernel/trace.c has and prints it.
 *
 * A SEAMCALL is one TRACE_SEAMCALL and, behind it, one TRACE_REGS or more: all registers that went in other than zero,
 * and all that came out other than they went in. RSP never does either. Register numbers are the TDX specification's.
 */
#ifndef LIB_TRACE_H
#define LIB_TRACE_H

#include "lib/types.h"

/* event, then the names of its four operands as the dump prints them; hex all of them */
/* clang-format off */
#define TRACE_LIST(X)                                        \
    X(TRACE_SEAMCALL, "seamcall", "leaf", "rcx", "rdx", "status") \
    X(TRACE_REGS, "regs", "which", "v0", "v1", "v2")             \
    X(TRACE_MEMORY, "memory", "at", "w0", "w1", "w2")            \
    X(TRACE_REPEAT, "repeat", "leaf", "attempt", "gpa", "status") \
    X(TRACE_PLAN_STEP, "step", "kind", "level", "gpa", "status")  \
    X(TRACE_TD_EXIT, "td_exit", "reason", "qual", "gpa", "info")  \
    X(TRACE_VMCALL, "vmcall", "r10", "r11", "r12", "r13")         \
    X(TRACE_FAULT, "fault", "gpa", "level", "kind", "result")     \
    X(TRACE_POLICY, "policy", "event", "gpa", "level", "")        \
    X(TRACE_DECISION, "decision", "what", "gpa", "level", "result") \
    X(TRACE_IRQ, "irq", "vector", "rip", "", "")
/* clang-format on */

enum trace_event {
#define X(event, name, a, b, c, d) event,
    TRACE_LIST(X)
#undef X
        TRACE_EVENT_COUNT
};

/* What a merge policy decides of a region; `result` is the enum err of those that change the Secure EPT. */
#define TRACE_DECISION_LIST(X)                                                                                         \
    X(DECISION_QUEUE, "queue")                                                                                         \
    X(DECISION_HOLD, "hold") /* blocked, until it is touched or grows cold */                                          \
    X(DECISION_REST, "rest")                                                                                           \
    X(DECISION_DEFER, "defer") /* a vCPU stands in a fault there */                                                    \
    X(DECISION_BLOCK, "block")                                                                                         \
    X(DECISION_MERGE, "merge")                                                                                         \
    X(DECISION_UNBLOCK, "unblock")

enum trace_decision {
#define X(decision, name) decision,
    TRACE_DECISION_LIST(X)
#undef X
};

/* TRACE_REGS: `which` names three registers in five bits each, 0 for none; above, how long the call took. */
#define TRACE_REG_BITS   5
#define TRACE_REG_OUT    16u
#define TRACE_REGS_EACH  3u
#define TRACE_TOOK_SHIFT 16
#define TRACE_REGISTERS  16u

extern _Atomic bool trace_is_on; /* changed by trace_enable() only, read on all CPUs */
void trace_store(enum trace_event event, u64 a, u64 b, u64 c, u64 d);

/* A SEAMCALL that began at TSC `began` and is over. `out` of one that raised an exception is as `in`. */
struct trace_call {
    u64 leaf, status, began;
    const u64 *in, *out; /* TRACE_REGISTERS of each, by number */
};
void trace_store_call(const struct trace_call *call);
/* What is not zero of the `bytes` (a multiple of 8) at `what`, physical address `at`: operands in memory. */
void trace_memory(u64 at, const void *what, u64 bytes);

static inline void trace_record(enum trace_event event, u64 a, u64 b, u64 c, u64 d)
{
    if (trace_is_on)
        trace_store(event, a, b, c, d);
}

#endif
