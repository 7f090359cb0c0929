/*
 * The TD's life and its run loop (kernel/vm/vm.h, ghci.h) through the console's commands, over the real tdx/, mm/ and
 * module model. Numbers of the GHCI are typed here again.
 */
#include "tests/unit/vm_world.h"

#include "tdx/module.h"
#include "tests/host/traps.h"

#define GHCI_MAP_GPA   0x10001ull
#define GHCI_FATAL     0x10003ull
#define GHCI_INVALID   0x8000000000000000ull
#define GHCI_UNALIGNED 0x8000000000000002ull
#define GHCI_AGAIN     1ull

/* --- life cycle --- */

static void test_init_comes_first(void **state)
{
    bad("td create", "tdx init");
    bad("tdx info", "tdx init");
    says(good("tdx init"), "\"module_version\":\"1.5.");
    bad("tdx init", "already");
    good("tdx info");
}

static void test_experiment_of_a_kernel_that_is_not_there(void **state)
{
    bad("experiment linux-boot", "payload=linux: kernel=NAME is missing; the boot volume's folder linux has nothing");
    bad("experiment linux-boot kernel=vmlinuz mem=1", "mem=1: a number from 128 to 1048576 is needed");
    bad("experiment linux-boot kernel=vmlinuz", "kernel=vmlinuz: there is no such file");
    bad("experiment linux-boot kernel=vmlinuz level=1g", "no level '1g'; there are 2m, 4k");
    bad("experiment linux-boot kernel=vmlinuz accept=never", "no accept 'never'; there are eager, lazy");
    bad("experiment linux-policies",
        "payload=linux: kernel=NAME is missing; the boot volume's folder linux has nothing");
    bad("experiment linux-policies kernel=vmlinuz policy=best",
        "no policy 'best'; there are none, scan, fault, block, ready, hot");
    bad("experiment linux-policies kernel=vmlinuz policy=ready with=ttl:5",
        "with=ttl:5: policy ready has no ttl; `help policy` lists its parameters");
    bad("experiment linux-policies vcpus=64", "vcpus=64: this machine has CPUs for 32");
    assert_int_equal(vm.state, VM_NONE);
}

/* Bits of TDX_FEATURES0, as in the ABI specification but for 35, whose number is assumed. */
static void test_used_features_are_told(void **state)
{
    u64 before = tdx_module.features0;

    says(good("tdx info"), "\"features_used\":[]");
    tdx_module.features0 |= 1ull << 23 | 1ull << 35 | 1ull << 51;
    says(good("tdx info"), "\"features_used\":[\"clflush_before_alloc\",\"non_blocking_resize\","
                           "\"enhanced_demote_interruptibility\"]");
    tdx_module.features0 = before;
}

static void test_create_and_destroy(void **state)
{
    char first[120], second[120];
    u64 before = page_free_bytes();

    bad("td run", "td create");
    bad("td destroy", "no TD");
    snprintf(first, sizeof(first), "%.110s", strstr(good("td create mem=64M vcpus=2"), "\"mrtd\""));
    bad("td create mem=64M", "td destroy");
    bad("td stop", "not running");
    bad("probe fill 0 4K", "td run");
    says(good("td info"), "\"state\":\"created\"");
    assert_true(page_free_bytes() < before);
    good("td destroy");
    assert_int_equal(page_free_bytes(), before);
    snprintf(second, sizeof(second), "%.110s", strstr(good("td create mem=64M vcpus=2"), "\"mrtd\""));
    assert_string_equal(first, second); /* the same TD measures the same */
    assert_null(strstr(first, "\"mrtd\":\"0000000000"));
    good("td destroy");
    says(good("td create mem=64M vcpus=3"), "\"mrtd\"");
    assert_null(strstr(good("td info"), first));
    good("td destroy");
    assert_int_equal(page_free_bytes(), before);
}

static void test_bad_sizes(void **state)
{
    bad("td create mem=0", "8M");
    bad("td create mem=4K", "2M");
    bad("td create mem=3M", "2M");
    bad("td create mem=2049G", "2048G");
    bad("td create mem=512G", "memory");
    bad("td create vcpus=0", "from 1 to 32 are possible");
    bad("td create vcpus=65", "from 1 to 32 are possible");
    bad("td create level=512g", "level");
    bad("td create backing=tape", "backing");
    bad("td create debug=2", "debug");
    bad("td create payload=dos", "payload");
    assert_int_equal(vm.state, VM_NONE);
}

