/*
 * TDH.SYS.CONFIG: which memory TDs may use (TDMRs), where their metadata goes (PAMT), and the module's own KeyID. TDX
 * Module v1.5 ABI Specification, "TDMR_INFO" and "TDH.SYS.CONFIG Leaf". The checks of one TDMR run in the
 * architectural order; the first that fails decides the status.
 */
#include "sim/module/bytes.h"
#include "sim/module/hkid.h"
#include "sim/module/leaves.h"
#include "sim/module/pamt.h"

/* 512-byte aligned in shared memory; 320 bytes are used. */
struct tdmr_info {
    u64 base, bytes;
    struct plat_range pamt[3];                /* for 1G, 2M and 4K pages, in this order */
    struct plat_range reserved[RESERVED_MAX]; /* offsets in the TDMR; a size of zero ends the list */
};
#define TDMR_INFO_ALIGNMENT 512
_Static_assert(sizeof(struct tdmr_info) == 320, "TDMR_INFO takes 320 bytes");

/* Details of these statuses are four bytes. */
static u64 fault(u64 status, unsigned tdmr, unsigned level_or_area, unsigned other)
{
    return status | tdmr | level_or_area << 8 | other << 16;
}

static bool wraps(u64 base, u64 bytes)
{
    return base + bytes < base;
}

static bool overlap(struct plat_range a, struct plat_range b)
{
    return a.bytes && b.bytes && a.base < b.base + b.bytes && b.base < a.base + a.bytes;
}

/* A range whose first and last byte are addresses without KeyID. */
static bool is_physical(u64 base, u64 bytes)
{
    u64 unusable = mdl_keyid_mask() | ~((1ull << plat_info()->maxpa) - 1);
    return !(base & unusable) && !((base + bytes - 1) & unusable);
}

/* CMRs that touch count as one. */
static bool in_cmrs(u64 start, u64 end)
{
    const struct plat_info *info = plat_info();
    u64 joined = 0, last_end = 0;
    for (unsigned i = 0; i < info->cmr_count; i++) {
        const struct plat_range *cmr = &info->cmrs[i];
        if (!cmr->bytes)
            continue;
        if (i == 0 || cmr->base != last_end)
            joined = cmr->base;
        last_end = cmr->base + cmr->bytes;
        if (start >= joined && end <= last_end)
            return true;
    }
    return false;
}

static u64 check_range(const struct tdmr_info *info, unsigned i)
{
    const struct tdmr *previous = i ? &mdl_sys.tdmrs[i - 1] : NULL;
    if (wraps(info->base, info->bytes))
        return fault(TDX_INVALID_TDMR, i, 0, 0);
    if (previous && info->base < previous->base + previous->bytes)
        return fault(TDX_NON_ORDERED_TDMR, i, 0, 0);
    if ((info->base | info->bytes) & (PAGE_1G - 1) || !info->bytes || !is_physical(info->base, info->bytes))
        return fault(TDX_INVALID_TDMR, i, 0, 0);
    return TDX_SUCCESS;
}

static u64 check_reserved(const struct tdmr_info *info, unsigned i)
{
    for (unsigned j = 0; j < RESERVED_MAX; j++) {
        const struct plat_range *area = &info->reserved[j];
        if (!area->bytes) {
            if (j + 1 < RESERVED_MAX && area[1].bytes)
                return fault(TDX_NON_ORDERED_RESERVED_IN_TDMR, i, j, 0);
            continue;
        }
        if (wraps(area->base, area->bytes))
            return fault(TDX_INVALID_RESERVED_IN_TDMR, i, j, 0);
        if (j && (area->base < area[-1].base || area->base < area[-1].base + area[-1].bytes))
            return fault(TDX_NON_ORDERED_RESERVED_IN_TDMR, i, j, 0);
        bool aligned = !((area->base | area->bytes) & (PAGE_4K - 1));
        bool fits = area->base <= info->bytes && area->bytes <= info->bytes - area->base;
        if (!aligned || !fits)
            return fault(TDX_INVALID_RESERVED_IN_TDMR, i, j, 0);
    }
    return TDX_SUCCESS;
}

