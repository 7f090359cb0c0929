/* Other CPUs' way to C. See ap.h. */
#include "kernel/hw/ap.h"

#include "kernel/hw/traps.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

#define MSR_EFER 0xc0000080
#define MSR_PAT  0x277
#define EFER_LMA BIT(10)
#define CR4_VMXE BIT(13)
#define CR4_PCID BIT(17)

struct ap_area {
    struct traps_tables tables;
    void *stack_top;
};

/* The end of the trampoline's page, as ap.asm reads it. */
struct ap_page {
    u8 code[PAGE_BYTES - 56];
    u64 cr0, cr3, cr4, efer, stack, entry, arg;
};
_Static_assert(sizeof(struct ap_page) == PAGE_BYTES, "ap.asm");

/* Where the CPU that comes next goes, when it has its tables. */
static struct {
    struct ap_area *area;
    void (*to)(void *arg);
    void *arg;
    u64 pat;
} next;

extern const u8 ap_trampoline[], ap_trampoline_end[];

u64 ap_area_bytes(void)
{
    return align_up(sizeof(struct ap_area), PAGE_BYTES);
}

struct ap_area *ap_area_make(void *memory, void *stack_top)
{
    struct ap_area *area = memory;

    memset(area, 0, sizeof(*area));
    area->stack_top = stack_top;
    return area;
}

_Noreturn static void arrive(void *arg)
{
    (void)arg;
    traps_init(&next.area->tables);
    if (!cpu_write_msr(MSR_PAT, next.pat))
        cpu_halt();
    next.to(next.arg);
    cpu_halt();
}

void ap_place(hpa_t trampoline)
{
    struct ap_page *p = phys_ptr(trampoline);

    memcpy(p->code, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    __asm__ volatile("mov %%cr0, %0" : "=r"(p->cr0));
    __asm__ volatile("mov %%cr3, %0" : "=r"(p->cr3));
    __asm__ volatile("mov %%cr4, %0" : "=r"(p->cr4));
    p->cr4 &= ~(CR4_VMXE | CR4_PCID);
    if (!cpu_read_msr(MSR_EFER, &p->efer) || !cpu_read_msr(MSR_PAT, &next.pat))
        p->efer = 0;
    p->efer &= ~EFER_LMA;
    p->entry = (u64)arrive;
}

void ap_aim(hpa_t trampoline, struct ap_area *area, void (*to)(void *arg), void *arg)
{
    struct ap_page *p = phys_ptr(trampoline);

    next.area = area;
    next.to = to;
    next.arg = arg;
    p->stack = (u64)area->stack_top;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
