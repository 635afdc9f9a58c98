/* module.c: pygrad._fast, the module of the C types, in the library of cffi's pygrad._core.
 *
 * pygrad/_lib.py loads it, on CPython. As there is one arena a process, one interpreter can have it.
 */
#include "python/python.h"

#include <stdlib.h>

#include "memory.h"

static pg_python *const P = &pg_the_python;

/* new_handle(id): a Value for a node, of which it takes over one hold. */
static PyObject *new_handle(PyObject *module, PyObject *id) {
  (void)module;
  const unsigned long number = PyLong_AsUnsignedLong(id);
  return PyErr_Occurred() ? NULL : pg_value_new((pg_id)number);
}

/* new_handles(buffer of ids): a list of Values that take over one hold each; without memory all holds are
 * released. */
static PyObject *new_handles(PyObject *module, PyObject *buffer) {
  (void)module;
  Py_buffer view;
  if (PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)) {
    return NULL;
  }
  PyObject *list = pg_value_list((size_t)view.len / sizeof(pg_id), view.buf);
  PyBuffer_Release(&view);
  return list;
}

/* ids_of(list): the ids of Values, as bytes; None if one is not a plain Value. */
static PyObject *ids_of(PyObject *module, PyObject *values) {
  (void)module;
  if (!PyList_Check(values)) {
    PyErr_SetString(PyExc_TypeError, "a list is needed");
    return NULL;
  }
  PyObject *bytes;
  bool all = true;
  PG_BEGIN_READING(values);
  const Py_ssize_t count = PyList_Size(values);
  bytes = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(pg_id));
  pg_id *ids = bytes ? (pg_id *)(void *)PyBytes_AsString(bytes) : NULL;
  for (Py_ssize_t i = 0; i < count && ids && all; i++) {
    PyObject *value = PyList_GetItem(values, i);
    all = pg_is_exact_value(value) && pg_value_id(value);
    ids[i] = all ? pg_value_id(value) : 0;
  }
  PG_END_READING();
  if (!all) {
    Py_DECREF(bytes);
    Py_RETURN_NONE;
  }
  return bytes;
}

/* test_fail_objects(successes): for tests, as pg_test_fail_allocations. */
static PyObject *test_fail_objects(PyObject *module, PyObject *successes) {
  (void)module;
  const long long number = PyLong_AsLongLong(successes);
  if (number == -1 && PyErr_Occurred()) {
    return NULL;
  }
  P->test_objects = number;
  Py_RETURN_NONE;
}

/* value_for(id, pins): the Value of a live node: the living one, or else a new one, which keeps the pins if a
 * closure is below it. */
static PyObject *value_for(PyObject *module, PyObject *args) {
  (void)module;
  unsigned id;
  PyObject *pins;
  if (!PyArg_ParseTuple(args, "IO!", &id, &PyTuple_Type, &pins)) {
    return NULL;
  }
  PyObject *value = pg_value_living(id);
  if (value) {
    return value;
  }
  value = pg_value_for(id);
  if (value && PyTuple_Size(pins) > 0 && pg_flags_of(id) & PG_PINNED) {
    pg_rare *rare = pg_value_make_rare(pg_value_of(value));
    if (rare) {
      Py_XDECREF(pg_rare_first(&rare->pins, pins));
    } else {
      Py_CLEAR(value);
    }
  }
  return value;
}

/* These two make a node and give it to a Value, all at once: between two calls from Python a signal handler may
 * raise an exception, and the node would leak. They return what the maker of the node did. */

/* init_leaf(value, number, whether it is an int) */
static PyObject *init_leaf(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *value;
  double number;
  int integral;
  if (!PyArg_ParseTuple(args, "O!dp", P->type, &value, &number, &integral)) {
    return NULL;
  }
  const pg_made made = pg_leaf(number, integral);
  if (made > 0 && pg_value_set_id(pg_value_of(value), (pg_id)made)) {
    return NULL;
  }
  return PyLong_FromLongLong(made);
}

/* Makes the node of an op written in Python. */
static pg_made make_custom(double data, bool integral, PyObject *ids) {
  const Py_ssize_t count = PyList_Size(ids);
  pg_id *operands = pg_resize(NULL, ((size_t)count + 1) * sizeof *operands);
  pg_made made = operands ? PG_OK : PG_NO_MEMORY;
  for (Py_ssize_t i = 0; i < count && made == PG_OK; i++) {
    operands[i] = (pg_id)PyLong_AsUnsignedLong(PyList_GetItem(ids, i));
    made = PyErr_Occurred() ? PG_STALE : PG_OK;
  }
  made = made == PG_OK ? pg_custom(data, integral, operands, (size_t)count) : made;
  free(operands);
  return made;
}

