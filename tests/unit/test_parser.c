/* Lines, words, numbers and options of the console (kernel/console/parser.h, kernel/options.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/options.h"
#include "kernel/console/parser.h"

static struct parsed_line line;

static const char *parse(const char *text)
{
    return parse_line(text, strlen(text), &line);
}

static void test_words_and_keys(void **state)
{
    assert_null(parse("  td create\tmem=1200M vcpus=2  # a comment = here"));
    assert_int_equal(line.word_count, 2);
    assert_string_equal(line.words[0], "td");
    assert_string_equal(line.words[1], "create");
    assert_int_equal(line.key_count, 2);
    assert_string_equal(line.keys[0].key, "mem");
    assert_string_equal(line.keys[0].value, "1200M");
    assert_string_equal(line.keys[1].value, "2");
    assert_false(line.may_fail);
}

static void test_empty_and_comment(void **state)
{
    static const char *const texts[] = {"", "   ", "\t", "# all of it", "   # x=1", "\r", "-", "- # c"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_null(parse(texts[i]));
        assert_int_equal(line.word_count + line.key_count, 0);
    }
}

static void test_dash_allows_failure(void **state)
{
    assert_null(parse("  - walk 0\r"));
    assert_true(line.may_fail);
    assert_int_equal(line.word_count, 2);
    assert_null(parse("-walk 0"));
    assert_true(line.may_fail);
    assert_string_equal(line.words[0], "walk");
    assert_null(parse("poweroff -1"));
    assert_false(line.may_fail);
    assert_string_equal(line.words[1], "-1");
}

/* Whatever is wrong with the line. */
static void test_dash_counts_in_bad_lines(void **state)
{
    static const char *const texts[] = {"-x\x80",  "- \x01",     "-=1",     "-x =1",
                                        "  -x a=", "-x a=1 a=2", "\t-\xff", "-w w w w w w w w w w w w w w w w w w"};
    char text[2048];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_non_null(parse(texts[i]));
        assert_true(line.may_fail);
        assert_non_null(parse(strchr(texts[i], '-') + 1));
        assert_false(line.may_fail);
    }
    memset(text, 'x', sizeof(text));
    text[0] = '-';
    assert_non_null(parse_line(text, sizeof(text), &line));
    assert_true(line.may_fail);
    assert_null(parse_line(text, 0, &line)); /* reads nothing of it */
    assert_false(line.may_fail);
}

static void test_key_given_twice_is_named(void **state)
{
    char text[] =
        "x kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk=1 kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk=1";
    assert_string_equal(parse("td create mem=64M vcpus=2 mem=1G"), "mem= is given twice");
    assert_string_equal(parse(text), "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk= is given twice");
}

static void test_hash_inside_a_word_is_no_comment(void **state)
{
    assert_null(parse("script a#b"));
    assert_string_equal(line.words[1], "a#b");
}

static void test_quotes(void **state)
{
    assert_null(parse("guest send \"a = b # c\" x\"y z\"w cmdline=\"k=1 l=\\\"2\\\"\" \"\" # done"));
    assert_int_equal(line.word_count, 5);
    assert_string_equal(line.words[2], "a = b # c");
    assert_string_equal(line.words[3], "xy zw");
    assert_string_equal(line.words[4], "");
    assert_int_equal(line.key_count, 1);
    assert_string_equal(line.keys[0].key, "cmdline");
    assert_string_equal(line.keys[0].value, "k=1 l=\"2\"");
    assert_null(parse("s \"\\n\\r\\t\\\\\\x1b\\xFF.\""));
    assert_string_equal(line.words[1], "\n\r\t\\\x1b\xff.");
    assert_null(parse("s a\\nb")); /* no escapes without quotes */
    assert_string_equal(line.words[1], "a\\nb");
}

static void test_bad_quotes(void **state)
{
    static const char *const open[] = {"s \"", "s \"abc", "s a\"b c", "s \"\\\"", "s k=\"1"};
    static const char *const escapes[] = {"s \"\\q\"", "s \"\\x1\"", "s \"\\xg0\"", "s \"\\x\""};

    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        assert_string_equal(parse(open[i]), "a quotation mark is missing");
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++)
        assert_string_equal(parse(escapes[i]),
                            "an escape is none of \\n \\r \\t \\\\ \\\" and \\x with two hex digits");
    assert_string_equal(parse("s \"a\\x00\""), "\\x00 cannot be part of a text");
    assert_non_null(parse("s \"\\")); /* a backslash at the very end */
    assert_non_null(parse("s k=\"\""));
}

