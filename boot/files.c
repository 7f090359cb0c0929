/* The boot volume and the load options. UEFI 2.10, sections 9.1, 13.4 and 13.5; UEFI Shell 2.2, section 2.3. */
#include "boot/boot.h"

#include <efishell.h>

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/format.h"
#include "lib/string.h"

#define SCRIPT_FILES_MAX 64
#define SCRIPT_BYTES_MAX MIB
#define SCRIPT_FOLDER    L"\\scripts"

static EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID shell_guid = EFI_SHELL_PARAMETERS_PROTOCOL_GUID;

bool boot_open(struct boot_env *env)
{
    EFI_FILE_IO_INTERFACE *volume;

    if (env->boot->HandleProtocol(env->image, &loaded_image_guid, (void **)&env->loaded) != EFI_SUCCESS)
        return false;
    if (env->boot->HandleProtocol(env->loaded->DeviceHandle, &file_system_guid, (void **)&volume) != EFI_SUCCESS ||
        volume->OpenVolume(volume, &env->root) != EFI_SUCCESS)
        env->root = NULL;
    return true;
}

void boot_say(struct boot_env *env, const char *text)
{
    CHAR16 wide[640];
    size_t n = 0;

    for (; text[n] != '\0' && n + 3 < ARRAY_COUNT(wide); n++)
        wide[n] = (CHAR16)text[n];
    wide[n++] = L'\r';
    wide[n++] = L'\n';
    wide[n] = 0;
    env->system->ConOut->OutputString(env->system->ConOut, wide);
}

static bool is_text(CHAR16 c)
{
    return c >= 0x20 && c < 0x7f;
}

/* A shell has cut its command into words; the first, the image as it was typed, is none of the options. */
static bool add_shell_words(struct boot_env *env, char *to, size_t bytes, size_t *n)
{
    EFI_SHELL_PARAMETERS_PROTOCOL *shell;

    if (env->boot->HandleProtocol(env->image, &shell_guid, (void **)&shell) != EFI_SUCCESS)
        return false;
    for (UINTN i = 1; i < shell->Argc; i++) {
        for (const CHAR16 *c = shell->Argv[i]; *c != 0 && *n + 1 < bytes; c++)
            to[(*n)++] = is_text(*c) ? (char)*c : '?'; /* which no option has */
        if (*n < bytes)
            to[(*n)++] = ' ';
    }
    return true;
}

/* iPXE and old shells put the image's name first; a boot manager does not. */
static size_t skip_own_name(char *text, size_t bytes)
{
    size_t word = 0;

    while (word < bytes && text[word] != ' ')
        word++;
    if (word < 4 || (memcmp(text + word - 4, ".efi", 4) != 0 && memcmp(text + word - 4, ".EFI", 4) != 0))
        return bytes;
    memmove(text, text + word, bytes - word);
    return bytes - word;
}

size_t boot_load_options(struct boot_env *env, char *to, size_t bytes)
{
    const CHAR16 *from = env->loaded->LoadOptions;
    size_t n = 0, max = from != NULL ? env->loaded->LoadOptionsSize / sizeof(CHAR16) : 0;
    bool any = false;

    if (!add_shell_words(env, to, bytes, &n)) {
        for (; n < max && n < bytes && from[n] != 0; n++) {
            if (!is_text(from[n]))
                return 0;
            to[n] = (char)from[n];
        }
        n = skip_own_name(to, n);
    }
    for (size_t i = 0; i < n; i++)
        any = any || to[i] != ' ';
    return any ? n : 0;
}

static bool read_all(EFI_FILE_HANDLE file, char *to, size_t bytes, size_t *got)
{
    UINTN n = bytes;

    if (file->Read(file, &n, to) != EFI_SUCCESS)
        return false;
    *got = n;
    return true;
}

bool boot_read_small(struct boot_env *env, const CHAR16 *path, char *to, size_t bytes, size_t *got)
{
    EFI_FILE_HANDLE file;

    if (env->root == NULL || env->root->Open(env->root, &file, (CHAR16 *)path, EFI_FILE_MODE_READ, 0) != EFI_SUCCESS)
        return false;
    bool ok = read_all(file, to, bytes, got);
    file->Close(file);
    return ok;
}

static EFI_FILE_HANDLE open_path(struct boot_env *env, const char *path)
{
    CHAR16 wide[BOOT_PATH_BYTES];
    EFI_FILE_HANDLE file;
    size_t n = 0;

    for (; path[n] != '\0' && n + 1 < BOOT_PATH_BYTES; n++)
        wide[n] = path[n] == '/' ? L'\\' : (CHAR16)path[n];
    wide[n] = 0;
    if (env->root == NULL || env->root->Open(env->root, &file, wide, EFI_FILE_MODE_READ, 0) != EFI_SUCCESS)
        return NULL;
    return file;
}

hpa_t boot_take_pages(struct boot_env *env, u64 bytes)
{
    EFI_PHYSICAL_ADDRESS at;

    if (env->boot->AllocatePages(AllocateAnyPages, EfiLoaderData, bytes / PAGE_BYTES, &at) != EFI_SUCCESS)
        return HPA_NONE;
    memset((void *)at, 0, bytes);
    return (hpa_t){at};
}

const char boot_too_large[] = "it is too large, or this machine's memory is";

