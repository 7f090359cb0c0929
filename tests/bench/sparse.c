/*
 * memset() in front of the C library's (--wrap): whole pages of sparse memory that become zero are given back to the host
 * instead, and read as zero. So the page allocator's side tables for terabytes cost what is used of them.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "tests/host/platform.h"

#define LARGE_BYTES (1ul << 20)
#define PAGE_MASK   0xffful

void *__real_memset(void *at, int value, size_t bytes);
void *__wrap_memset(void *at, int value, size_t bytes);

void *__wrap_memset(void *at, int value, size_t bytes)
{
    uintptr_t memory = (uintptr_t)platform_host_memory(), from = (uintptr_t)at;
    int is_sparse = from >= memory && from + bytes <= memory + ((uintptr_t)PLATFORM_HOST_GIB << 30);
    if (value == 0 && bytes >= LARGE_BYTES && is_sparse && ((from | bytes) & PAGE_MASK) == 0 &&
        madvise(at, bytes, MADV_DONTNEED) == 0)
        return at;
    return __real_memset(at, value, bytes);
}
