/* See guest.h. */
#include "tests/system/guests/lib/guest.h"

#define COM1            0x3f8
#define VMX_BASIC_MSR   0x480
#define CR4_VMXE        (1ull << 13)
#define POWER_OFF_PORT  0x604 /* QEMU q35: PM1a control */
#define POWER_OFF_VALUE 0x2000

void guest_put(const char *text)
{
    for (; *text; text++)
        __asm__ volatile("outb %0, %1" ::"a"(*text), "d"((uint16_t)COM1));
}

void guest_put_number(const char *name, uint64_t value)
{
    char digits[] = " 0000000000000000";
    for (int i = 16; i > 0; i--, value >>= 4)
        digits[i] = "0123456789abcdef"[value & 15];
    guest_put(name);
    guest_put(digits);
    guest_put("\r\n");
}

void guest_say(const char *prefix, unsigned cpu, const char *name, uint64_t value)
{
    const char digit[] = {':', ' ', (char)('0' + cpu), ' ', 0};
    guest_put(prefix);
    guest_put(digit);
    guest_put_number(name, value);
}

uint64_t guest_rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

void guest_wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

uint64_t guest_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

unsigned guest_vmx_on(void *region)
{
    uint64_t at = (uint64_t)region, cr4;
    uint8_t failed;
    *(uint32_t *)region = (uint32_t)guest_rdmsr(VMX_BASIC_MSR);
    __asm__ volatile("mov %%cr4, %0; or %1, %0; mov %0, %%cr4" : "=&r"(cr4) : "r"(CR4_VMXE));
    __asm__ volatile("vmxon %1; setna %0" : "=r"(failed) : "m"(at) : "memory", "cc");
    return failed;
}

uint64_t guest_seamcall(uint64_t leaf, uint64_t rcx, uint64_t rdx, uint64_t in_r8)
{
    register uint64_t r8 __asm__("r8") = in_r8;
    __asm__ volatile("push %%rbp; push %%rbx; .byte 0x66, 0x0f, 0x01, 0xcf; pop %%rbx; pop %%rbp"
                     : "+a"(leaf), "+c"(rcx), "+d"(rdx), "+r"(r8)
                     :
                     : "rsi", "rdi", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    return leaf;
}

struct __attribute__((packed)) idt_register {
    uint16_t limit;
    uint64_t base;
};

/* As the CPU would deliver it, with interrupts off behind it as before. */
void guest_take_interrupt(unsigned vector)
{
    struct idt_register idtr;
    __asm__ volatile("sidt %0" : "=m"(idtr));
    const uint64_t *gate = (const uint64_t *)idtr.base + 2 * vector;
    uint64_t handler = (gate[0] & 0xffff) | (gate[0] >> 48) << 16 | gate[1] << 32;
    __asm__ volatile("mov %%rsp, %%rax; and $-16, %%rsp\n"
                     "mov %%ss, %%ecx; push %%rcx; push %%rax; pushfq; cli; mov %%cs, %%ecx; push %%rcx; call *%0"
                     :
                     : "r"(handler)
                     : "rax", "rcx", "memory", "cc");
}

_Noreturn void guest_power_off(void)
{
    __asm__ volatile("outw %0, %1" ::"a"((uint16_t)POWER_OFF_VALUE), "d"((uint16_t)POWER_OFF_PORT));
    for (;;)
        __asm__ volatile("hlt");
}
