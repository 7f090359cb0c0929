/*
 * Conditions that all CPUs meet alike: see check.h. What TDH.SYS.INIT takes from its CPU TDH.SYS.LP.INIT wants to find on each: TDX
 * Module Base Architecture Specification, "Platform checks". All CPUs compare with the one that asks.
 */
#include "lib/hw/cpu.h"
#include "lib/lock.h"
#include "tdx/check_internal.h"
#include "tdx/module_internal.h"

/* The first difference that a CPU met. */
struct difference {
    struct spin lock;
    bool is_there;
    unsigned cpu, row, reg; /* `reg`: of a CPUID leaf, from EAX on */
    u64 here, there;
};

static void note(struct difference *d, struct difference met)
{
    spin_lock(&d->lock);
    if (!d->is_there) {
        d->is_there = true;
        d->cpu = cpu_index();
        d->row = met.row;
        d->reg = met.reg;
        d->here = met.here;
        d->there = met.there;
    }
    spin_unlock(&d->lock);
}

/* False: nothing could be compared, which the condition says. */
static bool compare(const struct tdx_check_host *host, struct tdx_check *c, void (*work)(void *arg), void *arg)
{
    if (host->cpus != 0 && tdx_on_each_cpu(work, arg) == ERR_OK)
        return true;
    tdx_check_add(c, host->cpus == 0 ? "asked at the console, where all CPUs run" : "a CPU does not answer");
    tdx_check_unknown(c);
    return false;
}

static void tell_values(struct tdx_check *c, const struct difference *d)
{
    tdx_check_add(c, " = 0x%llx on CPU %u, 0x%llx on CPU %u", (unsigned long long)d->there, d->cpu,
                  (unsigned long long)d->here, cpu_index());
}

static unsigned cpus_compared(const struct tdx_check_host *host)
{
    return host->cpus - host->cpus_failed;
}

/* --- microcode ---------------------------------------------------------------------------------------------------- */

struct microcode {
    u64 here;
    struct difference difference;
};

/* What raises #GP here is to raise it everywhere: it counts as a value. */
static u64 microcode(void)
{
    u64 value;
    return tdx_check_microcode(&value) ? value : ~0ull;
}

static void compare_microcode(void *arg)
{
    struct microcode *m = arg;
    u64 there = microcode();

    if (there != m->here)
        note(&m->difference, (struct difference){.here = m->here, .there = there});
}

void tdx_look_same_microcode(const struct tdx_check_host *host, struct tdx_check *c)
{
    struct microcode m = {.here = microcode()};

    if (!compare(host, c, compare_microcode, &m))
        return;
    if (!m.difference.is_there) {
        tdx_check_add(c, "the revision is the same on %u CPUs", cpus_compared(host));
        return;
    }
    tdx_check_add(c, "IA32_BIOS_SIGN_ID (MSR 0x%x): revision", TDX_MSR_BIOS_SIGN_ID);
    m.difference.here >>= 32;
    m.difference.there >>= 32;
    tell_values(c, &m.difference);
    tdx_check_lacks(c, "the CPUs have different microcode: update the firmware, or load one revision on all");
}

/* --- MSRs --------------------------------------------------------------------------------------------------------- */