/* The end of a file is at position ~0. */
const char *boot_read_pages(struct boot_env *env, const char *path, u64 most, hpa_t *at, u64 *bytes)
{
    EFI_FILE_HANDLE file = open_path(env, path);
    const char *wrong = NULL;

    *bytes = 0;
    *at = HPA_NONE;
    if (file == NULL)
        return "there is no such file on the boot volume";
    if (file->SetPosition(file, ~0ull) != EFI_SUCCESS || file->GetPosition(file, bytes) != EFI_SUCCESS ||
        file->SetPosition(file, 0) != EFI_SUCCESS)
        wrong = "it cannot be read";
    UINTN got = *bytes;
    if (wrong == NULL && *bytes <= most)
        *at = boot_take_pages(env, align_up(max_u64(*bytes, 1), PAGE_BYTES));
    if (wrong == NULL && hpa_is(*at, HPA_NONE))
        wrong = boot_too_large;
    if (wrong == NULL && (file->Read(file, &got, phys_ptr(*at)) != EFI_SUCCESS || got != *bytes))
        wrong = "it cannot be read";
    file->Close(file);
    return wrong;
}

static bool is_listed(const struct boot_info *info, const char *name)
{
    for (unsigned i = 0; i < info->file_count; i++)
        if (strcmp(info->files[i].name, name) == 0)
            return true;
    return false;
}

static void to_ascii(const CHAR16 *from, char to[SCRIPT_NAME_BYTES])
{
    size_t n = 0;

    for (; from[n] != 0 && n + 1 < SCRIPT_NAME_BYTES; n++)
        to[n] = from[n] < 0x80 ? (char)from[n] : '?';
    to[n] = '\0';
}

/* Reads the file `name` of `folder` into the list; what cannot be read is left out, and `script` then does not find
 * it. */
static void add_file(struct boot_env *env, struct boot_info *info, EFI_FILE_HANDLE folder, const CHAR16 *name)
{
    struct script_file *f = &info->files[info->file_count];
    EFI_FILE_HANDLE file;
    u64 size = 0;
    char *text;

    to_ascii(name, f->name);
    if (info->file_count == SCRIPT_FILES_MAX || is_listed(info, f->name))
        return;
    if (folder->Open(folder, &file, (CHAR16 *)name, EFI_FILE_MODE_READ, 0) != EFI_SUCCESS)
        return;
    /* The end by seeking: position ~0 is the end of the file. */
    bool ok = file->SetPosition(file, ~0ull) == EFI_SUCCESS && file->GetPosition(file, &size) == EFI_SUCCESS &&
              file->SetPosition(file, 0) == EFI_SUCCESS && size <= SCRIPT_BYTES_MAX &&
              env->boot->AllocatePool(EfiLoaderData, size + 1, (void **)&text) == EFI_SUCCESS;
    if (ok && read_all(file, text, size, &f->bytes)) {
        f->text = text;
        info->file_count++;
    }
    file->Close(file);
}

static bool is_script_name(const CHAR16 *name)
{
    char ascii[SCRIPT_NAME_BYTES];
    size_t n;

    to_ascii(name, ascii);
    n = strlen(ascii);
    return n > 4 && (parse_same_word(ascii + n - 4, ".txt") || parse_same_word(ascii + n - 4, ".sep"));
}

static void add_folder(struct boot_env *env, struct boot_info *info, EFI_FILE_HANDLE folder)
{
    static union {
        EFI_FILE_INFO info;
        u8 room[1024];
    } entry;

    for (;;) {
        UINTN bytes = sizeof(entry);
        if (folder->Read(folder, &bytes, &entry) != EFI_SUCCESS || bytes == 0)
            return;
        if (!(entry.info.Attribute & EFI_FILE_DIRECTORY) && is_script_name(entry.info.FileName))
            add_file(env, info, folder, entry.info.FileName);
    }
}

static void add_named(struct boot_env *env, struct boot_info *info)
{
    CHAR16 wide[OPTION_NAME_BYTES];
    const char *name = info->options.script;
    size_t n = 0;

    for (; name[n] != '\0'; n++)
        wide[n] = (CHAR16)name[n];
    wide[n] = 0;
    if (n > 0)
        add_file(env, info, env->root, wide);
}

static bool has_named(struct boot_env *env, const struct boot_info *info)
{
    const char *name = info->options.script;
    char line[OPTION_NAME_BYTES + 100];

    if (name[0] == '\0' || is_listed(info, name))
        return true;
    format_to(line, sizeof(line),
              "option script=%s: there is no such file on the boot volume, or it is larger than 1 MiB", name);
    boot_say(env, line);
    return false;
}

bool boot_read_scripts(struct boot_env *env, struct boot_info *info)
{
    static struct script_file files[SCRIPT_FILES_MAX + 1]; /* one more, to build an entry in */
    EFI_FILE_HANDLE folder;

    info->files = files;
    if (env->root != NULL) {
        add_named(env, info);
        add_folder(env, info, env->root);
    }
    if (env->root != NULL && env->root->Open(env->root, &folder, SCRIPT_FOLDER, EFI_FILE_MODE_READ, 0) == EFI_SUCCESS) {
        add_folder(env, info, folder);
        folder->Close(folder);
    }
    return has_named(env, info);
}
