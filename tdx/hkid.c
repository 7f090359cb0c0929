/* Private host KeyIDs: which of them a TD uses. The first one is the TDX module's own, and none is given out before it
 * runs. */
#include "lib/bits.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/string.h"
#include "tdx/module_internal.h"

#define HKIDS_MAX 0x10000u

static struct spin lock;
static u64 taken[HKIDS_MAX / 64];

static bool is_taken(unsigned hkid)
{
    return taken[hkid / 64] & BIT(hkid % 64);
}

enum err tdx_hkid_take(hkid_t *hkid)
{
    unsigned first = tdx_module.hkid_first.raw + 1u, end = tdx_module.hkid_first.raw + tdx_module.hkid_count;
    if (!tdx_module.ready)
        return ERR_STATE;
    spin_lock(&lock);
    unsigned i = first;
    while (i < end && is_taken(i))
        i++;
    if (i < end)
        taken[i / 64] |= BIT(i % 64);
    spin_unlock(&lock);
    hkid->raw = (u16)i;
    return i < end ? ERR_OK : ERR_BUSY;
}

void tdx_hkid_give(hkid_t hkid)
{
    spin_lock(&lock);
    ASSERT(is_taken(hkid.raw));
    taken[hkid.raw / 64] &= ~BIT(hkid.raw % 64);
    spin_unlock(&lock);
}

void tdx_hkids_forget(void)
{
    memset(taken, 0, sizeof(taken));
}
