/* The TD's life cycle. See vm.h. TDX Module Base Architecture Specification, "TD life cycle management". */
#include "kernel/vm/vm.h"

#include "drivers/virt/vioapic.h"
#include "guest/shim/machine.h"
#include "kernel/cpus.h"
#include "kernel/print.h"
#include "kernel/vm/devices.h"
#include "kernel/vm/guest_console.h"
#include "kernel/vm/interrupt.h"
#include "lib/bits.h"
#include "lib/format.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/page.h"
#include "tdx/abi_td.h"
#include "tdx/module.h"

#define CONTROL_PAGES_MAX 16

struct vm vm;

const char *vm_state_name(enum vm_state s)
{
    static const char *const names[] = {"none", "created", "running", "stopped", "ended", "dead"};
    return names[s];
}

const char *vm_vcpu_state_name(enum vm_vcpu_state s)
{
    static const char *const names[] = {"not started", "idle", "working", "waiting", "halted"};
    return names[s];
}

enum err vm_say(struct fault_text *fault, const char *doing, const struct tdp_report *r)
{
    u32 late = vm.td.late;
    struct fault_text text;
    enum err e = fault_tdp(&text, doing, r);

    if ((e == ERR_TIMEOUT || e == ERR_TD_DEAD) && late != 0)
        return fault_say(fault, e, "%s; vCPU %u does not leave the TD on CPU %d", text.text, late - 1,
                         vm.td.vcpus[late - 1].cpu);
    *fault = text;
    return e;
}

void vm_cost_add(struct vm_cost *cost, const struct tdp_report *r)
{
    cost->seamcalls += r->seamcalls;
    cost->tracks += r->tracks;
    cost->ipis += r->ipis;
    cost->lost += r->lost;
}

unsigned vm_vcpus_max(void)
{
    unsigned cpus = cpus_online();
    unsigned most = cpus > 1 ? cpus - 1 : PROBE_MAX_VCPUS;

    _Static_assert(PROBE_MAX_VCPUS <= TD_VCPUS_MAX, "the payload is the narrower one");
    return most < PROBE_MAX_VCPUS ? most : PROBE_MAX_VCPUS;
}

bool vm_may_have_perfmon(void)
{
    return tdx_module.attributes_may & TD_ATTR_PERFMON;
}

/* --- creation --- */

static enum err check_config(const struct vm_config *c, struct fault_text *fault)
{
    if (!tdx_module.ready)
        return fault_say(fault, ERR_STATE, "the TDX module is not initialised: `tdx init` comes first");
    if (vm.state != VM_NONE)
        return fault_say(fault, ERR_EXISTS, "there is a TD already: `td destroy` comes first");
    if (!is_aligned(c->memory_bytes, level_bytes(LEVEL_2M)) || c->memory_bytes < VM_MEMORY_MIN ||
        c->memory_bytes > VM_MEMORY_MAX)
        return fault_say(fault, ERR_RANGE, "mem must be a multiple of 2M from 8M to 2048G");
    if (c->vcpus == 0 || c->vcpus > vm_vcpus_max())
        return fault_say(fault, ERR_RANGE, "vcpus=%u: from 1 to %u are possible, %s", c->vcpus, vm_vcpus_max(),
                         cpus_online() > 1 ? "one on each CPU beside the console's" : "taking turns on the one CPU");
    if (c->node != PAGE_ANY_NODE && page_use(c->node).total == 0)
        return fault_say(fault, ERR_RANGE, "node=%u: that node has no memory; `mem` lists those that have", c->node);
    if (c->perfmon && !vm_may_have_perfmon())
        return fault_say(fault, ERR_UNSUPPORTED, "perfmon=1: the TDX module gives TDs no performance counters here");
    return ERR_OK;
}

static void give_page(hpa_t page, void *arg)
{
    (void)arg;
    page_free(page, LEVEL_4K);
}

static enum err take_pages(hpa_t *pages, unsigned count, struct fault_text *fault)
{
    ASSERT(count <= CONTROL_PAGES_MAX);
    for (unsigned i = 0; i < count; i++) {
        enum err e = page_alloc_near(vm.node, &pages[i]);
        if (e == ERR_OK)
            continue;
        while (i-- > 0)
            page_free(pages[i], LEVEL_4K);
        return fault_say(fault, e, "control pages of the TD: %s", err_text(e));
    }
    return ERR_OK;
}

static void give_pages(const hpa_t *pages, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        page_free(pages[i], LEVEL_4K);
}

