/* The walk of guest page tables: see gpt.h. */
#include "sim/machine/gpt.h"

#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITABLE (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_LARGE    (1ull << 7)
#define PTE_NX       (1ull << 63)
#define PTE_ADDR     0x000ffffffffff000ull

/* Bits of a linear address that one level translates, and where those of level 0 begin. */
static unsigned index_bits(const struct gpt_walk *walk)
{
    return walk->mode.paging == GPT_32 ? 10 : 9;
}

static unsigned shift_of(const struct gpt_walk *walk)
{
    return 12 + index_bits(walk) * walk->level;
}

static void point_at_entry(struct gpt_walk *walk, u64 table)
{
    u64 index = walk->linear >> shift_of(walk) & ((1u << index_bits(walk)) - 1);

    if (walk->mode.paging == GPT_PAE && walk->level == 2)
        index &= 3;
    walk->entry_gpa = table + index * walk->entry_bytes;
}

struct gpt_walk gpt_begin(const struct gpt_mode *mode, u64 linear)
{
    static const unsigned top[] = {[GPT_32] = 1, [GPT_PAE] = 2, [GPT_4_LEVEL] = 3, [GPT_5_LEVEL] = 4};
    struct gpt_walk walk = {.mode = *mode, .linear = linear, .writable = true, .user = true, .execute = true};

    if (mode->paging == GPT_OFF) {
        walk.done = walk.present = true;
        walk.gpa = (u32)linear;
        walk.page_shift = 12;
        return walk;
    }
    walk.level = top[mode->paging];
    walk.entry_bytes = mode->paging == GPT_32 ? 4 : 8;
    if (mode->paging == GPT_PAE)
        point_at_entry(&walk, mode->cr3 & 0xffffffe0);
    else
        point_at_entry(&walk, mode->cr3 & (mode->paging == GPT_32 ? 0xfffff000 : PTE_ADDR));
    return walk;
}

static bool is_leaf(const struct gpt_walk *walk, u64 entry)
{
    unsigned largest = walk->mode.paging == GPT_PAE || walk->mode.paging == GPT_32 ? 1 : 2;
    return walk->level == 0 || (walk->level <= largest && (entry & PTE_LARGE));
}

static bool has_reserved(const struct gpt_walk *walk, u64 entry)
{
    if (walk->mode.paging == GPT_32)
        return false;
    if ((entry & PTE_NX) && !walk->mode.no_execute)
        return true;
    return (entry & PTE_ADDR) >> walk->mode.physical_bits != 0;
}

/* A 4M page of 32-bit paging keeps address bits 39:32 in bits 20:13 (PSE-36). */
static u64 leaf_address(const struct gpt_walk *walk, u64 entry)
{
    if (walk->mode.paging == GPT_32 && walk->level == 1)
        return (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
    return entry & PTE_ADDR;
}

static void finish(struct gpt_walk *walk, u64 entry)
{
    u64 offset_mask = (1ull << shift_of(walk)) - 1;

    walk->done = true;
    walk->present = true;
    walk->page_shift = shift_of(walk);
    walk->gpa = (leaf_address(walk, entry) & ~offset_mask) | (walk->linear & offset_mask);
}

void gpt_step(struct gpt_walk *walk, u64 entry)
{
    bool pdpte = walk->mode.paging == GPT_PAE && walk->level == 2; /* has no permissions */

    if (!(entry & PTE_PRESENT)) {
        walk->done = true;
        return;
    }
    if (has_reserved(walk, entry)) {
        walk->done = walk->present = walk->reserved = true;
        return;
    }
    if (!pdpte) {
        walk->writable = walk->writable && (entry & PTE_WRITABLE);
        walk->user = walk->user && (entry & PTE_USER);
        walk->execute = walk->execute && !(walk->mode.paging != GPT_32 && (entry & PTE_NX));
    }
    if (is_leaf(walk, entry)) {
        finish(walk, entry);
        return;
    }
    walk->level--;
    point_at_entry(walk, entry & PTE_ADDR);
}
