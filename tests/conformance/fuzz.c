/*
 * The compact form of the random sequences: {lp, n, in, st, out} is a SEAMCALL, {lp, td, in, st, exit} a TDCALL, {lp,
 * vmexit, res, rax} another exit. Each is turned into a record of the long form.
 */
#include "tests/conformance/conformance.h"

#include <string.h>

static void copy(json_t *to, const char *key, const json_t *from, const char *old_key)
{
    json_t *value = json_object_get(from, old_key);
    if (value)
        json_object_set(to, key, value);
}

/* A TDCALL by name; an unknown one becomes a leaf that there is not. */
static unsigned tdcall_number(const char *leaf)
{
    unsigned number;
    return conf_leaf_number(leaf, &number) ? number : 0xffff;
}

static json_t *expand_seamcall(const json_t *call)
{
    json_t *record = json_pack("{s:s}", "op", "SEAMCALL");
    copy(record, "num", call, "n");
    copy(record, "leaf", call, "l");
    copy(record, "out", call, "out");
    copy(record, "repeat", call, "repeat");
    copy(record, "status", call, "st");
    const char *status = json_string_value(json_object_get(call, "st"));
    if (status && strcmp(status, "IN_TD") == 0)
        json_object_set_new(record, "entered", json_true());
    return record;
}

static json_t *expand_tdcall(const json_t *call)
{
    const char *leaf = json_string_value(json_object_get(call, "td"));
    const char *status = json_string_value(json_object_get(call, "st"));
    const json_t *out = json_object_get(call, "exit");
    json_t *record = json_pack("{s:s,s:s,s:i}", "op", "TDCALL", "leaf", leaf, "num", (int)tdcall_number(leaf));
    if (out) {
        json_object_set_new(record, "result", json_string("TD_EXIT"));
        copy(record, "vmm_rax", out, "rax");
        copy(record, "fuzz_out", call, "exit");
    } else {
        json_object_set_new(record, "result", json_string("TD_RESUMED"));
        json_object_set_new(record, "td_out", json_pack("{s:s}", "rax", status));
    }
    return record;
}

static json_t *expand_exit(const json_t *call)
{
    json_t *record = json_pack("{s:s,s:s}", "op", "VMEXIT", "what", "VM exit");
    copy(record, "reason", call, "vmexit");
    copy(record, "result", call, "res");
    copy(record, "fuzz_rax", call, "rax");
    return record;
}

static json_t *expand(const json_t *call)
{
    json_t *record = json_object_get(call, "td")       ? expand_tdcall(call)
                     : json_object_get(call, "vmexit") ? expand_exit(call)
                                                       : expand_seamcall(call);
    copy(record, "lp", call, "lp");
    copy(record, "in", call, "in");
    return record;
}

/* On an exit the compact form lists the registers that tell something; the others are zero as after every exit. */
static void complete_exit(json_t *record, const json_t *call)
{
    static const char *const cleared[] = {"rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8",
                                          "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const json_t *listed = json_object_get(call, "exit");
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof(cleared) / sizeof(cleared[0]); i++) {
        json_t *value = json_object_get(listed, cleared[i]);
        if (value)
            json_object_set(out, cleared[i], value);
        else
            json_object_set_new(out, cleared[i], json_string("0x0"));
    }
    if (json_object_get(call, "vmexit")) {
        json_object_set(record, "vmm_rax", json_object_get(call, "rax"));
        json_object_set_new(out, "r9", json_string("0x800000ec"));
    }
    json_object_set_new(record, "vmm_out", out);
}

static void play(struct conf *c, struct conf_diff *d, json_t *record, const json_t *call)
{
    const char *op = json_string_value(json_object_get(record, "op"));
    const char *result = json_string_value(json_object_get(record, "result"));
    if (result && strcmp(result, "TD_EXIT") == 0)
        complete_exit(record, call);
    if (strcmp(op, "TDCALL") == 0)
        conf_step_tdcall(c, d, record);
    else if (strcmp(op, "VMEXIT") == 0)
        conf_step_vmexit(c, d, record);
    else
        conf_step_seamcall(c, d, record);
}

void conf_fuzz(struct conf *c, const json_t *sequence)
{
    size_t i;
    json_t *call;
    c->interleaved = false;
    conf_setup(c, json_string_value(json_object_get(sequence, "setup")), json_object_get(sequence, "env"));
    json_array_foreach(json_object_get(sequence, "calls"), i, call)
    {
        struct conf_diff d = {{0}};
        json_t *record = expand(call);
        const char *leaf = json_string_value(json_object_get(record, "leaf"));
        play(c, &d, record, call);
        conf_verdict(c, i, leaf ? leaf : "VM exit", &d);
        json_decref(record);
    }
}
