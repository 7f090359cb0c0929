/* Judging the VMM's words. See check.h. */
#include "guest/shim/check.h"

#include "guest/shim/machine.h"
#include "guest/shim/unaccepted.h"

#define MEMORY_MAX (1ull << 42) /* whose table of unaccepted memory has room below SHIM_ROOM_END */

/* Nothing wraps. */
static bool is_memory(const struct shim_handover *h, uint64_t gpa, uint64_t bytes)
{
    uint64_t end = h->memory_bytes < MACHINE_HOLE_GPA ? h->memory_bytes : MACHINE_HOLE_GPA;
    return gpa >= SHIM_ROOM_END && gpa < end && bytes <= end - gpa;
}

static const char *wrong(const char *words, uint64_t value, uint64_t *number)
{
    *number = value;
    return words;
}

const char *check_handover(const struct shim_handover *h, uint64_t *number)
{
    if (h->version != SHIM_VERSION) {
        return wrong("shim: the hand-over page is of another version: ", h->version, number);
    }
    if (!h->vcpus || h->vcpus > SHIM_VCPUS_MAX) {
        return wrong("shim: the hand-over page says vCPUs: ", h->vcpus, number);
    }
    if (h->memory_bytes % UNACCEPTED_UNIT || h->memory_bytes > MEMORY_MAX) {
        return wrong("shim: the hand-over page says memory: ", h->memory_bytes, number);
    }
    if (!is_memory(h, h->kernel_gpa, h->kernel_bytes)) {
        return wrong("shim: the kernel is outside memory: ", h->kernel_gpa, number);
    }
    if (h->initrd_bytes && !is_memory(h, h->initrd_gpa, h->initrd_bytes)) {
        return wrong("shim: the initrd is outside memory: ", h->initrd_gpa, number);
    }
    if (h->command_line_bytes >= SHIM_COMMAND_LINE_BYTES || h->command_line[h->command_line_bytes]) {
        return wrong("shim: the command line does not end: ", h->command_line_bytes, number);
    }
    return 0;
}

static bool overlaps(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a_bytes && b_bytes && a < b + b_bytes && b < a + a_bytes;
}

const char *check_place(const struct shim_handover *h, const struct bzimage *kernel, uint64_t *number)
{
    if (!is_memory(h, kernel->address, kernel->run_bytes) ||
        overlaps(kernel->address, kernel->run_bytes, h->kernel_gpa, h->kernel_bytes) ||
        overlaps(kernel->address, kernel->run_bytes, h->initrd_gpa, h->initrd_bytes)) {
        return wrong("shim: there is no room for the kernel at ", kernel->address, number);
    }
    return 0;
}
