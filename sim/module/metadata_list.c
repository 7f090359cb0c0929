/*
 * Lists of fields in memory: header (bytes used, number of sequences), then sequences of fields that follow one
 * another, each with a header id that tells how many, then 8 bytes an element (Intel TDX Module v1.5 ABI Specification,
 * "Metadata Lists and Metadata Sequences").
 */
#include "sim/module/metadata.h"

#define ID_CPUID_CONFIG_VALUES 0x9900000300000500ull
#define SEQUENCE_FIELD_SHIFT   38
#define SEQUENCE_ELEMENT_SHIFT 34
#define SEQUENCE_FIELDS_MAX    512u

#define WORDS (PAGE_4K / 8)

struct list {
    u64 *words;
    unsigned used; /* in words */
};

/* Does `next` go on where the field of `e` ends, in the same shape? */
static bool follows(const struct md_context *x, const struct md_element *e, u64 next)
{
    struct md_element n;
    u32 end = MD_CODE(e->id) + e->row->elements * MD_STRIDE(e->row->id);
    if (next == NULL_ID || md_find(x, next, &n) != TDX_SUCCESS)
        return false;
    return MD_CLASS(e->id) == MD_CLASS(next) && end == MD_CODE(next) && e->row->elements == n.row->elements &&
           MD_SIZE(e->row->id) == MD_SIZE(n.row->id);
}

/* The module leaves the second element of CPUID_CONFIG_VALUES rows alone that no CPUID configuration stands behind. */
static bool is_skipped(const struct md_context *x, const struct md_element *e)
{
    return x->no == MD_SYS && e->row->id == ID_CPUID_CONFIG_VALUES && e->number >= 2 * MDL_CPUID_CONFIGS &&
           (e->number & 1);
}

static void dump_field(const struct md_context *x, const struct md_element *e, struct list *l)
{
    struct md_element one = *e;
    for (unsigned i = 0; i < e->row->elements; i++, one.number++, l->used++) {
        u64 value = 0;
        md_read(x, &one, &value);
        if (!is_skipped(x, &one))
            l->words[l->used] = value;
    }
}

/* As many fields from `id` on as belong together and fit; the id of the first one that is not there. */
static u64 dump_sequence(const struct md_context *x, u64 id, struct list *l)
{
    struct md_element e;
    unsigned header = l->used++, fields = 0;
    md_find(x, id, &e);
    u64 first = e.id, elements = e.row->elements;
    do {
        md_find(x, id, &e);
        dump_field(x, &e, l);
        fields++;
        id = md_next(x, id, true);
    } while (follows(x, &e, id) && l->used + elements <= WORDS && fields < SEQUENCE_FIELDS_MAX);
    l->words[header] = first | (u64)(fields - 1) << SEQUENCE_FIELD_SHIFT | (elements - 1) << SEQUENCE_ELEMENT_SHIFT;
    return id;
}

/* A list starts with a field's first element, named with its right size; the other parts of an id that say something
 * about form are not looked at here (tdx-module metadata_generic.c, md_check_field_and_get_entry). */
static bool find_start(const struct md_context *x, u64 id, struct md_element *e)
{
    return md_find(x, id & ~MD_FORM_BITS, e) == TDX_SUCCESS && e->number % e->row->elements == 0 &&
           MD_SIZE(id) == MD_SIZE(e->row->id);
}

u64 md_dump(const struct md_context *x, u64 id, void *page, u64 *next)
{
    struct list l = {.words = page, .used = 1};
    struct md_element e;
    unsigned sequences = 0;
    *next = NULL_ID;
    if (md_is_null(id))
        id = md_next(x, id, true);
    if (!find_start(x, id, &e))
        return TDX_METADATA_FIELD_ID_INCORRECT;
    id = e.id;
    if (!(e.row->readable[x->access] & md_size_mask(e.row->id)))
        id = md_next(x, id, true);
    while (id != NULL_ID && md_find(x, id, &e) == TDX_SUCCESS && l.used + 1 + e.row->elements <= WORDS) {
        id = dump_sequence(x, id, &l);
        sequences++;
    }
    l.words[0] = l.used * 8ull | (u64)sequences << 16;
    *next = id;
    return id == NULL_ID ? TDX_SUCCESS : TDX_METADATA_LIST_OVERFLOW;
}
