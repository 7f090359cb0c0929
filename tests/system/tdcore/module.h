/* What the two files of the test module share. Memory is taken and mapped on one CPU only. */
#ifndef TESTS_SYSTEM_TDCORE_MODULE_H
#define TESTS_SYSTEM_TDCORE_MODULE_H

#include "sim/module/platform.h"

/* Builds the TD in `memory`, 32 MiB; the template of its vCPU. */
struct td_vmcs *core_build(u64 memory);
u64 core_root(void);
u64 core_take(void);
void core_map(u64 gpa, u64 page);

/* pair.c: the TD of two vCPUs. False: none of its leaves. */
bool pair_seamcall(struct seam_lp *lp, enum seam_next *next);
bool pair_td_exit(struct seam_lp *lp, enum seam_next *next);
bool pair_uses_page(u64 hpa);

#endif
