/* The virtual APIC by itself: which interrupt is next, nesting, priorities, EOI, self-IPI, posted interrupts, the MSRs. Numbers are
 * typed from SDM volume 3, chapter 30. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/machine/vapic.h"

static _Alignas(4096) u8 page[4096];
static u16 status;
static struct vapic a = {page, &status};

static int reset(void **state)
{
    memset(page, 0, sizeof(page));
    status = 0;
    return 0;
}

static u32 at(unsigned offset)
{
    return *(u32 *)(page + offset);
}

/* By the SDM's conditions and nothing else: RVI above PPR. */
static bool is_recognized(void)
{
    return (status & 0xf0) > (at(0xa0) & 0xf0);
}

static void deliver(u8 vector)
{
    assert_true(is_recognized());
    assert_int_equal(vapic_candidate(&a), vector);
    vapic_delivered(&a);
}

static void request_service_end(void **state)
{
    assert_int_equal(vapic_candidate(&a), 0);
    vapic_request(&a, 0x61);
    assert_int_equal(at(0x200 + 0x30), 1 << 1);
    assert_int_equal(status, 0x0061);
    deliver(0x61);
    assert_int_equal(at(0x200 + 0x30), 0);
    assert_int_equal(at(0x100 + 0x30), 1 << 1);
    assert_int_equal(status, 0x6100);
    assert_int_equal(at(0xa0), 0x60);
    assert_int_equal(vapic_candidate(&a), 0);
    vapic_eoi(&a);
    assert_int_equal(at(0x100 + 0x30), 0);
    assert_int_equal(status, 0);
    assert_int_equal(at(0xa0), 0);
}

static void higher_class_nests_and_equal_class_waits(void **state)
{
    vapic_request(&a, 0x35);
    deliver(0x35);
    vapic_request(&a, 0x3f); /* higher, of the same class */
    assert_int_equal(vapic_candidate(&a), 0);
    assert_false(is_recognized());
    vapic_request(&a, 0x80);
    vapic_request(&a, 0x42);
    deliver(0x80);
    assert_int_equal(status, 0x8042);
    vapic_eoi(&a);
    assert_int_equal(status, 0x3542);
    deliver(0x42);
    assert_int_equal(status, 0x423f);
    vapic_eoi(&a);
    assert_int_equal(vapic_candidate(&a), 0); /* 35h is still in service */
    vapic_eoi(&a);
    deliver(0x3f);
    vapic_eoi(&a);
    assert_int_equal(status, 0);
}

static void same_vector_twice_is_one_more(void **state)
{
    vapic_request(&a, 0x55);
    vapic_request(&a, 0x55);
    deliver(0x55);
    vapic_request(&a, 0x55); /* while it is in service: once more behind it */
    vapic_request(&a, 0x55);
    assert_int_equal(vapic_candidate(&a), 0);
    vapic_eoi(&a);
    deliver(0x55);
    vapic_eoi(&a);
    assert_int_equal(vapic_candidate(&a), 0);
}

static void task_priority(void **state)
{
    vapic_request(&a, 0x77);
    vapic_set_tpr(&a, 0x7c);
    assert_int_equal(at(0x80), 0x7c);
    assert_int_equal(at(0xa0), 0x7c);
    assert_false(is_recognized());
    vapic_set_tpr(&a, 0x6f);
    assert_true(is_recognized());
    deliver(0x77);
    assert_int_equal(at(0xa0), 0x70); /* the service's, above TPR */
    vapic_set_tpr(&a, 0x91);
    assert_int_equal(at(0xa0), 0x91);
    vapic_eoi(&a);
    assert_int_equal(at(0xa0), 0x91);
    vapic_set_tpr(&a, 0);
    assert_int_equal(at(0xa0), 0);
}

/* An EOI with nothing in service changes nothing. */
static void eoi_too_many(void **state)
{
    vapic_request(&a, 0x90);
    vapic_eoi(&a);
    assert_int_equal(status, 0x90);
    deliver(0x90);
}

