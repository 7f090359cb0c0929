/*
 * The experiment `linux-policies`: what `policies` asks, of an unmodified Linux. A TD for each policy, which looks after it from
 * its first page on: the boot to the shell, then lines that the shell runs, each followed by time for the policy and a
 * sample. The guest's own programs check what they have in memory: a byte that is lost ends the experiment.
 */
#include "kernel/experiment/linux_guest.h"
#include "kernel/experiment/policy_look.h"
#include "kernel/experiment/workload/settings.h"
#include "kernel/experiment/workload/watch.h"
#include "kernel/time.h"
#include "kernel/vm/ghci/ghci.h"
#include "lib/format.h"
#include "lib/string.h"
#include "mm/policy/policy.h"

#define MARK       "guest: shell"
#define LINE_BYTES 200u

enum { MEM, VCPUS, ROUNDS, SETTLE, STEP, TIMES, MIB_OF_STRESS, OPS, TIMEOUT };
enum { POLICY, WITH, KERNEL, INITRD, COMMAND_LINE };

struct linux_work {
    struct experiment_run *x;
    const struct policy *policy;
    u64 round;
    struct linux_guest guest;
    struct watch *watch;
};

/* --- what the guest does ------------------------------------------------------------------------------------------ */

/* tests/system/guests/linux/ has the programs. */
static void convert_line(const struct experiment_run *x, char line[LINE_BYTES])
{
    format_to(line, LINE_BYTES, "convert %llu", (unsigned long long)x->values[TIMES]);
}

static void stress_line(const struct experiment_run *x, char line[LINE_BYTES])
{
    format_to(line, LINE_BYTES, "stress mib=%llu ops=%llu threads=%llu seed=%llu",
              (unsigned long long)x->values[MIB_OF_STRESS], (unsigned long long)x->values[OPS],
              (unsigned long long)x->values[VCPUS], (unsigned long long)x->seed);
}

/* Both must end well. */
static void both_lines(const struct experiment_run *x, char line[LINE_BYTES])
{
    char convert[LINE_BYTES], stress[LINE_BYTES];

    convert_line(x, convert);
    stress_line(x, stress);
    format_to(line, LINE_BYTES, "%s& p=$!; %s&& wait $p", convert, stress);
}

static const struct {
    const char *name;
    void (*line)(const struct experiment_run *x, char line[LINE_BYTES]); /* NULL: it boots */
} phases[] = {{"boot", NULL}, {"convert", convert_line}, {"stress", stress_line}, {"both", both_lines}};

/* --- one phase ---------------------------------------------------------------------------------------------------- */

static u64 conversions_so_far(void)
{
    for (unsigned i = 0; ghci_count(i).name != NULL; i++)
        if (strcmp(ghci_count(i).name, "MapGPA") == 0)
            return ghci_count(i).count;
    return 0;
}

static enum err look(struct linux_work *w)
{
    enum err e = watch_look(w->watch);

    return e == ERR_OK ? e : fault_say(&w->x->fault, e, "the regions could not be looked at: %s", err_text(e));
}

/* While the guest works. */
static enum err look_again(void *arg)
{
    struct linux_work *w = arg;

    experiment_progress(w->x, "linux under %s: round %llu of %llu, %llu of %llu regions large", w->policy->name,
                        (unsigned long long)w->round + 1, (unsigned long long)w->x->values[ROUNDS],
                        (unsigned long long)w->watch->large, (unsigned long long)w->watch->whole);
    return look(w);
}

/* Until all is large that may be, or the time is over. */
static enum err settle(struct linux_work *w, u64 *ms)
{
    u64 from = time_us();
    enum err e = look(w);

    while (e == ERR_OK && w->watch->large < w->watch->whole && time_us() - from < w->x->values[SETTLE] * 1000) {
        e = world_wait(w->x, w->x->values[STEP]);
        if (e == ERR_OK)
            e = look(w);
    }
    *ms = (time_us() - from) / 1000;
    return e;
}

struct phase {
    unsigned number;
    struct policy_look from;
    u64 conversions, began, work_ms, ms;
};

static enum err sample(struct linux_work *w, const struct phase *p)
{
    struct policy_look to;
    enum err e = policy_look_again(w->x, w->policy, &to);

    if (e != ERR_OK)
        return e;
    struct json *j = sample_begin(w->x);
    json_text(j, "policy", w->policy->name);
    json_text(j, "workload", "linux");
    json_text(j, "phase", phases[p->number].name);
    json_number(j, "round", w->round);
    json_number(j, "vcpus", vm.vcpu_count);
    json_text(j, "version", vm.linux.version);
    json_number(j, "conversions", conversions_so_far() - p->conversions);
    json_number(j, "work_ms", p->work_ms);
    json_number(j, "ms", p->ms);
    watch_add(w->watch, j);
    policy_look_add(j, &p->from, &to);
    sample_end(w->x);
    return ERR_OK;
}

static enum err boot(struct linux_work *w)
{
    enum err e = vm_run(&w->x->fault);

    return e == ERR_OK ? linux_guest_hear(&w->guest, MARK) : e;
}

