/* Start-up, in order: CPU tables, console output, ACPI, page tables, memory, time, interrupts, trace, then the
 * console. */
#include "kernel/start.h"

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/console/command.h"
#include "kernel/console/console.h"
#include "kernel/hw/paging.h"
#include "kernel/hw/traps.h"
#include "kernel/hypervisor.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "kernel/trace.h"
#include "kernel/trap.h"
#include "kernel/version.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "mm/page.h"

static struct cpu_local locals[1]; /* of the boot processor; more come with SMP */
static const struct boot_info *boot;

static void start_cpu(void)
{
    traps_init();
    locals[0].index = 0;
    cpu_set_local(&locals[0]);
}

static void start_memory(void)
{
    struct paging_config config = {
        .top = boot->memory_top,
        .pool = boot->pool,
        .pool_pages = boot->pool_pages,
        .uncached = acpi.lapic.raw != 0 ? acpi.lapic : HPA_NONE,
        .guard = boot->guard,
    };
    enum err e = paging_init(&config);

    if (e != ERR_OK)
        panic("page tables for 0x%llx bytes of memory: %s", (unsigned long long)boot->memory_top, err_text(e));
    /* Only now: until here the firmware's page tables lay in memory that is free from here on. */
    for (unsigned i = 0; i < boot->memory_count; i++)
        page_add_range(boot->memory[i].base, boot->memory[i].bytes);
}

static void start_interrupts(void)
{
    enum err e = apic_init();

    if (e == ERR_OK) {
        locals[0].apic_id = apic_id();
        e = timer_init();
    }
    if (e != ERR_OK)
        panic("no usable local APIC or timer: %s", err_text(e));
    irq_enable();
}

static void banner(void)
{
    char signature[HYPERVISOR_BYTES], size[PRINT_SIZE_BYTES];

    print("\nSeptum " SEPTUM_VERSION ", a VMM for Intel TDX: %s free, %u CPU%s listed, TSC %llu kHz\n",
          print_size(size, page_free_bytes()), acpi.cpu_count, acpi.cpu_count == 1 ? "" : "s",
          (unsigned long long)time_tsc_khz());
    print("hypervisor signature (CPUID 0x40000000): %s\n", hypervisor_signature(signature));
    if (acpi.cpu_count > 1)
        log_msg(LOG_WARN, "one of %u CPUs is used; the others wait for SMP support", acpi.cpu_count);
    if (boot->tdx_missing != NULL)
        log_msg(LOG_WARN, "no TDX here: %s", boot->tdx_missing);
}

static void run_boot_script(void)
{
    unsigned line;

    if (boot->options.script[0] == '\0')
        return;
    const struct script_file *f = script_find(boot->options.script);
    if (f == NULL) {
        print("error: the script %s is not on the boot volume\n", boot->options.script);
        (void)command_run("poweroff 1", strlen("poweroff 1"), COMMAND_ECHO);
        return;
    }
    enum err e = script_run(f, &line);
    if (e == ERR_OK || e == ERR_INTERRUPTED)
        return;
    print("error: script %s: line %u failed\n", f->name, line);
    (void)command_run("poweroff 1", strlen("poweroff 1"), COMMAND_ECHO);
}

void kernel_start(void *boot_info)
{
    boot = boot_info;
    boot_info_set(boot);
    start_cpu();
    serial_init(SERIAL_COM1);
    log_set_level(boot->options.log);
    enum err e = acpi_init(boot->rsdp);
    time_init();
    if (e != ERR_OK)
        log_msg(LOG_WARN, "acpi: no usable tables (%s): no power-off, no list of CPUs", err_text(e));
    start_memory();
    start_interrupts();
    if (trace_init() != ERR_OK)
        log_msg(LOG_WARN, "trace: no memory for the ring, nothing will be recorded");
    script_set_files(boot->files, boot->file_count);
    banner();
    run_boot_script();
    console_run();
}
