/*
 * The life of a TD in one process with the module model: creation, pages and measurement, tear-down, and what happens
 * when a call on the way is refused or busy. MRTD is computed here once more with a packaged SHA-384, and pages are
 * counted before and after.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <tomcrypt.h>

#include "tests/unit/td_world.h"

/* --- life -------------------------------------------------------------------------------------------------------- */

/* TDX module specification, "MRTD": 128-byte blocks, each followed by the chunk for MR.EXTEND. */
static void expected_mrtd(u8 digest[48])
{
    hash_state h;
    sha384_init(&h);
    for (u64 page = 0; page < 2; page++) {
        u8 block[128] = "MEM.PAGE.ADD", chunk[256];
        u64 gpa = page * K4;
        memcpy(block + 16, &gpa, sizeof(gpa));
        sha384_process(&h, block, sizeof(block));
        memset(chunk, (int)(0x11 * (page + 1)), sizeof(chunk));
        for (u64 offset = 0; offset < K4; offset += sizeof(chunk)) {
            memset(block, 0, sizeof(block));
            memcpy(block, "MR.EXTEND", 9);
            gpa = page * K4 + offset;
            memcpy(block + 16, &gpa, sizeof(gpa));
            sha384_process(&h, block, sizeof(block));
            sha384_process(&h, chunk, sizeof(chunk));
        }
    }
    sha384_done(&h, digest);
}

static void measurement_is_that_of_an_independent_hash(void **state)
{
    u8 digest[48];
    build();
    expected_mrtd(digest);
    assert_memory_equal(td.mrtd, digest, sizeof(digest));
    assert_int_equal(td.eptp & 0x3f, 0x1e); /* write-back, four levels */
    tear_down();
}

/* --- refusals on the way ----------------------------------------------------------------------------------------- */

static void refused_creation_is_undone(void **state)
{
    static const struct {
        unsigned leaf, nth;
        const char *name;
    } points[] = {
        {L_CREATE, 0, "TDH.MNG.CREATE"}, {L_KEY_CONFIG, 0, "TDH.MNG.KEY.CONFIG"}, {L_ADDCX, 0, "TDH.MNG.ADDCX"},
        {L_ADDCX, 5, "TDH.MNG.ADDCX"},   {L_MNG_INIT, 0, "TDH.MNG.INIT"},         {L_MNG_RD, 0, "TDH.MNG.RD"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(points); i++) {
        struct td_fault f;
        seamcall_host_inject(points[i].leaf, points[i].nth, INVALID_RCX);
        (void)hkid_and_create(&f);
        assert_int_equal(f.err, ERR_TDX);
        assert_string_equal(f.leaf, points[i].name);
        assert_int_equal(f.status.raw, INVALID_RCX);
        assert_int_equal(pool.out, 0);
    }
    build();
    tear_down();
}

/* One BUSY at each leaf of a whole life: it is repeated there and nowhere else, and the life is as without it. */
static void one_busy_answer_is_repeated(void **state)
{
    static const unsigned leaves[] = {L_CREATE,      L_KEY_CONFIG, L_ADDCX,    L_MNG_INIT, L_MNG_RD,   L_VP_CREATE,
                                      L_VP_ADDCX,    L_VP_INIT,    L_PAGE_ADD, L_EXTEND,   L_FINALIZE, L_VP_FLUSH,
                                      L_VPFLUSHDONE, L_CACHE_WB,   L_FREEID,   L_RECLAIM};
    u8 digest[48];
    expected_mrtd(digest);
    for (unsigned i = 0; i < ARRAY_COUNT(leaves); i++) {
        u64 retries = tdx_counts.retries;
        seamcall_host_inject(leaves[i], 0, BUSY_RCX);
        build();
        assert_memory_equal(td.mrtd, digest, sizeof(digest));
        tear_down();
        assert_int_equal(seamcall_host_injections_left(), 0);
        assert_int_equal(tdx_counts.retries, retries + 1);
    }
}

static void refused_vcpu_gives_its_pages_back(void **state)
{
    static const unsigned leaves[] = {L_VP_CREATE, L_VP_ADDCX, L_VP_INIT};
    for (unsigned i = 0; i < ARRAY_COUNT(leaves); i++) {
        struct td_fault f;
        (void)hkid_and_create(&f);
        seamcall_host_inject(leaves[i], i == 1 ? 2 : 0, INVALID_RCX);
        f = add_vcpu(0);
        assert_int_equal(f.err, ERR_TDX);
        assert_int_equal(td.vcpu_count, i > 0);
        tear_down();
    }
}

static void refused_measurement_leaves_a_dead_td(void **state)
{
    struct td_fault f;
    (void)hkid_and_create(&f);
    assert_int_equal(add_vcpu(0).err, ERR_OK);
    for (unsigned level = 3; level >= 1; level--)
        add_table(0, level);
    contents[contents_count++] = page_out();
    seamcall_host_inject(L_EXTEND, 7, INVALID_RCX);
    assert_int_equal(td_add_page(&td, (gpa_t){0}, contents[0], source_page(1), true).err, ERR_TDX);
    assert_true(td.dead);
    assert_int_equal(td_finalize(&td).err, ERR_STATE);
    tear_down();
}

/* Every leaf of the tear-down, refused once: the second try ends it, and no page is lost or given twice. */
static void refused_tear_down_goes_on(void **state)
{
    static const unsigned leaves[] = {L_VP_FLUSH, L_VPFLUSHDONE, L_CACHE_WB, L_FREEID};
    for (unsigned i = 0; i < ARRAY_COUNT(leaves); i++) {
        build();
        seamcall_host_inject(leaves[i], 0, INVALID_RCX);
        assert_int_equal(td_release_key(&td).err, ERR_TDX);
        tear_down();
    }
    for (unsigned nth = 0; nth < 13; nth++) {
        hkid_t hkid;
        build();
        hkid = td.hkid;
        assert_int_equal(td_release_key(&td).err, ERR_OK);
        reclaim_contents();
        seamcall_host_inject(L_RECLAIM, nth, INVALID_RCX);
        assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_TDX);
        assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_OK);
        assert_int_equal(pool.out, 0);
        tdx_hkid_give(hkid);
    }
}

