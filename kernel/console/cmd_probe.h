/* Work inside the TD, for commands beside `probe` itself. */
#ifndef KERNEL_CONSOLE_CMD_PROBE_H
#define KERNEL_CONSOLE_CMD_PROBE_H

#include "kernel/console/command.h"
#include "kernel/console/job.h"

/* The payload converts the range (MapGPA, and ACCEPT when it comes back) on vCPU `cpu=N`; answers the command. */
void probe_convert(struct command_call *c, gpa_t gpa, u64 bytes, bool to_shared);

/* "done", "mismatch", ...: a status of the payload (enum probe_status); "unknown" for what is none. */
const char *probe_status_text(u32 status);

/* The answer to work that ended so; members may be added. */
struct json *probe_answer(struct command_call *c, const struct outcome *outcome);

#endif
