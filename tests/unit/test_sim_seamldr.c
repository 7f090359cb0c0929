/*
 * A module that P-SEAMLDR installs: the parameters page, each refusal in words, CPUs that are missing or busy; and the model of
 * P-SEAMLDR itself. Both sides are real code; constants are this test's own.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "sim/seamldr/seamldr.h"
#include "tdx/check.h"
#include "tdx/seamldr.h"
#include "tests/unit/td_world.h"

#define INFO        0x8000000000000000ull
#define INSTALL     0x8000000000000001ull
#define SHUTDOWN    0x8000000000000002ull
#define EBADPARAM   0x8000000000000000ull
#define EBADCALL    0x8000000000000003ull
#define ENOENTROPY  0x8000000000030001ull
#define IMAGE       (32 * M1)
#define IMAGE_PAGES 5u
#define SIGSTRUCT   (33 * M1)
#define EXCHANGE    (34 * M1)
#define BLOB        (35 * M1)
#define HASH_AT     900
#define CPUIDS_AT   1024
#define CPUS        4u

static struct seamldr_setup setup;
static unsigned installs; /* calls of SEAMLDR.INSTALL */

static bool load(struct seam_lp *lp, struct seamcall_regs *regs, enum seamcall_fault *fault)
{
    *fault = SEAMCALL_VMFAILED;
    if (!(regs->rax >> 63))
        return !seamldr_module_is_ready();
    installs += regs->rax == INSTALL;
    memcpy(lp->vmm, regs, sizeof(lp->vmm));
    if (!seamldr_call(lp))
        return true;
    *fault = SEAMCALL_RAN;
    regs->rax = lp->vmm[RAX];
    regs->rdx = lp->vmm[RDX];
    return true;
}

static void put(u64 at, const void *bytes, size_t count)
{
    memcpy(phys_ptr((hpa_t){at}), bytes, count);
}

static void put32(u64 at, u32 value)
{
    put(at, &value, sizeof(value));
}

/* An image of five pages and a sigstruct that is right for it. */
static void write_files(void)
{
    static const u32 header[] = {6, 0xe1, 0x10000, 0, 0x8086, 0x20240407, 0x200, 0x60, 0x60, 1};
    u64 state[PLAT_SHA384_BYTES / 8];
    u8 digest[48];
    memset(phys_ptr((hpa_t){SIGSTRUCT}), 0, K4);
    put(SIGSTRUCT, header, sizeof(header));
    put32(SIGSTRUCT + 512, 0x10001);
    plat_sha384_begin(state);
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        memset(phys_ptr((hpa_t){IMAGE + i * K4}), (int)(0x31 + i), K4);
        plat_sha384_add(state, phys_ptr((hpa_t){IMAGE + i * K4}), K4);
    }
    plat_sha384_end(state, digest);
    put(SIGSTRUCT + HASH_AT, digest, sizeof(digest));
}

static const struct seamldr_files files = {{IMAGE}, {SIGSTRUCT}, IMAGE_PAGES *K4, 2048, {EXCHANGE}};

static void start(struct seamldr_setup s)
{
    start_machine(CPUS, 2);
    setup = s;
    seamldr_reset(&setup);
    seamcall_host_loader = load;
    installs = 0;
    write_files();
    assert_null(tdx_seamldr_offer(&files));
}

/* --- the VMM's side ------------------------------------------------------------------------------------------------ */

static u64 word(const void *page, unsigned at)
{
    u64 value;
    memcpy(&value, (const u8 *)page + at, sizeof(value));
    return value;
}

static void parameters_page_is_laid_out_as_specified(void **state)
{
    static struct seamldr_params p;
    struct seamldr_files f = {{0x10000}, {0x90000}, 3 * K4, 2 * K4, {0}};
    memset(&p, 0xff, sizeof(p));
    tdx_seamldr_fill(&p, &f);
    assert_int_equal(sizeof(p), 4096);
    assert_int_equal(word(&p, 0), 1); /* version 1, which has more than one sigstruct page; scenario: load */
    assert_int_equal(word(&p, 8), 0x90000);
    assert_int_equal(word(&p, 16), 0x91000);
    for (unsigned at = 24; at < 120; at += 8)
        assert_int_equal(word(&p, at), 0);
    assert_int_equal(word(&p, 120), 3);
    assert_int_equal(word(&p, 128), 0x10000);
    assert_int_equal(word(&p, 144), 0x12000);
    assert_int_equal(word(&p, 152), 0);
    f.image_bytes = 496 * K4;
    f.sigstruct_bytes = K4;
    tdx_seamldr_fill(&p, &f);
    assert_int_equal(word(&p, 0), 0); /* version 0, which any P-SEAMLDR takes */
    assert_int_equal(word(&p, 16), 0);
    assert_int_equal(word(&p, 120), 496);
    assert_int_equal(word(&p, 4088), 0x10000 + 495 * K4);
}

