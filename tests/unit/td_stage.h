/*
 * A TD vCPU of the simulated machine with everything around it played: memory (identity mapped at a fixed address, as in
 * the machine), module data, and a CPU in the place of VMRUN: each entry of a test's script is one #VMEXIT, and the test
 * sees what the VMCB held at each VMRUN and what the module would find in the VMCS. Numbers are typed from the SDM and
 * the APM. Defines what sim/machine/ asks for, so that a test includes it once.
 */
#ifndef TESTS_UNIT_TD_STAGE_H
#define TESTS_UNIT_TD_STAGE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "sim/machine/config.h"
#include "sim/machine/guard.h"
#include "sim/machine/exits.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/log.h"
#include "sim/machine/pool.h"
#include "sim/machine/selftest.h"
#include "sim/machine/td/td.h"
#include "tests/unit/one_cpu.h"
#include "sim/module/platform.h"

#define PAGE      4096ull
#define RAM       0x10000000ull
#define RAM_BYTES (64ull << 20)
#define SHARED    (1ull << 47)
#define NO_VE     (1ull << 63)
#define CODE_GPA  0x1000ull
#define DATA_GPA  0x5000ull
#define RWX_WB    0x37ull

/* --- the machine around the TD side ------------------------------------------------------------------------------------ */

static struct vmcb vmm_vmcb;
static struct td_vmcs *v;
static u64 next_page, poisoned, closed, tsc;
static u64 msr_tsc_aux, dr[8];
static unsigned nmis_taken, eois;
static struct sim_config config = {.tlb_4k = 64, .tlb_2m = 16, .tlb_1g = 4};
static struct plat_info info = {.maxpa = 48, .keyid_shift = 42, .keyid_bits = 6, .first_private_hkid = 32};

const struct sim_config *sim_config(void)
{
    return &config;
}
void sim_log(const char *format, ...) {}
_Noreturn void sim_stop(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    abort();
}
void *pool_take(u64 count)
{
    void *taken = (void *)next_page;
    next_page += count * PAGE;
    assert_true(next_page <= RAM + RAM_BYTES);
    return memset(taken, 0, count * PAGE);
}
void *pool_page(void)
{
    return pool_take(1);
}
void pool_give(void *page) {}
u64 pool_bytes(void)
{
    return RAM_BYTES / 2;
}
bool guard_is_poisoned(u64 hpa)
{
    return poisoned && hpa == poisoned;
}
bool guard_has_poisoned(void)
{
    return poisoned != 0;
}
bool guard_is_closed(u64 hpa)
{
    return closed && hpa == closed;
}
const struct plat_info *plat_info(void)
{
    return &info;
}
void *plat_page(u64 hpa)
{
    return hpa >= RAM && hpa < RAM + RAM_BYTES ? (void *)hpa : NULL;
}
u64 cpu_rdtsc(void)
{
    return tsc;
}
u64 cpu_rdmsr(u32 msr)
{
    return msr == 0xc0000103 ? msr_tsc_aux : 0;
}
void cpu_wrmsr(u32 msr, u64 value)
{
    if (msr == 0xc0000103)
        msr_tsc_aux = value;
}
u64 cpu_dr(unsigned n)
{
    return dr[n];
}
void cpu_set_dr(unsigned n, u64 value)
{
    dr[n] = value;
}
void cpu_raw_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
    memset(out, 0xff, 16); /* every feature */
}
static struct quirks quirks;
const struct quirks *selftest_quirks(void)
{
    return &quirks;
}
void apic_eoi(struct cpu *of)
{
    eois++;
}
void svm_vmload(struct vmcb *vmcb) {}
void svm_vmsave(struct vmcb *vmcb) {}
void svm_take_nmi(void)
{
    nmis_taken++;
}
/* The local APIC has these, first to last; none behind them. */
static u32 waiting[4];
u32 svm_take_interrupt(bool *nmi)
{
    u32 vector = waiting[0];

    memmove(waiting, waiting + 1, sizeof(waiting) - sizeof(waiting[0]));
    *nmi = false;
    return vector;
}
void svm_run(struct vmcb *vmcb, u64 *gpr)
{
    fail();
}

/* --- the scripted CPU -------------------------------------------------------------------------------------------------- */

struct exit {
    u32 code;
    u64 info_1, info_2, int_info;
};
#define EXITS_MAX 16
static struct exit script[EXITS_MAX];
/* What the CPU does to these before each exit; a test sets it before it runs the script. */
static struct {
    u32 control_clear, control_set;
    u64 int_state;
} meanwhile[EXITS_MAX];
static struct vmcb at_run[EXITS_MAX]; /* what the VMCB held at each VMRUN */
static bool data_seen[EXITS_MAX];     /* DATA_GPA was in the TLB then */
static unsigned exits_left, exits_done;
static bool nested(const struct vmcb *b, u64 gpa, u64 *hpa);

void exits_follow_control_registers(const struct vmcb *vmcb) {}

void svm_run_interruptible(struct vmcb *vmcb, u64 *gpr)
{
    const struct exit *exit = &script[exits_done];
    u64 hpa;

    assert_true(exits_left > 0);
    data_seen[exits_done] = nested(vmcb, DATA_GPA, &hpa);
    at_run[exits_done++] = *vmcb;
    exits_left--;
    vmcb->exit_code = exit->code;
    vmcb->exit_info_1 = exit->info_1;
    vmcb->exit_info_2 = exit->info_2;
    vmcb->exit_int_info = exit->int_info;
    vmcb->int_control &= ~meanwhile[exits_done - 1].control_clear;
    vmcb->int_control |= meanwhile[exits_done - 1].control_set;
    vmcb->int_state = meanwhile[exits_done - 1].int_state;
}

