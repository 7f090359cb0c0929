/*
 * The measurements of `measure`: see measure.h. Each pass belongs to one or more rows and is run once a round. Passes
 * that change the TD's Secure EPT behind the back of the VMM's mirror leave it as they found it. A sample is short, so
 * that on a busy machine some are left alone.
 *
 * Left out: more than one CPU; vCPUs other than the first.
 */
#include "tests/bench/measure.h"

#include "kernel/console/cmd.h"
#include "kernel/vm/ghci/ghci.h"
#include "kernel/vm/vm.h"
#include "lib/bits.h"
#include "lib/hw/cpu.h"
#include "lib/log.h"
#include "mm/page.h"
#include "tdx/abi_field.h"
#include "tdx/abi_vmcall.h"
#include "tdx/hw/seamcall.h"

#define ROUNDS_MAX        100
#define CALLS             40
#define ENTRIES           8
#define RESIZES           8
#define PAGE_2M           (2 * MIB)
#define PAGES_4K          16 /* accepted in one sample */
#define ROUND_BYTES       (2 * PAGE_2M)
#define FEATURE_CONTROL   0x3au
#define EXIT_REASON_BASIC 0xffffu
#define EXIT_INTERRUPT    1u
#define RESERVED_BIT      BIT(32) /* of SEAMCALL's RAX: refused whatever state the module is in */

/* Where the TD is worked on: one region at 4K, one at 2M, then what each round maps. */
#define GPA_SMALL        ((gpa_t){0})
#define GPA_LARGE        ((gpa_t){PAGE_2M})
#define GPA_ROUND(round) ((gpa_t){2 * PAGE_2M + (round)*ROUND_BYTES})

static u64 samples[ROW_COUNT][ROUNDS_MAX];
static u64 taken[ROW_COUNT];
static hpa_t spare_4k, spare_2m, table;

static const char *const names[] = {
#define X(name, what) #name,
    MEASURE_ROWS(X)
#undef X
};
static const char *const meanings[] = {
#define X(name, what) what,
    MEASURE_ROWS(X)
#undef X
};

/* Ticks a call of the current round; several calls of record() add up. */
static void record(enum measure_row row, unsigned round, u64 ticks, u64 calls)
{
    samples[row][round] += ticks * 100 / calls;
    taken[row] = round + 1;
}

static void need(tdx_status_t status, const char *leaf)
{
    if (tdx_verdict(status) != TDX_DONE)
        panic("measure: %s answers 0x%llx", leaf, (unsigned long long)status.raw);
}

/* --- exits ------------------------------------------------------------------------------------------------------- */

static void one_rdtsc(void)
{
    (void)cpu_tsc();
}

static void one_cpuid(void)
{
    (void)cpu_cpuid(0, 0);
}

static void one_rdmsr(void)
{
    u64 value;
    (void)!cpu_read_msr(FEATURE_CONTROL, &value);
}

static void one_null_seamcall(void)
{
    struct seamcall_regs regs = {.rax = RESERVED_BIT};
    (void)seamcall(&regs);
}

static void one_sys_rd(void)
{
    need(tdh_sys_rd(FIELD_SYS_MAJOR_VERSION).status, "TDH.SYS.RD");
}

static void one_sept_rd(void)
{
    need(tdh_mem_sept_rd(vm.td.tdr, GPA_LARGE, LEVEL_2M).status, "TDH.MEM.SEPT.RD");
}

/* The payload asks for a conversion and is told to try again: it does so at once, with hardly an instruction between. */
static void repeat(struct vcpu *v)
{
    v->regs.r10 = VMCALL_STATUS_RETRY;
    v->regs.r11 = v->regs.r12;
}

/* An interrupt that ends the entry early is rare: then it goes on, and the price is this call's. */
static void one_vp_enter(void)
{
    struct vcpu *v = &vm.td.vcpus[0];
    tdx_status_t status;
    repeat(v);
    do {
        u64 saved = cpu_irq_save();
        status = tdh_vp_enter(v->tdvpr, &v->regs);
        if ((status.raw & EXIT_REASON_BASIC) == EXIT_INTERRUPT)
            cpu_take_interrupt((u8)v->regs.r9);
        cpu_irq_restore(saved);
        need(status, "TDH.VP.ENTER");
    } while ((status.raw & EXIT_REASON_BASIC) == EXIT_INTERRUPT);
}

