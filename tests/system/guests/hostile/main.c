/*
 * A TD that is up to no good, in the place of a Linux. Its command line is a word for what it does, and numbers. Whatever that is, it
 * keeps off its own pages for as long as it wants to go on.
 */
#include "guest/hw/td.h"
#include "guest/lib/ghci.h"

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define IO           30ull
#define WRMSR        32ull
#define MAP_GPA      0x10001ull
#define UART         0x3f8ull
#define SLEEP        0x600ull
#define RESET        0x602ull
#define ICR          0x830ull
#define LVT_TIMER    0x832ull
#define TIMER_COUNT  0x838ull
#define ALL_BUT_SELF 0xc0000ull
#define NMI          0x400ull
#define PERIODIC     0x20000ull
#define PASS_R10_R15 (0x3full << 10)

#define TDG_VP_INFO 1
#define GIB         0x40000000ull
#define VCPUS_MAX   8

/* boot_params, and ACPI's tables: the places of what is read of them. */
#define BOOT_RSDP         0x70
#define BOOT_E820_COUNT   0x1e8
#define BOOT_COMMAND_LINE 0x228
#define BOOT_E820         0x2d0
#define E820_BYTES        20
#define RSDP_XSDT         24
#define TABLE_BYTES       4
#define TABLE_HEADER      36
#define MADT_ENTRIES      44
#define MADT_LAPIC        0
#define MADT_X2APIC       9
#define MADT_MAILBOX      16

_Noreturn void hostile_first(const uint8_t *boot_params);
_Noreturn void hostile_other(uint32_t index);
void hostile_wakeup(void);
void hostile_return(void);
_Noreturn void hostile_triple(void);

static uint64_t numbers[4]; /* behind the command line's word */
static uint64_t shared_bit, memory_bytes;
static uint32_t vcpus = 1, ready, finished;

/* --- what it can do ----------------------------------------------------------------------------------------------- */

static uint64_t vmcall(uint64_t leaf, uint64_t r12, uint64_t r13, uint64_t r14, uint64_t r15)
{
    struct td_regs r = {.rcx = PASS_R10_R15, .r11 = leaf, .r12 = r12, .r13 = r13, .r14 = r14, .r15 = r15};
    tdcall(&r);
    return r.r10;
}

static void out(uint64_t port, uint64_t value)
{
    (void)vmcall(IO, 1, 1, port, value);
}

static void say(const char *words)
{
    while (*words) {
        out(UART, (uint8_t)*words++);
    }
}

static void wrmsr(uint64_t msr, uint64_t value)
{
    (void)vmcall(WRMSR, msr, value, 0, 0);
}

