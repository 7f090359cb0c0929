/*
 * The CPUs of one machine, on the real kernel/cpus.c: which are listed, started, given up and named, and how they are given work
 * and called. Each CPU that comes up is a thread; hardware, time and memory are this file's. Time stands still while a CPU has
 * something to do, and jumps while nobody has, so that every wait ends in the same way each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "kernel/boot_info.h"
#include "kernel/cpus.h"
#include "kernel/hw/ap.h"
#include "kernel/hw/paging.h"
#include "kernel/hw/traps.h"
#include "kernel/guard/mca.h"
#include "kernel/guard/panic.h"
#include "kernel/time.h"
#include "lib/log.h"
#include "mm/page.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"

#define LISTED     1024u
#define STACK      0x20000u
#define TRAMPOLINE 0x8000u
#define SELF       4u
#define JUMP_US    20000u

/* By APIC ID, in the order of ACPI. Those behind them are never heard of. */
enum {
    GOOD = 0,
    DISABLED = 16,
    SILENT = 2,
    SECOND_SIPI = 6,
    NO_STACK = 8,
    BAD_APIC = 10,
    LATE = 12,
    OTHER_TSC = 14,
    NO_GUARD = 18,
    FAR = 300,
    OTHERS = 1000
};
static const u32 ids[] = {GOOD,     SELF,     DISABLED, SILENT,    FAR,     SECOND_SIPI,
                          NO_STACK, BAD_APIC, LATE,     OTHER_TSC, NO_GUARD};
/* What they become; the index of each is its place among those that are listed, behind the CPU of the start. */
enum { I_GOOD = 1, I_SILENT, I_SECOND_SIPI, I_NO_STACK, I_BAD_APIC, I_LATE, I_OTHER_TSC, I_NO_GUARD, I_OTHERS };

/* --- hardware ------------------------------------------------------------------------------------------------------ */

static struct aim {
    void (*to)(void *arg);
    void *arg;
} aimed, late;

static struct {
    unsigned inits, startups;
    u64 stack_top;
    _Atomic bool pending, deaf; /* an interrupt waits; interrupts do not reach it */
} cpu_of[LISTED + 2000];
static _Atomic unsigned busy; /* threads that have not come to rest, interrupts that nobody has taken */
static _Atomic bool over;
static _Atomic u64 now_us;
static pthread_t threads[8];
static unsigned thread_count;
static _Thread_local u32 own_id = SELF;
static _Thread_local bool is_new;
static unsigned halts; /* by threads, one after the other */
static u64 unmapped[LISTED], next_page = 0x100000;
static unsigned preparing; /* the CPU whose stack was asked for last */
static char lines[LISTED + 16][128];
static unsigned line_count;

static void rest(void)
{
    if (is_new)
        busy--;
    is_new = false;
}

static void take_interrupt(void)
{
    if (!atomic_exchange(&cpu_of[own_id].pending, false))
        return;
    cpus_answer();
    busy--;
}

static void relaxed(void)
{
    if (cpu_host_interrupts_on() && own_id != SELF)
        take_interrupt();
    sched_yield();
}

void irq_disable(void) {}

void irq_enable(void)
{
    take_interrupt();
}

void irq_wait(void)
{
    rest();
    while (!cpu_of[own_id].pending) {
        if (over)
            pthread_exit(NULL);
        sched_yield();
    }
    take_interrupt();
}

void cpu_halt(void)
{
    halts++;
    rest();
    pthread_exit(NULL);
}

void cpu_set_local(struct cpu_local *local)
{
    cpu_host_use(local->index);
    own_id = local->index ? local->apic_id : SELF;
}

static void *run(void *arg)
{
    struct aim to = *(struct aim *)arg;
    is_new = true;
    free(arg);
    to.to(to.arg);
    return NULL;
}

/* Comes to rest before anything else goes on. */
static void come_up(struct aim to)
{
    struct aim *own = malloc(sizeof(*own));
    *own = to;
    busy++;
    assert_int_equal(pthread_create(&threads[thread_count++], NULL, run, own), 0);
    while (busy)
        sched_yield();
}

u32 apic_id(void)
{
    return SELF;
}

unsigned apic_package_shift(void)
{
    return 2;
}

bool apic_can_reach(u32 id)
{
    return id != FAR;
}

enum err apic_init(void)
{
    return own_id == BAD_APIC ? ERR_PLATFORM : ERR_OK;
}

