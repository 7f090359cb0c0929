/*
 * The trace in a compact form for a serial line, which tools/trace reads. Its lines are
 *
 *     ~NUMBER CONTENT*CHECK
 *
 * NUMBER counts them from 0, CHECK is the CRC of NUMBER, space and CONTENT (CCITT's polynomial 0x1021, begun with 0); all
 * numbers are hex. What CONTENT holds, by its first letter:
 *
 *     V FORM CPUS TSC_KHZ           the first line
 *     P NAME VALUE ...              the platform: keyids MAXPA BITS FIRST, cpus, features0, version, cmr, cpuid
 *     K EVENT NAME A B C D          what an event is called, and its arguments; "-" for one that it does not have
 *     N EVENT ARGUMENT VALUE TEXT   what a value of an event's argument (by its place) means
 *     C CPU FIRST COUNT LOST        then COUNT records of this CPU; FIRST counts from `trace clear` on, LOST were overwritten
 *     R EVENT TSC A B C D           a record; TSC as what it is more than the one before, zeros at the end left out
 *     E RECORDS                     the last line
 */
#ifndef KERNEL_TRACE_DUMP_H
#define KERNEL_TRACE_DUMP_H

#include "lib/types.h"

struct trace_dumped {
    u64 records, lost;
    bool stopped;
};

/* Prints the newest `max` records of each CPU. The trace is off meanwhile. `stop` is asked now and then; when it says so
 * the dump ends without its last line. */
struct trace_dumped trace_dump(u64 max, bool (*stop)(void));

#endif
