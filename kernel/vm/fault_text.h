/* Failures of tdx/ and mm/ in words: what was being done, the step, the TDX status with its operand. */
#ifndef KERNEL_VM_FAULT_TEXT_H
#define KERNEL_VM_FAULT_TEXT_H

#include "mm/plan.h"
#include "tdx/td.h"

#define FAULT_TEXT_BYTES 320

struct fault_text {
    char text[FAULT_TEXT_BYTES];
};

/* Each returns `e`, so that a caller can say `return fault_say(...)`. */
enum err fault_say(struct fault_text *f, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum err fault_td(struct fault_text *f, const char *doing, const struct td_fault *td);
enum err fault_tdp(struct fault_text *f, const char *doing, const struct tdp_report *r);
/* A SEAMCALL of its own: "TDH.VP.WR". */
enum err fault_leaf(struct fault_text *f, const char *doing, const char *leaf, tdx_status_t status);

#endif
