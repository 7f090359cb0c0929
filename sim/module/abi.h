/*
 * The TDX module's ABI as the model answers it: leaf numbers, completion statuses, operand ids and the encodings of
 * fields that registers and memory carry. Intel TDX Module v1.5 ABI Specification (354807), chapters 3 to 5. This is
 * the model's own copy; the VMM has another.
 */
#ifndef SIM_MODULE_ABI_H
#define SIM_MODULE_ABI_H

#include "sim/types.h"

#define PAGE_4K (1ull << 12)
#define PAGE_2M (1ull << 21)
#define PAGE_1G (1ull << 30)
#define NULL_ID (~0ull) /* "none" in the tables of fields and in registers that hold an address or an id */

/* RAX of SEAMCALL and TDCALL */
#define LEAF_NUMBER(rax)   ((u16)(rax))
#define LEAF_VERSION(rax)  ((u8)((rax) >> 16))
#define LEAF_RESERVED(rax) ((rax) & ~0xffffffull)

/* clang-format off */
enum seamcall_leaf {
    TDH_VP_ENTER = 0, TDH_MNG_ADDCX = 1, TDH_MEM_PAGE_ADD = 2, TDH_MEM_SEPT_ADD = 3, TDH_VP_ADDCX = 4,
    TDH_MEM_PAGE_RELOCATE = 5, TDH_MEM_PAGE_AUG = 6, TDH_MEM_RANGE_BLOCK = 7, TDH_MNG_KEY_CONFIG = 8, TDH_MNG_CREATE = 9,
    TDH_VP_CREATE = 10, TDH_MNG_RD = 11, TDH_MEM_RD = 12, TDH_MNG_WR = 13, TDH_MEM_WR = 14, TDH_MEM_PAGE_DEMOTE = 15,
    TDH_MR_EXTEND = 16, TDH_MR_FINALIZE = 17, TDH_VP_FLUSH = 18, TDH_MNG_VPFLUSHDONE = 19, TDH_MNG_KEY_FREEID = 20,
    TDH_MNG_INIT = 21, TDH_VP_INIT = 22, TDH_MEM_PAGE_PROMOTE = 23, TDH_PHYMEM_PAGE_RDMD = 24, TDH_MEM_SEPT_RD = 25,
    TDH_VP_RD = 26, TDH_MNG_KEY_RECLAIMID = 27, TDH_PHYMEM_PAGE_RECLAIM = 28, TDH_MEM_PAGE_REMOVE = 29,
    TDH_MEM_SEPT_REMOVE = 30, TDH_SYS_KEY_CONFIG = 31, TDH_SYS_INFO = 32, TDH_SYS_INIT = 33, TDH_SYS_RD = 34,
    TDH_SYS_LP_INIT = 35, TDH_SYS_TDMR_INIT = 36, TDH_SYS_RDALL = 37, TDH_MEM_TRACK = 38, TDH_MEM_RANGE_UNBLOCK = 39,
    TDH_PHYMEM_CACHE_WB = 40, TDH_PHYMEM_PAGE_WBINVD = 41, TDH_VP_WR = 43, TDH_SYS_LP_SHUTDOWN = 44, TDH_SYS_CONFIG = 45,
    TDH_SERVTD_BIND = 48, TDH_SERVTD_PREBIND = 49, TDH_SYS_SHUTDOWN = 52, TDH_SYS_UPDATE = 53, TDH_EXPORT_ABORT = 64,
    TDH_EXPORT_BLOCKW = 65, TDH_EXPORT_RESTORE = 66, TDH_EXPORT_MEM = 68, TDH_EXPORT_PAUSE = 70, TDH_EXPORT_TRACK = 71,
    TDH_EXPORT_STATE_IMMUTABLE = 72, TDH_EXPORT_STATE_TD = 73, TDH_EXPORT_STATE_VP = 74, TDH_EXPORT_UNBLOCKW = 75,
    TDH_IMPORT_ABORT = 80, TDH_IMPORT_END = 81, TDH_IMPORT_COMMIT = 82, TDH_IMPORT_MEM = 83, TDH_IMPORT_TRACK = 84,
    TDH_IMPORT_STATE_IMMUTABLE = 85, TDH_IMPORT_STATE_TD = 86, TDH_IMPORT_STATE_VP = 87, TDH_MIG_STREAM_CREATE = 96,
    SEAMCALL_LEAVES = 128,
};

