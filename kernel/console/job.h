/*
 * Jobs: work of the payload that a trailing `&` started, until `wait` has told its result. A vCPU has one at a time under
 * way; what is done and not told yet is kept. Only the console's CPU calls this.
 */
#ifndef KERNEL_CONSOLE_JOB_H
#define KERNEL_CONSOLE_JOB_H

#include "kernel/console/command.h"
#include "kernel/vm/vm.h"

#define JOBS_MAX 64u

/* How a piece of work ended and what it cost. */
struct outcome {
    gpa_t gpa; /* the range that it was about, where it was about one */
    u64 bytes;
    enum err err;
    struct probe_result result;
    struct fault_text fault;
    struct vm_cost cost;
    u64 tsc;
};

struct job {
    unsigned number;               /* counted from 1; 0: this entry is free */
    const struct command *command; /* that started it */
    unsigned vcpu;
    u64 started; /* TSC */
    bool is_done;
    struct outcome outcome; /* when done */
};

/* Starts `work` on a vCPU. ERR_NO_MEMORY: so many are waited for already that there is no entry left. Else as
 * vm_work_begin(). */
MUST_CHECK enum err job_start(const struct command *command, unsigned vcpu, const struct probe_work *work,
                              struct job **job, struct fault_text *fault);
struct job *job_find(u64 number);              /* NULL: there is none */
struct job *job_of_vcpu(unsigned vcpu);        /* the one that is under way there, or NULL */
struct job *job_next(const struct job *after); /* in order of their numbers; after NULL: the first */
/* Waits for it and gives up its entry. */
void job_finish(struct job *job, struct outcome *outcome);
/* The TD is gone, and all jobs with it. */
void job_forget_all(void);

#endif
