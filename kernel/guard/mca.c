/* Machine checks. See mca.h. */
#include "kernel/guard/mca.h"

#include <stdatomic.h>

#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "tdx/module.h"

#define CPUID_1_EDX_MCA BIT(14)

#define MSR_MCG_CAP       0x179
#define MSR_MCG_STATUS    0x17a
#define MSR_CONTROL(bank) (0x400 + 4 * (bank))
#define MSR_STATUS(bank)  (0x401 + 4 * (bank))
#define MSR_ADDRESS(bank) (0x402 + 4 * (bank))
#define MSR_MISC(bank)    (0x403 + 4 * (bank))

#define CAP_COUNT_MASK 0xffu
#define CAP_RECOVERS   BIT(24) /* software error recovery: S and AR mean something */
#define MCG_RIPV       BIT(0)

#define STATUS_AR                   BIT(55)
#define STATUS_S                    BIT(56)
#define STATUS_PCC                  BIT(57)
#define STATUS_ADDRV                BIT(58)
#define STATUS_MISCV                BIT(59)
#define STATUS_EN                   BIT(60)
#define STATUS_UC                   BIT(61)
#define STATUS_VALID                BIT(63)
#define MISC_LSB_MASK               0x3fu
#define MISC_MODE(m)                ((m) >> 6 & 7)
#define MODE_PHYSICAL               2u
#define CONTROL_ALL                 (~0ull)
#define BANK_CONTROLLED_BY_FIRMWARE 0u

static _Atomic unsigned survived;
static struct mca_report newest_survived; /* of whichever CPU came last: for the eye */

static u64 read(u32 msr)
{
    u64 value = 0;
    return cpu_read_msr(msr, &value) ? value : 0;
}

static void write(u32 msr, u64 value)
{
    if (!cpu_write_msr(msr, value))
        return; /* a bank that is not there: nothing is in it either */
}

static unsigned bank_count(u64 *cap)
{
    *cap = cpu_cpuid(1, 0).edx & CPUID_1_EDX_MCA ? read(MSR_MCG_CAP) : 0;
    return *cap & CAP_COUNT_MASK;
}

/* The page, where the bank tells a physical address that is at least as fine. A KeyID in its upper bits is none of its number. */
static hpa_t address_of(unsigned bank, u64 status)
{
    u64 misc = status & STATUS_MISCV ? read(MSR_MISC(bank)) : 0;
    unsigned bits = tdx_module.maxpa > tdx_module.keyid_bits ? tdx_module.maxpa - tdx_module.keyid_bits : 52;

    if (!(status & STATUS_ADDRV) || MISC_MODE(misc) != MODE_PHYSICAL || (misc & MISC_LSB_MASK) > PAGE_SHIFT)
        return HPA_NONE;
    return (hpa_t){read(MSR_ADDRESS(bank)) & (BIT(bits) - 1) & ~(PAGE_BYTES - 1)};
}

static enum mca_verdict judge(u64 status, u64 cap, hpa_t at)
{
    if (!(status & STATUS_VALID))
        return MCA_NOTHING;
    if (!(status & STATUS_UC))
        return MCA_SURVIVED;
    if ((status & STATUS_PCC) || !(cap & CAP_RECOVERS))
        return MCA_FATAL;
    if (!(status & STATUS_AR)) /* the data is broken, but nobody needed it */
        return MCA_SURVIVED;
    return (status & STATUS_S) && (status & STATUS_EN) && !hpa_is(at, HPA_NONE) ? MCA_MEMORY : MCA_FATAL;
}

static void look(unsigned bank, u64 cap, struct mca_report *r)
{
    u64 status = read(MSR_STATUS(bank));
    hpa_t at = address_of(bank, status);
    enum mca_verdict verdict = judge(status, cap, at);

    if (verdict <= r->verdict)
        return;
    r->verdict = verdict;
    r->bank = bank;
    r->status = status;
    r->at = at;
}

struct mca_report mca_take(void)
{
    struct mca_report r = {.at = HPA_NONE};
    u64 cap;
    unsigned count = bank_count(&cap);

    r.can_resume = read(MSR_MCG_STATUS) & MCG_RIPV;
    for (unsigned bank = 0; bank < count; bank++)
        look(bank, cap, &r);
    if (r.verdict == MCA_FATAL)
        return r;
    for (unsigned bank = 0; bank < count; bank++)
        write(MSR_STATUS(bank), 0);
    write(MSR_MCG_STATUS, 0);
    if (r.verdict == MCA_SURVIVED) {
        newest_survived = r;
        survived++;
    }
    return r;
}

unsigned mca_take_survived(struct mca_report *newest)
{
    *newest = newest_survived;
    return atomic_exchange(&survived, 0);
}

void mca_init(void)
{
    char text[MCA_TEXT_BYTES];
    u64 cap;
    unsigned count = bank_count(&cap);

    for (unsigned bank = 0; bank < count; bank++) {
        struct mca_report r = {.at = HPA_NONE};
        look(bank, cap, &r);
        if (r.verdict != MCA_NOTHING && cpu_index() == 0)
            log_msg(LOG_WARN, "a machine check from before the start: %s", mca_text(&r, text));
        write(MSR_STATUS(bank), 0);
        if (bank != BANK_CONTROLLED_BY_FIRMWARE)
            write(MSR_CONTROL(bank), CONTROL_ALL);
    }
    if (count != 0)
        write(MSR_MCG_STATUS, 0);
}

const char *mca_text(const struct mca_report *r, char to[MCA_TEXT_BYTES])
{
    size_t used;

    if (r->verdict == MCA_NOTHING) {
        format_to(to, MCA_TEXT_BYTES, "no bank says why");
        return to;
    }
    used = format_to(to, MCA_TEXT_BYTES, "bank %u, status 0x%llx", r->bank, (unsigned long long)r->status);
    if (!hpa_is(r->at, HPA_NONE))
        format_to(to + used, MCA_TEXT_BYTES - used, ", address 0x%llx", (unsigned long long)r->at.raw);
    return to;
}
