/*
 * Messages of the platform on the first serial port, one line each, prefixed `simtdx: `. They share the port with the VMM's
 * console; a message therefore starts on a new line once the VMM runs.
 */
#ifndef SIM_MACHINE_LOG_H
#define SIM_MACHINE_LOG_H

#include "sim/types.h"

/* Formats: sim/format.h. No newline at the end. */
void sim_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints, with what the CPU of the VMM was doing, and stops the machine by powering it off (ACPI, port 604h) or, where that
 * has no effect, by halting. */
_Noreturn void sim_stop(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on a guest owns the console. */
void sim_log_guest_runs(void);

#endif