static enum err create_td(const struct vm_config *c, struct fault_text *fault)
{
    /* A Linux wants exits, and no #VE, where it touches what is not there: it could be taken by surprise anywhere. */
    u64 attributes = (c->debug ? TD_ATTR_DEBUG : 0) | (c->perfmon ? TD_ATTR_PERFMON : 0) |
                     (c->kind == VM_LINUX ? TD_ATTR_SEPT_VE_DISABLE : 0);
    struct td_config config = {.attributes = attributes, .vcpus = c->vcpus, .shows_cpu = c->kind == VM_LINUX};
    hpa_t pages[CONTROL_PAGES_MAX];
    hkid_t hkid;

    enum err e = tdx_hkid_take(&hkid);
    if (e != ERR_OK)
        return fault_say(fault, e, "no private KeyID is free");
    e = take_pages(pages, td_control_pages(), fault);
    if (e != ERR_OK) {
        tdx_hkid_give(hkid);
        return e;
    }
    struct td_fault td = td_create(&vm.td, &config, hkid, pages);
    if (td.err == ERR_OK)
        return ERR_OK;
    if (vm.td.state == TD_NONE)
        give_pages(pages, td_control_pages());
    if (vm.td.state == TD_NONE || vm.td.state >= TD_KEY_FREED)
        tdx_hkid_give(hkid);
    return fault_td(fault, "creating the TD", &td);
}

static enum err add_vcpu(struct fault_text *fault)
{
    hpa_t pages[CONTROL_PAGES_MAX];
    unsigned before = vm.td.vcpu_count;
    enum err e = take_pages(pages, vcpu_control_pages(), fault);

    if (e != ERR_OK)
        return e;
    struct td_fault td = td_add_vcpu(&vm.td, vm.payload.raw, pages);
    if (td.err == ERR_OK)
        return ERR_OK;
    if (vm.td.vcpu_count == before)
        give_pages(pages, vcpu_control_pages());
    return fault_td(fault, "adding a vCPU", &td);
}

static enum err add_vcpus(struct fault_text *fault)
{
    enum err e = ERR_OK;

    for (unsigned i = 0; i < vm.vcpu_count && e == ERR_OK; i++)
        e = add_vcpu(fault);
    return e;
}

static enum err set_shared_ept(struct fault_text *fault)
{
    for (unsigned i = 0; i < vm.vcpu_count; i++) {
        struct td_fault td = vcpu_set_shared_ept(&vm.td.vcpus[i], tdp_shared_root(vm.tdp));
        if (td.err != ERR_OK)
            return fault_td(fault, "the shared EPT pointer", &td);
    }
    return ERR_OK;
}

/* What is missing, now that all is given back again: memory, or only memory in one piece. */
static enum err say_no_memory(struct fault_text *fault)
{
    u64 piece = min_u64(vm.memory_bytes, level_bytes(LEVEL_1G)), free = page_use(vm.node).free;
    u64 largest = page_largest_range(vm.node, level_bytes(level_is(vm.level, LEVEL_4K) ? LEVEL_4K : LEVEL_2M));
    char whole[PRINT_SIZE_BYTES], wanted[PRINT_SIZE_BYTES], found[PRINT_SIZE_BYTES], where[sizeof(" of node 63")] = "";

    print_size(whole, vm.memory_bytes);
    if (vm.node != PAGE_ANY_NODE)
        format_to(where, sizeof(where), " of node %u", vm.node);
    if (vm.backing == TDP_SCATTER || free <= vm.memory_bytes)
        return fault_say(fault, ERR_NO_MEMORY, "TD memory of %s: out of memory%s, %s are free", whole, where,
                         print_size(found, free));
    return fault_say(fault, ERR_NO_MEMORY,
                     "TD memory of %s: one contiguous range of %s%s is wanted%s, the largest that is free has %s; "
                     "backing=scatter needs none",
                     whole, print_size(wanted, piece), where, piece < vm.memory_bytes ? " for each GiB" : "",
                     print_size(found, largest));
}

static enum err create_all(const struct vm_config *c, struct fault_text *fault)
{
    enum err e = vm_layout(c, fault);

