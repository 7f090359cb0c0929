/*
 * The VMM's own errors. A SEAMCALL's answer stays a tdx_status_t (tdx/status.h); ERR_TDX says "look at the status that
 * came with it". Bad input, firmware and resource errors are values, never a panic.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

/* clang-format off */
#define ERR_LIST(X)                                                      \
    X(ERR_OK, "ok")                                                      \
    X(ERR_NO_MEMORY, "out of memory")                                    \
    X(ERR_UNALIGNED, "address or length is not aligned")                 \
    X(ERR_RANGE, "address or length is out of range")                    \
    X(ERR_ARGUMENT, "bad argument")                                      \
    X(ERR_STATE, "not possible in this state")                           \
    X(ERR_NOT_FOUND, "not found")                                        \
    X(ERR_EXISTS, "exists already")                                      \
    X(ERR_BUSY, "busy, retries used up")                                 \
    X(ERR_TIMEOUT, "timed out")                                          \
    X(ERR_INTERRUPTED, "interrupted")                                    \
    X(ERR_UNSUPPORTED, "not supported")                                  \
    X(ERR_PLATFORM, "the platform lacks something")                      \
    X(ERR_ATTR_MISMATCH, "private access to shared memory")              \
    X(ERR_NO_PROGRESS, "the same fault repeats without progress")        \
    X(ERR_LOST, "the memory is lost: a cache flush of it failed")        \
    X(ERR_TDX, "the TDX module refused")                                 \
    X(ERR_TD_DEAD, "the TD is dead")
/* clang-format on */

enum err {
#define X(code, text) code,
    ERR_LIST(X)
#undef X
};

/* One line of English, no full stop. */
const char *err_text(enum err e);

#endif
