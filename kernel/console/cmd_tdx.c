/* Commands about the TDX module: tdx init, tdx info, stats. */
#include "kernel/boot_info.h"
#include "kernel/console/cmd.h"
#include "kernel/console/console.h"
#include "kernel/vm/ghci/ghci.h"
#include "kernel/cpus.h"
#include "kernel/time.h"
#include "kernel/vm/fault_text.h"
#include "kernel/print.h"
#include "lib/format.h"
#include "lib/string.h"
#include "mm/page.h"
#include "tdx/abi_field.h"
#include "tdx/count.h"
#include "tdx/explain.h"
#include "tdx/module.h"

#define EXPLANATION_BYTES 400

static hpa_t take_memory(u64 bytes, u64 align)
{
    hpa_t base;
    return page_alloc_range(bytes, align, &base) == ERR_OK ? base : HPA_NONE;
}

static void add_ranges(struct json *j, const char *key, const struct phys_range *ranges, unsigned count)
{
    json_array(j, key);
    for (unsigned i = 0; i < count; i++) {
        json_object(j, NULL);
        json_hex(j, "base", ranges[i].base.raw);
        json_number(j, "bytes", ranges[i].bytes);
        json_end_object(j);
    }
    json_end_array(j);
}

static void print_ranges(const char *what, const struct phys_range *ranges, unsigned count)
{
    char size[PRINT_SIZE_BYTES];

    for (unsigned i = 0; i < count; i++)
        print("  %s 0x%llx, %s\n", what, (unsigned long long)ranges[i].base.raw, print_size(size, ranges[i].bytes));
}

/* What the module may offer and Septum goes by. */
static const struct {
    u64 bit;
    const char *name;
} used_features[] = {
    {FEATURES0_CLFLUSH_BEFORE_ALLOC, "clflush_before_alloc"},
    {FEATURES0_NON_BLOCKING_RESIZE, "non_blocking_resize"},
    {FEATURES0_ENHANCED_DEMOTE_INTERRUPTIBILITY, "enhanced_demote_interruptibility"},
};

static bool is_used(unsigned i)
{
    return tdx_module.features0 & used_features[i].bit;
}

static void print_features(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(used_features); i++)
        if (is_used(i))
            print("  feature used: %s\n", used_features[i].name);
}

static void add_features(struct json *j)
{
    json_array(j, "features_used");
    for (unsigned i = 0; i < ARRAY_COUNT(used_features); i++)
        if (is_used(i))
            json_text(j, NULL, used_features[i].name);
    json_end_array(j);
}

static void describe_module(struct command_call *c)
{
    const struct tdx_module *m = &tdx_module;
    char version[32];

    format_to(version, sizeof(version), "%u.%u.%02u", m->major, m->minor, m->update);
    print("TDX module %s, build %u of %u, features 0x%llx\n", version, m->build_num, m->build_date,
          (unsigned long long)m->features0);
    print("  %u private KeyIDs, the first is %u; %u address bits, %u of them KeyID\n", m->hkid_count, m->hkid_first.raw,
          m->maxpa, m->keyid_bits);
    print_features();
    print_ranges("CMR ", m->cmrs, m->cmr_count);
    print_ranges("TDMR", m->tdmrs, m->tdmr_count);
    struct json *j = reply_ok(c);
    json_text(j, "module_version", version);
    json_hex(j, "features0", m->features0);
    add_features(j);
    json_number(j, "hkids", m->hkid_count);
    json_number(j, "cmrs", m->cmr_count);
    json_number(j, "tdmrs", m->tdmr_count);
    add_ranges(j, "cmr_list", m->cmrs, m->cmr_count);
    add_ranges(j, "tdmr_list", m->tdmrs, m->tdmr_count);
}

#define FAILED_CPUS_NAMED 3 /* the text has room for them */

/* The module waits for every logical processor that the machine has: one that never came is why it refuses. */
static void name_failed_cpus(struct fault_text *text)
{
    size_t used = strlen(text->text);
    unsigned failed = 0;

    for (unsigned i = 0; i < cpus_count(); i++)
        if (cpus_state(i) == CPU_FAILED && failed++ < FAILED_CPUS_NAMED && used < sizeof(text->text))
            used += format_to(text->text + used, sizeof(text->text) - used, "; CPU %u (APIC id %u) did not start", i,
                              cpus_apic_id(i));
    if (failed > FAILED_CPUS_NAMED && used < sizeof(text->text))
        format_to(text->text + used, sizeof(text->text) - used, "; %u more CPUs of %u did not start",
                  failed - FAILED_CPUS_NAMED, cpus_count());
}

static void fail_init(struct command_call *c, const struct tdx_init_fault *f)
{
    struct td_fault fault = {.err = f->err, .leaf = f->leaf, .status = f->status};
    struct fault_text text;
    char why[EXPLANATION_BYTES];

    if (f->err == ERR_PLATFORM && f->what != NULL) /* it says what the platform lacks */
        format_to(text.text, sizeof(text.text), "%s", f->what);
    else
        (void)fault_td(&text, f->what != NULL ? f->what : "initialising the TDX module", &fault);
    if (f->leaf != NULL || f->err == ERR_PLATFORM)
        name_failed_cpus(&text);
    tdx_explain_init(f, why, sizeof(why));
    reply_fail(c, "%s%s%s", text.text, why[0] != '\0' ? ": " : "", why);
}

/* --- terabytes of it take a while --- */

