/* Waiting for the guest's words. See guest_wait.h. */
#include "kernel/console/guest_wait.h"

#include "kernel/console/console.h"
#include "kernel/time.h"
#include "kernel/vm/vm.h"
#include "lib/format.h"
#include "lib/string.h"

bool guest_is_quiet(void)
{
    return vm.state != VM_RUNNING || !vm_is_at_work();
}

const char *guest_why_quiet(void)
{
    for (unsigned i = 0; vm.state != VM_NONE && i < vm.vcpu_count; i++)
        if (vm.vcpus[i].why.text[0] != '\0')
            return vm.vcpus[i].why.text;
    return vm_state_name(vm.state);
}

enum guest_heard guest_wait(struct guest_place *place, const char *text, u64 until)
{
    for (;;) {
        bool quiet = guest_is_quiet(); /* before the look: what it said last counts */
        if (guest_console_find(place, text, strlen(text)))
            return GUEST_HEARD;
        if (quiet)
            return GUEST_QUIET;
        if (console_take_interrupt())
            return GUEST_STOPPED;
        if (time_us() >= until)
            return GUEST_LATE;
        vm_wait();
    }
}

/* The line that it said last, though it may not have ended; of a kernel that gave up, why. */
static const char *last_line(char to[GUEST_LINE_BYTES])
{
    u64 end = guest_console_end();

    if (end == guest_console_begin())
        return "it has said nothing";
    if (guest_is_quiet() && guest_view_panic(to)[0] != '\0')
        return to;
    return guest_view_line(end - 1, to);
}

const char *guest_why_not(enum guest_heard how, const char *text, u64 seconds, char to[GUEST_WHY_BYTES])
{
    char line[GUEST_LINE_BYTES];
    const char *last = last_line(line);

    if (how == GUEST_STOPPED)
        format_to(to, GUEST_WHY_BYTES, "stopped by ^C; the guest's last line: %s", last);
    else if (how == GUEST_QUIET)
        format_to(to, GUEST_WHY_BYTES, "the guest does not run (%s) and did not say '%s'; its last line: %s",
                  guest_why_quiet(), text, last);
    else
        format_to(to, GUEST_WHY_BYTES, "the guest did not say '%s' within %llu s; its last line: %s", text,
                  (unsigned long long)seconds, last);
    return to;
}
