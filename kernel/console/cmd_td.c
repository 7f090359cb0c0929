/* Commands about the TD's life: td create|run|wait|stop|destroy|info. */
#include "kernel/console/cmd.h"
#include "kernel/console/cmd_memory.h"
#include "kernel/console/cmd_probe.h"
#include "kernel/console/job.h"
#include "kernel/print.h"
#include "kernel/vm/vm.h"
#include "lib/string.h"
#include "mm/page.h"
#include "tdx/abi_td.h"

#define MEMORY_DEFAULT GIB

static void add_linux(struct json *j)
{
    json_text(j, "kernel", vm.linux.kernel->name);
    json_text(j, "version", vm.linux.version);
    json_hex(j, "kernel_gpa", vm.linux.kernel_gpa.raw);
    json_text(j, "accept", vm.linux.accepts_lazily ? "lazy" : "eager");
    if (vm.linux.initrd == NULL)
        return;
    json_text(j, "initrd", vm.linux.initrd->name);
    json_hex(j, "initrd_gpa", vm.linux.initrd_gpa.raw);
}

static void add_node(struct json *j)
{
    json_number(j, "node", vm.node);
    json_number(j, "far_pages", vm_far_pages());
    json_number(j, "far_vcpus", vm.far_vcpus);
}

/* Only those of a debug TD are told to anybody outside. */
static void add_rtmrs(struct json *j)
{
    u8 rtmrs[TD_RTMRS][48];

    if (!(vm.td.attributes & TD_ATTR_DEBUG) || td_read_rtmrs(&vm.td, rtmrs).err != ERR_OK)
        return;
    json_array(j, "rtmrs");
    for (unsigned i = 0; i < TD_RTMRS; i++)
        json_bytes(j, NULL, rtmrs[i], sizeof(rtmrs[i]));
    json_end_array(j);
}

static void add_td(struct json *j)
{
    gpa_t gib;
    bool measured = vm.state != VM_NONE && vm.td.state >= TD_RUNNABLE;

    json_text(j, "state", vm_state_name(vm.state));
    if (vm_end_text() != NULL)
        json_text(j, "end", vm_end_text());
    json_bytes(j, "mrtd", vm.td.mrtd, measured ? sizeof(vm.td.mrtd) : 0);
    json_number(j, "vcpus", vm.state == VM_NONE ? 0 : vm.vcpu_count);
    if (vm.state == VM_NONE)
        return;
    json_number(j, "mem", vm.memory_bytes);
    json_text(j, "level", level_name(vm.level));
    json_text(j, "backing", vm.backing == TDP_INPLACE ? "inplace" : "scatter");
    if (vm.node != PAGE_ANY_NODE)
        add_node(j);
    json_text(j, "plan", goal_name(tdp_choice(vm.tdp).goal));
    json_text(j, "back", level_name(tdp_choice(vm.tdp).back));
    json_hex(j, "payload", vm.payload.raw);
    if (vm.kind == VM_LINUX)
        add_linux(j);
    else
        json_hex(j, "mailboxes", vm.mailboxes.raw);
    if (vm_has_shared_gib(&gib))
        json_hex(j, "shared_gib", gib.raw);
    add_rtmrs(j);
    json_array(j, "vcpu_states");
    for (unsigned i = 0; i < vm.vcpu_count; i++)
        json_text(j, NULL, vm_vcpu_state_name(vm.vcpus[i].state));
    json_end_array(j);
}

static void print_payload(void)
{
    const struct vm_linux *l = &vm.linux;

    if (vm.kind == VM_PROBE) {
        print("  payload 0x%llx, mailboxes 0x%llx, ROM 0x%llx\n", (unsigned long long)vm.payload.raw,
              (unsigned long long)vm.mailboxes.raw, (unsigned long long)vm.rom.raw);
        return;
    }
    print("  Linux %s\n", l->version);
    print("  kernel %s 0x%llx", l->kernel->name, (unsigned long long)l->kernel_gpa.raw);
    if (l->initrd != NULL)
        print(", initrd %s 0x%llx", l->initrd->name, (unsigned long long)l->initrd_gpa.raw);
    print(", shim 0x%llx, ROM 0x%llx\n", (unsigned long long)vm.payload.raw, (unsigned long long)vm.rom.raw);
}

