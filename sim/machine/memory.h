/* The machine's RAM as the firmware's memory map gave it at start; constant from then on. */
#ifndef SIM_MACHINE_MEMORY_H
#define SIM_MACHINE_MEMORY_H

#include "sim/module/platform.h"

#define MEMORY_PIECES_MAX 4096

/* `convertible`: the firmware does not keep it, so TDX may use it. Ranges come in any order; where they overlap the firmware keeps
 * what one of them says it keeps. */
void memory_add(u64 base, u64 bytes, bool convertible);

/* After the last memory_add(); false when there are more pieces than MEMORY_PIECES_MAX, neighbours of one kind being one. */
bool memory_seal(void);

bool memory_is_ram(u64 hpa);
/* End of the highest RAM. */
u64 memory_top(void);

/* [base, base + bytes) is not convertible, whatever memory_add() said: after memory_seal(). False: too many pieces. */
bool memory_cut(u64 base, u64 bytes);

/* The convertible memory ranges: at least 2 MiB each, at most PLAT_CMRS_MAX (the largest), ascending. */
unsigned memory_cmrs(struct plat_range cmrs[PLAT_CMRS_MAX]);

#endif
