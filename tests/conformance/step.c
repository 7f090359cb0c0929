/*
 * One event of a record, fed to the module: a SEAMCALL of the VMM, a TDCALL of the TD, another VM exit of the TD. The
 * runner plays the CPU: it keeps the guest's RIP, delivers what the module injects, and says which mode the TD runs in.
 */
#include "tests/conformance/conformance.h"

#include <stdlib.h>
#include <string.h>

#define EXIT_REASON_INTERRUPT 1
#define EXIT_REASON_TDCALL    77
#define TDG_VP_VEINFO_GET     3
#define TDG_MEM_PAGE_ACCEPT   6
#define RIP_STEP              200 /* how far the recorded guest gets from entry to exit, unless the record says else */
#define RETRIES_MAX           20000
#define EFER_LONG             0x500 /* LME and LMA */
#define CS_LONG               (1u << 13)
#define CR0_PG                (1ull << 31)

static void entered(struct conf *c, unsigned lp)
{
    c->lps[lp].td = platform_host_lps[lp].td;
    c->lps[lp].entry_rip = c->lps[lp].td ? c->lps[lp].td->rip : 0;
}

enum seam_next conf_seamcall(struct conf *c, unsigned lp, u64 rax, const u64 regs[SEAM_GPRS])
{
    struct seam_lp *s = &platform_host_lps[lp];
    memcpy(s->vmm, regs, sizeof(s->vmm));
    s->vmm[RAX] = rax;
    enum seam_next next = module_seamcall(s);
    if (next == SEAM_TO_TD)
        entered(c, lp);
    return next;
}

void conf_guest_mode(struct conf *c, struct td_vmcs *td)
{
    td->cs.access = c->long_mode ? td->cs.access | CS_LONG : td->cs.access & ~CS_LONG;
    td->efer |= EFER_LONG;
    td->cr0 |= CR0_PG;
    td->ss.access = (td->ss.access & ~0x60u) | c->cpl << 5;
}

enum seam_next conf_td_exit(struct conf *c, unsigned lp, u64 rip_moved)
{
    struct seam_lp *s = &platform_host_lps[lp];
    struct td_vmcs *td = c->lps[lp].td;
    td->rip = c->lps[lp].entry_rip + rip_moved;
    td->entry_intr_info = 0;
    conf_guest_mode(c, td);
    s->td = td;
    enum seam_next next = module_td_exit(s);
    if (next == SEAM_TO_TD)
        entered(c, lp);
    else
        c->lps[lp].td = NULL;
    return next;
}

/* --- what the module injects into the next entry --- */

static u32 injection_of(const char *text, u32 *error)
{
    static const struct {
        const char *name;
        u32 info;
    } events[] = {{"#VE", 0x80000314}, {"#UD", 0x80000306}, {"#GP", 0x80000b0d}, {"#DF", 0x80000b08},
                  {"#PF", 0x80000b0e}, {"NMI", 0x80000202}, {"#DB", 0x80000301}};
    const char *code = strstr(text, "error ");
    *error = code ? (u32)strtoul(code + 6, NULL, 16) : 0;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (strncmp(text, events[i].name, strlen(events[i].name)) == 0)
            return events[i].info;
    const char *vector = strstr(text, "vector ");
    return vector ? 0x80000000 | (u32)strtoul(vector + 7, NULL, 0) : 0;
}

static void compare_injection(struct conf_diff *d, struct td_vmcs *td, const json_t *call)
{
    const char *text = json_string_value(json_object_get(call, "inject"));
    u32 error = 0, want = text ? injection_of(text, &error) : 0;
    u32 is = td->entry_intr_info & 0x80000000 ? td->entry_intr_info : 0;
    if (is != want)
        conf_differ(d, "inject %s (%x)/%x", text ? text : "nothing", want, is);
    else if ((want & 0x800) && td->entry_error_code != error)
        conf_differ(d, "error code %x/%x", error, td->entry_error_code);
    td->entry_intr_info = 0;
}

/* --- SEAMCALL --- */

static const char *status_text(const json_t *call, const char *key)
{
    const char *text = json_string_value(json_object_get(call, key));
    return text ? text : "";
}

