/* Pages of the core's own reserve (what SEAMRR is on a server): taken at start, never given back to the firmware. */
#ifndef SIM_MACHINE_POOL_H
#define SIM_MACHINE_POOL_H

#include "sim/types.h"

void pool_init(u64 base, u64 bytes);

/* `count` contiguous zeroed pages aligned to 4K; stops the machine with a message when the reserve is used up. */
void *pool_take(u64 count);

/* One zeroed page, or NULL when the reserve is used up; pool_give() takes back what pool_page() gave. */
void *pool_page(void);
void pool_give(void *page);

/* The whole reserve, for the guard and SEAMRR. */
u64 pool_base(void);
u64 pool_bytes(void);

#endif
