/*
 * What the parts of boot/ share: the firmware's tables and the boot volume. Everything here ends with boot services.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <efi.h>

#include "kernel/console/parser.h"
#include "kernel/boot_info.h"

#define BOOT_PATH_BYTES 128

struct boot_env {
    EFI_HANDLE image;
    EFI_SYSTEM_TABLE *system;
    EFI_BOOT_SERVICES *boot;
    EFI_LOADED_IMAGE *loaded;
    EFI_FILE_HANDLE root; /* of the boot volume; NULL: the image came from elsewhere */
    EFI_MEMORY_DESCRIPTOR *map;
    UINTN map_bytes;
};

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* Finds the loaded image and the volume that it came from. */
bool boot_open(struct boot_env *env);
/* A line on the firmware's console; ASCII. */
void boot_say(struct boot_env *env, const char *text);
/* The UEFI variable SecureBoot. */
enum tdx_secure_boot boot_secure_boot(struct boot_env *env);
/* What `septum.efi check` prints: every condition of a TDX host, as far as it can be seen from here. */
void boot_check(struct boot_env *env, struct boot_info *info);
/* The load options as ASCII, without the image's own name in front. 0: none, or no text (some boot managers put binary
 * data there). */
size_t boot_load_options(struct boot_env *env, char *to, size_t bytes);

/* A whole file of at most `bytes`; false where there is none. */
bool boot_read_small(struct boot_env *env, const CHAR16 *path, char *to, size_t bytes, size_t *got);
/* Zeroed pages that stay the VMM's; HPA_NONE: there are none. */
hpa_t boot_take_pages(struct boot_env *env, u64 bytes);
/* A whole file of at most `most` bytes into such pages; NULL, or what went wrong. */
const char *boot_read_pages(struct boot_env *env, const char *path, u64 most, hpa_t *at, u64 *bytes);
extern const char boot_too_large[]; /* what it says where the file is, or memory is not there for it */
/* Every *.txt and *.sep file of the volume's root and of \scripts, and the one that the options name. False: that one is not there,
 * which was said. */
bool boot_read_scripts(struct boot_env *env, struct boot_info *info);

/* Every file of the folder \linux, for TDs to start a Linux with. What can't be read is said, and listed all the same. */
void boot_read_linux(struct boot_env *env, struct boot_info *info);

/* Finds the line and says where it is; info->rsdp is known. False: there is none, and nobody has said that none is wanted. */
bool boot_find_line(struct boot_env *env, struct boot_info *info);
/* From here on nothing goes to the firmware's console. */
void boot_line_ends(void);
/* Reads the TDX module that the options name, and its sigstruct, and offers them to P-SEAMLDR. False: what is wrong was said. */
bool boot_read_module(struct boot_env *env, struct boot_info *info);

/* How many pages the page tables may take; 0: the memory map cannot be read. */
u64 boot_pool_pages(struct boot_env *env, struct boot_info *info);
/* Takes room for the firmware's memory map and for the lists of info->map, and gives back what was taken for it before. False:
 * there is none. The firmware allows it also after a failed ExitBootServices(). */
bool boot_memory_map_reserve(struct boot_env *env, struct boot_info *info);
/* Reads the map and fills info->map; allocates nothing. EFI_BUFFER_TOO_SMALL: it has grown, reserve again. */
EFI_STATUS boot_memory_map(struct boot_env *env, struct boot_info *info, UINTN *key);

#endif
