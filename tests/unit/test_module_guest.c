/*
 * The module model's TD side where no record shows it: what the public module source says about exits, TDCALLs of L2 VMs
 * and service TDs, lists of metadata and fields that were never set. Constants are typed from the ABI specification.
 */
#include <stddef.h>
#include <stdint.h>
#include <tomcrypt.h>

#include "tests/unit/module_world.h"

enum { W_VP_RD = 26, W_VP_WR = 43 };
enum { G_RTMR_EXTEND = 2, G_VM_RD = 7, G_SYS_RDALL = 12, G_SERVTD_RD = 18, G_SERVTD_WR = 20, G_VP_ENTER = 25 };
enum { EXIT_INTERRUPT = 1, EXIT_INVLPG = 14, EXIT_RDMSR = 31, EXIT_EPT = 48, EXIT_TDCALL = 77 };

#define OPERAND_INVALID      0xc000010000000000ull
#define FIELD_ID_INCORRECT   0xc0000c0000000000ull
#define VALUE_NOT_VALID      0xc0000c0300000000ull
#define CROSS_TD_TRAP        0x9000000900000000ull
#define SERVTD_NOT_BOUND     0xc0000d0500000000ull
#define TARGET_UUID_MISMATCH 0xc0000d0700000000ull
#define TARGET_UUID_UPDATED  0xc0000d0800000000ull
#define METADATA_INCORRECT   0xc000030000000000ull
#define NON_RECOVERABLE_TD   0x6000000200000000ull
#define HINT                 (1ull << 60)
#define OPERAND_TDR          0x80ull
#define BUS_LOCK             (1u << 26)
#define ENCLAVE              (1u << 27)
#define ALL                  (~0ull)
#define MD_UUID              0x8010000300000020ull
#define MD_PI_DESCRIPTOR     0x0024000300002016ull
#define MD_PI_VECTOR         0x0024000100000002ull
#define MD_PINBASED          0x0024000200004000ull
#define MD_STATE_DETAILS     0x9120000300000100ull
#define MD_RTMR_1            0x1310000300000046ull
#define MD_FEATURES0         0x0a00000300000008ull

static struct seam_lp *const lp = &platform_host_lps[0];

static void enter(u64 flags)
{
    lp->vmm[RAX] = W_VP_ENTER;
    lp->vmm[RCX] = W_TDVPR | flags;
    if (module_seamcall(lp) != SEAM_TO_TD)
        fail_msg("TDH.VP.ENTER with flags %llx: %llx", (unsigned long long)flags, (unsigned long long)lp->vmm[RAX]);
}

static enum seam_next leave(u32 reason, u64 qualification)
{
    lp->td->exit_reason = reason;
    lp->td->qualification = qualification;
    lp->td->exit_instr_len = 4;
    lp->td->idt_vectoring_info = 0;
    lp->td->rip += 200;
    lp->td->cs.access = 0xa09b;
    lp->td->efer = 0x500;
    return module_td_exit(lp);
}

static u64 tdcall(u64 leaf, u64 rcx, u64 rdx, u64 r8)
{
    struct td_vmcs *td = lp->td;
    td->gpr[RAX] = leaf;
    td->gpr[RCX] = rcx;
    td->gpr[RDX] = rdx;
    td->gpr[R8] = r8;
    return leave(EXIT_TDCALL, 0) == SEAM_TO_TD ? td->gpr[RAX] : ALL;
}

static int start(void **state)
{
    (void)state;
    w_system();
    w_td();
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
    return 0;
}

static void vm_of_l2_after_its_registers(void **state)
{
    (void)state;
    enter(0);
    assert_int_equal(tdcall(G_VP_ENTER, 0, 0x1080, 0), OPERAND_INVALID | RDX);
    assert_int_equal(tdcall(G_VP_ENTER, 0, 0x1000 | 1ull << 47, 0), OPERAND_INVALID | RDX);
    assert_int_equal(tdcall(G_VP_ENTER, 1ull << 52, 0x1000, 0), OPERAND_INVALID | RCX);
}

/* The TD's own UUID, and a binding handle of a TDR page and slot for it. */
static u64 read_uuid(u64 uuid[4])
{
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(tdcall(G_VM_RD, 0, MD_UUID + i, 0), 0);
        uuid[i] = lp->td->gpr[R8];
    }
    return uuid[0];
}

static void name_target(const u64 uuid[4], u64 change)
{
    for (unsigned i = 0; i < 4; i++)
        lp->td->gpr[R10 + i] = uuid[i] ^ change;
}

