/*
 * Is this a TDX host? The conditions are those of tdx/check.c without which no TD runs; the first that is missing has a sentence
 * that says what to do.
 */
#include "tdx/module.h"

#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "tdx/check_internal.h"

#define CPUID_80000008_MAXPA 0xffu

/* Where KeyIDs lie in an address, and which are TDX's. */
static void take_keyids(void)
{
    u64 partition = 0;

    (void)!cpu_read_msr(TDX_MSR_KEYID_PARTITIONING, &partition);
    u64 shared = FIELD_GET(TDX_PARTITION_SHARED, partition), count = FIELD_GET(TDX_PARTITION_PRIVATE, partition);
    tdx_module.hkid_first.raw = (u16)(shared + 1);
    tdx_module.hkid_count = (unsigned)count;
    tdx_module.keyid_bits = tdx_keyid_bits(shared + count);
    tdx_module.maxpa = cpu_cpuid(0x80000008, 0).eax & CPUID_80000008_MAXPA;
}

enum err tdx_detect(const char **missing)
{
    static char sentence[TDX_CHECK_VALUE_BYTES + 320];
    struct tdx_check first;

    *missing = NULL;
    if (tdx_check_needed(&first)) {
        format_to(sentence, sizeof(sentence), "%s [%s]", first.fix, first.value);
        *missing = sentence;
        return ERR_PLATFORM;
    }
    take_keyids();
    return ERR_OK;
}

keyed_hpa_t tdx_keyed(hpa_t page, hkid_t hkid)
{
    unsigned shift = tdx_module.maxpa - tdx_module.keyid_bits;
    return (keyed_hpa_t){page.raw | (u64)hkid.raw << shift};
}