void apic_send_ipi(u32 to, u8 vector)
{
    if (cpu_of[to].deaf)
        return;
    busy++;
    if (atomic_exchange(&cpu_of[to].pending, true))
        busy--;
}

void apic_send_init(u32 to)
{
    cpu_of[to].inits++;
}

void apic_send_startup(u32 to, hpa_t start)
{
    unsigned startups = ++cpu_of[to].startups;
    assert_int_equal(start.raw, TRAMPOLINE);
    if (to == LATE)
        late = aimed;
    if (to == OTHER_TSC)
        cpu_host_tsc_ahead += 1ull << 40;
    if (to == GOOD || to == BAD_APIC || to == OTHER_TSC || (to == SECOND_SIPI && startups == 2))
        come_up(aimed);
    if (to == OTHER_TSC)
        cpu_host_tsc_ahead -= 1ull << 40;
}

u64 ap_area_bytes(void)
{
    return 0x5000;
}

struct ap_area *ap_area_make(void *memory, void *stack_top)
{
    cpu_of[preparing].stack_top = (u64)stack_top;
    return memory;
}

void ap_place(hpa_t trampoline)
{
    assert_int_equal(trampoline.raw, TRAMPOLINE);
}

void ap_aim(hpa_t trampoline, struct ap_area *area, void (*to)(void *arg), void *arg)
{
    assert_non_null(area);
    aimed = (struct aim){to, arg};
}

enum err paging_unmap(hpa_t page)
{
    unmapped[preparing] = page.raw;
    return preparing == I_NO_GUARD ? ERR_NO_MEMORY : ERR_OK;
}

enum err page_alloc_range(u64 bytes, u64 align, hpa_t *at)
{
    preparing += bytes > STACK;
    *at = (hpa_t){next_page};
    next_page += bytes;
    return preparing == I_NO_STACK && bytes > STACK ? ERR_NO_MEMORY : ERR_OK;
}

u64 time_us(void)
{
    if (busy)
        sched_yield();
    else
        now_us += JUMP_US;
    return now_us;
}

void time_wait_us(u64 us)
{
    now_us += us;
}

void mca_init(void) {}

const struct boot_info *boot_info(void)
{
    static const struct boot_info info = {.trampoline = {TRAMPOLINE}};
    return &info;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(lines[line_count++], sizeof(lines[0]), fmt, args);
    va_end(args);
    assert_int_equal(level, LOG_WARN);
}

void panic(const char *fmt, ...)
{
    fprintf(stderr, "panic: %s\n", fmt);
    abort();
}

struct acpi_info acpi;

/* --- the start ------------------------------------------------------------------------------------------------------ */

static int boot(void **state)
{
    alarm(120); /* a net for what hangs */
    platform_host_start(NULL);
    for (unsigned i = 0; i < LISTED; i++) {
        u32 id = i < ARRAY_COUNT(ids) ? ids[i] : OTHERS + i;
        acpi.cpus[i] = (struct acpi_cpu){.apic_id = id, .enabled = id != DISABLED, .online_capable = true};
    }
    acpi.cpu_count = LISTED;
    acpi.cpus_left_out = 3;
    cpu_host_use(0);
    cpu_host_relaxed = relaxed;
    cpus_start();
    return 0;
}