static const struct {
    u32 msr;
    const char *name;
} msrs[] = {
    {0x3b, "IA32_TSC_ADJUST"},
    {TDX_MSR_KEYID_PARTITIONING, "IA32_MKTME_KEYID_PARTITIONING"},
    {0xbc, "IA32_MISC_PACKAGE_CTLS"},
    {0xbd, "IA32_XAPIC_DISABLE_STATUS"},
    {0xcf, "IA32_CORE_CAPABILITIES"},
    {TDX_MSR_MTRRCAP, "IA32_MTRRCAP"},
    {0x10a, "IA32_ARCH_CAPABILITIES"},
    {0x122, "IA32_TSX_CTRL"},
    {0x1f2, "IA32_SMRR_PHYSBASE"},
    {TDX_MSR_SMRR_MASK, "IA32_SMRR_PHYSMASK"},
    {0x345, "IA32_PERF_CAPABILITIES"},
    {0x480, "IA32_VMX_BASIC"},
    {0x485, "IA32_VMX_MISC"},
    {0x486, "IA32_VMX_CR0_FIXED0"},
    {0x487, "IA32_VMX_CR0_FIXED1"},
    {0x488, "IA32_VMX_CR4_FIXED0"},
    {0x489, "IA32_VMX_CR4_FIXED1"},
    {0x48b, "IA32_VMX_PROCBASED_CTLS2"},
    {0x48c, "IA32_VMX_EPT_VPID_CAP"},
    {0x48d, "IA32_VMX_TRUE_PINBASED_CTLS"},
    {0x48e, "IA32_VMX_TRUE_PROCBASED_CTLS"},
    {0x48f, "IA32_VMX_TRUE_EXIT_CTLS"},
    {0x490, "IA32_VMX_TRUE_ENTRY_CTLS"},
    {0x492, "IA32_VMX_PROCBASED_CTLS3"},
    {0x981, "IA32_TME_CAPABILITY"},
    {TDX_MSR_TME_ACTIVATE, "IA32_TME_ACTIVATE"},
};

struct msr_values {
    u64 here[ARRAY_COUNT(msrs)];
    struct difference difference;
};

static u64 msr_value(unsigned row)
{
    u64 value;
    return cpu_read_msr(msrs[row].msr, &value) ? value : ~0ull;
}

static void compare_msrs(void *arg)
{
    struct msr_values *v = arg;

    for (unsigned row = 0; row < ARRAY_COUNT(msrs); row++) {
        u64 there = msr_value(row);
        if (there == v->here[row])
            continue;
        note(&v->difference, (struct difference){.row = row, .here = v->here[row], .there = there});
        return;
    }
}

void tdx_look_same_msrs(const struct tdx_check_host *host, struct tdx_check *c)
{
    struct msr_values v = {.difference.is_there = false};

    for (unsigned row = 0; row < ARRAY_COUNT(msrs); row++)
        v.here[row] = msr_value(row);
    if (!compare(host, c, compare_msrs, &v))
        return;
    if (!v.difference.is_there) {
        tdx_check_add(c, "%u MSRs are the same on %u CPUs", (unsigned)ARRAY_COUNT(msrs), cpus_compared(host));
        return;
    }
    tdx_check_add(c, "%s (MSR 0x%x)", msrs[v.difference.row].name, msrs[v.difference.row].msr);
    tell_values(c, &v.difference);
    tdx_check_lacks(c, "an MSR differs on one CPU: TDH.SYS.LP.INIT will refuse it (TDX_INCONSISTENT_MSR or "
                       "TDX_INCORRECT_MSR_VALUE); update the firmware");
}

/* --- CPUID -------------------------------------------------------------------------------------------------------- */

#define ALL          0xffffffffu
#define NO_SUBLEAF   0xffffffffu
#define SUBLEAFS_MAX 64u

/*
 * Leafs from sub-leaf `first` to `last`, and which bits of EAX, EBX, ECX, EDX are to be the same: those of module 1.5, without
 * HLE and RTM, which IA32_TSX_CTRL hides. What is not compared is a CPU's own (APIC IDs), or goes by CR4 and XCR0.
 */
