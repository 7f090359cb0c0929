/*
 * The machine's instruction decoder: lengths against encodings typed from the SDM, operands against hand-computed
 * addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/machine/insn.h"

struct sample {
    const char *text;
    enum insn_mode mode;
    unsigned length;
    u8 bytes[16];
};

/* clang-format off */
static const struct sample samples[] = {
    {"nop",                              INSN_64, 1, {0x90}},
    {"tdcall",                           INSN_64, 4, {0x66, 0x0f, 0x01, 0xcc}},
    {"cpuid",                            INSN_64, 2, {0x0f, 0xa2}},
    {"hlt",                              INSN_64, 1, {0xf4}},
    {"wbnoinvd",                         INSN_64, 3, {0xf3, 0x0f, 0x09}},
    {"ud2",                              INSN_64, 2, {0x0f, 0x0b}},
    {"in al, imm8",                      INSN_64, 2, {0xe4, 0x71}},
    {"rep outsb",                        INSN_64, 2, {0xf3, 0x6e}},
    {"mov cr0, eax",                     INSN_32, 3, {0x0f, 0x22, 0xc0}},
    {"mov cr4, r15, mod ignored",        INSN_64, 4, {0x41, 0x0f, 0x22, 0x27}},
    {"lmsw [rax+disp32]",                INSN_64, 7, {0x0f, 0x01, 0xb0, 1, 2, 3, 4}},
    {"mov rax, imm64",                   INSN_64, 10, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}},
    {"mov eax, imm32",                   INSN_64, 5, {0xb8, 1, 2, 3, 4}},
    {"mov ax, imm16",                    INSN_64, 4, {0x66, 0xb8, 1, 2}},
    {"mov ax, imm16, 16-bit code",       INSN_16, 3, {0xb8, 1, 2}},
    {"mov eax, imm32, 16-bit code",      INSN_16, 6, {0x66, 0xb8, 1, 2, 3, 4}},
    {"mov al, [moffs64]",                INSN_64, 9, {0xa0, 1, 2, 3, 4, 5, 6, 7, 8}},
    {"mov al, [moffs32], 67",            INSN_64, 6, {0x67, 0xa0, 1, 2, 3, 4}},
    {"mov al, [moffs32]",                INSN_32, 5, {0xa0, 1, 2, 3, 4}},
    {"mov dword [rip+disp], imm32",      INSN_64, 10, {0xc7, 0x05, 0, 0, 0, 0, 1, 2, 3, 4}},
    {"mov word [rsp+rbx*4+disp8], imm",  INSN_64, 7, {0x66, 0xc7, 0x44, 0x9c, 8, 1, 2}},
    {"mov eax, [rbp*2+disp32]",          INSN_64, 7, {0x8b, 0x04, 0x6d, 1, 2, 3, 4}},
    {"mov ax, [bp+di+disp8], 16-bit",    INSN_16, 3, {0x8b, 0x43, 0x10}},
    {"mov ax, [disp16], 16-bit",         INSN_16, 4, {0x8b, 0x06, 0x34, 0x12}},
    {"test byte [rax], imm8",            INSN_64, 3, {0xf6, 0x00, 1}},
    {"not byte [rax]",                   INSN_64, 2, {0xf6, 0x10}},
    {"test dword [rax], imm32",          INSN_64, 6, {0xf7, 0x00, 1, 2, 3, 4}},
    {"call rel32 with 66 in 64-bit",     INSN_64, 6, {0x66, 0xe8, 1, 2, 3, 4}},
    {"jmp rel16 in 16-bit",              INSN_16, 3, {0xe9, 1, 2}},
    {"far jump ptr16:32",                INSN_32, 7, {0xea, 1, 2, 3, 4, 8, 0}},
    {"enter",                            INSN_64, 4, {0xc8, 1, 2, 3}},
    {"ret imm16",                        INSN_64, 3, {0xc2, 8, 0}},
    {"les eax, [ebx]",                   INSN_32, 2, {0xc4, 0x03}},
    {"movdir64b rax, [rdi]",             INSN_64, 5, {0x66, 0x0f, 0x38, 0xf8, 0x07}},
    {"invept rax, [rsp+8]",              INSN_64, 7, {0x66, 0x0f, 0x38, 0x80, 0x44, 0x24, 8}},
    {"vmxon [rbp-16]",                   INSN_64, 5, {0xf3, 0x0f, 0xc7, 0x75, 0xf0}},
    {"palignr xmm0, xmm1, 4",            INSN_64, 6, {0x66, 0x0f, 0x3a, 0x0f, 0xc1, 4}},
    {"vmovdqu ymm0, [rdi+32], VEX2",     INSN_64, 5, {0xc5, 0xfe, 0x6f, 0x47, 0x20}},
    {"vpermq ymm0, ymm1, 8, VEX3",       INSN_64, 6, {0xc4, 0xe3, 0xfd, 0x00, 0xc1, 8}},
    {"vzeroupper",                       INSN_64, 3, {0xc5, 0xf8, 0x77}},
    {"vmovdqu64 zmm0, [rdi], EVEX",      INSN_64, 6, {0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x07}},
    {"lock cmpxchg16b [rdi]",            INSN_64, 5, {0xf0, 0x48, 0x0f, 0xc7, 0x0f}},
    {"fourteen prefixes and a nop",      INSN_64, 15, {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                                    0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90}},
};
/* clang-format on */

