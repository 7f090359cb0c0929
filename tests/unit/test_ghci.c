/*
 * What the TD asks for by TDVMCALL and what it is answered (kernel/vm/ghci/), and the machine behind it: devices, interrupts, HLT, the
 * end of a guest. Numbers of the GHCI, of MSRs and of the virtual machine are typed here again.
 */
#include "tests/unit/vm_world.h"

#include "drivers/apic.h"
#include "kernel/time.h"
#include "kernel/vm/ghci/ghci.h"
#include "kernel/vm/guest_console.h"
#include "kernel/vm/interrupt.h"
#include "kernel/vm/run.h"

#define INVALID     0x8000000000000000ull
#define UNALIGNED   0x8000000000000002ull
#define UNSUPPORTED 0x8000000000000003ull

#define ON     1ull
#define HLT    12ull
#define IO     30ull
#define MMIO   48ull
#define IOAPIC 0xfec00000ull

static int with_module(void **state)
{
    int failed = machine(state);
    good("tdx init");
    return failed;
}

/* --- a payload's call --------------------------------------------------------------------------------------------- */

/* One TDVMCALL; its R10. */
static u64 ask(struct guest_action *a)
{
    guest_push(vcpu(0), a);
    push_idle();
    good("probe spin 0");
    assert_true(a->done);
    return a->gpr[R10];
}

static struct guest_action *bus(u64 leaf, u64 bytes, u64 direction, u64 where, u64 what)
{
    struct guest_action *a = vmcall(0, leaf, bytes, direction);
    a->gpr[R14] = where;
    a->gpr[R15] = what;
    return a;
}

static u64 read_bus(u64 leaf, u64 bytes, u64 where)
{
    struct guest_action *a = bus(leaf, bytes, 0, where, 0);
    assert_int_equal(ask(a), 0);
    return a->gpr[R11];
}

static void write_bus(u64 leaf, u64 bytes, u64 where, u64 what)
{
    assert_int_equal(ask(bus(leaf, bytes, 1, where, what)), 0);
}

static void test_info(void **state)
{
    struct guest_action *info = vmcall(0, 0x10000, 0, 0);
    assert_int_equal(ask(info), 0);
    assert_int_equal(info->gpr[R11] | info->gpr[R12] | info->gpr[R13] | info->gpr[R14], 0);
    struct guest_action *others = vmcall(0, 0x10000, 1, 0);
    assert_int_equal(ask(others), 0);
    assert_int_equal(others->gpr[R11], 2);
    assert_int_equal(others->gpr[R12] | others->gpr[R13] | others->gpr[R14], 0);
    assert_int_equal(ask(vmcall(0, 0x10000, 2, 0)), INVALID);
}

