/*
 * The VMM of a TD vCPU that takes posted interrupts (tests/system/tdcore/pair.h): CPU 1 runs it, CPU 0 posts, some ten thousand in
 * all, each vector again only when the TD has taken it. Meanwhile CPU 1 is kicked out of the TD and flushes, so that interrupts are
 * posted inside and outside, and their delivery meets TLB misses. One `storm: VCPU NAME VALUE` line each.
 */
#include <efi.h>

#include "tests/system/guests/lib/ap.h"
#include "tests/system/guests/lib/guest.h"
#include "tests/system/tdcore/pair.h"

#define TD_BYTES (32ull << 20)
#define TD_ALIGN (2ull << 20)
#define POSTS    20000u
#define KICKS    16u /* a kick and a flush for each so many posts */
#define VECTORS  (PAIR_SELF_VECTOR - PAIR_FIRST_VECTOR)

_Static_assert(PAIR_NOTIFICATION == AP_IPI_IGNORED, "a notification that comes outside the TD is nobody's");

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* Posted-interrupt descriptor: SDM volume 3, table 30-1. */
static struct {
    UINT64 requests[4], outstanding, reserved[3];
} descriptor __attribute__((aligned(64)));

static struct pair_mailbox *mailbox;
static volatile UINT64 *taken;
static UINT64 posted[256], commands;
static volatile UINT64 forgets, stop, flush, entries, not_acknowledged;

static void say(const char *name, UINT64 value)
{
    guest_say("storm", 0, name, value);
}

static UINT64 vmx_on(struct ap *ap)
{
    return guest_vmx_on(ap->vmxon_region);
}

/* What was posted outside is told of by a self-IPI, which waits for the entry. Interrupts stay off from the look to it. */
static UINT64 enter(void)
{
    __asm__ volatile("cli" ::: "memory");
    if (__atomic_load_n(&descriptor.outstanding, __ATOMIC_SEQ_CST) && !forgets)
        guest_wrmsr(AP_MSR_SELF, PAIR_NOTIFICATION);
    UINT64 why = guest_seamcall(PAIR_ENTER, 0, 0, 0);
    if ((why & 0xff) == PAIR_INTERRUPT) {
        unsigned vector = (unsigned)(why >> PAIR_VECTOR_SHIFT);
        not_acknowledged += !(guest_rdmsr(AP_MSR_ISR + vector / 32) >> vector % 32 & 1);
        guest_take_interrupt(vector);
    }
    __asm__ volatile("sti" ::: "memory");
    return why & 0xff;
}

static UINT64 run_vcpu(struct ap *ap)
{
    UINT64 why;
    do {
        if (flush)
            guest_seamcall(PAIR_INVEPT, 0, 0, 0);
        flush = 0;
        entries++;
        why = enter();
    } while (why == PAIR_INTERRUPT && !stop);
    return why;
}

/* --- posting ------------------------------------------------------------------------------------------------------------- */

static void put(unsigned vector)
{
    posted[vector]++;
    __atomic_fetch_or(&descriptor.requests[vector / 64], 1ull << vector % 64, __ATOMIC_SEQ_CST);
}

static void post(unsigned vector)
{
    put(vector);
    if (!(__atomic_fetch_or(&descriptor.outstanding, 1, __ATOMIC_SEQ_CST) & 1))
        ap_send(1, AP_ICR_FIXED | PAIR_NOTIFICATION);
}

static void kick(void)
{
    ap_send(1, AP_ICR_FIXED | AP_IPI_FIRST);
}

static void storm(void)
{
    for (unsigned i = 0; i < POSTS; i++) {
        unsigned vector = PAIR_FIRST_VECTOR + i % VECTORS;
        ap_wait(&taken[vector], posted[vector], "an interrupt that was posted");
        post(vector);
        if (i % KICKS)
            continue;
        flush = 1;
        kick();
    }
}

static UINT64 sum(const volatile UINT64 *of)
{
    UINT64 all = 0;
    for (unsigned v = 0; v < VECTORS; v++)
        all += of[PAIR_FIRST_VECTOR + v];
    return all;
}