/* A whole answer of the VMM's side: RAX and the registers. */
static void compare_answer(struct conf_diff *d, unsigned lp, const u64 before[SEAM_GPRS], const char *rax,
                           const json_t *out)
{
    const u64 *after = platform_host_lps[lp].vmm;
    u64 want = strtoull(rax, NULL, 16);
    if (after[RAX] != want)
        conf_differ(d, "status %016llx/%016llx", (unsigned long long)want, (unsigned long long)after[RAX]);
    conf_compare(d, before, after, out);
}

static void compare_seamcall(struct conf *c, struct conf_diff *d, const json_t *call, const json_t *out,
                             const u64 before[SEAM_GPRS], enum seam_next next, const char *status)
{
    unsigned lp = (unsigned)conf_number(json_object_get(call, "lp"));
    if (json_object_get(call, "td_regs") || json_object_get(call, "entered")) {
        if (next != SEAM_TO_TD) {
            conf_differ(d, "enters the TD/status %016llx", (unsigned long long)platform_host_lps[lp].vmm[RAX]);
            return;
        }
        if (json_object_get(call, "td_regs"))
            conf_compare_nonzero(d, c->lps[lp].td->gpr, json_object_get(call, "td_regs"));
        compare_injection(d, c->lps[lp].td, call);
        return;
    }
    if (next == SEAM_TO_TD) {
        conf_differ(d, "status %s/enters the TD", status);
        return;
    }
    compare_answer(d, lp, before, status, out);
}

/* "R8 by index (hex, those not listed 0): 0=12, 3..5=45" in the note of a fold; false when the note lists none. */
static bool listed_r8(const char *note, unsigned index, u64 *value)
{
    const char *at = note ? strstr(note, "R8 by index") : NULL;
    at = at ? strchr(at, ':') : NULL;
    if (!at)
        return false;
    *value = 0;
    for (at++; *at;) {
        while (*at == ' ' || *at == ',')
            at++;
        char *end;
        unsigned long i = strtoul(at, &end, 10), last = i;
        if (strncmp(end, "..", 2) == 0)
            last = strtoul(end + 2, &end, 10);
        if (end == at || *end != '=')
            break;
        u64 v = strtoull(end + 1, &end, 16);
        if (index >= i && index <= last)
            *value = v;
        at = end;
    }
    return true;
}

struct fold {
    unsigned n;
    const json_t *step, *last_out;
    const char *status, *last_status;
    bool until;
};

static struct fold fold_of(const json_t *call)
{
    const json_t *repeat = json_object_get(call, "repeat");
    const json_t *until = json_object_get(call, "repeat_until");
    struct fold f = {.n = 1, .status = status_text(call, "status")};
    f.last_status = f.status;
    if (repeat) {
        f.n = (unsigned)conf_number(json_object_get(repeat, "n"));
        f.step = json_object_get(repeat, "step");
        f.last_out = json_object_get(call, "last_out");
        if (json_object_get(repeat, "all_status"))
            f.last_status = f.status = status_text(repeat, "all_status");
    } else if (until) {
        f.n = (unsigned)conf_number(json_object_get(until, "n"));
        f.last_out = json_object_get(until, "last_out");
        f.until = true;
        if (json_object_get(until, "last_status"))
            f.last_status = status_text(until, "last_status");
    }
    return f;
}

static void step_registers(u64 regs[SEAM_GPRS], const json_t *step)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)step, name, value)
    {
        int n = conf_reg_number(name);
        if (n >= 0)
            regs[n] += conf_number(value);
    }
}

/* What is compared in call number k of a fold: the first and the last one in full, the ones between by status. */
static void compare_folded(struct conf *c, struct conf_diff *d, const json_t *call, const struct fold *f, unsigned k,
                           const u64 regs[SEAM_GPRS], enum seam_next next)
{
    unsigned lp = (unsigned)conf_number(json_object_get(call, "lp"));
    u64 r8, is = platform_host_lps[lp].vmm[RAX], want = strtoull(f->status, NULL, 16);
    if (k == 0)
        compare_seamcall(c, d, call, json_object_get(call, "out"), regs, next, f->status);
    else if (k + 1 == f->n && f->last_out)
        compare_seamcall(c, d, call, f->last_out, regs, next, f->last_status);
    else if (next == SEAM_TO_TD || is != want)
        conf_differ(d, "call %u of the fold: status %s/%016llx", k, f->status, (unsigned long long)is);
    if (listed_r8(json_string_value(json_object_get(call, "note")), k, &r8) && platform_host_lps[lp].vmm[R8] != r8)
        conf_differ(d, "R8[%u] %llx/%llx", k, (unsigned long long)r8,
                    (unsigned long long)platform_host_lps[lp].vmm[R8]);
}

