/*
 * Bringing the TDX module up: VMXON, SYS.INIT, LP.INIT, what the module says of itself, TDMRs and PAMTs, SYS.CONFIG,
 * KEY.CONFIG, TDMR.INIT. TDX Module Base Architecture Specification, "Intel TDX module initialization".
 *
 * It is a list of steps done in order. A step that fails leaves the earlier ones done, and the next tdx_module_init()
 * goes on with it. The module is never shut down.
 */
#include "tdx/module.h"

#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/string.h"
#include "tdx/abi_field.h"
#include "tdx/abi_leaf.h"
#include "tdx/count.h"
#include "tdx/hw/seamcall.h"
#include "tdx/module_internal.h"
#include "tdx/retry.h"
#include "tdx/seamldr.h"
#include "tdx/td.h"

#define TDMR_BYTES_MAX (16 * GIB) /* a CPU's share: larger ones would be one CPU's work while others wait */

struct tdx_module tdx_module;

/* What one call of tdx_module_init() works with. */
struct setup {
    const struct phys_range *memory;
    unsigned memory_count;
    u64 limit_bytes;
    hpa_t (*take)(u64 bytes, u64 align);
};

static struct tdmr_layout layout;
static hpa_t scratch = {~0ull};

static const struct tdx_init_fault fine = {.err = ERR_OK};

struct tdx_init_fault tdx_init_failed(enum err err, const char *what)
{
    return (struct tdx_init_fault){.err = err, .what = what};
}

struct tdx_init_fault tdx_init_refused(enum tdx_leaf leaf, tdx_status_t status, const char *what)
{
    enum err err = tdx_verdict(status) == TDX_REPEAT ? ERR_BUSY : ERR_TDX;
    return (struct tdx_init_fault){
        .err = err, .what = what, .leaf = tdx_leaf_name(leaf), .status = status, .cpu = cpu_index()};
}

static struct tdx_init_fault refused_start(enum tdx_leaf leaf, struct tdx_start_answer a, const char *what)
{
    struct tdx_init_fault f = tdx_init_refused(leaf, a.status, what);
    f.cpuid = a.cpuid;
    return f;
}

/* --- every CPU --------------------------------------------------------------------------------------------------- */

static const struct tdx_cpus *cpus; /* NULL: there is one */

void tdx_set_cpus(const struct tdx_cpus *all)
{
    cpus = all;
}

enum err tdx_on_each_cpu(void (*work)(void *arg), void *arg)
{
    if (cpus)
        return cpus->each(work, arg);
    work(arg);
    return ERR_OK;
}

enum err tdx_on_cpus_in_turn(void (*work)(void *arg), void *arg)
{
    if (!cpus) {
        work(arg);
        return ERR_OK;
    }
    for (unsigned cpu = 0; cpu < cpus->count(); cpu++) {
        enum err e = cpus->one(cpu, work, arg);
        if (e != ERR_OK && e != ERR_NOT_FOUND)
            return e;
    }
    return ERR_OK;
}

/* Has a CPU of the same package been called? */
static bool is_done_for(unsigned cpu, const bool *called)
{
    for (unsigned i = 0; i < cpu; i++)
        if (called[i] && cpus->package(i) == cpus->package(cpu))
            return true;
    return false;
}

enum err tdx_on_each_package(void (*work)(void *arg), void *arg)
{
    bool called[CPU_COUNT_MAX] = {false};
    if (!cpus) {
        work(arg);
        return ERR_OK;
    }
    for (unsigned cpu = 0; cpu < cpus->count(); cpu++) {
        enum err e = is_done_for(cpu, called) ? ERR_NOT_FOUND : cpus->one(cpu, work, arg);
        called[cpu] = e == ERR_OK;
        if (e != ERR_OK && e != ERR_NOT_FOUND)
            return e;
    }
    return ERR_OK;
}

u32 tdx_package_of(unsigned cpu)
{
    return cpus ? cpus->package(cpu) : 0;
}

