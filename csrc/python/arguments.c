/* arguments.c: reads the arguments of a call of a Program: numbers, and arrays of float64 in C order, of the
 * shape of a sample or of a batch. */
#include <string.h>

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

static bool read_array(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x) {
  Py_buffer *view = &c->items[k].view;
  if (!Py_IS_TYPE(x, P->ndarray) || PyObject_GetBuffer(x, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) {
    view->obj = NULL;
    return refused();
  }
  const Py_ssize_t axes = view->ndim - accepted->dimensions;
  c->arrays[k] = view->buf;
  const bool is_aligned = (uintptr_t)view->buf % sizeof(double) == 0;
  return strcmp(view->format, "d") == 0 && is_aligned && (axes == 0 || axes == 1) &&
         sizes_are(view->shape + axes, accepted) && (axes == 0 || note_batch(c, k, view->shape[0]));
}

bool pg_read_argument(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x) {
  if (accepted->dimensions == 0 && read_number(x, &c->items[k].number)) {
    c->arrays[k] = &c->items[k].number;
    return true;
  }
  return accepted->dimensions >= 0 && read_array(c, k, accepted, x);
}
