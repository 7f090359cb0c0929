/*
 * registers [processes [rounds]]: does a process find in its XMM registers what it left there, whoever ran on its CPU meanwhile? Each
 * process fills all of them with numbers of its own, spins for a while, yields or sleeps, and looks. One line tells the sum of
 * all; the status is 0 only if nothing was lost. A static program for the guest.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REGISTERS 16u
#define SLEEP_NS  50000
#define SPINS_MAX 100000u

struct numbers {
    uint64_t words[REGISTERS][2];
} __attribute__((aligned(16)));

#define EACH_REGISTER(move)                                                                                            \
    move(0) move(1) move(2) move(3) move(4) move(5) move(6) move(7) move(8) move(9) move(10) move(11) move(12)         \
        move(13) move(14) move(15)
#define LOAD(n)  "movdqa " #n "*16(%[in]), %%xmm" #n "\n"
#define STORE(n) "movdqa %%xmm" #n ", " #n "*16(%[out])\n"
#define NAME(n)  , "xmm" #n

/* Nothing that the compiler knows of comes between the two moves. */
static void pass_time(const struct numbers *in, struct numbers *out, uint64_t spins, long call, const void *argument)
{
    register long second __asm__("rsi") = 0;

    __asm__ volatile(EACH_REGISTER(LOAD) "1: dec %[spins]\n jnz 1b\n syscall\n" EACH_REGISTER(STORE)
                     : "+a"(call), [spins] "+r"(spins), "+D"(argument), "+r"(second)
                     : [in] "r"(in), [out] "r"(out)
                     : "rcx", "r11", "memory" EACH_REGISTER(NAME));
}

static int loses(uint64_t seed, unsigned round)
{
    static const long calls[] = {SYS_sched_yield, SYS_nanosleep, SYS_getpid};
    const struct timespec sleep = {0, SLEEP_NS};
    struct numbers in, out;

    for (unsigned i = 0; i < REGISTERS; i++) {
        in.words[i][0] = seed << 32 | round << 8 | i;
        in.words[i][1] = ~in.words[i][0];
    }
    pass_time(&in, &out, (seed * 7919 + round * 104729) % SPINS_MAX + 1, calls[round % 3], &sleep);
    return memcmp(&in, &out, sizeof(in)) != 0;
}

int main(int argc, char **argv)
{
    int processes = argc > 1 ? atoi(argv[1]) : 8, rounds = argc > 2 ? atoi(argv[2]) : 1000, lost = 0, status;

    for (int i = 1; i <= processes; i++) {
        int any = 0;
        if (fork() != 0)
            continue;
        for (int round = 0; round < rounds; round++)
            any |= loses((uint64_t)i, (unsigned)round);
        _exit(any);
    }
    for (int i = 0; i < processes; i++)
        lost += wait(&status) < 0 || status != 0;
    printf("registers: %d of %d processes lost some\n", lost, processes);
    return lost != 0;
}
