/* What the files of the crowd share: tests/host/crowd.c the operators, the machine and the run; crowd_guest.c the vCPUs and
 * their memory; crowd_module.c what the module is made to answer. ABI numbers are typed here again. */
#ifndef TESTS_HOST_CROWD_INTERNAL_H
#define TESTS_HOST_CROWD_INTERNAL_H

#include "sim/module/seam.h"
#include "tests/host/crowd.h"

#define K4             0x1000ull
#define M2             0x200000ull
#define COMMON_REGIONS 6u
#define OWN_REGIONS    2u
#define PIECE          0x10000ull
#define GUESTS_MAX     7u
#define GIANT          ((gpa_t){0x40000000})
#define GIANT_BYTES    0x40000000ull
#define PAGES_MAX      ((COMMON_REGIONS + OWN_REGIONS * GUESTS_MAX) * 512)
#define TLB_ENTRIES    24u
#define SHORT_STAY     40u /* turns inside after an access */
#define LONG_STAY      20000u
#define TRIES_MAX      1000000u
#define SHARED_BIT     (1ull << 47)
#define LEAF_PROMOTE   23u

struct tlb_entry {
    u64 gpa, hpa, bytes; /* gpa with its shared bit */
};

enum page_state { PAGE_NONE, PAGE_ACCEPTED, PAGE_SHARED };

/* What its owner knows of a page: nobody else looks. */
struct page {
    enum page_state state;
    u64 version;
};

struct guest {
    unsigned index;
    struct vcpu *v;
    u64 random;
    /* what it wants to do next, inside */
    enum { WANT_ACCESS, WANT_ACCEPT } want;
    u64 gpa, value, rip;
    unsigned level;
    bool write, flying, done;
    u64 result; /* what was read; RAX of ACCEPT */
    struct tlb_entry tlb[TLB_ENTRIES];
    unsigned tlb_used, tlb_next;
    u64 invepts;
    /* a spy: it has the translation, it is told to write, it has ended with `end` */
    bool is_spy;
    _Atomic bool inside, told, ended;
    enum err end;
};

struct crowd {
    const struct crowd_plan *plan;
    struct crowd_result result;
    struct td td;
    struct tdp *tdp;
    u64 bytes;
    struct page pages[PAGES_MAX];
    struct guest guests[GUESTS_MAX];
    _Atomic unsigned at_work; /* guests */
    _Atomic bool give_up;
};
extern struct crowd crowd;

extern _Thread_local struct guest *self; /* whose thread this is; NULL: an operator's */
extern _Thread_local u64 dice_state;
extern _Thread_local bool may_fail; /* the operation under way has met no fault yet */

void need(bool good, const char *what, u64 value); /* else the test ends here, with the seed that repeats it */
_Noreturn void crowd_fail(const char *what, u64 value);
u64 count(u64 *counter);
u64 dice(u64 n);

/* --- crowd_guest.c --- */

struct page *page_at(u64 gpa);
unsigned owner_of(u64 gpa);
/* Runs the TD of the calling thread's vCPU: what guest_program is. */
void crowd_run_td(struct seam_lp *lp);
void do_access(u64 gpa, bool write, u64 value);
void verify_page(u64 gpa);
/* False: a page of this level cannot be accepted here. */
bool accept(u64 gpa, unsigned level);
void guest_step(void);
/* Counts how an operation ended; may it end so? */
void note(const struct tdp_report *r);
void may(struct tdp_report r);
bool is_injected(const struct tdp_report *r);
bool is_over(const struct tdp_report *r);

/* --- crowd_module.c --- */

/* From now on the module meets what the plan wants: BUSY, interrupts, faults. */
void crowd_module_begin(void);
void crowd_module_end(void);
unsigned crowd_faults_missing(void);
bool crowd_stop(void);

#endif
