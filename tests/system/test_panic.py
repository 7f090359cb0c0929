"""A Septum that breaks says where, and the runner turns its return addresses into names."""
import re
import socket
import subprocess
import time

from conftest import BOOT_S, BUILD, ROOT, Septum

RIP, EFLAGS = 16, 17  # numbers of the registers in gdb's remote protocol
EFLAGS_IF = 0x200
NOWHERE = 0x7F00DEAD0000
HANG_CPUS = 3


class Remote:
    """As much of gdb's remote protocol as it takes to stop a CPU and to send it elsewhere."""

    def __init__(self, port):
        # QEMU listens a moment after the runner has told where.
        end = time.monotonic() + 20
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
                return
            except ConnectionRefusedError:
                assert time.monotonic() < end
                time.sleep(0.05)

    def send(self, text):
        checksum = sum(text.encode()) % 256
        self.socket.sendall(f"${text}#{checksum:02x}".encode())

    def receive(self):
        data = b""
        while not re.search(rb"\$[^#]*#..", data):
            data += self.socket.recv(4096)
        self.socket.sendall(b"+")
        return re.search(rb"\$([^#]*)#", data).group(1).decode()

    def interrupt(self):
        self.socket.sendall(b"\x03")
        return self.receive()

    def ask(self, text):
        self.send(text)
        return self.receive()

    def use_cpu(self, cpu, cpus):
        """The CPU of so many whose registers are meant: QEMU's last one is the first then (sim/machine/relief.h). QEMU tells them
        one by one to those only who have read which ones there are."""
        self.ask("qXfer:features:read:target.xml:0,1000")
        assert self.ask(f"Hg{(cpu or cpus) + 1:x}") == "OK"

    def register(self, number):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")

    def set_register(self, number, value, size=8):
        return self.ask(f"P{number:x}={value.to_bytes(size, 'little').hex()}")


def connect(machine):
    """The machine begins to run."""
    machine.child.expect(r"target remote 127\.0\.0\.1:(\d+)\D")
    remote = Remote(int(machine.child.match.group(1)))
    remote.send("c")
    return remote


def test_panic_names_where_it_was(tmp_path):
    log = tmp_path / "log"
    machine = Septum("--gdb", "--smp", "2", "--log", str(log))
    try:
        remote = connect(machine)
        machine.wait_for_prompt(BOOT_S)
        time.sleep(0.3)
        assert remote.interrupt().startswith(("T", "S"))
        remote.use_cpu(0, 2)
        assert remote.set_register(RIP, NOWHERE) == "OK"
        remote.send("c")
        machine.child.expect(r"panic on CPU 0: ([^\r\n]*)\r", timeout=20)
        machine.child.expect("halted", timeout=20)
        report = machine.child.before
        assert "cr2=0x7f00dead0000" in report
        # The frames below the wild jump: whatever waited for input, called by kernel_start.
        assert re.search(r"\n    .*kernel_start at start\.c:\d+", report), report
        # The other CPU waits for work: its registers, and where it was.
        assert re.search(r"CPU 1 was at\s+\+0x[0-9a-f]+\s+irq_wait at traps\.c:\d+", report), report
        assert len(re.findall(r"rax=[0-9a-f]{16} rbx=", report)) == 2
        machine.child.expect("Septum panicked", timeout=20)
        machine.child.wait()
        assert machine.child.exitstatus == 125
        # The log as a serial console's capture has it, with a time in front of each line.
        captured = "".join(f"07:59:01.123 {line}\n" for line in log.read_text(encoding="latin-1").splitlines())
        named = subprocess.run([str(ROOT / "tools" / "symbols"), "--build", str(BUILD)], input=captured, text=True,
                               stdout=subprocess.PIPE, check=True).stdout
        assert re.search(r"\n    irq_wait at traps\.c:\d+\n", named) and "kernel_start at start.c" in named, named
    finally:
        machine.stop()


def hang(machine, remote, cpu):
    """At the prompt a CPU is halted until an interrupt comes; from now on none comes through."""
    machine.wait_for_prompt(BOOT_S)
    time.sleep(0.3)
    assert remote.interrupt().startswith(("T", "S"))
    remote.use_cpu(cpu, HANG_CPUS)
    flags = remote.register(EFLAGS)
    assert flags & EFLAGS_IF, "not halted"
    assert remote.set_register(EFLAGS, flags & ~EFLAGS_IF, 4) == "OK"
    remote.send("c")


def test_a_hang_is_a_panic():
    """No counter of cycles on the simulated platform: the last CPU looks at the first, which looks at the others."""
    machines, remotes = [], []
    try:
        for _ in range(2):
            machines.append(Septum("--gdb", "--smp", str(HANG_CPUS)))
            remotes.append(connect(machines[-1]))
        for cpu, machine in enumerate(machines):
            hang(machine, remotes[cpu], cpu)
        for cpu, machine in enumerate(machines):
            machine.child.expect(r"panic on CPU (\d+): ([^\r\n]*)\r", timeout=120)
            assert machine.child.match.groups() == (str(cpu), "this CPU hangs: it has had interrupts off for 10 s")
            machine.child.expect(r'"cmd":"panic","ok":false', timeout=20)
            report = machine.child.before
            own, *others = re.split(r"CPU \d was at", report)
            assert not int(re.search(r"vector=2 error=0x0 rflags=0x([0-9a-f]+)", own).group(1), 16) & EFLAGS_IF, report
            assert re.search(r"\n    irq_wait at traps\.c:\d+", own), report
            assert len(others) == 2, report
            assert len(re.findall(r"rax=[0-9a-f]{16} rbx=", report)) == 3
    finally:
        for machine in machines:
            machine.stop()
