/* The lab's machine as the TDX module sees it (sim/module/platform.h). */
#ifndef LAB_PLATFORM_H
#define LAB_PLATFORM_H

#include "lib/types.h"

struct seam_lp;

void platform_start(unsigned cpus, u64 memory_bytes);
/* The logical processor of the CPU that runs. */
struct seam_lp *platform_lp(void);

#endif
