/*
 * The memory guard. A page is plain (the VMM's), owned by the module, or hidden (the platform's own). Owned pages are absent
 * from the VMM's nested page table. When the VMM touches one, the module is asked whether it still uses it:
 *   - no: the page comes back, its bytes scrambled, as memory does whose key has changed;
 *   - yes: a violation. It is logged with the VMM's RIP; what the VMM reads is noise, what it writes goes nowhere but spoils
 *     the page for the TD, as a failed integrity check would. For this a stand-in page is mapped until the VMM's next exit, so
 *     further accesses to that page before then are not seen apart.
 */
#include "sim/machine/guard.h"
#include "sim/machine/config.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/lock.h"
#include "sim/machine/log.h"
#include "sim/machine/memory.h"
#include "sim/machine/npt.h"
#include "sim/machine/platform.h"
#include "sim/machine/pool.h"
#include "sim/machine/shoot.h"
#include "sim/module/platform.h"

#define PAGE       4096ull
#define STAND_INS  4 /* one instruction touches at most this many data pages */
#define LOGGED_MAX 200

/*
 * A page's life. Only a PLAIN page is mapped in the VMM's nested page table, and there only when it is needed:
 *
 *             the module takes it: guard_own()
 *     PLAIN ------------------------------------> OWNED ------------------------------------> SPOILT
 *       ^                                         |  ^       the VMM writes to it while the    |  |
 *       |        the VMM touches it, and the      |  |       module uses it: a violation       |  |
 *       |        module uses it no more           |  '---- the module takes it anew -----------'  |
 *       '--------- (its bytes are noise) ---------+-----------------------------------------------'
 *
 *     HIDDEN: from guard_hide() on for good; each touch of the VMM is a violation, as one of an OWNED page in use is
 *
 * One byte a page, in a table for each GiB of which some page was ever not PLAIN. Changed under `lock`, which is also held while the nested page table follows; read without it, for a page in
 * use by a TD or the module does not change its state meanwhile.
 */
enum page_state { PLAIN, OWNED, SPOILT, HIDDEN };

#define GIB_SHIFT 30
#define GIB_PAGES (1u << (GIB_SHIFT - 12))
#define GIBS_MAX  (1u << (PLATFORM_KEYID_SHIFT - GIB_SHIFT))

static struct lock lock;     /* of all below that changes after guard_init() */
static u8 *states[GIBS_MAX]; /* atomic, as the bytes that they point to; NULL: all of that GiB is PLAIN */
static u64 page_count;       /* constant after start */
static bool any_spoilt;      /* atomic */
static u64 noise_key;        /* under `lock` */
static unsigned logged;      /* under `lock` */
/* Under `lock`: a page is mapped under this shared KeyID. */
static bool alias_used[1u << PLATFORM_KEYID_BITS];

struct stand_in {
    u64 gpa;
    void *page;
};

struct stand_ins {
    struct stand_in of[STAND_INS];
    unsigned next;
    u64 last_rip;
};
static struct stand_ins
    stand_ins[MACHINE_CPUS_MAX]; /* per CPU; another one may find the pages in the nested page table */

void guard_init(u64 top)
{
    page_count = top / PAGE;
    for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
        for (unsigned i = 0; i < STAND_INS; i++)
            stand_ins[cpu].of[i].page = pool_take(1);
    if (!cpu_rdrand(&noise_key))
        noise_key = cpu_rdtsc();
}

static enum page_state state_of(u64 hpa)
{
    const u8 *of_gib = hpa / PAGE < page_count ? __atomic_load_n(&states[hpa >> GIB_SHIFT], __ATOMIC_ACQUIRE) : NULL;
    return of_gib ? __atomic_load_n(&of_gib[hpa / PAGE % GIB_PAGES], __ATOMIC_RELAXED) : PLAIN;
}

/* The table of a GiB grows out of the reserve when its first page is taken. */
static u8 *states_of(u64 hpa)
{
    u8 **of_gib = &states[hpa >> GIB_SHIFT];
    if (!*of_gib)
        __atomic_store_n(of_gib, pool_take(GIB_PAGES / PAGE), __ATOMIC_RELEASE);
    return *of_gib;
}

static void set_states(u64 base, u64 bytes, enum page_state state)
{
    for (u64 at = base; at < base + bytes && at / PAGE < page_count; at += PAGE)
        __atomic_store_n(&states_of(at)[at / PAGE % GIB_PAGES], (u8)state, __ATOMIC_RELAXED);
}

/* Under KeyID 0 and under each shared one that the VMM has used. */
static void hide_all(u64 hpa, u64 bytes)
{
    npt_hide(hpa, bytes);
    for (u64 key = 1; key < sizeof(alias_used); key++)
        if (alias_used[key])
            npt_hide(hpa | key << PLATFORM_KEYID_SHIFT, bytes);
}

void guard_hide(u64 base, u64 bytes)
{
    lock_take(&lock);
    set_states(base, bytes, HIDDEN);
    hide_all(base, bytes);
    lock_give(&lock);
}

static bool is_owned_whole(u64 hpa, u64 bytes)
{
    for (u64 at = hpa; at < hpa + bytes; at += PAGE)
        if (state_of(at) != OWNED)
            return false;
    return true;
}

void guard_own(u64 hpa, u64 bytes)
{
    lock_take(&lock);
    if (!is_owned_whole(hpa, bytes)) {
        set_states(hpa, bytes, OWNED);
        hide_all(hpa, bytes);
    }
    lock_give(&lock);
}

bool guard_has_poisoned(void)
{
    return __atomic_load_n(&any_spoilt, __ATOMIC_RELAXED);
}

