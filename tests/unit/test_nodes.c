/*
 * A TD on one NUMA node (td create node=N): where its vCPUs run, and where its tables and control pages come from, through the
 * console's commands over the real tdx/, mm/ and module model. Of five CPUs the second and third beside the console's are node 1's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/console/command.h"
#include "kernel/vm/vm.h"
#include "mm/page.h"
#include "mm/tdp_internal.h"
#include "tdx/module_internal.h"
#include "tests/host/cpu.h"
#include "tests/host/cpus.h"
#include "tests/host/io.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define M    0x100000ull
#define G    0x40000000ull
#define CPUS 5u

static struct phys_range memory[] = {{{4 * G}, G}, {{8 * G}, 64 * M}};
static struct boot_info boot = {.map.free = {.r = memory, .count = 2, .max = 2}};
static hpa_t hoard[1024];
static unsigned hoarded;

static enum err call_each(void (*what)(void *arg), void *arg)
{
    unsigned late;
    return cpus_call_each(what, arg, &late);
}

static const char *run(const char *line)
{
    io_host_forget();
    (void)command_run(line, strlen(line), COMMAND_QUIET);
    return io_host_output();
}

static void says(const char *line, const char *words)
{
    const char *answer = run(line);
    if (strstr(answer, words) == NULL)
        fail_msg("%s: '%s' is not in %s", line, words, answer);
}

static int machine(void **state)
{
    static const struct tdx_cpus all = {
        .each = call_each, .one = cpus_call, .share = cpus_share, .count = cpus_count, .package = cpus_package};
    struct plat_info info = *platform_host_default_info();

    info.lp_count = CPUS;
    platform_host_start(&info);
    cpu_host_reset();
    seamcall_host_reset();
    tdx_module_forget();
    page_init();
    for (unsigned node = 0; node < 2; node++)
        page_add_range_on(node, memory[node].base, memory[node].bytes);
    acpi.srat = (struct srat){
        .node_count = 2,
        .domains = {10, 20},
        .cpu_count = CPUS,
        .cpus = {{0, 0}, {1, 0}, {2, 1}, {3, 1}, {4, 0}},
    };
    options_default(&boot.options);
    boot_info_set(&boot);
    io_host_reset();
    cpus_host_start(CPUS);
    tdx_set_cpus(&all);
    hoarded = 0;
    if (!serial_init(SERIAL_COM1))
        return -1;
    says("tdx init", "\"ok\":true");
    return 0;
}

static int machine_off(void **state)
{
    if (vm.state != VM_NONE)
        says("td destroy", "\"ok\":true");
    cpus_host_stop();
    return 0;
}

static void test_vcpus_run_on_the_cpus_of_their_node(void **state)
{
    says("td create mem=32M vcpus=2 node=1", "\"node\":1,\"far_pages\":0,\"far_vcpus\":0,");
    assert_null(strstr(io_host_output(), "beside node"));
    says("cpus", "\"cpu_nodes\":[0,0,1,1,0],\"vcpu_cpus\":[2,3]");
    says("cpus", "  CPU 2   APIC id 2    node 1  idle, vCPU 0\r\n");
    assert_int_equal(vm.spare_cpu, 1);
    says("td destroy", "\"ok\":true");
    says("cpus", "\"vcpu_cpus\":[]");
    says("td create mem=64M vcpus=2 node=0", "\"far_vcpus\":0,");
    says("cpus", "\"vcpu_cpus\":[1,4]");
}

static void test_vcpus_beyond_run_elsewhere_and_that_is_said(void **state)
{
    says("td create mem=32M vcpus=4 node=1", "  beside node 1: 0 tables and control pages taken, 2 of its vCPUs\r\n");
    says("td info", "\"far_pages\":0,\"far_vcpus\":2,");
    says("cpus", "\"vcpu_cpus\":[2,3,1,4]");
    assert_int_equal(vm.spare_cpu, 0);
}

static void test_without_a_node_cpus_come_in_order(void **state)
{
    assert_null(strstr(run("td create mem=64M vcpus=3"), "\"node\""));
    says("cpus", "\"vcpu_cpus\":[1,2,3]");
    assert_int_equal(vm.spare_cpu, 4);
}

/* Free pieces of node 0 of 1, 2, 4, 8 and 16 pages, 64 of each, so that the VMM's own memory comes from there. */
static void crumble(void)
{
    hpa_t base;
    assert_int_equal(page_alloc_range_on(0, 16 * M, 256 * 1024, &base), ERR_OK);
    for (unsigned group = 0; group < 64; group++)
        for (unsigned pages = 1; pages <= 16; pages *= 2) {
            unsigned at = group * 64 + (pages == 1 ? 0 : pages);
            page_free_range((hpa_t){base.raw + at * 0x1000}, pages * 0x1000);
        }
}

