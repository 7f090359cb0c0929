/* What the module says of itself. */
#ifndef SIM_MODULE_SYS_INFO_H
#define SIM_MODULE_SYS_INFO_H

#define MDL_VENDOR_ID       0x8086
#define MDL_BUILD_DATE      20230801 /* decimal, yyyymmdd */
#define MDL_BUILD_NUM       0
#define MDL_HANDOFF_VERSION 0

#endif