enum tdcall_leaf {
    TDG_VP_VMCALL = 0, TDG_VP_INFO = 1, TDG_MR_RTMR_EXTEND = 2, TDG_VP_VEINFO_GET = 3, TDG_MR_REPORT = 4,
    TDG_VP_CPUIDVE_SET = 5, TDG_MEM_PAGE_ACCEPT = 6, TDG_VM_RD = 7, TDG_VM_WR = 8, TDG_VP_RD = 9, TDG_VP_WR = 10,
    TDG_SYS_RD = 11, TDG_SYS_RDALL = 12, TDG_SERVTD_RD = 18, TDG_SERVTD_WR = 20, TDG_MR_VERIFYREPORT = 22,
    TDG_MEM_PAGE_ATTR_RD = 23, TDG_MEM_PAGE_ATTR_WR = 24, TDG_VP_ENTER = 25, TDG_VP_INVEPT = 26, TDG_VP_INVVPID = 27,
    TDCALL_LEAVES = 32,
};
/* clang-format on */

/* Completion statuses: the upper 32 bits as they stand in RAX, details in the lower 32. */
#define TDX_SUCCESS                            0x0000000000000000ull
#define TDX_NON_RECOVERABLE_VCPU               0x4000000100000000ull
#define TDX_NON_RECOVERABLE_TD                 0x6000000200000000ull
#define TDX_INTERRUPTED_RESUMABLE              0x8000000300000000ull
#define TDX_INTERRUPTED_RESTARTABLE            0x8000000400000000ull
#define TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE  0x6000000500000000ull
#define TDX_INVALID_RESUMPTION                 0xc000000600000000ull
#define TDX_NON_RECOVERABLE_TD_WRONG_APIC_MODE 0xe000000700000000ull
#define TDX_OPERAND_INVALID                    0xc000010000000000ull
#define TDX_OPERAND_ADDR_RANGE_ERROR           0xc000010100000000ull
#define TDX_OPERAND_BUSY                       0x8000020000000000ull
#define TDX_PREVIOUS_TLB_EPOCH_BUSY            0x8000020100000000ull
#define TDX_SYS_BUSY                           0x8000020200000000ull
#define TDX_RND_NO_ENTROPY                     0x8000020300000000ull
#define TDX_OPERAND_BUSY_HOST_PRIORITY         0x8000020400000000ull
#define TDX_CROSS_TD_TRAP                      0x9000000900000000ull
#define TDX_HOST_PRIORITY_BUSY_TIMEOUT         0x9000020500000000ull
#define TDX_PAGE_METADATA_INCORRECT            0xc000030000000000ull
#define TDX_TD_ASSOCIATED_PAGES_EXIST          0xc000040000000000ull
#define TDX_SYS_INIT_NOT_PENDING               0xc000050000000000ull
#define TDX_SYS_LP_INIT_NOT_DONE               0xc000050200000000ull
#define TDX_SYS_LP_INIT_DONE                   0xc000050300000000ull
#define TDX_SYS_NOT_READY                      0xc000050500000000ull
#define TDX_SYS_SHUTDOWN                       0xc000050600000000ull
#define TDX_SYS_KEY_CONFIG_NOT_PENDING         0xc000050700000000ull
#define TDX_SYS_STATE_INCORRECT                0xc000050800000000ull
#define TDX_SYS_INVALID_HANDOFF                0xc000050900000000ull
#define TDX_SYS_LP_INIT_NOT_PENDING            0xc000050b00000000ull
#define TDX_SYS_CONFIG_NOT_PENDING             0xc000050c00000000ull
#define TDX_TD_FATAL                           0xe000060400000000ull
#define TDX_TD_NON_DEBUG                       0xc000060500000000ull
#define TDX_TDCS_NOT_ALLOCATED                 0xc000060600000000ull
#define TDX_LIFECYCLE_STATE_INCORRECT          0xc000060700000000ull
#define TDX_OP_STATE_INCORRECT                 0xc000060800000000ull
#define TDX_NO_VCPUS                           0xc000060900000000ull
#define TDX_TDCX_NUM_INCORRECT                 0xc000061000000000ull
#define TDX_VCPU_STATE_INCORRECT               0xc000070000000000ull
#define TDX_VCPU_ASSOCIATED                    0x8000070100000000ull
#define TDX_VCPU_NOT_ASSOCIATED                0x8000070200000000ull
#define TDX_NO_VALID_VE_INFO                   0xc000070400000000ull
#define TDX_MAX_VCPUS_EXCEEDED                 0xc000070500000000ull
#define TDX_TSC_ROLLBACK                       0xc000070600000000ull
#define TDX_TD_VMCS_FIELD_NOT_INITIALIZED      0xc000073000000000ull
#define TDX_KEY_GENERATION_FAILED              0x8000080000000000ull
#define TDX_TD_KEYS_NOT_CONFIGURED             0x8000081000000000ull
#define TDX_KEY_STATE_INCORRECT                0xc000081100000000ull
#define TDX_KEY_CONFIGURED                     0x0000081500000000ull
#define TDX_WBCACHE_NOT_COMPLETE               0x8000081700000000ull
#define TDX_HKID_NOT_FREE                      0xc000082000000000ull
#define TDX_NO_HKID_READY_TO_WBCACHE           0x0000082100000000ull
#define TDX_WBCACHE_RESUME_ERROR               0xc000082300000000ull
#define TDX_FLUSHVP_NOT_DONE                   0x8000082400000000ull
#define TDX_INCORRECT_CPUID_VALUE              0xc000090000000000ull
#define TDX_INCONSISTENT_CPUID_FIELD           0xc000090200000000ull
#define TDX_INCONSISTENT_MSR                   0xc000092000000000ull
#define TDX_INVALID_TDMR                       0xc0000a0000000000ull
#define TDX_NON_ORDERED_TDMR                   0xc0000a0100000000ull
#define TDX_TDMR_OUTSIDE_CMRS                  0xc0000a0200000000ull
#define TDX_TDMR_ALREADY_INITIALIZED           0x00000a0300000000ull
#define TDX_INVALID_PAMT                       0xc0000a1000000000ull
#define TDX_PAMT_OUTSIDE_CMRS                  0xc0000a1100000000ull
#define TDX_PAMT_OVERLAP                       0xc0000a1200000000ull
#define TDX_INVALID_RESERVED_IN_TDMR           0xc0000a2000000000ull
#define TDX_NON_ORDERED_RESERVED_IN_TDMR       0xc0000a2100000000ull
#define TDX_CMR_LIST_INVALID                   0xc0000a2200000000ull
#define TDX_EPT_WALK_FAILED                    0xc0000b0000000000ull
#define TDX_EPT_ENTRY_FREE                     0xc0000b0100000000ull
#define TDX_EPT_ENTRY_NOT_FREE                 0xc0000b0200000000ull
#define TDX_EPT_ENTRY_NOT_PRESENT              0xc0000b0300000000ull
#define TDX_GPA_RANGE_NOT_BLOCKED              0xc0000b0600000000ull
#define TDX_GPA_RANGE_ALREADY_BLOCKED          0x00000b0700000000ull
#define TDX_TLB_TRACKING_NOT_DONE              0xc0000b0800000000ull
#define TDX_EPT_INVALID_PROMOTE_CONDITIONS     0xc0000b0900000000ull
#define TDX_PAGE_ALREADY_ACCEPTED              0x00000b0a00000000ull
#define TDX_PAGE_SIZE_MISMATCH                 0xc0000b0b00000000ull
#define TDX_EPT_ENTRY_STATE_INCORRECT          0xc0000b0d00000000ull
#define TDX_EPT_PAGE_NOT_FREE                  0xc0000b0e00000000ull
#define TDX_L2_SEPT_WALK_FAILED                0xc0000b0f00000000ull
#define TDX_L2_SEPT_ENTRY_NOT_FREE             0xc0000b1000000000ull
#define TDX_PAGE_ATTR_INVALID                  0xc0000b1100000000ull
#define TDX_METADATA_FIELD_ID_INCORRECT        0xc0000c0000000000ull
#define TDX_METADATA_FIELD_NOT_WRITABLE        0xc0000c0100000000ull
#define TDX_METADATA_FIELD_NOT_READABLE        0xc0000c0200000000ull
#define TDX_METADATA_FIELD_VALUE_NOT_VALID     0xc0000c0300000000ull
#define TDX_METADATA_LIST_OVERFLOW             0xc0000c0400000000ull
#define TDX_METADATA_WR_MASK_NOT_VALID         0xc0000c0a00000000ull
#define TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT 0x00000c0b00000000ull
#define TDX_SERVTD_NOT_BOUND                   0xc0000d0500000000ull
#define TDX_TARGET_UUID_MISMATCH               0xc0000d0700000000ull
#define TDX_TARGET_UUID_UPDATED                0xc0000d0800000000ull
#define TDX_MAX_MIGS_NUM_EXCEEDED              0xc0000e0600000000ull
#define TDX_TD_NOT_MIGRATABLE                  0xc0000e0900000000ull
#define TDX_MIN_MIGS_NOT_CREATED               0xc0000e1400000000ull
#define TDX_INVALID_CPUSVN                     0xc000100000000000ull
#define TDX_INVALID_REPORTMACSTRUCT            0xc000100100000000ull