static void print_td(void)
{
    char size[PRINT_SIZE_BYTES];
    gpa_t gib;

    print("TD: %s, %s from 0, %u vCPU%s, KeyID %u, largest page %s\n", vm_state_name(vm.state),
          print_size(size, vm.memory_bytes), vm.vcpu_count, vm.vcpu_count == 1 ? "" : "s", vm.td.hkid.raw,
          level_name(vm.level));
    if (vm_end_text() != NULL)
        print("  %s\n", vm_end_text());
    print_payload();
    if (vm.node != PAGE_ANY_NODE && (vm_far_pages() != 0 || vm.far_vcpus != 0))
        print("  beside node %u: %llu tables and control pages taken, %u of its vCPUs\n", vm.node,
              (unsigned long long)vm_far_pages(), vm.far_vcpus);
    if (vm_has_shared_gib(&gib))
        print("  the GiB at 0x%llx can't become one page: the mailboxes in it are shared\n",
              (unsigned long long)gib.raw);
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        const struct vm_vcpu *v = &vm.vcpus[i];
        bool has_why = v->state == VCPU_WAITS || v->state == VCPU_HALTED;
        print("  vCPU %u: %s%s%s\n", i, vm_vcpu_state_name(v->state), has_why ? ": " : "", has_why ? v->why.text : "");
    }
}

#define PAUSE_MAX 1000000u

/* --- td create --- */

static bool read_linux(struct command_call *c, struct vm_config *config)
{
    config->kernel = arg_key(c, "kernel");
    config->initrd = arg_key(c, "initrd");
    config->command_line = arg_key(c, "cmdline");
    const char *accept = arg_key(c, "accept");
    if (config->kind != VM_LINUX && (config->kernel || config->initrd || config->command_line || accept)) {
        reply_fail(c, "kernel=, initrd=, cmdline= and accept= go with payload=linux");
        return false;
    }
    config->accepts_lazily = accept && strcmp(accept, "lazy") == 0;
    if (!accept || config->accepts_lazily || strcmp(accept, "eager") == 0)
        return true;
    reply_fail(c, "accept=%s: eager or lazy is needed", accept);
    return false;
}

static bool read_words(struct command_call *c, struct vm_config *config)
{
    const char *payload = arg_key(c, "payload");
    const char *level = arg_key(c, "level");
    const char *backing = arg_key(c, "backing");

    if (payload != NULL && strcmp(payload, "probe") != 0 && strcmp(payload, "linux") != 0) {
        reply_fail(c, "payload=%s: probe or linux is needed", payload);
        return false;
    }
    config->kind = payload != NULL && strcmp(payload, "linux") == 0 ? VM_LINUX : VM_PROBE;
    if (!read_linux(c, config))
        return false;
    if (level != NULL && !parse_level(level, &config->level)) {
        reply_fail(c, "level=%s: 4k, 2m or 1g is needed", level);
        return false;
    }
    if (backing != NULL && strcmp(backing, "inplace") != 0 && strcmp(backing, "scatter") != 0) {
        reply_fail(c, "backing=%s: inplace or scatter is needed", backing);
        return false;
    }
    config->backing = backing != NULL && strcmp(backing, "scatter") == 0 ? TDP_SCATTER : TDP_INPLACE;
    return true;
}

