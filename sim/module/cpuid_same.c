/*
 * CPUID values that TDH.SYS.INIT takes from its CPU, and TDH.SYS.LP.INIT wants to find on each: nearly all bits of nearly all
 * leafs of the module's table. Intel TDX Module v1.5 Base Architecture Specification, "TDH.SYS.LP.INIT".
 */
#include "sim/module/cpuid.h"
#include "sim/module/leaves.h"

#define ALL         0xffffffffu
#define ANY_SUBLEAF 0xfffffffeu

/* Bits of EAX, EBX, ECX, EDX that are compared, where those are not all: left out is what is a CPU's own (APIC IDs), what CR4 and
 * XCR0 change, what a TD never sees. */
static const struct {
    u32 leaf, subleaf, same[4];
} exceptions[] = {
    {0x1, CPUID_NO_SUBLEAF, {0xf000c000, 0xffff, 0xf7ffff9f, ALL}},
    {0x3, CPUID_NO_SUBLEAF, {0}},
    {0x6, CPUID_NO_SUBLEAF, {0x800000, 0, 0, 0}},
    {0x7, 0, {ALL, 0xfffffffb, 0xbfc1ff6f, 0xffebffff}},
    {0x8, CPUID_NO_SUBLEAF, {0}},
    {0xd, 0, {ALL, 0, ALL, ALL}},
    {0xd, 1, {ALL, 0, ALL, ALL}},
    {0xe, CPUID_NO_SUBLEAF, {0}},
    {0x11, CPUID_NO_SUBLEAF, {0}},
    {0x12, CPUID_NO_SUBLEAF, {0}},
    {0x13, CPUID_NO_SUBLEAF, {0}},
    {0x19, CPUID_NO_SUBLEAF, {ALL, 0xfffffffe, ALL, ALL}},
    {0x1f, ANY_SUBLEAF, {ALL, ALL, ALL, 0}},
    {0x20, CPUID_NO_SUBLEAF, {0}},
    {0x21, 0, {0}},
    {0x22, CPUID_NO_SUBLEAF, {0}},
    {0x80000006, CPUID_NO_SUBLEAF, {0, 0, 0xff, 0}},
    {0x80000007, CPUID_NO_SUBLEAF, {0, 0, 0, 0x100}},
};

static const u32 *compared_bits(const struct cpuid_row *row)
{
    static const u32 all[4] = {ALL, ALL, ALL, ALL};
    for (unsigned i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
        if (exceptions[i].leaf == row->leaf &&
            (exceptions[i].subleaf == row->subleaf || exceptions[i].subleaf == ANY_SUBLEAF))
            return exceptions[i].same;
    return all;
}

static void read_row(const struct cpuid_row *row, u32 out[4])
{
    plat_cpuid(row->leaf, row->subleaf == CPUID_NO_SUBLEAF ? 0 : row->subleaf, out);
}

void mdl_cpuid_sample(void)
{
    for (unsigned i = 0; i < CPUID_ROWS; i++)
        read_row(&mdl_cpuid_rows[i], mdl_sys.cpuid[i]);
}

static bool is_same(const u32 a[4], const u32 b[4], const u32 bits[4])
{
    u32 differ = 0;
    for (unsigned i = 0; i < 4; i++)
        differ |= (a[i] ^ b[i]) & bits[i];
    return !differ;
}

static bool is_there(u32 leaf, u32 last, u32 last_extended)
{
    return leaf >> 31 ? leaf <= last_extended : leaf <= last;
}

u64 mdl_cpuid_compare(struct call *c)
{
    u32 last[4], last_extended[4], values[4];
    plat_cpuid(0, 0, last);
    plat_cpuid(0x80000000, 0, last_extended);
    for (unsigned i = 0; i < CPUID_ROWS; i++) {
        const struct cpuid_row *row = &mdl_cpuid_rows[i];
        const u32 *bits = compared_bits(row);
        read_row(row, values);
        if (!is_there(row->leaf, last[0], last_extended[0]) || is_same(values, mdl_sys.cpuid[i], bits))
            continue;
        c->out[RCX] = row->leaf | (u64)row->subleaf << 32;
        c->out[RDX] = bits[0] | (u64)bits[1] << 32;
        c->out[R8] = bits[2] | (u64)bits[3] << 32;
        return TDX_INCONSISTENT_CPUID_FIELD;
    }
    return TDX_SUCCESS;
}
