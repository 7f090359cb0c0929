/* What TD_PARAMS may hold, for TDH.MNG.INIT and the leafs that enumerate it. */
#ifndef SIM_MODULE_TD_PARAMS_H
#define SIM_MODULE_TD_PARAMS_H

#include "sim/module/abi.h"

#define MDL_ATTRIBUTES_POSSIBLE   (ATTR_DEBUG | ATTR_SEPT_VE_DISABLE | ATTR_MIGRATABLE | ATTR_PKS | ATTR_PERFMON)
#define MDL_ATTRIBUTES_REQUIRED   0ull
#define MDL_XFAM_REQUIRED         3ull
#define MDL_CONFIG_FLAGS_POSSIBLE (CONFIG_FLAG_GPAW | CONFIG_FLAG_FLEXIBLE_VE | CONFIG_FLAG_NO_RBP_MOD)
#define MDL_CONFIG_FLAGS_REQUIRED 0ull

/* What this platform and module can virtualise of XFAM. */
u64 mdl_xfam_possible(void);

#endif
