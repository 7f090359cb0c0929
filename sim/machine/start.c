/*
 * The core's entry: a UEFI runtime driver that turns the machine it was started on into its guest and returns to the firmware,
 * which does not notice. UEFI specification 2.9, sections 4.1 and 7.2. The loader hands the text of simtdx.cfg over as load
 * options. Whatever is missing is reported and nothing is changed.
 */
#include <efi.h>

#include "sim/machine/acpi.h"
#include "sim/machine/ap.h"
#include "sim/machine/apic.h"
#include "sim/machine/config.h"
#include "sim/machine/cpus.h"
#include "sim/machine/exits.h"
#include "sim/machine/firmware.h"
#include "sim/machine/guard.h"
#include "sim/machine/log.h"
#include "sim/machine/memory.h"
#include "sim/machine/npt.h"
#include "sim/machine/pci.h"
#include "sim/machine/platform.h"
#include "sim/machine/pool.h"
#include "sim/machine/selftest.h"
#include "sim/machine/relief.h"
#include "sim/machine/td/td.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/hw/svm.h"
#include "sim/machine/hw/tables.h"
#include "sim/seamldr/seamldr.h"

#define PAGE        4096ull
#define GIB         (1ull << 30)
#define FOUR_GIB    (4 * GIB)
#define SEAMRR_UNIT (32ull << 20) /* granularity of IA32_SEAMRR_PHYS_BASE and _MASK */
#define STACK_PAGES 16
#define RAM_IN_USE  (64 * GIB)
#define MSR_EFER    0xc0000080
#define MAP_SLACK   8 /* descriptors that the allocation of the map itself may add */

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* --- memory ----------------------------------------------------------------------------------------------------------- */

static bool is_convertible(u32 type)
{
    return type == EfiConventionalMemory || type == EfiLoaderCode || type == EfiLoaderData ||
           type == EfiBootServicesCode || type == EfiBootServicesData;
}

static bool is_kept_ram(u32 type)
{
    return type == EfiRuntimeServicesCode || type == EfiRuntimeServicesData || type == EfiACPIReclaimMemory ||
           type == EfiACPIMemoryNVS || type == EfiReservedMemoryType;
}

struct memory_map {
    UINT8 *descriptors;
    UINTN bytes, each;
};

static EFI_STATUS get_map(EFI_BOOT_SERVICES *boot, struct memory_map *map)
{
    UINTN key;
    UINT32 version;
    map->bytes = 0;
    boot->GetMemoryMap(&map->bytes, NULL, &key, &map->each, &version);
    map->bytes += MAP_SLACK * map->each;
    EFI_STATUS status = boot->AllocatePool(EfiBootServicesData, map->bytes, (void **)&map->descriptors);
    if (EFI_ERROR(status))
        return status;
    return boot->GetMemoryMap(&map->bytes, (EFI_MEMORY_DESCRIPTOR *)map->descriptors, &key, &map->each, &version);
}

static u64 total_ram(const struct memory_map *map)
{
    u64 pages = 0;
    for (UINTN at = 0; at < map->bytes; at += map->each) {
        const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map->descriptors + at);
        if (is_convertible(d->Type))
            pages += d->NumberOfPages;
    }
    return pages * PAGE;
}

/* Where convertible memory ends. Reserved ranges above it are no RAM: the hole of HyperTransport just below 1 TiB, for one. */
static u64 end_of_ram(const struct memory_map *map)
{
    u64 end = 0;
    for (UINTN at = 0; at < map->bytes; at += map->each) {
        const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map->descriptors + at);
        if (is_convertible(d->Type) && d->PhysicalStart + d->NumberOfPages * PAGE > end)
            end = d->PhysicalStart + d->NumberOfPages * PAGE;
    }
    return end;
}

/*
 * Tables for the RAM that is in use in 4K pages, owners, and as much again for TD translations; a power of two, as SEAMRR's mask
 * wants. All of these grow with what is touched, and a machine that has more RAM than RAM_IN_USE is not expected to touch it all.
 */
