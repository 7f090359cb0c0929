/* Failures in words. See fault_text.h. */
#include "kernel/vm/fault_text.h"

#include <stdarg.h>

#include "lib/format.h"

#define STATUS_BYTES 112

struct status_text {
    char text[STATUS_BYTES];
};

/* "TDX_OPERAND_BUSY (RCX), 0x8000020000000001" */
static struct status_text describe(tdx_status_t s)
{
    struct status_text t = {""};
    const char *operand = tdx_operand_name(s);
    bool has = operand[0] != '\0';

    format_to(t.text, sizeof(t.text), "%s%s%s%s, 0x%llx", tdx_status_name(s), has ? " (" : "", operand, has ? ")" : "",
              (unsigned long long)s.raw);
    return t;
}

enum err fault_say(struct fault_text *f, enum err e, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    format_v(f->text, sizeof(f->text), fmt, args);
    va_end(args);
    return e;
}

/* " (page 0x200000)", for errors that are about one page of the host's memory. */
struct page_text {
    char text[32];
};

static struct page_text name_page(hpa_t page)
{
    struct page_text t = {""};

    if (page.raw != 0)
        format_to(t.text, sizeof(t.text), " (page 0x%llx)", (unsigned long long)page.raw);
    return t;
}

enum err fault_leaf(struct fault_text *f, const char *doing, const char *leaf, tdx_status_t status)
{
    return fault_say(f, ERR_TDX, "%s: %s: %s", doing, leaf, describe(status).text);
}

enum err fault_td(struct fault_text *f, const char *doing, const struct td_fault *td)
{
    if (td->leaf == NULL)
        return fault_say(f, td->err, "%s: %s", doing, err_text(td->err));
    if (td->err != ERR_TDX && td->err != ERR_TD_DEAD && td->err != ERR_BUSY)
        return fault_say(f, td->err, "%s: %s: %s", doing, td->leaf, err_text(td->err));
    return fault_say(f, td->err, "%s: %s%s: %s", doing, td->leaf, name_page(td->page).text, describe(td->status).text);
}

enum err fault_tdp(struct fault_text *f, const char *doing, const struct tdp_report *r)
{
    bool has_status = r->status.raw != 0 && (r->err == ERR_TDX || r->err == ERR_TD_DEAD || r->err == ERR_BUSY);
    const char *what = r->what != NULL ? r->what : err_text(r->err);

    if (has_status)
        return fault_say(f, r->err, "%s: %s at 0x%llx%s: %s", doing, what, (unsigned long long)r->at.raw,
                         name_page(r->page).text, describe(r->status).text);
    if (r->what != NULL)
        return fault_say(f, r->err, "%s: %s at 0x%llx: %s", doing, err_text(r->err), (unsigned long long)r->at.raw,
                         what);
    return fault_say(f, r->err, "%s: %s at 0x%llx", doing, what, (unsigned long long)r->at.raw);
}
