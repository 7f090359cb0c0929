; The core's descriptor tables: loading them, and the way from an exception in the core to the report that stops the machine.

bits 64
default rel
section .text

extern traps_report

; void tables_load(const struct table_register *gdt, const struct table_register *idt)
; Code selector 8, data selector 10h.
global tables_load:function hidden
tables_load:
        lgdt    [rdi]
        lidt    [rsi]
        push    8
        lea     rax, [.flat]
        push    rax
        retfq
.flat:  mov     eax, 16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        ret

; void tables_store(struct table_register *gdt, struct table_register *idt, u16 *selectors)
; Selectors in the order ES, CS, SS, DS.
global tables_store:function hidden
tables_store:
        sgdt    [rdi]
        sidt    [rsi]
        mov     [rdx], es
        mov     [rdx + 2], cs
        mov     [rdx + 4], ss
        mov     [rdx + 6], ds
        ret

; One stub a vector, 16 bytes apart: those without an error code push a zero in its place.
align 16
global traps_stubs:function hidden
traps_stubs:
%assign vector 0
%rep 256
        align   16
    %if vector >= 32
        mov     eax, vector
        jmp     traps_interrupt
    %elif vector == 2
        jmp     traps_nmi
    %elif vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
        push    vector
        jmp     traps_common
    %else
        push    0
        push    vector
        jmp     traps_common
    %endif
    %assign vector vector + 1
%endrep

; The frame that traps_report() gets: vector, error code, RIP, CS, RFLAGS, RSP, SS.
traps_common:
        mov     rdi, rsp
        and     rsp, -16
        cld
        call    traps_report
        ud2

; The core lets events in at two places only, svm_take_nmi and svm_take_interrupt (svm.asm), and both expect the answer in
; registers: EAX the interrupt's vector, EDX that there was an NMI. No second interrupt follows the first.
traps_interrupt:
        btr     qword [rsp + 2*8], 9
        iretq
traps_nmi:
        mov     edx, 1
        iretq

section .note.GNU-stack noalloc noexec nowrite progbits
