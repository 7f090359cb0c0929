/*
 * What the tests of jobs stand on: a TD with three vCPUs, each on a CPU of its own that is a thread, beside the console, which is the test's thread.
 * The real kernel/vm/ with its kicks, mm/, tdx/ and the module model; the TD is played by a small payload that does what the
 * real one would answer. Numbers of the GHCI and of the payload's protocol are typed here again.
 */
#ifndef TESTS_UNIT_JOBS_WORLD_H
#define TESTS_UNIT_JOBS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/serial.h"
#include "kernel/boot_info.h"
#include "kernel/console/command.h"
#include "kernel/console/console.h"
#include "kernel/time.h"
#include "kernel/vm/vm.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "mm/page.h"
#include "tdx/module.h"
#include "tests/host/cpu.h"
#include "tests/host/cpus.h"
#include "tests/host/io.h"
#include "tests/host/log.h"
#include "tests/host/platform.h"
#include "tests/host/seamcall.h"

#define GIB_1      0x40000000ull
#define SHARED_BIT (1ull << 47)
#define VCPUS      3u
#define TURNS_MAX  20000000u /* of a wait for another thread: a net */

#define TDCALL_VMCALL 0
#define TDCALL_ACCEPT 6
#define PASS_ALL      0xffccull /* RDX RBX RSI RDI R8..R15 */
#define PROBE         0x65626f7270ull
#define PROBE_ASKS    1ull
#define GHCI_HLT      12ull
#define GHCI_MAP_GPA  0x10001ull
#define GHCI_FATAL    0x10003ull
#define GHCI_AGAIN    1ull

#define REASON_INTR    1u
#define REASON_EPT     48u
#define REASON_TDCALL  77u
#define PROGRESS_BYTES 200u

/* --- the payload -------------------------------------------------------------------------------------------------- */

enum { OP_FILL = 1, OP_VERIFY, OP_ACCEPT, OP_CONVERT, OP_TOUCH, OP_SPIN };
enum { SAYS_DONE = 0, SAYS_ABORTED = 2, SAYS_MAPGPA_FAILED = 4 };

/* SPIN stays inside until it is let go or kicked; CONVERT asks by MapGPA; ACCEPT accepts one 2M page; TOUCH faults once, or as
 * often as the test wants, at one instruction; VERIFY asks for a conversion of what is no memory, once for each page of its
 * range; FILL gives up for good. */
static struct payload {
    struct probe_mailbox *box;
    enum { ASKS, WORKS } at;
    bool flying; /* a TDCALL is under way, at `rip` */
    u64 rip;
    u64 done; /* bytes */
    unsigned faults_left;
    _Atomic bool inside; /* seen spinning */
    _Atomic bool let_go;
    /* What the test wants of it. */
    _Atomic bool never_starts; /* it halts again and again in the place of asking for work */
    _Atomic bool starts_dead;  /* it gives up in the place of asking for work */
    _Atomic bool is_deaf;      /* does not look at its mailbox while it spins */
    unsigned faults;           /* of a TOUCH; 0: one */
} payloads[VCPUS];

static void leave(struct td_vmcs *td, u32 reason, u64 gpa)
{
    td->exit_reason = reason;
    td->qualification = reason == REASON_EPT ? 2 : 0;
    td->guest_physical = gpa;
    td->guest_linear = 0;
    td->exit_intr_info = reason == REASON_INTR ? 0x800000ec : 0;
    td->exit_error_code = td->idt_vectoring_info = td->idt_vectoring_error = td->exit_instr_info = 0;
    td->exit_instr_len = reason == REASON_TDCALL ? 4 : 0;
}

static void tdcall(struct payload *p, struct td_vmcs *td, u64 leaf, u64 rcx)
{
    td->rip += PROGRESS_BYTES;
    p->rip = td->rip;
    p->flying = true;
    td->gpr[RAX] = leaf;
    td->gpr[RCX] = rcx;
    leave(td, REASON_TDCALL, 0);
}

static void vmcall(struct payload *p, struct td_vmcs *td, u64 r10, u64 r11, u64 r12, u64 r13)
{
    td->gpr[R10] = r10;
    td->gpr[R11] = r11;
    td->gpr[R12] = r12;
    td->gpr[R13] = r13;
    tdcall(p, td, TDCALL_VMCALL, PASS_ALL);
}

