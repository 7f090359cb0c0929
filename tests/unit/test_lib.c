/* lib/: formatted text against libc's, memory and string functions against libc's, locks. */
#define _GNU_SOURCE /* usleep */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/bits.h"
#include "lib/err.h"
#include "lib/format.h"
#include "lib/lock.h"

/* lib/string.c under the names that it has in a host process. */
void *lib_memcpy(void *to, const void *from, size_t bytes);
void *lib_memmove(void *to, const void *from, size_t bytes);
void *lib_memset(void *to, int value, size_t bytes);
int lib_memcmp(const void *a, const void *b, size_t bytes);
size_t lib_strlen(const char *s);
int lib_strcmp(const char *a, const char *b);
int lib_strncmp(const char *a, const char *b, size_t bytes);

/* --- format --- */

#define SAME(...)                                                                                                      \
    do {                                                                                                               \
        char ours[128], theirs[128];                                                                                   \
        size_t length = format_to(ours, sizeof(ours), __VA_ARGS__);                                                    \
        int expected = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                                                  \
        assert_string_equal(ours, theirs);                                                                             \
        assert_int_equal(length, expected);                                                                            \
    } while (0)

static void format_equals_libc(void **state)
{
    SAME("plain");
    SAME("%d %d %d", 0, -1, 2147483647);
    SAME("%d", (int)-2147483648ll);
    SAME("[%5d] [%-5d] [%05d] [%2d]", 42, 42, -42, 12345);
    SAME("%u %x", 4294967295u, 0xdeadbeefu);
    SAME("%lu %lx %ld", ~0ul, ~0ul, -1l);
    SAME("%llu %llx", ~0ull, 0x123456789abcdef0ull);
    SAME("%zu", (size_t)77);
    SAME("[%016llx] [%-18llx] [%18llx]", 0xabcull, 0xabcull, 0xabcull);
    SAME("%s|%10s|%-10s|%.2s|%5.1s", "abc", "abc", "abc", "abc", "abc");
    SAME("%c%c 100%%", 'o', 'k');
    SAME("%p", (void *)0x1000);
    SAME("%s", "");
}

static void format_cuts_and_terminates(void **state)
{
    char to[8];
    memset(to, 'X', sizeof(to));
    assert_int_equal(format_to(to, 5, "abc%s", "defgh"), 8);
    assert_string_equal(to, "abcd");
    assert_int_equal(to[5], 'X');
    assert_int_equal(format_to(to, 1, "%u", 123u), 3);
    assert_int_equal(to[0], 0);
    assert_int_equal(format_to(NULL, 0, "%u", 123u), 3);
}

static void format_reads_no_further_than_precision(void **state)
{
    char *four = malloc(4); /* the sanitizer watches its end */
    assert_non_null(four);
    memcpy(four, "abcd", 4);
    char to[16];
    assert_int_equal(format_to(to, sizeof(to), "%.4s", four), 4);
    assert_string_equal(to, "abcd");
    free(four);
}

/* --- memory and strings --- */

static void fill_random(u8 *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (u8)rand();
}

static void moves_equal_libc(void **state)
{
    u8 ours[96], theirs[96];
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        fill_random(ours, sizeof(ours));
        memcpy(theirs, ours, sizeof(ours));
        size_t from = (size_t)rand() % 48, to = (size_t)rand() % 48, bytes = (size_t)rand() % 48;
        assert_ptr_equal(lib_memmove(ours + to, ours + from, bytes), ours + to);
        memmove(theirs + to, theirs + from, bytes);
        assert_memory_equal(ours, theirs, sizeof(ours));
    }
}

static void copies_and_fills_equal_libc(void **state)
{
    u8 from[64], ours[80], theirs[80];
    fill_random(from, sizeof(from));
    for (size_t bytes = 0; bytes <= 64; bytes++) {
        memset(ours, 0xee, sizeof(ours));
        memset(theirs, 0xee, sizeof(theirs));
        assert_ptr_equal(lib_memcpy(ours + 3, from, bytes), ours + 3);
        memcpy(theirs + 3, from, bytes);
        assert_memory_equal(ours, theirs, sizeof(ours));
        assert_ptr_equal(lib_memset(ours + 5, -3, bytes), ours + 5);
        memset(theirs + 5, -3, bytes);
        assert_memory_equal(ours, theirs, sizeof(ours));
    }
}

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void comparisons_equal_libc(void **state)
{
    static const char *const words[] = {"", "a", "ab", "abc", "abd", "b", "\xff", "\x7f", "abc\xff"};
    for (unsigned i = 0; i < ARRAY_COUNT(words); i++)
        for (unsigned j = 0; j < ARRAY_COUNT(words); j++) {
            assert_int_equal(sign(lib_strcmp(words[i], words[j])), sign(strcmp(words[i], words[j])));
            for (size_t n = 0; n < 5; n++)
                assert_int_equal(sign(lib_strncmp(words[i], words[j], n)), sign(strncmp(words[i], words[j], n)));
        }
    assert_int_equal(lib_strlen("septum"), 6);
    assert_int_equal(sign(lib_memcmp("a\0b", "a\0c", 3)), -1);
    assert_int_equal(sign(lib_memcmp("\xff", "\x01", 1)), 1);
    assert_int_equal(lib_memcmp("ab", "ac", 1), 0);
}

