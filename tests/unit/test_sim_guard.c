/*
 * The memory guard and the VMM's nested page table, against a model that remembers for each page whose it is: random taking, giving
 * back, reading and writing, each access made by a walk of the tables as the CPU would.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "sim/machine/config.h"
#include "sim/machine/guard.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/log.h"
#include "sim/machine/memory.h"
#include "sim/machine/npt.h"
#include "sim/machine/platform.h"
#include "sim/machine/pool.h"
#include "sim/machine/td/td.h"
#include "tests/unit/one_cpu.h"

#define PAGE      4096ull
#define RAM       0x10000000ull
#define RAM_PAGES 2048u
#define RAM_BYTES (RAM_PAGES * PAGE)
#define LIMIT     (1ull << 30)
#define STEPS     100000

static struct vmcb vmcb;
static unsigned reports;
static bool stopped;
static jmp_buf at_stop;

static struct {
    bool owned, used, spoilt;
    u64 word;
    bool known;
} pages[RAM_PAGES];

/* The platform around it. */
void svm_take_nmi(void) {}
u32 svm_take_interrupt(bool *nmi)
{
    *nmi = false;
    return 0;
}
void sim_log(const char *format, ...)
{
    reports++;
}
_Noreturn void sim_stop(const char *format, ...)
{
    stopped = true;
    longjmp(at_stop, 1);
}
bool module_uses_page(u64 hpa)
{
    return pages[(hpa - RAM) / PAGE].used;
}
bool memory_is_ram(u64 hpa)
{
    return hpa - RAM < RAM_BYTES;
}
bool platform_is_keyed(u64 hpa)
{
    return hpa >> PLATFORM_KEYID_SHIFT != 0;
}
bool platform_is_private_key(u64 hpa)
{
    return hpa >> PLATFORM_KEYID_SHIFT >= 32;
}
void td_tlb_invept(struct cpu *c, u64 eptp) {}
bool cpu_rdrand(u64 *value)
{
    *value = 12345;
    return true;
}
u64 cpu_rdtsc(void)
{
    return 1;
}

/* Pages below 4 TiB, as tables hold them. Given back ones are poisoned, so that a stale use shows. */
static u8 *next_page = (u8 *)0x20000000;
static int live_tables, tables_at_start;
void *pool_page(void)
{
    u8 *page = mmap(next_page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    next_page += PAGE;
    live_tables++;
    return page;
}
void *pool_take(u64 count)
{
    void *first = pool_page();
    for (u64 i = 1; i < count; i++)
        pool_page();
    return first;
}
void pool_give(void *page)
{
    memset(page, 0xee, PAGE);
    live_tables--;
}
u64 pool_base(void)
{
    return 0x20000000;
}
u64 pool_bytes(void)
{
    return 0;
}

/* The walk of the CPU: 0 where it faults. */
static u64 walk(u64 gpa, bool write)
{
    const u64 *table = (const u64 *)npt_root();
    for (unsigned level = 3;; level--) {
        u64 entry = table[gpa >> (12 + 9 * level) & 511], inside = (1ull << (12 + 9 * level)) - 1;
        assert_int_not_equal(entry, 0xeeeeeeeeeeeeeeeeull);
        if (!(entry & NPT_PRESENT) || (write && !(entry & NPT_WRITE)))
            return 0;
        assert_true(entry & NPT_USER);
        if (!level || entry & NPT_LARGE)
            return (entry & NPT_ADDR & ~inside) | (gpa & inside);
        table = (const u64 *)(entry & NPT_ADDR);
    }
}

/* One access by the VMM; bounded, as the instruction would be. */
static u64 access(u64 gpa, bool write)
{
    for (unsigned tries = 0; tries < 3; tries++) {
        u64 hpa = walk(gpa, write);
        if (hpa)
            return hpa;
        vmcb.exit_code = VMEXIT_NPF;
        guard_exit(&cpu);
        guard_fault(&cpu, gpa, NPF_FINAL | (write ? NPF_WRITE : 0));
    }
    fail_msg("the access to %lx makes no progress", (unsigned long)gpa);
    return 0;
}

static void another_exit(void)
{
    vmcb.exit_code = VMEXIT_CPUID;
    vmcb.rip += 2;
    guard_exit(&cpu);
}

static int start(void **state)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    cpu.vmm = &vmcb;
    if (mmap((void *)RAM, RAM_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0) != (void *)RAM)
        return -1;
    npt_init(LIMIT);
    guard_init(RAM + RAM_BYTES);
    tables_at_start = live_tables;
    return 0;
}

