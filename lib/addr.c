/* Names of page-table levels: see lib/addr.h. */
#include "lib/addr.h"

const char *level_name(level_t l)
{
    static const char *const names[] = {"4k", "2m", "1g", "512g", "256t"};
    return l.raw < ARRAY_COUNT(names) ? names[l.raw] : "no level";
}
