/*
 * libFuzzer target: SEAMCALLs, TDCALLs and VM exits with operands drawn from the input, against the module model, in a world
 * with room for two TDs. After each call: PAMT, Secure EPT, CHLDCNT and locks agree (the model's own checks abort, too).
 *
 * Operands are picked from tables of interesting values with a few bits flipped, so that most calls get past their first check.
 * Exits on which a genuine module halts are left out, and output buffers in TD memory: the module does not check for them, and
 * what hardware makes of such a write is not the model's affair.
 */
#include "tests/unit/module_world.h"

#include "sim/module/sept.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define WINDOW       0x4000000ull /* all pages that calls can name in the TDMR lie in its first 64 MiB */
#define WINDOW_PAGES (WINDOW / PAGE_4K)
#define CALLS_MAX    200

static const u8 *input;
static size_t left;

static u8 next(void)
{
    if (!left)
        return 0;
    left--;
    return *input++;
}

/* --- operands ---------------------------------------------------------------------------------------------------------- */

#define TDR2   (W_TDMR + 0x180000)
#define TDVPR2 (W_TDMR + 0x190000)

static const u64 values[] = {
    W_TDR,
    TDR2,
    W_TDVPR,
    TDVPR2,
    W_TABLES,
    W_TABLES + 0x1000,
    W_TDMR,
    W_PAMT_4K,
    W_TDMR + W_READY,
    32,
    33,
    34,
    35,
    0,
    1,
    2,
    3,
    ~0ull,
    8,
    0x400,
    0x1110000300000000ull,
    0x24000300002016ull,
    0x2400030000203cull,
    0x9810000000000001ull,
    0x9110000300000018ull,
    0xa00000300000008ull,
    1ull << 47,
    1ull << 51,
};
#define VALUES (sizeof(values) / sizeof(values[0]))

static u64 operand(void)
{
    u8 kind = next(), which = next();
    u64 value;
    switch (kind & 7) {
    case 0:
    case 1:
        value = values[which % VALUES];
        break;
    case 2: /* a 4K page */
        value = W_PAGES + (which & 31) * PAGE_4K;
        break;
    case 3: /* a control page or one for the Secure EPT */
        value = (which & 1 ? W_POOL : W_TDCX) + (which >> 1) * PAGE_4K;
        break;
    case 4: /* a 2M page */
        value = W_LARGE + (which & 7) * PAGE_2M;
        break;
    default: /* GPA and level */
        value = (which >> 4 & 3) * PAGE_2M | (which >> 2 & 3) * (which & 3 ? 0 : PAGE_4K) | (which & 3);
    }
    if ((kind & 0xf8) == 0xf8)
        value ^= 1ull << (next() & 63);
    bool movable = value >= W_TDMR && value < W_TDMR + W_TDMR_SIZE && value != W_TDMR + W_READY;
    return movable ? W_TDMR | (value & (WINDOW - 1)) : value;
}

static void draw_registers(u64 regs[SEAM_GPRS])
{
    u8 how_many = next() & 7;
    for (unsigned i = 0; i < 5; i++) {
        static const u8 order[] = {RCX, RDX, R8, R9, R10};
        regs[order[i]] = i <= how_many ? operand() : 0;
    }
}

/* --- what must hold ----------------------------------------------------------------------------------------------------- */

static u64 owned_4k[2]; /* pages per TD, by the PAMT */
static u8 reached[WINDOW_PAGES];

static unsigned td_of(u64 owner)
{
    if (owner != W_TDR && owner != TDR2)
        fail_msg("a page belongs to %llx", (unsigned long long)owner);
    return owner == TDR2;
}

static const struct tdr *tdr_at(u64 hpa)
{
    struct pamt_path path;
    return pamt_find(hpa, &path) && path.at[0]->type == PT_TDR ? (const struct tdr *)w_memory(hpa) : NULL;
}