/* Operand ids, in the details of a status: registers by their number (enum seam_gpr_no), and these. */
enum operand_id {
    OPERAND_ATTRIBUTES = 0x40,
    OPERAND_XFAM = 0x41,
    OPERAND_EXEC_CONTROLS = 0x42,
    OPERAND_EPTP_CONTROLS = 0x43,
    OPERAND_MAX_VCPUS = 0x44,
    OPERAND_CPUID_CONFIG = 0x45,
    OPERAND_TSC_FREQUENCY = 0x46,
    OPERAND_NUM_L2_VMS = 0x47,
    OPERAND_ARCH_CAPABILITIES = 0x48,
    OPERAND_TDMR_INFO_PA = 0x60,
    OPERAND_TDR = 0x80,
    OPERAND_TDCX = 0x81,
    OPERAND_TDVPR = 0x82,
    OPERAND_TDCS = 0x90,
    OPERAND_TDVPS = 0x91,
    OPERAND_SEPT_TREE = 0x92,
    OPERAND_SEPT_ENTRY = 0x93,
    OPERAND_RTMR = 0xa8,
    OPERAND_TD_EPOCH = 0xa9,
    OPERAND_L2_VAPIC_GPA = 0xaa,
    OPERAND_OP_STATE = 0xac,
    OPERAND_SYS = 0xb8,
    OPERAND_TDMR = 0xb9,
    OPERAND_KOT = 0xba,
    OPERAND_KET = 0xbb,
    OPERAND_WBCACHE = 0xbc,
};

