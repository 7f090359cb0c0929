/*
 * The shim's way, on the first vCPU: what the VMM handed over checked, accepted and measured, all other memory accepted,
 * tables built, the protected-mode kernel moved to where it runs, and on to its 64-bit entry. Linux,
 * Documentation/arch/x86/boot.rst.
 *
 * The VMM is not believed: all sizes and places are checked here once more, since MRTD says only what this image is.
 */
#include "guest/lib/ghci.h"
#include "guest/lib/runtime.h"
#include "guest/shim/check.h"
#include "guest/shim/machine.h"
#include "guest/shim/shim.h"

#define PAGE_4K 4096ull

enum fatal_code { FATAL_SHIM = 1 };

struct boot_params shim_boot_params __attribute__((aligned(4096)));
uint8_t shim_mailbox[4096] __attribute__((aligned(4096)));
static struct efi_tables efi;
static uint8_t acpi_room[ACPI_ROOM_BYTES] __attribute__((aligned(4096)));

_Noreturn void shim_fatal(const char *words, uint64_t number)
{
    struct guest_text text = {.used = 0};
    guest_text_add(&text, words);
    guest_text_add_hex(&text, number);
    ghci_fatal(FATAL_SHIM, &text);
}

static uint64_t handover_end(void)
{
    return (uintptr_t)&shim_handover + PAGE_4K;
}

/* Behind all that the kernel may not use. */
static uint64_t kept_end(const struct shim_handover *h)
{
    return handover_end() + (h->accepts_lazily ? unaccepted_bytes(h->memory_bytes) : 0);
}

static void need(const char *wrong, uint64_t number)
{
    if (wrong) {
        shim_fatal(wrong, number);
    }
}

static void accept_unit(uint64_t at)
{
    shim_accept(at, at + UNACCEPTED_UNIT);
}

/* Where the files are, and the first 2M. None of it is accepted once more when it has been measured: what the VMM would put into
 * the place of a page then stays out of reach. */
static void accept_files(const struct shim_handover *h)
{
    shim_accept(0, SHIM_GPA);
    shim_accept(handover_end(), SHIM_ROOM_END);
    for (uint64_t at = SHIM_ROOM_END; at < h->memory_bytes; at += UNACCEPTED_UNIT) {
        if (unaccepted_is_file(h, at)) {
            accept_unit(at);
        }
    }
}

/* All else but the hole, and what `unaccepted` leaves to the kernel; NULL: it leaves nothing. */
static void accept_rest(const struct shim_handover *h, const struct unaccepted *unaccepted)
{
    for (uint64_t at = SHIM_ROOM_END; at < h->memory_bytes; at += UNACCEPTED_UNIT) {
        bool is_in_hole = at >= MACHINE_HOLE_GPA && at < MACHINE_HOLE_END;
        if (!is_in_hole && !unaccepted_is_file(h, at) && !unaccepted_has(unaccepted, at)) {
            accept_unit(at);
        }
    }
}

/*
 * What the VMM added beside what it was asked for, to fill regions of 2M, has its words in it, of which nobody knows: a kernel
 * looks for tables of a BIOS in the first MiB.
 */
static void clear(uint64_t from, uint64_t to)
{
    memset((void *)(uintptr_t)from, 0, to - from);
}

static void clear_rest(uint64_t end)
{
    clear(end, (end + UNACCEPTED_UNIT - 1) & -UNACCEPTED_UNIT);
}

static void clear_unused(const struct shim_handover *h)
{
    clear(0, SHIM_GPA);
    clear(handover_end(), SHIM_ROOM_END);
    clear_rest(h->kernel_gpa + h->kernel_bytes);
    if (h->initrd_bytes) {
        clear_rest(h->initrd_gpa + h->initrd_bytes);
    }
}

/* As TDVF and td-shim have it: the VM's configuration, the code, what the code is told. */
static void measure_all(const struct shim_handover *h)
{
    shim_measure(0, h, PAGE_4K);
    shim_measure(1, (const void *)(uintptr_t)h->kernel_gpa, h->kernel_bytes);
    shim_measure(2, h->command_line, h->command_line_bytes);
    if (h->initrd_bytes) {
        shim_measure(2, (const void *)(uintptr_t)h->initrd_gpa, h->initrd_bytes);
    }
}

static void move_kernel(const struct shim_handover *h, const struct bzimage *kernel)
{
    memcpy((void *)(uintptr_t)kernel->address, (const void *)(uintptr_t)(h->kernel_gpa + kernel->setup_bytes),
           h->kernel_bytes - kernel->setup_bytes);
}

/* Read after it was measured. */
static void read_kernel(const struct shim_handover *h, struct bzimage *kernel)
{
    enum bzimage_answer answer = bzimage_read((const void *)(uintptr_t)h->kernel_gpa, h->kernel_bytes, kernel);
    if (answer != BZIMAGE_OK) {
        shim_fatal("shim: the kernel is no bzImage that it can start: ", answer);
    }
    uint64_t number = 0;
    const char *wrong = check_place(h, kernel, &number);
    need(wrong, number);
}

/* Behind the hand-over page, where the kernel finds it. */
static struct unaccepted *leave_to_kernel(const struct shim_handover *h, const struct bzimage *kernel)
{
    struct unaccepted *u = (struct unaccepted *)(uintptr_t)handover_end();
    unaccepted_build(u, h, kernel);
    return u;
}

static void describe(const struct shim_handover *h, const struct bzimage *kernel, const struct unaccepted *unaccepted)
{
    const struct acpi_wakeup wakeup = {(uintptr_t)shim_mailbox, (uintptr_t)shim_park};
    uint64_t rsdp = acpi_build(acpi_room, (uintptr_t)acpi_room, h->vcpus, &wakeup);
    boot_params_build(&shim_boot_params, h, kernel, (const void *)(uintptr_t)h->kernel_gpa, kept_end(h), rsdp);
    if (unaccepted && !efi_build(&efi, (uintptr_t)&efi, &shim_boot_params, unaccepted, (uintptr_t)unaccepted)) {
        shim_fatal("shim: EFI's memory map is too long: ", efi.map_count);
    }
}

_Noreturn void shim_main(void)
{
    const struct shim_handover *h = &shim_handover;
    struct bzimage kernel;
    uint64_t number = 0;
    const char *wrong = check_handover(h, &number);

    need(wrong, number);
    accept_files(h);
    clear_unused(h);
    measure_all(h);
    read_kernel(h, &kernel);
    const struct unaccepted *unaccepted = h->accepts_lazily ? leave_to_kernel(h, &kernel) : NULL;
    accept_rest(h, unaccepted);
    describe(h, &kernel, unaccepted);
    move_kernel(h, &kernel);
    shim_leave(kernel.address + BZIMAGE_ENTRY_64);
}
