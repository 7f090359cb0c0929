; Each vCPU's way from the ROM into C, and the exception stubs. On entry: 64-bit mode, the ROM's tables and GDT, no stack.

%include "guest/hw/td.inc"

bits 64
default rel

STACK_BYTES equ 8192
MAX_VCPUS   equ 32              ; PROBE_MAX_VCPUS

extern probe_main, probe_trap
global entry, probe_stacks, exception_stubs

section .text
entry:
    mov eax, TDG_VP_INFO
    TDCALL
    cmp r9, MAX_VCPUS           ; R9: the vCPU's index
    jae .too_many
    lea rsp, [r9 + 1]
    shl rsp, 13                 ; * STACK_BYTES
    lea rax, [probe_stacks]
    add rsp, rax
    lea rax, [gdt]
    mov [rsp - 8], rax
    mov word [rsp - 10], gdt_end - gdt - 1
    lgdt [rsp - 10]
    mov edi, r9d
    mov esi, ecx
    and esi, 0x3f               ; RCX 5:0: GPA width
    call probe_main
    jmp $
.too_many:
    FATAL 2, too_many

; Each stub is 16 bytes: error code or 0, vector, on to the common part. Vectors with an error code: SDM vol. 3, table 6-1.
align 16
exception_stubs:
%assign vector 0
%rep 32
    align 16
%if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push 0
%endif
    push vector
    jmp near trap_common
%assign vector vector + 1
%endrep

trap_common:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    cld
    mov rdi, rsp
    mov rsi, cr2
    ; The frame holds 16 quadwords above a 16-byte aligned stack: aligned for the call.
    call probe_trap
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

section .rodata
TEXT64 too_many, "probe: more vCPUs than the image has stacks for (32)"
align 8
gdt:
    dq 0
    dq 0x00af9b000000ffff       ; same layout as the ROM's
    dq 0x00cf93000000ffff
gdt_end:

section .bss
alignb 4096
probe_stacks:
    resb STACK_BYTES * MAX_VCPUS