static u64 rax_of(const json_t *call)
{
    const json_t *raw = json_object_get(call, "raw_rax");
    if (raw)
        return conf_number(raw);
    return conf_number(json_object_get(call, "num")) | conf_number(json_object_get(call, "ver")) << 16;
}

void conf_step_seamcall(struct conf *c, struct conf_diff *d, const json_t *call)
{
    unsigned lp = (unsigned)conf_number(json_object_get(call, "lp"));
    struct fold f = fold_of(call);
    u64 regs[SEAM_GPRS];
    conf_poison(regs);
    conf_set_regs(regs, json_object_get(call, "in"));
    for (unsigned k = 0; k < f.n; k++) {
        if (c->lps[lp].td) {
            conf_differ(d, "the VMM runs on LP%u/the TD does", lp);
            c->lps[lp].td = NULL;
        }
        enum seam_next next = conf_seamcall(c, lp, rax_of(call), regs);
        if (!d->text[0])
            compare_folded(c, d, call, &f, k, regs, next);
        if (next == SEAM_TO_TD)
            break;
        step_registers(regs, f.step);
    }
}

/* --- the TD leaves --- */

static bool td_is_inside(struct conf *c, struct conf_diff *d, unsigned lp)
{
    if (c->lps[lp].td)
        return true;
    conf_differ(d, "a TD runs on LP%u/none does", lp);
    return false;
}

/* The module's answer to an exit: back in the TD, or out to the VMM. */
static void compare_exit(struct conf *c, struct conf_diff *d, const json_t *call, unsigned lp, enum seam_next next,
                         const u64 vmm_before[SEAM_GPRS], const u64 td_before[SEAM_GPRS], u64 rip_before)
{
    bool out = strcmp(status_text(call, "result"), "TD_EXIT") == 0;
    const struct seam_lp *s = &platform_host_lps[lp];
    if (out != (next == SEAM_TO_VMM)) {
        conf_differ(d, "%s/%s rax %llx", out ? "exits to the VMM" : "goes on in the TD",
                    out ? "goes on in the TD" : "exits to the VMM",
                    (unsigned long long)(out ? c->lps[lp].td->gpr[RAX] : s->vmm[RAX]));
        return;
    }
    if (out) {
        compare_answer(d, lp, vmm_before, status_text(call, "vmm_rax"), json_object_get(call, "vmm_out"));
        return;
    }
    struct td_vmcs *td = c->lps[lp].td;
    const json_t *advanced = json_object_get(call, "rip_advanced");
    conf_compare(d, td_before, td->gpr, json_object_get(call, "td_out"));
    if (!json_object_get(json_object_get(call, "td_out"), "rax") && td->gpr[RAX] != td_before[RAX] &&
        !json_object_get(call, "repeat"))
        conf_differ(d, "rax unchanged/%llx", (unsigned long long)td->gpr[RAX]);
    if (advanced || json_object_get(call, "inject"))
        compare_injection(d, td, call);
    if (advanced && td->rip - rip_before != conf_number(advanced))
        conf_differ(d, "RIP advanced by %llu/%llu", (unsigned long long)conf_number(advanced),
                    (unsigned long long)(td->rip - rip_before));
}

static void clear_exit(struct td_vmcs *td)
{
    td->qualification = td->guest_linear = td->guest_physical = 0;
    td->exit_intr_info = td->exit_error_code = td->idt_vectoring_info = td->idt_vectoring_error = 0;
    td->exit_instr_len = td->exit_instr_info = 0;
    memset(td->gpr, 0, sizeof(td->gpr));
}

