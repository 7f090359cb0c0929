/*
 * A guest of the simulated platform that touches what is not its own: reads, writes and copies within SEAMRR, then touches
 * metadata and a control page of the TDX module's, for which it needs the GiB of memory at 4 GiB. The platform has to report
 * each with its RIP, hand out noise, keep what it holds, and never hang. The report goes to the serial port, one
 * `guard-test:` line each; tests/system reads them.
 */
#include <efi.h>

#include "tests/system/guests/lib/guest.h"
#include "tests/system/guests/lib/module.h"

#define SEAMRR_BASE 0x1400
#define BASE_MASK   0xffffffe000000ull

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

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

static UINT8 vmxon_region[GUEST_PAGE] __attribute__((aligned(GUEST_PAGE)));

static UINT64 start_module(EFI_BOOT_SERVICES *boot)
{
    guest_vmx_on(vmxon_region);
    UINT64 bad = module_call(TDH_SYS_INIT, 0, 0);
    bad |= module_call(TDH_SYS_LP_INIT, 0, 0);
    bad |= module_config(boot);
    bad |= module_call(TDH_SYS_KEY_CONFIG, 0, 0);
    return bad | module_init_tdmr();
}

static void touch_private_memory(EFI_BOOT_SERVICES *boot)
{
    UINT64 tdr = MODULE_TDMR + 0x5000;
    *(volatile UINT64 *)tdr = 0x1122334455667788;
    guest_put_number("guard-test: module statuses", start_module(boot));
    guest_put_number("guard-test: create statuses",
                     module_call(TDH_MNG_CREATE, tdr, MODULE_HKID_TD) | module_call(TDH_MNG_KEY_CONFIG, tdr, 0));
    guest_put("guard-test: now the PAMT\r\n");
    guest_put_number("guard-test: PAMT is hidden", read_at(module_pamt_4k()) != read_at(module_pamt_4k() + 8));
    guest_put("guard-test: now the TDR\r\n");
    *(volatile UINT64 *)(tdr + 16) = 5;
    guest_put_number("guard-test: end statuses", module_end_td(tdr));
    guest_put("guard-test: now the reclaimed page\r\n");
    guest_put_number("guard-test: old bytes are gone", read_at(tdr) != 0x1122334455667788);
    *(volatile UINT64 *)tdr = 9;
    __asm__ volatile("cpuid" ::"a"(0), "c"(0) : "rbx", "rdx");
    guest_put_number("guard-test: plain again", read_at(tdr) == 9);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    UINT64 base = guest_rdmsr(SEAMRR_BASE) & BASE_MASK;
    UINT64 first = read_at(base);
    __asm__ volatile("cpuid" ::"a"(0), "c"(0) : "rbx", "rdx"); /* an exit between the two reads */
    UINT64 second = read_at(base);
    guest_put_number("guard-test: noise differs", first != second);
    *(volatile UINT64 *)(base + 8) = 1;
    __asm__ volatile("cpuid" ::"a"(0), "c"(0) : "rbx", "rdx");
    guest_put_number("guard-test: write is gone", read_at(base + 8) != 1);
    copy_within(base + 0x1ff0, base + 0x4ff0, 0x20);
    guest_put("guard-test: copied\r\n");
    touch_private_memory(system->BootServices);
    guest_put("guard-test: end\r\n");
    guest_power_off();
}
