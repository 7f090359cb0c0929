/* See next.h. UEFI specification, section 10.3.5.4: a file's node behind its device's path. */
#include "tests/system/guests/lib/next.h"

#include "tests/system/guests/lib/guest.h"

#define NEXT           L"\\next.efi"
#define PATH_BYTES_MAX 1024u

struct file_node {
    EFI_DEVICE_PATH header;
    CHAR16 name[sizeof(NEXT) / sizeof(CHAR16)];
} __attribute__((packed));

static UINTN node_bytes(const EFI_DEVICE_PATH *node)
{
    return node->Length[0] | (UINTN)node->Length[1] << 8;
}

static UINTN bytes_before_end(const EFI_DEVICE_PATH *path)
{
    const EFI_DEVICE_PATH *node = path;
    while ((node->Type & 0x7f) != 0x7f)
        node = (const void *)((const UINT8 *)node + node_bytes(node));
    return (UINTN)((const UINT8 *)node - (const UINT8 *)path);
}

EFI_STATUS next_start(EFI_HANDLE self, EFI_BOOT_SERVICES *boot)
{
    static UINT8 path[PATH_BYTES_MAX] __attribute__((aligned(8)));
    EFI_GUID path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID, image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    struct file_node file = {{MEDIA_DEVICE_PATH, MEDIA_FILEPATH_DP, {sizeof(file), 0}}, NEXT};
    EFI_DEVICE_PATH end = {0x7f, END_ENTIRE_DEVICE_PATH_SUBTYPE, {sizeof(end), 0}}, *device;
    EFI_LOADED_IMAGE *own;
    EFI_HANDLE next;
    EFI_STATUS status = boot->HandleProtocol(self, &image_guid, (void **)&own);
    if (!EFI_ERROR(status))
        status = boot->HandleProtocol(own->DeviceHandle, &path_guid, (void **)&device);
    if (EFI_ERROR(status))
        return status;
    UINTN bytes = bytes_before_end(device);
    if (bytes + sizeof(file) + sizeof(end) > sizeof(path))
        return EFI_BUFFER_TOO_SMALL;
    boot->CopyMem(path, device, bytes);
    boot->CopyMem(path + bytes, &file, sizeof(file));
    boot->CopyMem(path + bytes + sizeof(file), &end, sizeof(end));
    status = boot->LoadImage(FALSE, self, (EFI_DEVICE_PATH *)path, NULL, 0, &next);
    if (EFI_ERROR(status))
        guest_put("next: \\next.efi cannot be loaded\r\n");
    return EFI_ERROR(status) ? status : boot->StartImage(next, NULL, NULL);
}

EFI_STATUS next_fragment(EFI_BOOT_SERVICES *boot, EFI_PHYSICAL_ADDRESS below, UINTN runs, UINTN free)
{
    EFI_PHYSICAL_ADDRESS at = below;
    EFI_STATUS status = boot->AllocatePages(AllocateMaxAddress, EfiRuntimeServicesData, runs * (free + 1), &at);
    for (UINTN i = 0; i < runs && !EFI_ERROR(status); i++)
        status = boot->FreePages(at + i * (free + 1) * GUEST_PAGE, free);
    return status;
}
