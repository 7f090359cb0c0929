/* Machine checks (kernel/guard/mca.h), bank by bank, and the panic or the survival that comes of them. Numbers typed from SDM
 * volume 3, chapter "Machine-check architecture". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/apic.h"
#include "kernel/console/console.h"
#include "kernel/guard/leave.h"
#include "kernel/guard/mca.h"
#include "kernel/guard/panic.h"
#include "kernel/guard/trap.h"
#include "lib/hw/fixup.h"
#include "tdx/module.h"
#include "tests/host/cpu.h"
#include "tests/host/log.h"
#include "tests/host/platform.h"

#define CAP_2_SER 0x1000002ull /* two banks, software error recovery */
#define CAP_2     0x0000002ull
#define RIPV      1ull
#define SRAR      0xbd80000000000134ull /* VAL UC EN MISCV ADDRV S AR */
#define SRAO      0xbd000000000000c0ull /* without AR: patrol scrub */
#define UCNA      0xbc000000000000c0ull /* without S either */
#define CORRECTED 0x9c00000000000090ull
#define PCC       0xb200000000000005ull
#define PHYSICAL  0x86ull /* MISC: a physical address, of a line */

static jmp_buf after_panic;
static char panicked[256];

void console_note_stranger(void) {}
void console_note_nmi(void) {}
void panic_join(const struct trap_frame *frame) {}
bool leave_is_late(void)
{
    return false;
}
_Noreturn void panic_trap(const struct trap_frame *frame, const char *what)
{
    strncpy(panicked, what, sizeof(panicked) - 1);
    longjmp(after_panic, 1);
}
u64 fixup_find(u64 at)
{
    return 0;
}

static void bank(unsigned n, u64 status, u64 address, u64 misc)
{
    cpu_host_set_msr(0x400 + 4 * n, 0);
    cpu_host_set_msr(0x401 + 4 * n, status);
    cpu_host_set_msr(0x402 + 4 * n, address);
    cpu_host_set_msr(0x403 + 4 * n, misc);
}

static int start(void **state)
{
    struct mca_report newest;

    platform_host_start(NULL);
    cpu_host_reset();
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.edx = 1u << 14 | 1u << 7});
    cpu_host_set_msr(0x179, CAP_2_SER);
    cpu_host_set_msr(0x17a, RIPV | 4);
    bank(0, 0, 0, 0);
    bank(1, 0, 0, 0);
    tdx_module.maxpa = 52;
    tdx_module.keyid_bits = 6;
    (void)mca_take_survived(&newest);
    return 0;
}

static u64 msr(u32 number)
{
    u64 value;
    assert_true(cpu_read_msr(number, &value));
    return value;
}

