/* Sparse memory: see memory.h. The model's and the VMM's own ways to clear memory come here too (--wrap). */
#define _GNU_SOURCE /* MAP_NORESERVE, madvise() */
#include "lab/memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lab/machine.h"
#include "lib/addr.h"
#include "lib/bits.h"

#define PIECE_BYTES (2ull * MIB)
#define PIECE_PAGES (PIECE_BYTES / PAGE_BYTES)
#define WHOLE_BYTES (64 * MIB) /* from here on nobody looks at what is in it */
#define CLEARED_MAX 64u

#define PAGEMAP_THERE (BIT(63) | BIT(62)) /* in memory, or swapped out */

static u8 *memory;
static u64 bytes_all;

/*
 * Of the piece that was looked at last, the pages that the host has for it: an entry of proc_pid_pagemap(5) each. Good while
 * one call clears pages in a row.
 */
static struct {
    int pagemap;     /* -1: the host has none */
    u64 piece, next; /* `next`: the page that a row goes on with */
    u64 entries[PIECE_PAGES];
} row;

void *__real_memset(void *at, int value, size_t bytes);
void *__wrap_memset(void *at, int value, size_t bytes);
void __real_mdl_fill(void *to, u64 value, size_t count);
void __wrap_mdl_fill(void *to, u64 value, size_t count);

void memory_start(u64 top)
{
    memory = mmap(NULL, top, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        machine_stop("this host has no room for %llu GiB of sparse memory", (unsigned long long)(top / GIB));
    bytes_all = top;
    row.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

u64 memory_top(void)
{
    return bytes_all;
}

void *memory_at(u64 pa)
{
    return pa < bytes_all ? memory + pa : NULL;
}

u64 memory_address(const void *at)
{
    u64 offset = (u64)((uintptr_t)at - (uintptr_t)memory);
    return offset < bytes_all ? offset : ~0ull;
}

/* The first word is, and each is as the one before it. */
static bool is_zero(const u64 *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - sizeof(u64)) == 0;
}

/* A page that nothing was ever written to is zero. */
static bool is_untouched(u64 pa)
{
    u64 piece = align_down(pa, PIECE_BYTES);

    if (piece != row.piece || pa != row.next) {
        if (pa != piece) /* in the middle: not worth a look at all of it */
            return false;
        off_t at = (off_t)(((uintptr_t)memory + piece) / PAGE_BYTES * sizeof(u64));
        if (pread(row.pagemap, row.entries, sizeof(row.entries), at) != (ssize_t)sizeof(row.entries))
            return false;
        row.piece = piece;
    }
    row.next = pa + PAGE_BYTES;
    return !(row.entries[(pa - piece) / PAGE_BYTES] & PAGEMAP_THERE);
}

void memory_end_row(void)
{
    row.next = 0;
}

/* False: it was zero already. */
static bool clear_page(u64 pa)
{
    if (is_untouched(pa) || is_zero((const u64 *)(memory + pa)))
        return false;
    __real_memset(memory + pa, 0, PAGE_BYTES);
    return true;
}

/* A piece with much in it is given back whole, and read anew as zeros page by page; one with little is faster cleared. */
static void clear_piece(u64 pa)
{
    unsigned cleared = 0;

    for (u64 done = 0; done < PIECE_BYTES && cleared < CLEARED_MAX; done += PAGE_BYTES)
        cleared += clear_page(pa + done);
    if (cleared == CLEARED_MAX)
        (void)madvise(memory + pa, PIECE_BYTES, MADV_DONTNEED);
}

void memory_clear(void *at, u64 bytes)
{
    u64 pa = memory_address(at), end = pa + bytes;

    memory_end_row();
    if (bytes >= WHOLE_BYTES && madvise(at, bytes, MADV_DONTNEED) == 0)
        return;
    while (pa < end)
        if (is_aligned(pa, PIECE_BYTES) && end - pa >= PIECE_BYTES) {
            clear_piece(pa);
            pa += PIECE_BYTES;
        } else {
            clear_page(pa);
            pa += PAGE_BYTES;
        }
}

static bool is_pages(const void *at, u64 bytes)
{
    u64 pa = memory_address(at);
    return pa < bytes_all && bytes <= bytes_all - pa && ((pa | bytes) & (PAGE_BYTES - 1)) == 0;
}

void *__wrap_memset(void *at, int value, size_t bytes)
{
    if (value != 0 || bytes < PAGE_BYTES || !is_pages(at, bytes))
        return __real_memset(at, value, bytes);
    memory_clear(at, bytes);
    return at;
}

void __wrap_mdl_fill(void *to, u64 value, size_t count)
{
    if (value == 0 && count == PAGE_BYTES / sizeof(u64) && is_pages(to, PAGE_BYTES))
        clear_page(memory_address(to));
    else
        __real_mdl_fill(to, value, count);
}
