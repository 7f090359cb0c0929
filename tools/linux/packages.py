"""Debian's packages for a guest, fetched and unpacked into a folder of the build's, with nothing of the system's changed.

apt works with a configuration, lists and a cache of its own; its source is the system's own, and where the release is too old for
the packages its backports as well. What was fetched once is taken again; files that were put there by hand count as fetched.
"""
import pathlib
import re
import shutil
import subprocess

ETC_APT = pathlib.Path("/etc/apt")
# Where the release itself has a kernel before 6.12, or a QEMU before 10.
WITH_BACKPORTS = ["bookworm"]
KERNEL_META = "linux-image-cloud-amd64"
KERNEL = "linux-image-[0-9]*-cloud-amd64"
BUSYBOX = "busybox-static"
APT_S = 900
QEMU = "qemu-system-x86"


class Missing(Exception):
    """A file is missing and could not be fetched; the text says which, and where it may be put."""


def codename():
    text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=\"?(\w+)", text, re.MULTILINE)
    return found.group(1) if found else ""


def suites_for(name, alias, suite):
    """The suites to take: the one that is asked for, else the release or its alias, with backports where it needs them."""
    if suite:
        return [suite]
    return [alias, f"{alias}-backports"] if name in WITH_BACKPORTS else [alias]


def from_stanza(stanza, name, suite):
    """The release's stanza of a *.sources file, for the suites that are wanted; None: it is about something else."""
    fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza, re.MULTILINE))
    aliases = [alias for alias in fields.get("Suites", "").split() if alias in (name, "stable")]
    if "deb" not in fields.get("Types", "").split() or "main" not in fields.get("Components", "").split() or not aliases:
        return None
    wanted = " ".join(suites_for(name, aliases[0], suite))
    lines = [f"{key}: {value}" for key, value in fields.items() if key not in ("Types", "Suites", "Components", "Enabled")]
    return "\n".join(["Types: deb", f"Suites: {wanted}", "Components: main", *lines]) + "\n"


