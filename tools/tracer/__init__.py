"""The parts of tools/trace: reading a dump, writing it in other forms, replaying it. Standard library only."""
