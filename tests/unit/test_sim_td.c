/*
 * TD vCPUs on the simulated machine, with a scripted CPU in the place of VMRUN: each entry of the script is one #VMEXIT, and
 * the test sees what the VMCB held at each VMRUN and what the module would find in the VMCS. Numbers are typed from the SDM and
 * the APM. Memory is identity mapped at a fixed address, as in the machine.
 */
#define _GNU_SOURCE
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
static unsigned nmis_taken;
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
void svm_vmload(struct vmcb *vmcb) {}
void svm_vmsave(struct vmcb *vmcb) {}
void svm_take_nmi(void)
{
    nmis_taken++;
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
}

#define EXIT_CPUID 0x72
#define EXIT_NPF   0x400
#define EXIT_UD    0x46
#define EXIT_IO    0x7b
#define EXIT_MSR   0x7c

/* Runs the TD through these exits; all of them must be used up by one td_run(). */
static void run(unsigned count, const struct exit *exits)
{
    for (unsigned i = 0; i < count; i++)
        script[i] = exits[i];
    exits_left = count;
    exits_done = 0;
    td_begin(&cpu);
    td_run(&cpu);
    td_end(&cpu, v);
    assert_int_equal(exits_left, 0);
}
#define RUN(...) run(sizeof((struct exit[]){__VA_ARGS__}) / sizeof(struct exit), (const struct exit[]){__VA_ARGS__})
#define CPUID_ENDS                                                                                                     \
    {                                                                                                                  \
        EXIT_CPUID, 0, 0, 0                                                                                            \
    }

/* --- the TD ------------------------------------------------------------------------------------------------------------ */

static u64 root, shared_root, code, data, bitmap, ve_page, tables;

static u64 new_page(void)
{
    tables += PAGE;
    memset((void *)(tables - PAGE), 0, PAGE);
    return tables - PAGE;
}

static u64 *ept_entry(u64 table, u64 gpa, unsigned level)
{
    for (unsigned l = 3; l > level; l--) {
        u64 *entry = (u64 *)table + (gpa >> (12 + 9 * l) & 511);
        if (!*entry)
            *entry = new_page() | 7;
        table = *entry & 0xffffffffff000;
    }
    return (u64 *)table + (gpa >> (12 + 9 * level) & 511);
}

static void map(u64 gpa, u64 hpa)
{
    *ept_entry(root, gpa, 0) = hpa | RWX_WB | NO_VE;
}

/* Protected mode without paging, as TDH.VP.INIT leaves it, at CODE_GPA. */
static void set_state(void)
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
    v->eptp = root | 0x1e;
    v->shared_eptp = shared_root;
    v->ve_info_hpa = ve_page;
    v->msr_bitmap_hpa = bitmap;
}

