/* Kernels and initrds for TDs, from the boot volume. They stay in memory for as long as the VMM runs: each `td create` may take
 * others. UEFI 2.10, section 13.5. */
#include "boot/boot.h"

#include "lib/format.h"
#include "lib/hw/cpu.h"

#define LINUX_FOLDER    L"\\linux"
#define LINUX_FILES_MAX 16

/* A name that a command can't hold is no name here. */
static bool take_name(const CHAR16 *from, char to[BOOT_FILE_NAME_BYTES])
{
    size_t n = 0;

    for (; from[n] > 0x20 && from[n] < 0x7f && n + 1 < BOOT_FILE_NAME_BYTES; n++)
        to[n] = (char)from[n];
    to[n] = '\0';
    return from[n] == 0;
}

static void say(struct boot_env *env, const char *name, const char *what)
{
    char line[200];

    format_to(line, sizeof(line), "linux\\%s: %s", name, what);
    boot_say(env, line);
}

static void add_file(struct boot_env *env, struct boot_info *info, const CHAR16 *name)
{
    struct boot_file *f = &info->linux_files[info->linux_count];
    char path[BOOT_PATH_BYTES];
    hpa_t at;

    if (!take_name(name, f->name)) {
        say(env, f->name, "a name of more than 63 characters, or with spaces or others than ASCII ones; left out");
        return;
    }
    if (info->linux_count == LINUX_FILES_MAX) {
        say(env, f->name, "left out: only 16 files are read");
        return;
    }
    format_to(path, sizeof(path), "linux/%s", f->name);
    const char *wrong = boot_read_pages(env, path, ~0ull, &at, &f->bytes);
    f->content = wrong == NULL ? phys_ptr(at) : NULL;
    info->linux_count++;
    if (wrong != NULL)
        say(env, f->name, wrong);
}

void boot_read_linux(struct boot_env *env, struct boot_info *info)
{
    static struct boot_file files[LINUX_FILES_MAX + 1]; /* one more, to build an entry in */
    static union {
        EFI_FILE_INFO info;
        u8 room[1024];
    } entry;
    static CHAR16 path[] = LINUX_FOLDER;
    EFI_FILE_HANDLE folder;

    info->linux_files = files;
    if (env->root == NULL || env->root->Open(env->root, &folder, path, EFI_FILE_MODE_READ, 0) != EFI_SUCCESS)
        return;
    for (;;) {
        UINTN bytes = sizeof(entry);
        if (folder->Read(folder, &bytes, &entry) != EFI_SUCCESS || bytes == 0)
            break;
        if (!(entry.info.Attribute & EFI_FILE_DIRECTORY))
            add_file(env, info, entry.info.FileName);
    }
    folder->Close(folder);
}
