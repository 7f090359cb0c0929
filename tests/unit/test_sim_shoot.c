/*
 * Shootdowns with real threads as CPUs: each runs a guest that goes on using what it saw at its entry, as a TLB would, until an NMI
 * takes it out. No guest may use a value that a shootdown has withdrawn once the shootdown has returned.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sim/machine/apic.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/log.h"
#include "sim/machine/shoot.h"

#define CPUS    4u
#define CHANGES 2000u /* a shooting CPU makes so many */

static struct cpu cpus[CPUS];
static __thread unsigned self;
static u32 nmis[CPUS];       /* pending, one at most */
static u64 value, withdrawn; /* what translations lead to now; the last one that nobody may use any more */
static u32 violations, done;
static u32 strays; /* NMIs that nobody is said to have sent */

struct cpu *cpu_this(void)
{
    return &cpus[self];
}
struct cpu *cpu_at(unsigned index)
{
    return &cpus[index];
}
unsigned cpu_count(void)
{
    return CPUS;
}
static void (*before_nmi)(void);
static u32 sends;
void apic_send_nmi(struct cpu *from, u32 dest)
{
    if (before_nmi)
        before_nmi();
    __atomic_store_n(&nmis[dest], 1, __ATOMIC_SEQ_CST);
    if (__atomic_add_fetch(&sends, 1, __ATOMIC_RELAXED) % 8)
        sched_yield(); /* who waits for it does mostly not spin while it has no processor */
}
void svm_take_nmi(void)
{
    __atomic_store_n(&nmis[self], 0, __ATOMIC_SEQ_CST);
}
static unsigned nmis_beside; /* that come in while an interrupt is taken */
u32 svm_take_interrupt(bool *nmi)
{
    *nmi = nmis_beside != 0;
    nmis_beside = 0;
    return 0x41;
}
void sim_log(const char *format, ...) {}
_Noreturn void sim_stop(const char *format, ...)
{
    fprintf(stderr, "%s\n", format);
    abort();
}

/* One stay in the guest: until an NMI, or for a while. */
static void run_guest(struct cpu *cpu)
{
    (void)shoot_enter(cpu, SHOOT_VMM);
    u64 cached = __atomic_load_n(&value, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < 200; i++) {
        if (cached <= __atomic_load_n(&withdrawn, __ATOMIC_SEQ_CST))
            __atomic_add_fetch(&violations, 1, __ATOMIC_RELAXED);
        if (i % 20 != 19)
            continue;
        if (__atomic_load_n(&nmis[cpu->index], __ATOMIC_SEQ_CST))
            break;
        sched_yield(); /* an NMI takes its time: what is cached is used a little longer */
    }
    shoot_leave(cpu, SHOOT_VMM);
    if (__atomic_load_n(&nmis[cpu->index], __ATOMIC_SEQ_CST) && shoot_take_nmi(cpu))
        __atomic_add_fetch(&strays, 1, __ATOMIC_RELAXED);
}

static void *guest(void *arg)
{
    self = *(unsigned *)arg;
    while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < 2)
        run_guest(&cpus[self]);
    return NULL;
}

/* Two of these at once: each in the core while it shoots, in a guest in between. */
static void *shooter(void *arg)
{
    self = *(unsigned *)arg;
    for (unsigned i = 0; i < CHANGES; i++) {
        u64 old = __atomic_fetch_add(&value, 1, __ATOMIC_SEQ_CST);
        shoot_down(SHOOT_VMM);
        u64 seen = __atomic_load_n(&withdrawn, __ATOMIC_SEQ_CST);
        while (seen < old &&
               !__atomic_compare_exchange_n(&withdrawn, &seen, old, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            ;
        sched_yield(); /* a guest that goes on using it gets its turn */
        run_guest(&cpus[self]);
    }
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < 2)
        run_guest(&cpus[self]);
    return NULL;
}

static void test_no_guest_uses_what_is_withdrawn(void **state)
{
    pthread_t threads[CPUS];
    unsigned indexes[CPUS];

    value = 1;
    for (unsigned i = 0; i < CPUS; i++) {
        cpus[i].index = cpus[i].apic_id = cpus[i].real_apic_id = indexes[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? shooter : guest, &indexes[i]), 0);
    }
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(violations, 0);
    assert_int_equal(strays, 0);
    assert_int_equal(withdrawn, 2 * CHANGES);
}

