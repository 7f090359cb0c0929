/* GDT, TSS, IDT and what a panic needs of the CPU. See traps.h. SDM vol. 3, chapters 3.5, 6 and 8. */
#include "kernel/hw/traps.h"

#include "drivers/pic.h"
#include "kernel/guard/control.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

#define VECTORS       256
#define STUB_BYTES    16
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

#define GATE_INTERRUPT    0x8e /* present, DPL 0, 64-bit interrupt gate */
#define IST_DOUBLE_FAULT  1
#define IST_NMI           2
#define IST_MACHINE_CHECK 3
#define IST_PAGE_FAULT    4 /* the guard page: there is no stack left to push on */

#define VECTOR_NMI           2
#define VECTOR_DOUBLE_FAULT  8
#define VECTOR_PAGE_FAULT    14
#define VECTOR_MACHINE_CHECK 18

#define CPUID_1_EDX_MCE BIT(7)

#define BACKTRACE_FRAME_BYTES_MAX 65536

struct __attribute__((packed)) descriptor_pointer {
    u16 limit;
    u64 base;
};
_Static_assert(sizeof(struct descriptor_pointer) == 10, "SDM vol. 3, figure 2-6");
_Static_assert(sizeof(struct traps_saved) == sizeof(struct descriptor_pointer), "holds one");

struct gate {
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, zero;
};
_Static_assert(sizeof(struct gate) == 16, "SDM vol. 3, figure 6-8");

struct __attribute__((packed)) tss {
    u32 zero0;
    u64 rsp[3], zero1, ist[7], zero2;
    u16 zero3, io_map;
};
_Static_assert(sizeof(struct tss) == 104, "SDM vol. 3, figure 8-11");
_Static_assert(sizeof(struct tss) == sizeof(((struct traps_tables *)0)->tss), "has room there");

extern const u8 trap_stubs[VECTORS * STUB_BYTES];
extern const char ImageBase[] __attribute__((visibility("hidden")));
extern const char _edata[] __attribute__((visibility("hidden")));
void traps_load_gdt(const struct descriptor_pointer *gdtr, u16 code, u16 data, u16 tss);

static struct gate idt[VECTORS] __attribute__((aligned(16)));
static bool is_built;

static void gate_set(unsigned vector, u16 selector, u8 ist)
{
    u64 at = (u64)(trap_stubs + vector * STUB_BYTES);

    idt[vector] = (struct gate){.offset_low = (u16)at,
                                .selector = selector,
                                .ist = ist,
                                .type = GATE_INTERRUPT,
                                .offset_middle = (u16)(at >> 16),
                                .offset_high = (u32)(at >> 32)};
}

static void idt_load(void)
{
    struct descriptor_pointer p = {sizeof(idt) - 1, (u64)idt};

    __asm__ volatile("lidt %0" ::"m"(p) : "memory");
}

static void idt_build(u16 selector)
{
    for (unsigned v = 0; v < VECTORS; v++)
        gate_set(v, selector, 0);
}

void traps_borrow(struct traps_saved *saved)
{
    u16 cs;

    __asm__ volatile("sidt %0" : "=m"(*saved));
    __asm__ volatile("mov %%cs, %0" : "=r"(cs));
    idt_build(cs);
    idt_load();
}

void traps_give_back(const struct traps_saved *saved)
{
    __asm__ volatile("lidt %0" ::"m"(*saved) : "memory");
}

static void gdt_build(struct traps_tables *t)
{
    struct tss *tss = (struct tss *)t->tss;
    u64 at = (u64)tss, *gdt = t->gdt;

    gdt[1] = 0x00af9b000000ffff; /* 64-bit code, accessed */
    gdt[2] = 0x00cf93000000ffff; /* data, writable, accessed */
    gdt[3] = (sizeof(*tss) - 1) | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
    gdt[4] = at >> 32;
    for (unsigned i = 0; i < TRAPS_IST_COUNT; i++)
        tss->ist[i] = (u64)(t->stacks[i] + TRAPS_IST_BYTES);
    tss->io_map = sizeof(*tss);
}

static u64 cr4_found; /* of the first CPU */

static void set_cr4(void)
{
    u64 cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    if (cr4_found == 0)
        cr4_found = cr4;
    cr4 = control_cr4(cr4, cpu_cpuid(1, 0).edx & CPUID_1_EDX_MCE);
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr4) : "memory");
}

u64 traps_cr4_found(void)
{
    return cr4_found;
}

/* By the first CPU only: the others find it done. */
static void build_shared(void)
{
    idt_build(SELECTOR_CODE);
    gate_set(VECTOR_DOUBLE_FAULT, SELECTOR_CODE, IST_DOUBLE_FAULT);
    gate_set(VECTOR_NMI, SELECTOR_CODE, IST_NMI);
    gate_set(VECTOR_PAGE_FAULT, SELECTOR_CODE, IST_PAGE_FAULT);
    gate_set(VECTOR_MACHINE_CHECK, SELECTOR_CODE, IST_MACHINE_CHECK);
    pic_silence();
    is_built = true;
}

void traps_init(struct traps_tables *tables)
{
    set_cr4();
    gdt_build(tables);
    struct descriptor_pointer p = {sizeof(tables->gdt) - 1, (u64)tables->gdt};
    traps_load_gdt(&p, SELECTOR_CODE, SELECTOR_DATA, SELECTOR_TSS);
    if (!is_built)
        build_shared();
    idt_load();
}

void irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}

void irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory");
}

void irq_wait(void)
{
    u64 flags;

    /* STI's shadow covers HLT: no interrupt gets lost between the two. */
    __asm__ volatile("pushfq; popq %0; sti; hlt; pushq %0; popfq" : "=&r"(flags)::"memory", "cc");
}

/* Its IRET lets the next one come, too. */
void nmi_take(void)
{
    __asm__ volatile("int $2" ::: "memory");
}

_Noreturn void cpu_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" ::: "memory");
}

u64 cpu_cr2(void)
{
    u64 value;
    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

u64 cpu_frame_pointer(void)
{
    return (u64)__builtin_frame_address(0);
}

unsigned cpu_backtrace(u64 rbp, u64 *addresses, unsigned max)
{
    unsigned n = 0;

    /* Each frame lies above the one before and not far away; anything else is the end, or a broken chain. */
    while (n < max && rbp != 0 && (rbp & 7) == 0) {
        u64 next, ret;
        memcpy(&next, (const void *)rbp, sizeof(next));
        memcpy(&ret, (const void *)(rbp + 8), sizeof(ret));
        if (ret < image_base() || ret >= image_base() + image_bytes())
            break;
        addresses[n++] = ret;
        if (next <= rbp || next - rbp > BACKTRACE_FRAME_BYTES_MAX)
            break;
        rbp = next;
    }
    return n;
}

u64 image_base(void)
{
    return (u64)ImageBase;
}

u64 image_bytes(void)
{
    return (u64)_edata - (u64)ImageBase;
}
