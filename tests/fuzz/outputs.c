/*
 * What a call may answer: completion statuses that exist, and changes in no other registers than those that the leaf
 * defines as outputs. Typed from the ABI specification (chapters 3, 5 and 6), not taken from the model.
 */
#include "tests/fuzz/fuzz.h"

#define BIT(reg) (1u << (reg))
#define C        BIT(1)
#define D        BIT(2)
#define R8_      BIT(8)
#define R9_      BIT(9)
#define R10_     BIT(10)
#define R11_     BIT(11)
#define R12_     BIT(12)
#define R13_     BIT(13)

/* clang-format off */
static const u32 statuses[] = { /* upper halves */
    0x00000000, 0x40000001, 0x60000002, 0x80000003, 0x80000004, 0x60000005, 0xe0000007, 0xc0000100, 0xc0000101,
    0x80000200, 0x80000201, 0x80000202, 0x80000203, 0x80000204, 0x90000205, 0xc0000300, 0xc0000400, 0xc0000500,
    0xc0000502, 0xc0000503, 0xc0000505, 0xc0000506, 0xc0000507, 0xc0000508, 0xc0000509, 0xc000050b, 0xc000050c,
    0xe0000604, 0xc0000605, 0xc0000606, 0xc0000607, 0xc0000608, 0xc0000609, 0xc0000610, 0xc0000700, 0x80000701,
    0x80000702, 0xc0000704, 0xc0000705, 0xc0000706, 0xc0000730, 0x80000800, 0x80000810, 0xc0000811, 0x00000815,
    0x80000817, 0xc0000820, 0x00000821, 0xc0000823, 0x80000824, 0xc0000a00, 0xc0000a01, 0xc0000a02, 0x00000a03,
    0xc0000a10, 0xc0000a11, 0xc0000a12, 0xc0000a20, 0xc0000a21, 0xc0000b00, 0xc0000b01, 0xc0000b02, 0xc0000b03,
    0xc0000b06, 0x00000b07, 0xc0000b08, 0xc0000b09, 0x00000b0a, 0xc0000b0b, 0xc0000b0d, 0xc0000b0e, 0xc0000b0f,
    0xc0000b10, 0xc0000b11, 0xc0000c00, 0xc0000c01, 0xc0000c02, 0xc0000c03, 0xc0000c04, 0xc0000c0a, 0x00000c0b,
    0xc0001000, 0xc0001001, 0x90000009, 0xc0000e06, 0xc0000e09, 0xc0000e14, 0xc0000d05, 0xc0000d07, 0xc0000d08,
};

/* Beside RAX. VP.ENTER is apart. */
static const u16 seamcall_outputs[128] = {
    [2] = C | D, [3] = C | D | R8_ | R9_ | R10_ | R11_, [5] = C | D, [6] = C | D, [7] = C | D, [11] = D | R8_,
    [12] = C | D | R8_, [13] = R8_, [14] = C | D | R8_, [15] = C | D | R9_ | R10_ | R11_, [16] = C | D, [21] = C,
    [23] = C | D | R9_ | R10_ | R11_, [24] = C | D | R8_ | R9_ | R10_ | R11_, [25] = C | D | R8_, [26] = D | R8_,
    [28] = C | D | R8_ | R9_ | R10_ | R11_, [29] = C | D, [30] = C | D | R9_ | R10_ | R11_, [32] = D | R9_,
    [33] = C | D | R8_ | R9_ | R10_, [34] = D | R8_, [35] = C | D | R8_, [36] = D, [37] = R8_, [39] = C | D, [43] = R8_,
    [48] = C | R10_ | R11_ | R12_ | R13_, [66] = C | D, [68] = C | D | R9_ | R10_ | R11_ | R12_, [72] = C | D | R8_,
    [73] = C | D, [74] = C | D, [75] = C | D, [83] = C | D | R8_ | R9_, [85] = C | D, [86] = C | D, [87] = C | D,
};

static const u16 tdcall_outputs[32] = {
    [1] = C | D | R8_ | R9_ | R10_ | R11_, [3] = C | D | R8_ | R9_ | R10_, [7] = D | R8_, [8] = R8_, [9] = D | R8_,
    [10] = R8_, [11] = D | R8_, [12] = R8_, [18] = D | R8_ | R10_ | R11_ | R12_ | R13_,
    [20] = R8_ | R10_ | R11_ | R12_ | R13_, [23] = C | D, [24] = C | D,
};
/* clang-format on */

static void check_status(u64 rax)
{
    u32 code = (u32)(rax >> 32) & ~(1u << 28);
    for (unsigned i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if ((statuses[i] & ~(1u << 28)) == code)
            return;
    fuzz_fail("status %llx does not exist", (unsigned long long)rax);
}

static void check_kept(const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS], u32 outputs, const char *what)
{
    for (unsigned reg = 0; reg < SEAM_GPRS; reg++)
        if (reg != RAX && !(outputs & BIT(reg)) && before[reg] != after[reg])
            fuzz_fail("%s leaf %llx writes register %u, no output of it: %llx to %llx (status %llx)", what,
                      (unsigned long long)before[RAX], reg, (unsigned long long)before[reg],
                      (unsigned long long)after[reg], (unsigned long long)after[RAX]);
}

void fuzz_check_seamcall(const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS])
{
    u64 leaf = before[RAX] & 0xffff;
    check_status(after[RAX]);
    if (leaf == TDH_VP_ENTER) /* the stepping filter may answer as a TD exit does */
        check_kept(before, after, after[RAX] >> 63 ? 0 : 0xffcf, "SEAMCALL");
    else
        check_kept(before, after, leaf < 128 ? seamcall_outputs[leaf] : 0, "SEAMCALL");
}

void fuzz_check_tdcall(const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS])
{
    u64 leaf = before[RAX] & 0xffff;
    check_kept(before, after, leaf < 32 ? tdcall_outputs[leaf] : 0, "TDCALL");
}

void fuzz_check_td_exit(const u64 before[SEAM_GPRS], const u64 after[SEAM_GPRS])
{
    check_status(after[RAX]);
    check_kept(before, after, 0xffef, "a TD exit after");
}