static void unfit_files_are_named(void **state)
{
    static const struct {
        u64 image, sigstruct;
        const char *words;
    } rows[] = {
        {0, 2048, "whole 4K pages"},
        {5 * K4 - 1, 2048, "whole 4K pages"},
        {497 * K4, 2048, "more than 496 pages"},
        {5 * K4, 2047, "shorter than 2048 bytes"},
        {5 * K4, 4 * K4 + 1, "more than 4 pages"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        struct seamldr_files f = files;
        f.image_bytes = rows[i].image;
        f.sigstruct_bytes = rows[i].sigstruct;
        const char *wrong = tdx_seamldr_offer(&f);
        assert_non_null(wrong);
        assert_non_null(strstr(wrong, rows[i].words));
    }
}

/* A header of version 1.0 (`at`: where it says that the module begins) or 2.0, one page for the sigstruct, five for the image. */
static struct seamldr_files join(unsigned version, u32 at)
{
    static const struct {
        unsigned signature_at, words_at;
    } layout[] = {{8, 16}, {4, 12}};
    const unsigned two = version == 0x200;
    u16 sum = 0, *words = phys_ptr((hpa_t){BLOB});
    write_files();
    memset(words, 0, K4);
    put(BLOB, &(u16){(u16)version}, 2);
    put(BLOB + layout[two].signature_at, "TDX-BLOB", 8);
    put32(BLOB + layout[two].words_at, two ? 1 : (2 + IMAGE_PAGES) * K4);
    put32(BLOB + (two ? 16 : 4), two ? IMAGE_PAGES : at);
    memcpy(phys_ptr((hpa_t){BLOB + K4}), phys_ptr((hpa_t){SIGSTRUCT}), K4);
    memcpy(phys_ptr((hpa_t){BLOB + 2 * K4}), phys_ptr((hpa_t){IMAGE}), IMAGE_PAGES * K4);
    for (unsigned i = 0; i < (2 + IMAGE_PAGES) * K4 / 2; i++)
        sum = (u16)(sum + words[i]);
    words[1] = (u16)-sum;
    return (struct seamldr_files){.image = {BLOB}, .image_bytes = (2 + IMAGE_PAGES) * K4, .exchange = {EXCHANGE}};
}

static void module_and_sigstruct_in_one_file_are_taken_apart(void **state)
{
    static const unsigned versions[] = {0x100, 0x200};
    for (unsigned i = 0; i < 2; i++) {
        start((struct seamldr_setup){.present = true});
        struct seamldr_files f = join(versions[i], 2 * K4);
        assert_null(tdx_seamldr_split(&f));
        assert_int_equal(f.sigstruct.raw, BLOB + K4);
        assert_int_equal(f.sigstruct_bytes, K4);
        assert_int_equal(f.image.raw, BLOB + 2 * K4);
        assert_int_equal(f.image_bytes, IMAGE_PAGES * K4);
        memset(phys_ptr((hpa_t){IMAGE}), 0, IMAGE_PAGES * K4);
        assert_null(tdx_seamldr_offer(&f));
        assert_int_equal(init_module().err, ERR_OK);
    }
    struct seamldr_files plain = {.image = {IMAGE}, .image_bytes = IMAGE_PAGES * K4};
    write_files();
    assert_null(tdx_seamldr_split(&plain));
    assert_int_equal(plain.image.raw, IMAGE);
    assert_int_equal(plain.sigstruct_bytes, 0);
    plain.image_bytes = 16; /* too short for a header, whatever it says */
    put(IMAGE + 8, "TDX-BLOB", 8);
    assert_null(tdx_seamldr_split(&plain));
}

static void a_joined_file_that_is_none_is_named(void **state)
{
    static const char cut[] = "the checksum of this TDX-BLOB is wrong: it is cut off, or altered";
    static const char layout[] =
        "the header of this TDX-BLOB is not that of a sigstruct and a module that fill the file, or "
        "reserved bytes of it are not zero";
    static const char version[] =
        "this TDX-BLOB is of a version that Septum does not know: 1.0 (0x100) and 2.0 (0x200) are known";
    static const struct {
        unsigned version;
        u32 module_at;
        unsigned change; /* a byte of the header is another, and byte 2, which balances the sum */
        u64 bytes;
        const char *wrong;
    } rows[] = {
        {0x101, 2 * K4, 0, 7 * K4, version},   {0x300, 2 * K4, 0, 7 * K4, version},
        {0x100, 2 * K4, 0, 6 * K4, cut},       {0x200, 2 * K4, 0, 7 * K4 - 1, cut},
        {0x100, 0, 0, 7 * K4, layout},         {0x100, K4, 0, 7 * K4, layout},
        {0x100, 7 * K4, 0, 7 * K4, layout},    {0x100, K4 + 512, 0, 7 * K4, layout},
        {0x100, ~0u, 0, 7 * K4, layout},       {0x100, 2 * K4, 20, 7 * K4, layout},
        {0x100, 2 * K4, 4094, 7 * K4, layout}, {0x100, 2 * K4, 18, 7 * K4, layout},
        {0x200, 2 * K4, 20, 7 * K4, layout},   {0x200, 2 * K4, 12, 7 * K4, layout},
        {0x200, 2 * K4, 18, 7 * K4, layout},   {0x200, 2 * K4, 4094, 7 * K4, layout},
    };
    start((struct seamldr_setup){.present = true});
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        struct seamldr_files f = join(rows[i].version, rows[i].module_at);
        u8 *header = phys_ptr(f.image);
        f.image_bytes = rows[i].bytes;
        header[f.image_bytes] = 0x5a; /* what lies behind the file is none of it */
        if (rows[i].change) {
            u16 *sum = (u16 *)(header + 2);
            header[rows[i].change]++;
            --*sum;
        }
        assert_string_equal(tdx_seamldr_split(&f), rows[i].wrong);
        assert_int_equal(f.image.raw, BLOB);
    }
}