static void posted(void **state)
{
    struct posted_descriptor d = {.requests = {1ull << 0x31, 1ull << (0x7f - 64), 0, 1ull << 63},
                                  .outstanding = 0xf003};

    vapic_request(&a, 0x32);
    vapic_take_posted(&a, &d);
    assert_int_equal(d.outstanding, 0xf002); /* ON alone is cleared */
    assert_int_equal(d.requests[0] | d.requests[1] | d.requests[2] | d.requests[3], 0);
    assert_int_equal(at(0x200 + 0x10), 3 << 17); /* 31h and 32h */
    assert_int_equal(status, 0xff);
    deliver(0xff);
    vapic_eoi(&a);
    deliver(0x7f);
    vapic_eoi(&a);
    deliver(0x32);
    vapic_take_posted(&a, &d); /* nothing new: nothing is lost */
    assert_int_equal(status, 0x3231);
    vapic_eoi(&a);
    deliver(0x31);
}

static void msrs(void **state)
{
    assert_int_equal(vapic_write_msr(&a, 0x808, 0x35), VAPIC_DONE);
    assert_int_equal(vapic_read_msr(&a, 0x808), 0x35);
    assert_int_equal(vapic_read_msr(&a, 0x80a), 0x35);
    assert_int_equal(vapic_write_msr(&a, 0x808, 0x100), VAPIC_FAULT);
    assert_int_equal(vapic_write_msr(&a, 0x83f, 0x91), VAPIC_DONE);
    assert_int_equal(vapic_read_msr(&a, 0x824), 1 << 17); /* IRR */
    assert_int_equal(vapic_write_msr(&a, 0x83f, 0x1000000091), VAPIC_FAULT);
    assert_int_equal(vapic_write_msr(&a, 0x83f, 0xf), VAPIC_EXIT); /* no legal vector */
    assert_int_equal(status, 0x91);
    deliver(0x91);
    assert_int_equal(vapic_read_msr(&a, 0x814), 1 << 17); /* ISR */
    assert_int_equal(vapic_write_msr(&a, 0x80b, 1), VAPIC_FAULT);
    assert_int_equal(status, 0x9100);
    assert_int_equal(vapic_write_msr(&a, 0x80b, 0), VAPIC_DONE);
    assert_int_equal(status, 0);
    for (u32 msr = 0x809; msr <= 0x827; msr++) /* read-only, or not in x2APIC mode */
        if (msr != 0x80b)
            assert_int_equal(vapic_write_msr(&a, msr, 0), VAPIC_FAULT);
}

/* Any order of requests, deliveries, EOIs and priorities: each request is delivered once for each time that it became one. */
static void at_random(void **state)
{
    unsigned requested[256] = {0}, delivered[256] = {0}, depth = 0;

    srand(1);
    for (unsigned i = 0; i < 200000; i++) {
        u8 vector = (u8)(16 + rand() % 240);
        switch (rand() % 4) {
        case 0:
            requested[vector] += !(at(0x200 + vector / 32 * 16) >> vector % 32 & 1);
            vapic_request(&a, vector);
            break;
        case 1:
            vapic_set_tpr(&a, (u8)(rand() % 256));
            break;
        case 2:
            if (!is_recognized())
                break;
            vector = vapic_candidate(&a);
            assert_true(vector);
            delivered[vector]++;
            vapic_delivered(&a);
            depth++;
            break;
        default:
            depth -= depth != 0;
            vapic_eoi(&a);
        }
        assert_int_equal(status >> 8 == 0, depth == 0);
    }
    vapic_set_tpr(&a, 0);
    for (; depth; depth--)
        vapic_eoi(&a);
    while (vapic_candidate(&a)) {
        delivered[vapic_candidate(&a)]++;
        vapic_delivered(&a);
        vapic_eoi(&a);
    }
    assert_memory_equal(requested, delivered, sizeof(requested));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(request_service_end, reset),
        cmocka_unit_test_setup(higher_class_nests_and_equal_class_waits, reset),
        cmocka_unit_test_setup(same_vector_twice_is_one_more, reset),
        cmocka_unit_test_setup(task_priority, reset),
        cmocka_unit_test_setup(eoi_too_many, reset),
        cmocka_unit_test_setup(posted, reset),
        cmocka_unit_test_setup(msrs, reset),
        cmocka_unit_test_setup(at_random, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