/* A TD that dies on the way down is taken down from where it died. */
static void death_in_tear_down_loses_no_step(void **state)
{
    static const unsigned leaves[] = {L_VP_FLUSH, L_VPFLUSHDONE, L_CACHE_WB, L_FREEID};
    for (unsigned i = 0; i < ARRAY_COUNT(leaves); i++) {
        build();
        seamcall_host_inject(leaves[i], 0, FATAL);
        assert_int_equal(td_release_key(&td).err, ERR_TDX);
        assert_true(td.dead);
        assert_int_equal(enter().kind, VCPU_EXIT_TD_DEAD);
        tear_down();
    }
    for (unsigned nth = 0; nth < 13; nth++) {
        build();
        hkid_t hkid = td.hkid;
        assert_int_equal(td_release_key(&td).err, ERR_OK);
        reclaim_contents();
        seamcall_host_inject(L_RECLAIM, nth, FATAL);
        struct td_fault f = td_destroy(&td, page_back, NULL);
        assert_int_equal(f.err, ERR_TDX);
        assert_int_equal(f.page.raw % K4, 0);
        assert_true(f.page.raw && td.dead);
        assert_int_equal(td_release_key(&td).err, ERR_STATE);
        assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_OK);
        assert_int_equal(pool.out, 0);
        tdx_hkid_give(hkid);
    }
}

/* Until its flush succeeds the TDR, which the module wrote under its own KeyID, is not given back. */
static void unflushed_tdr_is_kept(void **state)
{
    build();
    hkid_t hkid = td.hkid;
    hpa_t tdr = td.tdr;
    assert_int_equal(td_release_key(&td).err, ERR_OK);
    reclaim_contents();
    seamcall_host_inject_times(L_PAGE_WBINVD, 0, 2, INVALID_RCX);
    for (unsigned i = 0; i < 2; i++) {
        struct td_fault f = td_destroy(&td, page_back, NULL);
        assert_int_equal(f.err, ERR_TDX);
        assert_string_equal(f.leaf, "TDH.PHYMEM.PAGE.WBINVD");
        assert_int_equal(f.page.raw, tdr.raw);
        assert_int_equal(pool.out, td_control_pages());
    }
    assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_OK);
    assert_int_equal(pool.out, 0);
    assert_int_equal(td.state, TD_NONE);
    tdx_hkid_give(hkid);
}