static void test_verdicts(void **state)
{
    static const struct {
        u64 cap, status, address, misc;
        enum mca_verdict verdict;
        u64 at;
    } rows[] = {
        {CAP_2_SER, 0, 0, 0, MCA_NOTHING, ~0ull},
        {CAP_2_SER, SRAR, 0x123456789, PHYSICAL, MCA_MEMORY, 0x123456000},
        {CAP_2_SER, SRAR, 0x9000123456780ull, PHYSICAL, MCA_MEMORY, 0x123456000},         /* KeyID 36 in bits 51:46 */
        {CAP_2_SER, SRAR, 0x123456000, 0x8c, MCA_MEMORY, 0x123456000},                    /* a page */
        {CAP_2_SER, SRAR, 0x123456000, 0x8d, MCA_FATAL, ~0ull},                           /* coarser than a page */
        {CAP_2_SER, SRAR, 0x123456000, 0x46, MCA_FATAL, ~0ull},                           /* a linear address */
        {CAP_2_SER, SRAR & ~(1ull << 59), 0x123456000, PHYSICAL, MCA_FATAL, ~0ull},       /* MISC is not valid */
        {CAP_2_SER, SRAR & ~(1ull << 58), 0x123456000, PHYSICAL, MCA_FATAL, ~0ull},       /* nor ADDR */
        {CAP_2_SER, SRAR & ~(1ull << 56), 0x123456000, PHYSICAL, MCA_FATAL, 0x123456000}, /* AR without S is none */
        {CAP_2_SER, SRAR & ~(1ull << 60), 0x123456000, PHYSICAL, MCA_FATAL, 0x123456000}, /* not enabled */
        {CAP_2_SER, SRAO, 0x123456000, PHYSICAL, MCA_SURVIVED, 0x123456000},
        {CAP_2_SER, UCNA, 0x123456000, PHYSICAL, MCA_SURVIVED, 0x123456000},
        {CAP_2_SER, CORRECTED, 0x123456000, PHYSICAL, MCA_SURVIVED, 0x123456000},
        {CAP_2_SER, PCC, 0, 0, MCA_FATAL, ~0ull},
        {CAP_2_SER, SRAR | 1ull << 57, 0x123456000, PHYSICAL, MCA_FATAL, 0x123456000},
        {CAP_2, SRAR, 0x123456000, PHYSICAL, MCA_FATAL, 0x123456000}, /* a CPU without recovery */
        {CAP_2, CORRECTED, 0x123456000, PHYSICAL, MCA_SURVIVED, 0x123456000},
        {0, SRAR, 0x123456000, PHYSICAL, MCA_NOTHING, ~0ull}, /* no banks */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cpu_host_set_msr(0x179, rows[i].cap);
        bank(1, rows[i].status, rows[i].address, rows[i].misc);
        struct mca_report r = mca_take();
        if (r.verdict != rows[i].verdict || r.at.raw != rows[i].at)
            fail_msg("row %zu: verdict %u, address 0x%llx", i, r.verdict, (unsigned long long)r.at.raw);
        /* What is fatal stays for the firmware. */
        if (rows[i].cap != 0)
            assert_int_equal(msr(0x405), rows[i].verdict == MCA_FATAL ? rows[i].status : 0);
    }
}

static void test_the_worst_bank_counts(void **state)
{
    bank(0, SRAR, 0x5000, PHYSICAL);
    bank(1, CORRECTED, 0x6000, PHYSICAL);
    struct mca_report r = mca_take();
    assert_true(r.verdict == MCA_MEMORY && r.bank == 0 && r.at.raw == 0x5000 && r.can_resume);
    assert_int_equal(msr(0x17a), 0);
    bank(0, SRAR, 0x5000, PHYSICAL);
    bank(1, PCC, 0, 0);
    r = mca_take();
    assert_true(r.verdict == MCA_FATAL && r.bank == 1 && !r.can_resume);
}

/* What trap_handle() makes of it; NULL: it comes back. */
static const char *take(u64 mcg_status)
{
    struct trap_frame frame = {.vector = 18};

    cpu_host_set_msr(0x17a, mcg_status);
    if (setjmp(after_panic))
        return panicked;
    trap_handle(&frame);
    return NULL;
}

static void test_in_the_vmm(void **state)
{
    struct mca_report newest;

    assert_null(take(RIPV)); /* another CPU's */
    assert_int_equal(mca_take_survived(&newest), 0);
    bank(1, SRAO, 0x7000, PHYSICAL);
    assert_null(take(RIPV));
    assert_int_equal(mca_take_survived(&newest), 1);
    assert_int_equal(newest.at.raw, 0x7000);
    assert_string_equal(take(0), "machine check, and what it interrupted cannot go on: no bank says why");
    bank(1, SRAR, 0x7000, PHYSICAL);
    assert_string_equal(
        take(RIPV), "machine check, the VMM's own memory is broken: bank 1, status 0xbd80000000000134, address 0x7000");
    bank(1, PCC, 0, 0);
    assert_string_equal(take(RIPV), "machine check, fatal: bank 1, status 0xb200000000000005");
}

static void test_what_the_firmware_left(void **state)
{
    bank(1, PCC, 0, 0);
    mca_init();
    assert_string_equal(log_host_last(), "a machine check from before the start: bank 1, status 0xb200000000000005");
    assert_int_equal(msr(0x405), 0);
    assert_true(msr(0x404) == ~0ull && msr(0x400) == 0);
    log_host_forget();
    mca_init();
    assert_string_equal(log_host_last(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_verdicts, start),
        cmocka_unit_test_setup(test_the_worst_bank_counts, start),
        cmocka_unit_test_setup(test_in_the_vmm, start),
        cmocka_unit_test_setup(test_what_the_firmware_left, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
