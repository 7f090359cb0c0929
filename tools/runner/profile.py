"""Latency profiles: sim/profiles/NAME.profile, one number a line with its source, keys as sim/profiles/keys has them.

    key [page size] number   # source: where it was published | assumed: why it is that
    like NAME                # all other numbers are those of this profile
"""
import dataclasses
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "sim" / "profiles"
SUFFIX = ".profile"


class BadProfile(Exception):
    """The text says where and what is wrong, and what is allowed."""


@dataclasses.dataclass(frozen=True)
class Key:
    name: str
    sizes: tuple  # page sizes, ("",) for none
    least: int
    most: int


@dataclasses.dataclass(frozen=True)
class Number:
    value: int
    source: str
    is_assumed: bool


def read_keys():
    keys = {}
    for line in (FOLDER / "keys").read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        name, sizes, least, most = line.split()[:4]
        keys[name] = Key(name, ("",) if sizes == "-" else tuple(sizes.split(",")), int(least), int(most))
    return keys


def names():
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob("*" + SUFFIX))


def find(wanted):
    """The path of a profile by name, or a file."""
    if "/" in wanted or wanted.endswith(SUFFIX):
        return pathlib.Path(wanted)
    if wanted not in names():
        raise BadProfile(f"no profile '{wanted}': there are {', '.join(names())}, or a file by its path")
    return FOLDER / (wanted + SUFFIX)


def name_of(wanted):
    """What samples call it."""
    return find(wanted).name.removesuffix(SUFFIX)


def label(key, size):
    return f"{key}.{size}" if size else key


class _Reader:
    def __init__(self, path, seen):
        self.path = path
        self.seen = [*seen, path.resolve()]
        self.keys = read_keys()
        self.numbers = {}
        self.base = {}
        self.line = 0

    def fail(self, text):
        raise BadProfile(f"{self.path}:{self.line}: {text}")

    def read(self):
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadProfile(f"{self.path}: {getattr(error, 'strerror', None) or 'no text'}") from error
        for self.line, line in enumerate(text.splitlines(), 1):
            words, _, comment = line.partition("#")
            if words.split():
                self.take(words.split(), comment.strip())
        numbers = {**self.base, **self.numbers}
        missing = [label(k.name, s) for k in self.keys.values() for s in k.sizes if label(k.name, s) not in numbers]
        if missing:
            raise BadProfile(f"{self.path}: {missing[0]} is missing; sim/profiles/keys lists all that a profile has")
        return numbers

    def take(self, words, comment):
        if words[0] == "like":
            self.take_base(words)
            return
        key = self.keys.get(words[0])
        if key is None:
            self.fail(f"unknown key '{words[0]}'; sim/profiles/keys lists them")
        sized = key.sizes != ("",)
        if len(words) != (3 if sized else 2):
            self.fail(f"{key.name} takes {'a page size (' + ', '.join(key.sizes) + ') and ' if sized else ''}one number")
        size = words[1] if sized else ""
        if size not in key.sizes:
            self.fail(f"{key.name} has no page size '{size}': {', '.join(key.sizes)}")
        if label(key.name, size) in self.numbers:
            self.fail(f"{label(key.name, size)} is here a second time")
        self.numbers[label(key.name, size)] = Number(self.value(key, words[-1]), *self.source(key, comment))

    def take_base(self, words):
        if len(words) != 2 or self.base or self.numbers:
            self.fail("'like NAME' names one profile, before all numbers")
        try:
            path = find(words[1])
        except BadProfile as error:
            self.fail(str(error))
        if path.resolve() in self.seen:
            self.fail(f"like {words[1]}: which is like this one")
        self.base = _Reader(path, self.seen).read()

    def value(self, key, text):
        if not (text.isascii() and text.isdigit()) or not key.least <= int(text) <= key.most:
            self.fail(f"{key.name} {text}: a number from {key.least} to {key.most} is needed")
        return int(text)

    def source(self, key, comment):
        kind, _, text = comment.partition(":")
        if kind not in ("source", "assumed") or not text.strip():
            self.fail(f"{key.name}: '# source: WHERE' or '# assumed: WHY' must stand behind the number")
        return text.strip(), kind == "assumed"


def read(wanted):
    """{"key" or "key.size": Number} of a profile by name or path. BadProfile."""
    return _Reader(find(wanted), []).read()


# Numbers of the SEAMCALLs that sim/profiles/keys names, for the platform's `latency`.
LEAVES = {
    "tdh_vp_enter": 0, "tdh_mem_page_add": 2, "tdh_mem_sept_add": 3, "tdh_mem_page_relocate": 5, "tdh_mem_page_aug": 6,
    "tdh_mem_range_block": 7, "tdh_mem_page_demote": 15, "tdh_mem_page_promote": 23, "tdh_mem_sept_rd": 25,
    "tdh_phymem_page_reclaim": 28, "tdh_mem_page_remove": 29, "tdh_mem_sept_remove": 30, "tdh_mem_track": 38,
    "tdh_mem_range_unblock": 39, "tdh_phymem_page_wbinvd": 41,
}


def sim_config(numbers):
    """Lines of simtdx.cfg: what the platform can do of a profile, a latency for each leaf (that of its smallest page)."""
    keys = read_keys()
    lines = []
    for name, leaf in LEAVES.items():
        value = numbers[label(name, keys[name].sizes[0])].value
        if value:
            lines.append(f"latency = {leaf} {value}")
    return "\n".join(lines) + "\n"