enum err tdx_on_cpu(unsigned cpu, void (*work)(void *arg), void *arg)
{
    return cpus ? cpus->one(cpu, work, arg) : ERR_NOT_FOUND;
}

static void share(void (*work)(void *arg), void *arg)
{
    if (cpus)
        cpus->share(work, arg);
    else
        work(arg);
}

bool tdx_keep_fault(struct tdx_cpu_work *w, struct tdx_init_fault fault)
{
    fault.cpu = cpu_index();
    spin_lock(&w->lock);
    bool is_first = w->fault.err == ERR_OK;
    if (is_first)
        w->fault = fault;
    spin_unlock(&w->lock);
    return is_first;
}

/* `on` says which. */
static struct tdx_init_fault on_cpus(enum err (*on)(void (*work)(void *arg), void *arg), void (*work)(void *arg),
                                     struct tdx_cpu_work *w)
{
    enum err e = on(work, w);
    return e == ERR_OK || w->fault.err != ERR_OK ? w->fault : tdx_init_failed(e, "a CPU does not answer");
}

static struct tdx_init_fault on_each_cpu(void (*work)(void *arg), struct tdx_cpu_work *w)
{
    return on_cpus(tdx_on_each_cpu, work, w);
}

/* --- VMX operation ----------------------------------------------------------------------------------------------- */

/* The first CPU's VMXON region is there before any allocator; the others take theirs. */
static _Alignas(PAGE_BYTES) u8 first_region[PAGE_BYTES];
static void *regions[CPU_COUNT_MAX];
static bool vmx_is_on[CPU_COUNT_MAX];

bool tdx_module_vmx_is_on(void)
{
    return vmx_is_on[cpu_index()];
}

static bool vmx_on_with(void *region)
{
    vmx_is_on[cpu_index()] = seam_vmxon(region);
    return vmx_is_on[cpu_index()];
}

bool tdx_module_vmx_on(void)
{
    void *region = regions[cpu_index()];
    return vmx_on_with(region ? region : first_region);
}

void tdx_module_vmx_off(void)
{
    seam_vmxoff();
    vmx_is_on[cpu_index()] = false;
}

static void vmxon_here(void *arg)
{
    struct tdx_cpu_work *w = arg;
    unsigned cpu = cpu_index();
    if (!vmx_is_on[cpu] && !vmx_on_with(regions[cpu]))
        tdx_keep_fault(w, tdx_init_failed(ERR_PLATFORM, "VMXON fails on a CPU"));
}

static struct tdx_init_fault step_vmxon(const struct setup *s)
{
    struct tdx_cpu_work w = {.fault = fine};
    regions[0] = first_region;
    for (unsigned cpu = 1; cpus && cpu < cpus->count(); cpu++) {
        hpa_t page = regions[cpu] ? HPA_NONE : s->take(PAGE_BYTES, PAGE_BYTES);
        if (!regions[cpu] && hpa_is(page, HPA_NONE))
            return tdx_init_failed(ERR_NO_MEMORY, "no memory for a VMXON region");
        if (!regions[cpu])
            regions[cpu] = phys_ptr(page);
    }
    return on_each_cpu(vmxon_here, &w);
}

/* --- steps ------------------------------------------------------------------------------------------------------- */

static struct tdx_init_fault step_detect(const struct setup *s)
{
    const char *missing;
    if (tdx_detect(&missing) != ERR_OK)
        return tdx_init_failed(ERR_PLATFORM, missing);
    scratch = s->take(TDX_SCRATCH_BYTES, PAGE_BYTES);
    return hpa_is(scratch, HPA_NONE)
               ? tdx_init_failed(ERR_NO_MEMORY, "no memory for the structures that the module reads")
               : fine;
}

static struct tdx_init_fault step_load(const struct setup *s)
{
    return tdx_seamldr_load();
}

void *tdx_module_scratch(void)
{
    return hpa_is(scratch, HPA_NONE) ? NULL : phys_ptr(scratch);
}