static void power_off(void)
{
    out(SLEEP, 0x34);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* Virtual [512G, 1T) is guest-physical [0, 512G) with the shared bit. */
#define SHARED_VIEW (512 * GIB)
#define ENTRIES     512u
#define TABLE       0x23ull
#define PAGE_1G     0xe3ull

static void make_tables(void)
{
    static uint64_t pml4[ENTRIES] __attribute__((aligned(4096))), views[2][ENTRIES] __attribute__((aligned(4096)));

    for (uint32_t i = 0; i < ENTRIES; i++) {
        views[0][i] = i * GIB | PAGE_1G;
        views[1][i] = i * GIB | PAGE_1G | shared_bit;
    }
    pml4[0] = (uintptr_t)views[0] | TABLE;
    pml4[1] = (uintptr_t)views[1] | TABLE;
    td_load_cr3((uintptr_t)pml4);
}

/* An NMI is nothing; whatever else comes finds no gate, which is the end. */
static void make_idt(uint32_t index)
{
    static uint64_t idts[VCPUS_MAX][6] __attribute__((aligned(16)));
    uint64_t *idt = idts[index], at = (uintptr_t)hostile_return, selector;

    __asm__("mov %%cs, %0" : "=r"(selector));
    idt[4] = (at & 0xffff) | selector << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
    idt[5] = at >> 32;
    td_load_idt(idt, sizeof(idts[0]) - 1);
}

static int meets(uint64_t gpa, uint64_t bytes, uint64_t from, uint64_t end)
{
    return gpa < end && bytes > from - (gpa < from ? gpa : from);
}

/* Image and tables of its own, those of the shim's, and the ROM. */
static int is_own(uint64_t gpa, uint64_t bytes)
{
    gpa &= shared_bit - 1;
    return meets(gpa, bytes, 0x100000, 0x200000) || meets(gpa, bytes, 0x1000000, 0x1200000) ||
           meets(gpa, bytes, 4 * GIB - 0x4000, 4 * GIB);
}

/* --- calls SEED COUNT: any TDVMCALL with anything in its registers ------------------------------------------------ */

static uint64_t roll(uint64_t *dice)
{
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    return *dice * 0x2545f4914f6cdd1dull;
}

static uint64_t any_word(uint64_t *dice)
{
    static const uint64_t edges[] = {0,       1,           2,        4,          8,          0x1000,     0x200000,
                                     MAP_GPA, UART,        UART + 2, 0xfec00000, 0xfec00010, 0xfec00040, ICR,
                                     0x832,   TIMER_COUNT, 0x83e,    0x1b,       0x600,      0xffff,     ~0ull};
    uint64_t kind = roll(dice) >> 32, word = roll(dice);

    switch (kind % 5) {
    case 0:
    case 1:
        return edges[word % ARRAY_COUNT(edges)];
    case 2:
        return word % (memory_bytes + GIB / 256) & ~0xfffull;
    case 3:
        return (word % memory_bytes & ~0xfffull) | shared_bit;
    default:
        return word >> kind / 5 % 64;
    }
}

/* Would it be the last one? A halt with interrupts on may never end. */
static int ends(uint64_t leaf, const uint64_t w[4])
{
    switch (leaf) {
    case 12:
        return !(w[0] & 1);
    case IO:
        return w[1] == 1 && w[2] + 4 > SLEEP && w[2] <= RESET;
    case MAP_GPA:
        return is_own(w[0], w[1]);
    default:
        return 0;
    }
}

static void call_at_random(uint32_t index)
{
    static const uint64_t leafs[] = {10,      30,      31,      32,      48,      54, 65, 0x10000, 0x10001, 0x10001,
                                     0x10001, 0x10002, 0x10004, 0x10005, 0x1ffff, 30, 31, 32,      48,      12};
    uint64_t dice = (numbers[0] << 8) + index + 1, w[4];

    for (uint64_t i = 0; i < numbers[1]; i++) {
        uint64_t leaf = leafs[(roll(&dice) >> 32) % ARRAY_COUNT(leafs)];
        for (uint32_t j = 0; j < 4; j++) {
            w[j] = any_word(&dice);
        }
        if (!ends(leaf, w)) {
            (void)vmcall(leaf, w[0], w[1], w[2], w[3]);
        }
    }
}

/* --- others ------------------------------------------------------------------------------------------------------- */

/* Its own page too. */
static void share_all(uint32_t index)
{
    (void)index;
    for (uint64_t gpa = shared_bit; ghci_map_gpa(gpa, memory_bytes).status == GHCI_RETRY;) {
    }
}

static void touch(uint64_t address)
{
    *(volatile uint64_t *)address = 1;
}

static void touch_private(uint32_t index)
{
    (void)index;
    touch(numbers[0]);
}

static void touch_shared(uint32_t index)
{
    (void)index;
    touch(SHARED_VIEW + numbers[0]);
}

static void accept_it(uint32_t index)
{
    (void)index;
    (void)ghci_accept(numbers[0], (uint32_t)numbers[1]);
}

static void report(uint32_t index)
{
    struct guest_text text = {.used = 0};

    (void)index;
    guest_text_add(&text, "\r\n@{\"ok\":true} \x1b[2J 64 bytes of it, and none of them ends this text.");
    ghci_fatal(0x1234, &text);
}

static void panic(uint32_t index)
{
    (void)index;
    say("[    1.000000] Kernel panic - not syncing: all is lost\r\n");
    out(RESET, 1);
}

static void triple(uint32_t index)
{
    (void)index;
    hostile_triple();
}

static void flood(uint32_t index)
{
    (void)index;
    for (;;) {
        say("@{\"cmd\":\"td destroy\",\"ok\":true}\rseptum> \n");
    }
}

static void spin(uint32_t index)
{
    (void)index;
    for (;;) {
    }
}

/* The timer runs out all the time. */
static void set_timer(uint32_t index)
{
    wrmsr(LVT_TIMER, PERIODIC | 0x40);
    wrmsr(TIMER_COUNT, 1);
    spin(index);
}

static void interrupt_all(uint32_t index)
{
    for (uint64_t i = 0;; i++) {
        wrmsr(ICR, ALL_BUT_SELF | (i % 2 ? NMI : 0x40 + index));
    }
}

/* --- start -------------------------------------------------------------------------------------------------------- */

/* On the first vCPU, or on all of them. */
static const struct work {
    const char *word;
    void (*run)(uint32_t index);
    int by_all;
} works[] = {
    {"calls", call_at_random, 1},  {"share", share_all, 0},
    {"private", touch_private, 0}, {"shared", touch_shared, 0},
    {"accept", accept_it, 0},      {"report", report, 0},
    {"panic", panic, 0},           {"triple", triple, 0},
    {"flood", flood, 1},           {"spin", spin, 1},
    {"timer", set_timer, 1},       {"interrupts", interrupt_all, 1},
};
static const struct work *work;

static uint64_t number_at(uintptr_t at, uint32_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, (const void *)at, bytes);
    return value;
}

