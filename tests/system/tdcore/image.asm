; The TD of the test module, as it lies in GPA 0.
section .rodata
global td_image:data hidden
global td_image_end:data hidden
td_image:
        incbin "tdcore/td.bin"
td_image_end:
section .note.GNU-stack noalloc noexec nowrite progbits