static struct tdx_init_fault step_sys_init(const struct setup *s)
{
    struct tdx_retry again = tdx_retry(TDH_SYS_INIT, 0);
    struct tdx_start_answer a;
    do
        a = tdh_sys_init();
    while (tdx_again(&again, a.status));
    if (tdx_is(a.status, TDX_SYS_INIT_NOT_PENDING))
        return tdx_init_refused(TDH_SYS_INIT, a.status,
                                "the module was initialised before this start: reset the machine");
    return tdx_ok(a.status) ? fine : refused_start(TDH_SYS_INIT, a, "the module refuses to start on this platform");
}

static void lp_init_here(void *arg)
{
    struct tdx_retry again = tdx_retry(TDH_SYS_LP_INIT, cpu_index());
    struct tdx_start_answer a;
    do
        a = tdh_sys_lp_init();
    while (tdx_again(&again, a.status));
    if (!tdx_ok(a.status) && !tdx_is(a.status, TDX_SYS_LP_INIT_DONE))
        tdx_keep_fault(arg, refused_start(TDH_SYS_LP_INIT, a, "a logical processor is not taken"));
}

static struct tdx_init_fault step_lp_init(const struct setup *s)
{
    struct tdx_cpu_work w = {.fault = fine};
    return on_each_cpu(lp_init_here, &w);
}

static struct tdx_field_answer ask_field(u64 field)
{
    struct tdx_retry again = tdx_retry(TDH_SYS_RD, field);
    struct tdx_field_answer a;
    do
        a = tdh_sys_rd(field);
    while (tdx_again(&again, a.status));
    return a;
}

static struct tdx_init_fault read_field(u64 field, u64 *value, const char *lack)
{
    struct tdx_field_answer a = ask_field(field);
    *value = a.value;
    return tdx_ok(a.status) ? fine : tdx_init_refused(TDH_SYS_RD, a.status, lack);
}

static void take_over(const u64 *v)
{
    struct tdx_module *m = &tdx_module;
    m->major = (u16)v[0];
    m->minor = (u16)v[1];
    m->update = (u16)v[2];
    m->build_num = (u32)v[3];
    m->build_date = (u32)v[4];
    m->features0 = v[5];
    m->attributes_may = v[6];
    m->attributes_must = v[7];
    m->xfam_may = v[8];
    m->xfam_must = v[9];
    m->tdcs_pages = (unsigned)(v[10] >> PAGE_SHIFT);
    m->tdvps_pages = (unsigned)(v[11] >> PAGE_SHIFT);
    for (unsigned level = 0; level < ARRAY_COUNT(m->pamt_entry_bytes); level++)
        m->pamt_entry_bytes[level] = (unsigned)v[12 + level];
    m->reserved_per_tdmr = (unsigned)v[15];
    m->tdmrs_max = (unsigned)v[16];
}

#define LACKS(name) "the module lacks the metadata field " name ", which Septum cannot do without"

/* In the order of take_over(). Modules of other generations have more fields, and may lack some: those that only tell of
 * an offer count as 0 then. */
