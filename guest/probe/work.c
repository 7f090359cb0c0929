/* The probe's work: see work.h. */
#include "guest/probe/work.h"
#include "guest/lib/ghci.h"
#include "guest/hw/td.h"
#include "guest/probe/order.h"
#include "guest/probe/pmu.h"

/* How often a TDCALL or TDVMCALL that got nowhere is repeated before it counts as failed. */
#define MAX_IDLE_TRIES 10000u
/* Accesses of TOUCH between two looks at the abort flag. */
#define TOUCH_POLL 64u

static uint32_t status_class(uint64_t status)
{
    return (uint32_t)(status >> 32);
}

static bool is_aborted(const struct probe_vcpu *vcpu)
{
    return vcpu->mailbox->abort != 0;
}

/* Memory at `gpa`, within its page; see td_reach(). */
static volatile uint64_t *words_at(const struct probe_vcpu *vcpu, const struct probe_work *work, uint64_t gpa,
                                   uint64_t bytes, bool write)
{
    uintptr_t window = work->shared_access ? vcpu->td->shared_window : vcpu->td->private_window;
    return td_reach(window + gpa, bytes, write);
}

/* --- ACCEPT --- */

/* BUSY means that the host works on the entry just now, or will retry; it gives way (TDX module ABI, host priority). */
static uint64_t accept_patiently(uint64_t gpa, uint32_t level)
{
    uint64_t status = ghci_accept(gpa, level);
    for (uint32_t tries = 1; status_class(status) == TDX_OPERAND_BUSY && tries < MAX_IDLE_TRIES; tries++) {
        td_pause();
        status = ghci_accept(gpa, level);
    }
    return status;
}

/* Accepts one page and counts it. A page that was accepted before is fine, and not counted. */
static uint64_t accept_one(struct probe_vcpu *vcpu, uint64_t gpa, uint32_t level)
{
    uint64_t status = accept_patiently(gpa, level);
    if (status_class(status) == TDX_SUCCESS) {
        vcpu->accepted[level]++;
    }
    return status;
}

static bool is_accepted(uint64_t status)
{
    return status_class(status) == TDX_SUCCESS || status_class(status) == TDX_PAGE_ALREADY_ACCEPTED;
}

uint64_t probe_work_accept_around(struct probe_vcpu *vcpu, uint64_t gpa)
{
    uint64_t status = accept_one(vcpu, gpa & -PROBE_PAGE_2M, 1);
    if (status_class(status) == TDX_PAGE_SIZE_MISMATCH) {
        status = accept_one(vcpu, gpa & -PROBE_PAGE_4K, 0);
    }
    return status;
}

/* Accepts [gpa, end) by pages of 4K. Status of the last call; `*at` is where it stopped. */
static uint64_t accept_small(struct probe_vcpu *vcpu, uint64_t gpa, uint64_t end, uint64_t *at)
{
    uint64_t status = 0;
    for (*at = gpa; *at < end && !is_aborted(vcpu); *at += PROBE_PAGE_4K) {
        status = accept_one(vcpu, *at, 0);
        if (!is_accepted(status)) {
            break;
        }
    }
    return status;
}

/* Accepts a range, with 2M pages where `level` and alignment allow and the host has mapped it so. */
static void accept_range(struct probe_vcpu *vcpu, struct probe_range range, uint32_t level, struct probe_result *result)
{
    uint64_t end = range.start + range.bytes;
    for (uint64_t gpa = range.start, at; gpa < end; gpa = at) {
        if (is_aborted(vcpu)) {
            result->status = PROBE_ABORTED;
            return;
        }
        uint64_t next = (gpa & -PROBE_PAGE_2M) + PROBE_PAGE_2M;
        bool is_whole = !(gpa & (PROBE_PAGE_2M - 1)) && next <= end;
        uint64_t status = (uint64_t)TDX_PAGE_SIZE_MISMATCH << 32;
        at = gpa;
        if (level && is_whole) {
            status = accept_one(vcpu, gpa, 1);
            at = is_accepted(status) ? next : gpa;
        }
        if (status_class(status) == TDX_PAGE_SIZE_MISMATCH) {
            status = accept_small(vcpu, gpa, next < end ? next : end, &at);
        }
        result->bytes += at - gpa;
        if (!is_accepted(status)) {
            result->status = PROBE_ACCEPT_FAILED;
            result->tdcall_status = status;
            result->at_gpa = at;
            return;
        }
    }
}

