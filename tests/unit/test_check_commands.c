/* `tdx check`, a refused `tdx init` and `help status` as the console answers them, over the real tdx/ and module model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/console/command.h"
#include "mm/page.h"
#include "tdx/module_internal.h"
#include "tests/host/cpu.h"
#include "tests/host/cpus.h"
#include "tests/host/io.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

static struct phys_range memory[] = {{{0x100000000}, 0x280000000}};
static struct boot_info boot = {.map.free = {.r = memory, .count = 1, .max = 1}};
static struct plat_info info;

static int machine(void **state)
{
    info = *platform_host_default_info();
    info.lp_count = 1;
    platform_host_start(&info);
    cpu_host_reset();
    seamcall_host_reset();
    tdx_module_forget();
    page_init();
    page_add_range(memory[0].base, memory[0].bytes);
    options_default(&boot.options);
    boot.secure_boot = TDX_SECURE_BOOT_OFF;
    boot_info_set(&boot);
    io_host_reset();
    return serial_init(SERIAL_COM1) ? 0 : -1;
}

static void expect(const char *line, const char *output)
{
    io_host_forget();
    (void)command_run(line, strlen(line), COMMAND_QUIET);
    if (strstr(io_host_output(), output) == NULL)
        fail_msg("'%s' gives '%s'", line, io_host_output());
}

static void the_table_is_printed_and_answered(void **state)
{
    u64 free_bytes = page_free_bytes();
    expect("tdx check", "  ok       vendor           CPUID leaf 0 = GenuineIntel\r\n");
    expect(
        "tdx check",
        "@{\"cmd\":\"tdx check\",\"ok\":true,\"checks\":[{\"name\":\"secure_boot\",\"state\":\"ok\",\"value\":\"UEFI "
        "variable SecureBoot = 0\",\"fix\":\"\"},{\"name\":\"vendor\",\"state\":\"ok\",");
    /* No P-SEAMLDR on this machine; what the module tells comes after its start. */
    expect("tdx check", "\"missing\":1,\"unknown\":2}\r\n");
    cpu_host_set_msr(0x1401, 0xffffe000800);
    expect("tdx check", "  unknown  module           not asked without seamrr_locked\r\n");
    cpu_host_set_msr(0x1401, 0xffffe000c00);
    expect("tdx init", "\"ok\":true");
    expect("tdx check", "  ok       module_version   TDH.SYS.RD: 1.5.01, build 0 of 20230801, features 0xf0fbf\r\n");
    expect("tdx check", "\"missing\":1,\"unknown\":0}\r\n");
    assert_true(page_free_bytes() <= free_bytes);
    free_bytes = page_free_bytes();
    expect("tdx check", "\"ok\":true");
    assert_int_equal(page_free_bytes(), free_bytes);
}

static void a_refused_start_says_why(void **state)
{
    info.refused_cpuid = 1;
    platform_host_set_info(&info);
    expect(
        "tdx init",
        "\"error\":\"the module refuses to start on this platform: TDH.SYS.INIT: TDX_INCORRECT_CPUID_VALUE, "
        "0xc000090000000000: CPUID leaf 0x1 sub-leaf 0x0 on CPU 0, EAX 0x806f8 & 0xffffffff should be 0x806f9: an old "
        "BIOS or microcode: update both\"}");
    info.refused_cpuid = 0;
    platform_host_set_info(&info);
    expect("tdx init", "\"ok\":true");
}

/* Hundreds of them would leave no room for what is wrong. */
static void some_of_many_cpus_that_failed_are_named(void **state)
{
    cpus_host.failed = 500;
    expect("tdx check",
           "ACPI MADT: 501 CPUs, 1 of them started, not CPU 1 (APIC id 1), CPU 2 (APIC id 2), CPU 3 (APIC id 3), "
           "CPU 4 (APIC id 4) and 496 more\r\n");
    seamcall_host_inject(45, 0, 0xc000050c00000000ull);
    expect("tdx init",
           "TDX_SYS_CONFIG_NOT_PENDING, 0xc000050c00000000; CPU 1 (APIC id 1) did not start; CPU 2 (APIC id 2) did not "
           "start; CPU 3 (APIC id 3) did not start; 497 more CPUs of 501 did not start: a CPU of the machine has not "
           "run TDH.SYS.LP.INIT");
    cpus_host.failed = 0;
}

static void an_old_module_is_refused_in_words(void **state)
{
    info.module_minor = 0;
    platform_host_set_info(&info);
    expect("tdx init", "\"error\":\"the TDX module is of generation 1.0: it has no TDH.SYS.RD, so it does not say what "
                       "it offers; update it "
                       "to 1.5 or later: TDH.SYS.RD: TDX_SYS_NOT_READY, 0xc000050500000000\"}");
    expect("tdx check", "  missing  module_version   TDH.SYS.RD: TDX_SYS_NOT_READY (0xc000050500000000)\r\n           "
                        "the TDX module is of "
                        "generation 1.0");
}

static void statuses_are_explained(void **state)
{
    expect("help status 0x8000020000000092",
           "TDX_OPERAND_BUSY, 0x8000020000000092\r\n"
           "    class    0x2, resource busy\r\n"
           "    verdict  REPEAT: Septum repeats the call, a bounded number of times, and counts it in `stats`\r\n"
           "    details  what the call works on: SEPT_TREE\r\n"
           "    another CPU, or the TD itself, has it at the moment\r\n"
           "@{\"cmd\":\"help\",\"ok\":true,\"name\":\"TDX_OPERAND_BUSY\",\"status\":\"0x8000020000000092\",\"class\":"
           "\"resource busy\","
           "\"verdict\":\"REPEAT\",\"details\":\"what the call works on: SEPT_TREE\",\"hint\":\"another CPU, or the TD "
           "itself, has it at "
           "the moment\"}");
    expect("help status operand_busy",
           "\"status\":\"0x8000020000000000\",\"class\":\"resource busy\",\"verdict\":\"REPEAT\",\"details\":\"\"");
    expect("help status bsuy",
           "\"error\":\"'bsuy' is no completion status: a name such as TDX_OPERAND_BUSY is, or a number such as "
           "0x8000020000000092\"");
    expect("help status", "\"ok\":false");
    expect("help help", "\"commands\":1");
}

#define COMMANDS(test) cmocka_unit_test_setup(test, machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMANDS(the_table_is_printed_and_answered),
        COMMANDS(a_refused_start_says_why),
        COMMANDS(some_of_many_cpus_that_failed_are_named),
        COMMANDS(an_old_module_is_refused_in_words),
        COMMANDS(statuses_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
