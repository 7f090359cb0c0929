/* See steps.h. x86-64 Linux: ptrace(). */
#define _GNU_SOURCE
#include "tests/bench/steps.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/uncounted.h"
#include "tests/bench/world.h"

#define BREAKPOINT 0xccul

/* Stops for the parent, which steps from here to the call and through it. */
__attribute__((noinline)) static void call_measured(void (*work)(void *arg), void *arg)
{
    work(arg);
    __asm__ volatile("" : : : "memory"); /* no tail call: work() returns here */
}

void steps_measured(void (*work)(void *arg), void *arg)
{
    uncounted_apart = true;
    raise(SIGSTOP);
    call_measured(work, arg);
    uncounted_apart = false;
}

/* --- the parent --------------------------------------------------------------------------------------------------- */

static struct user_regs_struct regs_of(pid_t child)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, child, NULL, &regs))
        world_fail("PTRACE_GETREGS", (u64)errno);
    return regs;
}

/* False: the child has ended. */
static bool go_on(pid_t child, int request)
{
    int status;
    if (ptrace((enum __ptrace_request)request, child, NULL, NULL) || waitpid(child, &status, 0) != child)
        world_fail("stepping a child", (u64)errno);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return false;
    if (!WIFSTOPPED(status))
        world_fail("a child that is counted", (u64)status);
    return true;
}

/* Where the function that the child has just entered returns to. */
static u64 return_address(pid_t child)
{
    return (u64)ptrace(PTRACE_PEEKDATA, child, (void *)regs_of(child).rsp, NULL);
}

static void run_to(pid_t child, u64 address)
{
    long code = ptrace(PTRACE_PEEKTEXT, child, (void *)address, NULL);
    (void)ptrace(PTRACE_POKETEXT, child, (void *)address, (void *)(((u64)code & ~0xfful) | BREAKPOINT));
    if (!go_on(child, PTRACE_CONT))
        world_fail("a child ended while counted", address);
    (void)ptrace(PTRACE_POKETEXT, child, (void *)address, (void *)code);
    struct user_regs_struct regs = regs_of(child);
    regs.rip = address;
    (void)ptrace(PTRACE_SETREGS, child, NULL, &regs);
}

static bool is_uncounted(u64 rip)
{
    for (unsigned i = 0; i < UNCOUNTED_FUNCTIONS; i++)
        if (rip == uncounted_entries[i])
            return true;
    return false;
}

/* From the stop in steps_measured() to behind the work. */
static u64 count_one(pid_t child)
{
    run_to(child, (u64)(uintptr_t)call_measured);
    u64 count = 0, end = return_address(child), stack = regs_of(child).rsp;
    for (;;) {
        struct user_regs_struct regs = regs_of(child);
        if (regs.rip == end && regs.rsp > stack)
            return count;
        if (is_uncounted(regs.rip)) {
            run_to(child, return_address(child));
            continue;
        }
        count++;
        if (!go_on(child, PTRACE_SINGLESTEP))
            world_fail("a child ended while counted", end);
    }
}

unsigned steps_count(void (*child)(void *arg), void *arg, u64 *counts, unsigned max)
{
    unsigned found = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            world_fail("PTRACE_TRACEME", (u64)errno);
        raise(SIGSTOP);
        child(arg);
        _exit(0);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        world_fail("a child to count", (u64)errno);
    while (go_on(pid, PTRACE_CONT))
        if (found < max)
            counts[found++] = count_one(pid);
    return found;
}
