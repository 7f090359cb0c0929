/*
 * The machine-readable line: `@` and one JSON object (RFC 8259), written as it comes to a sink. Text is escaped; bytes
 * that are no ASCII come out as \u00XX.
 */
#ifndef KERNEL_CONSOLE_JSON_H
#define KERNEL_CONSOLE_JSON_H

#include "lib/types.h"

struct json {
    void (*put)(const char *text, size_t bytes);
    bool comma; /* the next member or element needs one in front */
};

/* `key` is NULL for an element of an array, and for the outermost object. */
void json_object(struct json *j, const char *key);
void json_end_object(struct json *j);
void json_array(struct json *j, const char *key);
void json_end_array(struct json *j);

void json_text(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, u64 value);
void json_hex(struct json *j, const char *key, u64 value); /* "0x1000" */
void json_bool(struct json *j, const char *key, bool value);
/* `bytes` as one string of hex digits. */
void json_bytes(struct json *j, const char *key, const u8 *value, size_t bytes);

#endif
