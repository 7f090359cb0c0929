; enum seamcall_fault seamcall(struct seamcall_regs *regs): the SEAMCALL instruction. See tdx/hw/seamcall.h and, in SDM
; vol. 3, "SEAMCALL".
;
; The module may change every general register but RSP, so all callee-saved ones are kept on the stack, and the pointer
; to the registers too. RFLAGS.CF tells whether a module answered; nothing between the instruction and its test changes
; the flags.
bits 64
default rel
%include "lib/hw/fixup.inc"

; offsets in struct seamcall_regs, which are register numbers times eight
RAX_AT equ 0
RCX_AT equ 8
RDX_AT equ 16
RBX_AT equ 24
RBP_AT equ 40
RSI_AT equ 48
RDI_AT equ 56
R8_AT  equ 64
R9_AT  equ 72
R10_AT equ 80
R11_AT equ 88
R12_AT equ 96
R13_AT equ 104
R14_AT equ 112
R15_AT equ 120

SEAMCALL_UD equ 2
SEAMCALL_GP equ 3
VECTOR_UD   equ 6

section .text

global seamcall:function
seamcall:
    push    rbp
    push    rbx
    push    r12
    push    r13
    push    r14
    push    r15
    push    rdi
    mov     rax, rdi
    mov     rcx, [rax + RCX_AT]
    mov     rdx, [rax + RDX_AT]
    mov     rbx, [rax + RBX_AT]
    mov     rbp, [rax + RBP_AT]
    mov     rsi, [rax + RSI_AT]
    mov     rdi, [rax + RDI_AT]
    mov     r8, [rax + R8_AT]
    mov     r9, [rax + R9_AT]
    mov     r10, [rax + R10_AT]
    mov     r11, [rax + R11_AT]
    mov     r12, [rax + R12_AT]
    mov     r13, [rax + R13_AT]
    mov     r14, [rax + R14_AT]
    mov     r15, [rax + R15_AT]
    mov     rax, [rax + RAX_AT]
.may_fault:
    db      0x66, 0x0f, 0x01, 0xcf      ; SEAMCALL, which NASM does not know
    xchg    rax, [rsp]
    mov     [rax + RCX_AT], rcx
    mov     [rax + RDX_AT], rdx
    mov     [rax + RBX_AT], rbx
    mov     [rax + RBP_AT], rbp
    mov     [rax + RSI_AT], rsi
    mov     [rax + RDI_AT], rdi
    mov     [rax + R8_AT], r8
    mov     [rax + R9_AT], r9
    mov     [rax + R10_AT], r10
    mov     [rax + R11_AT], r11
    mov     [rax + R12_AT], r12
    mov     [rax + R13_AT], r13
    mov     [rax + R14_AT], r14
    mov     [rax + R15_AT], r15
    pop     rcx
    mov     [rax + RAX_AT], rcx
    setc    al                          ; SEAMCALL_RAN 0, SEAMCALL_VMFAILED 1
    movzx   eax, al
.leave:
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rbx
    pop     rbp
    ret
.faulted:                               ; RAX = vector; the struct keeps its inputs
    pop     rcx
    cmp     eax, VECTOR_UD
    mov     ecx, SEAMCALL_UD
    mov     eax, SEAMCALL_GP
    cmove   eax, ecx
    jmp     .leave
FIXUP seamcall.may_fault, seamcall.faulted

section .note.GNU-stack noalloc noexec nowrite progbits
