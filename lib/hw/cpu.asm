; Instructions behind lib/hw/cpu.h that C has no words for, or that may fault. System V calling convention.
bits 64
default rel
%include "lib/hw/fixup.inc"

section .text

; bool cpu_read_msr(u32 msr, u64 *value)
global cpu_read_msr:function
cpu_read_msr:
    mov     ecx, edi
.may_fault:
    rdmsr
    shl     rdx, 32
    or      rax, rdx
    mov     [rsi], rax
    mov     eax, 1
    ret
.refused:
    xor     eax, eax
    ret
FIXUP cpu_read_msr.may_fault, cpu_read_msr.refused

; bool cpu_write_msr(u32 msr, u64 value)
global cpu_write_msr:function
cpu_write_msr:
    mov     ecx, edi
    mov     eax, esi
    mov     rdx, rsi
    shr     rdx, 32
.may_fault:
    wrmsr
    mov     eax, 1
    ret
.refused:
    xor     eax, eax
    ret
FIXUP cpu_write_msr.may_fault, cpu_write_msr.refused

; void cpu_movdir64b_zero(void *to, u64 lines): `lines` 64-byte zeros by direct store
global cpu_movdir64b_zero:function
cpu_movdir64b_zero:
    lea     rax, [zero_line]
    mov     rcx, rsi
    jrcxz   .done
.next:
    movdir64b rdi, [rax]
    add     rdi, 64
    dec     rcx
    jnz     .next
.done:
    sfence
    ret

; void cpu_clflushopt(void *at, u64 lines) and cpu_clflush(): write back and invalidate `lines` 64-byte lines
global cpu_clflushopt:function
cpu_clflushopt:
    mov     rcx, rsi
    jrcxz   .done
.next:
    clflushopt [rdi]
    add     rdi, 64
    dec     rcx
    jnz     .next
.done:
    sfence
    ret

global cpu_clflush:function
cpu_clflush:
    mov     rcx, rsi
    jrcxz   .done
.next:
    clflush [rdi]
    add     rdi, 64
    dec     rcx
    jnz     .next
.done:
    mfence
    ret

section .rodata align=64
zero_line: times 64 db 0

section .note.GNU-stack noalloc noexec nowrite progbits
