/* See module.h. */
#include "tests/system/guests/lib/module.h"
#include "tests/system/guests/lib/guest.h"

#define GIB         (1ull << 30)
#define INIT_BYTES  (4ull << 20) /* that one TDH.SYS.TDMR.INIT does */
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

UINT64 module_call(enum module_leaf leaf, UINT64 rcx, UINT64 rdx)
{
    return guest_seamcall(leaf, rcx, rdx, 0);
}

static UINT64 allocate(EFI_BOOT_SERVICES *boot, UINT64 bytes)
{
    EFI_PHYSICAL_ADDRESS at = 0xffffffff;
    boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, bytes / GUEST_PAGE, &at);
    return at;
}

UINT64 module_config(EFI_BOOT_SERVICES *boot)
{
    tdmr.base = MODULE_TDMR;
    tdmr.bytes = GIB;
    tdmr.pamt_1g = (struct pamt){allocate(boot, GUEST_PAGE), GUEST_PAGE};
    tdmr.pamt_2m = (struct pamt){allocate(boot, 2 * GUEST_PAGE), 2 * GUEST_PAGE};
    tdmr.pamt_4k = (struct pamt){allocate(boot, GIB / 256), GIB / 256};
    tdmr_list[0] = (UINT64)&tdmr;
    return guest_seamcall(TDH_SYS_CONFIG, (UINT64)tdmr_list, 1, MODULE_HKID_GLOBAL);
}

UINT64 module_init_tdmr(void)
{
    UINT64 bad = 0;
    for (UINT64 done = 0; done < GIB; done += INIT_BYTES)
        bad |= module_call(TDH_SYS_TDMR_INIT, MODULE_TDMR, 0);
    return bad;
}

UINT64 module_pamt_4k(void)
{
    return tdmr.pamt_4k.base;
}

UINT64 module_cache_wb(void)
{
    UINT64 status, resume = 0;
    do {
        status = module_call(TDH_PHYMEM_CACHE_WB, resume, 0);
        resume = 1;
    } while (status == INTERRUPTED);
    return status;
}

UINT64 module_end_td(UINT64 tdr)
{
    UINT64 bad = module_call(TDH_MNG_VPFLUSHDONE, tdr, 0) | module_cache_wb();
    bad |= module_call(TDH_MNG_KEY_FREEID, tdr, 0);
    return bad | module_call(TDH_PHYMEM_PAGE_RECLAIM, tdr, 0);
}
