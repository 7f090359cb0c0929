/*
 * The VMM of the test module's TD of two vCPUs (tests/system/tdcore/pair.h): runs them on CPUs 1 and 2 at the same time, changes
 * what the Secure EPT says under them, and reports which of them sees what. One `pair: VCPU NAME VALUE` line each; a vCPU is inside
 * for as long as no line here takes it out, so every number is exact.
 */
#include <efi.h>

#include "tests/system/guests/lib/ap.h"
#include "tests/system/guests/lib/guest.h"
#include "tests/system/tdcore/pair.h"

#define TD_BYTES (32ull << 20)
#define TD_ALIGN (2ull << 20)
#define VCPUS    2
#define MEETINGS 2000
#define FIRST    0xaaa1 /* what the test module has at PAIR_REMAPPED at first */

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* `exits` is the CPU's that runs the vCPU, the rest this VMM's. */
static struct {
    volatile UINT64 exits, stop, invept;
    unsigned cpu;
    struct pair_mailbox *mailbox;
} vcpus[VCPUS];
static UINT64 memory, commands;

static UINT64 call(enum pair_leaf leaf, UINT64 operand)
{
    return guest_seamcall(leaf, operand, 0, 0);
}

static void say(unsigned vcpu, const char *name, UINT64 value)
{
    guest_say("pair", vcpu, name, value);
}

/* --- vCPUs ------------------------------------------------------------------------------------------------------------- */

static UINT64 vmx_on(struct ap *ap)
{
    return guest_vmx_on(ap->vmxon_region);
}

static UINT64 flush(struct ap *ap)
{
    return call(PAIR_INVEPT, 0);
}

/* Until the vCPU leaves for a reason of its own, or is to stop. Interrupts come in between. */
static UINT64 run_vcpu(struct ap *ap)
{
    UINT64 i = ap->argument, why;
    for (;;) {
        why = call(PAIR_ENTER, i);
        if ((why & 0xff) != PAIR_INTERRUPT)
            return why;
        guest_take_interrupt((unsigned)(why >> PAIR_VECTOR_SHIFT));
        if (vcpus[i].invept)
            call(PAIR_INVEPT, 0);
        vcpus[i].invept = 0;
        UINT64 stop = vcpus[i].stop;
        __atomic_fetch_add(&vcpus[i].exits, 1, __ATOMIC_RELEASE);
        if (stop)
            return PAIR_INTERRUPT;
    }
}

static void begin(unsigned i, unsigned cpu)
{
    vcpus[i].cpu = cpu;
    vcpus[i].stop = 0;
    ap_begin(cpu, run_vcpu, i);
}

static void tell(unsigned i, enum pair_command command, UINT64 argument)
{
    vcpus[i].mailbox->argument = argument;
    __atomic_store_n(&vcpus[i].mailbox->command, ++commands << 8 | command, __ATOMIC_RELEASE);
}

static void hear(unsigned i)
{
    ap_wait(&vcpus[i].mailbox->done, vcpus[i].mailbox->command, "a command in the TD");
}

static UINT64 look(unsigned i, UINT64 gpa)
{
    tell(i, PAIR_READ, gpa);
    hear(i);
    return vcpus[i].mailbox->value;
}

static void say_both(const char *name)
{
    for (unsigned i = 0; i < VCPUS; i++)
        say(i, name, look(i, PAIR_REMAPPED));
}

/* Only what is inside can be taken out: after a look it is. */
static void kick(unsigned i)
{
    look(i, PAIR_MAILBOX);
    UINT64 before = vcpus[i].exits;
    ap_send(vcpus[i].cpu, AP_ICR_FIXED | AP_IPI_FIRST);
    ap_wait(&vcpus[i].exits, before + 1, "the exit of a vCPU that was kicked");
}

static void stop(unsigned i)
{
    vcpus[i].stop = 1;
    kick(i);
    ap_end(vcpus[i].cpu);
}

/* --- what they see ------------------------------------------------------------------------------------------------------ */

static void meet(void)
{
    begin(0, 1);
    begin(1, 2);
    for (unsigned i = 0; i < VCPUS; i++)
        tell(i, PAIR_MEET, MEETINGS);
    for (unsigned i = 0; i < VCPUS; i++)
        hear(i);
    for (unsigned i = 0; i < VCPUS; i++) {
        say(i, "meetings", vcpus[i].mailbox->beats);
        say(i, "exits meanwhile", vcpus[i].exits);
    }
}