static void test_bad_lines(void **state)
{
    char text[2048];
    assert_non_null(parse("x =1"));
    assert_non_null(parse("x a="));
    assert_non_null(parse("x a=1 a=2"));
    assert_non_null(parse("w w w w w w w w w w w w w w w w w"));
    assert_null(parse("w w w w w w w w w w w w w w w w"));
    assert_non_null(parse("a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1"));
    for (int byte = 0; byte < 256; byte++) {
        text[0] = 'x';
        text[1] = (char)byte; /* "x=" and an open quote are bad for other reasons */
        if (byte == '=' || byte == '"')
            continue;
        bool is_text = (byte >= 0x20 && byte < 0x7f) || byte == '\t' || byte == '\r';
        assert_int_equal(parse_line(text, 2, &line) == NULL, is_text);
    }
    memset(text, 'x', sizeof(text));
    assert_non_null(parse_line(text, 1024, &line));
    assert_null(parse_line(text, 1023, &line));
    assert_int_equal(strlen(line.words[0]), 1023);
}

/* Every line, whatever is in it, gives either an error or words inside the line's own buffer. */
static void test_noise(void **state)
{
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char text[80];
        size_t bytes = 0;
        for (; bytes < sizeof(text); bytes++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            text[bytes] = " \t=#-azAZ09.\x80\x01"[(random >> 33) % 15];
        }
        if (parse_line(text, random >> 58, &line) != NULL)
            continue;
        for (unsigned i = 0; i < line.word_count; i++)
            assert_in_range((uintptr_t)line.words[i], (uintptr_t)line.text, (uintptr_t)line.text + 80);
    }
}

struct number_case {
    const char *text;
    bool good;
    uint64_t value;
};

static void check(bool (*parse_number)(const char *, u64 *), const struct number_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        u64 value = 0x5a5a;
        bool good = parse_number(cases[i].text, &value);
        if (good != cases[i].good || value != (good ? cases[i].value : 0x5a5a))
            fail_msg("'%s' gives %d, 0x%llx", cases[i].text, good, (unsigned long long)value);
    }
}

#define CHECK(function, cases) check(function, cases, sizeof(cases) / sizeof((cases)[0]))

static void test_sizes(void **state)
{
    static const struct number_case cases[] = {
        {"0", true, 0},
        {"4K", true, 4096},
        {"4k", true, 4096},
        {"2M", true, 2097152},
        {"1g", true, 1073741824},
        {"1200M", true, 1258291200},
        {"0x1000", true, 4096},
        {"0x10K", true, 16384},
        {"0X1f", true, 31},
        {"18446744073709551615", true, ~0ull},
        {"18446744073709551616", false, 0},
        {"17179869183G", true, 17179869183ull << 30},
        {"17179869184G", false, 0},
        {"", false, 0},
        {"K", false, 0},
        {"0x", false, 0},
        {"4KK", false, 0},
        {"4 K", false, 0},
        {"-1", false, 0},
        {"1a", false, 0},
        {"4Kb", false, 0},
    };
    CHECK(parse_size, cases);
}

static void test_addresses(void **state)
{
    static const struct number_case cases[] = {
        {"0", true, 0},
        {"200000", true, 0x200000},
        {"0x200000", true, 0x200000},
        {"fFfF", true, 0xffff},
        {"1G", false, 0},
        {"ffffffffffffffff", true, ~0ull},
        {"10000000000000000", false, 0},
        {"", false, 0},
        {"0x", false, 0},
        {"xyz", false, 0},
    };
    CHECK(parse_address, cases);
}

static void test_decimals(void **state)
{
    static const struct number_case cases[] = {
        {"0", true, 0}, {"255", true, 255}, {"0x10", false, 0}, {"1K", false, 0}, {"", false, 0}, {"+1", false, 0},
    };
    CHECK(parse_decimal, cases);
}

