/* See uncounted.h. */
#include "tests/bench/uncounted.h"

#include "mm/hold.h"
#include "tdx/hw/seamcall.h"

bool uncounted_apart;

#define UNCOUNTED(result, name, parameters, arguments)                                                                 \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    static __attribute__((noinline)) result uncounted_##name parameters                                                \
    {                                                                                                                  \
        return __real_##name arguments;                                                                                \
    }                                                                                                                  \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        return uncounted_apart ? uncounted_##name arguments : __real_##name arguments;                                 \
    }
UNCOUNTED(enum seamcall_fault, seamcall, (struct seamcall_regs * regs), (regs))
UNCOUNTED(enum err, hold_kick, (struct td * td, u64 *ipis), (td, ipis))
UNCOUNTED(enum err, hold_begin, (struct td * td, u64 *ipis), (td, ipis))

/* Functions without a result: the same. */
#define UNCOUNTED_VOID(name, parameters, arguments)                                                                    \
    void __real_##name parameters;                                                                                     \
    void __wrap_##name parameters;                                                                                     \
    static __attribute__((noinline)) void uncounted_##name parameters                                                  \
    {                                                                                                                  \
        __real_##name arguments;                                                                                       \
    }                                                                                                                  \
    void __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        if (uncounted_apart)                                                                                           \
            uncounted_##name arguments;                                                                                \
        else                                                                                                           \
            __real_##name arguments;                                                                                   \
    }
UNCOUNTED_VOID(cpu_reset_pages, (hpa_t page, u64 bytes), (page, bytes))
UNCOUNTED_VOID(hold_end, (struct td * td), (td))

const uintptr_t uncounted_entries[UNCOUNTED_FUNCTIONS] = {
    (uintptr_t)uncounted_seamcall, (uintptr_t)uncounted_hold_kick,       (uintptr_t)uncounted_hold_begin,
    (uintptr_t)uncounted_hold_end, (uintptr_t)uncounted_cpu_reset_pages,
};
