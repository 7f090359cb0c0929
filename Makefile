# Septum: builds everything into $(B). `make help` lists what one asks for.

B ?= build
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
LD := ld
OBJCOPY := objcopy
NASM := nasm
HOSTCC ?= $(CC)

WARN := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
COMMON := -std=c17 -g -O2 $(WARN) -I. -MMD -MP

# Freestanding images. No SSE: extended state belongs to the TD. No red zone: interrupts arrive on the same stack.
FREE := $(COMMON) -ffreestanding -fno-stack-protector -fno-builtin -fpic -fvisibility=hidden -fshort-wchar -mno-red-zone \
        -mgeneral-regs-only -fno-strict-aliasing -fno-omit-frame-pointer
EFI_INC := -I/usr/include/efi -I/usr/include/efi/x86_64 -DGNU_EFI_USE_MS_ABI -DEFI_FUNCTION_WRAPPER
EFI_LD := $(LD) -nostdlib -znocombreloc -znoexecstack --no-undefined --no-warn-rwx-segments -shared -Bsymbolic -L/usr/lib
EFI_SECTIONS := -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j .rel -j .rela -j '.rel.*' -j '.rela.*' -j .reloc -j .rodata

# Host processes: the same logic under sanitizers.
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
HOST := $(COMMON) -O1 -fno-omit-frame-pointer $(SAN) -DHOST_PROCESS

