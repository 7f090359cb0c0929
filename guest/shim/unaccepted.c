/* The table of unaccepted memory. See unaccepted.h. */
#include "guest/shim/unaccepted.h"

#include "guest/lib/runtime.h"
#include "guest/shim/machine.h"

#define PAGE_4K 4096ull

static uint64_t bitmap_bytes(uint64_t memory_bytes)
{
    uint64_t units = (memory_bytes + UNACCEPTED_UNIT - 1) / UNACCEPTED_UNIT;
    return (units + 63) / 64 * 8; /* the kernel reads it by words of 64 bits */
}

uint64_t unaccepted_bytes(uint64_t memory_bytes)
{
    return (sizeof(struct unaccepted) + bitmap_bytes(memory_bytes) + PAGE_4K - 1) & -PAGE_4K;
}

/* Has the unit at `gpa` a byte of [from, from + bytes)? */
static bool meets(uint64_t gpa, uint64_t from, uint64_t bytes)
{
    return bytes && gpa < from + bytes && from < gpa + UNACCEPTED_UNIT;
}

bool unaccepted_is_file(const struct shim_handover *h, uint64_t gpa)
{
    return meets(gpa, h->kernel_gpa, h->kernel_bytes) || meets(gpa, h->initrd_gpa, h->initrd_bytes);
}

static bool is_needed(const struct shim_handover *h, const struct bzimage *kernel, uint64_t gpa)
{
    return gpa < SHIM_ROOM_END || unaccepted_is_file(h, gpa) || meets(gpa, kernel->address, kernel->run_bytes) ||
           meets(gpa, MACHINE_HOLE_GPA, MACHINE_HOLE_END - MACHINE_HOLE_GPA);
}

void unaccepted_build(struct unaccepted *u, const struct shim_handover *h, const struct bzimage *kernel)
{
    *u = (struct unaccepted){.version = 1, .unit = UNACCEPTED_UNIT, .bytes = bitmap_bytes(h->memory_bytes)};
    memset(u->bitmap, 0, u->bytes);
    for (uint64_t unit = 0; (unit + 1) * UNACCEPTED_UNIT <= h->memory_bytes; unit++) {
        if (!is_needed(h, kernel, unit * UNACCEPTED_UNIT)) {
            u->bitmap[unit / 8] |= (uint8_t)(1u << unit % 8);
        }
    }
}

bool unaccepted_has(const struct unaccepted *u, uint64_t gpa)
{
    uint64_t unit = gpa / UNACCEPTED_UNIT;
    return u && unit / 8 < u->bytes && (u->bitmap[unit / 8] >> unit % 8 & 1);
}
