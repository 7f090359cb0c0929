/* The trace's rings. See kernel/trace.h and lib/trace.h. */
#include "kernel/trace.h"

#include "kernel/cpus.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "mm/page.h"

#define REGS_ENTRIES_MAX (2 * TRACE_REGISTERS / TRACE_REGS_EACH + 1)
#define WRITER_SPINS     10000000u /* a record takes a few hundred cycles */
#define REG_MASK         ((1u << TRACE_REG_BITS) - 1)

static const struct {
    const char *name, *args[4];
} events[] = {
#define X(event, name, a, b, c, d) [event] = {name, {a, b, c, d}},
    TRACE_LIST(X)
#undef X
};

/*
 * Written by its CPU only, interrupts of that CPU included, while `writers` says so. Whoever is about to read or replace
 * rings turns the trace off first and waits until no ring has a writer: a writer counts itself before it looks
 * whether the trace is on, both sequentially consistent, so one of the two sees the other.
 */
static struct ring {
    struct trace_entry *entries;
    u64 next; /* the number that the next record gets */
    u32 writers;
} rings[CPU_COUNT_MAX];
static u32 ring_records = TRACE_RING_RECORDS;
_Atomic bool trace_is_on;

static u64 ring_bytes(u32 records)
{
    return align_up((u64)records * sizeof(struct trace_entry), PAGE_BYTES);
}

enum err trace_init(void)
{
    hpa_t at;

    for (unsigned i = 0; i < cpus_count(); i++) {
        enum err e = page_alloc_range(ring_bytes(ring_records), PAGE_BYTES, &at);
        if (e != ERR_OK)
            return e;
        rings[i].entries = phys_ptr(at);
    }
    trace_is_on = true;
    return ERR_OK;
}

/* False: a CPU is stopped in the middle of a record, as in a panic. */
static bool wait_for_writers(void)
{
    for (unsigned i = 0; i < CPU_COUNT_MAX; i++) {
        u32 spins = 0;
        while (i != cpu_index() && __atomic_load_n(&rings[i].writers, __ATOMIC_SEQ_CST)) {
            if (++spins > WRITER_SPINS)
                return false;
            cpu_relax();
        }
    }
    return true;
}

void trace_enable(bool on)
{
    trace_is_on = on;
    if (!on)
        (void)wait_for_writers();
}

bool trace_is_enabled(void)
{
    return trace_is_on;
}

void trace_clear(void)
{
    bool was_on = trace_is_enabled();

    trace_enable(false);
    for (unsigned i = 0; i < CPU_COUNT_MAX; i++)
        rings[i].next = 0;
    trace_enable(was_on);
}

enum err trace_resize(u32 records)
{
    static struct trace_entry *larger[CPU_COUNT_MAX];
    bool was_on = trace_is_enabled();
    enum err e = ERR_OK;
    hpa_t at;

    memset(larger, 0, sizeof(larger));
    for (unsigned i = 0; i < cpus_count() && e == ERR_OK; i++)
        if ((e = page_alloc_range(ring_bytes(records), PAGE_BYTES, &at)) == ERR_OK)
            larger[i] = phys_ptr(at);
    trace_enable(false);
    if (e == ERR_OK && !wait_for_writers())
        e = ERR_BUSY;
    for (unsigned i = 0; i < cpus_count(); i++) {
        struct trace_entry *left = e == ERR_OK ? rings[i].entries : larger[i];
        u32 left_records = e == ERR_OK ? ring_records : records;
        if (e == ERR_OK)
            rings[i] = (struct ring){.entries = larger[i]};
        if (left != NULL)
            page_free_range(phys_of(left), ring_bytes(left_records));
    }
    if (e == ERR_OK)
        ring_records = records;
    trace_enable(was_on);
    return e;
}

u32 trace_ring_records(void)
{
    return ring_records;
}

/* --- recording ---------------------------------------------------------------------------------------------------- */

