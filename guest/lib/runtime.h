/*
 * The few library functions that the compiler and the packaged SHA library call for, and text of at most 64 bytes for a last
 * message.
 */
#ifndef GUEST_LIB_RUNTIME_H
#define GUEST_LIB_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);

/* Text that is cut, never overrun. `bytes` is zero padded, so that it can be handed over as it is. */
struct guest_text {
    char bytes[64];
    uint32_t used;
};

void guest_text_add(struct guest_text *text, const char *words);
void guest_text_add_hex(struct guest_text *text, uint64_t value);

#endif
