/* Operands by kind, and which kinds a leaf takes. ABI specification, chapters 5 and 6. */
#include "tests/fuzz/operands.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* clang-format off */
/* Leafs that change memory stand several times, so that they are drawn more often; unknown ones are there too. */
static const struct fuzz_leaf seamcalls[] = {
    {0, {K_TDVPR}}, {1, {K_CONTROL, K_TDR}}, {2, {K_GPA, K_TDR, K_DATA, K_SOURCE}},
    {3, {K_GPA, K_TDR, K_CONTROL, K_NONE}}, {4, {K_CONTROL, K_TDVPR}}, {5, {K_GPA, K_TDR, K_DATA}},
    {6, {K_GPA, K_TDR, K_DATA}}, {7, {K_GPA, K_TDR}}, {8, {K_TDR}}, {9, {K_CONTROL, K_HKID}}, {10, {K_CONTROL, K_TDR}},
    {11, {K_TDR, K_FIELD}}, {12, {K_GPA, K_TDR}}, {13, {K_TDR, K_FIELD, K_VALUE, K_VALUE}},
    {14, {K_GPA, K_TDR, K_VALUE}}, {15, {K_GPA, K_TDR, K_CONTROL}}, {16, {K_GPA, K_TDR}}, {17, {K_TDR}},
    {18, {K_TDVPR}}, {19, {K_TDR}}, {20, {K_TDR}}, {21, {K_TDR, K_TABLE}}, {22, {K_TDVPR, K_VALUE}},
    {23, {K_GPA, K_TDR}}, {24, {K_DATA}}, {25, {K_GPA, K_TDR}}, {26, {K_TDVPR, K_FIELD}}, {27, {K_TDR}}, {28, {K_DATA}},
    {29, {K_GPA, K_TDR}}, {30, {K_GPA, K_TDR}}, {31, {K_NONE}}, {32, {K_OUTPUT, K_SMALL, K_OUTPUT, K_SMALL}},
    {33, {K_SMALL}}, {34, {K_NONE, K_FIELD}}, {35, {K_NONE}}, {36, {K_TABLE}}, {37, {K_NONE, K_OUTPUT, K_FIELD}},
    {38, {K_TDR}}, {39, {K_GPA, K_TDR}}, {40, {K_SMALL}}, {41, {K_DATA}}, {42, {K_NONE}},
    {43, {K_TDVPR, K_FIELD, K_VALUE, K_VALUE}}, {44, {K_SMALL}}, {45, {K_TABLE, K_SMALL, K_HKID}},
    {48, {K_TDR, K_TDR, K_SMALL, K_SMALL}}, {49, {K_TDR, K_SOURCE, K_SMALL, K_SMALL}}, {64, {K_TDR}},
    {65, {K_GPA, K_TDR}}, {66, {K_VALUE, K_TDR}}, {68, {K_VALUE, K_TDR, K_SOURCE, K_SOURCE}}, {70, {K_TDR}},
    {71, {K_TDR, K_SMALL, K_SOURCE}}, {72, {K_TDR, K_NONE, K_SOURCE, K_SOURCE}}, {73, {K_TDR}}, {74, {K_TDVPR}},
    {75, {K_GPA, K_TDR}}, {80, {K_TDR}}, {81, {K_TDR}}, {82, {K_TDR}}, {83, {K_VALUE, K_TDR, K_SOURCE}}, {84, {K_TDR}},
    {85, {K_TDR}}, {86, {K_TDR}}, {87, {K_TDVPR}}, {96, {K_CONTROL, K_TDR}}, {96, {K_CONTROL, K_TDR}}, {52, {K_SMALL}},
    {53, {K_NONE}}, {127, {K_TDR}}, {255, {K_NONE}}, {6, {K_GPA, K_TDR, K_DATA}}, {7, {K_GPA, K_TDR}}, {38, {K_TDR}},
    {15, {K_GPA, K_TDR, K_CONTROL}}, {23, {K_GPA, K_TDR}}, {29, {K_GPA, K_TDR}}, {28, {K_CONTROL}}, {0, {K_TDVPR}},
};

static const struct fuzz_leaf tdcalls[] = {
    {0, {K_VALUE}}, {1, {K_NONE}}, {2, {K_GPA, K_SMALL}}, {3, {K_NONE}}, {4, {K_GPA, K_GPA, K_SMALL}}, {5, {K_SMALL}},
    {6, {K_GPA}}, {7, {K_SMALL, K_FIELD}}, {8, {K_SMALL, K_FIELD, K_VALUE, K_VALUE}}, {9, {K_SMALL, K_FIELD}},
    {10, {K_SMALL, K_FIELD, K_VALUE, K_VALUE}}, {11, {K_NONE, K_FIELD}}, {12, {K_NONE, K_GPA, K_FIELD}},
    {18, {K_TDR, K_FIELD}}, {20, {K_TDR, K_FIELD, K_VALUE, K_VALUE}}, {22, {K_GPA}}, {23, {K_GPA}},
    {24, {K_GPA, K_SMALL, K_SMALL}}, {25, {K_SMALL}}, {26, {K_SMALL}}, {27, {K_SMALL}}, {31, {K_NONE}}, {6, {K_GPA}},
    {6, {K_GPA}},
};

