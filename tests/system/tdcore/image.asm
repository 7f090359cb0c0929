; The TDs of the test module: td.asm as it lies at GPA 0, pair.asm as it lies at 30000h.
section .rodata
global td_image:data hidden
global td_image_end:data hidden
td_image:
        incbin "tdcore/td.bin"
td_image_end:
global pair_image:data hidden
global pair_image_end:data hidden
pair_image:
        incbin "tdcore/pair.bin"
pair_image_end:
section .note.GNU-stack noalloc noexec nowrite progbits