static void do_accept(struct probe_vcpu *vcpu, const struct probe_work *work, struct probe_result *result)
{
    accept_range(vcpu, (struct probe_range){work->gpa, work->len}, work->level, result);
}

/* --- MapGPA --- */

/* Until it is done: RETRY goes on where the VMM says, and must get further within MAX_IDLE_TRIES. */
static void do_convert(struct probe_vcpu *vcpu, const struct probe_work *work, struct probe_result *result)
{
    uint64_t bit = work->to_shared ? vcpu->td->shared_bit : 0;
    uint64_t at = work->gpa, end = work->gpa + work->len;
    struct mapgpa_result answer = {GHCI_RETRY, 0};
    for (uint32_t idle = 0; at < end && idle < MAX_IDLE_TRIES; idle++) {
        if (is_aborted(vcpu)) {
            result->status = PROBE_ABORTED;
            result->bytes = at - work->gpa;
            result->at_gpa = at;
            return;
        }
        answer = ghci_map_gpa(at | bit, end - at);
        uint64_t next = answer.gpa & ~vcpu->td->shared_bit;
        if (answer.status == GHCI_SUCCESS) {
            at = end;
        } else if (answer.status != GHCI_RETRY || next < at || next >= end || (next & (PROBE_PAGE_4K - 1))) {
            break;
        } else {
            result->mapgpa_retries++;
            idle = next > at ? 0 : idle;
            at = next;
        }
    }
    result->bytes = at - work->gpa;
    if (at < end) {
        result->status = PROBE_MAPGPA_FAILED;
        result->vmcall_status = answer.status;
        result->at_gpa = at;
    } else if (!work->to_shared && !work->leave_pending) {
        result->bytes = 0;
        accept_range(vcpu, (struct probe_range){work->gpa, work->len}, 1, result);
    }
}

/* --- data --- */

static uint64_t page_end(uint64_t gpa, uint64_t end)
{
    uint64_t next = (gpa & -PROBE_PAGE_4K) + PROBE_PAGE_4K;
    return next < end ? next : end;
}

static void verify_word(struct probe_result *result, uint64_t gpa, uint64_t found, uint64_t expected)
{
    if (found == expected) {
        return;
    }
    if (!result->bad_bytes) {
        result->status = PROBE_MISMATCH;
        result->at_gpa = gpa;
        result->found = found;
        result->expected = expected;
    }
    for (uint64_t difference = found ^ expected; difference; difference >>= 8) {
        result->bad_bytes += (difference & 0xff) != 0;
    }
}

/* FILL and VERIFY, page by page. */
static void do_data(struct probe_vcpu *vcpu, const struct probe_work *work, struct probe_result *result)
{
    uint64_t end = work->gpa + work->len;
    for (uint64_t gpa = work->gpa, stop; gpa < end; gpa = stop) {
        if (is_aborted(vcpu)) {
            result->status = PROBE_ABORTED;
            return;
        }
        stop = page_end(gpa, end);
        volatile uint64_t *word = words_at(vcpu, work, gpa, stop - gpa, work->op == PROBE_FILL);
        for (uint64_t g = gpa; g < stop; g += 8, word++) {
            if (work->op == PROBE_FILL) {
                *word = probe_word(work->seed, g);
            } else {
                verify_word(result, g, *word, probe_word(work->seed, g));
            }
        }
        result->bytes += stop - gpa;
    }
}

/* One access a slot. Writes leave what FILL with the same seed would, so that VERIFY still holds afterwards. */
static void do_touch(struct probe_vcpu *vcpu, const struct probe_work *work, struct probe_result *result)
{
    uint64_t slots = (work->len - 1) / work->stride + 1;
    uint64_t count = work->count ? work->count : slots;
    struct probe_order_state order;
    probe_order_start(&order, work->order, slots, work->seed);
    for (result->touched = 0; result->touched < count; result->touched++) {
        if (result->touched % TOUCH_POLL == 0 && is_aborted(vcpu)) {
            result->status = PROBE_ABORTED;
            break;
        }
        uint64_t gpa = work->gpa + probe_order_next(&order) * work->stride;
        volatile uint64_t *word = words_at(vcpu, work, gpa, 8, work->write);
        if (work->write) {
            *word = probe_word(work->seed, gpa);
        } else {
            (void)*word;
        }
        for (uint32_t i = 0; i < work->pauses; i++) {
            td_pause();
        }
    }
    result->bytes = result->touched * 8;
}