bool guard_is_poisoned(u64 hpa)
{
    return state_of(hpa) == SPOILT;
}

bool guard_is_owned(u64 hpa)
{
    enum page_state state = state_of(hpa);
    return state == OWNED || state == SPOILT;
}

bool guard_is_closed(u64 hpa)
{
    return state_of(hpa) != PLAIN;
}

bool guard_is_hidden(u64 hpa)
{
    return state_of(hpa) == HIDDEN;
}

/* SplitMix64: noise that differs for each place and each life of a page. */
static u64 noise(u64 seed)
{
    seed += 0x9e3779b97f4a7c15ull;
    seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
    seed = (seed ^ seed >> 27) * 0x94d049bb133111ebull;
    return seed ^ seed >> 31;
}

/* A linear congruence from a seed that is noise: a multiplication a word, for this happens to every page that a TD gives back. */
static void fill_with_noise(void *page, u64 hpa)
{
    u64 *words = page;
    u64 word = noise(hpa + noise_key);
    for (unsigned i = 0; i < PAGE / 8; i++) {
        words[i] = word;
        word = word * 6364136223846793005ull + 1442695040888963407ull;
    }
    noise_key = noise(noise_key);
}

/* The module is done with the page: the VMM gets it as plain memory. */
static void release(u64 hpa)
{
    set_states(hpa, PAGE, PLAIN);
    fill_with_noise((void *)hpa, hpa);
    npt_show(hpa, PAGE);
}

static void map_stand_in(struct cpu *cpu, u64 gpa, bool writable)
{
    struct stand_ins *own = &stand_ins[cpu->index];
    struct stand_in *s = &own->of[own->next++ % STAND_INS];
    if (s->gpa)
        npt_hide(s->gpa, PAGE);
    s->gpa = gpa;
    fill_with_noise(s->page, gpa);
    npt_map(gpa, (u64)s->page, writable);
    own->last_rip = cpu->vmm->rip;
}

static const char *owner_name(u64 hpa)
{
    if (hpa >= pool_base() && hpa < pool_base() + pool_bytes())
        return "the TDX module's reserved range";
    return state_of(hpa) == HIDDEN ? "the platform's image" : "TDX private memory";
}

static void report(struct cpu *cpu, u64 gpa, u64 info)
{
    const char *kind = info & NPF_WRITE ? "wrote to" : info & NPF_FETCH ? "fetched from" : "read from";
    u64 hpa = platform_strip_key(gpa);
    const char *owner = hpa == gpa ? owner_name(hpa) : "memory under a private KeyID";
    if (sim_config()->strict)
        sim_stop("strict: the VMM at %lx %s %lx, %s", (unsigned long)cpu->vmm->rip, kind, (unsigned long)gpa, owner);
    if (logged++ < LOGGED_MAX)
        sim_log("guard: the VMM at %lx %s %lx, %s", (unsigned long)cpu->vmm->rip, kind, (unsigned long)gpa, owner);
    if (logged == LOGGED_MAX)
        sim_log("guard: further violations are not logged");
}

static void violation(struct cpu *cpu, u64 gpa, u64 info)
{
    u64 hpa = platform_strip_key(gpa);
    report(cpu, gpa, info);
    if (info & NPF_WRITE && guard_is_owned(hpa)) {
        set_states(hpa & ~(PAGE - 1), PAGE, SPOILT);
        __atomic_store_n(&any_spoilt, true, __ATOMIC_RELAXED);
        shoot_down(SHOOT_TD); /* a TD's next access has to notice; orders the two stores before it */
    }
    map_stand_in(cpu, gpa & ~(PAGE - 1), info & NPF_WRITE);
}

/* An address with a KeyID; false: a device that the firmware put up there, or no RAM. */
static bool keyed_fault(struct cpu *cpu, u64 gpa, u64 info)
{
    u64 page = gpa & ~(PAGE - 1), hpa = platform_strip_key(page);
    if (!memory_is_ram(hpa) || !platform_is_keyed(page))
        return false;
    if (platform_is_private_key(page) || state_of(hpa) != PLAIN) {
        violation(cpu, gpa, info);
        return true;
    }
    alias_used[page >> PLATFORM_KEYID_SHIFT] = true;
    npt_map(page, hpa, true);
    return true;
}

/* False: not the guard's business. */
static bool fault(struct cpu *cpu, u64 gpa, u64 info)
{
    u64 page = gpa & ~(PAGE - 1);
    if (platform_strip_key(page) != page)
        return keyed_fault(cpu, gpa, info);
    enum page_state state = state_of(page);
    if (state == PLAIN)
        return false;
    if (state != HIDDEN && !module_uses_page(page))
        release(page);
    else
        violation(cpu, gpa, info);
    return true;
}

void guard_touch(struct cpu *cpu, u64 gpa, u64 info)
{
    lock_take(&lock);
    fault(cpu, gpa, info);
    lock_give(&lock);
}

void guard_fault(struct cpu *cpu, u64 gpa, u64 info)
{
    lock_take(&lock);
    if (!fault(cpu, gpa, info))
        npt_show(gpa & ~(PAGE - 1), PAGE);
    lock_give(&lock);
}

void guard_exit(struct cpu *cpu)
{
    struct stand_ins *own = &stand_ins[cpu->index];
    if (!own->next || (vmcb_exit(cpu->vmm) == VMEXIT_NPF && cpu->vmm->rip == own->last_rip))
        return;
    lock_take(&lock);
    for (unsigned i = 0; i < STAND_INS; i++)
        if (own->of[i].gpa) {
            npt_hide(own->of[i].gpa, PAGE);
            own->of[i].gpa = 0;
        }
    own->next = 0;
    lock_give(&lock);
}
