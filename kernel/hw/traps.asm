; Entry stubs of all 256 vectors, the change of stack at start-up, and the loads of GDT and task register.
; SDM vol. 3, section 6.14. Frames are laid out as struct trap_frame (kernel/hw/traps.h).
bits 64
default rel

extern trap_handle:function
section .text

%macro STUB 1
    align 16
    %if %1 != 8 && %1 != 10 && %1 != 11 && %1 != 12 && %1 != 13 && %1 != 14 && %1 != 17 && %1 != 21 && %1 != 29 && %1 != 30
        push 0                  ; vectors without an error code get one, so that all frames are alike
    %endif
    push strict dword %1
    jmp trap_common
%endmacro

align 16
global trap_stubs:data hidden
trap_stubs:
%assign vector 0
%rep 256
    STUB vector
    %assign vector vector + 1
%endrep
    align 16

trap_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    mov rbx, rsp
    and rsp, -16
    call trap_handle
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16                 ; vector and error code
    iretq

; void traps_load_gdt(const struct descriptor_pointer *gdtr, u16 code, u16 data, u16 tss)
global traps_load_gdt:function hidden
traps_load_gdt:
    lgdt [rdi]
    mov ds, dx
    mov es, dx
    mov ss, dx
    xor eax, eax
    mov fs, ax
    mov gs, ax
    ltr cx
    pop rax
    movzx esi, si
    push rsi
    push rax
    retfq

; _Noreturn void stack_switch(void *top, void (*to)(void *), void *arg)
global stack_switch:function hidden
stack_switch:
    mov rsp, rdi
    mov rdi, rdx
    xor ebp, ebp                ; the end of every backtrace
    call rsi
    ud2
section .note.GNU-stack noalloc noexec nowrite progbits
