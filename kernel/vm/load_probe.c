/*
 * The probe's place in TD memory. See load.h.
 *
 *   0                                          last whole GiB            top
 *   |  free for work, can become 1G pages      |  free  | image | mail-  |        | ROM |
 *   |                                          |        |       | boxes  |          4G
 *
 * Image and mailboxes lie at the top, so that what is left above the last whole GiB takes them; where too little is left there,
 * and memory reaches 4 GiB, they lie below the ROM with the reset vector, which ends at 4 GiB and is in the way of that GiB
 * anyhow. The ROM has a slot of its own where memory does not reach it.
 */
#include "kernel/vm/load.h"

#include "lib/bits.h"
#include "lib/string.h"

enum err probe_layout(struct fault_text *fault)
{
    struct guest_header h;
    u64 top = vm.memory_bytes, rom = vm.rom.raw;

    if (!load_header(payload_probe(), &h))
        return fault_say(fault, ERR_ARGUMENT, "the embedded payload has no valid header");
    u64 need = h.total_bytes + vm.vcpu_count * PAGE_BYTES;
    if (top > rom && top - need < max_u64(LOAD_ROM_END, align_down(top, GIB)))
        top = rom;
    if (need > top / 2)
        return fault_say(fault, ERR_RANGE, "mem: the payload takes 0x%llx bytes, more than half of the memory",
                         (unsigned long long)need);
    vm.mailboxes = (gpa_t){top - vm.vcpu_count * PAGE_BYTES};
    vm.payload = (gpa_t){top - need};
    vm.payload_bytes = h.total_bytes;
    return ERR_OK;
}

/* The header as it will be measured. */
static void fill_header(void *copy)
{
    struct probe_header h;

    memcpy(&h, copy, sizeof(h));
    h.mailboxes = vm.mailboxes.raw;
    h.vcpus = vm.vcpu_count;
    h.memory_bytes = vm.memory_bytes;
    memcpy(copy, &h, sizeof(h));
}

enum err probe_load(struct fault_text *fault)
{
    enum err e =
        load_measured(payload_probe(), vm.payload, vm.payload_bytes, fill_header, "loading the payload", fault);

    if (e != ERR_OK)
        return e;
    struct tdp_report r = tdp_make_shared(vm.tdp, vm.mailboxes, vm.vcpu_count * PAGE_BYTES);
    return r.err == ERR_OK ? ERR_OK : fault_tdp(fault, "sharing the mailboxes", &r);
}

struct probe_mailbox *vm_mailbox_hold(unsigned index, struct claim *held)
{
    if (vm.tdp == NULL || vm.kind != VM_PROBE)
        return NULL;
    return tdp_shared_hold(vm.tdp, gpa_add(vm.mailboxes, index * PAGE_BYTES), held);
}

void vm_mailbox_release(struct claim *held)
{
    tdp_shared_release(vm.tdp, held);
}

bool vm_has_shared_gib(gpa_t *gib)
{
    *gib = gpa_floor(vm.mailboxes, LEVEL_1G);
    return vm.kind == VM_PROBE && level_is(vm.level, LEVEL_1G) && gib->raw + GIB <= vm.memory_bytes;
}
