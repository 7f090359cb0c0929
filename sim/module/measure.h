/*
 * The build-time measurement of a TD, MRTD. TDX Module v1.5 Base Architecture Specification, "Measurement and
 * Attestation".
 */
#ifndef SIM_MODULE_MEASURE_H
#define SIM_MODULE_MEASURE_H

#include "sim/module/state.h"

void mdl_measure_begin(struct tdcs *tdcs);
void mdl_measure_page_add(struct tdcs *tdcs, u64 gpa);

#endif
