/* See stack.h. Under each stack lies a page that is not there, so that one that is too small ends the process. */
#define _GNU_SOURCE /* MAP_STACK */
#include "lab/stack.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define STACK_BYTES (256ul << 10)
#define GUARD_BYTES 4096ul
#define KEPT_WORDS  7 /* six registers and where to return to */

/* switch.asm */
void stack_leave(void **keep, void *to);
void stack_begin(void);

static void *take(void)
{
    char *at =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED || mprotect(at, GUARD_BYTES, PROT_NONE) != 0) {
        perror("lab: a stack");
        exit(1);
    }
    return at;
}

void stack_aim(struct stack *s, void (*to)(void *arg), void *arg)
{
    if (!s->memory)
        s->memory = take();
    /* R15, R14, R13, R12, RBP, RBX, where to return to; there the stack is aligned to 16 for the call that follows. */
    uintptr_t *top = (uintptr_t *)((char *)s->memory + STACK_BYTES) - KEPT_WORDS;
    top[0] = top[1] = top[4] = top[5] = 0;
    top[2] = (uintptr_t)arg;
    top[3] = (uintptr_t)to;
    top[6] = (uintptr_t)stack_begin;
    s->kept = top;
}

void stack_switch_to(struct stack *from, const struct stack *to)
{
    stack_leave(&from->kept, to->kept);
}
