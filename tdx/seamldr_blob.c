/*
 * A module and its sigstruct joined in one file, TDX-BLOB, as Intel publishes them beside the two files, and as Linux takes
 * updates: a header page, the sigstruct's pages, the module's. Two versions of the header are in use: 1.0 by blob_structure.txt of
 * the repository of modules (intel/tdx-module-binaries), 2.0 by Linux (arch/x86/virt/vmx/tdx/seamldr.c).
 */
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "tdx/seamldr.h"

#define BLOB_SIGNATURE "TDX-BLOB"
#define BLOB_VERSION_1 0x100
#define BLOB_VERSION_2 0x200

struct blob_1 {
    u16 version, checksum;
    u32 module_at; /* bytes from the file's begin, as its length below */
    char signature[8];
    u32 bytes, reserved0;
    u8 reserved1[4072];
};

struct blob_2 {
    u16 version, checksum;
    char signature[8];
    u32 sigstruct_pages, module_pages;
    u8 reserved[4076];
} __attribute__((packed));

_Static_assert(sizeof(struct blob_1) == PAGE_BYTES && offsetof(struct blob_1, signature) == 8, "TDX-BLOB 1.0");
_Static_assert(sizeof(struct blob_2) == PAGE_BYTES && offsetof(struct blob_2, signature) == 4, "TDX-BLOB 2.0");

static bool is_signed(const char *at)
{
    return memcmp(at, BLOB_SIGNATURE, sizeof(BLOB_SIGNATURE) - 1) == 0;
}

static bool is_zero(const u8 *at, size_t bytes)
{
    u8 any = 0;
    for (size_t i = 0; i < bytes; i++)
        any |= at[i];
    return any == 0;
}

/* All words of 16 bits add up to 0; the pages of an odd file end with zeros. */
static bool has_checksum(const u16 *words, u64 bytes)
{
    u16 sum = 0;
    for (u64 i = 0; i < (bytes + 1) / 2; i++)
        sum = (u16)(sum + words[i]);
    return sum == 0;
}

/* Where the module begins, or 0: the header does not make sense. */
static u64 module_at(hpa_t file, u64 bytes)
{
    const struct blob_1 *one = phys_ptr(file);
    const struct blob_2 *two = phys_ptr(file);
    u64 at, end;

    if (one->version == BLOB_VERSION_1) {
        at = one->module_at;
        end = one->reserved0 == 0 && is_zero(one->reserved1, sizeof(one->reserved1)) ? one->bytes : 0;
    } else {
        at = PAGE_BYTES + two->sigstruct_pages * PAGE_BYTES;
        end = is_zero(two->reserved, sizeof(two->reserved)) ? at + two->module_pages * PAGE_BYTES : 0;
    }
    return end == bytes && at % PAGE_BYTES == 0 && at > PAGE_BYTES && at < end ? at : 0;
}

const char *tdx_seamldr_split(struct seamldr_files *f)
{
    const struct blob_1 *one = phys_ptr(f->image);
    const struct blob_2 *two = phys_ptr(f->image);

    if (f->image_bytes < PAGE_BYTES || (!is_signed(one->signature) && !is_signed(two->signature)))
        return NULL;
    if (one->version != (is_signed(one->signature) ? BLOB_VERSION_1 : BLOB_VERSION_2))
        return "this TDX-BLOB is of a version that Septum does not know: 1.0 (0x100) and 2.0 (0x200) are known";
    if (!has_checksum(phys_ptr(f->image), f->image_bytes))
        return "the checksum of this TDX-BLOB is wrong: it is cut off, or altered";
    u64 at = module_at(f->image, f->image_bytes);
    if (at == 0)
        return "the header of this TDX-BLOB is not that of a sigstruct and a module that fill the file, or reserved "
               "bytes "
               "of it are not zero";
    f->sigstruct = hpa_add(f->image, PAGE_BYTES);
    f->sigstruct_bytes = at - PAGE_BYTES;
    f->image = hpa_add(f->image, at);
    f->image_bytes -= at;
    return NULL;
}