static void test_levels(void **state)
{
    level_t level = {9};
    assert_true(parse_level("4k", &level));
    assert_int_equal(level.raw, 0);
    assert_true(parse_level("2M", &level));
    assert_int_equal(level.raw, 1);
    assert_true(parse_level("1g", &level));
    assert_int_equal(level.raw, 2);
    level.raw = 9;
    assert_false(parse_level("512g", &level));
    assert_false(parse_level("4", &level));
    assert_false(parse_level("", &level));
    assert_int_equal(level.raw, 9);
}

static bool options(const char *text, struct options *o, char error[200])
{
    options_default(o);
    return options_parse(text, strlen(text), o, error, 200);
}

static void test_options(void **state)
{
    struct options o;
    char error[200];

    assert_true(options("", &o, error));
    assert_int_equal(o.log, LOG_INFO);
    assert_false(o.force);
    assert_true(options("script=demo.txt log=debug # c\nforce\ntdmem=2G\r\n", &o, error));
    assert_string_equal(o.script, "demo.txt");
    assert_int_equal(o.log, LOG_DEBUG);
    assert_true(o.force);
    assert_int_equal(o.tdmem_bytes, 2ull << 30);
    assert_int_equal(o.rows, 0);
    assert_true(options("rows=24 tdmem=16M", &o, error));
    assert_int_equal(o.rows, 24);
    assert_int_equal(o.tdmem_bytes, 16 << 20);
}

static void test_bad_options_are_named(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"colour=red", "colour"},
        {"froce", "froce"},
        {"log=loud", "loud"},
        {"tdmem=0", "tdmem"},
        {"tdmem=lots", "lots"},
        {"tdmem=4097K", "16M"},
        {"rows=2", "0, or 3 to 1000"},
        {"rows=1001", "rows"},
        {"tdmem=1", "16M"},
        {"tdmem=20000000000G", "tdmem"},
        {"log=", "value"},
        {"force=1", "force"},
        {"log=4", "debug"},
        {"script=", "value"},
        {"\x01", "byte"},
        {"script=0123456789012345678901234567890123456789012345678901234567890123", "63"},
    };
    struct options o;
    char error[200];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(options(cases[i].text, &o, error));
        if (strstr(error, cases[i].word) == NULL)
            fail_msg("'%s': the error '%s' does not say '%s'", cases[i].text, error, cases[i].word);
    }
}

/* Of several lines the one that is wrong is named. */
static void test_bad_lines_of_options_are_named(void **state)
{
    struct options o;
    char error[200];

    assert_false(options("log=debug\n# a comment\nlog=loud\n", &o, error));
    assert_string_equal(error, "line 3: option log=loud: the value must be error, warn, info or debug");
    assert_false(options("force\nlog=\n", &o, error));
    assert_string_equal(error, "line 2: options: a key=value pair lacks its key or its value");
    assert_false(options("log=", &o, error));
    assert_string_equal(error, "options: a key=value pair lacks its key or its value");
}

/* The file of the images, with all that its lines offer: each `#` that a word follows is taken away. */
static void test_options_of_the_image(void **state)
{
    static char text[4096];
    struct options o;
    char error[200];
    FILE *file = fopen("tools/image/septum.cfg", "r");

    if (file == NULL)
        fail_msg("tools/image/septum.cfg is read from the project's root");
    size_t bytes = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == '#' && text[i + 1] != ' ')
            text[i] = ' ';
    if (!options(text, &o, error))
        fail_msg("%s", error);
    assert_string_equal(o.script, "demo.sep");
    assert_int_equal(o.log, LOG_DEBUG);
    assert_true(o.tdmem_bytes == 64 * GIB && o.force);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_and_keys),
        cmocka_unit_test(test_empty_and_comment),
        cmocka_unit_test(test_dash_allows_failure),
        cmocka_unit_test(test_dash_counts_in_bad_lines),
        cmocka_unit_test(test_key_given_twice_is_named),
        cmocka_unit_test(test_hash_inside_a_word_is_no_comment),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_bad_quotes),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_bad_options_are_named),
        cmocka_unit_test(test_bad_lines_of_options_are_named),
        cmocka_unit_test(test_options_of_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