/* PAMT sizes by level; TDMR_INFO has the largest first. */
static const struct plat_range *pamt_of(const struct tdmr_info *info, unsigned level)
{
    return &info->pamt[LEVEL_1G - level];
}

static u64 check_pamt_format(const struct tdmr_info *info, unsigned i)
{
    for (unsigned j = 0; j <= LEVEL_1G; j++) {
        unsigned level = LEVEL_1G - j;
        const struct plat_range *pamt = pamt_of(info, level);
        u64 needed = (info->bytes >> (12 + 9 * level)) * sizeof(struct pamt_entry);
        if (wraps(pamt->base, pamt->bytes) || (pamt->base | pamt->bytes) & (PAGE_4K - 1) ||
            !is_physical(pamt->base, pamt->bytes) || pamt->bytes < needed)
            return fault(TDX_INVALID_PAMT, i, level, 0);
    }
    return TDX_SUCCESS;
}

/* The PAMT areas of this TDMR against those of earlier ones, then against each other. */
static u64 check_pamt_overlap(const struct tdmr_info *infos, unsigned i)
{
    for (unsigned j = 0; j < i; j++)
        for (unsigned level = 0; level <= LEVEL_1G; level++)
            for (unsigned other = 0; other <= LEVEL_1G; other++)
                if (overlap(*pamt_of(&infos[i], level), *pamt_of(&infos[j], other)))
                    return fault(TDX_PAMT_OVERLAP, i, level, j);
    for (unsigned level = 0; level < LEVEL_1G; level++)
        for (unsigned other = level + 1; other <= LEVEL_1G; other++)
            if (overlap(*pamt_of(&infos[i], level), *pamt_of(&infos[i], other)))
                return fault(TDX_PAMT_OVERLAP, i, level, i);
    return TDX_SUCCESS;
}

/* Calls `visit` for each part of the TDMR that is not reserved, until it returns true. */
static bool any_available(const struct tdmr_info *info, bool (*visit)(struct plat_range part, struct plat_range with),
                          struct plat_range with)
{
    u64 start = info->base, end = info->base + info->bytes;
    for (unsigned j = 0; j < RESERVED_MAX && info->reserved[j].bytes; j++) {
        u64 reserved = info->base + info->reserved[j].base;
        if (start < reserved && visit((struct plat_range){start, reserved - start}, with))
            return true;
        start = reserved + info->reserved[j].bytes;
    }
    return start < end && visit((struct plat_range){start, end - start}, with);
}

static bool outside_cmrs(struct plat_range part, struct plat_range with)
{
    (void)with;
    return !in_cmrs(part.base, part.base + part.bytes);
}

/*
 * PAMT areas must not lie in memory that TDs use, this TDMR's or any earlier one's, nor those of earlier ones in this.
 */
static u64 check_pamt_in_tdmrs(const struct tdmr_info *infos, unsigned i)
{
    for (unsigned j = 0; j <= i; j++) {
        for (unsigned level = 0; level <= LEVEL_1G; level++)
            if (any_available(&infos[j], overlap, *pamt_of(&infos[i], level)))
                return fault(TDX_PAMT_OVERLAP, i, level, j);
        for (unsigned level = 0; j < i && level <= LEVEL_1G; level++)
            if (any_available(&infos[i], overlap, *pamt_of(&infos[j], level)))
                return fault(TDX_PAMT_OVERLAP, j, level, i);
    }
    return TDX_SUCCESS;
}

static u64 check_pamt_in_cmrs(const struct tdmr_info *info, unsigned i)
{
    for (unsigned j = 0; j <= LEVEL_1G; j++) {
        const struct plat_range *pamt = &info->pamt[j];
        if (!in_cmrs(pamt->base, pamt->base + pamt->bytes))
            return fault(TDX_PAMT_OUTSIDE_CMRS, i, LEVEL_1G - j, 0);
    }
    return TDX_SUCCESS;
}

