/* The head of a bzImage. See bzimage.h. */
#include "guest/shim/bzimage.h"

#include "guest/lib/runtime.h"

#define SETUP_SECTS      0x1f1u
#define JUMP_BYTES       0x201u /* header ends so far behind 0x202 */
#define MAGIC            0x202u
#define PROTOCOL         0x206u
#define KERNEL_VERSION   0x20eu /* so far behind 0x200 */
#define LOADFLAGS        0x211u
#define INITRD_ADDR_MAX  0x22cu
#define RELOCATABLE      0x234u
#define XLOADFLAGS       0x236u
#define CMDLINE_SIZE     0x238u
#define PREF_ADDRESS     0x258u
#define INIT_SIZE        0x260u
#define PAYLOAD_OFFSET   0x248u /* of the compressed kernel, from the protected-mode kernel on */
#define PAYLOAD_LENGTH   0x24cu
#define HEADER_LEAST_END 0x264u /* of protocol 2.12 */
#define HEADER_MOST_END  0x290u /* where boot_params goes on with something else */

/* What CPUID leaf 21H is compared with; the first half of LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID, which is what compilers keep in one
 * piece. */
#define TDX_NAME   "IntelTDX    "
#define TABLE_GUID "\x3c\xde\xd1\xd5\x5c\x10\xf9\x44"

#define MAGIC_HDRS      0x53726448u
#define LOADED_HIGH     1u
#define XLF_KERNEL_64   1u
#define SECTOR_BYTES    512u
#define SETUP_SECTS_OLD 4u /* what 0 stands for */
#define KERNEL_ALIGN    0x200000ull
#define ADDRESS_MIN     0x200000ull /* what is below is the shim's and the firmware's */
#define ADDRESS_MAX     0x80000000ull

static uint64_t number(const uint8_t *file, uint32_t at, uint32_t bytes)
{
    uint64_t value = 0;
    while (bytes--) {
        value = value << 8 | file[at + bytes];
    }
    return value;
}

/* Text that ends with a zero, or is not all there and taken as far as it goes. */
static void read_version(const uint8_t *file, uint64_t bytes, char *to)
{
    uint32_t pointer = (uint32_t)number(file, KERNEL_VERSION, 2), n = 0;
    if (pointer) {
        for (uint64_t at = pointer + 0x200ull; at < bytes && n + 1 < BZIMAGE_TEXT_BYTES && file[at]; at++) {
            to[n++] = file[at] >= 0x20 && file[at] < 0x7f ? (char)file[at] : '.';
        }
    }
    to[n] = '\0';
}

/* Is it in the part of the decompressor that follows the compressed kernel, where little else is? */
static bool decompressor_has(const uint8_t *file, uint64_t bytes, uint32_t setup_bytes, const char *what,
                             uint32_t count)
{
    uint64_t at = setup_bytes + number(file, PAYLOAD_OFFSET, 4) + number(file, PAYLOAD_LENGTH, 4);
    for (; at + count <= bytes; at++) {
        if (memcmp(file + at, what, count) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_sound(const struct bzimage *b, uint64_t bytes)
{
    return b->header_bytes >= HEADER_LEAST_END - BZIMAGE_HEADER_AT &&
           b->header_bytes <= HEADER_MOST_END - BZIMAGE_HEADER_AT && b->address % KERNEL_ALIGN == 0 &&
           b->address >= ADDRESS_MIN && b->address < ADDRESS_MAX && b->run_bytes >= bytes - b->setup_bytes &&
           b->run_bytes < ADDRESS_MAX;
}

/* The header is there. */
static void read_header(const uint8_t *f, uint64_t bytes, struct bzimage *out)
{
    uint32_t sectors = f[SETUP_SECTS] ? f[SETUP_SECTS] : SETUP_SECTS_OLD;
    *out = (struct bzimage){
        .protocol = (uint32_t)number(f, PROTOCOL, 2),
        .setup_bytes = (sectors + 1) * SECTOR_BYTES,
        .header_bytes = MAGIC + f[JUMP_BYTES] - BZIMAGE_HEADER_AT,
        .address = number(f, PREF_ADDRESS, 8),
        .run_bytes = number(f, INIT_SIZE, 4),
        .initrd_max = number(f, INITRD_ADDR_MAX, 4),
        .command_line_max = (uint32_t)number(f, CMDLINE_SIZE, 4),
    };
    read_version(f, bytes, out->version);
}

static enum bzimage_answer judge_header(const uint8_t *f, const struct bzimage *b)
{
    if (b->protocol < BZIMAGE_VERSION_MIN) {
        return BZIMAGE_OLD;
    }
    if (!(number(f, XLOADFLAGS, 2) & XLF_KERNEL_64)) {
        return BZIMAGE_NOT_64;
    }
    if (!(f[LOADFLAGS] & LOADED_HIGH)) {
        return BZIMAGE_NOT_HIGH;
    }
    return f[RELOCATABLE] ? BZIMAGE_OK : BZIMAGE_NOT_MOVING;
}

enum bzimage_answer bzimage_read(const void *file, uint64_t bytes, struct bzimage *out)
{
    const uint8_t *f = file;
    if (bytes < MAGIC + 4) {
        return BZIMAGE_SHORT;
    }
    if (number(f, MAGIC, 4) != MAGIC_HDRS) {
        return BZIMAGE_NO_MAGIC;
    }
    if (bytes < HEADER_MOST_END) {
        return BZIMAGE_SHORT;
    }
    read_header(f, bytes, out);
    enum bzimage_answer answer = judge_header(f, out);
    if (answer != BZIMAGE_OK) {
        return answer;
    }
    if (bytes < out->setup_bytes + BZIMAGE_ENTRY_64 + 1) {
        return BZIMAGE_SHORT;
    }
    if (!is_sound(out, bytes)) {
        return BZIMAGE_BAD;
    }
    out->accepts = decompressor_has(f, bytes, out->setup_bytes, TABLE_GUID, sizeof(TABLE_GUID) - 1);
    bool knows_tdx = decompressor_has(f, bytes, out->setup_bytes, TDX_NAME, sizeof(TDX_NAME) - 1);
    return knows_tdx ? BZIMAGE_OK : BZIMAGE_NO_TDX;
}
