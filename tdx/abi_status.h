/*
 * Completion statuses of TDX module 1.5 and the operands that they name. TDX Module ABI Specification, "Interface
 * function completion status codes" and "Operand IDs".
 *
 * One table: upper dword of RAX, name, verdict (enum tdx_verdict in tdx/status.h), and what the lower dword holds.
 * It covers every status that the module may give, also those of leaves that the VMM never calls.
 */
#ifndef TDX_ABI_STATUS_H
#define TDX_ABI_STATUS_H

/* What bits 31:0 of a status hold. */
enum tdx_details {
    TDX_DETAILS_NONE,        /* zero */
    TDX_DETAILS_OPERAND,     /* an operand id: enum tdx_operand */
    TDX_DETAILS_LEVEL,       /* the level of the Secure EPT entry that was found */
    TDX_DETAILS_EXIT_REASON, /* a VMX exit reason */
    TDX_DETAILS_TDMR, /* byte 0 TDMR index, byte 1 PAMT level or reserved-area index, byte 2 the other TDMR's index */
    TDX_DETAILS_MSR,
    TDX_DETAILS_CPUID_LEAF,
    TDX_DETAILS_OTHER, /* a VMCS encoding, an L2 VM and its level */
};

/* clang-format off */
#define TDX_STATUS_LIST(X) \
    X(0x00000000, TDX_SUCCESS,                                DONE,             NONE)        \
    X(0x40000001, TDX_NON_RECOVERABLE_VCPU,                   VCPU_DEAD,        EXIT_REASON) \
    X(0x60000002, TDX_NON_RECOVERABLE_TD,                     TD_DEAD,          EXIT_REASON) \
    X(0x80000003, TDX_INTERRUPTED_RESUMABLE,                  REPEAT,           NONE)        \
    X(0x80000004, TDX_INTERRUPTED_RESTARTABLE,                REPEAT,           NONE)        \
    X(0x60000005, TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE,      TD_DEAD,          EXIT_REASON) \
    X(0xc0000006, TDX_INVALID_RESUMPTION,                     REFUSED,          NONE)        \
    X(0xe0000007, TDX_NON_RECOVERABLE_TD_WRONG_APIC_MODE,     TD_DEAD,          NONE)        \
    X(0x80000008, TDX_CROSS_TD_FAULT,                         REPEAT,           NONE)        \
    X(0x90000009, TDX_CROSS_TD_TRAP,                          REPEAT,           NONE)        \
    X(0x6000000a, TDX_NON_RECOVERABLE_TD_CORRUPTED_MD,        TD_DEAD,          NONE)        \
    X(0xc0000100, TDX_OPERAND_INVALID,                        REFUSED,          OPERAND)     \
    X(0xc0000101, TDX_OPERAND_ADDR_RANGE_ERROR,               REFUSED,          OPERAND)     \
    X(0x80000200, TDX_OPERAND_BUSY,                           REPEAT,           OPERAND)     \
    X(0x80000201, TDX_PREVIOUS_TLB_EPOCH_BUSY,                AFTER_OTHER_STEP, NONE)        \
    X(0x80000202, TDX_SYS_BUSY,                               REPEAT,           NONE)        \
    X(0x80000203, TDX_RND_NO_ENTROPY,                         REPEAT,           NONE)        \
    X(0x80000204, TDX_OPERAND_BUSY_HOST_PRIORITY,             REPEAT,           OPERAND)     \
    X(0x90000205, TDX_HOST_PRIORITY_BUSY_TIMEOUT,             AFTER_OTHER_STEP, NONE)        \
    X(0xc0000300, TDX_PAGE_METADATA_INCORRECT,                REFUSED,          OPERAND)     \
    X(0x00000301, TDX_PAGE_ALREADY_FREE,                      DONE,             OPERAND)     \
    X(0xc0000302, TDX_PAGE_NOT_OWNED_BY_TD,                   REFUSED,          OPERAND)     \
    X(0xc0000303, TDX_PAGE_NOT_FREE,                          REFUSED,          OPERAND)     \
    X(0xc0000400, TDX_TD_ASSOCIATED_PAGES_EXIST,              AFTER_OTHER_STEP, NONE)        \
    X(0xc0000500, TDX_SYS_INIT_NOT_PENDING,                   REFUSED,          NONE)        \
    X(0xc0000502, TDX_SYS_LP_INIT_NOT_DONE,                   AFTER_OTHER_STEP, NONE)        \
    X(0xc0000503, TDX_SYS_LP_INIT_DONE,                       REFUSED,          NONE)        \
    X(0xc0000505, TDX_SYS_NOT_READY,                          AFTER_OTHER_STEP, NONE)        \
    X(0xc0000506, TDX_SYS_SHUTDOWN,                           REFUSED,          NONE)        \
    X(0xc0000507, TDX_SYS_KEY_CONFIG_NOT_PENDING,             REFUSED,          NONE)        \
    X(0xc0000508, TDX_SYS_STATE_INCORRECT,                    REFUSED,          NONE)        \
    X(0xc0000509, TDX_SYS_INVALID_HANDOFF,                    REFUSED,          NONE)        \
    X(0xc000050a, TDX_SYS_INCOMPATIBLE_SIGSTRUCT,             REFUSED,          NONE)        \
    X(0xc000050b, TDX_SYS_LP_INIT_NOT_PENDING,                REFUSED,          NONE)        \
    X(0xc000050c, TDX_SYS_CONFIG_NOT_PENDING,                 REFUSED,          NONE)        \
    X(0xc000050d, TDX_INCOMPATIBLE_SEAM_CAPABILITIES,         REFUSED,          NONE)        \
    X(0xe0000604, TDX_TD_FATAL,                               TD_DEAD,          NONE)        \
    X(0xc0000605, TDX_TD_NON_DEBUG,                           REFUSED,          NONE)        \
    X(0xc0000606, TDX_TDCS_NOT_ALLOCATED,                     AFTER_OTHER_STEP, NONE)        \
    X(0xc0000607, TDX_LIFECYCLE_STATE_INCORRECT,              REFUSED,          NONE)        \
    X(0xc0000608, TDX_OP_STATE_INCORRECT,                     REFUSED,          NONE)        \
    X(0xc0000609, TDX_NO_VCPUS,                               AFTER_OTHER_STEP, NONE)        \
    X(0xc0000610, TDX_TDCX_NUM_INCORRECT,                     REFUSED,          NONE)        \
    X(0xc0000700, TDX_VCPU_STATE_INCORRECT,                   REFUSED,          NONE)        \
    X(0x80000701, TDX_VCPU_ASSOCIATED,                        AFTER_OTHER_STEP, NONE)        \
    X(0x80000702, TDX_VCPU_NOT_ASSOCIATED,                    AFTER_OTHER_STEP, NONE)        \
    X(0xc0000704, TDX_NO_VALID_VE_INFO,                       REFUSED,          NONE)        \
    X(0xc0000705, TDX_MAX_VCPUS_EXCEEDED,                     REFUSED,          NONE)        \
    X(0xc0000706, TDX_TSC_ROLLBACK,                           REFUSED,          NONE)        \
    X(0xc0000730, TDX_TD_VMCS_FIELD_NOT_INITIALIZED,          AFTER_OTHER_STEP, OTHER)       \
    X(0xc0000731, TDX_TD_VMCS_FIELD_ERROR,                    REFUSED,          OTHER)       \
    X(0x80000800, TDX_KEY_GENERATION_FAILED,                  REPEAT,           NONE)        \
    X(0x80000810, TDX_TD_KEYS_NOT_CONFIGURED,                 AFTER_OTHER_STEP, NONE)        \
    X(0xc0000811, TDX_KEY_STATE_INCORRECT,                    REFUSED,          NONE)        \
    X(0x00000815, TDX_KEY_CONFIGURED,                         DONE,             NONE)        \
    X(0x80000817, TDX_WBCACHE_NOT_COMPLETE,                   AFTER_OTHER_STEP, NONE)        \
    X(0xc0000820, TDX_HKID_NOT_FREE,                          REFUSED,          NONE)        \
    X(0x00000821, TDX_NO_HKID_READY_TO_WBCACHE,               DONE,             NONE)        \
    X(0xc0000823, TDX_WBCACHE_RESUME_ERROR,                   REFUSED,          NONE)        \
    X(0x80000824, TDX_FLUSHVP_NOT_DONE,                       AFTER_OTHER_STEP, NONE)        \
    X(0xc0000825, TDX_NUM_ACTIVATED_HKIDS_NOT_SUPPORTED,      REFUSED,          NONE)        \
    X(0xc0000900, TDX_INCORRECT_CPUID_VALUE,                  REFUSED,          NONE)        \
    X(0xc0000901, TDX_LIMIT_CPUID_MAXVAL_SET,                 REFUSED,          NONE)        \
    X(0xc0000902, TDX_INCONSISTENT_CPUID_FIELD,               REFUSED,          NONE)        \
    X(0xc0000903, TDX_CPUID_MAX_SUBLEAVES_UNRECOGNIZED,       REFUSED,          NONE)        \
    X(0xc0000904, TDX_CPUID_LEAF_1F_FORMAT_UNRECOGNIZED,      REFUSED,          NONE)        \
    X(0xc0000905, TDX_INVALID_WBINVD_SCOPE,                   REFUSED,          NONE)        \
    X(0xc0000906, TDX_INVALID_PKG_ID,                         REFUSED,          NONE)        \
    X(0xc0000907, TDX_ENABLE_MONITOR_FSM_NOT_SET,             REFUSED,          NONE)        \
    X(0xc0000908, TDX_CPUID_LEAF_NOT_SUPPORTED,               REFUSED,          CPUID_LEAF)  \
    X(0xc0000910, TDX_SMRR_NOT_LOCKED,                        REFUSED,          NONE)        \
    X(0xc0000911, TDX_INVALID_SMRR_CONFIGURATION,             REFUSED,          NONE)        \
    X(0xc0000912, TDX_SMRR_OVERLAPS_CMR,                      REFUSED,          NONE)        \
    X(0xc0000913, TDX_SMRR_LOCK_NOT_SUPPORTED,                REFUSED,          NONE)        \
    X(0xc0000914, TDX_SMRR_NOT_SUPPORTED,                     REFUSED,          NONE)        \
    X(0xc0000920, TDX_INCONSISTENT_MSR,                       REFUSED,          MSR)         \
    X(0xc0000921, TDX_INCORRECT_MSR_VALUE,                    REFUSED,          MSR)         \
    X(0xc0000930, TDX_SEAMREPORT_NOT_AVAILABLE,               REFUSED,          NONE)        \
    X(0xc0000931, TDX_SEAMDB_GETREF_NOT_AVAILABLE,            REFUSED,          NONE)        \
    X(0xc0000932, TDX_SEAMDB_REPORT_NOT_AVAILABLE,            REFUSED,          NONE)        \
    X(0xc0000933, TDX_SEAMVERIFYREPORT_NOT_AVAILABLE,         REFUSED,          NONE)        \
    X(0xc0000a00, TDX_INVALID_TDMR,                           REFUSED,          TDMR)        \
    X(0xc0000a01, TDX_NON_ORDERED_TDMR,                       REFUSED,          TDMR)        \
    X(0xc0000a02, TDX_TDMR_OUTSIDE_CMRS,                      REFUSED,          TDMR)        \
    X(0x00000a03, TDX_TDMR_ALREADY_INITIALIZED,               DONE,             NONE)        \
    X(0xc0000a10, TDX_INVALID_PAMT,                           REFUSED,          TDMR)        \
    X(0xc0000a11, TDX_PAMT_OUTSIDE_CMRS,                      REFUSED,          TDMR)        \
    X(0xc0000a12, TDX_PAMT_OVERLAP,                           REFUSED,          TDMR)        \
    X(0xc0000a20, TDX_INVALID_RESERVED_IN_TDMR,               REFUSED,          TDMR)        \
    X(0xc0000a21, TDX_NON_ORDERED_RESERVED_IN_TDMR,           REFUSED,          TDMR)        \
    X(0xc0000a22, TDX_CMR_LIST_INVALID,                       REFUSED,          NONE)        \
    X(0xc0000b00, TDX_EPT_WALK_FAILED,                        REFUSED,          OPERAND)     \
    X(0xc0000b01, TDX_EPT_ENTRY_FREE,                         REFUSED,          OPERAND)     \
    X(0xc0000b02, TDX_EPT_ENTRY_NOT_FREE,                     REFUSED,          OPERAND)     \
    X(0xc0000b03, TDX_EPT_ENTRY_NOT_PRESENT,                  REFUSED,          OPERAND)     \
    X(0xc0000b04, TDX_EPT_ENTRY_NOT_LEAF,                     REFUSED,          OPERAND)     \
    X(0xc0000b05, TDX_EPT_ENTRY_LEAF,                         REFUSED,          OPERAND)     \
    X(0xc0000b06, TDX_GPA_RANGE_NOT_BLOCKED,                  AFTER_OTHER_STEP, OPERAND)     \
    X(0x00000b07, TDX_GPA_RANGE_ALREADY_BLOCKED,              DONE,             OPERAND)     \
    X(0xc0000b08, TDX_TLB_TRACKING_NOT_DONE,                  AFTER_OTHER_STEP, OPERAND)     \
    X(0xc0000b09, TDX_EPT_INVALID_PROMOTE_CONDITIONS,         REFUSED,          OPERAND)     \
    X(0x00000b0a, TDX_PAGE_ALREADY_ACCEPTED,                  DONE,             LEVEL)       \
    X(0xc0000b0b, TDX_PAGE_SIZE_MISMATCH,                     REFUSED,          LEVEL)       \
    X(0xc0000b0c, TDX_GPA_RANGE_BLOCKED,                      AFTER_OTHER_STEP, OPERAND)     \
    X(0xc0000b0d, TDX_EPT_ENTRY_STATE_INCORRECT,              REFUSED,          OPERAND)     \
    X(0xc0000b0e, TDX_EPT_PAGE_NOT_FREE,                      REFUSED,          OPERAND)     \
    X(0xc0000b0f, TDX_L2_SEPT_WALK_FAILED,                    REFUSED,          OTHER)       \
    X(0xc0000b10, TDX_L2_SEPT_ENTRY_NOT_FREE,                 REFUSED,          OTHER)       \
    X(0xc0000b11, TDX_PAGE_ATTR_INVALID,                      REFUSED,          NONE)        \
    X(0xc0000b12, TDX_L2_SEPT_PAGE_NOT_PROVIDED,              AFTER_OTHER_STEP, OPERAND)     \
    X(0xc0000c00, TDX_METADATA_FIELD_ID_INCORRECT,            REFUSED,          NONE)        \
    X(0xc0000c01, TDX_METADATA_FIELD_NOT_WRITABLE,            REFUSED,          NONE)        \
    X(0xc0000c02, TDX_METADATA_FIELD_NOT_READABLE,            REFUSED,          NONE)        \
    X(0xc0000c03, TDX_METADATA_FIELD_VALUE_NOT_VALID,         REFUSED,          NONE)        \
    X(0xc0000c04, TDX_METADATA_LIST_OVERFLOW,                 REFUSED,          NONE)        \
    X(0xc0000c05, TDX_INVALID_METADATA_LIST_HEADER,           REFUSED,          NONE)        \
    X(0xc0000c06, TDX_REQUIRED_METADATA_FIELD_MISSING,        REFUSED,          NONE)        \
    X(0xc0000c07, TDX_METADATA_ELEMENT_SIZE_INCORRECT,        REFUSED,          NONE)        \
    X(0xc0000c08, TDX_METADATA_LAST_ELEMENT_INCORRECT,        REFUSED,          NONE)        \
    X(0xc0000c09, TDX_METADATA_FIELD_CURRENTLY_NOT_WRITABLE,  REFUSED,          NONE)        \
    X(0xc0000c0a, TDX_METADATA_WR_MASK_NOT_VALID,             REFUSED,          NONE)        \
    X(0x00000c0b, TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT,     DONE,             NONE)        \
    X(0x00000c0c, TDX_METADATA_FIELD_SKIP,                    DONE,             NONE)        \
    X(0xc0000d00, TDX_SERVTD_ALREADY_BOUND_FOR_TYPE,          REFUSED,          NONE)        \
    X(0xc0000d01, TDX_SERVTD_TYPE_MISMATCH,                   REFUSED,          NONE)        \
    X(0xc0000d02, TDX_SERVTD_ATTR_MISMATCH,                   REFUSED,          NONE)        \
    X(0xc0000d03, TDX_SERVTD_INFO_HASH_MISMATCH,              REFUSED,          NONE)        \
    X(0xc0000d04, TDX_SERVTD_UUID_MISMATCH,                   REFUSED,          NONE)        \
    X(0xc0000d05, TDX_SERVTD_NOT_BOUND,                       AFTER_OTHER_STEP, NONE)        \
    X(0xc0000d06, TDX_SERVTD_BOUND,                           REFUSED,          NONE)        \
    X(0xc0000d07, TDX_TARGET_UUID_MISMATCH,                   REFUSED,          NONE)        \
    X(0xc0000d08, TDX_TARGET_UUID_UPDATED,                    REFUSED,          NONE)        \
    X(0xc0000e00, TDX_INVALID_MBMD,                           REFUSED,          NONE)        \
    X(0xc0000e01, TDX_INCORRECT_MBMD_MAC,                     REFUSED,          NONE)        \
    X(0xc0000e02, TDX_NOT_WRITE_BLOCKED,                      AFTER_OTHER_STEP, NONE)        \
    X(0x00000e03, TDX_ALREADY_WRITE_BLOCKED,                  DONE,             NONE)        \
    X(0xc0000e04, TDX_NOT_EXPORTED,                           REFUSED,          NONE)        \
    X(0xc0000e05, TDX_MIGRATION_STREAM_STATE_INCORRECT,       REFUSED,          NONE)        \
    X(0xc0000e06, TDX_MAX_MIGS_NUM_EXCEEDED,                  REFUSED,          NONE)        \
    X(0xc0000e07, TDX_EXPORTED_DIRTY_PAGES_REMAIN,            AFTER_OTHER_STEP, NONE)        \
    X(0xc0000e08, TDX_MIGRATION_DECRYPTION_KEY_NOT_SET,       AFTER_OTHER_STEP, NONE)        \
    X(0xc0000e09, TDX_TD_NOT_MIGRATABLE,                      REFUSED,          NONE)        \
    X(0xc0000e0a, TDX_PREVIOUS_EXPORT_CLEANUP_INCOMPLETE,     AFTER_OTHER_STEP, NONE)        \
    X(0xc0000e0b, TDX_NUM_MIGS_HIGHER_THAN_CREATED,           REFUSED,          NONE)        \
    X(0xc0000e0c, TDX_IMPORT_MISMATCH,                        REFUSED,          OPERAND)     \
    X(0xc0000e0d, TDX_MIGRATION_EPOCH_OVERFLOW,               REFUSED,          NONE)        \
    X(0xc0000e0e, TDX_MAX_EXPORTS_EXCEEDED,                   REFUSED,          NONE)        \
    X(0xc0000e0f, TDX_INVALID_PAGE_MAC,                       REFUSED,          OPERAND)     \
    X(0xc0000e10, TDX_MIGRATED_IN_CURRENT_EPOCH,              REFUSED,          OPERAND)     \
    X(0xc0000e11, TDX_DISALLOWED_IMPORT_OVER_REMOVED,         REFUSED,          OPERAND)     \
    X(0xc0000e12, TDX_SOME_VCPUS_NOT_MIGRATED,                AFTER_OTHER_STEP, NONE)        \
    X(0xc0000e13, TDX_ALL_VCPUS_IMPORTED,                     REFUSED,          NONE)        \
    X(0xc0000e14, TDX_MIN_MIGS_NOT_CREATED,                   AFTER_OTHER_STEP, NONE)        \
    X(0xc0000e15, TDX_VCPU_ALREADY_EXPORTED,                  REFUSED,          NONE)        \
    X(0xc0000e16, TDX_INVALID_MIGRATION_DECRYPTION_KEY,       REFUSED,          NONE)        \
    X(0xc0001000, TDX_INVALID_CPUSVN,                         REFUSED,          NONE)        \
    X(0xc0001001, TDX_INVALID_REPORTMACSTRUCT,                REFUSED,          NONE)        \
    X(0x00001100, TDX_L2_EXIT_HOST_ROUTED_ASYNC,              DONE,             NONE)        \
    X(0x00001101, TDX_L2_EXIT_HOST_ROUTED_TDVMCALL,           DONE,             NONE)        \
    X(0x00001102, TDX_L2_EXIT_PENDING_INTERRUPT,              DONE,             NONE)        \
    X(0x00001120, TDX_PENDING_INTERRUPT,                      DONE,             NONE)        \
    X(0x00001140, TDX_TD_EXIT_BEFORE_L2_ENTRY,                DONE,             NONE)        \
    X(0x00001141, TDX_TD_EXIT_ON_L2_VM_EXIT,                  DONE,             NONE)        \
    X(0x00001142, TDX_TD_EXIT_ON_L2_TO_L1,                    DONE,             NONE)        \
    X(0xc0001160, TDX_GLA_NOT_CANONICAL,                      REFUSED,          NONE)       