/* `count` records in successive places, the same event's. An interrupt's in between take the next ones: the numbers are
 * taken first, and at one go. */
static void store(struct trace_entry *from, unsigned count)
{
    struct ring *ring = &rings[cpu_index()];

    __atomic_fetch_add(&ring->writers, 1, __ATOMIC_SEQ_CST);
    if (trace_is_on) {
        u64 number = __atomic_fetch_add(&ring->next, count, __ATOMIC_RELAXED), tsc = cpu_tsc();
        for (unsigned i = 0; i < count && ring->entries != NULL; i++) {
            from[i].tsc = tsc;
            from[i].number = (u32)(number + i);
            ring->entries[(number + i) % ring_records] = from[i];
        }
    }
    __atomic_fetch_sub(&ring->writers, 1, __ATOMIC_SEQ_CST);
}

void trace_store(enum trace_event event, u64 a, u64 b, u64 c, u64 d)
{
    struct trace_entry e = {.event = event, .args = {a, b, c, d}};
    store(&e, 1);
}

/* Registers of one call, on their way into TRACE_REGS behind its TRACE_SEAMCALL. */
struct regs {
    struct trace_entry entries[1 + REGS_ENTRIES_MAX];
    unsigned count; /* registers */
    u64 took;
};

static struct trace_entry *regs_entry(struct regs *r)
{
    struct trace_entry *e = &r->entries[1 + r->count / TRACE_REGS_EACH];
    if (r->count % TRACE_REGS_EACH == 0)
        *e = (struct trace_entry){.event = TRACE_REGS, .args = {r->took << TRACE_TOOK_SHIFT}};
    return e;
}

static void add_reg(struct regs *r, unsigned which, u64 value)
{
    struct trace_entry *e = regs_entry(r);
    unsigned place = r->count++ % TRACE_REGS_EACH;

    e->args[0] |= (u64)which << (place * TRACE_REG_BITS);
    e->args[1 + place] = value;
}

void trace_store_call(const struct trace_call *call)
{
    enum { RAX, RCX, RDX, RBX };
    struct regs r;

    r.count = 0;
    r.took = cpu_tsc() - call->began;
    r.entries[0] =
        (struct trace_entry){.event = TRACE_SEAMCALL, .args = {call->leaf, call->in[RCX], call->in[RDX], call->status}};
    for (unsigned i = RBX; i < TRACE_REGISTERS; i++)
        if (call->in[i] != 0)
            add_reg(&r, i, call->in[i]);
    for (unsigned i = RCX; i < TRACE_REGISTERS; i++)
        if (call->out[i] != call->in[i])
            add_reg(&r, TRACE_REG_OUT | i, call->out[i]);
    if (r.count == 0)
        (void)regs_entry(&r);
    store(r.entries, 1 + (r.count ? (r.count + TRACE_REGS_EACH - 1) / TRACE_REGS_EACH : 1));
}

