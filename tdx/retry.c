/* Bounded repetition of SEAMCALLs: see tdx/retry.h. */
#include "tdx/retry.h"

#include "lib/hw/cpu.h"
#include "lib/trace.h"
#include "tdx/count.h"

#define PAUSES_MAX 256u

static unsigned bound_of(tdx_status_t status)
{
    if (tdx_is(status, TDX_INTERRUPTED_RESTARTABLE) || tdx_is(status, TDX_INTERRUPTED_RESUMABLE))
        return TDX_RETRIES_INTERRUPT;
    if (tdx_is(status, TDX_RND_NO_ENTROPY) || tdx_is(status, TDX_KEY_GENERATION_FAILED))
        return TDX_RETRIES_ENTROPY;
    return TDX_RETRIES_BUSY;
}

static void wait_a_little(unsigned attempts)
{
    unsigned pauses = attempts < 8 ? 1u << attempts : PAUSES_MAX;
    while (pauses--)
        cpu_relax();
}

bool tdx_again(struct tdx_retry *retry, tdx_status_t status)
{
    if (tdx_verdict(status) != TDX_REPEAT)
        return false;
    if (retry->attempts >= bound_of(status))
        return false;
    retry->attempts++;
    tdx_count_retry();
    trace_record(TRACE_REPEAT, retry->leaf, retry->attempts, retry->at, status.raw);
    wait_a_little(retry->attempts);
    return true;
}
