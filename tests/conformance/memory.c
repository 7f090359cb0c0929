/*
 * Memory contents in the records: "hex" is bytes in hex, "fill 0xNN", with "(rest 0)" behind bytes that are cut short.
 */
#include "tests/conformance/conformance.h"

#include <stdlib.h>
#include <string.h>

#define RECORDED_TDR 0x100100000ull

/* The recorded content into `bytes`; false when the text is not understood. */
static bool decode(const char *hex, u8 *bytes, size_t count)
{
    if (strncmp(hex, "fill ", 5) == 0) {
        memset(bytes, (int)strtoul(hex + 5, NULL, 0), count);
        return true;
    }
    memset(bytes, 0, count);
    for (size_t i = 0; i < count && *hex && *hex != ' '; i++, hex += 2) {
        char pair[3] = {hex[0], hex[1], 0};
        char *end;
        bytes[i] = (u8)strtoul(pair, &end, 16);
        if (*end)
            return false;
    }
    return true;
}

static bool is_memory(u64 pa)
{
    return plat_page(pa & ~4095ull);
}

static u8 *content(struct conf_diff *d, u64 pa, const json_t *call, size_t *count)
{
    *count = (size_t)conf_number(json_object_get(call, "len"));
    const char *hex = json_string_value(json_object_get(call, "hex"));
    if (!hex || !is_memory(pa) || !is_memory(pa + *count - 1) || *count > (1 << 21)) {
        conf_differ(d, "record of memory at %llx not understood", (unsigned long long)pa);
        return NULL;
    }
    u8 *bytes = malloc(*count);
    if (!bytes || !decode(hex, bytes, *count)) {
        conf_differ(d, "content of memory at %llx not understood", (unsigned long long)pa);
        free(bytes);
        return NULL;
    }
    return bytes;
}

void conf_memory_write(struct conf_diff *d, u64 pa, const json_t *call)
{
    size_t count;
    u8 *bytes = content(d, pa, call, &count);
    if (bytes)
        memcpy(platform_host_memory() + pa, bytes, count);
    free(bytes);
}

void conf_memory_compare(struct conf_diff *d, u64 pa, const json_t *call)
{
    size_t count;
    u8 *bytes = content(d, pa, call, &count);
    const u8 *is = platform_host_memory() + pa;
    for (size_t i = 0; bytes && i < count; i++) {
        if (bytes[i] == is[i])
            continue;
        conf_differ(d, "byte %zx of memory %02x/%02x", i, bytes[i], is[i]);
        break;
    }
    free(bytes);
}

/* The S-EPT of the recorded TD by SEPT.RD on an LP that no TD occupies, from the largest level down. */
bool conf_td_address(struct conf *c, u64 gpa, u64 *pa)
{
    unsigned lp = c->lps[1].td ? 0 : 1;
    if (c->lps[lp].td)
        return false;
    for (unsigned level = 0; level < 3; level++) {
        u64 size = 1ull << (12 + 9 * level);
        u64 regs[SEAM_GPRS] = {[RCX] = (gpa & ~(size - 1)) | level, [RDX] = RECORDED_TDR};
        conf_seamcall(c, lp, 25, regs);
        struct seam_lp *s = &platform_host_lps[lp];
        if (s->vmm[RAX] == 0 && (s->vmm[RCX] & 0x80) && (s->vmm[RDX] & 7) == level) {
            *pa = (s->vmm[RCX] & 0xffffffffff000ull & ~(size - 1)) | (gpa & (size - 1));
            return true;
        }
    }
    return false;
}
