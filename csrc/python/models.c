/* models.c: a call of a Neuron, a Layer or an MLP, by the plan that pygrad/_mlp.py has made. */
#include "python/python.h"

#include "graph/arena.h"

#include <math.h>

/* What a model is called with; x[i] is 0 where the input is the number numbers[i]. */
typedef struct {
  size_t count;
  pg_id *x;
  double *numbers;
  bool *integral; /* whether it is an int */
  bool has_numbers;
} inputs;

enum { FEW = 64 };

/* Takes the input. False if it is neither a Value nor a float or int, or one that is no float; no exception. */
static bool take(inputs *to, size_t i, PyObject *input) {
  to->x[i] = pg_is_exact_value(input) ? pg_value_id(input) : 0;
  to->numbers[i] = 0;
  if (to->x[i]) {
    return true;
  }
  to->has_numbers = true;
  to->integral[i] = !PyFloat_Check(input);
  if (!to->integral[i]) { /* np.float64 is a float, too */
    to->numbers[i] = PyFloat_AsDouble(input);
    return true;
  }
  to->numbers[i] = PyLong_CheckExact(input) ? PyLong_AsDouble(input) : -1;
  const bool failed = to->numbers[i] == -1 && PyErr_Occurred();
  if (failed) {
    PyErr_Clear();
  }
  return PyLong_CheckExact(input) && !failed;
}

/* Lets a result keep what it was computed from: see pygrad/_handles.py. */
static bool pin(PyObject *result, PyObject *pins) {
  pg_rare *rare = pg_value_make_rare(pg_value_of(result));
  if (rare) {
    rare->pins = Py_NewRef(pins);
  }
  return rare != NULL;
}

/* What all results keep: the inputs and the parameters, in one tuple. */
static PyObject *all_pins(PyObject *x, PyObject *parameters) {
  PyObject *first = PySequence_Tuple(x), *last = first ? PySequence_Tuple(parameters) : NULL;
  PyObject *pins = last ? PySequence_Concat(first, last) : NULL;
  Py_XDECREF(first);
  Py_XDECREF(last);
  return pins;
}

/* Calls it, with room for the ids of the neurons. */
static PyObject *call(const pg_mlp *mlp, const inputs *in, size_t neurons, size_t width, pg_id *ids,
                      PyObject *x, PyObject *parameters) {
  const int status =
      pg_mlp_forward(mlp, in->count, in->x, in->has_numbers ? in->numbers : NULL, in->integral, ids);
  if (status < 0) {
    return PyLong_FromLong(status);
  }
  const pg_id *results = ids + neurons - width;
  PyObject *pins = status == PG_SOME_PINNED ? all_pins(x, parameters) : NULL;
  if (status == PG_SOME_PINNED && !pins) {
    pg_release_all(width, results);
    return NULL;
  }
  PyObject *values = pg_value_list(width, results);
  for (size_t i = 0; i < width && values && pins; i++) {
    if (!pin(PyList_GetItem(values, (Py_ssize_t)i), pins)) {
      Py_CLEAR(values);
    }
  }
  Py_XDECREF(pins);
  return values;
}

/* Of a list or a tuple. */
static PyObject *call_with(PyObject *x, PyObject *const *args) {
  const pg_mlp *mlp = PyLong_AsVoidPtr(args[0]);
  const size_t neurons = PyLong_AsSize_t(args[1]), width = PyLong_AsSize_t(args[2]);
  const size_t n = (size_t)(PyList_CheckExact(x) ? PyList_Size(x) : PyTuple_Size(x));
  pg_id few_ids[3 * FEW];
  double few_numbers[FEW];
  bool few_integral[FEW];
  const bool few = n <= FEW && neurons <= 2 * FEW;
  void *memory = few ? NULL : PyMem_Malloc(n * (sizeof(double) + sizeof(bool)) + (n + neurons) * sizeof(pg_id));
  if (PyErr_Occurred() || (!few && !memory)) {
    PyMem_Free(memory);
    return PyErr_Occurred() ? NULL : PyErr_NoMemory();
  }
  double *numbers = few ? few_numbers : memory;
  pg_id *ids = few ? few_ids : (pg_id *)(void *)(numbers + n);
  inputs in = {.count = n, .x = ids, .numbers = numbers};
  in.integral = few ? few_integral : (bool *)(ids + n + neurons);
  bool plain = n == mlp->inputs[0] && pg_value_is_original(PG_ADD) &&
               (!mlp->activation || pg_value_is_original(mlp->activation));
  for (size_t i = 0; i < n && plain; i++) {
    const Py_ssize_t at = (Py_ssize_t)i;
    plain = take(&in, i, PyList_CheckExact(x) ? PyList_GetItem(x, at) : PyTuple_GetItem(x, at));
  }
  PyObject *result = plain ? call(mlp, &in, neurons, width, in.x + n, x, args[3]) : Py_NewRef(Py_None);
  PyMem_Free(memory);
  return result;
}

PyObject *pg_python_call_mlp(PyObject *module, PyObject *const *args, Py_ssize_t count) {
  (void)module;
  PyObject *x = count == 5 ? args[4] : NULL, *result;
  if (!x || !(PyList_CheckExact(x) || PyTuple_CheckExact(x))) {
    Py_RETURN_NONE;
  }
  PG_BEGIN_READING(x);
  result = call_with(x, args);
  PG_END_READING();
  return result;
}

/* Whether x is a number or text, or to this depth a list or a tuple of nothing else. */
static bool only_numbers(PyObject *x, int depth) {
  if (PyFloat_CheckExact(x) || PyLong_CheckExact(x) || PyUnicode_CheckExact(x) || PyBool_Check(x) ||
      x == Py_None || PyComplex_CheckExact(x) || PyBytes_CheckExact(x)) {
    return true;
  }
  const bool list = PyList_CheckExact(x);
  if (!depth || !(list || PyTuple_CheckExact(x))) {
    return false;
  }
  bool all = true;
  PG_BEGIN_READING(x);
  const Py_ssize_t count = list ? PyList_Size(x) : PyTuple_Size(x);
  for (Py_ssize_t i = 0; i < count && all; i++) {
    all = only_numbers(list ? PyList_GetItem(x, i) : PyTuple_GetItem(x, i), depth - 1);
  }
  PG_END_READING();
  return all;
}

PyObject *pg_python_holds_only_numbers(PyObject *module, PyObject *x) {
  (void)module;
  return PyBool_FromLong(only_numbers(x, 2));
}
