/* routine.h: a routine: what a specialized program is compiled into, and what the kernels run. Private to the
 * core.
 *
 * Values live in slots. There are two kinds, each numbered from 0:
 *
 *   a shared slot    one number, the same for all samples
 *   a batched slot   one number for each sample of the tile that is worked on
 *
 * A routine's instructions are loops over slots: over rows j, over the results i of a row, over the terms t of
 * a sum. An operand has the slot for i = j = t = 0, and a step for each index: how many slots further it is for
 * the next i, j or t. The result for i and j is in slot dst + j * n + i.
 *
 *   op             members   what it does for each i and j
 *   of the tables  map       dst = op(a, b); for a unary op b is a again
 *   PG_DOT         sum       dst = init + the sum over t of a * b; without an init from 0
 *   PG_DOT_TOTAL   sum       dst += the sum over t, and over the samples, of a * b
 *   PG_LOOKUP      lookup    dst = the slot that a list of slots has at `index`; nan if that is out of range
 *   PG_SCATTER     scatter   sets the slots of a list to 0; then, for each pair of an index and a number, adds
 *                            the number to the list's slot at that index (n and rows are 1; there is no dst)
 *   PG_SCATTER_ADD scatter   adds each pair's number to the target at its index, when the run ends (there are
 * no rows)
 *
 * A lookup reads parameters from their nodes. So those that nothing else reads are not loaded.
 *
 * The rows are run one after the other, and a row may read what an earlier one wrote; within a row nothing is
 * read that is written in it.
 *
 * Who writes what: compile.c, and the passes it calls, make a routine; then only `spare` and `masked` change.
 * So any number of threads may run one routine.
 */
#ifndef PYGRAD_ROUTINE_H
#define PYGRAD_ROUTINE_H

#include <stdatomic.h>

#include "program/program.h"
#include "routine/frame.h"

enum {
  PG_TILE = 128,      /* at most so many samples are worked on at a time */
  PG_MAX_CHUNKS = 16, /* a batch is added up in at most so many partial sums, whatever the number of threads */
  PG_ALIGNED = 8      /* buffers begin at multiples of so many slots, where vectors are fastest */
};

/* So many samples of a tile are computed, whole vectors: the last ones may be repeats of the last sample. */
static inline size_t pg_computed(size_t samples) {
  return (samples + PG_ALIGNED - 1) / PG_ALIGNED * PG_ALIGNED;
}

/* Slots -------------------------------------------------------------------------------------------------- */

/* A slot's number and kind, packed. */
typedef uint32_t pg_slot;

#define PG_NO_SLOT UINT32_MAX

static inline pg_slot pg_slot_of(uint32_t number, bool batched) { return number << 1 | batched; }
static inline uint32_t pg_number_of(pg_slot slot) { return slot >> 1; }
static inline bool pg_is_batched(pg_slot slot) { return slot & 1; }

/* The slot that lies so many behind one. */
static inline pg_slot pg_moved(pg_slot slot, int64_t steps) {
  return pg_slot_of((uint32_t)(pg_number_of(slot) + steps), pg_is_batched(slot));
}

/* Loops -------------------------------------------------------------------------------------------------- */

enum { PG_DOT = PG_INSTRUCTIONS, PG_DOT_TOTAL, PG_NO_LOOP }; /* besides the ops of programs */

typedef struct {
  pg_slot slot; /* for i = j = t = 0 */
  int32_t i_step, j_step, t_step;
} pg_strided;

typedef struct {
  uint8_t op; /* says which member of the union there is */
  uint32_t n, rows;
  pg_slot dst;
  union {
    struct {
      pg_strided a, b;
    } map;
    struct {
      pg_strided a, b;
      pg_strided init; /* its slot is PG_NO_SLOT where there is none */
      uint32_t terms;
    } sum;
    struct {
      pg_strided index;
      pg_strided list; /* in place of a slot: where the list begins in the routine's lists */
      uint32_t size;   /* of the list */
      bool is_even;    /* the elements of each list are evenly spaced in memory */
    } lookup;
    struct {
      uint32_t list;  /* where its slots begin in the routine's lists, or its targets in the routine's */
      uint32_t size;  /* how many there are */
      uint32_t first; /* where the pairs begin in the routine's lists */
      uint32_t pairs; /* how many */
      bool batched;   /* once for each sample */
      bool is_even;   /* the targets are evenly spaced in one array */
      /* For the next i, if n > 1, and then the targets are even: how much further `list` is, and the target in
       * its array. The number is in the next slot, and the index is the same. */
      int32_t list_step, i_step;
    } scatter;
  };
} pg_loop;

typedef struct {
  pg_loop *at;
  uint32_t count, room;
} pg_loops;

static inline bool pg_is_sum(const pg_loop *l) { return l->op == PG_DOT || l->op == PG_DOT_TOTAL; }
static inline uint32_t pg_terms(const pg_loop *l) { return pg_is_sum(l) ? l->sum.terms : 1; }

/* How many tables a loop of lookups reads, of its rows and of the results of one: those in one table count
 * once. */
static inline uint32_t pg_table_rows(const pg_loop *l) { return l->lookup.list.j_step ? l->rows : 1; }
static inline uint32_t pg_tables_a_row(const pg_loop *l) { return l->lookup.list.i_step ? l->n : 1; }

