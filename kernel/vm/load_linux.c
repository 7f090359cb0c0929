/*
 * A Linux's place in TD memory. See load.h and guest/shim/handover.h.
 *
 *   0    1M                2M         address (16M)                                      4G
 *   |    | shim | hand-over |          | the kernel runs here | bzImage | initrd |       | ROM |
 *
 * bzImage and initrd begin at 2M each. They are added by pages of 4K, for nothing larger can be added; each 2M region is filled up
 * with zeros and merged, which costs one call before the TD is finalised. What is not of the files the shim clears once more.
 */
#include "guest/shim/handover.h"
#include "guest/shim/machine.h"
#include "kernel/console/parser.h"
#include "kernel/vm/load.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "lib/string.h"
#include "mm/page.h"

#define NAMES_BYTES 160
#define REGION      level_bytes(LEVEL_2M)

/* May regions become one page? Then they are added whole, zeros included. */
static bool fills(void)
{
    return !level_is(vm.level, LEVEL_4K);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static const char *list_names(char to[NAMES_BYTES])
{
    const struct boot_info *boot = boot_info();
    size_t n = 0;

    to[0] = '\0';
    for (unsigned i = 0; i < boot->linux_count && n < NAMES_BYTES; i++)
        n += format_to(to + n, NAMES_BYTES - n, "%s%s", i == 0 ? "" : ", ", boot->linux_files[i].name);
    return boot->linux_count == 0 ? "nothing" : to;
}

static enum err find_file(const char *key, const char *name, const struct boot_file **file, struct fault_text *fault)
{
    const struct boot_info *boot = boot_info();
    char names[NAMES_BYTES];

    for (unsigned i = 0; i < boot->linux_count; i++) {
        *file = &boot->linux_files[i];
        if (!parse_same_word((*file)->name, name))
            continue;
        if ((*file)->content != NULL)
            return ERR_OK;
        return fault_say(fault, ERR_NOT_FOUND, "%s=%s: the file could not be read when Septum started", key, name);
    }
    return fault_say(fault, ERR_NOT_FOUND,
                     "%s=%s: there is no such file in the boot volume's folder linux, which has %s", key, name,
                     list_names(names));
}

static enum err find_files(const struct vm_config *c, struct fault_text *fault)
{
    char names[NAMES_BYTES];

    if (c->kernel == NULL)
        return fault_say(fault, ERR_ARGUMENT,
                         "payload=linux: kernel=NAME is missing; the boot volume's folder linux has %s",
                         list_names(names));
    enum err e = find_file("kernel", c->kernel, &vm.linux.kernel, fault);
    if (e == ERR_OK && c->initrd != NULL)
        e = find_file("initrd", c->initrd, &vm.linux.initrd, fault);
    return e;
}

/* --- checks ------------------------------------------------------------------------------------------------------- */

static const char *bzimage_text(enum bzimage_answer answer)
{
    switch (answer) {
    case BZIMAGE_SHORT:
        return "it ends before its kernel begins";
    case BZIMAGE_NO_MAGIC:
        return "it is no bzImage: there is no \"HdrS\" at 0x202";
    case BZIMAGE_OLD:
        return "its boot protocol is older than 2.12, the first with a 64-bit entry";
    case BZIMAGE_NOT_64:
        return "it has no 64-bit entry";
    case BZIMAGE_NOT_HIGH:
        return "it is a zImage, which is loaded at 64 KiB; a bzImage is needed";
    case BZIMAGE_NOT_MOVING:
        return "it is not relocatable";
    case BZIMAGE_NO_TDX:
        return "it is built without support for being a TDX guest (INTEL_TDX_GUEST, Linux 5.19 or later)";
    default:
        return "its header makes no sense";
    }
}

static enum err check_kernel(const char *name, struct bzimage *b, struct fault_text *fault)
{
    const struct boot_file *f = vm.linux.kernel;
    enum bzimage_answer answer = bzimage_read(f->content, f->bytes, b);

    memcpy(vm.linux.version, b->version, sizeof(vm.linux.version));
    if (answer == BZIMAGE_OK)
        return ERR_OK;
    return fault_say(fault, ERR_ARGUMENT, "kernel=%s: %s%s%s", name, bzimage_text(answer),
                     b->version[0] != '\0' ? "; it is " : "", b->version);
}

/* A kernel that is to accept memory finds the table of it by way of EFI, whose services it must not look for. */
#define NO_SERVICES "efi=noruntime"

static char command_line[SHIM_COMMAND_LINE_BYTES];

static enum err build_command_line(const struct vm_config *c, const struct bzimage *b, struct fault_text *fault)
{
    u64 most = min_u64(b->command_line_max, sizeof(command_line) - 1);
    const char *text = c->command_line != NULL ? c->command_line : "", *more = c->accepts_lazily ? NO_SERVICES : "";
    const char *space = *text != '\0' && *more != '\0' ? " " : "";
    u64 length = strlen(text) + strlen(space) + strlen(more);

    if (length > most)
        return fault_say(fault, ERR_RANGE, "cmdline: %llu characters%s, where this kernel takes at most %llu",
                         (unsigned long long)length, *more != '\0' ? ", those of " NO_SERVICES " included" : "",
                         (unsigned long long)most);
    format_to(command_line, sizeof(command_line), "%s%s%s", text, space, more);
    return ERR_OK;
}

static enum err check_acceptance(const struct vm_config *c, const struct bzimage *b, struct fault_text *fault)
{
    vm.linux.accepts_lazily = c->accepts_lazily;
    if (!c->accepts_lazily || b->accepts)
        return ERR_OK;
    return fault_say(fault, ERR_UNSUPPORTED,
                     "accept=lazy: kernel %s can't accept memory by itself (UNACCEPTED_MEMORY, Linux 6.5 or later)",
                     vm.linux.kernel->name);
}

/* --- layout ------------------------------------------------------------------------------------------------------- */

static enum err place(const struct bzimage *b, struct fault_text *fault)
{
    const struct boot_file *initrd = vm.linux.initrd;
    u64 kernel = align_up(b->address + b->run_bytes, REGION), end = align_up(kernel + vm.linux.kernel->bytes, REGION);

    vm.linux.kernel_gpa = (gpa_t){kernel};
    vm.linux.initrd_gpa = (gpa_t){end};
    if (initrd != NULL && (initrd->bytes > b->initrd_max || end + initrd->bytes - 1 > b->initrd_max))
        return fault_say(fault, ERR_RANGE, "initrd=%s: it would end above 0x%llx, where this kernel does not find it",
                         initrd->name, (unsigned long long)b->initrd_max);
    end = align_up(end + (initrd != NULL ? initrd->bytes : 0), REGION);
    if (end > MACHINE_HOLE_GPA)
        return fault_say(fault, ERR_RANGE, "kernel and initrd end above 0x%llx, where devices are",
                         (unsigned long long)MACHINE_HOLE_GPA);
    if (end > vm.memory_bytes)
        return fault_say(fault, ERR_RANGE,
                         "mem: the kernel%s so much that mem=%lluM is the least, and takes no work yet",
                         initrd != NULL ? " and its initrd take" : " takes", (unsigned long long)(end / MIB));
    return ERR_OK;
}

enum err linux_layout(const struct vm_config *config, struct fault_text *fault)
{
    struct guest_header h;
    struct bzimage b = {.version = ""};

    if (!load_header(payload_shim(), &h) || SHIM_GPA + h.total_bytes + PAGE_BYTES > SHIM_ROOM_END)
        return fault_say(fault, ERR_ARGUMENT, "the embedded shim has no valid header");
    vm.payload = (gpa_t){SHIM_GPA};
    vm.payload_bytes = h.total_bytes + PAGE_BYTES;
    vm.linux.handover = (gpa_t){SHIM_GPA + h.total_bytes};
    enum err e = find_files(config, fault);
    if (e == ERR_OK)
        e = check_kernel(config->kernel, &b, fault);
    if (e == ERR_OK)
        e = build_command_line(config, &b, fault);
    if (e == ERR_OK)
        e = check_acceptance(config, &b, fault);
    return e == ERR_OK ? place(&b, fault) : e;
}

/* --- loading ------------------------------------------------------------------------------------------------------ */

/* Adds [gpa, gpa + bytes) of the region that `room` is to become. */
static enum err load_part(const u8 *room, gpa_t gpa, u64 bytes, bool measured, const char *doing,
                          struct fault_text *fault)
{
    struct tdp_report r = tdp_load(vm.tdp, gpa, room + gpa.raw % REGION, bytes, measured);
    return r.err == ERR_OK ? ERR_OK : fault_tdp(fault, doing, &r);
}

/* That a whole region can't be merged costs only what 4K pages cost. */
static enum err merge_region(gpa_t gpa, const char *doing, struct fault_text *fault)
{
    struct tdp_report r = tdp_merge(vm.tdp, gpa, LEVEL_2M, NULL);
    return r.err == ERR_TD_DEAD ? fault_tdp(fault, doing, &r) : ERR_OK;
}

static void build_first_region(u8 *room)
{
    struct payload_image image = payload_shim();
    const struct boot_file *initrd = vm.linux.initrd;
    struct shim_handover h = {
        .version = SHIM_VERSION,
        .vcpus = vm.vcpu_count,
        .memory_bytes = vm.memory_bytes,
        .kernel_gpa = vm.linux.kernel_gpa.raw,
        .kernel_bytes = vm.linux.kernel->bytes,
        .initrd_gpa = initrd != NULL ? vm.linux.initrd_gpa.raw : 0,
        .initrd_bytes = initrd != NULL ? initrd->bytes : 0,
        .accepts_lazily = vm.linux.accepts_lazily,
        .command_line_bytes = (u32)strlen(command_line),
    };

    memcpy(h.command_line, command_line, strlen(command_line) + 1);
    memset(room, 0, REGION);
    memcpy(room + vm.payload.raw, image.bytes, min_u64(image.size, vm.payload_bytes));
    memcpy(room + vm.linux.handover.raw, &h, sizeof(h));
}

/* The shim, which alone is measured, the hand-over page, and the rest of their 2M if that can become one page. */
static enum err load_first_region(u8 *room, struct fault_text *fault)
{
    u64 image_bytes = vm.payload_bytes - PAGE_BYTES, end = fills() ? REGION : SHIM_GPA + vm.payload_bytes;
    gpa_t handover = vm.linux.handover;

    build_first_region(room);
    enum err e = load_part(room, vm.payload, image_bytes, true, "loading the shim", fault);
    if (e == ERR_OK)
        e = load_part(room, handover, end - handover.raw, false, "loading the hand-over page", fault);
    if (e != ERR_OK || !fills())
        return e;
    e = load_part(room, (gpa_t){0}, SHIM_GPA, false, "loading the first MiB", fault);
    return e == ERR_OK ? merge_region((gpa_t){0}, "merging the first region", fault) : e;
}

/* A region at a time, so that no operation takes long. */
static enum err load_file(u8 *room, const struct boot_file *f, gpa_t gpa, const char *doing, struct fault_text *fault)
{
    enum err e = ERR_OK;

    for (u64 done = 0; done < f->bytes && e == ERR_OK; done += REGION) {
        u64 part = min_u64(f->bytes - done, REGION);
        memcpy(room, (const u8 *)f->content + done, part);
        memset(room + part, 0, REGION - part);
        e = load_part(room, gpa_add(gpa, done), fills() ? REGION : align_up(part, PAGE_BYTES), false, doing, fault);
        if (e == ERR_OK && fills())
            e = merge_region(gpa_add(gpa, done), doing, fault);
    }
    return e;
}

enum err linux_load(struct fault_text *fault)
{
    u8 *room = page_take(REGION);

    if (room == NULL)
        return fault_say(fault, ERR_NO_MEMORY, "loading a Linux: %s", err_text(ERR_NO_MEMORY));
    enum err e = load_first_region(room, fault);
    if (e == ERR_OK)
        e = load_file(room, vm.linux.kernel, vm.linux.kernel_gpa, "loading the kernel", fault);
    if (e == ERR_OK && vm.linux.initrd != NULL)
        e = load_file(room, vm.linux.initrd, vm.linux.initrd_gpa, "loading the initrd", fault);
    page_give(room, REGION);
    return e;
}
