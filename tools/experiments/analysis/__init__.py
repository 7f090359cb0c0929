"""One file an experiment. Each has TITLE and QUESTION, NEEDS (the members without which it says nothing), READING (what its numbers
mean and don't, optional), and analyse(samples, part): `samples` is a data frame of one machine alone, nested members with dots in
their names (`pauses.count`), `part` takes what is seen (tools/experiments/section.py).
"""
