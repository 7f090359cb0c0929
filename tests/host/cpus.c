/*
 * Host twin of kernel/cpus.c: one thread a CPU. A thread cannot be called away from its work, so a call runs in the
 * caller's thread under the other CPU's index.
 */
#include "tests/host/cpus.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/host/cpu.h"
#include "tests/host/platform.h"

#define CPUS_MAX 16u

struct cpus_host cpus_host;

static struct cpu {
    enum cpu_state state;
    void (*work)(void *arg);
    void *arg;
    pthread_t thread;
    _Atomic bool kicked;
    bool is_awake;
} cpus[CPUS_MAX] = {{.state = CPU_WORKS}};

static unsigned count = 1;
static bool stopping;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all above */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t call = PTHREAD_MUTEX_INITIALIZER; /* one call at a time is under way */

void cpus_start(void) {}

unsigned cpus_count(void)
{
    return count + cpus_host.failed;
}

unsigned cpus_online(void)
{
    return count;
}

enum cpu_state cpus_state(unsigned cpu)
{
    pthread_mutex_lock(&lock);
    enum cpu_state state = cpu < count ? cpus[cpu].state : CPU_FAILED;
    pthread_mutex_unlock(&lock);
    return state;
}

u32 cpus_package(unsigned cpu)
{
    return platform_host_lps[cpu].package;
}

u32 cpus_apic_id(unsigned cpu)
{
    return cpu;
}

static void *run(void *arg)
{
    struct cpu *self = arg;

    cpu_host_use((unsigned)(self - cpus));
    pthread_mutex_lock(&lock);
    while (!stopping) {
        if (!self->work || (cpus_host.drowsy == self - cpus && !self->is_awake)) {
            pthread_cond_wait(&changed, &lock);
            continue;
        }
        void (*work)(void *) = self->work;
        self->work = NULL;
        self->is_awake = false;
        pthread_mutex_unlock(&lock);
        work(self->arg);
        pthread_mutex_lock(&lock);
        self->state = CPU_IDLE;
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

void cpus_host_start(unsigned all)
{
    if (all > CPUS_MAX)
        abort();
    count = all;
    stopping = false;
    for (unsigned i = 1; i < count; i++) {
        cpus[i] = (struct cpu){.state = CPU_IDLE};
        if (pthread_create(&cpus[i].thread, NULL, run, &cpus[i]))
            abort();
    }
}

void cpus_host_stop(void)
{
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 1; i < count; i++)
        pthread_join(cpus[i].thread, NULL);
    count = 1;
}

enum err cpus_assign(unsigned cpu, void (*work)(void *arg), void *arg)
{
    if (cpu >= count || cpu == cpu_index())
        return ERR_NOT_FOUND;
    pthread_mutex_lock(&lock);
    bool is_idle = cpus[cpu].state == CPU_IDLE;
    if (is_idle) {
        cpus[cpu].state = CPU_WORKS;
        cpus[cpu].arg = arg;
        cpus[cpu].work = work;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return is_idle ? ERR_OK : ERR_BUSY;
}

void cpus_kick(unsigned cpu)
{
    __atomic_fetch_add(&cpus_host.kicks, 1, __ATOMIC_RELAXED);
    if (cpu < CPUS_MAX && cpus_host.unkickable != (int)cpu)
        cpus[cpu].kicked = true;
    if (cpu == 0 || cpu >= count || cpus_host.drowsy != (int)cpu || cpus_host.unkickable == (int)cpu)
        return;
    pthread_mutex_lock(&lock);
    cpus[cpu].is_awake = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* The threads' vCPUs take posted interrupts over when they enter only. */
void cpus_notify(unsigned cpu)
{
    cpus_kick(cpu);
}

bool cpus_host_take_kick(unsigned cpu)
{
    return cpus[cpu].kicked && atomic_exchange(&cpus[cpu].kicked, false);
}

enum err cpus_call(unsigned cpu, void (*work)(void *arg), void *arg)
{
    unsigned self = cpu_index();

    if (cpu >= count)
        return ERR_NOT_FOUND;
    if (cpu && cpus_host.deaf == (int)cpu)
        return ERR_TIMEOUT;
    pthread_mutex_lock(&call);
    cpu_host_use(cpu);
    work(arg);
    cpu_host_use(self);
    pthread_mutex_unlock(&call);
    return ERR_OK;
}

enum err cpus_call_each(void (*work)(void *arg), void *arg, unsigned *late)
{
    enum err first = ERR_OK;

    for (unsigned i = 0; i < count; i++) {
        enum err e = cpus_call(i, work, arg);
        if (e == ERR_OK)
            continue;
        first = e;
        *late = i;
    }
    return first;
}

void cpus_share(void (*work)(void *arg), void *arg)
{
    work(arg);
}

void cpus_answer(void) {}
