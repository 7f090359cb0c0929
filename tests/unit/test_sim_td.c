/* What a TD vCPU of the simulated machine reaches: its state, translations, violations, shared and spoilt memory. */
#include "tests/unit/td_stage.h"

#include "sim/machine/mca.h"

static void state_goes_there_and_back(void **state)
{
    INSN(0x0f, 0xa2);
    v->gpr[RAX] = 0x1111;
    v->gpr[R15] = 0xffff;
    *(u32 *)(vapic + 0x80) = 0x53; /* TPR */
    v->lstar = 0x1234;
    v->fs.base = 0x777;
    v->tsc_aux = 9;
    v->dr[2] = 0xd2;
    v->idtr_base = 0x4000;
    v->idtr_limit = 0xfff;
    RUN(CPUID_ENDS);
    assert_int_equal(v->exit_reason, 10);
    assert_int_equal(v->exit_instr_len, 2);
    assert_int_equal(v->gpr[RAX], 0x1111);
    assert_int_equal(v->gpr[R15], 0xffff);
    assert_int_equal(v->rip, CODE_GPA);
    assert_int_equal(v->rsp, DATA_GPA + 0x800);
    assert_int_equal(v->cr0, 0x21);
    assert_int_equal(v->cr4, 0x2040);
    assert_int_equal(v->efer, 0x901);
    assert_int_equal(*(u32 *)(vapic + 0x80), 0x53);
    assert_int_equal(v->lstar, 0x1234);
    assert_int_equal(v->tsc_aux, 9);
    assert_int_equal(v->dr[2], 0xd2);
    assert_int_equal(v->idtr_base, 0x4000);
    assert_int_equal(v->idtr_limit, 0xfff);
    assert_int_equal(v->fs.base, 0x777);
    assert_int_equal(v->fs.access, 0xc093);
    assert_int_equal(v->cs.access, 0xc09b);
    assert_int_equal(v->ldtr.access & 0x10082, 0x10002); /* not usable */
    assert_int_equal(v->tr.access, 0x8b);
    assert_int_equal(at_run[0].rip, CODE_GPA);
    assert_int_equal(at_run[0].rax, 0x1111);
    assert_int_equal(at_run[0].efer, 0x1901); /* SVME */
    assert_int_equal(at_run[0].cr4, 0x60);    /* without VMXE, with PAE while paging is off */
    assert_int_equal(at_run[0].int_control, 1 << 24 | 5);
    assert_int_equal(at_run[0].cs.attributes, 0xc9b);
    assert_int_equal(at_run[0].ldtr.attributes & 0x80, 0); /* not usable */
}

static void miss_fills_and_translations_go_stale(void **state)
{
    struct td_tlb_stats stats;
    u64 hpa, other = new_page();

    INSN(0x0f, 0xa2);
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA + 0x18, 0}, CPUID_ENDS);
    assert_false(data_seen[0]);
    assert_true(nested(&at_run[1], DATA_GPA + 8, &hpa));
    assert_int_equal(hpa, data + 8);
    assert_int_equal(at_run[0].tlb_control, 1); /* other tables than before */
    assert_int_equal(at_run[1].tlb_control, 0); /* one translation more */
    map(DATA_GPA, other);                       /* the module changes the Secure EPT and forgets INVEPT */
    RUN(CPUID_ENDS);
    assert_true(nested(&at_run[0], DATA_GPA, &hpa));
    assert_int_equal(hpa, data);
    td_tlb_invept(&cpu, root + PAGE); /* another TD's */
    RUN(CPUID_ENDS);
    assert_true(nested(&at_run[0], DATA_GPA, &hpa));
    td_tlb_invept(&cpu, root | 33ull << 42);
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA, 0}, CPUID_ENDS);
    assert_false(data_seen[0]);
    assert_int_equal(at_run[0].tlb_control, 1);
    assert_true(nested(&at_run[1], DATA_GPA, &hpa));
    assert_int_equal(hpa, other);
    td_tlb_stats(&cpu, &stats);
    assert_int_equal(stats.misses[0], 2);
    assert_int_equal(stats.walk_steps[0], 8);
}

/* Loads and stores that miss, by the size of the page; not the TD's tables, nor what ends in a violation. */
static void misses_are_events(void **state)
{
    INSN(0x0f, 0xa2);
    v->pmu.global_control = 7;
    v->pmu.select[0] = 0x430212; /* 4K pages, loads; stores; what the walks for loads read */
    v->pmu.select[1] = 0x430213;
    v->pmu.select[2] = 0x431012;
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA, 0}, {EXIT_NPF, 1ull << 32 | 6, DATA_GPA, 0},
        {EXIT_NPF, 1ull << 33 | 6, DATA_GPA, 0}, CPUID_ENDS);
    assert_int_equal(v->pmu.counter[0], 1);
    assert_int_equal(v->pmu.counter[1], 1);
    assert_int_equal(v->pmu.counter[2], 4);
    *ept_entry(root, 0x7000, 0) = NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7000, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->pmu.counter[0], 1);
}

