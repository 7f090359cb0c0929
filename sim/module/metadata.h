/*
 * Metadata fields: what TDH.SYS/MNG/VP.RD and WR and their guest-side counterparts reach (Intel TDX Module v1.5 ABI
 * Specification, "Metadata Access Interfaces" and "TD-Scope and VCPU-Scope Metadata"). One table a context says which
 * elements exist, who may read and write which bits, and where they lie.
 */
#ifndef SIM_MODULE_METADATA_H
#define SIM_MODULE_METADATA_H

#include "sim/module/guest.h"

/* Field id: code 31:0, size code 33:32, last element 37:34, last field 46:38, stride two 50, write mask 51, context
 * 54:52, class 61:56. */
#define MD_CODE(id)     ((u32)(id))
#define MD_SIZE(id)     ((unsigned)((id) >> 32) & 3)
#define MD_STRIDE(id)   (((id) >> 50 & 1) ? 2u : 1u)
#define MD_CLASS(id)    ((unsigned)((id) >> 56) & 0x3f)
#define MD_FORM_BITS    0x4083fffc00000000ull /* a single element has none of these */
#define MD_CONTEXT_BITS 0x0070000000000000ull
#define MD_CLASS_CPUID  0x14u
#define MD_CLASS_VMCS   0u

enum md_context_no { MD_SYS, MD_TD, MD_VP };

/* Who asks. A debug TD's VMM sees more. */
enum md_access { MD_HOST, MD_HOST_DEBUG, MD_GUEST, MD_ACCESSES };

/* Where an element lies: a structure and an offset, or nowhere in particular. */
enum md_place {
    MD_NOTHING, /* reads as zero */
    MD_CONST,   /* reads as `offset` */
    MD_COMPUTED,
    MD_IN_TDR,
    MD_IN_TDCS,
    MD_IN_TDCS_PAGE, /* `offset` is the page number << 12 */
    MD_IN_TDVPS,
    MD_IN_TDVPS_PAGE,
    MD_IN_VMCS,
};

struct md_field {
    u64 id;
    u16 fields, elements; /* `fields` fields of `elements` elements each */
    u64 readable[MD_ACCESSES], writable[MD_ACCESSES];
    u8 place;
    u8 bytes; /* what one element takes where it lies */
    u32 offset;
};

/* A context and what stands behind it. */
struct md_context {
    enum md_context_no no;
    enum md_access access;
    struct tdr *tdr;
    struct tdcs *tdcs;
    struct tdvps *tdvps;
    struct tdvps_vmcs *vmcs;
};

/* An element found: its row and its number in the row. */
struct md_element {
    const struct md_field *row;
    u32 number;
    u64 id; /* canonical */
};

struct md_table {
    const struct md_field *rows;
    unsigned count;
};
extern const struct md_table md_sys_table, md_td_table, md_vmcs_table, md_vp_table;

bool md_is_null(u64 id);
/* METADATA_FIELD_ID_INCORRECT when the id has a form that single elements do not have, or names none. */
u64 md_find(const struct md_context *x, u64 id, struct md_element *e);
/* The next element, or field, that is readable (NULL_ID: none). For a null id the first one. */
u64 md_next(const struct md_context *x, u64 id, bool whole_field);
u64 md_read(const struct md_context *x, const struct md_element *e, u64 *value);
u64 md_write(const struct md_context *x, const struct md_element *e, u64 value, u64 mask, u64 *old);
u64 md_size_mask(u64 id);

/* The values behind MD_COMPUTED, and the rules of fields that are not plain memory. */
u64 md_sys_value(u64 id, u32 number);
u64 md_td_value(const struct md_context *x, const struct md_element *e);
u64 md_vp_value(const struct md_context *x, const struct md_element *e);
/* `*value` is what goes to memory; *stored tells that it is there already. */
u64 md_td_check_write(const struct md_context *x, const struct md_element *e, u64 mask, u64 *value, bool *stored);
u64 md_vp_check_write(const struct md_context *x, const struct md_element *e, u64 *value, bool *stored);
/* An address that was never set is all-ones: for a write its bits that cannot be written count as zero (tdx-module
 * metadata_vp.c, md_vp_adjust_value_per_field_attr_on_wr). */
bool md_vp_is_unset_address(const struct md_context *x, const struct md_element *e, u64 current);

/* Where struct tdvps_vmcs keeps fields that code asks for. */
enum { VMCS_OTHER_PML = 12, VMCS_OTHER_PF_MASK = 39, VMCS_OTHER_PF_MATCH = 40 };
/* Start values of VMCS fields that only metadata shows. */
void md_vmcs_init(struct tdvps_vmcs *vmcs);

/* TDH.SYS.RDALL and TDG.SYS.RDALL: the list of all readable fields from `id` on, into one page; *next is all-ones when
 * that was all. */
u64 md_dump(const struct md_context *x, u64 id, void *page, u64 *next);

#endif
