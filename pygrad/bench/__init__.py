"""Speed comparisons: `python -m pygrad.bench`, `pygrad bench` or `make bench`.

Each of a dozen workloads is done by every engine that is installed and that the workload can be written for: by
`pygrad.reference`, by pygrad's rungs (Value, Array, compile), by other libraries, and by hand-written C, which is the
limit (limit.c). How it is measured:

- *The same work.* All engines get the same numbers, drawn with `--seed`. Before an engine is timed, its value and its
  gradient are checked against those of `pygrad.reference`, to 1e-9: three times in a row, so that the later results of
  a training step check the updates that the earlier ones made. The engine that differs is shown as failed. Workloads
  that would take the reference minutes are checked at a smaller size by the same code.
- *What is timed* is the call that a user would make, in double precision: the value, the gradient by all inputs where
  the engine leaves it, and for a training step the update. Leaves, models and compiled functions are made before.
- *In turn.* In each round every engine gets a turn, in an order that is drawn anew, so that a disturbance meets all of
  them. A turn takes 20 ms at least; its first call warms up and does not count. Calls of less than a millisecond are
  timed many at a time. Of calls that take more than 100 ms, those of the check count but for the first; with `--quick`
  there are no others, and if they take more than 300 ms, just one. The figures are the median and the quartiles of
  all timings.
- *From Python,* hand-written C and CasADi's Function, too. That takes a fraction of a microsecond, which shows where
  there is little to compute: in micrograd's README expression.
- *On one thread,* but for the engine that says otherwise: PyTorch and JAX are told so.
- *Garbage collection* stays on, as Python has it: the nodes of plain Python are garbage that is collected while the
  next ones are made, which can be most of its time. A timing of such an engine is the mean of calls in a row that take
  50 ms or more, so that each has its share. What is in memory before an engine is checked or timed is kept from the
  collector (`gc.freeze`), so that this does not depend on which other libraries are imported; and garbage that is left
  after a turn is collected, so that no other engine pays for it.
- *Memory* is that of a process of its own.

A workload is a file in `workloads/`, and an engine a row in `engines.py`. What workloads have in common stands in
`scalars.py` (engines that are used number by number) and in `arrays.py` (those that take whole arrays).
"""
