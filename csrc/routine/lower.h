/* lower.h: the passes that make a routine of a specialized program, and the state that they hand on. Private to
 * the files named here; the rest of the core calls pg_compile().
 *
 *   compile.c    pg_compile(): specializes the program, calls the passes, describes the caller's arrays
 *   fuse.c       sums of products become dot products
 *   schedule.c   instructions get levels, phases and times, are sorted by these, and get slots in that order
 *   lower.c      like instructions in evenly spaced slots become loops
 *   slots.c      values that are never alive at the same time share slots
 *
 * A layer of neurons becomes one loop in this way, whatever its size, and so does its gradient. In the worst
 * case each instruction becomes a loop of its own.
 *
 * pg_compile() owns the pg_lowering and frees it, whatever a pass returns. Each pass reads what earlier ones
 * wrote, writes the fields named with it, and returns false if there is no memory.
 */
#ifndef PYGRAD_LOWER_H
#define PYGRAD_LOWER_H

#include "routine/routine.h"

/* What becomes of an instruction. */
typedef struct {
  uint8_t op;     /* that of its loop: its own, PG_DOT or PG_DOT_TOTAL. PG_NO_LOOP if nothing uses it, or if it
                   * is computed within another one's loop. Leaves keep theirs, and have no loop. */
  uint8_t phase;  /* PG_PROLOGUE, ... */
  bool is_begun;  /* `order` has it, or a part of it */
  bool is_single; /* native code: its loops have one result and one term each, wherever their slots are */
  uint16_t signature;    /* the ops of its operands, which are the same for what one loop of the user's makes */
  uint32_t time;         /* in the batch: see schedule.c */
  uint32_t level;        /* 1 for leaves, else one above the highest operand */
  uint32_t mark;         /* the last group of which it is a factor */
  uint32_t mark_of_time; /* the last group of sums that has a pair at this time */
  pg_slot slot;
  uint32_t first_pair, pair_count; /* of a dot product */
  pg_ref init;                     /* of a dot product; PG_NO_REF for none */
} pg_lowered;

/* Factors of a term of a dot product. */
typedef struct {
  pg_ref a, b; /* b is PG_NO_REF for the number 1 */
} pg_pair;

/* What becomes of a table or a scatter: a list of slots. */
typedef struct {
  uint32_t first;    /* where it begins in the routine's lists */
  uint32_t size;     /* the elements of a table; those of a PG_SCATTER that may be used */
  uint32_t level;    /* that of the highest ref in its span */
  uint32_t time;     /* the latest of the refs in its span */
  bool after_totals; /* something in its span is made of totals */
  bool is_used;      /* size is known, and the refs in its span have uses */
  bool is_levelled;  /* level and after_totals are known */
  bool is_timed;     /* time is known */
  bool is_emitted;   /* a scatter: its loop is there */
  bool has_targets;  /* a scatter: it adds to targets, not to slots of a list */
  uint32_t target;   /* where these begin in the routine's */
} pg_list;

/* An instruction, with all of its pairs or some. */
typedef struct {
  pg_ref instruction;
  uint32_t pair, count; /* the first, and how many */
  bool begins;          /* none of them are before, in the order */
} pg_ordered;

typedef struct {
  const pg_program *p;
  bool is_for_native;
  pg_lowered *lowered; /* an instruction */
  pg_list *tables, *scatters;
  pg_pair *pairs; /* of all dot products */
  uint32_t pair_count, pair_room;
  pg_ordered *order; /* what has loops, in the order of these */
  uint32_t order_count, order_room;
  pg_slot one; /* where the number 1 is */
} pg_lowering;

/* Writes of `lowered` the ops, pairs and inits; the pairs; and which lists are used, and their sizes. */
bool pg_fuse(pg_lowering *l);
/* Writes of `lowered` the signatures, levels, phases and slots; `order`; `one`; and the routine's numbers of
 * slots. It may reverse the pairs of a dot product. */
bool pg_schedule(pg_lowering *l, pg_routine *r);
/* Writes where lists begin, and the routine's loops, lists, constants and ports. */
bool pg_lower(pg_lowering *l, pg_routine *r);

/* Gives the slots of dead values to others. False, and the routine is unchanged, if there is no memory. */
bool pg_reuse_slots(pg_routine *r);
/* Makes loops that follow each other, have at least so many results, and differ by even steps, rows of one
 * loop. */
void pg_merge_rows(pg_loops *loops, uint32_t results);

static inline const pg_instruction *pg_instruction_of(const pg_lowering *l, pg_ref i) {
  assert(i < l->p->count);
  return &l->p->instructions[i];
}

/* How many instructions an instruction has as operands a and b. */
static inline int pg_operand_count(const pg_instruction *x) {
  const bool takes_one = x->op == PG_TOTAL || x->op == PG_LOOKUP || x->op == PG_ROW;
  return takes_one ? 1 : x->op >= PG_KERNELS ? 0 : x->b == PG_NO_REF ? 1 : 2;
}

/* Whether it is added up over the batch. */
static inline bool pg_is_total(int op) { return op == PG_DOT_TOTAL || op == PG_SCATTER_TOTAL; }

static inline pg_ref pg_operand_of(const pg_instruction *x, int which) { return which ? x->b : x->a; }

/* The list that a lookup or a scatter reads, and its span; NULL, and an empty span, for other instructions. */
static inline pg_list *pg_list_of(const pg_lowering *l, const pg_instruction *x) {
  return x->op == PG_LOOKUP ? &l->tables[x->b] : pg_is_scatter(x->op) ? &l->scatters[x->a] : NULL;
}

static inline pg_span pg_span_of(const pg_lowering *l, const pg_instruction *x) {
  return x->op == PG_LOOKUP ? l->p->tables[x->b] : pg_is_scatter(x->op) ? l->p->scatters[x->a] : (pg_span){0};
}

/* The operands of a loop that move in steps; init may have PG_NO_SLOT. Returns how many. */
static inline int pg_strided_operands(pg_loop *l, pg_strided *found[3]) {
  switch (l->op) {
  case PG_DOT:
  case PG_DOT_TOTAL:
    found[0] = &l->sum.a, found[1] = &l->sum.b, found[2] = &l->sum.init;
    return 3;
  case PG_LOOKUP:
    found[0] = &l->lookup.index, found[1] = &l->lookup.list;
    return 2;
  case PG_SCATTER:
  case PG_SCATTER_ADD:
    return 0;
  default:
    found[0] = &l->map.a, found[1] = &l->map.b;
    return 2;
  }
}

#endif
