/* The CPUs of the machine. See cpus.h. SDM vol. 3, "Multiple-processor initialization". */
#include "kernel/cpus.h"

#include <stdatomic.h>

#include "drivers/acpi.h"
#include "drivers/apic.h"
#include "kernel/boot_info.h"
#include "kernel/hw/ap.h"
#include "kernel/hw/paging.h"
#include "kernel/hw/traps.h"
#include "kernel/guard/control.h"
#include "kernel/guard/mca.h"
#include "kernel/time.h"
#include "lib/hw/cpu.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "mm/page.h"

#define INIT_WAIT_US    10000 /* SDM: 10 ms behind INIT, 200 us between two SIPIs */
#define STARTUP_WAIT_US 200
#define STARTUP_TRIES   2
#define UP_WAIT_US      1000000
#define ANSWER_WAIT_US  2000000 /* a CPU inside the TD is out within microseconds, under emulation milliseconds */

#define STACK_BYTES (128 * KIB)

struct cpu {
    struct cpu_local local; /* first: GS points here */
    _Atomic enum cpu_state state;
    void (*_Atomic work)(void *arg); /* given and not begun */
    void *arg;
    _Atomic bool called;  /* a call waits for this CPU */
    _Atomic u64 answered; /* calls that have returned */
    u64 answered_before;  /* the call under way */
    u64 tsc_at_arrival;
};

static struct cpu cpus[CPU_COUNT_MAX] = {{.state = CPU_WORKS}};
static unsigned count = 1; /* constant after cpus_start(), as the next one */
static unsigned package_shift;

/* One call at a time is under way. */
static struct {
    struct spin lock;
    void (*work)(void *arg);
    void *arg;
} call;

unsigned cpus_count(void)
{
    return count;
}

enum cpu_state cpus_state(unsigned cpu)
{
    return cpu < count ? cpus[cpu].state : CPU_FAILED;
}

u32 cpus_apic_id(unsigned cpu)
{
    return cpus[cpu].local.apic_id;
}

u32 cpus_package(unsigned cpu)
{
    return cpus[cpu].local.apic_id >> package_shift;
}

static bool is_online(unsigned cpu)
{
    enum cpu_state state = cpus_state(cpu);
    return state == CPU_IDLE || state == CPU_WORKS;
}

unsigned cpus_online(void)
{
    unsigned online = 0;
    for (unsigned i = 0; i < count; i++)
        online += is_online(i);
    return online;
}

/* --- work --------------------------------------------------------------------------------------------------------- */

/* A CPU's life: halted until somebody has work for it. Interrupts are off between the look and the halt. */
_Noreturn static void idle(struct cpu *self)
{
    for (;;) {
        irq_disable();
        void (*work)(void *arg) = atomic_exchange(&self->work, NULL);
        if (!work) {
            irq_wait();
            continue;
        }
        irq_enable();
        work(self->arg);
        self->state = CPU_IDLE;
    }
}

void cpus_kick(unsigned cpu)
{
    if (is_online(cpu))
        apic_send_ipi(cpus[cpu].local.apic_id, APIC_VECTOR_CALL);
}

void cpus_notify(unsigned cpu)
{
    if (is_online(cpu))
        apic_send_ipi(cpus[cpu].local.apic_id, APIC_VECTOR_POSTED);
}

enum err cpus_assign(unsigned cpu, void (*work)(void *arg), void *arg)
{
    enum cpu_state idle_state = CPU_IDLE;

    if (!is_online(cpu) || cpu == cpu_index())
        return ERR_NOT_FOUND;
    if (!atomic_compare_exchange_strong(&cpus[cpu].state, &idle_state, CPU_WORKS))
        return ERR_BUSY;
    cpus[cpu].arg = arg;
    cpus[cpu].work = work;
    cpus_kick(cpu);
    return ERR_OK;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

void cpus_answer(void)
{
    struct cpu *self = &cpus[cpu_index()];

    if (!atomic_exchange(&self->called, false))
        return;
    call.work(call.arg);
    self->answered++;
}

/* Whoever waits here with interrupts off answers the call that it waits for. */
static void call_begin(void (*work)(void *arg), void *arg)
{
    while (!spin_try(&call.lock)) {
        u64 irq = cpu_irq_save();
        cpus_answer();
        cpu_irq_restore(irq);
        cpu_relax();
    }
    call.work = work;
    call.arg = arg;
}

static void ask(unsigned cpu)
{
    cpus[cpu].answered_before = cpus[cpu].answered;
    cpus[cpu].called = true;
    cpus_kick(cpu);
}

/* A call that is late is taken back, so that it does not run when its caller is gone; once begun it is waited for. */
static bool wait_for_answer(unsigned cpu)
{
    u64 from = time_us();

    while (cpus[cpu].answered == cpus[cpu].answered_before) {
        cpu_relax();
        if (time_us() - from > ANSWER_WAIT_US && atomic_exchange(&cpus[cpu].called, false))
            return false;
    }
    return true;
}

static void run_here(void (*work)(void *arg), void *arg)
{
    u64 irq = cpu_irq_save();
    work(arg);
    cpu_irq_restore(irq);
}

enum err cpus_call_each(void (*work)(void *arg), void *arg, unsigned *late)
{
    unsigned self = cpu_index();
    enum err e = ERR_OK;