/* TD_PARAMS.ATTRIBUTES bit 63, where the module offers it. */
static void test_performance_counters(void **state)
{
    const u64 perfmon = 1ull << 63;

    bad("td create perfmon=2", "perfmon");
    good("td create mem=64M");
    assert_false(vm.td.attributes & perfmon);
    good("td destroy");
    good("td create mem=64M perfmon=1");
    assert_true(vm.td.attributes & perfmon);
    good("td destroy");
    tdx_module.attributes_may &= ~perfmon;
    bad("td create mem=64M perfmon=1", "perfmon=1: the TDX module gives TDs no performance counters here");
    tdx_module.attributes_may |= perfmon;
    assert_int_equal(vm.state, VM_NONE);
}

/* Where the payload lies: at the top, below the ROM where memory ends with it, beside it where memory reaches
 * further. */
static void test_layout(void **state)
{
    static const struct {
        const char *line;
        u64 mailboxes;
    } cases[] = {
        {"td create mem=8M", 0x7ff000},
        {"td create mem=1200M vcpus=4", 1200 * 0x100000ull - 0x4000},
        {"td create mem=4G", 0x100000000ull - 0x4000 - 0x1000},
        {"td create mem=4098M", 4098 * 0x100000ull - 0x1000},
        {"td create mem=6G", 0x100000000ull - 0x4000 - 0x1000},
        {"td create mem=5122M vcpus=2", 5122 * 0x100000ull - 0x2000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        good(cases[i].line);
        assert_int_equal(vm.mailboxes.raw, cases[i].mailboxes);
        assert_int_equal(vm.rom.raw, 0x100000000ull - 0x4000);
        says(good("sept"), "\"agree\":true");
        good("td destroy");
    }
}

/* Only whole GiBs that may be 1G pages are told; a page in the way is named, the first one. */
static void test_what_is_in_the_way(void **state)
{
    gpa_t page = {0};
    says(good("td create mem=6G vcpus=2"), "\"shared_gib\":\"0xc0000000\"");
    assert_null(vm_in_the_way((gpa_t){0}, 3 * GIB_1, &page));
    assert_null(vm_in_the_way((gpa_t){4 * GIB_1}, 2 * GIB_1, &page));
    assert_string_equal(vm_in_the_way((gpa_t){3 * GIB_1}, GIB_1, &page), "the payload's image");
    assert_int_equal(page.raw, vm.payload.raw);
    assert_string_equal(vm_in_the_way((gpa_t){0xffffa123}, 0x10000, &page),
                        "the payload's mailboxes, which are shared");
    assert_int_equal(page.raw, 0xffffa000);
    assert_string_equal(vm_in_the_way((gpa_t){0xffffd000}, 8, &page), "the ROM with the reset vector");
    assert_int_equal(page.raw, 0xffffd000);
    good("td destroy");
    says(good("td create mem=1G"), "\"shared_gib\":\"0x0\"");
    good("td destroy");
    assert_null(strstr(good("td create mem=1200M"), "shared_gib"));
    good("td destroy");
    assert_null(strstr(good("td create mem=1G level=2m"), "shared_gib"));
    good("td destroy");
}

/* Enough memory, in pieces that are too small: what is wanted, what there is, and what to do. */
static void test_memory_in_pieces(void **state)
{
    static hpa_t blocks[8192];
    unsigned count = 0;
    u64 before = page_free_bytes();

    while (page_alloc(LEVEL_2M, &blocks[count]) == ERR_OK)
        assert_true(++count < 8192);
    for (unsigned i = 0; i < count; i++)
        if (blocks[i].raw >> 21 & 15)
            page_free(blocks[i], LEVEL_2M);
    bad("td create mem=64M", "one contiguous range of 64 MiB is wanted, the largest that is free has 30 MiB; "
                             "backing=scatter needs none");
    bad("td create mem=2G level=4k", "one contiguous range of 1 GiB is wanted for each GiB, the largest");
    bad("td create mem=16G", "out of memory");
    bad("td create mem=16G backing=scatter", "out of memory");
    assert_int_equal(vm.state, VM_NONE);
    good("td create mem=30M");
    good("td destroy");
    good("td create mem=64M backing=scatter");
    good("td destroy");
    for (unsigned i = 0; i < count; i++)
        if (!(blocks[i].raw >> 21 & 15))
            page_free(blocks[i], LEVEL_2M);
    assert_int_equal(page_free_bytes(), before);
}

/* Whatever SEAMCALL of the creation fails: the error says which, and no page is lost. */
static void test_creation_fails_cleanly(void **state)
{
    static const struct {
        unsigned leaf, calls;
    } leaves[] = {
        {9, 1}, {8, 1}, {1, 6}, {21, 1}, {10, 2}, {4, 10}, {22, 2}, {3, 3}, {2, 7}, {16, 20}, {17, 1}, {43, 2},
    };
    u64 before = page_free_bytes();

    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        for (unsigned n = 0; n < leaves[i].calls; n++) {
            seamcall_host_inject(leaves[i].leaf, n, 0xc000010000000001ull); /* OPERAND_INVALID, RCX */
            bad("td create mem=64M vcpus=2", "TDX_OPERAND_INVALID");
            if (seamcall_host_injections_left() != 0 || vm.state != VM_NONE || page_free_bytes() != before)
                fail_msg("call %u of leaf %u: state %d, %lld bytes missing", n, leaves[i].leaf, vm.state,
                         (long long)(before - page_free_bytes()));
        }
    }
    good("td create mem=64M vcpus=2");
    good("td destroy");
}

