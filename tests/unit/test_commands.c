/*
 * Random commands about a TD's memory, over the real tdx/, mm/ and module model: each gets one answer; `plan` changes
 * nothing and says exactly what its command then costs; mirror and module agree after every one; at the end every page
 * is back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/console/command.h"
#include "kernel/vm/vm.h"
#include "mm/page.h"
#include "tests/host/cpu.h"
#include "tests/host/io.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define GIB_1      0x40000000ull
#define ROUNDS     1500
#define ANSWER_MAX 65536

static struct phys_range memory[] = {{{4 * GIB_1}, 10 * GIB_1}};
static struct boot_info boot = {.map.free = {.r = memory, .count = 1, .max = 1}};
static char answer[ANSWER_MAX];
static uint64_t seed = 42;

static unsigned pick(unsigned below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(seed >> 33) % below;
}

/* Runs one command; its only `@` line, kept until the next. */
static const char *run(const char *line)
{
    io_host_forget();
    (void)command_run(line, strlen(line), COMMAND_QUIET);
    const char *at = strstr(io_host_output(), "@{");
    assert_non_null(at);
    assert_null(strstr(at + 1, "\r\n@{"));
    assert_true(strlen(at) < sizeof(answer));
    return strcpy(answer, at);
}

static bool is_ok(const char *line)
{
    return strstr(run(line), "\"ok\":true") != NULL;
}

static u64 number(const char *key)
{
    const char *at = strstr(answer, key);
    if (at == NULL)
        fail_msg("no %s in %s", key, answer);
    return strtoull(at + strlen(key), NULL, 10);
}

/* A range of 1 GiB and a bit: few 2M regions are hit often, so that what is split gets merged again. */
static void random_command(char *to, size_t bytes)
{
    static const char *const levels[] = {"4k", "2m", "1g"};
    static const u64 sizes[] = {0x1000, 0x200000, 0x40000000};
    unsigned level = pick(10) == 0 ? 2 : pick(2);
    u64 gpa = pick(4) * 0x200000ull + pick(512) * 0x1000ull;
    u64 aligned = gpa & ~(sizes[level] - 1);
    u64 length = pick(3) == 0 ? 0x200000ull * (1 + pick(3)) : 0x1000ull * (1 + pick(600));

    switch (pick(9)) {
    case 0:
        snprintf(to, bytes, "map %llx 0x%llx %s", (unsigned long long)gpa, (unsigned long long)length, levels[level]);
        break;
    case 1:
        snprintf(to, bytes, "map 0 10M");
        break;
    case 2:
        snprintf(to, bytes, "split %llx %s", (unsigned long long)aligned, levels[level]);
        break;
    case 3:
        if (pick(3) == 0)
            snprintf(to, bytes, "merge %llx 2m 0x%llx", (unsigned long long)gpa, (unsigned long long)length);
        else
            snprintf(to, bytes, "merge %llx %s", (unsigned long long)aligned, levels[level]);
        break;
    case 4:
        snprintf(to, bytes, "block %llx %s", (unsigned long long)aligned, levels[level]);
        break;
    case 5:
        snprintf(to, bytes, "unblock %llx %s", (unsigned long long)aligned, levels[level]);
        break;
    case 6:
        snprintf(to, bytes, "relocate %llx 0x%llx", (unsigned long long)gpa, (unsigned long long)length);
        break;
    default:
        if (pick(2))
            gpa &= ~0x1fffffull;
        snprintf(to, bytes, "convert %llx 0x%llx %s force", (unsigned long long)gpa, (unsigned long long)length,
                 pick(2) ? "shared" : "private");
        break;
    }
}

struct round {
    char line[96], plan[120], before[512];
};

/* `top` counts by the mirror alone; what is below a blocked table only it can see. */
static void check_sizes(const char *line)
{
    static const char *const levels[] = {"\"4k\":", "\"2m\":", "\"1g\":"};
    u64 leaves[3], blocked = number("\"blocked\":"), shared = number("\"shared_bytes\":");
    struct tdp_sizes sizes;

    for (unsigned i = 0; i < 3; i++)
        leaves[i] = number(levels[i]);
    assert_int_equal(tdp_sizes(vm.tdp, &sizes).err, ERR_OK);
    for (unsigned i = 0; i < 3; i++)
        if (blocked == 0 && sizes.mapped[i] != leaves[i] << (12 + 9 * i))
            fail_msg("after %s 0x%llx bytes of %s are said to be mapped: %s", line, (unsigned long long)sizes.mapped[i],
                     levels[i], answer);
    assert_int_equal(sizes.shared, shared);
}

