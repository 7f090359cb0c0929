; A call into the firmware that an exception, or a timer that finds it late, can end: see kernel/hw/firmware.h. The firmware's
; calling convention is Microsoft's: arguments in RCX, RDX, R8, R9, and 32 bytes of the caller's stack for them.
bits 64
default rel

section .text

; bool firmware_call(u64 service, u64 a)
global firmware_call:function
firmware_call:
    push rbp
    mov rbp, rsp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [stack], rsp
    mov rax, rdi
    mov rcx, rsi
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    and rsp, -16
    sub rsp, 32
    call rax
    mov eax, 1
.end:
    mov rsp, [stack]
    mov qword [stack], 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

given_up:
    xor eax, eax
    cld
    jmp firmware_call.end

; u64 firmware_is_called(void): where to go on if the call under way is to end, else 0
global firmware_is_called:function
firmware_is_called:
    xor eax, eax
    cmp qword [stack], 0
    je .none
    lea rax, [given_up]
.none:
    ret

section .bss
align 8
stack: resq 1
section .note.GNU-stack noalloc noexec nowrite progbits
