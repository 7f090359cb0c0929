"""The parts of tools/run: the machine, its console, and names for addresses. Standard library only."""
