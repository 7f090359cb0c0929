"""The workflow of tools/experiments over recorded logs: what the report says, and what damaged input gets. Without QEMU."""
import csv
import fcntl
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from experiments.samples import Log  # noqa: E402

TOOLS = ROOT / "tools" / "experiments"
RECORDED = pathlib.Path(__file__).parent / "report" / "console.log"
LIMIT_S = 600


def sample(n, platform="SeptumSimTDX", **more):
    record = {"cmd": "experiment", "ok": True, "experiment": "toy", "platform": platform, "seed": 1, "sample": n,
              "cost": {"calls": 3 + n}}
    return "@" + json.dumps({**record, **more, "parameters": {"size": 2}}, separators=(",", ":"))


def answer(n, **more):
    return "@" + json.dumps({"cmd": "experiment", "ok": True, "experiment": "toy", "samples": n, **more}, separators=(",", ":"))


GOOD = [sample(0), sample(1), sample(2), answer(3)]


# --- samples in a log ---

def test_samples_among_anything_else():
    text = ["BdsDxe: loading Boot0001", "\x1b[2J[  0.058] info: TDX module 1.5.01", '@{"cmd":"tdx init","ok":true,"x":"@{"}',
            f"[2026-03-01 10:00:00] {sample(0)}\r", f"\x1b[32m{sample(1)}\x1b[0m\r",
            "  working: 3 of 9\r  working: 4 of 9\r" + sample(2),
            answer(3) + "septum> ", '@{"cmd":"mem","free', "@{"]
    log = Log("a.log", "\n".join(text[:-1]))
    assert log.problems == []
    assert [(s["line"], s["sample"], s["cost.calls"], s["parameters.size"], s["log"]) for s in log.samples] == [
        (4, 0, 3, 2, "a.log"), (5, 1, 4, 2, "a.log"), (6, 2, 5, 2, "a.log")]


def test_several_runs_in_one_log():
    log = Log("a.log", "\n".join(GOOD + GOOD))
    assert log.problems == [] and [s["sample"] for s in log.samples] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("lines, samples, problem", [
    ([], 0, "a.log: no sample of an experiment in it"),
    (["septum> version", '@{"cmd":"version","ok":true}'], 0, "a.log: no sample of an experiment in it"),
    ([sample(0), sample(1)[:60], sample(2), answer(3)], 2,
     """a.log:2: the sample line is cut: it ends with 'riment":"toy","platform"'"""),
    ([sample(0), sample(1)[:60] + sample(2), answer(3)], 2,
     """a.log:2: the sample line is cut: it ends with 'riment":"toy","platform"'"""),
    ([sample(0), sample(1)[70:], sample(2), answer(3)], 2, "a.log:2: a sample line has lost its beginning"),
    ([sample(0), sample(1).replace('"calls":', '"cal'), sample(2), answer(3)], 2,
     "a.log:2: the sample line is no JSON: Expecting ':' delimiter at 'parameters\":{\"size\":2}}'"),
    ([sample(0), sample(1).replace('"seed":1,', ""), sample(2), answer(3)], 2, "a.log:2: the sample has no member 'seed'"),
    ([sample(0), sample(1).replace('"seed":1,', '"seed":"x",'), sample(2), answer(3)], 2,
     "a.log:2: the sample's member 'seed' is \"x\", which is no int"),
    ([sample(0), sample(1).replace('"seed":1,', '"sample":1,'), sample(2), answer(3)], 2,
     "a.log:2: the sample line is damaged: the member 'sample' is there twice"),
    ([sample(0), sample(1, experiment="../toy"), sample(2), answer(3)], 2, "a.log:2: the experiment has the name '../toy'"),
    ([sample(0), sample(2), answer(3)], 2, "a.log:2: sample 2 of toy does not follow the one before: lines are missing"),
    ([sample(1), sample(2), answer(3)], 2, "a.log:1: sample 1 of toy does not follow the one before: lines are missing"),
    ([sample(0), sample(1), answer(3)], 2, "a.log:3: toy took 3 samples, but 2 of them are in the log"),
    ([sample(0), sample(1)], 2, "a.log:2: the log ends before the experiment toy does, after 2 samples"),
    ([sample(0), *GOOD], 4, "a.log:1: the next begins in line 2 before the experiment toy does, after 1 samples"),
    ([sample(0), answer(1, ok=False, error="stopped by ^C")], 1,
     "a.log:2: the experiment toy failed after 1 samples: stopped by ^C"),
    (['@{"cmd":"experiment","ok":false,"error":"no experiment \'foo\'"}'], 0,
     "a.log:1: the experiment was refused: no experiment 'foo'"),
])
def test_damage_is_named_once_by_file_and_line(lines, samples, problem):
    log = Log("a.log", "\n".join(lines))
    assert (log.problems, len(log.samples)) == ([problem], samples)


