/* P-SEAMLDR: see seamldr.h. */
#include "tdx/seamldr.h"

#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/string.h"
#include "tdx/count.h"
#include "tdx/hw/seamcall.h"
#include "tdx/module_internal.h"

/* One CPU at a time can be in P-SEAMLDR: SEAMCALL of another fails, as it does where there is no P-SEAMLDR. */
#define BUSY_TRIES  256u
#define BUSY_PAUSES 1000u
#define ROUNDS      8u /* over all CPUs, where one asks for another try */

static struct seamldr_files offered;
static struct seamldr_info info; /* as P-SEAMLDR said it last */

static const struct status_row {
    u64 status;
    const char *name;
    bool again;
    const char *words;
} rows[] = {
#define X(status, name, again, words) {status, #name, again, words},
    SEAMLDR_STATUS_LIST(X)
#undef X
};

enum {
#define X(status, name, again, words) ROW_##name,
    SEAMLDR_STATUS_LIST(X)
#undef X
};

static const struct status_row *row_of(u64 status)
{
    static const struct status_row unknown = {.name = "unknown status", .words = "this Septum does not know it"};
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
        if (rows[i].status == status)
            return &rows[i];
    return &unknown;
}

static hpa_t params_page(void)
{
    return offered.exchange;
}

static hpa_t info_page(void)
{
    return hpa_add(offered.exchange, PAGE_BYTES);
}

/* None of the calls that the VMM counts as its work. Looks are not counted as retries either: where there is no P-SEAMLDR each try
 * fails as if another CPU were in it. */
