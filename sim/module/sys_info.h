/* What the module says of itself. */
#ifndef SIM_MODULE_SYS_INFO_H
#define SIM_MODULE_SYS_INFO_H

#include "sim/module/abi.h"
#include "sim/module/platform.h"

#define MDL_VENDOR_ID       0x8086
#define MDL_BUILD_DATE      20230801 /* decimal, yyyymmdd */
#define MDL_BUILD_NUM       0
#define MDL_HANDOFF_VERSION 0

/* Modules 1.0 had no TDH.SYS.RD. */
static inline bool mdl_is_generation_1_0(void)
{
    return plat_info()->module_major == 1 && plat_info()->module_minor == 0;
}

static inline unsigned mdl_tdcs_pages(void)
{
    unsigned pages = plat_info()->tdcs_pages;
    return pages > TDCS_PAGES_MIN ? pages : TDCS_PAGES_MIN;
}

#endif
