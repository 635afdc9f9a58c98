/* frame.h: what run.c passes to the kernels, and to native code: the memory that a phase of a routine works on.
 * Native code is what emit_native.c wrote and a compiler made; native.h includes this file, too. */
#ifndef PYGRAD_FRAME_H
#define PYGRAD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pg_frame pg_frame;

/* How many numbers a batched slot of native code has. There are more than a tile's: slots that are a power of 2
 * apart share few lines of a cache. */
#define PG_NATIVE_WIDTH(tile) ((tile) + 8)

struct pg_frame {
  double *const *arrays; /* of the caller: arguments, then results */
  double *shared;
  /* Only PG_BATCH needs these. */
  double *batched; /* the slots of a tile */
  double *totals;  /* those of the chunk that the tile belongs to */
  size_t samples;  /* of the tile */
  size_t tile;     /* how many numbers a batched slot has: whole vectors; in native code, PG_NATIVE_WIDTH */
  double *sum;     /* native code adds the derivatives that it stores to it: nan if one is */
  const bool *stop;
  /* Runs a lookup or a scatter: loop `loop` of a phase. */
  void (*run_list)(const pg_frame *f, int phase, uint32_t loop);
  const void *routine; /* the pg_routine */
  void *additions;     /* the pg_additions that PG_SCATTER_ADD appends to */
};

/* Runs a phase of a routine. Returns early if *stop is set. */
typedef void pg_code(const pg_frame *f, int phase);

#endif
