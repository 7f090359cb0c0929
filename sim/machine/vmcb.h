/*
 * The virtual machine control block of AMD SVM: AMD64 Architecture Programmer's Manual, volume 2, appendices B (layout) and C
 * (exit codes). Only what QEMU's TCG implements has a name; the rest is padding (no next RIP, no decode assists, no AVIC).
 */
#ifndef SIM_MACHINE_VMCB_H
#define SIM_MACHINE_VMCB_H

#include "sim/types.h"

/* Attributes are the descriptor's bits 55:52 and 47:40 put together: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11. */
struct vmcb_seg {
    u16 selector, attributes;
    u32 limit;
    u64 base;
};

struct vmcb {
    /* control area */
    u16 intercept_cr_read, intercept_cr_write;
    u16 intercept_dr_read, intercept_dr_write;
    u32 intercept_exceptions;
    u32 intercept_1, intercept_2;
    u8 pad_014[0x40 - 0x14];
    u64 iopm, msrpm;
    u64 tsc_offset;
    u32 asid;
    u32 tlb_control;
    u32 int_control, int_vector;
    u64 int_state;
    u64 exit_code, exit_info_1, exit_info_2;
    u64 exit_int_info;
    u64 nested_control;
    u8 pad_098[0xa8 - 0x98];
    u64 event_injection;
    u64 nested_cr3;
    u8 pad_0b8[0x400 - 0xb8];
    /* state save area */
    struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    u8 pad_4a0[0x4cb - 0x4a0];
    u8 cpl;
    u32 pad_4cc;
    u64 efer;
    u8 pad_4d8[0x548 - 0x4d8];
    u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
    u8 pad_580[0x5d8 - 0x580];
    u64 rsp;
    u8 pad_5e0[0x5f8 - 0x5e0];
    u64 rax;
    u64 star, lstar, cstar, sfmask, kernel_gs_base;
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 cr2;
    u8 pad_648[0x668 - 0x648];
    u64 g_pat, debugctl;
    u8 pad_678[0x1000 - 0x678];
};
_Static_assert(sizeof(struct vmcb) == 4096, "a VMCB is one page");
_Static_assert(offsetof(struct vmcb, iopm) == 0x40, "APM vol. 2, table B-1");
_Static_assert(offsetof(struct vmcb, tsc_offset) == 0x50, "APM vol. 2, table B-1");
_Static_assert(offsetof(struct vmcb, tlb_control) == 0x5c, "APM vol. 2, table B-1");
_Static_assert(offsetof(struct vmcb, int_state) == 0x68, "APM vol. 2, table B-1");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "APM vol. 2, table B-1");
_Static_assert(offsetof(struct vmcb, exit_int_info) == 0x88, "APM vol. 2, table B-1");
_Static_assert(offsetof(struct vmcb, event_injection) == 0xa8, "APM vol. 2, table B-1");
_Static_assert(offsetof(struct vmcb, nested_cr3) == 0xb0, "APM vol. 2, table B-1");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, gdtr) == 0x460, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, tr) == 0x490, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "APM vol. 2, table B-2");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "APM vol. 2, table B-2");

/* intercept_cr_*, intercept_dr_* and intercept_exceptions: bit n is register or vector n. */
#define VMCB_CR(n) (1u << (n))

/* intercept_1, at offset 0Ch */
#define SVM_INTERCEPT_INTR        (1u << 0)
#define SVM_INTERCEPT_NMI         (1u << 1)
#define SVM_INTERCEPT_SMI         (1u << 2)
#define SVM_INTERCEPT_INIT        (1u << 3)
#define SVM_INTERCEPT_VINTR       (1u << 4)
#define SVM_INTERCEPT_RDTSC       (1u << 14) /* RDTSCP too, in QEMU */
#define SVM_INTERCEPT_RDPMC       (1u << 15)
#define SVM_INTERCEPT_CPUID       (1u << 18)
#define SVM_INTERCEPT_IRET        (1u << 20)
#define SVM_INTERCEPT_INVD        (1u << 22)
#define SVM_INTERCEPT_HLT         (1u << 24)
#define SVM_INTERCEPT_INVLPG      (1u << 25)
#define SVM_INTERCEPT_INVLPGA     (1u << 26)
#define SVM_INTERCEPT_IOIO        (1u << 27)
#define SVM_INTERCEPT_MSR         (1u << 28)
#define SVM_INTERCEPT_TASK_SWITCH (1u << 29)
#define SVM_INTERCEPT_SHUTDOWN    (1u << 31)