/* A creation fails, and so does its undo: the TD is there to be destroyed, and then all pages come back. */
static void failed_undo_of_a_creation_can_be_tried_again(void **state)
{
    static const struct {
        unsigned leaf, nth;
    } undo[] = {{L_VPFLUSHDONE, 0}, {L_FREEID, 0}, {L_RECLAIM, 0}, {L_RECLAIM, 2}, {L_RECLAIM, 3}, {L_PAGE_WBINVD, 0}};
    for (unsigned i = 0; i < ARRAY_COUNT(undo); i++) {
        hpa_t pages[16];
        hkid_t hkid;
        assert_int_equal(tdx_hkid_take(&hkid), ERR_OK);
        pages_out(pages, td_control_pages());
        seamcall_host_inject(L_ADDCX, 3, INVALID_RCX);
        seamcall_host_inject(undo[i].leaf, undo[i].nth, i % 2 ? FATAL : INVALID_RCX);
        struct td_fault f = td_create(&td, &config, hkid, pages);
        assert_string_equal(f.leaf, "TDH.MNG.ADDCX");
        assert_true(td.dead && td.state != TD_NONE);
        assert_int_equal(pool.out, td_control_pages());
        if (td.state < TD_KEY_FREED)
            assert_int_equal(td_release_key(&td).err, ERR_OK);
        assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_OK);
        assert_int_equal(pool.out, 0);
        tdx_hkid_give(hkid);
    }
    build();
    tear_down();
}

static void interrupted_cache_flush_is_resumed(void **state)
{
    build();
    platform_host_knobs.pending = true;
    platform_host_knobs.pending_events = PLAT_EVENT_INTERRUPT;
    platform_host_knobs.polls_before = 1;
    u64 calls = tdx_counts.leaf[L_CACHE_WB];
    tear_down();
    assert_true(tdx_counts.leaf[L_CACHE_WB] > calls + 1);
    platform_host_knobs.pending = false;
}

/* --- what the caller got wrong ----------------------------------------------------------------------------------- */

static void wrong_use_is_an_error(void **state)
{
    struct td_config bad = config;
    hpa_t none[16] = {{0}};
    struct td_fault f;
    bad.vcpus = 0;
    assert_int_equal(td_create(&td, &bad, (hkid_t){33}, none).err, ERR_ARGUMENT);
    bad.vcpus = TD_VCPUS_MAX + 1;
    assert_int_equal(td_create(&td, &bad, (hkid_t){33}, none).err, ERR_ARGUMENT);
    bad = config;
    bad.attributes = 1ull << 1; /* the module does not know it */
    assert_int_equal(td_create(&td, &bad, (hkid_t){33}, none).err, ERR_ARGUMENT);
    bad = config;
    bad.xfam = 2; /* without x87 */
    assert_int_equal(td_create(&td, &bad, (hkid_t){33}, none).err, ERR_ARGUMENT);
    assert_int_equal(td_release_key(&td).err, ERR_STATE);
    assert_int_equal(td_destroy(&td, page_back, NULL).err, ERR_STATE);
    (void)hkid_and_create(&f);
    assert_int_equal(add_vcpu(0).err, ERR_OK);
    assert_int_equal(enter().kind, VCPU_EXIT_REFUSED); /* not finalised */
    assert_int_equal(td_reclaim(&td, td.tdr).err, ERR_STATE);
    tear_down();
}

static void hkids_are_finite(void **state)
{
    hkid_t taken[64], one_more;
    unsigned count = 0;
    while (tdx_hkid_take(&taken[count]) == ERR_OK) {
        assert_true(taken[count].raw > 32 && taken[count].raw < 64);
        count++;
    }
    assert_int_equal(count, 31);
    tdx_hkid_give(taken[7]);
    assert_int_equal(tdx_hkid_take(&one_more), ERR_OK);
    assert_int_equal(one_more.raw, taken[7].raw);
    assert_int_equal(tdx_hkid_take(&one_more), ERR_BUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIFE(measurement_is_that_of_an_independent_hash),
        LIFE(refused_creation_is_undone),
        LIFE(one_busy_answer_is_repeated),
        LIFE(refused_vcpu_gives_its_pages_back),
        LIFE(refused_measurement_leaves_a_dead_td),
        LIFE(refused_tear_down_goes_on),
        LIFE(death_in_tear_down_loses_no_step),
        LIFE(unflushed_tdr_is_kept),
        LIFE(failed_undo_of_a_creation_can_be_tried_again),
        LIFE(interrupted_cache_flush_is_resumed),
        LIFE(wrong_use_is_an_error),
        LIFE(hkids_are_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
