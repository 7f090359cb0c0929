/* JSON to a sink. See json.h. */
#include "kernel/console/json.h"

#include "lib/format.h"
#include "lib/string.h"

static void put_text(struct json *j, const char *text)
{
    j->put(text, strlen(text));
}

static void put_quoted(struct json *j, const char *text)
{
    char escaped[8];

    put_text(j, "\"");
    for (const char *at = text; *at != '\0'; at++) {
        u8 c = (u8)*at;
        if (c == '"' || c == '\\')
            format_to(escaped, sizeof(escaped), "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            format_to(escaped, sizeof(escaped), "\\u%04x", c);
        else
            format_to(escaped, sizeof(escaped), "%c", c);
        put_text(j, escaped);
    }
    put_text(j, "\"");
}

static void begin(struct json *j, const char *key)
{
    if (j->comma)
        put_text(j, ",");
    j->comma = true;
    if (key != NULL) {
        put_quoted(j, key);
        put_text(j, ":");
    }
}

void json_object(struct json *j, const char *key)
{
    begin(j, key);
    put_text(j, "{");
    j->comma = false;
}

void json_end_object(struct json *j)
{
    put_text(j, "}");
    j->comma = true;
}

void json_array(struct json *j, const char *key)
{
    begin(j, key);
    put_text(j, "[");
    j->comma = false;
}

void json_end_array(struct json *j)
{
    put_text(j, "]");
    j->comma = true;
}

void json_text(struct json *j, const char *key, const char *value)
{
    begin(j, key);
    put_quoted(j, value);
}

void json_number(struct json *j, const char *key, u64 value)
{
    char text[24];

    begin(j, key);
    format_to(text, sizeof(text), "%llu", (unsigned long long)value);
    put_text(j, text);
}

void json_hex(struct json *j, const char *key, u64 value)
{
    char text[24];

    begin(j, key);
    format_to(text, sizeof(text), "\"0x%llx\"", (unsigned long long)value);
    put_text(j, text);
}

void json_bool(struct json *j, const char *key, bool value)
{
    begin(j, key);
    put_text(j, value ? "true" : "false");
}

void json_bytes(struct json *j, const char *key, const u8 *value, size_t bytes)
{
    char digits[4];

    begin(j, key);
    put_text(j, "\"");
    for (size_t i = 0; i < bytes; i++) {
        format_to(digits, sizeof(digits), "%02x", value[i]);
        put_text(j, digits);
    }
    put_text(j, "\"");
}