static void each_vcpu_has_its_own_translations(void **state)
{
    struct td_vmcs *first = v;
    u64 hpa;

    INSN(0x0f, 0xa2);
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA, 0}, CPUID_ENDS);
    for (unsigned i = 0; i < 7; i++) {
        cpu.lp.td = v = (struct td_vmcs *)new_page();
        set_state();
        RUN(CPUID_ENDS);
        assert_false(data_seen[0]);
    }
    cpu.lp.td = v = first;
    RUN(CPUID_ENDS);
    assert_true(nested(&at_run[0], DATA_GPA, &hpa));
}

static void violation_exits(void **state)
{
    INSN(0x8b, 0x05, 0x28, 0x70, 0, 0); /* mov eax, [7028h] */
    *ept_entry(root, 0x7000, 0) = NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7028, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification, 1 | 1 << 7 | 1 << 8);
    assert_int_equal(v->guest_physical, 0x7028);
    assert_int_equal(v->guest_linear, 0x7028);
    assert_int_equal(v->rip, CODE_GPA);
    INSN(0x89, 0x05, 0x28, 0x70, 0, 0); /* the other way round, read-only page */
    *ept_entry(root, 0x7000, 0) = data | 0x31 | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 7, 0x7028, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification, 2 | 1 << 3 | 1 << 7 | 1 << 8);
    INSN(0xff, 0xe0); /* jmp eax: the fetch faults at its target */
    *ept_entry(root, 0x7000, 0) = data | 0x33 | NO_VE;
    v->rip = 0x7000;
    RUN({EXIT_NPF, 1ull << 32 | 0x15, 0x7000, 0});
    assert_int_equal(v->qualification, 4 | 3 << 3 | 1 << 7 | 1 << 8);
    assert_int_equal(v->guest_linear, 0x7000);
}

static void violation_drops_the_stale_translation(void **state)
{
    u64 hpa;

    INSN(0x0f, 0xa2);
    *ept_entry(root, 0x7000, 0) = data | 0x31 | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x7000, &hpa));
    *ept_entry(root, 0x7000, 0) = data | 0x30 | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 7, 0x7000, 0}); /* a write, which the stale entry forbids too */
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification & 0x3f, 2);
    assert_false(nested(&at_run[0], 0x7000, &hpa));
    *ept_entry(root, 0x7000, 0) = data | RWX_WB | NO_VE; /* upgraded: no exit, nor any INVEPT */
    RUN({EXIT_NPF, 1ull << 32 | 7, 0x7000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x7000, &hpa));
}

static void violation_in_the_guests_page_tables(void **state)
{
    INSN(0x8b, 0x04, 0x25, 0x28, 0, 0, 0x40); /* mov eax, [40000028h] */
    long_mode();
    *(u64 *)plat_page(*ept_entry(root, 0x9000, 0) & 0xffffffffff000 & ~7ull) = 0x87;
    ((u64 *)(*ept_entry(root, 0x9000, 0) & 0xffffffffff000))[1] = 0x7007; /* directory at 7000h, which is absent */
    *ept_entry(root, 0x7000, 0) = NO_VE;
    RUN({EXIT_NPF, 1ull << 33 | 6, 0x7000, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification, 1 | 1 << 7); /* a read, linear address valid, not the final access */
    assert_int_equal(v->guest_linear, 0x40000028);
    *ept_entry(root, 0x7000, 0) = data | 0x31 | NO_VE; /* readable: the accessed flag cannot be set */
    RUN({EXIT_NPF, 1ull << 33 | 7, 0x7000, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification, 3 | 1 << 3 | 1 << 7);
}

static void convertible_violation_is_delivered(void **state)
{
    const u64 *ve = (u64 *)ve_page;

    INSN(0x8b, 0x05, 0x28, 0x70, 0, 0);
    *ept_entry(root, 0x7000, 0) = 0;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7028, 0}, CPUID_ENDS);
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 3 << 8 | 20);
    assert_int_equal(ve[0], 0xffffffff00000030);
    assert_int_equal(ve[1], 0x181);
    assert_int_equal(ve[2], 0x7028);
    assert_int_equal(ve[3], 0x7028);
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7028, 0}); /* the information was not fetched */
    assert_int_equal(v->exit_reason, 48);
    *(u64 *)ve_page = 0;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7028, 1u << 31 | 3 << 8 | 14}); /* not during event delivery */
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 1 << 11 | 3 << 8 | 14);
}

static void misconfiguration_exits(void **state)
{
    INSN(0x90);
    *ept_entry(shared_root, SHARED | 0x7000, 0) = 40ull << 42 | data | 0x33;
    RUN({EXIT_NPF, 1ull << 32 | 4, SHARED | 0x7010, 0});
    assert_int_equal(v->exit_reason, 49);
    assert_int_equal(v->guest_physical, SHARED | 0x7010);
}

