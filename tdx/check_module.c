/*
 * Conditions that firmware tables, P-SEAMLDR and the TDX module show: see check.h. Intel TDX Loader (SEAMLDR) Interface
 * Specification, "SEAMLDR.INFO"; TDX Module ABI Specification, "TDH.SYS.RD".
 */
#include "lib/hw/cpu.h"
#include "tdx/abi_field.h"
#include "tdx/abi_leaf.h"
#include "tdx/check_internal.h"
#include "tdx/hw/seamcall.h"
#include "tdx/module_internal.h"
#include "tdx/seamldr.h"

#define TDX_MEMORY_MIN (64 * MIB)

void tdx_look_secure_boot(const struct tdx_check_host *host, struct tdx_check *c)
{
    static const char *const words[] = {"cannot be read", "= 0", "= 1"};

    tdx_check_add(c, "UEFI variable SecureBoot %s", words[host->secure_boot]);
    if (host->secure_boot == TDX_SECURE_BOOT_UNKNOWN)
        tdx_check_unknown(c);
    if (host->secure_boot == TDX_SECURE_BOOT_ON)
        tdx_check_lacks(
            c, "Secure Boot is on: firmware refuses images and shells that are not signed; disable Secure Boot in its "
               "setup, or sign septum.efi with a key that is enrolled there");
}

void tdx_look_cpus(const struct tdx_check_host *host, struct tdx_check *c)
{
    if (host->cpus == 0) {
        tdx_check_add(c, "started when boot services have ended");
        tdx_check_unknown(c);
        return;
    }
    tdx_check_add(c, "ACPI MADT: %u CPUs, %u of them started", host->cpus, host->cpus - host->cpus_failed);
    if (host->cpus_failed != 0) {
        tdx_check_add(c, ", not%s", host->failed_cpus);
        tdx_check_lacks(
            c, "CPUs that did not start keep the module from being configured, since it waits for each: disable those "
               "cores in the firmware setup, or reset the machine");
    }
}

void tdx_look_vmxon(const struct tdx_check_host *host, struct tdx_check *c)
{
    bool was_on = tdx_module_vmx_is_on(), is_on = was_on || tdx_module_vmx_on();

    tdx_check_add(c, was_on ? "VMX operation is on" : is_on ? "VMXON works" : "VMXON fails");
    if (!is_on)
        tdx_check_lacks(
            c, "VMX operation cannot be entered: some other hypervisor may run below, or VMX is restricted to SMX "
               "operation (measured launch)");
    if (is_on && !was_on)
        tdx_module_vmx_off();
}

/* None of these calls is among those that the VMM counts and traces as its work, so they take the bare instruction. Where
 * there is no module: whether one is going to be installed. */
static enum seamcall_fault ask_module(u64 *answer)
{
    struct seamcall_regs r = {.rax = TDH_SYS_RD, .rdx = FIELD_SYS_MAJOR_VERSION};
    enum seamcall_fault fault = seamcall(&r);

    *answer = fault == SEAMCALL_VMFAILED ? tdx_seamldr_is_ready() : r.rax;
    return fault;
}

/* Calls `ask` in VMX operation, and leaves that where it was not on before. */
static enum seamcall_fault in_vmx(enum seamcall_fault (*ask)(u64 *status), u64 *status)
{
    bool was_on = tdx_module_vmx_is_on();

    *status = 0;
    if (!was_on && !tdx_module_vmx_on())
        return SEAMCALL_UD;
    enum seamcall_fault fault = ask(status);
    if (!was_on)
        tdx_module_vmx_off();
    return fault;
}

static struct seamldr_info info; /* as P-SEAMLDR said it last */
static hpa_t info_page;

static void tell_seamldr(struct tdx_check *c)
{
    tdx_check_add(c, "SEAMLDR.INFO: %u.%u.%02u, build %u of %u, %u module updates left; module %s%s", info.major,
                  info.minor, info.update, info.build_num, info.build_date, info.updates_left,
                  info.seam_ready ? "loaded" : "not loaded", info.seam_debug ? ", debug" : "");
}

static enum seamcall_fault ask_seamldr(u64 *status)
{
    return tdx_seamldr_info(info_page, &info, status);
}

void tdx_look_seamldr(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 status;

    if (hpa_is(host->page, HPA_NONE)) {
        tdx_check_add(c, "SEAMLDR.INFO: no page to write to");
        tdx_check_unknown(c);
        return;
    }
    info_page = host->page;
    enum seamcall_fault fault = in_vmx(ask_seamldr, &status);
    if (fault == SEAMCALL_VMFAILED) {
        tdx_check_add(c, "SEAMLDR.INFO: VMfailInvalid");
        tdx_check_lacks(
            c, "no P-SEAMLDR is loaded, so a module cannot be loaded or changed after the firmware: enable TDX SEAM "
               "Loader in its setup, or update the BIOS");
    } else if (fault != SEAMCALL_RAN || status != 0) {
        tdx_check_add(c, fault == SEAMCALL_RAN ? "SEAMLDR.INFO: 0x%llx" : "SEAMLDR.INFO: an exception",
                      (unsigned long long)status);
        tdx_check_unknown(c);
    } else {
        tell_seamldr(c);
    }
}

static void tell_answer(struct tdx_check *c, u64 status)
{
    tdx_check_add(c, "TDH.SYS.RD: %s (0x%llx)", tdx_status_name((tdx_status_t){status}), (unsigned long long)status);
}

