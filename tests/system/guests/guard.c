/*
 * A guest of the simulated platform that touches what is not its own: reads, writes and copies within SEAMRR, then goes on.
 * The platform has to report each with its RIP, hand out noise, keep what it holds, and never hang. The report goes to the
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

static UINT64 read_at(UINT64 at) { return *(volatile UINT64 *)at; }

/* One instruction that touches two foreign pages, and goes over a page boundary in both. */
static void copy_within(UINT64 to, UINT64 from, UINT64 bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
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
    put("guard-test: end\r\n");
    __asm__ volatile("outw %0, %1" ::"a"((UINT16)0x2000), "d"((UINT16)0x604));
    for (;;)
        __asm__ volatile("hlt");
}