    call_begin(work, arg);
    for (unsigned i = 0; i < count; i++)
        if (i != self && is_online(i))
            ask(i);
    run_here(work, arg);
    for (unsigned i = 0; i < count; i++) {
        if (i == self || !is_online(i) || wait_for_answer(i))
            continue;
        e = ERR_TIMEOUT;
        *late = i;
    }
    spin_unlock(&call.lock);
    return e;
}

enum err cpus_call(unsigned cpu, void (*work)(void *arg), void *arg)
{
    if (!is_online(cpu))
        return ERR_NOT_FOUND;
    if (cpu == cpu_index()) {
        run_here(work, arg);
        return ERR_OK;
    }
    call_begin(work, arg);
    ask(cpu);
    bool answered = wait_for_answer(cpu);
    spin_unlock(&call.lock);
    return answered ? ERR_OK : ERR_TIMEOUT;
}

/* --- shared work -------------------------------------------------------------------------------------------------- */

struct share {
    void (*work)(void *arg);
    void *arg;
    _Atomic unsigned running;
};

static void share_here(void *arg)
{
    struct share *s = arg;
    s->work(s->arg);
    s->running--;
}

void cpus_share(void (*work)(void *arg), void *arg)
{
    struct share s = {.work = work, .arg = arg};

    for (unsigned i = 1; i < count; i++) {
        s.running++;
        if (cpus_assign(i, share_here, &s) != ERR_OK)
            s.running--;
    }
    work(arg);
    while (s.running)
        cpu_relax();
}

/* --- start -------------------------------------------------------------------------------------------------------- */

/* The first C of a CPU, on its own stack, interrupts off. One that was given up meanwhile stays out. */
_Noreturn static void arrive(void *arg)
{
    struct cpu *self = arg;
    enum cpu_state starting = CPU_STARTING;

    cpu_set_local(&self->local);
    self->tsc_at_arrival = cpu_tsc();
    (void)control_unlimit_cpuid();
    mca_init();
    if (apic_init() != ERR_OK || !atomic_compare_exchange_strong(&self->state, &starting, CPU_IDLE))
        cpu_halt();
    idle(self);
}

/* Guard page, stack, and what the hardware layer keeps for a CPU. NULL: no memory. */
static struct ap_area *take_area(void)
{
    hpa_t at, area;

    if (page_alloc_range(PAGE_BYTES + STACK_BYTES, PAGE_BYTES, &at) != ERR_OK)
        return NULL;
    if (paging_unmap(at) != ERR_OK || page_alloc_range(ap_area_bytes(), PAGE_BYTES, &area) != ERR_OK)
        return NULL;
    return ap_area_make(phys_ptr(area), phys_ptr(hpa_add(at, PAGE_BYTES + STACK_BYTES)));
}

static bool is_up(const struct cpu *cpu)
{
    return cpu->state != CPU_STARTING;
}

static void send_startup(struct cpu *cpu, hpa_t trampoline)
{
    apic_send_init(cpu->local.apic_id);
    time_wait_us(INIT_WAIT_US);
    for (unsigned i = 0; i < STARTUP_TRIES && !is_up(cpu); i++) {
        apic_send_startup(cpu->local.apic_id, trampoline);
        time_wait_us(STARTUP_WAIT_US);
    }
    for (u64 from = time_us(); !is_up(cpu) && time_us() - from < UP_WAIT_US;)
        cpu_relax();
}

/* CPU 0's TSC before and after the other's first reading: an order that two TSCs of one time must keep. */
static void check_tsc(const struct cpu *cpu, u64 before)
{
    if (cpu->tsc_at_arrival < before || cpu->tsc_at_arrival > cpu_tsc())
        log_msg(LOG_WARN, "the TSC of CPU %u is not in step with that of CPU 0: times across CPUs mean nothing",
                cpu->local.index);
}

static void start(struct cpu *cpu, hpa_t trampoline)
{
    enum cpu_state starting = CPU_STARTING;
    struct ap_area *area = take_area();

    if (area) {
        u64 before = cpu_tsc();
        ap_aim(trampoline, area, arrive, cpu);
        send_startup(cpu, trampoline);
        if (is_up(cpu)) {
            check_tsc(cpu, before);
            return;
        }
    }
    if (!atomic_compare_exchange_strong(&cpu->state, &starting, CPU_FAILED))
        return;
    /* INIT, so that it does not come late, when the trampoline is aimed at the stack of the next. */
    apic_send_init(cpu->local.apic_id);
    log_msg(LOG_WARN, "CPU %u (APIC id %u) %s: it is left out", cpu->local.index, cpu->local.apic_id,
            area ? "did not start within a second" : "finds no memory for its stack");
}

/* In ACPI's order behind this one. The TDX module waits for those that are left out, so each is named. */
static void list(void)
{
    u32 self = apic_id();

    cpus[0].local.apic_id = self;
    package_shift = apic_package_shift();
    for (unsigned i = 0; i < acpi.cpu_count; i++) {
        if (!acpi.cpus[i].enabled || acpi.cpus[i].apic_id == self)
            continue;
        if (count == CPU_COUNT_MAX || !apic_can_reach(acpi.cpus[i].apic_id)) {
            log_msg(LOG_WARN, "the CPU with APIC id %u %s: it is left out", acpi.cpus[i].apic_id,
                    count == CPU_COUNT_MAX ? "is one more than Septum runs" : "is out of reach without x2APIC");
            continue;
        }
        cpus[count].local.index = count;
        cpus[count].local.apic_id = acpi.cpus[i].apic_id;
        count++;
    }
    if (acpi.cpus_left_out)
        log_msg(LOG_WARN, "ACPI lists %u CPUs more than Septum runs, which is %u: they are left out",
                acpi.cpus_left_out, count);
}

void cpus_start(void)
{
    hpa_t trampoline = boot_info()->trampoline;

    cpu_set_local(&cpus[0].local);
    list();
    if (count > 1)
        ap_place(trampoline);
    for (unsigned i = 1; i < count; i++)
        start(&cpus[i], trampoline);
}
