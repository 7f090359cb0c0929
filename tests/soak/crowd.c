/*
 * The random crowd of tests/host/crowd.h for as long as one likes, without sanitizers: one machine and TD after another,
 * each a round with a plan and a work of its own that follow from its seed.
 *
 *   crowd [steps=N] [seconds=N] [seed=S] [same=1]
 *
 * Rounds begin until the vCPUs have made `steps` steps (1000000) or `seconds` are over (0: no end). The first round has
 * seed S (1), the next S + 1, with same=1 all have S. A failure says which seed begins with the round that failed. In rounds
 * whose threads take turns all repeats; in the others each thread makes the same choices, but how they meet is the machine's
 * affair: same=1 tries again and again.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/bits.h"
#include "tests/host/crowd.h"

/* Of each vCPU, so that a round takes about a second. */
#define STEPS_FREE    20000u
#define STEPS_FAULTY  5000u
#define STEPS_TURNS   1000u
#define ROUND_LIMIT_S 1200u /* a net for what hangs */
#define CPUS_MAX      8u
#define LINE_EVERY_S  60.0

static struct {
    u64 steps, seconds, seed, same;
} wanted = {.steps = 1000000, .seed = 1};

static char last_words[160];

static u64 dice(u64 *state, u64 n)
{
    *state += 0x9e3779b97f4a7c15ull;
    u64 z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (z ^ (z >> 31)) % n;
}

/* Of 16 rounds: 12 as threads run, 2 where leaves fail, 2 with turns, in one of which leaves fail or the TD dies. */
static struct crowd_plan plan_of(u64 seed)
{
    u64 d = seed;
    unsigned kind = (unsigned)dice(&d, 16);
    struct crowd_plan p = {.seed = seed, .steps = STEPS_FREE, .stops = 1};

    p.vcpus = 2 + (unsigned)dice(&d, 4);
    p.operators = (unsigned)dice(&d, 2);
    p.backing = dice(&d, 3) ? TDP_INPLACE : TDP_SCATTER;
    p.giant = p.backing == TDP_INPLACE && dice(&d, 4) == 0;
    p.busy = (unsigned)dice(&d, 20);
    p.interrupts = (unsigned)dice(&d, 20);
    if (kind >= 14) {
        p.baton = 20 + (unsigned)dice(&d, 80);
        p.steps = STEPS_TURNS;
        p.fatal_at = kind == 15 && dice(&d, 2) ? 50 + dice(&d, 20000) : 0;
    }
    if (kind == 12 || kind == 13 || (kind == 15 && !p.fatal_at)) {
        p.faults = 1 + (unsigned)dice(&d, 15);
        p.steps = min_u64(p.steps, STEPS_FAULTY);
    }
    return p;
}

/* Says which round it was, and lets the signal end the process. */
static void at_the_end(int number)
{
    ssize_t done = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)done;
    signal(number == SIGALRM ? SIGABRT : number, SIG_DFL);
    raise(number == SIGALRM ? SIGABRT : number);
}

static void begin_round(const struct crowd_plan *p)
{
    snprintf(last_words, sizeof(last_words), "\ncrowd: FAILED: `crowd seed=%llu steps=1` is this round%s\n",
             (unsigned long long)p->seed,
             p->baton ? ", and repeats it" : "; with same=1 steps=100000000 its threads meet anew in each");
    alarm(ROUND_LIMIT_S);
}

static struct crowd_result run_round(u64 seed)
{
    struct crowd_plan p = plan_of(seed);

    begin_round(&p);
    struct crowd_result r = crowd_run(&p);
    if ((!p.fatal_at && r.steps != p.vcpus * p.steps) || !r.operations) {
        fprintf(stderr, "crowd: a round ended early: %llu steps, %llu operations\n", (unsigned long long)r.steps,
                (unsigned long long)r.operations);
        abort();
    }
    return r;
}

static double seconds_now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void report(const struct crowd_result *sum, u64 rounds, double seconds)
{
    printf("crowd: %llu steps in %llu rounds, %llu faults, %llu operations (%llu busy, %llu stopped): %.0f s, %.0f "
           "steps/s\n",
           (unsigned long long)sum->steps, (unsigned long long)rounds, (unsigned long long)sum->faults,
           (unsigned long long)sum->operations, (unsigned long long)sum->busy, (unsigned long long)sum->interrupted,
           seconds, (double)sum->steps / seconds);
    fflush(stdout);
}

static void add(struct crowd_result *sum, const struct crowd_result *r)
{
    sum->steps += r->steps;
    sum->faults += r->faults;
    sum->operations += r->operations;
    sum->busy += r->busy;
    sum->interrupted += r->interrupted;
}

static void run_rounds(void)
{
    struct crowd_result sum = {0};
    double start = seconds_now(), now = start, last_line = start;
    u64 rounds = 0;

    printf("crowd: seed=%llu steps=%llu seconds=%llu\n", (unsigned long long)wanted.seed,
           (unsigned long long)wanted.steps, (unsigned long long)wanted.seconds);
    fflush(stdout);
    while (sum.steps < wanted.steps && (!wanted.seconds || now - start < (double)wanted.seconds)) {
        if (now - last_line >= LINE_EVERY_S) {
            report(&sum, rounds, now - start);
            last_line = now;
        }
        struct crowd_result r = run_round(wanted.seed + (wanted.same ? 0 : rounds));
        add(&sum, &r);
        rounds++;
        now = seconds_now();
    }
    alarm(0);
    report(&sum, rounds, now - start);
}

static bool take(const char *argument)
{
    static const struct {
        const char *name;
        u64 *value;
    } keys[] = {
        {"steps=", &wanted.steps}, {"seconds=", &wanted.seconds}, {"seed=", &wanted.seed}, {"same=", &wanted.same}};

    for (unsigned i = 0; i < ARRAY_COUNT(keys); i++) {
        size_t length = strlen(keys[i].name);
        if (strncmp(argument, keys[i].name, length) != 0)
            continue;
        char *end;
        *keys[i].value = strtoull(argument + length, &end, 0);
        return argument[length] && !*end;
    }
    return false;
}

int main(int argc, char **argv)
{
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};

    for (int i = 1; i < argc; i++)
        if (!take(argv[i])) {
            fprintf(stderr, "crowd: '%s': steps=N, seconds=N, seed=N and same=0|1 are known\n", argv[i]);
            return 2;
        }
    for (unsigned i = 0; i < ARRAY_COUNT(deadly); i++)
        signal(deadly[i], at_the_end);
    run_rounds();
    return 0;
}
