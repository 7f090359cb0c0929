/*
 * septum.efi from the firmware's call to kernel_start(): options, the question whether this is a TDX machine (while
 * there is still a shell to go back to), scripts, the memory map, the end of boot services. UEFI 2.10, sections 7 and
 * 9.1.
 */
#include "boot/boot.h"

#include "kernel/guard/control.h"
#include "kernel/hw/stack.h"
#include "kernel/hw/traps.h"
#include "kernel/boot_info.h"
#include "kernel/start.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "lib/string.h"

#define OPTIONS_FILE      L"\\septum.cfg"
#define OPTIONS_BYTES_MAX 4096
#define STACK_PAGES       32
#define MAP_TRIES         8
#define RESET_TICKS       (10ull << 30) /* of the TSC: time to read a message */

static struct boot_info info; /* lives on as part of the image */

/* With our IDT over the firmware's tables, so that an MSR that is not there raises no alarm. */
static enum err detect(const char **missing)
{
    struct traps_saved saved;
    u64 irq = cpu_irq_save();

    traps_borrow(&saved);
    info.cpuid_was_limited = control_unlimit_cpuid();
    enum err e = tdx_detect(missing);
    traps_give_back(&saved);
    cpu_irq_restore(irq);
    return e;
}

static bool apply_options(struct boot_env *env, const char *from, const char *text, size_t bytes)
{
    char error[200], line[240];

    if (options_parse(text, bytes, &info.options, error, sizeof(error)))
        return true;
    format_to(line, sizeof(line), "%s%s", from, error);
    boot_say(env, line);
    return false;
}

/* The file is for firmware that hands over no options: a boot manager's default entry. What `check` looks at is the start that the
 * file describes. */
static bool read_options(struct boot_env *env)
{
    static char words[OPTIONS_BYTES_MAX], file[OPTIONS_BYTES_MAX + 1];
    size_t bytes = boot_load_options(env, words, sizeof(words)), in_file;

    options_default(&info.options);
    if (!apply_options(env, "", words, bytes))
        return false;
    if ((bytes != 0 && !info.options.check) || !boot_read_small(env, OPTIONS_FILE, file, sizeof(file), &in_file))
        return true;
    if (in_file == sizeof(file)) {
        boot_say(env, "\\septum.cfg has more than 4096 bytes, which is all that is read");
        return false;
    }
    return apply_options(env, "\\septum.cfg: ", file, in_file) && apply_options(env, "", words, bytes);
}

static void find_rsdp(struct boot_env *env)
{
    static const EFI_GUID acpi2 = {0x8868e871, 0xe4f1, 0x11d3, {0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81}};
    static const EFI_GUID acpi1 = {0xeb9d2d30, 0x2d88, 0x11d3, {0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};
    const EFI_CONFIGURATION_TABLE *t = env->system->ConfigurationTable;
    bool found2 = false;

    info.rsdp = HPA_NONE;
    for (UINTN i = 0; i < env->system->NumberOfTableEntries; i++) {
        bool is2 = memcmp(&t[i].VendorGuid, &acpi2, sizeof(acpi2)) == 0;
        if (!is2 && (found2 || memcmp(&t[i].VendorGuid, &acpi1, sizeof(acpi1)) != 0))
            continue;
        info.rsdp = (hpa_t){(u64)t[i].VendorTable};
        found2 = found2 || is2;
    }
}

#define LOW_MEMORY_END 0x9ffffull    /* of conventional memory: where a CPU can start */
#define TABLES_END     0xffffffffull /* CR3 of a CPU that starts has 32 bits */

static bool take_below(struct boot_env *env, u64 end, u64 pages, u64 *at)
{
    *at = end;
    return env->boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, pages, at) == EFI_SUCCESS;
}