static const u64 fields[] = {
    0, NULL_ID, 0x0000000200000000, 0x0a00000300000008, 0x9000000300000080, 0x9900000300000400, 0x9900000300000500,
    0x8010000000000001, 0x8010000300000004, 0x8110000100000001, 0x9010000200000001, 0x1110000300000000,
    0x1110000300000004, 0x9110000300000010, 0x9110000300000012, 0x9110000200000800, 0x9210000300000000,
    0x1310000300000000, 0x1310000300000040, 0x961000030000010a, 0x9810000300000018, 0x9a10000300000000,
    0x2010000300000000, 0x9410000300000000, 0x0120000300000000, 0x0220000200000001, 0x1020000300000004,
    0x1020000300000008, 0x1120000300000020, 0x1220000300000000, 0x1320000300000186, 0xa020000000000000,
    0xa020000200000004, 0xa020000000000007, 0x202000000000000b, 0xa020000300000010, 0xa020000300000050,
    0xa020000300000058, 0xa020000300000080, 0x002400030000203c, 0x0024000200004002, 0x0024000300002016,
    0x002400030000201a, 0x0024000300006800, 0x002400020000401e, 0x0024000100000000, 0x00240003000020ff,
    0x002400030000202a, 0x9110000300000011, 0x1110000300000017, 0x8010000300000010, 0x9110000000000080,
    0x2110000300000000,
};

static const u64 values[] = {
    0, 1, 2, 3, 7, 0xff, 0xfc00, 0xfffe, 0xffffffff, ~0ull, 1ull << 63, 1ull << 47, 1ull << 51, 0x100000, 0x33, 0x30d,
    0x400, 0x80000000, 0x200, 10000, FUZZ_PAGE(FUZZ_VMM, VMM_SHARED_EPT), FUZZ_TDMR_A, FUZZ_PAGE(FUZZ_VMM,
    VMM_SHARED_EPT) | 1ull << 46, FUZZ_PAGE(FUZZ_VMM, VMM_SHARED_EPT) | 33ull << 46,
};

/* Pages that are none, or not the kind that is wanted. */
static const u64 foolish[] = {
    0, FUZZ_RESERVED, FUZZ_VMM, FUZZ_PAMT, FUZZ_TDMR_A + PAGE_1G, FUZZ_CONTROL + 8, FUZZ_SMALL | 33ull << 46,
    1ull << 51, ~0ull, FUZZ_TDMR_B + PAGE_2M, FUZZ_LARGE + PAGE_4K, 0x400000000, FUZZ_SMALL | 1ull << 52, FUZZ_TDMR_B,
    FUZZ_LARGE, PAGE_4K,
};

static const u32 msrs[] = {
    0x10, 0x1b, 0x3a, 0x48, 0x49, 0x6e0, 0x8b, 0x9b, 0xc1, 0xcf, 0xe1, 0x10a, 0x10b, 0x122, 0x174, 0x186, 0x1a0, 0x1a6,
    0x1c4, 0x1d9, 0x277, 0x2ff, 0x309, 0x345, 0x38d, 0x38f, 0x3f1, 0x480, 0x485, 0x48b, 0x493, 0x4c1, 0x560, 0x570,
    0x600, 0x6a0, 0x800, 0x802, 0x808, 0x80b, 0x830, 0x83f, 0x8ff, 0x981, 0x985, 0xc80, 0xd90, 0xda0, 0x1200, 0x14ce,
    0x14cf, 0x1500, 0x1b01, 0xc0000080, 0xc0000081, 0xc0000084, 0xc0000100, 0xc0000103, 0x40000000, 0x1fff, 0xc0001fff,
    0xffffffff,
};

/* Exit reasons worth more than one chance in 256. */
static const u8 reasons[] = {
    48, 48, 48, 48, 1, 1, 0, 2, 3, 6, 8, 9, 10, 10, 12, 15, 18, 28, 28, 30, 31, 31, 32, 32, 37, 41, 49, 54, 55, 56, 74,
    75,
};
/* clang-format on */

/* Below 100 a leaf by its number, if the table has it. */
static const struct fuzz_leaf *choose(const struct fuzz_leaf *leaves, unsigned count, u8 choice)
{
    for (unsigned i = 0; choice < 100 && i < count; i++)
        if (leaves[i].number == choice)
            return &leaves[i];
    return &leaves[choice % count];
}

const struct fuzz_leaf *fuzz_seamcall_leaf(u8 choice)
{
    return choose(seamcalls, COUNT(seamcalls), choice);
}

const struct fuzz_leaf *fuzz_tdcall_leaf(u8 choice)
{
    return choose(tdcalls, COUNT(tdcalls), choice);
}

u32 fuzz_msr(u8 choice)
{
    return msrs[choice % COUNT(msrs)];
}

