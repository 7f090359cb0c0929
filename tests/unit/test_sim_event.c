/* Events and shadows that an exit of the VMM cuts off: what comes again at the next VMRUN, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/machine/event.h"
#include "sim/machine/guest.h"

#define VALID     (1u << 31)
#define TYPE(n)   ((u64)(n) << 8)
#define NOTHING   0
#define HLT       0xf4
#define NOP       0x90
#define AT        0x1000
#define INTERRUPT 0
#define NMI       2
#define EXCEPTION 3
#define SOFTWARE  4

static struct vmcb vmcb;
static struct cpu cpu = {.vmm = &vmcb};
static u8 opcode; /* at RIP */

bool guest_insn(struct cpu *of, struct insn *insn)
{
    assert_ptr_equal(of, &cpu);
    *insn = (struct insn){.map = MAP_ONE, .opcode = opcode, .length = 1};
    return opcode != NOTHING;
}

static u64 again(u64 cut, u64 answer)
{
    vmcb.exit_int_info = cut;
    vmcb.event_injection = answer;
    event_again(&vmcb);
    return vmcb.event_injection;
}

static void cut_event_comes_again(void **state)
{
    u64 page_fault = 6ull << 32 | VALID | 1 << 11 | TYPE(EXCEPTION) | 14;

    assert_int_equal(again(VALID | TYPE(INTERRUPT) | 0x40, 0), VALID | TYPE(INTERRUPT) | 0x40);
    assert_int_equal(again(VALID | TYPE(EXCEPTION) | 0x40, 0), VALID | TYPE(INTERRUPT) | 0x40);
    assert_int_equal(again(VALID | TYPE(EXCEPTION) | 0xf0, 0), VALID | TYPE(INTERRUPT) | 0xf0);
    assert_int_equal(again(VALID | TYPE(NMI) | 2, 0), VALID | TYPE(NMI) | 2);
    assert_int_equal(again(page_fault, 0), page_fault);
}

static void nothing_comes_again(void **state)
{
    u64 ud = VALID | TYPE(EXCEPTION) | 6;

    assert_int_equal(again(TYPE(EXCEPTION) | 0x40, 0), 0); /* delivered: what is left behind has no valid bit */
    assert_int_equal(again(VALID | TYPE(SOFTWARE) | 0x80, 0), 0);
    assert_int_equal(again(0, ud), ud);
    assert_int_equal(again(VALID | TYPE(INTERRUPT) | 0x40, ud), ud);
}

static void leave(u32 code, u64 int_state, u8 next)
{
    vmcb.exit_code = code;
    vmcb.int_state = int_state;
    vmcb.rip = AT;
    opcode = next;
    event_keep_shadow(&cpu);
}

static void halt_in_the_shadow_is_done(void **state)
{
    static const u32 codes[] = {VMEXIT_NMI, VMEXIT_NPF};

    for (unsigned i = 0; i < 2; i++) {
        leave(codes[i], VMCB_INT_SHADOW, HLT);
        assert_int_equal(vmcb.rip, AT + 1);
        assert_int_equal(vmcb.int_state, 0);
        leave(codes[i], 0, HLT); /* it may sleep: who wakes it comes later */
        assert_int_equal(vmcb.rip, AT);
    }
}

static void shadow_stays_over_what_runs_anew(void **state)
{
    leave(VMEXIT_NMI, VMCB_INT_SHADOW, NOP);
    assert_int_equal(vmcb.rip, AT);
    assert_int_equal(vmcb.int_state, VMCB_INT_SHADOW);
    leave(VMEXIT_NPF, VMCB_INT_SHADOW, NOTHING); /* an instruction that cannot be read */
    assert_int_equal(vmcb.rip, AT);
    assert_int_equal(vmcb.int_state, VMCB_INT_SHADOW);
}

static void shadow_ends_over_what_is_skipped(void **state)
{
    leave(VMEXIT_CPUID, VMCB_INT_SHADOW, NOP);
    assert_int_equal(vmcb.rip, AT);
    assert_int_equal(vmcb.int_state, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_event_comes_again),
        cmocka_unit_test(nothing_comes_again),
        cmocka_unit_test(halt_in_the_shadow_is_done),
        cmocka_unit_test(shadow_stays_over_what_runs_anew),
        cmocka_unit_test(shadow_ends_over_what_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
