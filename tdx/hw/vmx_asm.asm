; VMX instructions with their ways of failing. SDM vol. 3, "VMX instruction reference". System V calling convention.
bits 64
default rel
%include "lib/hw/fixup.inc"

section .text

; bool vmx_on(const u64 *region_hpa): VMXON; false on CF, ZF, #UD, #GP
global vmx_on:function
vmx_on:
.may_fault:
    vmxon   [rdi]
    jbe     .refused
    mov     eax, 1
    ret
.refused:
    xor     eax, eax
    ret
FIXUP vmx_on.may_fault, vmx_on.refused

; bool vmx_off(void)
global vmx_off:function
vmx_off:
.may_fault:
    vmxoff
    jbe     .refused
    mov     eax, 1
    ret
.refused:
    xor     eax, eax
    ret
FIXUP vmx_off.may_fault, vmx_off.refused

; bool vmx_invept(u64 type, const u64 descriptor[2])
global vmx_invept:function
vmx_invept:
.may_fault:
    invept  rdi, oword [rsi]
    jbe     .refused
    mov     eax, 1
    ret
.refused:
    xor     eax, eax
    ret
FIXUP vmx_invept.may_fault, vmx_invept.refused

section .note.GNU-stack noalloc noexec nowrite progbits
