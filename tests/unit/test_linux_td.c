/*
 * `td create payload=linux` through the console: what is refused in which words before anything is created, and where kernel,
 * initrd and what the shim is told lie in the TD's memory. The kernel is a head of one (tests/unit/linux_file.h).
 */
#include "tests/unit/vm_world.h"

#include "drivers/apic.h"
#include "mm/tdp.h"
#include "tests/unit/linux_file.h"

#define L_PAGE_ADD   2
#define L_EXTEND     16
#define L_PROMOTE    23
#define INITRD_BYTES (2 * 0x200000 + 0x1800)
#define DEFAULT      "td create payload=linux mem=256M kernel=vmlinuz"

static uint8_t kernel[(LINUX_FILE_BYTES + 4095) & ~4095u] __attribute__((aligned(4096)));
static uint8_t initrd[(INITRD_BYTES + 4095) & ~4095u] __attribute__((aligned(4096)));
static struct boot_file files[] = {
    {"vmlinuz", kernel, LINUX_FILE_BYTES}, {"initrd", initrd, INITRD_BYTES}, {"broken", NULL, 5}, {"text", "hello", 5}};

static int with_files(void **state)
{
    free_before = page_free_bytes();
    linux_make(kernel);
    for (unsigned i = 0; i < INITRD_BYTES; i++)
        initrd[i] = (uint8_t)(i * 7 + i / 4096);
    files[1].bytes = INITRD_BYTES;
    boot.linux_files = files;
    boot.linux_count = 4;
    return 0;
}

/* --- what is refused --- */

static void test_files_are_named(void **state)
{
    bad("td create payload=linux", "payload=linux: kernel=NAME is missing; the boot volume's folder linux has vmlinuz, "
                                   "initrd, broken, text");
    bad("td create payload=linux kernel=bzImage", "kernel=bzImage: there is no such file in the boot volume's folder "
                                                  "linux, which has vmlinuz, initrd, broken, text");
    bad(DEFAULT " initrd=none", "initrd=none: there is no such file");
    bad("td create payload=linux kernel=broken", "kernel=broken: the file could not be read when Septum started");
    boot.linux_count = 0;
    bad("td create payload=linux", "kernel=NAME is missing; the boot volume's folder linux has nothing");
    bad("td create payload=dos", "payload=dos: probe or linux is needed");
    bad("td create kernel=vmlinuz", "kernel=, initrd=, cmdline= and accept= go with payload=linux");
}

static void test_kernels_are_judged(void **state)
{
    static const struct {
        unsigned at, bytes;
        uint64_t value;
        const char *words;
    } cases[] = {
        {0x202, 4, 0, "kernel=vmlinuz: it is no bzImage: there is no \\\"HdrS\\\" at 0x202\""},
        {0x206, 2, 0x20b,
         "kernel=vmlinuz: its boot protocol is older than 2.12, the first with a 64-bit entry; it is 6.12.95"},
        {0x236, 2, 0x7e, "kernel=vmlinuz: it has no 64-bit entry; it is 6.12.95 (someone@somewhere) #1\""},
        {0x211, 1, 0, "kernel=vmlinuz: it is a zImage"},
        {0x234, 1, 0, "kernel=vmlinuz: it is not relocatable"},
        {0x260, 4, 1, "kernel=vmlinuz: its header makes no sense"},
        {0x24c, 4, 8000,
         "kernel=vmlinuz: it is built without support for being a TDX guest (INTEL_TDX_GUEST, Linux 5.19 or "
         "later); it is 6.12.95 (someone@somewhere) #1\""},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        linux_make(kernel);
        linux_put(kernel, cases[i].at, cases[i].value, cases[i].bytes);
        bad(DEFAULT, cases[i].words);
    }
    bad("td create payload=linux kernel=text", "kernel=text: it ends before its kernel begins");
}

/* 16M + 48M, then the kernel's region, then three of the initrd. */
static void test_memory_that_it_takes_is_told(void **state)
{
    bad("td create payload=linux mem=64M kernel=vmlinuz", "mem: the kernel takes so much that mem=66M is the least");
    bad("td create payload=linux mem=70M kernel=vmlinuz initrd=initrd",
        "mem: the kernel and its initrd take so much that mem=72M is the least");
    linux_put(kernel, 0x22c, 0x4000000, 4);
    bad(DEFAULT " initrd=initrd", "initrd=initrd: it would end above 0x4000000, where this kernel does not find it");
    linux_put(kernel, 0x22c, 0xffffffff, 4);
    files[1].bytes = 0xfa000000;
    bad("td create payload=linux mem=5G kernel=vmlinuz initrd=initrd",
        "kernel and initrd end above 0xfe000000, where devices are");
    linux_put(kernel, 0x238, 10, 4);
    good("td create payload=linux mem=66M kernel=vmlinuz cmdline=0123456789");
    good("td destroy");
    bad(DEFAULT " cmdline=0123456789a", "cmdline: 11 characters, where this kernel takes at most 10");
    bad(DEFAULT " accept=lazy cmdline=a",
        "cmdline: 15 characters, those of efi=noruntime included, where this kernel takes at most 10");
}