static void ask(struct payload *p, struct td_vmcs *td)
{
    if (p->starts_dead)
        vmcall(p, td, 0, GHCI_FATAL, 3, 0);
    else if (p->never_starts)
        vmcall(p, td, 0, GHCI_HLT, 0, 0);
    else
        vmcall(p, td, PROBE, PROBE_ASKS, 0, 0);
}

static void finish(struct payload *p, struct td_vmcs *td, u32 status)
{
    p->box->result.status = status;
    p->box->result.bytes = p->done;
    p->at = ASKS;
    p->inside = false;
    ask(p, td);
}

static bool is_aborted(const struct payload *p)
{
    return __atomic_load_n(&p->box->abort, __ATOMIC_RELAXED) != 0;
}

static void spin(struct payload *p, struct td_vmcs *td, unsigned cpu)
{
    p->inside = true;
    while (!p->let_go && (p->is_deaf || !is_aborted(p))) {
        if (cpus_host_take_kick(cpu)) {
            td->rip += PROGRESS_BYTES;
            leave(td, REASON_INTR, 0);
            return;
        }
        cpu_relax();
    }
    p->let_go = false;
    finish(p, td, is_aborted(p) ? SAYS_ABORTED : SAYS_DONE);
}

/* What a TDCALL of the work was answered with. MapGPA: SUCCESS, or RETRY from where R11 says. */
static void take_answer(struct payload *p, const struct td_vmcs *td)
{
    const struct probe_work *w = &p->box->work;

    if (w->op == OP_CONVERT)
        p->done = td->gpr[R10] == 0 ? w->len : (td->gpr[R11] & ~SHARED_BIT) - w->gpa;
    else if (w->op == OP_VERIFY)
        p->done += td->gpr[R10] != 0 ? 0x1000 : 0;
    else if (w->op == OP_ACCEPT)
        p->done = td->gpr[RAX] == 0 ? w->len : 0;
}

static void convert(struct payload *p, struct td_vmcs *td)
{
    const struct probe_work *w = &p->box->work;

    if (p->done == w->len)
        finish(p, td, SAYS_DONE);
    else
        vmcall(p, td, 0, GHCI_MAP_GPA, (w->gpa + p->done) | (w->to_shared ? SHARED_BIT : 0), w->len - p->done);
}

static void touch(struct payload *p, struct td_vmcs *td)
{
    if (p->faults_left == 0) {
        finish(p, td, SAYS_DONE);
        return;
    }
    if (p->faults_left-- == (p->faults ? p->faults : 1))
        td->rip += PROGRESS_BYTES;
    leave(td, REASON_EPT, p->box->work.gpa);
    td->qualification = p->box->work.write ? 2 : 1;
}

static void work(struct payload *p, struct td_vmcs *td, unsigned cpu)
{
    if (is_aborted(p) && !p->is_deaf) {
        finish(p, td, SAYS_ABORTED);
        return;
    }
    switch (p->box->work.op) {
    case OP_SPIN:
        spin(p, td, cpu);
        break;
    case OP_CONVERT:
        convert(p, td);
        break;
    case OP_TOUCH:
        touch(p, td);
        break;
    case OP_ACCEPT:
        if (p->done)
            finish(p, td, SAYS_DONE);
        else
            tdcall(p, td, TDCALL_ACCEPT, p->box->work.gpa | 1);
        break;
    case OP_VERIFY:
        if (p->done == p->box->work.len)
            finish(p, td, SAYS_DONE);
        else
            vmcall(p, td, 0, GHCI_MAP_GPA, 0x4000000 + p->done, 0x1000);
        break;
    default:
        vmcall(p, td, 0, GHCI_FATAL, 3, 0);
        break;
    }
}

/* The TD runs on the calling thread until it leaves. */
static void run_payload(struct seam_lp *lp)
{
    struct payload *p = &payloads[lp->index - 1];
    struct td_vmcs *td = lp->td;

    td->entry_intr_info = 0;
    guest_enter_long_mode(td);
    if (p->flying && td->rip == p->rip) { /* executed again */
        leave(td, REASON_TDCALL, 0);
        return;
    }
    if (p->flying && p->at == WORKS) {
        take_answer(p, td);
    } else if (p->flying && p->at == ASKS && !p->never_starts) {
        p->at = WORKS;
        p->done = 0;
        p->faults_left = p->faults ? p->faults : 1;
    }
    p->flying = false;
    if (p->at == ASKS)
        ask(p, td);
    else
        work(p, td, lp->index);
}

