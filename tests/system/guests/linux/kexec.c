/*
 * kexec KERNEL INITRD COMMAND-LINE: loads a kernel and goes to it at once. A program for the guest, without a libc: system calls as
 * in Linux' arch/x86/entry/syscalls/syscall_64.tbl, the start as in the System V ABI.
 */
#define SYS_WRITE           1
#define SYS_OPEN            2
#define SYS_EXIT            60
#define SYS_REBOOT          169
#define SYS_KEXEC_FILE_LOAD 320
#define REBOOT_MAGIC        0xfee1deadl
#define REBOOT_MAGIC2       672274793l
#define REBOOT_KEXEC        0x45584543l

static long call(long number, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

static long length(const char *s)
{
    long n = 0;

    while (s[n] != '\0')
        n++;
    return n;
}

static void leave(const char *why, long error)
{
    char number[] = ", error 000\n";

    for (long i = 10, left = -error; i > 7; i--, left /= 10)
        number[i] = (char)('0' + left % 10);
    call(SYS_WRITE, 2, (long)why, length(why), 0, 0);
    call(SYS_WRITE, 2, (long)number, length(number), 0, 0);
    call(SYS_EXIT, 1, 0, 0, 0, 0);
}

void start(const long *stack);

__attribute__((used)) void start(const long *stack)
{
    const char *const *argv = (const char *const *)(stack + 1);

    if (stack[0] != 4)
        leave("kexec KERNEL INITRD COMMAND-LINE", 0);
    long kernel = call(SYS_OPEN, (long)argv[1], 0, 0, 0, 0);
    long initrd = call(SYS_OPEN, (long)argv[2], 0, 0, 0, 0);
    if (kernel < 0 || initrd < 0)
        leave("kexec: a file cannot be opened", kernel < 0 ? kernel : initrd);
    long done = call(SYS_KEXEC_FILE_LOAD, kernel, initrd, length(argv[3]) + 1, (long)argv[3], 0);
    if (done < 0)
        leave("kexec: the kernel cannot be loaded", done);
    leave("kexec: the kernel was not begun", call(SYS_REBOOT, REBOOT_MAGIC, REBOOT_MAGIC2, REBOOT_KEXEC, 0, 0));
}

__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
