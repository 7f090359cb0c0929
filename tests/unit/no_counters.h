/* A vCPU of the payload without performance counters, in tests that are about other things. */
#ifndef TESTS_UNIT_NO_COUNTERS_H
#define TESTS_UNIT_NO_COUNTERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guest/hw/td.h"

void td_cpuid(uint32_t leaf, uint32_t regs[4])
{
    fail();
}

uint64_t td_read_msr(uint32_t msr)
{
    fail();
    return 0;
}

void td_write_msr(uint32_t msr, uint64_t value)
{
    fail();
}

#endif
