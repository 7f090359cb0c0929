/*
 * Experiments: each is a question with parameters, answered by samples. Each sample is an `@` line of its own, with what it needs
 * to be repeated: the hypervisor's signature (a modelled figure must not pass for a measured one), the seed, the
 * parameters. An experiment makes the TDs that it needs, and leaves none.
 *
 * An experiment is one file with one struct experiment; world.h is what it works with.
 */
#ifndef KERNEL_EXPERIMENT_EXPERIMENT_H
#define KERNEL_EXPERIMENT_EXPERIMENT_H

#include "kernel/console/json.h"
#include "kernel/vm/fault_text.h"
#include "lib/parameter.h"

#define EXPERIMENT_PARAMETERS_MAX 8u

struct experiment_run;

struct experiment {
    const char *name, *question;
    struct parameter parameters[EXPERIMENT_PARAMETERS_MAX];
    enum err (*run)(struct experiment_run *x); /* an error: x->fault says why */
};

struct experiment_run {
    const struct experiment *experiment;
    u64 values[EXPERIMENT_PARAMETERS_MAX];
    u64 seed;
    const char *only; /* policy=NAME, or NULL */
    unsigned samples; /* so far */
    u64 random;
    struct fault_text fault;
};

/* All there are; NULL behind the last. */
extern const struct experiment *const experiments[];
extern const struct experiment experiment_convert, experiment_policies;

/* Begins a sample's line, with all that says where it comes from; sample_end() ends it. No other output in between. */
struct json *sample_begin(struct experiment_run *x);
void sample_end(struct experiment_run *x);

/* The next number of the run's own sequence below `n`. */
u64 experiment_random(struct experiment_run *x, u64 n);

#endif
