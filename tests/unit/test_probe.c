/*
 * The probe payload's logic in a host process: ranges, orders, and its work against a memory of 8 MiB behind a TDX module that
 * answers ACCEPT and MapGPA as told. Guards: what the payload reports is what happened, and no bad work touches memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/lib/ghci.h"
#include "guest/hw/td.h"
#include "guest/probe/order.h"
#include "guest/probe/range.h"
#include "guest/probe/work.h"
#include "tests/unit/no_counters.h"

/* The specification's numbers, not the payload's. */
#define LEAF_VMCALL     0
#define LEAF_ACCEPT     6
#define MAP_GPA         0x10001
#define ALREADY         0x00000b0a00000000ull
#define SIZE_MISMATCH   0xc0000b0b00000001ull
#define BUSY            0x8000020000000001ull
#define OPERAND_INVALID 0xc000010000000001ull
#define SHARED_BIT      (1ull << 47)

#define PAGE   0x1000ull
#define BIG    0x200000ull
#define MEMORY (4 * BIG)
#define PAGES  (MEMORY / PAGE)

enum page_state { PENDING, ACCEPTED, SHARED };

/* The module and the VMM behind the payload. */
static struct {
    uint8_t memory[MEMORY] __attribute__((aligned(4096)));
    enum page_state page[PAGES];
    uint8_t is_big[MEMORY / BIG]; /* mapped as one 2M page */
    unsigned busy;                /* so many ACCEPTs answer BUSY */
    uint64_t bad_accept_gpa;      /* ACCEPT refuses this page */
    uint64_t map_chunk;           /* MapGPA does so many bytes, then RETRY; 0 all */
    bool map_sticks;              /* MapGPA never gets anywhere */
    uint64_t map_error;           /* MapGPA fails with this */
    uint64_t abort_after;         /* the VMM aborts at this many pauses and TDCALLs */
    uint64_t calls, tsc;
} fake;

static struct probe_td td;
static struct probe_vcpu vcpu;
static struct probe_mailbox mailbox;

static void step(void)
{
    if (fake.abort_after && ++fake.calls >= fake.abort_after) {
        mailbox.abort = 1;
    }
}

static uint64_t fake_accept(uint64_t rcx)
{
    uint64_t gpa = rcx & ~0xfffull, level = rcx & 7, bytes = level ? BIG : PAGE;
    if (fake.busy) {
        fake.busy--;
        return BUSY;
    }
    if (gpa & (bytes - 1) || gpa >= MEMORY || gpa == fake.bad_accept_gpa) {
        return OPERAND_INVALID;
    }
    if (level && !fake.is_big[gpa / BIG]) {
        return SIZE_MISMATCH;
    }
    if (fake.page[gpa / PAGE] == ACCEPTED) {
        return ALREADY | level;
    }
    for (uint64_t at = gpa; at < gpa + bytes; at += PAGE) {
        assert_int_equal(fake.page[at / PAGE], PENDING);
        fake.page[at / PAGE] = ACCEPTED;
    }
    return 0;
}

static void fake_map_gpa(struct td_regs *r)
{
    uint64_t gpa = r->r12 & ~SHARED_BIT, end = gpa + r->r13;
    uint64_t stop = fake.map_chunk && gpa + fake.map_chunk < end ? gpa + fake.map_chunk : end;
    assert_true(end <= MEMORY && r->r13);
    r->r10 = fake.map_error ? fake.map_error : fake.map_sticks || stop < end;
    r->r11 = fake.map_sticks || fake.map_error ? gpa : stop;
    if (fake.map_sticks || fake.map_error) {
        return;
    }
    for (uint64_t at = gpa; at < stop; at += PAGE) {
        fake.page[at / PAGE] = r->r12 & SHARED_BIT ? SHARED : PENDING;
        fake.is_big[at / BIG] = 0;
    }
}

void tdcall(struct td_regs *r)
{
    step();
    if (r->rax == LEAF_ACCEPT) {
        r->rax = fake_accept(r->rcx);
    } else if (r->rax == LEAF_VMCALL && r->r11 == MAP_GPA) {
        assert_int_equal(r->rcx & 0x3c00, 0x3c00);
        assert_int_equal(r->r10, 0);
        fake_map_gpa(r);
        r->rax = 0;
    } else {
        fail_msg("unexpected TDCALL %llu", (unsigned long long)r->rax);
    }
}

void td_load_cr3(uint64_t cr3)
{
    (void)cr3;
}

