"""Compares speeds: `python -m pygrad.bench`, `pygrad bench` or `make bench`.

Each of sixteen workloads runs on every installed engine for which it can be written: `pygrad.reference`, pygrad's own
interfaces (Value, Array, compile), other libraries, and hand-written C, which is the limit (limit.c). The method:

- *The same work.* All engines get the same numbers, drawn with `--seed`. Before an engine is timed, its value and
  gradient are compared with those of `pygrad.reference`, to 1e-9. This is done for three calls in a row, so that the
  later results of a training step also check its updates. An engine whose results differ is reported as failed.
  Workloads that would take the reference minutes are checked at a smaller size by the same code.
- *What is timed* is the call that a user would make, in double precision: the value, the gradient with respect to all
  inputs where the engine stores it, and for a training step the update. Leaves, models and compiled functions are
  created beforehand.
- *In turn.* In each round every engine gets a turn, in a new random order, so that a disturbance affects all of them. A
  turn takes at least 20 ms; its first call is a warm-up and does not count, unless calls take more than 300 ms. Calls
  shorter than a millisecond are timed many at a time. For calls longer than 100 ms, the calls of the check count as
  measurements, except the first. With `--quick` such calls are not repeated, and if they take more than 300 ms there is
  only one measurement. The figures are the median and the quartiles of all timings.
- *From Python.* Hand-written C and CasADi's Function are also called from Python. The call takes a fraction of a
  microsecond, which matters only where there is little to compute, as in micrograd's README expression.
- *On one thread,* except for the engine whose name says otherwise. PyTorch and JAX are configured accordingly.
- *Garbage collection* is on for the engines whose nodes form reference cycles, such as micrograd: nothing else frees
  them, and it can take most of the time. A timing of such an engine is the mean of consecutive calls that take 50 ms or
  more. For all other engines it is off while they run, because its time depends on what else is in memory. Objects that
  exist before an engine is checked or timed are hidden from the collector (`gc.freeze`). Garbage left after a turn is
  collected outside the timing, so that no other engine pays for it.
- *Memory* is measured in a separate process.

`--sweep` times compiled functions over a range of sizes, batches, numbers of arguments, and so on, by the same method
(grid.py). There the eager graph is what each engine is compared with.

A workload is a file in `workloads/`; an engine is a row in `engines.py`. Shared code is in `scalars.py` (engines used
scalar by scalar) and in `arrays.py` (engines that take whole arrays).
"""
