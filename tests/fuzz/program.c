/*
 * libFuzzer target: an input is a program against the module model. The first byte chooses the world, the second how
 * time passes; then follow steps of eight bytes each:
 *
 *   byte 0       what: bits 2:0 enum step, 3 which of two logical processors (a knob chooses the two), 5:4 version of the leaf, 6 interrupts off, 7 the
 *                next step runs in the middle of this one, on the other processor
 *   byte 1       which leaf or exit
 *   bytes 2 to 5 RCX, RDX, R8, R9
 *   byte 6       second byte of an operand
 *   byte 7       where the middle is
 *
 * Every part of the state is checked after each step (invariants.c), registers and statuses after each call
 * (outputs.c). TRACE=1 in the environment shows the calls of an input.
 *
 * Left out: the VMM's own writes to TD memory. What hardware makes of them is the platform's affair, not the model's.
 */
#include "tests/fuzz/operands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_BYTES   8
#define STEPS_MAX    96
#define LONG_MODE_CS (1u << 13)
#define IF_BIT       (1ull << 9)

enum step { STEP_SEAMCALL, STEP_TDCALL, STEP_EXIT, STEP_SET, STEP_WRITE, STEP_KNOB, STEP_SEAMCALL2, STEP_TDCALL2 };

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct {
    const u8 *at, *end;
    unsigned pair[2]; /* LPs that steps name by one bit */
    bool in_middle;   /* of a call of `outer` */
    unsigned outer, points_left;
    unsigned calls, refused; /* of this step */
    u64 set_mask;            /* registers that STEP_SET has chosen for the next call */
    u64 set[SEAM_GPRS];
} program;

static bool trace;

static bool run_step(unsigned only_lp);

/* What was asked of the module, and what the VMM or, while it runs on, the TD sees in RAX. */
static void show(const char *what, const struct seam_lp *lp, u64 which, const u64 asked[SEAM_GPRS])
{
    if (trace)
        fprintf(stderr, "%sLP%u %s %llx rcx %llx rdx %llx r8 %llx r9 %llx: %s %016llx\n", program.in_middle ? "  " : "",
                lp->index, what, (unsigned long long)which, (unsigned long long)asked[RCX],
                (unsigned long long)asked[RDX], (unsigned long long)asked[R8], (unsigned long long)asked[R9],
                lp->td ? "in TD" : "VMM", (unsigned long long)(lp->td ? lp->td->gpr[RAX] : lp->vmm[RAX]));
}

static unsigned other_of(unsigned lp)
{
    return program.pair[program.pair[0] == lp];
}

/* --- the middle of a call --- */

static void in_the_middle(struct seam_lp *lp)
{
    if (program.in_middle || lp->index != program.outer || program.points_left--)
        return;
    platform_host_knobs.atomic_point = NULL;
    program.in_middle = true;
    run_step(other_of(program.outer));
    program.in_middle = false;
}

static void arm(const u8 *step, unsigned lp)
{
    if (!(step[0] & 0x80) || program.in_middle)
        return;
    program.outer = lp;
    program.points_left = step[7];
    platform_host_knobs.atomic_point = in_the_middle;
}

static void disarm(void)
{
    if (!program.in_middle)
        platform_host_knobs.atomic_point = NULL;
}

/* --- calls --- */

static void draw_registers(const u8 *step, const struct fuzz_leaf *leaf, u64 gpr[SEAM_GPRS])
{
    u64 gpa = 0;
    static const u8 operands[] = {RCX, RDX, R8, R9};
    for (unsigned i = 0; i < sizeof(operands); i++)
        gpr[operands[i]] = fuzz_operand((enum fuzz_kind)leaf->kinds[i], step[2 + i], step[6], &gpa);
    gpr[RAX] = leaf->number | (u64)(step[0] >> 4 & 3) << 16;
    for (unsigned reg = R10; reg <= R15; reg++)
        gpr[reg] = step[0] & 0x10 ? NULL_ID : 0xa5a5a5a5a5a50000ull + reg;
    for (unsigned reg = 0; reg < SEAM_GPRS; reg++)
        if (program.set_mask >> reg & 1 && reg != RSP)
            gpr[reg] = program.set[reg];
    program.set_mask = 0;
}

/* What is INTERRUPTED_RESUMABLE has been done in part. */
static bool is_refusal(u64 status)
{
    return status >> 63 && status >> 32 != 0x80000003;
}

static void seamcall(const u8 *step, unsigned lp_index)
{
    struct seam_lp *lp = &platform_host_lps[lp_index];
    u64 before[SEAM_GPRS];
    if (lp->td)
        return;
    draw_registers(step, fuzz_seamcall_leaf(step[1]), lp->vmm);
    lp->vmm_rflags = step[0] & 0x40 ? lp->vmm_rflags & ~IF_BIT : lp->vmm_rflags | IF_BIT;
    memcpy(before, lp->vmm, sizeof(before));
    arm(step, lp_index);
    enum seam_next next = module_seamcall(lp);
    disarm();
    fuzz_tracking_called(lp_index);
    show("SEAMCALL", lp, before[RAX], before);
    program.calls++;
    program.refused += next == SEAM_TO_VMM && is_refusal(lp->vmm[RAX]);
    if (next == SEAM_TO_VMM)
        fuzz_check_seamcall(before, lp->vmm);
    else if (memcmp(before, lp->vmm, sizeof(before)) != 0)
        fuzz_fail("VP.ENTER changes the VMM's registers on its way into the TD");
}

