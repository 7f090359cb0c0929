/*
 * Every Secure EPT state against every TDH.MEM leaf and ACCEPT at every level, and with the TD finalised or not: status and
 * the entry afterwards against a table typed by hand from the ABI specification's leaf descriptions.
 */
#include "tests/unit/module_world.h"

/* Entry states as TDH.MEM.SEPT.RD shows them, RDX 15:8 */
enum state { FREE, MAPPED, PENDING, BLOCKED, PENDING_BLOCKED, TABLE, BLOCKED_TABLE, STATES };
static const u64 shown_state[STATES] = {0, 4, 2, 1, 3, 0x84, 0x81};
static const char *const state_names[STATES] = {"FREE",  "MAPPED",       "PENDING", "BLOCKED", "PENDING_BLOCKED",
                                                "TABLE", "BLOCKED_TABLE"};

#define OK             0ull
#define BAD_LEVEL      0xc000010000000001ull /* OPERAND_INVALID|RCX */
#define BAD_STATE      0xc0000b0d00000001ull /* EPT_ENTRY_STATE_INCORRECT|RCX */
#define NOT_BLOCKED    0xc0000b0600000001ull /* GPA_RANGE_NOT_BLOCKED|RCX */
#define ALREADY        0x00000b0700000001ull /* GPA_RANGE_ALREADY_BLOCKED|RCX */
#define UNTRACKED      0xc0000b0800000001ull /* TLB_TRACKING_NOT_DONE|RCX */
#define UNTRACKED_TREE 0xc0000b0800000092ull /* TLB_TRACKING_NOT_DONE|SEPT_TREE */
#define NO_PROMOTE     0xc0000b0900000001ull /* EPT_INVALID_PROMOTE_CONDITIONS|RCX */

/*
 * One letter a state, in the order of enum state: what the leaf answers in a TD that runs, everything tracked.
 * o success   s BAD_STATE   n NOT_BLOCKED   a ALREADY   p NO_PROMOTE (the table is empty)
 */
struct rule {
    unsigned leaf;
    const char *name;
    unsigned min_level, max_level;
    const char *running;      /* TD finalised, blocked entries tracked */
    enum state after[STATES]; /* where it succeeds */
    char untracked; /* what a blocked entry answers before TRACK: u UNTRACKED, t UNTRACKED_TREE, - as tracked */
};

/* clang-format off */
static const struct rule rules[] = {
    /*                                        F M P B Q T U                        FREE     MAPPED   PENDING  BLOCKED  P_BLOCK  TABLE    B_TABLE */
    {W_AUG,         "PAGE.AUG",      0, 1, "ossssss", {PENDING, 0,       0,       0,       0,       0,       0},             '-'},
    {W_SEPT_ADD,    "SEPT.ADD",      1, 3, "ossssss", {TABLE,   0,       0,       0,       0,       0,       0},             '-'},
    {W_BLOCK,       "RANGE.BLOCK",   0, 3, "sooaaoa", {0,       BLOCKED, PENDING_BLOCKED, 0, 0,     BLOCKED_TABLE, 0},       '-'},
    {W_UNBLOCK,     "RANGE.UNBLOCK", 0, 3, "sssooso", {0,       0,       0,       MAPPED,  PENDING, 0,       TABLE},         't'},
    {W_REMOVE,      "PAGE.REMOVE",   0, 2, "snnooss", {0,       0,       0,       FREE,    FREE,    0,       0},             'u'},
    {W_RELOCATE,    "PAGE.RELOCATE", 0, 0, "snnooss", {0,       0,       0,       MAPPED,  PENDING, 0,       0},             'u'},
    {W_DEMOTE,      "PAGE.DEMOTE",   1, 2, "snnooss", {0,       0,       0,       TABLE,   TABLE,   0,       0},             'u'},
    {W_PROMOTE,     "PAGE.PROMOTE",  1, 2, "sssssnp", {0,       0,       0,       0,       0,       0,       0},             'u'},
    {W_SEPT_REMOVE, "SEPT.REMOVE",   1, 3, "sssssno", {0,       0,       0,       0,       0,       0,       FREE},          'u'},
    {W_SEPT_RD,     "SEPT.RD",       0, 3, "ooooooo", {FREE, MAPPED, PENDING, BLOCKED, PENDING_BLOCKED, TABLE, BLOCKED_TABLE}, '-'},
};
/* clang-format on */
#define RULES (sizeof(rules) / sizeof(rules[0]))

