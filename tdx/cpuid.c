/*
 * CPUID and XFAM of a TD, as far as TD_PARAMS configures them: see module_internal.h. TDX Module Base Architecture Specification,
 * "CPUID Virtualization". What the VMM does not ask for is 0 to the TD, whatever the CPU has.
 *
 * Left out on purpose: what comes with MSRs that cause #VE (EST, TM2, thermal monitor, DCA, PBE, RDT, PCONFIG, TME), MONITOR, by
 * which a TD would stop its CPU without the VMM, the TSC deadline, and what two MSR bits can take away again (HLE, RTM, WAITPKG).
 * Of extended state: CET, for which a guest's kernel has MSRs of its own, PT, LBR and UINTR.
 * Caches are each vCPU's own, since which share one is not known.
 */
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "tdx/module_internal.h"
#include "tdx/retry.h"

#define INFO_OFFSET  (4 * KIB) /* in the scratch memory */
#define TABLE_OFFSET (8 * KIB)

#define CACHE                                                                                                          \
    {                                                                                                                  \
        0x00003fff, 0xffffffff, 0xffffffff, 0xffffffff                                                                 \
    } /* EAX 31:14: who shares it */

/* Bits that a TD sees where the CPU has them and the module lets them through. EAX, EBX, ECX, EDX. */
static const struct {
    u32 leaf, subleaf;
    u32 mask[4];
} shown[] = {
    {0x1, TDSYSINFO_NO_SUBLEAF, {0, 0, 0x30000000, 0x08000000}}, /* AVX, F16C; SS */
    {0x4, 0, CACHE},
    {0x4, 1, CACHE},
    {0x4, 2, CACHE},
    {0x4, 3, CACHE},
    {0x7,
     0,
     {0, 0xdc2b0308, 0x02405f44, 0x0000411c}}, /* BMI, ERMS, ADX, AVX-512; UMIP, GFNI, VAES, RDPID; FSRM, SERIALIZE */
    {0x7, 1, {0x00001d30, 0, 0, 0}},           /* AVX-VNNI, BF16, FZRM, FSRS, FSRC */
    {0x80000008, TDSYSINFO_NO_SUBLEAF, {0, 0x00000200, 0, 0}}, /* WBNOINVD */
};

#define XFAM_AVX     0x4ull
#define XFAM_AVX_512 0xe0ull
#define XFAM_PKRU    0x200ull
#define XFAM_AMX     0x60000ull

/* What belongs together comes whole, and AVX-512 with AVX alone. */
u64 tdx_xfam_shown(void)
{
    static const u64 groups[] = {XFAM_AVX, XFAM_PKRU, XFAM_AMX, XFAM_AVX | XFAM_AVX_512};
    u64 shown = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(groups); i++)
        if ((groups[i] & ~tdx_module.xfam_may) == 0)
            shown |= groups[i];
    return shown;
}

static bool read_info(hpa_t info, hpa_t table)
{
    struct tdx_retry again = tdx_retry(TDH_SYS_INFO, 0);
    struct tdx_answer a;
    do
        a = tdh_sys_info(info, table);
    while (tdx_again(&again, a.status));
    if (!tdx_ok(a.status))
        log_msg(LOG_WARN, "TDH.SYS.INFO does not say what a TD's CPUID may have (%s): it gets only what is fixed",
                tdx_status_name(a.status));
    return tdx_ok(a.status);
}

static void configure_row(const struct tdsysinfo *info, unsigned row, struct td_params *p)
{
    u32 leaf = info->cpuid_config[row].leaf, subleaf = info->cpuid_config[row].subleaf;
    for (unsigned i = 0; i < ARRAY_COUNT(shown); i++) {
        if (shown[i].leaf != leaf || shown[i].subleaf != subleaf)
            continue;
        struct cpuid_regs r = cpu_cpuid(leaf, subleaf == TDSYSINFO_NO_SUBLEAF ? 0 : subleaf);
        p->cpuid_config[row].eax = r.eax & info->cpuid_config[row].eax & shown[i].mask[0];
        p->cpuid_config[row].ebx = r.ebx & info->cpuid_config[row].ebx & shown[i].mask[1];
        p->cpuid_config[row].ecx = r.ecx & info->cpuid_config[row].ecx & shown[i].mask[2];
        p->cpuid_config[row].edx = r.edx & info->cpuid_config[row].edx & shown[i].mask[3];
    }
}

void tdx_cpuid_configure(struct td_params *p)
{
    hpa_t scratch = phys_of(p), at = hpa_add(scratch, INFO_OFFSET);
    const struct tdsysinfo *info = phys_ptr(at);
    if (!read_info(at, hpa_add(scratch, TABLE_OFFSET)))
        return;
    for (unsigned row = 0;
         row < info->cpuid_config_count && row < ARRAY_COUNT(info->cpuid_config) && row < ARRAY_COUNT(p->cpuid_config);
         row++)
        configure_row(info, row, p);
}
