/*
 * The experiment `linux-boot`: what does the boot of an unmodified Linux in a TD cost, with memory mapped by pages of 2M or of
 * 4K, and accepted at once or when the kernel wants it? Each boot ends when the guest says the text `until`, at its shell; then
 * the TD is torn down.
 */
#include "kernel/console/guest_wait.h"
#include "kernel/experiment/world.h"
#include "kernel/time.h"
#include "kernel/vm/ghci/ghci.h"
#include "lib/bits.h"
#include "lib/string.h"

enum { MEM, VCPUS, TIMEOUT };
enum { KERNEL, INITRD, CMDLINE, UNTIL, LEVEL, ACCEPT };

static const level_t levels[] = {LEVEL_2M, LEVEL_4K};
static const char *const ways[] = {"eager", "lazy"};

#define UNTIL_DEFAULT "guest: shell"
#define VMCALLS_MAX   32u
#define US            1000000ull

/* What a sample counts beside struct world_counts. */
struct counts {
    struct world_counts world;
    u64 exits[TDX_EXIT_REASON_COUNT_MAX], vmcalls[VMCALLS_MAX];
};

struct boot {
    level_t level;
    bool lazy;
    u64 create_us, first_us, until_us; /* the last two since it runs: its first byte, the text */
    struct tdp_sizes sizes;
};

static struct counts from, to; /* too large for the stack */

static void look(struct counts *c)
{
    world_counts(&c->world);
    for (unsigned i = 0; i < TDX_EXIT_REASON_COUNT_MAX; i++)
        c->exits[i] = tdx_counts.exits[i];
    for (unsigned i = 0; i < VMCALLS_MAX && ghci_count(i).name != NULL; i++)
        c->vmcalls[i] = ghci_count(i).count;
}

static void add_exits(struct json *j)
{
    json_object(j, "exits_by_reason");
    for (unsigned i = 0; i < TDX_EXIT_REASON_COUNT_MAX; i++)
        if (to.exits[i] != from.exits[i] && vcpu_exit_name(i) != NULL)
            json_number(j, vcpu_exit_name(i), to.exits[i] - from.exits[i]);
    json_end_object(j);
    json_object(j, "vmcalls");
    for (unsigned i = 0; i < VMCALLS_MAX && ghci_count(i).name != NULL; i++)
        if (to.vmcalls[i] != from.vmcalls[i])
            json_number(j, ghci_count(i).name, to.vmcalls[i] - from.vmcalls[i]);
    json_end_object(j);
}

static void sample(struct experiment_run *x, const struct boot *b)
{
    struct json *j = sample_begin(x);

    json_text(j, "version", vm.linux.version);
    json_text(j, "level", level_name(b->level));
    json_text(j, "accept", ways[b->lazy]);
    json_number(j, "vcpus", vm.vcpu_count);
    json_number(j, "mem", vm.memory_bytes);
    json_number(j, "create_us", b->create_us);
    json_number(j, "first_us", b->first_us);
    json_number(j, "until_us", b->until_us);
    json_object(j, "mapped_bytes");
    for (unsigned i = 0; i < ARRAY_COUNT(b->sizes.mapped); i++)
        json_number(j, level_name((level_t){(u8)i}), b->sizes.mapped[i]);
    json_end_object(j);
    json_number(j, "shared_bytes", b->sizes.shared);
    world_add_counts(j, &from.world, &to.world);
    add_exits(j);
    sample_end(x);
}

/* How long after `begun` the guest says it. */
static enum err wait_for(struct experiment_run *x, const char *text, u64 begun, u64 *us)
{
    struct guest_place place = {.at = guest_console_begin()};
    u64 seconds = x->values[TIMEOUT];
    char why[GUEST_WHY_BYTES];
    enum guest_heard how = guest_wait(&place, text, begun + seconds * US);

    *us = time_us() - begun;
    if (how == GUEST_HEARD)
        return ERR_OK;
    return fault_say(&x->fault, how == GUEST_STOPPED ? ERR_INTERRUPTED : ERR_TIMEOUT, "%s",
                     guest_why_not(how, text, seconds, why));
}