static void unbound_service_td_leaves(void **state)
{
    (void)state;
    u64 uuid[4];
    enter(0);
    struct td_vmcs *td = lp->td;
    u64 base = read_uuid(uuid);
    assert_int_equal(tdcall(G_SERVTD_RD, base + (W_TDR | 1), MD_UUID, 7), OPERAND_INVALID | RCX);
    assert_int_equal(td->gpr[RDX], ALL);
    assert_int_equal(td->gpr[R8], 0);
    name_target(uuid, 1);
    assert_int_equal(tdcall(G_SERVTD_WR, base + W_TDR, MD_UUID, 7), TARGET_UUID_MISMATCH);
    assert_int_equal(td->gpr[R8], 0);
    name_target((u64[4]){0}, 0);
    assert_int_equal(tdcall(G_SERVTD_RD, base + W_TDR, MD_UUID, 0), TARGET_UUID_UPDATED);
    assert_memory_equal(&td->gpr[R10], uuid, sizeof(uuid));
    u64 rip = td->rip;
    assert_int_equal(tdcall(G_SERVTD_RD, base + W_TDR, MD_UUID, 0), ALL);
    assert_int_equal(lp->vmm[RAX], CROSS_TD_TRAP);
    assert_int_equal(lp->vmm[RDX], SERVTD_NOT_BOUND);
    assert_int_equal(lp->vmm[R8], W_TDR);
    assert_int_equal(td->rip, rip + 204);
    enter(1ull << 52); /* host recoverability hint */
    assert_int_equal(td->gpr[RAX], SERVTD_NOT_BOUND | HINT);
    assert_int_equal(tdcall(G_SERVTD_WR, base + W_TDR + 0x1000, MD_UUID, 0), ALL);
    assert_int_equal(lp->vmm[RDX], METADATA_INCORRECT | OPERAND_TDR);
    enter(0);
    assert_int_equal(td->gpr[RAX], METADATA_INCORRECT | OPERAND_TDR);
}

static void list_takes_any_form_of_id(void **state)
{
    (void)state;
    w_ok(W_SEPT_ADD, 2, W_TDR, w_pool(), 0);
    w_ok(W_SEPT_ADD, 1, W_TDR, w_pool(), 0);
    w_ok(W_AUG, 0, W_TDR, W_PAGES, 0);
    enter(0);
    struct td_vmcs *td = lp->td;
    assert_int_equal(tdcall(G_SYS_RDALL, 0, 0x10, 5), OPERAND_INVALID | RDX);
    assert_int_equal(td->gpr[R8], ALL);
    assert_int_equal(tdcall(6, 0, 0, 0), 0); /* TDG.MEM.PAGE.ACCEPT */
    assert_int_equal(tdcall(G_SYS_RDALL, 0, 0, MD_FEATURES0 | 1ull << 38), 0);
    assert_int_equal(*w_memory(W_PAGES + 8), MD_FEATURES0);
    assert_int_equal(tdcall(G_SYS_RDALL, 0, 0, MD_FEATURES0 & ~(1ull << 32)), FIELD_ID_INCORRECT);
}

static void exits_keep_the_reason(void **state)
{
    (void)state;
    enter(0);
    lp->td->gpr[RCX] = 0x17; /* an MSR that the TD has not */
    assert_int_equal(leave(EXIT_RDMSR | BUS_LOCK, 0), SEAM_TO_VMM);
    assert_int_equal(lp->vmm[RAX], 74 | BUS_LOCK);
    enter(0);
    assert_int_equal(tdcall(3, 0, 0, 0), 0); /* TDG.VP.VEINFO.GET */
    assert_int_equal(lp->td->gpr[RCX], EXIT_RDMSR | BUS_LOCK);
    lp->td->guest_physical = 0x5000;
    assert_int_equal(leave(EXIT_EPT | ENCLAVE, 0x1182), SEAM_TO_VMM);
    assert_int_equal(lp->vmm[RAX], EXIT_EPT | ENCLAVE);
    assert_int_equal(lp->vmm[RCX], 2);
    enter(0);
    assert_int_equal(leave(EXIT_INVLPG, 0xffff800312345000), SEAM_TO_VMM);
    assert_int_equal(lp->vmm[RAX], NON_RECOVERABLE_TD | EXIT_INVLPG);
    assert_int_equal(lp->vmm[RCX], 0xffff800012345000);
}

/* An address never set reads as all-ones; its low bits, which nobody can write, count as zero for the first write. */
static void first_write_of_an_address(void **state)
{
    (void)state;
    assert_int_equal(w_call(W_VP_WR, W_TDVPR, MD_PI_DESCRIPTOR, 0x4000, 0xffffffff).status, VALUE_NOT_VALID);
    assert_int_equal(w_call(W_VP_WR, W_TDVPR, MD_PI_DESCRIPTOR, 0x403f, ALL).status, VALUE_NOT_VALID);
    struct w_result r = w_call(W_VP_WR, W_TDVPR, MD_PI_DESCRIPTOR, 0x4000, ALL);
    assert_int_equal(r.status, 0);
    assert_int_equal(r.r8, ALL);
    assert_int_equal(w_call(W_VP_RD, W_TDVPR, MD_PI_DESCRIPTOR, 0, 0).r8, 0x4000);
}