static void take(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        pages[i].owned = pages[i].used = true;
        pages[i].spoilt = false;
        *(u64 *)(RAM + i * PAGE + 8) = pages[i].word = (u64)rand() << 8 | 1;
        pages[i].known = true;
    }
    guard_own(RAM + first * PAGE, count * PAGE);
}

/* What the VMM's access to page i must come to. */
static void touch(unsigned i, bool write)
{
    u64 gpa = RAM + i * PAGE + 8, word = (u64)rand() << 8 | 3;
    unsigned before = reports;
    u64 hpa = access(gpa, write);
    if (pages[i].owned && pages[i].used) {
        assert_int_not_equal(hpa, gpa);
        if (!write)
            assert_true(*(u64 *)hpa != pages[i].word);
        else
            *(u64 *)hpa = word;
        pages[i].spoilt |= write;
        assert_true(reports >= before);
        assert_int_equal(*(u64 *)gpa, pages[i].word); /* the TD's bytes are as they were */
    } else {
        assert_int_equal(hpa, gpa);
        if (pages[i].owned)
            assert_true(*(u64 *)gpa != pages[i].word); /* what the TD left is scrambled */
        else if (pages[i].known)
            assert_int_equal(*(u64 *)gpa, pages[i].word);
        pages[i].owned = pages[i].spoilt = false;
        pages[i].known = write;
        if (write)
            *(u64 *)gpa = pages[i].word = word;
    }
    assert_int_equal(guard_is_poisoned(RAM + i * PAGE), pages[i].spoilt);
    assert_int_equal(guard_is_owned(RAM + i * PAGE), pages[i].owned);
}

static void random_life(void **state)
{
    srand(7);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rand() % RAM_PAGES;
        switch (rand() % 8) {
        case 0:
            take(i, 1);
            break;
        case 1:
            if (rand() % 20 == 0)
                take(i & ~511u, 512);
            break;
        case 2:
            pages[i].used = false;
            break;
        case 3:
            if (rand() % 20 == 0)
                for (unsigned j = i & ~511u; j < (i | 511u); j++)
                    pages[j].used = false;
            break;
        case 4:
            another_exit();
            break;
        default:
            touch(i, rand() & 1);
        }
    }
    assert_true(reports > 0);
}

static void violations_are_reported_again_after_an_exit(void **state)
{
    another_exit();
    take(5, 1);
    reports = 0;
    touch(5, false);
    another_exit();
    assert_int_equal(walk(RAM + 5 * PAGE, false), 0);
}

static void whole_large_pages_cost_no_tables(void **state)
{
    another_exit();
    for (unsigned i = 0; i < RAM_PAGES; i++)
        pages[i].used = false;
    take(0, RAM_PAGES);
    /* The one of the 2M entries; and the owners of a GiB, a byte a page. */
    assert_int_equal(live_tables, tables_at_start + 1 + 64);
}

static void private_keyids_are_violations_and_shared_ones_are_not(void **state)
{
    u64 at = RAM + 9 * PAGE;
    for (unsigned i = 0; i < RAM_PAGES; i++)
        pages[i].used = false;
    access(at, true);
    *(u64 *)at = 77;
    assert_int_equal(access(at | 3ull << PLATFORM_KEYID_SHIFT, false), at);
    assert_int_not_equal(access(at | 40ull << PLATFORM_KEYID_SHIFT, true) & ~0xfffull, at);
    assert_int_equal(*(u64 *)at, 77);
}

static void strict_stops(void **state)
{
    static const char text[] = "strict = 1";
    assert_true(config_parse("f", text, sizeof(text) - 1));
    another_exit();
    take(3, 1);
    stopped = false;
    if (!setjmp(at_stop))
        touch(3, true);
    assert_true(stopped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_life),
        cmocka_unit_test(violations_are_reported_again_after_an_exit),
        cmocka_unit_test(whole_large_pages_cost_no_tables),
        cmocka_unit_test(private_keyids_are_violations_and_shared_ones_are_not),
        cmocka_unit_test(strict_stops),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
