; The instructions of a payload that C has no words for. Declared in td.h.

%include "guest/hw/td.inc"

bits 64
default rel
global tdcall, td_load_cr3, td_load_idt, td_read_tsc, td_read_msr, td_write_msr, td_cpuid, td_pause
section .text

; void tdcall(struct td_regs *): every register of the struct goes in and comes out.
tdcall:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rdi
    mov rax, [rdi]
    mov rcx, [rdi + 8]
    mov rdx, [rdi + 16]
    mov rbx, [rdi + 24]
    mov rsi, [rdi + 32]
    mov r8,  [rdi + 48]
    mov r9,  [rdi + 56]
    mov r10, [rdi + 64]
    mov r11, [rdi + 72]
    mov r12, [rdi + 80]
    mov r13, [rdi + 88]
    mov r14, [rdi + 96]
    mov r15, [rdi + 104]
    mov rdi, [rdi + 40]
    TDCALL
    xchg rdi, [rsp]
    mov [rdi], rax
    mov [rdi + 8], rcx
    mov [rdi + 16], rdx
    mov [rdi + 24], rbx
    mov [rdi + 32], rsi
    mov [rdi + 48], r8
    mov [rdi + 56], r9
    mov [rdi + 64], r10
    mov [rdi + 72], r11
    mov [rdi + 80], r12
    mov [rdi + 88], r13
    mov [rdi + 96], r14
    mov [rdi + 104], r15
    pop rax
    mov [rdi + 40], rax
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

td_load_cr3:
    mov cr3, rdi
    ret

; void td_load_idt(const void *base, uint16_t limit)
td_load_idt:
    push rdi
    sub rsp, 8
    mov [rsp + 6], si
    lidt [rsp + 6]
    add rsp, 16
    ret

td_read_tsc:
    rdtsc
    shl rdx, 32
    or rax, rdx
    ret

td_read_msr:
    mov ecx, edi
    rdmsr
    shl rdx, 32
    or rax, rdx
    ret

; void td_write_msr(uint32_t msr, uint64_t value)
td_write_msr:
    mov ecx, edi
    mov eax, esi
    mov rdx, rsi
    shr rdx, 32
    wrmsr
    ret

; void td_cpuid(uint32_t leaf, uint32_t regs[4])
td_cpuid:
    push rbx
    mov eax, edi
    xor ecx, ecx
    cpuid
    mov [rsi], eax
    mov [rsi + 4], ebx
    mov [rsi + 8], ecx
    mov [rsi + 12], edx
    pop rbx
    ret

td_pause:
    pause
    ret
