/*
 * What the tests of the TD's life stand on: the console's commands over the real tdx/, mm/ and module model, on one CPU. What
 * the TD does is scripted, TDCALL by TDCALL. Numbers of the GHCI and of the payload's protocol are typed here again.
 */
#ifndef TESTS_UNIT_VM_WORLD_H
#define TESTS_UNIT_VM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/console/command.h"
#include "kernel/vm/vm.h"
#include "mm/page.h"
#include "tests/host/cpu.h"
#include "tests/host/io.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define GIB_1      0x40000000ull
#define SHARED_BIT (1ull << 47)

#define TDCALL_VMCALL 0
#define TDCALL_ACCEPT 6
#define PASS_ALL      0xffccull /* RDX RBX RSI RDI R8..R15 */

#define PROBE      0x65626f7270ull
#define PROBE_ASKS 1ull

/* --- the machine and its console --- */

static struct phys_range memory[] = {{{4 * GIB_1}, 10 * GIB_1}};
static struct boot_info boot = {.map.free = {.r = memory, .count = 1, .max = 1}};
static u64 free_before;

static inline int machine_of(unsigned cpus)
{
    struct plat_info info = *platform_host_default_info();
    info.lp_count = cpus;
    platform_host_start(&info);
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){.leaf = 0xd, .regs = {7, 0x340, 0x340, 0}};
    platform_host_knobs.cpuid_rows = 1;
    cpu_host_reset();
    seamcall_host_reset();
    page_init();
    page_add_range(memory[0].base, memory[0].bytes);
    options_default(&boot.options);
    boot_info_set(&boot);
    io_host_reset();
    return serial_init(SERIAL_COM1) ? 0 : -1;
}

static inline int machine(void **state)
{
    return machine_of(1);
}

/* Runs one command; its `@` line. */
static inline const char *run(const char *line)
{
    io_host_forget();
    (void)command_run(line, strlen(line), COMMAND_QUIET);
    const char *at = strstr(io_host_output(), "@{");
    assert_non_null(at);
    return at;
}

static inline const char *good(const char *line)
{
    const char *answer = run(line);
    if (strstr(answer, "\"ok\":true") == NULL)
        fail_msg("%s: %s", line, io_host_output());
    return answer;
}

/* The command fails and its error holds `words`. */
static inline void bad(const char *line, const char *words)
{
    const char *answer = run(line);
    const char *error = strstr(answer, "\"ok\":false,\"error\":\"");
    if (error == NULL || strstr(error, words) == NULL)
        fail_msg("%s, where '%s' was expected: %s", line, words, io_host_output());
}

static inline void says(const char *answer, const char *words)
{
    if (strstr(answer, words) == NULL)
        fail_msg("'%s' is not in %s", words, answer);
}

/* --- the TD --- */

static inline u64 vcpu(unsigned index)
{
    return vm.td.vcpus[index].tdvpr.raw;
}

/* Actions outlive their tests: one that left a TD for good is looked at again when another TD's vCPU gets the same
 * page. */
static struct guest_action actions[512];
static unsigned action_count;

static inline struct guest_action *action(struct guest_action a)
{
    assert_true(action_count < sizeof(actions) / sizeof(actions[0]));
    actions[action_count] = a;
    return &actions[action_count++];
}

static inline struct guest_action *vmcall(u64 r10, u64 r11, u64 r12, u64 r13)
{
    struct guest_action *a = action((struct guest_action){.kind = GUEST_TDCALL});
    a->gpr[RAX] = TDCALL_VMCALL;
    a->gpr[RCX] = PASS_ALL;
    a->gpr[R10] = r10;
    a->gpr[R11] = r11;
    a->gpr[R12] = r12;
    a->gpr[R13] = r13;
    return a;
}

static inline struct guest_action *accept_2m(u64 gpa)
{
    struct guest_action *a = action((struct guest_action){.kind = GUEST_TDCALL});
    a->gpr[RAX] = TDCALL_ACCEPT;
    a->gpr[RCX] = gpa | 1;
    return a;
}

static inline struct guest_action *write_to(u64 gpa)
{
    return action((struct guest_action){.kind = GUEST_EPT_VIOLATION, .gpa = gpa, .qualification = 2});
}

/* The payload on vCPU 0 asks for work. */
static inline void push_idle(void)
{
    guest_push(vcpu(0), vmcall(PROBE, PROBE_ASKS, 0, 0));
}

static inline int with_td(void **state)
{
    free_before = page_free_bytes();
    good("td create mem=64M");
    push_idle();
    good("td run");
    return 0;
}

static inline int without_td(void **state)
{
    seamcall_host_watch = NULL;
    if (vm.state != VM_NONE)
        good("td destroy");
    assert_int_equal(page_free_bytes(), free_before);
    return 0;
}

#endif
