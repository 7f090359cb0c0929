/*
 * Calls of the module model in a host process, without sanitizers: for each row the wall-clock time a call, one line
 * `name seconds calls` a round, rounds interleaved. Under callgrind the functions one_*() are what to look at: their
 * instruction counts repeat exactly.
 *
 *   model [ROUNDS [CALLS]]
 */
#include "tests/unit/module_world.h"

#include <stdio.h>
#include <time.h>

#define GPA_SMALL     0x1000ull /* 4K, accepted */
#define GPA_LARGE     0x40000000ull
#define LEVEL_2M      1
#define REASON_TDCALL 77
#define TDCALL_BYTES  4
#define STEP_BYTES    200 /* between exits: what the stepping filter takes for progress */
#define VP_VMCALL     0
#define VP_INFO       1
#define PAGE_ACCEPT   6
#define VMCALL_REGS   0xfc00 /* R10 to R15 */

static u64 table;

static struct seam_lp *lp(void)
{
    return &platform_host_lps[0];
}

static void no_error(unsigned leaf, u64 rcx, u64 rdx, u64 r8)
{
    w_ok(leaf, rcx, rdx, r8, 0);
}

/* --- the TD ------------------------------------------------------------------------------------------------------ */

static void enter(void)
{
    lp()->vmm[RAX] = W_VP_ENTER;
    lp()->vmm[RCX] = W_TDVPR;
    if (module_seamcall(lp()) != SEAM_TO_TD)
        fail_msg("VP.ENTER answers %llx", (unsigned long long)lp()->vmm[RAX]);
    struct td_vmcs *td = lp()->td;
    td->cr0 |= 1ull << 31 | 1;
    td->cr4 |= 1ull << 5;
    td->efer |= 1ull << 8 | 1ull << 10;
    td->cs.access = (td->cs.access | 1u << 13) & ~(1u << 14 | 3u << 5);
    td->ss.access &= ~(3u << 5);
}

static enum seam_next tdcall(u64 leaf, u64 rcx)
{
    struct td_vmcs *td = lp()->td;
    td->rip += STEP_BYTES;
    td->gpr[RAX] = leaf;
    td->gpr[RCX] = rcx;
    td->exit_reason = REASON_TDCALL;
    td->exit_instr_len = TDCALL_BYTES;
    td->qualification = td->guest_physical = td->guest_linear = 0;
    td->exit_intr_info = td->idt_vectoring_info = 0;
    return module_td_exit(lp());
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

/* Not inlined: callgrind knows them by name. */
#define ROW __attribute__((noinline)) static void

ROW one_null(void)
{
    (void)w_call(W_VP_ENTER, 0, 0, 0, 0).status;
}

ROW one_sept_rd(void)
{
    no_error(W_SEPT_RD, GPA_LARGE | LEVEL_2M, W_TDR, 0);
}

ROW one_block_track_unblock(void)
{
    no_error(W_BLOCK, GPA_LARGE | LEVEL_2M, W_TDR, 0);
    no_error(W_TRACK, W_TDR, 0, 0);
    no_error(W_UNBLOCK, GPA_LARGE | LEVEL_2M, W_TDR, 0);
}

ROW one_aug_block_track_remove(void)
{
    u64 gpa = GPA_SMALL + 0x1000;
    no_error(W_AUG, gpa, W_TDR, W_PAGES + 0x10000);
    no_error(W_BLOCK, gpa, W_TDR, 0);
    no_error(W_TRACK, W_TDR, 0, 0);
    no_error(W_REMOVE, gpa, W_TDR, 0);
}

/* With the two BLOCKs and TRACKs that they need. */
ROW one_demote_promote(void)
{
    for (unsigned i = 0; i < 2; i++) {
        no_error(W_BLOCK, GPA_LARGE | LEVEL_2M, W_TDR, 0);
        no_error(W_TRACK, W_TDR, 0, 0);
        no_error(i ? W_PROMOTE : W_DEMOTE, GPA_LARGE | LEVEL_2M, W_TDR, i ? 0 : table);
    }
}

ROW one_enter_and_vmcall(void)
{
    enter();
    lp()->td->gpr[R10] = 1;
    if (tdcall(VP_VMCALL, VMCALL_REGS) != SEAM_TO_VMM)
        fail_msg("TDG.VP.VMCALL did not leave");
}

ROW one_vp_info(void)
{
    if (tdcall(VP_INFO, 0) != SEAM_TO_TD || lp()->td->gpr[RAX])
        fail_msg("TDG.VP.INFO answers %llx", (unsigned long long)lp()->td->gpr[RAX]);
}

ROW one_accept_again(void)
{
    if (tdcall(PAGE_ACCEPT, GPA_SMALL) != SEAM_TO_TD || lp()->td->gpr[RAX] >> 63)
        fail_msg("TDG.MEM.PAGE.ACCEPT answers %llx", (unsigned long long)lp()->td->gpr[RAX]);
}

/* clang-format off */
static const struct row {
    const char *name;
    void (*one)(void);
    bool inside; /* the TD runs meanwhile */
    unsigned calls; /* of the module in one of it */
} rows[] = {
    {"null",                one_null,                   false, 1},
    {"sept_rd",             one_sept_rd,                false, 1},
    {"block_track_unblock", one_block_track_unblock,    false, 3},
    {"aug_block_track_remove", one_aug_block_track_remove, false, 4},
    {"demote_promote",      one_demote_promote,         false, 6},
    {"enter_and_vmcall",    one_enter_and_vmcall,       false, 2},
    {"vp_info",             one_vp_info,                true,  1},
    {"accept_again",        one_accept_again,           true,  1},
};
/* clang-format on */
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* --- the world --------------------------------------------------------------------------------------------------- */

static void accept(u64 gpa_and_level)
{
    if (tdcall(PAGE_ACCEPT, gpa_and_level) != SEAM_TO_TD || lp()->td->gpr[RAX])
        fail_msg("ACCEPT of %llx answers %llx", (unsigned long long)gpa_and_level,
                 (unsigned long long)lp()->td->gpr[RAX]);
}

static void leave(void)
{
    lp()->td->gpr[R10] = 1;
    (void)tdcall(VP_VMCALL, VMCALL_REGS);
}

static void build(void)
{
    w_system();
    w_td();
    no_error(W_SEPT_ADD, 2, W_TDR, w_pool());
    no_error(W_SEPT_ADD, 1, W_TDR, w_pool());
    no_error(W_SEPT_ADD, GPA_LARGE | 2, W_TDR, w_pool());
    no_error(W_MR_FINALIZE, W_TDR, 0, 0);
    no_error(W_AUG, GPA_SMALL, W_TDR, W_PAGES);
    no_error(W_AUG, GPA_LARGE | LEVEL_2M, W_TDR, W_LARGE);
    table = w_pool();
    enter();
    accept(GPA_SMALL);
    accept(GPA_LARGE | LEVEL_2M);
    leave();
}

static double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void run(const struct row *row, unsigned times)
{
    if (row->inside)
        enter();
    double start = seconds();
    for (unsigned i = 0; i < times; i++)
        row->one();
    double took = seconds() - start;
    if (row->inside)
        leave();
    printf("%s %.9f %u %u\n", row->name, took, times, row->calls);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 9;
    unsigned times = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10000;
    build();
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned i = 0; i < ROWS; i++)
            run(&rows[i], times);
    return 0;
}
