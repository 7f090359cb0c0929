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
FUZZ_CC ?= clang

# All processors, unless -j says otherwise; V=1 shows the commands.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-builtin-rules
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(patsubst $(B)/%,%,$(2)))

WARN := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
LANGUAGE := -std=c17 -g -O2 $(WARN) -I.
DEPEND := -MMD -MP

# Freestanding images. No SSE: extended state belongs to the TD. No red zone: interrupts arrive on the same stack.
FREE := $(LANGUAGE) -ffreestanding -fno-stack-protector -fno-builtin -fpic -fvisibility=hidden -fshort-wchar -mno-red-zone \
        -mgeneral-regs-only -fno-strict-aliasing -fno-omit-frame-pointer
EFI_INC := -isystem /usr/include/efi -isystem /usr/include/efi/x86_64 -DGNU_EFI_USE_MS_ABI -DEFI_FUNCTION_WRAPPER
EFI_CRT := /usr/lib/crt0-efi-x86_64.o
EFI_LD := $(LD) -nostdlib -znocombreloc -znoexecstack --no-undefined --no-warn-rwx-segments -shared -Bsymbolic -L/usr/lib
EFI_SECTIONS := -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j .rel -j .rela -j '.rel.*' -j '.rela.*' -j .reloc -j .rodata
PROBE_LD := $(LD) -nostdlib -znoexecstack -pie --no-dynamic-linker --no-undefined

# Host processes: the same logic under sanitizers.
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
TSAN := $(LANGUAGE) -O1 -fno-omit-frame-pointer -fsanitize=thread -DHOST_PROCESS -DTHREADS_WATCHED
HOST := $(LANGUAGE) -O1 -fno-omit-frame-pointer $(SAN) -DHOST_PROCESS