static void shared_memory(void **state)
{
    u64 hpa;

    INSN(0x0f, 0xa2);
    *ept_entry(shared_root, SHARED | 0x7000, 0) = 3ull << 42 | data | 0x33;
    RUN({EXIT_NPF, 1ull << 32 | 6, SHARED | 0x7010, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], SHARED | 0x7010, &hpa));
    assert_int_equal(hpa, data + 0x10);
    td_tlb_invept(&cpu, TD_INVEPT_ALL);
    closed = data; /* another TD's page, say: its content does not show */
    RUN({EXIT_NPF, 1ull << 32 | 6, SHARED | 0x7010, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], SHARED | 0x7010, &hpa));
    assert_int_not_equal(hpa & ~0xfffull, data);
    RUN({EXIT_NPF, 1ull << 32 | 0x14, SHARED | 0x7010, 0}, CPUID_ENDS); /* no code there: #PF, reserved bit, fetch */
    assert_int_equal(at_run[1].event_injection, 0x19ull << 32 | 1u << 31 | 1 << 11 | 3 << 8 | 14);
}

static void spoilt_page_is_a_machine_check(void **state)
{
    INSN(0x90);
    poisoned = data;
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA, 0});
    assert_int_equal(v->exit_reason, 0);
    assert_int_equal(v->exit_intr_info, 1u << 31 | 3 << 8 | 18);
    /* Bank 1: valid, uncorrected, action required, at a physical address; until it is cleared. */
    u64 value;
    assert_true(mca_read(&cpu.mca, 0x405, &value));
    assert_int_equal(value, 0xbd80000000000134);
    assert_true(mca_read(&cpu.mca, 0x406, &value));
    assert_int_equal(value & ~0xfffull, poisoned);
    assert_true(mca_read(&cpu.mca, 0x407, &value));
    assert_int_equal(value & 0x1ff, 0x86);
    assert_false(mca_write(&cpu.mca, 0x405, 1));
    assert_true(mca_write(&cpu.mca, 0x405, 0));
    assert_true(mca_read(&cpu.mca, 0x405, &value));
    assert_int_equal(value, 0);
    assert_false(mca_write(&cpu.mca, 0x179, 4));
}

static void large_page_around_a_spoilt_one(void **state)
{
    u64 hpa, large = RAM + (32ull << 20);

    INSN(0x0f, 0xa2);
    *ept_entry(root, 0x40000000, 1) = large | 0x80 | RWX_WB | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x40000000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x401fffff, &hpa));
    assert_int_equal(hpa, large + 0x1fffff);
    td_tlb_invept(&cpu, TD_INVEPT_ALL);
    poisoned = large + 0x5000;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x40000000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x40000fff, &hpa));
    assert_false(nested(&at_run[1], 0x40001000, &hpa));
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x40005008, 0});
    assert_int_equal(v->exit_intr_info & 0xff, 18);
}

/* A page of memory_error breaks at its first use, wherever in a leaf, and stays broken. */
static void page_that_breaks(void **state)
{
    u64 hpa, value, large = RAM + (34ull << 20), broken = large + 0x3000;

    config.memory_errors = (struct config_list){1, {{0x40403000, 0xb200000000000005}}};
    assert_false(mca_is_broken(large, 2 << 20));
    INSN(0x0f, 0xa2);
    *ept_entry(root, 0x40400000, 1) = large | 0x80 | RWX_WB | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x40400000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x40400fff, &hpa));
    assert_false(nested(&at_run[1], 0x40401000, &hpa));
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x40403008, 0});
    assert_int_equal(v->exit_intr_info & 0xff, 18);
    assert_true(mca_read(&cpu.mca, 0x405, &value));
    assert_true(value == 0xb200000000000005);
    assert_true(mca_read(&cpu.mca, 0x406, &value));
    assert_int_equal(value & ~0xfffull, broken);
    map(DATA_GPA, broken); /* another TD's, say */
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA, 0});
    assert_int_equal(v->exit_intr_info & 0xff, 18);
    assert_true(mca_is_broken(broken, 4096));
    assert_false(mca_is_broken(broken + 4096, 4096) || mca_is_broken(broken - 4096, 4096));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(state_goes_there_and_back, start),
        cmocka_unit_test_setup(miss_fills_and_translations_go_stale, start),
        cmocka_unit_test_setup(misses_are_events, start),
        cmocka_unit_test_setup(each_vcpu_has_its_own_translations, start),
        cmocka_unit_test_setup(violation_exits, start),
        cmocka_unit_test_setup(violation_drops_the_stale_translation, start),
        cmocka_unit_test_setup(violation_in_the_guests_page_tables, start),
        cmocka_unit_test_setup(convertible_violation_is_delivered, start),
        cmocka_unit_test_setup(misconfiguration_exits, start),
        cmocka_unit_test_setup(shared_memory, start),
        cmocka_unit_test_setup(spoilt_page_is_a_machine_check, start),
        cmocka_unit_test_setup(large_page_around_a_spoilt_one, start),
        cmocka_unit_test_setup(page_that_breaks, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
