/*
 * What `sept map` draws and what `top` shows, on the console of a TD whose vCPUs are threads at work (tests/unit/jobs_world.h).
 * Letters, limits and control sequences are typed here again.
 */
#include "kernel/console/sept_map.h"
#include "mm/tdp_internal.h"
#include "tests/unit/jobs_world.h"

#define K4          0x1000ull
#define M2          0x200000ull
#define CELLS_MAX   1024u
#define COLUMNS     80u
#define LINES       24u
#define CURSOR_IS   "\x1b[24;80R" /* what a terminal answers */
#define INPUT_BYTES 16384u        /* that the serial line takes in at once */

#define LEAF_PROMOTE 23
#define LEAF_UNBLOCK 39
#define TD_FATAL     0xe000060400000000ull

/* --- cells -------------------------------------------------------------------------------------------------------- */

static struct sept_map map;

static void scale_is(u64 from, u64 bytes, u64 cell_bytes, unsigned cells, u64 first)
{
    sept_map_begin(&map, (gpa_t){from}, bytes);
    assert_int_equal(map.cell_bytes, cell_bytes);
    assert_int_equal(map.cells, cells);
    assert_int_equal(map.first.raw, first);
}

static void test_cells_are_as_small_as_fits(void **state)
{
    scale_is(0, K4, K4, 1, 0);
    scale_is(0x3000, CELLS_MAX * K4, K4, CELLS_MAX, 0x3000);
    scale_is(0, (CELLS_MAX + 1) * K4, M2, 3, 0);
    scale_is(M2 - K4, (CELLS_MAX + 2) * K4, M2, 4, 0); /* cells stand at multiples of their size */
    scale_is(0, CELLS_MAX * M2, M2, CELLS_MAX, 0);
    scale_is(K4, CELLS_MAX * M2, 2 * M2, CELLS_MAX / 2 + 1, 0);
    scale_is(0, CELLS_MAX * M2 + K4, 2 * M2, CELLS_MAX / 2 + 1, 0);
    scale_is(0, 1024 * GIB_1, GIB_1, 1024, 0);
}

static void kind_is(unsigned cell, enum sept_map_kind kind)
{
    assert_int_equal(sept_map_kind(&map, cell), kind);
}

static void add(u64 from, u64 bytes, unsigned level, enum tdp_state state)
{
    sept_map_add((gpa_t){from}, bytes, (level_t){(u8)level}, state, &map);
}

static void test_a_cell_is_of_one_kind_or_mixed(void **state)
{
    sept_map_begin(&map, (gpa_t){0}, 16 * M2);
    kind_is(0, SEPT_MAP_ABSENT);
    add(0, 2 * M2, 1, TDP_MAPPED);
    add(2 * M2, 511 * K4, 0, TDP_MAPPED);
    add(2 * M2 + 511 * K4, K4, 0, TDP_PENDING);
    add(3 * M2, M2, 0, TDP_MAPPED);
    add(4 * M2, M2, 1, TDP_BLOCKED);
    add(5 * M2, M2, 0, TDP_PENDING_BLOCKED);
    add(6 * M2, M2, 1, TDP_IS_SHARED);
    add(7 * M2, M2, 1, TDP_PENDING);
    add(8 * M2, GIB_1, 2, TDP_MAPPED); /* beyond the map's end too */
    static const enum sept_map_kind expected[] = {SEPT_MAP_2M,     SEPT_MAP_2M,      SEPT_MAP_MIXED,
                                                  SEPT_MAP_4K,     SEPT_MAP_BLOCKED, SEPT_MAP_BLOCKED,
                                                  SEPT_MAP_SHARED, SEPT_MAP_PENDING, SEPT_MAP_1G};
    for (unsigned i = 0; i < ARRAY_COUNT(expected); i++)
        kind_is(i, expected[i]);
    kind_is(15, SEPT_MAP_1G);
}

static void test_runs_are_cut_at_the_maps_ends(void **state)
{
    sept_map_begin(&map, (gpa_t){M2 + 3 * K4}, 8 * K4);
    add(0, M2, 1, TDP_MAPPED);           /* in front of it */
    add(M2, 4 * K4, 0, TDP_IS_SHARED);   /* one page of it */
    add(M2 + 4 * K4, M2, 1, TDP_MAPPED); /* the rest, and more */
    kind_is(0, SEPT_MAP_SHARED);
    for (unsigned i = 1; i < 8; i++)
        kind_is(i, SEPT_MAP_2M);
}

