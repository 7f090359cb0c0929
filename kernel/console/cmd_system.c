/* Commands about the machine and the console itself: help version mem cpus log script reboot poweroff. */
#include "drivers/acpi.h"
#include "drivers/serial.h"
#include "kernel/console/cmd.h"
#include "kernel/cpus.h"
#include "kernel/hw/traps.h"
#include "kernel/hypervisor.h"
#include "kernel/guard/leave.h"
#include "kernel/log_level.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/console/pager.h"
#include "kernel/console/script.h"
#include "kernel/options.h"
#include "kernel/version.h"
#include "kernel/vm/vm.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/page.h"

#define POWEROFF_STATUS_MAX 255

static bool name_matches(const char *name, const char *first, const char *second)
{
    size_t n = strlen(first);

    if (strncmp(name, first, n) != 0 || (name[n] != '\0' && name[n] != ' '))
        return false;
    return second == NULL || (name[n] == ' ' && strcmp(name + n + 1, second) == 0);
}

static void help_all(struct command_call *c)
{
    for (unsigned i = 0; i < command_count; i++)
        print("  %-14s %s\n", commands[i].name, commands[i].help);
    print("`help CMD` says more. Sizes take K, M, G; addresses are hex; # starts a comment; ^C stops work.\n");
    json_number(reply_ok(c), "commands", command_count);
}

void cmd_help(struct command_call *c)
{
    const char *first = arg_word(c, 0);
    const char *second = arg_word(c, 1);
    unsigned found = 0;

    if (first == NULL) {
        help_all(c);
        return;
    }
    if (strcmp(first, "status") == 0) {
        status_help(c, second);
        return;
    }
    for (unsigned i = 0; i < command_count; i++) {
        if (!name_matches(commands[i].name, first, second))
            continue;
        print("%s %s\n    %s\n", commands[i].name, commands[i].usage, commands[i].help);
        if (commands[i].run == cmd_policy)
            policy_help();
        if (commands[i].run == cmd_experiment)
            experiment_help();
        found++;
    }
    if (found == 0)
        reply_fail(c, "no command '%s%s%s'", first, second != NULL ? " " : "", second != NULL ? second : "");
    else
        json_number(reply_ok(c), "commands", found);
}

void cmd_version(struct command_call *c)
{
    char signature[HYPERVISOR_BYTES];

    hypervisor_signature(signature);
    print("Septum " SEPTUM_VERSION ", hypervisor signature: %s\n", signature);
    struct json *j = reply_ok(c);
    json_text(j, "version", SEPTUM_VERSION);
    json_text(j, "hypervisor", signature);
    json_number(j, "start_ticks", time_start_ticks());
}

static void print_nodes(void)
{
    char total[PRINT_SIZE_BYTES], free[PRINT_SIZE_BYTES];

    for (unsigned n = 0; n < acpi.srat.node_count; n++) {
        struct page_use use = page_use(n);
        print("  node %u (domain %u): %s, of which %s are free, %llu whole 1G blocks\n", n, acpi.srat.domains[n],
              print_size(total, use.total), print_size(free, use.free), (unsigned long long)use.blocks[2]);
    }
}

static void add_nodes(struct json *j)
{
    json_array(j, "nodes");
    for (unsigned n = 0; n < acpi.srat.node_count; n++) {
        struct page_use use = page_use(n);
        json_object(j, NULL);
        json_number(j, "node", n);
        json_number(j, "domain", acpi.srat.domains[n]);
        json_number(j, "total_bytes", use.total);
        json_number(j, "free_bytes", use.free);
        json_number(j, "free_1g", use.blocks[2]);
        json_end_object(j);
    }
    json_end_array(j);
}

