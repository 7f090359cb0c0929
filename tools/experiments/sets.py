"""Sets of runs: a YAML file that names runs of the simulated platform and of the lab.

    runs:
      policies-{policy}:                       # {name}: a value of `each`
        each: {policy: [scan, ready]}          # a run for each combination of the lists
        place: platform                        # a boot of QEMU by tools/run; or lab: a process of tools/lab; or linux: a boot of
                                               # QEMU whose experiments are told kernel=, initrd= and cmdline= of docs/linux.md,
                                               # skipped where `make linux` has fetched none
        options: [--smp, "4"]                  # of tools/run, or of tools/lab
        experiment: policies policy={policy}   # as on the console; a list runs one after the other in one boot
        minutes: 5                             # a net for what hangs; 10 without it
"""
import itertools
import re

import yaml

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
KEYS = {"each", "place", "options", "experiment", "minutes"}
PLACES = ("platform", "lab", "linux")
MINUTES = 10


class Wrong(Exception):
    """A set that cannot be used; the text says where and why."""


def _texts(value, where):
    """A text or a list of texts, as a list."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, (str, int)) and not isinstance(v, bool) for v in values):
        raise Wrong(f"{where}: a text or a list of texts is needed")
    return [str(v) for v in values]


def _check(name, run, file):
    where = f"{file}: run {name}"
    if not isinstance(run, dict):
        raise Wrong(f"{where}: keys are needed: {', '.join(sorted(KEYS))}")
    unknown = sorted(set(run) - KEYS)
    if unknown:
        raise Wrong(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(sorted(KEYS))}")
    if run.get("place") not in PLACES:
        raise Wrong(f"{where}: place: {run.get('place')}: one of {', '.join(PLACES)} is needed")
    minutes = run.get("minutes", MINUTES)
    if not isinstance(minutes, (int, float)) or isinstance(minutes, bool) or not 0 < minutes <= 10000:
        raise Wrong(f"{where}: minutes: {minutes}: a number from 1 to 10000 is needed")
    if run["place"] == "lab" and len(_texts(run.get("experiment"), f"{where}: experiment")) > 1:
        raise Wrong(f"{where}: the lab runs one experiment a process")
    each = run.get("each", {})
    if not isinstance(each, dict) or not all(isinstance(values, list) and values for values in each.values()):
        raise Wrong(f"{where}: each: lists of values are needed, such as {{policy: [scan, ready]}}")


def _fill(text, values, where):
    """`text` with {key} replaced; other braces are refused."""
    try:
        return text.format_map(values)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise Wrong(f"{where}: {text!r}: no such key in `each`: {error}") from error


def _runs_of(name, run, file):
    """(name, run) for each combination of the values of `each`."""
    _check(name, run, file)
    where = f"{file}: run {name}"
    each = run.get("each", {})
    for values in itertools.product(*each.values()):
        chosen = dict(zip(each, values))
        filled = _fill(name, chosen, where)
        if not NAME.fullmatch(filled):
            raise Wrong(f"{where}: the name {filled!r}: small letters, digits, '.', '-' and '_' are allowed")
        yield filled, {
            "place": run["place"],
            "options": [_fill(text, chosen, where) for text in _texts(run["options"], where)]
            if run.get("options")
            else [],
            "experiments": [
                _fill(text, chosen, where) for text in _texts(run.get("experiment"), f"{where}: experiment")
            ],
            "minutes": run.get("minutes", MINUTES),
        }


def read(path):
    """{name: run} of a set's file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Wrong(f"{path}: no YAML: {' '.join(str(error).split())}") from error
    runs = content.get("runs") if isinstance(content, dict) else None
    if not isinstance(runs, dict) or not runs:
        raise Wrong(f"{path}: no `runs:` with runs in it")
    found = {}
    for name, run in runs.items():
        for filled, expanded in _runs_of(str(name), run, path):
            if filled in found:
                raise Wrong(f"{path}: two runs have the name {filled}")
            found[filled] = expanded
    return found