/* --- locks --- */

#define THREADS 4
#define ROUNDS  20000

static struct spin spin;
static struct rwlock rwlock;
static u64 counter, mirror;

static void *count_under_spin(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        spin_lock(&spin);
        counter++;
        spin_unlock(&spin);
    }
    return NULL;
}

/* A writer keeps both variables equal at unlock only; a reader that sees them differ was let in too early. */
static void *write_exclusively(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct rw_held h = rw_lock_exclusive(&rwlock);
        counter++;
        mirror++;
        rw_unlock(h);
    }
    return NULL;
}

static void *read_shared(void *arg)
{
    u64 *torn = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct rw_held h = rw_lock_shared(&rwlock);
        *torn += counter != mirror;
        rw_unlock(h);
    }
    return NULL;
}

static void spin_excludes(void **state)
{
    pthread_t threads[THREADS];
    counter = 0;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_under_spin, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(counter, THREADS * ROUNDS);
}

static void readers_share_and_writers_exclude(void **state)
{
    struct rw_held a = rw_lock_shared(&rwlock), b = rw_lock_shared(&rwlock); /* two at once: else this never ends */
    assert_false(a.exclusive);
    rw_unlock(a);
    rw_unlock(b);
    pthread_t threads[THREADS];
    u64 torn[THREADS] = {0};
    counter = mirror = 0;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? read_shared : write_exclusively, &torn[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(torn[i], 0);
    }
    assert_int_equal(counter, THREADS / 2 * ROUNDS);
    assert_int_equal(mirror, counter);
}

/* Who was let in, in this order. */
static _Atomic unsigned entered;

static void *enter_as_writer(void *arg)
{
    struct rw_held h = rw_lock_exclusive(&rwlock);
    *(unsigned *)arg = ++entered;
    rw_unlock(h);
    return NULL;
}

static void *enter_as_reader(void *arg)
{
    struct rw_held h = rw_lock_shared(&rwlock);
    *(unsigned *)arg = ++entered;
    rw_unlock(h);
    return NULL;
}

/* The first reader leaves when the writer waits and later readers have come: the writer is before all of them. */
static void readers_do_not_pass_a_waiting_writer(void **state)
{
    pthread_t writer, readers[THREADS];
    unsigned order[THREADS + 1];
    entered = 0;
    struct rw_held first = rw_lock_shared(&rwlock);
    u32 free_of_writers = rwlock.state;
    assert_int_equal(pthread_create(&writer, NULL, enter_as_writer, &order[0]), 0);
    for (unsigned ms = 0; rwlock.state == free_of_writers; ms++) {
        assert_in_range(ms, 0, 20000);
        usleep(1000);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, enter_as_reader, &order[i + 1]), 0);
    usleep(50000);
    assert_int_equal(entered, 0);
    rw_unlock(first);
    pthread_join(writer, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(order[0], 1);
    assert_int_equal(entered, THREADS + 1);
    assert_int_equal(rwlock.state, 0);
}

/* --- small things --- */

#define SAMPLE_SHIFT 12
#define SAMPLE_WIDTH 40
#define WHOLE_SHIFT  0
#define WHOLE_WIDTH  64

static void fields_and_levels(void **state)
{
    assert_int_equal(FIELD_MASK(SAMPLE), 0x000ffffffffff000ull);
    assert_int_equal(FIELD_GET(SAMPLE, 0x8000123456789fffull), 0x0000123456789ull);
    assert_int_equal(FIELD_SET(SAMPLE, ~0ull, 0), 0xfff0000000000fffull);
    assert_int_equal(FIELD_MASK(WHOLE), ~0ull);
    assert_int_equal(level_bytes(LEVEL_1G), 1ull << 30);
    assert_int_equal(gpa_index((gpa_t){0x40201000}, LEVEL_4K), 1);
    assert_int_equal(gpa_index((gpa_t){0x40201000}, LEVEL_2M), 1);
    assert_int_equal(gpa_index((gpa_t){0x40201000}, LEVEL_1G), 1);
    assert_string_equal(level_name(LEVEL_4K), "4k");
    assert_string_equal(level_name((level_t){9}), "no level");
    assert_string_equal(err_text(ERR_OK), "ok");
    assert_string_equal(err_text((enum err)99), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_equals_libc),
        cmocka_unit_test(format_cuts_and_terminates),
        cmocka_unit_test(format_reads_no_further_than_precision),
        cmocka_unit_test(moves_equal_libc),
        cmocka_unit_test(copies_and_fills_equal_libc),
        cmocka_unit_test(comparisons_equal_libc),
        cmocka_unit_test(spin_excludes),
        cmocka_unit_test(readers_share_and_writers_exclude),
        cmocka_unit_test(readers_do_not_pass_a_waiting_writer),
        cmocka_unit_test(fields_and_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
