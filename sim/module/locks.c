/* Locks that never wait: see locks.h. Each attempt is one atomic operation on shared state. */
#include "sim/module/call.h"
#include "sim/module/sept.h"

#define EXCLUSIVE    1u
#define PLAIN_SHARER 2u
#define HP_MARK      2u
#define HP_SHARER    4u

static bool swap16(u16 *lock, u16 *seen, u16 value)
{
    return __atomic_compare_exchange_n(lock, seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static enum lock_result take_plain(u16 *lock, enum lock_mode mode)
{
    u16 seen = __atomic_load_n(lock, __ATOMIC_SEQ_CST);
    do {
        if (mode == LOCK_EXCLUSIVE ? seen != 0 : seen & EXCLUSIVE)
            return LOCK_BUSY;
    } while (!swap16(lock, &seen, mode == LOCK_EXCLUSIVE ? EXCLUSIVE : seen + PLAIN_SHARER));
    return LOCK_TAKEN;
}

static enum lock_result take_host_priority(u16 *lock, enum lock_mode mode, bool guest)
{
    u16 seen = __atomic_load_n(lock, __ATOMIC_SEQ_CST);
    for (;;) {
        bool busy = mode == LOCK_EXCLUSIVE ? (seen & ~HP_MARK) != 0 : seen & EXCLUSIVE;
        u16 taken = mode == LOCK_EXCLUSIVE ? EXCLUSIVE : (seen & ~HP_MARK) + HP_SHARER;
        if (guest && seen & HP_MARK && (!busy || mode == LOCK_SHARED))
            return LOCK_BUSY_HOST_PRIORITY;
        if (busy && guest)
            return LOCK_BUSY;
        if (swap16(lock, &seen, busy ? seen | HP_MARK : taken))
            return busy ? LOCK_BUSY : LOCK_TAKEN;
    }
}

static enum lock_result take_sept_entry(u64 *entry, bool guest)
{
    u64 seen = __atomic_load_n(entry, __ATOMIC_SEQ_CST);
    for (;;) {
        bool busy = seen & SEPT_LOCK;
        if (busy && guest)
            return LOCK_BUSY;
        if (!busy && guest && seen & SEPT_HOST_PRIORITY)
            return LOCK_BUSY_HOST_PRIORITY;
        u64 value = busy ? seen | SEPT_HOST_PRIORITY : (seen & ~SEPT_HOST_PRIORITY) | SEPT_LOCK;
        if (__atomic_compare_exchange_n(entry, &seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return busy ? LOCK_BUSY : LOCK_TAKEN;
    }
}

enum lock_result mdl_lock(struct seam_lp *lp, struct lock_list *list, void *lock, enum lock_kind kind,
                          enum lock_mode mode, bool guest)
{
    plat_atomic_point(lp);
    enum lock_result result;
    if (kind == LOCK_PLAIN)
        result = take_plain(lock, mode);
    else if (kind == LOCK_HOST_PRIORITY)
        result = take_host_priority(lock, mode, guest);
    else
        result = take_sept_entry(lock, guest);
    if (result != LOCK_TAKEN)
        return result;
    MDL_CHECK(list->count < HELD_MAX, "a call holds more locks than its list has room for");
    list->held[list->count++] = (struct held_lock){lock, kind, mode};
    return LOCK_TAKEN;
}

bool mdl_is_exclusive(const u16 *lock)
{
    return __atomic_load_n(lock, __ATOMIC_SEQ_CST) & EXCLUSIVE;
}

static struct held_lock *find_held(struct lock_list *list, const void *lock)
{
    for (unsigned i = list->count; i > 0; i--)
        if (list->held[i - 1].lock == lock)
            return &list->held[i - 1];
    plat_broken(__FILE__, __LINE__, "a lock is to be released that the call does not hold");
}

enum lock_result mdl_lock_promote(struct seam_lp *lp, struct lock_list *list, void *lock)
{
    struct held_lock *held = find_held(list, lock);
    MDL_CHECK(held->mode == LOCK_SHARED && held->kind == LOCK_HOST_PRIORITY, "only a shared lock can be promoted");
    plat_atomic_point(lp);
    u16 *word = lock, seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    bool alone;
    do {
        alone = (seen & ~HP_MARK) == HP_SHARER;
    } while (!swap16(word, &seen, alone ? EXCLUSIVE : seen | HP_MARK));
    if (alone)
        held->mode = LOCK_EXCLUSIVE;
    return alone ? LOCK_TAKEN : LOCK_BUSY;
}

static void give_back(const struct held_lock *held)
{
    u16 *word = held->lock;
    if (held->kind == LOCK_SEPT_ENTRY)
        __atomic_fetch_and((u64 *)held->lock, ~SEPT_LOCK, __ATOMIC_SEQ_CST);
    else if (held->mode == LOCK_SHARED)
        __atomic_fetch_sub(word, held->kind == LOCK_PLAIN ? PLAIN_SHARER : HP_SHARER, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(word, held->kind == LOCK_PLAIN ? 0 : HP_MARK, __ATOMIC_SEQ_CST);
}

void mdl_unlock_forget(struct lock_list *list, void *lock)
{
    struct held_lock *held = find_held(list, lock);
    for (; held < &list->held[list->count - 1]; held++)
        held[0] = held[1];
    list->count--;
}

void mdl_unlock(struct seam_lp *lp, struct lock_list *list, void *lock)
{
    plat_atomic_point(lp);
    give_back(find_held(list, lock));
    mdl_unlock_forget(list, lock);
}

void mdl_unlock_to(struct seam_lp *lp, struct lock_list *list, unsigned keep)
{
    while (list->count > keep) {
        plat_atomic_point(lp);
        give_back(&list->held[--list->count]);
    }
}

bool mdl_try_sept_entry(struct seam_lp *lp, u64 *entry)
{
    plat_atomic_point(lp);
    return take_sept_entry(entry, false) == LOCK_TAKEN;
}

void mdl_release_sept_entry(struct seam_lp *lp, u64 *entry)
{
    plat_atomic_point(lp);
    __atomic_fetch_and(entry, ~SEPT_LOCK, __ATOMIC_SEQ_CST);
}

u64 mdl_call_lock(struct call *c, void *lock, enum lock_kind kind, enum lock_mode mode, unsigned operand)
{
    switch (mdl_lock(c->lp, &c->locks, lock, kind, mode, c->guest)) {
    case LOCK_TAKEN:
        return TDX_SUCCESS;
    case LOCK_BUSY_HOST_PRIORITY:
        return status_operand(TDX_OPERAND_BUSY_HOST_PRIORITY, operand);
    default:
        return status_operand(TDX_OPERAND_BUSY, operand);
    }
}

void mdl_call_unlock(struct call *c, void *lock)
{
    mdl_unlock(c->lp, &c->locks, lock);
}