# --- the workflow ---

def workflow(*arguments, **environment):
    done = subprocess.run([str(TOOLS / "workflow"), *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S,
                          check=False, env={**os.environ, **environment})
    return done.returncode, done.stderr


def told(stderr):
    """What the front end itself says: its lines, without Snakemake's."""
    return [line.partition(": ")[2] for line in stderr.splitlines() if line.startswith("report: ")]


@pytest.fixture(scope="module")
def tools_present():
    needed = subprocess.run(["/usr/bin/python3", "-c", "import snakemake, pandas, matplotlib, jinja2, yaml"],
                            capture_output=True, check=False)
    if needed.returncode:
        missing = needed.stderr.decode().strip().splitlines()[-1]
        pytest.skip(f"the workflow's packages are missing ({missing}); tools/deps experiments installs them")


@pytest.fixture(scope="module")
def reported(tools_present, tmp_path_factory):
    """(folder, exit status, messages) of a report on the recorded log, a damaged one of another machine, and an empty one."""
    folder = tmp_path_factory.mktemp("report")
    lines = ["boot", sample(0, "none"), sample(1, "none")[:80], sample(2, "none"), answer(3)]
    (folder / "server.log").write_text("".join(f"{line}\r\n" for line in lines))
    (folder / "sim.log").write_text("\n".join(GOOD))
    (folder / "empty.log").write_text("")
    logs = [RECORDED, *(folder / name for name in ("server.log", "sim.log", "empty.log"))]
    status, stderr = workflow("--out", folder / "out", "--logs", *logs)
    return folder, status, told(stderr)


def section(folder, name):
    return json.loads((folder / "out" / "sections" / f"{name}.json").read_text(encoding="utf-8"))


def test_report_says_what_is_missing(reported):
    folder, status, messages = reported
    missing = [f"{folder}/server.log:3: the sample line is cut: it ends with 'orm\":\"none\",\"seed\":1,\"sa'",
               f"{folder}/empty.log: no sample of an experiment in it"]
    assert messages == [*missing, f"{folder}/out/report.html, which lacks what is named above"]
    assert status == 1
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert f"<li>{folder}/empty.log: no sample of an experiment in it</li>" in page


def test_figures_of_two_machines_are_never_one(reported):
    parts = {part["machine"]: part for part in section(reported[0], "toy")["parts"]}
    column = {machine: [row[-1] for row in part["tables"][0]["rows"]] for machine, part in parts.items()}
    assert column == {"none": [3, 5], "SeptumSimTDX": [3, 4, 5]}
    page = (reported[0] / "out" / "report.html").read_text(encoding="utf-8")
    assert 'class="badge simulated">SeptumSimTDX<' in page and 'class="badge measured">none<' in page


def rows_of(part, name, keys):
    """{key: {column: value}} of a table."""
    [table] = [table for table in part["tables"] if table["name"] == name]
    columns = [column["id"] for column in table["columns"]]
    return {tuple(row[:keys]): dict(zip(columns, row)) for row in table["rows"]}


def test_tables_and_sentences_are_those_of_the_samples(reported):
    [part] = section(reported[0], "convert")["parts"]
    calls = {tuple(row[:2]): row[2:5] for row in part["tables"][0]["rows"]}
    assert calls == {("2m", 1): [1, 6, 2], ("2m", 8): [1, 20, 2], ("2m", 64): [1, 132, 2], ("2m", 511): [1, 1026, 2],
                     ("2m", 512): [1, 3, 1]}
    assert part["says"] == ["Sharing n pages of a 2M page took the fewest calls there are, 4 + 2n (less for a whole region), "
                            "in 5 conversions of 5.",
                            "A merge afterwards took 3 calls, however many pages had been converted."]
    [part] = section(reported[0], "policies")["parts"]
    of_policy = rows_of(part, "cost", 2)
    assert list(of_policy) == [("back4k", "none"), ("back4k", "ready")]
    assert [row["large"] for row in of_policy.values()] == [0, 100] and [row["merged"] for row in of_policy.values()] == [0, 2]
    assert of_policy["back4k", "ready"]["per_merge"] == of_policy["back4k", "ready"]["calls"] / 2
    [part] = section(reported[0], "tlb")["parts"]
    rates = rows_of(part, "rates", 3)
    assert list(rates) == [(order, 16, page) for order in ("sequential", "strided", "random", "zipf") for page in ("4k", "2m")]
    assert {(row["accesses"], row["misses"]) for row in rates.values()} == {(1000, 0)}  # all of it fits into that TLB
    [part] = section(reported[0], "dirty")["parts"]
    assert [list(rows_of(part, name, 1)) for name in ("steps", "recovery")] == [
        [("on",), ("first touches",), ("first get",), ("later touches",), ("later gets",), ("off",)], [("ready",)]]
    [part] = section(reported[0], "fragment")["parts"]
    assert part["says"][0] == "Gathering took 2r + 4 SEAMCALLs in 5 of 5 regions."


def test_csv_has_each_sample(reported):
    with (reported[0] / "out" / "csv" / "convert.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15 and rows[0]["machine"] == "SeptumSimTDX" and rows[0]["parameters.rounds"] == "1"
    assert [int(r["seamcalls"]) for r in rows if r["step"] == "to shared"] == [6, 20, 132, 1026, 3]


def test_page_is_whole_in_itself(reported):
    folder = reported[0] / "out"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(?!#|data:,")[^"]*"', page) == [] and "url(http" not in page and "@import" not in page
    assert page.count("<svg ") == page.count("</svg>") == 2 * page.count("<figure>") > 0
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names))
    for name in ("convert/septumsimtdx-calls", "policies/septumsimtdx-share", "dirty/septumsimtdx-recovery"):
        assert (folder / "pictures" / f"{name}.svg").read_text(encoding="utf-8").count("<path") > 3
        assert (folder / "pictures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_findings_take_their_figures_from_the_report(reported, tmp_path):
    text = tmp_path / "findings.md"

    def findings(*more):
        options = ("--out", str(reported[0] / "out"), "--pictures", str(tmp_path / "shown"))
        done = subprocess.run([str(TOOLS / "findings"), *options, *more, str(text)], capture_output=True, text=True,
                              timeout=LIMIT_S, check=False)
        return done.returncode, done.stderr.splitlines()

    text.write_text("Eight: <!--=convert.calls.2m/8.to shared: SEAMCALLs-->?<!--/-->.\n"
                    "<!--=table convert.calls@SeptumSimTDX: pages, merge: TRACKs; pages=64--><!--/-->\n"
                    "<!--=picture convert.calls--><!--/-->\n<!--machine none-->\n<!--=toy.samples.1.cost.calls-->0<!--/-->\n")
    assert findings("--check") == (1, ["findings: findings.md:1: not what the samples say; `make findings` writes it anew",
                                       f"findings: {tmp_path}/shown/convert-septumsimtdx-calls.svg: not the picture that the "
                                       "samples make; `make findings` copies it"])
    assert findings() == (0, [])
    assert findings("--check") == (0, [])
    new = text.read_text(encoding="utf-8")
    assert "seamcalls" not in new and "SEAMCALLs-->20<!--/-->." in new and "| 64 | 1 |\n<!--/-->" in new
    assert "](shown/convert-septumsimtdx-calls.svg)\n" in new and (tmp_path / "shown" / "convert-septumsimtdx-calls.svg").exists()
    text.write_text("<!--=toy.samples.1.cost.calls-->7<!--/-->\n<!--=convert.calls.2m/9.conversions-->7<!--/-->\n"
                    "<!--=latency.a.b.c-->7<!--/-->\n<!--=convert.calls.2m/8.x-->\n")
    status, messages = findings()
    assert status == 1 and [m.split(":")[2] for m in messages] == ["1", "2", "3", "4"]
    assert "toy has samples of SeptumSimTDX, none: @MACHINE" in messages[0] and "there are 2m/1, 2m/8," in messages[1]
    assert "no samples of experiment 'latency'; there are convert, dirty, fragment, policies, tlb, toy" in messages[2]
    assert "has no end" in messages[3]
    assert text.read_text(encoding="utf-8").count("7<!--/-->") == 3


def test_run_that_fails_leaves_its_log_and_is_tried_again(tools_present, tmp_path):
    runs, out = tmp_path / "runs.yaml", tmp_path / "out"
    runs.write_text("runs:\n  toy-{seed}:\n    each: {seed: [1, 2]}\n    place: platform\n    experiment: toy seed={seed}\n")
    script = tmp_path / "qemu"  # a QEMU that a console comes out of, and that fails for one seed
    lines = "".join(line + "\\n" for line in (*GOOD, '@{"cmd":"poweroff","ok":true,"status":0}'))
    script.write_text("#!/bin/sh\n"
                      "for word; do case $word in format=raw,file=*) f=${word#format=raw,file=}; f=${f%%,*} ;; esac; done\n"
                      f"grep -aq seed=2 $f && [ ! -e {tmp_path}/mended ] && exit 3\nprintf '%b' '{lines}'\n")
    script.chmod(0o755)
    firmware = tmp_path / "ovmf"
    firmware.write_text("")
    build = tmp_path / "build"
    build.mkdir()
    for image in ("septum.efi", "simtdx.efi"):
        (build / image).write_text("image")
    options = ("--set", runs, "--out", out, "--build", build)
    environment = {"SEPTUM_QEMU": str(script), "SEPTUM_OVMF": str(firmware)}
    status, stderr = workflow(*options, **environment)
    assert status == 1, stderr
    assert told(stderr)[0].startswith("run toy-2 failed (toy seed=2): exit status 125: run: the machine stopped"), stderr
    assert "the machine stopped" in (out / "logs" / "toy-2.log").read_text()
    assert "run toy-2 failed" in (out / "report.html").read_text(encoding="utf-8")
    done = (out / "logs" / "toy-1.log").stat().st_mtime_ns
    (tmp_path / "mended").write_text("")
    status, stderr = workflow(*options, **environment)
    assert status == 0 and told(stderr) == [f"{out}/report.html"], stderr
    assert (out / "logs" / "toy-1.log").stat().st_mtime_ns == done
    assert len(section(tmp_path, "toy")["parts"][0]["tables"][0]["rows"]) == 6


@pytest.mark.parametrize("text, words", [
    ("runs: [", "no YAML: while parsing"),
    ("set: {}", "no `runs:` with runs in it"),
    ("runs: {a: {place: moon, experiment: x}}", "run a: place: moon: one of platform, lab, linux is needed"),
    ("runs: {a: {place: lab, experiment: x, colour: 1}}",
     "run a: unknown key 'colour'; allowed are each, experiment, minutes, options, place"),
    ("runs: {a: {place: lab}}", "run a: experiment: a text or a list of texts is needed"),
    ("runs: {a: {place: lab, experiment: [x, y]}}", "run a: the lab runs one experiment a process"),
    ("runs: {a: {place: platform, experiment: x, minutes: 0}}", "run a: minutes: 0: a number from 1 to 10000 is needed"),
    ("runs: {A b: {place: platform, experiment: x}}", "run A b: the name 'A b': small letters, digits"),
    ("runs: {a: {place: platform, experiment: 'x p={p}'}}", "run a: 'x p={p}': no such key in `each`: 'p'"),
    ("runs: {a: {each: {p: [1, 2]}, place: platform, experiment: x}}", "two runs have the name a"),
])
def test_refused_sets(tools_present, tmp_path, text, words):
    from experiments import sets
    path = tmp_path / "runs.yaml"
    path.write_text(text)
    with pytest.raises(sets.Wrong) as wrong:
        sets.read(path)
    assert str(wrong.value).startswith(f"{path}: {words}") and "\n" not in str(wrong.value)


def test_refused_command_lines(tools_present, tmp_path):
    (tmp_path / "wrong.yaml").write_text("runs: {}")
    for arguments, words in [(("--set", tmp_path / "wrong.yaml"), f"{tmp_path}/wrong.yaml: no `runs:` with runs in it"),
                             (("--logs", tmp_path / "no.log"), f"{tmp_path}/no.log: No such file or directory"),
                             (("--logs", RECORDED, RECORDED), "the same log is named twice: its samples would count twice"),
                             (("--set", "foo"), "no set 'foo': a path is needed, or one of default, quick, small")]:
        status, stderr = workflow("--out", tmp_path / "out", *arguments)
        assert (status, told(stderr), stderr.count("\n")) == (2, [words], 1)


def test_one_workflow_at_a_time_in_a_folder(tools_present, tmp_path):
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, stderr = workflow("--out", tmp_path, "--logs", RECORDED)
    assert (status, told(stderr)) == (2, [f"another workflow is at work in {tmp_path}"])


def test_a_linux_that_is_not_there_is_skipped(tmp_path):
    run = {"place": "linux", "options": [], "experiments": ["linux-boot"], "minutes": 1}
    log, status, csv_folder, summary = (tmp_path / name for name in ("boot.log", "boot.json", "csv", "summary.json"))
    subprocess.run([TOOLS / "measure", "--log", log, "--status", status, "--build", tmp_path / "build", "boot", json.dumps(run)],
                   check=True, capture_output=True, timeout=LIMIT_S)
    result = json.loads(status.read_text())
    assert result["failure"] is None and "_*.deb is missing and cannot be fetched" in result["skipped"]
    (tmp_path / "logs").mkdir()
    log.rename(tmp_path / "logs" / "boot.log")
    subprocess.run([TOOLS / "collect", "--csv", csv_folder, "--summary", summary, "--status", status, "logs/boot.log"], check=True,
                   cwd=tmp_path, timeout=LIMIT_S)
    assert json.loads(summary.read_text())["problems"] == []


def test_boots_of_a_linux_are_compared(tools_present, tmp_path):
    import pandas
    from experiments.analysis import linux_boot
    from experiments.section import Part
    rows = [{"level": level, "accept": accept, "vcpus": 1, "exits": faults + 900, "faults": faults, "seamcalls": faults + 300,
             "flushes": 7, "vmcalls.CPUID": 200, "vmcalls.IO": 80, "mapped_bytes.4k": 4096 * small,
             "mapped_bytes.2m": 2097152 * large, "first_us": 2000000, "until_us": us, "parameters.timeout": 300,
             "parameters.mem": 256, "parameters.vcpus": 1}
            for level, accept, faults, small, large, us in [
                ("2m", "eager", 1000, 3000, 92, 4000000), ("2m", "eager", 1200, 3000, 92, 6000000),
                ("2m", "lazy", 900, 2000, 80, 5000000), ("4k", "eager", 55000, 50000, 0, 20000000)]]
    part = Part(tmp_path, "linux-boot", "toy")
    linux_boot.analyse(pandas.DataFrame(rows), part)
    assert part.says == ["By 4K pages the boot takes 50 times the EPT violations, 39.5 times the SEAMCALLs and 4 times as long as "
                         "by 2M pages."]
    [table] = part.tables
    assert [c["id"] for c in table["columns"][:4]] == ["level", "accept", "vcpus", "faults"]
    assert table["rows"][0] == ["2m", "eager", 1, 1100, 280, 2000, 1400, 7, 3000, 92, 2, 5]
    assert [row[:3] for row in table["rows"]] == [["2m", "eager", 1], ["2m", "lazy", 1], ["4k", "eager", 1]]


def test_sets_of_the_project_are_good(tools_present):
    from experiments import sets
    for path in sorted((TOOLS / "sets").glob("*.yaml")):
        assert len(sets.read(path)) > 0
