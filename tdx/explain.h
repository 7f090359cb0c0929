/*
 * Completion statuses in words: class, what Septum does about a verdict, what the lower half says, and for those that a person
 * with a server meets, why they come and what to do. tdx/status.h has names and verdicts.
 */
#ifndef TDX_EXPLAIN_H
#define TDX_EXPLAIN_H

#include "tdx/module.h"

/* "platform: CPUID, MSRs, SMRRs", of bits 47:40. */
const char *tdx_class_text(tdx_status_t s);

/* What Septum does about it: "repeats the call ...". */
const char *tdx_verdict_name(enum tdx_verdict v);
const char *tdx_verdict_text(enum tdx_verdict v);

/* What bits 31:0 hold: "the operand in RCX". Empty where the status carries nothing. */
void tdx_details_text(tdx_status_t s, char *to, size_t bytes);

/* Why it comes and what to do; empty where the name says all that is known. */
const char *tdx_hint(tdx_status_t s);

/* A status by name (TDX_ in front may be missing, either case) or number, 64 bits or the upper 32 alone. False: neither. */
MUST_CHECK bool tdx_status_find(const char *text, tdx_status_t *s);

/* Why the module did not start, behind leaf and status: details with the registers that the leaf gave, CPU, hint. Empty:
 * nothing more is known. */
void tdx_explain_init(const struct tdx_init_fault *f, char *to, size_t bytes);

#endif
