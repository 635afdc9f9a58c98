/* native_call.h: what run.c passes to native code, that is, code which emit_native.c wrote and a compiler made.
 * Private to these and to native.h. */
#ifndef PYGRAD_NATIVE_CALL_H
#define PYGRAD_NATIVE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pg_native_call pg_native_call;

struct pg_native_call {
  double *const *arrays; /* of the caller: arguments, then results */
  double *shared, *batched, *totals;
  size_t samples; /* of the tile */
  const bool *stop;
  /* Runs a lookup or a scatter: loop `loop` of a phase. */
  void (*run_list)(const pg_native_call *call, int phase, uint32_t loop);
  const void *routine; /* for run_list(), and that to which it appends */
  void *additions;
};

/* Runs a phase of a routine. Returns early if *stop is set. */
typedef void pg_native_code(const pg_native_call *call, int phase);

#endif
