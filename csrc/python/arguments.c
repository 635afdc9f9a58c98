/* arguments.c: reads the arguments of a call of a Program: numbers, arrays of float64 in C order, of the shape
 * of a sample or of a batch, and indices, as integers or arrays of integers. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "python/call.h"

static pg_python *const P = &pg_the_python;

/* False, for what C cannot do and the inherited method may, or refuses in its own words: without the exception
 * that was raised. Not for exceptions of Python code that is called from here: a signal handler may raise any.
 */
static bool refused(void) {
  PyErr_Clear();
  return false;
}

/* Of a type of NumPy's that float() takes without loss or question. */
static bool read_scalar(PyObject *x, double *number) {
  for (size_t k = 0; k < P->scalar_count; k++) {
    if (Py_IS_TYPE(x, P->scalars[k])) {
      PyObject *y = PyNumber_Float(x);
      *number = y ? PyFloat_AsDouble(y) : 0;
      Py_XDECREF(y);
      return y || refused();
    }
  }
  return false;
}

static inline bool read_number(PyObject *x, double *number) {
  if (PyFloat_CheckExact(x)) {
    *number = PyFloat_AsDouble(x);
    return true;
  }
  if (PyLong_CheckExact(x) || PyBool_Check(x)) {
    *number = PyLong_AsDouble(x);
    return *number != -1 || !PyErr_Occurred() || refused();
  }
  return read_scalar(x, number);
}

static bool sizes_are(const Py_ssize_t *given, const pg_shape *accepted) {
  for (Py_ssize_t i = 0; i < accepted->dimensions; i++) {
    if (given[i] != accepted->sizes[i]) {
      return false;
    }
  }
  return true;
}

/* All batches of a call have the same size. */
static bool note_batch(pg_call *c, size_t k, Py_ssize_t batch) {
  if (batch == 0 || k >= PG_MOST_BATCHED || (c->batch && c->batch != (size_t)batch)) {
    return false;
  }
  c->batch = (size_t)batch;
  c->batched |= UINT64_C(1) << k;
  return true;
}

/* Whether an array has the shape of a sample, or of a batch, which is noted; and is aligned. */
static bool fits(pg_call *c, size_t k, const pg_shape *accepted, const Py_buffer *view) {
  const Py_ssize_t axes = view->ndim - accepted->dimensions;
  return (uintptr_t)view->buf % (size_t)view->itemsize == 0 && (axes == 0 || axes == 1) &&
         sizes_are(view->shape + axes, accepted) && (axes == 0 || note_batch(c, k, view->shape[0]));
}

static bool read_array(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x) {
  Py_buffer *view = &c->items[k].view;
  if (!Py_IS_TYPE(x, P->ndarray) || PyObject_GetBuffer(x, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
    view->obj = NULL;
    return refused();
  }
  c->arrays[k] = view->buf;
  return strcmp(view->format, "d") == 0 && fits(c, k, accepted, view);
}

/* Indices ------------------------------------------------------------------------------------------------ */

/* An integer of NumPy's, by the format of its buffer. Below 0, as no index is, if it is not one or too large.
 */
static inline int64_t integer_at(const void *integers, size_t k, char format) {
  switch (format) {
  case 'b':
    return ((const signed char *)integers)[k];
  case 'B':
    return ((const unsigned char *)integers)[k];
  case 'h':
    return ((const short *)integers)[k];
  case 'H':
    return ((const unsigned short *)integers)[k];
  case 'i':
    return ((const int *)integers)[k];
  case 'I':
    return ((const unsigned *)integers)[k];
  case 'l':
    return ((const long *)integers)[k];
  case 'L':
    return (int64_t)((const unsigned long *)integers)[k];
  case 'q':
    return ((const long long *)integers)[k];
  case 'Q':
    return (int64_t)((const unsigned long long *)integers)[k];
  default:
    return -1;
  }
}

/* Stores integers as doubles. False if one is below 0, or not below its limit. */
static bool store_integers(double *to, const Py_buffer *view, const pg_shape *accepted, size_t batch) {
  const size_t size = pg_size_of(accepted, 1);
  const char format = *view->format;
  bool wrong = false;
  for (size_t s = 0, k = 0; s < batch; s++) {
    for (size_t i = 0; i < size; i++, k++) {
      const int64_t integer = format == 'l' ? integer_at(view->buf, k, 'l') : integer_at(view->buf, k, format);
      wrong |= integer < 0 || integer >= accepted->limits[i];
      to[k] = (double)integer;
    }
  }
  return !wrong;
}

static bool is_of_numpy(PyObject *x) {
  bool found = Py_IS_TYPE(x, P->ndarray);
  for (size_t k = 0; !found && k < P->scalar_count; k++) {
    found = Py_IS_TYPE(x, P->scalars[k]);
  }
  return found;
}

static bool read_integers(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x) {
  Py_buffer view;
  if (!is_of_numpy(x) || PyObject_GetBuffer(x, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
    return refused();
  }
  bool read = strlen(view.format) == 1 && fits(c, k, accepted, &view);
  const size_t batch = pg_batch_of(c, k), count = pg_size_of(accepted, batch);
  double *integers = read ? pg_resize(NULL, 2 * count * sizeof *integers + 1) : NULL;
  read = integers && store_integers(integers, &view, accepted, batch ? batch : 1);
  c->items[k].integers = c->arrays[k] = integers;
  PyBuffer_Release(&view);
  return read;
}

/* Of pygrad.index: it refuses to tell its integers while a function is traced. */
static bool read_index_object(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x) {
  PyObject *data = PyObject_GetAttr(x, P->data);
  const bool read = data && read_integers(c, k, accepted, data);
  Py_XDECREF(data);
  return read;
}

static bool read_index(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x) {
  if (Py_IS_TYPE(x, P->index_type)) {
    return read_index_object(c, k, accepted, x);
  }
  if (accepted->dimensions || !PyLong_CheckExact(x)) {
    return read_integers(c, k, accepted, x);
  }
  const long long integer = PyLong_AsLongLong(x);
  if (integer == -1 && PyErr_Occurred()) {
    return refused();
  }
  c->items[k].number = (double)integer;
  c->arrays[k] = &c->items[k].number;
  return integer >= 0 && integer < *accepted->limits;
}

bool pg_read_argument(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x) {
  if (accepted->limits) {
    return read_index(c, k, accepted, x);
  }
  if (accepted->dimensions == 0 && read_number(x, &c->items[k].number)) {
    c->arrays[k] = &c->items[k].number;
    return true;
  }
  return accepted->dimensions >= 0 && read_array(c, k, accepted, x);
}
