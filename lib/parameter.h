/* A number that a person chooses by name: of a merge policy, of an experiment. */
#ifndef LIB_PARAMETER_H
#define LIB_PARAMETER_H

#include "lib/types.h"

struct parameter {
    const char *name, *unit, *what; /* name: NULL behind the last of a table */
    u64 initial, least, most;
};

#endif
