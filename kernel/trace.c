/* The trace's rings. See kernel/trace.h and lib/trace.h. */
#include "kernel/trace.h"

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
static bool enabled = true;

enum err trace_init(void)
{
    hpa_t at;
    enum err e = page_alloc_range(RING_PAGES_BYTES, PAGE_BYTES, &at);

    if (e == ERR_OK)
        rings[cpu_index()] = phys_ptr(at);
    return e;
}

void trace_enable(bool on)
{
    enabled = on;
}

bool trace_is_enabled(void)
{
    return enabled;
}

void trace_clear(void)
{
    memset(next, 0, sizeof(next));
}

void trace_record(enum trace_event event, u64 a, u64 b, u64 c, u64 d)
{
    unsigned cpu = cpu_index();

    if (!enabled || rings[cpu] == NULL)
        return;
    /* An interrupt's record between these lines takes the next slot: the number is taken first. */
    u32 number = next[cpu]++;
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
