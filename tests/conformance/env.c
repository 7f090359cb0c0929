/* The recorded platform: env.json's CMRs and CPUID table, and what PLATFORM records change on the way. */
#include "tests/conformance/conformance.h"

#include <stdlib.h>
#include <string.h>

static struct plat_info base;
static struct platform_host_cpuid rows[PLATFORM_HOST_CPUID_ROWS];
static unsigned row_count;

/* What `env` says; nothing changes where it says nothing. */
static void load_cmrs(struct plat_info *info, const json_t *env)
{
    const json_t *cmrs = json_object_get(env, "cmrs");
    size_t i;
    json_t *range;
    if (cmrs)
        info->cmr_count = 0;
    json_array_foreach(cmrs, i, range)
    {
        if (info->cmr_count < PLAT_CMRS_MAX)
            info->cmrs[info->cmr_count++] =
                (struct plat_range){conf_number(json_array_get(range, 0)), conf_number(json_array_get(range, 1))};
    }
}

static void load_cpuid(const json_t *env)
{
    static const char *const regs[] = {"eax", "ebx", "ecx", "edx"};
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(env, "cpuid"), i, row)
    {
        if (row_count == PLATFORM_HOST_CPUID_ROWS)
            break;
        struct platform_host_cpuid *r = &rows[row_count++];
        r->leaf = (u32)conf_number(json_object_get(row, "leaf"));
        r->subleaf = (u32)conf_number(json_object_get(row, "subleaf"));
        for (int k = 0; k < 4; k++)
            r->regs[k] = (u32)conf_number(json_object_get(row, regs[k]));
    }
}

/* What a platform of another kind than the recorded ones says of itself; nothing changes where it says nothing. */
static void load_module(struct plat_info *info, const json_t *env)
{
    const json_t *features0 = json_object_get(env, "features0"), *version = json_object_get(env, "version");
    const json_t *levels = json_object_get(env, "ept_levels"), *filter = json_object_get(env, "single_step_filter");
    if (features0)
        info->features0 = conf_number(features0);
    if (version) {
        info->module_major = (u16)conf_number(json_array_get(version, 0));
        info->module_minor = (u16)conf_number(json_array_get(version, 1));
        info->module_update = (u16)conf_number(json_array_get(version, 2));
    }
    if (levels)
        info->ept_levels_max = (unsigned)conf_number(levels);
    if (filter)
        info->single_step_filter = conf_number(filter) != 0;
}

bool conf_env_load(const char *folder)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/env.json", folder);
    json_error_t error;
    json_t *env = json_load_file(path, 0, &error);
    base = *platform_host_default_info();
    base.single_step_filter = true;
    if (!env)
        return false;
    const json_t *keyid = json_object_get(env, "keyid");
    base.maxpa = (unsigned)conf_number(json_object_get(env, "max_pa"));
    base.keyid_bits = (unsigned)conf_number(json_object_get(keyid, "keyid_bits"));
    base.keyid_shift = (unsigned)conf_number(json_object_get(keyid, "first_keyid_bit"));
    base.first_private_hkid = (u16)conf_number(json_object_get(keyid, "global_hkid"));
    load_cmrs(&base, env);
    load_module(&base, env);
    load_cpuid(env);
    json_decref(env);
    return true;
}

void conf_env_start(const json_t *env, bool interleaved)
{
    struct plat_info info = base;
    unsigned lps = (unsigned)conf_number(json_object_get(env, "lps"));
    unsigned packages = (unsigned)conf_number(json_object_get(env, "pkgs"));
    info.lp_count = lps && lps <= CONF_LPS ? lps : 2;
    info.package_count = packages && packages <= info.lp_count ? packages : 1;
    load_cmrs(&info, env);
    platform_host_start(&info);
    if (row_count) {
        memcpy(platform_host_knobs.cpuid, rows, sizeof(rows));
        platform_host_knobs.cpuid_rows = row_count;
    }
    for (unsigned i = 0; interleaved && i < PLATFORM_HOST_LPS; i++)
        platform_host_lps[i].package = i % info.package_count;
}

static unsigned long value_behind(const char *text, const char *word, int base_of)
{
    const char *at = strstr(text, word);
    return at ? strtoul(at + strlen(word), NULL, base_of) : 0;
}

static void change_guest(struct conf *c, const char *text)
{
    if (strstr(text, "CS.L = 0"))
        c->long_mode = false;
    if (strstr(text, "CS.L = 1"))
        c->long_mode = true;
    if (strstr(text, "at CPL"))
        c->cpl = (unsigned)value_behind(text, "at CPL ", 10);
}

void conf_env_change(struct conf *c, const char *text)
{
    struct platform_host_knobs *k = &platform_host_knobs;
    if (strstr(text, "RDSEED fail") || strstr(text, "RDRAND fail"))
        k->no_entropy = true;
    if (strstr(text, "RNG ok"))
        k->no_entropy = false;
    if (strstr(text, "PCONFIG"))
        k->key = strstr(text, "entropy") ? PLAT_KEY_NO_ENTROPY : strstr(text, "busy") ? PLAT_KEY_BUSY : PLAT_KEY_OK;
    if (strstr(text, "TSC advances "))
        k->tsc_step = value_behind(text, "TSC advances ", 10);
    if (strstr(text, "IA32_APIC_BASE = "))
        for (unsigned i = 0; i < PLATFORM_HOST_LPS; i++)
            platform_host_lps[i].apic_base = value_behind(text, "IA32_APIC_BASE = ", 16);
    if (strstr(text, "RFLAGS.IF = ")) {
        struct seam_lp *lp = &platform_host_lps[value_behind(text, "on LP", 10) % CONF_LPS];
        bool on = value_behind(text, "RFLAGS.IF = ", 10) != 0;
        lp->vmm_rflags = on ? lp->vmm_rflags | 0x200 : lp->vmm_rflags & ~0x200ull;
    }
    change_guest(c, text);
}
