/*
 * A guest of the simulated platform whose first CPU exits to it over and over while all others load their x87 environment from
 * memory, which is no other CPU's business. QEMU 7.2 and 10.0 make it one: FLDENV, FRSTOR, FXRSTOR and XRSTOR on any CPU clear a bit
 * in a word of QEMU's first CPU, without a lock, and that word also says whether nested paging is on there. FLDENV is the shortest
 * of them, and so the most likely to show it. One `restore: CPU NAME VALUE` line each.
 */
#include <efi.h>

#include "tests/system/guests/lib/ap.h"
#include "tests/system/guests/lib/guest.h"

#define TICKS 5000000000ull /* 1 to 5 seconds, as fast as the TSC may be */
#define BATCH 100           /* between two looks at the clock or at `stop` */

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static volatile UINT64 stop;

/* Without a pending exception: with one, QEMU leaves the word alone. */
static UINT64 load(struct ap *ap)
{
    UINT32 environment[7];
    UINT64 rounds = 0;
    (void)ap;
    __asm__ volatile("fninit; fnstenv %0" : "=m"(environment));
    for (; !stop; rounds += BATCH)
        for (unsigned i = 0; i < BATCH; i++)
            __asm__ volatile("fldenv %0" ::"m"(environment));
    return rounds;
}

static UINT64 leave(void)
{
    UINT64 rounds = 0;
    for (UINT64 from = guest_tsc(); guest_tsc() - from < TICKS; rounds += BATCH)
        for (unsigned i = 0; i < BATCH; i++) {
            UINT32 a = 0, b, c = 0, d;
            __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        }
    return rounds;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    unsigned cpus = ap_count(system->BootServices);
    ap_setup(system->BootServices);
    ap_start_up(0, AP_TO_OTHERS);
    for (unsigned id = 1; id < cpus; id++)
        ap_wait(&ap_at(id)->starts, 1, "the start of a CPU");
    for (unsigned id = 1; id < cpus; id++)
        ap_begin(id, load, 0);
    UINT64 exits = leave();
    stop = 1;
    guest_say("restore", 0, "exits", exits);
    for (unsigned id = 1; id < cpus; id++)
        guest_say("restore", id, "loads", ap_end(id));
    guest_put("restore: end\r\n");
    guest_power_off();
}