static void prepare_tdcall(struct td_vmcs *td, const json_t *call, unsigned k)
{
    clear_exit(td);
    td->exit_reason = EXIT_REASON_TDCALL;
    td->exit_instr_len = 4;
    conf_set_regs(td->gpr, json_object_get(call, "in"));
    td->gpr[RAX] = rax_of(call);
    for (unsigned i = 0; i < k; i++)
        step_registers(td->gpr, json_object_get(json_object_get(call, "repeat"), "step"));
}

static void arm_interrupt(const json_t *call)
{
    const json_t *after = json_object_get(call, "pending_interrupt_after_checks");
    if (!after)
        return;
    platform_host_knobs.pending = true;
    platform_host_knobs.pending_events = PLAT_EVENT_INTERRUPT;
    platform_host_knobs.polls_before = (unsigned)conf_number(after);
}

static void one_tdcall(struct conf *c, struct conf_diff *d, const json_t *call, unsigned lp, unsigned k, unsigned n)
{
    struct td_vmcs *td = c->lps[lp].td;
    prepare_tdcall(td, call, k);
    u64 td_before[SEAM_GPRS], vmm_before[SEAM_GPRS];
    memcpy(td_before, td->gpr, sizeof(td_before));
    memcpy(vmm_before, platform_host_lps[lp].vmm, sizeof(vmm_before));
    u64 rip = c->lps[lp].entry_rip + RIP_STEP;
    enum seam_next next = conf_td_exit(c, lp, RIP_STEP);
    u64 r8;
    if (k == 0)
        compare_exit(c, d, call, lp, next, vmm_before, td_before, rip);
    else if (next == SEAM_TO_VMM)
        conf_differ(d, "call %u of the fold: goes on in the TD/exits", k);
    else if (k + 1 == n && json_object_get(call, "last_out"))
        conf_compare(d, td_before, td->gpr, json_object_get(call, "last_out"));
    if (next == SEAM_TO_TD && listed_r8(json_string_value(json_object_get(call, "note")), k, &r8) && td->gpr[R8] != r8)
        conf_differ(d, "R8[%u] %llx/%llx", k, (unsigned long long)r8, (unsigned long long)td->gpr[R8]);
}

/* A guest that tries again and again until the module takes it out: the record holds the last answer only. */
static void retry_until_exit(struct conf *c, struct conf_diff *d, const json_t *call, unsigned lp)
{
    for (unsigned i = 0; i < RETRIES_MAX && c->lps[lp].td; i++) {
        struct conf_diff this = {{0}};
        one_tdcall(c, &this, call, lp, 0, 1);
        *d = this;
    }
}

void conf_step_tdcall(struct conf *c, struct conf_diff *d, const json_t *call)
{
    unsigned lp = (unsigned)conf_number(json_object_get(call, "lp"));
    const json_t *repeat = json_object_get(call, "repeat");
    const char *note = status_text(call, "note");
    unsigned n = repeat ? (unsigned)conf_number(json_object_get(repeat, "n")) : 1;
    arm_interrupt(call);
    if (strstr(note, "keeps retrying") && td_is_inside(c, d, lp))
        retry_until_exit(c, d, call, lp);
    else
        for (unsigned k = 0; k < n && td_is_inside(c, d, lp); k++)
            one_tdcall(c, d, call, lp, k, n);
    if (json_object_get(call, "pending_interrupt_after_checks"))
        platform_host_knobs.pending = false;
}

static u64 progress(const json_t *call)
{
    const char *text = json_string_value(json_object_get(call, "guest_progress"));
    if (!text)
        return RIP_STEP;
    const char *by = strstr(text, "moved by ");
    return by ? strtoull(by + 9, NULL, 0) : 0;
}

/* Older records do not say which interrupt it was, except by what the VMM is told. */
static u32 vector_reported(const json_t *call)
{
    u64 r9 = conf_number(json_object_get(json_object_get(call, "vmm_out"), "r9"));
    return r9 ? (u32)r9 : 0x800000ec;
}

