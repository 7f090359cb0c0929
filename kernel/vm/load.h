/*
 * What lies in the TD's memory before it runs, by payload: the probe (load_probe.c), or a Linux with the shim that leads it in
 * (load_linux.c). The ROM with the reset vector is the same for both (load.c). Layout is calculated, and everything checked that
 * can be, before anything is created. For kernel/vm/ alone.
 */
#ifndef KERNEL_VM_LOAD_H
#define KERNEL_VM_LOAD_H

#include "kernel/vm/payload.h"
#include "kernel/vm/vm.h"

/* Where the parts go in vm.memory_bytes: vm.payload, vm.payload_bytes, vm.rom and what else the payload has. ERR_RANGE: they do
 * not fit. */
MUST_CHECK enum err probe_layout(struct fault_text *fault);
MUST_CHECK enum err linux_layout(const struct vm_config *config, struct fault_text *fault);

/* Adds and measures them; the probe's mailboxes become shared. */
MUST_CHECK enum err probe_load(struct fault_text *fault);
MUST_CHECK enum err linux_load(struct fault_text *fault);

/* The image's header when it is one and its sizes make sense. */
MUST_CHECK bool load_header(struct payload_image image, struct guest_header *h);
/* Copies `image` to vm.payload, `bytes` in all, and measures it; `fill`, if there is one, may change the copy before. */
MUST_CHECK enum err load_measured(struct payload_image image, gpa_t gpa, u64 bytes, void (*fill)(void *copy),
                                  const char *doing, struct fault_text *fault);

u64 load_rom_bytes(void);
#define LOAD_ROM_END (4 * GIB)

#endif
