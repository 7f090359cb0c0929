/*
 * Jobs: what the vCPUs do beside the console, on CPUs of their own that are threads (tests/unit/jobs_world.h): work at once,
 * kicks, ^C, vCPUs that do not leave, halt or die, payloads that misbehave. Leaf numbers and statuses are typed here again.
 */
#include "tdx/count.h"
#include "tests/unit/jobs_world.h"

#define LEAF_AUG      6u
#define LEAF_MNG_INIT 21u
#define LEAF_REMOVE   29u
#define OPERAND_BUSY  0x8000020000000001ull
#define TD_FATAL      0xe000060400000000ull
#define BUSY_TIMES    3000u /* more than the VMM repeats a call for one fault */

/* --- jobs --------------------------------------------------------------------------------------------------------- */

static void test_jobs_run_beside_the_console(void **state)
{
    for (unsigned i = 0; i < VCPUS; i++)
        spin_on(i);
    good("jobs");
    said("\"vcpu\":0,\"state\":\"under way\"");
    said("\"vcpu\":2,\"state\":\"under way\"");
    good("vcpu list");
    said("\"vcpu\":1,\"state\":\"working\",\"runs\":true,\"inside\":true,\"cpu\":2,");
    bad("probe spin 1 cpu=1", "vCPU 1 is at work: job ");
    bad("probe spin 1 cpu=3", "the TD has 3 vCPUs");
    bad("wait 99", "no job '99'");
    bad("wait x", "no job 'x'");
    bad("vcpu kick 3", "no vCPU '3'");
    for (unsigned i = 0; i < VCPUS; i++)
        payloads[i].let_go = true;
    good("wait all");
    said("\"cmd\":\"probe spin\",\"ok\":true");
    said("\"cmd\":\"wait\",\"ok\":true,\"jobs\":[");
    good("jobs");
    said("\"jobs\":[]");
    bad("wait 1", "no job '1'");
    good("wait");
}

/* What is done waits to be told; the vCPU takes the next work meanwhile. */
static void test_a_job_that_is_done_is_kept(void **state)
{
    const char *answer = good("probe touch 400000 4K cpu=2 &");
    unsigned job = (unsigned)strtoul(strstr(answer, "\"job\":") + 6, NULL, 10);
    char line[64];

    wait_for_end(2);
    good("probe touch 600000 4K cpu=2");
    said("\"faults\":1,");
    good("jobs");
    said("\"state\":\"done\"");
    snprintf(line, sizeof(line), "wait %u", job);
    good(line);
    snprintf(line, sizeof(line), "\"job\":%u}", job);
    said(line);
    said("\"faults\":1,");
}

static void test_jobs_that_nobody_waits_for(void **state)
{
    for (unsigned i = 0; i < 64; i++) {
        good("probe touch 400000 4K &");
        wait_for_end(0);
    }
    bad("probe touch 400000 4K &", "64 jobs have not been waited for");
    good("wait all");
    good("probe touch 400000 4K");
}

/* Different work at once: one vCPU converts, another touches, the third stays inside and is kicked for each TRACK. */
static void test_different_work_at_once(void **state)
{
    good("map 800000 8M 2m");
    spin_on(0);
    u64 exits = vm.td.vcpus[0].exits;
    good("probe convert 800000 8M shared cpu=1 &");
    good("probe touch 1400000 4K cpu=2 &");
    wait_for_end(1);
    wait_for_end(2);
    assert_true(vm.td.vcpus[0].exits > exits);
    payloads[0].let_go = true;
    good("wait all");
    said("\"bytes\":8388608,");
    good("sept 800000 8M");
    said("\"shared_bytes\":8388608,\"agree\":true");
    good("walk 1400000");
    said("\"level\":\"2m\",\"state\":\"pending\"");
}

