/*
 * A guest of the simulated platform that starts the other CPUs, finds nothing changed on the first one, and tries on the others
 * what has to be each one's own: registers after SIPI, CPUID, VMX operation, MSRs, APIC, interrupts, NMIs, INIT; then a TDX module,
 * started by all of them together, and memory that becomes private while others read it. For the latter it needs the GiB of memory
 * at 4 GiB. The report goes to the serial port, one `smp: CPU NAME VALUE` line each; tests/system/test_guest_smp.py knows what is
 * right.
 */
#include <efi.h>

#include "tests/system/guests/lib/ap.h"
#include "tests/system/guests/lib/guest.h"
#include "tests/system/guests/lib/module.h"

#define MSR_TSC_AUX     0xc0000103
#define TPR_HIGH        0x90 /* above the counted vectors, below the one that wakes */
#define MARK            0x1122334455667788ull
#define WORDS           (GUEST_PAGE / 8)
#define ROUNDS          3
#define OPERAND_BUSY    0x8000020000000000ull
#define ALREADY_DONE    0x00000a0300000000ull /* TDMR_ALREADY_INITIALIZED: another CPU made the last call */
#define STATUS_MASK     0xffffffff00000000ull
#define TDMR_INIT_CALLS 256

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static unsigned cpus;

static void say(unsigned id, const char *name, UINT64 value)
{
    guest_say("smp", id, name, value);
}

static void on_each(const char *name, UINT64 (*work)(struct ap *ap), UINT64 argument)
{
    for (unsigned id = 1; id < cpus; id++)
        say(id, name, ap_run(id, work, argument));
}

static UINT64 nothing(struct ap *ap)
{
    return ap->argument;
}

/* --- start ------------------------------------------------------------------------------------------------------------- */

static void say_starts(const char *name)
{
    for (unsigned id = 1; id < cpus; id++)
        say(id, name, ap_at(id)->starts);
}

/* CPU 1 alone, then all; SIPIs to CPUs that run change nothing. */
static void start(void)
{
    ap_start_up(1, 0);
    ap_wait(&ap_at(1)->starts, 1, "the start of CPU 1");
    ap_pause_us(20000);
    say_starts("starts, directed");
    ap_start_up(0, AP_TO_OTHERS);
    ap_wait(&ap_at(1)->starts, 2, "the second start of CPU 1");
    for (unsigned id = 1; id < cpus; id++)
        ap_wait(&ap_at(id)->starts, 1, "the start of a CPU by broadcast");
    ap_startup_only(0, AP_TO_OTHERS);
    on_each("answers", nothing, 42);
    say_starts("starts, broadcast");
    for (unsigned id = 1; id < cpus; id++) {
        const struct ap_start *found = &ap_at(id)->at_start;
        say(id, "CR0 at SIPI", found->cr0);
        say(id, "CR4 at SIPI", found->cr4);
        say(id, "RDX at SIPI", found->rdx);
        say(id, "other registers at SIPI", found->registers);
        say(id, "x2APIC at SIPI", found->apic_base >> 10 & 1);
        say(id, "bootstrap processor", found->apic_base >> 8 & 1);
    }
}

/* --- CPUID ------------------------------------------------------------------------------------------------------------- */

enum cpuid_register { EAX, EBX, ECX, EDX };
#define CPUID(leaf, subleaf, reg) ((UINT64)(leaf) << 32 | (subleaf) << 8 | (reg))

static UINT64 cpuid(struct ap *ap)
{
    UINT32 r[4], leaf = (UINT32)(ap->argument >> 32), subleaf = (UINT32)ap->argument >> 8;
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(subleaf));
    return r[ap->argument & 0xff];
}