static unsigned is_far(hpa_t page)
{
    return page.raw < 8 * G;
}

/* Tables of the Secure EPT below the root, which is part of the TDCS. */
static unsigned far_sept(const struct mirror_table *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 512; i++)
        if (mirror_is_table(t->entry[i]))
            n += is_far(mirror_child(t->entry[i])->sept) + far_sept(mirror_child(t->entry[i]));
    return n;
}

/* A table of the shared EPT and those below it: SDM volume 3, bits 2:0 present, 7 a leaf, 51:12 the page. */
static unsigned far_shared(hpa_t table, unsigned level)
{
    const u64 *entries = phys_ptr(table);
    unsigned n = is_far(table);
    for (unsigned i = 0; level > 0 && i < 512; i++)
        if ((entries[i] & 0x87) == 7)
            n += far_shared((hpa_t){entries[i] & 0xffffffffff000}, level - 1);
    return n;
}

static unsigned far_control(void)
{
    unsigned n = is_far(vm.td.tdr);
    for (unsigned i = 0; i < vm.td.tdcx_count; i++)
        n += is_far(vm.td.tdcx[i]);
    for (unsigned v = 0; v < vm.td.vcpu_count; v++) {
        n += is_far(vm.td.vcpus[v].tdvpr);
        for (unsigned i = 0; i < vm.td.vcpus[v].tdcx_count; i++)
            n += is_far(vm.td.vcpus[v].tdcx[i]);
    }
    return n;
}

/* Node 1 has 60 MiB for the TD's memory, and this much beside: enough for control pages, then less and less for tables. */
static void test_tables_come_from_elsewhere_when_the_node_is_full(void **state)
{
    static const struct {
        unsigned left, far;
    } cases[] = {{500, 0}, {22, 4}, {20, 6}, {18, 8}};
    crumble();
    for (unsigned i = 0; i < 4; i++) {
        hpa_t page;
        while (page_alloc_range_on(1, 0x1000, 0x1000, &page) == ERR_OK &&
               page.raw < 8 * G + 4 * M - cases[i].left * 0x1000)
            hoard[hoarded++] = page;
        page_free(page, LEVEL_4K);
        says("td create mem=60M vcpus=1 node=1", "\"ok\":true");
        assert_int_equal(far_sept(vm.tdp->mirror.root) + far_shared(vm.tdp->shared.root, 3), cases[i].far);
        assert_int_equal(far_control(), 0);
        /* One more is taken in case a conversion ends early, and given back. */
        assert_int_equal(vm_far_pages(), cases[i].far + (i != 0));
        says("td destroy", "\"ok\":true");
        while (hoarded)
            page_free(hoard[--hoarded], LEVEL_4K);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vcpus_run_on_the_cpus_of_their_node, machine, machine_off),
        cmocka_unit_test_setup_teardown(test_vcpus_beyond_run_elsewhere_and_that_is_said, machine, machine_off),
        cmocka_unit_test_setup_teardown(test_without_a_node_cpus_come_in_order, machine, machine_off),
        cmocka_unit_test_setup_teardown(test_tables_come_from_elsewhere_when_the_node_is_full, machine, machine_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
