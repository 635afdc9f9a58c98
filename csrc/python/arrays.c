/* arrays.c: what Arrays need of C: the bulk builders on NumPy arrays of ids, and the type that holds their
 * nodes. The twin of the Python in pygrad/_bulk.py. */
#include "python/python.h"

#include <stdlib.h>
#include <string.h>

#include "graph/arena.h"
#include "memory.h"

static pg_python *const P = &pg_the_python;

/* NumPy arrays ------------------------------------------------------------------------------------------- */

/* What NumPy documents as its array interface for C, which needs none of NumPy's headers, and takes a third of
 * the time that the buffer protocol takes. */
typedef struct {
  int two; /* which tells that this is such a struct */
  int axes;
  char kind;
  int item_bytes;
  int flags;
  Py_ssize_t *shape, *strides;
  void *data;
  PyObject *description;
} array_interface;

enum { C_CONTIGUOUS = 1, ALIGNED = 0x100, NATIVE = 0x200, WRITABLE = 0x400 };

/* An array of ids, or of floats. */
typedef struct {
  PyObject *copy;    /* what is read in its place, NULL if it is read itself; held */
  PyObject *capsule; /* that has the array's interface; held */
  union {            /* valid until drop_array(), while the caller holds the array */
    pg_id *ids;
    const double *floats;
  };
  size_t count;
} array;

static void drop_array(array *x) {
  Py_CLEAR(x->capsule);
  Py_CLEAR(x->copy);
}

/* Looks at an array of numbers of this kind, as it is. Returns its flags; -1 with an exception set if it has
 * others. */
static int look_at(array *x, PyObject *numpy, char kind, size_t bytes) {
  x->capsule = PyObject_GetAttr(numpy, P->array_struct);
  const array_interface *interface = x->capsule ? PyCapsule_GetPointer(x->capsule, NULL) : NULL;
  if (!interface) {
    return -1;
  }
  if (interface->kind != kind || (size_t)interface->item_bytes != bytes || !(interface->flags & NATIVE)) {
    PyErr_Format(PyExc_TypeError, "an array of the type %c%zu is needed", kind, bytes);
    return -1;
  }
  x->ids = interface->data;
  x->count = 1;
  for (int i = 0; i < interface->axes; i++) {
    x->count *= (size_t)interface->shape[i];
  }
  return interface->flags;
}

static bool is_ready(int flags, int needed) { return flags != -1 && (flags & needed) == needed; }

/* Takes numbers from an array of any layout, copied if they are not in C order. */
static bool take_numbers(array *x, PyObject *numpy, char kind, size_t bytes) {
  int flags = look_at(x, numpy, kind, bytes);
  if (flags != -1 && !is_ready(flags, C_CONTIGUOUS | ALIGNED)) {
    Py_CLEAR(x->capsule);
    x->copy = PyObject_CallFunctionObjArgs(P->in_c_order, numpy, NULL);
    flags = x->copy ? look_at(x, x->copy, kind, bytes) : -1;
  }
  return flags != -1;
}

/* Takes an array for ids to be written to. */
static bool take_room(array *x, PyObject *numpy) {
  const int flags = look_at(x, numpy, 'u', sizeof(pg_id));
  const bool ready = is_ready(flags, C_CONTIGUOUS | ALIGNED | WRITABLE);
  if (flags != -1 && !ready) {
    PyErr_SetString(PyExc_TypeError, "an array for ids must be writable and in C order");
  }
  return ready;
}

/* Arguments ---------------------------------------------------------------------------------------------- */

/* What a function here was called with, in order: numbers and arrays. */
typedef struct {
  size_t numbers[7], number_count;
  array arrays[4];
  size_t array_count;
  double y;
} arguments;

/* Takes one argument of a kind:
 *   n  an integer      y  a float      f  an array of floats
 *   i  ids or targets  o  ids, or None, which has none      r  room for ids
 */