static void topology(void)
{
    on_each("CPUID 1 EBX", cpuid, CPUID(1, 0, EBX));
    on_each("CPUID 4.0 EAX", cpuid, CPUID(4, 0, EAX));
    on_each("CPUID 4.3 EAX", cpuid, CPUID(4, 3, EAX));
    on_each("CPUID B.0 EAX", cpuid, CPUID(0xb, 0, EAX));
    on_each("CPUID B.1 EAX", cpuid, CPUID(0xb, 1, EAX));
    on_each("CPUID B.1 EBX", cpuid, CPUID(0xb, 1, EBX));
    on_each("CPUID B.1 ECX", cpuid, CPUID(0xb, 1, ECX));
    on_each("CPUID B.2 ECX", cpuid, CPUID(0xb, 2, ECX));
    on_each("CPUID 1F.0 EBX", cpuid, CPUID(0x1f, 0, EBX));
    on_each("CPUID 1F.1 EAX", cpuid, CPUID(0x1f, 1, EAX));
    on_each("CPUID 1F.1 EBX", cpuid, CPUID(0x1f, 1, EBX));
    on_each("CPUID 1F.1 EDX", cpuid, CPUID(0x1f, 1, EDX));
}

/* --- each CPU's own ---------------------------------------------------------------------------------------------------- */

static UINT64 seamcall(struct ap *ap)
{
    UINT64 before = ap->undefined;
    UINT64 status = module_call((enum module_leaf)ap->argument, 0, 0);
    return ap->undefined != before ? ~0ull : status;
}

static UINT64 vmx_on(struct ap *ap)
{
    return guest_vmx_on(ap->vmxon_region);
}

static UINT64 vmx_off(struct ap *ap)
{
    __asm__ volatile("vmxoff" ::: "memory", "cc");
    return 0;
}

static UINT64 name_it(struct ap *ap)
{
    guest_wrmsr(MSR_TSC_AUX, 0x100 + ap->id);
    return 0;
}

static UINT64 name_of_it(struct ap *ap)
{
    UINT64 value;
    __asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0xc7, 0xf8" : "=a"(value)); /* rdpid %rax */
    return value;
}

static UINT64 cr4_vmxe(struct ap *ap)
{
    UINT64 cr4;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    return cr4 >> 13 & 1;
}

/* SEAMCALL, first with this CPU in VMX operation only; the module's LP.INIT twice on each. */
static void vmx(void)
{
    say(0, "VMXON", vmx_on(ap_at(0)));
    say(0, "SYS.INIT", module_call(TDH_SYS_INIT, 0, 0));
    say(0, "LP.INIT", module_call(TDH_SYS_LP_INIT, 0, 0));
    on_each("SEAMCALL outside VMX", seamcall, TDH_SYS_LP_INIT);
    on_each("VMXE outside VMX", cr4_vmxe, 0);
    on_each("VMXON", vmx_on, 0);
    on_each("VMXE in VMX", cr4_vmxe, 0);
    on_each("LP.INIT", seamcall, TDH_SYS_LP_INIT);
    on_each("LP.INIT again", seamcall, TDH_SYS_LP_INIT);
}

static void own_msrs(void)
{
    for (unsigned id = 1; id < cpus; id++)
        ap_run(id, name_it, 0);
    on_each("RDPID", name_of_it, 0);
}

/* INIT waits while CPU 1 is in VMX root operation, and SIPI is lost on a CPU that runs; VMXOFF lets INIT come. */
static void init_in_vmx_operation(void)
{
    struct ap *one = ap_at(1);
    UINT64 before = one->starts;
    ap_start_up(1, 0);
    say(1, "answers in VMX operation", ap_run(1, nothing, 43));
    ap_begin(1, vmx_off, 0);
    ap_pause_us(50000);
    say(1, "starts by INIT in VMX operation", one->starts - before);
    say(1, "work ended by INIT", one->asked - one->done);
    ap_startup_only(1, 0);
    ap_wait(&one->starts, before + 1, "the start of CPU 1 behind VMXOFF");
    say(1, "SEAMCALL behind INIT", ap_run(1, seamcall, TDH_SYS_LP_INIT));
    say(1, "VMXE behind INIT", ap_run(1, cr4_vmxe, 0));
    say(1, "RDPID behind INIT", ap_run(1, name_of_it, 0));
    say(1, "x2APIC behind INIT", one->at_start.apic_base >> 10 & 1);
    say(1, "CR4 behind INIT", one->at_start.cr4);
    say(1, "VMXON behind INIT", ap_run(1, vmx_on, 0));
    say(1, "LP.INIT behind INIT", ap_run(1, seamcall, TDH_SYS_LP_INIT));
}

