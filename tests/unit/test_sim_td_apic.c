/* Interrupts of a TD vCPU's virtual APIC: what the VMCB asks of the CPU, what its exits tell, posted interrupts,
 * deliveries that are cut short. int_control: bit 8 V_IRQ, 20 whatever TPR, 3:0 TPR, 24 masking; APM volume 2, table B-1. */
#include "tests/unit/td_stage.h"

#define V_IRQ   (1u << 8 | 1u << 20)
#define MASKING (1u << 24)
#define IF      (1ull << 9)

static u32 reg(unsigned offset)
{
    return *(u32 *)(vapic + offset);
}

/* As a self-IPI leaves it. */
static void request(u8 vector)
{
    *(u32 *)(vapic + 0x200 + vector / 32 * 16) |= 1u << vector % 32;
    v->interrupt_status = (v->interrupt_status & 0xff00) | vector;
}

static void interrupt_is_asked_for_and_gone_means_delivered(void **state)
{
    INSN(0x0f, 0xa2);
    request(0x61);
    RUN(CPUID_ENDS); /* the TD does not let it in */
    assert_int_equal(at_run[0].int_control, MASKING | V_IRQ);
    assert_int_equal(at_run[0].int_vector, 0x61);
    assert_int_equal(v->interrupt_status, 0x61);
    meanwhile[0].control_clear = V_IRQ;
    RUN(CPUID_ENDS);
    assert_int_equal(v->interrupt_status, 0x6100);
    assert_int_equal(reg(0x100 + 0x30), 1 << 1);
    assert_int_equal(reg(0x200 + 0x30), 0);
    assert_int_equal(reg(0xa0), 0x60);
    request(0x6f); /* of the same class: not before the EOI */
    RUN(CPUID_ENDS);
    assert_int_equal(at_run[0].int_control, MASKING);
    request(0x82);
    RUN(CPUID_ENDS);
    assert_int_equal(at_run[0].int_control, MASKING | V_IRQ);
    assert_int_equal(at_run[0].int_vector, 0x82);
}

/* MOV to CR8 does not exit where nothing waits: the VMCB's TPR is the TD's meanwhile. */
static void task_priority_is_the_cpus_meanwhile(void **state)
{
    INSN(0x0f, 0xa2);
    *(u32 *)(vapic + 0x80) = 0x47;
    meanwhile[0].control_clear = 15;
    meanwhile[0].control_set = 9;
    RUN(CPUID_ENDS);
    assert_int_equal(at_run[0].int_control, MASKING | 4);
    assert_int_equal(at_run[0].intercept_cr_write, 0x11);
    assert_int_equal(reg(0x80), 0x90);
    assert_int_equal(reg(0xa0), 0x90);
    *(u32 *)(vapic + 0x80) = 0x97;
    RUN(CPUID_ENDS);
    assert_int_equal(reg(0x80), 0x97); /* the lower half is not lost */
    request(0x95);                     /* of the same class: it waits */
    RUN(CPUID_ENDS);
    assert_int_equal(at_run[0].int_control, MASKING | 9);
    assert_int_equal(at_run[0].int_vector, 0);
    assert_int_equal(at_run[0].intercept_cr_write, 0x111);
}

