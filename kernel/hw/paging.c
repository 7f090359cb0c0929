/* The VMM's own page tables. See paging.h. SDM vol. 3, tables 4-14 to 4-20. */
#include "kernel/hw/paging.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "mm/page.h"

#define PTE_PRESENT       BIT(0)
#define PTE_WRITE         BIT(1)
#define PTE_WRITE_THROUGH BIT(3)
#define PTE_UNCACHED      BIT(4)
#define PTE_LEAF          BIT(7) /* of 2M and 1G entries; PAT in a 4K entry, where it stays 0 */
#define PTE_NX            BIT(63)
#define PTE_ADDRESS_MASK  BITS_MASK(12, 40)

#define FLAGS_DATA       (PTE_PRESENT | PTE_WRITE | PTE_NX)
#define FLAGS_TEXT       PTE_PRESENT
#define FLAGS_REGISTERS  (FLAGS_DATA | PTE_UNCACHED | PTE_WRITE_THROUGH)
#define FLAGS_NONE       0
#define FLAGS_TRAMPOLINE (PTE_PRESENT | PTE_WRITE)

#define CPUID_EXT_EDX_1G BIT(26)
#define MSR_EFER         0xc0000080
#define EFER_NXE         BIT(11)
#define CR0_WP           BIT(16)
#define CR4_LA57         BIT(12)

#define PML4_LEVEL ((level_t){3})

extern const char _text[] __attribute__((visibility("hidden")));
extern const char _etext[] __attribute__((visibility("hidden")));

struct builder {
    u64 *root;
    hpa_t next;
    u64 left;       /* pages of the pool */
    bool may_alloc; /* behind it tables come from mm/page.h */
    bool has_1g;
};

static struct builder built; /* what the CPUs run on */

static u64 *table_new(struct builder *b)
{
    hpa_t page;

    if (b->left == 0)
        return b->may_alloc && page_alloc_zeroed(&page) == ERR_OK ? phys_ptr(page) : NULL;
    u64 *t = phys_ptr(b->next);
    memset(t, 0, PAGE_BYTES);
    b->next = hpa_add(b->next, PAGE_BYTES);
    b->left--;
    return t;
}

/* The table below `entry` at `level`; a leaf there is first replaced by a table that maps the same. */
static u64 *table_below(struct builder *b, u64 *entry, level_t level)
{
    if ((*entry & PTE_PRESENT) && !(*entry & PTE_LEAF))
        return phys_ptr((hpa_t){*entry & PTE_ADDRESS_MASK});
    u64 *t = table_new(b);
    if (t == NULL)
        return NULL;
    level_t below = level_below(level);
    if (*entry & PTE_PRESENT) {
        u64 leaf_bit = level_is(below, LEVEL_4K) ? 0 : PTE_LEAF;
        for (unsigned i = 0; i < TABLE_ENTRIES; i++)
            t[i] = ((*entry & ~PTE_LEAF) | leaf_bit) + i * level_bytes(below);
    }
    *entry = phys_of(t).raw | PTE_PRESENT | PTE_WRITE;
    return t;
}

/* Maps the one largest page at `at` that fits into [at, end); its size, or 0: no page left for a table. */
static u64 map_one(struct builder *b, u64 at, u64 end, u64 flags)
{
    u64 *t = b->root;
    level_t level = PML4_LEVEL;

    for (;; level = level_below(level)) {
        u64 *entry = &t[at >> level_shift(level) & (TABLE_ENTRIES - 1)];
        u64 bytes = level_bytes(level);
        bool may = level.raw <= (b->has_1g ? 2 : 1);
        if (may && is_aligned(at, bytes) && end - at >= bytes) {
            *entry = flags == FLAGS_NONE ? 0 : at | flags | (level_is(level, LEVEL_4K) ? 0 : PTE_LEAF);
            return bytes;
        }
        t = table_below(b, entry, level);
        if (t == NULL)
            return 0;
    }
}

static enum err map_range(struct builder *b, u64 from, u64 to, u64 flags)
{
    while (from < to) {
        u64 done = map_one(b, from, to, flags);
        if (done == 0)
            return ERR_NO_MEMORY;
        from += done;
    }
    return ERR_OK;
}

