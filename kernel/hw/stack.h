/* Leaving the firmware's stack for our own, once. kernel/hw/traps.asm. */
#ifndef KERNEL_HW_STACK_H
#define KERNEL_HW_STACK_H

_Noreturn void stack_switch(void *top, void (*to)(void *), void *arg);

#endif
