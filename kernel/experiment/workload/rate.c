/* The workload `rate`. So many conversions a second at random places: what share of the memory stays large, at what cost? */
#include "kernel/experiment/workload/workload.h"

#include "kernel/time.h"
#include "lib/bits.h"

#define FACTOR 4u /* from one rate to the next */

/* Of the round that is under way. */
static struct {
    u64 looks, large; /* in the second half of the time, when what was before has settled */
} steady;

static u64 rate_of(const struct experiment_run *x, u64 round)
{
    u64 rate = x->values[SLOWEST];

    while (round-- > 0)
        rate = min_u64(rate * FACTOR, x->values[FASTEST]);
    return rate;
}

static enum err plan(struct experiment_run *x, u64 *regions, u64 *rounds)
{
    if (x->values[SLOWEST] > x->values[FASTEST])
        return fault_say(&x->fault, ERR_RANGE, "slowest=%llu is more than fastest=%llu",
                         (unsigned long long)x->values[SLOWEST], (unsigned long long)x->values[FASTEST]);
    *rounds = 1;
    while (rate_of(x, *rounds - 1) < x->values[FASTEST])
        ++*rounds;
    return ERR_OK;
}

static enum err look(struct work *w, u64 now, u64 *next)
{
    enum err e = w->x->values[TOUCH] ? work_touch(w) : ERR_OK;

    if (e == ERR_OK)
        e = work_wait(w, 0);
    if (2 * now >= w->x->values[LASTS] * 1000) {
        steady.looks++;
        steady.large += w->watch->large;
    }
    *next = now + w->x->values[STEP] * 1000;
    return e;
}

static enum err work(struct work *w)
{
    u64 rate = rate_of(w->x, w->round), end = w->x->values[LASTS] * 1000, from = time_us(), looks_at = 0;
    enum err e = ERR_OK;

    steady.looks = steady.large = 0;
    for (u64 now = 0; now < end && e == ERR_OK; now = time_us() - from) {
        if (now >= looks_at)
            e = look(w, now, &looks_at);
        else if (w->conversions * 500000 <= now * rate) /* of two conversions each */
            e = work_cut(w, work_random_page(w), PAGE_BYTES);
        else
            e = world_wait(w->x, 1);
    }
    return e;
}

static void add(struct work *w, struct json *j)
{
    json_number(j, "rate", rate_of(w->x, w->round));
    json_object(j, "steady");
    json_number(j, "looks", steady.looks);
    json_number(j, "large_sum", steady.large);
    json_number(j, "permille", steady.looks ? steady.large * 1000 / (steady.looks * w->watch->count) : 0);
    json_end_object(j);
}

const struct workload workload_rate = {
    .name = "rate",
    .what =
        "pages at random are shared and taken back, a second: first slowest=, then 4 times as often, up to fastest=",
    .level = {1},
    .keeps_time = true,
    .plan = plan,
    .work = work,
    .add = add,
};
