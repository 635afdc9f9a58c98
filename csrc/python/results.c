/* results.c: makes what a call of a Program returns: arrays, and structures of arrays and numbers. */
#include <string.h>

#include "python/call.h"

static pg_python *const P = &pg_the_python;

/* Arrays ------------------------------------------------------------------------------------------------- */

static PyObject *batched_shape(size_t batch, const pg_shape *sample) {
  PyObject *shape = PyTuple_New(sample->dimensions + 1);
  PyObject *first = shape ? PyLong_FromSize_t(batch) : NULL;
  if (!first || PyTuple_SetItem(shape, 0, first)) {
    Py_XDECREF(shape);
    return NULL;
  }
  for (Py_ssize_t i = 0; i < sample->dimensions; i++) {
    PyTuple_SetItem(shape, i + 1, Py_NewRef(PyTuple_GetItem(sample->shape, i)));
  }
  return shape;
}

double *pg_new_numbers(PyObject **array, double *number, const pg_shape *sample, size_t batch) {
  Py_buffer view;
  if (sample->dimensions == 0 && !batch) {
    return number;
  }
  PyObject *shape = batch ? batched_shape(batch, sample) : Py_NewRef(sample->shape);
  *array = shape ? PyObject_CallFunctionObjArgs(P->empty_array, shape, NULL) : NULL;
  Py_XDECREF(shape);
  if (!*array || PyObject_GetBuffer(*array, &view, PyBUF_WRITABLE)) {
    PyErr_Clear();
    return NULL;
  }
  PyBuffer_Release(&view); /* nobody else has the array yet */
  return view.buf;
}

/* Structures --------------------------------------------------------------------------------------------- */

/* A new array for a Segment. */
static PyObject *as_array(PyObject *segment, const double *numbers) {
  Py_buffer view;
  PyObject *shape = PyObject_GetAttr(segment, P->shape), *array = NULL;
  PyObject *start = shape ? PyObject_GetAttr(segment, P->start) : NULL;
  if (start) {
    array = PyObject_CallFunctionObjArgs(P->empty_array, shape, NULL);
  }
  if (array && !PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)) {
    memcpy(view.buf, numbers + PyLong_AsSsize_t(start), (size_t)view.len);
    PyBuffer_Release(&view);
  } else {
    Py_CLEAR(array);
  }
  Py_XDECREF(shape);
  Py_XDECREF(start);
  return array;
}

static PyObject *as_list(PyObject *outline, const double *numbers) {
  const Py_ssize_t count = PySequence_Size(outline);
  PyObject *list = PyList_New(count);
  for (Py_ssize_t i = 0; list && i < count; i++) {
    const bool is_list = PyList_Check(outline);
    PyObject *part = is_list ? PyList_GetItem(outline, i) : PyTuple_GetItem(outline, i);
    PyObject *item = pg_as_structure(part, numbers);
    if (!item || PyList_SetItem(list, i, item)) {
      Py_CLEAR(list);
    }
  }
  return list;
}

/* A named tuple is made by its class. */
static PyObject *as_tuple(PyObject *outline, const double *numbers) {
  PyObject *list = as_list(outline, numbers), *tuple = NULL;
  if (list) {
    tuple = PyTuple_CheckExact(outline) ? PyList_AsTuple(list)
                                        : PyObject_CallMethod((PyObject *)Py_TYPE(outline), "_make", "O", list);
    Py_DECREF(list);
  }
  return tuple;
}

static PyObject *as_dictionary(PyObject *outline, const double *numbers) {
  PyObject *dict = PyDict_New(), *key, *part;
  for (Py_ssize_t at = 0; dict && PyDict_Next(outline, &at, &key, &part);) {
    PyObject *item = pg_as_structure(part, numbers);
    if (!item || PyDict_SetItem(dict, key, item)) {
      Py_CLEAR(dict);
    }
    Py_XDECREF(item);
  }
  return dict;
}

PyObject *pg_as_structure(PyObject *outline, const double *numbers) {
  if (outline == Py_None) {
    Py_RETURN_NONE;
  }
  if (PyLong_Check(outline)) {
    return PyFloat_FromDouble(numbers[PyLong_AsSsize_t(outline)]);
  }
  if (PyList_Check(outline)) {
    return as_list(outline, numbers);
  }
  if (PyTuple_Check(outline)) {
    return as_tuple(outline, numbers);
  }
  if (PyDict_Check(outline)) {
    return as_dictionary(outline, numbers);
  }
  return as_array(outline, numbers);
}
