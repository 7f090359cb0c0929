; Both vCPUs of the TD of two, from here on, in 64-bit mode: RBX is the own mailbox, RDI the other's. See pair.h.
bits 64
org 0x30000
next:
        pause
        mov     rsi, [rbx]
        cmp     rsi, [rbx + 8]
        je      next
        mov     rcx, [rbx + 16]
        cmp     sil, 1
        je      read
        cmp     sil, 2
        je      meet
        cmp     sil, 3
        je      touch
        cmp     sil, 5
        je      storm
        mov     [rbx + 8], rsi
        db      0x66, 0x0f, 0x01, 0xcc  ; TDCALL
        jmp     next
finish:
        mov     [rbx + 8], rsi
        jmp     next
read:
        mov     rax, [rcx]
        mov     [rbx + 24], rax
        jmp     finish
meet:
        xor     edx, edx
.round: inc     rdx
        mov     [rbx + 32], rdx
.wait:  pause
        cmp     [rdi + 32], rdx
        jb      .wait
        cmp     rdx, rcx
        jb      .round
        jmp     finish
touch:
        xor     edx, edx
.page:  mov     rax, [rdx]
        add     rdx, 4096
        cmp     rdx, rcx
        jb      .page
        jmp     finish

; Interrupts of the virtual APIC: each is counted and ended; those of low vectors let others in before that. In between IF goes
; off and on, TPR up and down, both without an exit, and each 16th turn sends a self-IPI when the last one has come.
FIRST   equ 0x30
SELF    equ 0x6f
COUNTS  equ 0x58000
IDT     equ 0x70000
storm:
        lea     rsp, [rbx + 0x1000]
        mov     ecx, FIRST
.gate:  mov     eax, ecx
        sub     eax, FIRST
        shl     eax, 5
        add     eax, stubs
        mov     edx, ecx
        shl     edx, 4
        mov     [IDT + rdx], ax
        mov     dword [IDT + rdx + 2], 0x8e000008
        shr     eax, 16
        mov     [IDT + rdx + 6], ax
        mov     qword [IDT + rdx + 8], 0
        inc     ecx
        cmp     ecx, SELF
        jbe     .gate
        lgdt    [gdtr]
        lidt    [idtr]
        mov     eax, 16
        mov     ss, ax
        push    8
        push    .flat
        retfq
.flat:
        xor     r8d, r8d
        xor     r9d, r9d
.turn:  sti
        pause
        cli
        mov     eax, 4
        mov     cr8, rax
        sti
        pause
        xor     eax, eax
        mov     cr8, rax                ; what TPR held back comes here
        inc     r8d
        test    r8d, 15
        jnz     .more
        cmp     r9, [COUNTS + SELF * 8]
        jne     .more
        inc     r9
        mov     ecx, 0x83f
        mov     eax, SELF
        xor     edx, edx
        wrmsr
.more:  cmp     qword [rbx + 16], 0
        jne     .turn
        nop
        cli
        mov     [rbx + 24], r9
        jmp     finish

align 32
stubs:
%assign vector FIRST
%rep SELF - FIRST + 1
        align   32
        push    rax
        push    rcx
        push    rdx
        inc     qword [COUNTS + vector * 8]
        jmp     strict near %cond(vector < 0x50, nested, single)
    %assign vector vector + 1
%endrep
nested: sti
        nop
        nop
        cli
single: mov     ecx, 0x80b
        xor     eax, eax
        xor     edx, edx
        wrmsr
        pop     rdx
        pop     rcx
        pop     rax
        iretq

align 8
gdt:    dq      0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:   dw      23
        dq      gdt
idtr:   dw      (SELF + 1) * 16 - 1
        dq      IDT
