/*
 * What a hostile TD asks its VMM for, under libFuzzer: kernel/vm/ghci/, the devices and interrupts behind it, and drivers/virt/. An input
 * is a list of calls of some bytes each: a vCPU, a leaf, and words for R12 to R15 by a byte that says what each is near to. After
 * each call the answer is one that the GHCI has, no lock is held, and what the devices count is in bounds. Memory is played: what
 * may be converted or held is checked to lie inside of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/apic.h"
#include "guest/shim/machine.h"
#include "kernel/cpus.h"
#include "kernel/time.h"
#include "kernel/timer.h"
#include "kernel/vm/devices.h"
#include "kernel/vm/ghci/ghci.h"
#include "kernel/vm/guest_console.h"
#include "kernel/vm/interrupt.h"
#include "kernel/vm/run.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "lib/trace.h"

#define NEED(condition) ((condition) ? (void)0 : need_failed(#condition))

#define VCPUS  3u
#define MEMORY (64 * MIB)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static _Noreturn void need_failed(const char *condition)
{
    fprintf(stderr, "not so: %s\n", condition);
    abort();
}

/* --- what the room needs of the machine --------------------------------------------------------------------------- */

struct vm vm;
_Atomic bool trace_is_on;
static u64 tsc;
static u8 *shared_page; /* of exactly one page */
static bool is_held;

void trace_store(enum trace_event event, u64 a, u64 b, u64 c, u64 d) {}
void log_msg(enum log_level level, const char *fmt, ...) {}
void panic(const char *fmt, ...)
{
    need_failed(fmt);
}
void vm_cost_add(struct vm_cost *cost, const struct tdp_report *r) {}
enum err fault_say(struct fault_text *f, enum err e, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    format_v(f->text, sizeof(f->text), fmt, args);
    va_end(args);
    return e;
}
enum err fault_td(struct fault_text *f, const char *doing, const struct td_fault *td)
{
    return td->err;
}
const char *tdx_status_name(tdx_status_t s)
{
    return "";
}
unsigned cpu_index(void)
{
    return 0;
}
u64 cpu_tsc(void)
{
    return tsc;
}
void cpu_relax(void) {}
u64 cpu_irq_save(void)
{
    return 0;
}
void cpu_irq_restore(u64 saved) {}
u64 time_tsc_khz(void)
{
    return 2000000;
}
void timer_set_alarm(u64 at) {}
void cpus_kick(unsigned cpu)
{
    NEED(cpu >= 1 && cpu <= VCPUS);
}
void cpus_notify(unsigned cpu)
{
    cpus_kick(cpu);
}
bool apic_is_x2(void)
{
    return true;
}
unsigned run_index(const struct vm_vcpu *v)
{
    return (unsigned)(v - vm.vcpus);
}
unsigned run_cpu(unsigned index)
{
    NEED(index < VCPUS);
    return index + 1;
}
struct td_fault vcpu_set_posted(struct vcpu *v, struct posted_interrupts *posted, u8 vector)
{
    v->posted = posted;
    return (struct td_fault){.err = ERR_OK};
}
struct td_fault vcpu_pend_nmi(struct vcpu *v)
{
    return (struct td_fault){.err = ERR_OK};
}
void *page_take(u64 bytes)
{
    return calloc(1, bytes);
}
void page_give(void *pages, u64 bytes)
{
    free(pages);
}

/* The first half of a conversion is done, every third time none of it, or it is refused. */
struct tdp_report tdp_convert(struct tdp *t, gpa_t gpa, u64 bytes, enum tdp_attr to, struct plan *dry)
{
    struct tdp_report r = {.err = ERR_OK};

    NEED(bytes != 0 && is_aligned(gpa.raw | bytes, PAGE_BYTES) && gpa.raw + bytes > gpa.raw && bytes <= GIB);
    if (gpa.raw + bytes > MEMORY)
        r.err = ERR_RANGE;
    else if (gpa.raw / PAGE_BYTES % 3 == 0)
        r.err = ERR_BUSY;
    r.at = gpa_add(gpa, gpa.raw / PAGE_BYTES % 2 ? align_down(bytes / 2, PAGE_BYTES) : 0);
    return r;
}