/* --- interrupts -------------------------------------------------------------------------------------------------------- */

static UINT64 set_tpr(struct ap *ap)
{
    guest_wrmsr(AP_MSR_TPR, ap->argument);
    return guest_rdmsr(AP_MSR_TPR);
}

static UINT64 send_icr(struct ap *ap)
{
    ap_send((UINT32)(ap->argument >> 32), (UINT32)ap->argument);
    return 0;
}

static UINT64 send_self(struct ap *ap)
{
    guest_wrmsr(AP_MSR_SELF, ap->argument);
    return 0;
}

/* Whatever is still on its way comes before or while the CPU does this. */
static void settle(void)
{
    ap_pause_us(20000);
    for (unsigned id = 1; id < cpus; id++)
        ap_run(id, nothing, 0);
}

static void say_counts(const char *name, unsigned vector)
{
    settle();
    for (unsigned id = 1; id < cpus; id++)
        say(id, name, ap_at(id)->ipis[vector]);
}

/* On the CPU that asks. */
static UINT64 waits(unsigned vector)
{
    return guest_rdmsr(AP_MSR_IRR + vector / 32) >> vector % 32 & 1;
}

static void fixed(void)
{
    for (unsigned id = 1; id < cpus; id++)
        ap_send(id, AP_ICR_FIXED | AP_IPI_FIRST);
    say_counts("IPIs, directed", 0);
    ap_send(0, AP_TO_OTHERS | AP_ICR_FIXED | AP_IPI_FIRST);
    say_counts("IPIs, broadcast", 0);
    ap_send(0xffffffff, AP_ICR_FIXED | AP_IPI_FIRST);
    say_counts("IPIs, to the address of all", 0);
    say(0, "IRR, first vector", waits(AP_IPI_FIRST));
    ap_send(1u << 1 | 1u << (cpus - 1), AP_LOGICAL | AP_ICR_FIXED | AP_IPI_FIRST);
    say_counts("IPIs, logical", 0);
    ap_run(1, send_self, AP_IPI_FIRST);
    ap_run(1, send_icr, AP_TO_SELF | AP_ICR_FIXED | AP_IPI_FIRST);
    say_counts("IPIs, self", 0);
    say(0, "IRR before", waits(AP_IPI_SECOND));
    ap_run(1, send_icr, AP_ICR_FIXED | AP_IPI_SECOND);
    say(0, "IRR of an IPI to CPU 0", waits(AP_IPI_SECOND));
}

static void task_priority(void)
{
    say(1, "TPR", ap_run(1, set_tpr, TPR_HIGH));
    ap_send(0, AP_TO_OTHERS | AP_ICR_FIXED | AP_IPI_SECOND);
    say_counts("IPIs, CPU 1 behind its TPR", 1);
    say(1, "TPR", ap_run(1, set_tpr, 0));
    say_counts("IPIs, TPR lowered", 1);
}

static UINT64 until_nmi(struct ap *ap)
{
    ap_wait(&ap->nmis, ap->argument, "an NMI");
    return ap->nmis;
}

/* To CPUs that sleep, one by one; to all, which are at work. */
static void nmis(void)
{
    for (unsigned id = 1; id < cpus; id++)
        ap_send(id, AP_ICR_NMI);
    settle();
    for (unsigned id = 1; id < cpus; id++)
        say(id, "NMIs, directed", ap_at(id)->nmis);
    for (unsigned id = 1; id < cpus; id++)
        ap_begin(id, until_nmi, 2);
    ap_pause_us(20000);
    ap_send(0, AP_TO_OTHERS | AP_ICR_NMI);
    for (unsigned id = 1; id < cpus; id++)
        say(id, "NMIs, broadcast", ap_end(id));
}

