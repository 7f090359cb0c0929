/*
 * Entries and exits of a vCPU: what a scripted guest sees and what the VMM is told, the host's state around VP.ENTER,
 * and when a vCPU is not entered.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tests/unit/td_world.h"

/* --- exits ------------------------------------------------------------------------------------------------------- */

static void guest_call(struct guest_action *a, u64 leaf, u64 rcx, u64 rdx)
{
    memset(a, 0, sizeof(*a));
    a->kind = GUEST_TDCALL;
    a->gpr[RAX] = leaf;
    a->gpr[RCX] = rcx;
    a->gpr[RDX] = rdx;
    guest_push(td.vcpus[0].tdvpr.raw, a);
}

static void guest_sees_what_it_was_given(void **state)
{
    struct guest_action info;
    build();
    guest_call(&info, 1, 0, 0);
    struct vcpu_exit e = enter(); /* the script's end is an interrupt */
    assert_int_equal(e.kind, VCPU_EXIT_INTERRUPT);
    assert_true(info.done);
    assert_int_equal(info.gpr[RAX], 0);
    assert_int_equal(info.gpr[RCX], 48);
    assert_int_equal(info.gpr[RDX], config.attributes);
    assert_int_equal(tdx_counts.exits[1], 1);
    tear_down();
}

/* ACCEPT of a page that is not there leaves with the level that it asked for, and ends after AUG with no other exit. */
static void accept_tells_its_level(void **state)
{
    struct guest_action small, large;
    build();
    guest_call(&small, 6, 5 * K4, 0);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_EPT_VIOLATION);
    assert_true(e.accept);
    assert_int_equal(e.level.raw, 0);
    assert_int_equal(e.gpa.raw, 5 * K4);
    assert_false(e.shared);
    contents[contents_count++] = page_out();
    assert_true(tdx_ok(tdh_mem_page_aug(td.tdr, (gpa_t){5 * K4}, LEVEL_4K, contents[2]).status));
    e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_INTERRUPT);
    assert_true(small.done);
    assert_int_equal(small.gpr[RAX], 0);
    guest_call(&large, 6, 2 * M1 | 1, 0);
    e = enter();
    assert_true(e.accept);
    assert_int_equal(e.level.raw, 1);
    assert_int_equal(e.gpa.raw, 2 * M1);
    tear_down();
}

static void guest_touch(struct guest_action *a, u64 gpa, u64 qualification)
{
    *a = (struct guest_action){.kind = GUEST_EPT_VIOLATION, .gpa = gpa, .qualification = qualification};
    guest_push(td.vcpus[0].tdvpr.raw, a);
}

static void violations_tell_shared_from_private(void **state)
{
    struct guest_action a;
    build();
    guest_touch(&a, 9 * K4 + 0x123, 2);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_EPT_VIOLATION);
    assert_false(e.accept || e.shared || e.pending);
    assert_int_equal(e.gpa.raw, 9 * K4);
    assert_int_equal(e.qualification & 7, 2);
    contents[contents_count++] = page_out();
    assert_true(tdx_ok(tdh_mem_page_aug(td.tdr, (gpa_t){9 * K4}, LEVEL_4K, contents[2]).status));
    guest_touch(&a, 9 * K4, 1);
    e = enter(); /* PENDING, and the TD wants no #VE */
    assert_true(e.pending);
    guest_touch(&a, 1ull << 47 | 9 * K4, 1);
    e = enter();
    assert_true(e.shared);
    assert_int_equal(e.gpa.raw, 9 * K4);
    tear_down();
}

static void vmcall_passes_registers_both_ways(void **state)
{
    struct guest_action a;
    build();
    memset(&a, 0, sizeof(a));
    a.kind = GUEST_TDCALL;
    a.gpr[RCX] = 0xfc00; /* R10 to R15 */
    a.gpr[R11] = 0x10001;
    a.gpr[R12] = 0x200000;
    a.gpr[R13] = 0x1000;
    guest_push(td.vcpus[0].tdvpr.raw, &a);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_VMCALL);
    assert_int_equal(e.reason, 77);
    assert_string_equal(vcpu_exit_name(e.reason), "TDVMCALL");
    assert_int_equal(td.vcpus[0].regs.r11, 0x10001);
    assert_int_equal(td.vcpus[0].regs.r13, 0x1000);
    td.vcpus[0].regs.r10 = 1;
    td.vcpus[0].regs.r11 = 0x201000;
    e = enter();
    assert_true(a.done);
    assert_int_equal(a.gpr[RAX], 0);
    assert_int_equal(a.gpr[R10], 1);
    assert_int_equal(a.gpr[R11], 0x201000);
    tear_down();
}

static void triple_fault_kills_the_vcpu_only(void **state)
{
    struct guest_action a = {.kind = GUEST_EXIT, .reason = 2};
    build();
    guest_push(td.vcpus[0].tdvpr.raw, &a);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_TRIPLE_FAULT);
    assert_true(td.vcpus[0].dead);
    assert_int_equal(td.state, TD_RUNNABLE);
    u64 calls = tdx_counts_seamcalls();
    e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_REFUSED);
    assert_int_equal(tdx_counts_seamcalls(), calls);
    tear_down();
}

/* --- entry ------------------------------------------------------------------------------------------------------- */

static bool was_inside, had_interrupts;

