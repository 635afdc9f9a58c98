/* call.h: a call of a Program on its way, which the files share that run it. Private to csrc/python/. */
#ifndef PYGRAD_CALL_H
#define PYGRAD_CALL_H

#include "python/python.h"

/* plan.c: what is known of a Program's calls ------------------------------------------------------------- */

enum { PG_MOST_BATCHED = 64 }; /* only so many of the first arguments may be batches */

/* The shape of one sample of an argument or a result. */
typedef struct {
  Py_ssize_t dimensions; /* below 0: not an array, but a structure */
  Py_ssize_t *sizes;     /* in the plan's memory */
  PyObject *shape;       /* the sizes, as a tuple */
  int64_t *limits;       /* of an index, for each integer: it is below; NULL for other arguments */
} pg_shape;

/* A kind of call that was compiled. */
typedef struct {
  uint64_t batched; /* bit k: argument k is a batch */
  int wanted;       /* of enum pg_wanted */
  pg_routine *routine;
  double brief_below, long_from; /* sizes of batches */
} pg_kind;

/* What is known of a Program's calls. Several may be on their way, each of which holds the plan. */
struct pg_plan {
  size_t holders;
  PyObject *executor; /* which owns the routines */
  PyObject *outline;  /* of results in a structure: see pg_as_structure(); False if C cannot make that; NULL for
                         an array or a number */
  PyObject *build;    /* makes a structure from the array of all numbers: for batches, and for False */
  int threads;
  bool check_finite, is_scalar;
  size_t count; /* of arguments */
  pg_shape *arguments, result;
  size_t parameter_count;
  pg_id *parameters;
  pg_kind *kinds;
  size_t kind_count;
  void *spare; /* the memory of an earlier call, for the next one; or NULL */
};

/* From what Executor.plan() returns; NULL, maybe with an exception set. */
pg_plan *pg_plan_of(PyObject *executor);
/* Frees the plan, if the caller is its last holder. */
void pg_plan_drop(pg_plan *plan);
/* A kind of call that is known, or NULL: valid until another one is added, so the caller guards it. */
const pg_kind *pg_known_kind(const pg_plan *plan, uint64_t batched, int wanted);
/* Asks the executor for one. False, maybe with an exception set, if it is not compiled. */
bool pg_add_kind(pg_plan *plan, uint64_t batched, int wanted, pg_kind *to);

/* How many numbers are in a sample, or in a batch of samples. */
static inline size_t pg_size_of(const pg_shape *sample, size_t batch) {
  size_t size = batch ? batch : 1;
  for (Py_ssize_t i = 0; i < sample->dimensions; i++) {
    size *= (size_t)sample->sizes[i];
  }
  return size;
}

/* arguments.c: what is passed ---------------------------------------------------------------------------- */

/* An argument of a call, or its cotangent, or with its array alone a result. */
typedef struct {
  double number, gradient; /* of an argument that is a number */
  Py_buffer view;          /* of one that is an array; else its obj is NULL */
  double *integers;        /* of an index that is an array, and room for as many gradients; or NULL */
  PyObject *array;         /* what is computed, unless that is a number: the gradient; or NULL */
} pg_item;

/* A call on its way. The items are the arguments, the cotangent, and the result. */
typedef struct {
  pg_plan *plan;
  pg_item *items;
  double **arrays; /* for pg_run */
  double *numbers; /* the gradients by the parameters, or the results in a structure */
  uint64_t batched;
  size_t batch; /* 0: nothing is batched */
} pg_call;

/* Reads what is passed for argument k, or for the cotangent, whose shape is that of an argument. False, for
 * what C cannot do and the inherited method may, or refuses in its own words. */
bool pg_read_argument(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x);

/* The size of the batch that an argument is; 0: it is none. */
static inline size_t pg_batch_of(const pg_call *c, size_t k) {
  return k < PG_MOST_BATCHED && (c->batched >> k & 1) ? c->batch : 0;
}

/* results.c: what is returned ---------------------------------------------------------------------------- */

/* Where the numbers of a new array are, or of a single number in its place; NULL without memory. */
double *pg_new_numbers(PyObject **array, double *number, const pg_shape *sample, size_t batch);
/* The results of one sample, from all of their numbers. Their outline has the same lists, tuples, dicts and
 * None; in place of a number it has the place of that among all, an int; in place of an array its Segment. */
PyObject *pg_as_structure(PyObject *outline, const double *numbers);

#endif
