/*
 * The smallest guest of the simulated platform, an EFI application: looks at the CPU's name, enters VMX operation, makes two
 * SEAMCALLs, clears a page with MOVDIR64B, measures a null SEAMCALL and a CPUID, and powers the machine off. Its report goes
 * to the serial port, one `first:` line each; tests/system reads them.
 */
#include <efi.h>

#include "tests/system/guests/lib/guest.h"

#define FEATURE_MSR    0x3a
#define KEYID_MSR      0x87
#define TDH_SYS_INIT   33
#define TDH_SYS_LPINIT 35
#define TDH_BAD_LEAF   (1ull << 32) /* a reserved bit: refused whatever state the module is in */
#define ROUNDS         1000

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static UINT8 page[4096] __attribute__((aligned(4096)));
static UINT8 vmxon_region[4096] __attribute__((aligned(4096)));
static const UINT8 zeros[64] __attribute__((aligned(64)));

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
        UINT64 start = guest_tsc();
        work();
        UINT64 took = guest_tsc() - start;
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
    guest_seamcall(TDH_BAD_LEAF, 0, 0, 0);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    char vendor[13];
    UINT64 sum = 0;
    cpuid_max(vendor);
    guest_put("first: vendor ");
    guest_put(vendor);
    guest_put("\r\n");
    guest_put_number("first: feature control", guest_rdmsr(FEATURE_MSR));
    guest_put_number("first: KeyIDs", guest_rdmsr(KEYID_MSR));
    guest_put_number("first: vmxon failed", guest_vmx_on(vmxon_region));
    guest_put_number("first: SYS.INIT", guest_seamcall(TDH_SYS_INIT, 0, 0, 0));
    guest_put_number("first: SYS.LP.INIT", guest_seamcall(TDH_SYS_LPINIT, 0, 0, 0));
    guest_put_number("first: unknown leaf", guest_seamcall(TDH_BAD_LEAF, 0, 0, 0));
    for (unsigned i = 0; i < sizeof(page); i++)
        page[i] = (UINT8)(i + 1);
    UINT64 start = guest_tsc();
    clear_page();
    guest_put_number("first: page clear cycles", guest_tsc() - start);
    for (unsigned i = 0; i < sizeof(page); i++)
        sum += page[i];
    guest_put_number("first: page sum", sum);
    guest_put_number("first: cpuid cycles", least_cost(work_cpuid));
    guest_put_number("first: null seamcall cycles", least_cost(work_seamcall));
    guest_put("first: end\r\n");
    guest_power_off();
}
