/*
 * SHA-384 of the packaged LibTomCrypt behind sim/module/platform.h. The library is built for a process: it uses SSE registers,
 * which belong to the VMM here, and its stack protector reads a word at FS:28h. Both are lent to it around each call. Of a C
 * library it wants four functions (sim/string.c) and the two below.
 */
#include <tomcrypt.h>

#include "sim/machine/cpu.h"
#include "sim/machine/hw/cpu.h"
#include "sim/machine/log.h"
#include "sim/module/platform.h"

#define MSR_FS_BASE 0xc0000100

_Static_assert(sizeof(struct sha512_state) <= PLAT_SHA384_BYTES, "the member of hash_state that SHA-384 uses");

void __stack_chk_fail(void);

/* FXSAVE area and a thread block whose word at 28h is the stack protector's. Used with GIF = 0. */
struct lent {
    u8 fx[512];
    u64 thread[8];
    u64 fs_base;
} __attribute__((aligned(64)));
static struct lent lents[MACHINE_CPUS_MAX]; /* per CPU */

static void lend(void)
{
    struct lent *lent = &lents[cpu_this()->index];
    lent->fs_base = cpu_rdmsr(MSR_FS_BASE);
    cpu_fxsave(lent->fx);
    cpu_wrmsr(MSR_FS_BASE, (u64)lent->thread);
}

static void give_back(void)
{
    const struct lent *lent = &lents[cpu_this()->index];
    cpu_wrmsr(MSR_FS_BASE, lent->fs_base);
    cpu_fxrstor(lent->fx);
}

void plat_sha384_begin(void *state)
{
    lend();
    sha384_init(state);
    give_back();
}

void plat_sha384_add(void *state, const void *data, size_t bytes)
{
    lend();
    sha384_process(state, data, bytes);
    give_back();
}

void plat_sha384_end(void *state, u8 digest[48])
{
    lend();
    sha384_done(state, digest);
    give_back();
}

void crypt_argchk(const char *what, const char *file, int line)
{
    sim_stop("broken: %s, line %d: %s", file, line, what);
}

void __stack_chk_fail(void)
{
    sim_stop("broken: the stack of a library function was overwritten");
}