void td_load_idt(const void *base, uint16_t limit)
{
    (void)base, (void)limit;
}

uint64_t td_read_tsc(void)
{
    return fake.tsc += 10;
}

/* Windows of the test are memory of the process. */
void *td_reach(uintptr_t address, uint64_t bytes, bool write)
{
    return (void *)address;
}

void td_pause(void)
{
    step();
}

static int fresh(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.bad_accept_gpa = ~0ull;
    memset(&mailbox, 0, sizeof(mailbox));
    td = (struct probe_td){
        .private_window = (uintptr_t)fake.memory,
        .shared_window = (uintptr_t)fake.memory,
        .shared_bit = SHARED_BIT,
        .memory = {0, MEMORY},
        /* image in the last 2M but one page, mailbox in the last page, no ROM */
        .kept = {{3 * BIG, PAGE}, {MEMORY - PAGE, PAGE}, {0, 0}},
    };
    vcpu = (struct probe_vcpu){.td = &td, .mailbox = &mailbox};
    return 0;
}

static const struct probe_result *work(struct probe_work w)
{
    mailbox.work = w;
    memset((void *)&mailbox.result, 0xa5, sizeof(mailbox.result));
    probe_work_do(&vcpu);
    return (const struct probe_result *)&mailbox.result;
}

/* --- ranges --- */

static void test_range_inside_and_clear(void **state)
{
    (void)state;
    const struct probe_range memory = {0, 0x10000}, kept[] = {{0x4000, 0x2000}, {0x9000, 0}};
    static const struct {
        uint64_t start, bytes;
        bool is_free;
    } cases[] = {
        {0, 0x4000, true},
        {0, 0x4008, false},
        {0x6000, 0xa000, true},
        {0x5ff8, 8, false},
        {0, 0, false},
        {4, 8, false},
        {0, 12, false},
        {0x10000, 8, false},
        {0xfff8, 0x10, false},
        {0xfff8, 8, true},
        {~7ull, 8, false},
        {8, ~7ull, false},
        {0x8000000000000000ull, 0x8000000000000000ull, false},
        {0x9000, 0x100, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct probe_range range = {cases[i].start, cases[i].bytes};
        assert_int_equal(probe_range_is_free(range, 8, memory, kept, 2), cases[i].is_free);
    }
}

/* --- orders --- */

static void test_order_sequential_wraps(void **state)
{
    (void)state;
    struct probe_order_state order;
    probe_order_start(&order, PROBE_SEQUENTIAL, 3, 9);
    for (uint64_t i = 0; i < 7; i++) {
        assert_int_equal(probe_order_next(&order), i % 3);
    }
}

static void count_order(uint32_t kind, uint64_t slots, uint64_t draws, uint64_t *counts)
{
    struct probe_order_state order;
    memset(counts, 0, slots * sizeof(*counts));
    probe_order_start(&order, kind, slots, 1);
    for (uint64_t i = 0; i < draws; i++) {
        uint64_t slot = probe_order_next(&order);
        assert_true(slot < slots);
        counts[slot]++;
    }
}

static void test_order_random_is_even(void **state)
{
    (void)state;
    uint64_t counts[100];
    count_order(PROBE_RANDOM, 100, 100000, counts);
    for (int i = 0; i < 100; i++) {
        assert_in_range(counts[i], 850, 1150);
    }
}

static void test_order_zipf_halves_by_octave(void **state)
{
    (void)state;
    static uint64_t counts[1023];
    count_order(PROBE_ZIPF, 1023, 200000, counts);
    /* Ranks 1, 2..3, 4..7 and so on are drawn equally often: ten octaves. */
    for (unsigned octave = 0; octave < 10; octave++) {
        uint64_t sum = 0;
        for (unsigned rank = 1u << octave; rank < 2u << octave; rank++) {
            sum += counts[rank - 1];
        }
        assert_in_range(sum, 19000, 21000);
    }
}

static void test_order_one_slot_and_same_seed(void **state)
{
    (void)state;
    for (uint32_t kind = PROBE_SEQUENTIAL; kind <= PROBE_ZIPF; kind++) {
        struct probe_order_state one, a, b, c;
        probe_order_start(&one, kind, 1, 5);
        probe_order_start(&a, kind, 1000, 5);
        probe_order_start(&b, kind, 1000, 5);
        probe_order_start(&c, kind, 1000, 6);
        unsigned differs = 0;
        for (int i = 0; i < 100; i++) {
            uint64_t slot = probe_order_next(&a);
            assert_int_equal(probe_order_next(&one), 0);
            assert_int_equal(probe_order_next(&b), slot);
            differs += probe_order_next(&c) != slot;
        }
        assert_true(kind == PROBE_SEQUENTIAL ? differs == 0 : differs > 50);
    }
}

/* --- data --- */

static void test_fill_then_verify(void **state)
{
    (void)state;
    const struct probe_result *r = work((struct probe_work){.op = PROBE_FILL, .gpa = 0xff8, .len = 0x2010, .seed = 7});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->bytes, 0x2010);
    r = work((struct probe_work){.op = PROBE_VERIFY, .gpa = 0xff8, .len = 0x2010, .seed = 7});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->bad_bytes, 0);
    for (uint64_t gpa = 0; gpa < MEMORY; gpa += 8) {
        uint64_t word;
        memcpy(&word, fake.memory + gpa, 8);
        assert_int_equal(word, gpa >= 0xff8 && gpa < 0x3008 ? probe_word(7, gpa) : 0);
    }
}

