/*
 * Secure EPT entries as the module shows them in RCX and RDX of the MEM leaves. TDX Module ABI Specification, "Secure
 * EPT entry information as returned by TDX Module functions". The module alone writes the entries; this is its
 * published view of them.
 */
#ifndef TDX_ABI_SEPT_H
#define TDX_ABI_SEPT_H

#include "lib/bits.h"

/* The GPA operand: level in bits 2:0, GPA in bits 51:12. */
#define SEPT_GPA_LEVEL_SHIFT 0
#define SEPT_GPA_LEVEL_WIDTH 3

/* RCX */
#define SEPT_ENTRY_RWX_SHIFT   0
#define SEPT_ENTRY_RWX_WIDTH   3
#define SEPT_ENTRY_LEAF        BIT(7)
#define SEPT_ENTRY_PAGE_SHIFT  12
#define SEPT_ENTRY_PAGE_WIDTH  40
#define SEPT_ENTRY_SUPPRESS_VE BIT(63)

/* RDX */
#define SEPT_INFO_LEVEL_SHIFT 0
#define SEPT_INFO_LEVEL_WIDTH 3
#define SEPT_INFO_STATE_SHIFT 8
#define SEPT_INFO_STATE_WIDTH 8
#define SEPT_INFO_VM_SHIFT    16
#define SEPT_INFO_VM_WIDTH    2

/*
 * State of an entry of the L1 Secure EPT. Host leaves change it, and one guest leaf: TDG.MEM.PAGE.ACCEPT makes PENDING
 * into MAPPED. Bit 7 marks an entry that points to a table.
 */
enum sept_state {
    SEPT_FREE = 0,
    SEPT_BLOCKED = 1,
    SEPT_PENDING = 2,
    SEPT_PENDING_BLOCKED = 3,
    SEPT_MAPPED = 4,
    SEPT_REMOVED = 5,
    SEPT_BLOCKEDW = 8,
    SEPT_EXPORTED_BLOCKEDW = 9,
    SEPT_EXPORTED_DIRTY = 11,
    SEPT_EXPORTED_DIRTY_BLOCKEDW = 12,
    SEPT_PENDING_BLOCKEDW = 16,
    SEPT_PENDING_EXPORTED_BLOCKEDW = 17,
    SEPT_PENDING_EXPORTED_DIRTY = 19,
    SEPT_PENDING_EXPORTED_DIRTY_BLOCKEDW = 20,
    SEPT_TABLE_BLOCKED = 0x81,
    SEPT_TABLE_MAPPED = 0x84,
};

/* The types of page that PHYMEM.PAGE.RDMD and RECLAIM report in RCX. */
enum pamt_type {
    PAMT_FREE = 0, /* PT_NDA */
    PAMT_RESERVED = 1,
    PAMT_REGULAR = 3,
    PAMT_TDR = 4,
    PAMT_TDCX = 5,
    PAMT_TDVPR = 6,
    PAMT_EPT = 8,
};

#endif