static void prepare_exit(const struct conf *c, struct td_vmcs *td, const json_t *call)
{
    clear_exit(td);
    td->exit_reason = (u32)conf_number(json_object_get(call, "reason"));
    td->qualification = conf_number(json_object_get(call, "qual"));
    td->guest_physical = conf_number(json_object_get(call, "gpa"));
    td->guest_linear = conf_number(json_object_get(call, "gla"));
    td->exit_instr_len = (u32)conf_number(json_object_get(call, "ilen"));
    td->idt_vectoring_info = (u32)conf_number(json_object_get(call, "idt_vectoring"));
    td->exit_intr_info = (u32)conf_number(json_object_get(call, "intr_info"));
    if (!json_object_get(call, "intr_info") && td->exit_reason == EXIT_REASON_INTERRUPT)
        td->exit_intr_info = vector_reported(call);
    if (!json_object_get(call, "gla"))
        td->guest_linear = td->guest_physical;
    td->exit_instr_info = c->instr_info;
    conf_set_regs(td->gpr, json_object_get(call, "in"));
}

void conf_step_vmexit(struct conf *c, struct conf_diff *d, const json_t *call)
{
    unsigned lp = (unsigned)conf_number(json_object_get(call, "lp"));
    if (!td_is_inside(c, d, lp))
        return;
    struct td_vmcs *td = c->lps[lp].td;
    prepare_exit(c, td, call);
    u64 td_before[SEAM_GPRS], vmm_before[SEAM_GPRS], moved = progress(call);
    memcpy(td_before, td->gpr, sizeof(td_before));
    memcpy(vmm_before, platform_host_lps[lp].vmm, sizeof(vmm_before));
    u64 rip = c->lps[lp].entry_rip + moved;
    enum seam_next next = conf_td_exit(c, lp, moved);
    compare_exit(c, d, call, lp, next, vmm_before, td_before, rip);
}

/* The TD reads its #VE information, as records say that do not list it. */
void conf_read_ve_info(struct conf *c, unsigned lp)
{
    struct td_vmcs *td = c->lps[lp].td;
    u64 kept[SEAM_GPRS];
    memcpy(kept, td->gpr, sizeof(kept));
    clear_exit(td);
    td->exit_reason = EXIT_REASON_TDCALL;
    td->exit_instr_len = 4;
    td->gpr[RAX] = TDG_VP_VEINFO_GET;
    if (conf_td_exit(c, lp, RIP_STEP) == SEAM_TO_TD)
        memcpy(td->gpr, kept, sizeof(kept));
}

/* "N more LEAF(...) not listed": the last SEAMCALL again, N times. */
void conf_more_seamcalls(struct conf *c, struct conf_diff *d, const json_t *call, unsigned n)
{
    unsigned lp = (unsigned)conf_number(json_object_get(call, "lp"));
    u64 regs[SEAM_GPRS];
    conf_poison(regs);
    conf_set_regs(regs, json_object_get(call, "in"));
    for (unsigned k = 0; k < n && !d->text[0]; k++)
        if (conf_seamcall(c, lp, rax_of(call), regs) == SEAM_TO_TD || platform_host_lps[lp].vmm[RAX])
            conf_differ(d, "call %u of %u not listed: status 0/%016llx", k, n,
                        (unsigned long long)platform_host_lps[lp].vmm[RAX]);
}

/* TDG.MEM.PAGE.ACCEPT of 2M pages from `gpa` on, in the TD on `lp`. */
void conf_accept_2m(struct conf *c, struct conf_diff *d, unsigned lp, u64 gpa, unsigned n)
{
    for (unsigned k = 0; k < n && td_is_inside(c, d, lp); k++) {
        struct td_vmcs *td = c->lps[lp].td;
        clear_exit(td);
        td->exit_reason = EXIT_REASON_TDCALL;
        td->exit_instr_len = 4;
        td->gpr[RAX] = TDG_MEM_PAGE_ACCEPT;
        td->gpr[RCX] = (gpa + k * (1ull << 21)) | 1;
        u64 status = conf_td_exit(c, lp, RIP_STEP) == SEAM_TO_TD ? td->gpr[RAX] : ~0ull;
        if (status >> 32 != 0 && status >> 32 != 0xb0a) /* done, or accepted before */
            conf_differ(d, "ACCEPT of %llx: status 0/%016llx", (unsigned long long)td->gpr[RCX],
                        (unsigned long long)status);
    }
}
