; From one stack to another within a thread: System V AMD64 ABI, registers that a called function keeps. See lab/stack.h.
bits 64
default rel
global stack_leave, stack_begin
section .text

; void stack_leave(void **keep, void *to): the caller goes on when somebody leaves to what it kept.
stack_leave:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [rdi], rsp
    mov rsp, rsi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

; Where a new stack begins: R12 is the function, R13 its argument.
stack_begin:
    mov rdi, r13
    call r12
    ud2

section .note.GNU-stack noalloc noexec nowrite progbits
