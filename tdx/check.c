/*
 * The table of conditions of a TDX host and how it is gone through. TDX Module Base Architecture Specification, "Enumeration of
 * Intel TDX". What each looks at is in check_cpu.c and check_module.c.
 */
#include "tdx/check_internal.h"

#include <stdarg.h>

#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

enum condition_id {
#define X(name) AT_##name,
    TDX_CHECK_LOOKS(X)
#undef X
};

#define AFTER(name) BIT(AT_##name)

/* Without what is NEEDED no TD runs, and tdx_detect() fails. */
#define NEEDED true
#define USEFUL false

/* clang-format off */
static const struct condition {
    u64 after; /* those that it depends on, one bit each */
    bool is_needed;
    const char *name;
    void (*look)(const struct tdx_check_host *host, struct tdx_check *c);
} conditions[] = {
#define ROW(name, needed, after) [AT_##name] = {after, needed, #name, tdx_look_##name}
    ROW(secure_boot,     USEFUL, 0),
    ROW(vendor,          NEEDED, 0),
    ROW(family,          USEFUL, AFTER(vendor)),
    ROW(microcode,       USEFUL, AFTER(vendor)),
    ROW(vmx,             NEEDED, AFTER(vendor)),
    ROW(feature_control, NEEDED, AFTER(vmx)),
    ROW(movdir64b,       NEEDED, AFTER(vendor)),
    ROW(x2apic,          USEFUL, AFTER(vendor)),
    ROW(sgx,             USEFUL, AFTER(vendor)),
    ROW(tme,             NEEDED, AFTER(vendor)),
    ROW(keyids,          NEEDED, AFTER(tme)),
    ROW(seamrr,          NEEDED, AFTER(vendor)),
    ROW(seamrr_enabled,  NEEDED, AFTER(seamrr)),
    ROW(seamrr_locked,   NEEDED, AFTER(seamrr_enabled)),
    ROW(smrr,            USEFUL, AFTER(vendor)),
    ROW(misc_enable,     USEFUL, AFTER(vendor)),
    ROW(cpuid,           USEFUL, AFTER(vendor)),
    ROW(same_microcode,  USEFUL, AFTER(vendor)),
    ROW(same_msrs,       USEFUL, AFTER(vendor)),
    ROW(same_cpuid,      USEFUL, AFTER(vendor)),
    ROW(cpus,            USEFUL, 0),
    ROW(vmxon,           NEEDED, AFTER(feature_control)),
    ROW(seamldr,         USEFUL, AFTER(vmxon) | AFTER(seamrr_locked)),
    ROW(module,          NEEDED, AFTER(vmxon) | AFTER(seamrr_locked) | AFTER(keyids)),
    ROW(module_version,  USEFUL, AFTER(module)),
    ROW(cmrs,            USEFUL, AFTER(module_version)),
    ROW(tdx_memory,      USEFUL, 0),
#undef ROW
};
/* clang-format on */
_Static_assert(ARRAY_COUNT(conditions) <= TDX_CHECKS_MAX, "callers have room for them all");

void tdx_check_add(struct tdx_check *c, const char *fmt, ...)
{
    size_t used = strlen(c->value);
    va_list args;

    va_start(args, fmt);
    format_v(c->value + used, sizeof(c->value) - used, fmt, args);
    va_end(args);
}

void tdx_check_lacks(struct tdx_check *c, const char *fix)
{
    c->state = TDX_CHECK_MISSING;
    c->fix = fix;
}

void tdx_check_unknown(struct tdx_check *c)
{
    c->state = TDX_CHECK_UNKNOWN;
}

bool tdx_check_msr(struct tdx_check *c, const char *name, u32 msr, u64 *value)
{
    bool is_there = cpu_read_msr(msr, value);
    const char *comma = c->value[0] != '\0' ? ", " : "";

    if (is_there) {
        tdx_check_add(c, "%s%s (MSR 0x%x) = 0x%llx", comma, name, msr, (unsigned long long)*value);
    } else {
        tdx_check_add(c, "%s%s (MSR 0x%x) raises #GP", comma, name, msr);
        tdx_check_unknown(c);
    }
    return is_there;
}

/* `lost`: conditions that are missing, or were not asked since one is. */
static void look(unsigned i, const struct tdx_check_host *host, struct tdx_check *c, u64 *lost)
{
    u64 stands_against = conditions[i].after & *lost;

    *c = (struct tdx_check){.name = conditions[i].name, .state = TDX_CHECK_OK, .fix = ""};
    if (stands_against != 0) {
        tdx_check_unknown(c);
        tdx_check_add(c, "not asked without %s", conditions[__builtin_ctzll(stands_against)].name);
        *lost |= BIT(i);
        return;
    }
    conditions[i].look(host, c);
    if (c->state == TDX_CHECK_MISSING)
        *lost |= BIT(i);
}

unsigned tdx_check(const struct tdx_check_host *host, struct tdx_check checks[TDX_CHECKS_MAX])
{
    u64 lost = 0;

    for (unsigned i = 0; i < ARRAY_COUNT(conditions); i++)
        look(i, host, &checks[i], &lost);
    return ARRAY_COUNT(conditions);
}

bool tdx_check_needed(struct tdx_check *missing)
{
    static const struct tdx_check_host nothing_known = {.page = {~0ull}};
    u64 lost = 0;

    for (unsigned i = 0; i < ARRAY_COUNT(conditions); i++) {
        if (!conditions[i].is_needed)
            continue;
        look(i, &nothing_known, missing, &lost);
        if (missing->state == TDX_CHECK_MISSING)
            return true;
    }
    return false;
}

const char *tdx_check_state_name(enum tdx_check_state state)
{
    static const char *const names[] = {"ok", "missing", "unknown"};
    return names[state];
}
