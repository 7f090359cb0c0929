/* Exceptions and interrupts of the VMM's own CPU. See trap.h. SDM vol. 3, table 6-1. */
#include "kernel/guard/trap.h"

#include "drivers/apic.h"
#include "drivers/serial.h"
#include "kernel/console/console.h"
#include "kernel/cpus.h"
#include "kernel/hw/firmware.h"
#include "kernel/guard/leave.h"
#include "kernel/guard/mca.h"
#include "kernel/guard/panic.h"
#include "kernel/guard/watchdog.h"
#include "kernel/timer.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/hw/fixup.h"
#include "lib/trace.h"

#define VECTOR_NMI             2
#define VECTOR_UD              6
#define VECTOR_GP              13
#define VECTOR_MC              18
#define VECTOR_FIRST_INTERRUPT 32

static const char *exception_name(u64 vector)
{
    static const char *const names[VECTOR_FIRST_INTERRUPT] = {
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP", "#SS", "#GP", "#PF", "",
        "#MF", "#AC", "#MC", "#XM", "#VE", "#CP", "",    "",    "",    "", "",    "",    "#HV", "#VC", "#SX", "",
    };
    return vector < VECTOR_FIRST_INTERRUPT ? names[vector] : "";
}

static bool fix_up(struct trap_frame *frame)
{
    u64 resume;

    if (frame->vector != VECTOR_UD && frame->vector != VECTOR_GP)
        return false;
    resume = fixup_find(frame->rip);
    if (resume == 0)
        return false;
    frame->rip = resume;
    frame->rax = frame->vector;
    return true;
}

/* Told by the console later: a message from here could fall into the middle of a line. */
static void note_stranger(const struct trap_frame *frame)
{
    trace_record(TRACE_IRQ, frame->vector, frame->rip, 0, 0);
    console_note_stranger();
    apic_eoi();
}

/* Whatever the firmware does is CPU 0's affair: an NMI or a fault elsewhere is not its end. */
static bool leave_firmware(struct trap_frame *frame)
{
    return cpu_index() == 0 && firmware_give_up(frame);
}

static void interrupt(struct trap_frame *frame)
{
    watchdog_beat();
    switch (frame->vector) {
    case APIC_VECTOR_TIMER:
        serial_poll();
        apic_eoi();
        watchdog_look_at_others();
        if (leave_is_late())
            (void)leave_firmware(frame);
        return;
    case APIC_VECTOR_WATCH:
        apic_eoi();
        watchdog_look_at_first();
        return;
    case APIC_VECTOR_SERIAL:
        serial_poll();
        apic_eoi();
        return;
    case APIC_VECTOR_ALARM:
        apic_eoi();
        if (timer_take_alarm())
            watchdog_look_at_first();
        return;
    case APIC_VECTOR_POSTED: /* outside the TD: vcpu_enter() looks for itself */
        apic_eoi();
        return;
    case APIC_VECTOR_CALL:
        apic_eoi();
        cpus_answer();
        return;
    case APIC_VECTOR_SPURIOUS: /* has no EOI, but an interrupt sent with this vector has, and holds back all others until then */
        if (apic_is_in_service(APIC_VECTOR_SPURIOUS))
            note_stranger(frame);
        return;
    default:
        note_stranger(frame);
        return;
    }
}

/* One that has nothing to do with what this CPU did, or needs nothing done, is left behind: whoever asked for the data that is
 * broken is the VMM itself here. */
static void machine_check(const struct trap_frame *frame)
{
    struct mca_report r = mca_take();
    char text[MCA_TEXT_BYTES], what[MCA_TEXT_BYTES + 64];

    trace_record(TRACE_IRQ, frame->vector, frame->rip, r.status, r.at.raw);
    if (r.verdict <= MCA_SURVIVED && r.can_resume)
        return;
    format_to(what, sizeof(what), "machine check, %s: %s",
              r.verdict == MCA_MEMORY  ? "the VMM's own memory is broken"
              : r.verdict == MCA_FATAL ? "fatal"
                                       : "and what it interrupted cannot go on",
              mca_text(&r, text));
    panic_trap(frame, what);
}

static void nmi(struct trap_frame *frame)
{
    panic_join(frame);
    switch (watchdog_nmi()) {
    case WATCHDOG_FINE:
        return;
    case WATCHDOG_HANGS:
        if (!leave_firmware(frame))
            panic_trap(frame, "this CPU hangs: it has had interrupts off for 10 s");
        return;
    default:
        trace_record(TRACE_IRQ, frame->vector, frame->rip, 0, 0);
        console_note_nmi();
    }
}

void trap_handle(struct trap_frame *frame)
{
    char what[48];

    if (frame->vector >= VECTOR_FIRST_INTERRUPT) {
        interrupt(frame);
        return;
    }
    if (fix_up(frame))
        return;
    if (frame->vector == VECTOR_NMI) {
        nmi(frame);
        return;
    }
    if (leave_firmware(frame))
        return;
    if (frame->vector == VECTOR_MC) {
        machine_check(frame);
        return;
    }
    format_to(what, sizeof(what), "exception %llu %s", (unsigned long long)frame->vector,
              exception_name(frame->vector));
    panic_trap(frame, what);
}
