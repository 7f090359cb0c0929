/* The CPUID signature of a hypervisor, for the banner and for samples; never acted upon. SDM vol. 2,
 * CPUID.1:ECX[31]. */
#ifndef KERNEL_HYPERVISOR_H
#define KERNEL_HYPERVISOR_H

#define HYPERVISOR_BYTES 13

/* The 12 characters of leaf 0x40000000 (anything that is no text as '.'), or "none". Returns `to`. */
const char *hypervisor_signature(char to[HYPERVISOR_BYTES]);

#endif
