/* plan.c: what is known of a Program's calls: the shapes of arguments and results, and the routines of the
 * kinds of call that were compiled. The Executor of pygrad/program/executor.py is asked once for each.
 */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "python/call.h"

enum { BRIEF_NS = 20000 }; /* a run that may take longer gives up the GIL: to take it back may take as long */

void pg_plan_drop(pg_plan *plan) {
  if (!plan) {
    return;
  }
  pg_guard();
  const size_t holders = --plan->holders;
  pg_unguard();
  if (holders) {
    return;
  }
  for (size_t k = 0; plan->arguments && k < plan->count; k++) {
    free(plan->arguments[k].sizes);
    free(plan->arguments[k].limits);
    Py_XDECREF(plan->arguments[k].shape);
  }
  free(plan->result.sizes);
  free(plan->arguments);
  free(plan->parameters);
  free(plan->kinds);
  free(plan->spare);
  Py_XDECREF(plan->result.shape);
  Py_XDECREF(plan->outline);
  Py_XDECREF(plan->build);
  Py_XDECREF(plan->executor);
  free(plan);
}

/* Of a tuple, or None for what is no array. False with an exception set, or if there is no memory. */
static bool set_shape(pg_shape *shape, PyObject *tuple) {
  const Py_ssize_t dimensions = tuple == Py_None ? -1 : PyTuple_Size(tuple);
  shape->sizes = pg_resize(NULL, (size_t)(dimensions + 1) * sizeof *shape->sizes + 1);
  for (Py_ssize_t i = 0; shape->sizes && i < dimensions; i++) {
    shape->sizes[i] = PyLong_AsSsize_t(PyTuple_GetItem(tuple, i));
  }
  shape->dimensions = dimensions;
  shape->shape = Py_NewRef(tuple);
  return shape->sizes && !PyErr_Occurred();
}

/* A copy of the bytes of an array; NULL, maybe with an exception set. */
static void *copied(PyObject *array, size_t *bytes) {
  Py_buffer view;
  if (PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)) {
    return NULL;
  }
  void *copy = pg_resize(NULL, (size_t)view.len + 1);
  if (copy) {
    memcpy(copy, view.buf, (size_t)view.len);
  }
  *bytes = (size_t)view.len;
  PyBuffer_Release(&view);
  return copy;
}

/* Of an array of int64, or None for what is no index. */
static bool set_limits(pg_shape *shape, PyObject *limits) {
  size_t bytes;
  shape->limits = limits == Py_None ? NULL : copied(limits, &bytes);
  return limits == Py_None || shape->limits;
}

static bool set_arguments(pg_plan *plan, PyObject *shapes, PyObject *limits) {
  plan->count = (size_t)PyTuple_Size(shapes);
  plan->arguments = pg_resize(NULL, plan->count * sizeof *plan->arguments + 1);
  if (!plan->arguments) {
    return false;
  }
  memset(plan->arguments, 0, plan->count * sizeof *plan->arguments);
  bool set = true;
  for (size_t k = 0; set && k < plan->count; k++) {
    set = set_shape(&plan->arguments[k], PyTuple_GetItem(shapes, (Py_ssize_t)k)) &&
          set_limits(&plan->arguments[k], PyTuple_GetItem(limits, (Py_ssize_t)k));
  }
  return set;
}

static bool set_parameters(pg_plan *plan, PyObject *ids) {
  size_t bytes = 0;
  plan->parameters = copied(ids, &bytes);
  plan->parameter_count = bytes / sizeof(pg_id);
  return plan->parameters != NULL;
}

pg_plan *pg_plan_of(PyObject *executor) {
  PyObject *shapes, *limits, *shape, *outline, *build, *ids;
  PyObject *known = PyObject_CallMethod(executor, "plan", NULL);
  pg_plan *plan = known ? pg_resize(NULL, sizeof *plan) : NULL;
  int is_scalar, check_finite;
  bool made = plan != NULL;
  if (made) {
    *plan = (pg_plan){.holders = 1, .executor = Py_NewRef(executor)};
    made =
        PyArg_ParseTuple(known, "O!O!O!OOOppi", &PyTuple_Type, &shapes, &PyTuple_Type, &limits, &PyTuple_Type,
                         &shape, &outline, &build, &ids, &is_scalar, &check_finite, &plan->threads);
  }
  if (made) {
    plan->is_scalar = is_scalar;
    plan->check_finite = check_finite;
    plan->outline = outline == Py_None ? NULL : Py_NewRef(outline);
    plan->build = Py_NewRef(build);
    made = set_arguments(plan, shapes, limits) && set_shape(&plan->result, shape) && set_parameters(plan, ids);
  }
  Py_XDECREF(known);
  if (plan && !made) {
    pg_plan_drop(plan);
    plan = NULL;
  }
  return plan;
}

static inline bool has_bit(uint64_t bits, size_t k) { return k < PG_MOST_BATCHED && (bits >> k & 1); }

static PyObject *as_bools(uint64_t bits, size_t count) {
  PyObject *tuple = PyTuple_New((Py_ssize_t)count);
  for (size_t k = 0; tuple && k < count; k++) {
    PyTuple_SetItem(tuple, (Py_ssize_t)k, PyBool_FromLong(has_bit(bits, k)));
  }
  return tuple;
}

const pg_kind *pg_known_kind(const pg_plan *plan, uint64_t batched, int wanted) {
  for (size_t k = 0; k < plan->kind_count; k++) {
    if (plan->kinds[k].batched == batched && plan->kinds[k].wanted == wanted) {
      return &plan->kinds[k];
    }
  }
  return NULL;
}

bool pg_add_kind(pg_plan *plan, uint64_t batched, int wanted, pg_kind *to) {
  PyObject *key = as_bools(batched, plan->count + (wanted == PG_GRADIENT));
  PyObject *found = key ? PyObject_CallMethod(plan->executor, "address", "Oi", key, wanted) : NULL;
  unsigned long long address;
  *to = (pg_kind){.batched = batched, .wanted = wanted};
  const bool known = found && found != Py_None && PyArg_ParseTuple(found, "Kd", &address, &to->long_from);
  Py_XDECREF(key);
  Py_XDECREF(found);
  if (!known) {
    return false;
  }
  to->routine = (pg_routine *)(uintptr_t)address;
  to->brief_below = pg_long_batch(to->routine, BRIEF_NS);
  pg_guard();
  pg_kind *kinds = pg_resize(plan->kinds, (plan->kind_count + 1) * sizeof *kinds);
  if (kinds) {
    plan->kinds = kinds;
    plan->kinds[plan->kind_count++] = *to; /* perhaps a second time, by another thread */
  }
  pg_unguard();
  return kinds != NULL;
}