static int start(void **state)
{
    if (!next_page) {
        void *at = mmap((void *)RAM, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        assert_ptr_equal(at, (void *)RAM);
    }
    tables = RAM;
    next_page = RAM + (16ull << 20);
    poisoned = closed = tsc = msr_tsc_aux = nmis_taken = 0;
    memset(&cpu, 0, sizeof(cpu));
    cpu.vmm = &vmm_vmcb;
    td_init(&cpu);
    root = new_page();
    shared_root = new_page();
    code = new_page();
    data = new_page();
    bitmap = new_page();
    ve_page = new_page();
    cpu.lp.td = v = (struct td_vmcs *)new_page();
    memset((void *)bitmap, 0xff, PAGE);
    map(CODE_GPA, code);
    map(DATA_GPA, data);
    set_state();
    return 0;
}

static void instruction(unsigned count, const u8 *bytes)
{
    memset((void *)code, 0x90, PAGE);
    memcpy((void *)code, bytes, count);
}
#define INSN(...) instruction(sizeof((u8[]){__VA_ARGS__}), (const u8[]){__VA_ARGS__})

/* 64-bit mode with the first GiB identity mapped by one entry. */
static void long_mode(void)
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
static bool nested(const struct vmcb *b, u64 gpa, u64 *hpa)
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

/* --- tests ------------------------------------------------------------------------------------------------------------- */

static void state_goes_there_and_back(void **state)
{
    INSN(0x0f, 0xa2);
    v->gpr[RAX] = 0x1111;
    v->gpr[R15] = 0xffff;
    v->cr8 = 5;
    v->lstar = 0x1234;
    v->fs.base = 0x777;
    v->tsc_aux = 9;
    v->dr[2] = 0xd2;
    v->idtr_base = 0x4000;
    v->idtr_limit = 0xfff;
    RUN(CPUID_ENDS);
    assert_int_equal(v->exit_reason, 10);
    assert_int_equal(v->exit_instr_len, 2);
    assert_int_equal(v->gpr[RAX], 0x1111);
    assert_int_equal(v->gpr[R15], 0xffff);
    assert_int_equal(v->rip, CODE_GPA);
    assert_int_equal(v->rsp, DATA_GPA + 0x800);
    assert_int_equal(v->cr0, 0x21);
    assert_int_equal(v->cr4, 0x2040);
    assert_int_equal(v->efer, 0x901);
    assert_int_equal(v->cr8, 5);
    assert_int_equal(v->lstar, 0x1234);
    assert_int_equal(v->tsc_aux, 9);
    assert_int_equal(v->dr[2], 0xd2);
    assert_int_equal(v->idtr_base, 0x4000);
    assert_int_equal(v->idtr_limit, 0xfff);
    assert_int_equal(v->fs.base, 0x777);
    assert_int_equal(v->fs.access, 0xc093);
    assert_int_equal(v->cs.access, 0xc09b);
    assert_int_equal(v->ldtr.access & 0x10082, 0x10002); /* not usable */
    assert_int_equal(v->tr.access, 0x8b);
    assert_int_equal(at_run[0].rip, CODE_GPA);
    assert_int_equal(at_run[0].rax, 0x1111);
    assert_int_equal(at_run[0].efer, 0x1901); /* SVME */
    assert_int_equal(at_run[0].cr4, 0x60);    /* without VMXE, with PAE while paging is off */
    assert_int_equal(at_run[0].int_control, 1 << 24 | 5);
    assert_int_equal(at_run[0].cs.attributes, 0xc9b);
    assert_int_equal(at_run[0].ldtr.attributes & 0x80, 0); /* not usable */
}

static void miss_fills_and_translations_go_stale(void **state)
{
    struct td_tlb_stats stats;
    u64 hpa, other = new_page();

    INSN(0x0f, 0xa2);
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA + 0x18, 0}, CPUID_ENDS);
    assert_false(data_seen[0]);
    assert_true(nested(&at_run[1], DATA_GPA + 8, &hpa));
    assert_int_equal(hpa, data + 8);
    assert_int_equal(at_run[0].tlb_control, 1); /* other tables than before */
    assert_int_equal(at_run[1].tlb_control, 0); /* one translation more */
    map(DATA_GPA, other);                       /* the module changes the Secure EPT and forgets INVEPT */
    RUN(CPUID_ENDS);
    assert_true(nested(&at_run[0], DATA_GPA, &hpa));
    assert_int_equal(hpa, data);
    td_tlb_invept(&cpu, root + PAGE); /* another TD's */
    RUN(CPUID_ENDS);
    assert_true(nested(&at_run[0], DATA_GPA, &hpa));
    td_tlb_invept(&cpu, root | 33ull << 42);
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA, 0}, CPUID_ENDS);
    assert_false(data_seen[0]);
    assert_int_equal(at_run[0].tlb_control, 1);
    assert_true(nested(&at_run[1], DATA_GPA, &hpa));
    assert_int_equal(hpa, other);
    td_tlb_stats(&cpu, &stats);
    assert_int_equal(stats.misses[0], 2);
    assert_int_equal(stats.walk_steps[0], 8);
}

static void each_vcpu_has_its_own_translations(void **state)
{
    struct td_vmcs *first = v;
    u64 hpa;

    INSN(0x0f, 0xa2);
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA, 0}, CPUID_ENDS);
    for (unsigned i = 0; i < 7; i++) {
        cpu.lp.td = v = (struct td_vmcs *)new_page();
        set_state();
        RUN(CPUID_ENDS);
        assert_false(data_seen[0]);
    }
    cpu.lp.td = v = first;
    RUN(CPUID_ENDS);
    assert_true(nested(&at_run[0], DATA_GPA, &hpa));
}

static void violation_exits(void **state)
{
    INSN(0x8b, 0x05, 0x28, 0x70, 0, 0); /* mov eax, [7028h] */
    *ept_entry(root, 0x7000, 0) = NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7028, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification, 1 | 1 << 7 | 1 << 8);
    assert_int_equal(v->guest_physical, 0x7028);
    assert_int_equal(v->guest_linear, 0x7028);
    assert_int_equal(v->rip, CODE_GPA);
    INSN(0x89, 0x05, 0x28, 0x70, 0, 0); /* the other way round, read-only page */
    *ept_entry(root, 0x7000, 0) = data | 0x31 | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 7, 0x7028, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification, 2 | 1 << 3 | 1 << 7 | 1 << 8);
    INSN(0xff, 0xe0); /* jmp eax: the fetch faults at its target */
    *ept_entry(root, 0x7000, 0) = data | 0x33 | NO_VE;
    v->rip = 0x7000;
    RUN({EXIT_NPF, 1ull << 32 | 0x15, 0x7000, 0});
    assert_int_equal(v->qualification, 4 | 3 << 3 | 1 << 7 | 1 << 8);
    assert_int_equal(v->guest_linear, 0x7000);
}