static void test_leafs_that_are_refused(void **state)
{
    static const u64 cases[][3] = {
        {0, 54, INVALID},        {0, 65, INVALID},          {7, 1, INVALID},     {PROBE, 2, INVALID},
        {~0ull, ~0ull, INVALID}, {0, 0x1ffff, UNSUPPORTED}, {0, 0, UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(ask(vmcall(cases[i][0], cases[i][1], 0, 0)), cases[i][2]);
}

static void test_cpuid(void **state)
{
    static const struct {
        u64 leaf, subleaf, eax, ebx, ecx, edx;
    } cases[] = {
        {0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d}, /* KVMKVMKVM */
        {0x40000001, 0, 0, 0, 0, 0},
        {0x2, 0, 0x00feff01, 0, 0, 0},
        {0x6, 0, 4, 0, 0, 0},
        {0xb, 0, 0, 1, 0x100, 0},
        {0xb, 1, 0, 1, 0x201, 0},
        {0x1f, 2, 0, 0, 2, 0},
        {0x16, 0, 2000, 2000, 100, 0},
        {0xdead, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct guest_action *a = vmcall(0, 10, cases[i].leaf, cases[i].subleaf);
        assert_int_equal(ask(a), 0);
        if (a->gpr[R12] != cases[i].eax || a->gpr[R13] != cases[i].ebx || a->gpr[R14] != cases[i].ecx ||
            a->gpr[R15] != cases[i].edx)
            fail_msg("CPUID %llx: %llx %llx %llx %llx", (unsigned long long)cases[i].leaf,
                     (unsigned long long)a->gpr[R12], (unsigned long long)a->gpr[R13], (unsigned long long)a->gpr[R14],
                     (unsigned long long)a->gpr[R15]);
    }
}

static void test_msrs(void **state)
{
    static const struct {
        u64 msr, value;
    } reads[] = {{0x1b, 0xfee00d00}, {0x3a, 1},     {0x8b, 1ull << 32}, {0xfe, 0},       {0x179, 0},
                 {0x802, 0},         {0x80d, 0x01}, {0x803, 0x50014},   {0x832, 0x10000}};
    static const u64 writes[][3] = {{0x1b, 0xfee00d00, 0},
                                    {0x1b, 0xfee00900, INVALID},
                                    {0x8b, 0, 0},
                                    {0x3a, 5, INVALID},
                                    {0x140, 0, 0},
                                    {0x80f, 0x1ff, 0},
                                    {0x80f, 1, 0},
                                    {0x80f, 1 << 9, INVALID},
                                    {0x802, 0, INVALID},
                                    {0x64e, 0, INVALID},
                                    {0x830, 1 << 12, INVALID},
                                    {0x10000001b, 0, INVALID},
                                    {0x1000000fe, 0, INVALID}};
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        struct guest_action *a = vmcall(0, 31, reads[i].msr, 0);
        assert_int_equal(ask(a), 0);
        assert_int_equal(a->gpr[R11], reads[i].value);
    }
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
        if (ask(vmcall(0, 32, writes[i][0], writes[i][1])) != writes[i][2])
            fail_msg("WRMSR %llx", (unsigned long long)writes[i][0]);
    static const u64 unknown[] = {0x34, 0x64e, 0xc0011029, 0x10000001b, ~0ull, 0x83f};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_int_equal(ask(vmcall(0, 31, unknown[i], 0)), INVALID);
}

static void test_ports(void **state)
{
    assert_int_equal(read_bus(IO, 1, 0x3fd), 0x60);
    assert_int_equal(read_bus(IO, 4, 0x3fc), 0x00b06000); /* MCR, LSR, MSR, SCR */
    assert_int_equal(read_bus(IO, 1, 0x42), 0);
    assert_int_equal(read_bus(IO, 4, 0xffff), 0);
    assert_int_equal(read_bus(IO, 1, 0x600), 0);
    assert_int_equal(ask(bus(IO, 3, 0, 0x3f8, 0)), INVALID);
    assert_int_equal(ask(bus(IO, 8, 0, 0x3f8, 0)), INVALID);
    assert_int_equal(ask(bus(IO, 1, 2, 0x3f8, 0)), INVALID);
    assert_int_equal(ask(bus(IO, 1, 0, 0x10000, 0)), INVALID);
}

static void test_memory_of_devices(void **state)
{
    write_bus(MMIO, 4, IOAPIC | SHARED_BIT, 1);
    assert_int_equal(read_bus(MMIO, 4, (IOAPIC + 0x10) | SHARED_BIT), 0x170020);
    assert_int_equal(read_bus(MMIO, 1, IOAPIC + 0x10), 0x20);
    assert_int_equal(read_bus(MMIO, 8, IOAPIC + 0x10), 0x170020);
    assert_int_equal(read_bus(MMIO, 4, IOAPIC + 0x11), 0);
    assert_int_equal(read_bus(MMIO, 4, 0xfed00000), 0);
    assert_int_equal(ask(bus(MMIO, 3, 0, IOAPIC, 0)), INVALID);
    assert_int_equal(ask(bus(MMIO, 4, 2, IOAPIC, 0)), INVALID);
    assert_int_equal(ask(bus(MMIO, 4, 0, 0x1000, 0)), INVALID); /* memory */
    assert_int_equal(ask(bus(MMIO, 4, 0, 0x7ffffffffffe, 0)), INVALID);
    assert_int_equal(ask(bus(MMIO, 4, 0, SHARED_BIT << 1, 0)), INVALID);
}

/* Where memory reaches over it, too. */
static void test_devices_in_a_hole_of_memory(void **state)
{
    good("td destroy");
    good("td create mem=5G");
    push_idle();
    good("td run");
    write_bus(MMIO, 4, IOAPIC | SHARED_BIT, 1);
    assert_int_equal(read_bus(MMIO, 4, (IOAPIC + 0x10) | SHARED_BIT), 0x170020);
    assert_int_equal(ask(bus(MMIO, 4, 0, 0xfdfffff0, 0)), INVALID);
    assert_int_equal(ask(bus(MMIO, 4, 0, 0x100000000, 0)), INVALID);
}

static void test_quote_is_not_available(void **state)
{
    const u64 buffer = 0x800000;

    good("convert 800000 8K shared force");
    u64 *header = tdp_shared_ptr(vm.tdp, (gpa_t){buffer});
    header[0] = 1;
    header[1] = 0;
    assert_int_equal(ask(vmcall(0, 0x10002, buffer | SHARED_BIT, 0x2000)), 0);
    assert_int_equal(header[0], 1);
    assert_int_equal(header[1], 0x8000000000000001ull);
    assert_int_equal(ask(vmcall(0, 0x10002, buffer, 0x2000)), INVALID);
    assert_int_equal(ask(vmcall(0, 0x10002, 0x900000 | SHARED_BIT, 0x1000)), INVALID); /* private */
    assert_int_equal(ask(vmcall(0, 0x10002, buffer | SHARED_BIT, 0)), INVALID);
    assert_int_equal(ask(vmcall(0, 0x10002, buffer | SHARED_BIT, ~0xfffull)), INVALID);
    assert_int_equal(ask(vmcall(0, 0x10002, (buffer + 8) | SHARED_BIT, 0x1000)), UNALIGNED);
    assert_int_equal(ask(vmcall(0, 0x10004, 31, 0)), INVALID);
    assert_int_equal(ask(vmcall(0, 0x10004, 256, 0)), INVALID);
    assert_int_equal(ask(vmcall(0, 0x10004, 255, 0)), 0);
    assert_int_equal(vm.event_notify, 255);
}

static void test_calls_are_counted(void **state)
{
    unsigned n = 0;

    ghci_counts_reset();
    (void)ask(vmcall(0, 10, 0x40000000, 0));
    (void)ask(vmcall(0, 10, 0x40000000, 0));
    while (strcmp(ghci_count(n).name, "CPUID") != 0)
        n++;
    assert_int_equal(ghci_count(n).count, 2);
    says(good("stats"), "\"vmcalls\":{\"vendor\":2,\"CPUID\":2}");
    good("stats reset");
    says(good("stats"), "\"vmcalls\":{}");
}

/* --- a guest beside the console ----------------------------------------------------------------------------------- */

static const u32 apic_registers[] = {0x808, 0x80f, 0x832, 0x835, 0x836, 0x83f};

/* The TD of the other tests, taken for a Linux: interrupts can be posted to it, and it runs on when `td run` has returned. */
static int with_guest(void **state)
{
    static const struct boot_file kernel = {.name = "none"};
    struct fault_text fault;

    for (unsigned i = 0; i < sizeof(apic_registers) / sizeof(apic_registers[0]); i++)
        cpu_host_set_msr(apic_registers[i], 0);
    cpu_host_set_msr(0x1b, 0xfee00900);
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.ecx = 1u << 5 | 1u << 21, .edx = 1u << 9 | 1u << 12});
    assert_int_equal(apic_init(), ERR_OK);
    free_before = page_free_bytes();
    good("td create mem=64M vcpus=2");
    vm.kind = VM_LINUX;
    vm.linux.kernel = &kernel;
    assert_int_equal(interrupt_init(&fault), ERR_OK);
    good("td run");
    return 0;
}