/* The trampoline's page; and a guard page, the stack, and pages for page tables, in one piece. NULL: no memory. */
static void *take_pages(struct boot_env *env)
{
    u64 at;

    if (!take_below(env, LOW_MEMORY_END, 1, &at))
        return NULL;
    info.trampoline = (hpa_t){at};
    info.pool_pages = boot_pool_pages(env, &info);
    u64 pages = 1 + STACK_PAGES + info.pool_pages;
    if (info.pool_pages == 0 || !take_below(env, TABLES_END, pages, &at))
        return NULL;
    info.guard = (hpa_t){at};
    info.pool = (hpa_t){at + (1 + STACK_PAGES) * PAGE_BYTES};
    return (void *)(at + (1 + STACK_PAGES) * PAGE_BYTES);
}

/* The map's key is stale, and the map may have grown, when anything allocates in between; the specification allows to ask
 * again, and for more memory. */
static EFI_STATUS leave_firmware(struct boot_env *env)
{
    EFI_STATUS s = EFI_INVALID_PARAMETER;

    for (unsigned i = 0; i < MAP_TRIES && s == EFI_INVALID_PARAMETER; i++) {
        UINTN key;
        s = boot_memory_map(env, &info, &key);
        if (s == EFI_BUFFER_TOO_SMALL)
            s = boot_memory_map_reserve(env, &info) ? EFI_INVALID_PARAMETER : EFI_OUT_OF_RESOURCES;
        else if (s == EFI_SUCCESS)
            s = env->boot->ExitBootServices(env->image, key);
    }
    return s;
}

/* Firmware that has been told to end its boot services may have ended some of them: no shell to go back to. */
static _Noreturn void give_up(struct boot_env *env, EFI_STATUS why)
{
    boot_say(env, why == EFI_UNSUPPORTED ? "the firmware's memory map has descriptors that are too short to be read"
                  : why == EFI_OUT_OF_RESOURCES ? "the firmware has no memory left for its own memory map"
                                                : "the firmware does not end its boot services");
    boot_say(env, "the machine is reset in some seconds");
    for (u64 start = cpu_tsc(); cpu_tsc() - start < RESET_TICKS;)
        cpu_relax();
    env->system->RuntimeServices->ResetSystem(EfiResetCold, why, 0, NULL);
    cpu_halt();
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    struct boot_env env = {.image = image, .system = system, .boot = system->BootServices};

    if (!boot_open(&env))
        return EFI_INVALID_PARAMETER;
    if (env.root == NULL)
        boot_say(&env,
                 "started from where no files are (a network?): no \\septum.cfg, script, kernel or module is read; "
                 "options are the words behind septum.efi");
    if (!read_options(&env))
        return EFI_INVALID_PARAMETER;
    find_rsdp(&env);
    info.secure_boot = boot_secure_boot(&env);
    if (info.secure_boot == TDX_SECURE_BOOT_ON)
        boot_say(&env,
                 "Secure Boot is on: the firmware may refuse what is not signed; disable Secure Boot in its setup");
    bool has_module = boot_read_module(&env, &info);
    info.reset_system = (u64)system->RuntimeServices->ResetSystem;
    if (info.options.check) {
        boot_check(&env, &info);
        return EFI_SUCCESS;
    }
    /* Whoever has to change something learns all of it. */
    bool has_tdx = detect(&info.tdx_missing) == ERR_OK;
    if (!has_tdx && !info.options.force) {
        boot_say(&env, "this machine is not ready for TDX:");
        boot_say(&env, info.tdx_missing);
    }
    bool has_line = boot_find_line(&env, &info);
    bool has_script = boot_read_scripts(&env, &info);
    if (!info.options.force && (!has_tdx || !has_line || !has_module || !has_script)) {
        boot_say(&env,
                 "back to the firmware; the option `check` says more, `force` starts all the same, serial=PORT names a "
                 "serial line");
        return EFI_UNSUPPORTED;
    }
    boot_read_linux(&env, &info);
    void *stack = take_pages(&env);
    if (stack == NULL || !boot_memory_map_reserve(&env, &info)) {
        boot_say(&env, "not enough memory to start");
        return EFI_OUT_OF_RESOURCES;
    }
    EFI_STATUS s = leave_firmware(&env);
    if (s != EFI_SUCCESS)
        give_up(&env, s);
    boot_line_ends();
    irq_disable();
    stack_switch(stack, kernel_start, &info);
}
