/*
 * A guest of the simulated platform that touches what is not its own: reads, writes and copies within SEAMRR, then
 * touches metadata and a control page of the TDX module's, for which it needs the GiB of memory at 4 GiB. The platform has to report each with its RIP, hand out noise, keep what it holds, and never hang. The report goes to the
 * serial port, one `guard-test:` line each; tests/system reads them.
 */
#include <efi.h>

#define COM1        0x3f8
#define SEAMRR_BASE 0x1400
#define BASE_MASK   0xffffffe000000ull

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

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

static UINT64 read_at(UINT64 at)
{
    return *(volatile UINT64 *)at;
}

/* One instruction that touches two foreign pages, and goes over a page boundary in both. */
static void copy_within(UINT64 to, UINT64 from, UINT64 bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
}

/* --- memory that the module uses --------------------------------------------------------------------------------------- */

/* Leaf numbers and TDMR_INFO: Intel TDX Module v1.5 ABI Specification. */
enum {
    MNG_KEY_CONFIG = 8,
    MNG_CREATE = 9,
    MNG_VPFLUSHDONE = 19,
    MNG_KEY_FREEID = 20,
    PAGE_RECLAIM = 28,
    SYS_KEY_CONFIG = 31,
    SYS_INIT = 33,
    SYS_LP_INIT = 35,
    TDMR_INIT = 36,
    CACHE_WB = 40,
    SYS_CONFIG = 45,
};
#define GIB         (1ull << 30)
#define TDMR        (4 * GIB)
#define HKID_GLOBAL 32
#define HKID_TD     33
#define INTERRUPTED 0x8000000300000000ull

struct pamt {
    UINT64 base, bytes;
};
struct tdmr_info {
    UINT64 base, bytes;
    struct pamt pamt_1g, pamt_2m, pamt_4k;
    UINT64 reserved[56];
};
static struct tdmr_info tdmr __attribute__((aligned(512)));
static UINT64 tdmr_list[64] __attribute__((aligned(512)));
static UINT8 vmxon_region[4096] __attribute__((aligned(4096)));

/* Returns RAX; *rcx goes in and comes back. */
static UINT64 seamcall(UINT64 leaf, UINT64 *rcx, UINT64 rdx, UINT64 in_r8)
{
    register UINT64 r8 __asm__("r8") = in_r8;
    __asm__ volatile(".byte 0x66, 0x0f, 0x01, 0xcf"
                     : "+a"(leaf), "+c"(*rcx), "+d"(rdx), "+r"(r8)
                     :
                     : "r9", "r10", "r11", "memory", "cc");
    return leaf;
}

static UINT64 call(UINT64 leaf, UINT64 rcx, UINT64 rdx, UINT64 r8)
{
    return seamcall(leaf, &rcx, rdx, r8);
}

static void vmx_on(void)
{
    UINT64 at = (UINT64)vmxon_region, cr4;
    *(UINT32 *)vmxon_region = (UINT32)rdmsr(0x480);
    __asm__ volatile("mov %%cr4, %0; or %1, %0; mov %0, %%cr4" : "=&r"(cr4) : "r"(1ull << 13));
    __asm__ volatile("vmxon %0" ::"m"(at) : "memory", "cc");
}

static UINT64 allocate(EFI_BOOT_SERVICES *boot, UINT64 bytes)
{
    EFI_PHYSICAL_ADDRESS at = 0xffffffff;
    boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, bytes / 4096, &at);
    return at;
}

/* One TDMR, the GiB at 4 GiB; its metadata below. The sum of all statuses: 0 where all went well. */
static UINT64 start_module(EFI_BOOT_SERVICES *boot)
{
    UINT64 bad = 0;
    tdmr.base = TDMR;
    tdmr.bytes = GIB;
    tdmr.pamt_1g = (struct pamt){allocate(boot, 4096), 4096};
    tdmr.pamt_2m = (struct pamt){allocate(boot, 8192), 8192};
    tdmr.pamt_4k = (struct pamt){allocate(boot, GIB / 256), GIB / 256};
    tdmr_list[0] = (UINT64)&tdmr;
    vmx_on();
    bad |= call(SYS_INIT, 0, 0, 0);
    bad |= call(SYS_LP_INIT, 0, 0, 0);
    bad |= call(SYS_CONFIG, (UINT64)tdmr_list, 1, HKID_GLOBAL);
    bad |= call(SYS_KEY_CONFIG, 0, 0, 0);
    for (unsigned i = 0; i < 256; i++)
        bad |= call(TDMR_INIT, TDMR, 0, 0);
    return bad;
}

static UINT64 end_td(UINT64 tdr)
{
    UINT64 bad = call(MNG_VPFLUSHDONE, tdr, 0, 0), status, first = 0;
    do {
        status = call(CACHE_WB, first, 0, 0);
        first = 1;
    } while (status == INTERRUPTED);
    bad |= status | call(MNG_KEY_FREEID, tdr, 0, 0);
    return bad | call(PAGE_RECLAIM, tdr, 0, 0);
}

static void touch_private_memory(EFI_BOOT_SERVICES *boot)
{
    UINT64 tdr = TDMR + 0x5000;
    *(volatile UINT64 *)tdr = 0x1122334455667788;
    put_number("guard-test: module statuses", start_module(boot));
    put_number("guard-test: create statuses", call(MNG_CREATE, tdr, HKID_TD, 0) | call(MNG_KEY_CONFIG, tdr, 0, 0));
    put("guard-test: now the PAMT\r\n");
    put_number("guard-test: PAMT is hidden", read_at(tdmr.pamt_4k.base) != read_at(tdmr.pamt_4k.base + 8));
    put("guard-test: now the TDR\r\n");
    *(volatile UINT64 *)(tdr + 16) = 5;
    put_number("guard-test: end statuses", end_td(tdr));
    put("guard-test: now the reclaimed page\r\n");
    put_number("guard-test: old bytes are gone", read_at(tdr) != 0x1122334455667788);
    *(volatile UINT64 *)tdr = 9;
    __asm__ volatile("cpuid" ::"a"(0), "c"(0) : "rbx", "rdx");
    put_number("guard-test: plain again", read_at(tdr) == 9);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    UINT64 base = rdmsr(SEAMRR_BASE) & BASE_MASK;
    UINT64 first = read_at(base);
    __asm__ volatile("cpuid" ::"a"(0), "c"(0) : "rbx", "rdx"); /* an exit between the two reads */
    UINT64 second = read_at(base);
    put_number("guard-test: noise differs", first != second);
    *(volatile UINT64 *)(base + 8) = 1;
    __asm__ volatile("cpuid" ::"a"(0), "c"(0) : "rbx", "rdx");
    put_number("guard-test: write is gone", read_at(base + 8) != 1);
    copy_within(base + 0x1ff0, base + 0x4ff0, 0x20);
    put("guard-test: copied\r\n");
    touch_private_memory(system->BootServices);
    put("guard-test: end\r\n");
    __asm__ volatile("outw %0, %1" ::"a"((UINT16)0x2000), "d"((UINT16)0x604));
    for (;;)
        __asm__ volatile("hlt");
}
