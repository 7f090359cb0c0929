; Each vCPU's way from the ROM. The first one into C and from there to the kernel; the others wait at the mailbox of the MADT's
; multiprocessor wakeup structure (ACPI 6.5, section 5.2.12.19) until the kernel gives them an address. On entry: 64-bit mode, the
; ROM's tables and GDT, no stack.

%include "guest/hw/td.inc"

bits 64
default rel

STACK_BYTES     equ 16384
CR0_MP          equ 1 << 1
CR0_EM          equ 1 << 2
CR4_OSFXSR      equ 1 << 9
CR4_OSXMMEXCPT  equ 1 << 10
MSR_FS_BASE     equ 0xc0000100
KERNEL_CS       equ 0x10            ; boot.rst, "64-bit Boot Protocol"
KERNEL_DS       equ 0x18
MAILBOX_WAKEUP  equ 1
MAILBOX_TEST    equ 2               ; is the vCPU here?
GHCI_HLT        equ 12              ; TDG.VP.VMCALL<Instruction.HLT>
HLT_REGS        equ 7 << 10         ; R10 to R12

extern shim_main, shim_boot_params, shim_mailbox
global entry, shim_leave, shim_park

section .text
entry:
    mov eax, TDG_VP_INFO
    TDCALL
    test r9d, r9d                   ; R9: the vCPU's index
    jnz wait_for_kernel
    mov rax, cr3
    mov [rom_tables], rax
    lea rsp, [stack_top]
    lgdt [gdt_pointer]
    mov eax, KERNEL_DS
    mov ds, eax
    mov es, eax
    mov ss, eax
    push KERNEL_CS
    lea rax, [.in_c]
    push rax
    retfq
.in_c:
    ; The library's SHA-384 uses SSE registers and reads a word at FS:28h, against which it checks its stack.
    mov rax, cr0
    and eax, ~CR0_EM
    or eax, CR0_MP
    mov cr0, rax
    mov rax, cr4
    or eax, CR4_OSFXSR | CR4_OSXMMEXCPT
    mov cr4, rax
    mov ecx, MSR_FS_BASE
    lea rax, [thread]
    xor edx, edx
    wrmsr
    cld
    call shim_main

; void shim_leave(uint64_t entry)
shim_leave:
    mov rax, rdi
    lea rsi, [shim_boot_params]
    jmp rax

; A vCPU that the kernel gives back (MADT, the reset vector of multiprocessor wakeup): by a mapping of the kernel's, which is gone
; soon. GDT and IDT are the kernel's too, but nothing here loads a segment or lets an interrupt in.
shim_park:
    mov rax, [rom_tables]
    mov cr3, rax
    mov eax, TDG_VP_INFO
    TDCALL

; APIC id = index of the vCPU, R9. The kernel writes the command last, and waits until it is zero again. Nothing else tells of it: the
; vCPU halts with its interrupts off, and the VMM lets it look again now and then (handover.h). It would take a CPU's time otherwise,
; of which there may be few, for as long as the kernel does not want it.
wait_for_kernel:
    movzx eax, word [shim_mailbox]
    test eax, eax
    jz .halt
    cmp [shim_mailbox + 4], r9d
    jne .halt
    cmp eax, MAILBOX_WAKEUP
    je .go
    cmp eax, MAILBOX_TEST
    jne .halt
    mov word [shim_mailbox], 0
.halt:
    xor r10d, r10d
    mov r11d, GHCI_HLT
    mov r12d, 1                     ; interrupts are off
    mov ecx, HLT_REGS
    mov eax, TDG_VP_VMCALL
    TDCALL
    jmp wait_for_kernel
.go:
    mov rax, [shim_mailbox + 8]
    mov word [shim_mailbox], 0
    jmp rax

section .rodata
align 8
gdt:
    dq 0
    dq 0
    dq 0x00af9b000000ffff           ; KERNEL_CS
    dq 0x00cf93000000ffff           ; KERNEL_DS
gdt_pointer:
    dw $ - gdt - 1
    dq gdt

section .bss
rom_tables:
    resq 1
alignb 16
stack:
    resb STACK_BYTES
stack_top:
thread:
    resb 64
