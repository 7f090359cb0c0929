/*
 * The VMM of the machine's own TD test (tests/system/tdcore): VMXON, SEAMCALL 1 with memory for the TD, then SEAMCALL
 * 2 for as long as interrupts end it, twice over the TD's own end. Powers the machine off.
 */
#include <efi.h>

#define COM1            0x3f8
#define VMX_BASIC_MSR   0x480
#define CR4_VMXE        (1ull << 13)
#define TD_BYTES        (32ull << 20)
#define TD_ALIGN        (2ull << 20)
#define LEFT_INTERRUPT  1
#define LEFT_DEAD       3
#define POWER_OFF_PORT  0x604
#define POWER_OFF_VALUE 0x2000

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static UINT8 vmxon_region[4096] __attribute__((aligned(4096)));

static void put(const char *text)
{
    for (; *text; text++)
        __asm__ volatile("outb %0, %1" ::"a"(*text), "d"((UINT16)COM1));
}

static UINT64 seamcall(UINT64 leaf, UINT64 rcx)
{
    __asm__ volatile("push %%rbp; push %%rbx; .byte 0x66, 0x0f, 0x01, 0xcf; pop %%rbx; pop %%rbp"
                     : "+a"(leaf), "+c"(rcx)
                     :
                     : "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    return leaf;
}

static void vmxon(void)
{
    UINT64 at = (UINT64)vmxon_region, cr4;
    UINT32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(VMX_BASIC_MSR));
    *(UINT32 *)vmxon_region = low;
    __asm__ volatile("mov %%cr4, %0; or %1, %0; mov %0, %%cr4" : "=&r"(cr4) : "r"(CR4_VMXE));
    __asm__ volatile("vmxon %0" ::"m"(at) : "memory", "cc");
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    EFI_PHYSICAL_ADDRESS at = 0x7fffffff;
    UINT64 why;
    if (EFI_ERROR(
            system->BootServices->AllocatePages(AllocateMaxAddress, EfiLoaderData, (TD_BYTES + TD_ALIGN) / 4096, &at)))
        return EFI_OUT_OF_RESOURCES;
    vmxon();
    seamcall(1, (at + TD_ALIGN - 1) & ~(TD_ALIGN - 1));
    do {
        why = seamcall(2, 0);
        if (why != LEFT_INTERRUPT)
            put("enter: the TD left\r\n");
    } while (why != LEFT_DEAD);
    put("enter: end\r\n");
    __asm__ volatile("outw %0, %1" ::"a"((UINT16)POWER_OFF_VALUE), "d"((UINT16)POWER_OFF_PORT));
    for (;;)
        __asm__ volatile("hlt");
}
