"""Where the console is on a machine that is no PC with COM1: on COM2, on a PCI adapter that SPCR names, nowhere."""
import struct
import subprocess
import sys

import pexpect
import pytest

from conftest import BUILD, PROMPT, ROOT

sys.path.insert(0, str(ROOT / "tools"))
from runner.machine import find_firmware, find_qemu, in_large_flash  # noqa: E402

BOOT_S = 300


def spcr(space, address, pci=(0xFFFF, 0xFFFF, 0, 0)):
    """The table without its header, which QEMU writes: revision 2, a full 16550 that nobody interrupts for."""
    device, vendor, slot, function = pci
    gas = struct.pack("<BBBBQ", space, 8, 0, 1, address)
    end = struct.pack("<HHBBBIBI", device, vendor, 0, slot, function, 0, 0, 0)
    return struct.pack("<B3x", 0) + gas + struct.pack("<BBIBBBBBB", 0, 0, 0, 7, 0, 1, 0, 0, 0) + end


def machine(folder, options, devices, table=None, startup=None, features="pic=off"):
    """QEMU's command line for septum.efi without a simulated platform; with a startup.nsh that is on the volume too."""
    image = folder / "boot.img"
    make = [str(ROOT / "tools" / "mkimage"), "--bare", "--build", str(BUILD), "--options", options]
    if startup:
        (folder / "startup.nsh").write_bytes(startup)
        make += ["--startup", str(folder / "startup.nsh")]
    subprocess.run(make + [str(image)] + ([str(BUILD / "simtdx.efi")] if startup else []), check=True)
    line = [find_qemu(), "-accel", "tcg", "-machine", f"q35,{features}", "-cpu", "max,phys-bits=48", "-m", "512M"]
    line += ["-nodefaults", "-net", "none", "-display", "none", "-no-reboot", "-bios", in_large_flash(find_firmware(), folder)]
    line += ["-drive", f"format=raw,file={image},if=virtio", *devices]
    if table:
        (folder / "spcr").write_bytes(table)
        line += ["-acpitable", f"sig=SPCR,rev=2,data={folder / 'spcr'}"]
    return line


def session(line):
    child = pexpect.spawn(line[0], line[1:], timeout=BOOT_S, encoding="latin-1", echo=False, dimensions=(50, 200))
    child.delaybeforesend = None
    return child


CONSOLE = ["-chardev", "stdio,id=console,signal=off"]
# Their machines tell the TSC's rate by the ACPI PM timer and by the HPET.
# SPCR names a COM1 that is not there; and an adapter on the PCI bus, beside which there is a COM1.
PLACES = {
    "com2": (["-device", "isa-serial,index=1,chardev=console"], spcr(1, 0x3F8), r"I/O port 0x2f8, 115200 baud \(by COM2\)",
             "pic=off,hpet=off"),
    "pci": (["-device", "pci-serial,addr=5.0,chardev=console", "-serial", "null"], spcr(1, 0, (0x0002, 0x1B36, 5, 0)),
            r"I/O port 0x[0-9a-f]{4}, the firmware's baud rate \(by the firmware's table SPCR\)",
            "pic=off,hpet=on"),
}


@pytest.mark.parametrize("place", PLACES)
def test_console_is_where_the_machine_has_it(tmp_path, place):
    devices, table, told, features = PLACES[place]
    child = session(machine(tmp_path, "force", CONSOLE + devices, table, features=features))
    try:
        child.expect(r"TSC [1-9][0-9]{5,6} kHz\r")
        child.expect("console: " + told)
        child.expect_exact(PROMPT)
        # More than the UART's FIFO holds, in one piece.
        child.send("mem " + "x" * 200 + "\r")
        child.expect_exact('"error":"too many words')
        child.expect_exact(PROMPT)
        child.send("poweroff\r")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)


# What the shell's user gets to read, each command's output in a file of its own.
SAID = {
    "none": "septum.efi log=warn script=demi.sep",
    "name": "septum log=loud",
    "quoted": '"fs0:\\a folder\\septum.efi" "log=quiet"',
    "file": "septum check",
    "letters": "septum force f\u00f6rce",
    "platform": "simtdx log=noisy",  # the last: what comes behind it is on the platform
}
BAD_FILE = "log=warn\nserial=com1,1"


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shell")
    commands = ["fs0:", 'mkdir "a folder"', 'cp septum.efi "a folder\\"']
    commands += [f"{command} > {name}.txt" for name, command in SAID.items()] + ["reset -s", ""]
    line = machine(folder, BAD_FILE, ["-serial", "none"], startup="\r\n".join(commands).encode("latin-1"))
    subprocess.run(line, stdin=subprocess.DEVNULL, timeout=BOOT_S, check=True)
    return {name: text_of(folder / "boot.img", f"{name}.txt") for name in SAID}


def text_of(image, name):
    volume = f"{image}@@1M"  # its partition
    raw = subprocess.run(["mtype", "-i", volume, f"::/{name}"], stdout=subprocess.PIPE, check=True).stdout
    return raw.decode("utf-16").replace("\r", "")


def test_what_is_missing_is_said_on_the_firmwares_screen(said):
    text = said["none"]
    assert "there is no serial line for the console: neither SPCR nor COM1 to COM4 nor the PCI bus has a 16550\n" in text
    assert "option script=demi.sep: there is no such file on the boot volume, or it is larger than 1 MiB\n" in text
    assert text.endswith("`force` starts all the same, serial=PORT names a serial line\n")


def test_however_the_image_is_named_its_name_is_no_option(said):
    assert said["name"] == "option log=loud: the value must be error, warn, info or debug\n"
    assert "option log=noisy: the value must be error, warn, info or debug\n" in said["platform"]
    assert said["quoted"] == "option log=quiet: the value must be error, warn, info or debug\n"


def test_no_word_is_dropped_for_its_letters(said):
    assert said["letters"].startswith("unknown option 'f?rce'; there are script=NAME ")


def test_a_wrong_line_of_the_options_file_is_named(said):
    assert said["file"] == "\\septum.cfg: line 2: option serial=com1,1: the value must be com1 to com4, io,PORT, mmio,ADDRESS or " \
                           "mmio32,ADDRESS, each with ,BAUD behind, or none\n"
