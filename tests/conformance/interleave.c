#define _GNU_SOURCE /* MAP_ANONYMOUS */
/*
 * Pairs of calls that overlap: the inner one runs to its end on LP1 just before the k-th atomic operation of the outer
 * one on LP0. The genuine module's operations are not the model's, so a pair is tried at every operation of the model,
 * and each outcome must be among those recorded. Each try runs in a child process, which leaves the starting state as
 * it was.
 */
#include "tests/conformance/conformance.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TDR        0x100100000ull
#define TDVPR      0x100110000ull
#define TDVPR2     0x100120000ull
#define TDCALL     77
#define POINTS_MAX 4096 /* a PROMOTE locks 512 entries one by one, and gives them back */
#define OUTER_LP   0
#define INNER_LP   1

/* Freed memory that the sanitizer holds back would make each fork slow. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4";
}

/* The starting state on top of setup TD: see the README of the records. */
static const struct {
    unsigned leaf;
    u64 rcx, rdx, r8;
} preparation[] = {
    {6, 0x5000, TDR, 0x100800000},   /* 4K PENDING */
    {6, 0x200001, TDR, 0x140000000}, /* 2M, to be PENDING_BLOCKED */
    {6, 0x400001, TDR, 0x140200000}, /* 2M, to be split */
    {6, 0xa00001, TDR, 0x140400000}, /* 2M PENDING */
    {3, 0x600001, TDR, 0x100203000}, /* empty table, to be blocked */
    {7, 0x1000, TDR, 0},             /* a page of the setup */
    {7, 0x200001, TDR, 0},
    {7, 0x400001, TDR, 0},
    {7, 0x600001, TDR, 0},
    {38, TDR, 0, 0},
    {15, 0x400001, TDR, 0x100204000},
    {7, 0x400001, TDR, 0},
    {38, TDR, 0, 0},
};

struct outcome {
    bool inner_ran;
    char inner[CONF_TEXT_BYTES / 4], outer[CONF_TEXT_BYTES / 4];
};

static struct {
    struct conf *c;
    const json_t *inner;
    bool armed;
    unsigned points_left;
    struct outcome *result;
} run;

/* As the records write a result. */
static void name_result(char text[CONF_TEXT_BYTES / 4], enum seam_next next, bool was_tdcall, unsigned lp)
{
    const u64 *vmm = platform_host_lps[lp].vmm;
    if (next == SEAM_TO_TD && !was_tdcall)
        snprintf(text, CONF_TEXT_BYTES / 4, "IN_TD");
    else if (next == SEAM_TO_TD)
        snprintf(text, CONF_TEXT_BYTES / 4, "0x%016llx", (unsigned long long)platform_host_lps[lp].td->gpr[RAX]);
    else if (was_tdcall)
        snprintf(text, CONF_TEXT_BYTES / 4, "TD_EXIT 0x%llx rdx=0x%llx", (unsigned long long)vmm[RAX],
                 (unsigned long long)vmm[RDX]);
    else
        snprintf(text, CONF_TEXT_BYTES / 4, "0x%016llx", (unsigned long long)vmm[RAX]);
}

static bool is_tdcall(const json_t *call)
{
    return json_object_get(call, "td") != NULL;
}

static void perform(const json_t *call, unsigned lp, char text[CONF_TEXT_BYTES / 4])
{
    enum seam_next next;
    if (is_tdcall(call)) {
        struct td_vmcs *td = run.c->lps[lp].td;
        td->exit_reason = TDCALL;
        td->exit_instr_len = 4;
        td->gpr[RAX] = 6; /* TDG.MEM.PAGE.ACCEPT, the only one recorded */
        td->gpr[RCX] = conf_number(json_object_get(call, "rcx"));
        next = conf_td_exit(run.c, lp, 200);
    } else {
        u64 regs[SEAM_GPRS];
        conf_poison(regs);
        conf_set_regs(regs, json_object_get(call, "in"));
        next = conf_seamcall(run.c, lp, conf_number(json_object_get(call, "num")), regs);
    }
    name_result(text, next, is_tdcall(call), lp);
}

static void at_atomic_point(struct seam_lp *lp)
{
    if (!run.armed || lp->index != OUTER_LP || run.points_left--)
        return;
    run.armed = false;
    run.result->inner_ran = true;
    perform(run.inner, INNER_LP, run.result->inner);
}

static void enter(unsigned lp, u64 tdvpr)
{
    u64 regs[SEAM_GPRS];
    conf_poison(regs);
    regs[RCX] = tdvpr;
    conf_seamcall(run.c, lp, 0, regs);
}

/* In the child. */
static void try_at(const json_t *pair, unsigned point)
{
    const json_t *outer = json_object_get(pair, "outer_call");
    run.inner = json_object_get(pair, "inner_call");
    if (is_tdcall(outer))
        enter(OUTER_LP, TDVPR);
    if (is_tdcall(run.inner))
        enter(INNER_LP, TDVPR2);
    run.points_left = point;
    run.armed = true;
    platform_host_knobs.atomic_point = at_atomic_point;
    perform(outer, OUTER_LP, run.result->outer);
}

static bool recorded(const json_t *pair, const char *which, const char *text)
{
    size_t i;
    const json_t *sample;
    json_array_foreach(json_object_get(pair, "samples"), i, sample)
    {
        const char *value = json_string_value(json_object_get(sample, which));
        if (value && strcmp(value, text) == 0)
            return true;
    }
    return false;
}

static bool prepare(struct conf *c)
{
    json_t *env = json_pack("{s:i,s:i}", "lps", 2, "pkgs", 1);
    conf_setup(c, "TD", env);
    json_decref(env);
    for (size_t i = 0; i < sizeof(preparation) / sizeof(preparation[0]); i++) {
        u64 regs[SEAM_GPRS];
        conf_poison(regs);
        regs[RCX] = preparation[i].rcx;
        regs[RDX] = preparation[i].rdx;
        regs[R8] = preparation[i].r8;
        conf_seamcall(c, OUTER_LP, preparation[i].leaf, regs);
        if (platform_host_lps[OUTER_LP].vmm[RAX]) {
            fprintf(stderr, "pairs: step %zu of their starting state fails\n", i);
            return false;
        }
    }
    run.c = c;
    run.result = mmap(NULL, sizeof(*run.result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return run.result != MAP_FAILED;
}

/* False: the child died. */
static bool in_a_child(const json_t *pair, unsigned point)
{
    int status = 0;
    fflush(stdout);
    memset(run.result, 0, sizeof(*run.result));
    pid_t child = fork();
    if (child == 0) {
        try_at(pair, point);
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

void conf_interleave(struct conf *c, const json_t *pair, unsigned line)
{
    static bool tried, ready;
    struct conf_diff d = {{0}};
    if (!tried)
        ready = prepare(c);
    tried = true;
    if (!ready)
        conf_differ(&d, "the pairs' starting state was not reached");
    for (unsigned point = 0; !d.text[0] && point < POINTS_MAX; point += point < 64 ? 1 : 61) {
        if (!in_a_child(pair, point))
            conf_differ(&d, "at operation %u: the model stops", point);
        else if (!recorded(pair, "outer", run.result->outer))
            conf_differ(&d, "at operation %u: the outer call answers %s", point, run.result->outer);
        else if (run.result->inner_ran && !recorded(pair, "inner", run.result->inner))
            conf_differ(&d, "at operation %u: the inner call answers %s", point, run.result->inner);
        if (!run.result->inner_ran)
            break;
    }
    conf_verdict(c, line, json_string_value(json_object_get(pair, "outer")), &d);
}
