/*
 * The experiment `policies` under each workload, one region and one vCPU, so that every count is exact. What they are made of,
 * from DESIGN's table: one page of a 2M leaf is shared by BLOCK TRACK DEMOTE BLOCK TRACK REMOVE and comes back by one AUG; a
 * merge is BLOCK TRACK PROMOTE, behind a look of two SEPT.RD; a refused one is followed by UNBLOCK.
 */
#include "tests/unit/experiment_world.h"

const struct experiment *const experiments[] = {&experiment_convert, &experiment_policies, NULL};

#define CUT     7u
#define LOOK    2u
#define MERGE   3u
#define REFUSED 4u
#define BLOCKED 2u

struct row {
    const char *policy;
    unsigned by_policy, by_touches, by_work; /* SEAMCALLs */
    unsigned merged, unused, in_vain, refused;
};
#define POLICIES 6u

static void compare(unsigned sample, const struct row *r)
{
    is_text(sample, "policy", r->policy);
    assert_int_equal(number(sample, "seamcalls_for", "policy"), r->by_policy);
    assert_int_equal(number(sample, "seamcalls_for", "touches"), r->by_touches);
    assert_int_equal(number(sample, "seamcalls_for", "work"), r->by_work);
    assert_int_equal(number(sample, NULL, "merged"), r->merged);
    assert_int_equal(number(sample, "did", "merged"), r->merged);
    assert_int_equal(number(sample, NULL, "unused"), r->unused);
    assert_int_equal(number(sample, "did", "in_vain"), r->in_vain);
    assert_int_equal(number(sample, "did", "refused"), r->refused);
}

/* Each policy in turn, from time 0 on. Of its samples the one in place `at` is compared. */
static void run_one(const char *keys, const struct row *r, unsigned samples, unsigned at)
{
    char line[200];

    snprintf(line, sizeof(line), "experiment policies regions=1 rounds=1 policy=%s %s", r->policy, keys);
    assert_int_equal(good(line), samples);
    compare(at, r);
}

static void run(const char *keys, const struct row rows[POLICIES], unsigned samples, unsigned at)
{
    for (unsigned i = 0; i < POLICIES; i++)
        run_one(keys, &rows[i], samples, at);
}

/* --- what each policy makes of it --------------------------------------------------------------------------------- */

static void test_back4k(void **state)
{
    static const struct row rows[] = {{"none", 0, 0, CUT, 0, 0, 0, 0},
                                      {"scan", LOOK + MERGE, 0, CUT, 1, 0, 0, 0},
                                      {"fault", 0, 0, CUT, 0, 0, 0, 0},
                                      {"block", BLOCKED, 1, CUT, 1, 0, 0, 0},
                                      {"ready", LOOK + MERGE, 0, CUT, 1, 0, 0, 0},
                                      {"hot", LOOK + BLOCKED, 1, CUT, 1, 0, 0, 0}};

    run_one("workload=back4k settle=300", &rows[0], 1, 0);
    assert_int_equal(number(0, NULL, "ms"), 300);
    run_one("workload=back4k settle=300", &rows[4], 1, 0);
    assert_int_equal(number(0, NULL, "ms"), 20); /* the first look behind its delay of 10 ms */
    assert_int_equal(number(0, "till_merged_us", "longest_so_far"), 20000);
    run("workload=back4k settle=300", rows, 1, 0);
    assert_int_equal(number(0, NULL, "ms"), 20); /* and `hot` the touch behind that */
    assert_int_equal(number(0, NULL, "conversions"), 2);
    assert_int_equal(number(0, "calls", "promote"), 1);
    is_text(0, "workload", "back4k");
}

/* Nobody touches them: what is merged is of no use, what is blocked is unblocked again, and tried again after a rest. */
static void test_cold(void **state)
{
    static const struct row rows[] = {{"none", 0, 0, CUT, 0, 0, 0, 0},
                                      {"scan", LOOK + MERGE, 0, CUT, 1, 1, 0, 0},
                                      {"fault", 0, 0, CUT, 0, 0, 0, 0},
                                      {"block", BLOCKED + 1, 0, CUT, 0, 0, 1, 0},
                                      {"ready", LOOK + MERGE, 0, CUT, 1, 1, 0, 0},
                                      {"hot", LOOK + BLOCKED + 1 + LOOK + BLOCKED, 0, CUT, 0, 0, 1, 0}};

    run("workload=cold settle=1500", rows, 1, 0);
}