/* A page of a 2M leaf goes behind two TRACKs: the vCPUs are held out from one to the other, or kicked at each. */
static void test_kicks_of_an_operation(void **state)
{
    static const char *const lines[] = {"probe convert 800000 4K shared cpu=1", "probe convert a00000 4K shared cpu=1"};

    good("map 800000 4M 2m");
    spin_on(0);
    for (unsigned again = 0; again < 2; again++) {
        u64 kicks = tdx_counts.kicks;
        tdp_set_kick_again(vm.tdp, again);
        good(lines[again]);
        assert_int_equal(tdx_counts.kicks - kicks, again ? 2 : 0);
    }
    payloads[0].let_go = true;
    good("wait all");
}

/* --- kicks -------------------------------------------------------------------------------------------------------- */

static void test_only_those_inside_are_kicked(void **state)
{
    good("map 800000 4M 2m");
    spin_on(1);
    unsigned kicks = cpus_host.kicks;
    good("block 800000 2m");
    said("\"tracks\":1,\"ipis\":1,");
    assert_int_equal(cpus_host.kicks, kicks + 1);
    spin_on(0);
    wait_for(&payloads[1].inside);
    good("unblock 800000 2m");
    said("\"ipis\":0,");
    good("vcpu kick 2");
    said("\"inside\":false");
    u64 exits = vm.td.vcpus[0].exits;
    good("vcpu kick 0");
    said("\"inside\":true");
    assert_true(vm.td.vcpus[0].exits > exits);
    payloads[0].let_go = payloads[1].let_go = true;
    good("wait all");
}

/* vCPU 1 spins inside and no kick reaches its CPU, until let_it_leave(). */
static void let_it_stay(void)
{
    payloads[1].is_deaf = true;
    cpus_host.unkickable = 2;
    spin_on(1);
    set_clock(false);
}

static void let_it_leave(void)
{
    set_clock(true);
    cpus_host.unkickable = 0;
    payloads[1].is_deaf = false;
}

/* What no kick takes out is named, within a bound, by whatever waits for it; when it does leave it can be had again. */
static void test_a_vcpu_that_never_leaves_is_named(void **state)
{
    let_it_stay();
    bad("vcpu kick 1", "vCPU 1 does not leave the TD on CPU 2");
    io_host_type("\x03", 1);
    bad("wait all", "1 of 1 jobs failed");
    said("vCPU 1 does not leave the TD on CPU 2");
    bad("probe spin 1 cpu=1", "vCPU 1 is working");
    bad("td stop", "vCPU 1 does not leave the TD on CPU 2");
    bad("td destroy", "vCPU 1 does not leave the TD on CPU 2");
    good("td info");
    said("\"state\":\"stopped\"");
    let_it_leave();
    good("td stop");
    payloads[1].let_go = true;
    good("td run");
    good("probe touch 400000 4K cpu=1");
}

/* An interrupt that does not reach a halted CPU is sent again, whether the console waits for the work or not. */
static void test_a_lost_interrupt_is_sent_again(void **state)
{
    cpus_host.drowsy = 2;
    set_clock(false);
    good("probe touch 400000 4K cpu=1 &");
    for (unsigned i = 0; i < TURNS_MAX && !vm_work_is_done(1); i++)
        vm_tick();
    assert_true(vm_work_is_done(1));
    good("wait all");
    good("probe touch 600000 4K cpu=1");
    cpus_host.drowsy = 0;
    set_clock(true);
}

static void test_a_cpu_that_takes_nothing_up_is_named(void **state)
{
    cpus_host.drowsy = cpus_host.unkickable = 2;
    set_clock(false);
    good("probe touch 400000 4K cpu=1 &");
    io_host_type("\x03", 1);
    bad("wait all", "1 of 1 jobs failed");
    said("CPU 2 does not take up vCPU 1");
    bad("td stop", "CPU 2 does not take up vCPU 1");
    cpus_host.unkickable = 0;
    good("td stop");
    cpus_host.drowsy = 0;
    set_clock(true);
    good("td run");
    good("probe touch 600000 4K cpu=1");
}

/* An operation that cannot get it out, and cannot be undone without, gives the TD up: the VMM may not reuse its pages. */
static void test_an_operation_that_cannot_track_gives_up(void **state)
{
    good("map 800000 4M 2m");
    let_it_stay();
    bad("split 800000 2m", "the TD is dead at 0x800000: TRACK; vCPU 1 does not leave the TD on CPU 2");
    bad("map 0 4K", "dead");
    let_it_leave();
    good("td destroy");
}

