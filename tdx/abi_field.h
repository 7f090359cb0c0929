/*
 * Metadata field ids that the VMM reads or writes with SYS.RD, MNG.RD, VP.RD and VP.WR. TDX Module ABI Specification,
 * "Global Metadata Fields", "TDR/TDCS Metadata Fields", "TDVPS Metadata Fields".
 */
#ifndef TDX_ABI_FIELD_H
#define TDX_ABI_FIELD_H

#include "lib/bits.h"

/* TDH.SYS.RD */
#define FIELD_SYS_VENDOR_ID             0x0800000200000000ull
#define FIELD_SYS_MINOR_VERSION         0x0800000100000003ull
#define FIELD_SYS_MAJOR_VERSION         0x0800000100000004ull
#define FIELD_SYS_UPDATE_VERSION        0x0800000100000005ull
#define FIELD_SYS_TDX_FEATURES0         0x0a00000300000008ull
#define FIELD_SYS_BUILD_DATE            0x8800000200000001ull
#define FIELD_SYS_BUILD_NUM             0x8800000100000002ull
#define FIELD_SYS_NUM_CMRS              0x9000000100000000ull
#define FIELD_SYS_CMR_BASE(n)           (0x9000000300000080ull + (n))
#define FIELD_SYS_CMR_BYTES(n)          (0x9000000300000100ull + (n))
#define FIELD_SYS_MAX_TDMRS             0x9100000100000008ull
#define FIELD_SYS_MAX_RESERVED_PER_TDMR 0x9100000100000009ull
#define FIELD_SYS_PAMT_ENTRY_BYTES(l)   (0x9100000100000010ull + (l)) /* by level: 4K, 2M, 1G */
#define FIELD_SYS_TDCS_BASE_BYTES       0x9800000100000100ull
#define FIELD_SYS_TDVPS_BASE_BYTES      0x9800000100000200ull
#define FIELD_SYS_ATTRIBUTES_FIXED0     0x1900000300000000ull /* may be 1 */
#define FIELD_SYS_ATTRIBUTES_FIXED1     0x1900000300000001ull /* must be 1 */
#define FIELD_SYS_XFAM_FIXED0           0x1900000300000002ull
#define FIELD_SYS_XFAM_FIXED1           0x1900000300000003ull

/* Bits of TDX_FEATURES0 that Septum goes by. */
#define FEATURES0_CLFLUSH_BEFORE_ALLOC BIT(23) /* pages are to be flushed before they go into the TD */
#define FEATURES0_NON_BLOCKING_RESIZE  BIT(35) /* DEMOTE takes what is neither blocked nor tracked */
#define FEATURES0_ENHANCED_DEMOTE_INTERRUPTIBILITY                                                                     \
    BIT(51) /* DEMOTE of a TD without L2 VMs does not look for interrupts */

/* TDH.MNG.RD */
#define FIELD_TD_MRTD(n)    (0x1310000300000000ull + (n))           /* six elements of 8 bytes */
#define FIELD_TD_RTMR(r, n) (0x1310000300000040ull + 6 * (r) + (n)) /* of a debug TD; the same */
#define FIELD_TD_EPTP       0x1110000300000004ull                   /* the private EPTP, without KeyID bits */

/* TDH.VP.RD, TDH.VP.WR: the code of a VMCS field is its encoding */
#define FIELD_VP_POSTED_VECTOR     0x0024000100000002ull
#define FIELD_VP_POSTED_DESCRIPTOR 0x0024000300002016ull
#define FIELD_VP_PIN_CONTROLS      0x0024000200004000ull
#define FIELD_VP_PEND_NMI          0x202000000000000bull
#define FIELD_VP_STATE_DETAILS     0x9120000300000100ull
#define FIELD_VP_SHARED_EPTP       0x002400030000203cull
#define FIELD_VP_SHARED_EPTP_BITS  0x000ffffffffff000ull /* those that may be written */

#define PIN_POSTED_INTERRUPTS BIT(7) /* process them */
#define STATE_DETAILS_VMXIP   BIT(0) /* a virtual interrupt is recognized, and not delivered yet */

#endif
