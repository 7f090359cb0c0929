/*
 * What a machine must have to be a TDX host, condition by condition: one table (tdx/check.c) in the order of dependence. What
 * depends on a missing thing is not asked, and is unknown.
 */
#ifndef TDX_CHECK_H
#define TDX_CHECK_H

#include "tdx/module.h"

enum tdx_check_state { TDX_CHECK_OK, TDX_CHECK_MISSING, TDX_CHECK_UNKNOWN };

#define TDX_CHECK_VALUE_BYTES 192
#define TDX_CHECKS_MAX        32

struct tdx_check {
    const char *name;
    enum tdx_check_state state;
    char value[TDX_CHECK_VALUE_BYTES]; /* the register or table that it was read from, and what stood there */
    const char *fix;                   /* what is wrong and what to change where; empty where it is ok */
};

enum tdx_secure_boot { TDX_SECURE_BOOT_UNKNOWN, TDX_SECURE_BOOT_OFF, TDX_SECURE_BOOT_ON };

/* What only the caller knows. */
struct tdx_check_host {
    enum tdx_secure_boot secure_boot;
    const struct phys_range *memory; /* that the firmware leaves free; none: not known yet */
    unsigned memory_count;
    unsigned cpus;           /* that the firmware lists; 0: not known yet, only this one can be asked */
    unsigned cpus_failed;    /* of which so many did not start */
    const char *failed_cpus; /* by name */
    hpa_t page;              /* for P-SEAMLDR to write to; HPA_NONE: it is not asked */
};

/* Looks at every condition and returns how many there are. Changes what tdx_detect() changes. */
unsigned tdx_check(const struct tdx_check_host *host, struct tdx_check checks[TDX_CHECKS_MAX]);

const char *tdx_check_state_name(enum tdx_check_state state);

#endif
