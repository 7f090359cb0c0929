/*
 * Measurement of what the VMM handed over: SHA-384 of the packaged LibTomCrypt, TDG.MR.RTMR.EXTEND. The library is built for a
 * process; of a C library it wants the functions of guest/lib/runtime.h and the two below.
 */
#include <tomcrypt.h>

#include "guest/hw/td.h"
#include "guest/shim/shim.h"

#define TDG_MR_RTMR_EXTEND 2
#define DIGEST_BYTES       48

void __stack_chk_fail(void);

void shim_measure(uint32_t index, const void *data, uint64_t bytes)
{
    static hash_state state;
    static uint8_t digest[64] __attribute__((aligned(64)));

    sha384_init(&state);
    sha384_process(&state, data, bytes);
    sha384_done(&state, digest);
    struct td_regs r = {.rax = TDG_MR_RTMR_EXTEND, .rcx = (uintptr_t)digest, .rdx = index};
    tdcall(&r);
    if (r.rax) {
        shim_fatal("shim: RTMR.EXTEND is refused: ", r.rax);
    }
}

void crypt_argchk(const char *what, const char *file, int line)
{
    (void)what;
    (void)file;
    shim_fatal("shim: broken: the SHA-384 is called wrongly, line ", (uint64_t)line);
}

void __stack_chk_fail(void)
{
    shim_fatal("shim: broken: the SHA-384 overwrote its stack ", 0);
}