static void check_round(const struct round *r, bool plan_ok, u64 planned)
{
    bool done = is_ok(r->line);
    if (done != plan_ok)
        fail_msg("%s: the plan says %d, it came to %s", r->line, plan_ok, answer);
    if (done && number("\"seamcalls\":") != planned)
        fail_msg("%s: %llu SEAMCALLs were planned: %s", r->line, (unsigned long long)planned, answer);
    if (!is_ok("sept") || strstr(answer, "\"agree\":true") == NULL)
        fail_msg("after %s: %s", r->line, answer);
    check_sizes(r->line);
    if (!done && strncmp(answer, r->before, strlen(r->before)) != 0)
        fail_msg("%s failed and changed %s to %s", r->line, r->before, answer);
}

static void commands_at_random(const char *create, unsigned rounds)
{
    u64 free_before = page_free_bytes();
    unsigned succeeded = 0;

    assert_true(is_ok(create) && is_ok("sept"));
    for (unsigned i = 0; i < rounds; i++) {
        struct round r; /* begins with the answer to `sept` of the one before */
        snprintf(r.before, sizeof(r.before), "%.500s", answer);
        random_command(r.line, sizeof(r.line));
        snprintf(r.plan, sizeof(r.plan), "plan %s", r.line);
        bool plan_ok = is_ok(r.plan);
        u64 planned = plan_ok ? number("\"seamcalls\":") : 0;
        succeeded += plan_ok;
        run("sept");
        if (strcmp(answer, r.before) != 0)
            fail_msg("%s changed %s to %s", r.plan, r.before, answer);
        check_round(&r, plan_ok, planned);
    }
    assert_in_range(succeeded, rounds / 4, rounds); /* or the test tests nothing */
    assert_true(is_ok("td destroy"));
    assert_int_equal(page_free_bytes(), free_before);
}

static void test_random_commands(void **state)
{
    commands_at_random("td create mem=1200M", ROUNDS);
}

static void test_random_commands_on_scattered_memory(void **state)
{
    commands_at_random("td create mem=16M backing=scatter", ROUNDS / 3);
}

/* Words and numbers in any order: an answer each, and a TD as it was when nothing was `ok` but looking. */
static void test_random_nonsense(void **state)
{
    static const char *const words[] = {
        "td",      "create",
        "info",    "map",
        "convert", "split",
        "merge",   "block",
        "unblock", "walk",
        "sept",    "plan",
        "probe",   "fill",
        "verify",  "touch",
        "accept",  "0",
        "1000",    "-1",
        "4K",      "2M",
        "1G",      "4k",
        "2m",      "1g",
        "shared",  "force",
        "x=",      "=",
        "seed=1",  "cpu=0",
        "cpu=99",  "ffffffffffffffff",
        "0x",      "#",
        "1e9",     "mem=1",
        "log",     "debug",
        "trace",   "dump",
        "count=3",
    };
    assert_true(is_ok("td create mem=64M"));
    for (unsigned i = 0; i < 20000; i++) {
        char line[256];
        size_t used = 0;
        for (unsigned n = 1 + pick(5); n > 0; n--)
            used += (size_t)snprintf(line + used, sizeof(line) - used, "%s ", words[pick(ARRAY_COUNT(words))]);
        io_host_forget();
        if (command_run(line, used, COMMAND_QUIET) == COMMAND_EMPTY)
            continue;
        const char *at = strstr(io_host_output(), "@{\"cmd\":");
        if (at == NULL || strchr(at, '\n') == NULL || strchr(at, '\n')[1] != '\0')
            fail_msg("'%s' gives '%s'", line, io_host_output());
    }
    assert_true(is_ok("sept") && strstr(answer, "\"agree\":true") != NULL);
    assert_true(is_ok("td destroy"));
}

static int machine(void **state)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = 1;
    platform_host_start(&info);
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){.leaf = 0xd, .regs = {7, 0x340, 0x340, 0}};
    platform_host_knobs.cpuid_rows = 1;
    cpu_host_reset();
    seamcall_host_reset();
    page_init();
    page_add_range(memory[0].base, memory[0].bytes);
    options_default(&boot.options);
    boot_info_set(&boot);
    io_host_reset();
    return serial_init(SERIAL_COM1) && is_ok("tdx init") ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_commands),
        cmocka_unit_test(test_random_commands_on_scattered_memory),
        cmocka_unit_test(test_random_nonsense),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
