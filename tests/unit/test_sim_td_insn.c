/* What a TD vCPU of the simulated machine executes by emulation: instructions, ports, MSRs, control registers. */
#include "tests/unit/td_stage.h"

static void undefined_opcodes(void **state)
{
    static const struct {
        u32 reason;
        u8 bytes[6];
        unsigned length;
    } table[] = {
        {77, {0x66, 0x0f, 0x01, 0xcc}, 4},
        {76, {0x66, 0x0f, 0x01, 0xcf}, 4},
        {18, {0x0f, 0x01, 0xc1}, 3},
        {20, {0x0f, 0x01, 0xc2}, 3},
        {24, {0x0f, 0x01, 0xc3}, 3},
        {26, {0x0f, 0x01, 0xc4}, 3},
        {65, {0x0f, 0x01, 0xc5}, 3},
        {60, {0x0f, 0x01, 0xcf}, 3},
        {70, {0x0f, 0x01, 0xc0}, 3},
        {59, {0x0f, 0x01, 0xd4}, 3},
        {23, {0x0f, 0x78, 0xc0}, 3},
        {25, {0x0f, 0x79, 0xc0}, 3},
        {21, {0x0f, 0xc7, 0x30}, 3},
        {22, {0x0f, 0xc7, 0x38}, 3},
        {19, {0x66, 0x0f, 0xc7, 0x30}, 4},
        {27, {0xf3, 0x0f, 0xc7, 0x30}, 4},
        {50, {0x66, 0x0f, 0x38, 0x80, 0x00}, 5},
        {53, {0x66, 0x0f, 0x38, 0x81, 0x00}, 5},
        {11, {0x0f, 0x37}, 2},
        {17, {0x0f, 0xaa}, 2},
        {72, {0xf2, 0x0f, 0x38, 0xf8, 0x00}, 5},
        {73, {0xf3, 0x0f, 0x38, 0xf8, 0x00}, 5},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        instruction(6, table[i].bytes);
        RUN({EXIT_UD, 0, 0, 0});
        assert_int_equal(v->exit_reason, table[i].reason);
        assert_int_equal(v->exit_instr_len, table[i].length);
    }
    INSN(0x0f, 0x0b); /* UD2 stays #UD, and so do SEAMRET and AMD's VMRUN */
    RUN({EXIT_UD, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 3 << 8 | 6);
    INSN(0x66, 0x0f, 0x01, 0xcd);
    RUN({EXIT_UD, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 3 << 8 | 6);
    INSN(0x0f, 0x01, 0xd8);
    RUN({0x80, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 3 << 8 | 6);
    assert_int_equal(v->rip, CODE_GPA);
}

static void emulated_instructions(void **state)
{
    long_mode();
    v->gpr[RAX] = DATA_GPA + 0x100;
    v->gpr[RSI] = DATA_GPA + 0x200;
    for (unsigned i = 0; i < 64; i++)
        ((u8 *)data)[0x200 + i] = (u8)(i + 1);
    INSN(0x66, 0x0f, 0x38, 0xf8, 0x06); /* movdir64b rax, [rsi]: misses on tables and data first */
    RUN({EXIT_UD, 0, 0, 0}, {EXIT_UD, 0, 0, 0}, {EXIT_UD, 0, 0, 0}, {EXIT_UD, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_memory_equal((u8 *)data + 0x100, (u8 *)data + 0x200, 64);
    assert_int_equal(v->rip, CODE_GPA + 5);
    v->rip = CODE_GPA;
    v->gpr[RAX] = DATA_GPA + 0x101; /* not aligned */
    RUN({EXIT_UD, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    v->gpr[RAX] = 0x40000000; /* not mapped by the TD */
    RUN({EXIT_UD, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 2ull << 32 | 1u << 31 | 1 << 11 | 3 << 8 | 14);
    assert_int_equal(at_run[1].cr2, 0x40000000);
    v->gpr[RAX] = 0x7000; /* mapped, but the private page is absent */
    *ept_entry(root, 0x7000, 0) = NO_VE;
    RUN({EXIT_UD, 0, 0, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification & 7, 2);
    assert_int_equal(v->guest_physical, 0x7000);
    INSN(0xf3, 0x0f, 0xc7, 0xfb); /* rdpid rbx */
    v->tsc_aux = 0x55;
    RUN({EXIT_UD, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->gpr[RBX], 0x55);
    assert_int_equal(v->rip, CODE_GPA + 4);
}

static void port_io(void **state)
{
    INSN(0xee); /* out dx, al */
    RUN({EXIT_IO, 0x3f8u << 16 | 1 << 4, CODE_GPA + 1, 0});
    assert_int_equal(v->exit_reason, 30);
    assert_int_equal(v->qualification, 0x3f80000);
    assert_int_equal(v->exit_instr_len, 1);
    INSN(0xe5, 0x71); /* in eax, 71h */
    RUN({EXIT_IO, 0x71u << 16 | 4 << 4 | 1, CODE_GPA + 2, 0});
    assert_int_equal(v->qualification, 0x710000 | 1 << 6 | 1 << 3 | 3);
    INSN(0xf3, 0x66, 0x6f); /* rep outsw */
    v->gpr[RSI] = 0x5100;
    RUN({EXIT_IO, 0x10u << 16 | 2 << 4 | 1 << 3 | 1 << 2, CODE_GPA + 3, 0});
    assert_int_equal(v->qualification, 0x100000 | 1 << 5 | 1 << 4 | 1);
    assert_int_equal(v->guest_linear, 0x5100);
}

/* One bit of the VMX bitmap: reads low, reads high, writes low, writes high, 1K each. */

static void let_through(u32 msr, bool write)
{
    u8 *bits = (u8 *)bitmap + (msr >= 0xc0000000 ? 0x400 : 0) + (write ? 0x800 : 0);
    bits[(msr & 0x1fff) / 8] &= (u8) ~(1 << (msr & 7));
}

static void wrmsr(u32 msr, u64 value)
{
    INSN(0x0f, 0x30);
    v->rip = CODE_GPA;
    v->gpr[RCX] = msr;
    v->gpr[RAX] = (u32)value;
    v->gpr[RDX] = value >> 32;
}

static void msrs(void **state)
{
    INSN(0x0f, 0x32);
    v->gpr[RCX] = 0x1b;
    RUN({EXIT_MSR, 0, 0, 0});
    assert_int_equal(v->exit_reason, 31);
    assert_int_equal(v->exit_instr_len, 2);
    RUN({EXIT_MSR, 1, 0, 0});
    assert_int_equal(v->exit_reason, 32);
    v->gpr[RCX] = 0x4b564d00; /* outside the bitmap: always */
    RUN({EXIT_MSR, 0, 0, 0});
    assert_int_equal(v->exit_reason, 31);
    let_through(0xc0000082, true);
    wrmsr(0xc0000082, 0xffffffff81000000);
    RUN({EXIT_MSR, 1, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->lstar, 0xffffffff81000000);
    assert_int_equal(v->rip, CODE_GPA + 2);
    wrmsr(0xc0000082, 0x8000000000000000);
    RUN({EXIT_MSR, 1, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    assert_int_equal(v->lstar, 0xffffffff81000000);
    let_through(0xc0000080, false);
    INSN(0x0f, 0x32);
    v->gpr[RCX] = 0xc0000080;
    RUN({EXIT_MSR, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->gpr[RAX], 0x901); /* no SVME */
    let_through(0x10, false);
    v->rip = CODE_GPA;
    v->gpr[RCX] = 0x10;
    tsc = 1000;
    v->tsc_multiplier = 1ull << 47;
    v->tsc_offset = 7;
    RUN({EXIT_MSR, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->gpr[RAX], 507);
    assert_int_equal(at_run[0].intercept_1 >> 14 & 1, 1); /* RDTSC has to be multiplied */
}

/* Performance counters are the vCPU's own; RDPMC is the TD's where it does not exit. */
static void performance_counters(void **state)
{
    v->rdpmc_exits = false;
    let_through(0x186, true);
    let_through(0x4c1, true);
    let_through(0x4c1, false);
    wrmsr(0x186, 0x430e12);
    RUN({EXIT_MSR, 1, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->pmu.select[0], 0x430e12);
    wrmsr(0x4c1, 0x123456789abc);
    RUN({EXIT_MSR, 1, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->rip, CODE_GPA + 2);
    wrmsr(0x4c1, 1ull << 48);
    RUN({EXIT_MSR, 1, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    INSN(0x0f, 0x33); /* rdpmc */
    v->gpr[RCX] = 0;
    RUN({EXIT_RDPMC, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->gpr[RAX], 0x56789abc);
    assert_int_equal(v->gpr[RDX], 0x1234);
    assert_int_equal(v->rip, CODE_GPA + 2);
    v->rip = CODE_GPA;
    v->gpr[RCX] = 8;
    RUN({EXIT_RDPMC, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    v->rdpmc_exits = true;
    RUN({EXIT_RDPMC, 0, 0, 0});
    assert_int_equal(v->exit_reason, 15);
    assert_int_equal(v->exit_instr_len, 2);
}

static void cr0(void **state)
{
    INSN(0x0f, 0x22, 0xc1); /* mov cr0, ecx */
    v->gpr[RCX] = 0x1;      /* NE cleared, against the shadow */
    RUN({0x10, 0, 0, 0});
    assert_int_equal(v->exit_reason, 28);
    assert_int_equal(v->qualification, 1 << 8);
    assert_int_equal(v->exit_instr_len, 3);
    assert_int_equal(v->cr0, 0x21);
    v->gpr[RCX] = 0x80000033; /* PG without PAE, LME set */
    RUN({0x10, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    v->cr4 = 0x2060;
    RUN({0x10, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->cr0, 0x80000033);
    assert_int_equal(v->efer, 0xd01); /* LMA */
    assert_int_equal(at_run[1].efer, 0x1d01);
    assert_int_equal(v->rip, CODE_GPA + 3);
    long_mode();
    INSN(0x0f, 0x06); /* clts */
    v->rip = CODE_GPA;
    v->cr0 |= 8;
    RUN({0x10, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->cr0, 0x80000031);
    INSN(0x0f, 0x01, 0xf0); /* lmsw ax: cannot clear PE */
    v->rip = CODE_GPA;
    v->gpr[RAX] = 0xe;
    RUN({0x10, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->cr0, 0x8000003f);
    v->cr0_shadow = 0x20;
    v->gpr[RAX] = 0x1; /* PE differs from its shadow */
    v->rip = CODE_GPA;
    RUN({0x10, 0, 0, 0});
    assert_int_equal(v->qualification, 1 << 16 | 3 << 4);
}

static void cr4(void **state)
{
    INSN(0x0f, 0x22, 0xe1); /* mov cr4, ecx */
    v->gpr[RCX] = 0x2060;   /* VMXE */
    RUN({0x14, 0, 0, 0});
    assert_int_equal(v->exit_reason, 28);
    assert_int_equal(v->qualification, 4 | 1 << 8);
    v->gpr[RCX] = 0x660;
    RUN({0x14, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->cr4, 0x2660);
    assert_int_equal(at_run[1].cr4, 0x660);
    assert_int_equal(at_run[1].intercept_cr_read, 0);
    v->rip = CODE_GPA;
    v->gpr[RCX] = 0x20660; /* PCIDE: not there */
    RUN({0x14, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    long_mode();
    v->gpr[RCX] = 0x40; /* PAE off in long mode */
    RUN({0x14, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    v->cr4_shadow = 0x2040; /* what the TD reads differs from what the CPU has */
    INSN(0x0f, 0x20, 0xe1);
    v->rip = CODE_GPA;
    RUN({0x04, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[0].intercept_cr_read, 1 << 4);
    assert_int_equal(v->gpr[RCX], 0x2060);
    quirks.cr_reads_are_cr0s = true;
    INSN(0x0f, 0x20, 0xd9); /* CR3: such a CPU reports it too */
    v->rip = CODE_GPA;
    RUN({0x00, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[0].intercept_cr_read, 1);
    assert_int_equal(v->gpr[RCX], 0x8000);
    quirks.cr_reads_are_cr0s = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(undefined_opcodes, start),
        cmocka_unit_test_setup(emulated_instructions, start),
        cmocka_unit_test_setup(port_io, start),
        cmocka_unit_test_setup(msrs, start),
        cmocka_unit_test_setup(performance_counters, start),
        cmocka_unit_test_setup(cr0, start),
        cmocka_unit_test_setup(cr4, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
