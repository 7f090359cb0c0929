/* NMIs of the VMM (sim/machine/nmi.h): blocked from one's delivery until the IRET behind it is through. Numbers typed from the AMD
 * manual, volume 2, appendix B ("Layout of VMCB"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/machine/event.h"
#include "sim/machine/nmi.h"
#include "sim/machine/shoot.h"

#define EVENT_NMI      0x80000202ull /* valid, type NMI, vector 2 */
#define INTERCEPT_IRET (1u << 20)
#define TRAP_FLAG      0x100ull
#define SINGLE_STEP    0x4000ull

static struct vmcb vmcb;
static struct cpu cpu;
static bool is_for_guest, is_cut;

/* In the place of sim/machine/shoot.c and event.c. */
bool shoot_take_nmi(struct cpu *c)
{
    return is_for_guest;
}
bool event_is_cut(const struct vmcb *v)
{
    return is_cut;
}

static int start(void **state)
{
    memset(&vmcb, 0, sizeof(vmcb));
    memset(&cpu, 0, sizeof(cpu));
    cpu.vmm = &vmcb;
    is_for_guest = true;
    is_cut = false;
    return 0;
}

/* True: one was given to the VMM. */
static bool gave(void)
{
    u64 event = vmcb.event_injection;
    vmcb.event_injection = 0;
    assert_true(event == 0 || event == EVENT_NMI);
    return event != 0;
}

static bool nmi_comes(void)
{
    nmi_exit(&cpu);
    return gave();
}

/* The exit before the IRET, and the #DB behind it, if the machine steps. */
static bool iret(void)
{
    assert_true(vmcb.intercept_1 & INTERCEPT_IRET);
    nmi_iret_exit(&cpu);
    assert_false(gave());
    assert_false(vmcb.intercept_1 & INTERCEPT_IRET);
    assert_true(vmcb.rflags & TRAP_FLAG && vmcb.intercept_exceptions & 1u << 1);
    vmcb.rflags = 2; /* which IRET has loaded */
    vmcb.dr6 |= SINGLE_STEP;
    assert_true(nmi_step_exit(&cpu));
    assert_false(vmcb.dr6 & SINGLE_STEP || vmcb.intercept_exceptions & 1u << 1);
    return gave();
}

static void one_after_the_other(void **state)
{
    assert_true(nmi_comes());
    assert_false(iret());
    assert_false(vmcb.intercept_1 & INTERCEPT_IRET);
    assert_true(nmi_comes());
    assert_false(iret());
}

static void those_meanwhile_are_one(void **state)
{
    assert_true(nmi_comes());
    for (unsigned i = 0; i < 5; i++)
        assert_false(nmi_comes());
    assert_true(iret());
    assert_false(nmi_comes());
    assert_true(iret());
    assert_false(iret());
}

/* It would put its frame over the one that the IRET is about to take. */
static void one_between_the_exit_and_the_iret(void **state)
{
    assert_true(nmi_comes());
    nmi_iret_exit(&cpu);
    assert_false(nmi_comes());
    assert_true(nmi_step_exit(&cpu));
    assert_true(gave());
}

static void one_that_takes_a_td_out_blocks(void **state)
{
    nmi_block(&cpu);
    assert_false(nmi_comes());
    assert_true(iret());
}

static void not_the_vmms(void **state)
{
    is_for_guest = false;
    assert_false(nmi_comes());
    is_for_guest = is_cut = true; /* it comes again */
    assert_false(nmi_comes());
    assert_false(vmcb.intercept_1 & INTERCEPT_IRET);
    assert_false(nmi_step_exit(&cpu)); /* another's #DB */
}

static void init_lets_them_through(void **state)
{
    assert_true(nmi_comes());
    assert_false(nmi_comes());
    nmi_iret_exit(&cpu);
    nmi_reset(&cpu);
    assert_false(nmi_step_exit(&cpu));
    assert_true(nmi_comes());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_after_the_other, start),
        cmocka_unit_test_setup(those_meanwhile_are_one, start),
        cmocka_unit_test_setup(one_between_the_exit_and_the_iret, start),
        cmocka_unit_test_setup(one_that_takes_a_td_out_blocks, start),
        cmocka_unit_test_setup(not_the_vmms, start),
        cmocka_unit_test_setup(init_lets_them_through, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