static void module_is_installed_on_all_cpus(void **state)
{
    const char *missing;
    start((struct seamldr_setup){.present = true});
    assert_int_equal(tdx_detect(&missing), ERR_OK);
    assert_int_equal(installs, 0);
    assert_int_equal(init_module().err, ERR_OK);
    assert_int_equal(installs, CPUS);
    assert_true(tdx_module.ready);
}

/* The firmware's own module is used as it is. */
static void loaded_module_is_left_alone(void **state)
{
    start((struct seamldr_setup){.present = true, .module_loaded = true});
    assert_int_equal(init_module().err, ERR_OK);
    assert_int_equal(installs, 0);
}

static void nothing_is_installed_without_loader_or_file(void **state)
{
    start((struct seamldr_setup){.present = false});
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_PLATFORM);
    assert_non_null(strstr(f.what, "no TDX module is loaded"));
    start((struct seamldr_setup){.present = true});
    tdx_seamldr_forget();
    assert_int_equal(init_module().err, ERR_PLATFORM);
    assert_int_equal(installs, 0);
}

static void each_refusal_has_its_words(void **state)
{
    static const struct {
        u64 status;
        const char *text;
    } rows[] = {
        {0x8000000000000004,
         "EBADHANDOFF, 0x8000000000000004: the module cannot take over what an older one left: reset the machine"},
        {0x8000000000000005,
         "ECLEANUPREQ, 0x8000000000000005: keys and caches of an older module have to be cleaned first: reset the "
         "machine"},
        {0x8000000000000006,
         "EUNSUPPORTED, 0x8000000000000006: this P-SEAMLDR takes no module of that major version: update the BIOS"},
        {EBADPARAM,
         "EBADPARAM, 0x8000000000000000: it refuses the parameters page (SEAMLDR_PARAMS) or an address in it"},
        {0x8000000000010002,
         "ENOMEM, 0x8000000000010002: the module does not fit into the SEAM range that the firmware set aside"},
        {0x8000000000010003,
         "EUNSPECERR, 0x8000000000010003: something about the platform's configuration is not as it must be: "
         "update the BIOS"},
        {0x8000000000010004,
         "EUNSUPCPU, 0x8000000000010004: the module is not made for a CPU of this machine: take the one for its "
         "generation"},
        {0x8000000000020000,
         "EBADSIG, 0x8000000000020000: the sigstruct is malformed, not Intel's, or of an older security version"},
        {0x8000000000020001,
         "EBADHASH, 0x8000000000020001: the module's bytes are not those that the sigstruct is for: take both from "
         "one release"},
        {0x8000000000099999, "unknown status, 0x8000000000099999: this Septum does not know it"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        start((struct seamldr_setup){.present = true, .refusal_count = 1, .refusals = {rows[i].status}});
        struct tdx_init_fault f = init_module();
        char expected[240] = "SEAMLDR.INSTALL on CPU 3: ";
        assert_int_equal(f.err, ERR_PLATFORM);
        assert_int_equal(f.cpu, 3);
        assert_string_equal(f.what, strcat(expected, rows[i].text));
        assert_int_equal(installs, CPUS);
        assert_int_equal(init_module().err, ERR_OK); /* the user has changed what was wrong */
    }
}

/* All CPUs call once more, since P-SEAMLDR has forgotten their calls; not for ever. */
static void lack_of_entropy_is_met_by_another_round(void **state)
{
    struct seamldr_setup lacks = {.present = true, .refusal_count = 2};
    for (unsigned i = 0; i < 8; i++)
        lacks.refusals[i] = ENOENTROPY;
    start(lacks);
    assert_int_equal(init_module().err, ERR_OK);
    assert_int_equal(installs, 3 * CPUS);
    lacks.refusal_count = 8;
    start(lacks);
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_BUSY);
    assert_string_equal(f.what,
                        "SEAMLDR.INSTALL on CPU 3: ENOENTROPY, 0x8000000000030001: there was no entropy each time");
    assert_int_equal(installs, 8 * CPUS);
}

