/*
 * A TDX module with one TDMR for guests: the GiB of memory at 4 GiB, which the machine must have, its PAMT below. Leaf numbers and
 * TDMR_INFO: Intel TDX Module v1.5 ABI Specification. Each function returns a status, or the OR of several: 0 where all went well.
 */
#ifndef TESTS_SYSTEM_GUESTS_LIB_MODULE_H
#define TESTS_SYSTEM_GUESTS_LIB_MODULE_H

#include <efi.h>

enum module_leaf {
    TDH_MNG_KEY_CONFIG = 8,
    TDH_MNG_CREATE = 9,
    TDH_MNG_VPFLUSHDONE = 19,
    TDH_MNG_KEY_FREEID = 20,
    TDH_PHYMEM_PAGE_RECLAIM = 28,
    TDH_SYS_KEY_CONFIG = 31,
    TDH_SYS_INIT = 33,
    TDH_SYS_LP_INIT = 35,
    TDH_SYS_TDMR_INIT = 36,
    TDH_PHYMEM_CACHE_WB = 40,
    TDH_SYS_CONFIG = 45,
};

#define MODULE_TDMR        (4ull << 30)
#define MODULE_HKID_GLOBAL 32
#define MODULE_HKID_TD     33 /* the first that a TD may have */

UINT64 module_call(enum module_leaf leaf, UINT64 rcx, UINT64 rdx);

/* In the order of the start: SYS.INIT and LP.INIT go before the first, KEY.CONFIG before the second. */
UINT64 module_config(EFI_BOOT_SERVICES *boot);
UINT64 module_init_tdmr(void);
UINT64 module_pamt_4k(void);

/* TDH.PHYMEM.CACHE.WB on the package of this CPU, to its end. */
UINT64 module_cache_wb(void);
/* On one package: the end of a TD that has nothing but its TDR, whose page comes back. */
UINT64 module_end_td(UINT64 tdr);

#endif
