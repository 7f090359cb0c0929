/*
 * The interpreter behind MOVDIR64B: random instruction sequences give the same registers and flags as this machine's own CPU, a
 * clear loop clears exactly its range in one go, and what is not simple is left for the CPU.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "sim/machine/guard.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/memory.h"
#include "sim/machine/platform.h"
#include "sim/machine/vmx.h"

#define PAGE        4096
#define CODE        0x10000000ull /* below the KeyID bits, as physical memory is */
#define DATA        0x10010000ull
#define DATA_PAGES  8
#define CLOSED_PAGE (DATA + 6 * PAGE)
#define ARITH       0x8d5ull
#define TRIALS      200000

static struct cpu cpu;
static struct vmcb vmcb;

/* The platform around it: memory is the two mappings, one page of it is not the VMM's. */
bool memory_is_ram(u64 hpa)
{
    return hpa - CODE < PAGE || hpa - DATA < DATA_PAGES * PAGE;
}
bool guard_is_closed(u64 hpa)
{
    return (hpa & ~0xfffull) == CLOSED_PAGE;
}
void guard_touch(struct cpu *c, u64 gpa, u64 info) {}
bool platform_is_private_key(u64 hpa)
{
    return hpa >> PLATFORM_KEYID_SHIFT != 0;
}
u64 cpu_rdmsr(u32 msr)
{
    return 0;
}

static int map_memory(void **state)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    void *code = mmap((void *)CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
    void *data = mmap((void *)DATA, DATA_PAGES * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    return code != (void *)CODE || data != (void *)DATA;
}

static void reset(void)
{
    memset(&cpu, 0, sizeof(cpu));
    memset(&vmcb, 0, sizeof(vmcb));
    cpu.vmm = &vmcb;
    vmcb.efer = 1 << 10;
    vmcb.cs.attributes = 1 << 9;
    vmcb.rip = CODE;
    vmcb.rflags = 2;
    vmcb.rax = DATA;
}

static void run(void)
{
    struct insn insn;
    assert_true(guest_insn(&cpu, &insn));
    movdir_run(&cpu, &insn);
}

static const u8 movdir64b[] = {0x66, 0x0f, 0x38, 0xf8, 0x38}; /* movdir64b rdi, [rax] */

/* --- against the CPU -------------------------------------------------------------------------------------------------- */

/* RCX, RDX, RSI, R8 and the flags before and after. */
struct registers {
    u64 gpr[4], flags;
};
static const u8 numbers[4] = {1, 2, 6, 8};

static void run_on_cpu(struct registers *r, const u8 *code)
{
    register u64 r8 __asm__("r8") = r->gpr[3];
    __asm__ volatile("sub $128, %%rsp; push %4; popf; call *%5; pushf; pop %4; add $128, %%rsp"
                     : "+c"(r->gpr[0]), "+d"(r->gpr[1]), "+S"(r->gpr[2]), "+r"(r8), "+b"(r->flags)
                     : "D"(code)
                     : "memory", "cc");
    r->gpr[3] = r8;
}

static u64 random_value(void)
{
    static const u64 edges[] = {0,    1,  ~0ull, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63, (1ull << 63) - 1,
                                0x10, 0xf};
    if (rand() % 3 == 0)
        return edges[(unsigned)rand() % (sizeof(edges) / sizeof(edges[0]))];
    return (u64)rand() << 33 ^ (u64)rand() << 11 ^ (u64)rand();
}

static u8 *put_rex(u8 *p, unsigned reg, unsigned rm)
{
    *p++ = (u8)(0x40 | (rand() & 1) << 3 | (reg >> 3) << 2 | rm >> 3);
    return p;
}

static u8 *put_modrm(u8 *p, unsigned reg, unsigned rm)
{
    *p++ = (u8)(0xc0 | (reg & 7) << 3 | (rm & 7));
    return p;
}

static u8 *put_alu(u8 *p)
{
    static const u8 opcodes[] = {0x01, 0x03, 0x09, 0x0b, 0x21, 0x23, 0x29, 0x2b,
                                 0x31, 0x33, 0x39, 0x3b, 0x85, 0x89, 0x8b};
    unsigned reg = numbers[rand() & 3], rm = numbers[rand() & 3];
    p = put_rex(p, reg, rm);
    *p++ = opcodes[(unsigned)rand() % sizeof(opcodes)];
    return put_modrm(p, reg, rm);
}

static u8 *put_immediate(u8 *p)
{
    static const u8 groups[] = {0, 1, 4, 5, 6, 7};
    bool narrow = rand() & 1;
    u32 value = (u32)random_value();
    unsigned rm = numbers[rand() & 3];
    p = put_rex(p, 0, rm);
    *p++ = narrow ? 0x83 : 0x81;
    p = put_modrm(p, groups[(unsigned)rand() % sizeof(groups)], rm);
    memcpy(p, &value, 4);
    return p + (narrow ? 1 : 4);
}

static u8 *put_step(u8 *p)
{
    unsigned rm = numbers[rand() & 3];
    p = put_rex(p, 0, rm);
    *p++ = 0xff;
    return put_modrm(p, rand() & 1, rm);
}

static u8 *put_lea(u8 *p) /* lea reg, [rcx + 4 * rdx + disp8] */
{
    unsigned reg = numbers[rand() & 3];
    p = put_rex(p, reg, 0);
    *p++ = 0x8d;
    *p++ = (u8)(0x44 | (reg & 7) << 3);
    *p++ = 0x91;
    *p++ = (u8)rand();
    return p;
}

static u8 *put_jump(u8 *p) /* jcc over an increment of RCX, in its short or long form */
{
    unsigned code = (unsigned)rand() & 15;
    if (rand() & 1) {
        *p++ = (u8)(0x70 | code);
    } else {
        *p++ = 0x0f;
        *p++ = (u8)(0x80 | code);
        memset(p + 1, 0, 3);
    }
    *p = 3;
    p += p[-1] >> 4 == 8 ? 4 : 1;
    static const u8 inc_rcx[] = {0x48, 0xff, 0xc1};
    memcpy(p, inc_rcx, 3);
    return p + 3;
}

static void write_sequence(void)
{
    static u8 *(*const kinds[])(u8 *) = {put_alu, put_immediate, put_step, put_lea, put_jump};
    u8 *p = (u8 *)CODE;
    memcpy(p, movdir64b, sizeof(movdir64b));
    p += sizeof(movdir64b);
    for (unsigned i = 0; i < 6; i++)
        p = kinds[(unsigned)rand() % 5](p);
    *p = 0xc3;
}

static void same_as_the_cpu(void **state)
{
    srand(1);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        struct registers want = {.flags = 2 | ((u64)rand() & ARITH)};
        write_sequence();
        reset();
        cpu.lp.vmm[RDI] = DATA + PAGE;
        vmcb.rflags = want.flags;
        for (unsigned i = 0; i < 4; i++)
            *guest_gpr(&cpu, numbers[i]) = want.gpr[i] = random_value();
        run();
        run_on_cpu(&want, (u8 *)CODE + sizeof(movdir64b));
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(*guest_gpr(&cpu, numbers[i]), want.gpr[i]);
        /* AF is undefined after the logical operations; the CPU clears it or leaves it, by model. */
        assert_int_equal(vmcb.rflags & ARITH & ~0x10ull, want.flags & ARITH & ~0x10ull);
        assert_int_equal(*(u8 *)vmcb.rip, 0xc3);
    }
}

