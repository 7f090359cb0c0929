/*
 * The smallest guest of the simulated platform, an EFI application: looks at the CPU's name, enters VMX operation, makes two
 * SEAMCALLs, clears a page with MOVDIR64B, measures a null SEAMCALL and a CPUID, and powers the machine off. Its report goes
 * to the serial port, one `first:` line each; tests/system reads them.
 */
#include <efi.h>

#define COM1           0x3f8
#define FEATURE_MSR    0x3a
#define KEYID_MSR      0x87
#define VMX_BASIC_MSR  0x480
#define CR4_VMXE       (1ull << 13)
#define TDH_SYS_INIT   33
#define TDH_SYS_LPINIT 35
#define TDH_BAD_LEAF   (1ull << 32) /* a reserved bit: refused whatever state the module is in */
#define ROUNDS         1000

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static UINT8 page[4096] __attribute__((aligned(4096)));
static UINT8 vmxon_region[4096] __attribute__((aligned(4096)));
static const UINT8 zeros[64] __attribute__((aligned(64)));

static void put(const char *text)
{
    for (; *text; text++)
        __asm__ volatile("outb %0, %1" ::"a"(*text), "d"((UINT16)COM1));
}

static void put_number(const char *name, UINT64 value)
{
    char digits[] = " 0000000000000000";
    for (int i = 16; i > 0; i--, value >>= 4)
        digits[i] = "0123456789abcdef"[value & 15];
    put(name);
    put(digits);
    put("\r\n");
}

static UINT64 rdmsr(UINT32 msr)
{
    UINT32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (UINT64)high << 32 | low;
}

static UINT64 tsc(void)
{
    UINT32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (UINT64)high << 32 | low;
}

static UINT32 cpuid_max(char vendor[13])
{
    UINT32 r[4];
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(0), "c"(0));
    for (int i = 0; i < 4; i++) {
        vendor[i] = (char)(r[1] >> 8 * i);
        vendor[4 + i] = (char)(r[3] >> 8 * i);
        vendor[8 + i] = (char)(r[2] >> 8 * i);
    }
    vendor[12] = 0;
    return r[0];
}

static UINT64 seamcall(UINT64 leaf)
{
    UINT64 rcx = 0;
    __asm__ volatile(".byte 0x66, 0x0f, 0x01, 0xcf"
                     : "+a"(leaf), "+c"(rcx)
                     :
                     : "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    return leaf;
}

static UINT8 vmxon(void)
{
    UINT8 failed;
    UINT64 at = (UINT64)vmxon_region, cr4;
    *(UINT32 *)vmxon_region = (UINT32)rdmsr(VMX_BASIC_MSR);
    __asm__ volatile("mov %%cr4, %0; or %1, %0; mov %0, %%cr4" : "=&r"(cr4) : "r"(CR4_VMXE));
    __asm__ volatile("vmxon %1; setna %0" : "=r"(failed) : "m"(at) : "memory", "cc");
    return failed;
}

static void clear_page(void)
{
    UINT8 *to = page, *end = page + sizeof(page);
    __asm__ volatile("1: .byte 0x66, 0x0f, 0x38, 0xf8, 0x06\n" /* movdir64b (%rsi), %rax */
                     "add $64, %0\n"
                     "cmp %2, %0\n"
                     "jb 1b"
                     : "+a"(to)
                     : "S"(zeros), "r"(end)
                     : "memory", "cc");
}

static UINT64 least_cost(void (*work)(void))
{
    UINT64 best = ~0ull;
    for (int i = 0; i < ROUNDS; i++) {
        UINT64 start = tsc();
        work();
        UINT64 took = tsc() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void work_cpuid(void)
{
    char vendor[13];
    cpuid_max(vendor);
}
static void work_seamcall(void)
{
    seamcall(TDH_BAD_LEAF);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    char vendor[13];
    UINT64 sum = 0;
    cpuid_max(vendor);
    put("first: vendor ");
    put(vendor);
    put("\r\n");
    put_number("first: feature control", rdmsr(FEATURE_MSR));
    put_number("first: KeyIDs", rdmsr(KEYID_MSR));
    put_number("first: vmxon failed", vmxon());
    put_number("first: SYS.INIT", seamcall(TDH_SYS_INIT));
    put_number("first: SYS.LP.INIT", seamcall(TDH_SYS_LPINIT));
    put_number("first: unknown leaf", seamcall(TDH_BAD_LEAF));
    for (unsigned i = 0; i < sizeof(page); i++)
        page[i] = (UINT8)(i + 1);
    UINT64 start = tsc();
    clear_page();
    put_number("first: page clear cycles", tsc() - start);
    for (unsigned i = 0; i < sizeof(page); i++)
        sum += page[i];
    put_number("first: page sum", sum);
    put_number("first: cpuid cycles", least_cost(work_cpuid));
    put_number("first: null seamcall cycles", least_cost(work_seamcall));
    put("first: end\r\n");
    __asm__ volatile("outw %0, %1" ::"a"((UINT16)0x2000), "d"((UINT16)0x604));
    for (;;)
        __asm__ volatile("hlt");
}
