/*
 * The start's self-test. Older QEMUs enumerate SVM and nested paging and yet ignore nested paging while the guest's paging is
 * off, which is how a TD starts. The test guest is built so that this shows as a wrong answer and not as a crash: the physical
 * page at the guest's address holds code too.
 */
#include "sim/machine/selftest.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/pool.h"

#define MSR_VM_CR      0xc0010114
#define VM_CR_DISABLED (1ull << 4)
#define TABLE          (NPT_PRESENT | NPT_WRITE | NPT_USER)
#define ASID           2
#define CR0_PE_ET      0x11
#define CR4_PAE        0x20
#define RIGHT          0x600d600d
#define WRONG          0xbadbad

#define QEMU_NEEDED "Debian 12's QEMU 7.2.20 or later of that series, or QEMU 10, is needed"

const char *selftest_features(void)
{
    u32 r[4];
    cpu_raw_cpuid(0x80000000, 0, r);
    u32 max = r[0];
    cpu_raw_cpuid(0x80000001, 0, r);
    if (max < 0x8000000a || !(r[2] & 4))
        return "this CPU has no SVM; under QEMU use -accel tcg -cpu max,phys-bits=48, or KVM on an AMD machine with "
               "nested SVM";
    if (!(r[3] >> 26 & 1))
        return "this CPU has no 1G pages; under QEMU use -cpu max,phys-bits=48";
    cpu_raw_cpuid(0x80000008, 0, r);
    if ((r[0] & 0xff) < 48)
        return "this CPU has fewer than 48 physical address bits; under QEMU use -cpu max,phys-bits=48";
    cpu_raw_cpuid(0x8000000a, 0, r);
    if (!(r[3] & 1))
        return "this CPU has SVM but no nested paging; " QEMU_NEEDED;
    if (cpu_rdmsr(MSR_VM_CR) & VM_CR_DISABLED)
        return "SVM is switched off in this machine's firmware settings";
    return NULL;
}

/* mov eax, [data]; mov [data + 4], eax; vmmcall -- or, where the wrong page is run: mov eax, WRONG; vmmcall */
static void write_code(u8 *right, u8 *wrong, u32 data)
{
    static const u8 load_store[] = {0xa1, 0, 0, 0, 0, 0xa3, 0, 0, 0, 0, 0x0f, 0x01, 0xd9};
    static const u8 bad[] = {0xb8, WRONG & 0xff, WRONG >> 8 & 0xff, WRONG >> 16, 0, 0x0f, 0x01, 0xd9};
    for (unsigned i = 0; i < sizeof(load_store); i++)
        right[i] = load_store[i];
    for (unsigned i = 0; i < sizeof(bad); i++)
        wrong[i] = bad[i];
    for (unsigned i = 0; i < 4; i++) {
        right[1 + i] = (u8)(data >> 8 * i);
        right[6 + i] = (u8)((data + 4) >> 8 * i);
    }
}

static struct quirks quirks; /* constant after start */

const struct quirks *selftest_quirks(void)
{
    return &quirks;
}

static u64 *entry_of(u64 *root, u64 gpa)
{
    u64 *table = root;
    for (int level = 3; level > 0; level--) {
        u64 *entry = &table[gpa >> (12 + 9 * level) & 511];
        if (!*entry)
            *entry = (u64)pool_take(1) | TABLE;
        table = (u64 *)(*entry & NPT_ADDR);
    }
    return &table[gpa >> 12 & 511];
}

