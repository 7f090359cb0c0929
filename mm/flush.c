/* Cache flushes: see mm/flush.h. */
#include "mm/flush.h"

#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
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

static void write_back(const struct td *td, hpa_t page)
{
    struct tdx_retry again = tdx_retry(TDH_PHYMEM_PAGE_WBINVD, page.raw);
    struct tdx_answer a;

    do
        a = tdh_phymem_page_wbinvd(page, td->hkid);
    while (tdx_again(&again, a.status));
    if (!tdx_ok(a.status))
        log_msg(LOG_ERROR, "PHYMEM.PAGE.WBINVD of %llx: %s", (unsigned long long)page.raw, tdx_status_name(a.status));
}

/* One call a 4K page. For a 1G page a WBINVD on each CPU costs less than 262144 calls. */
void flush_from_td(const struct td *td, hpa_t page, level_t level)
{
    if (level_is(level, LEVEL_1G)) {
        cpu_flush_all();
    } else {
        for (u64 done = 0; done < level_bytes(level); done += PAGE_BYTES)
            write_back(td, hpa_add(page, done));
    }
    __atomic_fetch_add(&tdx_counts.flushed_bytes, level_bytes(level), __ATOMIC_RELAXED);
}
