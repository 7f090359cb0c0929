/*
 * A guest of the simulated platform that executes what an Intel CPU refuses, and notes the vector of the exception that it gets:
 * 6 (#UD), 13 (#GP), or 0 where the instruction ran. One `faults:` line each goes to the serial port; tests/system/test_platform.py
 * knows what the SDM says. Ends with a triple fault.
 */
#include <efi.h>

#include "tests/system/guests/lib/guest.h"

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

/* Written by the stubs below. */
__attribute__((used)) static UINT64 seen, resume, carry;

/* Both leave the instruction behind for the place that `resume` names. RAX is the caller's to lose. */
__asm__(".text\n"
        "ud_stub: movq $6, seen(%rip); jmp leave\n"
        "gp_stub: movq $13, seen(%rip); add $8, %rsp\n"
        "leave: mov resume(%rip), %rax; mov %rax, (%rsp); iretq\n");
extern const char ud_stub[], gp_stub[];

/* Runs instructions; the vector that stopped them, or 0. Inputs: RCX, RDX, RSI, RDI; `in_rax` is loaded last. */
#define TRY(text, in_rax, in_rcx, in_rdx, in_rdi)                                                                      \
    ({                                                                                                                 \
        UINT64 c = (in_rcx), d = (in_rdx), t = (in_rdi), x = (in_rax);                                                 \
        seen = 0;                                                                                                      \
        __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, resume(%%rip); mov %3, %%rax; " text                        \
                         "; setc carry(%%rip); mov %%rax, %3; 1:"                                                      \
                         : "+c"(c), "+d"(d), "+D"(t), "+r"(x)                                                          \
                         :                                                                                             \
                         : "rax", "rbx", "r8", "r9", "r10", "r11", "memory", "cc");                                    \
        out_rax = x;                                                                                                   \
        out_rcx = c;                                                                                                   \
        seen;                                                                                                          \
    })
static UINT64 out_rax, out_rcx;

static void say(const char *name, UINT64 value)
{
    guest_put("faults: ");
    guest_put_number(name, value);
}

struct table {
    UINT16 limit;
    UINT64 base;
} __attribute__((packed));
static UINT64 idt[256][2] __attribute__((aligned(16)));

static void set_gate(unsigned vector, const char *stub)
{
    UINT64 at = (UINT64)stub;
    UINT16 cs;
    __asm__("mov %%cs, %0" : "=r"(cs));
    idt[vector][0] = (at & 0xffff) | (UINT64)cs << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
    idt[vector][1] = at >> 32;
}

/* The firmware's gates, with ours in place of two. */
static void install_gates(void)
{
    struct table t;
    __asm__ volatile("sidt %0" : "=m"(t));
    for (unsigned i = 0; i < (t.limit + 1u) / 16; i++) {
        idt[i][0] = ((UINT64 *)t.base)[2 * i];
        idt[i][1] = ((UINT64 *)t.base)[2 * i + 1];
    }
    set_gate(6, ud_stub);
    set_gate(13, gp_stub);
    t = (struct table){sizeof(idt) - 1, (UINT64)idt};
    __asm__ volatile("lidt %0" ::"m"(t));
}

static UINT64 rdmsr_faults(UINT32 msr)
{
    return TRY("rdmsr; shl $32, %%rdx; or %%rdx, %%rax", 0, msr, 0, 0);
}

static UINT64 wrmsr_faults(UINT32 msr, UINT64 value)
{
    return TRY("wrmsr", (UINT32)value, msr, value >> 32, 0);
}

static UINT64 cr4_faults(UINT64 set, UINT64 clear)
{
    return TRY("mov %%cr4, %%rax; or %%rcx, %%rax; not %%rdx; and %%rdx, %%rax; mov %%rax, %%cr4", 0, set, clear, 0);
}

static UINT64 cpuid(UINT32 leaf, unsigned reg)
{
    UINT32 r[4];
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
    return r[reg];
}

#define SEAMCALL ".byte 0x66, 0x0f, 0x01, 0xcf"
#define VMXON    "vmxon (%%rdi)"
#define VMXE     (1ull << 13)
#define PCIDE    (1ull << 17)
#define BAD_LEAF (1ull << 32)

static UINT8 region[4096] __attribute__((aligned(4096)));
static UINT64 region_at;
static UINT64 eptp[2];

static void outside_vmx(void)
{
    say("SEAMCALL outside VMX", TRY(SEAMCALL, BAD_LEAF, 0, 0, 0));
    say("VMXOFF outside VMX", TRY("vmxoff", 0, 0, 0, 0));
    say("VMXON without VMXE", TRY(VMXON, 0, 0, 0, (UINT64)&region_at));
    say("TDCALL", TRY(".byte 0x66, 0x0f, 0x01, 0xcc", 0, 0, 0, 0));
    say("SEAMRET", TRY(".byte 0x66, 0x0f, 0x01, 0xcd", 0, 0, 0, 0));
    say("VMRUN", TRY("vmrun", (UINT64)region, 0, 0, 0));
    say("VMMCALL", TRY("vmmcall", 0, 0, 0, 0));
    say("VMSAVE", TRY("vmsave", (UINT64)region, 0, 0, 0));
    say("CLGI", TRY("clgi", 0, 0, 0, 0));
    say("STGI", TRY("stgi", 0, 0, 0, 0));
}

static void inside_vmx(void)
{
    say("set VMXE", cr4_faults(VMXE, 0));
    __asm__ volatile("mov %%cr4, %0" : "=r"(out_rax));
    say("VMXE reads back", out_rax >> 13 & 1);
    say("VMXON of a bad revision", TRY(VMXON, 0, 0, 0, (UINT64)&region_at));
    say("VMXON of a bad revision, carry", carry);
    rdmsr_faults(0x480);
    *(UINT32 *)region = (UINT32)out_rax;
    say("VMXON", TRY(VMXON, 0, 0, 0, (UINT64)&region_at));
    say("VMXON, carry", carry);
    say("second VMXON", TRY(VMXON, 0, 0, 0, (UINT64)&region_at));
    say("second VMXON, carry", carry);
    say("clear VMXE in VMX", cr4_faults(0, VMXE));
    say("SEAMCALL", TRY(SEAMCALL, BAD_LEAF, 0, 0, 0));
    say("SEAMCALL, status", out_rax);
    say("SEAMCALL of P-SEAMLDR", TRY(SEAMCALL, 1ull << 63, 1, 0, 0)); /* its operand is not aligned */
    say("SEAMCALL of P-SEAMLDR, status", out_rax);
    say("INVEPT one", TRY("invept (%%rdi), %%rcx", 0, 1, 0, (UINT64)eptp));
    say("INVEPT all", TRY("invept (%%rdi), %%rcx", 0, 2, 0, (UINT64)eptp));
    say("INVEPT all, carry", carry);
    say("INVEPT of type 3", TRY("invept (%%rdi), %%rcx", 0, 3, 0, (UINT64)eptp));
    say("INVEPT of type 3, carry", carry);
    say("VMPTRLD, carry", (TRY("vmptrld (%%rdi)", 0, 0, 0, (UINT64)&region_at), carry));
    say("VMXOFF", TRY("vmxoff", 0, 0, 0, 0));
    say("SEAMCALL after VMXOFF", TRY(SEAMCALL, BAD_LEAF, 0, 0, 0));
    say("clear VMXE", cr4_faults(0, VMXE));
}

static void registers(void)
{
    say("set PCIDE", cr4_faults(PCIDE, 0));
    say("CR3 with bit 63", TRY("mov %%cr3, %%rax; bts $63, %%rax; mov %%rax, %%cr3", 0, 0, 0, 0));
    say("CR3 as it was", TRY("mov %%cr3, %%rax; mov %%rax, %%cr3", 0, 0, 0, 0));
    say("read AMD MSR", rdmsr_faults(0xc0010117));
    say("write KeyID partitioning", wrmsr_faults(0x87, 0));
    say("write feature control", wrmsr_faults(0x3a, 5));
    say("read EFER", rdmsr_faults(0xc0000080));
    say("EFER.SVME", out_rax >> 12 & 1);
    say("set EFER.SVME", wrmsr_faults(0xc0000080, out_rax | 1 << 12));
    say("read x2APIC register in xAPIC mode", rdmsr_faults(0x802));
    rdmsr_faults(0x1b);
    UINT64 base = out_rax;
    say("enter x2APIC mode", wrmsr_faults(0x1b, base | 1 << 10));
    say("read x2APIC ID", rdmsr_faults(0x802));
    say("read x2APIC EOI", rdmsr_faults(0x80b));
    say("write x2APIC version", wrmsr_faults(0x803, 0));
    say("back to xAPIC mode at once", wrmsr_faults(0x1b, base));
    wrmsr_faults(0xc0000103, 0x1234);
    say("RDPID", TRY(".byte 0xf3, 0x48, 0x0f, 0xc7, 0xf8", 0, 0, 0, 0));
    say("RDPID, value", out_rax);
    say("MOVDIR64B misaligned", TRY(".byte 0x66, 0x0f, 0x38, 0xf8, 0x07", (UINT64)region + 8, 0, 0, (UINT64)eptp));
    say("CPUID SVM leaf", cpuid(0x8000000a, 0));
    say("CPUID SVM bit", cpuid(0x80000001, 2) >> 2 & 1);
    say("CPUID VMX SMX x2APIC", (cpuid(1, 2) >> 5 & 3) | (cpuid(1, 2) >> 21 & 1) << 2);
    say("CPUID MOVDIR64B", cpuid(7, 2) >> 28 & 1);
    say("CPUID address bits", cpuid(0x80000008, 0) & 0xff);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    struct table none = {0, 0};
    __asm__ volatile("cli");
    region_at = (UINT64)region;
    install_gates();
    outside_vmx();
    inside_vmx();
    registers();
    guest_put("faults: end\r\n");
    __asm__ volatile("lidt %0; ud2" ::"m"(none));
    for (;;)
        ;
}
