/*
 * The lab's twins of kernel/hw/: no tables to load and none to build, interrupts are the machine's (machine.h), and the
 * trampoline of other CPUs is a pair of pointers. Exceptions end the process.
 */
#include "kernel/hw/traps.h"

#include <stdlib.h>

#include "kernel/hw/ap.h"
#include "kernel/hw/firmware.h"
#include "kernel/hw/paging.h"
#include "lab/firmware.h"
#include "lab/machine.h"
#include "lib/hw/fixup.h"

void traps_init(struct traps_tables *tables)
{
    (void)tables;
}

u64 traps_cr4_found(void)
{
    return 0;
}

u64 fixup_find(u64 rip)
{
    (void)rip;
    return 0;
}

void irq_enable(void)
{
    machine_self->interrupts_on = true;
    machine_take_interrupts();
}

void irq_disable(void)
{
    machine_self->interrupts_on = false;
}

void irq_wait(void)
{
    bool were_on = machine_self->interrupts_on;

    machine_halt();
    irq_enable();
    machine_self->interrupts_on = were_on;
}

void nmi_take(void) {}

/* After a panic, or where a power-off did not work: there is nobody who could press a button. */
_Noreturn void cpu_halt(void)
{
    machine_stop("CPU %u is halted for good", machine_index());
}

u64 cpu_cr2(void)
{
    return 0;
}

unsigned cpu_backtrace(u64 rbp, u64 *addresses, unsigned max)
{
    (void)rbp;
    (void)addresses;
    (void)max;
    return 0;
}

u64 cpu_frame_pointer(void)
{
    return 0;
}

u64 image_base(void)
{
    return 0;
}

u64 image_bytes(void)
{
    return 0;
}

/* --- page tables -------------------------------------------------------------------------------------------------- */

enum err paging_init(const struct paging_config *config)
{
    (void)config;
    return ERR_OK;
}

enum err paging_unmap(hpa_t page)
{
    (void)page;
    return ERR_OK;
}

/* The lab's firmware has no runtime services. */
void paging_let_firmware_run(void) {}

bool firmware_call(u64 service, u64 a)
{
    (void)service;
    (void)a;
    return false;
}

bool firmware_give_up(struct trap_frame *frame)
{
    (void)frame;
    return false;
}

/* --- other CPUs --------------------------------------------------------------------------------------------------- */

static struct {
    void (*to)(void *arg);
    void *arg;
} aim;

u64 ap_area_bytes(void)
{
    return PAGE_BYTES;
}

struct ap_area *ap_area_make(void *memory, void *stack_top)
{
    (void)stack_top; /* it runs on a stack of the lab's, with a guard page that works */
    return memory;
}

void ap_place(hpa_t trampoline)
{
    (void)trampoline;
}

void ap_aim(hpa_t trampoline, struct ap_area *area, void (*to)(void *arg), void *arg)
{
    (void)trampoline;
    (void)area;
    aim.to = to;
    aim.arg = arg;
}

void firmware_start_cpu(unsigned cpu)
{
    machine_start_cpu(cpu, aim.to, aim.arg);
}
