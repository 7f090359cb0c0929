/* Registers in the records: by name, poisoned, set and compared. */
#include "tests/conformance/conformance.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[SEAM_GPRS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                             "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

/* The records number the poison in this order of registers; it happens to be the encoding's. */
#define POISON 0x5a5a5a5a5a5a5a00ull

void conf_differ(struct conf_diff *d, const char *fmt, ...)
{
    size_t used = strlen(d->text);
    if (used && used + 2 < sizeof(d->text)) {
        strcpy(d->text + used, ", ");
        used += 2;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->text + used, sizeof(d->text) - used, fmt, ap);
    va_end(ap);
}

int conf_reg_number(const char *name)
{
    for (int i = 0; i < SEAM_GPRS; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

/* A number is a string in hex, an object with such a string in "v", or a JSON integer. */
u64 conf_number(const json_t *value)
{
    if (json_is_object(value))
        value = json_object_get(value, "v");
    if (json_is_integer(value))
        return (u64)json_integer_value(value);
    return json_is_string(value) ? strtoull(json_string_value(value), NULL, 0) : 0;
}

void conf_poison(u64 regs[SEAM_GPRS])
{
    for (int i = 0; i < SEAM_GPRS; i++)
        regs[i] = POISON + (u64)i;
}

void conf_set_regs(u64 regs[SEAM_GPRS], const json_t *values)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)values, name, value)
    {
        int n = conf_reg_number(name);
        if (n >= 0)
            regs[n] = conf_number(value);
    }
}

void conf_compare(struct conf_diff *d, const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS], const json_t *expected)
{
    for (int i = 0; i < SEAM_GPRS; i++) {
        const json_t *value = json_object_get(expected, names[i]);
        const char *text = json_string_value(value);
        if ((i == RAX && !value) || (text && strcmp(text, "any") == 0))
            continue;
        u64 want = value ? conf_number(value) : before[i];
        if (after[i] != want)
            conf_differ(d, "%s %s%llx/%llx", names[i], value ? "" : "unchanged ", (unsigned long long)want,
                        (unsigned long long)after[i]);
    }
}

void conf_compare_nonzero(struct conf_diff *d, const u64 regs[SEAM_GPRS], const json_t *expected)
{
    for (int i = 0; i < SEAM_GPRS; i++) {
        u64 want = conf_number(json_object_get(expected, names[i]));
        if (i != RSP && regs[i] != want)
            conf_differ(d, "TD's %s %llx/%llx", names[i], (unsigned long long)want, (unsigned long long)regs[i]);
    }
}
