"""tools/linux by itself, without a network or QEMU: where packages come from, what is in the initramfs, what a run is made of."""
import lzma
import os
import re
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tools" / "linux"))
import initramfs  # noqa: E402
import packages  # noqa: E402

BOOT = ROOT / "tools/linux/boot"
BESIDE = ROOT / "tools/linux/beside"
FAKE = ROOT / "tests/system/fake_qemu.py"
DEB822 = """\
Types: deb
# as of some day
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://mirror.test/security
Suites: bookworm-security
Components: main
"""


# --- the source of packages ---

def etc(tmp_path, files):
    folder = tmp_path / "apt"
    (folder / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_source_has_the_mirror_and_key_of_the_systems(tmp_path):
    name, text = packages.source(etc(tmp_path, {"sources.list.d/debian.sources": DEB822}), "bookworm")
    assert name.endswith(".sources")
    assert sorted(text.splitlines()) == ["Components: main", "Signed-By: /usr/share/keyrings/k.gpg",
                                         "Suites: bookworm bookworm-backports", "Types: deb", "URIs: http://mirror.test/debian"]


def test_newer_release_needs_no_backports(tmp_path):
    text = packages.source(etc(tmp_path, {"sources.list.d/d.sources": DEB822.replace("bookworm", "trixie")}), "trixie")[1]
    assert "Suites: trixie\n" in text and "backports" not in text


def test_another_suite_comes_from_the_same_mirror(tmp_path):
    text = packages.source(etc(tmp_path, {"sources.list.d/d.sources": DEB822}), "bookworm", "sid")[1]
    assert "Suites: sid\n" in text and "URIs: http://mirror.test/debian\n" in text


def test_source_of_the_older_form(tmp_path):
    lines = ("# comment\ndeb-src http://a.test bookworm main\ndeb http://b.test bookworm-updates main\n"
             "deb [signed-by=/k.gpg arch=amd64] http://c.test/debian bookworm main non-free\n")
    name, text = packages.source(etc(tmp_path, {"sources.list": lines}), "bookworm")
    assert name.endswith(".list")
    assert text == ("deb [signed-by=/k.gpg arch=amd64] http://c.test/debian bookworm main\n"
                    "deb [signed-by=/k.gpg arch=amd64] http://c.test/debian bookworm-backports main\n")


def test_sources_that_are_off_or_of_others_are_left_alone(tmp_path):
    off = DEB822.replace("Types: deb", "Enabled: no\nTypes: deb")
    folder = etc(tmp_path, {"sources.list.d/a.sources": off, "sources.list.d/b.list": "deb http://x.test nodistro main\n"})
    with pytest.raises(packages.Missing, match="no source of bookworm"):
        packages.source(folder, "bookworm")


# --- the initramfs ---

def entries(archive):
    """name -> (mode, content, device) of a newc archive, read as cpio(5) has it."""
    found, at = {}, 0
    while True:
        assert archive[at:at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name_at = at + 110
        name = archive[name_at:name_at + fields[11] - 1].decode()
        data_at = (name_at + fields[11] + 3) // 4 * 4
        at = (data_at + fields[6] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found, archive[at:]
        found[name] = (fields[1], archive[data_at:data_at + fields[6]], tuple(fields[9:11]))


@pytest.fixture
def tree(tmp_path):
    """(busybox, modules folder)"""
    kernel = tmp_path / "lib/modules/6.12.1/kernel/drivers"
    kernel.mkdir(parents=True)
    (kernel / "tdx-guest.ko.xz").write_bytes(lzma.compress(b"GUEST\0depends=tsm_report\0name=tdx_guest\0"))
    (kernel / "tsm_report.ko").write_bytes(b"TSM\0depends=configfs\0")
    (kernel / "configfs.ko.xz").write_bytes(lzma.compress(b"CONFIGFS\0depends=\0"))
    (kernel / "other.ko.xz").write_bytes(lzma.compress(b"OTHER"))
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"\x7fELFbusybox")
    return busybox, tmp_path / "lib/modules/6.12.1"


def test_initramfs_holds_what_the_guest_starts_with(tree, tmp_path):
    (tmp_path / "stress").write_bytes(b"stress")
    archive = initramfs.build(*tree, [tmp_path / "stress"])
    found, rest = entries(archive)
    assert rest == b""
    assert found["init"] == (0o100755, (ROOT / "tools/linux/init").read_bytes(), (0, 0))
    assert found["bin/sh"] == (0o120777, b"busybox", (0, 0))
    assert found["bin/busybox"][1] == b"\x7fELFbusybox"
    assert found["dev/console"] == (0o20600, b"", (5, 1))
    assert found["tests/stress"][:2] == (0o100755, b"stress")
    # Those that the driver needs come before it.
    assert found["lib/modules.load"][1] == b"configfs\ntsm_report\ntdx-guest\n"
    assert found["lib/configfs.ko"][1].startswith(b"CONFIGFS") and found["lib/tdx-guest.ko"][1].startswith(b"GUEST")
    assert "lib/other.ko" not in found
    assert archive == initramfs.build(*tree, [tmp_path / "stress"])


def test_script_comes_in_an_archive_of_its_own(tree):
    plain = initramfs.build(tree[0], None)
    both = initramfs.with_script(plain, b"exit 3\n")
    assert both.startswith(plain)
    found, rest = entries(both[len(plain):])
    assert found == {"script": (0o100755, b"exit 3\n", (0, 0))} and rest == b""
    assert entries(plain)[0]["lib/modules.load"][1] == b""


# --- a run ---

def deb(folder, name, files):
    """A package of Debian's with these files."""
    root = folder / "deb"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(f"Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\nDescription: x\n")
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (folder / "packages").mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root), str(folder / f"packages/{name}_1_amd64.deb")],
                   check=True, capture_output=True)
    subprocess.run(["rm", "-r", str(root)], check=True)