static enum err map_uncached(struct builder *b, const struct paging_config *c)
{
    enum err e = ERR_OK;

    for (unsigned i = 0; i < c->uncached_count && e == ERR_OK; i++)
        e = map_range(b, c->uncached[i].raw, c->uncached[i].raw + PAGE_BYTES, FLAGS_REGISTERS);
    return e;
}

/* By GiBs: what the firmware lists in a thousand pieces makes no more tables than what it lists in one. */
static enum err map_memory(struct builder *b, const struct phys_ranges *memory)
{
    u64 done = 4 * GIB;
    enum err e = map_range(b, 0, done, FLAGS_DATA);

    for (unsigned i = 0; i < memory->count && e == ERR_OK; i++) {
        u64 from = max_u64(align_down(memory->r[i].base.raw, GIB), done), to = align_up(range_end(&memory->r[i]), GIB);
        e = map_range(b, from, to, FLAGS_DATA);
        done = max_u64(done, to);
    }
    return e;
}

static enum err build(struct builder *b, const struct paging_config *c)
{
    const struct {
        u64 from, bytes, flags;
    } parts[] = {
        {0, PAGE_BYTES, FLAGS_NONE},
        {(u64)_text, align_up((u64)_etext - (u64)_text, PAGE_BYTES), FLAGS_TEXT},
        {c->guard.raw, PAGE_BYTES, FLAGS_NONE},
        {c->trampoline.raw, PAGE_BYTES, FLAGS_TRAMPOLINE},
    };

    enum err e = map_memory(b, c->memory);
    for (unsigned i = 0; i < ARRAY_COUNT(parts) && e == ERR_OK; i++)
        e = map_range(b, parts[i].from, parts[i].from + parts[i].bytes, parts[i].flags);
    return e == ERR_OK ? map_uncached(b, c) : e;
}

enum err paging_init(const struct paging_config *c)
{
    struct builder b = {.next = c->pool, .left = c->pool_pages};
    u64 efer, cr0, cr4;

    b.has_1g = cpu_cpuid(0x80000001, 0).edx & CPUID_EXT_EDX_1G;
    b.root = table_new(&b);
    if (b.root == NULL)
        return ERR_NO_MEMORY;
    enum err e = build(&b, c);
    if (e != ERR_OK)
        return e;
    u64 *root = b.root;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    if (cr4 &
        CR4_LA57) { /* a firmware that runs with 5 levels: one more table above, LA57 cannot change in 64-bit mode */
        root = table_new(&b);
        if (root == NULL)
            return ERR_NO_MEMORY;
        root[0] = phys_of(b.root).raw | PTE_PRESENT | PTE_WRITE;
    }
    if (!cpu_read_msr(MSR_EFER, &efer) || !cpu_write_msr(MSR_EFER, efer | EFER_NXE))
        return ERR_PLATFORM;
    __asm__ volatile("mov %0, %%cr3" ::"r"(phys_of(root).raw) : "memory");
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" ::"r"(cr0 | CR0_WP) : "memory");
    built = b;
    built.may_alloc = true;
    return ERR_OK;
}

enum err paging_unmap(hpa_t page)
{
    enum err e = map_range(&built, page.raw, page.raw + PAGE_BYTES, FLAGS_NONE);

    if (e == ERR_OK)
        __asm__ volatile("invlpg (%0)" ::"r"(page.raw) : "memory");
    return e;
}

/* Recursion ends at 4K. */
static void allow_execution(u64 *table, level_t level)
{
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        if (!(table[i] & PTE_PRESENT))
            continue;
        if (level.raw > 0 && !(table[i] & PTE_LEAF))
            allow_execution(phys_ptr((hpa_t){table[i] & PTE_ADDRESS_MASK}), level_below(level));
        else
            table[i] &= ~PTE_NX;
    }
}

void paging_let_firmware_run(void)
{
    u64 cr3;

    allow_execution(built.root, PML4_LEVEL);
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    __asm__ volatile("mov %0, %%cr3" ::"r"(cr3) : "memory");
}