/*
 * 511 accepted and 1 pending. `scan` is refused in each of its periods of 10 ms, `block` once, before it rests for a second,
 * `ready` at 10, 60 and 160 ms, `hot` by the touches at 20 and 140 ms. When the page is accepted, each that still tries merges
 * when it tries next: `block` would at 1020 ms, `ready` at 360, `hot` at 340 and the touch behind that.
 */
static void test_pending(void **state)
{
    static const struct row pending[] = {{"none", 0, 0, CUT, 0, 0, 0, 0},
                                         {"scan", 30 * (LOOK + REFUSED), 0, CUT, 0, 0, 30, 30},
                                         {"fault", 0, 0, CUT, 0, 0, 0, 0},
                                         {"block", BLOCKED, 2, CUT, 0, 0, 1, 1},
                                         {"ready", 3 * (LOOK + REFUSED), 0, CUT, 0, 0, 3, 3},
                                         {"hot", 2 * (LOOK + BLOCKED), 2 * 2, CUT, 0, 0, 2, 2}};
    static const struct row accepted[] = {{"none", 0, 0, 0, 0, 0, 0, 0},
                                          {"scan", LOOK + MERGE, 0, 0, 1, 0, 0, 0},
                                          {"fault", 0, 0, 0, 0, 0, 0, 0},
                                          {"block", 0, 0, 0, 0, 0, 0, 0},
                                          {"ready", LOOK + MERGE, 0, 0, 1, 0, 0, 0},
                                          {"hot", LOOK + BLOCKED, 1, 0, 1, 0, 0, 0}};

    for (unsigned i = 0; i < POLICIES; i++) {
        run_one("workload=pending settle=300", &pending[i], 2, 0);
        is_text(0, "phase", "pending");
        is_text(1, "phase", "accepted");
        compare(1, &accepted[i]);
    }
}

/* DESIGN's hypothesis about option B: the fault that maps the last page finds it pending beside 511 that are accepted. */
static void test_boot(void **state)
{
    static const struct row rows[] = {{"none", 0, 0, 515, 0, 0, 0, 0},
                                      {"scan", LOOK + MERGE, 0, 515, 1, 0, 0, 0},
                                      {"fault", REFUSED, 0, 515, 0, 0, 1, 1},
                                      {"block", BLOCKED, 1, 515, 1, 0, 0, 0},
                                      {"ready", LOOK + MERGE, 0, 515, 1, 0, 0, 0},
                                      {"hot", LOOK + BLOCKED, 1, 515, 1, 0, 0, 0}};
    static const char *const phases[] = {"eager 2m", "eager 4k", "lazy 2m", "lazy 4k"};

    for (unsigned i = 0; i < POLICIES; i++) {
        run_one("workload=boot settle=300", &rows[i], 4, 1); /* 512 AUGs, and three tables */
        compare(3, &rows[i]);
        for (unsigned n = 0; n < 4; n++)
            is_text(n, "phase", phases[n]);
        for (unsigned n = 0; n < 4; n += 2) { /* at 2M there is nothing to merge */
            assert_int_equal(number(n, "calls", "aug"), 1);
            assert_int_equal(number(n, "calls", "promote"), 0);
            assert_int_equal(number(n, NULL, "large"), 1);
        }
    }
}

/* 4 pages, 20 times, 2 ms apart: 12 calls for the first, 1+2*4 for each after that, 4 AUGs each. Those that wait for
 * a quiet moment merge once, `scan` in its periods, `block` blocks each time, what the next conversion takes away again. */
static void test_attest(void **state)
{
    enum { WORK = 12 + 19 * 9 + 20 * 4 };
    static const struct row rows[] = {{"none", 0, 0, WORK, 0, 0, 0, 0},
                                      {"scan", 4 * (LOOK + MERGE), 0, WORK + 3 * 3, 4, 3, 0, 0},
                                      {"fault", 0, 0, WORK, 0, 0, 0, 0},
                                      {"block", 20 * BLOCKED, 1, WORK + 19, 1, 0, 19, 0},
                                      {"ready", LOOK + MERGE, 0, WORK, 1, 0, 0, 0},
                                      {"hot", LOOK + BLOCKED, 1, WORK, 1, 0, 0, 0}};

    run("workload=attest settle=300", rows, 1, 0);
    assert_int_equal(number(0, NULL, "work_ms"), 40);
    assert_int_equal(number(0, NULL, "conversions"), 40);
}

