/*
 * A whole TDX machine in one process for the tests of mm/: the VMM's real mm/ and tdx/ drive the real module model,
 * and a TD with one vCPU does as it is told. The TD keeps a translation cache as hardware does, flushed only by the
 * epoch rules and by INVEPT, and a reference model says what each of its pages holds.
 *
 * Checked without being asked: no entry that a TD still holds in its cache ever translates to a page that is being
 * given away (AUG, a new table) or that its tables no longer map when it enters.
 */
#ifndef TESTS_HOST_TESTBED_H
#define TESTS_HOST_TESTBED_H

#include "mm/tdp.h"
#include "tdx/td.h"

#define TB_4K 0x1000ull
#define TB_2M 0x200000ull
#define TB_1G 0x40000000ull

struct testbed {
    struct td td;
    struct tdp *tdp;
    enum tdp_backing backing; /* of the next TD; stays */
    u64 bytes;                /* TD memory from GPA 0 */
    u64 free_before;          /* page_free_bytes() before the TD was made */
    u64 lost_before;          /* page_lost_bytes() then */
};
extern struct testbed tb;

/* A fresh machine: memory of 10 GiB, or so many bytes, the module ready. No TD of an earlier one is left. */
void tb_machine(void);
void tb_machine_of(u64 bytes);

/* A TD with one vCPU, finalised unless `unfinished`; largest mapping `level`. */
void tb_create(u64 bytes, level_t level, bool unfinished);
void tb_finalize(void);
/* Tears down; fails the test where pages are missing afterwards. */
void tb_destroy(void);

/* --- the TD ------------------------------------------------------------------------------------------------------ */

/* ACCEPT of one page of `level`; EPT violations go to tdp_fault(). Returns the TD's RAX, or ~0 where a fault was
 * answered by an error, which is then in tb_last_fault. */
u64 tb_accept(u64 gpa, unsigned level);
/* Accepts [gpa, gpa + bytes) as a guest would: 2M where aligned, 4K where that is refused. Fails the test where it
 * cannot. */
void tb_accept_range(u64 gpa, u64 bytes);

/* One access to the 8 bytes at `gpa` through the TD's cache and tables. False: a fault was answered by an error. */
bool tb_store(u64 gpa, bool shared, u64 value);
bool tb_load(u64 gpa, bool shared, u64 *value);

extern struct tdp_report tb_last_fault;
extern u64 tb_faults; /* EPT violations so far */

/* Lets the TD run for a moment. */
void tb_enter(void);

/* --- the reference model ----------------------------------------------------------------------------------------- */

/* Is the page accepted private memory, shared memory, or neither, as far as the TD knows? */
bool tb_is_accepted(u64 gpa);
bool tb_is_shared(u64 gpa);
/* Writes fresh words to the page (accepted or shared) and remembers them. */
void tb_write_page(u64 gpa);
/* Reads back what the page should hold; fails the test where it does not. */
void tb_verify_page(u64 gpa);
void tb_verify_range(u64 gpa, u64 bytes);

/* tdp_convert() of a range, the reference model following as far as the report says. */
struct tdp_report tb_convert(u64 gpa, u64 bytes, enum tdp_attr to);

/* Mirror and module agree everywhere (census over all of it), and no page is missing or twice there. */
void tb_check(void);

/* SEAMCALLs since the last call of tb_calls_reset(), page flushes (PHYMEM.PAGE.WBINVD) left out; and TRACKs. */
void tb_calls_reset(void);
u64 tb_calls(void);
u64 tb_tracks(void);

/* cmocka's fail() with a text. */
_Noreturn void tb_fail(const char *file, int line, const char *what, u64 value);
#define TB_FAIL(what, value) tb_fail(__FILE__, __LINE__, what, value)
#define TB_NEED(cond, value)                                                                                           \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            TB_FAIL(#cond, value);                                                                                     \
    } while (0)

#endif
