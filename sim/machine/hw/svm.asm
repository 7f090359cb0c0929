; VMRUN with the exchange of general registers, and the step of the running firmware into its own virtual machine.
; AMD64 APM vol. 2, sections 15.5 and 15.17. Register blocks are indexed by x86 register number, eight bytes each.
; Extended state is not touched here: the core is built without SSE.

bits 64
default rel
section .text

%define RCX_AT 1*8
%define RDX_AT 2*8
%define RBX_AT 3*8
%define RBP_AT 5*8
%define RSI_AT 6*8
%define RDI_AT 7*8

%macro LOAD_GUEST 0
        mov     rax, rdi
        mov     rcx, [rsi + RCX_AT]
        mov     rdx, [rsi + RDX_AT]
        mov     rbx, [rsi + RBX_AT]
        mov     rbp, [rsi + RBP_AT]
        mov     rdi, [rsi + RDI_AT]
        mov     r8,  [rsi + 8*8]
        mov     r9,  [rsi + 9*8]
        mov     r10, [rsi + 10*8]
        mov     r11, [rsi + 11*8]
        mov     r12, [rsi + 12*8]
        mov     r13, [rsi + 13*8]
        mov     r14, [rsi + 14*8]
        mov     r15, [rsi + 15*8]
        mov     rsi, [rsi + RSI_AT]
%endmacro

; The block's address is on top of the stack.
%macro STORE_GUEST 0
        xchg    rsi, [rsp]
        mov     [rsi + RCX_AT], rcx
        mov     [rsi + RDX_AT], rdx
        mov     [rsi + RBX_AT], rbx
        mov     [rsi + RBP_AT], rbp
        mov     [rsi + RDI_AT], rdi
        mov     [rsi + 8*8], r8
        mov     [rsi + 9*8], r9
        mov     [rsi + 10*8], r10
        mov     [rsi + 11*8], r11
        mov     [rsi + 12*8], r12
        mov     [rsi + 13*8], r13
        mov     [rsi + 14*8], r14
        mov     [rsi + 15*8], r15
        pop     qword [rsi + RSI_AT]
%endmacro

%macro SAVE_HOST 0
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        push    rsi
%endmacro

%macro RESTORE_HOST 0
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
%endmacro

; void svm_run(struct vmcb *vmcb, u64 *gpr)
global svm_run:function hidden
svm_run:
        SAVE_HOST
        LOAD_GUEST
        vmrun
        STORE_GUEST
        RESTORE_HOST
        cld
        ret

; void svm_run_interruptible(struct vmcb *vmcb, u64 *gpr)
; GIF is 0, so the open window between STI and VMRUN lets nothing in; the host's IF that VMRUN saves decides whether a
; physical interrupt exits.
global svm_run_interruptible:function hidden
svm_run_interruptible:
        SAVE_HOST
        LOAD_GUEST
        sti
        nop
        vmrun
        cli
        STORE_GUEST
        RESTORE_HOST
        cld
        ret

global svm_vmload:function hidden
svm_vmload:
        mov     rax, rdi
        vmload
        ret

global svm_vmsave:function hidden
svm_vmsave:
        mov     rax, rdi
        vmsave
        ret

global svm_take_nmi:function hidden
svm_take_nmi:
        stgi
        nop
        nop
        clgi
        ret

; bool svm_become_guest(u64 *rip, u64 *rsp, u64 *rflags, void *stack_top, void (*entry)(void))
; Returns twice: the caller's VMCB gets the place behind this call, the core goes on in `entry` on its own stack with GIF = 0,
; and when that entry runs the VMCB, the call returns in the guest.
global svm_become_guest:function hidden
svm_become_guest:
        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        pushfq
        pop     rax
        mov     [rdx], rax
        lea     rax, [.as_guest]
        mov     [rdi], rax
        mov     [rsi], rsp
        clgi
        cli
        mov     rsp, rcx
        xor     ebp, ebp
        call    r8
        ud2
.as_guest:
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
        ret

; void svm_clgi(void), void svm_stgi(void)
global svm_clgi:function hidden
svm_clgi:
        clgi
        ret
global svm_stgi:function hidden
svm_stgi:
        stgi
        ret

; u32 svm_take_interrupt(bool *nmi): see traps_interrupt
global svm_take_interrupt:function hidden
svm_take_interrupt:
        xor     eax, eax
        xor     edx, edx
        stgi
        sti
        nop
        nop
        cli
        clgi
        mov     [rdi], dl
        ret

section .note.GNU-stack noalloc noexec nowrite progbits