/* --- the loop --------------------------------------------------------------------------------------------------------- */

/* movdir64b rdi, [rax]; add rdi, 64; dec rcx; jnz to the start; ret */
static void write_clear_loop(void)
{
    static const u8 rest[] = {0x48, 0x83, 0xc7, 0x40, 0x48, 0xff, 0xc9, 0x75, 0xf2, 0xc3};
    memcpy((void *)CODE, movdir64b, sizeof(movdir64b));
    memcpy((u8 *)CODE + sizeof(movdir64b), rest, sizeof(rest));
}

static void clears_its_range_in_one_go(void **state)
{
    const u8 *data = (const u8 *)DATA;
    reset();
    write_clear_loop();
    memset((void *)DATA, 0, PAGE);
    memset((u8 *)DATA + PAGE, 0xa5, 3 * PAGE);
    cpu.lp.vmm[RDI] = DATA + PAGE + 64;
    cpu.lp.vmm[RCX] = 64;
    run();
    assert_int_equal(*(u8 *)vmcb.rip, 0xc3);
    assert_int_equal(cpu.lp.vmm[RCX], 0);
    assert_int_equal(cpu.lp.vmm[RDI], DATA + 2 * PAGE + 64);
    for (unsigned i = PAGE; i < 4 * PAGE; i++)
        assert_int_equal(data[i], i >= PAGE + 64 && i < 2 * PAGE + 64 ? 0 : 0xa5);
}

/* The usual ways to count: what follows MOVDIR64B [RSI], [RAX]; ADD RSI, 64. Displacements are those of the jump to the start. */
struct way {
    u8 bytes[12];
    unsigned count;
};
static const struct way ways[] = {
    {{0x48, 0xff, 0xc9, 0x75, 0xf2}, 5},       /* dec rcx; jnz */
    {{0x48, 0x83, 0xe9, 0x03, 0x75, 0xf1}, 6}, /* sub rcx, 3; jnz */
    {{0x48, 0x39, 0xd6, 0x72, 0xf2}, 5},       /* cmp rsi, rdx; jb */
    {{0x48, 0x3b, 0xf2, 0x75, 0xf2}, 5},       /* cmp rsi, rdx; jne, the other encoding */
    {{0x49, 0xff, 0xc0, 0x48, 0x39, 0xd6, 0x0f, 0x82, 0xeb, 0xff, 0xff, 0xff}, 12}, /* inc r8; cmp rsi, rdx; jb, long */
    {{0x49, 0x83, 0xc0, 0x07, 0x48, 0xff, 0xc9, 0x75, 0xee}, 9},                    /* add r8, 7; dec rcx; jnz */
};

