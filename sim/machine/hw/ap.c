/* Placing the trampoline: see hw/ap.h and hw/ap.asm. */
#include "sim/machine/hw/ap.h"

#define PAGE 4096u

/* The end of the page: what ap.asm reads there. */
struct ap_page {
    u8 code[PAGE - 32];
    u64 root, entry, stack, cpu;
};
_Static_assert(sizeof(struct ap_page) == PAGE, "hw/ap.asm");

extern const u8 ap_trampoline[], ap_trampoline_end[];

struct ap_page *ap_place_trampoline(u64 page, u64 page_table_root)
{
    struct ap_page *at = (struct ap_page *)page;
    for (unsigned i = 0; i < ap_trampoline_end - ap_trampoline; i++)
        at->code[i] = ap_trampoline[i];
    at->root = page_table_root;
    return at;
}

void ap_aim_trampoline(struct ap_page *page, void *stack_top, ap_entry *entry, struct cpu *cpu)
{
    page->entry = (u64)entry;
    page->stack = (u64)stack_top;
    page->cpu = (u64)cpu;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