/* --- the first CPU's change -------------------------------------------------------------------------------------------- */

/*
 * With the first SIPI the platform puts another CPU of the machine's in CPU 0's place. CPU 0 must not notice: what it has set is as
 * it was, what waited for it waits, and what it sends goes where it said.
 */
#define MSR_SVR           0x80f
#define MSR_LVT_TIMER     0x832
#define MSR_LVT_LINT1     0x836
#define MSR_LVT_ERROR     0x837
#define MSR_TIMER_INITIAL 0x838
#define MSR_TIMER_CURRENT 0x839
#define MSR_TIMER_DIVIDE  0x83e
#define MSR_PAT           0x277
#define DEBUG_ADDRESSES   4
#define XMM_WORDS         32
#define VECTOR_BEFORE     0x81 /* sent before the change; the others behind it */
#define VECTOR_SELF       0x92
#define VECTOR_SHORTHAND  0xa3

/* Written in this order: LVTs are unmasked only where the APIC is on, and the timer starts with its count. */
static const struct {
    UINT32 msr;
    const char *name;
    UINT64 value;
} settings[] = {
    {MSR_SVR, "spurious vector", 0x1df},
    {AP_MSR_TPR, "TPR of CPU 0", 0xb0},
    {MSR_LVT_LINT1, "LVT LINT1", 0x12061},
    {MSR_LVT_ERROR, "LVT error", 0x10062},
    {MSR_LVT_TIMER, "LVT timer", 0x30063},
    {MSR_TIMER_DIVIDE, "timer divide", 0xa},
    {MSR_TIMER_INITIAL, "timer initial count", 0xfedcba98}, /* nine minutes by 128 ns: no period ends meanwhile */
    {MSR_TSC_AUX, "TSC_AUX", 0x5e97},
    {MSR_PAT, "PAT", 0x0507040600070406}, /* the last entry, which nobody uses, is WP */
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static UINT64 settings_before[SETTINGS], timer_before, xmm[XMM_WORDS];
static UINT32 mxcsr_before;

static void set_debug_addresses(UINT64 first)
{
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
                     :
                     : "r"(first), "r"(first * 2), "r"(first * 3), "r"(first * 4));
}

static void say_debug_addresses(void)
{
    UINT64 dr[DEBUG_ADDRESSES];
    __asm__ volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3"
                     : "=r"(dr[0]), "=r"(dr[1]), "=r"(dr[2]), "=r"(dr[3]));
    for (unsigned i = 0; i < DEBUG_ADDRESSES; i++)
        say(0, "debug address", dr[i]);
}

/* The compiler uses no XMM here. */
static void set_xmm(void)
{
    const UINT32 mxcsr = 0xdfa1; /* flush to zero, rounding up, two flags */
    for (unsigned i = 0; i < XMM_WORDS; i++)
        xmm[i] = (i + 1) * MARK;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr_before));
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    __asm__ volatile(".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
                     "movdqu 16 * \\n(%0), %%xmm\\n\n"
                     ".endr" ::"r"(xmm)
                     : "memory");
}

static void say_xmm(void)
{
    UINT32 mxcsr;
    __asm__ volatile(".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
                     "movdqu %%xmm\\n, 16 * \\n(%0)\n"
                     ".endr" ::"r"(xmm)
                     : "memory");
    __asm__ volatile("stmxcsr %0; ldmxcsr %1" : "=m"(mxcsr) : "m"(mxcsr_before));
    say(0, "MXCSR", mxcsr);
    for (unsigned i = 0; i < XMM_WORDS; i++)
        say(0, "XMM", xmm[i]);
}