static u64 reserve_bytes(u64 ram)
{
    u64 used = ram < RAM_IN_USE ? ram : RAM_IN_USE;
    u64 need = (16ull << 20) + used / 512 * 2, bytes = SEAMRR_UNIT;
    while (bytes < need)
        bytes *= 2;
    return bytes;
}

/* Aligned to its size, as high as can be below 4 GiB, where the self-test's guest can go. */
static EFI_STATUS take_reserve(EFI_BOOT_SERVICES *boot, const struct memory_map *map, u64 bytes)
{
    EFI_PHYSICAL_ADDRESS best = 0;
    for (UINTN at = 0; at < map->bytes; at += map->each) {
        const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map->descriptors + at);
        u64 end = d->PhysicalStart + d->NumberOfPages * PAGE,
            base = ((end < FOUR_GIB ? end : FOUR_GIB) - bytes) & ~(bytes - 1);
        if (d->Type == EfiConventionalMemory && end > bytes && base >= d->PhysicalStart && base < end && base > best)
            best = base;
    }
    EFI_STATUS status =
        best ? boot->AllocatePages(AllocateAddress, EfiReservedMemoryType, bytes / PAGE, &best) : EFI_OUT_OF_RESOURCES;
    if (!EFI_ERROR(status))
        pool_init(best, bytes);
    return status;
}

static void list_memory(const struct memory_map *map)
{
    u64 end = end_of_ram(map);
    for (UINTN at = 0; at < map->bytes; at += map->each) {
        const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map->descriptors + at);
        if (is_convertible(d->Type) || (is_kept_ram(d->Type) && d->PhysicalStart < end))
            memory_add(d->PhysicalStart, d->NumberOfPages * PAGE, is_convertible(d->Type));
    }
}

static EFI_STATUS seal_memory(void)
{
    const struct config_list *holes = &sim_config()->cmr_holes;
    bool ok = memory_seal();
    for (unsigned i = 0; ok && i < holes->count; i++)
        ok = memory_cut(holes->lines[i][0], holes->lines[i][1]);
    if (!ok) {
        sim_log("the memory map has more than %u pieces, neighbours joined, which is all that the platform can hold",
                MEMORY_PIECES_MAX);
        return EFI_OUT_OF_RESOURCES;
    }
    if (memory_top() >> PLATFORM_KEYID_SHIFT) {
        sim_log("memory up to %lx: with KeyIDs in address bits 47:42 the platform can have 4 TiB at most",
                (unsigned long)memory_top());
        return EFI_UNSUPPORTED;
    }
    return EFI_SUCCESS;
}

static EFI_STATUS learn_memory(EFI_BOOT_SERVICES *boot)
{
    struct memory_map map;
    EFI_STATUS status = get_map(boot, &map);
    if (EFI_ERROR(status))
        return status;
    u64 reserve = reserve_bytes(total_ram(&map));
    status = take_reserve(boot, &map, reserve);
    boot->FreePool(map.descriptors);
    if (EFI_ERROR(status)) {
        sim_log("the firmware has no %lu MiB of memory below 4 GiB, aligned to as much, for the platform's reserve",
                (unsigned long)(reserve >> 20));
        return status;
    }
    status = get_map(boot, &map);
    if (EFI_ERROR(status))
        return status;
    list_memory(&map);
    boot->FreePool(map.descriptors);
    return seal_memory();
}

/* --- CPUs ------------------------------------------------------------------------------------------------------------- */

#define TRAMPOLINE_BELOW  0x9ffffull /* the end of conventional memory */
#define PROCESSOR_ENABLED 2u
#define LISTED_MAX        (MACHINE_CPUS_MAX + 1) /* with the relief */

/* UEFI PI specification, volume 2, "MP services protocol"; the first two of its functions. */
struct mp_services {
    EFI_STATUS(EFIAPI *count)(struct mp_services *this, UINTN *all, UINTN *enabled);
    EFI_STATUS(EFIAPI *info)(struct mp_services *this, UINTN number, void *info);
};
struct mp_info {
    UINT64 apic_id;
    UINT32 flags;
    UINT32 location[16]; /* three are filled in, newer firmware may fill in more */
};

