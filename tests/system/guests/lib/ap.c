/* See ap.h. */
#include "tests/system/guests/lib/ap.h"
#include "tests/system/guests/lib/guest.h"

#define MSR_APIC_BASE  0x1b
#define MSR_ID         0x802
#define MSR_EOI        0x80b
#define MSR_SVR        0x80f
#define MSR_ICR        0x830
#define BASE_EXTD      (1ull << 10)
#define SVR_ENABLE     0x1ff
#define VECTOR_NMI     2
#define VECTOR_UD      6
#define VECTOR_WAKE    0xf1
#define CODE_64        8
#define GIB            (1ull << 30)
#define STACK_BYTES    8192
#define TICKS_PER_US   1000 /* QEMU's TSC; others are up to five times as fast, which the wait in vain allows for */
#define PATIENCE_US    60000000ull
#define LOW_MEMORY_END 0x9ffff

/*
 * The trampoline. Registers are looked at before anything changes them: EBP keeps RDX, ESP the OR of the others, ESI CR0, EDI
 * CR4. What C fills in stands at the end of the page.
 */
__asm__(".text\n"
        ".code16\n"
        "trampoline:\n"
        "  cli\n"
        "  or %ebx, %eax; or %ecx, %eax; or %esi, %eax; or %edi, %eax; or %ebp, %eax; or %esp, %eax\n"
        "  mov %eax, %esp\n"
        "  mov %edx, %ebp\n"
        "  mov %cr0, %esi\n"
        "  mov %cr4, %edi\n"
        "  mov %cs, %ax\n"
        "  mov %ax, %ds\n"
        "  lgdtl 0xfe0\n"
        "  mov 0xfd0, %eax\n"
        "  mov %eax, %cr3\n"
        "  mov %edi, %eax\n"
        "  or $0x620, %eax\n" /* PAE, OSFXSR, OSXMMEXCPT */
        "  mov %eax, %cr4\n"
        "  mov $0xc0000080, %ecx\n"
        "  rdmsr\n"
        "  or $0x100, %eax\n"
        "  wrmsr\n"
        "  mov %cr0, %eax\n"
        "  or $0x80000001, %eax\n"
        "  mov %eax, %cr0\n"
        "  ljmpl *0xff0\n"
        "trampoline_end:\n"
        ".code64\n"
        "arrive:\n"
        "  mov $16, %eax\n"
        "  mov %eax, %ds; mov %eax, %es; mov %eax, %ss\n"
        "  mov %esp, %r8d\n"
        "  mov %ebp, %ecx\n"
        "  mov %edi, %edx\n"
        "  mov %rcx, %r10; mov %rdx, %r11\n"
        "  mov $1, %eax\n"
        "  cpuid\n"
        "  shr $24, %ebx\n"
        "  mov %ebx, %edi\n"
        "  mov %r10, %rcx; mov %r11, %rdx\n"
        "  lea ap_stacks(%rip), %rax\n"
        "  inc %ebx\n"
        "  imul $8192, %rbx, %rbx\n"
        "  lea (%rax, %rbx), %rsp\n"
        "  xor %ebp, %ebp\n"
        "  call ap_main\n"
        "  ud2\n");
extern const UINT8 trampoline[], trampoline_end[], arrive[];

/* The last 48 bytes of the trampoline's page. */
struct trampoline_data {
    UINT64 root, unused;
    UINT16 gdt_limit;
    UINT32 gdt_base;
    UINT8 pad[10];
    UINT32 entry;
    UINT16 selector;
} __attribute__((packed));

struct idt_register {
    UINT16 limit;
    UINT64 base;
} __attribute__((packed));

struct frame {
    UINT64 rip, cs, rflags, rsp, ss;
};

void ap_main(UINT64 id, UINT64 cr0, UINT64 cr4, UINT64 rdx, UINT64 registers);

__attribute__((used)) static UINT8 ap_stacks[AP_MAX][STACK_BYTES] __attribute__((aligned(4096)));
static struct ap aps[AP_MAX];
static UINT64 idt[256][2] __attribute__((aligned(16)));
static UINT64 gdt[3] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff};
static UINT8 *low_page;

/* --- on the other CPUs ------------------------------------------------------------------------------------------------- */

static struct ap *self(void)
{
    return &aps[guest_rdmsr(MSR_ID)];
}

__attribute__((used)) static void first_ipi(void)
{
    self()->ipis[0]++;
    guest_wrmsr(MSR_EOI, 0);
}

