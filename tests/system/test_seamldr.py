"""A machine whose firmware loaded no TDX module: P-SEAMLDR installs the one of the boot volume, on CPUs of four packages."""
import hashlib
import struct

from conftest import COMMAND_S, Septum

PAGES = 6


def sigstruct_of(image):
    """SEAM_SIGSTRUCT as far as the platform's P-SEAMLDR looks at it: a header, the exponent, the hash."""
    header = struct.pack("<10I", 6, 0xe1, 0x10000, 0, 0x8086, 0x20240407, 0x200, 0x60, 0x60, 1)
    body = header.ljust(512, b"\0") + struct.pack("<I", 0x10001)
    return (body.ljust(900, b"\0") + hashlib.sha384(image).digest()).ljust(2048, b"\0")


def test_module_of_the_boot_volume_is_installed(tmp_path):
    image = bytes(range(256)) * 16 * PAGES
    module = tmp_path / "TDX-SEAM.so"
    module.write_bytes(image)
    (tmp_path / "TDX-SEAM.so.sigstruct").write_bytes(sigstruct_of(image))
    knobs = tmp_path / "knobs"
    knobs.write_text("module = absent\nseamldr_busy_every = 3\npackages = 4\nlatency = 36 5000000\n")
    machine = Septum("--smp", "4", "--mem", "3G", "--sim-config", str(knobs), "--module", str(module))
    try:
        use(machine.wait_for_prompt())
        assert machine.poweroff() == 0
    finally:
        machine.stop()


def use(machine):
    """^C while memory is initialised, which a latency of milliseconds makes slow; then everything that is done once on each package."""
    machine.send("tdx init\r")
    machine.child.expect(r"TDX memory: (\d+) of (\d+) MiB initialised, \d+ s left", timeout=COMMAND_S)
    text = machine.boot_text + machine.child.before
    machine.send("\x03")
    answer = machine.answer()
    assert not answer["ok"] and answer["error"].startswith("stopped while TDX memory is initialised, `tdx init` goes on from there")
    assert "module 1.5.01 absent" in text and "4 CPUs in 4 packages" in text
    assert "P-SEAMLDR 1.5.00, build 746 of 20240407, installs a module of 24 KiB" in text
    assert machine.good("tdx init")["module_version"] == "1.5.01"
    machine.good("td create mem=64M vcpus=2")
    machine.good("td run")
    machine.good("td destroy")
    seamcalls = machine.good("stats")["seamcalls"]
    assert seamcalls["TDH.SYS.LP.INIT"] == 4
    for once_a_package in ("TDH.SYS.KEY.CONFIG", "TDH.MNG.KEY.CONFIG", "TDH.PHYMEM.CACHE.WB"):
        assert seamcalls[once_a_package] == 4