static void one_vcpu_enter(void)
{
    struct vcpu *v = &vm.td.vcpus[0];
    repeat(v);
    while (vcpu_enter(v).kind == VCPU_EXIT_INTERRUPT)
        ;
}

static void answer_vmcall(void)
{
    struct vcpu *v = &vm.td.vcpus[0];
    v->regs.r10 = VMCALL_STATUS_SUCCESS;
    while (vcpu_enter(v).kind == VCPU_EXIT_INTERRUPT)
        ;
}

static void time_calls(enum measure_row row, unsigned round, void (*one)(void), unsigned calls)
{
    one(); /* what it needs in caches and TLBs is there, and what TRACK asks of the next entry is done */
    u64 start = cpu_tsc();
    for (unsigned i = 0; i < calls; i++)
        one();
    record(row, round, cpu_tsc() - start, calls);
}

static void give_work(struct probe_work work)
{
    struct claim held;
    struct probe_mailbox *box = vm_mailbox_hold(0, &held);
    if (box == NULL)
        panic("measure: the payload has no mailbox");
    box->work = work;
    vm_mailbox_release(&held);
}

static void pass_exits(unsigned round)
{
    time_calls(ROW_rdtsc, round, one_rdtsc, CALLS);
    time_calls(ROW_cpuid, round, one_cpuid, CALLS);
    time_calls(ROW_null_seamcall, round, one_null_seamcall, CALLS);
    time_calls(ROW_rdmsr, round, one_rdmsr, CALLS);
    time_calls(ROW_sys_rd, round, one_sys_rd, CALLS);
    time_calls(ROW_sept_rd, round, one_sept_rd, CALLS);
    give_work((struct probe_work){.op = PROBE_CONVERT, .gpa = GPA_SMALL.raw, .len = PAGE_BYTES, .to_shared = true});
    answer_vmcall(); /* here is work; it comes back with MapGPA */
    time_calls(ROW_vp_enter, round, one_vp_enter, ENTRIES);
    time_calls(ROW_vcpu_enter, round, one_vcpu_enter, ENTRIES);
    answer_vmcall(); /* it believes so, and comes back for more work */
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

static u64 accept(gpa_t gpa, u64 bytes, level_t level)
{
    struct probe_work work = {.op = PROBE_ACCEPT, .gpa = gpa.raw, .len = bytes, .level = level.raw};
    struct probe_result result;
    struct fault_text fault;
    u64 start = cpu_tsc();
    if (vm_work_begin(0, &work, &fault) != ERR_OK || vm_work_end(0, &result, &fault) != ERR_OK)
        panic("measure: %s", fault.text);
    if (result.status != PROBE_OK || result.bytes != bytes)
        panic("measure: ACCEPT of 0x%llx failed, status 0x%llx", (unsigned long long)result.at_gpa,
              (unsigned long long)result.tdcall_status);
    return cpu_tsc() - start;
}

static void pass_faults(unsigned round)
{
    gpa_t small = GPA_ROUND(round), large = {small.raw + PAGE_2M};
    record(ROW_tdcall, round, accept(GPA_SMALL, PAGES_4K * PAGE_BYTES, LEVEL_4K), PAGES_4K);
    record(ROW_fault_4k, round, accept(small, PAGES_4K * PAGE_BYTES, LEVEL_4K), PAGES_4K);
    record(ROW_fault_2m, round, accept(large, PAGE_2M, LEVEL_2M), 1);
}

static u64 lap(u64 *from)
{
    u64 now = cpu_tsc(), took = now - *from;
    *from = now;
    return took;
}

/* BLOCK, TRACK, and back; BLOCK, TRACK, DEMOTE, BLOCK, TRACK, PROMOTE: the leaf is there again. */
static void pass_resize(unsigned round)
{
    u64 block = 0, track = 0, unblock = 0, demote = 0, promote = 0, t = cpu_tsc();
    hpa_t tdr = vm.td.tdr;
    for (unsigned i = 0; i < RESIZES; i++) {
        need(tdh_mem_range_block(tdr, GPA_LARGE, LEVEL_2M).status, "TDH.MEM.RANGE.BLOCK");
        block += lap(&t);
        need(tdh_mem_track(tdr).status, "TDH.MEM.TRACK");
        track += lap(&t);
        need(tdh_mem_range_unblock(tdr, GPA_LARGE, LEVEL_2M).status, "TDH.MEM.RANGE.UNBLOCK");
        unblock += lap(&t);
        need(tdh_mem_range_block(tdr, GPA_LARGE, LEVEL_2M).status, "TDH.MEM.RANGE.BLOCK");
        need(tdh_mem_track(tdr).status, "TDH.MEM.TRACK");
        (void)lap(&t);
        need(tdh_mem_page_demote(tdr, GPA_LARGE, LEVEL_2M, table).status, "TDH.MEM.PAGE.DEMOTE");
        demote += lap(&t);
        need(tdh_mem_range_block(tdr, GPA_LARGE, LEVEL_2M).status, "TDH.MEM.RANGE.BLOCK");
        need(tdh_mem_track(tdr).status, "TDH.MEM.TRACK");
        (void)lap(&t);
        struct tdx_page_answer merged = tdh_mem_page_promote(tdr, GPA_LARGE, LEVEL_2M);
        need(merged.status, "TDH.MEM.PAGE.PROMOTE");
        table = merged.page;
        promote += lap(&t);
    }
    record(ROW_block, round, block, RESIZES);
    record(ROW_track, round, track, RESIZES);
    record(ROW_unblock, round, unblock, RESIZES);
    record(ROW_demote, round, demote, RESIZES);
    record(ROW_promote, round, promote, RESIZES);
}

static void pass_reset(unsigned round)
{
    u64 t = cpu_tsc();
    for (unsigned i = 0; i < RESIZES; i++)
        cpu_reset_pages(spare_4k, PAGE_BYTES);
    record(ROW_reset_4k, round, lap(&t), RESIZES);
    cpu_reset_pages(spare_2m, PAGE_2M);
    record(ROW_reset_2m, round, lap(&t), 1);
}

/* --- the command ------------------------------------------------------------------------------------------------- */

static bool prepare(struct command_call *c, u64 rounds)
{
    u64 bytes = GPA_ROUND(rounds).raw;
    if (vm.state != VM_RUNNING || vm.memory_bytes < bytes + PAGE_2M * 8) {
        reply_fail(c, "a running TD of more than 0x%llx bytes is needed", (unsigned long long)bytes + PAGE_2M * 8);
        return false;
    }
    if (page_alloc(LEVEL_4K, &spare_4k) != ERR_OK || page_alloc(LEVEL_2M, &spare_2m) != ERR_OK ||
        page_alloc(LEVEL_4K, &table) != ERR_OK)
        panic("measure: no memory");
    (void)accept(GPA_SMALL, PAGE_2M, LEVEL_4K);
    (void)accept(GPA_LARGE, PAGE_2M, LEVEL_2M);
    return true;
}

static void finish(void)
{
    page_free(spare_4k, LEVEL_4K);
    page_free(spare_2m, LEVEL_2M);
    page_free(table, LEVEL_4K);
}

/* Samples are in hundredths of a tick. */
static void answer(struct command_call *c)
{
    struct json *j = reply_ok(c);
    json_number(j, "unit", 100);
    json_array(j, "rows");
    for (unsigned row = 0; row < ROW_COUNT; row++) {
        json_object(j, NULL);
        json_text(j, "name", names[row]);
        json_text(j, "what", meanings[row]);
        json_array(j, "samples");
        for (unsigned i = 0; i < taken[row]; i++)
            json_number(j, NULL, samples[row][i]);
        json_end_array(j);
        json_end_object(j);
    }
    json_end_array(j);
}

void cmd_measure(struct command_call *c)
{
    u64 rounds = 25;
    if (!arg_key_number(c, "rounds", 1, ROUNDS_MAX, &rounds) || !prepare(c, rounds))
        return;
    for (unsigned round = 0; round < rounds; round++) {
        pass_exits(round);
        pass_faults(round);
        pass_resize(round);
        pass_reset(round);
    }
    finish();
    answer(c);
}
