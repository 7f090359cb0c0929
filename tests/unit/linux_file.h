/* A bzImage of protocol 2.15 as Linux 6.12 has it, as far as anybody looks at it. Typed from boot.rst. */
#ifndef TESTS_UNIT_LINUX_FILE_H
#define TESTS_UNIT_LINUX_FILE_H

#include <stdint.h>
#include <string.h>

#define LINUX_SETUP_SECTORS 4u
#define LINUX_KERNEL_AT     ((LINUX_SETUP_SECTORS + 1) * 512)
#define LINUX_FILE_BYTES    (LINUX_KERNEL_AT + 8192)

static inline void linux_put(void *to, unsigned at, uint64_t value, unsigned bytes)
{
    memcpy((uint8_t *)to + at, &value, bytes);
}

/* For 16M, where it takes 48M; its compressed part is 4096 bytes from 0x2c0 on. */
static inline void linux_make(uint8_t file[LINUX_FILE_BYTES])
{
    memset(file, 0xcc, LINUX_FILE_BYTES);
    memset(file, 0, LINUX_KERNEL_AT);
    linux_put(file, 0x1f1, LINUX_SETUP_SECTORS, 1);
    linux_put(file, 0x1fe, 0xaa55, 2);
    linux_put(file, 0x200, 0x6aeb, 2); /* jump: the header ends at 0x26c */
    memcpy(file + 0x202, "HdrS", 4);
    linux_put(file, 0x206, 0x020f, 2);
    linux_put(file, 0x20e, 0x300, 2); /* version at 0x500 */
    linux_put(file, 0x211, 1, 1);
    linux_put(file, 0x22c, 0x7fffffff, 4);
    linux_put(file, 0x230, 0x200000, 4);
    linux_put(file, 0x234, 1, 1);
    linux_put(file, 0x236, 0x7f, 2);
    linux_put(file, 0x238, 2047, 4);
    linux_put(file, 0x248, 0x2c0, 4);
    linux_put(file, 0x24c, 4096, 4);
    linux_put(file, 0x258, 0x1000000, 8);
    linux_put(file, 0x260, 0x3000000, 4);
    memcpy(file + 0x500, "6.12.95 (someone@somewhere) #1", 31);
    memcpy(file + LINUX_KERNEL_AT + 0x2c0 + 4096 + 100, "IntelTDX    ", 12);
    memcpy(file + LINUX_KERNEL_AT + 0x2c0 + 4096 + 200, "\x3c\xde\xd1\xd5\x5c\x10\xf9\x44", 8);
}

#endif
