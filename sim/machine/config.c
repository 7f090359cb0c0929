/* Parser of simtdx.cfg: `key = value` lines, `#` starts a comment. One table of keys. */
#include "sim/machine/config.h"
#include "sim/machine/log.h"

#define WORD_MAX 32

static struct sim_config config = {
    .cpus = 1,
    .hkids = 32,
    .module_present = true,
    .tlb_4k = 1 << 14,
    .tlb_2m = 1 << 14,
    .tlb_1g = 1 << 14,
    .ept_levels = 4,
    .module_major = 1,
    .module_minor = 5,
    .module_update = 1,
};

enum kind { NUMBER, WIDE, FLAG, CHOICE };

struct key {
    const char *name;
    enum kind kind;
    void *target;
    u64 min, max;
    const char *words[3]; /* FLAG: what stands for false and for true; CHOICE: what stands for 0, 1, 2 */
};

/* clang-format off */
static const struct key keys[] = {
    {"cpus",           NUMBER, &config.cpus,           1, 1, {0}},
    {"hkids",          NUMBER, &config.hkids,          2, 63, {0}},
    {"module",         FLAG,   &config.module_present, 0, 1, {"absent", "present"}},
    {"strict",         FLAG,   &config.strict,         0, 1, {"0", "1"}},
    {"tlb_4k",         NUMBER, &config.tlb_4k,         32, 1 << 14, {0}},
    {"tlb_2m",         NUMBER, &config.tlb_2m,         16, 1 << 14, {0}},
    {"tlb_1g",         NUMBER, &config.tlb_1g,         4, 1 << 14, {0}},
    {"tlb_policy",     CHOICE, &config.tlb_policy,     0, 2, {"fifo", "random", "clock"}},
    {"tlb_report",     FLAG,   &config.tlb_report,     0, 1, {"0", "1"}},
    {"ept_levels",     NUMBER, &config.ept_levels,     4, 4, {0}},
    {"features0",      WIDE,   &config.features0,      0, ~0ull, {0}},
    {"module_major",   NUMBER, &config.module_major,   1, 1, {0}},
    {"module_minor",   NUMBER, &config.module_minor,   5, 5, {0}},
    {"module_update",  NUMBER, &config.module_update,  0, 999, {0}},
};
/* clang-format on */
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

const struct sim_config *sim_config(void)
{
    return &config;
}

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static int digit_of(char c, unsigned base)
{
    int d = c >= '0' && c <= '9'   ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                   : 99;
    return d < (int)base ? d : -1;
}

/* Decimal, or hex with 0x. */
static bool parse_number(const char *text, u64 *value)
{
    unsigned base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (!*text)
        return false;
    for (*value = 0; *text; text++) {
        int d = digit_of(*text, base);
        if (d < 0 || *value > (~0ull - (unsigned)d) / base)
            return false;
        *value = *value * base + (unsigned)d;
    }
    return true;
}

static bool bad(const char *name, unsigned line, const char *key, const char *value, const char *why)
{
    sim_log("%s:%u: %s%s%s: %s", name, line, key, *value ? " = " : "", value, why);
    return false;
}

static bool set_word(const struct key *key, const char *name, unsigned line, const char *value)
{
    unsigned chosen = 0;
    while (chosen <= key->max && !equal(value, key->words[chosen]))
        chosen++;
    if (chosen > key->max) {
        sim_log("%s:%u: %s = %s: allowed are %s%s%s and %s", name, line, key->name, value, key->words[0],
                key->max > 1 ? ", " : "", key->max > 1 ? key->words[1] : "", key->words[key->max]);
        return false;
    }
    if (key->kind == FLAG)
        *(bool *)key->target = chosen != 0;
    else
        *(u32 *)key->target = chosen;
    return true;
}

static bool set(const struct key *key, const char *name, unsigned line, const char *value)
{
    u64 number;
    if (key->kind == FLAG || key->kind == CHOICE)
        return set_word(key, name, line, value);
    if (!parse_number(value, &number))
        return bad(name, line, key->name, value, "a number is needed, decimal or with 0x in hex");
    if (number < key->min || number > key->max) {
        sim_log("%s:%u: %s = %s: allowed is %lu to %lu", name, line, key->name, value, (unsigned long)key->min,
                (unsigned long)key->max);
        return false;
    }
    if (key->kind == WIDE)
        *(u64 *)key->target = number;
    else
        *(u32 *)key->target = (u32)number;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copies the word [p, end) without blanks around it; false when it is too long or not printable. */
static bool copy_word(char word[WORD_MAX], const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    while (end > p && is_blank(end[-1]))
        end--;
    if (end - p >= WORD_MAX)
        return false;
    for (; p < end; p++, word++) {
        if (*p < ' ' || *p > '~')
            return false;
        *word = *p;
    }
    *word = 0;
    return true;
}

static bool parse_line(const char *name, unsigned line, const char *p, const char *end)
{
    char key[WORD_MAX], value[WORD_MAX];
    const char *equals = p;
    for (const char *q = p; q < end; q++)
        if (*q == '#')
            end = q;
    while (equals < end && *equals != '=')
        equals++;
    if (!copy_word(key, p, equals) || (equals < end && !copy_word(value, equals + 1, end)))
        return bad(name, line, "this line", "", "a word is too long or holds a byte that is no text");
    if (!*key && equals == end)
        return true;
    if (!*key || equals == end)
        return bad(name, line, *key ? key : "this line", "", "a line is `key = value`");
    for (unsigned i = 0; i < KEY_COUNT; i++)
        if (equal(key, keys[i].name))
            return set(&keys[i], name, line, value);
    return bad(name, line, key, "", "no such key");
}

bool config_parse(const char *name, const char *text, size_t bytes)
{
    unsigned line = 1;
    for (size_t at = 0; at < bytes; line++) {
        size_t end = at;
        while (end < bytes && text[end] != '\n')
            end++;
        if (!parse_line(name, line, text + at, text + end))
            return false;
        at = end + 1;
    }
    return true;
}