/* --- what is created --- */

static const uint8_t *page_of(u64 gpa, level_t level)
{
    struct tdp_walk w;
    assert_int_equal(tdp_walk(vm.tdp, (gpa_t){gpa}, &w).err, ERR_OK);
    assert_int_equal(w.state, TDP_MAPPED);
    assert_int_equal(w.level.raw, level.raw);
    return (const uint8_t *)phys_ptr(w.page) + gpa % 4096;
}

static u64 number(const uint8_t *page, unsigned at, unsigned bytes)
{
    u64 value = 0;
    memcpy(&value, page + at, bytes);
    return value;
}

static unsigned added, extended;

static void watch(const struct seamcall_regs *regs)
{
    added += (regs->rax & 0xffff) == L_PAGE_ADD;
    extended += (regs->rax & 0xffff) == L_EXTEND;
}

static const char *count_pages(const char *line)
{
    added = extended = 0;
    seamcall_host_watch = watch;
    const char *answer = good(line);
    seamcall_host_watch = NULL;
    return answer;
}

static void test_what_lies_where(void **state)
{
    says(count_pages(DEFAULT " vcpus=2 initrd=initrd cmdline=\"quiet panic=-1\""),
         "\"kernel\":\"vmlinuz\",\"version\":\"6.12.95 (someone@somewhere) #1\",\"kernel_gpa\":\"0x4000000\","
         "\"accept\":\"eager\","
         "\"initrd\":\"initrd\",\"initrd_gpa\":\"0x4200000\"");
    /* ROM, and five whole regions: the shim's, the kernel's, three of the initrd. ROM and shim are measured. */
    assert_int_equal(added, 4 + 5 * 512);
    assert_int_equal(extended, 16 * (4 + 3));
    assert_int_equal(vm.td.attributes, 1ull << 28);
    assert_memory_equal(page_of(0x4000000, LEVEL_2M), kernel, 4096);
    assert_memory_equal(page_of(0x4200000, LEVEL_2M), initrd, 4096);
    assert_memory_equal(page_of(0x4400000, LEVEL_2M), initrd + 0x200000, 4096);
    assert_memory_equal(page_of(0x4601000, LEVEL_2M), initrd + 0x401000, 0x800);
    assert_int_equal(page_of(0x4601800, LEVEL_2M)[0], 0);
    const uint8_t *h = page_of(0x103000, LEVEL_2M);
    assert_int_equal(number(h, 0, 4), 1);
    assert_int_equal(number(h, 4, 4), 2);
    assert_int_equal(number(h, 8, 8), 256 * 0x100000);
    assert_int_equal(number(h, 16, 8), 0x4000000);
    assert_int_equal(number(h, 24, 8), LINUX_FILE_BYTES);
    assert_int_equal(number(h, 32, 8), 0x4200000);
    assert_int_equal(number(h, 40, 8), INITRD_BYTES);
    assert_int_equal(number(h, 52, 4), 14);
    assert_string_equal((const char *)h + 56, "quiet panic=-1");
    says(good("sept"), "\"agree\":true");
}

/* With pages of 4K nothing is added but what is there: ROM, shim, hand-over, kernel, initrd. */
static void test_4k_pages(void **state)
{
    (void)count_pages(DEFAULT " level=4k initrd=initrd");
    assert_int_equal(added, 4 + 3 + 1 + 3 + 1026);
    assert_int_equal(extended, 16 * (4 + 3));
    assert_memory_equal(page_of(0x4200000, LEVEL_4K), initrd, 4096);
    assert_memory_equal(page_of(0x4601000, LEVEL_4K), initrd + 0x401000, 0x800);
    assert_int_equal(number(page_of(0x103000, LEVEL_4K), 0, 4), 1);
}

/* A merge that is refused leaves pages of 4K. */
static void test_refused_merge(void **state)
{
    seamcall_host_inject(L_PROMOTE, 1, 0xc000010000000001ull);
    good(DEFAULT);
    assert_int_equal(seamcall_host_injections_left(), 0);
    page_of(0, LEVEL_2M);
    assert_memory_equal(page_of(0x4000000, LEVEL_4K), kernel, 4096);
    says(good("sept"), "\"agree\":true");
}

static void check_words(const char *line, u64 lazily, const char *words)
{
    says(good(line), lazily ? "\"accept\":\"lazy\"" : "\"accept\":\"eager\"");
    const uint8_t *h = page_of(0x103000, LEVEL_2M);
    assert_int_equal(number(h, 48, 4), lazily);
    assert_string_equal((const char *)h + 56, words);
    good("td destroy");
}