/* Straight from the PAMT's memory: this runs after every call. */
static void count_owned(void)
{
    const struct pamt_entry *small = (const struct pamt_entry *)w_memory(W_PAMT_4K);
    const struct pamt_entry *large = (const struct pamt_entry *)w_memory(W_PAMT_2M);
    memset(owned_4k, 0, sizeof(owned_4k));
    for (u64 i = 0; i < WINDOW_PAGES; i++) {
        const struct pamt_entry *entry = large[i / 512].type == PT_REG ? &large[i / 512] : &small[i];
        if (entry != &small[i])
            assert_int_equal(small[i].type, PT_NDA);
        if (entry->type != PT_NDA && entry->type != PT_RSVD && entry->type != PT_TDR)
            owned_4k[td_of(pamt_owner(entry))]++;
    }
}

static void reach(u64 hpa)
{
    u64 page = (hpa - W_TDMR) / PAGE_4K;
    assert_true(page < WINDOW_PAGES);
    if (reached[page]++)
        fail_msg("page %llx is mapped twice", (unsigned long long)hpa);
}

static void check_table(u64 tdr_hpa, u64 table_hpa, unsigned level)
{
    const u64 *table = w_memory(table_hpa);
    for (unsigned i = 0; i < 512; i++) {
        u64 entry = table[i], state = entry >> 52 & 0xff, bytes = PAGE_4K << 9 * level;
        if (state == SEPT_FREE)
            continue;
        bool is_table = state & 0x80;
        u64 hpa = entry & SEPT_HPA & ~((is_table ? PAGE_4K : bytes) - 1);
        struct pamt_path path;
        assert_true(pamt_find(hpa, &path));
        const struct pamt_entry *page = path.at[is_table ? 0 : level];
        assert_int_equal(page->type, is_table ? PT_EPT : PT_REG);
        assert_int_equal(pamt_owner(page), tdr_hpa);
        assert_false(entry & SEPT_LOCK);
        reach(hpa);
        if (is_table)
            check_table(tdr_hpa, hpa, level - 1);
    }
}

static void check_td(u64 tdr_hpa, u64 owned)
{
    const struct tdr *tdr = tdr_at(tdr_hpa);
    if (!tdr) {
        assert_int_equal(owned, 0);
        return;
    }
    assert_int_equal(tdr->chldcnt, owned);
    if (tdr->lifecycle != TD_KEYS_CONFIGURED || tdr->num_tdcx < TDCS_PAGES_MIN)
        return;
    const struct tdcs *tdcs = plat_page(tdr->tdcx_pa[0]);
    assert_int_equal(tdcs->sept_lock, 0);
    assert_int_equal(tdcs->epoch_lock, 0);
    if (tdcs->op_state != OP_UNINITIALIZED)
        check_table(tdr_hpa, tdcs->eptp & SEPT_HPA, sept_top_level(tdcs));
}

static void check_all(void)
{
    assert_int_equal(mdl_sys.lock, 0);
    assert_int_equal(mdl_sys.kot_lock, 0);
    if (mdl_sys.state != SYS_READY)
        return;
    count_owned();
    memset(reached, 0, sizeof(reached));
    check_td(W_TDR, owned_4k[0]);
    check_td(TDR2, owned_4k[1]);
}

/* --- calls --------------------------------------------------------------------------------------------------------------- */

static bool in_tdmr(u64 pa)
{
    pa &= (1ull << 46) - 1;
    return pa >= W_TDMR && pa < W_TDMR + W_TDMR_SIZE;
}

/* TDMR.INIT would finish the last GiB; the others write to memory that the VMM names. */
static bool is_left_out(unsigned leaf, const u64 regs[SEAM_GPRS])
{
    enum { SYS_INFO = 32, SYS_RDALL = 37, SYS_SHUTDOWN = 52 };
    return leaf == W_TDMR_INIT || leaf == SYS_SHUTDOWN ||
           (leaf == SYS_INFO && (in_tdmr(regs[RCX]) || in_tdmr(regs[R8]))) || (leaf == SYS_RDALL && in_tdmr(regs[RDX]));
}