/* --- sept map ----------------------------------------------------------------------------------------------------- */

/* What was printed, without control sequences. */
static const char *plain(void)
{
    static char text[65536];
    size_t used = 0;

    for (const char *at = io_host_output(); *at != '\0'; at++) {
        if (*at != '\x1b') {
            assert_true(used + 1 < sizeof(text));
            text[used++] = *at;
            continue;
        }
        while (*at != '\0' && !((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z')))
            at++;
    }
    text[used] = '\0';
    return text;
}

/* Lines in front of the `@` line, none of them wider than a terminal. */
static unsigned lines_fit(const char *text)
{
    unsigned lines = 0;

    for (const char *end; text[0] != '@' && (end = strstr(text, "\r\n")) != NULL; text = end + 2, lines++)
        if ((size_t)(end - text) > COLUMNS)
            fail_msg("%d columns: %.*s", (int)(end - text), (int)(end - text), text);
    return lines;
}

/* All kinds but 1G: 2M pages accepted, pending and blocked, one in 4K pages, one mixed, one shared, the rest absent. */
static void furnish(void)
{
    good("map 400000 12M 2m");
    for (u64 gpa = 0x400000; gpa < 0xa00000; gpa += M2) {
        char line[64];
        snprintf(line, sizeof(line), "probe accept %llx 2M 2m cpu=2", (unsigned long long)gpa);
        good(line);
    }
    good("split 600000 2m");
    good("split 800000 2m");
    good("convert 801000 4K shared force");
    good("block c00000 2m");
    good("convert e00000 2M shared force");
}

#define FIRST_ROW "           0 ..MkxpBs.......................x\r\n"

static void test_map_draws_each_kind(void **state)
{
    furnish();
    const char *answer = good("sept map colour=0");
    said("one cell 2 MiB, one row 128 MiB\r\n");
    said(FIRST_ROW);
    assert_null(strchr(io_host_output(), '\x1b'));
    assert_int_equal(lines_fit(io_host_output()), 4);
    assert_non_null(strstr(answer,
                           "\"gpa\":\"0x0\",\"bytes\":67108864,\"cell_bytes\":2097152,\"cells\":{\"1g\":0,\"2m\":1,"
                           "\"4k\":1,\"mixed\":2,\"blocked\":1,\"shared\":1,\"pending\":1,\"absent\":25}"));
    good("sept map");
    assert_non_null(strchr(io_host_output(), '\x1b'));
    if (strstr(plain(), FIRST_ROW) == NULL)
        fail_msg("%s", plain());
    assert_int_equal(lines_fit(plain()), 4);
    good("unblock c00000 2m");
}

static void test_map_zooms(void **state)
{
    furnish();
    good("sept map 7ff000 3M colour=0");
    said("one cell 4 KiB, one row 256 KiB\r\n");
    said("\r\n      7ff000 kkskkk");
    said(
        "\"cells\":{\"1g\":0,\"2m\":0,\"4k\":512,\"mixed\":0,\"blocked\":0,\"shared\":1,\"pending\":255,\"absent\":0}");
    good("sept map 400000 4K colour=0"); /* a part of a 2M page */
    said("\r\n      400000 M\r\n");
    good("unblock c00000 2m");
}

static void test_map_refuses_nonsense(void **state)
{
    bad("sept map 0", "the length is missing");
    bad("sept map 0 5", "not a multiple of 4K");
    bad("sept map 0 4K 4K", "too many words");
    bad("sept 0 4K 4K", "too many words");
    bad("sept map 4000000 2M", "slot");
    bad("sept map colour=2", "colour=2: a number from 0 to 1");
    bad("sept colour=1", "colour= goes with `sept map`");
    good("td destroy");
    bad("sept map", "there is no TD");
}

/* Nobody reads a log in colour. */
static void test_a_script_gets_no_colour(void **state)
{
    static const char line[] = "sept map";

    io_host_forget();
    assert_int_equal(command_run(line, strlen(line), COMMAND_ECHO), COMMAND_OK);
    said("one cell 2 MiB");
    assert_null(strchr(io_host_output(), '\x1b'));
}

/* A vCPU that spins is let go on, and is inside again afterwards. */
static void test_map_of_a_td_at_work(void **state)
{
    good("map 400000 8M 4k");
    spin_on(0);
    u64 exits = vm.td.vcpus[0].exits;
    good("sept map");
    assert_true(vm.td.vcpus[0].exits > exits);
    assert_int_equal(vm.td.held, 0);
    payloads[0].let_go = true;
    good("wait all");
}

/* --- top ---------------------------------------------------------------------------------------------------------- */

static void test_top_prints_a_line_each(void **state)
{
    furnish();
    spin_on(1);
    const char *answer = good("top count=3 every=1");
    said("top 1 ms=");
    said("top 3 ms=");
    assert_null(strstr(io_host_output(), "top 4 ms="));
    assert_null(strchr(io_host_output(), '\x1b'));
    /* 511 pages and one table of 4K pages; 2M pages: one mapped, one pending, one blocked; the payload at the top. */
    assert_non_null(strstr(answer, "\"samples\":3,"));
    assert_non_null(strstr(answer, "\"seamcalls\":0,"));
    assert_non_null(strstr(answer, "\"2m\":6291456,\"1g\":0}"));
    assert_non_null(strstr(answer, "\"policy\":\"none\",\"queued\":0,\"blocked\":0,\"resting\":0,\"merged\":0,"));
    assert_non_null(strstr(answer, "\"vcpu_states\":[\"idle\",\"working\",\"idle\"],\"inside\":1}"));
    said(" vcpus=idle:2,working:1\r\n");
    assert_true(vm.vcpus[1].runs);
    payloads[1].let_go = true;
    good("wait all");
    good("unblock c00000 2m");
}

/* Exits and SEAMCALLs of vCPUs at work are counted, and make a rate. */
static void test_top_counts_what_vcpus_do(void **state)
{
    for (unsigned turns = 0;; turns++) {
        assert_true(turns < 1000);
        good("probe verify 0 16M &"); /* a refused MapGPA for each page */
        const char *answer = good("top count=1 every=1");
        bool counted = strstr(answer, "\"exits\":0,") == NULL && strstr(answer, "\"seamcalls\":0,") == NULL;
        bool rated = strstr(answer, "\"exits_per_s\":0,") == NULL;
        wait_for_end(0);
        good("wait all");
        if (counted) {
            assert_true(rated);
            return;
        }
    }
}

static void test_top_shows_a_screen(void **state)
{
    spin_on(2);
    io_host_type(CURSOR_IS "q", strlen(CURSOR_IS) + 1);
    const char *answer = good("top every=60000");
    said("\x1b[6n"); /* asks the terminal, hides the cursor, shows it again in the end */
    said("\x1b[?25l\x1b[H\x1b[2J");
    said("\x1b[?25h\r\n@{");
    said("TD running, 64 MiB;");
    said("policy none: 0 ready, 0 blocked, 0 resting");
    said("  2 working    *");
    assert_true(lines_fit(plain()) <= LINES);
    assert_non_null(strstr(answer, "\"samples\":0,"));
    assert_true(vm.vcpus[2].runs);
    io_host_type(CURSOR_IS "\x03", strlen(CURSOR_IS) + 1); /* ^C is about the screen, not about the vCPU's work */
    good("top every=60000");
    assert_true(vm.vcpus[2].runs);
    assert_false(vm.vcpus[2].abort);
    payloads[2].let_go = true;
    good("wait all");
}

/* An arrow is one key, and no command behind it. */
static void test_a_key_of_several_bytes_leaves(void **state)
{
    io_host_type(CURSOR_IS "\x1b[A", strlen(CURSOR_IS) + 3);
    good("top every=60000");
    assert_int_equal(serial_read(), -1);
}

/* What is piped in answers nothing, and is there still. */
static void test_commands_behind_top_are_not_lost(void **state)
{
    io_host_type("td info\r", 8);
    good("top every=1");
    said("\x1b[6n\r\ntop 1 ms=");
    said("\"samples\":1,");
    console_begin();
    io_host_forget();
    assert_true(console_step());
    said("\"cmd\":\"td info\",\"ok\":true");
}

static void test_no_terminal_answers(void **state)
{
    set_clock(false);
    good("top every=1");
    said("top 1 ms=");
    set_clock(true);
}

static void test_interrupt_stops_the_lines(void **state)
{
    static char typed[INPUT_BYTES + 1];

    memset(typed, ' ', INPUT_BYTES);
    typed[INPUT_BYTES] = '\x03'; /* comes in when `top` is under way */
    io_host_type(typed, sizeof(typed));
    bad("top count=5 every=60000", "stopped by ^C after 0 of 5 samples");
    said("\"mapped_bytes\":{");
    (void)serial_take_overruns();
}

/* What is converted for long does not stop it. */
static void test_top_goes_on_beside_an_operation(void **state)
{
    struct claim claim;

    good("map 400000 2M 2m");
    good("top count=1 every=1");
    said(" 2m=2097152 ");
    said(" old_gib=0 ");
    enum err e = claim_begin(&vm.tdp->claims, &claim, (gpa_t){0x800000}, (gpa_t){0xa00000}, true, NULL, NULL);
    assert_int_equal(e, ERR_OK);
    const char *answer = good("top count=2 every=1");
    said("top 2 ms=");
    said(" 2m=2097152 ");
    assert_non_null(strstr(answer, "\"old_gib\":1,"));
    io_host_type(CURSOR_IS "q", strlen(CURSOR_IS) + 1);
    good("top every=60000");
    said("1 GiB as seen before: at work there");
    assert_true(lines_fit(plain()) <= LINES);
    claim_end(&vm.tdp->claims, &claim);
}

static void test_top_in_a_script(void **state)
{
    static const char line[] = "top every=1";

    io_host_forget();
    assert_int_equal(command_run(line, strlen(line), COMMAND_ECHO), COMMAND_OK);
    said("top 1 ms=");
    assert_null(strchr(io_host_output(), '\x1b'));
}

static void test_top_refuses_nonsense(void **state)
{
    bad("top count=0", "count=0: a number from 1 to 1000000");
    bad("top every=0", "every=0: a number from 1 to 3600000");
    bad("top now", "too many words");
    good("td destroy");
    bad("top count=1", "there is no TD");
}

/* The queue grows while `top` waits, for the policy works meanwhile. */
static void test_top_sees_a_policy(void **state)
{
    good("map 400000 2M 2m");
    good("probe accept 400000 2M 2m");
    good("split 400000 2m");
    good("policy ready delay=60000");
    good("top count=1 every=1");
    said(" policy=ready queued=");
    for (unsigned turns = 0; strstr(io_host_output(), " policy=ready queued=1 ") == NULL; turns++) {
        assert_true(turns < 1000);
        good("top count=1 every=1");
    }
    good("policy none");
}

/* What a policy cannot undo in its tick is told by the TD's state, not by the next fault alone. */
static void test_a_policy_may_lose_the_td(void **state)
{
    good("map 400000 2M 2m");
    good("probe accept 400000 2M 2m");
    good("split 400000 2m");
    seamcall_host_inject(LEAF_PROMOTE, 0, TD_FATAL);
    seamcall_host_inject_times(LEAF_UNBLOCK, 0, 100, TD_FATAL);
    good("policy ready delay=1");
    for (unsigned turns = 0; vm.state != VM_DEAD; turns++) {
        assert_true(turns < 1000);
        (void)run("top count=1 every=1"); /* an error in the end */
    }
    seamcall_host_inject_none();
    assert_non_null(strstr(good("td info"), "\"state\":\"dead\""));
}

int main(void)
{
#define WITH_TD(test) cmocka_unit_test_setup_teardown(test, with_running_td, without_td)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_are_as_small_as_fits),
        cmocka_unit_test(test_a_cell_is_of_one_kind_or_mixed),
        cmocka_unit_test(test_runs_are_cut_at_the_maps_ends),
        WITH_TD(test_map_draws_each_kind),
        WITH_TD(test_map_zooms),
        WITH_TD(test_map_refuses_nonsense),
        WITH_TD(test_a_script_gets_no_colour),
        WITH_TD(test_map_of_a_td_at_work),
        WITH_TD(test_top_prints_a_line_each),
        WITH_TD(test_top_counts_what_vcpus_do),
        WITH_TD(test_top_shows_a_screen),
        WITH_TD(test_a_key_of_several_bytes_leaves),
        WITH_TD(test_commands_behind_top_are_not_lost),
        WITH_TD(test_no_terminal_answers),
        WITH_TD(test_interrupt_stops_the_lines),
        WITH_TD(test_top_goes_on_beside_an_operation),
        WITH_TD(test_top_in_a_script),
        WITH_TD(test_top_refuses_nonsense),
        WITH_TD(test_top_sees_a_policy),
        WITH_TD(test_a_policy_may_lose_the_td),
    };
    return cmocka_run_group_tests(tests, machine, machine_off);
}