static void before_the_change(void)
{
    for (unsigned i = 0; i < SETTINGS; i++)
        settings_before[i] = guest_rdmsr(settings[i].msr);
    for (unsigned i = 0; i < SETTINGS; i++)
        guest_wrmsr(settings[i].msr, settings[i].value);
    timer_before = guest_rdmsr(MSR_TIMER_CURRENT);
    set_debug_addresses(0x123456);
    set_xmm();
    guest_wrmsr(AP_MSR_SELF, VECTOR_BEFORE);
    say(0, "IRR across the change", waits(VECTOR_BEFORE));
}

/* Says what has been kept, and puts back what the firmware had. */
static void behind_the_change(void)
{
    say(0, "IRR across the change", waits(VECTOR_BEFORE));
    UINT64 timer = guest_rdmsr(MSR_TIMER_CURRENT);
    say(0, "timer goes on", timer && timer < timer_before);
    for (unsigned i = 0; i < SETTINGS; i++)
        say(0, settings[i].name, guest_rdmsr(settings[i].msr));
    say_debug_addresses();
    say_xmm();
    set_debug_addresses(0);
    for (unsigned i = 0; i < SETTINGS; i++)
        guest_wrmsr(settings[i].msr, settings_before[i]);
}

/* Once each, and then it is gone. */
static void say_taken(unsigned vector)
{
    UINT64 before = ap_at(0)->ipis[2];
    ap_count_here(vector);
    ap_let_in();
    say(0, "taken by CPU 0", ap_at(0)->ipis[2] - before);
    say(0, "IRR once taken", waits(vector));
}

static void first_cpu_sends(void)
{
    say_taken(VECTOR_BEFORE);
    guest_wrmsr(AP_MSR_SELF, VECTOR_SELF);
    say(0, "IRR of a self IPI", waits(VECTOR_SELF));
    say_taken(VECTOR_SELF);
    ap_send(0, AP_TO_SELF | AP_ICR_FIXED | VECTOR_SHORTHAND);
    say(0, "IRR of an IPI to self", waits(VECTOR_SHORTHAND));
    say_taken(VECTOR_SHORTHAND);
    ap_send(0, AP_TO_OTHERS | AP_ICR_FIXED | AP_IPI_THIRD);
    say_counts("IPIs, CPU 0 to others", 2);
    say(0, "IRR of an IPI to others", waits(AP_IPI_THIRD));
    say_taken(AP_IPI_THIRD);
    ap_send(0, AP_TO_ALL | AP_ICR_FIXED | AP_IPI_THIRD);
    say_counts("IPIs, CPU 0 to all", 2);
    say(0, "IRR of an IPI to all", waits(AP_IPI_THIRD));
    say_taken(AP_IPI_THIRD);
}

/* --- the module -------------------------------------------------------------------------------------------------------- */

static UINT64 tdmr_calls;

static UINT64 init_tdmr(struct ap *ap)
{
    UINT64 bad = 0;
    while (__atomic_load_n(&tdmr_calls, __ATOMIC_SEQ_CST) < TDMR_INIT_CALLS) {
        UINT64 status = module_call(TDH_SYS_TDMR_INIT, MODULE_TDMR, 0);
        if (!status)
            __atomic_fetch_add(&tdmr_calls, 1, __ATOMIC_SEQ_CST);
        else if ((status & STATUS_MASK) != OPERAND_BUSY && status != ALREADY_DONE)
            bad |= status;
    }
    return bad;
}

/* The key once on each package; all other CPUs share the TDMR. */
static void start_module(EFI_BOOT_SERVICES *boot)
{
    say(0, "SYS.CONFIG", module_config(boot));
    __asm__ volatile("cli");
    say(0, "KEY.CONFIG", module_call(TDH_SYS_KEY_CONFIG, 0, 0));
    say(0, "KEY.CONFIG again", module_call(TDH_SYS_KEY_CONFIG, 0, 0));
    say(cpus - 1, "KEY.CONFIG", ap_run(cpus - 1, seamcall, TDH_SYS_KEY_CONFIG));
    for (unsigned id = 1; id < cpus; id++)
        ap_begin(id, init_tdmr, 0);
    for (unsigned id = 1; id < cpus; id++)
        say(id, "TDMR.INIT", ap_end(id));
    say(0, "TDMR.INIT calls", tdmr_calls);
}