/* A TLB outlives exits, and INVEPT is one CPU's. */
static void flush_one_by_one(void)
{
    say_both("at first");
    call(PAIR_REMAP, FIRST + 1);
    kick(0);
    kick(1);
    say_both("remapped");
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i].invept = 1;
        kick(i);
        say_both(i ? "both flushed" : "one flushed");
    }
}

/* TRACK flushes nobody who is inside; each does so when it is entered in the new epoch. */
static void track(void)
{
    call(PAIR_REMAP, FIRST + 2);
    kick(0);
    kick(1);
    say_both("kicked without TRACK");
    call(PAIR_TRACK, 0);
    say_both("TRACK without kicks");
    kick(1);
    say_both("TRACK and one kick");
    kick(0);
    say_both("TRACK and both kicks");
}

/* What a CPU has of a vCPU it keeps when the vCPU goes elsewhere: to come back it needs a flush. */
static void migrate(void)
{
    stop(0);
    stop(1);
    call(PAIR_REMAP, FIRST + 3);
    begin(0, 2);
    say(0, "on another CPU", look(0, PAIR_REMAPPED));
    stop(0);
    begin(0, 1);
    say(0, "back again", look(0, PAIR_REMAPPED));
    stop(0);
    ap_run(1, flush, 0);
    begin(0, 1);
    say(0, "back and flushed", look(0, PAIR_REMAPPED));
    begin(1, 2);
    look(1, PAIR_MAILBOX);
}

/* Both at the same time; misses are counted a CPU. */
static void touch(const char *name)
{
    UINT64 before[VCPUS];
    for (unsigned i = 0; i < VCPUS; i++)
        before[i] = call(PAIR_MISSES, vcpus[i].cpu);
    for (unsigned i = 0; i < VCPUS; i++)
        tell(i, PAIR_TOUCH, PAIR_MAPPED);
    for (unsigned i = 0; i < VCPUS; i++)
        hear(i);
    for (unsigned i = 0; i < VCPUS; i++)
        say(i, name, call(PAIR_MISSES, vcpus[i].cpu) - before[i]);
}

/* Takes a vCPU out so that it flushes at entry, and waits outside: nothing is missed before the count begins. */
static void flushed_outside(unsigned i)
{
    stop(i);
    ap_run(vcpus[i].cpu, flush, 0);
}

static void count_misses(void)
{
    touch("misses, before");
    touch("misses, warm");
    flushed_outside(0);
    UINT64 from = call(PAIR_MISSES, 1);
    begin(0, 1);
    tell(0, PAIR_TOUCH, PAIR_MAPPED);
    hear(0);
    say(0, "misses, flushed", call(PAIR_MISSES, 1) - from);
    touch("misses, warm again");
}

/* A page of the TD that the VMM spoils is lost on all CPUs at once: who touches it dies, the other one goes on. */
static void spoil(void)
{
    UINT64 exits = vcpus[1].exits;
    *(volatile UINT64 *)(memory + PAIR_SPOILT) = 0x600d;
    call(PAIR_OWN, memory + PAIR_SPOILT);
    for (unsigned i = 0; i < VCPUS; i++)
        say(i, "the page before", look(i, PAIR_SPOILT));
    UINT64 misses = call(PAIR_MISSES, 2);
    *(volatile UINT64 *)(memory + PAIR_SPOILT) = 0xbad;
    tell(0, PAIR_READ, PAIR_SPOILT);
    say(0, "end by a spoilt page", ap_end(1));
    say(1, "goes on", look(1, PAIR_REMAPPED));
    say(1, "exits since", vcpus[1].exits - exits);
    say(1, "misses since", call(PAIR_MISSES, 2) - misses);
    tell(1, PAIR_LEAVE, 0);
    say(1, "end by itself", ap_end(2));
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    EFI_PHYSICAL_ADDRESS at = 0x7fffffff;
    EFI_BOOT_SERVICES *boot = system->BootServices;
    if (EFI_ERROR(boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, (TD_BYTES + TD_ALIGN) / GUEST_PAGE, &at)))
        return EFI_OUT_OF_RESOURCES;
    memory = (at + TD_ALIGN - 1) & ~(TD_ALIGN - 1);
    ap_setup(boot);
    vmx_on(ap_at(0));
    call(PAIR_BUILD, memory);
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i].mailbox = (struct pair_mailbox *)(memory + PAIR_MAILBOX + i * GUEST_PAGE);
        ap_start_up(i + 1, 0);
        ap_wait(&ap_at(i + 1)->starts, 1, "a CPU");
        ap_run(i + 1, vmx_on, 0);
    }
    meet();
    flush_one_by_one();
    track();
    migrate();
    count_misses();
    spoil();
    guest_put("pair: end\r\n");
    guest_power_off();
}
