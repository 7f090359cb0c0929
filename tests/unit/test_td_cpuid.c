/*
 * What a TD's CPUID has of its CPU's, as the model computes it from TD_PARAMS: with `shows_cpu`, and without. Bits by the SDM's
 * numbers, fields by those of the ABI specification.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/td_world.h"

#define L_SYS_INFO   32
#define CPUID_VALUES 0x9410000300000000ull /* two elements a leaf: EBX and EAX, EDX and ECX */
#define XFAM         0x1110000300000001ull
#define XFAM_AVX_512 0xe7ull
#define REFUSED      0xc000010000000001ull

/* Leaf in 15:9 and its bit 31 in 16, sub-leaf in 7:1, 8: there is none. */
enum { LEAF_1 = 0x3fe, LEAF_4_0 = 0x800, LEAF_7_0 = 0xe00, LEAF_7_1 = 0xe02, LEAF_80000008 = 0x111fe };
enum { EAX, EBX, ECX, EDX };

static u32 td_cpuid(unsigned leaf, unsigned reg)
{
    struct tdx_field_answer a = tdh_mng_rd(td.tdr, CPUID_VALUES + leaf + reg / 2);

    assert_int_equal(a.status.raw, 0);
    return (u32)(a.value >> 32 * (reg & 1));
}

/* A CPU that has everything, with caches that several threads share. */
static void have_all(void)
{
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){0x806f8, 0x400800, 0x7ffefbff, 0xbfebfbff});
    cpu_host_set_cpuid(4, 0, (struct cpuid_regs){0xfc004121, 0x2c0003f, 0x3f, 0});
    cpu_host_set_cpuid(7, 0, (struct cpuid_regs){2, 0xf3bfbfff, 0xbbe9ff5e, 0xffdd4432});
    cpu_host_set_cpuid(7, 1, (struct cpuid_regs){0x1c30, 0, 0, 0});
    cpu_host_set_cpuid(0x80000008, 0, (struct cpuid_regs){0x3934, 0x200, 0, 0});
}

static void create(bool shows_cpu)
{
    struct td_fault f;

    have_all();
    config.shows_cpu = shows_cpu;
    config.xfam = XFAM_AVX_512;
    (void)hkid_and_create(&f);
    assert_int_equal(f.err, ERR_OK);
    assert_int_equal(add_vcpu(0).err, ERR_OK);
}

static const struct {
    unsigned leaf, reg, bit;
    bool shown;
} bits[] = {
    {LEAF_1, ECX, 28, true},       /* AVX */
    {LEAF_1, ECX, 29, true},       /* F16C */
    {LEAF_1, ECX, 3, false},       /* MONITOR */
    {LEAF_1, ECX, 7, false},       /* EST */
    {LEAF_1, ECX, 24, false},      /* TSC deadline */
    {LEAF_1, EDX, 22, false},      /* thermal monitor's MSRs */
    {LEAF_1, EDX, 27, true},       /* self snoop */
    {LEAF_4_0, EAX, 0, true},      /* a data cache */
    {LEAF_4_0, EAX, 14, false},    /* shared by two threads */
    {LEAF_4_0, EAX, 26, false},    /* of 64 cores */
    {LEAF_4_0, EBX, 22, true},     /* of twelve ways */
    {LEAF_7_0, EBX, 3, true},      /* BMI1 */
    {LEAF_7_0, EBX, 4, false},     /* HLE */
    {LEAF_7_0, EBX, 9, true},      /* ERMS */
    {LEAF_7_0, EBX, 11, false},    /* RTM */
    {LEAF_7_0, EBX, 12, false},    /* RDT */
    {LEAF_7_0, EBX, 16, true},     /* AVX512F */
    {LEAF_7_0, ECX, 2, true},      /* UMIP */
    {LEAF_7_0, ECX, 5, false},     /* WAITPKG */
    {LEAF_7_0, ECX, 16, false},    /* LA57 */
    {LEAF_7_0, ECX, 22, true},     /* RDPID */
    {LEAF_7_0, EDX, 4, true},      /* FSRM */
    {LEAF_7_0, EDX, 18, false},    /* PCONFIG */
    {LEAF_7_1, EAX, 10, true},     /* FZRM */
    {LEAF_80000008, EBX, 9, true}, /* WBNOINVD */
};

/* `all`: of the bits above those that are to be shown are, else none. */
static void check(bool all)
{
    for (unsigned i = 0; i < ARRAY_COUNT(bits); i++)
        if ((td_cpuid(bits[i].leaf, bits[i].reg) >> bits[i].bit & 1) != (all && bits[i].shown))
            fail_msg("leaf 0x%x, register %u, bit %u should be %u", bits[i].leaf, bits[i].reg, bits[i].bit,
                     all && bits[i].shown);
    tear_down();
}

static void test_features_of_the_cpu_are_shown(void **state)
{
    create(true);
    check(true);
}

static void test_nothing_is_shown_unasked(void **state)
{
    create(false);
    check(false);
}

/* A module that does not say what it takes is asked for nothing, and the TD begins all the same. */
static void test_a_module_without_sys_info(void **state)
{
    seamcall_host_inject(L_SYS_INFO, 0, REFUSED);
    create(true);
    assert_int_equal(seamcall_host_injections_left(), 0);
    check(false);
}

/* XCR0's and XSS' components that the CPU has; what the TD gets of them. */
static void test_extended_state(void **state)
{
    static const struct {
        u32 xcr0;
        u64 xfam;
    } cases[] = {
        {0x602e7, 0x602e7}, /* x87 and SSE, AVX, AVX-512, PKRU, AMX */
        {0x202e7, 0x2e7},   /* half of AMX */
        {0x67, 0x7},        /* half of AVX-512 */
        {0x2e3, 0x203},     /* AVX-512 without AVX */
        {0x3, 0x3},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        struct td_fault f;
        cpu_host_set_cpuid(0xd, 0, (struct cpuid_regs){.eax = cases[i].xcr0});
        tdx_module.xfam_may = cases[i].xcr0 | 0x1800; /* CET */
        config.shows_cpu = true;
        config.xfam = 0;
        (void)hkid_and_create(&f);
        assert_int_equal(f.err, ERR_OK);
        assert_int_equal(add_vcpu(0).err, ERR_OK);
        assert_int_equal(tdh_mng_rd(td.tdr, XFAM).value, cases[i].xfam);
        tear_down();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIFE(test_features_of_the_cpu_are_shown),
        LIFE(test_nothing_is_shown_unasked),
        LIFE(test_a_module_without_sys_info),
        LIFE(test_extended_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
