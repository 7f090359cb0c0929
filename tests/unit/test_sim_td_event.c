/* Events of a TD vCPU of the simulated machine: cut deliveries, injection, exits, failed entries, monitor trap, NMI window. */
#include "tests/unit/td_stage.h"

static void cut_event_is_delivered_again(void **state)
{
    u64 gp = 0x123ull << 32 | 1u << 31 | 1 << 11 | 3 << 8 | 13;

    INSN(0x0f, 0xa2);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, gp}, CPUID_ENDS); /* a TLB miss */
    assert_int_equal(at_run[1].event_injection, gp);
    *ept_entry(root, DATA_GPA, 0) = NO_VE;
    td_tlb_invept(&cpu, TD_INVEPT_ALL);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, gp});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    assert_int_equal(v->idt_vectoring_error, 0x123);
}

static void cut_software_events(void **state)
{
    u64 soft = 1u << 31 | 4 << 8;

    *ept_entry(root, DATA_GPA, 0) = NO_VE;
    INSN(0xcd, 0x61);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, soft | 0x61});
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 4 << 8 | 0x61);
    assert_int_equal(v->exit_instr_len, 2);
    assert_int_equal(v->rip, CODE_GPA);
    INSN(0xcc);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, soft | 3});
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 6 << 8 | 3);
    assert_int_equal(v->exit_instr_len, 1);
    v->entry_intr_info = v->idt_vectoring_info; /* the module gives it back */
    v->entry_instr_len = v->exit_instr_len;
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, 1u << 31 | 3 << 8 | 3});
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 3 << 8 | 3);
    assert_int_equal(at_run[0].rip, CODE_GPA + 1);
    assert_int_equal(v->rip, CODE_GPA);
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 6 << 8 | 3);
    map(DATA_GPA, data);
    INSN(0xcd, 0x61); /* a miss while the TD's own INT is delivered: executed again, not injected */
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, soft | 0x61}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 0);
    assert_int_equal(at_run[1].rip, CODE_GPA);
}

static void injection(void **state)
{
    INSN(0x90);
    v->entry_intr_info = 1u << 31 | 0x50;
    RUN({0x61, 0, 0, 0},
        {0x60, 0, 0, 0}); /* the exit behind it is the platform's own NMI: the emulator wants one there */
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 0x50);
    assert_int_equal(at_run[1].event_injection, 0);
    assert_int_equal(nmis_to_self, 1);
    assert_int_equal(v->exit_reason, 1);
    assert_int_equal(v->entry_intr_info, 0);
    v->entry_intr_info = 1u << 31 | 1 << 11 | 3 << 8 | 14;
    v->entry_error_code = 5;
    v->cr2 = 0xcafe;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 5ull << 32 | 1u << 31 | 1 << 11 | 3 << 8 | 14);
    assert_int_equal(at_run[0].cr2, 0xcafe);
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 0);
    v->pending_dbg = 1 << 14;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 3 << 8 | 1);
    assert_int_equal(at_run[0].dr6 >> 14 & 1, 1);
    assert_int_equal(v->pending_dbg, 0);
}

static void exits_with_nothing_but_a_reason(void **state)
{
    static const struct {
        u32 code, reason;
        u8 bytes[3];
        unsigned length;
    } table[] = {
        {0x72, 10, {0x0f, 0xa2}, 2},       {0x78, 12, {0xf4}, 1},
        {0x76, 13, {0x0f, 0x08}, 2},       {0x6f, 15, {0x0f, 0x33}, 2},
        {0x89, 54, {0x0f, 0x09}, 2},       {0x89, 54, {0xf3, 0x0f, 0x09}, 3},
        {0x8a, 39, {0x0f, 0x01, 0xc8}, 3}, {0x8b, 36, {0x0f, 0x01, 0xc9}, 3},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        instruction(3, table[i].bytes);
        RUN({table[i].code, 0, 0, 0});
        assert_int_equal(v->exit_reason, table[i].reason);
        assert_int_equal(v->exit_instr_len, table[i].length);
    }
    waiting[0] = 0xef;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(v->exit_reason, 1);
    assert_int_equal(v->exit_intr_info, 1u << 31 | 0xef); /* acknowledged on exit */
    RUN({0x61, 0, 0, 0});
    assert_int_equal(v->exit_reason, 0);
    assert_int_equal(v->exit_intr_info, 1u << 31 | 2 << 8 | 2);
    assert_int_equal(nmis_taken, 1);
    RUN({0x63, 0, 0, 0});
    assert_int_equal(v->exit_reason, 3);
    RUN({0x7f, 0, 0, 1u << 31 | 3 << 8 | 8});
    assert_int_equal(v->exit_reason, 2);
    assert_int_equal(v->idt_vectoring_info, 0);
}

