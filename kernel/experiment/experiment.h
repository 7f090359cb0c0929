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

#define EXPERIMENT_PARAMETERS_MAX 16u
#define EXPERIMENT_CHOICES_MAX    6u

struct experiment_run;

/* A key whose value is a name. */
struct experiment_choice {
    const char *key, *what;
    const char *(*name)(unsigned n); /* the n-th that is allowed, NULL behind the last; NULL: the experiment knows */
    const char *(*says)(unsigned n); /* more about it, for `help`; NULL: nothing */
};

struct experiment {
    const char *name, *question;
    struct parameter parameters[EXPERIMENT_PARAMETERS_MAX];
    struct experiment_choice choices[EXPERIMENT_CHOICES_MAX];
    enum err (*run)(struct experiment_run *x); /* an error: x->fault says why */
};

struct experiment_run {
    const struct experiment *experiment;
    u64 values[EXPERIMENT_PARAMETERS_MAX];
    const char *chosen[EXPERIMENT_CHOICES_MAX]; /* NULL: not given */
    u64 seed;
    unsigned samples; /* so far */
    u64 random;
    bool watched; /* somebody sits at the console: progress is told */
    u64 told_at;  /* time_us() of the last line about it */
    struct fault_text fault;
};

/* All there are; NULL behind the last. */
extern const struct experiment *const experiments[];
extern const struct experiment experiment_convert, experiment_policies, experiment_latency, experiment_tlb;
extern const struct experiment experiment_dirty, experiment_fragment, experiment_contention, experiment_zerostep;
extern const struct experiment experiment_linux_boot, experiment_linux_policies;

/* For a choice "policy": the name of the n-th, NULL behind the last. */
const char *experiment_policy_name(unsigned n);

/* A line for people, once a second at most; nothing where nobody watches. */
void experiment_progress(struct experiment_run *x, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Begins a sample's line, with all that says where it comes from; sample_end() ends it. No other output in between. */
struct json *sample_begin(struct experiment_run *x);
void sample_end(struct experiment_run *x);

/* The next number of the run's own sequence below `n`. */
u64 experiment_random(struct experiment_run *x, u64 n);

#endif