static UINT64 vectors_that_differ(void)
{
    UINT64 differ = 0;
    for (unsigned v = PAIR_FIRST_VECTOR; v < PAIR_SELF_VECTOR; v++)
        differ += taken[v] != posted[v];
    return differ;
}

static void tell(enum pair_command command, UINT64 argument)
{
    mailbox->argument = argument;
    __atomic_store_n(&mailbox->command, ++commands << 8 | command, __ATOMIC_RELEASE);
}

/* Two turns of the TD: what has been let in by then is counted. */
static void wait_in_td(void)
{
    UINT64 self = taken[PAIR_SELF_VECTOR];
    ap_wait(&taken[PAIR_SELF_VECTOR], self + 2, "a self-IPI in the TD");
}

/* --- what is told -------------------------------------------------------------------------------------------------------- */

static void run_storm(void)
{
    tell(PAIR_STORM, 1);
    storm();
    for (unsigned v = PAIR_FIRST_VECTOR; v < PAIR_SELF_VECTOR; v++)
        ap_wait(&taken[v], posted[v], "an interrupt that was posted");
    wait_in_td();
    say("posted", sum(posted));
    say("taken", sum(taken));
    say("vectors that differ", vectors_that_differ());
    say("exits without acknowledge", not_acknowledged);
    say("entries enough", entries > POSTS / KICKS / 4);
}

/* Posted without a notification: nothing happens, whatever else takes the vCPU out and in, until one comes. */
static void run_forgetful(void)
{
    forgets = 1;
    put(PAIR_FIRST_VECTOR);
    __atomic_fetch_or(&descriptor.outstanding, 1, __ATOMIC_SEQ_CST);
    UINT64 before = entries;
    kick();
    ap_wait(&entries, before + 1, "an entry");
    wait_in_td();
    say("missing without a notification", posted[PAIR_FIRST_VECTOR] - taken[PAIR_FIRST_VECTOR]);
    ap_send(1, AP_ICR_FIXED | PAIR_NOTIFICATION);
    ap_wait(&taken[PAIR_FIRST_VECTOR], posted[PAIR_FIRST_VECTOR], "an interrupt told of late");
    wait_in_td();
    say("missing behind it", posted[PAIR_FIRST_VECTOR] - taken[PAIR_FIRST_VECTOR]);
    say("ON", descriptor.outstanding);
}

static void end(void)
{
    mailbox->argument = 0;
    ap_wait(&mailbox->done, mailbox->command, "the storm's end");
    say("self-IPIs lost", mailbox->value - taken[PAIR_SELF_VECTOR]);
    tell(PAIR_LEAVE, 0);
    say("end", ap_end(1));
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    EFI_PHYSICAL_ADDRESS at = 0x7fffffff;
    EFI_BOOT_SERVICES *boot = system->BootServices;
    if (EFI_ERROR(boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, (TD_BYTES + TD_ALIGN) / GUEST_PAGE, &at)))
        return EFI_OUT_OF_RESOURCES;
    UINT64 memory = (at + TD_ALIGN - 1) & ~(TD_ALIGN - 1);
    ap_setup(boot);
    vmx_on(ap_at(0));
    guest_seamcall(PAIR_BUILD, memory, 0, 0);
    guest_seamcall(PAIR_POSTED, (UINT64)&descriptor, 0, 0);
    mailbox = (struct pair_mailbox *)(memory + PAIR_MAILBOX);
    taken = (volatile UINT64 *)(memory + PAIR_COUNTS);
    for (unsigned v = 0; v < 256; v++)
        taken[v] = 0;
    ap_start_up(1, 0);
    ap_wait(&ap_at(1)->starts, 1, "a CPU");
    ap_run(1, vmx_on, 0);
    ap_begin(1, run_vcpu, 0);
    run_storm();
    run_forgetful();
    end();
    guest_put("storm: end\r\n");
    guest_power_off();
}
