/* Cache flushes: see mm/flush.h. */
#include "mm/flush.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "mm/hold.h"
#include "mm/page.h"
#include "tdx/abi_field.h"
#include "tdx/count.h"
#include "tdx/module.h"
#include "tdx/retry.h"

void flush_into_td(hpa_t page, u64 bytes)
{
    if (tdx_module.features0 & FEATURES0_CLFLUSH_BEFORE_ALLOC)
        flush_shared(page, bytes);
}

void flush_shared(hpa_t page, u64 bytes)
{
    cpu_flush_lines(page, bytes);
    __atomic_fetch_add(&tdx_counts.flushed_bytes, bytes, __ATOMIC_RELAXED);
}

static tdx_status_t write_back(const struct td *td, hpa_t page)
{
    struct tdx_retry again = tdx_retry(TDH_PHYMEM_PAGE_WBINVD, page.raw);
    struct tdx_answer a;

    do
        a = tdh_phymem_page_wbinvd(page, td->hkid);
    while (tdx_again(&again, a.status));
    return a.status;
}

static void lose(struct flush_result *r, hpa_t page, u64 bytes)
{
    page_lose(page, bytes);
    if (r->lost == 0)
        r->first = page;
    r->lost += bytes >> PAGE_SHIFT;
}

/* One call a 4K page; each is tried, whatever became of those before it. */
static void write_back_each(const struct td *td, hpa_t page, u64 bytes, struct flush_result *r)
{
    for (u64 done = 0; done < bytes; done += PAGE_BYTES) {
        tdx_status_t status = write_back(td, hpa_add(page, done));
        if (tdx_ok(status))
            continue;
        lose(r, hpa_add(page, done), PAGE_BYTES);
        r->err = tdx_verdict(status) == TDX_TD_DEAD ? ERR_TD_DEAD : ERR_TDX;
        r->what = "PHYMEM.PAGE.WBINVD";
        r->status = status;
    }
}

/* For a 1G page a WBINVD on each CPU costs less than 262144 calls. */
static void write_back_all(struct td *td, hpa_t page, u64 bytes, u64 *ipis, struct flush_result *r)
{
    r->err = hold_write_back(td, ipis);
    if (r->err == ERR_OK)
        return;
    r->what = "WBINVD on every CPU";
    lose(r, page, bytes);
}

struct flush_result flush_from_td(struct td *td, hpa_t page, level_t level, u64 *ipis)
{
    struct flush_result r = {.err = ERR_OK};

    if (level_is(level, LEVEL_1G))
        write_back_all(td, page, level_bytes(level), ipis, &r);
    else
        write_back_each(td, page, level_bytes(level), &r);
    __atomic_fetch_add(&tdx_counts.flushed_bytes, level_bytes(level) - (r.lost << PAGE_SHIFT), __ATOMIC_RELAXED);
    if (r.lost)
        log_msg(LOG_ERROR, "%s failed (%s): %llu page%s lost for good, the first at %llx", r.what,
                r.err == ERR_TIMEOUT ? err_text(r.err) : tdx_status_name(r.status), (unsigned long long)r.lost,
                r.lost == 1 ? " is" : "s are", (unsigned long long)r.first.raw);
    return r;
}