#define EXIT_CPUID 0x72
#define EXIT_NPF   0x400
#define EXIT_UD    0x46
#define EXIT_IO    0x7b
#define EXIT_MSR   0x7c
#define EXIT_RDPMC 0x6f

/* Runs the TD through these exits; all of them must be used up by one td_run(). */
static inline void run(unsigned count, const struct exit *exits)
{
    for (unsigned i = 0; i < count; i++)
        script[i] = exits[i];
    exits_left = count;
    exits_done = 0;
    if (!waiting[0])
        waiting[0] = 0x41;
    td_begin(&cpu);
    td_run(&cpu);
    td_end(&cpu, v);
    assert_int_equal(exits_left, 0);
    memset(meanwhile, 0, sizeof(meanwhile));
}
#define RUN(...) run(sizeof((struct exit[]){__VA_ARGS__}) / sizeof(struct exit), (const struct exit[]){__VA_ARGS__})
#define CPUID_ENDS                                                                                                     \
    {                                                                                                                  \
        EXIT_CPUID, 0, 0, 0                                                                                            \
    }

/* --- the TD ------------------------------------------------------------------------------------------------------------ */

static u64 root, shared_root, code, data, bitmap, ve_page, vapic, tables;

static inline u64 new_page(void)
{
    tables += PAGE;
    memset((void *)(tables - PAGE), 0, PAGE);
    return tables - PAGE;
}

static inline u64 *ept_entry(u64 table, u64 gpa, unsigned level)
{
    for (unsigned l = 3; l > level; l--) {
        u64 *entry = (u64 *)table + (gpa >> (12 + 9 * l) & 511);
        if (!*entry)
            *entry = new_page() | 7;
        table = *entry & 0xffffffffff000;
    }
    return (u64 *)table + (gpa >> (12 + 9 * level) & 511);
}

static inline void map(u64 gpa, u64 hpa)
{
    *ept_entry(root, gpa, 0) = hpa | RWX_WB | NO_VE;
}

/* Protected mode without paging, as TDH.VP.INIT leaves it, at CODE_GPA. */
static inline void set_state(void)
{
    const struct seam_seg flat = {.access = 0xc093, .limit = ~0u};

    v->cs = (struct seam_seg){.access = 0xc09b, .limit = ~0u};
    v->es = v->ss = v->ds = v->fs = v->gs = flat;
    v->ldtr = (struct seam_seg){.access = 0x10082};
    v->tr = (struct seam_seg){.access = 0x8b, .limit = 0xffff};
    v->rip = CODE_GPA;
    v->rsp = DATA_GPA + 0x800;
    v->rflags = 2;
    v->cr0 = 0x21;
    v->cr4 = 0x2040;
    v->efer = 0x901;
    v->dr7 = 0x400;
    v->cr0_mask = 0x60000021;
    v->cr0_shadow = 0x21;
    v->cr4_mask = 0x2040;
    v->cr4_shadow = 0x40;
    v->exception_bitmap = 1 << 18;
    v->tsc_multiplier = 1ull << 48;
    v->gpaw = 48;
    v->rdpmc_exits = true;
    v->eptp = root | 0x1e;
    v->shared_eptp = shared_root;
    v->ve_info_hpa = ve_page;
    v->msr_bitmap_hpa = bitmap;
    v->vapic_hpa = vapic;
}

static inline int start(void **state)
{
    if (!next_page) {
        void *at = mmap((void *)RAM, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        assert_ptr_equal(at, (void *)RAM);
    }
    tables = RAM;
    next_page = RAM + (16ull << 20);
    poisoned = closed = tsc = msr_tsc_aux = nmis_taken = eois = 0;
    memset(&cpu, 0, sizeof(cpu));
    memset(waiting, 0, sizeof(waiting));
    cpu.vmm = &vmm_vmcb;
    td_init(&cpu);
    root = new_page();
    shared_root = new_page();
    code = new_page();
    data = new_page();
    bitmap = new_page();
    ve_page = new_page();
    vapic = new_page();
    cpu.lp.td = v = (struct td_vmcs *)new_page();
    memset((void *)bitmap, 0xff, PAGE);
    map(CODE_GPA, code);
    map(DATA_GPA, data);
    set_state();
    return 0;
}

static inline void instruction(unsigned count, const u8 *bytes)
{
    memset((void *)code, 0x90, PAGE);
    memcpy((void *)code, bytes, count);
}
#define INSN(...) instruction(sizeof((u8[]){__VA_ARGS__}), (const u8[]){__VA_ARGS__})

/* 64-bit mode with the first GiB identity mapped by one entry. */
static inline void long_mode(void)
{
    u64 pml4 = new_page(), pdpt = new_page();

    map(0x8000, pml4);
    map(0x9000, pdpt);
    *(u64 *)pml4 = 0x9007;
    *(u64 *)pdpt = 0x87;
    v->cr0 = 0x80000031;
    v->cr4 = 0x2060;
    v->cr3 = 0x8000;
    v->efer = 0xd01;
    v->cs.access = 0xa09b;
}

/* What the nested page table of this VMRUN says: an independent walk. */
static inline bool nested(const struct vmcb *b, u64 gpa, u64 *hpa)
{
    u64 table = b->nested_cr3;

    for (int l = 3; l >= 0; l--) {
        u64 entry = ((u64 *)table)[gpa >> (12 + 9 * l) & 511], mask = (PAGE << 9 * l) - 1;
        if (!(entry & 1))
            return false;
        if (l == 0 || entry & 0x80) {
            *hpa = (entry & 0xffffffffff000 & ~mask) | (gpa & mask);
            return true;
        }
        table = entry & 0xffffffffff000;
    }
    return false;
}

#endif
