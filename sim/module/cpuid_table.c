/*
 * The module's table of CPUID leafs: what of the native value a TD sees. Order is part of the ABI: CPUID_CONTROL is
 * indexed by it, and the configurable rows have the order of TDH.SYS.INFO (Intel TDX Module v1.5 ABI Specification,
 * "CPUID Virtualization"). Registers are EAX, EBX, ECX, EDX.
 */
#include "sim/module/cpuid.h"

/* clang-format off */
#define FAULTS   true
#define SHOWN    false
#define FIXED    CPUID_NOT_CONFIGURABLE
#define NO_SUBLEAF CPUID_NO_SUBLEAF
#define ALL_BITS {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}
#define NO_BITS  {0, 0, 0, 0}

/* leaf, sub-leaf, #VE always?, row of the configurable ones, bits cleared (also the dynamic ones), bits set */
const struct cpuid_row mdl_cpuid_rows[CPUID_ROWS] = {
    {0x1, NO_SUBLEAF, SHOWN, 0, {0xf000c000, 0xff0000ff, 0x8010060, 0x40120400}, {0, 0, 0x80000000, 0x200}},
    {0x4, 0x0, SHOWN, 1, {0x3c00, 0, 0, 0x4}, NO_BITS},
    {0x4, 0x1, SHOWN, 2, {0x3c00, 0, 0, 0x4}, NO_BITS},
    {0x4, 0x2, SHOWN, 3, {0x3c00, 0, 0, 0x4}, NO_BITS},
    {0x4, 0x3, SHOWN, 4, {0x3c00, 0, 0, 0xfffffff8}, NO_BITS},
    {0x7, 0x0, SHOWN, 5, {0, 0x404006, 0x643e8010, 0x2298c3}, NO_BITS},
    {0x7, 0x1, SHOWN, 6, {0xffffe2cf, 0xffffffff, 0xffffffff, 0xffffffff}, NO_BITS},
    {0xa, NO_SUBLEAF, SHOWN, 7, {0, 0, 0, 0xffff6000}, NO_BITS},
    {0x1c, NO_SUBLEAF, SHOWN, 8, NO_BITS, NO_BITS},
    {0x80000008, NO_SUBLEAF, SHOWN, 9, {0xffff0000, 0xfffffdff, 0xffffffff, 0xffffffff}, NO_BITS},
    {0x0, NO_SUBLEAF, SHOWN, FIXED, {0xffffffdc, 0, 0, 0}, {0x23, 0, 0, 0}},
    {0x3, NO_SUBLEAF, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x4, 0x4, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x6, NO_SUBLEAF, FAULTS, FIXED, NO_BITS, NO_BITS},
    {0x7, 0x2, SHOWN, 10, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffc0}, NO_BITS},
    {0x8, NO_SUBLEAF, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0xd, 0x0, SHOWN, FIXED, {0xfff9fd18, 0xffffffff, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x1, SHOWN, FIXED, {0xffffffe0, 0xffffffff, 0xffff26ff, 0xffffffff}, NO_BITS},
    {0xd, 0x2, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x3, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x4, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x5, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x6, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x7, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x8, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x9, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0xa, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0xb, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0xc, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0xd, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0xe, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0xf, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x10, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x11, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xd, 0x12, SHOWN, FIXED, {0, 0, 0, 0xffffffff}, NO_BITS},
    {0xe, NO_SUBLEAF, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x11, NO_SUBLEAF, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x12, NO_SUBLEAF, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x13, NO_SUBLEAF, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x14, 0x0, SHOWN, FIXED, {0, 0xfffffe00, 0x7ffffff0, 0xffffffff}, NO_BITS},
    {0x14, 0x1, SHOWN, FIXED, {0xfff8, 0, 0xffffffff, 0xffffffff}, NO_BITS},
    {0x15, NO_SUBLEAF, SHOWN, FIXED, {0xfffffffe, 0, 0xfe8287bf, 0xffffffff}, {0x1, 0, 0x17d7840, 0}},
    {0x19, NO_SUBLEAF, SHOWN, FIXED, {0xfffffff8, 0xffffffeb, 0xfffffffd, 0xffffffff}, NO_BITS},
    {0x1d, 0x0, SHOWN, FIXED, NO_BITS, NO_BITS},
    {0x1d, 0x1, SHOWN, FIXED, NO_BITS, NO_BITS},
    {0x1e, NO_SUBLEAF, SHOWN, FIXED, NO_BITS, NO_BITS},
    {0x1f, 0x0, FAULTS, FIXED, NO_BITS, NO_BITS},
    {0x1f, 0x1, FAULTS, FIXED, NO_BITS, NO_BITS},
    {0x1f, 0x2, FAULTS, FIXED, NO_BITS, NO_BITS},
    {0x1f, 0x3, FAULTS, FIXED, NO_BITS, NO_BITS},
    {0x1f, 0x4, FAULTS, FIXED, NO_BITS, NO_BITS},
    {0x1f, 0x5, FAULTS, FIXED, NO_BITS, NO_BITS},
    {0x20, NO_SUBLEAF, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x21, 0x0, SHOWN, FIXED, {0xffffffff, 0x9a8b91b6, 0xdfdfdfdf, 0xa7bbab93}, {0, 0x65746e49, 0x20202020, 0x5844546c}},
    {0x80000000, NO_SUBLEAF, SHOWN, FIXED, {0x7ffffff7, 0xffffffff, 0xffffffff, 0xffffffff}, {0x80000008, 0, 0, 0}},
    {0x80000001, NO_SUBLEAF, SHOWN, FIXED, {0xffffffff, 0xffffffff, 0xfffffede, 0xd3efffff}, NO_BITS},
    {0x80000006, NO_SUBLEAF, FAULTS, FIXED, NO_BITS, NO_BITS},
    {0x80000007, NO_SUBLEAF, SHOWN, FIXED, {0xffffffff, 0xffffffff, 0xffffffff, 0xfffffeff}, NO_BITS},
    {0x22, NO_SUBLEAF, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x23, 0x0, SHOWN, 11, {0xfffffff0, 0, 0xffffffff, 0xffffffff}, NO_BITS},
    {0x23, 0x1, SHOWN, FIXED, {0, 0, 0xffffffff, 0xffffffff}, NO_BITS},
    {0x23, 0x2, SHOWN, FIXED, ALL_BITS, NO_BITS},
    {0x23, 0x3, SHOWN, FIXED, {0, 0xffffffff, 0xffffffff, 0xffffffff}, NO_BITS},
    {0x5, NO_SUBLEAF, SHOWN, FIXED, {0xffff0000, 0xffff0000, 0xfffffffc, 0}, NO_BITS},
};

/* bits that the VMM sets, bits that it allows where the CPU has them */
const struct cpuid_configurable mdl_cpuid_configurable[MDL_CPUID_CONFIGS] = {
    {{0xfff3fff, 0xff0000, 0, 0}, {0, 0, 0x31044d88, 0xb8440000}},
    {{0xffffc3ff, 0xfffff000, 0xffffffff, 0xfffffffb}, NO_BITS},
    {{0xffffc3ff, 0xfffff000, 0xffffffff, 0xfffffffb}, NO_BITS},
    {{0xffffc3ff, 0xfffff000, 0xffffffff, 0xfffffffb}, NO_BITS},
    {{0xffffc3ff, 0xfffff000, 0xffffffff, 0x7}, NO_BITS},
    {NO_BITS, {0, 0xdc2b9b18, 0x2417f65, 0x5411c}},
    {NO_BITS, {0x1d30, 0, 0, 0}},
    {NO_BITS, NO_BITS},
    {NO_BITS, {0xff, 0, 0, 0}},
    {NO_BITS, {0, 0x200, 0, 0}},
    {NO_BITS, {0, 0, 0, 0x28}},
    {NO_BITS, {0xf, 0, 0, 0}},
};
/* clang-format on */