static void turns(unsigned count)
{
    while (count-- > 0)
        vm_idle();
}

/* The TDVMCALL of the guest; its R10. */
static u64 guest_asks(unsigned index, struct guest_action *a)
{
    guest_push(vcpu(index), a);
    turns(4);
    assert_true(a->done);
    return a->gpr[R10];
}

static void guest_writes(u64 port, u8 value)
{
    (void)guest_asks(0, bus(IO, 1, 1, port, value));
}

static bool is_posted(unsigned index, u8 vector)
{
    const struct posted_interrupts *p = vm.td.vcpus[index].posted;
    return (p->control & ON) && (p->requests[vector / 64] >> vector % 64 & 1);
}

static void forget_posted(unsigned index)
{
    struct posted_interrupts *p = vm.td.vcpus[index].posted;
    p->control &= ~ON;
    p->requests[0] = p->requests[1] = p->requests[2] = p->requests[3] = 0;
}

static void test_output_is_told_by_lines(void **state)
{
    static const char text[] = "hello\r\nthere\x1b\n";

    io_host_forget();
    for (const char *c = text; *c != '\0'; c++)
        guest_writes(0x3f8, (u8)*c);
    vm_tick();
    assert_non_null(strstr(io_host_output(), "[guest] hello\r\n[guest] there\\x1b\r\n"));
}