static void violation_drops_the_stale_translation(void **state)
{
    u64 hpa;

    INSN(0x0f, 0xa2);
    *ept_entry(root, 0x7000, 0) = data | 0x31 | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x7000, &hpa));
    *ept_entry(root, 0x7000, 0) = data | 0x30 | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 7, 0x7000, 0}); /* a write, which the stale entry forbids too */
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification & 0x3f, 2);
    assert_false(nested(&at_run[0], 0x7000, &hpa));
    *ept_entry(root, 0x7000, 0) = data | RWX_WB | NO_VE; /* upgraded: no exit, nor any INVEPT */
    RUN({EXIT_NPF, 1ull << 32 | 7, 0x7000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x7000, &hpa));
}

static void violation_in_the_guests_page_tables(void **state)
{
    INSN(0x8b, 0x04, 0x25, 0x28, 0, 0, 0x40); /* mov eax, [40000028h] */
    long_mode();
    *(u64 *)plat_page(*ept_entry(root, 0x9000, 0) & 0xffffffffff000 & ~7ull) = 0x87;
    ((u64 *)(*ept_entry(root, 0x9000, 0) & 0xffffffffff000))[1] = 0x7007; /* directory at 7000h, which is absent */
    *ept_entry(root, 0x7000, 0) = NO_VE;
    RUN({EXIT_NPF, 1ull << 33 | 6, 0x7000, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification, 1 | 1 << 7); /* a read, linear address valid, not the final access */
    assert_int_equal(v->guest_linear, 0x40000028);
    *ept_entry(root, 0x7000, 0) = data | 0x31 | NO_VE; /* readable: the accessed flag cannot be set */
    RUN({EXIT_NPF, 1ull << 33 | 7, 0x7000, 0});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->qualification, 3 | 1 << 3 | 1 << 7);
}

static void convertible_violation_is_delivered(void **state)
{
    const u64 *ve = (u64 *)ve_page;

    INSN(0x8b, 0x05, 0x28, 0x70, 0, 0);
    *ept_entry(root, 0x7000, 0) = 0;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7028, 0}, CPUID_ENDS);
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 3 << 8 | 20);
    assert_int_equal(ve[0], 0xffffffff00000030);
    assert_int_equal(ve[1], 0x181);
    assert_int_equal(ve[2], 0x7028);
    assert_int_equal(ve[3], 0x7028);
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7028, 0}); /* the information was not fetched */
    assert_int_equal(v->exit_reason, 48);
    *(u64 *)ve_page = 0;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x7028, 1u << 31 | 3 << 8 | 14}); /* not during event delivery */
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 1 << 11 | 3 << 8 | 14);
}

static void misconfiguration_exits(void **state)
{
    INSN(0x90);
    *ept_entry(shared_root, SHARED | 0x7000, 0) = 40ull << 42 | data | 0x33;
    RUN({EXIT_NPF, 1ull << 32 | 4, SHARED | 0x7010, 0});
    assert_int_equal(v->exit_reason, 49);
    assert_int_equal(v->guest_physical, SHARED | 0x7010);
}

static void shared_memory(void **state)
{
    u64 hpa;

    INSN(0x0f, 0xa2);
    *ept_entry(shared_root, SHARED | 0x7000, 0) = 3ull << 42 | data | 0x33;
    RUN({EXIT_NPF, 1ull << 32 | 6, SHARED | 0x7010, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], SHARED | 0x7010, &hpa));
    assert_int_equal(hpa, data + 0x10);
    td_tlb_invept(&cpu, TD_INVEPT_ALL);
    closed = data; /* another TD's page, say: its content does not show */
    RUN({EXIT_NPF, 1ull << 32 | 6, SHARED | 0x7010, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], SHARED | 0x7010, &hpa));
    assert_int_not_equal(hpa & ~0xfffull, data);
    RUN({EXIT_NPF, 1ull << 32 | 0x14, SHARED | 0x7010, 0}, CPUID_ENDS); /* no code there: #PF, reserved bit, fetch */
    assert_int_equal(at_run[1].event_injection, 0x19ull << 32 | 1u << 31 | 1 << 11 | 3 << 8 | 14);
}