/* clang-format off */
#define NEEDS(field, name) {field, LACKS(name)}
#define TAKES(field)       {field, NULL}
/* clang-format on */
static const struct {
    u64 id;
    const char *lack; /* NULL: it may be missing */
} fields[] = {
    NEEDS(FIELD_SYS_MAJOR_VERSION, "MAJOR_VERSION"),
    NEEDS(FIELD_SYS_MINOR_VERSION, "MINOR_VERSION"),
    TAKES(FIELD_SYS_UPDATE_VERSION),
    TAKES(FIELD_SYS_BUILD_NUM),
    TAKES(FIELD_SYS_BUILD_DATE),
    TAKES(FIELD_SYS_TDX_FEATURES0),
    NEEDS(FIELD_SYS_ATTRIBUTES_FIXED0, "ATTRIBUTES_FIXED0"),
    NEEDS(FIELD_SYS_ATTRIBUTES_FIXED1, "ATTRIBUTES_FIXED1"),
    NEEDS(FIELD_SYS_XFAM_FIXED0, "XFAM_FIXED0"),
    NEEDS(FIELD_SYS_XFAM_FIXED1, "XFAM_FIXED1"),
    NEEDS(FIELD_SYS_TDCS_BASE_BYTES, "TDCS_BASE_SIZE"),
    NEEDS(FIELD_SYS_TDVPS_BASE_BYTES, "TDVPS_BASE_SIZE"),
    NEEDS(FIELD_SYS_PAMT_ENTRY_BYTES(0), "PAMT_4K_ENTRY_SIZE"),
    NEEDS(FIELD_SYS_PAMT_ENTRY_BYTES(1), "PAMT_2M_ENTRY_SIZE"),
    NEEDS(FIELD_SYS_PAMT_ENTRY_BYTES(2), "PAMT_1G_ENTRY_SIZE"),
    NEEDS(FIELD_SYS_MAX_RESERVED_PER_TDMR, "MAX_RESERVED_PER_TDMR"),
    NEEDS(FIELD_SYS_MAX_TDMRS, "MAX_TDMRS"),
};
#undef NEEDS
#undef TAKES

static struct tdx_init_fault take_field(unsigned i, u64 *value)
{
    struct tdx_field_answer a = ask_field(fields[i].id);
    *value = a.value;
    if (tdx_ok(a.status))
        return fine;
    if (tdx_module_is_too_old(a.status))
        return tdx_init_refused(TDH_SYS_RD, a.status, TDX_MODULE_TOO_OLD);
    if (!tdx_is(a.status, TDX_METADATA_FIELD_ID_INCORRECT))
        return tdx_init_refused(TDH_SYS_RD, a.status, "the module does not tell what it offers");
    *value = 0;
    return fields[i].lack ? tdx_init_refused(TDH_SYS_RD, a.status, fields[i].lack) : fine;
}

static struct tdx_init_fault check_control_pages(void)
{
    static char what[128];
    if (tdx_module.tdcs_pages <= TD_TDCX_PAGES_MAX && tdx_module.tdvps_pages <= VCPU_TDCX_PAGES_MAX + 1)
        return fine;
    format_to(what, sizeof(what),
              "this module wants %u control pages for a TD and %u for a vCPU; at most %u and %u are provided for",
              tdx_module.tdcs_pages, tdx_module.tdvps_pages, TD_TDCX_PAGES_MAX, VCPU_TDCX_PAGES_MAX + 1);
    return tdx_init_failed(ERR_UNSUPPORTED, what);
}

static struct tdx_init_fault step_read_fields(const struct setup *s)
{
    u64 values[ARRAY_COUNT(fields)];
    for (unsigned i = 0; i < ARRAY_COUNT(fields); i++) {
        struct tdx_init_fault f = take_field(i, &values[i]);
        if (f.err != ERR_OK)
            return f;
    }
    take_over(values);
    log_msg(LOG_INFO, "TDX module %u.%u.%02u, build %u of %u", tdx_module.major, tdx_module.minor, tdx_module.update,
            tdx_module.build_num, tdx_module.build_date);
    return check_control_pages();
}

/* Slots that a module does not use read as zero. */
static struct tdx_init_fault step_read_cmrs(const struct setup *s)
{
    u64 slots;
    struct tdx_init_fault f = read_field(FIELD_SYS_NUM_CMRS, &slots, LACKS("NUM_CMRS"));
    tdx_module.cmr_count = 0;
    for (u64 i = 0; f.err == ERR_OK && i < slots && tdx_module.cmr_count < TDX_CMRS_MAX; i++) {
        struct phys_range *cmr = &tdx_module.cmrs[tdx_module.cmr_count];
        f = read_field(FIELD_SYS_CMR_BASE(i), &cmr->base.raw, LACKS("CMR_BASE"));
        if (f.err == ERR_OK)
            f = read_field(FIELD_SYS_CMR_BYTES(i), &cmr->bytes, LACKS("CMR_SIZE"));
        if (f.err == ERR_OK && cmr->bytes)
            tdx_module.cmr_count++;
    }
    if (f.err == ERR_OK && tdx_module.cmr_count == 0)
        return tdx_init_failed(ERR_PLATFORM, "the firmware reports no convertible memory");
    return f;
}