/* The UART's interrupt goes through the I/O APIC to the vCPU that the entry names. */
static void test_input_interrupts(void **state)
{
    static const u64 entry[][2] = {{0x00, 0x19}, {0x10, 0x01000000}, {0x00, 0x18}, {0x10, 0x35}};

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(guest_asks(0, bus(MMIO, 4, 1, IOAPIC + entry[i][0], entry[i][1])), 0);
    guest_writes(0x3fc, 0x0b);
    guest_writes(0x3f9, 0x01);
    assert_false(is_posted(1, 0x35));
    assert_int_equal(guest_console_type("q", 1), 1);
    assert_true(is_posted(1, 0x35));
    assert_false(is_posted(0, 0x35));
    struct guest_action *in = bus(IO, 1, 0, 0x3f8, 0);
    assert_int_equal(guest_asks(0, in), 0);
    assert_int_equal(in->gpr[R11], 'q');
}

static void test_interrupt_commands(void **state)
{
    assert_int_equal(guest_asks(0, vmcall(0, 32, 0x830, 1ull << 32 | 0xfb)), 0);
    assert_true(is_posted(1, 0xfb));
    assert_int_equal(guest_asks(0, vmcall(0, 32, 0x830, 0xc0000 | 0xf0)), 0);
    assert_false(is_posted(0, 0xf0));
    assert_true(is_posted(1, 0xf0));
    assert_int_equal(guest_asks(1, vmcall(0, 32, 0x830, 0x80000 | 0xef)), 0);
    assert_true(is_posted(0, 0xef));
    assert_true(is_posted(1, 0xef));
    forget_posted(0);
    forget_posted(1);
    assert_int_equal(guest_asks(0, vmcall(0, 32, 0x830, 1ull << 32 | 0x500)), 0); /* INIT */
    assert_int_equal(guest_asks(0, vmcall(0, 32, 0x830, 1ull << 32 | 0x600)), 0); /* SIPI */
    assert_int_equal(guest_asks(0, vmcall(0, 32, 0x830, 1ull << 32 | 0x0f)), 0);  /* no vector */
    assert_int_equal(vm.td.vcpus[1].posted->requests[0], 0);
    assert_false(vm.td.vcpus[1].posted->control & ON);
}

/* Before the entry the CPU notifies itself of what was posted outside. */
static void test_posted_interrupts_are_notified(void **state)
{
    u64 sent;

    turns(1);
    cpu_host_set_msr(0x83f, 0);
    interrupt_post(0, 0x50);
    turns(1);
    assert_true(cpu_read_msr(0x83f, &sent));
    assert_int_equal(sent, 0xf1);
}

static void test_halted_vcpu_waits_for_an_interrupt(void **state)
{
    struct guest_action *halt = vmcall(0, HLT, 0, 0);

    guest_push(vcpu(0), halt);
    turns(1);
    u64 exits = vm.td.vcpus[0].exits;
    turns(10);
    assert_int_equal(vm.td.vcpus[0].exits, exits);
    assert_false(halt->done);
    interrupt_post(0, 0x31);
    turns(2);
    assert_true(halt->done);
    assert_int_equal(halt->gpr[R10], 0);
}

#define LONG 1000000000ull /* ticks of the TSC: far more than a test takes */

/* vCPU 0 halts with its interrupts off, and the clock stands for the test's time. */
static struct guest_action *halt_deaf(void)
{
    struct guest_action *halt = vmcall(0, HLT, 1, 0);

    cpu_host_tsc_ahead += LONG;
    guest_push(vcpu(0), halt);
    turns(1);
    cpu_host_tsc_ahead -= LONG;
    return halt;
}

