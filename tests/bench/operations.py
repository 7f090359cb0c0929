"""What the operations of the TDP MMU cost: counts of tests/bench/ops, beside their bounds and Linux. All of it repeats exactly."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

OPS_LIMIT_S = 240
COUNT_LIMIT_S = 1800
COUNTS = ("seamcalls", "tracks", "kick_rounds", "ipis")


def _rows(command, limit):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit, check=False, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with status {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def instructions(ops, row=None):
    """By (op, vcpus): instructions of the VMM outside SEAMCALL, by callgrind; empty where there is none. Of one row, or of all."""
    if not shutil.which("valgrind"):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        rows = _rows(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}/%p", "--collect-atstart=no",
                      "--toggle-collect=bench_measured*", "--toggle-collect=uncounted_*", str(ops), "septum", *([row] if row else [])], COUNT_LIMIT_S)
        counts = {}
        for row in rows:
            text = (out / str(row["pid"])).read_text(encoding="ascii", errors="replace")
            counts[row["op"], row["vcpus"]] = int(re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE).group(1))
        return counts


def measure(build, count):
    """Rows as out/bench.json has them. `count`: with instructions, which takes minutes."""
    ops = build / "bench" / "ops"
    linux = {(row["op"], row["vcpus"]): row for row in _rows([str(ops), "linux"], OPS_LIMIT_S)}
    rows = _rows([str(ops), "septum"], OPS_LIMIT_S)
    counted = instructions(ops) if count else {}
    for row in rows:
        del row["pid"]
        key = row["op"], row["vcpus"]
        for name in ("seamcalls", "kick_rounds", "ipis"):
            row[f"{name}_linux"] = linux[key].get(name)
        row["instructions"] = counted.get(key)
        row["longest_pause_unit"] = "seamcalls"
        row["ratio"] = row["seamcalls"] / row["seamcalls_bound"]
    return rows


def is_at_bound(row):
    return all(row[name] == row[f"{name}_bound"] for name in COUNTS)


def print_table(rows):
    print(f"{'operation':37} {'vCPUs':>5} {'calls':>6} {'bound':>6} {'ratio':>5} {'Linux':>6} {'TRACKs':>6} {'kicks':>5} {'Linux':>5} "
          f"{'IPIs':>4} {'Linux':>5} {'flushes':>7} {'exits':>5} {'pause':>5} {'instructions':>12}")
    for row in rows:
        values = [row[name] if row[name] is not None else "-" for name in (
            "seamcalls_linux", "tracks", "kick_rounds", "kick_rounds_linux", "ipis", "ipis_linux", "flushes", "exits",
            "longest_pause", "instructions")]
        print(f"{row['op']:37} {row['vcpus']:5} {row['seamcalls']:6} {row['seamcalls_bound']:6} {row['ratio']:5.2f} {values[0]:>6} "
              f"{values[1]:>6} {values[2]:>5} {values[3]:>5} {values[4]:>4} {values[5]:>5} {values[6]:>7} {values[7]:>5} {values[8]:>5} "
              f"{values[9]:>12}")
    print("calls: SEAMCALLs but PHYMEM.PAGE.WBINVD; kicks: rounds; flushes: 4K pages; pause: the most calls, flushes among them,\n"
          "while a vCPU was out")
    for row in rows:
        if not is_at_bound(row):
            print(f"{row['op']}, {row['vcpus']} vCPUs: {row.get('why', 'no reason is known')}")