def from_line(line, name, suite):
    """The same of a line of a *.list file."""
    found = re.match(r"deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line)
    if not found or found.group(3) not in (name, "stable") or "main" not in found.group(4).split():
        return None
    return "".join(f"deb {found.group(1) or ''}{found.group(2)} {wanted} main\n"
                   for wanted in suites_for(name, found.group(3), suite))


def source(etc=ETC_APT, name=None, suite=None):
    """(file name, text) of a sources file derived from the system's; `suite`: of the same mirror, in the place of the release."""
    name = name or codename()
    parts = sorted((etc / "sources.list.d").glob("*.sources"))
    lists = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    for path in parts:
        text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for stanza in re.split(r"\n\s*\n", text):
            found = from_stanza(stanza, name, suite)
            if found and not re.search(r"^Enabled:\s*no", stanza, re.MULTILINE):
                return "linux.sources", found
    for path in lists:
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            found = from_line(line.strip(), name, suite)
            if found:
                return "linux.list", found
    raise Missing(f"apt's configuration in {etc} has no source of {name or 'this release'} with `main`")


class Apt:
    """apt-get and apt-cache with a state of their own below `folder`."""

    def __init__(self, folder, may_fetch, suite):
        self.folder = folder.resolve()
        self.suite = suite
        self.may_fetch = may_fetch
        self.is_updated = False

    def _configure(self):
        for name in ("lists/partial", "cache/archives/partial", "sources", "preferences"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        file, text = source(suite=self.suite)
        (self.folder / "sources" / file).write_text(text, encoding="utf-8")
        has_backports = not self.suite and codename() in WITH_BACKPORTS
        backports = f'APT::Default-Release "{codename()}-backports";' if has_backports else ""
        # What the system does after an update, or with a cache, is not for this one.
        (self.folder / "apt.conf").write_text(f"""\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State::Lists "{self.folder}/lists";
Dir::Cache "{self.folder}/cache";
Dir::Etc::SourceList "{self.folder}/sources.list";
Dir::Etc::SourceParts "{self.folder}/sources";
Dir::Etc::Preferences "{self.folder}/preferences.none";
Dir::Etc::PreferencesParts "{self.folder}/preferences";
APT::Sandbox::User "";
Acquire::Retries "1";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
{backports}
""", encoding="utf-8")

    def run(self, *command, cwd=None):
        if not self.may_fetch:
            raise Missing("nothing is fetched here; `make linux` does it")
        if not self.is_updated:
            self.is_updated = True
            self._configure()
            self.run("apt-get", "update", "-q")
        words = [command[0], "-c", str(self.folder / "apt.conf"), *command[1:]]
        try:
            done = subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                                  timeout=APT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Missing(f"{command[0]}: {error}") from error
        # An update that reached nothing only warns.
        if done.returncode or "Failed to fetch" in done.stderr:
            raise Missing(f"{command[0]} {command[1]}: {(done.stderr.strip() or 'failed').splitlines()[0]}")
        return done.stdout

    def depends(self, package, pattern):
        return re.findall(rf"Depends: ({pattern})$", self.run("apt-cache", "depends", package), re.MULTILINE)

    def kernel(self):
        """The packages that the newest kernel for clouds is in: one, or, of late, one each for the image and the modules."""
        found = self.depends(KERNEL_META, r"linux-image-\S+")
        if not found:
            raise Missing(f"{KERNEL_META} names no kernel")
        return found[:1] + self.depends(found[0], r"linux-(?:binary|modules)-\S+")

    def needed_by(self, package):
        """The package, and those that it depends on as far as the system has not got them."""
        text = self.run("apt-get", "install", "-s", "-y", "--no-install-recommends", package)
        return sorted(set(re.findall(r"^Inst (\S+)", text, re.MULTILINE)) | {package})

    def download(self, names, into):
        print(f"linux: fetching {' '.join(names)}", flush=True)
        into.mkdir(parents=True, exist_ok=True)
        self.run("apt-get", "download", *names, cwd=into)


def fetched(folder, pattern, download):
    """The newest file of a package in `folder`, where download() puts it if there is none yet."""
    def find():
        return sorted(folder.glob(f"{pattern}_*.deb"), key=lambda path: path.stat().st_mtime)

    if not find():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            download()
        except Missing as why:
            raise Missing(f"{folder}/{pattern}_*.deb is missing and cannot be fetched: {why}; a package that is put there by hand "
                          "is taken") from why
    if not find():
        raise Missing(f"{folder}/{pattern}_*.deb is missing: it was not among what was fetched")
    return find()[-1]


def unpacked(package, into, others=()):
    """The folder below `into` that the content of a package is in, with that of others where there are some."""
    folder = into / package.stem
    if folder.is_dir():
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for path in [package, *others]:
        done = subprocess.run(["dpkg-deb", "-x", str(path), str(part)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{path} cannot be unpacked: {done.stderr.strip()}")
    part.rename(folder)
    return folder


class Packages:
    """What is below `folder`: packages/ as fetched, beside it each unpacked."""

    def __init__(self, folder, may_fetch=True, suite=None):
        self.folder = folder / suite if suite else folder
        self.files = self.folder / "packages"
        self.apt = Apt(self.folder / "apt", may_fetch, suite)

    def kernel(self):
        """(bzImage, /lib/modules/VERSION) of Debian's kernel."""
        deb = fetched(self.files, KERNEL, lambda: self.apt.download(self.apt.kernel(), self.files))
        version = deb.name.split("_")[0].removeprefix("linux-image-")
        root = unpacked(deb, self.folder, sorted(self.files.glob(f"linux-[bm]*-{version}_*.deb")))
        images = sorted([*root.glob("boot/vmlinuz-*"), *root.glob("**/lib/modules/*/vmlinuz")])
        modules = sorted(root.glob("**/lib/modules/*"))
        if not images or not modules:
            raise Missing(f"{deb} holds no kernel with modules")
        return images[0], modules[0]

    def busybox(self):
        deb = fetched(self.files, BUSYBOX, lambda: self.apt.download([BUSYBOX], self.files))
        found = sorted(path for path in unpacked(deb, self.folder).glob("**/bin/busybox") if not path.is_symlink())
        if not found:
            raise Missing(f"{deb} holds no busybox")
        return found[0]

    def qemu(self):
        """A script that runs the release's newest QEMU out of its folder."""
        files = self.files / "qemu"
        deb = fetched(files, QEMU, lambda: self.apt.download(self.apt.needed_by(QEMU), files))
        root = unpacked(deb, self.folder, [path for path in files.glob("*.deb") if path != deb])
        script = root / "qemu-system-x86_64"
        script.write_text(QEMU_SCRIPT, encoding="ascii")
        script.chmod(0o755)
        return script


# Data first from the package, then from the system: packages of data alone may be installed already.
QEMU_SCRIPT = """\
#!/bin/sh
root=$(cd "$(dirname "$0")" && pwd)
export QEMU_MODULE_DIR="$root/usr/lib/x86_64-linux-gnu/qemu"
export LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" \\
    -L /usr/share/qemu -L /usr/share/seabios -L /usr/lib/ipxe/qemu "$@"
"""
