/*
 * A walk of the guest's own page tables, one entry at a time: SDM volume 3, chapter "Paging". The caller reads the
 * entries, for only it knows how guest-physical memory is reached. Pure logic.
 *
 *     struct gpt_walk walk = gpt_begin(&mode, linear);
 *     while (!walk.done)
 *         gpt_step(&walk, <walk.entry_bytes bytes at walk.entry_gpa>);
 */
#ifndef SIM_MACHINE_GPT_H
#define SIM_MACHINE_GPT_H

#include "sim/types.h"

enum gpt_paging { GPT_OFF, GPT_32, GPT_PAE, GPT_4_LEVEL, GPT_5_LEVEL };

struct gpt_mode {
    enum gpt_paging paging;
    bool no_execute; /* EFER.NXE */
    u64 cr3;
    unsigned physical_bits; /* of a GPA: higher bits of an entry are reserved */
};

struct gpt_walk {
    struct gpt_mode mode;
    u64 linear;
    unsigned level; /* of the entry to read next */
    u64 entry_gpa;
    unsigned entry_bytes; /* 4 or 8 */
    bool done;
    /* when done */
    bool present, reserved; /* reserved: a reserved bit was set */
    bool writable, user, execute;
    u64 gpa;
    unsigned page_shift;
};

struct gpt_walk gpt_begin(const struct gpt_mode *mode, u64 linear);
void gpt_step(struct gpt_walk *walk, u64 entry);

#endif
