/* Commands about what runs: jobs, wait, vcpu list|kick. */
#include "kernel/console/cmd.h"
#include "kernel/console/cmd_probe.h"
#include "kernel/console/job.h"
#include "kernel/print.h"
#include "lib/string.h"

static const char *state_of(const struct job *job)
{
    return job->is_done || vm_work_is_done(job->vcpu) ? "done" : "under way";
}

void cmd_jobs(struct command_call *c)
{
    for (struct job *job = job_next(NULL); job != NULL; job = job_next(job))
        print("  %-4u %s on vCPU %u, %s\n", job->number, job->command->name, job->vcpu, state_of(job));
    struct json *j = reply_ok(c);
    json_array(j, "jobs");
    for (struct job *job = job_next(NULL); job != NULL; job = job_next(job)) {
        json_object(j, NULL);
        json_number(j, "job", job->number);
        json_text(j, "cmd", job->command->name);
        json_number(j, "vcpu", job->vcpu);
        json_text(j, "state", state_of(job));
        json_end_object(j);
    }
    json_end_array(j);
}

/* --- wait --- */

/* The line that the job's command would have ended with, and the job's number. */
static bool tell(struct job *job)
{
    struct command_call call = {.command = job->command};
    unsigned number = job->number;
    struct outcome o;

    job_finish(job, &o);
    json_number(probe_answer(&call, &o), "job", number);
    reply_end(&call);
    return !call.failed;
}

static void answer_waited(struct command_call *c, const unsigned *numbers, unsigned count, unsigned failed)
{
    struct json *j = failed ? reply_fail(c, "%u of %u jobs failed", failed, count) : reply_ok(c);

    json_array(j, "jobs");
    for (unsigned i = 0; i < count; i++)
        json_number(j, NULL, numbers[i]);
    json_end_array(j);
}

void cmd_wait(struct command_call *c)
{
    const char *word = arg_word(c, 0);
    unsigned numbers[JOBS_MAX], count = 0, failed = 0;
    struct job *job = NULL;
    u64 number = 0;

    if (word != NULL && strcmp(word, "all") != 0) {
        if (!parse_decimal(word, &number) || (job = job_find(number)) == NULL) {
            reply_fail(c, "there is no job '%s'; `jobs` lists them", word);
            return;
        }
        numbers[count++] = job->number;
        failed += !tell(job);
    }
    while (number == 0 && (job = job_next(NULL)) != NULL) {
        numbers[count++] = job->number;
        failed += !tell(job);
    }
    answer_waited(c, numbers, count, failed);
}

/* --- vCPUs --- */

static const char *state_of_vcpu(const struct vm_vcpu *v)
{
    return vm_vcpu_state_name(v->state);
}

static void add_vcpu(struct json *j, unsigned i)
{
    const struct job *job = job_of_vcpu(i);

    json_object(j, NULL);
    json_number(j, "vcpu", i);
    json_text(j, "state", state_of_vcpu(&vm.vcpus[i]));
    json_bool(j, "runs", vm.vcpus[i].runs);
    json_bool(j, "inside", vm.td.vcpus[i].inside);
    if (vm.td.vcpus[i].cpu >= 0)
        json_number(j, "cpu", (u64)vm.td.vcpus[i].cpu);
    json_number(j, "exits", vm.td.vcpus[i].exits);
    if (job != NULL)
        json_number(j, "job", job->number);
    json_end_object(j);
}

void cmd_vcpu_list(struct command_call *c)
{
    unsigned count = vm.state == VM_NONE ? 0 : vm.td.vcpu_count;

    for (unsigned i = 0; i < count; i++)
        print("  vCPU %-3u %-12s CPU %d, %llu exits%s\n", i, state_of_vcpu(&vm.vcpus[i]), vm.td.vcpus[i].cpu,
              (unsigned long long)vm.td.vcpus[i].exits, vm.td.vcpus[i].inside ? ", inside" : "");
    struct json *j = reply_ok(c);
    json_array(j, "vcpus");
    for (unsigned i = 0; i < count; i++)
        add_vcpu(j, i);
    json_end_array(j);
}

void cmd_vcpu_kick(struct command_call *c)
{
    const char *word = arg_word(c, 0);
    unsigned count = vm.state == VM_NONE ? 0 : vm.td.vcpu_count;
    u64 n;

    if (!parse_decimal(word, &n) || n >= count) {
        reply_fail(c, "there is no vCPU '%s': the TD has %u, counted from 0", word, count);
        return;
    }
    struct fault_text fault;
    bool inside;
    enum err e = vm_kick((unsigned)n, &inside, &fault);
    struct json *j = e == ERR_OK ? reply_ok(c) : reply_fail(c, "%s", fault.text);
    json_number(j, "vcpu", n);
    json_bool(j, "inside", inside);
    json_number(j, "exits", vm.td.vcpus[n].exits);
}