const struct tdmr_layout *tdx_module_layout(void)
{
    return &layout;
}

static const struct tdx_numa *numa; /* NULL: one node */

void tdx_set_numa(const struct tdx_numa *nodes)
{
    numa = nodes;
}

static void (*left_out)(hpa_t base, u64 bytes); /* NULL: nobody wants to know */

void tdx_set_left_out(void (*out)(hpa_t base, u64 bytes))
{
    left_out = out;
}

static struct tdmr_limits limits_of_module(void)
{
    struct tdmr_limits l = {
        .tdmrs_max = tdx_module.tdmrs_max, .reserved_max = tdx_module.reserved_per_tdmr, .numa = numa};
    memcpy(l.pamt_entry_bytes, tdx_module.pamt_entry_bytes, sizeof(l.pamt_entry_bytes));
    return l;
}

static struct tdx_init_fault step_plan_tdmrs(const struct setup *s)
{
    struct tdmr_limits limits = limits_of_module();
    enum err e =
        tdmr_plan(&layout, &limits, s->memory, s->memory_count, tdx_module.cmrs, tdx_module.cmr_count, s->limit_bytes);
    if (e != ERR_OK)
        return tdx_init_failed(e, "no convertible memory can be given to TDs");
    tdmr_split(&layout, limits.tdmrs_max, TDMR_BYTES_MAX);
    if (left_out)
        tdx_each_outside_cmrs(s->memory, s->memory_count, left_out);
    e = tdmr_place_pamts(&layout, &limits, s->take);
    if (e == ERR_RANGE)
        return tdx_init_failed(e, "the PAMTs lie in more pieces than a TDMR has reserved areas");
    if (e != ERR_OK)
        return tdx_init_failed(e, "no contiguous memory for the PAMTs (0.4% of all memory)");
    tdx_module.tdmr_count = layout.count;
    for (unsigned i = 0; i < layout.count; i++)
        tdx_module.tdmrs[i] = (struct phys_range){{layout.tdmrs[i].base}, layout.tdmrs[i].bytes};
    log_msg(LOG_INFO, "TDX memory: %llu MiB in %u TDMRs, PAMTs %llu KiB, %llu KiB left out",
            (unsigned long long)(layout.memory_bytes / MIB), layout.count,
            (unsigned long long)(layout.pamt_bytes / KIB), (unsigned long long)(layout.dropped_bytes / KIB));
    return fine;
}

static void flush_here(void *arg)
{
    cpu_flush_all();
}

/* The list of pointers comes first in the scratch memory, each TDMR_INFO on a line of its own behind it. */
static hpa_t write_tdmr_list(void)
{
    _Static_assert((TDX_TDMRS_MAX + 1) * TDMR_INFO_ALIGN <= TDX_SCRATCH_BYTES, "the list fits");
    u64 *pointers = phys_ptr(scratch);
    memset(pointers, 0, TDX_SCRATCH_BYTES);
    for (unsigned i = 0; i < layout.count; i++) {
        hpa_t at = hpa_add(scratch, (i + 1) * TDMR_INFO_ALIGN);
        memcpy(phys_ptr(at), &layout.tdmrs[i], sizeof(layout.tdmrs[i]));
        pointers[i] = at.raw;
    }
    return scratch;
}

