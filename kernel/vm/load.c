/* What is loaded whatever the payload, and which payload loads the rest. See load.h. */
#include "kernel/vm/load.h"

#include "lib/bits.h"
#include "lib/string.h"
#include "mm/page.h"

u64 load_rom_bytes(void)
{
    return align_up(payload_rom().size, PAGE_BYTES);
}

bool load_header(struct payload_image image, struct guest_header *h)
{
    if (image.size < sizeof(*h))
        return false;
    memcpy(h, image.bytes, sizeof(*h));
    return h->magic == GUEST_MAGIC && h->image_bytes <= image.size && h->total_bytes >= h->image_bytes &&
           is_aligned(h->total_bytes, PAGE_BYTES) && h->entry < h->image_bytes;
}

enum err load_measured(struct payload_image image, gpa_t gpa, u64 bytes, void (*fill)(void *copy), const char *doing,
                       struct fault_text *fault)
{
    void *copy = page_take(bytes); /* zeroed, and reset where a TD had it before */

    if (copy == NULL)
        return fault_say(fault, ERR_NO_MEMORY, "%s: %s", doing, err_text(ERR_NO_MEMORY));
    memcpy(copy, image.bytes, min_u64(image.size, bytes));
    if (fill != NULL)
        fill(copy);
    struct tdp_report r = tdp_load(vm.tdp, gpa, copy, bytes, true);
    page_give(copy, bytes);
    return r.err == ERR_OK ? ERR_OK : fault_tdp(fault, doing, &r);
}

static enum err load_rom(struct fault_text *fault)
{
    if (vm.rom.raw >= vm.memory_bytes) {
        enum err e = tdp_add_slot(vm.tdp, vm.rom, load_rom_bytes());
        if (e != ERR_OK)
            return fault_say(fault, e, "the slot of the ROM at 0x%llx: %s", (unsigned long long)vm.rom.raw,
                             err_text(e));
    }
    return load_measured(payload_rom(), vm.rom, load_rom_bytes(), NULL, "loading the ROM", fault);
}

enum err vm_layout(const struct vm_config *config, struct fault_text *fault)
{
    vm.rom = (gpa_t){LOAD_ROM_END - load_rom_bytes()};
    return vm.kind == VM_LINUX ? linux_layout(config, fault) : probe_layout(fault);
}

enum err vm_load(struct fault_text *fault)
{
    enum err e = load_rom(fault);

    if (e != ERR_OK)
        return e;
    return vm.kind == VM_LINUX ? linux_load(fault) : probe_load(fault);
}

const char *vm_in_the_way(gpa_t gpa, u64 bytes, gpa_t *page)
{
    const struct {
        gpa_t base;
        u64 bytes;
        const char *name;
    } parts[] = {
        {vm.payload, vm.payload_bytes, "the payload's image"},
        {vm.mailboxes, vm.kind == VM_PROBE ? vm.vcpu_count * PAGE_BYTES : 0,
         "the payload's mailboxes, which are shared"},
        {vm.rom, load_rom_bytes(), "the ROM with the reset vector"},
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