static void spoilt_page_is_a_machine_check(void **state)
{
    INSN(0x90);
    poisoned = data;
    RUN({EXIT_NPF, 1ull << 32 | 4, DATA_GPA, 0});
    assert_int_equal(v->exit_reason, 0);
    assert_int_equal(v->exit_intr_info, 1u << 31 | 3 << 8 | 18);
}

static void large_page_around_a_spoilt_one(void **state)
{
    u64 hpa, large = RAM + (32ull << 20);

    INSN(0x0f, 0xa2);
    *ept_entry(root, 0x40000000, 1) = large | 0x80 | RWX_WB | NO_VE;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x40000000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x401fffff, &hpa));
    assert_int_equal(hpa, large + 0x1fffff);
    td_tlb_invept(&cpu, TD_INVEPT_ALL);
    poisoned = large + 0x5000;
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x40000000, 0}, CPUID_ENDS);
    assert_true(nested(&at_run[1], 0x40000fff, &hpa));
    assert_false(nested(&at_run[1], 0x40001000, &hpa));
    RUN({EXIT_NPF, 1ull << 32 | 4, 0x40005008, 0});
    assert_int_equal(v->exit_intr_info & 0xff, 18);
}

static void cut_event_is_delivered_again(void **state)
{
    u64 gp = 0x123ull << 32 | 1u << 31 | 1 << 11 | 3 << 8 | 13;

    INSN(0x0f, 0xa2);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, gp}, CPUID_ENDS); /* a TLB miss */
    assert_int_equal(at_run[1].event_injection, gp);
    *ept_entry(root, DATA_GPA, 0) = NO_VE;
    td_tlb_invept(&cpu, TD_INVEPT_ALL);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, gp});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    assert_int_equal(v->idt_vectoring_error, 0x123);
}

static void cut_software_events(void **state)
{
    u64 soft = 1u << 31 | 4 << 8;

    *ept_entry(root, DATA_GPA, 0) = NO_VE;
    INSN(0xcd, 0x61);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, soft | 0x61});
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 4 << 8 | 0x61);
    assert_int_equal(v->exit_instr_len, 2);
    assert_int_equal(v->rip, CODE_GPA);
    INSN(0xcc);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, soft | 3});
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 6 << 8 | 3);
    assert_int_equal(v->exit_instr_len, 1);
    v->entry_intr_info = v->idt_vectoring_info; /* the module gives it back */
    v->entry_instr_len = v->exit_instr_len;
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, 1u << 31 | 3 << 8 | 3});
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 3 << 8 | 3);
    assert_int_equal(at_run[0].rip, CODE_GPA + 1);
    assert_int_equal(v->rip, CODE_GPA);
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 6 << 8 | 3);
    map(DATA_GPA, data);
    INSN(0xcd, 0x61); /* a miss while the TD's own INT is delivered: executed again, not injected */
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, soft | 0x61}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 0);
    assert_int_equal(at_run[1].rip, CODE_GPA);
}

static void injection(void **state)
{
    INSN(0x90);
    v->entry_intr_info = 1u << 31 | 0x50;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 0x50);
    assert_int_equal(v->entry_intr_info, 0);
    v->entry_intr_info = 1u << 31 | 1 << 11 | 3 << 8 | 14;
    v->entry_error_code = 5;
    v->cr2 = 0xcafe;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 5ull << 32 | 1u << 31 | 1 << 11 | 3 << 8 | 14);
    assert_int_equal(at_run[0].cr2, 0xcafe);
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 0);
    v->pending_dbg = 1 << 14;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 3 << 8 | 1);
    assert_int_equal(at_run[0].dr6 >> 14 & 1, 1);
    assert_int_equal(v->pending_dbg, 0);
}

