; A bzImage that is no Linux: the head that its loader looks at (Linux, Documentation/arch/x86/boot.rst), and the way of each vCPU
; into C. Linked to run at ADDRESS, and nowhere else.

%include "guest/hw/td.inc"

ADDRESS         equ 0x1000000
RUN_BYTES       equ 0x200000
SECTOR          equ 512
SETUP_SECTORS   equ 4               ; behind the first one
STACK_BYTES     equ 8192
STACKS          equ 8

extern hostile_first, hostile_other
global hostile_wakeup, hostile_return, hostile_triple

section .head progbits alloc exec
%macro AT 1
    times %1 - ($ - $$) db 0
%endmacro
    AT 0x1f1
    db SETUP_SECTORS
    AT 0x1fe
    dw 0xaa55
    db 0xeb, 0x6a                   ; the header ends at 0x26c
    db "HdrS"
    dw 0x020f                       ; protocol
    AT 0x211
    db 1                            ; loaded high
    AT 0x22c
    dd 0x7fffffff                   ; where an initrd may end
    dd 0x200000                     ; alignment
    db 1                            ; relocatable
    AT 0x236
    dw 1                            ; 64-bit entry
    dd 2047                         ; command line
    AT 0x258
    dq ADDRESS
    dd RUN_BYTES
    AT (SETUP_SECTORS + 1) * SECTOR
    db "IntelTDX    "               ; what tells a kernel that can be a TDX guest
    AT (SETUP_SECTORS + 1) * SECTOR + 0x200

bits 64
default rel
; RSI: boot_params.
entry:
    lea rsp, [stacks + STACK_BYTES]
    mov rdi, rsi
    call hostile_first

; Where the mailbox leads to.
hostile_wakeup:
    mov eax, TDG_VP_INFO
    TDCALL
    mov edi, r9d                    ; the vCPU's index
    lea eax, [edi + 1]
    imul eax, eax, STACK_BYTES
    lea rsp, [stacks]
    add rsp, rax
    call hostile_other

hostile_return:
    iretq

; No IDT to be found, and an exception.
hostile_triple:
    push qword 0
    push qword 0
    lidt [rsp]
    ud2

section .bss
alignb 16
stacks:
    resb STACK_BYTES * STACKS