/* PAMT page types. An all-zero PAMT entry is a page that is not assigned. */
enum pamt_type {
    PT_NDA = 0,
    PT_RSVD = 1,
    PT_REG = 3,
    PT_TDR = 4,
    PT_TDCX = 5,
    PT_TDVPR = 6,
    PT_EPT = 8,
};

/* Page sizes, S-EPT levels and the level field of a GPA operand share one numbering. */
enum page_level { LEVEL_4K = 0, LEVEL_2M = 1, LEVEL_1G = 2, LEVEL_512G = 3, LEVEL_256T = 4 };

/* States of a Secure EPT entry as TDH.MEM.SEPT.RD shows them (RDX bits 15:8); the entry itself holds them in bits
 * 59:52. */
enum sept_state {
    SEPT_FREE = 0,
    SEPT_BLOCKED = 1,
    SEPT_PENDING = 2,
    SEPT_PENDING_BLOCKED = 3,
    SEPT_MAPPED = 4,
    SEPT_NL_BLOCKED = 0x81,
    SEPT_NL_MAPPED = 0x84,
};

enum td_lifecycle { TD_HKID_ASSIGNED = 0, TD_KEYS_CONFIGURED = 1, TD_BLOCKED = 2, TD_TEARDOWN = 3 };
enum td_op_state { OP_UNINITIALIZED = 0, OP_INITIALIZED = 1, OP_RUNNABLE = 2 };
enum vcpu_state { VCPU_UNINITIALIZED = 0, VCPU_READY = 2, VCPU_ACTIVE = 4, VCPU_DISABLED = 8 };

#define ATTR_DEBUG           (1ull << 0)
#define ATTR_SEPT_VE_DISABLE (1ull << 28)
#define ATTR_MIGRATABLE      (1ull << 29)
#define ATTR_PKS             (1ull << 30)
#define ATTR_PERFMON         (1ull << 63)

#define CONFIG_FLAG_GPAW        (1ull << 0)
#define CONFIG_FLAG_FLEXIBLE_VE (1ull << 1)
#define CONFIG_FLAG_NO_RBP_MOD  (1ull << 2)

/* TDX_FEATURES0 bits that change what leafs do here. */
#define FEATURES0_DEMOTE_UNINTERRUPTED (1ull << 51) /* DEMOTE of a TD without L2 VMs does not look for interrupts */
/* DEMOTE without BLOCK and TRACK. Announced for later modules; its bit is not published, this one is assumed. */
#define FEATURES0_NON_BLOCKING_RESIZE (1ull << 35)

/* The counts of control pages: TDCS, TDVPS (with the TDVPR), and what each L2 VM adds. */
#define TDCS_PAGES_MIN     6
#define TDCS_PAGES_PER_L2  1
#define TDCS_PAGES_MAX     9
#define TDVPS_PAGES_MIN    6
#define TDVPS_PAGES_PER_L2 3
#define TDVPS_PAGES_MAX    15
#define L2_VMS_MAX         3
#define VMS_MAX            4
#define MAX_VCPUS_LIMIT    0xffff

#endif
