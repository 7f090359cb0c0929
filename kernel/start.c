/* Start-up, in order: CPU tables, console output, ACPI, page tables, memory, time, interrupts, trace, then the
 * console. */
#include "kernel/start.h"

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "drivers/ioapic.h"
#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/console/command.h"
#include "kernel/console/console.h"
#include "kernel/console/pager.h"
#include "kernel/guard/control.h"
#include "kernel/cpus.h"
#include "kernel/hw/paging.h"
#include "kernel/hw/traps.h"
#include "kernel/hypervisor.h"
#include "kernel/line.h"
#include "kernel/guard/mca.h"
#include "kernel/ram.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "kernel/trace.h"
#include "kernel/guard/trap.h"
#include "kernel/version.h"
#include "kernel/vm/run.h"
#include "kernel/guard/watchdog.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "mm/page.h"

static const struct boot_info *boot;
static struct traps_tables first_tables; /* of CPU 0 */

#define REGISTER_PAGES_MAX (3 + ACPI_IOAPICS_MAX)

/* Pages of registers. */
static unsigned list_registers(hpa_t pages[REGISTER_PAGES_MAX])
{
    unsigned n = 0;

    if (boot->serial.is_mmio)
        pages[n++] = (hpa_t){align_down(boot->serial.base, PAGE_BYTES)};
    if (acpi.hpet.raw != 0)
        pages[n++] = (hpa_t){align_down(acpi.hpet.raw, PAGE_BYTES)};

    if (acpi.lapic.raw != 0)
        pages[n++] = acpi.lapic;
    for (unsigned i = 0; i < acpi.ioapic_count; i++)
        pages[n++] = (hpa_t){align_down(acpi.ioapics[i].base.raw, PAGE_BYTES)};
    return n;
}

static void start_memory(void)
{
    hpa_t registers[REGISTER_PAGES_MAX];
    struct paging_config config = {
        .memory = &boot->map.described,
        .pool = boot->pool,
        .pool_pages = boot->pool_pages,
        .uncached = registers,
        .uncached_count = list_registers(registers),
        .guard = boot->guard,
        .trampoline = boot->trampoline,
    };
    enum err e = paging_init(&config);

    if (e != ERR_OK)
        panic("page tables for %u pieces of memory: %s", boot->map.described.count, err_text(e));
    /* Only now: until here the firmware's page tables lay in memory that is free from here on. */
    ram_start(&boot->map);
}

/* False: it has no interrupt that can be used. */
static bool route_serial(void)
{
    const struct serial_port *p = &boot->serial;
    enum err e = ERR_NOT_FOUND;

    if (p->base != 0 && p->irq_kind == SERIAL_ISA)
        e = ioapic_route_isa(p->irq, APIC_VECTOR_SERIAL, apic_id());
    else if (p->base != 0 && p->irq_kind == SERIAL_GSI)
        e = ioapic_route_gsi(p->irq, APIC_VECTOR_SERIAL, apic_id());
    return e == ERR_OK;
}

static void start_interrupts(void)
{
    enum err e = apic_init();
    bool has_interrupt = e == ERR_OK && route_serial();

    if (e == ERR_OK)
        e = timer_init(has_interrupt ? TIMER_HZ : TIMER_POLL_HZ);
    if (e != ERR_OK)
        panic("no usable local APIC or timer: %s", err_text(e));
    if (has_interrupt)
        serial_interrupts_on();
    else if (boot->serial.base != 0)
        log_msg(LOG_INFO, "the serial line has no interrupt: the timer polls it %u times a second", TIMER_POLL_HZ);
    irq_enable();
}

/* A port that is not below 4 GiB begins with our own page tables; what was said before is lost. */
static void start_line(bool now)
{
    if (now && boot->serial.base != 0)
        (void)serial_init(&boot->serial); /* where it does not answer any more there is nobody to tell */
}

static enum err name_late(enum err e, unsigned cpu)
{
    if (e == ERR_TIMEOUT)
        log_msg(LOG_ERROR, "CPU %u (APIC id %u) does not answer", cpu, cpus_apic_id(cpu));
    return e;
}

static enum err call_each(void (*work)(void *arg), void *arg)
{
    unsigned late = 0;
    enum err e = cpus_call_each(work, arg, &late);

    return name_late(e, late);
}

static enum err call_one(unsigned cpu, void (*work)(void *arg), void *arg)
{
    return name_late(cpus_call(cpu, work, arg), cpu);
}

static void start_cpus(void)
{
    static const struct tdx_cpus cpus = {
        .each = call_each, .one = call_one, .share = cpus_share, .count = cpus_count, .package = cpus_package};

    cpus_start();
    tdx_set_cpus(&cpus);
}

static void banner(void)
{
    char signature[HYPERVISOR_BYTES], size[PRINT_SIZE_BYTES], line[SERIAL_NAME_BYTES];

    print("\nSeptum " SEPTUM_VERSION ", a VMM for Intel TDX: %s free, %u of %u CPU%s, TSC %llu kHz\n",
          print_size(size, page_free_bytes()), cpus_online(), cpus_count(), cpus_count() == 1 ? "" : "s",
          (unsigned long long)time_tsc_khz());
    if (boot->serial.base != 0)
        print("console: %s (by %s)\n", serial_name(&boot->serial, line), boot->serial_by);
    print("hypervisor signature (CPUID 0x40000000): %s\n", hypervisor_signature(signature));
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

static void say_control(void)
{
    char names[CONTROL_NAMES_BYTES];

    if (*control_names(traps_cr4_found(), names) != '\0')
        log_msg(LOG_INFO, "the firmware left on in CR4, and it is turned off:%s", names);
    if (boot->cpuid_was_limited)
        log_msg(LOG_INFO, "the firmware limited CPUID to its first leafs (Limit CPUID Maxval): the limit is taken off");
}

void kernel_start(void *boot_info)
{
    u64 from = cpu_tsc();

    boot = boot_info;
    boot_info_set(boot);
    traps_init(&first_tables);
    start_line(line_is_low(&boot->serial));
    log_set_level(boot->options.log);
    enum err e = acpi_init(boot->rsdp, boot_info_is_described);
    time_init();
    say_control();
    if (e != ERR_OK)
        log_msg(LOG_WARN, "acpi: no usable tables (%s): no power-off, no list of CPUs", err_text(e));
    start_memory();
    start_line(!line_is_low(&boot->serial));
    start_interrupts();
    mca_init();
    start_cpus();
    (void)watchdog_start(run_is_inside);
    if (trace_init() != ERR_OK)
        log_msg(LOG_WARN, "trace: no memory for the ring, nothing will be recorded");
    script_set_files(boot->files, boot->file_count);
    banner();
    pager_set_rows(boot->options.rows);
    time_is_started(from);
    run_boot_script();
    console_run();
}
