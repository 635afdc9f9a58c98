/* emit.h: what native code (emit_native.c) and C for other machines (emit_c.c) have in common: which loops
 * become statements, in which functions these are, and how they are written. Private to these.
 *
 * Loops with few results become statements, one for each result. A block, which becomes a function, has up to
 * so many statements that compilers take time in proportion to their number: for one number each, or in the
 * batch within a loop over the samples of a tile, q. Their results are local variables, and are stored in their
 * slots only if something reads them after the block. A larger loop is a block of its own.
 */
#ifndef PYGRAD_EMIT_H
#define PYGRAD_EMIT_H

#include "routine/routine.h"
#include "text.h"

/* A statement, or a block of its own. */
typedef struct {
  const pg_loop *loop;
  uint32_t index; /* of the loop in its phase */
  uint32_t i, j;  /* of a statement */
  bool is_block;
  bool is_stored; /* a statement: its result is read after the block */
} pg_entry;

typedef struct pg_emitter pg_emitter;

/* How the two kinds of code differ in statements. `batch` says whether a statement is within the loop over the
 * samples. */
typedef struct {
  uint32_t statements;  /* a loop with more results times terms is a block of its own */
  const char *types[2]; /* of variables; the second one in the batch */
  const char *zero;     /* of the second one */
  const char *loop;     /* over the samples */
  const char *mask;     /* declares what a loop with totals needs */
  void (*write_slot)(const pg_emitter *e, pg_slot slot, bool batch); /* a number to be read */
  void (*write_store)(const pg_emitter *e, pg_slot slot, uint32_t variable);
  void (*write_op)(const pg_emitter *e, int op, uint32_t x, uint32_t y, bool batch); /* of two variables */
  /* sum + x * y */
  void (*write_product)(const pg_emitter *e, uint32_t sum, uint32_t x, uint32_t y, bool batch);
  void (*write_addition)(const pg_emitter *e, uint32_t total, uint32_t x); /* of a variable to a total's sum */
  void (*write_total)(const pg_emitter *e, uint32_t total);                /* adds the sum to the total */
} pg_dialect;

struct pg_emitter {
  pg_text *out;
  const pg_routine *r;
  const pg_dialect *dialect;
  void *own;         /* what the functions of the dialect need besides */
  pg_entry *entries; /* of all phases */
  uint32_t count, room, ends[PG_PHASES];
  bool *live[2];        /* a slot: whether what it has is read later; shared, batched */
  uint32_t *names[2];   /* a slot: the variable that has its number, if `blocks` agrees */
  uint32_t *blocks[2];  /* a slot: the block that the name is of */
  uint32_t next, block; /* the next name, and the current block */
  bool failed;
};

/* Sets up an emitter, which is all 0 but for `out`, `r`, `dialect` and `own`: its entries, and which are
 * stored. Sets `failed` if there is no memory. pg_emitter_end() frees what it has then, too. */
void pg_emitter_begin(pg_emitter *e);
void pg_emitter_end(pg_emitter *e);

/* The entries of a phase, and the end of the block that begins at one of them. */
static inline uint32_t pg_begin_of(const pg_emitter *e, int phase) { return phase ? e->ends[phase - 1] : 0; }
uint32_t pg_end_of_block(const pg_emitter *e, uint32_t begin, uint32_t end);

/* Writes the statements of a block that is no loop. */
void pg_write_statements(pg_emitter *e, int phase, uint32_t begin, uint32_t end);

static inline bool pg_has_list(const pg_loop *l) { return l->op == PG_LOOKUP || pg_is_scatter(l->op); }

/* Whether a shared slot has a constant. */
bool pg_has_constant(const pg_routine *r, pg_slot slot);

/* Spans of slots ------------------------------------------------------------------------------------------ */

typedef struct {
  pg_slot first; /* PG_NO_SLOT: none */
  uint32_t count;
} pg_slots;

static inline pg_slots pg_result_slots(const pg_loop *l) { return (pg_slots){l->dst, l->n * l->rows}; }

/* The slots of an operand. */
pg_slots pg_operand_slots(const pg_loop *l, const pg_strided *x);

/* The operands of a map or a sum. Returns how many. */
int pg_read_operands(const pg_loop *l, const pg_strided *found[3]);

/* Calls f for each span of slots that a lookup or a scatter touches. */
void pg_visit_lists(pg_emitter *e, void (*f)(pg_emitter *e, pg_slots x), const pg_loop *l);

#endif