/* A refused tear-down step keeps everything; the next `td destroy` goes on there. */
static void test_destruction_goes_on_where_it_failed(void **state)
{
    static const unsigned leaves[] = {18, 19, 40, 20, 28};
    u64 before = page_free_bytes();

    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        good("td create mem=64M");
        good("map 0 4M");
        seamcall_host_inject(leaves[i], 0, 0xc000010000000001ull);
        bad("td destroy", "TDX_OPERAND_INVALID");
        bad("td run", "dead");
        bad("map 0 4K", "dead");
        good("td destroy");
        assert_int_equal(page_free_bytes(), before);
    }
}

/* A page that the module does not give back is named, and its address in the TD where it has one. */
static void test_refused_reclaim_names_the_page(void **state)
{
    char words[96];

    good("td create mem=64M");
    good("map 400000 4M");
    struct tdp_walk walk;
    assert_int_equal(tdp_walk(vm.tdp, (gpa_t){0x400000}, &walk).err, ERR_OK);
    for (unsigned nth = 0;; nth++) { /* payload, ROM and tables come on the way, in whatever order */
        seamcall_host_inject(28, nth, 0xc000030000000001ull);
        const char *answer = run("td destroy");
        says(answer, "TDH.PHYMEM.PAGE.RECLAIM");
        snprintf(words, sizeof(words), "at 0x400000 (page 0x%llx): TDX_PAGE_METADATA_INCORRECT",
                 (unsigned long long)walk.page.raw);
        if (strstr(answer, words) != NULL)
            break;
        says(answer, "(page 0x");
        assert_true(nth < 40);
        good("td destroy");
        good("td create mem=64M");
        good("map 400000 4M");
        assert_int_equal(tdp_walk(vm.tdp, (gpa_t){0x400000}, &walk).err, ERR_OK);
    }
    seamcall_host_inject(28, 1, 0xc000030000000001ull);
    says(run("td destroy"), "at 0x600000 (page 0x");
    good("td destroy");
}

/* A TD that the module calls dead after its key is gone is taken down from there. */
static void test_death_after_the_key_is_gone(void **state)
{
    u64 before = page_free_bytes();

    for (unsigned nth = 0; nth < 24; nth += 5) {
        good("td create mem=64M");
        seamcall_host_inject(28, nth, 0xe000060400000000ull);
        bad("td destroy", "TDX_TD_FATAL");
        good("td destroy");
        assert_int_equal(page_free_bytes(), before);
    }
    good("td create mem=64M");
    u64 tdr = vm.td.tdr.raw;
    seamcall_host_inject(41, 0, 0xc000010000000001ull); /* PAGE.WBINVD of the TDR */
    char words[64];
    snprintf(words, sizeof(words), "TDH.PHYMEM.PAGE.WBINVD (page 0x%llx)", (unsigned long long)tdr);
    bad("td destroy", words);
    assert_true(page_free_bytes() < before);
    good("td destroy");
    assert_int_equal(page_free_bytes(), before);
}

/* --- running --- */

static void test_fault_maps_2m(void **state)
{
    guest_push(vcpu(0), write_to(0x201000));
    push_idle();
    says(good("probe touch 200000 4K"), "\"faults\":1");
    says(good("walk 2ff000"), "\"level\":\"2m\",\"state\":\"pending\"");
    says(good("stats"), "\"EPT_VIOLATION\":");
}

