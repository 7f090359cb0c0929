/* Names and verdicts of completion statuses, from the table in tdx/abi_status.h. */
#include "tdx/status.h"

struct status_row {
    u32 code;
    const char *name;
    enum tdx_verdict verdict;
    enum tdx_details details;
};

static const struct status_row rows[] = {
#define X(code, name, verdict, details) {code, #name, TDX_##verdict, TDX_DETAILS_##details},
    TDX_STATUS_LIST(X) TDX_SOFTWARE_STATUS_LIST(X)
#undef X
};

static const struct {
    u32 id;
    const char *name;
} operands[] = {
#define X(name, id) {id, #name},
    TDX_OPERAND_LIST(X)
#undef X
};

/* SUCCESS is the first row and by far the most frequent answer. */
static const struct status_row *find(tdx_status_t s)
{
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
        if (tdx_is(s, rows[i].code))
            return &rows[i];
    return NULL;
}

enum tdx_verdict tdx_verdict(tdx_status_t s)
{
    const struct status_row *row = find(s);
    return row ? row->verdict : TDX_UNKNOWN;
}

const char *tdx_status_name(tdx_status_t s)
{
    const struct status_row *row = find(s);
    return row ? row->name : "TDX_STATUS_UNKNOWN";
}

const char *tdx_operand_name(tdx_status_t s)
{
    const struct status_row *row = find(s);
    if (!row || row->details != TDX_DETAILS_OPERAND)
        return "";
    for (unsigned i = 0; i < ARRAY_COUNT(operands); i++)
        if (operands[i].id == (u32)s.raw)
            return operands[i].name;
    return "";
}

enum tdx_details tdx_details(tdx_status_t s)
{
    const struct status_row *row = find(s);
    return row ? row->details : TDX_DETAILS_NONE;
}

const char *tdx_status_at(unsigned n, tdx_status_t *s)
{
    if (n >= ARRAY_COUNT(rows))
        return NULL;
    *s = (tdx_status_t){(u64)rows[n].code << 32};
    return rows[n].name;
}