/* --- ^C ----------------------------------------------------------------------------------------------------------- */

static void test_interrupt_takes_all_out(void **state)
{
    for (unsigned i = 0; i < VCPUS; i++)
        spin_on(i);
    io_host_type("\x03", 1);
    bad("wait all", "3 of 3 jobs failed");
    said("stopped by ^C after 0 bytes");
    good("probe touch 400000 4K cpu=1");
}

/* The payload sees its mailbox even where no kick comes through. */
static void test_interrupt_needs_no_kick(void **state)
{
    cpus_host.unkickable = 3;
    spin_on(2);
    io_host_type("\x03", 1);
    bad("wait all", "1 of 1 jobs failed");
    said("stopped by ^C after 0 bytes");
}

/* It may be about more than what begins just then: about an experiment, or a script. */
static void test_interrupt_is_not_lost_where_work_begins(void **state)
{
    const struct probe_work work = {.op = PROBE_TOUCH, .gpa = 0x400000, .len = PAGE_BYTES, .stride = 8, .count = 1};
    struct probe_result result;
    struct fault_text fault;

    good("td stop");
    io_host_type("\x03", 1);
    enum err e = vm_run(&fault);
    assert_true(e == ERR_INTERRUPTED || console_take_interrupt());
    io_host_type("\x03", 1);
    assert_int_equal(vm_work_begin(1, &work, &fault), ERR_OK);
    e = vm_work_end(1, &result, &fault);
    assert_true(e == ERR_INTERRUPTED || console_take_interrupt());
    good("td run");
}

static void test_interrupt_at_the_prompt(void **state)
{
    spin_on(0);
    console_begin();
    io_host_forget();
    io_host_type("version\x03", 8); /* forgets the line */
    assert_true(console_step());
    assert_null(strstr(io_host_output(), "taken out"));
    assert_true(vm.vcpus[0].runs);
    io_host_type("\x03", 1);
    assert_true(console_step());
    said("1 vCPU taken out of work");
    bad("wait all", "1 of 1 jobs failed");
    said("stopped by ^C");
}

/* A vCPU in a fault is entered again with nothing done about it: six entries run it, then the zero-step filter is on, until the
 * page is there. */
static void test_entries_in_vain(void **state)
{
    struct fault_text fault;
    struct vm_stuck s;

    payloads[0].faults = 7; /* the first, and six more */
    good("map 800000 2M 2m");
    good("probe accept 800000 2M 2m cpu=1"); /* for the filter a pending page is one that faults */
    assert_int_equal(vm_stuck_begin(&s, 0, 12, &fault), ERR_STATE);
    assert_string_equal(fault.text, "vCPU 0 does not stand in a fault of a read");
    good("block 800000 2m");
    bad("probe touch 800000 4K", "0x800000 is blocked by hand");
    assert_int_equal(vm_stuck_begin(&s, 0, 12, &fault), ERR_OK);
    assert_int_equal(vm_stuck_end(&s, &fault), ERR_OK);
    assert_int_equal(s.entered, 12);
    assert_int_equal(s.ran_first, 6);
    assert_int_equal(s.ran, 6);
    assert_int_equal(s.refused, 6);
    assert_int_equal(s.ran_ticks.count, 6);
    assert_int_equal(s.refused_ticks.count, 6);
    good("unblock 800000 2m");
    good("td run");
    said("\"vcpu_states\":[\"idle\"");
    assert_int_equal(vm_stuck_begin(&s, 0, 1, &fault), ERR_STATE);
}

static _Atomic bool at_remove;
static unsigned removes_left;

/* The conversion waits here for the console's ^C or `td stop`, at its second REMOVE. */
static void stop_at_remove(const struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) != LEAF_REMOVE || removes_left == 0 || --removes_left != 0)
        return;
    at_remove = true;
    for (unsigned turns = 0; !vm.vcpus[0].abort && vm.state == VM_RUNNING; turns++) {
        assert_true(turns < TURNS_MAX);
        cpu_relax();
    }
}

