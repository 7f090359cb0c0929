/* All experiments there are: see kernel/experiment/experiment.h. */
#include "kernel/experiment/experiment.h"

/* clang-format off */
const struct experiment *const experiments[] = {
    &experiment_convert,
    &experiment_policies,
    &experiment_latency,
    &experiment_tlb,
    &experiment_dirty,
    &experiment_contention,
    &experiment_fragment,
    &experiment_zerostep,
    &experiment_linux_boot,
    &experiment_linux_policies,
    NULL,
};
/* clang-format on */
