/*
 * The command `top`: what the TD is doing, sample by sample. On a terminal it is a screen that is redrawn until a key is
 * pressed; in a script, with commands piped in, or with `count=N`, each sample is one line `top N name=value ...`, which
 * tools/top-picture draws. No sample makes a SEAMCALL or holds a vCPU out.
 */
#include "drivers/serial.h"
#include "kernel/console/cmd.h"
#include "kernel/console/console.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/vm/vm.h"
#include "lib/format.h"
#include "mm/policy/policy.h"
#include "tdx/count.h"

#define EVERY_MS     500u
#define EVERY_MS_MAX 3600000u
#define COUNT_MAX    1000000u
#define ANSWER_US    2000000u /* a terminal's, on a slow line */
#define PATIENCE_US  20000u   /* of a sample, with operations that have memory to themselves */

/* Control sequences of ECMA-48. */
#define CLEAR    "\x1b[H\x1b[2J"
#define HOME     "\x1b[H"
#define LINE_END "\x1b[K\n"
#define CUT      "\x1b[J"
#define HIDE     "\x1b[?25l"
#define SHOW     "\x1b[?25h"
#define ASK      "\x1b[6n" /* where the cursor is; answered ESC [ row ; column R */
#define ESC      0x1b

/* A screen has 24 lines of 80 columns. */
#define BAR_CELLS   40u
#define VCPU_COLUMN 3u
#define VCPUS_SHOWN 30u

#define VCPU_STATES (VCPU_HALTED + 1u)

struct sample {
    u64 us; /* time_us() when it was taken */
    u64 exits, seamcalls;
    struct tdp_sizes sizes;
    u64 old_gib; /* whose sizes are those of an earlier sample, since an operation is at work there */
    struct tdp_policy_status policy;
};

struct top {
    u64 every_ms, count; /* count 0: a screen, until a key */
    u64 begun;           /* time_us() */
    u64 taken;
    struct sample before, now;
    bool left;
};

/* --- samples ------------------------------------------------------------------------------------------------------ */

static u64 patient_until; /* time_us() */

static bool is_patient(void)
{
    return time_us() < patient_until;
}

static struct tdp_report take(struct top *t)
{
    struct sample s = {.us = time_us(), .seamcalls = tdx_counts_seamcalls()};

    patient_until = s.us + PATIENCE_US;
    for (unsigned i = 0; i < TDX_EXIT_REASON_COUNT_MAX; i++)
        s.exits += __atomic_load_n(&tdx_counts.exits[i], __ATOMIC_RELAXED);
    tdp_policy_status(vm.tdp, &s.policy);
    struct tdp_report r = tdp_glance(vm.tdp, is_patient, &s.sizes, &s.old_gib);
    if (r.err != ERR_OK)
        return r;
    t->before = t->now;
    t->now = s;
    return r;
}

/* How many of `n` since the sample before that is in a second. */
static u64 rate(const struct top *t, u64 n)
{
    u64 us = t->now.us - t->before.us;
    return us ? n * 1000000 / us : 0;
}

static u64 exits(const struct top *t)
{
    return t->now.exits - t->before.exits;
}

static u64 seamcalls(const struct top *t)
{
    return t->now.seamcalls - t->before.seamcalls;
}

static u64 large_percent(const struct tdp_sizes *s)
{
    u64 large = s->mapped[LEVEL_2M.raw] + s->mapped[LEVEL_1G.raw], all = large + s->mapped[LEVEL_4K.raw];
    return all ? large * 100 / all : 0;
}

static u64 elapsed_ms(const struct top *t)
{
    return (t->now.us - t->begun) / 1000;
}

static unsigned inside(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        n += vm.td.vcpus[i].inside != 0;
    return n;
}

/* --- as lines ----------------------------------------------------------------------------------------------------- */

/* "working:2,idle:1" */
static void print_states(void)
{
    unsigned counts[VCPU_STATES] = {0};
    const char *comma = "";

    for (unsigned i = 0; i < vm.vcpu_count; i++)
        counts[vm.vcpus[i].state]++;
    for (unsigned s = 0; s < VCPU_STATES; s++) {
        if (counts[s] == 0)
            continue;
        print("%s%s:%u", comma, s == VCPU_STARTS ? "starting" : vm_vcpu_state_name((enum vm_vcpu_state)s), counts[s]);
        comma = ",";
    }
}