static u64 expected_status(char letter)
{
    switch (letter) {
    case 'o':
        return OK;
    case 's':
        return BAD_STATE;
    case 'n':
        return NOT_BLOCKED;
    case 'a':
        return ALREADY;
    case 'p':
        return NO_PROMOTE;
    case 'u':
        return UNTRACKED;
    default:
        return UNTRACKED_TREE;
    }
}

/* Each case has a GPA range of its own: a GiB, or 512 of them for an entry of the root table. */
static u64 next_range;

static u64 case_gpa(unsigned level)
{
    return next_range << (level == 3 ? 39 : 30);
}

static u64 page_bytes(unsigned level)
{
    return 0x1000ull << 9 * level;
}

static u64 fresh_page(unsigned level)
{
    static bool odd;
    odd = !odd;
    u64 *next = level ? &w_next_large : &w_next_page, hpa = *next;
    *next += page_bytes(level);
    return hpa;
}

/* Tables down to the entry of `level`. */
static void make_way(u64 gpa, unsigned level)
{
    for (unsigned table = 2; table > level; table--)
        w_ok(W_SEPT_ADD, (gpa & ~(page_bytes(table) - 1)) | table, W_TDR, w_pool(), 0);
}

/*
 * The model keeps the state of an entry in bits 59:52 and its permissions in 2:0; the TD's own ACCEPT is tested
 * below.
 */
static void accept_behind_its_back(u64 gpa, unsigned level)
{
    u64 table = 0;
    for (u64 at = W_POOL; at <= w_next_pool && !table; at += 0x1000) {
        u64 *entry = w_memory(at) + (gpa >> (12 + 9 * level) & 511);
        struct w_result seen = w_call(W_SEPT_RD, gpa | level, W_TDR, 0, 0);
        if ((*entry & 0x800ffffffffff0f8ull) != (seen.rcx & 0x800ffffffffff0f8ull))
            continue;
        *entry = (*entry & ~(0xffull << 52)) | 4ull << 52 | 7;
        table = at;
    }
    assert_int_not_equal(table, 0);
}

/* 1G PENDING: promoted from 512 PENDING 2M pages, all one range of memory. */
static void make_giga(u64 gpa)
{
    w_ok(W_SEPT_ADD, gpa | 2, W_TDR, w_pool(), 0);
    for (u64 i = 0; i < 512; i++)
        w_ok(W_AUG, (gpa + i * page_bytes(1)) | 1, W_TDR, W_GIGA + i * page_bytes(1), 0);
    struct w_result r = w_call(W_PROMOTE, gpa | 2, W_TDR, 0, 0);
    if (r.status == NOT_BLOCKED) {
        w_ok(W_BLOCK, gpa | 2, W_TDR, 0, 0);
        w_track();
        w_ok(W_PROMOTE, gpa | 2, W_TDR, 0, 0);
    }
}

static void make_state(u64 gpa, unsigned level, enum state state)
{
    bool table = state == TABLE || state == BLOCKED_TABLE;
    if (level < 2)
        make_way(gpa, level);
    if (state == FREE)
        return;
    if (table)
        w_ok(W_SEPT_ADD, gpa | level, W_TDR, w_pool(), 0);
    else if (level == 2)
        make_giga(gpa);
    else
        w_ok(W_AUG, gpa | level, W_TDR, fresh_page(level), 0);
    if (state == MAPPED || state == BLOCKED)
        accept_behind_its_back(gpa, level);
    if (state == BLOCKED || state == PENDING_BLOCKED || state == BLOCKED_TABLE)
        w_ok(W_BLOCK, gpa | level, W_TDR, 0, 0);
    struct w_result r = w_call(W_SEPT_RD, gpa | level, W_TDR, 0, 0);
    assert_int_equal(r.status, OK);
    assert_int_equal(r.rdx, shown_state[state] << 8 | level);
}