/* 1 + 3 + 5 + 7 + 9 pages in one region, each by itself. */
static void test_swiotlb(void **state)
{
    enum {
        PAGES = 25,
        BUFFERS = 5,
        WORK = 4 + 2 + (BUFFERS - 1) + 2 * (PAGES - 1) + 19 * (BUFFERS + 2 * PAGES) + 20 * PAGES
    };
    static const struct row rows[] = {{"none", 0, 0, WORK, 0, 0, 0, 0},
                                      {"scan", 4 * (LOOK + MERGE), 0, WORK + 3 * 3, 4, 3, 0, 0},
                                      {"fault", 0, 0, WORK, 0, 0, 0, 0},
                                      {"block", 20 * BLOCKED, 1, WORK + 19, 1, 0, 19, 0},
                                      {"ready", LOOK + MERGE, 0, WORK, 1, 0, 0, 0},
                                      {"hot", LOOK + BLOCKED, 1, WORK, 1, 0, 0, 0}};

    run("workload=swiotlb settle=300", rows, 1, 0);
}

/* 4, 16, 64 and 256 a second for 300 ms. `ready` waits for 10 quiet ms, which the fastest does not leave it. */
static void test_rate(void **state)
{
    static const u64 conversions[] = {4, 10, 40, 154};

    assert_int_equal(good("experiment policies regions=1 workload=rate policy=ready lasts=300"), 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(number(i, NULL, "rate"), 4 << 2 * i);
        assert_int_equal(number(i, NULL, "conversions"), conversions[i]);
        assert_int_equal(number(i, NULL, "work_ms"), 300);
    }
    assert_true(number(0, "steady", "permille") > number(2, "steady", "permille"));
    assert_true(number(2, "steady", "permille") > 0);
    assert_int_equal(number(3, "steady", "permille"), 0);
    assert_int_equal(number(3, NULL, "merged"), 0);
    assert_int_equal(good("experiment policies workload=rate policy=none slowest=7 fastest=7 lasts=10"), 1);
    assert_int_equal(good("experiment policies workload=rate policy=none slowest=7 fastest=29 lasts=10"), 3);
    assert_int_equal(number(2, NULL, "rate"), 29);
}

/* A page of a 1G page: merged to 2M, then to 1G. */
static void test_giant(void **state)
{
    assert_int_equal(good("experiment policies regions=8 rounds=1 workload=giant policy=ready"), 1);
    assert_int_equal(number(0, NULL, "whole"), 1);
    assert_int_equal(number(0, NULL, "large"), 1);
    assert_int_equal(number(0, "seamcalls_for", "policy"), 2 * (LOOK + MERGE));
    assert_int_equal(number(0, "seamcalls_for", "work"), 7 + 2 + 1);
    assert_int_equal(number(0, "did", "merged"), 2);
    assert_int_equal(number(0, NULL, "merged"), 1);
}

/* --- recorded conversions ----------------------------------------------------------------------------------------- */

static struct script_file file = {.name = "GUEST.TXT"};

static void set_list(const char *text)
{
    file.text = text;
    file.bytes = strlen(text);
    script_set_files(&file, 1);
}

static void test_list(void **state)
{
    set_list("# from a guest\n"
             "0 3fe3000 4K shared\n"
             "\n"
             "40 3fe3000 4K private touch   # the driver is gone\r\n"
             "50 4000000 0x2000 shared\n"
             "1000 3fe0000 8K touch");
    assert_int_equal(good("experiment policies list=guest.txt policy=ready rounds=2 settle=100"), 2);
    is_text(0, "workload", "list");
    is_text(0, "list", "guest.txt");
    assert_int_equal(number(0, NULL, "whole"), 1); /* of 3e00000 and 4000000, moved to where regions begin */
    assert_int_equal(number(0, NULL, "large"), 1);
    assert_int_equal(number(0, NULL, "work_ms"), 1000);
    assert_int_equal(number(0, NULL, "conversions"), 3);
    assert_int_equal(number(0, "seamcalls_for", "work"), CUT + 4 + 2 * 2);
    assert_int_equal(number(0, NULL, "merged"), 1);
    assert_int_equal(number(0, NULL, "unused"), 0);    /* the last line is a use of it */
    assert_int_equal(number(1, "calls", "demote"), 1); /* the second region is as the first round left it */
}

