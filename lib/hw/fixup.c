/* Search of the fixup table: see lib/hw/fixup.h. It has a handful of entries. */
#include "lib/hw/fixup.h"

extern const struct fixup fixup_table[] __attribute__((visibility("hidden")));
extern const struct fixup fixup_table_end[] __attribute__((visibility("hidden")));

static u64 target(const int32_t *offset)
{
    return (u64)(uintptr_t)offset + (u64)(s64)*offset;
}

u64 fixup_find(u64 rip)
{
    /* cppcheck-suppress comparePointers ; two ends of one table, says the linker script */
    for (const struct fixup *f = fixup_table; f < fixup_table_end; f++)
        if (target(&f->fault) == rip)
            return target(&f->resume);
    return 0;
}