static void begin_mapgpa(void)
{
    good("map 800000 8M 2m");
    at_remove = false;
    removes_left = 2;
    seamcall_host_watch = stop_at_remove;
    good("probe convert 800000 8M shared &");
    wait_for(&at_remove);
}

static void half_is_shared(void)
{
    seamcall_host_watch = NULL;
    good("sept 800000 8M");
    said("\"shared_bytes\":4194304,\"agree\":true");
}

static void test_interrupt_stops_a_mapgpa(void **state)
{
    begin_mapgpa();
    io_host_type("\x03", 1);
    bad("wait all", "1 of 1 jobs failed");
    said("stopped by ^C after 4194304 bytes");
    half_is_shared();
    good("probe convert 800000 8M shared");
}

/* As soon as it can, though the vCPU is not inside: a kick has nothing to take out. */
static void test_stop_takes_a_vcpu_out_of_a_mapgpa(void **state)
{
    begin_mapgpa();
    good("td stop");
    half_is_shared();
    bad("wait all", "1 of 1 jobs failed");
    said("vCPU 0 was taken out of the TD");
    good("td run");
    said("\"finished\":[{\"vcpu\":0,\"result\":\"done\"");
    good("sept 800000 8M");
    said("\"shared_bytes\":8388608,\"agree\":true");
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void test_stop_and_go_on(void **state)
{
    spin_on(0);
    good("td stop");
    bad("wait all", "1 of 1 jobs failed");
    said("vCPU 0 was taken out of the TD");
    payloads[0].let_go = true;
    good("td run");
    said("\"finished\":[{\"vcpu\":0,\"result\":\"done\"");
}

static void test_destroy_takes_jobs_along(void **state)
{
    spin_on(0);
    spin_on(2);
    good("td destroy");
    good("jobs");
    said("\"jobs\":[]");
    good("vcpu list");
    said("\"vcpus\":[]");
}

/* A vCPU that halts for good while the others wait for it is told at once. */
static void test_one_halts_while_others_wait(void **state)
{
    payloads[0].never_starts = payloads[2].never_starts = true;
    payloads[1].starts_dead = true;
    bad("td run", "vCPU 1 reports a fatal error");
    good("td info");
    said("\"vcpu_states\":[\"not started\",\"halted\",\"not started\"]");
    bad("td run", "vCPU 1 reports a fatal error");
    bad("probe spin 1 cpu=0", "vCPU 0 is not started");
}

static void test_a_job_that_halts(void **state)
{
    spin_on(0);
    good("probe fill 0 4K cpu=1 &");
    payloads[0].let_go = true;
    bad("wait all", "1 of 2 jobs failed");
    said("vCPU 1 reports a fatal error");
    bad("probe spin 1 cpu=1", "fatal error");
}

/* When the TD dies under one vCPU nobody waits for another that would have stayed inside. */
static void test_the_td_dies_under_one(void **state)
{
    spin_on(0);
    seamcall_host_inject(LEAF_AUG, 0, TD_FATAL);
    good("probe touch 400000 4K cpu=1 &");
    bad("wait all", "2 of 2 jobs failed");
    said("TDX_TD_FATAL");
    said("vCPU 0: the TD is dead");
    bad("td run", "dead");
    bad("map 0 4K", "dead");
}

/* --- payloads that misbehave -------------------------------------------------------------------------------------- */

/* Two hundred conversions that cannot be: the log hears of the 1st, 2nd, 4th, ... 128th. */
static void test_bad_mapgpas_do_not_flood_the_log(void **state)
{
    unsigned before = log_host_count[LOG_WARN];

    good("probe verify 0 800K");
    said("\"bytes\":819200,");
    assert_int_equal(log_host_count[LOG_WARN] - before, 8);
}

/* A fault that meets others at work is answered again without an entry, which would count for the zero-step filter. */
static void test_a_busy_fault_is_answered_again(void **state)
{
    u64 exits = vm.td.vcpus[0].exits;

    seamcall_host_inject_times(LEAF_AUG, 0, BUSY_TIMES, OPERAND_BUSY);
    const char *faults = strstr(good("probe touch 400000 4K"), "\"faults\":");
    assert_int_equal(seamcall_host_injections_left(), 0);
    assert_true(strtoul(faults + 9, NULL, 10) > 1);
    assert_int_equal(vm.td.vcpus[0].exits, exits + 2); /* the fault, and asking for work */
}

/* TD_PARAMS: the TD gets no #VE where it touches a page that it has not accepted (ATTRIBUTES bit 28), it leaves instead. */
static void add_attribute(const struct seamcall_regs *regs)
{
    if ((regs->rax & 0xffff) == LEAF_MNG_INIT)
        *(u64 *)phys_ptr((hpa_t){regs->rdx}) |= 1ull << 28;
}

static int with_td_without_ve(void **state)
{
    seamcall_host_watch = add_attribute;
    (void)with_td(state);
    seamcall_host_watch = NULL;
    good("td run");
    return 0;
}

/* Faults at one instruction on a page that nobody accepts: the vCPU waits before the zero-step filter counts to seven, and is
 * not entered before the page is accepted. */
static void test_faults_without_progress_wait(void **state)
{
    payloads[0].faults = 9;
    bad("probe touch 400000 4K", "vCPU 0 waits: access to a page that the TD has not accepted at 0x400000");
    said("zero-step filter");
    u64 exits = vm.td.vcpus[0].exits;
    for (unsigned i = 0; i < 10; i++)
        bad("td run", "zero-step filter");
    assert_int_equal(vm.td.vcpus[0].exits, exits);
    good("probe accept 400000 2M 2m cpu=1");
    said("\"bytes\":2097152,");
    payloads[0].faults_left = 0;
    good("td run");
    said("\"finished\":[{\"vcpu\":0,\"result\":\"done\"");
}

static void test_more_vcpus_than_cpus(void **state)
{
    good("td destroy");
    bad("td create mem=64M vcpus=4", "from 1 to 3 are possible, one on each CPU beside the console's");
    create();
}

int main(void)
{
#define WITH_TD(test) cmocka_unit_test_setup_teardown(test, with_running_td, without_td)
    const struct CMUnitTest tests[] = {
        WITH_TD(test_jobs_run_beside_the_console),
        WITH_TD(test_a_job_that_is_done_is_kept),
        WITH_TD(test_jobs_that_nobody_waits_for),
        WITH_TD(test_different_work_at_once),
        WITH_TD(test_kicks_of_an_operation),
        WITH_TD(test_entries_in_vain),
        WITH_TD(test_only_those_inside_are_kicked),
        WITH_TD(test_a_vcpu_that_never_leaves_is_named),
        WITH_TD(test_a_lost_interrupt_is_sent_again),
        WITH_TD(test_a_cpu_that_takes_nothing_up_is_named),
        WITH_TD(test_an_operation_that_cannot_track_gives_up),
        WITH_TD(test_interrupt_takes_all_out),
        WITH_TD(test_interrupt_needs_no_kick),
        WITH_TD(test_interrupt_is_not_lost_where_work_begins),
        WITH_TD(test_interrupt_at_the_prompt),
        WITH_TD(test_interrupt_stops_a_mapgpa),
        WITH_TD(test_stop_takes_a_vcpu_out_of_a_mapgpa),
        WITH_TD(test_stop_and_go_on),
        WITH_TD(test_destroy_takes_jobs_along),
        cmocka_unit_test_setup_teardown(test_one_halts_while_others_wait, with_td, without_td),
        WITH_TD(test_a_job_that_halts),
        WITH_TD(test_the_td_dies_under_one),
        WITH_TD(test_a_busy_fault_is_answered_again),
        WITH_TD(test_bad_mapgpas_do_not_flood_the_log),
        cmocka_unit_test_setup_teardown(test_faults_without_progress_wait, with_td_without_ve, without_td),
        WITH_TD(test_more_vcpus_than_cpus),
    };
    return cmocka_run_group_tests(tests, machine, machine_off);
}