/* APIC IDs of the other CPUs behind the own one; what has no such protocol has one CPU. */
static unsigned list_cpus(EFI_BOOT_SERVICES *boot, u32 *apic_ids)
{
    EFI_GUID guid = {0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};
    struct mp_services *mp;
    struct mp_info info;
    UINTN all = 0, enabled;
    unsigned count = 1;
    if (EFI_ERROR(boot->LocateProtocol(&guid, NULL, (void **)&mp)) || EFI_ERROR(mp->count(mp, &all, &enabled)))
        return 1;
    for (UINTN i = 0; i < all; i++) {
        if (EFI_ERROR(mp->info(mp, i, &info)) || !(info.flags & PROCESSOR_ENABLED) || info.apic_id == apic_ids[0])
            continue;
        if (count < LISTED_MAX)
            apic_ids[count] = (u32)info.apic_id;
        count++;
    }
    return count;
}

static u32 relief_id; /* the last CPU's where there are several, 0 where there is one; constant after start */

static EFI_STATUS learn_cpus(EFI_BOOT_SERVICES *boot, u64 *trampoline)
{
    u32 apic_ids[LISTED_MAX] = {apic_own_id()};
    unsigned count = list_cpus(boot, apic_ids);
    EFI_PHYSICAL_ADDRESS page = TRAMPOLINE_BELOW;
    EFI_STATUS status = boot->AllocatePages(AllocateMaxAddress, EfiReservedMemoryType, 1, &page);
    if (EFI_ERROR(status)) {
        sim_log("the firmware has no page below 1 MiB for the start of other CPUs");
        return status;
    }
    if (count > LISTED_MAX)
        sim_log("%u CPUs: the platform can use no more than %u", count, LISTED_MAX);
    count = count < LISTED_MAX ? count : LISTED_MAX;
    if (count > 1 && relief_is_wanted())
        relief_id = apic_ids[--count];
    count = count < MACHINE_CPUS_MAX ? count : MACHINE_CPUS_MAX;
    cpus_init(apic_ids, count, sim_config()->packages, sim_config()->threads, sim_config()->apic_id_base);
    *trampoline = page;
    return EFI_SUCCESS;
}

static void *find_rsdp(const EFI_SYSTEM_TABLE *system)
{
    static const EFI_GUID acpi2 = {0x8868e871, 0xe4f1, 0x11d3, {0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81}};
    for (UINTN i = 0; i < system->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE *t = &system->ConfigurationTable[i];
        const u64 *a = (const void *)&t->VendorGuid, *b = (const void *)&acpi2;
        if (a[0] == b[0] && a[1] == b[1])
            return t->VendorTable;
    }
    return NULL;
}

/* The firmware's ACPI tables list the CPUs as they are shown; without the relief, though the platform may be refused yet. */
static EFI_STATUS show_cpus(EFI_SYSTEM_TABLE *system)
{
    u32 base = sim_config()->apic_id_base;
    void *rsdp = find_rsdp(system), *room;
    if (relief_id && !(rsdp && acpi_hide_cpu(rsdp, relief_id)))
        sim_log("the firmware has no ACPI table (MADT) of its CPUs: a VMM may find one that is not to be used");
    if (!base)
        return EFI_SUCCESS;
    EFI_STATUS status = system->BootServices->AllocatePool(EfiACPIReclaimMemory, ACPI_MADT_BYTES_MAX, &room);
    if (EFI_ERROR(status))
        return status;
    if (rsdp && acpi_show_ids(rsdp, room, apic_own_id(), base))
        return EFI_SUCCESS;
    sim_log("apic_id_base: the firmware has no ACPI table (MADT) of its CPUs that could show it");
    return EFI_UNSUPPORTED;
}

static EFI_STATUS damage_tables(EFI_SYSTEM_TABLE *system)
{
    void *rsdp = find_rsdp(system);
    if (!sim_config()->acpi_damaged || (rsdp && acpi_damage(rsdp)))
        return EFI_SUCCESS;
    sim_log("acpi: the firmware lacks one of the ACPI tables MADT, FADT and HPET, which were to be damaged");
    return EFI_UNSUPPORTED;
}