static void test_deaf_halt_waits_for_an_nmi(void **state)
{
    struct guest_action *halt = halt_deaf();

    interrupt_post(0, 0x31);
    turns(10);
    assert_false(halt->done);
    assert_int_equal(guest_asks(1, vmcall(0, 32, 0x830, 0x400)), 0); /* NMI to vCPU 0 */
    turns(4);
    assert_true(halt->done);
}

/* Or for 10 ms, for it may wait for a word in memory. */
static void test_deaf_halt_ends(void **state)
{
    struct guest_action *halt = halt_deaf();

    turns(10);
    assert_false(halt->done);
    cpu_host_tsc_ahead += LONG + 10 * time_tsc_khz();
    turns(2);
    assert_true(halt->done);
}

static void test_timer_wakes(void **state)
{
    struct guest_action *halt = vmcall(0, HLT, 0, 0);

    assert_int_equal(guest_asks(0, vmcall(0, 32, 0x83e, 0xb)), 0);
    assert_int_equal(guest_asks(0, vmcall(0, 32, 0x832, 0xec)), 0);
    assert_int_equal(guest_asks(0, vmcall(0, 32, 0x838, 2500000000u)), 0); /* 100 s of 25 MHz */
    guest_push(vcpu(0), halt);
    turns(10);
    assert_false(halt->done);
    assert_false(is_posted(0, 0xec));
    cpu_host_tsc_ahead += 101000000000; /* of 1 GHz */
    turns(3);
    assert_true(is_posted(0, 0xec));
    assert_true(halt->done);
}