static void print_line(const struct top *t)
{
    const struct sample *s = &t->now;

    print_begin();
    print("top %llu ms=%llu exits_per_s=%llu seamcalls_per_s=%llu 4k=%llu 2m=%llu 1g=%llu shared=%llu large=%llu%%",
          (unsigned long long)t->taken, (unsigned long long)elapsed_ms(t), (unsigned long long)rate(t, exits(t)),
          (unsigned long long)rate(t, seamcalls(t)), (unsigned long long)s->sizes.mapped[0],
          (unsigned long long)s->sizes.mapped[1], (unsigned long long)s->sizes.mapped[2],
          (unsigned long long)s->sizes.shared, (unsigned long long)large_percent(&s->sizes));
    print(" old_gib=%llu policy=%s queued=%llu blocked=%llu resting=%llu merged=%llu vcpus=",
          (unsigned long long)s->old_gib, s->policy.policy->name, (unsigned long long)s->policy.ready,
          (unsigned long long)s->policy.blocked, (unsigned long long)s->policy.resting,
          (unsigned long long)s->policy.counters[TDP_POLICY_MERGED]);
    print_states();
    print("\n");
    print_end();
}

/* --- as a screen -------------------------------------------------------------------------------------------------- */

static void draw_bytes(const char *name, u64 bytes)
{
    char size[PRINT_SIZE_BYTES], bar[BAR_CELLS + 1];
    u64 cells = bytes * BAR_CELLS / vm.memory_bytes;
    unsigned n = 0;

    /* What is there at all is seen; and the ROM may come on top of all memory. */
    for (; n < BAR_CELLS && (n < cells || (n == 0 && bytes != 0)); n++)
        bar[n] = '#';
    bar[n] = '\0';
    print("  %-8s%12s  %s" LINE_END, name, print_size(size, bytes), bar);
}

static void draw_policy(const struct tdp_policy_status *p)
{
    print("  policy %s: %llu ready, %llu blocked, %llu resting" LINE_END, p->policy->name, (unsigned long long)p->ready,
          (unsigned long long)p->blocked, (unsigned long long)p->resting);
    print("  %llu merged, %llu refused, %llu blocked in vain" LINE_END,
          (unsigned long long)p->counters[TDP_POLICY_MERGED], (unsigned long long)p->counters[TDP_POLICY_REFUSED],
          (unsigned long long)p->counters[TDP_POLICY_COLD]);
}

static void draw_vcpus(void)
{
    print(LINE_END "  vCPUs, * inside, and their exits" LINE_END);
    for (unsigned i = 0; i < vm.vcpu_count && i < VCPUS_SHOWN; i++) {
        const struct vcpu *v = &vm.td.vcpus[i];
        bool last = i % VCPU_COLUMN == VCPU_COLUMN - 1 || i + 1 == vm.vcpu_count;
        print("%3u %-11s%c%9llu %s", i, vm_vcpu_state_name(vm.vcpus[i].state), v->inside ? '*' : ' ',
              (unsigned long long)v->exits, last ? LINE_END : "");
    }
    if (vm.vcpu_count > VCPUS_SHOWN)
        print("  and %u more: `vcpu list`" LINE_END, vm.vcpu_count - VCPUS_SHOWN);
}

static void draw(const struct top *t)
{
    char size[PRINT_SIZE_BYTES];
    const struct tdp_sizes *s = &t->now.sizes;
    u64 ms = elapsed_ms(t);

    print_begin(); /* nobody logs into the middle of it */
    print(HOME "TD %s, %s; %llu.%llu s, every %llu ms; a key leaves" LINE_END, vm_state_name(vm.state),
          print_size(size, vm.memory_bytes), (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000 / 100),
          (unsigned long long)t->every_ms);
    print(LINE_END "  %llu TD exits a second, %llu SEAMCALLs a second" LINE_END LINE_END,
          (unsigned long long)rate(t, exits(t)), (unsigned long long)rate(t, seamcalls(t)));
    draw_bytes("4k", s->mapped[0]);
    draw_bytes("2m", s->mapped[1]);
    draw_bytes("1g", s->mapped[2]);
    draw_bytes("shared", s->shared);
    print("  %-8s%11llu%%", "large", (unsigned long long)large_percent(s));
    if (t->now.old_gib)
        print("  %llu GiB as seen before: at work there", (unsigned long long)t->now.old_gib);
    print(LINE_END LINE_END);
    draw_policy(&t->now.policy);
    draw_vcpus();
    print(CUT);
    print_end();
}