static void test_accept_and_convert(void **state)
{
    struct guest_action *accept = accept_2m(0x400000);
    struct guest_action *map = vmcall(0, GHCI_MAP_GPA, 0x401000 | SHARED_BIT, 0x1000);

    guest_push(vcpu(0), accept);
    push_idle();
    good("probe accept 400000 2M 2m");
    assert_int_equal(accept->gpr[RAX], 0);
    says(good("walk 400000"), "\"level\":\"2m\",\"state\":\"mapped\"");
    guest_push(vcpu(0), map);
    push_idle();
    says(good("convert 401000 4K shared"), "\"seamcalls\":6,");
    assert_int_equal(map->gpr[R10], 0);
    says(good("walk 401000"), "\"state\":\"shared\"");
    says(good("walk 402000"), "\"level\":\"4k\",\"state\":\"mapped\"");
    says(good("sept"), "\"agree\":true");
}

/* One TDVMCALL; its R10. */
static u64 ask(struct guest_action *a)
{
    guest_push(vcpu(0), a);
    push_idle();
    good("probe spin 0");
    assert_true(a->done);
    return a->gpr[R10];
}

static void test_mapgpa_takes_no_nonsense(void **state)
{
    static const struct {
        u64 gpa, bytes, status;
    } cases[] = {
        {0x1001, 0x1000, GHCI_UNALIGNED},
        {0x1000, 0x1001, GHCI_UNALIGNED},
        {0x1000, 0, GHCI_INVALID},
        {0x4000000, 0x1000, GHCI_INVALID},              /* behind TD memory */
        {0x3fff000 | SHARED_BIT, 0x2000, GHCI_INVALID}, /* half behind it */
        {SHARED_BIT << 1, 0x1000, GHCI_INVALID},        /* beyond the guest's addresses */
        {0x7ffffffff000, 0x2000, GHCI_INVALID},         /* runs into the shared half */
        {0, ~0xfffull, GHCI_INVALID},
        {~0xfffull, 0x2000, GHCI_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct guest_action *map = vmcall(0, GHCI_MAP_GPA, cases[i].gpa, cases[i].bytes);
        u64 status = ask(map);
        if (status != cases[i].status)
            fail_msg("MapGPA %llx %llx: %llx", (unsigned long long)cases[i].gpa, (unsigned long long)cases[i].bytes,
                     (unsigned long long)status);
    }
    says(good("sept"), "\"shared_bytes\":4096,\"agree\":true"); /* the mailbox alone */
}

static void test_mapgpa_does_a_gib_at_most(void **state)
{
    good("td destroy");
    good("td create mem=2G level=2m");
    push_idle();
    good("td run");
    struct guest_action *map = vmcall(0, GHCI_MAP_GPA, 0, 0x60000000);
    assert_int_equal(ask(map), GHCI_AGAIN);
    assert_int_equal(map->gpr[R11], GIB_1);
}

static void test_fatal_error_is_told(void **state)
{
    struct guest_action *fatal = vmcall(0, GHCI_FATAL, 3, 0);
    memcpy(&fatal->gpr[R14], "out of \x01 p", 8);
    memcpy(&fatal->gpr[R15], "aper\0\0\0\0", 8);
    guest_push(vcpu(0), fatal);
    bad("probe fill 0 4K", "out of .aper");
    bad("probe fill 0 4K", "fatal error");
    bad("td run", "fatal error");
    says(good("td info"), "\"vcpu_states\":[\"halted\"]");
}

static void test_triple_fault(void **state)
{
    guest_push(vcpu(0), action((struct guest_action){.kind = GUEST_EXIT, .reason = 2}));
    bad("probe fill 0 4K", "triple fault");
    bad("td run", "triple fault");
}

#define EVENT_NMI 0x80000202u /* VM-exit interruption information */
#define EVENT_MC  0x80000312u

/* It is the VMM's, whoever was inside; the TD goes on. */
static void test_nmi_in_the_td(void **state)
{
    traps_host_nmis = 0;
    for (unsigned i = 0; i < 5; i++)
        guest_push(vcpu(0), action((struct guest_action){.kind = GUEST_EXIT, .reason = 0, .event = EVENT_NMI}));
    push_idle();
    good("probe spin 0");
    assert_int_equal(traps_host_nmis, 5);
}

/* Bank 1: a data load, action required, at a line of the TD's memory, with the TD's KeyID above the address. */
static void test_machine_check_in_the_td(void **state)
{
    struct tdp_walk walk;
    char words[120];
    u64 lost = page_lost_bytes();

    good("map 600000 2M");
    assert_int_equal(tdp_walk(vm.tdp, (gpa_t){0x600000}, &walk).err, ERR_OK);
    cpu_host_set_cpuid(1, 0, (struct cpuid_regs){.eax = 0x806f8, .ecx = 1u << 5, .edx = 1u << 12 | 1u << 14 | 1u << 7});
    cpu_host_set_msr(0x179, 0x1000002);
    cpu_host_set_msr(0x17a, 5);
    cpu_host_set_msr(0x401, 0);
    cpu_host_set_msr(0x405, 0xbd80000000000134);
    cpu_host_set_msr(0x406, (33ull << 46) | (walk.page.raw + 0x3040));
    cpu_host_set_msr(0x407, 0x86);
    guest_push(vcpu(0), action((struct guest_action){.kind = GUEST_EXIT, .reason = 0, .event = EVENT_MC}));
    snprintf(words, sizeof(words), "bank 1, status 0xbd80000000000134, address 0x%llx); that page is kept out of use",
             (unsigned long long)walk.page.raw + 0x3000);
    bad("probe spin 0", words);
    bad("td run", "dead");
    assert_int_equal(page_lost_bytes(), lost + 0x1000);
    assert_int_equal(page_first_lost(walk.page, 0x200000).raw, walk.page.raw + 0x3000);
    says(good("td destroy"), "\"lost_bytes\":4096");
    assert_int_equal(vm.state, VM_NONE);
    assert_int_equal(page_free_bytes(), free_before - 0x1000);
    assert_int_equal(page_first_lost(walk.page, 0x200000).raw, walk.page.raw + 0x3000);
    free_before = page_free_bytes();
}

static void test_stop(void **state)
{
    good("td stop");
    bad("probe fill 0 4K", "td run");
    bad("td stop", "stopped");
    good("td run");
    push_idle();
    good("probe spin 0");
}

static void test_block_by_hand_parks(void **state)
{
    guest_push(vcpu(0), accept_2m(0x600000));
    push_idle();
    good("probe accept 600000 2M 2m");
    good("block 600000 2m");
    guest_push(vcpu(0), write_to(0x600000));
    bad("probe touch 600000 4K", "unblock");
    bad("probe touch 0 4K", "unblock");
    says(good("td info"), "\"waiting\"");
    good("unblock 600000 2m");
    push_idle();
    says(good("td run"), "\"finished\":[{\"vcpu\":0,\"result\":\"done\"");
    says(good("td info"), "\"idle\"");
}

static void test_private_access_to_shared(void **state)
{
    good("convert 800000 4K shared force");
    guest_push(vcpu(0), write_to(0x800000));
    bad("probe touch 800000 4K", "attr_mismatch");
}

int main(void)
{
#define WITH_TD(test) cmocka_unit_test_setup_teardown(test, with_td, without_td)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_comes_first),
        cmocka_unit_test(test_experiment_of_a_kernel_that_is_not_there),
        cmocka_unit_test(test_used_features_are_told),
        cmocka_unit_test(test_create_and_destroy),
        cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_performance_counters),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_what_is_in_the_way),
        cmocka_unit_test(test_memory_in_pieces),
        cmocka_unit_test(test_creation_fails_cleanly),
        cmocka_unit_test(test_destruction_goes_on_where_it_failed),
        cmocka_unit_test(test_refused_reclaim_names_the_page),
        cmocka_unit_test(test_death_after_the_key_is_gone),
        WITH_TD(test_fault_maps_2m),
        WITH_TD(test_accept_and_convert),
        WITH_TD(test_mapgpa_takes_no_nonsense),
        WITH_TD(test_mapgpa_does_a_gib_at_most),
        WITH_TD(test_fatal_error_is_told),
        WITH_TD(test_triple_fault),
        WITH_TD(test_nmi_in_the_td),
        WITH_TD(test_machine_check_in_the_td),
        WITH_TD(test_stop),
        WITH_TD(test_block_by_hand_parks),
        WITH_TD(test_private_access_to_shared),
    };
    return cmocka_run_group_tests(tests, machine, NULL);
}