void trace_memory(u64 at, const void *what, u64 bytes)
{
    const u64 *words = what;

    for (u64 i = 0; trace_is_on && i < bytes / 8; i += 3) {
        u64 left = bytes / 8 - i;
        u64 w[3] = {words[i], left > 1 ? words[i + 1] : 0, left > 2 ? words[i + 2] : 0};
        if (w[0] | w[1] | w[2])
            trace_store(TRACE_MEMORY, at + i * 8, w[0], w[1], w[2]);
    }
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static const struct trace_entry *entry(unsigned cpu, u64 number)
{
    return &rings[cpu].entries[number % ring_records];
}

static u64 oldest(unsigned cpu)
{
    u64 next = rings[cpu].next;

    if (rings[cpu].entries == NULL)
        return next;
    return next < ring_records ? 0 : next - ring_records;
}

struct trace_extent trace_extent(unsigned cpu)
{
    if (cpu >= CPU_COUNT_MAX)
        return (struct trace_extent){0};
    return (struct trace_extent){.recorded = rings[cpu].next, .lost = oldest(cpu)};
}

unsigned trace_each(unsigned cpu, unsigned max, void (*line)(const struct trace_entry *e, void *arg), void *arg)
{
    struct trace_extent all = trace_extent(cpu);
    u64 count = all.recorded - all.lost;

    if (count > max)
        count = max;
    for (u64 n = all.recorded - count; n != all.recorded; n++)
        line(entry(cpu, n), arg);
    return (unsigned)count;
}

/* The CPU whose record before from[cpu] is the newest of all; CPU_COUNT_MAX: there is none. */
static unsigned newest_before(const u64 *from)
{
    unsigned best = CPU_COUNT_MAX;

    for (unsigned i = 0; i < cpus_count(); i++)
        if (from[i] > oldest(i) &&
            (best == CPU_COUNT_MAX || entry(i, from[i] - 1)->tsc > entry(best, from[best] - 1)->tsc))
            best = i;
    return best;
}

static unsigned first_at(const u64 *from, const u64 *end)
{
    unsigned best = CPU_COUNT_MAX;

    for (unsigned i = 0; i < cpus_count(); i++)
        if (from[i] < end[i] && (best == CPU_COUNT_MAX || entry(i, from[i])->tsc < entry(best, from[best])->tsc))
            best = i;
    return best;
}

unsigned trace_merge(unsigned max, void (*line)(unsigned cpu, const struct trace_entry *e, void *arg), void *arg)
{
    static u64 from[CPU_COUNT_MAX], end[CPU_COUNT_MAX]; /* the stack of a panic is small */
    unsigned count = 0, cpu;

    for (unsigned i = 0; i < cpus_count(); i++)
        from[i] = end[i] = rings[i].next;
    for (; count < max && (cpu = newest_before(from)) != CPU_COUNT_MAX; count++)
        from[cpu]--;
    while ((cpu = first_at(from, end)) != CPU_COUNT_MAX)
        line(cpu, entry(cpu, from[cpu]++), arg);
    return count;
}

/* --- text --------------------------------------------------------------------------------------------------------- */

const char *trace_event_name(unsigned event)
{
    return event < TRACE_EVENT_COUNT ? events[event].name : NULL;
}

const char *trace_argument_name(unsigned event, unsigned n)
{
    return events[event].args[n];
}

static size_t format_regs(const struct trace_entry *e, char *to, size_t bytes)
{
    static const char *const names[] = {"",   "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8", "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    u64 took = e->args[0] >> TRACE_TOOK_SHIFT;
    size_t used = format_to(to, bytes, "  took=%llu", (unsigned long long)took);

    for (unsigned i = 0; i < TRACE_REGS_EACH; i++) {
        unsigned which = (unsigned)(e->args[0] >> (i * TRACE_REG_BITS)) & REG_MASK;
        size_t at = used < bytes ? used : bytes;
        if (which != 0)
            used += format_to(to + at, bytes - at, " %s %s=0x%llx", which & TRACE_REG_OUT ? "out" : "in",
                              names[which & (TRACE_REG_OUT - 1)], (unsigned long long)e->args[1 + i]);
    }
    return used;
}

size_t trace_format(const struct trace_entry *e, char *to, size_t bytes)
{
    if (e->event >= ARRAY_COUNT(events))
        return format_to(to, bytes, "event %u of no known kind", e->event);
    if (e->event == TRACE_REGS)
        return format_regs(e, to, bytes);
    size_t used = format_to(to, bytes, "%s", events[e->event].name);
    for (unsigned i = 0; i < 4; i++) {
        if (events[e->event].args[i][0] == '\0')
            continue;
        size_t at = used < bytes ? used : bytes;
        used += format_to(to + at, bytes - at, " %s=0x%llx", events[e->event].args[i], (unsigned long long)e->args[i]);
    }
    return used;
}