__attribute__((used)) static void second_ipi(void)
{
    self()->ipis[1]++;
    guest_wrmsr(MSR_EOI, 0);
}

__attribute__((used)) static void third_ipi(void)
{
    self()->ipis[2]++;
    guest_wrmsr(MSR_EOI, 0);
}

__attribute__((used)) static void wake(void)
{
    guest_wrmsr(MSR_EOI, 0);
}

__attribute__((used)) static void nmi(void)
{
    self()->nmis++;
}

__attribute__((used)) static void undefined(struct frame *frame)
{
    self()->undefined++;
    frame->rip += 4;
}

/* The gates: what a function may change is kept around it; the frame of the interrupt is its argument. */
__asm__(".text\n"
        ".macro GATE function\n"
        "on_\\function: push %rax; push %rcx; push %rdx; push %rsi; push %rdi\n"
        "  push %r8; push %r9; push %r10; push %r11\n"
        "  lea 72(%rsp), %rdi; cld; call \\function\n"
        "  pop %r11; pop %r10; pop %r9; pop %r8\n"
        "  pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax; iretq\n"
        ".endm\n"
        "GATE first_ipi; GATE second_ipi; GATE third_ipi; GATE wake; GATE nmi; GATE undefined\n");
extern const UINT8 on_first_ipi[], on_second_ipi[], on_third_ipi[], on_wake[], on_nmi[], on_undefined[];

static void work_for_ever(struct ap *ap)
{
    for (;;) {
        __asm__ volatile("cli" ::: "memory");
        UINT64 asked = ap->asked;
        if (asked == ap->done) {
            __asm__ volatile("sti; hlt" ::: "memory");
            continue;
        }
        __asm__ volatile("sti" ::: "memory");
        ap->result = ap->work(ap);
        __atomic_store_n(&ap->done, asked, __ATOMIC_RELEASE);
    }
}

__attribute__((used)) void ap_main(UINT64 id, UINT64 cr0, UINT64 cr4, UINT64 rdx, UINT64 registers)
{
    const struct idt_register table = {sizeof(idt) - 1, (UINT64)idt};
    struct ap *ap = &aps[id];
    UINT64 base = guest_rdmsr(MSR_APIC_BASE);
    __asm__ volatile("lidt %0" ::"m"(table));
    ap->id = id;
    ap->at_start = (struct ap_start){cr0, cr4, rdx, registers, base};
    guest_wrmsr(MSR_APIC_BASE, base | BASE_EXTD);
    guest_wrmsr(MSR_SVR, SVR_ENABLE);
    ap->done = ap->asked; /* work that an INIT has ended is not done again */
    __atomic_fetch_add(&ap->starts, 1, __ATOMIC_RELEASE);
    work_for_ever(ap);
}

/* --- on the first one -------------------------------------------------------------------------------------------------- */

static void make_gate(UINT64 *entry, UINT64 code, const UINT8 *gate)
{
    UINT64 at = (UINT64)gate;
    entry[0] = (at & 0xffff) | code << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
    entry[1] = at >> 32;
}

static void set_gate(unsigned vector, const UINT8 *gate)
{
    make_gate(idt[vector], CODE_64, gate);
}

void ap_count_here(unsigned vector)
{
    struct idt_register table;
    UINT64 code = 0;
    __asm__ volatile("sidt %0" : "=m"(table));
    __asm__ volatile("mov %%cs, %0" : "=r"(code));
    make_gate((UINT64 *)table.base + 2 * vector, code, on_third_ipi);
}

void ap_let_in(void)
{
    __asm__ volatile("sti; nop; nop; cli" ::: "memory"); /* STI holds interrupts off for one instruction */
}

static UINT64 *take_page(EFI_BOOT_SERVICES *boot, UINT64 below)
{
    EFI_PHYSICAL_ADDRESS at = below;
    if (EFI_ERROR(boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1, &at))) {
        guest_put("ap: no memory\r\n");
        guest_power_off();
    }
    return (UINT64 *)at;
}

/* 512 GiB as they are, in pages of 1 GiB. */
static UINT64 make_tables(EFI_BOOT_SERVICES *boot)
{
    UINT64 *pml4 = take_page(boot, 0xffffffff), *pdpt = take_page(boot, 0xffffffff);
    for (unsigned i = 0; i < 512; i++) {
        pml4[i] = 0;
        pdpt[i] = i * GIB | 0x83;
    }
    pml4[0] = (UINT64)pdpt | 3;
    return (UINT64)pml4;
}