/* The vCPU that belongs on this processor, if none is inside. */
static bool enter(unsigned lp_index)
{
    const u8 step[STEP_BYTES] = {[2] = (u8)(lp_index & 1)};
    if (!platform_host_lps[lp_index].td)
        seamcall(step, lp_index);
    return platform_host_lps[lp_index].td;
}

static void leave(const u8 *step, unsigned lp_index)
{
    struct seam_lp *lp = &platform_host_lps[lp_index];
    struct td_vmcs *td = lp->td;
    u64 vmm[SEAM_GPRS], gpr[SEAM_GPRS];
    u32 reason = td->exit_reason;
    bool tdcall = reason == 77;
    memcpy(vmm, lp->vmm, sizeof(vmm));
    memcpy(gpr, td->gpr, sizeof(gpr));
    td->entry_intr_info = 0; /* the CPU has delivered it */
    arm(step, lp_index);
    enum seam_next next = module_td_exit(lp);
    disarm();
    program.calls++;
    program.refused += tdcall && next == SEAM_TO_TD && is_refusal(td->gpr[RAX]);
    show(tdcall ? "TDCALL" : "exit", lp, tdcall ? gpr[RAX] : reason, gpr);
    if (next == SEAM_TO_VMM)
        fuzz_check_td_exit(vmm, lp->vmm);
    else if (lp->td != td)
        fuzz_fail("LP %u goes on with another vCPU", lp_index);
    else if (memcmp(vmm, lp->vmm, sizeof(vmm)) != 0)
        fuzz_fail("an exit that the VMM does not see changes its registers");
    else if (tdcall)
        fuzz_check_tdcall(gpr, td->gpr);
}

static void set_mode(const u8 *step, struct td_vmcs *td)
{
    bool protected = step[5] != 0xee;
    td->cs.access = protected ? td->cs.access | LONG_MODE_CS : td->cs.access & ~LONG_MODE_CS;
    td->efer |= 0x500;
    td->cr0 |= 1ull << 31;
    td->exit_instr_len = 1 + (step[6] & 7);
    td->rip += step[6] & 0x40 ? 0 : 200;
    td->idt_vectoring_info = 0;
}

static void tdcall(const u8 *step, unsigned lp_index)
{
    if (!enter(lp_index))
        return;
    struct td_vmcs *td = platform_host_lps[lp_index].td;
    set_mode(step, td);
    td->exit_reason = 77;
    draw_registers(step, fuzz_tdcall_leaf(step[1]), td->gpr);
    leave(step, lp_index);
}

static void vm_exit(const u8 *step, unsigned lp_index)
{
    u64 gpa = 0;
    if (!enter(lp_index))
        return;
    struct td_vmcs *td = platform_host_lps[lp_index].td;
    set_mode(step, td);
    td->exit_reason = fuzz_exit_reason(step[1]);
    if (step[4] & 0x80) /* rarely: flag bits, and events cut short in delivery */
        td->exit_reason |= (u32)(step[5] & 0x84) << 24;
    td->guest_physical = fuzz_operand(K_GPA, step[2], step[6], &gpa) & ~7ull;
    td->guest_linear = td->guest_physical;
    td->qualification = step[3] | (u64)(step[4] & 0x3f) << 8;
    td->exit_intr_info = 0x80000000u | (step[3] & 7u) << 8 | (step[4] & 31u);
    td->idt_vectoring_info = step[4] == 0xff ? td->exit_intr_info : 0;
    td->gpr[RCX] = td->exit_reason == 31 || td->exit_reason == 32 ? fuzz_msr(step[2]) : step[2];
    td->gpr[RAX] = fuzz_operand(K_VALUE, step[3], 0, &gpa);
    td->gpr[RDX] = step[4];
    if (td->exit_reason == 10) { /* CPUID */
        td->gpr[RAX] = (step[2] & 0x3fu) | (step[2] & 0x80u) << 24;
        td->gpr[RCX] = step[3] & 31;
    }
    leave(step, lp_index);
}

/* --- what else happens --- */

static u32 word(const u8 *step)
{
    return (u32)step[4] | (u32)step[5] << 8 | (u32)step[6] << 16 | (u32)step[7] << 24;
}

/* One register of the next call: a raw value, its halves, one bit, an earlier call's output, or an operand of any kind.
 */
