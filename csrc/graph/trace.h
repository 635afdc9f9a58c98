/* trace.h: whether this thread is tracing, and which nodes may be used. Private to the core; others use
 * pg_trace_begin() of pygrad.h.
 *
 * One thread at a time may trace. Its new nodes are flagged PG_TRACED. A block has traced nodes of one trace
 * only, so a node's trace is that of its block: a node of an ended trace has escaped, and is refused. Counted
 * are reads of the tracing thread, and those of traced nodes by others. trace_flag, tracing_thread and
 * traced_reads are atomic, and need no lock.
 */
#ifndef PYGRAD_TRACE_H
#define PYGRAD_TRACE_H

#include "graph/arena.h"

/* PG_TRACED if this thread is tracing, else 0: a flag for each node that it makes. */
static inline uint16_t pg_trace_flag(void) {
  const uint16_t flag = atomic_load_explicit(&pg_the_arena.trace_flag, memory_order_acquire);
  return __builtin_expect(flag, 0) && pg_the_arena.tracing_thread == pg_os_thread() ? flag : 0;
}

/* Whether any thread is tracing. */
static inline bool pg_is_traced(void) {
  return __builtin_expect(atomic_load_explicit(&pg_the_arena.trace_flag, memory_order_acquire), 0);
}

/* Called when a number of a node with these flags is read from outside, or its data are set. */
static inline void pg_note_read(int flags) {
  if (pg_is_traced() && (flags & PG_TRACED || pg_trace_flag())) {
    pg_the_arena.traced_reads++;
  }
}

/* For these the caller holds the lock.
 *
 * Whether a live node was made during a trace that has ended. */
bool pg_has_escaped(pg_id id);
/* Whether all may be operands: PG_OK, PG_STALE or PG_ESCAPED. */
int pg_all_usable(size_t n, const pg_id *ids);

#endif
