/* The trace in its compact form: see kernel/trace_dump.h. */
#include "kernel/trace_dump.h"

#include "kernel/cpus.h"
#include "kernel/print.h"
#include "kernel/time.h"
#include "kernel/trace.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "mm/plan_step.h"
#include "mm/policy/policy.h"
#include "tdx/count.h"
#include "tdx/module.h"
#include "tdx/td.h"

#define FORM              1u
#define LINE_BYTES        240
#define CRC_POLYNOMIAL    0x1021u
#define LINES_A_LOOK      64u /* between two questions whether to stop */
#define CPUID_BASIC_MAX   0x21u
#define CPUID_SUBLEAVES   0x20u
#define CPUID_EXTENDED    0x80000000u
#define CPUID_EXTENDED_TO 0x80000008u

static struct {
    u64 lines, last_tsc;
    bool (*stop)(void);
    struct trace_dumped result;
} dump;

static u16 crc(const char *text, size_t bytes)
{
    u16 sum = 0;

    for (size_t i = 0; i < bytes; i++) {
        sum ^= (u16)((u8)text[i] << 8);
        for (unsigned bit = 0; bit < 8; bit++)
            sum = (u16)((u32)sum << 1 ^ (sum & 0x8000 ? CRC_POLYNOMIAL : 0));
    }
    return sum;
}

static void PRINTF_LIKE(1, 2) put(const char *fmt, ...)
{
    char line[LINE_BYTES];
    va_list args;

    if (dump.lines % LINES_A_LOOK == 0 && dump.stop())
        dump.result.stopped = true;
    if (dump.result.stopped)
        return;
    size_t used = format_to(line, sizeof(line), "%llx ", (unsigned long long)dump.lines++);
    va_start(args, fmt);
    used += format_v(line + used, sizeof(line) - used, fmt, args);
    va_end(args);
    if (used >= sizeof(line))
        used = sizeof(line) - 1;
    print("~%s*%04x\n", line, crc(line, used));
}

/* --- what the records mean ---------------------------------------------------------------------------------------- */

static void put_events(void)
{
    for (unsigned e = 0; e < TRACE_EVENT_COUNT; e++) {
        const char *a[4];
        for (unsigned i = 0; i < 4; i++)
            a[i] = trace_argument_name(e, i)[0] ? trace_argument_name(e, i) : "-";
        put("K %x %s %s %s %s %s", e, trace_event_name(e), a[0], a[1], a[2], a[3]);
    }
}

static void put_name(unsigned event, unsigned argument, unsigned value, const char *text)
{
    put("N %x %x %x %s", event, argument, value, text);
}

static void put_names(void)
{
    static const char *const decisions[] = {
#define X(decision, name) [decision] = name,
        TRACE_DECISION_LIST(X)
#undef X
    };

    for (unsigned i = 0; i < TDX_LEAF_COUNT_MAX; i++)
        if (tdx_leaf_name(i) != NULL)
            put_name(TRACE_SEAMCALL, 0, i, tdx_leaf_name(i));
    for (unsigned i = 0; i < TDX_EXIT_REASON_COUNT_MAX; i++)
        if (strcmp(vcpu_exit_name(i), "UNKNOWN") != 0)
            put_name(TRACE_TD_EXIT, 0, i, vcpu_exit_name(i));
    for (unsigned i = 0; i < ARRAY_COUNT(decisions); i++)
        put_name(TRACE_DECISION, 0, i, decisions[i]);
    for (unsigned i = 0; i < STEP_KINDS; i++)
        put_name(TRACE_PLAN_STEP, 0, i, step_name((enum step_kind)i));
    for (unsigned i = 0; policy_event_name(i) != NULL; i++)
        put_name(TRACE_POLICY, 0, i, policy_event_name(i));
    for (unsigned i = ERR_OK; i <= ERR_TD_DEAD; i++) {
        put_name(TRACE_DECISION, 3, i, err_text((enum err)i));
        put_name(TRACE_FAULT, 3, i, err_text((enum err)i));
    }
}

/* --- the platform ------------------------------------------------------------------------------------------------- */

static void put_cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid_regs r = cpu_cpuid(leaf, subleaf);

    if (r.eax | r.ebx | r.ecx | r.edx)
        put("P cpuid %x %x %x %x %x %x", leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
}

static bool has_subleaves(u32 leaf)
{
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x14 || leaf == 0x1d || leaf == 0x1f;
}

static void put_cpuids(void)
{
    for (u32 leaf = 0; leaf <= CPUID_BASIC_MAX && leaf <= cpu_cpuid(0, 0).eax; leaf++)
        for (u32 sub = 0; sub < (has_subleaves(leaf) ? CPUID_SUBLEAVES : 1); sub++)
            put_cpuid(leaf, sub);
    for (u32 leaf = CPUID_EXTENDED; leaf <= CPUID_EXTENDED_TO; leaf++)
        put_cpuid(leaf, 0);
}

/* As the TDX module of a fresh platform would meet it. */
static void put_platform(void)
{
    put("P keyids %x %x %x", tdx_module.maxpa, tdx_module.keyid_bits, tdx_module.hkid_first.raw);
    put("P cpus %x", cpus_online());
    put("P features0 %llx", (unsigned long long)tdx_module.features0);
    put("P version %x %x %x", tdx_module.major, tdx_module.minor, tdx_module.update);
    for (unsigned i = 0; i < tdx_module.cmr_count; i++)
        put("P cmr %llx %llx", (unsigned long long)tdx_module.cmrs[i].base.raw,
            (unsigned long long)tdx_module.cmrs[i].bytes);
    put_cpuids();
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static void put_record(const struct trace_entry *e, void *arg)
{
    char text[4 * 18] = "";
    unsigned count = 4, used = 0;

    (void)arg;
    while (count > 0 && e->args[count - 1] == 0)
        count--;
    for (unsigned i = 0; i < count; i++)
        used += (unsigned)format_to(text + used, sizeof(text) - used, " %llx", (unsigned long long)e->args[i]);
    put("R %x %llx%s", e->event, (unsigned long long)(e->tsc - dump.last_tsc), text);
    dump.last_tsc = e->tsc;
}

static void put_cpu(unsigned cpu, u64 max)
{
    struct trace_extent all = trace_extent(cpu);
    u64 count = all.recorded - all.lost;

    if (all.recorded == 0)
        return;
    count = count < max ? count : max;
    put("C %x %llx %llx %llx", cpu, (unsigned long long)(all.recorded - count), (unsigned long long)count,
        (unsigned long long)all.lost);
    dump.last_tsc = 0;
    dump.result.records += trace_each(cpu, (unsigned)count, put_record, NULL);
    dump.result.lost += all.lost;
}

struct trace_dumped trace_dump(u64 max, bool (*stop)(void))
{
    bool was_on = trace_is_enabled();

    trace_enable(false);
    dump.lines = 0;
    dump.stop = stop;
    dump.result = (struct trace_dumped){0};
    put("V %x %x %llx", FORM, cpus_count(), (unsigned long long)time_tsc_khz());
    put_events();
    put_names();
    put_platform();
    for (unsigned i = 0; i < CPU_COUNT_MAX && !dump.result.stopped; i++)
        put_cpu(i, max);
    put("E %llx", (unsigned long long)dump.result.records);
    trace_enable(was_on);
    return dump.result;
}