static void no_module(struct tdx_check *c, bool is_planned)
{
    tdx_check_add(c, "TDH.SYS.RD: VMfailInvalid%s",
                  is_planned ? "; `tdx init` has P-SEAMLDR install the one that module= names" : "");
    if (is_planned)
        tdx_check_unknown(c);
    else
        tdx_check_lacks(
            c, "no TDX module is loaded: the firmware did not find one; see its setup for the TDX and SEAM loader "
               "options, put the module on the EFI system partition (\\EFI\\TDX\\TDX-SEAM.so), or name it by module= "
               "where there is a P-SEAMLDR");
}

/* Any answer of a module means that one is there, even that it is not initialised. */
void tdx_look_module(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 answer;

    switch (in_vmx(ask_module, &answer)) {
    case SEAMCALL_RAN:
        tell_answer(c, answer);
        break;
    case SEAMCALL_VMFAILED:
        no_module(c, answer);
        break;
    case SEAMCALL_GP:
        tdx_check_add(c, "TDH.SYS.RD: #GP");
        tdx_check_lacks(
            c, "SEAMCALL raises #GP: the firmware left SEAM off, although the CPU has it; enable TDX in its setup");
        break;
    case SEAMCALL_UD:
        tdx_check_add(c, "TDH.SYS.RD: #UD");
        tdx_check_lacks(c, "SEAMCALL raises #UD: this CPU does not know the instruction, or VMX operation is not on");
        break;
    }
}

/* A module speaks when it is initialised, but for one of generation 1.0, which gives itself away before. */
void tdx_look_module_version(const struct tdx_check_host *host, struct tdx_check *c)
{
    const struct tdx_module *m = &tdx_module;
    u64 answer;

    if (m->ready) {
        tdx_check_add(c, "TDH.SYS.RD: %u.%u.%02u, build %u of %u, features 0x%llx", m->major, m->minor, m->update,
                      m->build_num, m->build_date, (unsigned long long)m->features0);
        return;
    }
    tdx_check_unknown(c);
    if (in_vmx(ask_module, &answer) != SEAMCALL_RAN) {
        tdx_check_add(c, "told when the module is installed");
        return;
    }
    tell_answer(c, answer);
    if (tdx_module_is_too_old((tdx_status_t){answer}))
        tdx_check_lacks(c, TDX_MODULE_TOO_OLD);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static u64 bytes_of(const struct phys_range *ranges, unsigned count)
{
    u64 bytes = 0;

    for (unsigned i = 0; i < count; i++)
        bytes += ranges[i].bytes;
    return bytes;
}

/* CMRs do not overlap each other, nor does the firmware's memory. */
static u64 convertible_bytes(const struct tdx_check_host *host)
{
    u64 bytes = 0;

    for (unsigned i = 0; i < host->memory_count; i++)
        for (unsigned j = 0; j < tdx_module.cmr_count; j++) {
            const struct phys_range *a = &host->memory[i], *b = &tdx_module.cmrs[j];
            u64 from = a->base.raw > b->base.raw ? a->base.raw : b->base.raw;
            u64 a_end = a->base.raw + a->bytes, b_end = b->base.raw + b->bytes, to = a_end < b_end ? a_end : b_end;
            bytes += to > from ? to - from : 0;
        }
    return bytes;
}

/* A few MiB that are not convertible are usual; a 64th of the memory is a DIMM or a node. */
void tdx_look_cmrs(const struct tdx_check_host *host, struct tdx_check *c)
{
    u64 all = bytes_of(host->memory, host->memory_count), convertible = convertible_bytes(host);

    if (tdx_module.cmr_count == 0 || all == 0) {
        tdx_check_add(c, "TDH.SYS.RD tells them when the module is initialised");
        tdx_check_unknown(c);
        return;
    }
    tdx_check_add(c, "TDH.SYS.RD: %u CMRs cover %llu of %llu MiB that the firmware leaves free", tdx_module.cmr_count,
                  (unsigned long long)(convertible / MIB), (unsigned long long)(all / MIB));
    if (all - convertible > all / 64)
        tdx_check_lacks(
            c, "much memory is not convertible, and no TD can have it: populate the DIMMs alike on all channels and "
               "sockets; persistent memory and CXL memory never are");
}

void tdx_look_tdx_memory(const struct tdx_check_host *host, struct tdx_check *c)
{
    const struct tdmr_layout *layout = tdx_module_layout();
    u64 all = bytes_of(host->memory, host->memory_count),
        left = tdx_module.ready ? layout->memory_bytes : all - all / 256;

    if (all == 0) {
        tdx_check_add(c, "the firmware's memory map is not read yet");
        tdx_check_unknown(c);
        return;
    }
    if (tdx_module.ready)
        tdx_check_add(c, "%llu MiB in %u TDMRs, %llu KiB left out", (unsigned long long)(left / MIB), layout->count,
                      (unsigned long long)(layout->dropped_bytes / KIB));
    else
        tdx_check_add(c, "UEFI memory map: %llu MiB free, at most %llu MiB for TDs beside the PAMTs",
                      (unsigned long long)(all / MIB), (unsigned long long)(left / MIB));
    if (left < TDX_MEMORY_MIN)
        tdx_check_lacks(c, "too little memory is left for a TD: raise the option tdmem=, or add memory");
}