/* What the VMM writes is what the processor finds in the VMCS at the next entry. */
static void posted_interrupts_reach_the_processor(void **state)
{
    (void)state;
    assert_int_equal(w_call(W_VP_WR, W_TDVPR, MD_PI_VECTOR, 0xf2, 0xffff).status, 0);
    assert_int_equal(w_call(W_VP_WR, W_TDVPR, MD_PI_DESCRIPTOR, 0x4040, ALL).status, 0);
    assert_int_equal(w_call(W_VP_WR, W_TDVPR, MD_PINBASED, 0x80, 0x80).status, 0);
    enter(0);
    assert_int_equal(lp->td->posted_vector, 0xf2);
    assert_int_equal(lp->td->posted_descriptor, 0x4040);
    assert_int_equal(lp->td->pinbased, 0xa9);
    assert_int_equal(leave(EXIT_INTERRUPT, 0), SEAM_TO_VMM);
}

/* The fifth of the vCPU's pages: no other vCPU has its registers, and the fourth keeps what the module began it with. */
static void extended_state_has_a_page_of_the_vcpus_own(void **state)
{
    (void)state;
    enter(0);
    assert_int_equal(lp->td->xsave_hpa, W_TDVPR + 0x4000);
    assert_int_equal(w_memory(W_TDVPR + 0x3000)[520 / 8], 1ull << 63);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(w_memory(W_TDVPR + 0x4000)[i], 0);
    assert_int_equal(leave(EXIT_INTERRUPT, 0), SEAM_TO_VMM);
}

/* VMXIP: RVI above PPR by its class, as the processor left them. What is only posted does not count. */
static void state_details_tell_of_an_interrupt_that_waits(void **state)
{
    (void)state;
    enter(0);
    u32 *ppr = (u32 *)((u8 *)w_memory(lp->td->vapic_hpa) + 0xa0);
    u16 *status = &lp->td->interrupt_status;
    assert_int_equal(leave(EXIT_INTERRUPT, 0), SEAM_TO_VMM);
    assert_int_equal(w_call(W_VP_RD, W_TDVPR, MD_STATE_DETAILS, 0, 0).r8, 0);
    *status = 0x0061;
    assert_int_equal(w_call(W_VP_RD, W_TDVPR, MD_STATE_DETAILS, 0, 0).r8, 1);
    *ppr = 0x5f;
    assert_int_equal(w_call(W_VP_RD, W_TDVPR, MD_STATE_DETAILS, 0, 0).r8, 1);
    *ppr = 0x60;
    assert_int_equal(w_call(W_VP_RD, W_TDVPR, MD_STATE_DETAILS, 0, 0).r8, 0);
    *ppr = 0;
    *status = 0xf100; /* in service alone */
    assert_int_equal(w_call(W_VP_RD, W_TDVPR, MD_STATE_DETAILS, 0, 0).r8, 0);
}

/* A TD with a page at GPA 0, all zero but for 48 bytes in its middle. */
static int start_with_page(void **state)
{
    (void)state;
    w_system();
    w_td();
    w_ok(W_SEPT_ADD, 2, W_TDR, w_pool(), 0);
    w_ok(W_SEPT_ADD, 1, W_TDR, w_pool(), 0);
    w_ok(W_PAGE_ADD, 0, W_TDR, W_PAGES, W_TABLES + 0x2000);
    w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
    memset((u8 *)w_memory(W_PAGES) + 0x780, 0x5a, 48);
    return 0;
}

/* What the TD extends an RTMR by need not begin its page. Twice, since what stands in the register is hashed too. */
static void rtmr_is_extended_by_what_stands_there(void **state)
{
    (void)state;
    u8 expected[48] = {0}, data[48];
    memset(data, 0x5a, sizeof(data));
    enter(0);
    for (unsigned times = 0; times < 2; times++) {
        hash_state h;
        sha384_init(&h);
        sha384_process(&h, expected, sizeof(expected));
        sha384_process(&h, data, sizeof(data));
        sha384_done(&h, expected);
        assert_int_equal(tdcall(G_RTMR_EXTEND, 0x780, 1, 0), 0);
        for (unsigned i = 0; i < 6; i++) {
            assert_int_equal(tdcall(G_VM_RD, 0, MD_RTMR_1 + i, 0), 0);
            assert_memory_equal(&lp->td->gpr[R8], expected + 8 * i, 8);
        }
    }
    assert_int_equal(tdcall(G_RTMR_EXTEND, 0x7a0, 1, 0), OPERAND_INVALID | RCX); /* not aligned to 64 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(vm_of_l2_after_its_registers, start),
        cmocka_unit_test_setup(unbound_service_td_leaves, start),
        cmocka_unit_test_setup(list_takes_any_form_of_id, start),
        cmocka_unit_test_setup(exits_keep_the_reason, start),
        cmocka_unit_test_setup(first_write_of_an_address, start),
        cmocka_unit_test_setup(posted_interrupts_reach_the_processor, start),
        cmocka_unit_test_setup(extended_state_has_a_page_of_the_vcpus_own, start),
        cmocka_unit_test_setup(state_details_tell_of_an_interrupt_that_waits, start),
        cmocka_unit_test_setup(rtmr_is_extended_by_what_stands_there, start_with_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
