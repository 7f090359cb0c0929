/* `septum.efi check`: the conditions of tdx/check.h on the firmware's console. UEFI 2.10, section 3.3 for SecureBoot. */
#include "boot/boot.h"

#include "kernel/guard/control.h"
#include "kernel/hw/traps.h"
#include "lib/format.h"
#include "lib/hw/cpu.h"
#include "tdx/check.h"

#define LINE_BYTES 320

enum tdx_secure_boot boot_secure_boot(struct boot_env *env)
{
    static CHAR16 name[] = L"SecureBoot";
    static EFI_GUID global = EFI_GLOBAL_VARIABLE;
    UINT8 value = 0;
    UINTN bytes = sizeof(value);
    EFI_STATUS s = env->system->RuntimeServices->GetVariable(name, &global, NULL, &bytes, &value);

    if (s == EFI_NOT_FOUND) /* firmware without it */
        return TDX_SECURE_BOOT_OFF;
    if (s != EFI_SUCCESS)
        return TDX_SECURE_BOOT_UNKNOWN;
    return value ? TDX_SECURE_BOOT_ON : TDX_SECURE_BOOT_OFF;
}

/* With our IDT over the firmware's tables, as tdx_detect() has it. */
static unsigned look(const struct tdx_check_host *host, struct tdx_check checks[TDX_CHECKS_MAX])
{
    struct traps_saved saved;
    u64 irq = cpu_irq_save();

    traps_borrow(&saved);
    (void)control_unlimit_cpuid();
    unsigned count = tdx_check(host, checks);
    traps_give_back(&saved);
    cpu_irq_restore(irq);
    return count;
}

static void say_check(struct boot_env *env, const struct tdx_check *check)
{
    char line[LINE_BYTES];

    format_to(line, sizeof(line), "  %-8s %-16s %s", tdx_check_state_name(check->state), check->name, check->value);
    boot_say(env, line);
    if (check->fix[0] == '\0')
        return;
    format_to(line, sizeof(line), "           %s", check->fix);
    boot_say(env, line);
}

void boot_check(struct boot_env *env, struct boot_info *info)
{
    static struct tdx_check checks[TDX_CHECKS_MAX];
    static _Alignas(PAGE_BYTES) u8 page[PAGE_BYTES];
    UINTN key;
    unsigned counts[3] = {0};
    char sum[80];

    struct tdx_check_host host = {.secure_boot = info->secure_boot, .page = phys_of(page)};
    if (boot_memory_map_reserve(env, info) && boot_memory_map(env, info, &key) == EFI_SUCCESS) {
        host.memory = info->map.free.r;
        host.memory_count = info->map.free.count;
    }
    unsigned count = look(&host, checks);
    for (unsigned i = 0; i < count; i++) {
        say_check(env, &checks[i]);
        counts[checks[i].state]++;
    }
    format_to(sum, sizeof(sum), "%u ok, %u missing, %u unknown before the start", counts[TDX_CHECK_OK],
              counts[TDX_CHECK_MISSING], counts[TDX_CHECK_UNKNOWN]);
    boot_say(env, sum);
    if (env->map != NULL)
        env->boot->FreePool(env->map);
}
