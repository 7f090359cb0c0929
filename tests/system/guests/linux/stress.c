/*
 * stress [mib=N] [ops=N] [threads=N] [seed=N] [spoil=0|1]: works on the memory of a Linux guest and checks every byte of it, while
 * its pages are split, merged and converted beneath it. A static program for the guest, built against the host's libc.
 *
 * Each thread has an arena of its own and does `ops` operations on pages that it picks at random: it checks all that a page must
 * hold and writes it anew, or gives it back to the kernel, which must hand out a page of zeros when it is next looked at.
 * In the end each page is checked once more. One line tells the sums; the status is 0 only if no word was wrong. The same
 * seed makes the same operations. With spoil=1 the first thread changes a bit before that last look, which has to find it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES  4096u
#define PAGE_WORDS  (PAGE_BYTES / sizeof(uint64_t))
#define THREADS_MAX 64u
#define DROP_ONE_IN 4u

struct arena {
    pthread_t thread;
    uint64_t *memory;
    uint32_t *written; /* how often each page was since it was given back; 0: it holds zeros */
    size_t pages;
    uint64_t ops, random;
    uint64_t checked, dropped, bad;
    int spoils;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x7fb5d329728ea185ull;
    x ^= x >> 27;
    x *= 0x81dadef4bc2dd44dull;
    return x ^ x >> 33;
}

static uint64_t next(struct arena *a)
{
    a->random = a->random * 6364136223846793005ull + 1442695040888963407ull;
    return mix(a->random);
}

/* By the word's own address, so that a page that comes back in another's place is found out. */
static uint64_t word_of(const struct arena *a, size_t page, size_t word)
{
    uint64_t written = a->written[page];

    return written == 0 ? 0 : mix((uintptr_t)&a->memory[page * PAGE_WORDS + word] ^ written << 48);
}

static void check(struct arena *a, size_t page)
{
    for (size_t i = 0; i < PAGE_WORDS; i++) {
        volatile uint64_t *at = &a->memory[page * PAGE_WORDS + i];
        uint64_t found = *at, expected = word_of(a, page, i);
        if (found == expected)
            continue;
        if (a->bad++ == 0)
            printf("stress: %p holds %016llx and should hold %016llx\n", (void *)at, (unsigned long long)found,
                   (unsigned long long)expected);
    }
    a->checked++;
}

static void write_anew(struct arena *a, size_t page)
{
    a->written[page] = a->written[page] % 0xffff + 1;
    for (size_t i = 0; i < PAGE_WORDS; i++)
        a->memory[page * PAGE_WORDS + i] = word_of(a, page, i);
}

static void drop(struct arena *a, size_t page)
{
    if (madvise(&a->memory[page * PAGE_WORDS], PAGE_BYTES, MADV_DONTNEED) != 0)
        return;
    a->written[page] = 0;
    a->dropped++;
}

static void *work(void *arg)
{
    struct arena *a = arg;

    for (uint64_t i = 0; i < a->ops; i++) {
        uint64_t r = next(a);
        size_t page = (r >> 8) % a->pages;
        check(a, page);
        if (r % DROP_ONE_IN == 0)
            drop(a, page);
        else
            write_anew(a, page);
    }
    if (a->spoils)
        a->memory[next(a) % (a->pages * PAGE_WORDS)] ^= 1;
    for (size_t page = 0; page < a->pages; page++)
        check(a, page);
    return NULL;
}

static int make(struct arena *a, size_t pages, uint64_t ops, uint64_t seed)
{
    *a = (struct arena){.pages = pages, .ops = ops, .random = seed};
    a->memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    a->written = calloc(pages, sizeof(*a->written));
    return a->memory != MAP_FAILED && a->written != NULL;
}

/* Every argument is key=number. */
static int read_arguments(int argc, char **argv, const char *const *keys, uint64_t *values)
{
    for (int i = 1; i < argc; i++) {
        int known = 0;
        for (size_t k = 0; keys[k] != NULL; k++) {
            size_t n = strlen(keys[k]);
            char *end = argv[i];
            if (strncmp(argv[i], keys[k], n) != 0 || argv[i][n] != '=')
                continue;
            values[k] = strtoull(argv[i] + n + 1, &end, 10);
            known = *end == '\0' && end != argv[i] + n + 1;
        }
        if (!known) {
            fprintf(stderr, "stress: '%s': mib=N, ops=N, threads=N, seed=N and spoil=0|1 are allowed\n", argv[i]);
            return 0;
        }
    }
    return 1;
}

enum { MIB, OPS, THREADS, SEED, SPOIL, VALUES };

static int start(struct arena *arenas, const uint64_t *values)
{
    for (uint64_t i = 0; i < values[THREADS]; i++) {
        struct arena *a = &arenas[i];
        int made = make(a, (size_t)(values[MIB] / values[THREADS] * 256), values[OPS], values[SEED] + i);
        a->spoils = i == 0 && values[SPOIL] != 0;
        if (made && pthread_create(&a->thread, NULL, work, a) == 0)
            continue;
        fprintf(stderr, "stress: no memory for thread %llu\n", (unsigned long long)i);
        return 0;
    }
    return 1;
}

static int finish(struct arena *arenas, uint64_t threads)
{
    uint64_t checked = 0, dropped = 0, bad = 0;

    for (uint64_t i = 0; i < threads; i++) {
        pthread_join(arenas[i].thread, NULL);
        checked += arenas[i].checked;
        dropped += arenas[i].dropped;
        bad += arenas[i].bad;
    }
    printf("stress: %llu pages checked, %llu given back, %llu words wrong\n", (unsigned long long)checked,
           (unsigned long long)dropped, (unsigned long long)bad);
    return bad != 0;
}

int main(int argc, char **argv)
{
    static const char *const keys[] = {"mib", "ops", "threads", "seed", "spoil", NULL};
    static struct arena arenas[THREADS_MAX];
    uint64_t values[VALUES] = {16, 4096, 1, 1, 0};

    if (!read_arguments(argc, argv, keys, values))
        return 2;
    uint64_t threads = values[THREADS];
    if (threads == 0 || threads > THREADS_MAX || values[MIB] < threads || values[MIB] > 1u << 20) {
        fprintf(stderr, "stress: threads=1 to %u are allowed, with 1 MiB each at least\n", THREADS_MAX);
        return 2;
    }
    return start(arenas, values) ? finish(arenas, threads) : 2;
}