static void busy_loader_is_waited_for_but_not_for_ever(void **state)
{
    start((struct seamldr_setup){.present = true, .busy_every = 2});
    assert_int_equal(init_module().err, ERR_OK);
    assert_int_not_equal(tdx_counts.retries, 0);
    start((struct seamldr_setup){.present = true, .busy_every = 1});
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_PLATFORM);
    assert_non_null(strstr(f.what, "no TDX module is loaded"));
    assert_int_equal(tdx_counts.retries, 0);
}

/* Where nobody answers, looking for it is no retry. */
static void a_look_for_an_absent_loader_counts_nothing(void **state)
{
    static struct tdx_check checks[TDX_CHECKS_MAX];
    struct tdx_check_host host = {.failed_cpus = "", .page = {EXCHANGE}};
    start((struct seamldr_setup){.present = false, .module_loaded = true});
    unsigned count = tdx_check(&host, checks), i = 0;
    while (i < count && strcmp(checks[i].name, "seamldr"))
        i++;
    assert_string_equal(checks[i].value, "SEAMLDR.INFO: VMfailInvalid");
    assert_int_equal(tdx_counts.retries, 0);
}

static unsigned three_cpus(void)
{
    return 3;
}

#define NOT_TAKEN                                                                                                      \
    "SEAMLDR.INSTALL: EBADCALL (0x8000000000000003) on each CPU: P-SEAMLDR has their calls and waits for CPUs that "   \
    "Septum does not run, or it shuts down: reset the machine"

/* P-SEAMLDR waits for each logical processor. Those that have called already are no obstacle to another try. */
static void missing_cpu_is_waited_for(void **state)
{
    static const struct tdx_cpus three = {three_cpus, package_of, on_each_cpu, on_cpu, share};
    start((struct seamldr_setup){.present = true});
    tdx_set_cpus(&three);
    struct tdx_init_fault f = init_module();
    assert_int_equal(f.err, ERR_PLATFORM);
    assert_string_equal(f.what, "SEAMLDR.INSTALL: done on all CPUs that Septum runs, and P-SEAMLDR waits for more");
    f = init_module();
    assert_int_equal(f.err, ERR_PLATFORM);
    assert_string_equal(f.what, NOT_TAKEN);
    tdx_set_cpus(&all_cpus);
    assert_int_equal(init_module().err, ERR_OK);
}

