/*
 * The shim's way, on the first vCPU: memory accepted, what the VMM handed over checked and measured, tables built, the
 * protected-mode kernel moved to where it runs, and on to its 64-bit entry. Linux, Documentation/arch/x86/boot.rst.
 *
 * The VMM is not believed: all sizes and places are checked here once more, since MRTD says only what this image is.
 */
#include "guest/lib/ghci.h"
#include "guest/lib/runtime.h"
#include "guest/shim/machine.h"
#include "guest/shim/shim.h"

#define PAGE_4K 4096ull

enum fatal_code { FATAL_SHIM = 1 };

struct boot_params shim_boot_params __attribute__((aligned(4096)));
uint8_t shim_mailbox[4096] __attribute__((aligned(4096)));
static uint8_t acpi_room[ACPI_ROOM_BYTES] __attribute__((aligned(4096)));

_Noreturn void shim_fatal(const char *words, uint64_t number)
{
    struct guest_text text = {.used = 0};
    guest_text_add(&text, words);
    guest_text_add_hex(&text, number);
    ghci_fatal(FATAL_SHIM, &text);
}

static uint64_t kept_end(void)
{
    return (uintptr_t)&shim_handover + PAGE_4K;
}

/* Is [gpa, gpa + bytes) free memory as the kernel's map will say? Nothing wraps. */
static bool is_memory(const struct shim_handover *h, uint64_t gpa, uint64_t bytes)
{
    uint64_t end = h->memory_bytes < MACHINE_HOLE_GPA ? h->memory_bytes : MACHINE_HOLE_GPA;
    return gpa >= kept_end() && gpa < end && bytes <= end - gpa;
}

static void check_handover(const struct shim_handover *h)
{
    if (h->version != SHIM_VERSION) {
        shim_fatal("shim: the hand-over page is of another version: ", h->version);
    }
    if (!h->vcpus || h->vcpus > SHIM_VCPUS_MAX) {
        shim_fatal("shim: the hand-over page says vCPUs: ", h->vcpus);
    }
    if (h->memory_bytes % PAGE_4K || h->memory_bytes > 1ull << 46) {
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

/* Between the last of the shim and the end of memory, but for the hole. */
static void accept_all(const struct shim_handover *h)
{
    uint64_t low_end = h->memory_bytes < MACHINE_HOLE_GPA ? h->memory_bytes : MACHINE_HOLE_GPA;
    shim_accept(0, SHIM_GPA);
    shim_accept(kept_end(), low_end);
    shim_accept(MACHINE_HOLE_END, h->memory_bytes);
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

_Noreturn void shim_main(void)
{
    const struct shim_handover *h = &shim_handover;
    struct bzimage kernel;

    check_handover(h);
    accept_all(h);
    measure_all(h);
    const void *file = (const void *)(uintptr_t)h->kernel_gpa;
    enum bzimage_answer answer = bzimage_read(file, h->kernel_bytes, &kernel);
    if (answer != BZIMAGE_OK) {
        shim_fatal("shim: the kernel is no bzImage that it can start: ", answer);
    }
    check_place(h, &kernel);
    uint64_t rsdp = acpi_build(acpi_room, (uintptr_t)acpi_room, h->vcpus, (uintptr_t)shim_mailbox);
    boot_params_build(&shim_boot_params, h, &kernel, file, kept_end(), rsdp);
    move_kernel(h, &kernel);
    shim_leave(kernel.address + BZIMAGE_ENTRY_64);
}
