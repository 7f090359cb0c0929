/*
 * panic(): says what broke, prints registers, return addresses as offsets into the image (`+0x1234`, which tools/run
 * turns into names) and the newest trace records, and halts. A panic inside a panic prints one line and halts.
 */
#include "kernel/panic.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "kernel/print.h"
#include "kernel/trace.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"

#define PANIC_TRACE_RECORDS 16
#define PANIC_FRAMES_MAX    24
#define PANIC_TEXT_BYTES    256
#define LINE_BYTES          200

static _Atomic unsigned entered;

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
    print("vector=%llu error=0x%llx rflags=0x%llx cs=0x%llx cr2=0x%llx\n", (unsigned long long)f->vector,
          (unsigned long long)f->error, (unsigned long long)f->rflags, (unsigned long long)f->cs,
          (unsigned long long)cpu_cr2());
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

static void print_record(const struct trace_entry *e, void *arg)
{
    char line[LINE_BYTES];

    (void)arg;
    trace_format(e, line, sizeof(line));
    print("  %llu %s\n", (unsigned long long)e->tsc, line);
}

static void guard(const char *what)
{
    irq_disable();
    if (atomic_fetch_add(&entered, 1) == 0)
        return;
    print("\npanic inside a panic: %s\n", what);
    cpu_halt();
}

static _Noreturn void finish(void)
{
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
    guard(text);
    print("\npanic on CPU %u: %s\nreturn addresses:\n", cpu_index(), text);
    print_frames(cpu_frame_pointer());
    finish();
}

_Noreturn void panic_trap(const struct trap_frame *frame, const char *what)
{
    guard(what);
    print("\npanic on CPU %u: %s\n", cpu_index(), what);
    print_registers(frame);
    print("return addresses:\n");
    print_address(frame->rip);
    print_frames(frame->rbp);
    finish();
}
