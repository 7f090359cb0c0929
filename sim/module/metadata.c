/* Metadata elements: finding, walking, reading and writing them by the tables. See metadata.h. */
#include "sim/module/cpuid.h"
#include "sim/module/metadata.h"

/* CPUID_VALUES has ids of its own: element 0, sub-leaf 7:1, no sub-leaf 8, leaf 15:9, leaf bit 31 16. */
#define CPUID_CODE_RESERVED 0xfffe0000u

bool md_is_null(u64 id)
{
    return (id | MD_CONTEXT_BITS) == NULL_ID;
}

u64 md_size_mask(u64 id)
{
    unsigned bits = 8u << MD_SIZE(id);
    return bits == 64 ? ~0ull : (1ull << bits) - 1;
}

static bool is_cpuid(const struct md_context *x, u64 id)
{
    return x->no == MD_TD && MD_CLASS(id) == MD_CLASS_CPUID;
}

static u32 cpuid_code(unsigned row, unsigned element)
{
    u32 leaf = mdl_cpuid_rows[row].leaf, subleaf = mdl_cpuid_rows[row].subleaf;
    u32 sub = subleaf == CPUID_NO_SUBLEAF ? 0xff : subleaf & 0x7f;
    return element | sub << 1 | (subleaf == CPUID_NO_SUBLEAF ? 1u << 8 : 0) | (leaf & 0x7f) << 9 | leaf >> 31 << 16;
}

/* Row of the CPUID table that a code names; CPUID_ROWS: none. */
static unsigned cpuid_row(u32 code)
{
    u32 leaf = (code >> 9 & 0x7f) | (code >> 16 & 1) << 31;
    u32 subleaf = code & 1u << 8 ? CPUID_NO_SUBLEAF : code >> 1 & 0x7f;
    return code & CPUID_CODE_RESERVED ? CPUID_ROWS : mdl_cpuid_find(leaf, subleaf);
}

static const struct md_table *table_of(const struct md_context *x, u64 id)
{
    switch (x->no) {
    case MD_SYS:
        return &md_sys_table;
    case MD_TD:
        return &md_td_table;
    default:
        return md_is_null(id) || MD_CLASS(id) == MD_CLASS_VMCS ? &md_vmcs_table : &md_vp_table;
    }
}

static u32 element_count(const struct md_field *row)
{
    return (u32)row->fields * row->elements;
}

u64 md_find(const struct md_context *x, u64 id, struct md_element *e)
{
    const struct md_table *t = table_of(x, id);
    if ((id & MD_FORM_BITS) || md_is_null(id))
        return TDX_METADATA_FIELD_ID_INCORRECT;
    if (t == &md_vmcs_table && (id & 1))
        return TDX_METADATA_FIELD_ID_INCORRECT;
    for (unsigned i = 0; i < t->count; i++) {
        const struct md_field *row = &t->rows[i];
        u32 first = MD_CODE(row->id), code = is_cpuid(x, id) ? 0 : MD_CODE(id);
        if (MD_CLASS(id) != MD_CLASS(row->id) || code < first ||
            code - first >= element_count(row) * MD_STRIDE(row->id))
            continue;
        e->row = row;
        e->number = (code - first) / MD_STRIDE(row->id);
        e->id = (row->id & ~0xffffffffull) | MD_CODE(id);
        if (is_cpuid(x, id)) {
            unsigned cpuid = cpuid_row(MD_CODE(id));
            e->number = 2 * cpuid + (id & 1);
            return cpuid == CPUID_ROWS ? TDX_METADATA_FIELD_ID_INCORRECT : TDX_SUCCESS;
        }
        return TDX_SUCCESS;
    }
    return TDX_METADATA_FIELD_ID_INCORRECT;
}

static u64 id_of(const struct md_context *x, const struct md_field *row, u32 number)
{
    u64 base = row->id & ~0xffffffffull;
    if (is_cpuid(x, row->id))
        return base | cpuid_code(number / 2, number & 1);
    return base | (MD_CODE(row->id) + number * MD_STRIDE(row->id));
}

/* The first readable row from row `i` of table `t` on, going over from the VMCS to the rest of a vCPU. */
static u64 first_from(const struct md_context *x, const struct md_table *t, unsigned i)
{
    for (;; i++) {
        if (i >= t->count) {
            if (t != &md_vmcs_table)
                return NULL_ID;
            t = &md_vp_table;
            i = 0;
        }
        if (t->rows[i].readable[x->access] & md_size_mask(t->rows[i].id))
            return id_of(x, &t->rows[i], 0);
    }
}