static void test_stop_takes_a_halted_vcpu_out(void **state)
{
    guest_push(vcpu(0), vmcall(0, HLT, 0, 0));
    turns(2);
    good("td stop");
    says(good("td info"), "\"state\":\"stopped\"");
    good("td run");
    interrupt_post(0, 0x31);
    turns(2);
    assert_false(vm.vcpus[0].is_halted);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void test_power_off(void **state)
{
    bad("td wait timeout=0", "the TD is running still after 0 s");
    io_host_forget();
    guest_push(vcpu(0), bus(IO, 1, 1, 0x600, 0x34));
    turns(4);
    assert_non_null(strstr(io_host_output(), "the TD has ended: the guest powered off\r\n"));
    says(good("td wait"), "\"state\":\"ended\"");
    says(good("td info"), "\"end\":\"the guest powered off\"");
    bad("td run", "the guest has ended");
    assert_false(vm_is_at_work());
}

static void test_panic_tells_its_last_words(void **state)
{
    for (const char *c = "[  1.0] Kernel panic - not syncing: no init\nmore\n"; *c != '\0'; c++)
        guest_writes(0x3f8, (u8)*c);
    guest_push(vcpu(0), bus(IO, 1, 1, 0x602, 1));
    turns(4);
    bad("td wait", "the guest reset the machine; its last words: [  1.0] Kernel panic - not syncing: no init");
}

static void test_fatal_error_ends_the_guest(void **state)
{
    struct guest_action *fatal = vmcall(0, 0x10003, 0, 0);
    memcpy(&fatal->gpr[R14], "no SEPT", 8);
    guest_push(vcpu(1), fatal);
    turns(4);
    bad("td wait", "vCPU 1 reports a fatal error, code 0x0: no SEPT");
}

static void test_triple_fault_ends_the_guest(void **state)
{
    guest_push(vcpu(0), action((struct guest_action){.kind = GUEST_EXIT, .reason = 2}));
    turns(4);
    bad("td wait", "vCPU 0 stopped by a triple fault");
}

static void test_access_to_nothing_ends_the_guest(void **state)
{
    guest_push(vcpu(1), write_to(0xfee00000 | SHARED_BIT));
    turns(4);
    bad("td wait", "vCPU 1 went to shared address 0xfee00000, where the TD has no memory and no device");
}

/* What the probe asks for work by is nothing to a Linux, whose vCPUs nobody would set going again. */
static void test_a_linux_gets_no_work(void **state)
{
    assert_int_equal(guest_asks(0, vmcall(PROBE, 1, 0, 0)), INVALID);
    assert_true(vm.vcpus[0].runs);
}

/* A vCPU that stops beside the console is told of, and the others go on. */
static void test_vcpu_that_stops_is_told(void **state)
{
    io_host_forget();
    good("convert 800000 4K shared force");
    guest_push(vcpu(0), write_to(0x800000));
    turns(4);
    vm_tick();
    assert_non_null(strstr(io_host_output(), "vCPU 0 stopped: attr_mismatch"));
    says(good("td info"), "\"vcpu_states\":[\"waiting\",\"working\"]");
}

/* --- a hostile guest ---------------------------------------------------------------------------------------------- */

static u64 any_word(void)
{
    static const u64 edges[] = {0, 1, 2, 4, 8, 0x1000, 0x200000, 0x4000000, 0xfec00000, 0x3f8, 0x600, 0x830, 0x838};
    u64 word = (u64)rand() << 42 ^ (u64)rand() << 21 ^ (u64)rand();

    switch (rand() % 4) {
    case 0:
        return edges[(unsigned)rand() % (sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return word % 0x8000000 & ~0xfffull;
    case 2:
        return word >> rand() % 64 | (rand() & 1 ? SHARED_BIT : 0);
    default:
        return word;
    }
}

/* Any TDVMCALL with anything in its registers, but for ends: the VMM answers each, and what it knows of memory stays true. */
static void test_random_calls(void **state)
{
    static const u64 leafs[] = {10, 12, 30, 31, 32, 48, 54, 65, 0x10000, 0x10001, 0x10002, 0x10004, 0x10005};
    static struct guest_action a;

    srand(4);
    for (unsigned i = 0; i < 20000; i++) {
        a = *vmcall(0, leafs[(unsigned)rand() % 13], any_word(), any_word() >> (rand() & 1 ? 63 : 0));
        action_count--;
        a.gpr[R14] = any_word();
        a.gpr[R15] = rand() & 1 ? 0 : any_word();
        guest_push(vcpu(0), &a);
        for (unsigned turn = 0; !a.done && vm.state == VM_RUNNING; turn++) {
            assert_true(turn < 100);
            interrupt_post(0, 0x40);
            interrupt_nmi(0);
            vm_idle();
            cpu_host_tsc_ahead += 1000;
        }
        if (vm.state != VM_RUNNING) { /* it powered off, or reset */
            good("td destroy");
            assert_int_equal(page_free_bytes(), free_before);
            (void)with_guest(state);
        }
    }
    good("td stop");
    says(good("sept"), "\"agree\":true");
}

int main(void)
{
#define WITH_TD(test)    cmocka_unit_test_setup_teardown(test, with_td, without_td)
#define WITH_GUEST(test) cmocka_unit_test_setup_teardown(test, with_guest, without_td)
    const struct CMUnitTest tests[] = {
        WITH_TD(test_info),
        WITH_TD(test_leafs_that_are_refused),
        WITH_TD(test_cpuid),
        WITH_TD(test_msrs),
        WITH_TD(test_ports),
        WITH_TD(test_memory_of_devices),
        WITH_TD(test_devices_in_a_hole_of_memory),
        WITH_TD(test_quote_is_not_available),
        WITH_TD(test_calls_are_counted),
        WITH_GUEST(test_output_is_told_by_lines),
        WITH_GUEST(test_input_interrupts),
        WITH_GUEST(test_interrupt_commands),
        WITH_GUEST(test_posted_interrupts_are_notified),
        WITH_GUEST(test_halted_vcpu_waits_for_an_interrupt),
        WITH_GUEST(test_deaf_halt_waits_for_an_nmi),
        WITH_GUEST(test_deaf_halt_ends),
        WITH_GUEST(test_timer_wakes),
        WITH_GUEST(test_stop_takes_a_halted_vcpu_out),
        WITH_GUEST(test_power_off),
        WITH_GUEST(test_panic_tells_its_last_words),
        WITH_GUEST(test_fatal_error_ends_the_guest),
        WITH_GUEST(test_triple_fault_ends_the_guest),
        WITH_GUEST(test_access_to_nothing_ends_the_guest),
        WITH_GUEST(test_a_linux_gets_no_work),
        WITH_GUEST(test_vcpu_that_stops_is_told),
        WITH_GUEST(test_random_calls),
    };
    return cmocka_run_group_tests(tests, with_module, NULL);
}
