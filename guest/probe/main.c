/*
 * The probe's start on each vCPU, its page tables and its exceptions.
 *
 * Guest page tables: 1G pages throughout, so that how far a translation reaches is the Secure EPT's affair alone. Lower
 * half: private memory, address = GPA. Upper half: the shared alias, address = PROBE_SHARED_WINDOW + GPA.
 */
#include "guest/lib/ghci.h"
#include "guest/hw/td.h"
#include "guest/probe/main.h"
#include "guest/probe/pmu.h"
#include "guest/probe/work.h"

#define ROM_BYTES 0x4000ull
#define ROM_END   0x100000000ull
#define TABLES    4 /* of 512 GiB each, in either window */

#define PTE_TABLE   0x23ull /* present, writable, accessed */
#define PTE_PAGE_1G 0xe3ull /* and dirty, large */

#define CODE_SELECTOR        8
#define GATE_INTERRUPT       0x8e
#define REASON_EPT_VIOLATION 48

enum fatal_code { FATAL_EXCEPTION = 3, FATAL_VE, FATAL_ACCEPT, FATAL_SETUP };

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM vol. 3, 64-bit IDT gate descriptors");

static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t private_tables[TABLES][512] __attribute__((aligned(4096)));
static uint64_t shared_tables[TABLES][512] __attribute__((aligned(4096)));
static struct gate idt[PROBE_VECTORS] __attribute__((aligned(16)));
static struct probe_td td;
static struct probe_vcpu vcpus[PROBE_MAX_VCPUS];
static uint32_t setup_taken, setup_done;

static _Noreturn void fatal(enum fatal_code code, const char *words, uint64_t a, const char *more, uint64_t b)
{
    struct guest_text text = {.used = 0};
    guest_text_add(&text, words);
    guest_text_add_hex(&text, a);
    guest_text_add(&text, more);
    guest_text_add_hex(&text, b);
    ghci_fatal(code, &text);
}

/* --- exceptions --- */

static void take_ve(struct probe_vcpu *vcpu, const struct trap_frame *frame)
{
    struct ve_info info;
    uint64_t status = ghci_get_ve_info(&info);
    if (status) {
        fatal(FATAL_VE, "probe: no #VE information: ", status, " at ", frame->rip);
    }
    vcpu->ve_count++;
    if (info.exit_reason != REASON_EPT_VIOLATION) {
        fatal(FATAL_VE, "probe: #VE for exit reason ", info.exit_reason, " at ", frame->rip);
    }
    if (info.gpa & td.shared_bit || info.gpa >= td.memory.bytes) {
        fatal(FATAL_VE, "probe: #VE outside private memory, GPA ", info.gpa, " at ", frame->rip);
    }
    status = probe_work_accept_around(vcpu, info.gpa);
    if (status >> 63) {
        fatal(FATAL_ACCEPT, "probe: ACCEPT says ", status, " GPA ", info.gpa);
    }
}

void probe_trap(struct trap_frame *frame, uint64_t cr2)
{
    /* Each vCPU stays on its own stack, which therefore says which one this is. */
    uint64_t index = ((uintptr_t)frame - (uintptr_t)probe_stacks) / PROBE_STACK_BYTES;
    if (frame->vector == PROBE_VECTOR_VE) {
        take_ve(&vcpus[index], frame);
        return;
    }
    if (frame->vector == 14) {
        fatal(FATAL_EXCEPTION, "probe: #PF on ", cr2, " at ", frame->rip);
    }
    fatal(FATAL_EXCEPTION, "probe: exception ", frame->vector, " at ", frame->rip);
}

/* --- setting up --- */

static void build_tables(void)
{
    for (uint64_t table = 0; table < TABLES; table++) {
        pml4[table] = (uintptr_t)private_tables[table] | PTE_TABLE;
        pml4[256 + table] = (uintptr_t)shared_tables[table] | PTE_TABLE;
        for (uint64_t i = 0; i < 512; i++) {
            uint64_t gpa = (table * 512 + i) << 30;
            private_tables[table][i] = gpa | PTE_PAGE_1G;
            shared_tables[table][i] = gpa | td.shared_bit | PTE_PAGE_1G;
        }
    }
}

