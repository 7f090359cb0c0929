/*
 * Several vCPUs of a hostile guest ask the VMM for anything at once, each on a thread of its own: kernel/vm/ghci/, devices and
 * interrupts between CPUs. Under the thread sanitizer (tsan_ghci_threads) each access that two of them share must be ordered.
 */
#include "tests/unit/vm_world.h"

#include "drivers/apic.h"
#include "kernel/vm/ghci/ghci.h"
#include "kernel/vm/guest_console.h"
#include "kernel/vm/interrupt.h"
#include "tdx/module.h"
#include "tests/host/cpus.h"

#define VCPUS 3u
#define CALLS 3000u
#define BASE  0x800000ull /* of the memory that they convert */

static enum err call_each(void (*work)(void *arg), void *arg)
{
    unsigned late;
    return cpus_call_each(work, arg, &late);
}

static int with_cpus(void **state)
{
    static const struct tdx_cpus all = {
        .each = call_each, .one = cpus_call, .share = cpus_share, .count = cpus_count, .package = cpus_package};
    static const u32 registers[] = {0x808, 0x80f, 0x832, 0x835, 0x836, 0x83f};

    if (machine_of(VCPUS + 1) != 0)
        return -1;
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        cpu_host_set_msr(registers[i], 0);
    cpus_host_start(VCPUS + 1);
    tdx_set_cpus(&all);
    good("tdx init");
    free_before = page_free_bytes();
    cpu_host_set_msr(0x1b, 0xfee00900);
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.ecx = 1u << 5 | 1u << 21, .edx = 1u << 9 | 1u << 12});
    return apic_init() == ERR_OK ? 0 : -1;
}

static int stop_cpus(void **state)
{
    cpus_host_stop();
    return 0;
}

static unsigned any(u64 *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*seed >> 33);
}

/* Leaf, R12 to R15; conversions are of a few pages that all of them want. */
static void fill(struct seamcall_regs *r, u64 *seed)
{
    unsigned n = any(seed), page = any(seed) % 16;
    u64 gpa = BASE + page * 0x1000 + (n & 64 ? SHARED_BIT : 0);

    switch (n % 8) {
    case 0:
        *r = (struct seamcall_regs){.r11 = 30, .r12 = 1, .r13 = 1, .r14 = 0x3f8 + page % 8, .r15 = n >> 8};
        break;
    case 1:
        *r = (struct seamcall_regs){.r11 = 30, .r12 = 1, .r13 = 0, .r14 = 0x3f8 + page % 8};
        break;
    case 2:
        *r = (struct seamcall_regs){
            .r11 = 48, .r12 = 4, .r13 = n >> 8 & 1, .r14 = 0xfec00000 + 16 * (page % 5), .r15 = n >> 9};
        break;
    case 3:
        *r = (struct seamcall_regs){.r11 = 32, .r12 = 0x830, .r13 = n & 128 ? 0x80400 : 0x80000 + n % 256};
        break;
    case 4:
        *r = (struct seamcall_regs){.r11 = 0x10001, .r12 = gpa, .r13 = 0x1000};
        break;
    case 5:
        *r = (struct seamcall_regs){.r11 = 0x10002, .r12 = gpa | SHARED_BIT, .r13 = 0x1000};
        break;
    case 6:
        *r = (struct seamcall_regs){.r11 = 0x10004, .r12 = 32 + page};
        break;
    default:
        *r = (struct seamcall_regs){.r11 = 32, .r12 = 0x838, .r13 = n >> 8};
    }
}

static _Atomic unsigned still_asking;

static void ask(void *arg)
{
    unsigned index = (unsigned)(uintptr_t)arg;
    u64 seed = index + 1;
    struct fault_text why;

    for (unsigned i = 0; i < CALLS; i++) {
        fill(&vm.td.vcpus[index].regs, &seed);
        (void)ghci_vmcall(index, &why);
        (void)interrupt_wakes(&vm.vcpus[index]);
        if (i % 64 == 0)
            interrupt_tick(&vm.vcpus[index]);
    }
    still_asking--;
}

static void all_ask_at_once(void **state)
{
    char said[256];
    struct guest_place place = {.at = 0};
    struct fault_text fault;

    good("td create mem=64M vcpus=3");
    vm.kind = VM_LINUX;
    assert_int_equal(interrupt_init(&fault), ERR_OK);
    vm.state = VM_RUNNING;
    still_asking = VCPUS;
    for (uintptr_t i = 0; i < VCPUS; i++)
        assert_int_equal(cpus_assign((unsigned)i + 1, ask, (void *)i), ERR_OK);
    while (still_asking != 0) { /* beside them the console */
        (void)guest_console_type("x", 1);
        (void)guest_console_read(&place, said, sizeof(said));
        cpu_relax();
    }
    for (unsigned n = 0; ghci_count(n).name != NULL; n++)
        if (strcmp(ghci_count(n).name, "MapGPA") == 0)
            assert_in_range(ghci_count(n).count, CALLS * VCPUS / 10, CALLS * VCPUS);
    vm.kind = VM_PROBE; /* for what the console tells of it */
    says(good("sept"), "\"agree\":true");
    good("td destroy");
    assert_int_equal(page_free_bytes(), free_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_ask_at_once)};
    return cmocka_run_group_tests(tests, with_cpus, stop_cpus);
}
