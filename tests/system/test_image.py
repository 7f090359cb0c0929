"""The images of `make image`, from the storage that $SEPTUM_STORAGE names: what firmware does with them where TDX is missing, and
the prompt on the simulated platform. `make image-test` tries all storage there is."""
import os
import pathlib
import subprocess

import pytest

from conftest import BUILD, Septum

STORAGE = os.environ.get("SEPTUM_STORAGE", "ahci").split()
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


def test_volume_has_what_the_guide_says():
    listing = subprocess.run(["mdir", "-i", image("septum.img") + "@@1M", "-b", "-/", "::"], capture_output=True, text=True, check=True)
    assert set(listing.stdout.split()) == {"::/EFI/", "::/EFI/BOOT/", "::/EFI/BOOT/BOOTX64.EFI", "::/EFI/TDX/", "::/septum.efi",
                                           "::/septum.cfg", "::/startup.nsh", "::/scripts/", "::/scripts/demo.sep",
                                           "::/scripts/hwtest.sep"}
    table = subprocess.run(["/sbin/sfdisk", "--verify", image("septum.img")], capture_output=True, text=True, check=False)
    assert table.returncode == 0 and "No errors detected." in table.stdout, table
