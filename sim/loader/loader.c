/*
 * simtdx.efi: a UEFI application that starts the platform's core, a runtime driver which it carries inside it, and then starts
 * \septum.efi of the same volume as the first program on the simulated machine. UEFI specification 2.9, sections 7.4 and 9.1.
 * Firmware does not boot a runtime driver from \EFI\BOOT, hence the two parts. simtdx.cfg beside the image, or in the volume's
 * root, is handed to the core.
 */
#include <efi.h>

#define CONFIG_BYTES_MAX 65536
#define PATH_CHARS_MAX   256
#define CONFIG           L"simtdx.cfg"
#define NEXT             L"\\septum.efi"

extern const UINT8 core_image[], core_image_end[];

void hypervisor_name(UINT32 name[4]);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* Constant after start. One CPU runs this. */
static EFI_BOOT_SERVICES *boot;
static SIMPLE_TEXT_OUTPUT_INTERFACE *console;

static void say(CHAR16 *text)
{
    console->OutputString(console, text);
}

static EFI_STATUS fail(CHAR16 *what, EFI_STATUS status)
{
    say(L"simtdx: ");
    say(what);
    say(L"\r\n");
    return status;
}

static EFI_LOADED_IMAGE *loaded_image(EFI_HANDLE handle)
{
    EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    EFI_LOADED_IMAGE *loaded = NULL;
    boot->HandleProtocol(handle, &guid, (void **)&loaded);
    return loaded;
}

static EFI_FILE *open_volume(EFI_HANDLE device)
{
    EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
    EFI_FILE_IO_INTERFACE *volume;
    EFI_FILE *root;
    if (EFI_ERROR(boot->HandleProtocol(device, &guid, (void **)&volume)) ||
        EFI_ERROR(volume->OpenVolume(volume, &root)))
        return NULL;
    return root;
}

/* Reads a file whole into *text, at most CONFIG_BYTES_MAX; EFI_NOT_FOUND where there is none. */
static EFI_STATUS read_config(EFI_FILE *root, CHAR16 *name, void **text, UINTN *bytes)
{
    EFI_FILE *file;
    EFI_STATUS status = root->Open(root, &file, name, EFI_FILE_MODE_READ, 0);
    if (EFI_ERROR(status))
        return status;
    *bytes = CONFIG_BYTES_MAX + 1;
    status = boot->AllocatePool(EfiLoaderData, *bytes, text);
    if (!EFI_ERROR(status))
        status = file->Read(file, bytes, *text);
    file->Close(file);
    if (!EFI_ERROR(status) && *bytes > CONFIG_BYTES_MAX)
        return fail(L"simtdx.cfg is longer than 64 KiB", EFI_BAD_BUFFER_SIZE);
    return status;
}

/* The path of the image's file with the last name replaced; false where the firmware gives none or it is too long. */
static BOOLEAN path_beside(EFI_LOADED_IMAGE *own, CHAR16 path[PATH_CHARS_MAX])
{
    UINTN length = 0, directory = 0;
    for (EFI_DEVICE_PATH *node = own->FilePath; node && !IsDevicePathEnd(node); node = NextDevicePathNode(node)) {
        const CHAR16 *name = (const CHAR16 *)(node + 1);
        UINTN chars = (DevicePathNodeLength(node) - sizeof(*node)) / sizeof(CHAR16);
        if (DevicePathType(node) != MEDIA_DEVICE_PATH || DevicePathSubType(node) != MEDIA_FILEPATH_DP)
            continue;
        for (UINTN i = 0; i < chars && name[i]; i++) {
            if (length + sizeof(CONFIG) / sizeof(CHAR16) >= PATH_CHARS_MAX)
                return FALSE;
            path[length++] = name[i];
            if (name[i] == L'\\')
                directory = length;
        }
    }
    for (UINTN i = 0; i < sizeof(CONFIG) / sizeof(CHAR16); i++)
        path[directory + i] = CONFIG[i];
    return directory > 0;
}

static EFI_STATUS find_config(EFI_LOADED_IMAGE *own, void **text, UINTN *bytes)
{
    CHAR16 beside[PATH_CHARS_MAX];
    EFI_FILE *root = open_volume(own->DeviceHandle);
    EFI_STATUS status = EFI_NOT_FOUND;
    *text = NULL;
    *bytes = 0;
    if (!root)
        return EFI_SUCCESS;
    if (path_beside(own, beside))
        status = read_config(root, beside, text, bytes);
    if (status == EFI_NOT_FOUND)
        status = read_config(root, CONFIG, text, bytes);
    root->Close(root);
    return status == EFI_NOT_FOUND ? EFI_SUCCESS : status;
}