/* init_custom(value, data, whether it is an int, ids of the children, children, op) */
static PyObject *init_custom(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *value, *ids, *children, *op;
  double data;
  int integral;
  if (!PyArg_ParseTuple(args, "O!dpO!O!O", P->type, &value, &data, &integral, &PyList_Type, &ids, &PyTuple_Type,
                        &children, &op)) {
    return NULL;
  }
  pg_rare *rare = pg_value_make_rare(pg_value_of(value));
  const pg_made made = rare ? make_custom(data, integral, ids) : PG_NO_MEMORY;
  if (made <= -PG_FIRST_ID && !pg_value_set_id(pg_value_of(value), (pg_id)-made)) {
    pg_rare_set(&rare->pins, children);
    pg_rare_set(&rare->symbol, op);
  }
  return PyErr_Occurred() ? NULL : PyLong_FromLongLong(made);
}

static PyMethodDef FUNCTIONS[] = {
    {"derive", pg_value_derive, METH_VARARGS, NULL},
    {"derive_program", pg_program_derive, METH_VARARGS, NULL},
    {"new_handle", new_handle, METH_O, NULL},
    {"new_handles", new_handles, METH_O, NULL},
    {"test_fail_objects", test_fail_objects, METH_O, NULL},
    {"ids_of", ids_of, METH_O, NULL},
    {"value_for", value_for, METH_VARARGS, NULL},
    {"init_leaf", init_leaf, METH_VARARGS, NULL},
    {"init_custom", init_custom, METH_VARARGS, NULL},
    {"backward_from", pg_python_backward_from, METH_O, NULL},
    {"set_hooks", pg_python_set_hooks, METH_VARARGS, NULL},
    {"set_note_number_taken", pg_python_set_note_number_taken, METH_O, NULL},
    {"set_note_read", pg_python_set_note_read, METH_O, NULL},
    {"attribute", pg_python_attribute, METH_VARARGS, NULL},
    {"set_declare_attribute", pg_python_set_declare_attribute, METH_O, NULL},
    {"after_fork", pg_python_after_fork, METH_NOARGS, NULL},
    {"map_unary", PG_TAKES_ARRAY(pg_python_map_unary), METH_FASTCALL, NULL},
    {"map_binary", PG_TAKES_ARRAY(pg_python_map_binary), METH_FASTCALL, NULL},
    {"map_number", PG_TAKES_ARRAY(pg_python_map_number), METH_FASTCALL, NULL},
    {"reduce", PG_TAKES_ARRAY(pg_python_reduce), METH_FASTCALL, NULL},
    {"matmul", PG_TAKES_ARRAY(pg_python_matmul), METH_FASTCALL, NULL},
    {"softmax", PG_TAKES_ARRAY(pg_python_softmax), METH_FASTCALL, NULL},
    {"log_softmax", PG_TAKES_ARRAY(pg_python_log_softmax), METH_FASTCALL, NULL},
    {"rms_norm", PG_TAKES_ARRAY(pg_python_rms_norm), METH_FASTCALL, NULL},
    {"cross_entropy", PG_TAKES_ARRAY(pg_python_cross_entropy), METH_FASTCALL, NULL},
    {"leaves", PG_TAKES_ARRAY(pg_python_leaves), METH_FASTCALL, NULL},
    {"hold_all", PG_TAKES_ARRAY(pg_python_hold_all), METH_FASTCALL, NULL},
    {"run_of", pg_python_run_of, METH_O, NULL},
    {"call_mlp", PG_TAKES_ARRAY(pg_python_call_mlp), METH_FASTCALL, NULL},
    {"holds_only_numbers", pg_python_holds_only_numbers, METH_O, NULL},
    {"set_in_c_order", pg_python_set_in_c_order, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module) {
  (void)module;
  const int64_t interpreter = PyInterpreterState_GetID(PyInterpreterState_Get());
  if (P->sweep_lock && P->interpreter != interpreter) {
    PyErr_SetString(
        PyExc_ImportError,
        "pygrad is in use by another interpreter of this process, and its graph belongs to that one: "
        "import it in one interpreter only, or in processes of their own");
    return -1;
  }
  P->interpreter = interpreter;
  P->sweep_lock = P->sweep_lock ? P->sweep_lock : PyThread_allocate_lock();
  if (!P->sweep_lock) {
    PyErr_NoMemory();
    return -1;
  }
  return 0;
}

static PyModuleDef_Slot SLOTS[] = {
    {Py_mod_exec, __extension__(void *) execute},
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,  .m_name = "_fast", .m_doc = "The C types of pygrad.",
    .m_methods = FUNCTIONS, .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__fast(void);
PyMODINIT_FUNC PyInit__fast(void) { return PyModuleDef_Init(&MODULE); }