/* Where something waits it does: TPR goes down, and what it held back is let in. */
static void cr8_beside_a_request(void **state)
{
    INSN(0x44, 0x0f, 0x22, 0xc1); /* mov cr8, rcx */
    long_mode();
    v->gpr[RCX] = 2;
    *(u32 *)(vapic + 0x80) = 0x47;
    request(0x35);
    RUN({0x18, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[0].intercept_cr_write, 0x111);
    assert_int_equal(at_run[1].int_control, MASKING | V_IRQ | 2);
    assert_int_equal(reg(0x80), 0x20);
    assert_int_equal(v->rip, CODE_GPA + 4);
    v->rip = CODE_GPA;
    v->gpr[RCX] = 0x10;
    RUN({0x18, 0, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
}

static void write_msr(u32 msr, u64 value)
{
    u8 *bits = (u8 *)bitmap + 0x800;

    bits[msr / 8] &= (u8) ~(1 << (msr & 7));
    INSN(0x0f, 0x30);
    v->rip = CODE_GPA;
    v->gpr[RCX] = msr;
    v->gpr[RAX] = (u32)value;
    v->gpr[RDX] = value >> 32;
}

static void registers(void **state)
{
    write_msr(0x83f, 0x91);
    RUN({EXIT_MSR, 1, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[0].int_vector, 0);
    assert_int_equal(at_run[1].int_vector, 0x91); /* at once */
    v->interrupt_status = 0x9100;
    *(u32 *)(vapic + 0x140) = 1 << 17;
    write_msr(0x80b, 0);
    RUN({EXIT_MSR, 1, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(v->interrupt_status, 0);
    assert_int_equal(reg(0x140), 0);
    write_msr(0x80b, 1);
    RUN({EXIT_MSR, 1, 0, 0}, {0x60, 0, 0, 0});
    assert_int_equal(at_run[1].event_injection, 1u << 31 | 1 << 11 | 3 << 8 | 13);
    write_msr(0x83f, 5); /* no legal vector: APIC-write exit behind the instruction */
    RUN({EXIT_MSR, 1, 0, 0});
    assert_int_equal(v->exit_reason, 56);
    assert_int_equal(v->qualification, 0x3f0);
    assert_int_equal(v->rip, CODE_GPA + 2);
}

/* Descriptor: PIR in its first 32 bytes, ON in bit 256. SDM volume 3, table 30-1. */
static u64 *post(u8 vector)
{
    u64 *d = (u64 *)(data + 0xc0);

    v->posted_descriptor = (u64)d;
    v->posted_vector = 0xf2;
    v->pinbased = 0xa9;
    d[vector / 64] |= 1ull << vector % 64;
    d[4] = 1;
    return d;
}

static void notification_brings_posted_interrupts_in(void **state)
{
    u64 *d = post(0xd1);

    INSN(0x0f, 0xa2);
    RUN(CPUID_ENDS); /* no notification: nobody looks */
    assert_int_equal(at_run[0].int_vector, 0);
    assert_int_equal(d[4], 1);
    waiting[0] = 0xf2;
    waiting[1] = 0x41;
    RUN({0x60, 0, 0, 0}, {0x60, 0, 0, 0}); /* the second one is the VMM's */
    assert_int_equal(eois, 1);
    assert_int_equal(at_run[0].int_vector, 0);
    assert_int_equal(at_run[1].int_vector, 0xd1);
    assert_int_equal(d[3] | d[4], 0);
    assert_int_equal(v->exit_reason, 1);
    assert_int_equal(v->exit_intr_info, 1u << 31 | 0x41);
    v->pinbased = 0x29; /* not asked for: an exit as any */
    waiting[0] = 0xf2;
    RUN({0x60, 0, 0, 0});
    assert_int_equal(v->exit_intr_info, 1u << 31 | 0xf2);
    assert_int_equal(eois, 1);
}

/* A TLB miss while the CPU pushes the frame: asked for again, delivered once. QEMU says exception, whatever it was. */
static void cut_delivery_is_tried_again(void **state)
{
    INSN(0x0f, 0xa2);
    request(0xd1);
    meanwhile[1].control_clear = V_IRQ;
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, 1u << 31 | 3 << 8 | 0xd1}, CPUID_ENDS);
    assert_int_equal(at_run[1].event_injection, 0);
    assert_int_equal(at_run[1].int_control, MASKING | V_IRQ);
    assert_int_equal(v->interrupt_status, 0xd100);
}

/* As a CPU reports it. */
static void cut_delivery_is_an_interrupts(void **state)
{
    INSN(0x0f, 0xa2);
    request(0xd1);
    meanwhile[0].control_clear = V_IRQ;
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, 1u << 31 | 0xd1}, CPUID_ENDS);
    assert_int_equal(at_run[1].event_injection, 0);
    assert_int_equal(at_run[1].int_vector, 0xd1);
    assert_int_equal(v->interrupt_status, 0xd1); /* still waits */
}

/* An EPT violation there: the module finds an external interrupt in the vectoring information, which the APIC has given away. */
static void cut_delivery_that_exits_is_the_modules(void **state)
{
    INSN(0x0f, 0xa2);
    *ept_entry(root, DATA_GPA, 0) = NO_VE;
    request(0xd1);
    RUN({EXIT_NPF, 1ull << 32 | 6, DATA_GPA, 1u << 31 | 3 << 8 | 0xd1});
    assert_int_equal(v->exit_reason, 48);
    assert_int_equal(v->idt_vectoring_info, 1u << 31 | 0xd1);
    assert_int_equal(v->interrupt_status, 0xd100);
    map(DATA_GPA, data);
    v->entry_intr_info = v->idt_vectoring_info;
    unsigned nmis = nmis_to_self;
    RUN({0x61, 0, 0, 0}, CPUID_ENDS);
    assert_int_equal(at_run[0].event_injection, 1u << 31 | 0xd1);
    assert_int_equal(at_run[0].int_vector | at_run[1].event_injection, 0);
    assert_int_equal(nmis_to_self, nmis + 1);
    assert_int_equal(v->interrupt_status, 0xd100);
}

/* One instruction at a time: none comes in between, since TF would be in its frame. */
static void none_comes_under_the_monitor_trap(void **state)
{
    INSN(0x90);
    v->rflags = IF | 2;
    v->monitor_trap = true;
    request(0x61);
    RUN({0x41, 0, 0, 0});
    assert_int_equal(v->exit_reason, 37);
    assert_int_equal(at_run[0].int_vector, 0);
    assert_int_equal(v->interrupt_status, 0x61);
    v->monitor_trap = false;
    RUN(CPUID_ENDS);
    assert_int_equal(at_run[0].int_vector, 0x61);
}

/* A descriptor in memory that the VMM has given away is none. */
static void descriptor_in_a_page_of_the_module(void **state)
{
    u64 *d = post(0xd1);

    closed = data;
    INSN(0x0f, 0xa2);
    waiting[0] = 0xf2;
    RUN({0x60, 0, 0, 0}, CPUID_ENDS);
    assert_int_equal(eois, 1);
    assert_int_equal(at_run[1].int_vector, 0);
    assert_int_equal(d[4], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(interrupt_is_asked_for_and_gone_means_delivered, start),
        cmocka_unit_test_setup(task_priority_is_the_cpus_meanwhile, start),
        cmocka_unit_test_setup(cr8_beside_a_request, start),
        cmocka_unit_test_setup(registers, start),
        cmocka_unit_test_setup(notification_brings_posted_interrupts_in, start),
        cmocka_unit_test_setup(cut_delivery_is_tried_again, start),
        cmocka_unit_test_setup(cut_delivery_is_an_interrupts, start),
        cmocka_unit_test_setup(cut_delivery_that_exits_is_the_modules, start),
        cmocka_unit_test_setup(none_comes_under_the_monitor_trap, start),
        cmocka_unit_test_setup(descriptor_in_a_page_of_the_module, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
