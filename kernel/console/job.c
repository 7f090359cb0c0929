/* Jobs of the console. See job.h. */
#include "kernel/console/job.h"

#include "lib/hw/cpu.h"

static struct job jobs[JOBS_MAX];
static unsigned last_number;

/* The work has ended: what came out of it is kept, and the vCPU is there for more. */
static void collect(struct job *job)
{
    struct outcome *o = &job->outcome;

    o->err = vm_work_end(job->vcpu, &o->result, &o->fault);
    o->cost = vm.vcpus[job->vcpu].cost;
    o->tsc = cpu_tsc() - job->started;
    job->is_done = true;
}

static struct job *find_free(void)
{
    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (jobs[i].number == 0)
            return &jobs[i];
    return NULL;
}

struct job *job_of_vcpu(unsigned vcpu)
{
    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (jobs[i].number != 0 && jobs[i].vcpu == vcpu && !jobs[i].is_done)
            return &jobs[i];
    return NULL;
}

enum err job_start(const struct command *command, unsigned vcpu, const struct probe_work *work, struct job **job,
                   struct fault_text *fault)
{
    struct job *before = job_of_vcpu(vcpu), *free = find_free();

    if (before != NULL && vm_work_is_done(vcpu))
        collect(before);
    else if (before != NULL)
        return fault_say(fault, ERR_BUSY, "vCPU %u is at work: job %u", vcpu, before->number);
    if (free == NULL)
        return fault_say(fault, ERR_NO_MEMORY, "%u jobs have not been waited for: `wait all` tells their results",
                         JOBS_MAX);
    enum err e = vm_work_begin(vcpu, work, fault);
    if (e != ERR_OK)
        return e;
    *free = (struct job){
        .number = ++last_number,
        .command = command,
        .vcpu = vcpu,
        .started = cpu_tsc(),
        .outcome = {.gpa = {work->gpa}, .bytes = work->len},
    };
    *job = free;
    return ERR_OK;
}

struct job *job_find(u64 number)
{
    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (number != 0 && jobs[i].number == number)
            return &jobs[i];
    return NULL;
}

struct job *job_next(const struct job *after)
{
    unsigned from = after != NULL ? after->number : 0;
    struct job *best = NULL;

    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (jobs[i].number > from && (best == NULL || jobs[i].number < best->number))
            best = &jobs[i];
    return best;
}

void job_finish(struct job *job, struct outcome *outcome)
{
    if (!job->is_done)
        collect(job);
    *outcome = job->outcome;
    job->number = 0;
}

void job_forget_all(void)
{
    for (unsigned i = 0; i < JOBS_MAX; i++)
        jobs[i].number = 0;
}