static void check(const struct rule *rule, unsigned level, enum state state, u64 want, enum state after)
{
    u64 gpa = case_gpa(level);
    u64 page = rule->leaf == W_AUG && level ? fresh_page(1) : w_pool();
    struct w_result got = w_call(rule->leaf, gpa | level, W_TDR, page, 0);
    if (got.status != want)
        fail_msg("%s level %u on %s: %llx, wanted %llx", rule->name, level, state_names[state],
                 (unsigned long long)got.status, (unsigned long long)want);
    struct w_result seen = w_call(W_SEPT_RD, gpa | level, W_TDR, 0, 0);
    assert_int_equal(seen.status, OK);
    if (seen.rdx != (shown_state[after] << 8 | level))
        fail_msg("%s level %u on %s: entry is %llx afterwards, wanted %s", rule->name, level, state_names[state],
                 (unsigned long long)seen.rdx, state_names[after]);
    if (want != OK && want != UNTRACKED && want != UNTRACKED_TREE && want != BAD_LEVEL) {
        assert_int_equal(got.rcx, seen.rcx);
        assert_int_equal(got.rdx, seen.rdx);
    }
}

static bool possible(unsigned level, enum state state)
{
    bool table = state == TABLE || state == BLOCKED_TABLE;
    return level == 0 ? !table : level == 3 ? table || state == FREE : true;
}

static bool is_blocked(enum state state)
{
    return state == BLOCKED || state == PENDING_BLOCKED || state == BLOCKED_TABLE;
}

enum phase { BUILDING, TRACKED, BLOCKED_ONLY };

static void run_case(const struct rule *rule, unsigned level, enum state state, enum phase phase)
{
    char letter = rule->running[state];
    enum state after = letter == 'o' ? rule->after[state] : state;
    u64 want = expected_status(letter);
    if (level < rule->min_level || level > rule->max_level) {
        want = BAD_LEVEL;
        after = state;
    } else if (phase == BUILDING && letter == 'n') {
        /* Before MR.FINALIZE nothing needs blocking: the leaf does to an open entry what it does to a blocked one. */
        enum state as = state == MAPPED ? BLOCKED : state == PENDING ? PENDING_BLOCKED : BLOCKED_TABLE;
        want = expected_status(rule->running[as]);
        after = want == OK ? rule->after[as] : state;
    } else if (phase == BLOCKED_ONLY && is_blocked(state) && rule->untracked != '-' && letter != 's') {
        want = expected_status(rule->untracked);
        after = state;
    }
    make_state(case_gpa(level), level, state);
    if (phase == TRACKED)
        w_track();
    check(rule, level, state, want, after);
}

/* 1G leaf states share one GiB of memory: a world for each of them. */
static void run_phase(enum phase phase, unsigned level)
{
    for (unsigned i = 0; i < RULES; i++) {
        for (enum state state = FREE; state < STATES; state++) {
            if (!possible(level, state))
                continue;
            bool giga = level == 2 && state != FREE && state != TABLE && state != BLOCKED_TABLE;
            if (giga || (i == 0 && state == FREE) || next_range >= 500) {
                w_system();
                w_td();
                if (phase != BUILDING)
                    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
                next_range = 0;
            }
            next_range++;
            run_case(&rules[i], level, state, phase);
        }
    }
}

#define TEST_OF(phase, level)                                                                                          \
    static void test_##phase##_##level(void **unused)                                                                  \
    {                                                                                                                  \
        (void)unused;                                                                                                  \
        run_phase(phase, level);                                                                                       \
    }
TEST_OF(BUILDING, 0)
TEST_OF(BUILDING, 1)
TEST_OF(BUILDING, 2)
TEST_OF(BUILDING, 3)
TEST_OF(TRACKED, 0)
TEST_OF(TRACKED, 1)
TEST_OF(TRACKED, 2)
TEST_OF(TRACKED, 3)
TEST_OF(BLOCKED_ONLY, 0)
TEST_OF(BLOCKED_ONLY, 1)
TEST_OF(BLOCKED_ONLY, 2)
TEST_OF(BLOCKED_ONLY, 3)

/* --- the TD's own leaf --------------------------------------------------------------------------------------------- */

