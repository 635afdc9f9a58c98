/* trace.c: begins and ends traces, and tells nodes of the present trace from those that have escaped from an
 * earlier one. */
#include "graph/trace.h"

int pg_trace_begin(pg_trace *trace) {
  pg_lock();
  const int status = pg_is_traced() ? PG_BUSY : pg_begin_traced_block() ? PG_OK : PG_NO_MEMORY;
  if (!status) {
    *trace = (pg_trace){.number = pg_the_arena.trace};
    pg_the_arena.traced_reads = 0;
    pg_the_arena.tracing_thread = pg_os_thread();
    pg_the_arena.trace_flag = PG_TRACED;
  }
  pg_unlock();
  return status;
}

/* In the child of a fork, the trace of another thread has ended already. */
void pg_trace_end(pg_trace *trace) {
  pg_lock();
  if (pg_is_traced() && trace->number == pg_the_arena.trace) {
    pg_the_arena.trace_flag = 0;
    trace->reads = pg_the_arena.traced_reads;
  }
  trace->number = 0;
  pg_unlock();
}

bool pg_tracing(void) { return pg_trace_flag() != 0; }

bool pg_has_escaped(pg_id id) {
  const uint32_t trace = pg_the_arena.blocks[pg_block_of(id)].trace;
  const bool has = pg_node_at(id)->flags & PG_TRACED && !(pg_is_traced() && trace == pg_the_arena.trace);
  if (has) {
    pg_the_arena.escaped_trace = trace;
  }
  return has;
}

int pg_all_usable(size_t n, const pg_id *ids) {
  int flags = 0;
#pragma GCC unroll 4
  for (size_t i = 0; i < n; i++) {
    if (!pg_is_live(ids[i])) {
      return PG_STALE;
    }
    flags |= pg_node_at(ids[i])->flags;
  }
  for (size_t i = 0; i < n && flags & PG_TRACED; i++) {
    if (pg_has_escaped(ids[i])) {
      return PG_ESCAPED;
    }
  }
  return PG_OK;
}

uint32_t pg_escaped_from(void) {
  pg_lock();
  const uint32_t trace = pg_the_arena.escaped_trace;
  pg_unlock();
  return trace;
}

bool pg_has_nodes_of_trace(uint32_t trace) {
  bool has = false;
  pg_lock();
  for (pg_block_id block = pg_the_arena.youngest; block && !has; block = pg_the_arena.blocks[block].older) {
    has = pg_the_arena.blocks[block].trace == trace;
  }
  pg_unlock();
  return has;
}
