"""Speed comparisons: `python -m pygrad.bench`.

Each compares the same work on two engines: the results are checked to be equal, then the engines are timed in turn,
round by round, and the medians of the rounds are compared. Python's garbage collector stays on.
"""
