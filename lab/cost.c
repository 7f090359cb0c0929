/* The numbers of a profile: see cost.h. */
#include "lab/cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/abi_leaf.h"

#define LEAF_MASK         0xffffu
#define LEVEL_MASK        7u
#define LEAVES            64u
#define TDG_PAGE_ACCEPT   6u
#define NAME_BYTES        48
#define NUMBER_DIGITS_MAX 15u

u64 costs[COSTS][COST_LEVELS];
static unsigned given[COSTS]; /* which page sizes have their number */

static const char *const names[] = {
#define X(symbol, name, levels) name,
    COST_LIST(X)
#undef X
};

static const unsigned levels_of[] = {
#define X(symbol, name, levels) levels,
    COST_LIST(X)
#undef X
};

static const char *const level_names[COST_LEVELS] = {"4k", "2m", "1g"};

/* COST_SEAMCALL, which is 0, for those that are not here. */
static const u8 cost_by_leaf[LEAVES] = {
    [TDH_VP_ENTER] = COST_VP_ENTER,         [TDH_MEM_PAGE_ADD] = COST_PAGE_ADD,
    [TDH_MEM_SEPT_ADD] = COST_SEPT_ADD,     [TDH_MEM_PAGE_RELOCATE] = COST_RELOCATE,
    [TDH_MEM_PAGE_AUG] = COST_PAGE_AUG,     [TDH_MEM_RANGE_BLOCK] = COST_BLOCK,
    [TDH_MEM_PAGE_DEMOTE] = COST_DEMOTE,    [TDH_MEM_PAGE_PROMOTE] = COST_PROMOTE,
    [TDH_MEM_SEPT_RD] = COST_SEPT_RD,       [TDH_PHYMEM_PAGE_RECLAIM] = COST_RECLAIM,
    [TDH_MEM_PAGE_REMOVE] = COST_REMOVE,    [TDH_MEM_SEPT_REMOVE] = COST_SEPT_REMOVE,
    [TDH_MEM_TRACK] = COST_TRACK,           [TDH_MEM_RANGE_UNBLOCK] = COST_UNBLOCK,
    [TDH_PHYMEM_PAGE_WBINVD] = COST_WBINVD,
};

static bool find_level(const char *text, unsigned levels, unsigned *level)
{
    for (*level = 0; *level < COST_LEVELS; ++*level)
        if ((levels >> *level & 1) && strcmp(text, level_names[*level]) == 0)
            return true;
    return false;
}

/* Of the leveled ones those without a level are no numbers, and the other way round. */
static bool find(const char *name, const char *level_name, unsigned *cost, unsigned *level)
{
    for (*cost = 0; *cost < COSTS; ++*cost) {
        if (strcmp(name, names[*cost]) != 0)
            continue;
        *level = 0;
        if (levels_of[*cost] == COST_ONE)
            return !level_name;
        return level_name && find_level(level_name, levels_of[*cost], level);
    }
    return false;
}

static bool parse(const char *text, u64 *value)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > NUMBER_DIGITS_MAX || text[digits] != '\0')
        return false;
    *value = strtoull(text, NULL, 10);
    return true;
}

bool cost_set(const char *assignment)
{
    char name[NAME_BYTES];
    const char *equals = strchr(assignment, '=');
    unsigned cost, level;
    u64 value;

    if (!equals || (size_t)(equals - assignment) >= sizeof(name) || !parse(equals + 1, &value))
        return false;
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = '\0';
    char *dot = strchr(name, '.');
    if (dot)
        *dot = '\0';
    if (!find(name, dot ? dot + 1 : NULL, &cost, &level))
        return false;
    costs[cost][level] = value;
    given[cost] |= 1u << level;
    return true;
}

const char *cost_missing(void)
{
    static char name[NAME_BYTES];

    for (unsigned i = 0; i < COSTS; i++) {
        unsigned wanted = levels_of[i] ? levels_of[i] : 1, missing = wanted & ~given[i];
        if (!missing)
            continue;
        snprintf(name, sizeof(name), "%s%s%s", names[i], levels_of[i] ? "." : "",
                 levels_of[i] ? level_names[__builtin_ctz(missing)] : "");
        return name;
    }
    return NULL;
}

/* A call with a page size that has no number is one that the module refuses at once. */
u64 cost_of_seamcall(u64 rax, u64 rcx)
{
    unsigned leaf = rax & LEAF_MASK, cost = leaf < LEAVES ? cost_by_leaf[leaf] : COST_SEAMCALL;
    unsigned level = levels_of[cost] ? rcx & LEVEL_MASK : 0;

    return level < COST_LEVELS && (!levels_of[cost] || levels_of[cost] >> level & 1) ? costs[cost][level]
                                                                                     : cost_of(COST_SEAMCALL);
}

u64 cost_of_tdcall(u64 rax, u64 rcx)
{
    unsigned level = rcx & LEVEL_MASK;

    return (rax & LEAF_MASK) == TDG_PAGE_ACCEPT && level < 2 ? costs[COST_ACCEPT][level] : cost_of(COST_TDCALL);
}
