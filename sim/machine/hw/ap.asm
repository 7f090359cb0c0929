; The start of an application processor in the core: real mode at a page below 1 MiB, one jump to long mode. SDM vol. 3,
; "Mode switching". Copied to its page by hw/ap.c, which also fills in the last 32 bytes.

%define ROOT_AT  4096 - 32
%define ENTRY_AT 4096 - 24
%define STACK_AT 4096 - 16
%define CPU_AT   4096 - 8

%define CR0_LONG 0x80010033     ; PG, WP, NE, ET, MP, PE
%define CR4_LONG 0x00040660     ; OSXSAVE, OSXMMEXCPT, OSFXSR, MCE, PAE
%define EFER     0xc0000080
%define EFER_LONG 0x00000900    ; LME, NXE

section .rodata
%define AT(label) ((label) - ap_trampoline)

bits 16
align 16
global ap_trampoline:data hidden
ap_trampoline:
        cli
        cld
        mov     ax, cs
        mov     ds, ax
        movzx   ebx, ax
        shl     ebx, 4          ; where the page is
        lea     eax, [ebx + AT(.gdt)]
        mov     [AT(.gdtr) + 2], eax
        lea     eax, [ebx + AT(.long)]
        mov     [AT(.far)], eax
        o32 lgdt [AT(.gdtr)]
        mov     eax, CR4_LONG
        mov     cr4, eax
        mov     eax, [ROOT_AT]
        mov     cr3, eax
        mov     ecx, EFER
        rdmsr
        or      eax, EFER_LONG
        wrmsr
        mov     eax, CR0_LONG
        mov     cr0, eax
        jmp far dword [AT(.far)]

bits 64
.long:  mov     eax, 16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     ebx, ebx
        mov     rsp, [rbx + STACK_AT]
        mov     rdi, [rbx + CPU_AT]
        xor     ebp, ebp
        call    [rbx + ENTRY_AT]
        ud2

align 8
.far:   dd      0
        dw      8
align 8
.gdt:   dq      0, 0x00af9b000000ffff, 0x00cf93000000ffff
.gdtr:  dw      23
        dd      0
global ap_trampoline_end:data hidden
ap_trampoline_end:

section .note.GNU-stack noalloc noexec nowrite progbits
