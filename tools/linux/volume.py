"""What a Linux is booted with: a QEMU that is new enough, a kernel and an initrd, fetched where there are none."""
import os
import pathlib
import re
import subprocess

import initramfs
from packages import Missing, Packages
from runner.machine import CannotStart, find_qemu

QEMU_MIN = 10  # 7.2 loses what the kernel writes with CMPXCHG16B now and then

# There is no PCI, no timer but the local APIC's and the TSC, and nobody to defend against.
COMMAND_LINE = "console=ttyS0 quiet panic=-1 reboot=a pci=off tsc=reliable no_timer_check nokaslr no5lvl mitigations=off"


def is_new_enough(qemu):
    text = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)", text)
    return bool(found) and int(found.group(1)) >= QEMU_MIN


def choose_qemu(packages):
    """What SEPTUM_QEMU names is taken as it is."""
    if os.environ.get("SEPTUM_QEMU"):
        return find_qemu()
    try:
        installed = find_qemu()
    except CannotStart:
        installed = None
    return installed if installed and is_new_enough(installed) else str(packages.qemu())


def prepare(build, kernel=None, initrd=None, add=(), script=None, may_fetch=True, into=None, suite=None):
    """(QEMU, kernel, initrd). `add`: files for /tests of the guest; `script`: text that its shell runs; `into`: a folder for the
    initrd; `suite`: that kernel and busybox are of, in the place of the system's release."""
    folder = pathlib.Path(build) / "linux"
    folder.mkdir(parents=True, exist_ok=True)
    packages = Packages(folder, may_fetch)
    qemu = choose_qemu(packages)
    kernel, modules = (pathlib.Path(kernel), None) if kernel else Packages(folder, may_fetch, suite).kernel()
    if not kernel.is_file():
        raise Missing(f"--kernel {kernel}: there is no such file")
    if initrd:
        content = pathlib.Path(initrd).read_bytes()
    else:
        content = initramfs.build(packages.busybox(), modules, [pathlib.Path(name) for name in add])
    if script is not None:
        content = initramfs.with_script(content, script.encode() + b"\n")
    path = (into or folder) / "initrd"
    path.write_bytes(content)
    return qemu, kernel, path