/* Pages with an odd number are shared. */
void *tdp_shared_hold(struct tdp *t, gpa_t gpa, struct claim *claim)
{
    NEED(!is_held && gpa.raw < MEMORY && is_aligned(gpa.raw, PAGE_BYTES));
    is_held = gpa.raw / PAGE_BYTES % 2;
    return is_held ? shared_page : NULL;
}
void tdp_shared_release(struct tdp *t, struct claim *claim)
{
    NEED(is_held);
    is_held = false;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

struct input {
    const u8 *at;
    size_t left;
};

static u8 byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static u64 raw(struct input *in, unsigned bytes)
{
    u64 value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (u64)byte(in) << 8 * i;
    return value;
}

/* Near to what the leafs look at, or any. */
static u64 word(struct input *in)
{
    static const u64 near[] = {0,     1,
                               2,     4,
                               8,     MACHINE_UART_PORT,
                               0x600, 0x602,
                               0x830, 0x832,
                               0x838, 0x83e,
                               0x34,  MACHINE_IOAPIC_GPA,
                               MIB,   0x40000000,
                               0x1b,  1ull << 47 | 0x1000};
    u8 kind = byte(in);

    if (kind < 192)
        return near[kind % ARRAY_COUNT(near)] + (kind >= 96 ? byte(in) % 32 : 0);
    if (kind < 224)
        return raw(in, 1 + kind % 4);
    return raw(in, 8);
}

static u64 leaf(struct input *in)
{
    static const u64 leafs[] = {10,      12,      30,      31,      32,      48,      54,     65,
                                0x10000, 0x10001, 0x10002, 0x10003, 0x10004, 0x10005, 0x1ffff};
    u8 kind = byte(in);

    return kind < 250 ? leafs[kind % ARRAY_COUNT(leafs)] : raw(in, 8);
}

static void check_answer(const struct seamcall_regs *r, enum ghci_next next)
{
    static const u64 statuses[] = {
        0, 1, 0x8000000000000000, 0x8000000000000001, 0x8000000000000002, 0x8000000000000003};
    bool is_known = next == GHCI_FATAL || next == GHCI_OFF;

    for (unsigned i = 0; i < ARRAY_COUNT(statuses); i++)
        is_known |= r->r10 == statuses[i];
    NEED(is_known && next <= GHCI_FATAL && !is_held);
}

static void call(struct input *in)
{
    struct fault_text why;
    unsigned index = byte(in) % VCPUS;
    struct seamcall_regs *r = &vm.td.vcpus[index].regs;

    *r = (struct seamcall_regs){.r10 = byte(in) == 255, .r11 = leaf(in)};
    r->r12 = word(in);
    r->r13 = word(in);
    r->r14 = word(in);
    r->r15 = word(in);
    why.text[0] = '\0';
    check_answer(r, ghci_vmcall(index, &why));
    NEED(memchr(why.text, 0, sizeof(why.text)) != NULL);
    tsc += raw(in, 2) << byte(in) % 16;
    interrupt_tick(&vm.vcpus[index]);
    (void)interrupt_wakes(&vm.vcpus[index]);
    NEED(vm.vcpus[index].apic.due > interrupt_bus_now());
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, size};
    struct fault_text fault;
    const char typed[] = "abc";

    memset(&vm, 0, sizeof(vm));
    vm.kind = VM_LINUX;
    vm.state = VM_RUNNING;
    vm.memory_bytes = MEMORY;
    vm.vcpu_count = vm.td.vcpu_count = VCPUS;
    vm.td.shared_bit = 47;
    vm.td.tsc_khz = 2000000;
    tsc = 0;
    for (unsigned i = 0; i < TD_VCPUS_MAX; i++)
        vapic_reset(&vm.vcpus[i].apic, i);
    guest_console_reset();
    devices_reset();
    NEED(interrupt_init(&fault) == ERR_OK);
    shared_page = malloc(PAGE_BYTES);
    while (in.left != 0) {
        call(&in);
        if (byte(&in) % 8 == 0)
            (void)guest_console_type(typed, sizeof(typed));
    }
    free(shared_page);
    interrupt_end();
    return 0;
}