static void test_verify_names_the_first_wrong_word(void **state)
{
    (void)state;
    work((struct probe_work){.op = PROBE_FILL, .gpa = 0, .len = 0x3000, .seed = 1});
    fake.memory[0x1013] ^= 0x40;
    fake.memory[0x1017] ^= 1;
    fake.memory[0x2000] ^= 0xff;
    const struct probe_result *r = work((struct probe_work){.op = PROBE_VERIFY, .gpa = 0, .len = 0x3000, .seed = 1});
    assert_int_equal(r->status, PROBE_MISMATCH);
    assert_int_equal(r->at_gpa, 0x1010);
    assert_int_equal(r->bad_bytes, 3);
    assert_int_equal(r->bytes, 0x3000);
    assert_int_equal(r->expected, probe_word(1, 0x1010));
    assert_int_equal(r->found, r->expected ^ 0x0100000040000000ull);
}

static void test_verify_sees_pages_swapped_and_other_seed(void **state)
{
    (void)state;
    uint8_t page[PAGE];
    work((struct probe_work){.op = PROBE_FILL, .gpa = 0, .len = 0x2000, .seed = 1});
    memcpy(page, fake.memory, PAGE);
    memcpy(fake.memory, fake.memory + PAGE, PAGE);
    memcpy(fake.memory + PAGE, page, PAGE);
    const struct probe_result *r = work((struct probe_work){.op = PROBE_VERIFY, .gpa = 0, .len = 0x2000, .seed = 1});
    assert_int_equal(r->status, PROBE_MISMATCH);
    assert_true(r->bad_bytes > 0x1e00);
    r = work((struct probe_work){.op = PROBE_VERIFY, .gpa = 0, .len = 0x2000, .seed = 2});
    assert_int_equal(r->status, PROBE_MISMATCH);
    assert_int_equal(r->at_gpa, 0);
}

static void test_touch_counts_and_keeps_the_pattern(void **state)
{
    (void)state;
    work((struct probe_work){.op = PROBE_FILL, .gpa = PAGE, .len = 64 * PAGE, .seed = 3});
    for (uint32_t kind = PROBE_SEQUENTIAL; kind <= PROBE_ZIPF; kind++) {
        const struct probe_result *r = work((struct probe_work){.op = PROBE_TOUCH,
                                                                .gpa = PAGE,
                                                                .len = 64 * PAGE,
                                                                .stride = 72,
                                                                .order = kind,
                                                                .count = 5000,
                                                                .write = 1,
                                                                .seed = 3});
        assert_int_equal(r->status, PROBE_OK);
        assert_int_equal(r->touched, 5000);
        r = work((struct probe_work){.op = PROBE_VERIFY, .gpa = PAGE, .len = 64 * PAGE, .seed = 3});
        assert_int_equal(r->status, PROBE_OK);
    }
    const struct probe_result *r =
        work((struct probe_work){.op = PROBE_TOUCH, .gpa = PAGE, .len = 64 * PAGE, .stride = PAGE, .seed = 3});
    assert_int_equal(r->touched, 64);
    fake.abort_after = 20; /* pauses: seen at the next look at the mailbox */
    r = work((struct probe_work){.op = PROBE_TOUCH, .gpa = 0, .len = 128 * PAGE, .stride = PAGE, .pauses = 1});
    assert_int_equal(r->status, PROBE_ABORTED);
    assert_int_equal(r->touched, 64);
}