static EFI_STATUS start_core(EFI_HANDLE self, EFI_LOADED_IMAGE *own)
{
    EFI_HANDLE core;
    void *text;
    UINTN bytes;
    EFI_STATUS status = find_config(own, &text, &bytes);
    if (EFI_ERROR(status))
        return fail(L"simtdx.cfg cannot be read", status);
    status = boot->LoadImage(FALSE, self, NULL, (void *)core_image, (UINTN)(core_image_end - core_image), &core);
    if (EFI_ERROR(status))
        return fail(L"the firmware does not load the platform's core", status);
    EFI_LOADED_IMAGE *loaded = loaded_image(core);
    loaded->LoadOptions = text;
    loaded->LoadOptionsSize = (UINT32)bytes;
    status = boot->StartImage(core, NULL, NULL);
    if (EFI_ERROR(status))
        return fail(L"the platform did not start; the reason is on the serial console", status);
    return EFI_SUCCESS;
}

/* The boot device's path, then a file on it: UEFI specification, section 10.3.5.4. LoadImage() copies what it keeps. */
struct file_node {
    EFI_DEVICE_PATH header;
    CHAR16 name[sizeof(NEXT) / sizeof(CHAR16)];
} __attribute__((packed));

static EFI_DEVICE_PATH *path_of_next(EFI_HANDLE device)
{
    EFI_GUID guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
    struct file_node file = {{MEDIA_DEVICE_PATH, MEDIA_FILEPATH_DP, {sizeof(file), 0}}, NEXT};
    EFI_DEVICE_PATH end = {END_DEVICE_PATH_TYPE, END_ENTIRE_DEVICE_PATH_SUBTYPE, {sizeof(end), 0}};
    EFI_DEVICE_PATH *of_device, *node;
    UINT8 *path;
    if (EFI_ERROR(boot->HandleProtocol(device, &guid, (void **)&of_device)))
        return NULL;
    for (node = of_device; !IsDevicePathEnd(node); node = NextDevicePathNode(node))
        ;
    UINTN bytes = (UINTN)((UINT8 *)node - (UINT8 *)of_device);
    if (EFI_ERROR(boot->AllocatePool(EfiLoaderData, bytes + sizeof(file) + sizeof(end), (void **)&path)))
        return NULL;
    boot->CopyMem(path, of_device, bytes);
    boot->CopyMem(path + bytes, &file, sizeof(file));
    boot->CopyMem(path + bytes + sizeof(file), &end, sizeof(end));
    return (EFI_DEVICE_PATH *)path;
}

/* A shell's command begins with this image as it was typed, maybe in quotes, which is no option of the next one. */
static void hand_on_options(EFI_HANDLE self, const EFI_LOADED_IMAGE *own, EFI_LOADED_IMAGE *next)
{
    /* EFI_SHELL_PARAMETERS_PROTOCOL_GUID; constant after start. */
    static EFI_GUID shell = {0x752f3136, 0x4e16, 0x4fdc, {0xa2, 0x2a, 0xe5, 0xf4, 0x68, 0x12, 0xf4, 0xca}};
    CHAR16 *at = own->LoadOptions;
    UINT32 bytes = own->LoadOptionsSize;
    BOOLEAN is_quoted = FALSE;
    void *words;
    BOOLEAN by_shell = !EFI_ERROR(boot->HandleProtocol(self, &shell, &words));
    for (; by_shell && bytes >= sizeof(*at) && *at && (is_quoted || *at != L' '); at++) {
        is_quoted ^= *at == L'"';
        bytes -= sizeof(*at);
    }
    next->LoadOptions = at;
    next->LoadOptionsSize = bytes;
}

static EFI_STATUS start_septum(EFI_HANDLE self, const EFI_LOADED_IMAGE *own)
{
    EFI_HANDLE next;
    EFI_DEVICE_PATH *path = path_of_next(own->DeviceHandle);
    EFI_STATUS status = path ? boot->LoadImage(FALSE, self, path, NULL, 0, &next) : EFI_NOT_FOUND;
    if (EFI_ERROR(status))
        return fail(NEXT L" cannot be loaded from the boot volume", status);
    hand_on_options(self, own, loaded_image(next));
    return boot->StartImage(next, NULL, NULL);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    boot = system->BootServices;
    console = system->ConOut;
    EFI_LOADED_IMAGE *own = loaded_image(image);
    UINT32 name[4];
    if (!own)
        return fail(L"the firmware does not say where this image comes from", EFI_LOAD_ERROR);
    EFI_STATUS status = start_core(image, own);
    if (EFI_ERROR(status))
        return status;
    hypervisor_name(name); /* the look at it tells the core that its start is over */
    return start_septum(image, own);
}