/* --- the machine and its console ---------------------------------------------------------------------------------- */

static struct phys_range memory[] = {{{4 * GIB_1}, 10 * GIB_1}};
static struct boot_info boot = {.map.free = {.r = memory, .count = 1, .max = 1}};
static u64 free_before;

static enum err call_each(void (*what)(void *arg), void *arg)
{
    unsigned late;
    return cpus_call_each(what, arg, &late);
}

/* Threads of a loaded machine wait long for their turn, so the kernel's seconds take about forty of ours; where a test is
 * about them, a tenth of one. */
static void set_clock(bool is_slow)
{
    cpu_host_set_cpuid(0x15, 0, (struct cpuid_regs){1, is_slow ? 4000 : 10, 25000000, 0});
    time_init();
}

static int machine(void **state)
{
    static const struct tdx_cpus all = {
        .each = call_each, .one = cpus_call, .share = cpus_share, .count = cpus_count, .package = cpus_package};
    struct plat_info info = *platform_host_default_info();

    info.lp_count = VCPUS + 1;
    platform_host_start(&info);
    platform_host_knobs.cpuid[0] = (struct platform_host_cpuid){.leaf = 0xd, .regs = {7, 0x340, 0x340, 0}};
    platform_host_knobs.cpuid_rows = 1;
    cpu_host_reset();
    seamcall_host_reset();
    set_clock(true);
    page_init();
    page_add_range(memory[0].base, memory[0].bytes);
    options_default(&boot.options);
    boot_info_set(&boot);
    io_host_reset();
    cpus_host_start(VCPUS + 1);
    tdx_set_cpus(&all);
    return serial_init(SERIAL_COM1) ? 0 : -1;
}

static int machine_off(void **state)
{
    cpus_host_stop();
    return 0;
}

/* Runs one command; its last `@` line. */
static const char *run(const char *line)
{
    io_host_forget();
    (void)command_run(line, strlen(line), COMMAND_QUIET);
    const char *at = strstr(io_host_output(), "@{"), *next;
    assert_non_null(at);
    while ((next = strstr(at + 1, "\n@{")) != NULL)
        at = next + 1;
    return at;
}

static const char *good(const char *line)
{
    const char *answer = run(line);
    if (strstr(answer, "\"ok\":true") == NULL)
        fail_msg("%s: %s", line, io_host_output());
    return answer;
}

static void bad(const char *line, const char *words)
{
    const char *answer = run(line);
    const char *error = strstr(answer, "\"ok\":false,\"error\":\"");
    if (error == NULL || strstr(error, words) == NULL)
        fail_msg("%s, where '%s' was expected: %s", line, words, io_host_output());
}

/* All that was printed since the command, other lines than its last included. */
static void said(const char *words)
{
    if (strstr(io_host_output(), words) == NULL)
        fail_msg("'%s' is not in %s", words, io_host_output());
}

static void wait_for(const _Atomic bool *flag)
{
    for (unsigned turns = 0; !*flag; turns++) {
        assert_true(turns < TURNS_MAX);
        cpu_relax();
    }
}

static void wait_for_end(unsigned vcpu)
{
    for (unsigned turns = 0; vm.vcpus[vcpu].runs; turns++) {
        assert_true(turns < TURNS_MAX);
        cpu_relax();
    }
}

static void spin_on(unsigned vcpu)
{
    char line[64];

    snprintf(line, sizeof(line), "probe spin 1000 cpu=%u &", vcpu);
    good(line);
    wait_for(&payloads[vcpu].inside);
}

static void create(void)
{
    good("td create mem=64M vcpus=3");
    for (unsigned i = 0; i < VCPUS; i++)
        payloads[i].box = tdp_shared_ptr(vm.tdp, (gpa_t){vm.mailboxes.raw + i * 0x1000});
}

static int with_td(void **state)
{
    memset(payloads, 0, sizeof(payloads));
    cpus_host.unkickable = 0;
    guest_program = run_payload;
    if (!tdx_module.ready)
        good("tdx init");
    free_before = page_free_bytes();
    create();
    return 0;
}

static int with_running_td(void **state)
{
    (void)with_td(state);
    good("td run");
    return 0;
}

static int without_td(void **state)
{
    if (vm.state != VM_NONE)
        good("td destroy");
    seamcall_host_watch = NULL;
    assert_int_equal(page_free_bytes(), free_before);
    return 0;
}

#endif