/* Whoever began it: the CPUs that have not called yet finish it, with this VMM's parameters, and none calls behind the last. */
static void installation_of_others_is_finished(void **state)
{
    static const struct {
        u64 called;
        unsigned installs;
    } rows[] = {{1, 4}, {2, 4}, {8, 3}, {12, 2}, {7, 4}};
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        start((struct seamldr_setup){.present = true, .module_loaded = i & 1, .called = rows[i].called});
        assert_int_equal(init_module().err, ERR_OK);
        assert_int_equal(installs, rows[i].installs);
        assert_true(seamldr_module_is_ready());
    }
}

/* The installation of others ends with the CPU that they left out; the CPUs behind it begin a new one, which the next round ends. */
static void lack_of_entropy_ends_the_installation_of_others(void **state)
{
    start((struct seamldr_setup){.present = true, .called = 8, .refusal_count = 1, .refusals = {ENOENTROPY}});
    assert_int_equal(init_module().err, ERR_OK);
    assert_int_equal(installs, 4 + 3);
}

static u64 call(unsigned lp, u64 leaf, u64 rcx)
{
    struct seam_lp *self = &platform_host_lps[lp];
    self->vmm[RAX] = leaf;
    self->vmm[RCX] = rcx;
    return seamldr_call(self) ? self->vmm[RAX] : ~0ull;
}

/* A shutdown that others began can't be taken back, and looks the same. */
static void shutdown_of_others_is_named(void **state)
{
    start((struct seamldr_setup){.present = true});
    assert_int_equal(call(1, SHUTDOWN, 0), 0);
    for (unsigned again = 0; again < 2; again++) {
        struct tdx_init_fault f = init_module();
        assert_int_equal(f.err, ERR_PLATFORM);
        assert_string_equal(f.what, NOT_TAKEN);
    }
    assert_int_equal(installs, 2 * CPUS);
}

/* --- the model ------------------------------------------------------------------------------------------------------ */

static u64 install_on_all(void)
{
    for (unsigned lp = 0; lp + 1 < CPUS; lp++)
        assert_int_equal(call(lp, INSTALL, EXCHANGE), 0);
    return call(CPUS - 1, INSTALL, EXCHANGE);
}

static void fill_page(void)
{
    tdx_seamldr_fill(phys_ptr((hpa_t){EXCHANGE}), &files);
}

/* One thing after the other is wrong in the page or the files; then nothing. */
static void model_checks_what_it_is_given(void **state)
{
    static const struct {
        u64 at;
        u32 value;
        u64 status;
        u64 unrecoverable;
    } rows[] = {
        {EXCHANGE, 1, EBADPARAM, 0},                          /* version */
        {EXCHANGE + 4, 2, EBADPARAM, 0},                      /* scenario */
        {EXCHANGE + 4, 1, EBADPARAM, 0},                      /* an update of no module */
        {EXCHANGE + 16, 1, EBADPARAM, 0},                     /* reserved */
        {EXCHANGE + 120, 497, EBADPARAM, 0},                  /* pages */
        {EXCHANGE + 128, IMAGE + 8, EBADPARAM, 0},            /* not aligned */
        {EXCHANGE + 8 + 4, 1u << 20, EBADPARAM, 0},           /* above the physical addresses */
        {SIGSTRUCT, 7, 0x8000000000020000ull, 0},             /* header type */
        {SIGSTRUCT + 16, 0x8087, 0x8000000000020000ull, 0},   /* vendor */
        {SIGSTRUCT + 512, 3, 0x8000000000020000ull, 0},       /* exponent */
        {SIGSTRUCT + CPUIDS_AT, 1, 0x8000000000010004ull, 0}, /* for a CPU with signature 0 */
        {SIGSTRUCT + HASH_AT, 0, 0x8000000000020001ull, 1},   /* hash */
        {IMAGE + 4 * K4 + 4092, 0, 0x8000000000020001ull, 1}, /* the image's last word */
    };
    start((struct seamldr_setup){.present = true});
    for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
        write_files();
        fill_page();
        put32(rows[i].at, rows[i].value);
        assert_int_equal(install_on_all(), rows[i].status);
        assert_int_equal(platform_host_lps[CPUS - 1].vmm[RDX], rows[i].unrecoverable);
        assert_false(seamldr_module_is_ready());
    }
    write_files();
    fill_page();
    assert_int_equal(install_on_all(), 0);
    assert_true(seamldr_module_is_ready());
}

