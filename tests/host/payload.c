/* Host twin of kernel/hw/payload.c: images of the right form with nothing in them, since a host process runs no TD
 * code. */
#include "kernel/vm/payload.h"

#include "guest/probe/protocol.h"

#define IMAGE_BYTES 8192
#define ROM_BYTES   0x4000

static const union {
    struct probe_header header;
    u8 bytes[IMAGE_BYTES];
} image = {.header = {.image = {GUEST_MAGIC, 4096, IMAGE_BYTES, 3 * 4096}}};

static const union {
    struct guest_header header;
    u8 bytes[IMAGE_BYTES];
} shim = {.header = {GUEST_MAGIC, 4096, IMAGE_BYTES, 3 * 4096}};

static const u8 rom[ROM_BYTES];

struct payload_image payload_probe(void)
{
    return (struct payload_image){&image, sizeof(image)};
}

struct payload_image payload_shim(void)
{
    return (struct payload_image){&shim, sizeof(shim)};
}

struct payload_image payload_rom(void)
{
    return (struct payload_image){rom, sizeof(rom)};
}
