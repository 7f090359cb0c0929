/* The TDX module that the options name, for P-SEAMLDR to install. UEFI 2.10, section 13.5. */
#include "boot/boot.h"

#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

#define SIGSTRUCT_SUFFIX ".sigstruct"
#define PATH_BYTES       (OPTION_NAME_BYTES + sizeof(SIGSTRUCT_SUFFIX))

static EFI_FILE_HANDLE open_path(struct boot_env *env, const char *path)
{
    CHAR16 wide[PATH_BYTES];
    EFI_FILE_HANDLE file;
    size_t n = 0;

    for (; path[n] != '\0'; n++)
        wide[n] = path[n] == '/' ? L'\\' : (CHAR16)path[n];
    wide[n] = 0;
    if (env->root == NULL || env->root->Open(env->root, &file, wide, EFI_FILE_MODE_READ, 0) != EFI_SUCCESS)
        return NULL;
    return file;
}

/* Zeroed pages that stay the VMM's; HPA_NONE: there are none. */
static hpa_t take_pages(struct boot_env *env, u64 bytes)
{
    EFI_PHYSICAL_ADDRESS at;

    if (env->boot->AllocatePages(AllocateAnyPages, EfiLoaderData, bytes / PAGE_BYTES, &at) != EFI_SUCCESS)
        return HPA_NONE;
    memset((void *)at, 0, bytes);
    return (hpa_t){at};
}

/* A whole file into pages of its own; NULL, or what went wrong. The end of a file is at position ~0. */
static const char *read_pages(struct boot_env *env, const char *path, hpa_t *at, u64 *bytes)
{
    EFI_FILE_HANDLE file = open_path(env, path);
    const char *wrong = NULL;

    *bytes = 0;
    if (file == NULL)
        return "there is no such file on the boot volume";
    if (file->SetPosition(file, ~0ull) != EFI_SUCCESS || file->GetPosition(file, bytes) != EFI_SUCCESS ||
        file->SetPosition(file, 0) != EFI_SUCCESS)
        wrong = "it cannot be read";
    UINTN got = *bytes;
    *at = HPA_NONE;
    if (wrong == NULL && *bytes <= SEAMLDR_IMAGE_PAGES_MAX * PAGE_BYTES)
        *at = take_pages(env, align_up(max_u64(*bytes, 1), PAGE_BYTES));
    if (wrong == NULL && hpa_is(*at, HPA_NONE))
        wrong = "it is too large for a TDX module, or for this machine's memory";
    if (wrong == NULL && (file->Read(file, &got, phys_ptr(*at)) != EFI_SUCCESS || got != *bytes))
        wrong = "it cannot be read";
    file->Close(file);
    return wrong;
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
    const char *wrong = read_pages(env, path, &f->image, &f->image_bytes);
    if (wrong != NULL)
        return fail(env, path, wrong);
    format_to(sigstruct, sizeof(sigstruct), "%s" SIGSTRUCT_SUFFIX, path);
    wrong = read_pages(env, sigstruct, &f->sigstruct, &f->sigstruct_bytes);
    if (wrong != NULL)
        return fail(env, sigstruct, wrong);
    f->exchange = take_pages(env, SEAMLDR_EXCHANGE_BYTES);
    wrong = hpa_is(f->exchange, HPA_NONE) ? "no memory" : tdx_seamldr_offer(f);
    return wrong == NULL || fail(env, path, wrong);
}