#define PROGRESS_US 1000000

static struct {
    u64 began_us, told_us;
} progress;

static void show_progress(u64 done, u64 all)
{
    u64 now = time_us();

    if (now - progress.told_us < PROGRESS_US || done == 0)
        return;
    progress.told_us = now;
    u64 left_us = (now - progress.began_us) / (done / MIB + 1) * ((all - done) / MIB);
    print("TDX memory: %llu of %llu MiB initialised, %llu s left (^C stops)\n", (unsigned long long)(done / MIB),
          (unsigned long long)(all / MIB), (unsigned long long)(left_us / 1000000));
}

static void watch_init(void)
{
    static const struct tdx_watch watch = {.progress = show_progress, .stop = console_take_interrupt};

    progress.began_us = progress.told_us = time_us();
    tdx_set_watch(&watch);
}

void cmd_tdx_init(struct command_call *c)
{
    const struct boot_info *boot = boot_info();
    const char *missing = "";

    if (tdx_module.ready) {
        reply_fail(c, "the TDX module is initialised already");
        return;
    }
    if (tdx_detect(&missing) != ERR_OK) {
        reply_fail(c, "this machine is not ready for TDX: %s", missing);
        return;
    }
    watch_init();
    /* The allocator serves TDs and the VMM alike, so what no TD may have leaves it. */
    tdx_set_left_out(page_withdraw);
    struct tdx_init_fault f =
        tdx_module_init(boot->map.free.r, boot->map.free.count, boot->options.tdmem_bytes, take_memory);
    if (f.err != ERR_OK) {
        fail_init(c, &f);
        return;
    }
    describe_module(c);
}

void cmd_tdx_info(struct command_call *c)
{
    if (tdx_module.ready)
        describe_module(c);
    else
        reply_fail(c, "the TDX module is not initialised: `tdx init` comes first");
}

/* --- stats --- */

static void print_count(const char *name, u64 count)
{
    if (count != 0)
        print("  %-36s %llu\n", name, (unsigned long long)count);
}

static const char *exit_name(u32 reason, char *buffer, size_t bytes)
{
    const char *name = vcpu_exit_name(reason);

    if (name != NULL)
        return name;
    format_to(buffer, bytes, "EXIT_%u", reason);
    return buffer;
}

static const char *status_name(u32 code)
{
    return tdx_status_name((tdx_status_t){(u64)code << 32});
}

static void print_stats(void)
{
    char name[16];

    for (unsigned i = 0; i < TDX_LEAF_COUNT_MAX; i++)
        print_count(tdx_leaf_name(i) != NULL ? tdx_leaf_name(i) : "unknown leaf", tdx_counts.leaf[i]);
    for (unsigned i = 0; i < TDX_STATUS_KINDS_MAX; i++)
        print_count(status_name(tdx_counts.status[i].code), tdx_counts.status[i].count);
    for (unsigned i = 0; i < TDX_EXIT_REASON_COUNT_MAX; i++)
        print_count(exit_name(i, name, sizeof(name)), tdx_counts.exits[i]);
    for (unsigned i = 0; ghci_count(i).name != NULL; i++)
        print_count(ghci_count(i).name, ghci_count(i).count);
    print("%llu SEAMCALLs, %llu retries, %llu rounds of kicks, %llu IPIs\n", (unsigned long long)tdx_counts_seamcalls(),
          (unsigned long long)tdx_counts.retries, (unsigned long long)tdx_counts.kicks,
          (unsigned long long)tdx_counts.ipis);
}

static void answer_stats(struct json *j)
{
    char name[16];

    json_object(j, "seamcalls");
    for (unsigned i = 0; i < TDX_LEAF_COUNT_MAX; i++)
        if (tdx_counts.leaf[i] != 0)
            json_number(j, tdx_leaf_name(i) != NULL ? tdx_leaf_name(i) : "unknown", tdx_counts.leaf[i]);
    json_end_object(j);
    json_object(j, "statuses");
    for (unsigned i = 0; i < TDX_STATUS_KINDS_MAX; i++)
        if (tdx_counts.status[i].count != 0)
            json_number(j, status_name(tdx_counts.status[i].code), tdx_counts.status[i].count);
    json_end_object(j);
    json_object(j, "exits");
    for (unsigned i = 0; i < TDX_EXIT_REASON_COUNT_MAX; i++)
        if (tdx_counts.exits[i] != 0)
            json_number(j, exit_name(i, name, sizeof(name)), tdx_counts.exits[i]);
    json_end_object(j);
    json_object(j, "vmcalls");
    for (unsigned i = 0; ghci_count(i).name != NULL; i++)
        if (ghci_count(i).count != 0)
            json_number(j, ghci_count(i).name, ghci_count(i).count);
    json_end_object(j);
    json_number(j, "ipis", tdx_counts.ipis);
    json_number(j, "kicks", tdx_counts.kicks);
    json_number(j, "retries", tdx_counts.retries);
    json_number(j, "flushed_bytes", tdx_counts.flushed_bytes);
}

void cmd_stats(struct command_call *c)
{
    const char *word = arg_word(c, 0);

    if (word != NULL && strcmp(word, "reset") != 0) {
        reply_fail(c, "'%s': only `reset` may follow", word);
        return;
    }
    print_stats();
    answer_stats(reply_ok(c));
    if (word == NULL)
        return;
    tdx_counts_reset();
    ghci_counts_reset();
}
