; The platform's core, as the loader carries it.
bits 64
section .rodata
align 16
global core_image:data hidden
global core_image_end:data hidden
core_image:
        incbin "simtdx-core.efi"
core_image_end:
section .note.GNU-stack noalloc noexec nowrite progbits