/* A guest is at work around what it converts, or what waits for a touch waits in vain. */
static void test_list_is_touched(void **state)
{
    set_list("0 200000 4K shared\n40 200000 4K private touch\n50 600000 4K shared");
    assert_int_equal(good("experiment policies list=guest.txt policy=block rounds=1 settle=100"), 1);
    assert_int_equal(number(0, NULL, "whole"), 2); /* the one between the two as well */
    assert_int_equal(number(0, NULL, "large"), 2);
    assert_int_equal(number(0, "seamcalls_for", "policy"), BLOCKED);
    assert_int_equal(number(0, "seamcalls_for", "touches"), 1);
    assert_int_equal(number(0, "did", "merged"), 1);
    assert_int_equal(good("experiment policies list=guest.txt policy=block rounds=1 settle=100 touch=0"), 1);
    assert_int_equal(number(0, "did", "touched"), 0);
    assert_int_equal(number(0, "did", "merged"), 0);
}

static void test_list_refusals(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"0 200000 4K\n", "GUEST.TXT, line 1: MS GPA LEN shared|private|touch [touch] is expected"},
        {"# only this\n", "GUEST.TXT: there is no conversion in it"},
        {"0 200000 4K shared\n\nx 200000 4K shared\n", "line 3: the first word is no number of milliseconds"},
        {"0 20000g 4K shared\n", "line 1: the second word is no address of a page, in hex"},
        {"0 200800 4K shared\n", "line 1: the second word is no address of a page, in hex"},
        {"0 200000 5000 shared\n", "line 1: the third word is no length, a multiple of 4K above 0"},
        {"0 200000 0 shared\n", "line 1: the third word is no length, a multiple of 4K above 0"},
        {"0 fffffffffffff000 8K shared\n", "line 1: the range ends beyond 64 bits"},
        {"0 200000 4K open\n", "line 1: the fourth word is neither shared, private nor touch"},
        {"0 200000 4K shared touch\n", "line 1: the fifth word can only be touch, behind private"},
        {"0 200000 4K private twice\n", "line 1: the fifth word can only be touch, behind private"},
        {"5 200000 4K shared\n4 200000 4K private\n", "line 2: it is earlier than the line above"},
        {"0 200000 4K shared\n0 10000400000 4K shared\n", "line 2: addresses are more than 1 TiB apart"},
        {"0 200000 len=4K shared\n", "line 1: MS GPA LEN shared|private|touch [touch] is expected"},
        {"0 200000 4K shar\x01"
         "ed\n",
         "line 1: the line holds a byte that is no ASCII text"},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_list(rows[i].text);
        bad("experiment policies workload=list list=guest.txt", rows[i].error);
    }
    bad("experiment policies workload=list", "workload=list needs list=NAME, a file of the boot volume");
    bad("experiment policies list=other.txt", "list=other.txt: no such file on the boot volume");
    bad("experiment policies list=guest.txt workload=rate", "list=guest.txt is for workload=list, not for rate");
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static void test_unknown_words(void **state)
{
    bad("experiment policies workload=boots",
        "no workload 'boots'; there are back4k, boot, swiotlb, attest, cold, pending, "
        "rate, giant, list");
    bad("experiment policies policy=fast", "no policy 'fast'; there are none, scan, fault, block, ready, hot");
    bad("experiment policies workload=rate slowest=9 fastest=8", "slowest=9 is more than fastest=8");
    bad("experiment policies slowest=9 fastest=8", "fastest=8\",\"experiment\":\"policies\",\"samples\":0");
    bad("experiment policies regions=524289", "regions=524289: a number from 1 to 524288 is needed");
    bad("experiment policies colour=1", "experiment policies has no colour; `help experiment` lists what each takes");
    bad("experiment", "too few words");
    bad("experiment foo", "no experiment 'foo'; `help experiment` lists them");
    bad("experiment convert settle=5", "experiment convert has no settle");
    bad("experiment convert policy=hot", "experiment convert has no policy");
    bad("experiment convert rounds=0", "rounds=0: a number from 1 to 100000 is needed");
}