/* Paging off, the IDT where the kernel has it in 64-bit mode: QEMU goes there. */
static void delivery_outside_physical_memory_is_a_triple_fault(void **state)
{
    INSN(0x90);
    RUN({EXIT_NPF, 1ull << 32 | 4, 0xfffffe0000000140, 1u << 31 | 3 << 8 | 20});
    assert_int_equal(v->exit_reason, 2);
    assert_int_equal(v->idt_vectoring_info, 0);
}

static void bad_guest_state_fails_the_entry(void **state)
{
    long_mode();
    v->cr4 = 0x2040;
    run(0, NULL);
    assert_int_equal(v->exit_reason, 1u << 31 | 33);
    v->cr4 = 0x2060;
    v->cr3 = 1ull << 50;
    run(0, NULL);
    assert_int_equal(v->exit_reason, 1u << 31 | 33);
}

static void monitor_trap(void **state)
{
    INSN(0x90);
    v->monitor_trap = true;
    RUN({0x41, 0, 0, 0});
    assert_int_equal(v->exit_reason, 37);
    assert_int_equal(at_run[0].rflags, 0x102);
    assert_int_equal(at_run[0].intercept_exceptions >> 1 & 1, 1);
    assert_int_equal(v->rflags, 2);
    INSN(0x0f, 0x22, 0xe1); /* an instruction that is emulated is one step too */
    v->gpr[RCX] = 0x40;
    RUN({0x14, 0, 0, 0});
    assert_int_equal(v->exit_reason, 37);
    assert_int_equal(v->rip, CODE_GPA + 3);
    RUN({0x60, 0, 0, 0}); /* an interrupt comes first */
    assert_int_equal(v->exit_reason, 1);
    assert_int_equal(v->rflags, 2);
}

static void nmi_window(void **state)
{
    INSN(0xcf);
    v->nmi_window = true;
    run(0, NULL);
    assert_int_equal(v->exit_reason, 8);
    v->entry_intr_info = 1u << 31 | 2 << 8 | 2;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 2 << 8 | 2);
    assert_int_equal(at_run[0].intercept_1 >> 20 & 1, 1); /* its IRET may come before the next exit */
    assert_int_equal(v->interruptibility, 8);
    RUN({0x74, 0, 0, 0}, {0x41, 0, 0, 0}); /* IRET, and the trap behind it */
    assert_int_equal(at_run[0].intercept_1 >> 20 & 1, 1);
    assert_int_equal(at_run[1].intercept_1 >> 20 & 1, 0);
    assert_int_equal(v->exit_reason, 8);
    assert_int_equal(v->interruptibility, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cut_event_is_delivered_again, start),
        cmocka_unit_test_setup(cut_software_events, start),
        cmocka_unit_test_setup(injection, start),
        cmocka_unit_test_setup(exits_with_nothing_but_a_reason, start),
        cmocka_unit_test_setup(bad_guest_state_fails_the_entry, start),
        cmocka_unit_test_setup(delivery_outside_physical_memory_is_a_triple_fault, start),
        cmocka_unit_test_setup(monitor_trap, start),
        cmocka_unit_test_setup(nmi_window, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