u64 md_next(const struct md_context *x, u64 id, bool whole_field)
{
    const struct md_table *t = table_of(x, id);
    struct md_element e;
    if (md_is_null(id))
        return first_from(x, t, 0);
    if (md_find(x, id, &e) != TDX_SUCCESS)
        return NULL_ID;
    u32 count = is_cpuid(x, id) ? 2 * CPUID_ROWS : element_count(e.row);
    u32 next = whole_field ? (e.number / e.row->elements + 1) * e.row->elements : e.number + 1;
    /* Of the module's own fields the id comes back as it was given, one element on. */
    bool in_field = e.number % e.row->elements + 1 < e.row->elements;
    if (x->no == MD_SYS && !whole_field && in_field)
        return (id & ~MD_CONTEXT_BITS) + MD_STRIDE(e.row->id);
    if (next < count && (e.row->readable[x->access] & md_size_mask(e.row->id)))
        return id_of(x, e.row, next);
    return first_from(x, t, (unsigned)(e.row - t->rows) + 1);
}

/* --- values --- */

static u8 *place_of(const struct md_context *x, const struct md_element *e)
{
    const struct md_field *row = e->row;
    u64 at = row->offset + (u64)e->number * row->bytes;
    switch (row->place) {
    case MD_IN_TDR:
        return (u8 *)x->tdr + at;
    case MD_IN_TDCS:
        return (u8 *)x->tdcs + at;
    case MD_IN_TDCS_PAGE:
        return (u8 *)tdcs_page(x->tdr, (enum tdcs_page_no)(at >> 12)) + (at & 0xfff);
    case MD_IN_TDVPS:
        return (u8 *)x->tdvps + at;
    case MD_IN_TDVPS_PAGE:
        return (u8 *)tdvps_page(x->tdvps, (enum tdvps_page_no)(at >> 12)) + (at & 0xfff);
    case MD_IN_VMCS:
        return (u8 *)x->vmcs + at;
    default:
        return NULL;
    }
}

static u64 load(const u8 *at, unsigned bytes)
{
    u64 value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (u64)at[i] << 8 * i;
    return value;
}

static void store(u8 *at, unsigned bytes, u64 value)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (u8)(value >> 8 * i);
}

static u64 value_of(const struct md_context *x, const struct md_element *e)
{
    const u8 *at = place_of(x, e);
    if (at)
        return load(at, e->row->bytes) & md_size_mask(e->row->id);
    if (e->row->place == MD_CONST)
        return e->row->offset;
    if (e->row->place != MD_COMPUTED)
        return 0;
    u64 value = x->no == MD_SYS  ? md_sys_value(e->row->id, e->number)
                : x->no == MD_TD ? md_td_value(x, e)
                                 : md_vp_value(x, e);
    return value & md_size_mask(e->row->id);
}

u64 md_read(const struct md_context *x, const struct md_element *e, u64 *value)
{
    u64 mask = e->row->readable[x->access] & md_size_mask(e->row->id);
    if (is_cpuid(x, e->row->id) && mdl_cpuid_rows[e->number / 2].faults)
        return TDX_METADATA_FIELD_NOT_READABLE;
    if (mask == 0)
        return TDX_METADATA_FIELD_NOT_READABLE;
    *value = value_of(x, e) & mask;
    return TDX_SUCCESS;
}

u64 md_write(const struct md_context *x, const struct md_element *e, u64 value, u64 mask, u64 *old)
{
    u64 size = md_size_mask(e->row->id), writable = e->row->writable[x->access] & size, change = writable & mask;
    bool stored = false;
    if (is_cpuid(x, e->row->id) && mdl_cpuid_rows[e->number / 2].faults)
        return TDX_METADATA_FIELD_NOT_READABLE;
    if (change == 0)
        return TDX_METADATA_FIELD_NOT_WRITABLE;
    u64 current = value_of(x, e);
    u64 before = md_vp_is_unset_address(x, e, current) ? current & writable : current;
    if ((before ^ value) & mask & ~writable)
        return TDX_METADATA_FIELD_VALUE_NOT_VALID;
    u64 next = (before & ~change) | (value & change);
    u64 status =
        x->no == MD_TD ? md_td_check_write(x, e, change, &next, &stored) : md_vp_check_write(x, e, &next, &stored);
    if (status != TDX_SUCCESS)
        return status;
    u8 *at = place_of(x, e);
    if (at && !stored)
        store(at, e->row->bytes, next);
    *old = current & e->row->readable[x->access];
    return TDX_SUCCESS;
}