static u64 check_tdmr(const struct tdmr_info *infos, unsigned i)
{
    u64 status = check_range(&infos[i], i);
    if (status == TDX_SUCCESS)
        status = check_reserved(&infos[i], i);
    if (status == TDX_SUCCESS)
        status = check_pamt_format(&infos[i], i);
    if (status == TDX_SUCCESS)
        status = check_pamt_overlap(infos, i);
    if (status == TDX_SUCCESS)
        status = check_pamt_in_tdmrs(infos, i);
    if (status == TDX_SUCCESS)
        status = check_pamt_in_cmrs(&infos[i], i);
    if (status == TDX_SUCCESS && any_available(&infos[i], outside_cmrs, (struct plat_range){0, 0}))
        status = fault(TDX_TDMR_OUTSIDE_CMRS, i, 0, 0);
    return status;
}

static void set_tdmr(struct tdmr *tdmr, const struct tdmr_info *info)
{
    mdl_fill(tdmr, 0, sizeof(*tdmr) / 8);
    tdmr->base = tdmr->next_init = info->base;
    tdmr->bytes = info->bytes;
    for (unsigned level = 0; level <= LEVEL_1G; level++) {
        tdmr->pamt_base[level] = pamt_of(info, level)->base;
        tdmr->pamt_bytes[level] = pamt_of(info, level)->bytes;
    }
    for (unsigned j = 0; j < RESERVED_MAX && info->reserved[j].bytes; j++)
        tdmr->reserved[tdmr->reserved_count++] = info->reserved[j];
}
_Static_assert(sizeof(struct tdmr) % 8 == 0, "TDMRs are cleared in words");

/* Copies of the VMM's tables, which it may change at any time; under SYS's lock, held exclusively. */
static struct tdmr_info copies[TDMRS_MAX];

static u64 read_tdmrs(struct call *c, const u64 *pointers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        u64 status = mdl_check_shared_hpa(pointers[i], TDMR_INFO_ALIGNMENT, RCX);
        if (status)
            return status;
        const struct tdmr_info *info = mdl_shared_pointer(c->lp, pointers[i]);
        if (!info)
            return status_operand(TDX_OPERAND_INVALID, RCX);
        mdl_copy(&copies[i], info, sizeof(copies[i]));
        status = check_tdmr(copies, i);
        if (status)
            return status;
        set_tdmr(&mdl_sys.tdmrs[i], &copies[i]);
    }
    return TDX_SUCCESS;
}

static void own_pamts(void)
{
    for (unsigned i = 0; i < mdl_sys.tdmr_count; i++)
        for (unsigned level = 0; level <= LEVEL_1G; level++)
            plat_own(mdl_sys.tdmrs[i].pamt_base[level], mdl_sys.tdmrs[i].pamt_bytes[level]);
}

u64 leaf_sys_config(struct call *c)
{
    if (mdl_call_lock(c, &mdl_sys.lock, LOCK_PLAIN, LOCK_EXCLUSIVE, 0))
        return TDX_SYS_BUSY;
    if (mdl_state() != SYS_INIT_DONE || mdl_sys.lp_init_count < plat_info()->lp_count)
        return TDX_SYS_CONFIG_NOT_PENDING;
    u64 status = mdl_check_shared_hpa(c->in[RCX], TDMR_INFO_ALIGNMENT, RCX);
    if (status)
        return status;
    if (c->in[RDX] < 1 || c->in[RDX] > TDMRS_MAX)
        return status_operand(TDX_OPERAND_INVALID, RDX);
    if (!hkid_is_private(c->in[R8]))
        return status_operand(TDX_OPERAND_INVALID, R8);
    /* For good, even when the rest fails. */
    mdl_sys.global_hkid = (u16)c->in[R8];
    mdl_sys.kot[mdl_sys.global_hkid].state = HKID_RESERVED;
    const u64 *pointers = mdl_shared_pointer(c->lp, c->in[RCX]);
    if (!pointers)
        return status_operand(TDX_OPERAND_INVALID, RCX);
    status = read_tdmrs(c, pointers, (unsigned)c->in[RDX]);
    if (status)
        return status;
    mdl_sys.tdmr_count = (unsigned)c->in[RDX];
    mdl_sys.packages_keyed = 0;
    mdl_set_state(SYS_CONFIG_DONE);
    own_pamts();
    return TDX_SUCCESS;
}
