/* The embedded images. See kernel/vm/payload.h; kernel/vm/payload.asm has the bytes. */
#include "kernel/vm/payload.h"

extern const u8 payload_probe_start[] __attribute__((visibility("hidden")));
extern const u8 payload_probe_end[] __attribute__((visibility("hidden")));
extern const u8 payload_shim_start[] __attribute__((visibility("hidden")));
extern const u8 payload_shim_end[] __attribute__((visibility("hidden")));
extern const u8 payload_rom_start[] __attribute__((visibility("hidden")));
extern const u8 payload_rom_end[] __attribute__((visibility("hidden")));

struct payload_image payload_probe(void)
{
    return (struct payload_image){payload_probe_start, (u64)payload_probe_end - (u64)payload_probe_start};
}

struct payload_image payload_shim(void)
{
    return (struct payload_image){payload_shim_start, (u64)payload_shim_end - (u64)payload_shim_start};
}

struct payload_image payload_rom(void)
{
    return (struct payload_image){payload_rom_start, (u64)payload_rom_end - (u64)payload_rom_start};
}
