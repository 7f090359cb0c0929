/* The TDX module that the options name, for P-SEAMLDR to install. UEFI 2.10, section 13.5. */
#include "boot/boot.h"

#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

#define SIGSTRUCT_SUFFIX ".sigstruct"
#define PATH_BYTES       (OPTION_NAME_BYTES + sizeof(SIGSTRUCT_SUFFIX))

static const char *read_small(struct boot_env *env, const char *path, hpa_t *at, u64 *bytes)
{
    const char *wrong = boot_read_pages(env, path, SEAMLDR_FILE_BYTES_MAX, at, bytes);

    return wrong == boot_too_large ? "it is too large for a TDX module, or for this machine's memory" : wrong;
}

static bool fail(struct boot_env *env, const char *path, const char *wrong)
{
    char line[240];

    format_to(line, sizeof(line), "option module=: %s: %s", path, wrong);
    boot_say(env, line);
    return false;
}

bool boot_read_module(struct boot_env *env, struct boot_info *info)
{
    const char *path = info->options.module;
    struct seamldr_files *f = &info->module;
    char sigstruct[PATH_BYTES];

    if (path[0] == '\0')
        return true;
    const char *wrong = read_small(env, path, &f->image, &f->image_bytes);
    if (wrong != NULL)
        return fail(env, path, wrong);
    wrong = tdx_seamldr_split(f);
    if (wrong != NULL)
        return fail(env, path, wrong);
    format_to(sigstruct, sizeof(sigstruct), "%s" SIGSTRUCT_SUFFIX, path);
    if (f->sigstruct_bytes == 0)
        wrong = read_small(env, sigstruct, &f->sigstruct, &f->sigstruct_bytes);
    if (wrong != NULL)
        return fail(env, sigstruct, wrong);
    f->exchange = boot_take_pages(env, SEAMLDR_EXCHANGE_BYTES);
    wrong = hpa_is(f->exchange, HPA_NONE) ? "no memory" : tdx_seamldr_offer(f);
    return wrong == NULL || fail(env, path, wrong);
}
