/* trace.h: whether this thread is tracing. Private to the core; others use pg_trace_begin() of pygrad.h.
 *
 * One thread at a time may trace. Its new nodes are flagged PG_TRACED, and its reads of their numbers are
 * counted; nodes and reads of other threads are not. Nothing here needs the arena's lock: trace_flag and
 * tracing_thread are atomic, and only the tracing thread touches traced_reads.
 */
#ifndef PYGRAD_TRACE_H
#define PYGRAD_TRACE_H

#include "graph/arena.h"

/* PG_TRACED if this thread is tracing, else 0: a flag for each node that it makes. */
static inline uint16_t pg_trace_flag(void) {
  const uint16_t flag = atomic_load_explicit(&pg_the_arena.trace_flag, memory_order_acquire);
  return __builtin_expect(flag, 0) && pg_the_arena.tracing_thread == pg_os_thread() ? flag : 0;
}

/* Called when a number of a node with these flags is read from outside, or its data are set. */
static inline void pg_note_read(int flags) {
  if (pg_trace_flag() & flags) {
    pg_the_arena.traced_reads++;
  }
}

#endif
