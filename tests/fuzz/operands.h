/* From a byte or two of an input to an operand that is worth trying: operands.c. */
#ifndef TESTS_FUZZ_OPERANDS_H
#define TESTS_FUZZ_OPERANDS_H

#include "tests/fuzz/fuzz.h"

/* What a register of a leaf means. */
enum fuzz_kind {
    K_NONE, /* nothing: any value */
    K_TDR,
    K_TDVPR,
    K_CONTROL, /* a page of TDMR A, mostly a free one for control structures */
    K_GPA,     /* of a private page, level in bits 2:0; takes the second byte too */
    K_DATA,    /* a page to map at the GPA that came before, mostly at home */
    K_SOURCE,  /* VMM memory to read */
    K_OUTPUT,  /* VMM memory to write */
    K_TABLE,   /* a table in VMM memory */
    K_HKID,
    K_FIELD, /* metadata field id; the second byte is an element */
    K_SMALL, /* a small number */
    K_VALUE, /* bits worth trying */
};

struct fuzz_leaf {
    u8 number;
    u8 kinds[4]; /* of RCX, RDX, R8, R9 */
};

const struct fuzz_leaf *fuzz_seamcall_leaf(u8 choice);
const struct fuzz_leaf *fuzz_tdcall_leaf(u8 choice);
u64 fuzz_operand(enum fuzz_kind kind, u8 choice, u8 more, u64 *gpa);
u32 fuzz_msr(u8 choice);
u32 fuzz_exit_reason(u8 choice);

#endif