static int end(void **state)
{
    over = true;
    for (unsigned i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void cpus_are_listed_in_the_order_of_acpi(void **state)
{
    static const u32 expected[] = {SELF,     GOOD, SILENT,    SECOND_SIPI, NO_STACK,
                                   BAD_APIC, LATE, OTHER_TSC, NO_GUARD,    OTHERS + 11};
    assert_int_equal(cpus_count(), LISTED - 3 + 1); /* but for itself, one that is disabled, one out of reach */
    for (unsigned i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_int_equal(cpus_apic_id(i), expected[i]);
        assert_int_equal(cpus_package(i), expected[i] / 4);
    }
    assert_int_equal(cpus_state(LISTED), CPU_FAILED);
}

static void those_that_come_up_are_idle_and_the_others_named(void **state)
{
    static const char *const said[] = {
        "the CPU with APIC id 300 is out of reach without x2APIC: it is left out",
        "ACPI lists 3 CPUs more than Septum runs, which is 1022: they are left out",
        "CPU 2 (APIC id 2) did not start within a second: it is left out",
        "CPU 4 (APIC id 8) finds no memory for its stack: it is left out",
        "CPU 5 (APIC id 10) did not start within a second: it is left out",
        "CPU 6 (APIC id 12) did not start within a second: it is left out",
        "the TSC of CPU 7 is not in step with that of CPU 0: times across CPUs mean nothing",
        "CPU 8 (APIC id 18) finds no memory for its stack: it is left out",
        "CPU 9 (APIC id 1011) did not start within a second: it is left out",
    };
    for (unsigned i = 0; i < ARRAY_COUNT(said); i++)
        assert_string_equal(lines[i], said[i]);
    assert_int_equal(line_count, 2 + 6 + cpus_count() - I_OTHERS);
    assert_int_equal(cpus_online(), 4);
    for (unsigned i = 1; i < cpus_count(); i++)
        assert_int_equal(cpus_state(i), i == I_GOOD || i == I_SECOND_SIPI || i == I_OTHER_TSC ? CPU_IDLE : CPU_FAILED);
    assert_int_equal(cpus_state(0), CPU_WORKS);
}

/* One SIPI where that does, else two; INIT once more where it did not help, so that the CPU does not come later. */
static void each_is_started_by_init_and_sipis(void **state)
{
    static const struct {
        u32 id;
        unsigned inits, startups;
    } rows[] = {{GOOD, 1, 1},     {SECOND_SIPI, 1, 2}, {SILENT, 2, 2}, {BAD_APIC, 2, 2}, {OTHER_TSC, 1, 1},
                {NO_STACK, 1, 0}, {DISABLED, 0, 0},    {FAR, 0, 0},    {SELF, 0, 0},     {OTHERS + 11, 2, 2}};
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(cpu_of[rows[i].id].inits, rows[i].inits);
        assert_int_equal(cpu_of[rows[i].id].startups, rows[i].startups);
    }
    assert_int_equal(halts, 2); /* the one without an APIC, at each SIPI */
}

static void below_each_stack_a_page_is_missing(void **state)
{
    for (unsigned i = 1; i < cpus_count(); i++) {
        if (i == I_NO_STACK || i == I_NO_GUARD)
            continue;
        assert_int_equal(unmapped[i] % 4096, 0);
        assert_int_equal(cpu_of[i].stack_top, (u64)phys_ptr((hpa_t){unmapped[i] + 4096 + STACK}));
        for (unsigned j = 1; j < i; j++)
            assert_int_not_equal(unmapped[i], unmapped[j]);
    }
}

static void one_that_comes_after_it_was_given_up_stays_out(void **state)
{
    unsigned before = halts;
    come_up(late);
    assert_int_equal(halts, before + 1);
    assert_int_equal(cpus_state(I_LATE), CPU_FAILED);
}

/* --- work ----------------------------------------------------------------------------------------------------------- */

static _Atomic unsigned runs[LISTED];
static _Atomic bool may_end;

static void count_here(void *arg)
{
    runs[cpu_index()]++;
}

static void work_until_told(void *arg)
{
    count_here(NULL);
    while (!may_end)
        cpu_relax();
}

static void forget_runs(void)
{
    for (unsigned i = 0; i < LISTED; i++)
        runs[i] = 0;
    may_end = false;
}

static void expect_runs(unsigned self, unsigned good, unsigned second, unsigned other)
{
    unsigned all = 0;
    for (unsigned i = 0; i < LISTED; i++)
        all += runs[i];
    assert_int_equal(runs[0], self);
    assert_int_equal(runs[I_GOOD], good);
    assert_int_equal(runs[I_SECOND_SIPI], second);
    assert_int_equal(runs[I_OTHER_TSC], other);
    assert_int_equal(all, self + good + second + other);
}

static void finish_work(unsigned cpu)
{
    may_end = true;
    while (cpus_state(cpu) != CPU_IDLE)
        sched_yield();
}

static void an_idle_cpu_takes_work_once(void **state)
{
    forget_runs();
    assert_int_equal(cpus_assign(0, count_here, NULL), ERR_NOT_FOUND);
    assert_int_equal(cpus_assign(I_SILENT, count_here, NULL), ERR_NOT_FOUND);
    assert_int_equal(cpus_assign(LISTED, count_here, NULL), ERR_NOT_FOUND);
    assert_int_equal(cpus_assign(I_GOOD, work_until_told, NULL), ERR_OK);
    assert_int_equal(cpus_assign(I_GOOD, count_here, NULL), ERR_BUSY);
    assert_int_equal(cpus_state(I_GOOD), CPU_WORKS);
    finish_work(I_GOOD);
    expect_runs(0, 1, 0, 0);
}

static void all_are_called_away_from_what_they_do(void **state)
{
    unsigned who = 99;
    forget_runs();
    assert_int_equal(cpus_assign(I_SECOND_SIPI, work_until_told, NULL), ERR_OK);
    while (!runs[I_SECOND_SIPI])
        sched_yield();
    assert_int_equal(cpus_call_each(count_here, NULL, &who), ERR_OK);
    assert_int_equal(who, 99);
    expect_runs(1, 1, 2, 1);
    assert_int_equal(cpus_call(I_OTHER_TSC, count_here, NULL), ERR_OK);
    assert_int_equal(cpus_call(0, count_here, NULL), ERR_OK);
    assert_int_equal(cpus_call(I_LATE, count_here, NULL), ERR_NOT_FOUND);
    expect_runs(2, 1, 2, 2);
    finish_work(I_SECOND_SIPI);
}

/* A call is taken back from who does not answer, so that it does not run when its caller is gone. */
static void who_does_not_answer_is_told_and_does_not_answer_later(void **state)
{
    unsigned who = 99;
    forget_runs();
    cpu_of[SECOND_SIPI].deaf = true;
    u64 from = now_us;
    assert_int_equal(cpus_call_each(count_here, NULL, &who), ERR_TIMEOUT);
    assert_int_equal(who, I_SECOND_SIPI);
    assert_in_range(now_us - from, 2000000, 2500000);
    assert_int_equal(cpus_call(I_SECOND_SIPI, count_here, NULL), ERR_TIMEOUT);
    expect_runs(1, 1, 0, 1);
    cpu_of[SECOND_SIPI].deaf = false;
    cpus_kick(I_SECOND_SIPI);
    while (busy)
        sched_yield();
    expect_runs(1, 1, 0, 1);
    assert_int_equal(cpus_call(I_SECOND_SIPI, count_here, NULL), ERR_OK);
    expect_runs(1, 1, 1, 1);
}

static void call_all(void *arg)
{
    unsigned who;
    for (unsigned i = 0; i < 200; i++)
        if (cpus_call_each(count_here, NULL, &who) != ERR_OK)
            abort();
}

/* Two CPUs call all others at the same time, and answer each other meanwhile. */
static void who_calls_answers_as_well(void **state)
{
    forget_runs();
    assert_int_equal(cpus_assign(I_GOOD, call_all, NULL), ERR_OK);
    for (unsigned i = 0, who; i < 200; i++) {
        assert_int_equal(cpus_call_each(count_here, NULL, &who), ERR_OK);
        own_id = SELF;
        take_interrupt();
    }
    while (cpus_state(I_GOOD) != CPU_IDLE) {
        take_interrupt();
        sched_yield();
    }
    expect_runs(400, 400, 400, 400);
}

static void work_is_shared_by_those_that_are_idle(void **state)
{
    forget_runs();
    assert_int_equal(cpus_assign(I_GOOD, work_until_told, NULL), ERR_OK);
    while (!runs[I_GOOD])
        sched_yield();
    cpus_share(count_here, NULL);
    expect_runs(1, 1, 1, 1);
    finish_work(I_GOOD);
    while (cpus_state(I_SECOND_SIPI) != CPU_IDLE || cpus_state(I_OTHER_TSC) != CPU_IDLE)
        sched_yield();
    cpus_share(count_here, NULL);
    expect_runs(2, 2, 2, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpus_are_listed_in_the_order_of_acpi),
        cmocka_unit_test(those_that_come_up_are_idle_and_the_others_named),
        cmocka_unit_test(each_is_started_by_init_and_sipis),
        cmocka_unit_test(below_each_stack_a_page_is_missing),
        cmocka_unit_test(one_that_comes_after_it_was_given_up_stays_out),
        cmocka_unit_test(an_idle_cpu_takes_work_once),
        cmocka_unit_test(all_are_called_away_from_what_they_do),
        cmocka_unit_test(who_does_not_answer_is_told_and_does_not_answer_later),
        cmocka_unit_test(who_calls_answers_as_well),
        cmocka_unit_test(work_is_shared_by_those_that_are_idle),
    };
    return cmocka_run_group_tests(tests, boot, end);
}
