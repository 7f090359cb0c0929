/*
 * SEAMCALL leaf numbers of TDX module 1.5: RAX bits 15:0, with a version in bits 23:16 where a leaf has several. TDX
 * Module ABI Specification, "Host-side (SEAMCALL) interface functions". Left out: the leaves of migration, 64 and up.
 */
#ifndef TDX_ABI_LEAF_H
#define TDX_ABI_LEAF_H

/* clang-format off */
#define TDX_LEAF_LIST(X) \
    X(0,  TDH_VP_ENTER,             "TDH.VP.ENTER")            \
    X(1,  TDH_MNG_ADDCX,            "TDH.MNG.ADDCX")           \
    X(2,  TDH_MEM_PAGE_ADD,         "TDH.MEM.PAGE.ADD")        \
    X(3,  TDH_MEM_SEPT_ADD,         "TDH.MEM.SEPT.ADD")        \
    X(4,  TDH_VP_ADDCX,             "TDH.VP.ADDCX")            \
    X(5,  TDH_MEM_PAGE_RELOCATE,    "TDH.MEM.PAGE.RELOCATE")   \
    X(6,  TDH_MEM_PAGE_AUG,         "TDH.MEM.PAGE.AUG")        \
    X(7,  TDH_MEM_RANGE_BLOCK,      "TDH.MEM.RANGE.BLOCK")     \
    X(8,  TDH_MNG_KEY_CONFIG,       "TDH.MNG.KEY.CONFIG")      \
    X(9,  TDH_MNG_CREATE,           "TDH.MNG.CREATE")          \
    X(10, TDH_VP_CREATE,            "TDH.VP.CREATE")           \
    X(11, TDH_MNG_RD,               "TDH.MNG.RD")              \
    X(12, TDH_MEM_RD,               "TDH.MEM.RD")              \
    X(13, TDH_MNG_WR,               "TDH.MNG.WR")              \
    X(14, TDH_MEM_WR,               "TDH.MEM.WR")              \
    X(15, TDH_MEM_PAGE_DEMOTE,      "TDH.MEM.PAGE.DEMOTE")     \
    X(16, TDH_MR_EXTEND,            "TDH.MR.EXTEND")           \
    X(17, TDH_MR_FINALIZE,          "TDH.MR.FINALIZE")         \
    X(18, TDH_VP_FLUSH,             "TDH.VP.FLUSH")            \
    X(19, TDH_MNG_VPFLUSHDONE,      "TDH.MNG.VPFLUSHDONE")     \
    X(20, TDH_MNG_KEY_FREEID,       "TDH.MNG.KEY.FREEID")      \
    X(21, TDH_MNG_INIT,             "TDH.MNG.INIT")            \
    X(22, TDH_VP_INIT,              "TDH.VP.INIT")             \
    X(23, TDH_MEM_PAGE_PROMOTE,     "TDH.MEM.PAGE.PROMOTE")    \
    X(24, TDH_PHYMEM_PAGE_RDMD,     "TDH.PHYMEM.PAGE.RDMD")    \
    X(25, TDH_MEM_SEPT_RD,          "TDH.MEM.SEPT.RD")         \
    X(26, TDH_VP_RD,                "TDH.VP.RD")               \
    X(27, TDH_MNG_KEY_RECLAIMID,    "TDH.MNG.KEY.RECLAIMID")   \
    X(28, TDH_PHYMEM_PAGE_RECLAIM,  "TDH.PHYMEM.PAGE.RECLAIM") \
    X(29, TDH_MEM_PAGE_REMOVE,      "TDH.MEM.PAGE.REMOVE")     \
    X(30, TDH_MEM_SEPT_REMOVE,      "TDH.MEM.SEPT.REMOVE")     \
    X(31, TDH_SYS_KEY_CONFIG,       "TDH.SYS.KEY.CONFIG")      \
    X(32, TDH_SYS_INFO,             "TDH.SYS.INFO")            \
    X(33, TDH_SYS_INIT,             "TDH.SYS.INIT")            \
    X(34, TDH_SYS_RD,               "TDH.SYS.RD")              \
    X(35, TDH_SYS_LP_INIT,          "TDH.SYS.LP.INIT")         \
    X(36, TDH_SYS_TDMR_INIT,        "TDH.SYS.TDMR.INIT")       \
    X(37, TDH_SYS_RDALL,            "TDH.SYS.RDALL")           \
    X(38, TDH_MEM_TRACK,            "TDH.MEM.TRACK")           \
    X(39, TDH_MEM_RANGE_UNBLOCK,    "TDH.MEM.RANGE.UNBLOCK")   \
    X(40, TDH_PHYMEM_CACHE_WB,      "TDH.PHYMEM.CACHE.WB")     \
    X(41, TDH_PHYMEM_PAGE_WBINVD,   "TDH.PHYMEM.PAGE.WBINVD")  \
    X(43, TDH_VP_WR,                "TDH.VP.WR")               \
    X(44, TDH_SYS_LP_SHUTDOWN,      "TDH.SYS.LP.SHUTDOWN")     \
    X(45, TDH_SYS_CONFIG,           "TDH.SYS.CONFIG")          \
    X(48, TDH_SERVTD_BIND,          "TDH.SERVTD.BIND")         \
    X(49, TDH_SERVTD_PREBIND,       "TDH.SERVTD.PREBIND")      \
    X(52, TDH_SYS_SHUTDOWN,         "TDH.SYS.SHUTDOWN")        \
    X(53, TDH_SYS_UPDATE,           "TDH.SYS.UPDATE")
/* clang-format on */

enum tdx_leaf {
#define X(number, symbol, name) symbol = number,
    TDX_LEAF_LIST(X)
#undef X
};

#endif