/* 32-bit protected mode, flat, paging off. */
static void prepare(struct vmcb *v, u64 *root, u64 rip)
{
    struct vmcb_seg flat = {.selector = 16, .attributes = 0xc93, .limit = ~0u};
    v->es = v->ss = v->ds = v->fs = v->gs = flat;
    v->cs = (struct vmcb_seg){.selector = 8, .attributes = 0xc9b, .limit = ~0u};
    v->tr = (struct vmcb_seg){.attributes = 0x8b, .limit = 0x67};
    v->ldtr = (struct vmcb_seg){.attributes = 0x82};
    v->cr0 = CR0_PE_ET;
    v->cr4 = CR4_PAE;
    v->efer = EFER_SVME;
    v->rflags = 2;
    v->dr6 = 0xffff0ff0;
    v->dr7 = 0x400;
    v->g_pat = 0x0007040600070406ull;
    v->rip = rip;
    v->asid = ASID;
    v->tlb_control = 1;
    v->nested_control = VMCB_NESTED_PAGING;
    v->nested_cr3 = (u64)root;
    v->intercept_exceptions = ~0u;
    v->intercept_1 = SVM_INTERCEPT_HLT | SVM_INTERCEPT_SHUTDOWN;
    v->intercept_2 = SVM_INTERCEPT_VMRUN | SVM_INTERCEPT_VMMCALL;
}

/* The pages of the test guest: what it should run, and what it runs where nested paging is ignored. */
struct bench {
    struct vmcb *vmcb;
    u64 *root;
    u8 *code, *wrong_code;
    u32 *data, *wrong_data;
};

static enum vmcb_exit run_bytes(struct bench *b, const u8 *code, unsigned bytes)
{
    u64 gpr[SEAM_GPRS] = {0};
    for (unsigned i = 0; i < bytes; i++)
        b->code[i] = code[i];
    b->vmcb->rip = (u64)b->wrong_code;
    b->vmcb->tlb_control = 1;
    svm_run(b->vmcb, gpr);
    return vmcb_exit(b->vmcb);
}

static void find_quirks(struct bench *b)
{
    static const u8 read_cr4[] = {0x0f, 0x20, 0xe0, 0x0f, 0x01, 0xd9};    /* mov eax, cr4; vmmcall */
    static const u8 vmxon[] = {0xf3, 0x0f, 0xc7, 0x31, 0x0f, 0x01, 0xd9}; /* vmxon [ecx]; vmmcall */
    b->vmcb->intercept_cr_read = VMCB_CR(4);
    quirks.cr_reads_are_cr0s = run_bytes(b, read_cr4, sizeof(read_cr4)) != VMEXIT_READ_CR0 + 4;
    b->vmcb->intercept_cr_read = 0;
    quirks.vmxon_is_nothing = run_bytes(b, vmxon, sizeof(vmxon)) != VMEXIT_EXCP_UD;
}

static const char *test(struct bench *b)
{
    u64 gpr[SEAM_GPRS] = {0};
    struct vmcb *v = b->vmcb;
    b->data[0] = RIGHT;
    svm_run(v, gpr);
    if (vmcb_exit(v) == VMEXIT_INVALID)
        return "VMRUN refuses a valid guest; " QEMU_NEEDED;
    if (vmcb_exit(v) == VMEXIT_VMMCALL && (u32)v->rax == WRONG)
        return "nested paging does not work while the guest's paging is off; " QEMU_NEEDED;
    if (vmcb_exit(v) != VMEXIT_VMMCALL || (u32)v->rax != RIGHT || b->data[1] != RIGHT)
        return "a test guest did not run as it should; " QEMU_NEEDED;

    *entry_of(b->root, (u64)b->wrong_data) = 0;
    v->rip = (u64)b->wrong_code;
    svm_run(v, gpr);
    if (vmcb_exit(v) != VMEXIT_NPF || v->exit_info_2 != (u64)b->wrong_data)
        return "a nested page fault does not report its address; " QEMU_NEEDED;
    *entry_of(b->root, (u64)b->wrong_data) = (u64)b->data | TABLE;
    return NULL;
}

const char *selftest_run(void)
{
    struct bench b = {pool_take(1), pool_take(1), pool_take(1), pool_take(1), pool_take(1), pool_take(1)};
    write_code(b.code, b.wrong_code, (u32)(u64)b.wrong_data);
    *entry_of(b.root, (u64)b.wrong_code) = (u64)b.code | TABLE;
    *entry_of(b.root, (u64)b.wrong_data) = (u64)b.data | TABLE;
    prepare(b.vmcb, b.root, (u64)b.wrong_code);
    const char *wrong = test(&b);
    if (!wrong)
        find_quirks(&b);
    return wrong;
}