static void build_idt(void)
{
    for (uint64_t vector = 0; vector < PROBE_VECTORS; vector++) {
        uint64_t stub = (uintptr_t)exception_stubs[vector];
        idt[vector] = (struct gate){.offset_low = (uint16_t)stub,
                                    .selector = CODE_SELECTOR,
                                    .type = GATE_INTERRUPT,
                                    .offset_mid = (uint16_t)(stub >> 16),
                                    .offset_high = (uint32_t)(stub >> 32)};
    }
}

/* What the VMM wrote into the header must be possible: it is measured, but nobody else looks at it. */
static void check_header(void)
{
    uint64_t limit = (uint64_t)TABLES << 39;
    if (!probe_image.vcpus || probe_image.vcpus > PROBE_MAX_VCPUS) {
        fatal(FATAL_SETUP, "probe: header says vCPUs ", probe_image.vcpus, ", possible: ", PROBE_MAX_VCPUS);
    }
    if (!probe_image.memory_bytes || probe_image.memory_bytes > limit) {
        fatal(FATAL_SETUP, "probe: header says memory ", probe_image.memory_bytes, ", possible: ", limit);
    }
    if (probe_image.mailboxes % 4096 || probe_image.mailboxes >= limit) {
        fatal(FATAL_SETUP, "probe: mailboxes at ", probe_image.mailboxes, ", possible: 4K aligned below ", limit);
    }
}

static void set_up(uint32_t gpa_width)
{
    check_header();
    td = (struct probe_td){
        .private_window = 0,
        .shared_window = PROBE_SHARED_WINDOW,
        .shared_bit = 1ull << (gpa_width - 1),
        .memory = {0, probe_image.memory_bytes},
        .kept = {{td_address_of(&probe_image), probe_image.image.total_bytes},
                 {probe_image.mailboxes, probe_image.vcpus * 4096},
                 {ROM_END - ROM_BYTES, ROM_BYTES}},
    };
    build_tables();
    build_idt();
}

/* The first vCPU to come here sets up, the others wait for it. */
static void set_up_once(uint32_t gpa_width)
{
    if (!__atomic_exchange_n(&setup_taken, 1, __ATOMIC_ACQ_REL)) {
        set_up(gpa_width);
        __atomic_store_n(&setup_done, 1, __ATOMIC_RELEASE);
    }
    while (!__atomic_load_n(&setup_done, __ATOMIC_ACQUIRE)) {
        td_pause();
    }
}

/* Result is ready, next work wanted. Comes back when the VMM enters the vCPU again. */
static void ask_for_work(void)
{
    struct td_regs r = {.rax = TDG_VP_VMCALL, .rcx = GHCI_PASS_R10_R13, .r10 = PROBE_VMCALL, .r11 = PROBE_NEXT};
    tdcall(&r);
}

_Noreturn void probe_main(uint32_t index, uint32_t gpa_width)
{
    set_up_once(gpa_width);
    td_load_cr3((uintptr_t)pml4);
    td_load_idt(idt, sizeof(idt) - 1);
    if (index >= probe_image.vcpus) {
        fatal(FATAL_SETUP, "probe: vCPU ", index, " of ", probe_image.vcpus);
    }
    struct probe_vcpu *vcpu = &vcpus[index];
    vcpu->td = &td;
    vcpu->has_pmu = probe_pmu_is_there();
    vcpu->mailbox =
        td_reach(PROBE_SHARED_WINDOW + probe_image.mailboxes + index * 4096ull, sizeof(*vcpu->mailbox), true);
    for (;;) {
        ask_for_work();
        probe_work_do(vcpu);
    }
}
