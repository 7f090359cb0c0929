/*
 * panic(): says what broke, prints registers, return addresses as offsets into the image (`+0x1234`, which tools/run and
 * tools/symbols turn into names), the same of each other CPU, and the newest trace records; halts. A panic inside a panic prints
 * one line and halts; that of another CPU meanwhile is told in the report of the first.
 */
#include "kernel/guard/panic.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "drivers/apic.h"
#include "kernel/cpus.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/trace.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"

#define PANIC_TRACE_RECORDS   32
#define PANIC_FRAMES_MAX      24
#define PANIC_TEXT_BYTES      256
#define LINE_BYTES            200
#define FRAME_ABOVE_STACK_MAX 65536u

#define STOP_WAIT_US 100000

static _Atomic unsigned panicking;                             /* the CPU's index and one */
static _Atomic u64 stopped_at[CPU_COUNT_MAX];                  /* where the other CPUs were; 0: still under way */
static const struct trap_frame *_Atomic frames[CPU_COUNT_MAX]; /* their registers, on the stacks that they stopped on */
static const char *_Atomic said[CPU_COUNT_MAX];                /* what they would have panicked of themselves */

static void print_registers(const struct trap_frame *f)
{
#define ROW(a, b, c, d)                                                                                                \
    print(#a "=%016llx " #b "=%016llx " #c "=%016llx " #d "=%016llx\n", (unsigned long long)f->a,                      \
          (unsigned long long)f->b, (unsigned long long)f->c, (unsigned long long)f->d)
    ROW(rax, rbx, rcx, rdx);
    ROW(rsi, rdi, rbp, rsp);
    ROW(r8, r9, r10, r11);
    ROW(r12, r13, r14, r15);
#undef ROW
    print("vector=%llu error=0x%llx rflags=0x%llx cs=0x%llx", (unsigned long long)f->vector,
          (unsigned long long)f->error, (unsigned long long)f->rflags, (unsigned long long)f->cs);
}

static void print_address(u64 at)
{
    if (at >= image_base() && at < image_base() + image_bytes())
        print("  +0x%llx\n", (unsigned long long)(at - image_base()));
    else
        print("  0x%llx (outside the image)\n", (unsigned long long)at);
}

static void print_frames(u64 rbp)
{
    u64 addresses[PANIC_FRAMES_MAX];
    unsigned n = cpu_backtrace(rbp, addresses, PANIC_FRAMES_MAX);

    for (unsigned i = 0; i < n; i++)
        print_address(addresses[i]);
}

/* Of an exception or NMI: what was a SEAMCALL had the TD's value in RBP, which is no frame of this stack. */
static void print_trap_frames(const struct trap_frame *f)
{
    print_address(f->rip);
    if (f->rbp - f->rsp < FRAME_ABOVE_STACK_MAX)
        print_frames(f->rbp);
}

static void print_record(const struct trace_entry *e, void *arg)
{
    char line[LINE_BYTES];

    (void)arg;
    trace_format(e, line, sizeof(line));
    print("  %llu %s\n", (unsigned long long)e->tsc, line);
}

void panic_join(const struct trap_frame *frame)
{
    if (!panicking)
        return;
    frames[cpu_index()] = frame;
    stopped_at[cpu_index()] = frame->rip;
    cpu_halt();
}

static bool others_stopped(void)
{
    for (unsigned i = 0; i < cpus_count(); i++)
        if (i != cpu_index() && cpus_state(i) != CPU_FAILED && !stopped_at[i])
            return false;
    return true;
}

/* One CPU panics; it stops the others, and one that panics meanwhile joins them. */
static void guard(const char *what, u64 at)
{
    unsigned first = 0, self = cpu_index() + 1;

    irq_disable();
    if (!atomic_compare_exchange_strong(&panicking, &first, self)) {
        if (first != self) {
            said[cpu_index()] = what;
            stopped_at[cpu_index()] = at;
            cpu_halt();
        }
        print_break_lock();
        print("\npanic inside a panic: %s\n", what);
        cpu_halt();
    }
    if (cpus_count() > 1)
        apic_send_nmi_to_others();
    for (u64 from = time_us(); !others_stopped() && time_us() - from < STOP_WAIT_US;)
        cpu_relax();
    print_break_lock();
}

static void print_other(unsigned cpu)
{
    const struct trap_frame *frame = frames[cpu];

    print("CPU %u %s\n", cpu, stopped_at[cpu] ? "was at" : "does not stop");
    if (said[cpu])
        print("  in a panic of its own: %s\n", said[cpu]);
    if (stopped_at[cpu] && !frame)
        print_address(stopped_at[cpu]);
    if (!frame)
        return;
    print_trap_frames(frame);
    print_registers(frame);
    print("\n");
}

static void print_others(void)
{
    for (unsigned i = 0; i < cpus_count(); i++)
        if (i != cpu_index() && cpus_state(i) != CPU_FAILED)
            print_other(i);
}

static _Noreturn void finish(void)
{
    print_others();
    print("newest trace records:\n");
    trace_enable(false);
    (void)trace_each(cpu_index(), PANIC_TRACE_RECORDS, print_record, NULL);
    print("@{\"cmd\":\"panic\",\"ok\":false}\nhalted\n");
    cpu_halt();
}

_Noreturn void panic(const char *fmt, ...)
{
    char text[PANIC_TEXT_BYTES];
    va_list args;

    va_start(args, fmt);
    format_v(text, sizeof(text), fmt, args);
    va_end(args);
    guard(text, (u64)__builtin_return_address(0));
    print("\npanic on CPU %u: %s\nreturn addresses:\n", cpu_index(), text);
    print_frames(cpu_frame_pointer());
    finish();
}

_Noreturn void panic_trap(const struct trap_frame *frame, const char *what)
{
    guard(what, frame->rip);
    print("\npanic on CPU %u: %s\n", cpu_index(), what);
    print_registers(frame);
    print(" cr2=0x%llx\n", (unsigned long long)cpu_cr2());
    print("return addresses:\n");
    print_trap_frames(frame);
    finish();
}
