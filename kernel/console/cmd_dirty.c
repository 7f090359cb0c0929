/* The command `dirty`: on, off, get. Pages that were touched are told as ranges, the first `max` of them. */
#include "kernel/console/cmd.h"
#include "kernel/print.h"
#include "kernel/vm/vm.h"
#include "lib/string.h"
#include "mm/page.h"

#define RANGES_DEFAULT 256u
#define RANGES_MAX     65536u

/* Ranges on their way to the console; those of the `@` line come later, so they are kept. */
struct ranges {
    u64 count, most;
    u64 bytes; /* of the memory below */
    struct {
        u64 gpa, bytes;
    } * kept;
};

static void keep(gpa_t from, u64 bytes, void *arg)
{
    struct ranges *r = arg;

    if (r->count < r->most) {
        r->kept[r->count].gpa = from.raw;
        r->kept[r->count].bytes = bytes;
        print("  0x%-12llx %llu pages\n", (unsigned long long)from.raw, (unsigned long long)bytes / PAGE_BYTES);
    }
    r->count++;
}

static void add_cost(struct json *j, const struct tdp_report *r)
{
    json_number(j, "seamcalls", r->seamcalls);
    json_number(j, "tracks", r->tracks);
    json_number(j, "ipis", r->ipis);
    json_number(j, "tsc", r->tsc);
}

/* The answer to a failure; else the `@` line, begun. */
static struct json *answer(struct command_call *c, const struct tdp_report *r)
{
    struct fault_text text;

    if (r->err == ERR_TD_DEAD)
        vm_dies();
    if (r->err != ERR_OK)
        (void)vm_say(&text, "dirty", r);
    struct json *j = r->err == ERR_OK ? reply_ok(c) : reply_fail(c, "%s", text.text);
    add_cost(j, r);
    return j;
}

static void get(struct command_call *c, u64 most)
{
    struct ranges ranges = {.most = most, .bytes = most * sizeof(*ranges.kept)};
    struct tdp_dirty dirty = {0};

    ranges.kept = page_take(ranges.bytes);
    if (ranges.kept == NULL) {
        reply_fail(c, "no memory for %llu ranges", (unsigned long long)most);
        return;
    }
    struct tdp_report r = tdp_dirty_get(vm.tdp, keep, &ranges, &dirty);
    print("%llu pages in %llu ranges; %llu pages so far that a read has marked\n", (unsigned long long)dirty.pages,
          (unsigned long long)ranges.count, (unsigned long long)dirty.by_read);
    struct json *j = answer(c, &r);
    json_number(j, "pages", dirty.pages);
    json_number(j, "by_read", dirty.by_read);
    json_number(j, "ranges_left_out", ranges.count > most ? ranges.count - most : 0);
    json_array(j, "ranges");
    for (u64 i = 0; i < ranges.count && i < most; i++) {
        json_object(j, NULL);
        json_hex(j, "gpa", ranges.kept[i].gpa);
        json_number(j, "bytes", ranges.kept[i].bytes);
        json_end_object(j);
    }
    json_end_array(j);
    page_give(ranges.kept, ranges.bytes);
}

static void turn(struct command_call *c, bool on)
{
    struct tdp_report r = on ? tdp_dirty_on(vm.tdp) : tdp_dirty_off(vm.tdp);

    if (r.err == ERR_OK)
        print("done by %llu SEAMCALLs, %llu of them TRACK, in %llu TSC ticks\n", (unsigned long long)r.seamcalls,
              (unsigned long long)r.tracks, (unsigned long long)r.tsc);
    (void)answer(c, &r);
}

void cmd_dirty(struct command_call *c)
{
    const char *what = arg_word(c, 0);
    u64 most = RANGES_DEFAULT;

    if (strcmp(what, "on") != 0 && strcmp(what, "off") != 0 && strcmp(what, "get") != 0)
        reply_fail(c, "'%s': on, off or get is needed", what);
    else if (strcmp(what, "get") != 0 && arg_key(c, "max") != NULL)
        reply_fail(c, "max= goes with `dirty get`");
    else if (vm.state == VM_NONE)
        reply_fail(c, "there is no TD: `td create` comes first");
    else if (vm.state == VM_DEAD)
        reply_fail(c, "the TD is dead: only `td destroy` is left");
    else if (!arg_key_number(c, "max", 1, RANGES_MAX, &most))
        return;
    else if (strcmp(what, "get") == 0)
        get(c, most);
    else
        turn(c, strcmp(what, "on") == 0);
}
