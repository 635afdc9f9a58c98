/* emit_native.h: what the files that write native code have in common: see emit_native.c. Private to these. */
#ifndef PYGRAD_EMIT_NATIVE_H
#define PYGRAD_EMIT_NATIVE_H

#include "routine/emit.h"

/* Numbers that follow each other in an array of the caller's and in shared slots. */
typedef struct {
  pg_slot slot; /* of the first */
  uint32_t count, array, offset;
  bool is_direct, is_result;
  bool is_summed; /* derivatives that only loops store, which add them up */
} pg_array_run;

/* What an emitter of native code has of its own. */
typedef struct {
  pg_array_run *runs;
  uint32_t run_count, run_room;
  uint32_t *run_of; /* a shared slot: its run, or PG_NO_REF */
  uint32_t blocks_of[PG_PHASES];
} pg_native;

/* How many numbers a batched slot has. */
static inline size_t pg_width(const pg_emitter *e) { return PG_NATIVE_WIDTH((size_t)e->r->tile); }

/* Where a tile has the numbers of a batched slot. */
static inline size_t pg_place_in_tile(const pg_emitter *e, pg_slot slot) {
  return pg_number_of(slot) * pg_width(e);
}

/* The caller's arrays: emit_native_arrays.c -------------------------------------------------------------- */

/* Finds the runs, and which are direct. Sets `failed` if there is no memory. */
void pg_find_runs(pg_emitter *e);

/* The direct run that a slot is of, or NULL. */
const pg_array_run *pg_direct_run(const pg_emitter *e, pg_slot slot);

/* The address of a slot's number, or of its first. */
void pg_write_address(const pg_emitter *e, pg_slot slot);

/* Copies the arguments, or the results, that are in runs that are not direct. */
void pg_write_copies(const pg_emitter *e, bool results);

/* Adds those derivatives to the sum that it does not have: at once, those that lie side by side. */
void pg_write_sums(const pg_emitter *e);

#endif