static enum seamcall_fault call(u64 leaf, hpa_t operand, u64 *status)
{
    struct seamcall_regs r;
    enum seamcall_fault fault = SEAMCALL_VMFAILED;
    for (unsigned i = 0; i < BUSY_TRIES && fault == SEAMCALL_VMFAILED; i++) {
        if (i && leaf == SEAMLDR_INSTALL)
            tdx_count_retry();
        for (unsigned pause = 0; i && pause < BUSY_PAUSES; pause++)
            cpu_relax();
        r = (struct seamcall_regs){.rax = leaf, .rcx = operand.raw};
        fault = seamcall(&r);
    }
    *status = r.rax;
    return fault;
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static const char *judge(const struct seamldr_files *f)
{
    if (!f->image_bytes || !is_aligned(f->image_bytes, PAGE_BYTES))
        return "the module's file is not made of whole 4K pages, as Intel's are: it is cut off, or something else";
    if (f->image_bytes > SEAMLDR_IMAGE_PAGES_MAX * PAGE_BYTES)
        return "the module's file has more than 496 pages of 4K, which is all that P-SEAMLDR takes";
    if (f->sigstruct_bytes < SEAMLDR_SIGSTRUCT_BYTES_MIN)
        return "the module's sigstruct is shorter than 2048 bytes: it is cut off, or something else";
    if (f->sigstruct_bytes > SEAMLDR_SIGSTRUCT_PAGES_MAX * PAGE_BYTES)
        return "the module's sigstruct has more than 4 pages of 4K, which is all that P-SEAMLDR takes";
    return NULL;
}

const char *tdx_seamldr_offer(const struct seamldr_files *files)
{
    const char *wrong = judge(files);
    if (!wrong)
        offered = *files;
    return wrong;
}

void tdx_seamldr_forget(void)
{
    offered = (struct seamldr_files){0};
}

void tdx_seamldr_fill(struct seamldr_params *p, const struct seamldr_files *files)
{
    memset(p, 0, sizeof(*p));
    p->version = files->sigstruct_bytes > PAGE_BYTES;
    p->scenario = SEAMLDR_SCENARIO_LOAD;
    for (u64 at = 0; at < files->sigstruct_bytes; at += PAGE_BYTES)
        p->sigstruct_pages[at / PAGE_BYTES] = files->sigstruct.raw + at;
    p->image_page_count = files->image_bytes / PAGE_BYTES;
    for (u64 i = 0; i < p->image_page_count; i++)
        p->image_pages[i] = files->image.raw + i * PAGE_BYTES;
}

enum seamcall_fault tdx_seamldr_info(hpa_t page, struct seamldr_info *to, u64 *status)
{
    enum seamcall_fault fault = call(SEAMLDR_INFO, page, status);
    memcpy(to, phys_ptr(page), sizeof(*to));
    return fault;
}

static enum seamcall_fault read_info(u64 *status)
{
    return tdx_seamldr_info(info_page(), &info, status);
}

bool tdx_seamldr_is_ready(void)
{
    u64 status;
    return offered.image_bytes && read_info(&status) == SEAMCALL_RAN && !status;
}

/* --- installation -------------------------------------------------------------------------------------------------- */

static struct tdx_init_fault refused(const char *leaf, const struct status_row *row, u64 status)
{
    static char text[240]; /* one at a time: the CPUs take turns */
    format_to(text, sizeof(text), "%s on CPU %u: %s, 0x%llx: %s", leaf, cpu_index(), row->name,
              (unsigned long long)status, row->words);
    return (struct tdx_init_fault){.err = row->again ? ERR_BUSY : ERR_PLATFORM, .what = text, .cpu = cpu_index()};
}

static struct tdx_init_fault fell(const char *what)
{
    return (struct tdx_init_fault){.err = ERR_PLATFORM, .what = what, .cpu = cpu_index()};
}

/* One round: the first answer that ends it, what a CPU wants another round for, and on how many the call was taken. */
struct round {
    struct tdx_init_fault fault, again;
    unsigned taken;
};

static struct tdx_init_fault look(void)
{
    u64 status;
    if (read_info(&status) != SEAMCALL_RAN)
        return fell("SEAMLDR.INFO: P-SEAMLDR stays busy, or is no longer there");
    return status ? refused("SEAMLDR.INFO", row_of(status), status) : (struct tdx_init_fault){.err = ERR_OK};
}

/*
 * P-SEAMLDR keeps a call of each CPU, whoever made it, and installs at the last one, by that one's parameters. So a CPU that has
 * called already is no fault: an installation that was begun can only be finished. The call behind the last one would begin anew
 * and close the module that is there, hence the look after each. Where the answer asks for another try P-SEAMLDR has kept the
 * CPU's call or, on the last one, has forgotten those of all: then all CPUs call once more.
 */
static void install_here(void *arg)
{
    struct round *r = arg;
    u64 status;
    if (r->fault.err != ERR_OK || info.seam_ready)
        return;
    if (call(SEAMLDR_INSTALL, params_page(), &status) != SEAMCALL_RAN) {
        r->fault = fell("SEAMLDR.INSTALL: P-SEAMLDR stays busy, or is no longer there");
        return;
    }
    const struct status_row *row = row_of(status);
    if (!status) {
        r->taken++;
        r->fault = look();
    } else if (row->again) {
        r->again = refused("SEAMLDR.INSTALL", row, status);
    } else if (row != &rows[ROW_EBADCALL]) {
        r->fault = refused("SEAMLDR.INSTALL", row, status);
    }
}

static struct tdx_init_fault run_round(struct round *r)
{
    *r = (struct round){.fault = {.err = ERR_OK}};
    enum err e = tdx_on_cpus_in_turn(install_here, r);
    if (r->fault.err != ERR_OK || info.seam_ready || e == ERR_OK)
        return r->fault;
    return (struct tdx_init_fault){.err = e, .what = "SEAMLDR.INSTALL: a CPU does not answer"};
}

static struct tdx_init_fault install(void)
{
    struct round r;
    log_msg(LOG_INFO, "P-SEAMLDR %u.%u.%02u, build %u of %u, installs a module of %llu KiB", info.major, info.minor,
            info.update, info.build_num, info.build_date, (unsigned long long)(offered.image_bytes / KIB));
    tdx_seamldr_fill(phys_ptr(params_page()), &offered);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct tdx_init_fault f = run_round(&r);
        if (f.err != ERR_OK || info.seam_ready)
            return f;
        if (r.again.err != ERR_OK)
            continue;
        return fell(r.taken ? "SEAMLDR.INSTALL: done on all CPUs that Septum runs, and P-SEAMLDR waits for more"
                            : "SEAMLDR.INSTALL: EBADCALL (0x8000000000000003) on each CPU: P-SEAMLDR has their calls "
                              "and waits for CPUs that Septum does not run, or it shuts down: reset the machine");
    }
    return r.again;
}

struct tdx_init_fault tdx_seamldr_load(void)
{
    if (!offered.image_bytes)
        return (struct tdx_init_fault){.err = ERR_OK};
    if (!tdx_seamldr_is_ready())
        return fell("a module is to be installed, and there is no P-SEAMLDR that could");
    if (!info.seam_ready)
        return install();
    log_msg(LOG_WARN, "the firmware has loaded a TDX module: the one that module= names is not installed");
    return (struct tdx_init_fault){.err = ERR_OK};
}
