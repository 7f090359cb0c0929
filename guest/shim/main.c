/*
 * The shim's way, on the first vCPU: what the VMM handed over checked and measured, memory accepted, tables built, the
 * protected-mode kernel moved to where it runs, and on to its 64-bit entry. Linux, Documentation/arch/x86/boot.rst.
 *
 * The VMM is not believed: all sizes and places are checked here once more, since MRTD says only what this image is.
 */
#include "guest/lib/ghci.h"
#include "guest/lib/runtime.h"
#include "guest/shim/machine.h"
#include "guest/shim/shim.h"

#define PAGE_4K    4096ull
#define MEMORY_MAX (1ull << 42) /* whose table of unaccepted memory has room below SHIM_ROOM_END */

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

/* Is [gpa, gpa + bytes) free memory as the kernel's map will say? Nothing wraps. */
static bool is_memory(const struct shim_handover *h, uint64_t gpa, uint64_t bytes)
{
    uint64_t end = h->memory_bytes < MACHINE_HOLE_GPA ? h->memory_bytes : MACHINE_HOLE_GPA;
    return gpa >= SHIM_ROOM_END && gpa < end && bytes <= end - gpa;
}

static void check_handover(const struct shim_handover *h)
{
    if (h->version != SHIM_VERSION) {
        shim_fatal("shim: the hand-over page is of another version: ", h->version);
    }
    if (!h->vcpus || h->vcpus > SHIM_VCPUS_MAX) {
        shim_fatal("shim: the hand-over page says vCPUs: ", h->vcpus);
    }
    if (h->memory_bytes % UNACCEPTED_UNIT || h->memory_bytes > MEMORY_MAX) {
        shim_fatal("shim: the hand-over page says memory: ", h->memory_bytes);
    }
    if (!is_memory(h, h->kernel_gpa, h->kernel_bytes)) {
        shim_fatal("shim: the kernel is outside memory: ", h->kernel_gpa);
    }
    if (h->initrd_bytes && !is_memory(h, h->initrd_gpa, h->initrd_bytes)) {
        shim_fatal("shim: the initrd is outside memory: ", h->initrd_gpa);
    }
    if (h->command_line_bytes >= SHIM_COMMAND_LINE_BYTES || h->command_line[h->command_line_bytes]) {
        shim_fatal("shim: the command line does not end: ", h->command_line_bytes);
    }
}

/* All but what `unaccepted` leaves to the kernel; NULL: it leaves nothing. */
static void accept_memory(const struct shim_handover *h, const struct unaccepted *unaccepted)
{
    shim_accept(0, SHIM_GPA);
    shim_accept(handover_end(), SHIM_ROOM_END);
    for (uint64_t at = SHIM_ROOM_END; at < h->memory_bytes; at += UNACCEPTED_UNIT) {
        if (at == MACHINE_HOLE_GPA) {
            at = MACHINE_HOLE_END;
        }
        if (at < h->memory_bytes && !unaccepted_has(unaccepted, at)) {
            shim_accept(at, at + UNACCEPTED_UNIT);
        }
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

static bool overlaps(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/* Nothing that is needed still lies where the kernel goes. */
static void check_place(const struct shim_handover *h, const struct bzimage *kernel)
{
    if (!is_memory(h, kernel->address, kernel->run_bytes) ||
        overlaps(kernel->address, kernel->run_bytes, h->kernel_gpa, h->kernel_bytes) ||
        overlaps(kernel->address, kernel->run_bytes, h->initrd_gpa, h->initrd_bytes)) {
        shim_fatal("shim: there is no room for the kernel at ", kernel->address);
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
    check_place(h, kernel);
}

/* Behind the hand-over page, where the kernel finds it. */
static struct unaccepted *leave_to_kernel(const struct shim_handover *h, const struct bzimage *kernel)
{
    struct unaccepted *u = (struct unaccepted *)(uintptr_t)handover_end();
    shim_accept(handover_end(), handover_end() + unaccepted_bytes(h->memory_bytes));
    unaccepted_build(u, h, kernel);
    return u;
}

_Noreturn void shim_main(void)
{
    const struct shim_handover *h = &shim_handover;
    struct unaccepted *unaccepted = NULL;
    struct bzimage kernel;

    check_handover(h);
    measure_all(h);
    read_kernel(h, &kernel);
    if (h->accepts_lazily) {
        unaccepted = leave_to_kernel(h, &kernel);
    }
    accept_memory(h, unaccepted);
    uint64_t rsdp = acpi_build(acpi_room, (uintptr_t)acpi_room, h->vcpus, (uintptr_t)shim_mailbox);
    boot_params_build(&shim_boot_params, h, &kernel, (const void *)(uintptr_t)h->kernel_gpa, kept_end(h), rsdp);
    if (unaccepted && !efi_build(&efi, (uintptr_t)&efi, &shim_boot_params, unaccepted, (uintptr_t)unaccepted)) {
        shim_fatal("shim: EFI's memory map is too long: ", efi.map_count);
    }
    move_kernel(h, &kernel);
    shim_leave(kernel.address + BZIMAGE_ENTRY_64);
}