/* Class FFh is left to software: SEAMCALL itself failed, and no module answered (enum seamcall_fault). */
#define TDX_SOFTWARE_STATUS_LIST(X) \
    X(0xc000ff00, TDX_SEAMCALL_VMFAILED, REFUSED, NONE) \
    X(0xc000ff06, TDX_SEAMCALL_UD,       REFUSED, NONE) \
    X(0xc000ff0d, TDX_SEAMCALL_GP,       REFUSED, NONE)

#define TDX_OPERAND_LIST(X) \
    X(RAX, 0x00)                             \
    X(RCX, 0x01)                             \
    X(RDX, 0x02)                             \
    X(RBX, 0x03)                             \
    X(RBP, 0x05)                             \
    X(RSI, 0x06)                             \
    X(RDI, 0x07)                             \
    X(R8, 0x08)                              \
    X(R9, 0x09)                              \
    X(R10, 0x0a)                             \
    X(R11, 0x0b)                             \
    X(R12, 0x0c)                             \
    X(R13, 0x0d)                             \
    X(R14, 0x0e)                             \
    X(R15, 0x0f)                             \
    X(ATTRIBUTES, 0x40)                      \
    X(XFAM, 0x41)                            \
    X(EXEC_CONTROLS, 0x42)                   \
    X(EPTP_CONTROLS, 0x43)                   \
    X(MAX_VCPUS, 0x44)                       \
    X(CPUID_CONFIG, 0x45)                    \
    X(TSC_FREQUENCY, 0x46)                   \
    X(NUM_L2_VMS, 0x47)                      \
    X(IA32_ARCH_CAPABILITIES_CONFIG, 0x48)   \
    X(PAGE, 0x5f)                            \
    X(TDMR_INFO_PA, 0x60)                    \
    X(GPA_LIST_ENTRY, 0x61)                  \
    X(MIG_BUFF_LIST_ENTRY, 0x62)             \
    X(NEW_PAGE_LIST_ENTRY, 0x63)             \
    X(TDR, 0x80)                             \
    X(TDCX, 0x81)                            \
    X(TDVPR, 0x82)                           \
    X(REG_PAGE, 0x84)                        \
    X(TDCS, 0x90)                            \
    X(TDVPS, 0x91)                           \
    X(SEPT_TREE, 0x92)                       \
    X(SEPT_ENTRY, 0x93)                      \
    X(RTMR, 0xa8)                            \
    X(TD_EPOCH, 0xa9)                        \
    X(L2_VAPIC_GPA, 0xaa)                    \
    X(MIGSC, 0xab)                           \
    X(OP_STATE, 0xac)                        \
    X(MIG, 0xad)                             \
    X(SERVTD_BINDINGS, 0xae)                 \
    X(METADATA_FIELD, 0xb0)                  \
    X(SYS, 0xb8)                             \
    X(TDMR, 0xb9)                            \
    X(KOT, 0xba)                             \
    X(KET, 0xbb)                             \
    X(WBCACHE, 0xbc)
/* clang-format on */

enum tdx_code {
#define X(code, name, verdict, details) name = code,
    TDX_STATUS_LIST(X) TDX_SOFTWARE_STATUS_LIST(X)
#undef X
};

enum tdx_operand {
#define X(name, id) TDX_OPERAND_ID_##name = id,
    TDX_OPERAND_LIST(X)
#undef X
};

#endif