static void seamcall(struct seam_lp *lp)
{
    u8 leaf = next();
    draw_registers(lp->vmm);
    lp->vmm[RAX] = (leaf & 63) | (leaf & 0xc0 ? 0 : (u64)(next() & 3) << 16);
    if (!is_left_out(leaf & 63, lp->vmm) && module_seamcall(lp) == SEAM_TO_VMM)
        lp->td = NULL;
}

static void td_exit(struct seam_lp *lp)
{
    static const u8 reasons[] = {77, 77, 77, 77, 77, 1, 2, 7, 10, 12, 18, 30, 31, 32, 48, 55};
    struct td_vmcs *td = lp->td;
    u8 control = next();
    td->exit_reason = reasons[control & 15];
    td->exit_instr_len = 4;
    td->exit_intr_info = 0x800000ec;
    td->guest_physical = 0;
    td->qualification = control >> 4 & 7;
    if (td->exit_reason == 48)
        td->guest_physical = operand() & SEPT_HPA;
    td->rip += control & 0x80 ? 200 : 0;
    td->entry_intr_info = 0;
    draw_registers(td->gpr);
    td->gpr[RAX] = next() & 31;
    if (module_td_exit(lp) == SEAM_TO_VMM)
        lp->td = NULL;
}

/* --- worlds ---------------------------------------------------------------------------------------------------------------- */

/* Building a world takes longer than a run, so each is built once and copied: what is not listed here the module sets before use. */
enum world { WORLD_SYS, WORLD_BUILDING, WORLD_RUNNING, WORLDS };
#define CONTROL_PAGES (W_TDMR + 0x100000)
#define CONTROL_BYTES 0x200000
#define PAMT_BYTES    (WINDOW_PAGES * sizeof(struct pamt_entry))

static struct snapshot {
    bool taken;
    struct sys sys;
    struct seam_lp lp;
    u8 pamt_4k[PAMT_BYTES], pamt_2m[PAGE_4K], pamt_1g[PAGE_4K], control[CONTROL_BYTES];
} snapshots[WORLDS];

static void build(enum world world)
{
    w_system();
    if (world == WORLD_SYS)
        return;
    w_td();
    w_ok(W_SEPT_ADD, 2, W_TDR, w_pool(), 0);
    w_ok(W_SEPT_ADD, 1, W_TDR, w_pool(), 0);
    if (world == WORLD_RUNNING)
        w_ok(W_MR_FINALIZE, W_TDR, 0, 0, 0);
}

static void start(enum world world)
{
    struct snapshot *s = &snapshots[world];
    if (!s->taken) {
        build(world);
        s->taken = true;
        s->sys = mdl_sys;
        s->lp = platform_host_lps[0];
        memcpy(s->pamt_4k, w_memory(W_PAMT_4K), sizeof(s->pamt_4k));
        memcpy(s->pamt_2m, w_memory(W_PAMT_2M), sizeof(s->pamt_2m));
        memcpy(s->pamt_1g, w_memory(W_PAMT_1G), sizeof(s->pamt_1g));
        memcpy(s->control, w_memory(CONTROL_PAGES), sizeof(s->control));
        return;
    }
    mdl_sys = s->sys;
    platform_host_lps[0] = s->lp;
    memcpy(w_memory(W_PAMT_4K), s->pamt_4k, sizeof(s->pamt_4k));
    memcpy(w_memory(W_PAMT_2M), s->pamt_2m, sizeof(s->pamt_2m));
    memcpy(w_memory(W_PAMT_1G), s->pamt_1g, sizeof(s->pamt_1g));
    memcpy(w_memory(CONTROL_PAGES), s->control, sizeof(s->control));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    input = data;
    left = size;
    start((enum world)(next() % WORLDS));
    for (unsigned i = 0; left && i < CALLS_MAX; i++) {
        struct seam_lp *lp = &platform_host_lps[0];
        if (lp->td)
            td_exit(lp);
        else
            seamcall(lp);
        check_all();
    }
    return 0;
}
