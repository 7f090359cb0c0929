/*
 * The trace: fixed binary records in one ring a CPU, cheap enough to stay on. kernel/trace.c has and prints it.
 */
#ifndef LIB_TRACE_H
#define LIB_TRACE_H

#include "lib/types.h"

/* event, then the names of its four operands as the dump prints them; hex all of them */
/* clang-format off */
#define TRACE_LIST(X)                                        \
    X(TRACE_SEAMCALL, "seamcall", "leaf", "rcx", "rdx", "status") \
    X(TRACE_REPEAT, "repeat", "leaf", "attempt", "gpa", "status") \
    X(TRACE_PLAN_STEP, "step", "kind", "level", "gpa", "status")  \
    X(TRACE_TD_EXIT, "td_exit", "reason", "qual", "gpa", "info")  \
    X(TRACE_VMCALL, "vmcall", "r10", "r11", "r12", "r13")         \
    X(TRACE_FAULT, "fault", "gpa", "level", "kind", "result")     \
    X(TRACE_POLICY, "policy", "event", "gpa", "level", "arg")     \
    X(TRACE_IRQ, "irq", "vector", "rip", "", "")
/* clang-format on */

enum trace_event {
#define X(event, name, a, b, c, d) event,
    TRACE_LIST(X)
#undef X
        TRACE_EVENT_COUNT
};

extern bool trace_is_on; /* changed by trace_enable() only */
void trace_store(enum trace_event event, u64 a, u64 b, u64 c, u64 d);

static inline void trace_record(enum trace_event event, u64 a, u64 b, u64 c, u64 d)
{
    if (trace_is_on)
        trace_store(event, a, b, c, d);
}

#endif
