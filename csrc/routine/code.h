/* code.h: what the kernels run. Private to the core. */
#ifndef PYGRAD_CODE_H
#define PYGRAD_CODE_H

#include <stdatomic.h>

#include "program/program.h"

enum {
  PG_LANES_A_TILE = 64, /* samples that are worked on at a time */
  PG_MAX_CHUNKS = 16,   /* in so many parts a batch is added up, whatever the number of threads */
  PG_ALIGNED = 8        /* vectors are fastest from multiples of so many slots */
};

/* Numbers have slots. A shared one is one number; a batched one has PG_LANES_A_TILE of them, one a sample. In
 * row j, for i below n, with the slots of a at a + i * a_step + j * a_row, those of b likewise, and those of
 * dst and init one after the other:
 *
 *   ops:            dst[i] = op(a[i], b[i])
 *   PG_CODE_DOT:    dst[i] = init[i] + the sum over t of a[i, t] * b[i, t]
 *   PG_CODE_TOTAL:  dst[i] += the sum over t, and over the samples, of a[i, t] * b[i, t]
 *
 * and with lists of the routine's places (slots with a bit for "batched"), which begin at b:
 *
 *   PG_LOOKUP:      dst[i] = the place that is element a of a list of `terms`; the i-th list of n
 *   PG_SCATTER:     for the first `a` places of the list: 0; then for each of `terms` pairs of an index and a
 *                   number: adds the number to the place of that index
 */
enum { PG_CODE_DOT = PG_INSTRUCTIONS, PG_CODE_TOTAL, PG_NO_CODE };

typedef struct {
  uint32_t n, rows, terms;
  uint32_t dst, a, b, init;          /* slots; no init: PG_NO_REF */
  int32_t a_step, b_step, init_step; /* from one i to the next */
  int32_t a_term, b_term;            /* from one t to the next */
  int32_t a_row, b_row, init_row;    /* from one row to the next */
  uint8_t op;
  bool batched, a_batched, b_batched, init_batched;
} pg_code;

typedef struct {
  pg_code *list;
  uint32_t count, room;
} pg_codes;

typedef struct {
  uint32_t slot;
  uint32_t run; /* of inputs and outputs: how many from here on lie side by side */
  bool batched;
} pg_place;

/* Numbers that are read or written: for each sample one after the other, or `size` for all. */
typedef struct {
  size_t size;
  bool batched;
} pg_group;

enum { PG_BEFORE, PG_BATCH, PG_AFTER, PG_PHASES };

struct pg_routine {
  pg_codes phases[PG_PHASES]; /* what is shared; what is batched, and the totals; what is made of totals */
  uint32_t shared, batched;   /* slots */
  uint32_t *places;           /* the lists: slot * 2 + whether it is batched; PG_NO_REF for none */
  uint32_t place_count;
  double *constants; /* what is in the shared slots of leaves at first */
  uint32_t leaves;   /* so many of these there are */
  uint32_t first_total, totals;
  pg_place *inputs, *outputs;
  uint32_t input_count, output_count;
  pg_group *groups; /* first of the inputs, then of the outputs */
  size_t arguments, results;
  pg_id *parameters;
  uint32_t parameter_count;
  uint32_t cotangent;      /* its input, PG_NO_REF where there is none */
  _Atomic(double *) spare; /* the memory of a run, for the next one */
};

/* Lets numbers whose time is over lend their slots to others. False, and nothing has changed, if there is no
 * memory for it. */
bool pg_reuse_slots(pg_routine *r);

/* What an op is called in listings, and whether it takes two numbers. */
const char *pg_symbol(int op);
bool pg_is_binary(int op);

#endif
