"""The experiment `linux-policies`: as `policies`, whose members its samples have; its works are the phases of a guest."""
from experiments.analysis import policies

TITLE = "Merge policies beneath a Linux"
QUESTION = "What does each merge policy make of a Linux, and what does it cost?"
READING = (
    f"{policies.READING} A guest's conversions fall where its own interrupts let them, so counts differ by a few from run to run; "
    "there are no reads at random, and nobody knows what the guest uses."
)
NEEDS = policies.NEEDS
analyse = policies.analyse
