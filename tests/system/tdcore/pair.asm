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