static void read_memory(uintptr_t boot_params)
{
    uint64_t count = number_at(boot_params + BOOT_E820_COUNT, 1);
    uintptr_t last = boot_params + BOOT_E820 + (count - 1) * E820_BYTES;

    memory_bytes = number_at(last, 8) + number_at(last + 8, 8);
}

/* Hexadecimal. */
static const char *read_number(const char *text, uint64_t *to)
{
    while (*text == ' ') {
        text++;
    }
    for (; *text && *text != ' '; text++) {
        *to = *to << 4 | (uint64_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    }
    return text;
}

static void read_command_line(const char *text)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(works); i++) {
        size_t bytes = strlen(works[i].word);
        if (memcmp(text, works[i].word, bytes) == 0 && (text[bytes] == ' ' || !text[bytes])) {
            work = &works[i];
            text += bytes;
            break;
        }
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        text = read_number(text, &numbers[i]);
    }
}

/* The table with that signature, which is there. */
static uintptr_t find_table(uintptr_t xsdt, const char *signature)
{
    for (uintptr_t at = xsdt + TABLE_HEADER;; at += 8) {
        uintptr_t table = number_at(at, 8);
        if (memcmp((const void *)table, signature, 4) == 0) {
            return table;
        }
    }
}

/* To each vCPU that the MADT names, by way of its mailbox: ACPI 6.5, section 5.2.12.19. */
static void wake_others(uintptr_t madt)
{
    uintptr_t mailbox = 0, end = madt + number_at(madt + TABLE_BYTES, 4);

    for (uintptr_t at = madt + MADT_ENTRIES; at < end; at += number_at(at + 1, 1)) {
        uint64_t kind = number_at(at, 1);
        if (kind == MADT_MAILBOX) {
            mailbox = number_at(at + 8, 8);
        }
        vcpus = kind == MADT_X2APIC ? (uint32_t)number_at(at + 4, 4) + 1 : vcpus;
        vcpus = kind == MADT_LAPIC ? (uint32_t)number_at(at + 3, 1) + 1 : vcpus;
    }
    for (uint32_t i = 1; i < vcpus; i++) {
        *(volatile uint32_t *)(mailbox + 4) = i;
        *(volatile uint64_t *)(mailbox + 8) = (uintptr_t)hostile_wakeup;
        *(volatile uint16_t *)mailbox = 1;
        while (*(volatile uint16_t *)mailbox) {
            td_pause();
        }
    }
}

static void wait_for_all(uint32_t *count)
{
    __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < vcpus) {
        td_pause();
    }
}

static void do_it(uint32_t index)
{
    wait_for_all(&ready);
    if (index == 0 || work->by_all) {
        work->run(index);
    }
    wait_for_all(&finished);
}

_Noreturn void hostile_other(uint32_t index)
{
    make_tables();
    make_idt(index);
    do_it(index);
    for (;;) {
        td_pause();
    }
}

_Noreturn void hostile_first(const uint8_t *boot_params)
{
    struct td_regs info = {.rax = TDG_VP_INFO};

    tdcall(&info);
    shared_bit = 1ull << ((info.rcx & 63) - 1);
    read_memory((uintptr_t)boot_params);
    make_tables();
    make_idt(0);
    read_command_line((const char *)number_at((uintptr_t)boot_params + BOOT_COMMAND_LINE, 4));
    say("hostile: begins\r\n");
    wake_others(find_table(number_at(number_at((uintptr_t)boot_params + BOOT_RSDP, 8) + RSDP_XSDT, 8), "APIC"));
    do_it(0);
    say("hostile: all is done\r\n");
    power_off();
    spin(0);
    __builtin_unreachable();
}
