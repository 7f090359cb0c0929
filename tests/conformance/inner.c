/*
 * A call that another logical processor makes in the middle of a call. The records tell of it in a NOTE behind the outer call:
 * "inner LEAF on LPn (what) answered STATUS NAME". It runs at the poll for interrupts at which the outer call is to be
 * interrupted half-way, or, where nothing polls, at the atomic operation in the middle of the outer call's.
 */
#include "tests/conformance/conformance.h"

#include <stdlib.h>
#include <string.h>

#define RECORDED_TDR   0x100100000ull
#define RECORDED_TDVPR 0x100110000ull
#define FREE_PAGE      0x100830000ull
#define MIDDLE_POINT   6 /* atomic operations of the outer call that go before */
#define MIDDLE_POLL    6 /* polls of the outer call that go before */

static struct {
    struct conf *c;
    bool armed, done;
    unsigned lp, points, polls;
    u64 number, regs[SEAM_GPRS], status, want;
} inner;

static const struct {
    const char *leaf;
    unsigned number;
} leaves[] = {
    {"TDH.VP.ENTER", 0},          {"TDH.MEM.SEPT.ADD", 3},    {"TDH.MEM.PAGE.RELOCATE", 5},
    {"TDH.MEM.PAGE.AUG", 6},      {"TDH.MEM.RANGE.BLOCK", 7}, {"TDH.MEM.PAGE.DEMOTE", 15},
    {"TDH.MEM.PAGE.PROMOTE", 23}, {"TDH.MEM.SEPT.RD", 25},    {"TDH.MEM.PAGE.REMOVE", 29},
    {"TDH.MEM.SEPT.REMOVE", 30},  {"TDH.MEM.TRACK", 38},      {"TDH.MEM.RANGE.UNBLOCK", 39},
};

static void operands(const char *text, u64 outer_rcx)
{
    bool of_td = inner.number == 38, enters = inner.number == 0;
    conf_poison(inner.regs);
    inner.regs[RCX] = of_td ? RECORDED_TDR : enters ? RECORDED_TDVPR : outer_rcx;
    if (strstr(text, "parent table level 2"))
        inner.regs[RCX] = (outer_rcx & ~((1ull << 30) - 1)) | 2;
    if (strstr(text, "neighbour") || strstr(text, "other"))
        inner.regs[RCX] = outer_rcx + 0x200000;
    if (!of_td && !enters)
        inner.regs[RDX] = RECORDED_TDR;
    inner.regs[R8] = FREE_PAGE;
}

static void run_now(void)
{
    inner.armed = false;
    inner.done = true;
    struct seam_lp *s = &platform_host_lps[inner.lp];
    conf_seamcall(inner.c, inner.lp, inner.number, inner.regs);
    inner.status = s->vmm[RAX];
}

static void at_atomic_point(struct seam_lp *lp)
{
    if (!inner.armed || lp->index == inner.lp || ++inner.points < MIDDLE_POINT)
        return;
    if (platform_host_knobs.pending)
        return; /* it polls: see below */
    run_now();
}

static void at_poll(struct seam_lp *lp)
{
    if (inner.armed && lp->index != inner.lp && ++inner.polls == MIDDLE_POLL)
        run_now();
}

void conf_inner_arm(struct conf *c, const json_t *outer, const json_t *note)
{
    const char *text = json_string_value(json_object_get(note, "text"));
    const char *answered = strstr(text, "answered "), *on = strstr(text, "on LP");
    memset(&inner, 0, sizeof(inner));
    inner.c = c;
    inner.want = answered ? strtoull(answered + 9, NULL, 16) : 0;
    inner.lp = on ? (unsigned)strtoul(on + 5, NULL, 10) % CONF_LPS : 0;
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        size_t length = strlen(leaves[i].leaf);
        if (strncmp(text + 6, leaves[i].leaf, length) == 0 && text[6 + length] == ' ') {
            inner.number = leaves[i].number;
            inner.armed = true;
        }
    }
    operands(text, conf_number(json_object_get(json_object_get(outer, "in"), "rcx")));
    platform_host_knobs.atomic_point = at_atomic_point;
    platform_host_knobs.polled = at_poll;
}

void conf_inner_check(struct conf *c, struct conf_diff *d)
{
    (void)c;
    platform_host_knobs.atomic_point = NULL;
    platform_host_knobs.polled = NULL;
    if (!inner.done)
        conf_differ(d, "the inner call had no chance to run");
    else if (inner.status != inner.want)
        conf_differ(d, "status %016llx/%016llx", (unsigned long long)inner.want, (unsigned long long)inner.status);
    inner.armed = inner.done = false;
}
