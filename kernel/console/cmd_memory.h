/* What commands about the TD's memory have in common with those about its life. */
#ifndef KERNEL_CONSOLE_CMD_MEMORY_H
#define KERNEL_CONSOLE_CMD_MEMORY_H

#include "kernel/console/command.h"
#include "mm/tdp.h"

/* The keys `plan=calls|time` and `back=4k|2m`; what is not given stays. False: wrong, and the command is answered. */
bool arg_choice(struct command_call *c, struct tdp_choice *choice);
const char *goal_name(enum tdp_goal goal);

#endif
