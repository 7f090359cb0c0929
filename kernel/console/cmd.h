/* The handlers of all commands, kernel/console/cmd_*.c. See kernel/console/command.h. */
#ifndef KERNEL_CONSOLE_CMD_H
#define KERNEL_CONSOLE_CMD_H

#include "kernel/console/command.h"

/* clang-format off */
#define CMD_LIST(X)                                                                                                    \
    X(help)                                                                                                            \
    X(version)                                                                                                         \
    X(mem)                                                                                                             \
    X(cpus)                                                                                                            \
    X(log) X(rows)                                                                                                             \
    X(script)                                                                                                          \
    X(reboot)                                                                                                          \
    X(poweroff) X(trace_on) X(trace_off) X(trace_dump) X(trace_clear) X(tdx_init) X(tdx_info) X(tdx_check) X(td_create)   \
        X(td_run) X(td_wait) X(td_stop) X(td_destroy) X(td_info) X(map) X(convert) X(split) X(merge) X(block) X(unblock) X(relocate) X(walk) \
            X(sept) X(plan) X(stats) X(probe_fill) X(probe_verify) X(probe_accept) X(probe_convert) X(probe_touch)             \
                X(probe_spin) X(jobs) X(wait) X(vcpu_list) X(vcpu_kick) X(policy) X(dirty) X(experiment) X(top) \
                    X(guest) X(guest_send) X(guest_expect) X(guest_log)
/* clang-format on */

#define X(name) void cmd_##name(struct command_call *c);
CMD_LIST(X)
#undef X

/* What `help policy` prints behind the command's own lines. */
void policy_help(void);
/* What `help experiment` does: each experiment with its parameters. */
void experiment_help(void);

/* What `help status NAME|0xNUMBER` does; NULL: neither was given. */
void status_help(struct command_call *c, const char *status);

#endif
