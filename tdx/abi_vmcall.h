/*
 * TDG.VP.VMCALL as the VMM sees it: leafs in R11 when R10 is 0, statuses in R10. Guest-Host-Communication Interface
 * (GHCI) Specification, "TDG.VP.VMCALL". A leaf below 65536 without a name here is a VMX exit reason (CPUID, HLT,
 * RDMSR, ...).
 */
#ifndef TDX_ABI_VMCALL_H
#define TDX_ABI_VMCALL_H

#define VMCALL_CPUID              10ull
#define VMCALL_HLT                12ull
#define VMCALL_IO                 30ull
#define VMCALL_RDMSR              31ull
#define VMCALL_WRMSR              32ull
#define VMCALL_MMIO               48ull
#define VMCALL_WBINVD             54ull
#define VMCALL_PCONFIG            65ull
#define VMCALL_GET_TDVMCALL_INFO  0x10000ull
#define VMCALL_MAP_GPA            0x10001ull
#define VMCALL_GET_QUOTE          0x10002ull
#define VMCALL_REPORT_FATAL_ERROR 0x10003ull
#define VMCALL_SETUP_EVENT_NOTIFY 0x10004ull

#define VMCALL_STATUS_SUCCESS         0ull
#define VMCALL_STATUS_RETRY           1ull
#define VMCALL_STATUS_INVALID_OPERAND 0x8000000000000000ull
#define VMCALL_STATUS_GPA_IN_USE      0x8000000000000001ull
#define VMCALL_STATUS_ALIGN_ERROR     0x8000000000000002ull
#define VMCALL_STATUS_UNSUPPORTED     0x8000000000000003ull /* TDG.VP.VMCALL_SUBFUNC_UNSUPPORTED, since GHCI 1.5 */

#endif