/* --- the machine ------------------------------------------------------------------------------------------------------- */

/* The core's own view: all of RAM and the devices below 4 GiB, identity, 1G pages. */
static u64 make_page_tables(void)
{
    u64 *root = pool_take(1);
    u64 top = memory_top() > 4 * GIB ? memory_top() : 4 * GIB;
    for (u64 at = 0; at < top; at += GIB) {
        u64 *entry = &root[at >> 39];
        if (!*entry)
            *entry = (u64)pool_take(1) | 3;
        ((u64 *)(*entry & NPT_ADDR))[at >> 30 & 511] = at | 0x83;
    }
    return (u64)root;
}

/* Attributes and limit from the firmware's descriptor; a flat data segment where the selector is null. */
static struct vmcb_seg segment(const struct table_register *gdt, u16 selector)
{
    u64 d = selector ? *(const u64 *)(gdt->base + (selector & ~7)) : 0x00cf93000000ffffull;
    u32 limit = (u32)(d & 0xffff) | (u32)(d >> 32 & 0xf0000);
    u32 base = (u32)(d >> 16 & 0xffffff) | (u32)(d >> 32 & 0xff000000);
    bool pages = d >> 55 & 1;
    return (struct vmcb_seg){
        .selector = selector,
        .attributes = (u16)((d >> 40 & 0xff) | (d >> 44 & 0xf00)),
        .limit = pages ? limit << 12 | 0xfff : limit,
        .base = base,
    };
}

static void copy_state(struct cpu *cpu)
{
    struct vmcb *v = cpu->vmm;
    struct table_register gdt, idt;
    u16 selectors[4];
    tables_store(&gdt, &idt, selectors);
    v->gdtr = (struct vmcb_seg){.limit = gdt.limit, .base = gdt.base};
    v->idtr = (struct vmcb_seg){.limit = idt.limit, .base = idt.base};
    v->es = segment(&gdt, selectors[0]);
    v->cs = segment(&gdt, selectors[1]);
    v->ss = segment(&gdt, selectors[2]);
    v->ds = segment(&gdt, selectors[3]);
    v->cr0 = cpu_cr0();
    v->cr2 = cpu_cr2();
    v->cr3 = cpu_cr3();
    v->cr4 = cpu_cr4();
    cpu->vmm_cr4 = v->cr4 | sim_config()->cr4_left;
    v->dr6 = cpu_dr(6);
    v->dr7 = cpu_dr(7);
    v->efer = cpu_rdmsr(MSR_EFER);
    v->g_pat = cpu_rdmsr(0x277);
    svm_vmsave(v);
}

static void *take_stack(void)
{
    return (u8 *)pool_take(STACK_PAGES) + STACK_PAGES * PAGE;
}

/* What a CPU needs of memory; the rest it does itself when it comes up. */
static void init_cpu(struct cpu *cpu)
{
    cpu->vmm = pool_take(1);
    cpu->fpu = pool_take(1);
    cpu->stack_top = take_stack();
    exits_init(cpu);
    td_init(cpu);
}

static u64 core_root; /* constant after start */

_Noreturn static void run(void)
{
    struct cpu *cpu = cpu_at(0);
    cpu_set_cr3(core_root);
    traps_load(cpu->gdt);
    exits_loop(cpu);
}

static void describe(void)
{
    const struct plat_info *info = plat_info();
    u64 bytes = 0;
    for (unsigned i = 0; i < info->cmr_count; i++)
        bytes += info->cmrs[i].bytes;
    sim_log("TDX platform: %u CPU%s in %u package%s, %u private KeyIDs from %u, %lu MiB convertible in %u ranges, "
            "module %u.%u.%02u%s, "
            "SEAMRR %lx + %lu MiB, TSC %lu MHz",
            info->lp_count, info->lp_count == 1 ? "" : "s", info->package_count, info->package_count == 1 ? "" : "s",
            sim_config()->hkids, info->first_private_hkid, (unsigned long)(bytes >> 20), info->cmr_count,
            info->module_major, info->module_minor, info->module_update, sim_config()->module_present ? "" : " absent",
            (unsigned long)pool_base(), (unsigned long)(pool_bytes() >> 20), (unsigned long)(info->tsc_hz / 1000000));
}