void cmd_mem(struct command_call *c)
{
    char total[PRINT_SIZE_BYTES], free[PRINT_SIZE_BYTES];
    static const level_t levels[] = {{0}, {1}, {2}};

    print("%s, of which %s are free\n", print_size(total, page_total_bytes()), print_size(free, page_free_bytes()));
    if (page_lost_bytes() != 0)
        print("  lost: %llu pages, out of use: a cache flush failed, or a machine check named them\n",
              (unsigned long long)page_lost_bytes() / PAGE_BYTES);
    for (unsigned i = 0; i < ARRAY_COUNT(levels); i++)
        print("  whole free blocks of %-3s %llu\n", level_name(levels[i]),
              (unsigned long long)page_free_blocks(levels[i]));
    print_nodes();
    struct json *j = reply_ok(c);
    json_number(j, "total_bytes", page_total_bytes());
    json_number(j, "free_bytes", page_free_bytes());
    json_number(j, "lost_bytes", page_lost_bytes());
    json_object(j, "free_blocks");
    for (unsigned i = 0; i < ARRAY_COUNT(levels); i++)
        json_number(j, level_name(levels[i]), page_free_blocks(levels[i]));
    json_end_object(j);
    add_nodes(j);
}

static const char *cpu_state_text(unsigned cpu)
{
    static const char *const names[] = {"starting", "idle", "working", "failed"};
    return cpu == 0 ? "console" : names[cpus_state(cpu)];
}

static unsigned node_of_cpu(unsigned cpu)
{
    return srat_cpu_node(&acpi.srat, cpus_apic_id(cpu));
}

static void print_cpu(unsigned cpu)
{
    print("  CPU %-3u APIC id %-4u ", cpu, cpus_apic_id(cpu));
    if (acpi.srat.node_count != 0)
        print("node %-2u ", node_of_cpu(cpu));
    print("%s", cpu_state_text(cpu));
    for (unsigned v = 0; vm.state != VM_NONE && v < vm.vcpu_count; v++)
        if (vm.vcpus[v].cpu == cpu)
            print(", vCPU %u", v);
    print("\n");
}

/* Nodes of the CPUs, and CPUs of the vCPUs. */
static void add_places(struct json *j)
{
    json_array(j, "cpu_nodes");
    for (unsigned i = 0; acpi.srat.node_count != 0 && i < cpus_count(); i++)
        json_number(j, NULL, node_of_cpu(i));
    json_end_array(j);
    json_array(j, "vcpu_cpus");
    for (unsigned v = 0; vm.state != VM_NONE && v < vm.vcpu_count; v++)
        json_number(j, NULL, vm.vcpus[v].cpu);
    json_end_array(j);
}

void cmd_cpus(struct command_call *c)
{
    for (unsigned i = 0; i < cpus_count(); i++)
        print_cpu(i);
    struct json *j = reply_ok(c);
    add_places(j);
    json_number(j, "used", cpus_online());
    json_array(j, "apic_ids");
    for (unsigned i = 0; i < cpus_count(); i++)
        json_number(j, NULL, cpus_apic_id(i));
    json_end_array(j);
    json_array(j, "states");
    for (unsigned i = 0; i < cpus_count(); i++)
        json_text(j, NULL, cpu_state_text(i));
    json_end_array(j);
}

void cmd_rows(struct command_call *c)
{
    const char *word = arg_word(c, 0);
    u64 rows = pager_rows();

    if (word != NULL && (!parse_decimal(word, &rows) || !options_are_rows(rows))) {
        reply_fail(c, "'%s' is no number of rows: " OPTIONS_ROWS " are", word);
        return;
    }
    pager_set_rows((unsigned)rows);
    print("%llu rows%s\n", (unsigned long long)rows, rows == 0 ? ": answers come at once" : " a page");
    json_number(reply_ok(c), "rows", rows);
}

void cmd_log(struct command_call *c)
{
    const char *word = arg_word(c, 0);
    enum log_level level;

    if (word != NULL && !log_level_parse(word, &level)) {
        reply_fail(c, "'%s' is no log level: error, warn, info and debug are", word);
        return;
    }
    if (word != NULL)
        log_set_level(level);
    print("log level: %s\n", log_level_name(log_level()));
    json_text(reply_ok(c), "level", log_level_name(log_level()));
}

