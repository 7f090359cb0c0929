/* The commands of septum-bench.efi: those of Septum's that a measurement needs, and `measure`. */
#include "kernel/console/cmd.h"
#include "tests/bench/measure.h"

/* clang-format off */
const struct command commands[] = {
    {"tdx init", "", "initialises the TDX module", 0, 0, "", cmd_tdx_init},
    {"td create", "[mem=SIZE]", "creates the TD", 0, 0, "mem vcpus payload level backing debug", cmd_td_create},
    {"td run", "", "runs the vCPU until it asks for work", 0, 0, "", cmd_td_run},
    {"td destroy", "", "tears the TD down", 0, 0, "", cmd_td_destroy},
    {"probe accept", "GPA LEN 4k|2m", "accepts private memory", 3, 3, "cpu", cmd_probe_accept},
    {"measure", "[rounds=N]", "what calls cost; of a TD that runs and has no memory mapped yet", 0, 0, "rounds",
     cmd_measure},
    {"poweroff", "[STATUS]", "powers off", 0, 1, "", cmd_poweroff},
};
/* clang-format on */

const unsigned command_count = ARRAY_COUNT(commands);