/* Without a name: all but those that take 1G or a file. */
static void test_default_set(void **state)
{
    assert_int_equal(good("experiment policies regions=1 rounds=1 settle=20 lasts=20 policy=ready"),
                     1 + 4 + 1 + 1 + 1 + 2 + 4);
    assert_int_equal(good("experiment policies regions=2 rounds=2 settle=20 workload=back4k"), 2 * POLICIES);
    is_text(11, "policy", "hot");
    assert_int_equal(number(11, NULL, "round"), 1);
}

static void test_parameters_of_policies(void **state)
{
    assert_int_equal(good("experiment policies regions=1 rounds=1 workload=back4k with=delay:50,ttl:77"), POLICIES);
    assert_int_equal(number(4, "policy_parameters", "delay"), 50);
    assert_int_equal(number(5, "policy_parameters", "ttl"), 77);
    assert_int_equal(number(5, "policy_parameters", "batch"), 64);
    assert_int_equal(number(5, "reads", "count"), 4096);
    assert_int_equal(good("experiment policies regions=1 rounds=1 workload=back4k policy=ready with=delay:50 reads=0"),
                     1);
    assert_int_equal(number(0, NULL, "ms"), 60); /* the first look at or behind that */
    assert_int_equal(number(0, "reads", "count"), 0);
    bad("experiment policies with=color:1", "with=color:1: no policy has a color; `help policy` lists what they have");
    bad("experiment policies policy=scan with=delay:1",
        "with=delay:1: policy scan has no delay; `help policy` lists its parameters");
    bad("experiment policies with=delay:60001", "with=delay:60001: policy ready takes a number from 0 to 60000");
    bad("experiment policies with=delay", "with=delay: NAME:NUMBER is needed, more of them behind commas");
    bad("experiment policies with=delay:x,ttl:5", "with=delay: NAME:NUMBER is needed");
    bad("experiment policies with=delay:5,,", "with=: NAME:NUMBER is needed");
}

/* The same pages under each policy, and again with the same seed. */
static void test_repeats(void **state)
{
    static const char line[] = "experiment policies regions=2 rounds=2 lasts=100 workload=rate policy=ready seed=5";
    static char first[1u << 20];

    good(line);
    strcpy(first, value(3, NULL, "conversions"));
    good(line);
    const char *again = value(3, NULL, "conversions");
    assert_int_equal(strcspn(first, "}"), strcspn(again, "}"));
    assert_memory_equal(first, again, strcspn(first, "}"));
}

static void test_share_over_time(void **state)
{
    const char *at;
    unsigned points = 1;

    assert_int_equal(good("experiment policies regions=3 rounds=1 policy=none workload=back4k settle=60000 step=7"), 1);
    at = value(0, "share", "ms");
    assert_int_equal(strtoull(at + 1, NULL, 10), 0);
    for (; *at != ']'; at++)
        points += *at == ',';
    assert_in_range(points, 17, 32); /* whatever the number of looks */
    assert_true(strtoull(at - 5, NULL, 10) == 60004 % 100000);
}

static void test_progress_and_interrupt(void **state)
{
    (void)answer_in("experiment policies regions=1 rounds=1 policy=none workload=back4k settle=5000", COMMAND_QUIET);
    assert_non_null(strstr(io_host_output(), "  back4k under none: round 1 of 1, 0 of 1 regions large, 1 s\r\n"));
    assert_non_null(strstr(io_host_output(), "large, 4 s\r\n"));
    stop_at = 2500000;
    bad("experiment policies regions=1 rounds=9 policy=none workload=back4k settle=1000",
        "stopped by ^C after 2 samples");
    assert_null(strstr(io_host_output(), "regions large")); /* a script has nobody who watches */
    stop_at = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back4k),
        cmocka_unit_test(test_cold),
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_boot),
        cmocka_unit_test(test_attest),
        cmocka_unit_test(test_swiotlb),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_giant),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_is_touched),
        cmocka_unit_test(test_list_refusals),
        cmocka_unit_test(test_unknown_words),
        cmocka_unit_test(test_default_set),
        cmocka_unit_test(test_parameters_of_policies),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_share_over_time),
        cmocka_unit_test(test_progress_and_interrupt),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
