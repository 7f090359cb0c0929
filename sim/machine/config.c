/* Parser of simtdx.cfg: `key = value` lines, `#` starts a comment. One table of keys. */
#include "sim/machine/config.h"
#include "sim/machine/log.h"

#define WORD_MAX    64
#define NUMBERS_MAX 3

/* Constant after start. */
static struct sim_config config = {
    .packages = 1,
    .threads = 1,
    .hkids = 32,
    .module_present = true,
    .seamldr_present = true,
    .seamrr = SEAMRR_ON,
    .tme = TME_ON,
    .vmx = true,
    .sgx = true,
    .smrr_locked = true,
    .microcode = 0x2b000590,
    .tlb_4k = 1 << 14,
    .tlb_2m = 1 << 14,
    .tlb_1g = 1 << 14,
    .ept_levels = 4,
    .features0 = 0xf0fbf, /* as module 1.5.01 says */
    .module_major = 1,
    .module_minor = 5,
    .module_update = 1,
    .tdcs_pages = 6,
};

enum kind { NUMBER, WIDE, FLAG, CHOICE, LIST };

struct key {
    const char *name;
    enum kind kind;
    void *target;
    u64 min, max;         /* LIST: what each number is a multiple of; numbers in a line, the words say which */
    const char *words[4]; /* FLAG: what stands for false and for true; CHOICE: what stands for 0, 1, 2, 3 */
};

/* clang-format off */
static const struct key keys[] = {
    {"packages",       NUMBER, &config.packages,       1, 4, {0}},
    {"threads",        NUMBER, &config.threads,        1, 2, {0}},
    {"apic_id_base",   NUMBER, &config.apic_id_base,   0, 1 << 20, {0}},
    {"acpi",           FLAG,   &config.acpi_damaged,   0, 1, {"good", "damaged"}},
    {"hkids",          NUMBER, &config.hkids,          1, 63, {0}},
    {"module",         FLAG,   &config.module_present, 0, 1, {"absent", "present"}},
    {"seamldr",        FLAG,   &config.seamldr_present, 0, 1, {"absent", "present"}},
    {"seamldr_busy_every", NUMBER, &config.seamldr_busy_every, 0, 1 << 30, {0}},
    {"seamldr_refuses", LIST,  &config.seamldr_refusals, 1, 1, {"status"}},
    {"seamldr_called", LIST,   &config.seamldr_called, 1, 1, {"CPU"}},
    {"seamrr",         CHOICE, &config.seamrr,         0, 3, {"absent", "off", "unlocked", "locked"}},
    {"tme",            CHOICE, &config.tme,            0, 2, {"absent", "off", "on"}},
    {"vmx",            FLAG,   &config.vmx,            0, 1, {"off", "on"}},
    {"sgx",            FLAG,   &config.sgx,            0, 1, {"off", "on"}},
    {"smrr",           FLAG,   &config.smrr_locked,    0, 1, {"unlocked", "locked"}},
    {"local_apic",     FLAG,   &config.x2apic,         0, 1, {"kept", "x2apic"}},
    {"cr4_left",       WIDE,   &config.cr4_left,       0, ~0ull, {0}},
    {"reset",          CHOICE, &config.reset,          0, 3, {"works", "returns", "faults", "hangs"}},
    {"microcode",      NUMBER, &config.microcode,      0, 0xffffffff, {0}},
    {"msr_differs",    NUMBER, &config.msr_differs,    1, 63, {0}},
    {"microcode_differs", NUMBER, &config.microcode_differs, 1, 63, {0}},
    {"cpuid_differs",  LIST,   &config.cpuid_differs,  1, 2, {"CPU", "leaf"}},
    {"strict",         FLAG,   &config.strict,         0, 1, {"0", "1"}},
    {"tlb_4k",         NUMBER, &config.tlb_4k,         32, 1 << 14, {0}},
    {"tlb_2m",         NUMBER, &config.tlb_2m,         16, 1 << 14, {0}},
    {"tlb_1g",         NUMBER, &config.tlb_1g,         4, 1 << 14, {0}},
    {"tlb_policy",     CHOICE, &config.tlb_policy,     0, 2, {"fifo", "random", "clock"}},
    {"tlb_report",     FLAG,   &config.tlb_report,     0, 1, {"0", "1"}},
    {"ept_levels",     NUMBER, &config.ept_levels,     4, 4, {0}},
    {"features0",      WIDE,   &config.features0,      0, ~0ull, {0}},
    {"module_major",   NUMBER, &config.module_major,   1, 2, {0}},
    {"module_minor",   NUMBER, &config.module_minor,   0, 99, {0}},
    {"module_update",  NUMBER, &config.module_update,  0, 999, {0}},
    {"tdcs_pages",     NUMBER, &config.tdcs_pages,     6, 9, {0}},
    {"cpuid_refused",  NUMBER, &config.cpuid_refused,  1, 0xffffffff, {0}},
    {"field_absent",   LIST,   &config.absent_fields,  1, 1, {"field"}},
    {"interrupt_every", NUMBER, &config.interrupt_every, 0, 1 << 30, {0}},
    {"smi_every",      NUMBER, &config.smi_every,      0, 1 << 30, {0}},
    {"busy_every",     NUMBER, &config.busy_every,     0, 1 << 30, {0}},
    {"cpu_dead",       NUMBER, &config.cpu_dead,       1, 63, {0}},
    {"kick_lost",      NUMBER, &config.kick_lost,      1, 63, {0}},
    {"memory_error",   LIST,   &config.memory_errors,  1, 2, {"gpa", "status"}},
    {"cmr_hole",       LIST,   &config.cmr_holes,      4096, 2, {"base", "bytes"}},
    {"latency",        LIST,   &config.latencies,      1, 2, {"leaf", "cycles"}},
    {"fault",          LIST,   &config.faults,         1, 3, {"leaf", "n", "status"}},
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

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Decimal, or hex with 0x, up to a blank or the end; what follows it, or NULL. */
static const char *parse_number(const char *text, u64 *value)
{
    unsigned base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (!*text || is_blank(*text))
        return NULL;
    for (*value = 0; *text && !is_blank(*text); text++) {
        int d = digit_of(*text, base);
        if (d < 0 || *value > (~0ull - (unsigned)d) / base)
            return NULL;
        *value = *value * base + (unsigned)d;
    }
    while (is_blank(*text))
        text++;
    return text;
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
        sim_log("%s:%u: %s = %s: allowed are %s%s%s%s%s and %s", name, line, key->name, value, key->words[0],
                key->max > 1 ? ", " : "", key->max > 1 ? key->words[1] : "", key->max > 2 ? ", " : "",
                key->max > 2 ? key->words[2] : "", key->words[key->max]);
        return false;
    }
    if (key->kind == FLAG)
        *(bool *)key->target = chosen != 0;
    else
        *(u32 *)key->target = chosen;
    return true;
}

