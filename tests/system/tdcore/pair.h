/*
 * What the test module, its TD of two vCPUs (pair.asm) and its VMM (guests/pair.c) know of each other. The TD's memory is the
 * VMM's own here, so a vCPU inside the TD takes commands through a mailbox and need not leave for them.
 */
#ifndef TESTS_SYSTEM_TDCORE_PAIR_H
#define TESTS_SYSTEM_TDCORE_PAIR_H

#include <stdint.h>

/* SEAMCALL leaves beside 1 and 2; the operand is in RCX, the result in RAX. */
enum pair_leaf {
    PAIR_BUILD = 3,   /* in 32 MiB of memory at RCX */
    PAIR_ENTER = 4,   /* vCPU RCX; returns an enum pair_exit */
    PAIR_REMAP = 5,   /* another page comes to PAIR_REMAPPED, which begins with RCX; nothing is flushed */
    PAIR_TRACK = 6,   /* a new epoch: a vCPU that enters with an older one flushes first */
    PAIR_INVEPT = 7,  /* on this CPU */
    PAIR_MISSES = 8,  /* of 4K pages on CPU RCX since the start */
    PAIR_OWN = 9,     /* the page at RCX is the module's, as far as the guard is concerned */
    PAIR_POSTED = 10, /* vCPU 0 takes posted interrupts by the descriptor at RCX, PAIR_NOTIFICATION tells of them */
};

/* With an interrupt's vector above. */
#define PAIR_VECTOR_SHIFT 8
enum pair_exit { PAIR_INTERRUPT = 1, PAIR_LEFT = 2, PAIR_DIED = 3, PAIR_MACHINE_CHECK = 4 };

/* Guest-physical. All of the first MiB is mapped by 4K pages. */
#define PAIR_CODE     0x30000
#define PAIR_MAILBOX  0x50000 /* of vCPU 0; that of vCPU 1 is in the next page */
#define PAIR_COUNTS   0x58000 /* interrupts taken, 8 bytes a vector */
#define PAIR_SPOILT   0x60000
#define PAIR_IDT      0x70000
#define PAIR_REMAPPED 0x402000
#define PAIR_MAPPED   0x100000

/* pair.asm knows the offsets. A command is a number that no command had before, shifted left by 8, and one of these. */
struct pair_mailbox {
    volatile uint64_t command, done, argument, value, beats;
};
enum pair_command {
    PAIR_READ = 1,  /* 8 bytes at `argument`, to `value` */
    PAIR_MEET = 2,  /* so many times: counts `beats` up, and waits for the other vCPU to do so */
    PAIR_TOUCH = 3, /* a read in each page below `argument` */
    PAIR_LEAVE = 4, /* TDCALL */
    PAIR_STORM = 5, /* takes interrupts until `argument` is 0, and sends itself some: `value` of them */
};

#define PAIR_NOTIFICATION 0xe0
#define PAIR_FIRST_VECTOR 0x30 /* that have handlers in the TD, up to the self-IPI's, which is the highest */
#define PAIR_SELF_VECTOR  0x6f

#endif
