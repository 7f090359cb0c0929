"""QEMU as the machine Septum boots on: finding it, its command line, and never leaving one behind.

The command line is the one that the simulated platform's hypervisor is known to run under: q35, TCG or KVM with SVM, no
default devices, the boot volume on virtio (or what --storage says), one serial port.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess

QEMU = "qemu-system-x86_64"
# One file with code and variables, best first; SEPTUM_OVMF names another.
FIRMWARE = [
    "/usr/share/ovmf/OVMF.fd",
    "/usr/share/qemu/OVMF.fd",
    "/usr/share/OVMF/OVMF.fd",
    "/usr/share/edk2/ovmf/OVMF.fd",
    "/usr/share/edk2-ovmf/x64/OVMF.fd",
]
# What the boot volume hangs on. virtio is the one that the simulated platform is run with most; q35 has an AHCI controller itself.
STORAGE = {
    "virtio": ["virtio-blk-pci,drive=boot"],
    "ahci": ["ide-hd,drive=boot"],
    "nvme": ["nvme,drive=boot,serial=septum"],
    "usb": ["qemu-xhci", "usb-storage,drive=boot"],
}
PR_SET_PDEATHSIG = 1
# From the registers of a TPM to the end of the 32-bit address space, where the firmware's flash ends.
FLASH_BYTES = 2**32 - 0xFED40000
FLASH_ALIGN = 65536


class CannotStart(Exception):
    """Something that the machine needs is missing; the text says what and how to get it."""


def find_qemu(wanted=None):
    name = wanted or os.environ.get("SEPTUM_QEMU", QEMU)
    path = shutil.which(name)
    if not path:
        raise CannotStart(f"{name} not found; on Debian and Ubuntu: apt-get install qemu-system-x86")
    return path


def find_firmware():
    wanted = os.environ.get("SEPTUM_OVMF")
    for path in [wanted] if wanted else FIRMWARE:
        if os.access(path, os.R_OK):
            return path
    if wanted:
        raise CannotStart(f"SEPTUM_OVMF names {wanted}, which cannot be read")
    raise CannotStart("no UEFI firmware (OVMF.fd) found; on Debian and Ubuntu: apt-get install ovmf")


def in_large_flash(firmware, folder):
    """The firmware in a flash that is erased down to the registers of a TPM. Where nothing is they read as zero, which
    firmware takes for a TPM that does not answer, and waits for it in a loop, two seconds of each boot."""
    with open(firmware, "rb") as file:
        content = file.read()
    erased = b"\xff" * (-(-FLASH_BYTES // FLASH_ALIGN) * FLASH_ALIGN - len(content))
    flash = folder / "flash.fd"
    flash.write_bytes(erased + content)
    return str(flash)


def check_kvm():
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise CannotStart("--accel kvm: /dev/kvm is missing or not accessible; use --accel tcg")
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        flags = next((line for line in cpuinfo if line.startswith("flags")), "")
    if "svm" not in flags.split():
        raise CannotStart("--accel kvm: this CPU has no SVM (AMD, nested=1); use --accel tcg")


def free_port(wanted):
    """`wanted` if nobody listens there, else any free TCP port of the local host."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
            except OSError:
                continue
    raise CannotStart("--gdb: no free TCP port")


def share(count, node, nodes):
    """What a node gets of `count`, in order: from, to."""
    return count * node // nodes, count * (node + 1) // nodes


def memory_words(size, nodes, smp):
    """The machine's memory, in one piece or shared out to NUMA nodes: this host has to have only what is touched of it. CPUs too,
    those of a node side by side."""
    words = ["-m", size]
    count, unit = int(size[:-1]), size[-1]
    if unit == "G":
        count, unit = count * 1024, "M"
    for node in range(nodes):
        first, past = share(count, node, nodes)
        words += ["-object", f"memory-backend-ram,id=ram{node},size={past - first}M,reserve=off"]
        if nodes > 1:
            first, past = share(smp, node, nodes)
            cpus = f",cpus={first}-{past - 1}" if first < past else ""
            words += ["-numa", f"node,nodeid={node},memdev=ram{node}{cpus}"]
    return words + ([] if nodes > 1 else ["-machine", "memory-backend=ram0"])


def cpus_of(args):
    """QEMU's CPUs: under TCG the simulated platform rests the first of several, with another in its place (docs/simulator.md)."""
    return args.smp + (args.smp > 1 and args.accel == "tcg" and not args.bare)


def command_line(qemu, firmware, image, args, gdb_port):
    cpu = args.cpu or ("max,phys-bits=48" if args.accel == "tcg" else "host")
    line = [qemu, "-accel", args.accel, "-machine", "q35", "-cpu", cpu, "-smp", str(cpus_of(args))]
    line += memory_words(args.mem, args.nodes, cpus_of(args))
    line += ["-nodefaults", "-net", "none", "-display", "none", "-no-reboot", "-bios", firmware]
    line += ["-drive", f"format=raw,file={image},if=none,id=boot"]
    for device in STORAGE[args.storage]:
        line += ["-device", device]
    line += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    if args.monitor:
        line += ["-monitor", f"unix:{args.monitor.replace(',', ',,')},server=on,wait=off"]
    if gdb_port:
        line += ["-gdb", f"tcp:127.0.0.1:{gdb_port}", "-S"]
    return line


def _die_with_parent(parent):
    """Between fork and exec: QEMU is killed when its parent goes, however that happens."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Machine:
    """One QEMU process. Its console is `input` (bytes to the serial port) and `output`."""

    def __init__(self, line):
        self.process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # Its own session: the terminal's ^C is for Septum, or for tools/run, but never for QEMU.
            start_new_session=True,
            preexec_fn=_die_with_parent(os.getpid()),
        )
        self.input = self.process.stdin
        self.output = self.process.stdout
        os.set_blocking(self.input.fileno(), False)
        os.set_blocking(self.output.fileno(), False)

    def stop(self):
        """Ends the process group and waits for it. Safe to call twice."""
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for pipe in (self.input, self.output):
            try:
                pipe.close()
            except OSError:
                pass