/* --- memory that becomes private ---------------------------------------------------------------------------------------- */

static volatile UINT64 is_private, watching[AP_MAX];

/* Reads the page, so that this CPU has its translation, until told that it has gone; then counts what still shows in it. */
static UINT64 watch(struct ap *ap)
{
    const volatile UINT64 *page = (const volatile UINT64 *)ap->argument;
    UINT64 shown = 0;
    while (!__atomic_load_n(&is_private, __ATOMIC_ACQUIRE)) {
        (void)page[WORDS - 1];
        watching[ap->id] = 1;
    }
    for (unsigned i = WORDS; i-- > 0;)
        shown += page[i] == MARK || !page[i];
    return shown;
}

static UINT64 read_word(struct ap *ap)
{
    return *(const volatile UINT64 *)ap->argument;
}

static UINT64 call_tdr(struct ap *ap)
{
    return module_call(TDH_MNG_KEY_CONFIG, ap->argument, 0);
}

static UINT64 write_back(struct ap *ap)
{
    return module_cache_wb();
}

/* A TD that is nothing but its TDR; `two`: the last CPU is in another package. */
static UINT64 end_td(UINT64 tdr, unsigned two)
{
    UINT64 bad = module_call(TDH_MNG_KEY_CONFIG, tdr, 0);
    if (two)
        bad |= ap_run(cpus - 1, call_tdr, tdr);
    bad |= module_call(TDH_MNG_VPFLUSHDONE, tdr, 0) | module_cache_wb();
    if (two)
        bad |= ap_run(cpus - 1, write_back, 0);
    return bad | module_call(TDH_MNG_KEY_FREEID, tdr, 0) | module_call(TDH_PHYMEM_PAGE_RECLAIM, tdr, 0);
}

static void become_private(UINT64 at, unsigned two)
{
    volatile UINT64 *page = (volatile UINT64 *)at;
    for (unsigned i = 0; i < WORDS; i++)
        page[i] = MARK;
    is_private = 0;
    for (unsigned id = 1; id < cpus; id++) {
        watching[id] = 0;
        ap_begin(id, watch, at);
    }
    for (unsigned id = 1; id < cpus; id++)
        ap_wait(&watching[id], 1, "a look at a page");
    UINT64 status = module_call(TDH_MNG_CREATE, at, MODULE_HKID_TD);
    __atomic_store_n(&is_private, 1, __ATOMIC_RELEASE);
    for (unsigned id = 1; id < cpus; id++)
        ap_end(id); /* from here on the platform reports no more, and lines are whole */
    say(0, "CREATE", status);
    for (unsigned id = 1; id < cpus; id++)
        say(id, "words shown", ap_at(id)->result);
    say(0, "end of the TD", end_td(at, two));
    page[0] = MARK + 1;
    on_each("plain again", read_word, at);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    cpus = ap_count(system->BootServices);
    say(0, "CPUs", cpus);
    ap_setup(system->BootServices);
    before_the_change();
    start();
    behind_the_change();
    first_cpu_sends();
    topology();
    vmx();
    own_msrs();
    init_in_vmx_operation();
    start_module(system->BootServices);
    fixed();
    task_priority();
    nmis();
    unsigned shift = (unsigned)ap_run(1, cpuid, CPUID(0xb, 1, EAX));
    for (UINT64 round = 0; round < ROUNDS; round++)
        become_private(MODULE_TDMR + 0x5000 + round * GUEST_PAGE, (cpus - 1) >> shift);
    guest_put("smp: end\r\n");
    guest_power_off();
}