static void do_spin(struct probe_vcpu *vcpu, const struct probe_work *work, struct probe_result *result)
{
    uint64_t start = td_read_tsc(), ticks = work->milliseconds * work->tsc_khz;
    while (td_read_tsc() - start < ticks) {
        if (is_aborted(vcpu)) {
            result->status = PROBE_ABORTED;
            return;
        }
        td_pause();
    }
}

/* --- dispatch --- */

static bool is_range_free(const struct probe_vcpu *vcpu, const struct probe_work *work, uint64_t unit)
{
    struct probe_range range = {work->gpa, work->len};
    return probe_range_is_free(range, unit, vcpu->td->memory, vcpu->td->kept, PROBE_KEPT_RANGES);
}

static bool is_touch_good(const struct probe_vcpu *vcpu, const struct probe_work *work)
{
    return work->stride && work->stride % 8 == 0 && work->order <= PROBE_ZIPF && is_range_free(vcpu, work, 8);
}

static bool is_spin_good(const struct probe_work *work)
{
    return work->tsc_khz && work->milliseconds <= UINT64_MAX / work->tsc_khz;
}

/* Everything is checked here, before anything is done. */
static bool is_good(const struct probe_vcpu *vcpu, const struct probe_work *work)
{
    switch (work->op) {
    case PROBE_NOTHING:
        return true;
    case PROBE_FILL:
    case PROBE_VERIFY:
        return is_range_free(vcpu, work, 8);
    case PROBE_ACCEPT:
        return work->level <= 1 && is_range_free(vcpu, work, PROBE_PAGE_4K);
    case PROBE_CONVERT:
        return is_range_free(vcpu, work, PROBE_PAGE_4K);
    case PROBE_TOUCH:
        return is_touch_good(vcpu, work);
    case PROBE_SPIN:
        return is_spin_good(work);
    default:
        return false;
    }
}

static void perform(struct probe_vcpu *vcpu, const struct probe_work *work, struct probe_result *result)
{
    switch (work->op) {
    case PROBE_FILL:
    case PROBE_VERIFY:
        do_data(vcpu, work, result);
        break;
    case PROBE_ACCEPT:
        do_accept(vcpu, work, result);
        break;
    case PROBE_CONVERT:
        do_convert(vcpu, work, result);
        break;
    case PROBE_TOUCH:
        do_touch(vcpu, work, result);
        break;
    case PROBE_SPIN:
        do_spin(vcpu, work, result);
        break;
    default:
        break;
    }
}

/* Work on memory is done under the TLB's counters. */
static void perform_counted(struct probe_vcpu *vcpu, const struct probe_work *work, struct probe_result *result)
{
    bool on_memory = work->op == PROBE_FILL || work->op == PROBE_VERIFY || work->op == PROBE_TOUCH;
    if (!vcpu->has_pmu || !on_memory) {
        perform(vcpu, work, result);
        return;
    }
    probe_pmu_begin(work->op == PROBE_FILL || (work->op == PROBE_TOUCH && work->write));
    perform(vcpu, work, result);
    probe_pmu_end(result);
}

void probe_work_do(struct probe_vcpu *vcpu)
{
    struct probe_work work = *(const volatile struct probe_work *)&vcpu->mailbox->work;
    struct probe_result result = {.status = PROBE_OK};
    vcpu->accepted[0] = vcpu->accepted[1] = vcpu->ve_count = 0;
    if (is_good(vcpu, &work)) {
        uint64_t start = td_read_tsc();
        perform_counted(vcpu, &work, &result);
        result.tsc = td_read_tsc() - start;
    } else {
        result.status = PROBE_BAD_WORK;
        result.at_gpa = work.gpa;
    }
    result.accepted[0] = vcpu->accepted[0];
    result.accepted[1] = vcpu->accepted[1];
    result.ve_count = vcpu->ve_count;
    vcpu->mailbox->result = result;
}
