/*
 * The trace (lib/trace.h): one ring of fixed records a CPU, written without locks by its CPU only. `trace dump` and
 * panic read it. A ring keeps the newest of its records, TRACE_RING_RECORDS unless told, and counts the others.
 */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include "lib/err.h"
#include "lib/trace.h"

#define TRACE_RING_RECORDS     2048u
#define TRACE_RING_RECORDS_MIN 64u
#define TRACE_RING_RECORDS_MAX (1u << 22)

struct trace_entry {
    u64 tsc;
    u32 event;
    u32 number; /* counts all records of this CPU since trace_clear(), from 0 */
    u64 args[4];
};
_Static_assert(sizeof(struct trace_entry) == 48, "tools read it in this form");

/* A ring for each CPU; before it records are dropped. ERR_NO_MEMORY: some have none, and record nothing. */
MUST_CHECK enum err trace_init(void);
/* Off: returns when no CPU is writing a record any more, but for one that is stopped in the middle of it. */
void trace_enable(bool on);
bool trace_is_enabled(void);
void trace_clear(void);
/* Rings of so many records, empty ones. ERR_NO_MEMORY, ERR_BUSY: the old ones stay, with what they hold. */
MUST_CHECK enum err trace_resize(u32 records);
u32 trace_ring_records(void);

/* What CPU `cpu` has recorded since trace_clear(), and how much of it is lost: overwritten, or never had a place. */
struct trace_extent {
    u64 recorded, lost;
};
struct trace_extent trace_extent(unsigned cpu);

/* Calls `line` for the newest `max` records of CPU `cpu`, oldest first; returns how many. */
unsigned trace_each(unsigned cpu, unsigned max, void (*line)(const struct trace_entry *e, void *arg), void *arg);

/* The newest `max` records of all CPUs in the order of their TSCs, oldest first; returns how many. */
unsigned trace_merge(unsigned max, void (*line)(unsigned cpu, const struct trace_entry *e, void *arg), void *arg);

/* As the dump names them; the event's is NULL for a number that is no event, "" an argument that it does not have. */
const char *trace_event_name(unsigned event);
const char *trace_argument_name(unsigned event, unsigned n);

/* "seamcall leaf=0x6 rcx=.. ..": returns the text's whole length, as format_to(). */
size_t trace_format(const struct trace_entry *e, char *to, size_t bytes);

#endif
