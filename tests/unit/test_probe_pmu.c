/*
 * The payload counts TLB misses by the performance counters of its vCPU: which it takes, when, for what work. Numbers of MSRs, events
 * and unit masks are typed here again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/hw/td.h"
#include "guest/probe/pmu.h"
#include "guest/probe/work.h"

#define PAGE 4096u

static struct {
    uint32_t cpuid_a;                 /* EAX of CPUID leaf 0AH */
    uint64_t selects[8], counters[8]; /* IA32_PERFEVTSELx, IA32_A_PMCx */
    uint64_t global;                  /* IA32_PERF_GLOBAL_CTRL */
    unsigned writes;
    uint64_t tsc;
} cpu;

static uint8_t memory[PAGE];
static struct probe_td td;
static struct probe_vcpu vcpu;
static struct probe_mailbox mailbox;

/* --- the CPU ------------------------------------------------------------------------------------------------------ */

void td_cpuid(uint32_t leaf, uint32_t regs[4])
{
    assert_int_equal(leaf, 0xa);
    regs[0] = cpu.cpuid_a;
    regs[1] = regs[2] = regs[3] = 0;
}

uint64_t td_read_msr(uint32_t msr)
{
    assert_in_range(msr, 0x4c1, 0x4c8);
    return cpu.counters[msr - 0x4c1];
}

/* Each time that counter n is stopped it has had 100 (n + 1) events. */
static void set_global(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        cpu.counters[i] += cpu.global >> i & 1 ? 100 * (i + 1) : 0;
    }
    cpu.global = value;
}

void td_write_msr(uint32_t msr, uint64_t value)
{
    cpu.writes++;
    if (msr == 0x38f) {
        set_global(value);
    } else if (msr >= 0x186 && msr <= 0x18d) {
        cpu.selects[msr - 0x186] = value;
    } else {
        assert_in_range(msr, 0x4c1, 0x4c8);
        cpu.counters[msr - 0x4c1] = value;
    }
}

uint64_t td_read_tsc(void)
{
    return cpu.tsc += 10;
}

void td_pause(void) {}

void *td_reach(uintptr_t address, uint64_t bytes, bool write)
{
    return (void *)address;
}

void tdcall(struct td_regs *regs)
{
    fail();
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static int fresh(void **state)
{
    memset(&cpu, 0, sizeof(cpu));
    memset(&mailbox, 0, sizeof(mailbox));
    td = (struct probe_td){.private_window = (uintptr_t)memory, .memory = {0, PAGE}};
    vcpu = (struct probe_vcpu){.td = &td, .mailbox = &mailbox, .has_pmu = true};
    return 0;
}

static const struct probe_result *work(struct probe_work w)
{
    mailbox.work = w;
    memset((void *)&mailbox.result, 0xa5, sizeof(mailbox.result));
    probe_work_do(&vcpu);
    return (const struct probe_result *)&mailbox.result;
}

static void test_pmu_is_looked_for(void **state)
{
    static const struct {
        uint32_t eax;
        bool is_there;
    } table[] = {{0, false}, {0x08300805, true}, {0x00300402, true}, {0x00300401, false}, {0x00300302, false}};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        cpu.cpuid_a = table[i].eax;
        assert_int_equal(probe_pmu_is_there(), table[i].is_there);
    }
}

/* Work on memory is counted, loads by one event and stores by the other, each unit mask by a counter of its own. */
static void test_walks_are_counted(void **state)
{
    static const struct {
        uint32_t op, write;
        uint64_t event;
    } table[] = {{PROBE_FILL, 0, 0x13}, {PROBE_VERIFY, 0, 0x12}, {PROBE_TOUCH, 0, 0x12}, {PROBE_TOUCH, 1, 0x13}};
    static const uint64_t umasks[] = {0x02, 0x04, 0x08, 0x10};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct probe_result *r = work((struct probe_work){
            .op = table[i].op, .gpa = 0, .len = PAGE, .stride = 8, .write = table[i].write, .seed = 1});
        assert_int_equal(r->status, PROBE_OK);
        assert_int_equal(r->counted, 1);
        assert_int_equal(r->walks[0], 100);
        assert_int_equal(r->walks[1], 200);
        assert_int_equal(r->walks[2], 300);
        assert_int_equal(r->walk_cycles, 400);
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(cpu.selects[k], 0x420000 | umasks[k] << 8 | table[i].event); /* enabled, in the kernel */
        }
        assert_int_equal(cpu.global, 0);
    }
}

static void test_what_is_not_counted(void **state)
{
    const struct probe_result *r = work((struct probe_work){.op = PROBE_SPIN, .milliseconds = 1, .tsc_khz = 10});

    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->counted, 0);
    r = work((struct probe_work){.op = PROBE_FILL, .gpa = 0, .len = 2 * PAGE});
    assert_int_equal(r->status, PROBE_BAD_WORK);
    assert_int_equal(r->counted, 0);
    vcpu.has_pmu = false;
    r = work((struct probe_work){.op = PROBE_FILL, .gpa = 0, .len = PAGE, .seed = 1});
    assert_int_equal(r->status, PROBE_OK);
    assert_int_equal(r->counted, 0);
    assert_int_equal(r->walks[0] | r->walks[1] | r->walks[2] | r->walk_cycles, 0);
    assert_int_equal(cpu.writes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pmu_is_looked_for, fresh),
        cmocka_unit_test_setup(test_walks_are_counted, fresh),
        cmocka_unit_test_setup(test_what_is_not_counted, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