static void write_loop(const struct way *way)
{
    static const u8 head[] = {0x66, 0x0f, 0x38, 0xf8, 0x30, 0x48, 0x83, 0xc6, 0x40};
    u8 *p = (u8 *)CODE;
    memcpy(p, head, sizeof(head));
    memcpy(p + sizeof(head), way->bytes, way->count);
    p[sizeof(head) + way->count] = 0xc3;
}

/* The same loop with a five-byte NOP in MOVDIR64B's place, run by this machine. */
static void run_loop_on_cpu(struct registers *r)
{
    static const u8 nop[] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
    memcpy((u8 *)CODE + 2048, (u8 *)CODE, 64);
    memcpy((u8 *)CODE + 2048, nop, sizeof(nop));
    run_on_cpu(r, (u8 *)CODE + 2048);
}

static void loop_once(const struct way *way, unsigned first, unsigned lines, bool overlap)
{
    static u8 want_data[DATA_PAGES * PAGE];
    struct registers want = {
        .gpr = {lines * (way == &ways[1] ? 3 : 1), DATA + 64 * (first + lines), DATA + 64 * first, 5}};
    u64 source = overlap ? DATA + 64 * (first + lines / 2) + 8 * ((unsigned)rand() % 4) : DATA + 7 * PAGE + 24;
    unsigned exits = 0;
    want.flags = 2 | ((u64)rand() & ARITH);
    if (way == &ways[2] || way == &ways[4])
        want.gpr[1] -= (unsigned)rand() % 64; /* JB stops there as well */
    for (unsigned i = 0; i < DATA_PAGES * PAGE; i++)
        ((u8 *)DATA)[i] = (u8)rand();
    memcpy(want_data, (void *)DATA, sizeof(want_data));
    for (unsigned i = 0; i < lines; i++)
        memmove(want_data + 64 * (first + i), want_data + (source - DATA), 64);
    reset();
    write_loop(way);
    vmcb.rax = source;
    vmcb.rflags = want.flags;
    for (unsigned i = 0; i < 4; i++)
        *guest_gpr(&cpu, numbers[i]) = want.gpr[i];
    for (; *(u8 *)vmcb.rip != 0xc3; exits++)
        run();
    run_loop_on_cpu(&want);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(*guest_gpr(&cpu, numbers[i]), want.gpr[i]);
    assert_int_equal(vmcb.rflags & ARITH, want.flags & ARITH);
    assert_memory_equal((void *)DATA, want_data, sizeof(want_data));
    assert_true(exits <= 1);
}

static void whole_loops_do_what_single_steps_do(void **state)
{
    for (unsigned trial = 0; trial < 1500; trial++) {
        unsigned first = (unsigned)rand() % 300, lines = 1 + (unsigned)rand() % (6 * 64 - first);
        loop_once(&ways[(unsigned)rand() % (sizeof(ways) / sizeof(ways[0]))], first, lines, trial % 5 == 0);
    }
}

static void comes_back_before_long(void **state)
{
    reset();
    write_clear_loop();
    cpu.lp.vmm[RDI] = DATA + PAGE;
    cpu.lp.vmm[RCX] = ~0ull;
    *(u8 *)(CODE + 8) = 0; /* add rdi, 0: it goes nowhere, for ever */
    run();
    assert_true(cpu.lp.vmm[RCX] > ~0ull - 100000);
    assert_int_equal(vmcb.event_injection, 0);
}

static void faults_like_the_instruction(void **state)
{
    reset();
    write_clear_loop();
    cpu.lp.vmm[RDI] = DATA + PAGE + 32; /* not 64-byte aligned: #GP(0) */
    cpu.lp.vmm[RCX] = 1;
    run();
    assert_int_equal(vmcb.event_injection, 0x80000b0d);
    assert_int_equal(vmcb.rip, CODE);
}

static void does_not_write_what_is_not_the_vmms(void **state)
{
    reset();
    write_clear_loop();
    memset((void *)CLOSED_PAGE, 0x5a, PAGE);
    cpu.lp.vmm[RDI] = CLOSED_PAGE;
    cpu.lp.vmm[RCX] = 64;
    run();
    for (unsigned i = 0; i < PAGE; i++)
        assert_int_equal(((const u8 *)CLOSED_PAGE)[i], 0x5a);
    assert_int_equal(cpu.lp.vmm[RCX], 0);
}

static void steps_singly_under_the_trap_flag(void **state)
{
    reset();
    write_clear_loop();
    vmcb.rflags |= 1 << 8;
    cpu.lp.vmm[RDI] = DATA + PAGE;
    cpu.lp.vmm[RCX] = 4;
    run();
    assert_int_equal(vmcb.rip, CODE + sizeof(movdir64b));
    assert_int_equal(cpu.lp.vmm[RDI], DATA + PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_the_cpu),
        cmocka_unit_test(clears_its_range_in_one_go),
        cmocka_unit_test(whole_loops_do_what_single_steps_do),
        cmocka_unit_test(comes_back_before_long),
        cmocka_unit_test(faults_like_the_instruction),
        cmocka_unit_test(does_not_write_what_is_not_the_vmms),
        cmocka_unit_test(steps_singly_under_the_trap_flag),
    };
    return cmocka_run_group_tests(tests, map_memory, NULL);
}