static void script_list(struct command_call *c)
{
    const struct script_file *f;
    unsigned n = 0;

    for (; (f = script_at(n)) != NULL; n++)
        print("  %-24s %zu bytes\n", f->name, f->bytes);
    if (n == 0)
        print("the boot volume held no scripts\n");
    json_number(reply_ok(c), "scripts", n);
}

void cmd_script(struct command_call *c)
{
    const char *name = arg_word(c, 0);
    unsigned line = 0;

    if (name == NULL) {
        script_list(c);
        return;
    }
    const struct script_file *f = script_find(name);
    if (f == NULL) {
        reply_fail(c, "no script '%s' was on the boot volume; `script` lists those that were", name);
        return;
    }
    switch (script_run(f, &line)) {
    case ERR_OK:
        json_text(reply_ok(c), "name", f->name);
        break;
    case ERR_INTERRUPTED:
        reply_fail(c, "%s: stopped by ^C before line %u", f->name, line);
        break;
    case ERR_STATE:
        reply_fail(c, "%s: scripts nest at most %u deep", f->name, SCRIPT_DEPTH_MAX);
        break;
    default:
        reply_fail(c, "%s: line %u failed", f->name, line);
        break;
    }
}

/* All run when the answer's line is out. */
static void leave(enum leave_how how, const char *failed)
{
    serial_drain();
    leave_now(how);
    print("%s\n", failed);
}

static void reboot_now(void)
{
    leave(LEAVE_COLD, "the platform did not reset");
}

static void reboot_warm_now(void)
{
    leave(LEAVE_WARM, "the platform did not reset");
}

static void power_off_now(void)
{
    leave(LEAVE_OFF, "the platform did not power off");
    cpu_halt();
}

static void say_done(const struct leave_done *done)
{
    if (done->td_is_gone)
        print("the TD is torn down, its key is free\n");
    else if (done->had_td)
        print("the TD is still there\n");
    print("caches written back on %u CPU%s\n", done->cpus, done->cpus == 1 ? "" : "s");
}

static void add_done(struct json *j, const struct leave_done *done)
{
    if (done->had_td)
        json_bool(j, "td_destroyed", done->td_is_gone);
    json_number(j, "cpus_flushed", done->cpus);
}

void cmd_reboot(struct command_call *c)
{
    bool is_warm = false, is_forced = false;
    struct leave_done done;
    struct fault_text why;

    for (unsigned i = 0; i < arg_count(c); i++) {
        is_warm |= strcmp(arg_word(c, i), "warm") == 0;
        is_forced |= strcmp(arg_word(c, i), "force") == 0;
    }
    if (is_warm + is_forced != (int)arg_count(c)) {
        reply_fail(c, "reboot takes `warm` and `force`, nothing else");
        return;
    }
    /* What speaks against a warm reset alone is not asked where it is forced, so that the rest is done. */
    enum err e = leave_prepare(is_warm && !is_forced ? LEAVE_WARM : LEAVE_COLD, &done, &why);
    if (e != ERR_OK && !is_forced) {
        reply_fail(c, "no reset: %s; `reboot %sforce` does it all the same", why.text, is_warm ? "warm " : "");
        return;
    }
    say_done(&done);
    c->afterwards = is_warm ? reboot_warm_now : reboot_now;
    add_done(reply_ok(c), &done);
}

/* Power takes with it whatever could not be left in order. */
void cmd_poweroff(struct command_call *c)
{
    const char *word = arg_word(c, 0);
    u64 status = script_has_failed() ? 1 : 0;
    struct leave_done done;
    struct fault_text why;

    if (word != NULL && (!parse_decimal(word, &status) || status > POWEROFF_STATUS_MAX)) {
        reply_fail(c, "'%s' is no status: 0 to %u are", word, POWEROFF_STATUS_MAX);
        return;
    }
    if (leave_prepare(LEAVE_OFF, &done, &why) != ERR_OK)
        log_msg(LOG_WARN, "poweroff all the same: %s", why.text);
    say_done(&done);
    c->afterwards = power_off_now;
    struct json *j = reply_ok(c);
    json_number(j, "status", status);
    add_done(j, &done);
}
