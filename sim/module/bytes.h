/* Filling, copying and comparing memory, long division; the model runs where there is no C library. */
#ifndef SIM_MODULE_BYTES_H
#define SIM_MODULE_BYTES_H

#include "sim/types.h"

/* `count` times the same 8 bytes. */
void mdl_fill(void *to, u64 value, size_t count);
void mdl_copy(void *to, const void *from, size_t bytes);
bool mdl_is_zero(const void *at, size_t bytes);

/* 128 by 64 bits for a quotient that fits 64 bits; there is no compiler library for it either. */
u64 mdl_divide(unsigned __int128 dividend, u64 divisor);

#endif