/* No cache may hold a modified line of memory that the module takes with another KeyID: WBINVD everywhere. */
static struct tdx_init_fault step_config(const struct setup *s)
{
    enum err e = tdx_on_each_cpu(flush_here, NULL);
    if (e != ERR_OK)
        return tdx_init_failed(e, "a CPU does not answer");
    hpa_t list = write_tdmr_list();
    struct tdx_retry again = tdx_retry(TDH_SYS_CONFIG, list.raw);
    struct tdx_answer a;
    do
        a = tdh_sys_config(list, layout.count, tdx_module.hkid_first);
    while (tdx_again(&again, a.status));
    if (tdx_ok(a.status))
        return fine;
    if (tdx_is(a.status, TDX_SYS_CONFIG_NOT_PENDING))
        return tdx_init_refused(TDH_SYS_CONFIG, a.status,
                                "a logical processor of this machine has not run TDH.SYS.LP.INIT");
    u32 details = (u32)a.status.raw;
    if (!*tdx_operand_name(a.status))
        log_msg(LOG_ERROR, "TDH.SYS.CONFIG: %s: TDMR %u, PAMT level or reserved area %u, other TDMR %u",
                tdx_status_name(a.status), details & 0xff, details >> 8 & 0xff, details >> 16 & 0xff);
    return tdx_init_refused(TDH_SYS_CONFIG, a.status, "the module refuses the layout of TDX memory");
}

/* Once a package. A machine that does not tell its packages has all CPUs asked: the module says KEY_CONFIGURED where the work is done,
 * and that nothing is pending where it is done everywhere. */
static void key_config_here(void *arg)
{
    struct tdx_cpu_work *w = arg;
    struct tdx_retry again = tdx_retry(TDH_SYS_KEY_CONFIG, cpu_index());
    struct tdx_answer a;
    do
        a = tdh_sys_key_config();
    while (tdx_again(&again, a.status));
    __atomic_fetch_add(&w->done, tdx_is(a.status, TDX_SUCCESS), __ATOMIC_RELAXED);
    if (!tdx_ok(a.status))
        tdx_keep_fault(w, tdx_init_refused(TDH_SYS_KEY_CONFIG, a.status, NULL));
}

/* Judged when all CPUs are through: the one that came last may have found nothing left to do. */
static struct tdx_init_fault step_key_config(const struct setup *s)
{
    static char what[96];
    struct tdx_cpu_work w = {.fault = fine};
    struct tdx_init_fault f = on_cpus(tdx_on_each_package, key_config_here, &w);
    if (w.done && tdx_is(f.status, TDX_SYS_KEY_CONFIG_NOT_PENDING))
        return fine;
    format_to(what, sizeof(what), "the module's own key cannot be set up on package %u (CPU %u)", tdx_package_of(f.cpu),
              f.cpu);
    if (f.leaf)
        f.what = what;
    return f;
}

static struct tdx_init_fault step_tdmr_init(const struct setup *s)
{
    return tdx_tdmrs_init(share);
}

static struct tdx_init_fault (*const steps[])(const struct setup *s) = {
    step_detect,    step_vmxon,      step_load,   step_sys_init,   step_lp_init,   step_read_fields,
    step_read_cmrs, step_plan_tdmrs, step_config, step_key_config, step_tdmr_init,
};
static unsigned steps_done;

struct tdx_init_fault tdx_module_init(const struct phys_range *memory, unsigned memory_count, u64 limit_bytes,
                                      hpa_t (*take)(u64 bytes, u64 align))
{
    const struct setup s = {memory, memory_count, limit_bytes, take};
    if (tdx_module.ready)
        return tdx_init_failed(ERR_STATE, "the TDX module is initialised already");
    for (; steps_done < ARRAY_COUNT(steps); steps_done++) {
        struct tdx_init_fault f = steps[steps_done](&s);
        if (f.err != ERR_OK)
            return f;
    }
    if (left_out)
        tdx_each_left_out(memory, memory_count, left_out);
    tdx_module.ready = true;
    return fine;
}

void tdx_module_forget(void)
{
    tdx_module = (struct tdx_module){0};
    scratch = HPA_NONE;
    steps_done = 0;
    cpus = NULL;
    numa = NULL;
    left_out = NULL;
    memset(regions, 0, sizeof(regions));
    memset(vmx_is_on, 0, sizeof(vmx_is_on));
    tdx_hkids_forget();
    tdx_seamldr_forget();
}