static void place_trampoline(EFI_BOOT_SERVICES *boot)
{
    low_page = (UINT8 *)take_page(boot, LOW_MEMORY_END);
    struct trampoline_data *data = (void *)(low_page + 0xfd0);
    for (UINT64 i = 0; i < (UINT64)(trampoline_end - trampoline); i++)
        low_page[i] = trampoline[i];
    data->root = make_tables(boot);
    data->gdt_limit = sizeof(gdt) - 1;
    data->gdt_base = (UINT32)(UINT64)gdt;
    data->entry = (UINT32)(UINT64)arrive;
    data->selector = CODE_64;
}
_Static_assert(__builtin_offsetof(struct trampoline_data, gdt_limit) == 0x10 &&
                   __builtin_offsetof(struct trampoline_data, entry) == 0x20,
               "the trampoline reads FD0h, FE0h and FF0h");

void ap_setup(EFI_BOOT_SERVICES *boot)
{
    if ((UINT64)aps >> 32) {
        guest_put("ap: the image lies above 4 GiB\r\n");
        guest_power_off();
    }
    place_trampoline(boot);
    set_gate(VECTOR_NMI, on_nmi);
    set_gate(VECTOR_UD, on_undefined);
    set_gate(AP_IPI_FIRST, on_first_ipi);
    set_gate(AP_IPI_SECOND, on_second_ipi);
    set_gate(AP_IPI_THIRD, on_third_ipi);
    set_gate(VECTOR_WAKE, on_wake);
    set_gate(AP_IPI_IGNORED, on_wake);
    __asm__ volatile("cli");
    guest_wrmsr(MSR_APIC_BASE, guest_rdmsr(MSR_APIC_BASE) | BASE_EXTD);
}

/* UEFI PI specification, volume 2, "MP services protocol": its first function. */
struct mp_services {
    EFI_STATUS(EFIAPI *count)(struct mp_services *this, UINTN *all, UINTN *enabled);
};

/* The last of several is the platform's own. */
unsigned ap_count(EFI_BOOT_SERVICES *boot)
{
    EFI_GUID guid = {0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};
    struct mp_services *mp;
    UINTN all, enabled;
    if (EFI_ERROR(boot->LocateProtocol(&guid, NULL, (void **)&mp)) || EFI_ERROR(mp->count(mp, &all, &enabled)))
        return 1;
    enabled -= enabled > 1;
    return enabled < AP_MAX ? (unsigned)enabled : AP_MAX;
}

struct ap *ap_at(unsigned id)
{
    return &aps[id];
}

void ap_send(UINT32 dest, UINT32 low)
{
    guest_wrmsr(MSR_ICR, (UINT64)dest << 32 | low);
}

void ap_pause_us(UINT64 us)
{
    for (UINT64 from = guest_tsc(); guest_tsc() - from < us * TICKS_PER_US;)
        __builtin_ia32_pause();
}

void ap_startup_only(UINT32 dest, UINT32 to)
{
    for (unsigned i = 0; i < 2; i++) {
        ap_send(dest, to | AP_ICR_SIPI | (UINT32)((UINT64)low_page >> 12));
        ap_pause_us(200);
    }
}

void ap_start_up(UINT32 dest, UINT32 to)
{
    ap_send(dest, to | AP_ICR_INIT);
    ap_pause_us(10000);
    ap_startup_only(dest, to);
}

void ap_wait(const volatile UINT64 *word, UINT64 value, const char *what)
{
    UINT64 from = guest_tsc();
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) < value) {
        if (guest_tsc() - from > PATIENCE_US * TICKS_PER_US) {
            guest_put("ap: waited in vain for ");
            guest_put(what);
            guest_put("\r\n");
            guest_power_off();
        }
        __builtin_ia32_pause();
    }
}

void ap_begin(unsigned id, UINT64 (*work)(struct ap *ap), UINT64 argument)
{
    aps[id].work = work;
    aps[id].argument = argument;
    __atomic_fetch_add(&aps[id].asked, 1, __ATOMIC_RELEASE);
    ap_send(id, AP_ICR_FIXED | VECTOR_WAKE);
}

UINT64 ap_end(unsigned id)
{
    ap_wait(&aps[id].done, aps[id].asked, "work of another CPU");
    return aps[id].result;
}

UINT64 ap_run(unsigned id, UINT64 (*work)(struct ap *ap), UINT64 argument)
{
    ap_begin(id, work, argument);
    return ap_end(id);
}