static enum err one_phase(struct linux_work *w, unsigned number)
{
    struct phase p = {.number = number, .conversions = conversions_so_far(), .began = time_us()};
    char line[LINE_BYTES];

    watch_begin_sample(w->watch);
    policy_look(&p.from);
    if (phases[number].line != NULL)
        phases[number].line(w->x, line);
    enum err e = phases[number].line != NULL ? linux_guest_run(&w->guest, line) : boot(w);
    p.work_ms = (time_us() - p.began) / 1000;
    if (e == ERR_OK)
        e = settle(w, &p.ms);
    return e == ERR_OK ? sample(w, &p) : e;
}

/* --- one TD ------------------------------------------------------------------------------------------------------- */

static enum err create(struct linux_work *w)
{
    const struct experiment_run *x = w->x;
    struct vm_config config = {.kind = VM_LINUX,
                               .memory_bytes = x->values[MEM] * MIB,
                               .vcpus = (unsigned)x->values[VCPUS],
                               .level = LEVEL_2M,
                               .node = PAGE_ANY_NODE,
                               .kernel = x->chosen[KERNEL],
                               .initrd = x->chosen[INITRD],
                               .command_line = x->chosen[COMMAND_LINE]};
    u64 values[POLICY_PARAMETERS_MAX];

    settings_of(x->chosen[WITH], w->policy, values);
    enum err e = vm_create(&config, &w->x->fault);
    return e == ERR_OK ? world_policy(w->x, w->policy, values) : e;
}

static enum err live(struct linux_work *w)
{
    enum err e = create(w);

    linux_guest_begin(&w->guest);
    for (unsigned i = 0; i < sizeof(phases) / sizeof(phases[0]) && e == ERR_OK; i++)
        e = one_phase(w, i);
    return e;
}

/* The TD goes, whatever has happened, and what has happened is what is told. */
static enum err one(struct experiment_run *x, const struct policy *policy, u64 round)
{
    static struct watch watch;
    struct linux_work w = {.x = x, .policy = policy, .round = round, .watch = &watch};
    u64 regions = x->values[MEM] * MIB / level_bytes(LEVEL_2M);
    enum err e = watch_begin(&watch, (gpa_t){0}, regions, LEVEL_2M);

    if (e != ERR_OK)
        return fault_say(&x->fault, e, "no memory to keep count of the regions");
    watch.is_told = false;
    w.guest = (struct linux_guest){
        .x = x, .seconds = x->values[TIMEOUT], .every_ms = x->values[STEP], .meanwhile = look_again, .arg = &w};
    e = live(&w);
    struct fault_text why = x->fault;
    enum err gone = world_end(x);
    watch_end(&watch);
    if (e == ERR_OK)
        return gone;
    x->fault = why;
    return e;
}

static enum err check(struct experiment_run *x)
{
    if (x->values[VCPUS] > vm_vcpus_max())
        return fault_say(&x->fault, ERR_STATE, "vcpus=%llu: this machine has CPUs for %u",
                         (unsigned long long)x->values[VCPUS], vm_vcpus_max());
    return x->chosen[WITH] ? settings_check(x->chosen[WITH], x->chosen[POLICY], &x->fault) : ERR_OK;
}

static enum err run(struct experiment_run *x)
{
    enum err e = check(x);

    for (u64 round = 0; round < x->values[ROUNDS]; round++)
        for (unsigned n = 0; policies[n] && e == ERR_OK; n++)
            if (x->chosen[POLICY] == NULL || strcmp(x->chosen[POLICY], policies[n]->name) == 0)
                e = one(x, policies[n], round);
    return e;
}

const struct experiment experiment_linux_policies = {
    .name = "linux-policies",
    .question = "what does each merge policy make of a Linux, and what does it cost?",
    .parameters = {[MEM] = {"mem", "MiB", "of the TD", 256, 64, 65536},
                   [VCPUS] = {"vcpus", "", "of the TD", 1, 1, TD_VCPUS_MAX},
                   [ROUNDS] = {"rounds", "", "a TD for each policy in each", 1, 1, 100000},
                   [SETTLE] = {"settle", "ms", "that the policy has at most after each phase", 2000, 1, 3600000},
                   [STEP] = {"step", "ms", "between two looks at the pages", 20, 1, 60000},
                   [TIMES] = {"times", "", "that the attestation driver is loaded in a phase", 20, 1, 1000000},
                   [MIB_OF_STRESS] = {"stress", "MiB", "that are worked on", 64, 1, 65536},
                   [OPS] = {"ops", "pages", "that each vCPU works on in a phase", 20000, 1, 1000000000},
                   [TIMEOUT] = {"timeout", "s", "for each phase", 600, 1, 86400}},
    .choices = {[POLICY] = {"policy", "one alone", experiment_policy_name, NULL},
                [WITH] = {"with", "parameters of policies, such as with=delay:50,batch:1", NULL, NULL},
                [KERNEL] = {"kernel", "a file of the boot volume's folder linux", NULL, NULL},
                [INITRD] = {"initrd", "another, with the programs convert and stress", NULL, NULL},
                [COMMAND_LINE] = {"cmdline", "what the kernel is told", NULL, NULL}},
    .run = run,
};