# --- what belongs to what -----------------------------------------------------------------------------------------------
VMM_LOGIC := $(wildcard lib/*.c mm/*.c tdx/*.c kernel/*.c drivers/*.c)
VMM_HW    := $(wildcard boot/*.c lib/hw/*.c mm/hw/*.c tdx/hw/*.c kernel/hw/*.c drivers/hw/*.c)
VMM_ASM   := $(wildcard boot/*.asm boot/hw/*.asm lib/hw/*.asm mm/hw/*.asm tdx/hw/*.asm kernel/hw/*.asm kernel/*.asm)
MODULE_SRC := $(wildcard sim/module/*.c)
CORE_SRC  := $(MODULE_SRC) $(wildcard sim/*.c sim/machine/*.c sim/machine/hw/*.c)
CORE_ASM  := $(wildcard sim/machine/hw/*.asm)
LOADER_SRC := $(wildcard sim/loader/*.c)
LOADER_ASM := $(wildcard sim/loader/*.asm)
PROBE_SRC := $(wildcard guest/probe/*.c)
PROBE_ASM := $(filter-out %/reset.asm,$(wildcard guest/probe/hw/*.asm))
TWIN_SRC  := $(wildcard tests/host/*.c)
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
CONF_SRC  := $(wildcard tests/conformance/*.c)

obj = $(patsubst %.c,$(B)/$(1)/%.o,$(filter %.c,$(2))) $(patsubst %.asm,$(B)/$(1)/%.asm.o,$(filter %.asm,$(2)))

VMM_OBJ    := $(call obj,vmm,$(VMM_LOGIC) $(VMM_HW) $(VMM_ASM))
CORE_OBJ   := $(call obj,core,$(CORE_SRC) $(CORE_ASM))
LOADER_OBJ := $(call obj,loader,$(LOADER_SRC) $(LOADER_ASM))
PROBE_OBJ  := $(call obj,probe,$(PROBE_ASM) $(PROBE_SRC))
HOSTVMM_OBJ := $(call obj,host,$(VMM_LOGIC) $(TWIN_SRC))
HOSTMOD_OBJ := $(call obj,host,$(MODULE_SRC))
CONF_OBJ   := $(call obj,host,$(CONF_SRC))
UNIT_BIN   := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))

# The SHA-384 of the simulated platform's measurements comes from a packaged static library.
SHA_LIB ?= -l:libtomcrypt.a

.PHONY: all clean help unit conformance
all: $(B)/septum.efi $(B)/simtdx.efi

# --- images -------------------------------------------------------------------------------------------------------------
$(B)/septum.so: $(VMM_OBJ) linker.ld
	$(EFI_LD) -T linker.ld /usr/lib/crt0-efi-x86_64.o $(VMM_OBJ) -o $@ -l:libgnuefi.a
$(B)/septum.efi: $(B)/septum.so
	$(OBJCOPY) $(EFI_SECTIONS) --target=efi-app-x86_64 $< $@

$(B)/simtdx-core.so: $(CORE_OBJ) linker.ld
	$(EFI_LD) -T linker.ld /usr/lib/crt0-efi-x86_64.o $(CORE_OBJ) -o $@ $(SHA_LIB) -l:libgnuefi.a
$(B)/simtdx-core.efi: $(B)/simtdx-core.so
	$(OBJCOPY) $(EFI_SECTIONS) --target=efi-rtdrv-x86_64 $< $@
$(B)/simtdx.so: $(LOADER_OBJ) linker.ld
	$(EFI_LD) -T linker.ld /usr/lib/crt0-efi-x86_64.o $(LOADER_OBJ) -o $@ -l:libgnuefi.a
$(B)/simtdx.efi: $(B)/simtdx.so
	$(OBJCOPY) $(EFI_SECTIONS) --target=efi-app-x86_64 $< $@

$(B)/probe.elf: $(PROBE_OBJ) guest/probe/probe.ld
	$(LD) -nostdlib -znoexecstack -pie --no-dynamic-linker --no-undefined -T guest/probe/probe.ld $(PROBE_OBJ) -o $@
$(B)/probe.bin: $(B)/probe.elf
	$(OBJCOPY) -O binary $< $@
$(B)/reset.bin: guest/probe/hw/reset.asm guest/probe/hw/td.inc
	@mkdir -p $(@D)
	$(NASM) -f bin -I ./ -o $@ $<

# --- compiling ----------------------------------------------------------------------------------------------------------
$(B)/vmm/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FREE) $(EFI_INC) -c -o $@ $<
$(B)/core/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FREE) $(EFI_INC) -c -o $@ $<
$(B)/loader/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FREE) $(EFI_INC) -c -o $@ $<
$(B)/probe/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FREE) -c -o $@ $<
$(B)/host/%.o: %.c
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST) -c -o $@ $<
# One rule an image: NASM takes the include path of the build folder for embedded binaries.
define ASM_RULE
$(B)/$(1)/%.asm.o: %.asm
	@mkdir -p $$(@D)
	$(NASM) -f elf64 -g -F dwarf -I $(B)/ -I ./ -MD $$(@:.o=.d) -o $$@ $$<
endef
$(foreach i,vmm core loader probe,$(eval $(call ASM_RULE,$(i))))
$(B)/vmm/kernel/payload.asm.o: $(B)/probe.bin $(B)/reset.bin
$(B)/loader/sim/loader/core.asm.o: $(B)/simtdx-core.efi

# --- host tests ---------------------------------------------------------------------------------------------------------
$(B)/host/libvmm.a: $(HOSTVMM_OBJ)
	@rm -f $@; ar rcs $@ $^
$(B)/host/libmodule.a: $(HOSTMOD_OBJ)
	@rm -f $@; ar rcs $@ $^
HOST_LIBS := -Wl,--start-group $(B)/host/libvmm.a $(B)/host/libmodule.a -Wl,--end-group
$(B)/unit/%: tests/unit/%.c $(B)/host/libvmm.a $(B)/host/libmodule.a
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST) -o $@ $< $(HOST_LIBS) -lcmocka $(SHA_LIB) -lpthread
unit: $(UNIT_BIN)
	@set -e; for t in $(UNIT_BIN); do echo "== $$t"; timeout 120 $$t; done

$(B)/conformance: $(CONF_OBJ) $(B)/host/libvmm.a $(B)/host/libmodule.a
	$(HOSTCC) $(HOST) -o $@ $(CONF_OBJ) $(HOST_LIBS) -ljansson $(SHA_LIB) -lpthread
DIR ?= ../shared/conformance
conformance: $(B)/conformance
	$< $(DIR)

clean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
