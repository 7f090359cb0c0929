; void hypervisor_name(u32 name[4]): CPUID leaf 40000000h.
bits 64
section .text
global hypervisor_name:function hidden
hypervisor_name:
        push    rbx
        mov     eax, 0x40000000
        xor     ecx, ecx
        cpuid
        mov     [rdi], eax
        mov     [rdi + 4], ebx
        mov     [rdi + 8], ecx
        mov     [rdi + 12], edx
        pop     rbx
        ret
section .note.GNU-stack noalloc noexec nowrite progbits
