/*
 * The trace (lib/trace.h): one ring of fixed records a CPU, written without locks by its CPU only. `trace dump` and
 * panic read it. A ring keeps the newest TRACE_RING_RECORDS records.
 */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include "lib/err.h"
#include "lib/trace.h"

#define TRACE_RING_RECORDS 2048u

struct trace_entry {
    u64 tsc;
    u32 event;
    u32 number; /* counts all records of this CPU, from 0 */
    u64 args[4];
};
_Static_assert(sizeof(struct trace_entry) == 48, "tools read it in this form");

/* A ring for each CPU; before it records are dropped. ERR_NO_MEMORY: some have none, and record nothing. */
MUST_CHECK enum err trace_init(void);
void trace_enable(bool on);
bool trace_is_enabled(void);
void trace_clear(void);

/* Calls `line` for the newest `max` records of CPU `cpu`, oldest first; returns how many. */
unsigned trace_each(unsigned cpu, unsigned max, void (*line)(const struct trace_entry *e, void *arg), void *arg);

/* The newest `max` records of all CPUs in the order of their TSCs, oldest first; returns how many. */
unsigned trace_merge(unsigned max, void (*line)(unsigned cpu, const struct trace_entry *e, void *arg), void *arg);

/* "seamcall leaf=0x6 rcx=.. ..": returns the text's whole length, as format_to(). */
size_t trace_format(const struct trace_entry *e, char *to, size_t bytes);

#endif
