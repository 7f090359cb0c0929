/* Machine-check banks. See mca.h. */
#include "sim/machine/config.h"
#include "sim/machine/mca.h"

#define MCG_CAP    0x179
#define MCG_STATUS 0x17a
#define BANK_FIRST 0x400
#define BANK_LAST  (BANK_FIRST + 4 * BANKS - 1)
#define BANKS      4u
#define BANK_DATA  1u

#define CAP_RECOVERY (1ull << 24)
#define MCG_EIPV     (1ull << 1)
#define MCG_MCIP     (1ull << 2)
#define MCG_ALL      (1ull << 0 | MCG_EIPV | MCG_MCIP)

/* VAL, UC, EN, MISCV, ADDRV, S, AR: action required; MCACOD 134h, a data load in the first-level cache. */
#define STATUS_BROKEN (1ull << 63 | 1ull << 61 | 7ull << 58 | 3ull << 55 | 0x134)
#define MISC_BROKEN   (2ull << 6 | 6) /* a physical address, of a line */

#define PAGE_MASK 0xfffull

static u64
    broken[CONFIG_LIST_MAX]; /* atomic; by line of memory_error: the page and one, 0 where a TD has not met it yet */

enum { CONTROL, STATUS, ADDRESS, MISC };

void mca_note_mapping(u64 gpa, u64 hpa, u64 bytes)
{
    const struct config_list *errors = &sim_config()->memory_errors;

    for (u32 i = 0; i < errors->count; i++) {
        u64 at = errors->lines[i][0] - gpa, none = 0;
        if (at < bytes)
            __atomic_compare_exchange_n(&broken[i], &none, ((hpa + at) & ~PAGE_MASK) + 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST);
    }
}

/* The line, or -1. */
static int find_broken(u64 hpa, u64 bytes)
{
    for (u32 i = 0; i < sim_config()->memory_errors.count; i++) {
        u64 at = __atomic_load_n(&broken[i], __ATOMIC_SEQ_CST);
        if (at && at - 1 - hpa < bytes)
            return (int)i;
    }
    return -1;
}

bool mca_is_broken(u64 hpa, u64 bytes)
{
    return find_broken(hpa, bytes) >= 0;
}

void mca_note_broken(struct cpu_mca *mca, u64 hpa)
{
    int line = find_broken(hpa & ~PAGE_MASK, PAGE_MASK + 1);

    mca->status = line < 0 ? STATUS_BROKEN : sim_config()->memory_errors.lines[line][1];
    mca->address = hpa;
    mca->mcg_status = MCG_EIPV | MCG_MCIP;
}

bool mca_has_msr(u32 msr)
{
    return msr == MCG_CAP || msr == MCG_STATUS || (msr >= BANK_FIRST && msr <= BANK_LAST);
}

bool mca_read(const struct cpu_mca *mca, u32 msr, u64 *value)
{
    bool is_data = (msr - BANK_FIRST) / 4 == BANK_DATA;

    *value = 0;
    if (msr == MCG_CAP)
        *value = BANKS | CAP_RECOVERY;
    else if (msr == MCG_STATUS)
        *value = mca->mcg_status;
    else if (msr % 4 == CONTROL)
        *value = mca->control[(msr - BANK_FIRST) / 4];
    else if (is_data && msr % 4 == STATUS)
        *value = mca->status;
    else if (is_data && mca->status)
        *value = msr % 4 == ADDRESS ? mca->address : MISC_BROKEN;
    return true;
}

/* Status, address and the rest of a bank take nothing but zero. */
bool mca_write(struct cpu_mca *mca, u32 msr, u64 value)
{
    if (msr == MCG_CAP || (msr == MCG_STATUS && value & ~MCG_ALL))
        return false;
    if (msr == MCG_STATUS)
        mca->mcg_status = value;
    else if (msr % 4 == CONTROL)
        mca->control[(msr - BANK_FIRST) / 4] = value;
    else if (value)
        return false;
    else if ((msr - BANK_FIRST) / 4 == BANK_DATA && msr % 4 == STATUS)
        mca->status = 0;
    return true;
}