static void exits_with_nothing_but_a_reason(void **state)
{
    static const struct {
        u32 code, reason;
        u8 bytes[3];
        unsigned length;
    } table[] = {
        {0x72, 10, {0x0f, 0xa2}, 2},       {0x78, 12, {0xf4}, 1},
        {0x76, 13, {0x0f, 0x08}, 2},       {0x6f, 15, {0x0f, 0x33}, 2},
        {0x89, 54, {0x0f, 0x09}, 2},       {0x89, 54, {0xf3, 0x0f, 0x09}, 3},
        {0x8a, 39, {0x0f, 0x01, 0xc8}, 3}, {0x8b, 36, {0x0f, 0x01, 0xc9}, 3},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        instruction(3, table[i].bytes);
        RUN({table[i].code, 0, 0, 0});
        assert_int_equal(v->exit_reason, table[i].reason);
        assert_int_equal(v->exit_instr_len, table[i].length);
    }
    RUN({0x60, 0, 0, 0});
    assert_int_equal(v->exit_reason, 1);
    RUN({0x61, 0, 0, 0});
    assert_int_equal(v->exit_reason, 0);
    assert_int_equal(v->exit_intr_info, 1u << 31 | 2 << 8 | 2);
    assert_int_equal(nmis_taken, 1);
    RUN({0x63, 0, 0, 0});
    assert_int_equal(v->exit_reason, 3);
    RUN({0x7f, 0, 0, 1u << 31 | 3 << 8 | 8});
    assert_int_equal(v->exit_reason, 2);
    assert_int_equal(v->idt_vectoring_info, 0);
}

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

static void bad_guest_state_fails_the_entry(void **state)
{
    long_mode();
    v->cr4 = 0x2040;
    run(0, NULL);
    assert_int_equal(v->exit_reason, 1u << 31 | 33);
    v->cr4 = 0x2060;
    v->cr3 = 1ull << 50;
    run(0, NULL);
    assert_int_equal(v->exit_reason, 1u << 31 | 33);
}

static void monitor_trap(void **state)
{
    INSN(0x90);
    v->monitor_trap = true;
    RUN({0x41, 0, 0, 0});
    assert_int_equal(v->exit_reason, 37);
    assert_int_equal(at_run[0].rflags, 0x102);
    assert_int_equal(at_run[0].intercept_exceptions >> 1 & 1, 1);
    assert_int_equal(v->rflags, 2);
    INSN(0x0f, 0x22, 0xe1); /* an instruction that is emulated is one step too */
    v->gpr[RCX] = 0x40;
    RUN({0x14, 0, 0, 0});
    assert_int_equal(v->exit_reason, 37);
    assert_int_equal(v->rip, CODE_GPA + 3);
    RUN({0x60, 0, 0, 0}); /* an interrupt comes first */
    assert_int_equal(v->exit_reason, 1);
    assert_int_equal(v->rflags, 2);
}

static void nmi_window(void **state)
{
    INSN(0xcf);
    v->nmi_window = true;
    run(0, NULL);
    assert_int_equal(v->exit_reason, 8);
    v->entry_intr_info = 1u << 31 | 2 << 8 | 2;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 2 << 8 | 2);
    assert_int_equal(at_run[0].intercept_1 >> 20 & 1, 1); /* its IRET may come before the next exit */
    assert_int_equal(v->interruptibility, 8);
    RUN({0x74, 0, 0, 0}, {0x41, 0, 0, 0}); /* IRET, and the trap behind it */
    assert_int_equal(at_run[0].intercept_1 >> 20 & 1, 1);
    assert_int_equal(at_run[1].intercept_1 >> 20 & 1, 0);
    assert_int_equal(v->exit_reason, 8);
    assert_int_equal(v->interruptibility, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(state_goes_there_and_back, start),
        cmocka_unit_test_setup(miss_fills_and_translations_go_stale, start),
        cmocka_unit_test_setup(each_vcpu_has_its_own_translations, start),
        cmocka_unit_test_setup(violation_exits, start),
        cmocka_unit_test_setup(violation_drops_the_stale_translation, start),
        cmocka_unit_test_setup(violation_in_the_guests_page_tables, start),
        cmocka_unit_test_setup(convertible_violation_is_delivered, start),
        cmocka_unit_test_setup(misconfiguration_exits, start),
        cmocka_unit_test_setup(shared_memory, start),
        cmocka_unit_test_setup(spoilt_page_is_a_machine_check, start),
        cmocka_unit_test_setup(large_page_around_a_spoilt_one, start),
        cmocka_unit_test_setup(cut_event_is_delivered_again, start),
        cmocka_unit_test_setup(cut_software_events, start),
        cmocka_unit_test_setup(injection, start),
        cmocka_unit_test_setup(exits_with_nothing_but_a_reason, start),
        cmocka_unit_test_setup(undefined_opcodes, start),
        cmocka_unit_test_setup(emulated_instructions, start),
        cmocka_unit_test_setup(port_io, start),
        cmocka_unit_test_setup(msrs, start),
        cmocka_unit_test_setup(cr0, start),
        cmocka_unit_test_setup(cr4, start),
        cmocka_unit_test_setup(bad_guest_state_fails_the_entry, start),
        cmocka_unit_test_setup(monitor_trap, start),
        cmocka_unit_test_setup(nmi_window, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
