"""The images of `make image`, from the storage that $SEPTUM_STORAGE names: what firmware does with them where TDX is missing,
and the prompt on the simulated platform. `make image-test` tries all storage there is, and septum.efi over the network."""
import os
import pathlib
import subprocess
import sys

import pexpect
import pytest

from conftest import BOOT_S, BUILD, ROOT, Septum

sys.path.insert(0, str(ROOT / "tools"))

from runner.machine import find_firmware, find_qemu, in_large_flash  # noqa: E402

STORAGE = os.environ.get("SEPTUM_STORAGE", "ahci").split()
NETWORK = [name for name in ("pxe", "ipxe") if name in STORAGE]
STORAGE = [name for name in STORAGE if name not in NETWORK]
IPXE_SCRIPT = "#!ipxe\nimgfetch tftp://10.0.2.2/mine.sep\nchain tftp://10.0.2.2/septum.efi force script=mine.sep\n"
REFUSAL = "this machine is not ready for TDX:"


def image(name):
    path = BUILD / name
    assert path.exists(), f"`make {path}` makes it"
    return str(path)


@pytest.mark.parametrize("storage", STORAGE)
def test_machine_without_tdx_gets_a_refusal_and_its_firmware(storage):
    machine = Septum("--image", image("septum.img"), "--storage", storage)
    try:
        for way in ("firmware's own entry", "startup.nsh of the shell"):
            if "shell" in way:
                machine.child.expect(r"missing  vendor .*\d+ ok, 1 missing, \d+ unknown before the start")
            machine.child.expect_exact(REFUSAL)
            machine.child.expect_exact("back to the firmware; the option `check` says more")
        machine.child.expect(r"FS\d:\\> ")
    finally:
        machine.stop()


@pytest.mark.parametrize("storage", STORAGE)
def test_simulated_platform_comes_to_its_prompt(storage):
    content = pathlib.Path(image("septum-sim.img")).read_bytes()
    machine = Septum("--image", image("septum-sim.img"), "--storage", storage)
    try:
        machine.wait_for_prompt()
        assert REFUSAL not in machine.boot_text
        scripts = machine.good("script")
        assert scripts["scripts"] == 2 and "demo.sep" in scripts.text and "hwtest.sep" in scripts.text
        assert machine.poweroff(3) == 3
        # Firmware keeps its variables on the volume: of the copy that it got.
        assert pathlib.Path(image("septum-sim.img")).read_bytes() == content
    finally:
        machine.stop()


def network_machine(folder, way):
    """QEMU with a network card alone: the firmware's own PXE, or the iPXE in the card's ROM."""
    files = {"septum.efi": (BUILD / "septum.efi").read_bytes(), "mine.sep": b"-script\npoweroff 5\n", "boot.ipxe": IPXE_SCRIPT.encode()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    boot_file, rom = {"pxe": ("septum.efi", ",romfile="), "ipxe": ("boot.ipxe", "")}[way]
    line = ["-accel", "tcg", "-machine", "q35", "-cpu", "max", "-m", "2G", "-nodefaults", "-display", "none", "-no-reboot",
            "-bios", in_large_flash(find_firmware(), folder), "-serial", "stdio", "-device", f"virtio-net-pci,netdev=net{rom}",
            "-netdev", f"user,id=net,tftp={folder},bootfile={boot_file}"]
    return pexpect.spawn(find_qemu(), line, timeout=BOOT_S, encoding="latin-1", echo=False)


# Where no network is asked for there is no such test, rather than one that is skipped.
@pytest.mark.parametrize("way", NETWORK) if NETWORK else lambda test: None
def test_network_boot(way, tmp_path):
    machine = network_machine(tmp_path, way)
    try:
        if way == "pxe":
            machine.expect_exact("started from where no files are (a network?): no \\septum.cfg, script, kernel or module is read; "
                                 "options are the words behind septum.efi")
            machine.expect_exact(REFUSAL)
            machine.expect_exact("back to the firmware")
        else:
            machine.expect_exact('@{"cmd":"script","ok":true,"scripts":1}')
            machine.expect_exact('"status":5')
            machine.expect(pexpect.EOF)
    finally:
        machine.close(force=True)


def test_volume_has_what_the_guide_says():
    command = ["mdir", "-i", image("septum.img") + "@@1M", "-b", "-/", "::"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(listing.stdout.split()) == {"::/EFI/", "::/EFI/BOOT/", "::/EFI/BOOT/BOOTX64.EFI", "::/EFI/TDX/", "::/septum.efi",
                                           "::/septum.cfg", "::/startup.nsh", "::/scripts/", "::/scripts/demo.sep",
                                           "::/scripts/hwtest.sep"}
    table = subprocess.run(["/sbin/sfdisk", "--verify", image("septum.img")], capture_output=True, text=True, check=False)
    assert table.returncode == 0 and "No errors detected." in table.stdout, table
