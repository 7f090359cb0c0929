/*
 * The conformance runner: replays recorded call sequences of a genuine TDX module against the model in sim/module and
 * compares every answer. The records' format is described in the README of the folder that holds them.
 */
#ifndef TESTS_CONFORMANCE_CONFORMANCE_H
#define TESTS_CONFORMANCE_CONFORMANCE_H

#include <jansson.h>
#include <stdio.h>

#include "tests/host/platform.h"

#define CONF_LPS        PLATFORM_HOST_LPS
#define CONF_SHOWN_MAX  50
#define CONF_TEXT_BYTES 400

/* What one logical processor is doing, as far as the records tell. */
struct conf_lp {
    struct td_vmcs *td; /* the vCPU inside, NULL when the VMM runs */
    u64 entry_rip;      /* guest RIP at the last VM entry */
};

/* The whole run. */
struct conf {
    const char *folder;
    const char *only_seq, *only_tag; /* NULL: all */
    bool verbose;
    json_t *setups;         /* name -> array of calls */
    const char *file, *seq; /* being replayed */
    bool quiet;             /* in a setup: disagreements count only as a broken setup */
    bool setup_broken;
    bool interleaved; /* packages, see conf_env_start() */
    struct conf_lp lps[CONF_LPS];
    bool long_mode; /* the TD's code segment is a 64-bit one */
    unsigned cpl;
    bool reads_ve_info; /* each #VE is followed by a TDG.VP.VEINFO.GET that is not listed */
    u32 instr_info;     /* of the next VM exit: the records show it only where TDG.VP.VEINFO.GET returns it */
    unsigned long sequences, calls, agree, skipped, shown, unlisted, stale;
    bool seq_differs;
};

/* A mismatch's words, empty when all agrees. */
struct conf_diff {
    char text[CONF_TEXT_BYTES];
};
__attribute__((format(printf, 2, 3))) void conf_differ(struct conf_diff *d, const char *fmt, ...);

/* env.c: the platform of env.json, and the changes that PLATFORM records make. */
bool conf_env_load(const char *folder);
/* `interleaved`: neighbouring LPs are in different packages (the records do not say which LP is where). */
void conf_env_start(const json_t *env, bool interleaved);
void conf_env_change(struct conf *c, const char *text);

/* leaves.c: the number of the leaf whose name `text` begins with. */
bool conf_leaf_number(const char *text, unsigned *number);

/* regs.c: registers by name, and comparing them. */
int conf_reg_number(const char *name);
u64 conf_number(const json_t *value);
void conf_poison(u64 regs[SEAM_GPRS]);
void conf_set_regs(u64 regs[SEAM_GPRS], const json_t *values);
/* Each register named in `expected` has that value, each other one is as in `before`. RAX only when named. */
void conf_compare(struct conf_diff *d, const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS], const json_t *expected);
/* Registers named in `expected` have those values, all others are zero. */
void conf_compare_nonzero(struct conf_diff *d, const u64 regs[SEAM_GPRS], const json_t *expected);

/* memory.c: contents that the records write or compare. */
void conf_memory_write(struct conf_diff *d, u64 pa, const json_t *call);
void conf_memory_compare(struct conf_diff *d, u64 pa, const json_t *call);
/* Physical address behind a private GPA of the recorded TD, found by asking the module. */
bool conf_td_address(struct conf *c, u64 gpa, u64 *pa);

/* step.c: one SEAMCALL, TDCALL or VM exit. */
enum seam_next conf_seamcall(struct conf *c, unsigned lp, u64 rax, const u64 regs[SEAM_GPRS]);
enum seam_next conf_td_exit(struct conf *c, unsigned lp, u64 rip_moved);
void conf_guest_mode(struct conf *c, struct td_vmcs *td);
void conf_step_seamcall(struct conf *c, struct conf_diff *d, const json_t *call);
void conf_step_tdcall(struct conf *c, struct conf_diff *d, const json_t *call);
void conf_step_vmexit(struct conf *c, struct conf_diff *d, const json_t *call);

void conf_read_ve_info(struct conf *c, unsigned lp);
void conf_more_seamcalls(struct conf *c, struct conf_diff *d, const json_t *call, unsigned n);
void conf_accept_2m(struct conf *c, struct conf_diff *d, unsigned lp, u64 gpa, unsigned n);

/* inner.c: a call that runs in the middle of another one. `note` is the NOTE record that follows the outer call. */
void conf_inner_arm(struct conf *c, const json_t *outer, const json_t *note);
void conf_inner_check(struct conf *c, struct conf_diff *d);

/* replay.c: whole sequences; fuzz.c: the compact form; interleave.c: pairs of calls. */
void conf_replay(struct conf *c, const json_t *sequence);
/* One call of any kind, with no verdict on it. */
void conf_step(struct conf *c, struct conf_diff *d, const json_t *call);
void conf_setup(struct conf *c, const char *name, const json_t *env);
void conf_calls(struct conf *c, const json_t *calls);
void conf_fuzz(struct conf *c, const json_t *sequence);
void conf_interleave(struct conf *c, const json_t *pair, unsigned line);

/* known.c: disagreements that are known, `seq#i` with the reason. Every one that agrees now is an error. */
bool conf_known_load(const char *path);
bool conf_known(const char *seq, unsigned long i);
unsigned conf_known_stale(bool whole_run);

/* main.c: the verdict on one call. */
void conf_verdict(struct conf *c, unsigned long i, const char *leaf, const struct conf_diff *d);

#endif
