; The start of another CPU: real mode at a page below 1 MiB, then one jump to long mode with the first CPU's control
; registers and page tables. SDM vol. 3, "Initializing IA-32e mode". Copied to its page by ap.c, which also fills in the
; page's last 56 bytes.
default rel

%define PAGE_END(n) (4096 - 56 + 8 * (n))
%define CR0_AT   PAGE_END(0)
%define CR3_AT   PAGE_END(1)
%define CR4_AT   PAGE_END(2)
%define EFER_AT  PAGE_END(3)
%define STACK_AT PAGE_END(4)
%define ENTRY_AT PAGE_END(5)
%define EFER     0xc0000080

section .rodata
%define AT(label) ((label) - ap_trampoline)

bits 16
align 16
global ap_trampoline:data hidden
ap_trampoline:
    cli
    cld
    mov ax, cs
    mov ds, ax
    movzx ebx, ax
    shl ebx, 4                  ; where the page is
    lea eax, [ebx + AT(.gdt)]
    mov [AT(.gdtr) + 2], eax
    lea eax, [ebx + AT(.long)]
    mov [AT(.far)], eax
    o32 lgdt [AT(.gdtr)]
    mov eax, [CR4_AT]
    mov cr4, eax
    mov eax, [CR3_AT]
    mov cr3, eax
    mov ecx, EFER
    mov eax, [EFER_AT]
    xor edx, edx
    wrmsr
    mov eax, [CR0_AT]
    mov cr0, eax
    jmp far dword [AT(.far)]

bits 64
.long:
    mov eax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov ebx, ebx
    mov rsp, [rbx + STACK_AT]
    xor ebp, ebp                ; the end of every backtrace
    call [rbx + ENTRY_AT]
    ud2

align 8
.far:
    dd 0
    dw 8
align 8
.gdt:
    dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
.gdtr:
    dw 23
    dd 0
global ap_trampoline_end:data hidden
ap_trampoline_end:
section .note.GNU-stack noalloc noexec nowrite progbits
