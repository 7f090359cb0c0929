/* The machine-readable line (kernel/console/json.h): RFC 8259, typed here by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/console/json.h"

static char out[4096];
static size_t used;

static void put(const char *text, size_t bytes)
{
    assert_true(used + bytes < sizeof(out));
    memcpy(out + used, text, bytes);
    used += bytes;
    out[used] = '\0';
}

static struct json begin(void)
{
    used = 0;
    out[0] = '\0';
    return (struct json){.put = put};
}

static void test_members(void **state)
{
    struct json j = begin();
    json_object(&j, NULL);
    json_text(&j, "cmd", "walk");
    json_bool(&j, "ok", true);
    json_number(&j, "big", UINT64_MAX);
    json_hex(&j, "gpa", 0xffffffff80000000);
    json_end_object(&j);
    assert_string_equal(out,
                        "{\"cmd\":\"walk\",\"ok\":true,\"big\":18446744073709551615,\"gpa\":\"0xffffffff80000000\"}");
}

static void test_nesting(void **state)
{
    struct json j = begin();
    json_object(&j, NULL);
    json_object(&j, "empty");
    json_end_object(&j);
    json_array(&j, "list");
    json_number(&j, NULL, 1);
    json_object(&j, NULL);
    json_bool(&j, "b", false);
    json_end_object(&j);
    json_text(&j, NULL, "");
    json_end_array(&j);
    json_array(&j, "none");
    json_end_array(&j);
    json_end_object(&j);
    assert_string_equal(out, "{\"empty\":{},\"list\":[1,{\"b\":false},\"\"],\"none\":[]}");
}

/* Each byte that a string can hold, against the escapes that RFC 8259 asks for. */
static void test_every_byte(void **state)
{
    for (int byte = 1; byte < 256; byte++) {
        char text[2] = {(char)byte, '\0'}, expected[16];
        struct json j = begin();
        json_text(&j, NULL, text);
        if (byte == '"' || byte == '\\')
            snprintf(expected, sizeof(expected), "\"\\%c\"", byte);
        else if (byte < 0x20 || byte > 0x7e)
            snprintf(expected, sizeof(expected), "\"\\u%04x\"", byte);
        else
            snprintf(expected, sizeof(expected), "\"%c\"", byte);
        assert_string_equal(out, expected);
    }
}

static void test_keys_are_escaped(void **state)
{
    struct json j = begin();
    json_object(&j, NULL);
    json_number(&j, "a\"b\n", 0);
    json_end_object(&j);
    assert_string_equal(out, "{\"a\\\"b\\u000a\":0}");
}

static void test_bytes(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x7f, 0xff, 0x0a};
    struct json j = begin();
    json_bytes(&j, NULL, bytes, sizeof(bytes));
    assert_string_equal(out, "\"007fff0a\"");
    j = begin();
    json_bytes(&j, NULL, bytes, 0);
    assert_string_equal(out, "\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),          cmocka_unit_test(test_nesting), cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_keys_are_escaped), cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