static bool take_one(arguments *x, char kind, PyObject *arg) {
  if (kind == 'n') {
    const size_t n = PyLong_AsSize_t(arg);
    x->numbers[x->number_count++] = n;
    return n != (size_t)-1 || !PyErr_Occurred();
  }
  if (kind == 'y') {
    x->y = PyFloat_AsDouble(arg);
    return x->y != -1 || !PyErr_Occurred();
  }
  array *a = &x->arrays[x->array_count++];
  *a = (array){0};
  if (kind == 'o' && arg == Py_None) {
    return true;
  }
  if (kind == 'r') {
    return take_room(a, arg);
  }
  return kind == 'f' ? take_numbers(a, arg, 'f', sizeof(double)) : take_numbers(a, arg, 'u', sizeof(pg_id));
}

/* Takes arguments of these kinds. False with an exception set if they are others. */
static bool take(arguments *x, const char *kinds, PyObject *const *args, Py_ssize_t count) {
  x->number_count = x->array_count = 0;
  if ((size_t)count != strlen(kinds)) {
    PyErr_Format(PyExc_TypeError, "%zu arguments needed, not %zd", strlen(kinds), count);
    return false;
  }
  for (Py_ssize_t i = 0; i < count; i++) {
    if (!take_one(x, kinds[i], args[i])) {
      return false;
    }
  }
  return true;
}

static void drop(arguments *x) {
  for (size_t i = 0; i < x->array_count; i++) {
    drop_array(&x->arrays[i]);
  }
}

static bool fit(bool they_do) {
  if (!they_do) {
    PyErr_SetString(PyExc_ValueError, "the sizes of the arrays do not fit together");
  }
  return they_do;
}

/* Whether the methods of Values that an op stands for are ours; if not, the loop is to call what is assigned
 * now.
 */
static bool ours(int op) {
  const bool original = pg_value_is_original(op);
  if (!original) {
    PyErr_SetNone(PyExc_NotImplementedError); /* Replaced of pygrad/_bulk.py */
  }
  return original;
}

/* What holds nodes --------------------------------------------------------------------------------------- */

typedef struct holder {
  PyObject_HEAD PyObject *array; /* of their ids, in C order; held */
  pg_id *ids;                    /* in the array */
  size_t count;
  bool leaves;
  struct holder *next, **link; /* of those of leaves: the next one, and what points to this one */
} holder;

static void add_run(holder *h) {
  pg_let_find((PyObject *)h);
  pg_guard();
  h->link = &P->runs;
  h->next = *h->link;
  *h->link = h;
  if (h->next) {
    h->next->link = &h->next;
  }
  pg_unguard();
}

static void remove_run(holder *h) {
  pg_guard();
  *h->link = h->next;
  if (h->next) {
    h->next->link = h->link;
  }
  pg_unguard();
}

PyObject *pg_python_run_of(PyObject *module, PyObject *number) {
  (void)module;
  const size_t id = PyLong_AsSize_t(number);
  if (PyErr_Occurred()) {
    return NULL;
  }
  pg_guard();
  holder *h = P->runs;
  while (h && !(h->count && id - h->ids[0] < h->count && pg_hold_found((PyObject *)h))) {
    h = h->next;
  }
  pg_unguard();
  return h ? (PyObject *)h : Py_NewRef(Py_None);
}

/* The collector does not visit it, which is what hidden() of pygrad/_handles.py is for; and no exception that a
 * signal handler raises can strike in here. */
static void holder_dealloc(PyObject *self) {
  holder *h = (holder *)self;
  PyTypeObject *type = Py_TYPE(self);
  if (h->leaves) {
    remove_run(h);
  }
  pg_release_all(h->count, h->ids);
  Py_XDECREF(h->array);
  PyObject_Free(self);
  Py_DECREF(type);
}

