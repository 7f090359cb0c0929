; A TD that does, one after the other, what the machine has to get right. module.c logs every exit; test_tdcore.py knows
; what each of them must look like, so order matters. Loaded at GPA 0; starts there in 32-bit protected mode, paging
; off.

%define REPORT      1   ; RDX: a value to log
%define EXCEPTION   2   ; RDX vector, RBX error code, RCX where, R8 CR2: logged
%define REMAP       3   ; the page at STALE becomes another one, no INVEPT
%define INVEPT      4
%define INJECT      5   ; RDX: interruption information, RCX: instruction length
%define STEP        6   ; RDX: so many monitor traps
%define NMI_WINDOW  7
%define END         8

%define ABSENT      0x400000
%define CONVERTIBLE 0x401000
%define STALE       0x402000
%define NO_STACK    0x403000
%define LARGE       0x800000
%define SHARED      0x600000 ; linear; the page tables put the shared bit into its GPA
%define SHARED_VE   0x601000
%define STACK       0xf000
%define IDT         0x8000

%macro TDCALL 1
        mov     eax, %1
        db      0x66, 0x0f, 0x01, 0xcc
%endmacro
%macro TELL 1
        mov     rdx, %1
        TDCALL  REPORT
%endmacro
; Where an exception handler returns to. It changes RAX, RBX, RCX, RDX and R8.
%macro RESUME_AT 1
        lea     r15, [%1]
%endmacro

bits 32
org 0
        lgdt    [gdt_pointer]
        mov     eax, 0x660              ; MCE stays; PAE, OSFXSR, OSXMMEXCPT
        mov     cr4, eax
        mov     eax, 0x20000
        mov     cr3, eax
        mov     eax, 0x80000033
        mov     cr0, eax
        jmp     8:long_mode

gdt:    dq      0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        dw      23
        dd      gdt

bits 64
long_mode:
        mov     eax, 16
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     rsp, STACK
        call    make_idt

        mov     rbx, cr0
        TELL    rbx
        mov     rbx, cr4
        TELL    rbx
        mov     ecx, 0xc0000080         ; EFER, native
        rdmsr
        TELL    rax

        ; Instructions that exit.
        mov     eax, 0x40000000
        cpuid
        mov     dx, 0x3f8
        mov     al, 0x41
        out     dx, al
        in      eax, 0x71
        hlt
        wbinvd
        mov     ecx, 0x1b
        rdmsr
        wrmsr
        db      0x0f, 0x01, 0xc1        ; VMCALL
        mov     rax, cr4
        bts     rax, 13
        mov     cr4, rax                ; VMXE, against the shadow
        mov     rax, cr0
        btr     rax, 5
        mov     cr0, rax                ; NE

        ; Native or emulated: no exit but the report's.
        mov     ecx, 0xc0000101         ; GS base
        mov     eax, 0x1234
        xor     edx, edx
        wrmsr
        xor     eax, eax
        rdmsr
        TELL    rax
        mov     esi, 0x9000
        mov     eax, 0xa000
        mov     rcx, 0x1122334455667788
        mov     [rsi], rcx
        db      0x66, 0x0f, 0x38, 0xf8, 0x06 ; MOVDIR64B rax, [rsi]
        mov     rcx, [0xa000]
        TELL    rcx
        mov     rax, cr4
        bts     rax, 18                 ; OSXSAVE
        mov     cr4, rax
        xor     ecx, ecx
        xor     edx, edx
        mov     eax, 3
        xsetbv                          ; exits or not, as the emulator has it
        xor     eax, eax
        xgetbv
        TELL    rax
        RESUME_AT .after_ud
        ud2
.after_ud:
        RESUME_AT .after_cr3
        mov     rax, cr3
        bts     rax, 63
        mov     cr3, rax
.after_cr3:

        ; Memory.
        mov     ebx, ABSENT
        mov     qword [rbx + 0x128], 5
        TELL    [rbx + 0x128]
        RESUME_AT .again_convertible
.again_convertible:
        mov     ebx, CONVERTIBLE
        mov     rdx, [rbx + 8]
        TDCALL  REPORT
        mov     ebx, SHARED
        TELL    [rbx]
        mov     ebx, SHARED_VE
        RESUME_AT .after_shared_ve
        mov     rdx, [rbx]
.after_shared_ve:
        mov     ebx, SHARED
        RESUME_AT .after_shared_code
        jmp     rbx
.after_shared_code:
        mov     ebx, STALE
        TELL    [rbx]
        TDCALL  REMAP
        TELL    [rbx]                   ; what the TLB still holds
        TDCALL  INVEPT
        TELL    [rbx]
        TELL    [LARGE]

        ; Events.
        mov     rsp, NO_STACK + 0x800
        RESUME_AT .after_int3
        int3                            ; its delivery meets the absent page
.after_int3:
        mov     rsp, STACK
        RESUME_AT .after_inject
        mov     edx, 0x80000040         ; external interrupt 40h
        TDCALL  INJECT
        nop
.after_inject:
        RESUME_AT .after_soft
        mov     edx, 0x80000444         ; INT 44h of one byte
        mov     ecx, 1
        TDCALL  INJECT
        nop
.after_soft:
        mov     edx, 3
        TDCALL  STEP
        nop
        mov     rcx, cr0
        mov     cr0, rcx
        nop
        RESUME_AT .after_nmi
        TDCALL  NMI_WINDOW              ; and an NMI: the window opens behind its IRET
        nop
.after_nmi:
        TDCALL  END

        ; Entered again: a triple fault.
        lidt    [no_idt]
        ud2

make_idt:
        mov     edi, IDT
        xor     ecx, ecx
.next:  mov     eax, ecx
        shl     eax, 4
        add     eax, stubs
        mov     [rdi], ax
        mov     word [rdi + 2], 8
        mov     word [rdi + 4], 0x8e00
        shr     eax, 16
        mov     [rdi + 6], eax
        mov     qword [rdi + 8], 0
        add     edi, 16
        inc     ecx
        cmp     ecx, 256
        jb      .next
        lidt    [idt_pointer]
        ret
idt_pointer:
        dw      0xfff
        dq      IDT
no_idt: dw      0
        dq      0

; Vectors with an error code get none pushed here.
align 16
stubs:
%assign vector 0
%rep 256
        align   16
  %if !(vector = 8 || (vector >= 10 && vector <= 14) || vector = 17 || vector = 21)
        push    0
  %endif
        push    strict dword vector
        jmp     near handler
  %assign vector vector + 1
%endrep
handler:
        mov     rdx, [rsp]
        mov     rbx, [rsp + 8]
        mov     rcx, [rsp + 16]
        mov     r8, cr2
        mov     [rsp + 16], r15
        TDCALL  EXCEPTION
        add     rsp, 16
        iretq
