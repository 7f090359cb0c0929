"""The experiment `linux-boot`."""
import pandas

from experiments.analysis.common import groups, varying
from experiments.words import number

TITLE = "The boot of a Linux"
QUESTION = "What does an unmodified Linux cost up to its shell, by the pages that map its memory and by who accepts it?"
READING = (
    "Counts repeat but for those of timer interrupts and of the serial line. Times are of the machine, from the first entry "
    "of the TD on; their ratios within one run say more."
)
NEEDS = ("level", "accept", "exits", "faults", "seamcalls", "until_us")
PAGE_BYTES = {"4k": 4096, "2m": 2097152}


def row_of(rows):
    """The means of the boots of one kind."""
    row = {
        "faults": rows["faults"].mean(),
        "vmcalls": rows[[c for c in rows if c.startswith("vmcalls.")]].sum(axis=1).mean(),
        "exits": rows["exits"].mean(),
        "seamcalls": rows["seamcalls"].mean(),
        "flushes": rows["flushes"].mean(),
    }
    for level, size in PAGE_BYTES.items():
        row[f"pages_{level}"] = rows[f"mapped_bytes.{level}"].mean() / size
    row["first_line_s"] = rows["first_us"].mean() / 1e6
    row["until_s"] = rows["until_us"].mean() / 1e6
    return row


def find(frame, level):
    rows = frame[(frame["level"] == level) & (frame["accept"] == "eager") & (frame["vcpus"] == 1)]
    return rows.iloc[0] if len(rows) else None


def analyse(samples, part):
    keys = [*varying(samples, ("parameters.timeout", "parameters.vcpus")), "level", "accept", "vcpus"]
    frame = pandas.DataFrame([{**dict(zip(keys, names)), **row_of(rows)} for names, rows in groups(samples, keys)])
    large, small = find(frame, "2m"), find(frame, "4k")
    if large is not None and small is not None:
        part.say(
            f"By 4K pages the boot takes {number(small['faults'] / large['faults'])} times the EPT violations, "
            f"{number(small['seamcalls'] / large['seamcalls'])} times the SEAMCALLs and "
            f"{number(small['until_s'] / large['until_s'])} times as long as by 2M pages."
        )
    part.table(
        "boots",
        frame,
        "From the first entry of the TD to the shell, means of the boots.",
        keys=len(keys),
        titles={
            "faults": "EPT violations",
            "vmcalls": "TDVMCALLs",
            "seamcalls": "SEAMCALLs",
            "pages_4k": "4K pages",
            "pages_2m": "2M pages",
            "first_line_s": "first line, s",
            "until_s": "shell, s",
        },
    )