static void test_acceptance(void **state)
{
    check_words(DEFAULT, 0, "");
    check_words(DEFAULT " accept=eager cmdline=quiet", 0, "quiet");
    check_words(DEFAULT " accept=lazy", 1, "efi=noruntime");
    check_words(DEFAULT " accept=lazy cmdline=quiet", 1, "quiet efi=noruntime");
    bad(DEFAULT " accept=never", "accept=never: eager or lazy is needed");
    bad("td create accept=lazy", "kernel=, initrd=, cmdline= and accept= go with payload=linux");
    memset(kernel + LINUX_KERNEL_AT + 0x2c0 + 4096 + 200, 0, 8);
    bad(DEFAULT " accept=lazy",
        "accept=lazy: kernel vmlinuz can't accept memory by itself (UNACCEPTED_MEMORY, Linux 6.5 or "
        "later)");
}

/* MRTD says what the shim is and how much it is given, and not what; two TDs of the same files are the same. */
static void test_measurement(void **state)
{
    char first[110];
    snprintf(first, sizeof(first), "%.109s", strstr(good(DEFAULT " cmdline=a"), "\"mrtd\""));
    good("td destroy");
    kernel[LINUX_KERNEL_AT + 20] ^= 1;
    says(good(DEFAULT " cmdline=b"), first);
    good("td destroy");
    assert_null(strstr(good(DEFAULT " initrd=initrd"), first));
}

/* The shim's measurements are told of a debug TD alone. */
static void test_rtmrs(void **state)
{
    char zeros[97] = {0}, four[4 * 99 + 32];
    memset(zeros, '0', 96);
    snprintf(four, sizeof(four), "\"rtmrs\":[\"%s\",\"%s\",\"%s\",\"%s\"]", zeros, zeros, zeros, zeros);
    assert_null(strstr(good(DEFAULT), "rtmrs"));
    good("td destroy");
    says(good(DEFAULT " debug=1"), four);
}

static void test_it_takes_no_work(void **state)
{
    good(DEFAULT);
    bad("probe fill 0 4K", "a Linux runs in the TD: only the payload probe takes work from here");
    bad("convert 0 4K shared", "only the payload probe takes work");
    good("td info");
    assert_null(strstr(good("td info"), "mailboxes"));
    gpa_t page = {0};
    assert_string_equal(vm_in_the_way((gpa_t){0}, 0x200000, &page), "the payload's image");
    assert_int_equal(page.raw, 0x100000);
    assert_null(vm_in_the_way((gpa_t){0}, 0x100000, &page));
    assert_false(vm_has_shared_gib(&page));
}

/* Each SEAMCALL that loading makes may fail: then there is no TD, and no page is lost. */
static void test_a_failed_load_is_undone(void **state)
{
    static const struct {
        unsigned leaf, nth;
        const char *words;
    } cases[] = {{L_PAGE_ADD, 260, "loading the first MiB"}, {L_PAGE_ADD, 0, "loading the ROM"},
                 {L_PAGE_ADD, 4, "loading the shim"},        {L_PAGE_ADD, 7, "loading the hand-over page"},
                 {L_PAGE_ADD, 516, "loading the kernel"},    {L_PAGE_ADD, 1028, "loading the initrd"},
                 {L_PAGE_ADD, 2560, "loading the initrd"}};
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        seamcall_host_inject(cases[i].leaf, cases[i].nth, 0xc000010000000001ull);
        bad(DEFAULT " initrd=initrd", cases[i].words);
        assert_int_equal(seamcall_host_injections_left(), 0);
        assert_int_equal(vm.state, VM_NONE);
        assert_int_equal(page_free_bytes(), free_before);
    }
}

/* Interrupts are posted to a Linux, which takes an x2APIC. */
static void have_x2apic(void)
{
    static const u32 registers[] = {0x808, 0x80f, 0x832, 0x835, 0x836, 0x83f};
    for (unsigned i = 0; i < ARRAY_COUNT(registers); i++)
        cpu_host_set_msr(registers[i], 0);
    cpu_host_set_msr(0x1b, 0xfee00900);
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.ecx = 1u << 5 | 1u << 21, .edx = 1u << 9 | 1u << 12});
    assert_int_equal(apic_init(), ERR_OK);
}

static int initialised(void **state)
{
    if (machine(state) != 0)
        return -1;
    have_x2apic();
    good("tdx init");
    return 0;
}

#define LINUX(test) cmocka_unit_test_setup_teardown(test, with_files, without_td)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINUX(test_files_are_named),
        LINUX(test_kernels_are_judged),
        LINUX(test_memory_that_it_takes_is_told),
        LINUX(test_what_lies_where),
        LINUX(test_4k_pages),
        LINUX(test_refused_merge),
        LINUX(test_acceptance),
        LINUX(test_measurement),
        LINUX(test_rtmrs),
        LINUX(test_it_takes_no_work),
        LINUX(test_a_failed_load_is_undone),
    };
    return cmocka_run_group_tests(tests, initialised, NULL);
}