/* From the first call on the old module cannot be entered; it can again where the new one was refused in time. */
static void old_module_comes_back_after_a_refusal(void **state)
{
    start((struct seamldr_setup){.present = true, .module_loaded = true});
    fill_page();
    put32(SIGSTRUCT, 7);
    assert_int_equal(call(0, INSTALL, EXCHANGE), 0);
    assert_false(seamldr_module_is_ready());
    assert_int_equal(call(0, INSTALL, EXCHANGE), EBADCALL);
    assert_int_equal(call(1, SHUTDOWN, 0), EBADCALL);
    for (unsigned lp = 1; lp < CPUS; lp++)
        assert_int_equal(call(lp, INSTALL, EXCHANGE), lp + 1 < CPUS ? 0 : 0x8000000000020000ull);
    assert_true(seamldr_module_is_ready());
    write_files();
    put32(IMAGE, 0);
    assert_int_equal(install_on_all(), 0x8000000000020001ull);
    assert_false(seamldr_module_is_ready());
}

static void information_tells_of_the_module(void **state)
{
    const u8 *page = phys_ptr((hpa_t){EXCHANGE + K4});
    start((struct seamldr_setup){.present = true});
    assert_int_equal(call(1, INFO, EXCHANGE + K4 + 128), EBADPARAM);
    assert_int_equal(call(1, INFO, 1ull << 52), EBADPARAM);
    assert_int_equal(call(1, 0x8000000000000007ull, 0), EBADPARAM);
    assert_int_equal(call(1, INFO, EXCHANGE + K4), 0);
    assert_int_equal(word(page, 0), 0);
    assert_int_equal((u32)word(page, 8), 0x8086);
    assert_int_equal(word(page, 16) >> 16, 1ull << 16 | 5); /* 1.5.00 */
    assert_int_equal(page[160], 0);
    assert_int_equal(page[162], 1);
    fill_page();
    assert_int_equal(install_on_all(), 0);
    assert_int_equal(call(1, INFO, EXCHANGE + K4), 0);
    assert_int_equal(page[160], 1);
    assert_memory_equal(page + 56, (const u8 *)phys_ptr((hpa_t){SIGSTRUCT}) + HASH_AT, 48);
}

/* The last one has to be the one that P-SEAMLDR was loaded on; then it is gone. */
static void shutdown_ends_it(void **state)
{
    start((struct seamldr_setup){.present = true, .module_loaded = true});
    for (unsigned lp = 1; lp < CPUS; lp++)
        assert_int_equal(call(lp, SHUTDOWN, 0), 0);
    assert_false(seamldr_module_is_ready());
    assert_int_equal(call(1, INSTALL, EXCHANGE), EBADCALL);
    assert_int_equal(call(0, SHUTDOWN, 0), 0);
    assert_int_equal(call(0, INFO, EXCHANGE), ~0ull);
    start((struct seamldr_setup){.present = true});
    for (unsigned lp = 0; lp < CPUS; lp++)
        assert_int_equal(call(lp, SHUTDOWN, 0), lp + 1 < CPUS ? 0 : EBADCALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_page_is_laid_out_as_specified),
        cmocka_unit_test(unfit_files_are_named),
        cmocka_unit_test(module_and_sigstruct_in_one_file_are_taken_apart),
        cmocka_unit_test(a_joined_file_that_is_none_is_named),
        cmocka_unit_test(module_is_installed_on_all_cpus),
        cmocka_unit_test(loaded_module_is_left_alone),
        cmocka_unit_test(nothing_is_installed_without_loader_or_file),
        cmocka_unit_test(each_refusal_has_its_words),
        cmocka_unit_test(lack_of_entropy_is_met_by_another_round),
        cmocka_unit_test(busy_loader_is_waited_for_but_not_for_ever),
        cmocka_unit_test(a_look_for_an_absent_loader_counts_nothing),
        cmocka_unit_test(missing_cpu_is_waited_for),
        cmocka_unit_test(installation_of_others_is_finished),
        cmocka_unit_test(lack_of_entropy_ends_the_installation_of_others),
        cmocka_unit_test(shutdown_of_others_is_named),
        cmocka_unit_test(model_checks_what_it_is_given),
        cmocka_unit_test(old_module_comes_back_after_a_refusal),
        cmocka_unit_test(information_tells_of_the_module),
        cmocka_unit_test(shutdown_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