static void test_own_entry_sees_the_change(void **state)
{
    self = 0;
    (void)shoot_enter(&cpus[0], SHOOT_TD);
    shoot_leave(&cpus[0], SHOOT_TD);
    assert_false(shoot_enter(&cpus[0], SHOOT_TD));
    shoot_leave(&cpus[0], SHOOT_TD);
    shoot_down(SHOOT_TD);
    assert_true(shoot_enter(&cpus[0], SHOOT_TD));
    shoot_leave(&cpus[0], SHOOT_TD);
    assert_false(shoot_enter(&cpus[0], SHOOT_VMM)); /* channels are apart */
    shoot_leave(&cpus[0], SHOOT_VMM);
}

static void test_whose_nmi(void **state)
{
    struct cpu *cpu = &cpus[1];

    *cpu = (struct cpu){.index = 1, .apic_id = 1, .real_apic_id = 1}; /* its last NMI may be under way still */
    self = 1;
    assert_true(shoot_take_nmi(cpu)); /* from a device: nobody here sent it */
    shoot_send_nmi(&cpus[0], cpu);
    assert_false(shoot_take_nmi(cpu));
    shoot_send_nmi(&cpus[0], cpu);
    cpu->nmi_sent = true;
    shoot_send_nmi(&cpus[2], cpu); /* two in one */
    assert_true(shoot_take_nmi(cpu));
    assert_false(cpu->nmi_sent);
    assert_true(shoot_take_nmi(cpu));
}

static void take_one(void)
{
    assert_false(shoot_take_nmi(&cpus[1]));
}

/* Two shoot at a third, which takes the first one's NMI before the second one's has come. */
static void test_late_nmi(void **state)
{
    self = 1;
    shoot_send_nmi(&cpus[0], &cpus[1]);
    before_nmi = take_one;
    shoot_send_nmi(&cpus[2], &cpus[1]);
    before_nmi = NULL;
    assert_false(shoot_take_nmi(&cpus[1]));
    assert_true(shoot_take_nmi(&cpus[1]));
}

/* An NMI comes in beside an interrupt: the platform's own is met by that, the VMM's or a device's comes to the VMM all the same. */
static void test_nmi_beside_an_interrupt(void **state)
{
    struct cpu *cpu = &cpus[1];

    *cpu = (struct cpu){.index = 1, .apic_id = 1, .real_apic_id = 1};
    self = 1;
    sends = 0;
    assert_int_equal(shoot_take_interrupt(cpu), 0x41);
    shoot_send_nmi(&cpus[0], cpu);
    nmis_beside = 1;
    assert_int_equal(shoot_take_interrupt(cpu), 0x41);
    assert_int_equal(sends, 1);
    cpu->nmi_sent = true;
    shoot_send_nmi(&cpus[0], cpu);
    nmis_beside = 1;
    assert_int_equal(shoot_take_interrupt(cpu), 0x41);
    assert_int_equal(sends, 3);
    assert_true(shoot_take_nmi(cpu));
    nmis_beside = 1; /* a device's */
    assert_int_equal(shoot_take_interrupt(cpu), 0x41);
    assert_int_equal(sends, 4);
    assert_true(shoot_take_nmi(cpu));
    nmis_beside = 1;
    shoot_send_nmi(&cpus[0], cpu);
    assert_int_equal(shoot_take_interrupt(cpu), 0x41);
    assert_int_equal(sends, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_guest_uses_what_is_withdrawn),
        cmocka_unit_test(test_own_entry_sees_the_change),
        cmocka_unit_test(test_whose_nmi),
        cmocka_unit_test(test_late_nmi),
        cmocka_unit_test(test_nmi_beside_an_interrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