/* Is there a terminal, which answers when it is asked? Commands that are piped in do not, and stay there to be read. */
static bool is_terminal(void)
{
    u64 until = time_us() + ANSWER_US;
    int byte = -1;

    print(ASK);
    for (; byte < 0 && time_us() < until; byte = serial_peek()) {
        vm_wait();
        serial_poll();
    }
    if (byte != ESC) {
        print("\n");
        return false;
    }
    while ((byte = serial_read()) != 'R' && time_us() < until) {
        if (byte >= 0)
            continue;
        vm_wait();
        serial_poll();
    }
    return byte == 'R';
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* On a screen any key leaves, and what else was typed with it, an arrow's sequence say, is no command. */
static bool wants_to_leave(const struct top *t)
{
    if (console_take_interrupt())
        return true;
    if (t->count != 0 || serial_read() < 0)
        return false;
    serial_drop_input();
    return true;
}

/* False: it is to end. */
static bool wait(const struct top *t)
{
    u64 until = t->begun + (t->taken + 1) * t->every_ms * 1000;

    /* After a time in which nothing was taken the pace is taken up again from here. */
    if (until <= t->now.us)
        until = t->now.us + t->every_ms * 1000;
    do {
        if (wants_to_leave(t))
            return false;
        vm_wait();
    } while (time_us() < until);
    return true;
}

static struct tdp_report run(struct top *t)
{
    struct tdp_report r = take(t);

    t->begun = t->now.us;
    t->before = t->now;
    while (r.err == ERR_OK && (t->count == 0 || t->taken < t->count)) {
        if (t->count == 0)
            draw(t);
        t->left = !wait(t);
        if (t->left)
            break;
        r = take(t);
        t->taken += r.err == ERR_OK;
        if (r.err == ERR_OK && t->count != 0)
            print_line(t);
    }
    return r;
}

static struct json *begin_answer(struct command_call *c, const struct top *t, const struct tdp_report *r)
{
    struct fault_text text;

    if (t->left && t->count != 0)
        return reply_fail(c, "stopped by ^C after %llu of %llu samples", (unsigned long long)t->taken,
                          (unsigned long long)t->count);
    if (r->err == ERR_OK || t->left)
        return reply_ok(c);
    (void)fault_tdp(&text, "top", r);
    return reply_fail(c, "%s", text.text);
}

static void add_sample(struct json *j, const struct top *t)
{
    const struct sample *s = &t->now;

    json_number(j, "samples", t->taken);
    json_number(j, "ms", elapsed_ms(t));
    json_number(j, "exits", exits(t));
    json_number(j, "seamcalls", seamcalls(t));
    json_number(j, "exits_per_s", rate(t, exits(t)));
    json_number(j, "seamcalls_per_s", rate(t, seamcalls(t)));
    json_object(j, "mapped_bytes");
    for (unsigned i = 0; i < ARRAY_COUNT(s->sizes.mapped); i++)
        json_number(j, level_name((level_t){(u8)i}), s->sizes.mapped[i]);
    json_end_object(j);
    json_number(j, "shared_bytes", s->sizes.shared);
    json_number(j, "large_percent", large_percent(&s->sizes));
    json_number(j, "old_gib", s->old_gib);
    json_text(j, "policy", s->policy.policy->name);
    json_number(j, "queued", s->policy.ready);
    json_number(j, "blocked", s->policy.blocked);
    json_number(j, "resting", s->policy.resting);
    json_number(j, "merged", s->policy.counters[TDP_POLICY_MERGED]);
    json_array(j, "vcpu_states");
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        json_text(j, NULL, vm_vcpu_state_name(vm.vcpus[i].state));
    json_end_array(j);
    json_number(j, "inside", inside());
}

void cmd_top(struct command_call *c)
{
    struct top t = {.every_ms = EVERY_MS};

    if (!arg_key_number(c, "count", 1, COUNT_MAX, &t.count) ||
        !arg_key_number(c, "every", 1, EVERY_MS_MAX, &t.every_ms))
        return;
    if (vm.state == VM_NONE) {
        reply_fail(c, "there is no TD: `td create` comes first");
        return;
    }
    if (vm.state == VM_DEAD) {
        reply_fail(c, "the TD is dead: only `td destroy` is left");
        return;
    }
    if (t.count == 0 && (c->in_script || !is_terminal()))
        t.count = 1;
    if (t.count == 0)
        print(HIDE CLEAR);
    struct tdp_report r = run(&t);
    if (t.count == 0)
        print(SHOW "\n");
    struct json *j = begin_answer(c, &t, &r);
    if (r.err == ERR_OK || t.left)
        add_sample(j, &t);
}