static void lengths(void **state)
{
    for (unsigned i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct insn insn;
        if (!insn_decode(samples[i].bytes, 15, samples[i].mode, &insn) || insn.length != samples[i].length)
            fail_msg("%s: length %u, expected %u", samples[i].text, insn.length, samples[i].length);
    }
}

static void cut_short(void **state)
{
    for (unsigned i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        for (unsigned count = 0; count < samples[i].length; count++) {
            struct insn insn;
            if (insn_decode(samples[i].bytes, count, samples[i].mode, &insn))
                fail_msg("%s: decoded from %u of %u bytes", samples[i].text, count, samples[i].length);
        }
    }
}

static void too_long(void **state)
{
    u8 bytes[16];
    struct insn insn;

    memset(bytes, 0x66, sizeof(bytes));
    assert_false(insn_decode(bytes, 16, INSN_64, &insn));
}

static struct insn_registers registers(void)
{
    struct insn_registers r = {.rip = 0x7fff00001000};

    for (unsigned i = 0; i < 16; i++)
        r.gpr[i] = 0x1000000ull * (i + 1);
    r.base[SEG_FS] = 0x50000000000;
    r.base[SEG_GS] = 0xffff888000000000;
    r.base[SEG_DS] = 0x111;
    r.base[SEG_SS] = 0x222;
    r.base[SEG_ES] = 0x333;
    return r;
}

static void check_addresses(const u8 *bytes, enum insn_mode mode, unsigned count, u64 first, u64 second)
{
    struct insn_registers r = registers();
    u64 found[INSN_ADDRESSES_MAX] = {0};
    struct insn insn;

    assert_true(insn_decode(bytes, 15, mode, &insn));
    assert_int_equal(insn_addresses(&insn, &r, found), count);
    if (count > 0)
        assert_int_equal(found[0], first);
    if (count > 1)
        assert_int_equal(found[1], second);
}

#define BYTES(...) ((const u8[16]){__VA_ARGS__})