# --- what belongs to what -----------------------------------------------------------------------------------------------
VMM_LOGIC := $(wildcard lib/*.c mm/*.c mm/policy/*.c tdx/*.c kernel/*.c kernel/guard/*.c kernel/console/*.c kernel/vm/*.c kernel/vm/ghci/*.c kernel/experiment/*.c kernel/experiment/workload/*.c drivers/*.c drivers/virt/*.c)
# The probe's order of access is calculated by experiments too; what the shim reads of a kernel the VMM has checked before.
VMM_LOGIC += guest/probe/order.c guest/shim/bzimage.c
VMM_HW    := $(wildcard boot/*.c lib/hw/*.c mm/hw/*.c tdx/hw/*.c kernel/hw/*.c drivers/hw/*.c)
VMM_ASM   := $(wildcard boot/*.asm boot/hw/*.asm lib/hw/*.asm mm/hw/*.asm tdx/hw/*.asm kernel/hw/*.asm kernel/vm/*.asm)
MODULE_SRC := $(wildcard sim/module/*.c)
CORE_SRC  := $(MODULE_SRC) $(wildcard sim/*.c sim/seamldr/*.c sim/machine/*.c sim/machine/td/*.c sim/machine/hw/*.c)
CORE_ASM  := $(wildcard sim/machine/hw/*.asm)
MACHINE_PURE := $(addprefix sim/machine/,acpi.c insn.c ept.c gpt.c stlb.c config.c movdir.c guest.c guard.c npt.c memory.c lock.c shoot.c pmu.c mca.c nmi.c vapic.c) \
                sim/machine/event.c $(wildcard sim/machine/td/*.c sim/seamldr/*.c)
LOADER_SRC := $(wildcard sim/loader/*.c)
LOADER_ASM := $(wildcard sim/loader/*.asm)
PROBE_SRC := $(wildcard guest/probe/*.c guest/lib/*.c)
PROBE_ASM := $(wildcard guest/probe/hw/*.asm) guest/hw/td.asm
SHIM_SRC  := $(wildcard guest/shim/*.c) guest/lib/ghci.c guest/lib/runtime.c
SHIM_ASM  := guest/shim/hw/start.asm guest/hw/td.asm
SHIM_PURE := $(addprefix guest/shim/,accept.c acpi.c aml.c boot_params.c check.c efi.c unaccepted.c) guest/lib/ghci.c
PROBE_PURE := $(filter-out guest/probe/main.c,$(PROBE_SRC))
TWIN_SRC  := $(wildcard tests/host/*.c)
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
CONF_SRC  := $(wildcard tests/conformance/*.c)
FUZZ_SRC  := $(wildcard tests/fuzz/*.c)
BENCH_SRC := tests/bench/measure.c tests/bench/commands.c
TESTGUEST_SRC := $(wildcard tests/system/guests/*.c)
TESTGUEST_LIB = $(call obj,testguest,$(wildcard tests/system/guests/lib/*.c))

obj = $(patsubst %.c,$(B)/$(1)/%.o,$(filter %.c,$(2))) $(patsubst %.asm,$(B)/$(1)/%.asm.o,$(filter %.asm,$(2)))

VMM_OBJ    := $(call obj,vmm,$(VMM_LOGIC) $(VMM_HW) $(VMM_ASM))
CORE_OBJ   := $(call obj,core,$(CORE_SRC) $(CORE_ASM))
# Septum with one command more, and the model in a host process without sanitizers.
BENCH_OBJ  := $(filter-out %/console/commands.o,$(VMM_OBJ)) $(call obj,vmm,$(BENCH_SRC))
BENCHHOST_OBJ := $(call obj,bench,$(MODULE_SRC) $(wildcard tests/host/platform*.c) tests/bench/model.c)
# The TDP MMU and the model in a host process without sanitizers. tests/bench/world.c stands behind mm/hold.h.
BENCHMMU_SRC := $(wildcard lib/*.c mm/*.c mm/policy/*.c tdx/*.c) kernel/trace.c $(MODULE_SRC) \
                $(wildcard tests/host/platform*.c) $(addprefix tests/host/,cpu.c cpus.c log.c seamcall.c) tests/bench/world.c
BENCHMMU_SRC += tests/bench/uncounted.c
BENCHOPS_OBJ := $(call obj,bench,$(BENCHMMU_SRC) $(addprefix tests/bench/,ops.c rows.c linux.c))
BENCHSCALE_OBJ := $(call obj,scale,$(BENCHMMU_SRC) $(addprefix tests/bench/,scale.c steps.c sparse.c threads.c))
# The random crowd of tests/host/crowd.h without sanitizers, with what stands behind mm/hold.h for threads.
SOAK_SRC := $(filter-out tests/bench/%,$(BENCHMMU_SRC)) $(addprefix tests/host/,baton.c crowd.c crowd_guest.c crowd_module.c hold.c) sim/machine/ept.c tests/soak/crowd.c
SOAK_OBJ := $(call obj,bench,$(SOAK_SRC))
LOADER_OBJ := $(call obj,loader,$(LOADER_SRC) $(LOADER_ASM))
PROBE_OBJ  := $(call obj,probe,$(PROBE_ASM) $(PROBE_SRC))
SHIM_OBJ   := $(call obj,shim,$(SHIM_ASM) $(SHIM_SRC))
# The lab: all of the VMM's logic, the payload's and the model's in a host process without sanitizers, over lab/ where the VMM
# and the payload have their hardware. The payload's image is there as well: it is what the TD is measured by.
LAB_OBJ    := $(call obj,lab,$(filter-out guest/probe/%,$(VMM_LOGIC)) kernel/hw/payload.c kernel/vm/payload.asm $(MODULE_SRC) sim/machine/stlb.c sim/machine/ept.c sim/machine/pmu.c \
                tests/host/platform_cpuid.c $(wildcard lab/*.c lab/hw/*.asm)) $(B)/lab/probe.o
LABPROBE_OBJ := $(call obj,lab,$(PROBE_SRC))
# In a host process tests/host/ has log.c for the first two, cpus.c and hold.c for the others.
HOST_REPLACED := kernel/log.c kernel/guard/panic.c kernel/cpus.c kernel/vm/kick.c
HOSTVMM_OBJ := $(call obj,host,$(filter-out $(HOST_REPLACED),$(VMM_LOGIC)) $(TWIN_SRC))
HOSTMOD_OBJ := $(call obj,host,$(MODULE_SRC))
HOSTPROBE_OBJ := $(call obj,host,$(PROBE_PURE))
HOSTSHIM_OBJ := $(call obj,host,$(SHIM_PURE))
HOSTMACHINE_OBJ := $(call obj,host,$(MACHINE_PURE))
CONF_OBJ   := $(call obj,host,$(CONF_SRC))
TDCORE_SRC := $(wildcard tests/system/tdcore/*.c) tests/system/tdcore/image.asm
TDCORE_OBJ := $(filter-out $(HOSTMOD_OBJ:$(B)/host/%=$(B)/core/%),$(CORE_OBJ)) $(call obj,core,$(TDCORE_SRC))
TESTGUEST_EFI := $(B)/tdcore.efi $(patsubst tests/system/guests/%.c,$(B)/testguest-%.efi,$(TESTGUEST_SRC))
IMAGES     := $(B)/septum.img $(B)/septum-sim.img
UNIT_BIN   := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))

# The SHA-384 of the simulated platform's measurements comes from a packaged static library.
SHA_LIB ?= $(shell $(CC) -print-file-name=libtomcrypt.a)

.PHONY: all run linux linux-test linux-soak test scale bench lab-speed bench-binaries soak soak-binaries check experiments report findings check-report check-slurm unit unit-binaries conformance fuzz fuzz-binary system gdb image image-test hwtest hwtest-docs clean help tools-present
.SECONDARY:
.DELETE_ON_ERROR:
all: $(B)/septum.efi $(B)/simtdx.efi $(B)/lab/septum compile_commands.json

help:
	@echo 'make               builds septum.efi and simtdx.efi into build/, and the lab (tools/lab --help)'
	@echo 'make run           installs what is missing, boots on the simulated platform, runs the demo (RUN="..." passes options)'
	@echo 'make linux         boots Debian'"'"'s kernel as the TD, to its shell (LINUX="script" runs that in it; SUITE= KERNEL= INITRD= CMDLINE= VCPUS= MEM=)'
	@echo 'make test          installs what is missing, runs all tests: unit, conformance, system'
	@echo 'make linux-test    tests of it that take long: merge policies, several vCPUs, kexec'
	@echo 'make linux-soak    an hour of work, conversions and merges beneath it (MINUTES=60 VCPUS=1)'
	@echo 'make check         quick checks: unit tests, format, headers alone, static analysis'
	@echo 'make conformance   replays recorded call sequences against the module model (DIR=folder)'
	@echo 'make bench         what operations and calls cost, beside the least possible and Linux: tables, out/bench.json'
	@echo 'make lab-speed     how many times as fast the lab is as the simulated platform under QEMU'
	@echo 'make soak          random work on many CPUs for half an hour (SOAK_MINUTES=30 SEED=n)'
	@echo 'make scale         what operations cost in TDs of 1 GiB to 4 TiB, and faults of two vCPUs: table, docs/scale.svg'
	@echo 'make experiments   runs the experiments, draws and reports: out/report.html (QUICK=1: three minutes; PROFILE=slurm: on a cluster)'
	@echo 'make report        the same report of consoles captured elsewhere (LOGS="a.log b.log")'
	@echo 'make findings      takes the figures of docs/findings.md out of out/'
	@echo 'make check-report  opens the report in a browser;  make check-slurm: a small set on a Slurm of this machine alone'
	@echo 'make fuzz          random calls against the module model, odd firmware, hostile TDs, under libFuzzer (SECONDS=600)'
	@echo 'make unit          unit tests only;  make system: system tests only'
	@echo 'make gdb           boots and waits for gdb'
	@echo 'make image         build/septum.img for a USB stick: septum.efi alone; SIM=1: septum-sim.img, the simulated platform first'
	@echo 'make image-test    boots both from AHCI, NVMe, virtio and USB storage, septum.efi over PXE (STORAGE="usb")'
	@echo 'make hwtest        compares the captured log of a machine with TDX with what it must say (LOG=FILE)'
	@echo 'make clean         removes build/'
	@echo 'B=dir builds elsewhere, CC=clang uses another compiler, V=1 shows commands'

# --- images -------------------------------------------------------------------------------------------------------------
tools-present:
	@for tool in $(firstword $(CC)) $(LD) $(OBJCOPY) $(NASM); do command -v $$tool >/dev/null && continue; \
	    echo "$$tool is missing: tools/deps build installs what a build needs" >&2; exit 1; done
	@test -r $(EFI_CRT) || { echo "gnu-efi is missing: tools/deps build installs what a build needs" >&2; exit 1; }
$(VMM_OBJ) $(CORE_OBJ) $(LOADER_OBJ) $(PROBE_OBJ) $(SHIM_OBJ): | tools-present

$(B)/septum.so: $(VMM_OBJ) linker.ld
	$(call say,LD,$@)
	$(Q)$(EFI_LD) -T linker.ld $(EFI_CRT) $(VMM_OBJ) -o $@ -l:libgnuefi.a
$(B)/bench/septum.so: $(BENCH_OBJ) linker.ld
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(EFI_LD) -T linker.ld $(EFI_CRT) $(BENCH_OBJ) -o $@ -l:libgnuefi.a
$(B)/simtdx-core.so: $(CORE_OBJ) linker.ld
	$(call say,LD,$@)
	$(Q)$(EFI_LD) -T linker.ld $(EFI_CRT) $(CORE_OBJ) -o $@ $(SHA_LIB) -l:libgnuefi.a
$(B)/simtdx.so: $(LOADER_OBJ) linker.ld
	$(call say,LD,$@)
	$(Q)$(EFI_LD) -T linker.ld $(EFI_CRT) $(LOADER_OBJ) -o $@ -l:libgnuefi.a

# Small guests of the simulated platform, for its own tests.
$(B)/testguest-%.so: $(B)/testguest/tests/system/guests/%.o $(TESTGUEST_LIB) linker.ld
	$(call say,LD,$@)
	$(Q)$(EFI_LD) -T linker.ld $(EFI_CRT) $(filter %.o,$^) -o $@ -l:libgnuefi.a

# A kernel that means harm, for test_hostile.py.
HOSTILE_OBJ := $(call obj,probe,$(wildcard tests/system/guests/hostile/*.asm tests/system/guests/hostile/*.c) \
                 guest/hw/td.asm guest/lib/ghci.c guest/lib/runtime.c)
$(B)/hostile.elf: $(HOSTILE_OBJ) tests/system/guests/hostile/hostile.ld
	$(call say,LD,$@)
	$(Q)$(LD) -nostdlib -znoexecstack -static --no-warn-rwx-segments -T tests/system/guests/hostile/hostile.ld $(HOSTILE_OBJ) -o $@

# What tests of a Linux in the TD run there.
LINUX_TESTS := $(addprefix $(B)/linux-tests/,stress registers kexec convert)
$(B)/linux-tests/stress $(B)/linux-tests/registers: $(B)/linux-tests/%: tests/system/guests/linux/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(LANGUAGE) -static -s -pthread -o $@ $<
$(B)/linux-tests/kexec: tests/system/guests/linux/kexec.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(LANGUAGE) -ffreestanding -fno-stack-protector -nostdlib -static -s -o $@ $<
$(B)/linux-tests/convert: tests/system/guests/linux/convert
	@mkdir -p $(@D)
	$(Q)cp $< $@

# The machine with a test module in the place of the model: sim/machine and one TD.
$(B)/tdcore/simtdx-core.so: $(TDCORE_OBJ) linker.ld
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(EFI_LD) -T linker.ld $(EFI_CRT) $(TDCORE_OBJ) -o $@ $(SHA_LIB) -l:libgnuefi.a
$(B)/tdcore/core.o: sim/loader/core.asm $(B)/tdcore/simtdx-core.efi
	$(call say,NASM,$@)
	$(Q)$(NASM) -f elf64 -I $(B)/tdcore/ -o $@ $<
TDCORE_LOADER := $(filter-out %/core.asm.o,$(LOADER_OBJ)) $(B)/tdcore/core.o
$(B)/tdcore.so: $(TDCORE_LOADER) linker.ld
	$(call say,LD,$@)
	$(Q)$(EFI_LD) -T linker.ld $(EFI_CRT) $(TDCORE_LOADER) -o $@ -l:libgnuefi.a
$(B)/tdcore/td.bin $(B)/tdcore/pair.bin: $(B)/tdcore/%.bin: tests/system/tdcore/%.asm | tools-present
	$(call say,BIN,$@)
	@mkdir -p $(@D)
	$(Q)$(NASM) -f bin -o $@ $<

# The hypervisor stays when the firmware's boot services end: it is a runtime driver. The others are applications.
$(B)/%.efi: $(B)/%.so
	$(call say,EFI,$@)
	$(Q)$(OBJCOPY) $(EFI_SECTIONS) --target=efi-$(if $(findstring -core,$@),rtdrv,app)-x86_64 $< $@

$(B)/probe.elf: $(PROBE_OBJ) guest/probe/probe.ld
	$(call say,LD,$@)
	$(Q)$(PROBE_LD) -T guest/probe/probe.ld $(PROBE_OBJ) -o $@
# At its place and nowhere else, so that the library's tables of pointers need nobody to move them.
$(B)/shim.elf: $(SHIM_OBJ) guest/shim/shim.ld
	$(call say,LD,$@)
	$(Q)$(LD) -nostdlib -znoexecstack -static --no-warn-rwx-segments -T guest/shim/shim.ld $(SHIM_OBJ) -o $@ $(SHA_LIB)
$(B)/probe.bin $(B)/shim.bin $(B)/hostile.bin: $(B)/%.bin: $(B)/%.elf
	$(call say,BIN,$@)
	$(Q)$(OBJCOPY) -O binary $< $@
$(B)/reset.bin: guest/hw/reset.asm guest/hw/td.inc | tools-present
	$(call say,BIN,$@)
	@mkdir -p $(@D)
	$(Q)$(NASM) -f bin -I ./ -o $@ $<

# --- compiling ----------------------------------------------------------------------------------------------------------
# Each image compiles into a folder of its own: the same source may be part of several.
define COMPILE
$(B)/$(1)/%.o: %.c
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $(DEPEND) -c -o $$@ $$<
$(B)/$(1)/%.asm.o: %.asm
	$$(call say,NASM,$$@)
	@mkdir -p $$(@D)
	$(Q)$(NASM) -f elf64 -g -F dwarf -I $(B)/ -I ./ -MD $$(@:.o=.d) -o $$@ $$<
endef
$(eval $(call COMPILE,vmm,$(CC) $(FREE) $(EFI_INC)))
$(eval $(call COMPILE,core,$(CC) $(FREE) $(EFI_INC)))
$(eval $(call COMPILE,loader,$(CC) $(FREE) $(EFI_INC)))
$(eval $(call COMPILE,testguest,$(CC) $(FREE) $(EFI_INC)))
$(eval $(call COMPILE,probe,$(CC) $(FREE)))
$(eval $(call COMPILE,shim,$(CC) $(FREE)))
$(eval $(call COMPILE,host,$(HOSTCC) $(HOST)))
$(eval $(call COMPILE,tsan,$(HOSTCC) $(TSAN)))
# DWARF 4: valgrind of Debian 12 does not read what clang says in DWARF 5.
$(eval $(call COMPILE,bench,$(HOSTCC) $(LANGUAGE) -gdwarf-4 -DHOST_PROCESS))
# With sparse memory for the largest TDs, which is too much under valgrind.
$(eval $(call COMPILE,scale,$(HOSTCC) $(LANGUAGE) -DHOST_PROCESS -DPLATFORM_HOST_GIB=4352))
$(eval $(call COMPILE,lab,$(HOSTCC) $(LANGUAGE) -DHOST_PROCESS))
$(eval $(call COMPILE,fuzz,$(FUZZ_CC) $(HOST) -O2 $$(FUZZ_FLAGS)))
# Binaries that assembly files include.
$(B)/vmm/kernel/vm/payload.asm.o $(B)/lab/kernel/vm/payload.asm.o: $(B)/probe.bin $(B)/shim.bin $(B)/reset.bin
$(B)/loader/sim/loader/core.asm.o: $(B)/simtdx-core.efi
$(B)/core/tests/system/tdcore/image.asm.o: $(B)/tdcore/td.bin $(B)/tdcore/pair.bin

# --- host tests ---------------------------------------------------------------------------------------------------------
$(B)/host/libvmm.a: $(HOSTVMM_OBJ)
$(B)/host/libmodule.a: $(HOSTMOD_OBJ)
$(B)/host/libprobe.a: $(HOSTPROBE_OBJ)
$(B)/host/libshim.a: $(HOSTSHIM_OBJ)
$(B)/host/libmachine.a: $(HOSTMACHINE_OBJ)
$(B)/host/lib%.a:
	$(call say,AR,$@)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar qcs $@ $^
HOST_LIBS := $(B)/host/libvmm.a $(B)/host/libmodule.a
LINK_LIBS = -Wl,--start-group $(HOST_LIBS) $(filter %/libmachine.a,$^) -Wl,--end-group $(SHA_LIB) -lpthread

$(B)/unit/%: $(B)/host/tests/unit/%.o $(HOST_LIBS)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST) -o $@ $(filter %.o,$^) $(filter %/libprobe.a %/libshim.a,$^) $(LINK_LIBS) -lcmocka
$(B)/unit/test_probe $(B)/unit/test_probe_pmu: $(B)/host/libprobe.a
$(B)/unit/test_shim: $(B)/host/libshim.a
# With the machine's kicks in the place of their twin: each vCPU is on a CPU of its own there.
$(B)/unit/test_jobs $(B)/unit/test_pictures $(B)/unit/test_guest_console: $(B)/host/kernel/vm/kick.o
$(B)/unit/test_cpus: $(B)/host/kernel/cpus.o
$(B)/unit/tsan_jobs: $(B)/tsan/kernel/vm/kick.o
$(filter $(B)/unit/test_sim_% $(B)/unit/test_crowd%,$(UNIT_BIN)): $(B)/host/libmachine.a
# The same with threads watched: every access of two threads to one place must be ordered by what mm/ and the model lock.
TSAN_OBJ := $(call obj,tsan,$(filter-out $(HOST_REPLACED),$(VMM_LOGIC)) $(TWIN_SRC) $(MODULE_SRC) sim/machine/ept.c)
$(B)/unit/tsan_%: $(B)/tsan/tests/unit/test_%.o $(B)/tsan/libtsan.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(TSAN) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(SHA_LIB) -lpthread -lcmocka
$(B)/tsan/libtsan.a: $(TSAN_OBJ)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)ar qcs $@ $^
UNIT_BIN += $(B)/unit/tsan_ghci_threads $(B)/unit/tsan_crowd $(B)/unit/tsan_module_threads $(B)/unit/tsan_jobs
# The project's own records, unless another folder is named.
DIR ?= $(B)/records
RECORDS := $(patsubst tests/conformance/records/%.gz,$(B)/records/%,$(wildcard tests/conformance/records/*.gz))
$(B)/records/%: tests/conformance/records/%.gz
	$(call say,GUNZIP,$@)
	@mkdir -p $(@D)
	$(Q)gzip -dc $< > $@

unit-binaries: $(UNIT_BIN) $(RECORDS)
unit: unit-binaries
	@tests/run --build $(B) unit

# Only the model and its platform: the VMM has a json_ of its own, which is not the library's.
CONF_PLATFORM := $(B)/host/tests/host/platform.o $(B)/host/tests/host/platform_cpuid.o
$(B)/conformance: $(CONF_OBJ) $(CONF_PLATFORM) $(B)/host/libmodule.a
	$(call say,LD,$@)
	$(Q)$(HOSTCC) $(HOST) -o $@ $^ $(SHA_LIB) -lpthread -ljansson
conformance: $(B)/conformance $(RECORDS)
	@$< $(DIR)

# The module model under libFuzzer: `make fuzz SECONDS=3600` goes on with the inputs that it found earlier, kept in
# $(B)/fuzz-corpus. clang's runtime for it may be missing; then fuzz-binary says so and builds nothing.
SECONDS ?= 600
FUZZ_OBJ := $(call obj,fuzz,$(MODULE_SRC) $(wildcard tests/host/platform*.c) $(FUZZ_SRC))
FUZZ_WORKS = echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' | \
             $(FUZZ_CC) -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null
# New paths through the model make an input worth keeping; those through the checks do not, and they run after each call.
$(B)/fuzz/sim/%.o: FUZZ_FLAGS := -fsanitize=fuzzer-no-link
$(B)/fuzz/tests/fuzz/%.o: FUZZ_FLAGS := -fno-sanitize=all
$(B)/fuzz-module: $(FUZZ_OBJ)
	$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(SAN) -fsanitize=fuzzer -o $@ $^ $(SHA_LIB) -lpthread
# What firmware and the boot volume hand over: the memory map, ACPI's tables, a kernel.
FUZZ_FIRMWARE_OBJ := $(call obj,fuzz,kernel/memory_map.c lib/ranges.c drivers/acpi.c drivers/srat.c drivers/spcr.c guest/shim/bzimage.c tests/fuzz/firmware/main.c)
$(B)/fuzz/kernel/%.o $(B)/fuzz/drivers/%.o $(B)/fuzz/lib/%.o $(B)/fuzz/guest/%.o: FUZZ_FLAGS := -fsanitize=fuzzer-no-link
$(B)/fuzz-firmware: $(FUZZ_FIRMWARE_OBJ)
	$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(SAN) -fsanitize=fuzzer -o $@ $^
# What a TD asks for by TDVMCALL, and the devices behind it.
FUZZ_GUEST_OBJ := $(call obj,fuzz,$(wildcard kernel/vm/ghci/*.c drivers/virt/*.c) kernel/vm/devices.c kernel/vm/interrupt.c kernel/vm/guest_console.c \
                    lib/lock.c lib/format.c lib/err.c lib/addr.c tests/fuzz/guest/main.c)
$(B)/fuzz-guest: $(FUZZ_GUEST_OBJ)
	$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(SAN) -fsanitize=fuzzer -o $@ $^
$(B)/fuzz-seeds: tests/fuzz/seeds.txt tests/fuzz/seeds.py sim/module/abi.h
	$(call say,SEEDS,$@)
	$(Q)rm -rf $@ && tests/fuzz/seeds.py tests/fuzz/seeds.txt $@
fuzz-binary:
	@if $(FUZZ_WORKS); then $(MAKE) --no-print-directory $(B)/fuzz-module $(B)/fuzz-firmware $(B)/fuzz-guest $(B)/fuzz-seeds; \
	    else rm -f $(B)/fuzz-module $(B)/fuzz-firmware $(B)/fuzz-guest; echo 'fuzz: $(FUZZ_CC) or its libFuzzer runtime is missing (tools/deps test)' >&2; fi
fuzz: fuzz-binary
	@test -x $(B)/fuzz-module
	@mkdir -p $(B)/fuzz-corpus $(B)/fuzz-corpus-firmware $(B)/fuzz-corpus-guest
	@$(B)/fuzz-firmware -max_total_time=$$(($(SECONDS) / 4 + 1)) -max_len=4000 -timeout=10 -artifact_prefix=$(B)/ \
	    $(B)/fuzz-corpus-firmware
	@$(B)/fuzz-guest -max_total_time=$$(($(SECONDS) / 4 + 1)) -max_len=2000 -timeout=10 -artifact_prefix=$(B)/ \
	    $(B)/fuzz-corpus-guest
	@$(B)/fuzz-module -max_total_time=$(SECONDS) -max_len=800 -timeout=10 -artifact_prefix=$(B)/ \
	    $(B)/fuzz-corpus $(B)/fuzz-seeds

# What calls cost: docs/benchmarks.md. Without sanitizers, at the images' own optimisation.
$(B)/bench/model: $(BENCHHOST_OBJ)
	$(call say,LD,$@)
	$(Q)$(HOSTCC) -o $@ $^ $(SHA_LIB) -lpthread -lcmocka
WRAPPED := seamcall cpu_reset_pages hold_kick hold_begin hold_end
$(B)/bench/ops: $(BENCHOPS_OBJ)
	$(call say,LD,$@)
	$(Q)$(HOSTCC) -o $@ $^ $(WRAPPED:%=-Wl,--wrap=%) $(SHA_LIB) -lpthread
$(B)/soak/crowd: $(SOAK_OBJ)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -o $@ $^ $(SHA_LIB) -lpthread
soak-binaries: $(B)/soak/crowd
SOAK_MINUTES ?= 30
soak: all soak-binaries
	@tests/soak/soak --build $(B) --seconds $$(($(SOAK_MINUTES) * 60)) $(if $(SEED),--seed $(SEED))
# memset: what is large and zero stays sparse.
$(B)/bench/scale: $(BENCHSCALE_OBJ)
	$(call say,LD,$@)
	$(Q)$(HOSTCC) -o $@ $^ $(WRAPPED:%=-Wl,--wrap=%) -Wl,--wrap=memset $(SHA_LIB) -lpthread
bench-binaries: $(B)/bench/scale $(B)/bench/septum.efi $(B)/bench/model $(B)/bench/ops $(B)/simtdx.efi
bench: bench-binaries
	@tests/bench/bench --build $(B) --json $(if $(filter build,$(B)),out,$(B)/out)/bench.json

lab-speed: all
	@tests/bench/lab-speed --build $(B)

# The lab's payload is one object, whose variables a new TD finds as zero (lab/guest.c).
$(B)/lab/probe.o: $(LABPROBE_OBJ)
	$(call say,LD,$@)
	$(Q)$(LD) -r -o $@.r $^
	$(Q)$(OBJCOPY) --rename-section .bss=probe_bss $@.r $@
	@rm -f $@.r
LABWRAPPED := memset mdl_fill world_counts world_add_counts
$(B)/lab/septum: $(LAB_OBJ)
	$(call say,LD,$@)
	$(Q)$(HOSTCC) -o $@ $^ $(LABWRAPPED:%=-Wl,--wrap=%) $(SHA_LIB)

# What the size of a TD costs, and a second vCPU: table and picture of docs/benchmarks.md.
scale: $(B)/bench/scale
	@tests/bench/scale.py $< docs/scale.svg

# Experiments, and the report of their samples: docs/experiments.md.
OUT ?= $(if $(filter build,$(B)),out,$(B)/out)
WORKFLOW = tools/experiments/workflow --build $(B)
SET ?= $(if $(QUICK),quick,default)
experiments:
	@tools/deps experiments
	@$(MAKE) --no-print-directory all $(LINUX_TESTS)
	@$(WORKFLOW) --set $(SET) --out $(OUT) $(if $(PROFILE),--profile $(PROFILE))
report:
	@test -n "$(LOGS)" || { echo 'report: LOGS="a.log b.log" names the logs; `make experiments` makes some' >&2; exit 2; }
	@tools/deps experiments
	@$(WORKFLOW) --out $(OUT)/captured --logs $(LOGS)
findings:
	@tools/experiments/findings --out $(OUT)
check-report:
	@tools/deps browser
	@tools/experiments/look $(OUT)/report.html $(OUT)/screenshots
check-slurm:
	@tools/deps cluster
	@$(MAKE) --no-print-directory all
	@tools/experiments/slurm-here --build $(B)

# --- what people ask for ------------------------------------------------------------------------------------------------
# These install first and build then, so they cannot name what they build as prerequisites.
# Four CPUs where the host has two or more: emulated ones share them.
RUN ?= --script tools/demo.septum --smp $(if $(filter 1,$(shell nproc)),1,4)
run:
	@tools/deps run
	@$(MAKE) --no-print-directory all
	@if [ -t 0 ]; then exec tools/run --build $(B) --stay $(RUN); else exec tools/run --build $(B) $(RUN); fi

# An unmodified Linux as the TD: docs/linux.md. What make is given on its command line is in the environment too.
LINUX_WORDS = $(if $(LINUX),--run "$$LINUX") $(if $(SUITE),--suite $(SUITE)) $(if $(KERNEL),--kernel "$$KERNEL") $(if $(INITRD),--initrd "$$INITRD") \
              $(if $(CMDLINE),--cmdline "$$CMDLINE") $(if $(VCPUS),--vcpus $(VCPUS)) $(if $(MEM),--mem $(MEM))
linux:
	@tools/deps run
	@$(MAKE) --no-print-directory all
	@tools/linux/boot --build $(B) $(LINUX_WORDS)
# What takes longer than `make test` should: merge policies, several vCPUs, kexec.
linux-test:
	@tools/deps test
	@$(MAKE) --no-print-directory all $(LINUX_TESTS)
	@tools/linux/boot --build $(B) --fetch
	@SEPTUM_BUILD=$(abspath $(B)) /usr/bin/python3 -B -m pytest -q -p no:cacheprovider tests/system/linux

# An hour under each policy in turn; no byte may be lost.
linux-soak:
	@tools/deps test
	@$(MAKE) --no-print-directory all $(LINUX_TESTS)
	@tests/soak/linux --build $(B) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(VCPUS),--vcpus $(VCPUS))

test:
	@tools/deps test
	@tools/linux/boot --build $(B) --fetch || true # without a network the tests of it are skipped
	@$(MAKE) --no-print-directory all unit-binaries $(TESTGUEST_EFI) $(B)/hostile.bin $(LINUX_TESTS) $(IMAGES) bench-binaries soak-binaries $(if $(CONF_SRC),$(B)/conformance) fuzz-binary
	@tests/run --build $(B) --records $(DIR) unit conformance fuzz system soak

system: all $(TESTGUEST_EFI) $(B)/hostile.bin $(LINUX_TESTS) $(IMAGES) bench-binaries $(if $(CONF_SRC),$(B)/conformance)
	@tests/run --build $(B) system

check:
	@tools/deps check
	@$(MAKE) --no-print-directory unit-binaries
	@status=0; FREE='$(FREE) $(EFI_INC)' HOST='$(LANGUAGE) -D_GNU_SOURCE -DHOST_PROCESS' tools/check || status=1; \
	    tests/run --build $(B) unit || status=1; exit $$status

gdb: all
	@tools/run --build $(B) --gdb

# What a person at a machine boots: with the demonstration, the tests of docs/server.md, and files to change by hand.
IMAGE_FILES := tools/image/septum.cfg tools/image/startup.nsh tools/demo.septum tools/hwtest.sep
$(IMAGES): $(B)/septum.efi $(B)/simtdx.efi tools/mkimage $(IMAGE_FILES)
	$(call say,IMAGE,$@)
	@rm -rf $@.volume && mkdir -p $@.volume/scripts
	@cp tools/demo.septum $@.volume/scripts/demo.sep && cp tools/hwtest.sep $@.volume/scripts/
	$(Q)tools/mkimage $(if $(filter %-sim.img,$@),,--bare) --build $(B) --startup tools/image/startup.nsh $@ tools/image/septum.cfg $@.volume/scripts
	@rm -rf $@.volume
IMAGE = $(B)/septum$(if $(SIM),-sim).img
image:
	@tools/deps run
	@$(MAKE) --no-print-directory $(IMAGE)
	@echo '$(IMAGE): dd writes it to a USB stick, docs/server.md says what comes then'
# The image on each kind of storage that QEMU has, and septum.efi over the network; `make test` tries one.
image-test: $(IMAGES)
	@SEPTUM_STORAGE="$(STORAGE)" SEPTUM_BUILD=$(abspath $(B)) /usr/bin/python3 -B -m pytest -q -p no:cacheprovider tests/system/test_image.py
STORAGE ?= ahci nvme virtio usb pxe ipxe

# What a machine with TDX answered, beside what it must: tools/hwtest.sep, which docs/server.md shows too.
hwtest:
	@test -n "$(LOG)" || { echo 'hwtest: LOG=FILE names the log that tools/capture wrote while `script hwtest.sep` ran' >&2; exit 2; }
	@tools/hwtest $(LOG)
hwtest-docs:
	@tools/hwtest --docs docs/server.md

# One entry a source file and image it belongs to, for editors and analysers.
comma := ,
entry = $(foreach f,$(1),{"directory":"$(CURDIR)"$(comma)"file":"$(f)"$(comma)"command":"$(subst ",\",$(2)) -c $(f)"}$(comma))
compile_commands.json: Makefile $(VMM_LOGIC) $(VMM_HW) $(CORE_SRC) $(LOADER_SRC) $(PROBE_SRC) \
                       $(TWIN_SRC) $(UNIT_SRC) $(CONF_SRC) $(FUZZ_SRC) tests/soak/crowd.c $(wildcard lab/*.c)
	$(file >$@,[)
	$(file >>$@,$(call entry,$(VMM_LOGIC) $(VMM_HW) $(CORE_SRC) $(LOADER_SRC),$(CC) $(FREE) $(EFI_INC)))
	$(file >>$@,$(call entry,$(PROBE_SRC),$(CC) $(FREE)))
	$(file >>$@,$(call entry,$(TWIN_SRC) $(UNIT_SRC) $(CONF_SRC) $(FUZZ_SRC) tests/soak/crowd.c,$(CC) $(HOST)))
	$(file >>$@,$(call entry,$(wildcard lab/*.c),$(HOSTCC) $(LANGUAGE) -DHOST_PROCESS))
	$(file >>$@,{"directory":"$(CURDIR)"$(comma)"file":"linker.ld"$(comma)"command":"true"}])
	@:

clean:
	rm -rf $(B) compile_commands.json

-include $(shell find $(B) -path $(B)/linux -prune -o -name '*.d' -print 2>/dev/null)
