/* The trace's rings. See kernel/trace.h and lib/trace.h. */
#include "kernel/trace.h"

#include "kernel/cpus.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"
#include "mm/page.h"

#define RING_PAGES_BYTES align_up(TRACE_RING_RECORDS * sizeof(struct trace_entry), PAGE_BYTES)

static const struct {
    const char *name, *args[4];
} events[] = {
#define X(event, name, a, b, c, d) [event] = {name, {a, b, c, d}},
    TRACE_LIST(X)
#undef X
};

static struct trace_entry *rings[CPU_COUNT_MAX];
static u32 next[CPU_COUNT_MAX];
bool trace_is_on;

enum err trace_init(void)
{
    hpa_t at;

    for (unsigned i = 0; i < cpus_count(); i++) {
        enum err e = page_alloc_range(RING_PAGES_BYTES, PAGE_BYTES, &at);
        if (e != ERR_OK)
            return e;
        rings[i] = phys_ptr(at);
    }
    trace_is_on = true;
    return ERR_OK;
}

void trace_enable(bool on)
{
    trace_is_on = on;
}

bool trace_is_enabled(void)
{
    return trace_is_on;
}

void trace_clear(void)
{
    memset(next, 0, sizeof(next));
}

void trace_store(enum trace_event event, u64 a, u64 b, u64 c, u64 d)
{
    unsigned cpu = cpu_index();

    if (rings[cpu] == NULL)
        return;
    /* An interrupt's record in between takes the next slot: the number is taken first, and at one go. */
    u32 number = __atomic_fetch_add(&next[cpu], 1, __ATOMIC_RELAXED);
    rings[cpu][number % TRACE_RING_RECORDS] =
        (struct trace_entry){.tsc = cpu_tsc(), .event = event, .number = number, .args = {a, b, c, d}};
}

unsigned trace_each(unsigned cpu, unsigned max, void (*line)(const struct trace_entry *e, void *arg), void *arg)
{
    if (cpu >= CPU_COUNT_MAX || rings[cpu] == NULL)
        return 0;
    u32 end = next[cpu];
    u32 count = end < TRACE_RING_RECORDS ? end : TRACE_RING_RECORDS;
    if (count > max)
        count = max;
    for (u32 n = end - count; n != end; n++)
        line(&rings[cpu][n % TRACE_RING_RECORDS], arg);
    return count;
}

/* --- all CPUs ----------------------------------------------------------------------------------------------------- */

static const struct trace_entry *entry(unsigned cpu, u32 number)
{
    return &rings[cpu][number % TRACE_RING_RECORDS];
}

static u32 oldest(unsigned cpu)
{
    return next[cpu] < TRACE_RING_RECORDS ? 0 : next[cpu] - TRACE_RING_RECORDS;
}

/* The CPU whose record before from[cpu] is the newest of all; CPU_COUNT_MAX: there is none. */
static unsigned newest_before(const u32 *from)
{
    unsigned best = CPU_COUNT_MAX;

    for (unsigned i = 0; i < CPU_COUNT_MAX; i++)
        if (rings[i] != NULL && from[i] > oldest(i) &&
            (best == CPU_COUNT_MAX || entry(i, from[i] - 1)->tsc > entry(best, from[best] - 1)->tsc))
            best = i;
    return best;
}

static unsigned first_at(const u32 *from, const u32 *end)
{
    unsigned best = CPU_COUNT_MAX;

    for (unsigned i = 0; i < CPU_COUNT_MAX; i++)
        if (from[i] < end[i] && (best == CPU_COUNT_MAX || entry(i, from[i])->tsc < entry(best, from[best])->tsc))
            best = i;
    return best;
}

unsigned trace_merge(unsigned max, void (*line)(unsigned cpu, const struct trace_entry *e, void *arg), void *arg)
{
    u32 from[CPU_COUNT_MAX], end[CPU_COUNT_MAX];
    unsigned count = 0, cpu;

    memcpy(from, next, sizeof(from));
    memcpy(end, next, sizeof(end));
    for (; count < max && (cpu = newest_before(from)) != CPU_COUNT_MAX; count++)
        from[cpu]--;
    while ((cpu = first_at(from, end)) != CPU_COUNT_MAX)
        line(cpu, entry(cpu, from[cpu]++), arg);
    return count;
}

size_t trace_format(const struct trace_entry *e, char *to, size_t bytes)
{
    if (e->event >= ARRAY_COUNT(events))
        return format_to(to, bytes, "event %u of no known kind", e->event);
    size_t used = format_to(to, bytes, "%s", events[e->event].name);
    for (unsigned i = 0; i < 4; i++) {
        if (events[e->event].args[i][0] == '\0')
            continue;
        size_t at = used < bytes ? used : bytes;
        used += format_to(to + at, bytes - at, " %s=0x%llx", events[e->event].args[i], (unsigned long long)e->args[i]);
    }
    return used;
}
