/*
 * A recorded list of conversions: a text file of the boot volume, one a line,
 *
 *     MS GPA LEN shared|private [touch]
 *     MS GPA LEN touch
 *
 * at so many milliseconds from the beginning (decimal, none before the line above), the address in hex, the length as on the
 * console; both are multiples of 4K. `touch`: the guest then writes to each page. `#` begins a comment.
 */
#ifndef KERNEL_EXPERIMENT_WORKLOAD_CONVERSIONS_H
#define KERNEL_EXPERIMENT_WORKLOAD_CONVERSIONS_H

#include "kernel/console/script.h"
#include "kernel/vm/fault_text.h"

struct conversion {
    u64 ms;
    gpa_t gpa;
    u64 bytes;
    bool converts, to_shared, touches;
};

struct conversions {
    const struct script_file *file;
    size_t at;     /* of the next line */
    unsigned line; /* of the last that was read, from 1 */
    u64 ms;
};

/* ERR_NOT_FOUND: `name` is no file of the boot volume; NULL: no name is given. */
MUST_CHECK enum err conversions_open(struct conversions *c, const char *name, struct fault_text *fault);
/* The next one. ERR_NOT_FOUND: there are no more. ERR_ARGUMENT: `fault` names file, line and what is wrong with it. */
MUST_CHECK enum err conversions_next(struct conversions *c, struct conversion *next, struct fault_text *fault);

#endif