/* intercept_2, at offset 10h */
#define SVM_INTERCEPT_VMRUN   (1u << 0) /* VMRUN refuses to run a VMCB without it */
#define SVM_INTERCEPT_VMMCALL (1u << 1)
#define SVM_INTERCEPT_VMLOAD  (1u << 2)
#define SVM_INTERCEPT_VMSAVE  (1u << 3)
#define SVM_INTERCEPT_STGI    (1u << 4)
#define SVM_INTERCEPT_CLGI    (1u << 5)
#define SVM_INTERCEPT_SKINIT  (1u << 6)
#define SVM_INTERCEPT_RDTSCP  (1u << 7)
#define SVM_INTERCEPT_WBINVD  (1u << 9)
#define SVM_INTERCEPT_MONITOR (1u << 10)
#define SVM_INTERCEPT_MWAIT   (1u << 11)
#define SVM_INTERCEPT_XSETBV  (1u << 13) /* not implemented by QEMU 7.2 */

/* Exit codes: the field has 64 bits, QEMU writes 32 of them for VMEXIT_INVALID. Use vmcb_exit(). */
enum vmcb_exit {
    VMEXIT_READ_CR0 = 0x00,
    VMEXIT_WRITE_CR0 = 0x10,
    VMEXIT_READ_DR0 = 0x20,
    VMEXIT_WRITE_DR0 = 0x30,
    VMEXIT_EXCP_BASE = 0x40,
    VMEXIT_EXCP_UD = 0x46,
    VMEXIT_INTR = 0x60,
    VMEXIT_NMI = 0x61,
    VMEXIT_SMI = 0x62,
    VMEXIT_INIT = 0x63,
    VMEXIT_VINTR = 0x64,
    VMEXIT_RDTSC = 0x6e,
    VMEXIT_RDPMC = 0x6f,
    VMEXIT_CPUID = 0x72,
    VMEXIT_IRET = 0x74,
    VMEXIT_INVD = 0x76,
    VMEXIT_HLT = 0x78,
    VMEXIT_INVLPG = 0x79,
    VMEXIT_INVLPGA = 0x7a,
    VMEXIT_IOIO = 0x7b,
    VMEXIT_MSR = 0x7c,
    VMEXIT_TASK_SWITCH = 0x7d,
    VMEXIT_SHUTDOWN = 0x7f,
    VMEXIT_VMRUN = 0x80,
    VMEXIT_VMMCALL = 0x81,
    VMEXIT_VMLOAD = 0x82,
    VMEXIT_VMSAVE = 0x83,
    VMEXIT_STGI = 0x84,
    VMEXIT_CLGI = 0x85,
    VMEXIT_SKINIT = 0x86,
    VMEXIT_RDTSCP = 0x87,
    VMEXIT_WBINVD = 0x89,
    VMEXIT_MONITOR = 0x8a,
    VMEXIT_MWAIT = 0x8b,
    VMEXIT_XSETBV = 0x8d,
    VMEXIT_NPF = 0x400,
};
#define VMEXIT_INVALID 0xffffffffu
static inline u32 vmcb_exit(const struct vmcb *vmcb)
{
    return (u32)vmcb->exit_code;
}

/* int_control */
#define VMCB_V_TPR          0xfu
#define VMCB_V_IRQ          (1u << 8)
#define VMCB_V_IGNORE_TPR   (1u << 20)
#define VMCB_V_INTR_MASKING (1u << 24)
/* int_state */
#define VMCB_INT_SHADOW (1u << 0)
/* nested_control */
#define VMCB_NESTED_PAGING (1u << 0)

/* event_injection and exit_int_info; test validity by bit 31 alone */
#define VMCB_EVENT_VALID      (1ull << 31)
#define VMCB_EVENT_HAS_ERROR  (1ull << 11)
#define VMCB_EVENT_INTERRUPT  (0ull << 8)
#define VMCB_EVENT_NMI        (2ull << 8)
#define VMCB_EVENT_EXCEPTION  (3ull << 8)
#define VMCB_EVENT_SOFT_INT   (4ull << 8)
#define VMCB_EVENT_ERROR(err) ((u64)(u32)(err) << 32)

/* exit_info_1 of a nested page fault */
#define NPF_PRESENT  (1ull << 0)
#define NPF_WRITE    (1ull << 1)
#define NPF_USER     (1ull << 2)
#define NPF_RESERVED (1ull << 3)
#define NPF_FETCH    (1ull << 4)
#define NPF_FINAL    (1ull << 32) /* while accessing the guest's page itself */
#define NPF_TABLE    (1ull << 33) /* while reading the guest's page tables */

/* Nested page table entries. User is needed at every level. */
#define NPT_PRESENT  (1ull << 0)
#define NPT_WRITE    (1ull << 1)
#define NPT_USER     (1ull << 2)
#define NPT_ACCESSED (1ull << 5)
#define NPT_DIRTY    (1ull << 6)
#define NPT_LARGE    (1ull << 7)
#define NPT_NX       (1ull << 63)
#define NPT_ADDR     0x000ffffffffff000ull

#define EFER_SVME (1ull << 12)

#endif