static void test_touch_writes_each_slot_once_in_sequence(void **state)
{
    (void)state;
    const struct probe_result *r = work(
        (struct probe_work){.op = PROBE_TOUCH, .gpa = 0, .len = 2 * PAGE + 8, .stride = PAGE, .write = 1, .seed = 4});
    assert_int_equal(r->touched, 3);
    uint64_t nonzero = 0;
    for (uint64_t gpa = 0; gpa < MEMORY; gpa += 8) {
        uint64_t word;
        memcpy(&word, fake.memory + gpa, 8);
        nonzero += word != 0;
        assert_true(word == 0 || word == probe_word(4, gpa));
    }
    assert_int_equal(nonzero, 3);
}

/* --- ACCEPT and MapGPA --- */

static void test_accept_large_falls_back_and_counts(void **state)
{
    (void)state;
    fake.is_big[1] = 1;
    /* From the last page of region 0 to the first of region 2: 1 small, 1 large, 1 small. */
    const struct probe_result *r =
        work((struct probe_work){.op = PROBE_ACCEPT, .gpa = BIG - PAGE, .len = BIG + 2 * PAGE, .level = 1});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->accepted[0], 2);
    assert_int_equal(r->accepted[1], 1);
    assert_int_equal(r->bytes, BIG + 2 * PAGE);
    /* A whole region that the host mapped as 4K pages. */
    r = work((struct probe_work){.op = PROBE_ACCEPT, .gpa = 0, .len = BIG, .level = 1});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->accepted[0], 511);
    assert_int_equal(r->accepted[1], 0);
    /* Again: nothing new. */
    r = work((struct probe_work){.op = PROBE_ACCEPT, .gpa = 0, .len = 2 * BIG, .level = 1});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->accepted[0] + r->accepted[1], 0);
    assert_int_equal(r->bytes, 2 * BIG);
}

static void test_accept_waits_out_busy(void **state)
{
    (void)state;
    fake.busy = 50;
    const struct probe_result *r = work((struct probe_work){.op = PROBE_ACCEPT, .gpa = 0, .len = PAGE});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->accepted[0], 1);
    fake.busy = 1u << 30;
    r = work((struct probe_work){.op = PROBE_ACCEPT, .gpa = PAGE, .len = PAGE});
    assert_int_equal(r->status, PROBE_ACCEPT_FAILED);
    assert_int_equal(r->tdcall_status, BUSY);
}

static void test_accept_failure_says_where(void **state)
{
    (void)state;
    fake.bad_accept_gpa = 5 * PAGE;
    const struct probe_result *r = work((struct probe_work){.op = PROBE_ACCEPT, .gpa = 2 * PAGE, .len = 8 * PAGE});
    assert_int_equal(r->status, PROBE_ACCEPT_FAILED);
    assert_int_equal(r->at_gpa, 5 * PAGE);
    assert_int_equal(r->tdcall_status, OPERAND_INVALID);
    assert_int_equal(r->accepted[0], 3);
    assert_int_equal(r->bytes, 3 * PAGE);
    assert_int_equal(fake.page[6], PENDING);
}

/* Where it failed is where the page begins, and what was accepted before it counts. */
static void test_failure_of_large_accepts_says_where(void **state)
{
    (void)state;
    fake.is_big[0] = fake.is_big[1] = 1;
    fake.bad_accept_gpa = BIG;
    const struct probe_result *r = work((struct probe_work){.op = PROBE_ACCEPT, .gpa = 0, .len = 2 * BIG, .level = 1});
    assert_int_equal(r->status, PROBE_ACCEPT_FAILED);
    assert_int_equal(r->at_gpa, BIG);
    assert_int_equal(r->bytes, BIG);
    assert_int_equal(r->accepted[1], 1);
    fake.is_big[1] = 0;
    fake.bad_accept_gpa = BIG + 7 * PAGE;
    r = work((struct probe_work){.op = PROBE_ACCEPT, .gpa = BIG, .len = BIG, .level = 1});
    assert_int_equal(r->status, PROBE_ACCEPT_FAILED);
    assert_int_equal(r->at_gpa, BIG + 7 * PAGE);
    assert_int_equal(r->bytes, 7 * PAGE);
    assert_int_equal(r->accepted[0], 7);
}

