"""An initramfs out of Debian's packages: busybox, the guest's attestation driver and tools/linux/init, as a newc archive.

The archive is written here, so that it needs neither root (for /dev/console) nor cpio, and is the same bytes each time.
"""
import lzma
import pathlib
import re
import stat

HERE = pathlib.Path(__file__).resolve().parent
DRIVER = "tdx-guest"
FOLDERS = ["bin", "dev", "lib", "proc", "sys", "tests", "tmp"]
CONSOLE = (5, 1)
ALIGN = 4


class Archive:
    """A newc archive as cpio(5) has it: each entry's header in hexadecimal, its name and its content, each padded to 4 bytes."""

    def __init__(self):
        self.parts = []
        self.entries = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.entries += 1
        fields = [self.entries, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0]
        header = "070701" + "".join(f"{field:08X}" for field in fields) + name + "\0"
        for part in (header.encode(), content):
            self.parts.append(part + bytes(-len(part) % ALIGN))

    def file(self, name, content):
        self.add(name, stat.S_IFREG | 0o755, content)

    def finish(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def module_content(modules, name):
    """A module of the kernel's as insmod takes it, or None: Debian's are packed, and its file may have _ for -."""
    for path in sorted(modules.rglob("*.ko*")):
        stem, _, packed = path.name.partition(".ko")
        if stem.replace("_", "-") == name.replace("_", "-"):
            content = path.read_bytes()
            return lzma.decompress(content) if packed == ".xz" else content
    return None


def with_needed(modules, name, found):
    """Adds a module to `found` (name -> content) behind those that it needs, which its .modinfo names."""
    content = None if name in found else module_content(modules, name)
    if content:
        needed = re.search(rb"\0depends=([^\0]*)\0", content)
        for other in needed.group(1).decode().split(",") if needed and needed.group(1) else []:
            with_needed(modules, other, found)
        found[name] = content
    return found


def build(busybox, modules, files=()):
    """busybox: the static binary; modules: the folder /lib/modules/VERSION of a kernel, or None; files: go to /tests."""
    archive = Archive()
    for name in FOLDERS:
        archive.add(name, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=CONSOLE)
    archive.file("init", (HERE / "init").read_bytes())
    archive.file("bin/busybox", busybox.read_bytes())
    archive.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    loaded = with_needed(modules, DRIVER, {}) if modules else {}
    for name, content in loaded.items():
        archive.file(f"lib/{name}.ko", content)
    archive.file("lib/modules.load", "".join(name + "\n" for name in loaded).encode())
    for path in files:
        archive.file(f"tests/{path.name}", path.read_bytes())
    return archive.finish()


def with_script(initrd, script):
    """The kernel unpacks archives one after the other: /script comes in one of its own."""
    archive = Archive()
    archive.file("script", script)
    return initrd + archive.finish()
