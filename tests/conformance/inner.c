/*
 * A call that another logical processor makes in the middle of a call. The records tell of it in a NOTE behind the
 * outer call: "inner LEAF on LPn (what) answered STATUS NAME". It runs half-way to the poll for events at which the
 * outer call is interrupted, or, where that does not poll, at the atomic operation in its middle, which a try-out in a
 * child process finds.
 */
#include "tests/conformance/conformance.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDED_TDR   0x100100000ull
#define RECORDED_TDVPR 0x100110000ull
#define FREE_PAGE      0x100830000ull
#define REGION         (1ull << 21)
#define POINTS_MAX     250u /* fits an exit status */

static struct {
    struct conf *c;
    bool armed, done, counting, polls;
    unsigned lp, at, passed, number;
    u64 regs[SEAM_GPRS], status, want;
} inner;

/* Whose address a leaf takes in RCX, and whether RDX names the TD. */
static void operands(const char *text, u64 outer_rcx)
{
    static const unsigned of_td[] = {8, 16, 17, 19, 20, 38}, of_vcpu[] = {0, 18, 26, 43};
    conf_poison(inner.regs);
    inner.regs[RCX] = outer_rcx;
    inner.regs[RDX] = RECORDED_TDR;
    inner.regs[R8] = FREE_PAGE;
    for (size_t i = 0; i < sizeof(of_td) / sizeof(of_td[0]); i++)
        if (inner.number == of_td[i])
            inner.regs[RCX] = RECORDED_TDR;
    for (size_t i = 0; i < sizeof(of_vcpu) / sizeof(of_vcpu[0]); i++)
        if (inner.number == of_vcpu[i])
            inner.regs[RCX] = RECORDED_TDVPR;
    if (strstr(text, "parent table level 2"))
        inner.regs[RCX] = (outer_rcx & ~((1ull << 30) - 1)) | 2;
    if (strstr(text, "neighbour") || strstr(text, "other"))
        inner.regs[RCX] = outer_rcx + REGION;
}

static void run_now(void)
{
    inner.armed = false;
    inner.done = true;
    conf_seamcall(inner.c, inner.lp, inner.number, inner.regs);
    inner.status = platform_host_lps[inner.lp].vmm[RAX];
}

/* One more operation, or poll, of the outer call. */
static void pass(struct seam_lp *lp)
{
    if (lp->index == inner.lp)
        return;
    if (inner.counting)
        inner.passed++;
    else if (inner.armed && inner.passed++ == inner.at)
        run_now();
}

static void arm(bool on)
{
    platform_host_knobs.atomic_point = on && !inner.polls ? pass : NULL;
    platform_host_knobs.polled = on && inner.polls ? pass : NULL;
}

/*
 * How many operations, or polls, the outer call has: it runs once in a child process, which leaves everything as it
 * was.
 */
static unsigned count_points(const json_t *outer)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct conf_diff d = {{0}};
        inner.counting = true;
        arm(true);
        conf_step(inner.c, &d, outer);
        _exit(inner.passed < POINTS_MAX ? (int)inner.passed : (int)POINTS_MAX);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return 0;
    return (unsigned)WEXITSTATUS(status);
}

void conf_inner_arm(struct conf *c, const json_t *outer, const json_t *note)
{
    const char *text = json_string_value(json_object_get(note, "text"));
    const char *answered = strstr(text, "answered "), *on = strstr(text, "on LP");
    memset(&inner, 0, sizeof(inner));
    inner.c = c;
    inner.want = answered ? strtoull(answered + 9, NULL, 16) : 0;
    inner.lp = on ? (unsigned)strtoul(on + 5, NULL, 10) % CONF_LPS : 0;
    inner.armed = conf_leaf_number(text + 6, &inner.number);
    inner.polls = json_object_get(outer, "pending_interrupt_after_checks") != NULL;
    operands(text, conf_number(json_object_get(json_object_get(outer, "in"), "rcx")));
    inner.at = count_points(outer) / 2;
    arm(true);
}

void conf_inner_check(struct conf *c, struct conf_diff *d)
{
    (void)c;
    arm(false);
    if (!inner.done)
        conf_differ(d, "the inner call had no chance to run");
    else if (inner.status != inner.want)
        conf_differ(d, "status %016llx/%016llx", (unsigned long long)inner.want, (unsigned long long)inner.status);
    inner.armed = inner.done = false;
}