    if (e == ERR_OK)
        e = create_td(c, fault);
    if (e == ERR_OK)
        e = add_vcpus(fault);
    if (e != ERR_OK)
        return e;
    e = tdp_create(&vm.tdp, &vm.td, vm.memory_bytes, vm.level, vm.backing, vm.node);
    if (e == ERR_NO_MEMORY)
        return say_no_memory(fault);
    if (e != ERR_OK)
        return fault_say(fault, e, "TD memory of 0x%llx bytes: %s", (unsigned long long)vm.memory_bytes, err_text(e));
    if (c->kind == VM_LINUX)
        e = tdp_add_device(vm.tdp, (gpa_t){MACHINE_IOAPIC_GPA}, VIOAPIC_BYTES);
    if (e != ERR_OK)
        return fault_say(fault, e, "the I/O APIC at 0x%llx: %s", MACHINE_IOAPIC_GPA, err_text(e));
    e = vm_load(fault);
    if (e != ERR_OK)
        return e;
    struct td_fault td = td_finalize(&vm.td);
    if (td.err != ERR_OK)
        return fault_td(fault, "finalizing the TD", &td);
    e = set_shared_ept(fault);
    return e == ERR_OK && vm.kind == VM_LINUX ? interrupt_init(fault) : e;
}

/* The virtual machine that the TD starts in. */
static void reset_machine(void)
{
    for (unsigned i = 0; i < TD_VCPUS_MAX; i++)
        vapic_reset(&vm.vcpus[i].apic, i);
    devices_reset();
    guest_console_reset();
}

enum err vm_create(const struct vm_config *c, struct fault_text *fault)
{
    struct fault_text undo;
    enum err e = check_config(c, fault);

    if (e != ERR_OK)
        return e;
    memset(&vm, 0, sizeof(vm));
    reset_machine();
    vm.kind = c->kind;
    vm.memory_bytes = c->memory_bytes;
    vm.level = c->level;
    vm.backing = c->backing;
    vm.node = c->node;
    vm.vcpu_count = c->vcpus;
    vm.far_pages_before = page_far();
    vm_place();
    vm.free_bytes_before = page_free_bytes();
    vm.lost_bytes_before = page_lost_bytes();
    vm.state = VM_CREATED;
    e = create_all(c, fault);
    if (e == ERR_OK)
        tdp_set_stop(vm.tdp, vm_is_stopped);
    if (e != ERR_OK && vm_destroy(&undo) != ERR_OK)
        log_msg(LOG_ERROR, "after the failed creation: %s", undo.text);
    return e;
}

/* --- destruction --- */

/* The key goes back in its order: merge, flush the vCPUs, free the KeyID. A second try goes on where the first one
 * stopped. */
static enum err release_key(struct fault_text *fault)
{
    if (vm.td.state == TD_NONE || vm.td.state >= TD_KEY_FREED)
        return ERR_OK;
    if (vm.tdp != NULL)
        tdp_set_stop(vm.tdp, NULL);
    if (vm.tdp != NULL && vm.td.state == TD_RUNNABLE && !vm.td.dead) {
        struct tdp_report r = tdp_prepare_destroy(vm.tdp);
        if (r.err != ERR_OK)
            log_msg(LOG_WARN, "td destroy: merging first failed (%s), torn down piecewise", err_text(r.err));
    }
    struct td_fault td = td_release_key(&vm.td);
    if (td.err != ERR_OK)
        return fault_td(fault, "releasing the TD's key", &td);
    tdx_hkid_give(vm.td.hkid);
    return ERR_OK;
}

static enum err destroy_all(struct fault_text *fault)
{
    enum err e = release_key(fault);

    if (e != ERR_OK)
        return e;
    if (vm.tdp != NULL) {
        struct tdp_report r = tdp_destroy(vm.tdp);
        if (r.err != ERR_OK)
            return fault_tdp(fault, "taking back the TD's memory", &r);
        vm.tdp = NULL;
    }
    interrupt_end();
    if (vm.td.state == TD_NONE)
        return ERR_OK;
    struct td_fault td = td_destroy(&vm.td, give_page, NULL);
    return td.err == ERR_OK ? ERR_OK : fault_td(fault, "taking back the TD's control pages", &td);
}

enum err vm_destroy(struct fault_text *fault)
{
    if (vm.state == VM_NONE)
        return fault_say(fault, ERR_STATE, "there is no TD");
    enum err e = vm_stop(fault);
    if (e == ERR_OK)
        e = vm_tick_end(fault);
    if (e != ERR_OK)
        return e;
    e = destroy_all(fault);
    if (e != ERR_OK) {
        vm.state = VM_DEAD;
        return e;
    }
    vm.state = VM_NONE;
    vm.lost_bytes = page_lost_bytes() - vm.lost_bytes_before;
    if (page_free_bytes() + vm.lost_bytes == vm.free_bytes_before)
        return ERR_OK;
    return fault_say(fault, ERR_STATE, "the TD is gone, but 0x%llx bytes are free where 0x%llx were before it%s",
                     (unsigned long long)page_free_bytes(), (unsigned long long)vm.free_bytes_before,
                     vm.lost_bytes != 0 ? ", those left out that are lost" : "");
}