/* One more line of a list: so many numbers, and no more. */
static bool add_line(const struct key *key, const char *name, unsigned line, const char *value)
{
    u64 numbers[NUMBERS_MAX];
    const char *p = value;
    for (unsigned i = 0; i < key->max; i++)
        p = p ? parse_number(p, &numbers[i]) : NULL;
    if (!p || *p) {
        sim_log("%s:%u: %s = %s: %lu number%s needed: %s %s %s", name, line, key->name, value, (unsigned long)key->max,
                key->max == 1 ? " is" : "s are", key->words[0], key->max > 1 ? key->words[1] : "",
                key->max > 2 ? key->words[2] : "");
        return false;
    }
    for (unsigned i = 0; i < key->max; i++)
        if (numbers[i] % key->min)
            return bad(name, line, key->name, value, "these must be multiples of 4096");
    struct config_list *list = key->target;
    if (list->count == CONFIG_LIST_MAX)
        return bad(name, line, key->name, value, "there are 16 such lines already, which is all there may be");
    for (unsigned i = 0; i < key->max; i++)
        list->lines[list->count][i] = numbers[i];
    list->count++;
    return true;
}

static bool set(const struct key *key, const char *name, unsigned line, const char *value)
{
    u64 number;
    if (key->kind == FLAG || key->kind == CHOICE)
        return set_word(key, name, line, value);
    if (key->kind == LIST)
        return add_line(key, name, line, value);
    const char *rest = parse_number(value, &number);
    if (!rest || *rest)
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
        if (!is_blank(*p) && (*p < ' ' || *p > '~'))
            return false;
        *word = is_blank(*p) ? ' ' : *p;
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