static void load_firmware(void)
{
    const struct sim_config *config = sim_config();
    bool has_seam = config->seamrr == SEAMRR_ON; /* where both lie */
    struct seamldr_setup setup = {.present = has_seam && config->seamldr_present,
                                  .module_loaded = has_seam && config->module_present,
                                  .busy_every = config->seamldr_busy_every,
                                  .refusal_count = config->seamldr_refusals.count};
    for (u32 i = 0; i < setup.refusal_count; i++)
        setup.refusals[i] = config->seamldr_refusals.lines[i][0];
    for (u32 i = 0; i < config->seamldr_called.count; i++)
        setup.called |= 1ull << (config->seamldr_called.lines[i][0] & 63);
    seamldr_reset(&setup);
}

/* Everything that can still be refused. */
static const char *prepare(const EFI_LOADED_IMAGE *loaded)
{
    struct cpu *cpu = cpu_at(0);
    traps_init();
    apic_init(cpu);
    const char *wrong = selftest_run();
    if (wrong)
        return wrong;
    platform_init();
    pci_find_high_windows();
    npt_init(1ull << PLATFORM_KEYID_SHIFT);
    guard_init(memory_top());
    for (unsigned i = 0; i < cpu_count(); i++)
        init_cpu(cpu_at(i));
    exits_set_image((u64)loaded->ImageBase, loaded->ImageSize);
    module_reset();
    load_firmware();
    core_root = make_page_tables();
    if (relief_id)
        relief_init(relief_id, take_stack());
    return NULL;
}

static EFI_STATUS take_over(const EFI_LOADED_IMAGE *loaded, u64 trampoline)
{
    struct cpu *cpu = cpu_at(0);
    for (unsigned i = 0; i < cpu_count(); i++)
        cpu_at(i)->host_save = pool_take(1);
    svm_enable(cpu->host_save);
    const char *wrong = prepare(loaded);
    if (wrong) {
        svm_stgi();
        cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) & ~EFER_SVME);
        sim_log("%s", wrong);
        return EFI_UNSUPPORTED;
    }
    describe();
    guard_hide(pool_base(), pool_bytes());
    ap_setup(trampoline, core_root);
    guard_hide(trampoline, PAGE);
    copy_state(cpu);
    sim_log_guest_runs();
    svm_become_guest(&cpu->vmm->rip, &cpu->vmm->rsp, &cpu->vmm->rflags, cpu->stack_top, run);
    return EFI_SUCCESS;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    EFI_BOOT_SERVICES *boot = system->BootServices;
    EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    EFI_LOADED_IMAGE *loaded;
    EFI_STATUS status = boot->HandleProtocol(image, &guid, (void **)&loaded);
    if (EFI_ERROR(status))
        return status;
    const char *missing = selftest_features();
    if (missing) {
        sim_log("%s", missing);
        return EFI_UNSUPPORTED;
    }
    if (!config_parse("simtdx.cfg", loaded->LoadOptions, loaded->LoadOptionsSize))
        return EFI_INVALID_PARAMETER;
    u64 trampoline = 0;
    status = firmware_break_reset(system, sim_config()->reset);
    if (!EFI_ERROR(status))
        status = learn_cpus(boot, &trampoline);
    if (!EFI_ERROR(status))
        status = show_cpus(system);
    if (!EFI_ERROR(status))
        status = damage_tables(system);
    if (!EFI_ERROR(status))
        status = learn_memory(boot);
    if (!EFI_ERROR(status))
        status = take_over(loaded, trampoline);
    if (EFI_ERROR(status) && trampoline)
        boot->FreePages(trampoline, 1);
    if (EFI_ERROR(status) && pool_bytes())
        boot->FreePages(pool_base(), pool_bytes() / PAGE);
    return status;
}
