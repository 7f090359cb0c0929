/* The machine's memory at start: from the firmware's map and ACPI's SRAT into the page allocator, with a word about all that is
 * odd or left out. */
#ifndef KERNEL_RAM_H
#define KERNEL_RAM_H

#include "kernel/memory_map.h"

/* Gives what is free to mm/page.h, by nodes, and tells the TDX module's setup where those are. After acpi_init(), on our own
 * page tables. */
void ram_start(const struct memory_map *map);

#endif