static inline bool pg_is_scatter(int op) {
  return op == PG_SCATTER || op == PG_SCATTER_TOTAL || op == PG_SCATTER_ADD;
}

/* Whether a loop is run for each sample of a tile. */
static inline bool pg_is_of_batch(const pg_loop *l) {
  return pg_is_scatter(l->op) ? l->scatter.batched : l->op == PG_DOT_TOTAL || pg_is_batched(l->dst);
}

/* Routines ----------------------------------------------------------------------------------------------- */

/* Where an input or output is. */
typedef struct {
  pg_slot slot; /* PG_NO_SLOT for an input that nothing reads, and an output to which targets alone add */
  uint32_t run; /* so many, from this one on, are in consecutive slots of one kind */
} pg_port;

/* An array of the caller's, an argument or a result: `size` numbers, or if it is batched so many for each
 * sample. */
typedef struct {
  size_t size;
  bool batched;
} pg_array;

#define PG_IN_SLOT (PG_NO_REF - 1)

/* Where PG_SCATTER_ADD adds: a number of a result that is one for all samples, or a slot. */
typedef struct {
  uint32_t array; /* PG_NO_REF: nowhere; PG_IN_SLOT: in a shared slot */
  uint32_t at;
} pg_target;

/* What is to be added there: n numbers, each `step` further in the array. */
typedef struct {
  pg_target first;
  uint32_t n;
  int32_t step;
  double numbers[];
} pg_addition;

/* Those of a part of a run: one after the other, or already added up for each target. */
typedef struct {
  pg_addition *at, *end;
  double *sums; /* NULL, or for each target; -0.0: nothing was added */
  double sum;   /* of all: nan if one is */
} pg_additions;

static inline size_t pg_size_of_addition(uint32_t n) { return sizeof(pg_addition) + n * sizeof(double); }

static inline pg_addition *pg_next_addition(pg_addition *x) {
  return (pg_addition *)(void *)(x->numbers + x->n);
}

enum {
  PG_PROLOGUE, /* once, before the batch: what does not depend on the sample */
  PG_BATCH,    /* for each tile of the batch */
  PG_EPILOGUE, /* once, after the batch: what depends on totals */
  PG_PHASES
};

/* Each array is owned by the routine, which pg_routine_free() frees. The shared slots begin with
 *
 *   the parameters       parameter_count
 *   other leaves         up to leaf_count: inputs, constants, and the number 1
 *   the totals           total_count
 *   what is scattered    scattered_count, of which each is the sum of the pairs of all samples
 */
struct pg_routine {
  pg_loops phases[PG_PHASES];
  uint32_t shared, batched; /* how many slots there are of each kind */
  uint32_t tile;            /* how many samples a tile has; the last one has the rest */
  pg_slot *lists;           /* of lookups and scatters; PG_NO_SLOT for an element that nothing reads */
  uint32_t list_size;       /* of all together */
  pg_target *targets;       /* of all PG_SCATTER_ADD */
  uint32_t target_count;
  double *constants; /* what the first leaf_count shared slots have at first; nan for an input */
  uint32_t leaf_count, total_count, scattered_count;
  uint32_t first_constant; /* no leaf before it is a constant */
  pg_port *inputs, *outputs;
  uint32_t input_count, output_count;
  pg_array *arrays; /* the arguments, then the results */
  size_t argument_count, result_count;
  size_t first_derivative; /* of the arrays: from there on they are derivatives */
  pg_id *parameters;
  uint32_t parameter_count;
  pg_span *loaded; /* those that are read from slots */
  uint32_t loaded_count;
  uint32_t cotangent; /* which input it is; PG_NO_REF where there is none */
  bool is_for_native; /* for native code; and that, once there is some: */
  pg_code *native;
  void *library;           /* which has it, loaded */
  _Atomic(double *) spare; /* the memory of an earlier run, for the next one; or NULL */
  pg_program *program;     /* the recorded one, which it holds; and what it computes of that, a pg_wanted */
  int wanted;
  _Atomic(pg_routine *) masked; /* see pg_masked(); or NULL */
};

/* The routine that does the same with masked derivatives, which are 0 where no path leads, though a slope may
 * be infinite: compiled when it is first asked for, because it takes more time than `r`, and matters only where
 * a derivative is nan. It belongs to `r`. NULL if there is no memory. */
pg_routine *pg_masked(pg_routine *r);

static inline uint32_t pg_first_total(const pg_routine *r) { return r->leaf_count; }

/* How many of the first shared slots keep their numbers during a run. */
static inline uint32_t pg_fixed_slots(const pg_routine *r) {
  return r->leaf_count + r->total_count + r->scattered_count;
}

/* Whether an element of a table is a parameter; and where an element is: that of a parameter's node, else its
 * slot's number. */
static inline bool pg_is_parameter(const pg_routine *r, pg_slot element) {
  return !pg_is_batched(element) && pg_number_of(element) < r->parameter_count;
}

static inline uint32_t pg_place_of(const pg_routine *r, pg_slot element) {
  const uint32_t number = pg_number_of(element);
  return pg_is_parameter(r, element) ? r->parameters[number] : number;
}

/* The first of the runs of inputs or outputs from `k` up to `end`: how many ports it has. */
static inline uint32_t pg_run_of(const pg_port *ports, uint32_t k, uint32_t end) {
  assert(k < end && ports[k].run > 0);
  return ports[k].run < end - k ? ports[k].run : end - k;
}

#endif