void cmd_td_create(struct command_call *c)
{
    struct vm_config config = {.memory_bytes = MEMORY_DEFAULT, .level = LEVEL_1G};
    struct fault_text fault;
    struct tdp_choice choice = {.back = LEVEL_2M};
    u64 vcpus = 1, pause = TDP_PAUSE_DEFAULT, node = PAGE_ANY_NODE;

    if (!arg_key_size(c, "mem", &config.memory_bytes) || !arg_key_number(c, "vcpus", 0, ~0u, &vcpus) ||
        !arg_key_number(c, "pause", 1, PAUSE_MAX, &pause) || !arg_key_bool(c, "debug", &config.debug) ||
        !arg_key_bool(c, "perfmon", &config.perfmon) || !arg_key_number(c, "node", 0, PAGE_NODES_MAX - 1, &node) ||
        !read_words(c, &config) || !arg_choice(c, &choice))
        return;
    config.vcpus = (unsigned)vcpus;
    config.node = (unsigned)node;
    if (vm_create(&config, &fault) != ERR_OK) {
        reply_fail(c, "%s", fault.text);
        return;
    }
    tdp_choose(vm.tdp, choice);
    tdp_set_pause(vm.tdp, pause);
    print_td();
    add_td(reply_ok(c));
}

/* --- the others --- */

/* Work that had stopped on the way (a block by hand, say) and that `td run` brought to its end. */
static void print_finished(void)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        const struct probe_result *r = &vm.vcpus[i].result;
        if (vm.vcpus[i].finished)
            print("  vCPU %u ended its work: %s, %llu bytes, %llu of them wrong\n", i, probe_status_text(r->status),
                  (unsigned long long)r->bytes, (unsigned long long)r->bad_bytes);
    }
}

static void add_finished(struct json *j)
{
    json_array(j, "finished");
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        const struct probe_result *r = &vm.vcpus[i].result;
        if (!vm.vcpus[i].finished)
            continue;
        json_object(j, NULL);
        json_number(j, "vcpu", i);
        json_text(j, "result", probe_status_text(r->status));
        json_number(j, "bytes", r->bytes);
        json_number(j, "bad_bytes", r->bad_bytes);
        json_end_object(j);
    }
    json_end_array(j);
}

void cmd_td_run(struct command_call *c)
{
    struct fault_text fault;

    if (vm_run(&fault) != ERR_OK) {
        add_td(reply_fail(c, "%s", fault.text));
        return;
    }
    print_td();
    print_finished();
    struct json *j = reply_ok(c);
    add_td(j);
    add_finished(j);
}

void cmd_td_stop(struct command_call *c)
{
    if (vm.state != VM_RUNNING && !vm_is_at_work()) {
        reply_fail(c, "the TD is not running; it is %s", vm_state_name(vm.state));
        return;
    }
    struct fault_text fault;
    if (vm_stop(&fault) != ERR_OK) {
        reply_fail(c, "%s", fault.text);
        return;
    }
    print_td();
    add_td(reply_ok(c));
}

#define WAIT_S_MAX 1000000u

void cmd_td_wait(struct command_call *c)
{
    struct fault_text fault;
    u64 seconds = VM_NO_TIMEOUT;

    if (!arg_key_number(c, "timeout", 0, WAIT_S_MAX, &seconds))
        return;
    u64 us = seconds == VM_NO_TIMEOUT ? VM_NO_TIMEOUT : seconds * 1000000;
    add_td(vm_wait_end(us, &fault) == ERR_OK ? reply_ok(c) : reply_fail(c, "%s", fault.text));
}

void cmd_td_destroy(struct command_call *c)
{
    struct fault_text fault;

    if (vm_destroy(&fault) != ERR_OK) {
        reply_fail(c, "%s", fault.text);
        return;
    }
    job_forget_all();
    if (vm.lost_bytes == 0)
        print("the TD is gone; as much memory is free as before it\n");
    else
        print("the TD is gone; lost: %llu pages, out of use for good (`mem`), all others are free as before it\n",
              (unsigned long long)vm.lost_bytes / PAGE_BYTES);
    struct json *j = reply_ok(c);
    json_number(j, "free_bytes_before", vm.free_bytes_before);
    json_number(j, "free_bytes", page_free_bytes());
    json_number(j, "lost_bytes", vm.lost_bytes);
}

void cmd_td_info(struct command_call *c)
{
    if (vm.state == VM_NONE) {
        add_td(reply_fail(c, "there is no TD: `td create` comes first"));
        return;
    }
    print_td();
    add_td(reply_ok(c));
}
