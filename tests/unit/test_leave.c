/* The way out (kernel/guard/leave.h): what is done with TDX before a reset, and which ways are tried in which order. */
#include "tests/unit/vm_world.h"

#include "drivers/acpi.h"
#include "kernel/guard/leave.h"
#include "tdx/module_internal.h"

#define LEAF_VP_FLUSH 18
#define BUSY          0x8000020000000000ull /* TDX_OPERAND_BUSY */

#define FIRMWARE 0 /* the port that stands for a call of ResetSystem */

static int fresh(void **state)
{
    tdx_module_forget();
    memset(&vm, 0, sizeof(vm));
    acpi = (struct acpi_info){.has_s5 = true, .pm1a_control = 0x604, .s5_a = 5};
    acpi.reset = (struct acpi_gas){.space = 1, .address = 0xcf9};
    acpi.reset_value = 6;
    boot.reset_system = 0x1000;
    return machine(state);
}

static int with_module(void **state)
{
    int e = fresh(state);
    good("tdx init");
    return e;
}

static void writes_are(const struct io_host_write *want, unsigned count)
{
    assert_int_equal(io_host_write_count, count);
    for (unsigned i = 0; i < count; i++)
        if (io_host_writes[i].port != want[i].port || io_host_writes[i].value != want[i].value)
            fail_msg("write %u: port 0x%x value 0x%x", i, io_host_writes[i].port, io_host_writes[i].value);
}

static void test_order_of_a_reset(void **state)
{
    static const struct io_host_write cold[] = {{FIRMWARE, 0}, {0xcf9, 6}, {0xcf9, 0x0e}, {0x64, 0xfe}};
    static const struct io_host_write warm[] = {{FIRMWARE, 1}, {0xcf9, 6}, {0xcf9, 0x0e}, {0x64, 0xfe}};
    static const struct io_host_write bare[] = {{0xcf9, 0x0e}, {0x64, 0xfe}};

    says(good("reboot"), "\"ok\":true,\"cpus_flushed\":1}");
    writes_are(cold, 4);
    assert_non_null(strstr(io_host_output(), "the platform did not reset"));
    io_host_reset();
    good("reboot warm");
    writes_are(warm, 4);
    io_host_reset();
    acpi.reset.address = 0;
    boot.reset_system = 0;
    good("reboot");
    writes_are(bare, 2);
}

static void test_order_of_a_power_off(void **state)
{
    static const struct io_host_write off[] = {{FIRMWARE, 2}, {0x604, 0x3400 | 0xc3ff}};

    leave_now(LEAVE_OFF);
    writes_are(off, 2);
}

static void test_words(void **state)
{
    bad("reboot now", "reboot takes `warm` and `force`, nothing else");
    bad("reboot warm warm", "reboot takes `warm` and `force`, nothing else");
    assert_int_equal(io_host_write_count, 0);
}

static void test_td_and_caches_first(void **state)
{
    u64 free = page_free_bytes(), flushes = cpu_host_counts.flushed_all;

    good("td create mem=64M");
    says(good("reboot"), "\"td_destroyed\":true,\"cpus_flushed\":1}");
    assert_non_null(
        strstr(io_host_output(), "the TD is torn down, its key is free\r\ncaches written back on 1 CPU\r\n"));
    assert_int_equal(vm.state, VM_NONE);
    assert_int_equal(page_free_bytes(), free);
    assert_true(cpu_host_counts.flushed_all > flushes);
    assert_false(tdx_module_vmx_is_on());
    bad("td create mem=64M", "not initialised");
}

static void test_warm_reset_with_a_module_is_refused(void **state)
{
    bad("reboot warm",
        "no reset: a warm reset keeps memory as it is, and the TDX module's tables (PAMT) are written under its own "
        "key: a plain `reboot` is a cold one; `reboot warm force` does it all the same");
    assert_int_equal(io_host_write_count, 0);
    assert_true(tdx_module_vmx_is_on());
    good("td create mem=64M"); /* nothing was done */
    says(good("reboot warm force"), "\"td_destroyed\":true,\"cpus_flushed\":1}");
    assert_int_equal(io_host_writes[0].port, FIRMWARE);
    assert_int_equal(io_host_writes[0].value, 1); /* EfiResetWarm */
}

/* The module keeps the TD's vCPU: nothing is reset, until it is forced, or the module lets go. */
static void test_td_that_stays(void **state)
{
    struct leave_done done;
    struct fault_text why;

    good("td create mem=64M");
    seamcall_host_inject_times(LEAF_VP_FLUSH, 0, 1000000, BUSY);
    bad("reboot", "no reset: releasing the TD's key: TDH.VP.FLUSH");
    assert_int_equal(io_host_write_count, 0);
    assert_int_not_equal(leave_prepare(LEAVE_OFF, &done, &why), ERR_OK);
    assert_true(done.had_td && !done.td_is_gone && done.cpus == 0);
    good("reboot force");
    assert_int_equal(io_host_writes[0].port, FIRMWARE);
    seamcall_host_inject_none();
    says(good("reboot"), "\"td_destroyed\":true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order_of_a_reset, fresh),
        cmocka_unit_test_setup(test_order_of_a_power_off, fresh),
        cmocka_unit_test_setup(test_words, fresh),
        cmocka_unit_test_setup(test_td_and_caches_first, with_module),
        cmocka_unit_test_setup(test_warm_reset_with_a_module_is_refused, with_module),
        cmocka_unit_test_setup(test_td_that_stays, with_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
