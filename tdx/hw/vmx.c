/*
 * VMX operation on this CPU, which SEAMCALL needs: CR4.VMXE, IA32_FEATURE_CONTROL, VMXON, VMXOFF, INVEPT. SDM vol. 3,
 * "Enabling and entering VMX operation". No VMCS is ever made here: TDs run under the module's own.
 */
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "tdx/hw/seamcall.h"

#define MSR_FEATURE_CONTROL 0x3au
#define MSR_VMX_BASIC       0x480u
#define MSR_VMX_CR0_FIXED0  0x486u
#define MSR_VMX_CR4_FIXED0  0x488u

#define FEATURE_CONTROL_LOCKED BIT(0)
#define FEATURE_CONTROL_VMX    BIT(2) /* outside SMX */
#define CR4_VMXE               BIT(13)
#define VMX_REVISION_MASK      0x7fffffffu
#define INVEPT_SINGLE_CONTEXT  1u

bool vmx_on(const u64 *region_hpa);
bool vmx_off(void);
bool vmx_invept(u64 type, const u64 descriptor[2]);

static u64 read_cr0(void)
{
    u64 v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

static void write_cr0(u64 v)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory");
}

static u64 read_cr4(void)
{
    u64 v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static void write_cr4(u64 v)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

/* Firmware may leave the register unlocked; then it is ours to set, once until the next reset. */
static bool allow_vmx(void)
{
    u64 control;
    if (!cpu_read_msr(MSR_FEATURE_CONTROL, &control))
        return false;
    if (control & FEATURE_CONTROL_LOCKED)
        return control & FEATURE_CONTROL_VMX;
    return cpu_write_msr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX);
}

bool seam_vmxon(void *region)
{
    u64 basic, cr0_must, cr4_must;
    if (!allow_vmx() || !cpu_read_msr(MSR_VMX_BASIC, &basic) || !cpu_read_msr(MSR_VMX_CR0_FIXED0, &cr0_must) ||
        !cpu_read_msr(MSR_VMX_CR4_FIXED0, &cr4_must))
        return false;
    *(u32 *)region = (u32)basic & VMX_REVISION_MASK;
    write_cr0(read_cr0() | cr0_must);
    write_cr4(read_cr4() | cr4_must | CR4_VMXE);
    u64 region_hpa = phys_of(region).raw;
    if (vmx_on(&region_hpa))
        return true;
    write_cr4(read_cr4() & ~CR4_VMXE);
    return false;
}

void seam_vmxoff(void)
{
    if (!vmx_off())
        panic("VMXOFF fails: this CPU is not in VMX operation");
    write_cr4(read_cr4() & ~CR4_VMXE);
}

void seam_invept(u64 eptp)
{
    const u64 descriptor[2] = {eptp, 0};
    if (!vmx_invept(INVEPT_SINGLE_CONTEXT, descriptor))
        panic("INVEPT of EPTP 0x%llx fails", (unsigned long long)eptp);
}