static void set_register(const u8 *step, unsigned lp_index)
{
    const struct seam_lp *lp = &platform_host_lps[lp_index];
    unsigned reg = step[1] & 15;
    u64 gpa = 0, value;
    switch (step[2] & 7) {
    case 0:
        value = word(step);
        break;
    case 1:
        value = (u64)word(step) << 32;
        break;
    case 2:
        value = lp->vmm[step[3] & 15];
        break;
    case 3:
        value = lp->td ? lp->td->gpr[step[3] & 15] : lp->vmm[step[3] & 15];
        break;
    case 4:
        value = lp->vmm[step[3] & 15] ^ 1ull << (step[4] & 63);
        break;
    default:
        value = fuzz_operand((enum fuzz_kind)(step[3] % (K_VALUE + 1)), step[4], step[5], &gpa) ^
                (step[2] & 8 ? 1ull << (step[6] & 63) : 0);
    }
    program.set[reg] = value;
    program.set_mask |= 1ull << reg;
}

/* The VMM writes to its own memory. */
static void write_memory(const u8 *step)
{
    u64 gpa = 0, page = FUZZ_PAGE(FUZZ_VMM, step[1] % VMM_PAGES);
    u64 value =
        step[2] & 0x80 ? fuzz_operand((enum fuzz_kind)(step[2] % (K_VALUE + 1)), step[5], step[6], &gpa) : word(step);
    u64 *words = fuzz_memory(page);
    unsigned offset = (step[3] | (step[2] & 1u) << 8) & 511;
    if (module_uses_page(page))
        return;
    if (step[2] & 0x40)
        value = (value << 32) | (u32)words[offset];
    if (step[2] & 0x20)
        value ^= words[offset];
    fuzz_page_used(page);
    words[offset] = value;
}

static void choose_pair(unsigned first, unsigned second)
{
    unsigned lps = plat_info()->lp_count;
    program.pair[0] = first % lps;
    program.pair[1] = second % lps;
    if (program.pair[0] == program.pair[1])
        program.pair[1] = (first + 1) % lps;
}

static void turn_knob(const u8 *step, unsigned lp_index)
{
    struct platform_host_knobs *k = &platform_host_knobs;
    if (step[1] & 8) {
        choose_pair(step[2], step[3]);
        return;
    }
    switch (step[1] & 7) {
    case 0:
    case 1:
        k->pending = step[2] & 7;
        k->pending_events = step[2] & 7;
        k->polls_before = step[3];
        break;
    case 2:
        k->no_entropy = step[2] & 1;
        break;
    case 3:
        k->key = (enum plat_key_result)(step[2] % 3);
        break;
    case 4:
        k->tsc_step = step[2] & 1 ? 1000000 : step[3];
        break;
    case 5:
        k->tsc += step[2] & 0xf ? (u64)word(step) << (step[2] & 15) : -0x1000000ull;
        break;
    case 6:
        platform_host_lps[lp_index].apic_base = step[2] & 1 ? 0xfee00d00 : 0xfee00100;
        break;
    default:
        if (platform_host_lps[lp_index].td) {
            platform_host_lps[lp_index].td->interruptibility = step[2] & 15;
            platform_host_lps[lp_index].td->rflags = 2 | (step[3] & 1u) << 8;
            platform_host_lps[lp_index].td->ss.access = 0xc093 | (step[3] >> 1 & 3u) << 5;
        }
    }
}

/* --- steps --- */

#define ANY_LP FUZZ_LPS

/* False at the end of the program. In the middle of a call only the other processor does anything. */
static bool run_step(unsigned only_lp)
{
    const u8 *step = program.at;
    if (program.end - program.at < STEP_BYTES)
        return false;
    program.at += STEP_BYTES;
    unsigned lp = only_lp == ANY_LP ? program.pair[step[0] >> 3 & 1] : only_lp;
    switch (step[0] & 7) {
    case STEP_SEAMCALL:
    case STEP_SEAMCALL2:
        seamcall(step, platform_host_lps[lp].td && only_lp == ANY_LP ? other_of(lp) : lp);
        break;
    case STEP_TDCALL:
    case STEP_TDCALL2:
        tdcall(step, lp);
        break;
    case STEP_EXIT:
        vm_exit(step, lp);
        break;
    case STEP_SET:
        set_register(step, lp);
        break;
    case STEP_WRITE:
        write_memory(step);
        break;
    default:
        turn_knob(step, lp);
    }
    return true;
}

static bool run_checked_step(void)
{
    u64 digest = fuzz_state_digest();
    program.calls = program.refused = 0;
    bool more = run_step(ANY_LP);
    if (program.calls == 0)
        return more;
    fuzz_check_state();
    if (program.refused == program.calls && digest != fuzz_state_digest())
        fuzz_fail("a refused call has changed something");
    return more;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    trace = getenv("TRACE") != NULL;
    fuzz_worlds_build();
    return 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < 2)
        return 0;
    fuzz_world_load((enum fuzz_world)(data[0] % WORLDS));
    platform_host_knobs.tsc_step = data[1] & 1 ? 100 : 1000000;
    fuzz_tracking_start();
    fuzz_check_state(); /* the Secure EPT to compare with */
    memset(&program, 0, sizeof(program));
    choose_pair(0, 1);
    program.at = data + 2;
    program.end = data + size;
    for (unsigned i = 0; i < STEPS_MAX && run_checked_step(); i++)
        ;
    return 0;
}