#define TDCALL_ACCEPT    6
#define EXIT_TDCALL      77
#define EXIT_VIOLATION   0x30ull
#define ALREADY_ACCEPTED 0x00000b0a00000000ull /* PAGE_ALREADY_ACCEPTED; details: the level found */
#define SIZE_MISMATCH    0xc0000b0b00000000ull /* PAGE_SIZE_MISMATCH; details: the level found */
#define ASKS_VMM         (~0ull)

/* RDX of the exit that asks the VMM: type 1, level asked for, level, state and leaf bit of the entry that was met. */
static u64 accept_information(unsigned asked, unsigned level, enum state state)
{
    u64 leaf = state == MAPPED || state == PENDING || state == BLOCKED || state == PENDING_BLOCKED;
    return 1 | (u64)asked << 32 | (u64)level << 35 | shown_state[state] << 38 | leaf << 46;
}

/* What ACCEPT of `asked` answers where the walk ends at an entry of `level`. */
static u64 accept_answer(unsigned asked, unsigned level, enum state state)
{
    if (state == MAPPED)
        return ALREADY_ACCEPTED | level;
    if (asked == level && (state == TABLE || state == BLOCKED_TABLE))
        return SIZE_MISMATCH | level;
    return asked == level && state == PENDING ? OK : ASKS_VMM;
}

static void check_accept(unsigned asked, unsigned level, enum state state)
{
    struct seam_lp *lp = &platform_host_lps[0];
    u64 gpa = case_gpa(level), want = accept_answer(asked, level, state);

    make_state(gpa, level, state);
    lp->vmm[RAX] = W_VP_ENTER;
    lp->vmm[RCX] = W_TDVPR;
    assert_int_equal(module_seamcall(lp), SEAM_TO_TD);
    lp->td->gpr[RAX] = TDCALL_ACCEPT;
    lp->td->gpr[RCX] = gpa | asked;
    lp->td->exit_reason = EXIT_TDCALL;
    lp->td->exit_instr_len = 4;
    lp->td->cs.access = 0xa09b; /* 64-bit mode, as TDCALL wants */
    lp->td->efer = 0x500;
    enum seam_next next = module_td_exit(lp);
    u64 got = next == SEAM_TO_TD ? lp->td->gpr[RAX] : ASKS_VMM;
    if (got != want)
        fail_msg("ACCEPT level %u on %s of level %u: %llx, wanted %llx", asked, state_names[state], level,
                 (unsigned long long)got, (unsigned long long)want);
    if (next == SEAM_TO_TD)
        return;
    assert_int_equal(lp->vmm[RAX], EXIT_VIOLATION);
    assert_int_equal(lp->vmm[RDX], accept_information(asked, level, state));
    assert_int_equal(lp->vmm[R8], gpa);
    struct w_result seen = w_call(W_SEPT_RD, gpa | level, W_TDR, 0, 0);
    assert_int_equal(seen.rdx, shown_state[state] << 8 | level);
}

static void accept_of_every_state(void **unused)
{
    (void)unused;
    for (unsigned level = 0; level <= 2; level++)
        for (unsigned asked = 0; asked <= 1 && asked <= level; asked++)
            for (enum state state = FREE; state < STATES; state++) {
                bool leads_on = asked < level && state == TABLE; /* its entries have rows of their own */
                if (!possible(level, state) || leads_on)
                    continue;
                w_system();
                w_td();
                w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
                next_range = 1;
                check_accept(asked, level, state);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_BUILDING_0),       cmocka_unit_test(test_BUILDING_1),
        cmocka_unit_test(test_BUILDING_2),       cmocka_unit_test(test_BUILDING_3),
        cmocka_unit_test(test_TRACKED_0),        cmocka_unit_test(test_TRACKED_1),
        cmocka_unit_test(test_TRACKED_2),        cmocka_unit_test(test_TRACKED_3),
        cmocka_unit_test(test_BLOCKED_ONLY_0),   cmocka_unit_test(test_BLOCKED_ONLY_1),
        cmocka_unit_test(test_BLOCKED_ONLY_2),   cmocka_unit_test(test_BLOCKED_ONLY_3),
        cmocka_unit_test(accept_of_every_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
