/* Commands about what a machine or the TDX module lacks: tdx check, help status. */
#include "kernel/boot_info.h"
#include "kernel/console/cmd.h"
#include "kernel/cpus.h"
#include "kernel/print.h"
#include "lib/format.h"
#include "lib/string.h"
#include "mm/page.h"
#include "tdx/check.h"
#include "tdx/explain.h"

#define DETAILS_BYTES    96
#define FAILED_CPUS_SHOW 4
#define FAILED_CPU_BYTES 31 /* ", CPU 1023 (APIC id 4294967295)" */
#define FAILED_AND_BYTES 64 /* what stands around them */
_Static_assert(FAILED_AND_BYTES + FAILED_CPUS_SHOW * FAILED_CPU_BYTES <= TDX_CHECK_VALUE_BYTES, "the value has room");

/* " 3 (APIC id 6)", and how many more; those that did not start. */
static unsigned name_failed(char *to, size_t bytes)
{
    unsigned failed = 0;
    size_t used = 0;

    *to = '\0';
    for (unsigned i = 0; i < cpus_count(); i++) {
        if (cpus_state(i) != CPU_FAILED)
            continue;
        if (failed < FAILED_CPUS_SHOW)
            used += format_to(to + used, bytes - used, "%s CPU %u (APIC id %u)", failed != 0 ? "," : "", i,
                              cpus_apic_id(i));
        failed++;
    }
    if (failed > FAILED_CPUS_SHOW)
        format_to(to + used, bytes - used, " and %u more", failed - FAILED_CPUS_SHOW);
    return failed;
}

static void answer_checks(struct json *j, const struct tdx_check *checks, unsigned count)
{
    unsigned counts[3] = {0};

    json_array(j, "checks");
    for (unsigned i = 0; i < count; i++) {
        json_object(j, NULL);
        json_text(j, "name", checks[i].name);
        json_text(j, "state", tdx_check_state_name(checks[i].state));
        json_text(j, "value", checks[i].value);
        json_text(j, "fix", checks[i].fix);
        json_end_object(j);
        counts[checks[i].state]++;
    }
    json_end_array(j);
    json_number(j, "missing", counts[TDX_CHECK_MISSING]);
    json_number(j, "unknown", counts[TDX_CHECK_UNKNOWN]);
}

void cmd_tdx_check(struct command_call *c)
{
    static struct tdx_check checks[TDX_CHECKS_MAX]; /* too large for a stack; the console's CPU alone comes here */
    const struct boot_info *boot = boot_info();
    char failed[FAILED_AND_BYTES + FAILED_CPUS_SHOW * FAILED_CPU_BYTES];
    struct tdx_check_host host = {
        .secure_boot = boot->secure_boot,
        .memory = boot->map.free.r,
        .memory_count = boot->map.free.count,
        .cpus = cpus_count(),
        .cpus_failed = name_failed(failed, sizeof(failed)),
        .failed_cpus = failed,
    };
    bool has_page = page_alloc(LEVEL_4K, &host.page) == ERR_OK;

    host.page = has_page ? host.page : HPA_NONE;
    unsigned count = tdx_check(&host, checks);
    if (has_page)
        page_free(host.page, LEVEL_4K);
    for (unsigned i = 0; i < count; i++) {
        print("  %-8s %-16s %s\n", tdx_check_state_name(checks[i].state), checks[i].name, checks[i].value);
        if (checks[i].fix[0] != '\0')
            print("           %s\n", checks[i].fix);
    }
    answer_checks(reply_ok(c), checks, count);
}

void status_help(struct command_call *c, const char *word)
{
    tdx_status_t status;
    char details[DETAILS_BYTES];

    if (word == NULL || !tdx_status_find(word, &status)) {
        reply_fail(
            c,
            "'%s' is no completion status: a name such as TDX_OPERAND_BUSY is, or a number such as 0x8000020000000092",
            word != NULL ? word : "");
        return;
    }
    enum tdx_verdict verdict = tdx_verdict(status);
    details[0] = '\0';
    if (word[0] == '0') /* a name comes without */
        tdx_details_text(status, details, sizeof(details));
    print("%s, 0x%llx\n", tdx_status_name(status), (unsigned long long)status.raw);
    print("    class    0x%x, %s\n", (unsigned)(status.raw >> 40 & 0xff), tdx_class_text(status));
    print("    verdict  %s: Septum %s\n", tdx_verdict_name(verdict), tdx_verdict_text(verdict));
    if (details[0] != '\0')
        print("    details  %s\n", details);
    if (tdx_hint(status)[0] != '\0')
        print("    %s\n", tdx_hint(status));
    struct json *j = reply_ok(c);
    json_text(j, "name", tdx_status_name(status));
    json_hex(j, "status", status.raw);
    json_text(j, "class", tdx_class_text(status));
    json_text(j, "verdict", tdx_verdict_name(verdict));
    json_text(j, "details", details);
    json_text(j, "hint", tdx_hint(status));
}
