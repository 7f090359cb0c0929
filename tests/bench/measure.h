/*
 * `measure`, the one command that septum-bench.efi adds to Septum: what the platform's parts cost, one row each, as
 * TSC ticks a call. Rounds are interleaved: every round takes one sample of every row, so that a machine that is slow
 * for a while is slow for all rows alike. tests/bench/bench.py forms medians and ratios of them.
 */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include "lib/types.h"

/* Name in the JSON line; what one call of it is. */
/* clang-format off */
#define MEASURE_ROWS(X)                                                            \
    X(rdtsc,          "RDTSC, no exit: the clock itself")                          \
    X(cpuid,          "CPUID, intercepted")                                        \
    X(rdmsr,          "RDMSR of IA32_FEATURE_CONTROL, intercepted")                \
    X(null_seamcall,  "SEAMCALL with a reserved bit set: the null SEAMCALL")       \
    X(sys_rd,         "TDH.SYS.RD")                                                \
    X(sept_rd,        "TDH.MEM.SEPT.RD of a 2M leaf")                              \
    X(vp_enter,       "TDH.VP.ENTER, into the TD and back by TDG.VP.VMCALL")       \
    X(vcpu_enter,     "the same by vcpu_enter(), host MSRs restored")              \
    X(tdcall,         "TDG.MEM.PAGE.ACCEPT of an accepted 4K page: no TD exit")    \
    X(fault_4k,       "ACCEPT of an absent 4K page: TD exit, AUG, ACCEPT")         \
    X(fault_2m,       "the same at 2M")                                            \
    X(block,          "TDH.MEM.RANGE.BLOCK, 2M")                                   \
    X(track,          "TDH.MEM.TRACK")                                             \
    X(unblock,        "TDH.MEM.RANGE.UNBLOCK, 2M")                                 \
    X(demote,         "TDH.MEM.PAGE.DEMOTE, 2M")                                   \
    X(promote,        "TDH.MEM.PAGE.PROMOTE, 2M")                                  \
    X(reset_4k,       "MOVDIR64B reset of a 4K page")                              \
    X(reset_2m,       "MOVDIR64B reset of a 2M page")
/* clang-format on */

enum measure_row {
#define X(name, what) ROW_##name,
    MEASURE_ROWS(X)
#undef X
        ROW_COUNT
};

struct command_call;
void cmd_measure(struct command_call *c);

#endif
