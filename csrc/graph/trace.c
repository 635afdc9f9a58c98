/* trace.c: begins and ends traces. */
#include "graph/trace.h"

void pg_trace_begin(void) {
  pg_the_arena.traced_reads = 0;
  pg_the_arena.tracing_thread = pg_os_thread();
  pg_the_arena.trace_flag = PG_TRACED;
}

uint64_t pg_trace_end(void) {
  pg_the_arena.trace_flag = 0;
  return pg_the_arena.traced_reads;
}

bool pg_tracing(void) { return pg_trace_flag() != 0; }