static void test_convert_there_and_back(void **state)
{
    (void)state;
    fake.map_chunk = 3 * PAGE;
    const struct probe_result *r =
        work((struct probe_work){.op = PROBE_CONVERT, .gpa = PAGE, .len = 10 * PAGE, .to_shared = 1});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->mapgpa_retries, 3);
    assert_int_equal(r->bytes, 10 * PAGE);
    for (uint64_t page = 0; page < PAGES; page++) {
        assert_int_equal(fake.page[page], page >= 1 && page < 11 ? SHARED : PENDING);
    }
    r = work((struct probe_work){.op = PROBE_CONVERT, .gpa = PAGE, .len = 10 * PAGE});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->accepted[0], 10);
    assert_int_equal(r->bytes, 10 * PAGE);
    assert_int_equal(fake.page[10], ACCEPTED);
    assert_int_equal(fake.page[11], PENDING);
    fake.page[1] = SHARED;
    r = work((struct probe_work){.op = PROBE_CONVERT, .gpa = PAGE, .len = PAGE, .leave_pending = 1});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->bytes, PAGE);
    assert_int_equal(r->accepted[0], 0);
    assert_int_equal(fake.page[1], PENDING);
}

static void test_convert_gives_up_without_progress(void **state)
{
    (void)state;
    fake.map_sticks = true;
    const struct probe_result *r =
        work((struct probe_work){.op = PROBE_CONVERT, .gpa = PAGE, .len = PAGE, .to_shared = 1});
    assert_int_equal(r->status, PROBE_MAPGPA_FAILED);
    assert_int_equal(r->vmcall_status, 1);
    assert_int_equal(r->at_gpa, PAGE);
}

static void test_convert_reports_the_vmms_error(void **state)
{
    (void)state;
    fake.map_error = 0x8000000000000000ull;
    const struct probe_result *r = work((struct probe_work){.op = PROBE_CONVERT, .gpa = 0, .len = PAGE});
    assert_int_equal(r->status, PROBE_MAPGPA_FAILED);
    assert_int_equal(r->vmcall_status, 0x8000000000000000ull);
    assert_int_equal(r->mapgpa_retries, 0);
    assert_int_equal(fake.page[0], PENDING);
}

static void test_lazy_accept_by_what_the_host_mapped(void **state)
{
    (void)state;
    fake.is_big[1] = 1;
    assert_int_equal(probe_work_accept_around(&vcpu, BIG + 0x12345), 0);
    assert_int_equal(vcpu.accepted[1], 1);
    assert_int_equal(fake.page[2 * 512 - 1], ACCEPTED);
    assert_int_equal(probe_work_accept_around(&vcpu, 0x12345), 0);
    assert_int_equal(vcpu.accepted[0], 1);
    assert_int_equal(fake.page[0x12], ACCEPTED);
    assert_int_equal(fake.page[0x13], PENDING);
}

/* --- giving up, and bad work --- */

static void test_abort_stops_each_work(void **state)
{
    (void)state;
    static const struct probe_work works[] = {
        {.op = PROBE_FILL, .gpa = 0, .len = BIG},
        {.op = PROBE_VERIFY, .gpa = 0, .len = BIG},
        {.op = PROBE_ACCEPT, .gpa = 0, .len = BIG},
        {.op = PROBE_CONVERT, .gpa = 0, .len = BIG, .to_shared = 1},
        {.op = PROBE_TOUCH, .gpa = 0, .len = BIG, .stride = 8},
        {.op = PROBE_SPIN, .milliseconds = 1ull << 40, .tsc_khz = 1},
    };
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        fresh(NULL);
        mailbox.abort = 1;
        const struct probe_result *r = work(works[i]);
        assert_int_equal(r->status, PROBE_ABORTED);
        assert_int_equal(r->bytes + r->touched + fake.page[0], 0);
    }
}

static void test_abort_in_the_middle_of_accept(void **state)
{
    (void)state;
    fake.abort_after = 20;
    const struct probe_result *r = work((struct probe_work){.op = PROBE_ACCEPT, .gpa = 0, .len = BIG, .level = 1});
    assert_int_equal(r->status, PROBE_ABORTED);
    assert_int_equal(r->bytes, r->accepted[0] * PAGE);
    assert_in_range(r->accepted[0], 15, 20);
}

