/* Messages on the 16550 at 3F8h, polled. The line may be slow; one that takes nothing for long is not waited for again. */
#include "sim/machine/log.h"
#include "sim/machine/cpu.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/lock.h"
#include "sim/format.h"

#define COM1           0x3f8
#define LINE_STATUS    (COM1 + 5)
#define TRANSMIT_EMPTY 0x20
#define PATIENCE       (1ull << 36) /* TSC ticks: 11 to 70 s at 6 to 1 GHz */

static struct lock line_lock; /* a line is whole, whatever other CPUs have to say */
static bool guest_runs;       /* constant after start */
static bool line_is_dead;     /* under the lock */

void sim_log_guest_runs(void)
{
    guest_runs = true;
}

static void put(char c)
{
    u64 from = cpu_rdtsc();
    bool is_ready;

    while (!(is_ready = cpu_in8(LINE_STATUS) & TRANSMIT_EMPTY) && !line_is_dead && cpu_rdtsc() - from < PATIENCE)
        ;
    line_is_dead = !is_ready;
    if (is_ready)
        cpu_out8(COM1, (u8)c);
}

static void put_text(const char *text)
{
    for (; *text; text++)
        put(*text);
}

static void put_line(const char *format, va_list args)
{
    char line[256];
    sim_vformat(line, sizeof(line), format, args);
    lock_take(&line_lock);
    put_text(guest_runs ? "\r\nsimtdx: " : "simtdx: ");
    put_text(line);
    put_text("\r\n");
    lock_give(&line_lock);
}

void sim_log(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_line(format, args);
    va_end(args);
}

_Noreturn void sim_stop(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_line(format, args);
    va_end(args);
    if (guest_runs) {
        const struct vmcb *v = cpu_this()->vmm;
        sim_log("the VMM was at %llx, stack %llx, CR3 %llx, CR0 %llx, CR4 %llx, exit %llx (%llx, %llx)",
                (unsigned long long)v->rip, (unsigned long long)v->rsp, (unsigned long long)v->cr3,
                (unsigned long long)v->cr0, (unsigned long long)v->cr4, (unsigned long long)v->exit_code,
                (unsigned long long)v->exit_info_1, (unsigned long long)v->exit_info_2);
    }
    sim_log("stopped");
    cpu_out16(0x604, 0x2000); /* QEMU q35: PM1a control, sleep type 0 (S5) and enable */
    cpu_halt_forever();
}
