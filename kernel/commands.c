/* The table of commands: name, usage, help, words behind the name (least, most), keys, handler. */
#include "kernel/cmd.h"

/* clang-format off */
const struct command commands[] = {
    {"help", "[CMD]", "lists the commands, or says more of one", 0, 2, "", cmd_help},
    {"mem", "", "free and total memory of the VMM's allocator", 0, 0, "", cmd_mem},
    {"cpus", "", "the processors that ACPI lists", 0, 0, "", cmd_cpus},
    {"trace on", "", "records events from now on", 0, 0, "", cmd_trace_on},
    {"trace off", "", "stops recording", 0, 0, "", cmd_trace_off},
    {"trace dump", "[count=N]", "prints the newest records, 64 unless told", 0, 0, "count", cmd_trace_dump},
    {"trace clear", "", "forgets all records", 0, 0, "", cmd_trace_clear},
    {"script", "[NAME]", "runs a script of the boot volume, or lists them", 0, 1, "", cmd_script},
    {"log", "[LEVEL]", "shows or sets how much is logged: error, warn, info, debug", 0, 1, "", cmd_log},
    {"version", "", "the version, and the hypervisor's CPUID signature", 0, 0, "", cmd_version},
    {"reboot", "", "resets the machine", 0, 0, "", cmd_reboot},
    {"poweroff", "[STATUS]", "powers off by ACPI; STATUS (0 to 255) is for the tool that started the machine", 0, 1, "", cmd_poweroff},
};
/* clang-format on */

const unsigned command_count = ARRAY_COUNT(commands);