static const struct leaf {
    u32 leaf, first, last, same[4];
} leafs[] = {
    {0x0, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
    {0x1, NO_SUBLEAF, NO_SUBLEAF, {0xf000c000, 0xffff, 0xf7ffff9f, ALL}},
    {0x4, 0, 4, {ALL, ALL, ALL, ALL}},
    {0x5, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
    {0x6, NO_SUBLEAF, NO_SUBLEAF, {0x800000, 0, 0, 0}},
    {0x7, 0, 0, {ALL, 0xfffff7eb, 0xbfc1ff6f, 0xffebffff}},
    {0x7, 1, 2, {ALL, ALL, ALL, ALL}},
    {0xa, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
    {0xd, 0, 1, {ALL, 0, ALL, ALL}},
    {0xd, 2, 18, {ALL, ALL, ALL, ALL}},
    {0x14, 0, 1, {ALL, ALL, ALL, ALL}},
    {0x15, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
    {0x19, NO_SUBLEAF, NO_SUBLEAF, {ALL, 0xfffffffe, ALL, ALL}},
    {0x1c, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
    {0x1d, 0, 1, {ALL, ALL, ALL, ALL}},
    {0x1e, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
    {0x1f, 0, 5, {ALL, ALL, ALL, 0}},
    {0x23, 0, 3, {ALL, ALL, ALL, ALL}},
    {0x80000000, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
    {0x80000001, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
    {0x80000006, NO_SUBLEAF, NO_SUBLEAF, {0, 0, 0xff, 0}},
    {0x80000007, NO_SUBLEAF, NO_SUBLEAF, {0, 0, 0, 0x100}},
    {0x80000008, NO_SUBLEAF, NO_SUBLEAF, {ALL, ALL, ALL, ALL}},
};

/* The n-th sub-leaf of the table. */
struct place {
    const struct leaf *leaf;
    u32 subleaf;
};

struct cpuid_values {
    struct place places[SUBLEAFS_MAX];
    struct cpuid_regs here[SUBLEAFS_MAX];
    unsigned count;
    struct difference difference;
};

static struct cpuid_regs read_place(const struct place *p)
{
    return cpu_cpuid(p->leaf->leaf, p->subleaf == NO_SUBLEAF ? 0 : p->subleaf);
}

/* Leafs that this CPU has: where another has more or less of them, leaf 0 or 80000000h differs. */
static void read_here(struct cpuid_values *v)
{
    u32 basic = cpu_cpuid(0, 0).eax, extended = cpu_cpuid(0x80000000, 0).eax;

    for (unsigned i = 0; i < ARRAY_COUNT(leafs); i++) {
        const struct leaf *l = &leafs[i];
        if (l->leaf > (l->leaf >> 31 ? extended : basic))
            continue;
        for (u64 sub = l->first; sub <= l->last && v->count < SUBLEAFS_MAX; sub++) {
            v->places[v->count] = (struct place){l, (u32)sub};
            v->here[v->count] = read_place(&v->places[v->count]);
            v->count++;
        }
    }
}

static void compare_cpuid(void *arg)
{
    struct cpuid_values *v = arg;

    for (unsigned row = 0; row < v->count; row++) {
        struct cpuid_regs a = v->here[row], b = read_place(&v->places[row]);
        const u32 here[] = {a.eax, a.ebx, a.ecx, a.edx}, there[] = {b.eax, b.ebx, b.ecx, b.edx};
        for (unsigned reg = 0; reg < ARRAY_COUNT(here); reg++) {
            if (((here[reg] ^ there[reg]) & v->places[row].leaf->same[reg]) == 0)
                continue;
            note(&v->difference, (struct difference){.row = row, .reg = reg, .here = here[reg], .there = there[reg]});
            return;
        }
    }
}

static void tell_cpuid(struct tdx_check *c, const struct cpuid_values *v)
{
    static const char *const names[] = {"EAX", "EBX", "ECX", "EDX"};
    const struct place *p = &v->places[v->difference.row];

    tdx_check_add(c, "CPUID leaf 0x%x ", p->leaf->leaf);
    if (p->subleaf != NO_SUBLEAF)
        tdx_check_add(c, "sub-leaf 0x%x ", p->subleaf);
    tdx_check_add(c, "%s", names[v->difference.reg]);
    tell_values(c, &v->difference);
    tdx_check_lacks(c, "CPUID differs on one CPU: TDH.SYS.LP.INIT will refuse it (TDX_INCONSISTENT_CPUID_FIELD); the "
                       "firmware set it up otherwise, or it has other microcode: update the firmware");
}

void tdx_look_same_cpuid(const struct tdx_check_host *host, struct tdx_check *c)
{
    struct cpuid_values v = {.count = 0};

    read_here(&v);
    if (!compare(host, c, compare_cpuid, &v))
        return;
    if (v.difference.is_there)
        tell_cpuid(c, &v);
    else
        tdx_check_add(c, "%u leafs and sub-leafs are the same on %u CPUs", v.count, cpus_compared(host));
}
