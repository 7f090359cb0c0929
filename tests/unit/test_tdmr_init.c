/* Initialising TDMRs on several CPUs: what is told of it, and stopping in between. */
#include "tests/unit/td_world.h"

static u64 told[256], all_bytes;
static unsigned told_count, stop_at; /* the stop_at-th look stops; 0: none */

static void tell(u64 done, u64 all)
{
    assert_true(told_count < ARRAY_COUNT(told));
    told[told_count++] = done;
    all_bytes = all;
}

static bool stop(void)
{
    return told_count == stop_at;
}

static const struct tdx_watch watch = {.progress = tell, .stop = stop};

static void start(unsigned lp_count, unsigned stop_after)
{
    start_machine(lp_count, 1);
    tdx_set_watch(&watch);
    told_count = 0;
    stop_at = stop_after;
}

/* Five GiB in 1280 calls, a look each 64; the module tells of whole GiBs. */
static void progress_grows_up_to_the_end(void **state)
{
    start(1, 0);
    assert_int_equal(init_module().err, ERR_OK);
    assert_int_equal(told_count, 20);
    for (unsigned i = 0; i < told_count; i++)
        assert_int_equal(told[i], (i + 1) / 4 * G1);
    assert_int_equal(all_bytes, 5 * G1);
    tdx_set_watch(NULL);
}

static void stopped_initialisation_goes_on_where_it_was(void **state)
{
    for (unsigned at = 1; at < 20; at++) {
        start(1, at);
        struct tdx_init_fault f = init_module();
        assert_int_equal(f.err, ERR_INTERRUPTED);
        assert_false(tdx_module.ready);
        assert_int_equal(tdx_counts.leaf[L_TDMR_INIT], 64 * at);
        stop_at = 0;
        assert_int_equal(init_module().err, ERR_OK);
        assert_true(tdx_module.ready);
        /* One more for a TDMR that was done: it says so. */
        assert_in_range(tdx_counts.leaf[L_TDMR_INIT], 1280, 1281);
    }
    start(1, 20); /* nothing is left to be stopped */
    assert_int_equal(init_module().err, ERR_OK);
    tdx_set_watch(NULL);
}

/* A CPU that did nothing but look would be told of the others' work; a fault is not hidden by a stop. */
static void fault_comes_before_a_stop(void **state)
{
    start(2, 1);
    seamcall_host_inject(L_TDMR_INIT, 10, INVALID_RCX);
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_TDX);
    assert_string_equal(f.leaf, "TDH.SYS.TDMR.INIT");
    assert_int_equal(f.cpu, 1);
    assert_string_equal(f.what, "the TDMR of 1 GiB at 0x0 cannot be initialised on CPU 1");
    assert_int_equal(f.status.raw, INVALID_RCX);
    stop_at = 0;
    assert_int_equal(init_module().err, ERR_OK);
    tdx_set_watch(NULL);
}

/* A module that says each time that nothing is done. */
static bool gets_nowhere(struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) != L_TDMR_INIT)
        return false;
    regs->rax = 0;
    regs->rdx = regs->rcx;
    return true;
}

static void initialisation_that_gets_nowhere_is_given_up(void **state)
{
    start(1, 0);
    tdx_set_watch(NULL);
    seamcall_host_answer = gets_nowhere;
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_TIMEOUT);
    assert_string_equal(f.what, "the TDMR of 1 GiB at 0x0 does not come to an end by TDH.SYS.TDMR.INIT on CPU 0");
    seamcall_host_answer = NULL;
    assert_int_equal(init_module().err, ERR_OK);
}

/* --- large ones are cut ---------------------------------------------------------------------------------------------- */

static struct tdmr_layout layout;

static void one(u64 base, u64 bytes)
{
    memset(&layout, 0, sizeof(layout));
    layout.count = 1;
    layout.tdmrs[0].base = base;
    layout.tdmrs[0].bytes = bytes;
}

static void reserve(unsigned n, u64 offset, u64 bytes)
{
    layout.tdmrs[0].reserved[n].offset = offset;
    layout.tdmrs[0].reserved[n].bytes = bytes;
}

static void large_tdmrs_become_equal_ones_side_by_side(void **state)
{
    one(4 * G1, 1024 * G1);
    tdmr_split(&layout, 64, 16 * G1);
    assert_int_equal(layout.count, 64);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(layout.tdmrs[i].base, (4 + 16 * i) * G1);
        assert_int_equal(layout.tdmrs[i].bytes, 16 * G1);
    }
}

static void small_ones_and_the_limit_are_kept(void **state)
{
    one(0, 16 * G1);
    tdmr_split(&layout, 64, 16 * G1);
    assert_int_equal(layout.count, 1);
    one(0, 3 * G1);
    tdmr_split(&layout, 3, G1);
    assert_int_equal(layout.count, 3);
    one(0, 1024 * G1);
    tdmr_split(&layout, 3, 16 * G1);
    assert_int_equal(layout.count, 3);
    assert_int_equal(layout.tdmrs[0].bytes + layout.tdmrs[1].bytes + layout.tdmrs[2].bytes, 1024 * G1);
}

/* An area that lies across the cut is in both; one that fills a half leaves the other. */
static void reserved_areas_go_with_their_half(void **state)
{
    one(G1, 4 * G1);
    reserve(0, 0, K4);
    reserve(1, 2 * G1 - K4, 3 * K4);
    reserve(2, 3 * G1, K4);
    tdmr_split(&layout, 64, 2 * G1);
    assert_int_equal(layout.count, 2);
    assert_int_equal(layout.tdmrs[0].reserved[1].offset, 2 * G1 - K4);
    assert_int_equal(layout.tdmrs[0].reserved[1].bytes, K4);
    assert_int_equal(layout.tdmrs[0].reserved[2].bytes, 0);
    assert_int_equal(layout.tdmrs[1].base, 3 * G1);
    assert_int_equal(layout.tdmrs[1].reserved[0].offset, 0);
    assert_int_equal(layout.tdmrs[1].reserved[0].bytes, 2 * K4);
    assert_int_equal(layout.tdmrs[1].reserved[1].offset, G1);
    one(0, 4 * G1);
    reserve(0, G1 / 2, 3 * G1 + G1 / 2); /* all but the first half GiB */
    tdmr_split(&layout, 64, G1);
    assert_int_equal(layout.count, 1);
    assert_int_equal(layout.tdmrs[0].bytes, G1);
    assert_int_equal(layout.tdmrs[0].reserved[0].bytes, G1 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_grows_up_to_the_end),
        cmocka_unit_test(stopped_initialisation_goes_on_where_it_was),
        cmocka_unit_test(fault_comes_before_a_stop),
        cmocka_unit_test(initialisation_that_gets_nowhere_is_given_up),
        cmocka_unit_test(large_tdmrs_become_equal_ones_side_by_side),
        cmocka_unit_test(small_ones_and_the_limit_are_kept),
        cmocka_unit_test(reserved_areas_go_with_their_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