static void test_bad_work_is_refused_untouched(void **state)
{
    (void)state;
    static const struct probe_work works[] = {
        {.op = 99},
        {.op = PROBE_FILL, .gpa = 0, .len = 0},
        {.op = PROBE_FILL, .gpa = 4, .len = 8},
        {.op = PROBE_FILL, .gpa = MEMORY, .len = 8},
        {.op = PROBE_FILL, .gpa = 3 * BIG - 8, .len = 16},  /* into the image */
        {.op = PROBE_FILL, .gpa = MEMORY - PAGE, .len = 8}, /* a mailbox */
        {.op = PROBE_FILL, .gpa = 8, .len = ~7ull},
        {.op = PROBE_ACCEPT, .gpa = 0, .len = PAGE, .level = 2},
        {.op = PROBE_ACCEPT, .gpa = 8, .len = PAGE},
        {.op = PROBE_CONVERT, .gpa = 0, .len = PAGE + 8, .to_shared = 1},
        {.op = PROBE_CONVERT, .gpa = 2 * BIG, .len = 2 * BIG, .to_shared = 1},
        {.op = PROBE_TOUCH, .gpa = 0, .len = PAGE, .stride = 0},
        {.op = PROBE_TOUCH, .gpa = 0, .len = PAGE, .stride = 12},
        {.op = PROBE_TOUCH, .gpa = 0, .len = PAGE, .stride = 8, .order = 3},
        {.op = PROBE_SPIN, .milliseconds = 1, .tsc_khz = 0},
        {.op = PROBE_SPIN, .milliseconds = 1ull << 60, .tsc_khz = 1u << 20},
    };
    static uint8_t zero[MEMORY];
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        const struct probe_result *r = work(works[i]);
        assert_int_equal(r->status, PROBE_BAD_WORK);
        assert_int_equal(r->bytes, 0);
        assert_memory_equal(fake.memory, zero, MEMORY);
        for (uint64_t page = 0; page < PAGES; page++) {
            assert_int_equal(fake.page[page], PENDING);
        }
    }
}

static void test_spin_lasts(void **state)
{
    (void)state;
    const struct probe_result *r = work((struct probe_work){.op = PROBE_SPIN, .milliseconds = 5, .tsc_khz = 1000});
    assert_int_equal(r->status, PROBE_OK);
    assert_true(r->tsc >= 5000);
}

static void test_fatal_text_is_cut_and_padded(void **state)
{
    (void)state;
    struct guest_text text = {.used = 0};
    guest_text_add(&text, "at ");
    guest_text_add_hex(&text, 0);
    guest_text_add_hex(&text, 0xffff800000001000ull);
    assert_string_equal(text.bytes, "at 0x00xffff800000001000");
    for (int i = 0; i < 20; i++) {
        guest_text_add(&text, "1234567890");
    }
    assert_int_equal(text.used, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_inside_and_clear),
        cmocka_unit_test(test_order_sequential_wraps),
        cmocka_unit_test(test_order_random_is_even),
        cmocka_unit_test(test_order_zipf_halves_by_octave),
        cmocka_unit_test(test_order_one_slot_and_same_seed),
        cmocka_unit_test_setup(test_fill_then_verify, fresh),
        cmocka_unit_test_setup(test_verify_names_the_first_wrong_word, fresh),
        cmocka_unit_test_setup(test_verify_sees_pages_swapped_and_other_seed, fresh),
        cmocka_unit_test_setup(test_touch_counts_and_keeps_the_pattern, fresh),
        cmocka_unit_test_setup(test_touch_writes_each_slot_once_in_sequence, fresh),
        cmocka_unit_test_setup(test_accept_large_falls_back_and_counts, fresh),
        cmocka_unit_test_setup(test_accept_waits_out_busy, fresh),
        cmocka_unit_test_setup(test_accept_failure_says_where, fresh),
        cmocka_unit_test_setup(test_failure_of_large_accepts_says_where, fresh),
        cmocka_unit_test_setup(test_convert_there_and_back, fresh),
        cmocka_unit_test_setup(test_convert_gives_up_without_progress, fresh),
        cmocka_unit_test_setup(test_convert_reports_the_vmms_error, fresh),
        cmocka_unit_test_setup(test_lazy_accept_by_what_the_host_mapped, fresh),
        cmocka_unit_test_setup(test_abort_stops_each_work, fresh),
        cmocka_unit_test_setup(test_abort_in_the_middle_of_accept, fresh),
        cmocka_unit_test_setup(test_bad_work_is_refused_untouched, fresh),
        cmocka_unit_test_setup(test_spin_lasts, fresh),
        cmocka_unit_test(test_fatal_text_is_cut_and_padded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