static PyMemberDef HOLDER_MEMBERS[] = {
    {"ids", T_OBJECT, offsetof(holder, array), READONLY, NULL},
    {"leaves", T_BOOL, offsetof(holder, leaves), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot HOLDER_SLOTS[] = {
    {Py_tp_doc, "Holds nodes: takes over one hold on each, and releases these at its end."},
    {Py_tp_dealloc, __extension__(void *) holder_dealloc},
    {Py_tp_members, HOLDER_MEMBERS},
    {0, NULL},
};

static PyType_Spec HOLDER = {
    .name = "pygrad._fast.Holder",
    .basicsize = sizeof(holder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = HOLDER_SLOTS,
};

/* One for the ids in a NumPy array, of which it takes over one hold each; without memory these are released. */
static PyObject *new_holder(PyObject *numpy, const array *ids, bool leaves) {
  holder *h = pg_may_allocate_object() ? PyObject_New(holder, P->holder_type) : NULL;
  if (!h) {
    pg_release_all(ids->count, ids->ids);
    return NULL;
  }
  h->array = Py_NewRef(numpy);
  h->ids = ids->ids;
  h->count = ids->count;
  h->leaves = leaves;
  if (leaves) {
    add_run(h);
  }
  return (PyObject *)h;
}

/* Lets go of the arguments of a builder that wrote ids to the last array of these, `out`. Returns a tuple: its
 * status, and what holds the nodes, None if it failed; or NULL if there is an exception. Made in one call with
 * the nodes, so that no exception of a signal handler can come in between. */
static PyObject *finish(arguments *x, int status, PyObject *out, bool leaves) {
  PyObject *held = NULL;
  if (!PyErr_Occurred()) {
    held = status < 0 ? Py_NewRef(Py_None) : new_holder(out, &x->arrays[x->array_count - 1], leaves);
  }
  drop(x);
  return held ? Py_BuildValue("iN", status, held) : NULL;
}

/* The bulk builders -------------------------------------------------------------------------------------- */

PyObject *pg_python_map_unary(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const array *a = &x.arrays[0], *out = &x.arrays[1];
  int status = PG_OK;
  if (take(&x, "nir", args, count) && fit(a->count == out->count) && ours((int)x.numbers[0])) {
    status = pg_map_unary((int)x.numbers[0], out->count, a->ids, out->ids);
  }
  return finish(&x, status, args[count - 1], false);
}

PyObject *pg_python_map_binary(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const array *a = &x.arrays[0], *b = &x.arrays[1], *out = &x.arrays[2];
  int status = PG_OK;
  if (take(&x, "niir", args, count) && fit(a->count == out->count && b->count == out->count) &&
      ours((int)x.numbers[0])) {
    status = pg_map_binary((int)x.numbers[0], out->count, a->ids, b->ids, out->ids);
  }
  return finish(&x, status, args[count - 1], false);
}

PyObject *pg_python_map_number(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const array *a = &x.arrays[0], *out = &x.arrays[1];
  int status = PG_OK;
  if (take(&x, "niynr", args, count) && fit(a->count == out->count) && ours((int)x.numbers[0])) {
    status = pg_map_number((int)x.numbers[0], out->count, a->ids, x.y, x.numbers[1] != 0, out->ids);
  }
  return finish(&x, status, args[count - 1], false);
}

PyObject *pg_python_reduce(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const array *a = &x.arrays[0], *out = &x.arrays[1];
  int status = PG_OK;
  if (take(&x, "nnir", args, count) && fit(a->count == out->count * x.numbers[1]) && ours((int)x.numbers[0])) {
    status = pg_reduce((int)x.numbers[0], out->count, x.numbers[1], a->ids, out->ids);
  }
  return finish(&x, status, args[count - 1], false);
}

PyObject *pg_python_matmul(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const array *a = &x.arrays[0], *b = &x.arrays[1], *bias = &x.arrays[2], *out = &x.arrays[3];
  const size_t *n = x.numbers; /* rows, the terms of a sum, columns, the steps in a, the steps in b */
  int status = PG_OK;
  if (take(&x, "nnninninnor", args, count) &&
      fit(a->count == n[0] * n[1] && b->count == n[1] * n[2] && out->count == n[0] * n[2] &&
          (!bias->ids || bias->count == n[2])) &&
      ours(PG_ADD)) {
    status = pg_matmul(n[0], n[1], n[2], a->ids, n[3], n[4], b->ids, n[5], n[6], bias->ids, out->ids);
  }
  return finish(&x, status, args[count - 1], false);
}

/* Of rows of n elements. */
static PyObject *of_rows(int build(size_t, size_t, const pg_id *, pg_id *), PyObject *const *args,
                         Py_ssize_t count) {
  arguments x;
  const array *a = &x.arrays[0], *out = &x.arrays[1];
  int status = PG_OK;
  if (take(&x, "nir", args, count) && fit(a->count == out->count) && ours(PG_ADD) && ours(PG_EXP) &&
      ours(PG_LOG)) {
    const size_t n = x.numbers[0];
    status = build(n ? out->count / n : 0, n, a->ids, out->ids);
  }
  return finish(&x, status, args[count - 1], false);
}

PyObject *pg_python_softmax(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  return of_rows(pg_softmax, args, count);
}

PyObject *pg_python_log_softmax(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  return of_rows(pg_log_softmax, args, count);
}

PyObject *pg_python_rms_norm(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const array *a = &x.arrays[0], *weights = &x.arrays[1], *out = &x.arrays[2];
  int status = PG_OK;
  if (take(&x, "nioyr", args, count) &&
      fit(a->count == out->count && (!weights->ids || weights->count == x.numbers[0])) && ours(PG_ADD)) {
    const size_t n = x.numbers[0];
    status = pg_rms_norm(n ? out->count / n : 0, n, a->ids, weights->ids, x.y, out->ids);
  }
  return finish(&x, status, args[count - 1], false);
}

PyObject *pg_python_cross_entropy(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const array *a = &x.arrays[0], *targets = &x.arrays[1], *out = &x.arrays[2];
  int status = PG_OK;
  if (take(&x, "niir", args, count) &&
      fit(a->count == out->count * x.numbers[0] && targets->count == out->count) && ours(PG_ADD) &&
      ours(PG_EXP) && ours(PG_LOG)) {
    const size_t n = x.numbers[0];
    pg_id *scratch = pg_resize(NULL, (n + 1) * sizeof *scratch);
    status = scratch ? pg_cross_entropy(out->count, n, a->ids, targets->ids, scratch, out->ids) : PG_NO_MEMORY;
    free(scratch);
  }
  return finish(&x, status, args[count - 1], false);
}

PyObject *pg_python_leaves(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const array *data = &x.arrays[0], *out = &x.arrays[1];
  pg_made first = 0;
  if (take(&x, "nfr", args, count) && fit(data->count == out->count)) {
    first = (x.numbers[0] ? pg_plain_leaves : pg_leaves)(out->count, data->floats);
    for (size_t i = 0; i < out->count && first > 0; i++) {
      out->ids[i] = (pg_id)first + (pg_id)i;
    }
  }
  return finish(&x, first < 0 ? (int)first : PG_OK, args[count - 1], true);
}

PyObject *pg_python_hold_all(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  arguments x;
  const bool taken = take(&x, "r", args, count);
  const int status = taken ? pg_hold_all(x.arrays[0].count, x.arrays[0].ids) : PG_OK;
  return finish(&x, status, args[count - 1], false);
}

/* The start of the module -------------------------------------------------------------------------------- */

PyObject *pg_python_set_in_c_order(PyObject *module, PyObject *function) {
  (void)module;
  P->array_struct = P->array_struct ? P->array_struct : PyUnicode_InternFromString("__array_struct__");
  P->holder_type = P->holder_type ? P->holder_type : (PyTypeObject *)PyType_FromSpec(&HOLDER);
  return P->array_struct && P->holder_type ? pg_python_set_hook(&P->in_c_order, function) : NULL;
}