@pytest.fixture
def build(tmp_path):
    folder = tmp_path / "build"
    (folder / "linux").mkdir(parents=True)
    for image in ("septum.efi", "simtdx.efi"):
        (folder / image).write_bytes(b"MZ")
    return folder


def with_packages(build):
    deb(build / "linux", "linux-image-6.12.1-cloud-amd64",
        {"boot/vmlinuz-6.12.1": b"MZkernel", "lib/modules/6.12.1/modules.order": b""})
    deb(build / "linux", "busybox-static", {"bin/busybox": b"\x7fELFbusybox"})


def boot(build, steps, *options, tool=BOOT):
    plan = build / "plan"
    plan.write_text("\n".join(steps) + "\n")
    (build / "bin").mkdir(exist_ok=True)
    for name in ("apt-get", "apt-cache"):
        (build / "bin" / name).write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
        (build / "bin" / name).chmod(0o755)
    environment = dict(os.environ, SEPTUM_QEMU=str(FAKE), SEPTUM_OVMF=str(plan), FAKE_CONSOLE=str(plan),
                       PATH=f"{build}/bin:{os.environ['PATH']}")
    done = subprocess.run([str(tool), "--build", str(build), *options], env=environment, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def guest_ends(status):
    return [f"b'[guest] guest: status {status}\\r\\n'", r"""b'@{"cmd":"poweroff","ok":true,"status":0}\r\n'"""]


def test_without_network_the_missing_file_is_named(build):
    status, _, err = boot(build, [])
    folder = build / "linux/packages"
    assert status == 126
    assert re.search(rf"{folder}/linux-image-\S*cloud-amd64_\*\.deb is missing and cannot be fetched: .*no network; "
                     "a package that is put there by hand is taken", err)


def test_packages_put_there_by_hand_are_taken(build):
    with_packages(build)
    status, out, err = boot(build, ["'image'", *guest_ends(0)], "--run", "true", "--vcpus", "2", "--mem", "1G",
                            "--cmdline", 'a="b c"')
    assert status == 0, err
    assert "::/linux/vmlinuz-6.12.1\r\n" in out and "::/linux/initrd\r\n" in out
    assert 'td create payload=linux kernel=vmlinuz-6.12.1 initrd=initrd mem=1G vcpus=2 cmdline="a=\\"b c\\""\n' in out
    assert 'td run\nguest expect "guest: status " timeout=300\n' in out
    assert "-smp 4 " in (build / "plan.pid").read_text()
    first, rest = entries((build / "linux/initrd").read_bytes())
    assert first["bin/busybox"][1] == b"\x7fELFbusybox"
    assert entries(rest)[0]["script"][1] == b"true\n"


def test_kernel_in_three_packages(build):
    """As Debian has it from Linux 7 on."""
    folder = build / "linux/sid"
    folder.mkdir()
    deb(folder, "linux-image-7.2.1-cloud-amd64", {"usr/share/doc/x": b""})
    deb(folder, "linux-binary-7.2.1-cloud-amd64", {"usr/lib/modules/7.2.1/vmlinuz": b"MZkernel"})
    deb(folder, "linux-modules-7.2.1-cloud-amd64", {"usr/lib/modules/7.2.1/modules.order": b""})
    deb(build / "linux", "busybox-static", {"bin/busybox": b"\x7fELFbusybox"})
    status, out, err = boot(build, ["'image'", *guest_ends(0)], "--run", "true", "--suite", "sid")
    assert status == 0 and "::/linux/vmlinuz\r\n" in out, err


@pytest.mark.parametrize("status", [0, 7, 255])
def test_status_is_the_scripts(build, status):
    with_packages(build)
    assert boot(build, guest_ends(status), "--run", "x")[0] == status


def test_guest_that_tells_no_status_is_125(build):
    with_packages(build)
    typed = "b'guest: status 0 [guest] guest: status 0\\r\\n'"
    assert boot(build, [typed, guest_ends(0)[1]], "--run", "x")[0] == 125
    assert boot(build, [typed], "--run", "x")[0] == 125


def test_other_kernel_and_initrd_need_no_package(build, tmp_path):
    for name in ("bzImage", "mine.cpio"):
        (tmp_path / name).write_bytes(name.encode())
    status, out, err = boot(build, ["'image'", guest_ends(0)[1]], "--kernel", str(tmp_path / "bzImage"),
                            "--initrd", str(tmp_path / "mine.cpio"))
    assert status == 0, err
    assert "::/linux/bzImage\r\n" in out and 'guest expect "guest: shell"' in out
    assert (build / "linux/initrd").read_bytes() == b"mine.cpio"
    status, _, err = boot(build, [], "--kernel", "/nowhere/bzImage")
    assert status == 126 and "--kernel /nowhere/bzImage: there is no such file" in err


# --- the guest's programs ---

@pytest.mark.parametrize("spoil, status", [(0, 0), (1, 1)])
def test_stress_finds_a_bit_that_changed(spoil, status):
    done = subprocess.run([str(BUILD / "linux-tests/stress"), "mib=4", "ops=500", "threads=2", f"spoil={spoil}"],
                          capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == status and f" {spoil} words wrong\n" in done.stdout
    assert ("and should hold" in done.stdout) == bool(spoil)


def test_stress_refuses_nonsense():
    done = subprocess.run([str(BUILD / "linux-tests/stress"), "mib=x"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2 and "'mib=x': mib=N, ops=N, threads=N, seed=N and spoil=0|1 are allowed" in done.stderr


# --- the same Linux elsewhere ---

def test_each_place_is_measured_in_each_round(build):
    with_packages(build)
    status, out, err = boot(build, guest_ends(0), "--rounds", "2", tool=BESIDE)
    assert status == 0, err
    places = ["alone", "guest", "td", "septum"]
    assert re.findall(r"^round (\d), (\w+): \d+\.\d\d s", out, re.MULTILINE) == [(n, place) for n in "12" for place in places]
    assert re.findall(r"^(\w+) +[0-9. ]+$", out, re.MULTILINE) == places
    assert re.search(r"^td / guest: \d+\.\d\d$", out, re.MULTILINE)


def test_guest_beside_that_fails_is_named(build):
    with_packages(build)
    status, _, err = boot(build, guest_ends(7), tool=BESIDE)
    assert status == 126 and err.startswith("beside: alone: exit status 0; the last it said: [guest] guest: status 7")


def test_without_network_there_is_nothing_beside(build):
    status, _, err = boot(build, [], tool=BESIDE)
    assert status == 126 and re.match(r"beside: \S*cloud-amd64_\*\.deb is missing and cannot be fetched", err)
