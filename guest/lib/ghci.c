/* TDCALLs by name: see ghci.h. */
#include "guest/lib/ghci.h"
#include "guest/hw/td.h"

enum { TDG_VP_VEINFO_GET = 3, TDG_MEM_PAGE_ACCEPT = 6 };
enum { GHCI_MAP_GPA = 0x10001, GHCI_REPORT_FATAL_ERROR = 0x10003 };

#define PASS_FATAL (0xffull << 8 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 7)

uint64_t ghci_accept(uint64_t gpa, uint32_t level)
{
    struct td_regs r = {.rax = TDG_MEM_PAGE_ACCEPT, .rcx = gpa | level};
    tdcall(&r);
    return r.rax;
}

uint64_t ghci_get_ve_info(struct ve_info *info)
{
    struct td_regs r = {.rax = TDG_VP_VEINFO_GET};
    tdcall(&r);
    *info = (struct ve_info){.exit_reason = (uint32_t)r.rcx, .qualification = r.rdx, .gla = r.r8, .gpa = r.r9};
    return r.rax;
}

struct mapgpa_result ghci_map_gpa(uint64_t gpa, uint64_t bytes)
{
    struct td_regs r = {.rax = TDG_VP_VMCALL, .rcx = GHCI_PASS_R10_R13, .r11 = GHCI_MAP_GPA, .r12 = gpa, .r13 = bytes};
    tdcall(&r);
    /* RAX fails only for a bad register mask, and ours is a constant; the VMM's answer is in R10 and R11. */
    return (struct mapgpa_result){.status = r.r10, .gpa = r.r11};
}

_Noreturn void ghci_fatal(uint32_t code, const struct guest_text *text)
{
    uint64_t words[8];
    memcpy(words, text->bytes, sizeof(words));
    for (;;) {
        struct td_regs r = {.rax = TDG_VP_VMCALL,
                            .rcx = PASS_FATAL,
                            .r11 = GHCI_REPORT_FATAL_ERROR,
                            .r12 = code,
                            .r14 = words[0],
                            .r15 = words[1],
                            .rbx = words[2],
                            .rdi = words[3],
                            .rsi = words[4],
                            .r8 = words[5],
                            .r9 = words[6],
                            .rdx = words[7]};
        tdcall(&r);
    }
}
