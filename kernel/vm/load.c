/*
 * The payload's place in TD memory. See vm.h.
 *
 *   0                                          last whole GiB            top
 *   |  free for work, can become 1G pages      |  free  | image | mail-  |        | ROM |
 *   |                                          |        |       | boxes  |          4G
 *
 * Image and mailboxes lie at the top, so that what is left above the last whole GiB takes them; where too little is left there,
 * and memory reaches 4 GiB, they lie below the ROM with the reset vector, which ends at 4 GiB and is in the way of that GiB
 * anyhow. The ROM has a slot of its own where memory does not reach it.
 */
#include "kernel/vm/vm.h"

#include "kernel/vm/payload.h"
#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"

#define ROM_END (4 * GIB)

static u64 rom_bytes(void)
{
    return align_up(payload_rom().size, PAGE_BYTES);
}

/* The image's header when it is one and its sizes make sense. */
static bool header_of_probe(struct probe_header *h)
{
    struct payload_image image = payload_probe();

    if (image.size < sizeof(*h))
        return false;
    memcpy(h, image.bytes, sizeof(*h));
    return h->image.magic == GUEST_MAGIC && h->image.image_bytes <= image.size &&
           h->image.total_bytes >= h->image.image_bytes && is_aligned(h->image.total_bytes, PAGE_BYTES) &&
           h->image.entry < h->image.image_bytes;
}

enum err vm_layout(struct fault_text *fault)
{
    struct probe_header h;
    u64 top = vm.memory_bytes, rom = ROM_END - rom_bytes();

    if (!header_of_probe(&h))
        return fault_say(fault, ERR_ARGUMENT, "the embedded payload has no valid header");
    u64 need = h.image.total_bytes + vm.vcpu_count * PAGE_BYTES;
    if (top > rom && top - need < max_u64(ROM_END, align_down(top, GIB)))
        top = rom;
    if (need > top / 2)
        return fault_say(fault, ERR_RANGE, "mem: the payload takes 0x%llx bytes, more than half of the memory",
                         (unsigned long long)need);
    vm.rom = (gpa_t){rom};
    vm.mailboxes = (gpa_t){top - vm.vcpu_count * PAGE_BYTES};
    vm.payload = (gpa_t){top - need};
    vm.payload_bytes = h.image.total_bytes;
    return ERR_OK;
}

const char *vm_in_the_way(gpa_t gpa, u64 bytes, gpa_t *page)
{
    const struct {
        gpa_t base;
        u64 bytes;
        const char *name;
    } parts[] = {
        {vm.payload, vm.payload_bytes, "the payload's image"},
        {vm.mailboxes, vm.vcpu_count * PAGE_BYTES, "the payload's mailboxes, which are shared"},
        {vm.rom, rom_bytes(), "the ROM with the reset vector"},
    };
    const char *name = NULL;

    for (unsigned i = 0; i < ARRAY_COUNT(parts); i++) {
        u64 from = max_u64(gpa.raw, parts[i].base.raw),
            past = min_u64(gpa.raw + bytes, parts[i].base.raw + parts[i].bytes);
        if (from >= past || (name != NULL && page->raw <= from))
            continue;
        *page = gpa_floor((gpa_t){from}, LEVEL_4K);
        name = parts[i].name;
    }
    return name;
}

bool vm_has_shared_gib(gpa_t *gib)
{
    *gib = gpa_floor(vm.mailboxes, LEVEL_1G);
    return level_is(vm.level, LEVEL_1G) && gib->raw + GIB <= vm.memory_bytes;
}

static enum err load_rom(struct fault_text *fault)
{
    struct payload_image image = payload_rom();

    if (vm.rom.raw >= vm.memory_bytes) {
        enum err e = tdp_add_slot(vm.tdp, vm.rom, rom_bytes());
        if (e != ERR_OK)
            return fault_say(fault, e, "the slot of the ROM at 0x%llx: %s", (unsigned long long)vm.rom.raw,
                             err_text(e));
    }
    void *copy = page_take(rom_bytes()); /* zeroed, and reset where a TD had it before */
    if (copy == NULL)
        return fault_say(fault, ERR_NO_MEMORY, "loading the ROM: %s", err_text(ERR_NO_MEMORY));
    memcpy(copy, image.bytes, image.size);
    struct tdp_report r = tdp_load(vm.tdp, vm.rom, copy, rom_bytes());
    page_give(copy, rom_bytes());
    return r.err == ERR_OK ? ERR_OK : fault_tdp(fault, "loading the ROM", &r);
}

/* The image as it will be measured: the file, the header filled in; `to` is zeroed and stays so behind it. */
static void build_image(void *to)
{
    struct payload_image image = payload_probe();
    struct probe_header h;

    memcpy(to, image.bytes, min_u64(image.size, vm.payload_bytes));
    memcpy(&h, to, sizeof(h));
    h.mailboxes = vm.mailboxes.raw;
    h.vcpus = vm.vcpu_count;
    h.memory_bytes = vm.memory_bytes;
    memcpy(to, &h, sizeof(h));
}

static enum err load_image(struct fault_text *fault)
{
    void *copy = page_take(vm.payload_bytes);

    if (copy == NULL)
        return fault_say(fault, ERR_NO_MEMORY, "loading the payload: %s", err_text(ERR_NO_MEMORY));
    build_image(copy);
    struct tdp_report r = tdp_load(vm.tdp, vm.payload, copy, vm.payload_bytes);
    page_give(copy, vm.payload_bytes);
    return r.err == ERR_OK ? ERR_OK : fault_tdp(fault, "loading the payload", &r);
}

enum err vm_load(struct fault_text *fault)
{
    enum err e = load_rom(fault);

    if (e == ERR_OK)
        e = load_image(fault);
    if (e != ERR_OK)
        return e;
    struct tdp_report r = tdp_make_shared(vm.tdp, vm.mailboxes, vm.vcpu_count * PAGE_BYTES);
    return r.err == ERR_OK ? ERR_OK : fault_tdp(fault, "sharing the mailboxes", &r);
}

struct probe_mailbox *vm_mailbox_hold(unsigned index, struct claim *held)
{
    return vm.tdp ? tdp_shared_hold(vm.tdp, gpa_add(vm.mailboxes, index * PAGE_BYTES), held) : NULL;
}

void vm_mailbox_release(struct claim *held)
{
    tdp_shared_release(vm.tdp, held);
}