/* What a TD exit does to the host's MSRs. */
static void clobber(const struct seamcall_regs *regs)
{
    static const u32 msrs[] = {0xc0000081, 0xc0000082, 0xc0000084, 0xc0000102, 0xc0000103};
    if ((regs->rax & 0xffff) != L_VP_ENTER)
        return;
    was_inside = td.vcpus[0].inside;
    had_interrupts = cpu_host_interrupts_on();
    for (unsigned i = 0; i < ARRAY_COUNT(msrs); i++)
        cpu_host_set_msr(msrs[i], 0xdead);
}

static void entry_keeps_host_state(void **state)
{
    u64 value;
    build();
    seamcall_host_watch = clobber;
    (void)enter();
    assert_true(was_inside);
    assert_false(had_interrupts);
    assert_false(td.vcpus[0].inside);
    assert_true(cpu_host_interrupts_on());
    assert_true(cpu_read_msr(0xc0000082, &value));
    assert_int_equal(value, 0x82);
    assert_true(cpu_read_msr(0xc0000102, &value));
    assert_int_equal(value, 0x102);
    assert_true(cpu_read_msr(0xc0000103, &value));
    assert_int_equal(value, 0x103);
    seamcall_host_watch = NULL;
    tear_down();
}

/* The exit has acknowledged it at the APIC: nobody else would run the handler and send the EOI. */
static void interrupt_that_ends_a_run_is_taken_once(void **state)
{
    struct guest_action a = {.kind = GUEST_EXIT, .reason = 1, .event = 1u << 31 | 0x41};
    build();
    guest_push(td.vcpus[0].tdvpr.raw, &a);
    u64 before = cpu_host_interrupts[0x41];
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    assert_int_equal(cpu_host_interrupts[0x41], before + 1);
    guest_touch(&a, 9 * K4, 1); /* no interrupt, whatever was in R9 before */
    assert_int_equal(enter().kind, VCPU_EXIT_EPT_VIOLATION);
    assert_int_equal(cpu_host_interrupts[0x41], before + 1);
    td.held = 1;
    assert_int_equal(enter().kind, VCPU_EXIT_HELD);
    assert_int_equal(cpu_host_interrupts[0x41], before + 1);
    td.held = 0;
    tear_down();
}

static void held_td_is_not_entered(void **state)
{
    build();
    u64 calls = tdx_counts_seamcalls();
    td.held = 1;
    assert_int_equal(enter().kind, VCPU_EXIT_HELD);
    assert_int_equal(tdx_counts_seamcalls(), calls);
    assert_int_equal(td.vcpus[0].inside, 0);
    td.held = 0;
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    tear_down();
}

static enum err on_cpu_and_back(unsigned cpu, void (*work)(void *arg), void *arg)
{
    unsigned self = cpu_index();
    cpu_host_use(cpu);
    work(arg);
    cpu_host_use(self);
    return ERR_OK;
}

/* On the other CPU it is entered only after the first one has let go of it; where that is refused, both can still take it. */
static void vcpu_that_cannot_be_flushed_is_not_moved(void **state)
{
    static const struct tdx_cpus two = {count_cpus, package_of, on_each_cpu, on_cpu_and_back, share};
    start_machine(2, 1);
    assert_int_equal(init_module().err, ERR_OK);
    tdx_set_cpus(&two);
    build();
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    cpu_host_use(1);
    u64 entries = tdx_counts.leaf[L_VP_ENTER];
    seamcall_host_inject(L_VP_FLUSH, 0, INVALID_RCX);
    struct vcpu_exit e = enter();
    assert_int_equal(e.kind, VCPU_EXIT_NOT_FLUSHED);
    assert_int_equal(e.status.raw, INVALID_RCX);
    assert_int_equal(tdx_counts.leaf[L_VP_ENTER], entries);
    cpu_host_use(0);
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    cpu_host_use(1);
    seamcall_host_inject(L_VP_FLUSH, 0, BUSY_RCX); /* repeated */
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    assert_int_equal(tdx_counts.leaf[L_VP_FLUSH], 3);
    assert_int_equal(td.vcpus[0].cpu, 1);
    tear_down();
    cpu_host_use(0);
}

static void busy_entry_is_repeated_and_bounded(void **state)
{
    build();
    seamcall_host_inject(L_VP_ENTER, 0, 0x80000200000000a9ull);
    u64 retries = tdx_counts.retries;
    assert_int_equal(enter().kind, VCPU_EXIT_INTERRUPT);
    assert_int_equal(tdx_counts.retries, retries + 1);
    seamcall_host_inject(L_VP_ENTER, 0, FATAL);
    assert_int_equal(enter().kind, VCPU_EXIT_TD_DEAD);
    assert_true(td.dead);
    tear_down(); /* a dead TD can still be taken down */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIFE(guest_sees_what_it_was_given),
        LIFE(accept_tells_its_level),
        LIFE(violations_tell_shared_from_private),
        LIFE(vmcall_passes_registers_both_ways),
        LIFE(triple_fault_kills_the_vcpu_only),
        LIFE(entry_keeps_host_state),
        LIFE(held_td_is_not_entered),
        LIFE(interrupt_that_ends_a_run_is_taken_once),
        LIFE(vcpu_that_cannot_be_flushed_is_not_moved),
        LIFE(busy_entry_is_repeated_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