static enum err create(struct experiment_run *x, struct boot *b)
{
    const struct vm_config config = {
        .kind = VM_LINUX,
        .memory_bytes = x->values[MEM] * MIB,
        .vcpus = (unsigned)x->values[VCPUS],
        .level = b->level,
        .node = PAGE_ANY_NODE,
        .kernel = x->chosen[KERNEL],
        .initrd = x->chosen[INITRD],
        .command_line = x->chosen[CMDLINE],
        .accepts_lazily = b->lazy,
    };
    u64 begun = time_us();
    enum err e = vm_create(&config, &x->fault);

    b->create_us = time_us() - begun;
    return e;
}

static enum err boot(struct experiment_run *x, struct boot *b)
{
    const char *until = x->chosen[UNTIL] != NULL ? x->chosen[UNTIL] : UNTIL_DEFAULT;

    experiment_progress(x, "linux-boot: by %s, accepted %s", level_name(b->level), b->lazy ? "lazily" : "at once");
    enum err e = create(x, b);
    look(&from);
    u64 begun = time_us();
    if (e == ERR_OK)
        e = vm_run(&x->fault);
    if (e == ERR_OK)
        e = wait_for(x, "\n", begun, &b->first_us);
    if (e == ERR_OK)
        e = wait_for(x, until, begun, &b->until_us);
    if (e != ERR_OK)
        return e;
    look(&to);
    e = world_did(x, "counting what is mapped", tdp_sizes(vm.tdp, &b->sizes));
    if (e == ERR_OK)
        sample(x, b);
    return e;
}

static const char *name_level(unsigned n)
{
    return n < ARRAY_COUNT(levels) ? level_name(levels[n]) : NULL;
}

static const char *name_way(unsigned n)
{
    return n < ARRAY_COUNT(ways) ? ways[n] : NULL;
}

static bool is_chosen(const struct experiment_run *x, unsigned choice, const char *name)
{
    return x->chosen[choice] == NULL || strcmp(x->chosen[choice], name) == 0;
}

static enum err run(struct experiment_run *x)
{
    enum err e = ERR_OK;

    for (unsigned i = 0; i < ARRAY_COUNT(levels) * ARRAY_COUNT(ways) && e == ERR_OK; i++) {
        struct boot b = {.level = levels[i / ARRAY_COUNT(ways)], .lazy = i % ARRAY_COUNT(ways)};
        struct fault_text why;
        if (!is_chosen(x, LEVEL, level_name(b.level)) || !is_chosen(x, ACCEPT, ways[b.lazy]))
            continue;
        e = boot(x, &b);
        why = x->fault;
        enum err end = world_end(x);
        if (e != ERR_OK)
            x->fault = why;
        else
            e = end;
    }
    return e;
}

const struct experiment experiment_linux_boot = {
    .name = "linux-boot",
    .question = "what does the boot of a Linux cost, by pages of 2M or 4K, accepted at once or lazily?",
    .parameters = {[MEM] = {"mem", "MiB", "of the TD", 1024, 128, 1048576},
                   [VCPUS] = {"vcpus", "", "of the TD", 1, 1, TD_VCPUS_MAX},
                   [TIMEOUT] = {"timeout", "s", "for each boot", 300, 1, 86400}},
    .choices = {[KERNEL] = {"kernel", "a bzImage of the boot volume's folder linux", NULL, NULL},
                [INITRD] = {"initrd", "and an initrd", NULL, NULL},
                [CMDLINE] = {"cmdline", "the kernel's command line, between quotes", NULL, NULL},
                [UNTIL] = {"until", "what the guest says at the end, \"" UNTIL_DEFAULT "\" else", NULL, NULL},
                [LEVEL] = {"level", "the largest page, one alone", name_level, NULL},
                [ACCEPT] = {"accept", "one way alone", name_way, NULL}},
    .run = run,
};
