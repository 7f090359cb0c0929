/* What interrupts of the VMM's own CPU end with: kernel/guard/trap.c over the registers of an x2APIC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "drivers/apic.h"
#include "kernel/console/console.h"
#include "kernel/hw/firmware.h"
#include "kernel/guard/leave.h"
#include "kernel/guard/panic.h"
#include "kernel/guard/trap.h"
#include "kernel/guard/watchdog.h"
#include "kernel/time.h"
#include "lib/hw/fixup.h"
#include "tests/host/cpu.h"
#include "tests/host/platform.h"

#define MSR_APIC_BASE 0x1b
#define MSR_EOI       0x80b
#define MSR_ISR       0x810
#define NO_EOI        1u /* what only the test writes there */
#define STRANGE       0x77

static jmp_buf after_panic;
static unsigned strangers, nmis;

void console_note_stranger(void)
{
    strangers++;
}
void console_note_nmi(void)
{
    nmis++;
}
static bool is_late;
static unsigned given_up;

bool leave_is_late(void)
{
    return is_late;
}
bool firmware_give_up(struct trap_frame *frame)
{
    given_up++;
    return true;
}
void panic_join(const struct trap_frame *frame) {}
_Noreturn void panic_trap(const struct trap_frame *frame, const char *what)
{
    longjmp(after_panic, 1);
}
u64 fixup_find(u64 at)
{
    return 0;
}

static bool never(unsigned cpu)
{
    return false;
}

static int start(void **state)
{
    static const u32 registers[] = {0x808, 0x80f, 0x832, 0x835, 0x836};

    platform_host_start(NULL);
    cpu_host_reset();
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.ecx = 1u << 21, .edx = 1u << 9});
    cpu_host_set_msr(MSR_APIC_BASE, 0xfee00900);
    cpu_host_set_msr(MSR_EOI, NO_EOI);
    for (unsigned i = 0; i < 8; i++)
        cpu_host_set_msr(MSR_ISR + i, 0);
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        cpu_host_set_msr(registers[i], 0);
    strangers = nmis = given_up = 0;
    time_init();
    (void)watchdog_start(never);
    is_late = false;
    return apic_init() == ERR_OK ? 0 : -1;
}

/* True: it wrote to EOI. */
static bool take(u64 vector)
{
    struct trap_frame frame = {.vector = vector};
    u64 eoi;

    cpu_host_set_msr(MSR_EOI, NO_EOI);
    trap_handle(&frame);
    assert_true(cpu_read_msr(MSR_EOI, &eoi));
    return eoi != NO_EOI;
}

static void in_service_is_one_bit(void **state)
{
    cpu_host_set_msr(MSR_ISR + 2, 1u << 1);
    assert_true(apic_is_in_service(65));
    assert_false(apic_is_in_service(64));
    assert_false(apic_is_in_service(33));
}

static void each_interrupt_gets_its_eoi(void **state)
{
    assert_true(take(APIC_VECTOR_TIMER));
    assert_true(take(APIC_VECTOR_SERIAL));
    assert_true(take(APIC_VECTOR_CALL));
    assert_true(take(APIC_VECTOR_WATCH));
    assert_int_equal(strangers, 0);
    assert_true(take(STRANGE));
    assert_int_equal(strangers, 1);
}

/* An EOI that is not due would end the interrupt that the spurious one came over. */
static void spurious_one_gets_none(void **state)
{
    cpu_host_set_msr(MSR_ISR + 2, 1);
    assert_false(take(APIC_VECTOR_SPURIOUS));
    assert_int_equal(strangers, 0);
}

static void one_sent_as_spurious_gets_its_eoi(void **state)
{
    cpu_host_set_msr(MSR_ISR + 7, 1u << 31);
    assert_true(take(APIC_VECTOR_SPURIOUS));
    assert_int_equal(strangers, 1);
}

/* A call into the firmware ends by what it raises, and by the timer once it is late; its EOI comes first. */
static void firmware_that_fails_is_left(void **state)
{
    assert_true(take(APIC_VECTOR_TIMER));
    assert_int_equal(given_up, 0);
    is_late = true;
    assert_true(take(APIC_VECTOR_TIMER));
    assert_int_equal(given_up, 1);
    assert_false(take(14));
    assert_int_equal(given_up, 2);
}

/* The firmware runs on CPU 0, whatever breaks elsewhere. */
static void another_cpu_does_not_leave_it(void **state)
{
    if (setjmp(after_panic)) {
        cpu_host_use(0);
        assert_int_equal(given_up, 0);
        return;
    }
    cpu_host_use(1);
    (void)take(14);
    fail_msg("it came back");
}

static void nobodys_nmi_is_counted(void **state)
{
    for (unsigned i = 0; i < 1000; i++)
        assert_false(take(2));
    assert_int_equal(nmis, 1000);
    assert_int_equal(strangers + given_up, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(in_service_is_one_bit, start),
        cmocka_unit_test_setup(each_interrupt_gets_its_eoi, start),
        cmocka_unit_test_setup(spurious_one_gets_none, start),
        cmocka_unit_test_setup(firmware_that_fails_is_left, start),
        cmocka_unit_test_setup(another_cpu_does_not_leave_it, start),
        cmocka_unit_test_setup(nobodys_nmi_is_counted, start),
        cmocka_unit_test_setup(one_sent_as_spurious_gets_its_eoi, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