static void addresses_64(void **state)
{
    check_addresses(BYTES(0x8b, 0x47, 0xf8), INSN_64, 1, 0x8000000 - 8, 0);              /* mov eax, [rdi-8] */
    check_addresses(BYTES(0x8b, 0x05, 0x10, 0, 0, 0), INSN_64, 1, 0x7fff00001016, 0);    /* [rip+16] */
    check_addresses(BYTES(0x83, 0x05, 0x10, 0, 0, 0, 1), INSN_64, 1, 0x7fff00001017, 0); /* the immediate counts */
    check_addresses(BYTES(0x8b, 0x44, 0x9c, 0x08), INSN_64, 1, 0x5000000 + 4 * 0x4000000 + 8, 0); /* [rsp+rbx*4+8] */
    check_addresses(BYTES(0x8b, 0x04, 0x25, 0, 0, 0, 0x80), INSN_64, 1, 0xffffffff80000000, 0); /* [disp32], no index */
    check_addresses(BYTES(0x67, 0x8b, 0x40, 0xff), INSN_64, 1, 0xffffff, 0);                    /* [eax-1] */
    check_addresses(BYTES(0x65, 0x48, 0x8b, 0x04, 0x25, 8, 0, 0, 0), INSN_64, 1, 0xffff888000000008, 0); /* gs:[8] */
    check_addresses(BYTES(0x2e, 0x8b, 0x00), INSN_64, 1, 0x1000000, 0);                       /* CS means nothing */
    check_addresses(BYTES(0x43, 0x8b, 0x04, 0x66), INSN_64, 1, 0xf000000 + 2 * 0xd000000, 0); /* [r14+r12*2] */
    check_addresses(BYTES(0x48, 0x8d, 0x00), INSN_64, 0, 0, 0);                               /* lea */
    check_addresses(BYTES(0x66, 0x0f, 0x1f, 0x00), INSN_64, 0, 0, 0);                         /* long nop */
    check_addresses(BYTES(0xf3, 0x48, 0xa5), INSN_64, 2, 0x7000000, 0x8000000);               /* rep movsq */
    check_addresses(BYTES(0xf3, 0xaa), INSN_64, 1, 0x8000000, 0);                             /* rep stosb */
    check_addresses(BYTES(0x50), INSN_64, 1, 0x5000000 - 8, 0);                               /* push rax */
    check_addresses(BYTES(0xff, 0x30), INSN_64, 2, 0x1000000, 0x5000000 - 8);                 /* push [rax] */
    check_addresses(BYTES(0xc3), INSN_64, 1, 0x5000000, 0);                                   /* ret */
    check_addresses(BYTES(0x66, 0x0f, 0x38, 0xf8, 0x07), INSN_64, 2, 0x8000000, 0x1000000);   /* movdir64b rax, [rdi] */
    check_addresses(BYTES(0x0f, 0x20, 0xc0), INSN_64, 0, 0, 0);                               /* mov rax, cr0 */
}

static void addresses_32_16(void **state)
{
    check_addresses(BYTES(0x8b, 0x05, 0x10, 0, 0, 0), INSN_32, 1, 0x10 + 0x111, 0);   /* [disp32] */
    check_addresses(BYTES(0x8b, 0x45, 0x04), INSN_32, 1, 0x6000004 + 0x222, 0);       /* [ebp+4]: SS */
    check_addresses(BYTES(0x26, 0x8b, 0x45, 0x04), INSN_32, 1, 0x6000004 + 0x333, 0); /* es: */
    check_addresses(BYTES(0xa4), INSN_32, 2, 0x7000000 + 0x111, 0x8000000 + 0x333);   /* movsb */
    check_addresses(BYTES(0x8b, 0x43, 0x10), INSN_16, 1, 0x10 + 0x222, 0);            /* [bp+di+16] cut to 16 bits */
    check_addresses(BYTES(0x67, 0x8b, 0x00), INSN_16, 1, 0x1000000 + 0x111, 0);       /* [eax] */
}

/* Bytes without meaning: the decoder stays inside them, and never reports more than an instruction can have. */
static void noise(void **state)
{
    static const enum insn_mode modes[] = {INSN_16, INSN_32, INSN_64};
    struct insn_registers r = registers();
    u64 seed = 815, found[INSN_ADDRESSES_MAX];

    for (unsigned i = 0; i < 300000; i++) {
        u8 bytes[INSN_BYTES_MAX];
        struct insn insn;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned count = (seed >> 40) % (INSN_BYTES_MAX + 1);
        u8 *exact = malloc(count ? count : 1); /* so that a step too far is seen */
        for (unsigned n = 0; n < sizeof(bytes); n++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[n] = (u8)(seed >> 56);
        }
        memcpy(exact, bytes, count);
        if (insn_decode(exact, count, modes[i % 3], &insn)) {
            assert_in_range(insn.length, 1, count);
            assert_in_range(insn_addresses(&insn, &r, found), 0, INSN_ADDRESSES_MAX);
        }
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),      cmocka_unit_test(cut_short),       cmocka_unit_test(too_long),
        cmocka_unit_test(addresses_64), cmocka_unit_test(addresses_32_16), cmocka_unit_test(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
