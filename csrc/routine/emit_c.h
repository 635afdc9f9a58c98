/* emit_c.h: what the files that write C for other machines have in common: see emit_c.c. Private to these. */
#ifndef PYGRAD_EMIT_C_H
#define PYGRAD_EMIT_C_H

#include "routine/emit.h"

/* What is written. */
typedef struct {
  const pg_routine *r;
  const char *name; /* what all names begin with */
  char suffix[32];  /* what the routine's own names go on with */
  bool is_gradient, is_batch;
  bool is_masked;           /* it stores results only where there is nan */
  uint32_t parts;           /* how many blocks have been written */
  uint32_t ends[PG_PHASES]; /* the last part of each phase */
} pg_writer;

enum {
  PG_PREFIX = 2, /* the length of "pg": what is written has the caller's name instead */
  PG_NUMBERS_A_LINE = 6
};

#define PG_SAMPLES "for (ptrdiff_t q = 0; q < samples; q++)"

/* What is between the numbers of a table. */
static inline const char *pg_separator(uint32_t k) {
  return k == 0 ? "" : k % PG_NUMBERS_A_LINE ? ", " : ",\n";
}

/* Slots -------------------------------------------------------------------------------------------------- */

/* Where the batched slots begin. */
static inline size_t pg_shared_size(const pg_routine *r) {
  return (size_t)r->shared + (r->batched ? r->tile : 1);
}

/* Where the numbers are that are added to the outputs. */
static inline size_t pg_added_place(const pg_routine *r) {
  return pg_shared_size(r) + (size_t)r->batched * r->tile;
}

static inline size_t pg_work_size(const pg_routine *r) {
  return pg_added_place(r) + (r->target_count ? r->output_count : 0);
}

static inline size_t pg_place_in_work(const pg_routine *r, pg_slot slot) {
  return slot == PG_NO_SLOT    ? r->shared
         : pg_is_batched(slot) ? pg_shared_size(r) + (size_t)pg_number_of(slot) * r->tile
                               : pg_number_of(slot);
}

/* Blocks: emit_c_blocks.c -------------------------------------------------------------------------------- */

extern const pg_dialect pg_portable;

/* Writes the functions of all blocks, and the calls of those of a phase. */
void pg_write_blocks(pg_emitter *e);
void pg_write_calls(const pg_emitter *e, int phase);

/* Whether an op of a routine calls a function of functions.def. */
bool pg_calls_function(const pg_routine *r, const char *function);

/* The caller's arrays: emit_c_arrays.c ------------------------------------------------------------------- */

/* The tables that the following need. */
void pg_write_array_tables(const pg_emitter *e);

/* Loads the arguments, or stores the results: those that are one for all samples, or those of a tile. */
void pg_write_shared_copies(const pg_emitter *e, bool loads);
void pg_write_tile_copies(const pg_emitter *e, bool loads);

/* Adds to the results what the targets have. */
void pg_write_additions(const pg_emitter *e);

/* Loads the cotangent: of a tile's samples; or the sum of all, where the output is the same for all. */
void pg_write_cotangent(const pg_emitter *e, bool batched);

/* Calls the masked function if the sum of the derivatives is nan: one of them is, or inf and -inf are among
 * them. */
void pg_write_call_of_masked(const pg_emitter *e);

#endif
