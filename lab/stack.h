/*
 * Stacks of one thread that take turns: each CPU of the lab runs the VMM on one, and each vCPU its payload on another.
 * lab/hw/switch.asm.
 */
#ifndef LAB_STACK_H
#define LAB_STACK_H

struct stack {
    void *kept;   /* its stack pointer while another one runs */
    void *memory; /* NULL: not made yet */
};

/* The next stack_leave() to it calls to(arg), which must not return. What ran there before is forgotten. */
void stack_aim(struct stack *s, void (*to)(void *arg), void *arg);
/* Goes on at `to`; returns when somebody leaves to `from`. */
void stack_switch_to(struct stack *from, const struct stack *to);

#endif
