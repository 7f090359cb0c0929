; The TD payload's images, as the build left them in its folder. kernel/vm/payload.h gives them names in C.
section .rodata
align 16
global payload_probe_start:data hidden, payload_probe_end:data hidden
global payload_shim_start:data hidden, payload_shim_end:data hidden
global payload_rom_start:data hidden, payload_rom_end:data hidden
payload_probe_start: incbin "probe.bin"
payload_probe_end:
align 16
payload_shim_start: incbin "shim.bin"
payload_shim_end:
align 16
payload_rom_start: incbin "reset.bin"
payload_rom_end:
section .note.GNU-stack noalloc noexec nowrite progbits
