; The ROM of the TD: 16 KiB that end at 4 GiB, added and measured like every other page. It takes a vCPU from its
; reset state to 64-bit mode and into the image.
;
; Reset state of a TD vCPU (TDX module ABI, "Initial state of guest GPRs", "TD VMCS guest state"): 32-bit protected mode, flat
; segments with CS base 0, paging off, EFER.LME and NXE on and not to be written, RIP 0FFFFFFF0h, R8 = RCX = the GPA given to
; TDH.VP.INIT, EBX = 48 or 52. R8 cannot be reached in 32-bit mode and so arrives whole.
;
; Layout, from ROM_BASE: PML4, page-directory-pointer table of the low 512 GiB, one more for an image that lies higher, code.
; The tables are static and hold A and D already, so that vCPUs starting together never change what another one reads.

%include "guest/hw/td.inc"

ROM_BYTES   equ 0x4000
ROM_BASE    equ 0x100000000 - ROM_BYTES
TABLE       equ 0x23        ; present, writable, accessed
PAGE_1G     equ 0xe3        ; and dirty, large
GUEST_MAGIC equ 0x31544e4550544553
CR0_PG      equ 1 << 31
CR4_PAE     equ 1 << 5

org ROM_BASE
default rel

pml4:
    dq pdpt + TABLE
    times 511 dq 0
pdpt:
%assign gib 0
%rep 512
    dq (gib << 30) | PAGE_1G
%assign gib gib + 1
%endrep
high_pdpt:
    times 512 dq 0

bits 32
start32:
    lgdt [gdt_pointer]
    mov eax, pml4
    mov cr3, eax
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    jmp 8:start64

bits 64
start64:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rdx, r8
    shr rdx, 39
    jz .reachable
    cmp rdx, 256
    jae bad_image
    ; The image lies above 512 GiB: fill the second table for its 512 GiB. Every vCPU writes the same values.
    mov rax, rdx
    shl rax, 39
    or rax, PAGE_1G
    lea rdi, [high_pdpt]
    mov ecx, 512
.fill:
    mov [rdi], rax
    add rax, 1 << 30
    add rdi, 8
    dec ecx
    jnz .fill
    lea rax, [high_pdpt + TABLE]
    lea rdi, [pml4]
    mov [rdi + rdx * 8], rax
.reachable:
    mov rax, GUEST_MAGIC
    cmp [r8], rax
    jne bad_image
    mov rax, [r8 + 8]           ; struct guest_header.entry
    add rax, r8
    jmp rax

bad_image:
    FATAL 1, no_image

TEXT64 no_image, "reset: no payload image where RCX of TDH.VP.INIT points"

align 8
gdt:
    dq 0
    dq 0x00af9b000000ffff       ; 64-bit code
    dq 0x00cf93000000ffff       ; data
gdt_pointer:
    dw $ - gdt - 1
    dd gdt

    times ROM_BYTES - 16 - ($ - $$) db 0
bits 32
    jmp dword start32
    times ROM_BYTES - ($ - $$) db 0
