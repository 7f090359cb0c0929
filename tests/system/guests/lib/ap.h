/*
 * The other CPUs, for guests: they come by INIT-SIPI-SIPI into long mode over identity tables, and do one piece of work after the
 * other that the first CPU gives them, sleeping meanwhile. x2APIC on all of them. A wait in vain ends the guest with a message.
 */
#ifndef TESTS_SYSTEM_GUESTS_LIB_AP_H
#define TESTS_SYSTEM_GUESTS_LIB_AP_H

#include <efi.h>

#define AP_MAX 8 /* APIC IDs below it */

/* ICR, with the destination in bits 63:32: SDM vol. 3, "Interrupt command register in x2APIC mode". */
#define AP_ICR_FIXED   0x4000u
#define AP_ICR_NMI     0x4400u
#define AP_ICR_INIT    0x4500u
#define AP_ICR_SIPI    0x4600u
#define AP_LOGICAL     0x800u
#define AP_TO_SELF     0x40000u
#define AP_TO_ALL      0x80000u
#define AP_TO_OTHERS   0xc0000u
#define AP_IPI_FIRST   0x40 /* these three vectors are counted, each apart */
#define AP_IPI_SECOND  0x50
#define AP_IPI_THIRD   0x60
#define AP_IPI_IGNORED 0xe0 /* ended, and nothing else */
#define AP_MSR_TPR     0x808
#define AP_MSR_ISR     0x810
#define AP_MSR_IRR     0x820 /* and the seven behind it */
#define AP_MSR_SELF    0x83f

/* What a CPU found at its first instruction behind SIPI: registers but RDX in one OR. */
struct ap_start {
    UINT64 cr0, cr4, rdx, registers, apic_base;
};

/* One CPU. Its own to write but for `asked`, `work` and `argument`. */
struct ap {
    UINT64 id;
    volatile UINT64 starts, ipis[3], nmis, undefined; /* undefined: #UDs; instructions of four bytes are skipped */
    struct ap_start at_start;
    UINT64 (*work)(struct ap *self);
    UINT64 argument, result;
    volatile UINT64 asked, done;
    UINT8 vmxon_region[4096] __attribute__((aligned(4096)));
};

/* Makes the trampoline, and puts the CPU that calls into x2APIC mode; interrupts stay off on it. */
void ap_setup(EFI_BOOT_SERVICES *boot);
/* On the first CPU, which keeps the firmware's table: a vector that is counted as the third IPI, and ended. */
void ap_count_here(unsigned vector);
/* Interrupts on for a moment: what waits is taken. */
void ap_let_in(void);
/* All that the firmware knows, this one included; before any is started. */
unsigned ap_count(EFI_BOOT_SERVICES *boot);
struct ap *ap_at(unsigned id);

void ap_send(UINT32 dest, UINT32 low);
/* INIT, 10 ms, SIPI twice, to `dest` or where a shorthand in `to` says. Does not wait for who comes. */
void ap_start_up(UINT32 dest, UINT32 to);
void ap_startup_only(UINT32 dest, UINT32 to);
void ap_pause_us(UINT64 us);
/* Until *word is at least `value`; `what` names it in the message. */
void ap_wait(const volatile UINT64 *word, UINT64 value, const char *what);

/* Work on another CPU: begin and end apart, or both. */
void ap_begin(unsigned id, UINT64 (*work)(struct ap *self), UINT64 argument);
UINT64 ap_end(unsigned id);
UINT64 ap_run(unsigned id, UINT64 (*work)(struct ap *self), UINT64 argument);

#endif