u32 fuzz_exit_reason(u8 choice)
{
    return choice < 128 ? reasons[choice % COUNT(reasons)] : choice - 128;
}

/* 2:0 level, 7:3 a region of 2M or what else is worth trying; second byte: which 4K page in it. */
static u64 gpa_operand(u8 choice, u8 more)
{
    static const u64 far[] = {PAGE_1G,
                              PAGE_1G + PAGE_2M,
                              2 * PAGE_1G - PAGE_2M,
                              2 * PAGE_1G,
                              1ull << 39,
                              (1ull << 47) - PAGE_2M,
                              1ull << 47,
                              1ull << 48,
                              1ull << 51,
                              1ull << 52,
                              (1ull << 47) + PAGE_1G,
                              8 * PAGE_2M,
                              (1ull << 47) + PAGE_4K,
                              (1ull << 51) + PAGE_4K,
                              (1ull << 47) + 2 * PAGE_4K,
                              ~0xfffull};
    u64 level = choice & 7, region = choice >> 3, page = more & 63;
    u64 gpa = region < 16 ? (region & 7) * PAGE_2M : far[region - 16];
    if (level == LEVEL_4K || more & 0x80)
        gpa += (page < 60 ? page : 452 + page) * PAGE_4K;
    else if (level <= LEVEL_256T)
        gpa &= ~((PAGE_4K << 9 * level) - 1);
    return gpa | level;
}

static u64 control_page(u8 choice)
{
    if (choice < 128)
        return FUZZ_PAGE(FUZZ_CONTROL, choice);
    if (choice < 192)
        return FUZZ_PAGE(FUZZ_SMALL, choice - 128);
    return choice < 240 ? FUZZ_LARGE + (choice - 192ull) * (PAGE_2M / 2) : foolish[choice % COUNT(foolish)];
}

static u64 data_page(u8 choice, u64 gpa)
{
    u64 page = gpa & ~0xfffull & ((1ull << 47) - 1);
    if (choice < 32)
        return fuzz_home(page);
    if (choice < 64)
        return FUZZ_LARGE + (choice & 15) * PAGE_2M;
    return choice < 96 ? FUZZ_PAGE(FUZZ_SMALL, choice - 64) : control_page((u8)(choice < 240 ? choice - 96 : choice));
}

static u64 tdvpr_page(u8 choice)
{
    static const u8 vcpus[] = {TD_VCPU0, TD_VCPU1, TD_PAGES + TD_VCPU0, TD_PAGES + TD_VCPU1};
    if (choice >= 128)
        return control_page((u8)(choice - 128));
    return FUZZ_PAGE(FUZZ_CONTROL, vcpus[choice & 3]) | (choice >> 4 == 7 ? choice >> 2 & 3 : 0);
}

static u64 tdr_page(u8 choice)
{
    if (choice >= 192)
        return control_page((u8)(choice - 192));
    return FUZZ_PAGE(FUZZ_CONTROL, choice < 160 ? TD_TDR : TD_PAGES + TD_TDR);
}

/* Tables for SYS.CONFIG and MNG.INIT, and the TDMRs themselves. */
static u64 table_address(u8 choice)
{
    if (choice >= 192)
        return choice & 1 ? FUZZ_TDMR_B : FUZZ_TDMR_A;
    if (choice >= 160)
        return foolish[choice % COUNT(foolish)];
    return FUZZ_VMM + (choice & 8 ? PAGE_4K * VMM_TDMRS : PAGE_4K * VMM_PARAMS) + (choice & 7) * 0x200ull;
}

u64 fuzz_operand(enum fuzz_kind kind, u8 choice, u8 more, u64 *gpa)
{
    switch (kind) {
    case K_TDR:
        return tdr_page(choice);
    case K_TDVPR:
        return tdvpr_page(choice);
    case K_CONTROL:
        return control_page(choice);
    case K_GPA:
        return *gpa = gpa_operand(choice, more);
    case K_DATA:
        return data_page(choice, *gpa);
    case K_SOURCE:
        return choice < 240 ? FUZZ_PAGE(FUZZ_VMM, VMM_SOURCE + (choice & 7)) : foolish[choice % COUNT(foolish)];
    case K_OUTPUT:
        return choice < 192 ? FUZZ_PAGE(FUZZ_VMM, VMM_OUTPUT + (choice & 3)) + (choice >> 4 & 7) * 0x100ull
                            : control_page((u8)(choice - 192));
    case K_TABLE:
        return table_address(choice);
    case K_HKID:
        return choice < 128 ? 32u + (choice & 7) : choice;
    case K_FIELD:
        return fields[choice % COUNT(fields)] + (more & 0x7f) + ((u64)(more >> 7) << 63);
    case K_SMALL:
        return choice < 224 ? choice & 15 : 1ull << (choice & 31) << 8;
    case K_VALUE:
        return choice < 192 ? values[choice % COUNT(values)] : 1ull << (choice & 63);
    default:
        return 0x5a00000000000000ull + choice;
    }
}
