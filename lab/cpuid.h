/* The lab's processor: a TDX server's, with a hypervisor's signature that says what it is. */
#ifndef LAB_CPUID_H
#define LAB_CPUID_H

#include "lib/types.h"

#define LAB_TSC_HZ 2000000000ull /* what leaf 0x15 says */

/* EAX, EBX, ECX, EDX; zeros for a leaf that it has not. */
void cpuid_answer(u32 leaf, u32 subleaf, u32 out[4]);

#endif
