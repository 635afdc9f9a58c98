/* module.c: pygrad._fast, the module of the C types, in the library of cffi's pygrad._core.
 *
 * pygrad/_lib.py loads it, on CPython with a GIL. As there is one arena a process, one interpreter can have it.
 */
#include "python/python.h"

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
  const Py_ssize_t count = PyList_Size(values);
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(pg_id));
  pg_id *ids = bytes ? (pg_id *)(void *)PyBytes_AsString(bytes) : NULL;
  for (Py_ssize_t i = 0; i < count && ids; i++) {
    PyObject *value = PyList_GetItem(values, i);
    if (!pg_is_exact_value(value) || !pg_value_id(value)) {
      Py_DECREF(bytes);
      Py_RETURN_NONE;
    }
    ids[i] = pg_value_id(value);
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

/* living(id): the Value of a node, or None. */
static PyObject *living(PyObject *module, PyObject *id) {
  (void)module;
  const unsigned long number = PyLong_AsUnsignedLong(id);
  if (PyErr_Occurred()) {
    return NULL;
  }
  PyObject *value = pg_value_living((pg_id)number);
  return value ? value : Py_NewRef(Py_None);
}

/* A function that takes its arguments in an array of C. */
#define TAKES_ARRAY(function) (PyCFunction)(void (*)(void)) function

static PyMethodDef FUNCTIONS[] = {
    {"derive", pg_value_derive, METH_VARARGS, NULL},
    {"derive_program", pg_program_derive, METH_VARARGS, NULL},
    {"new_handle", new_handle, METH_O, NULL},
    {"new_handles", new_handles, METH_O, NULL},
    {"test_fail_objects", test_fail_objects, METH_O, NULL},
    {"ids_of", ids_of, METH_O, NULL},
    {"living", living, METH_O, NULL},
    {"backward_from", pg_python_backward_from, METH_O, NULL},
    {"set_hooks", pg_python_set_hooks, METH_VARARGS, NULL},
    {"after_fork", pg_python_after_fork, METH_NOARGS, NULL},
    {"map_unary", TAKES_ARRAY(pg_python_map_unary), METH_FASTCALL, NULL},
    {"map_binary", TAKES_ARRAY(pg_python_map_binary), METH_FASTCALL, NULL},
    {"map_number", TAKES_ARRAY(pg_python_map_number), METH_FASTCALL, NULL},
    {"reduce", TAKES_ARRAY(pg_python_reduce), METH_FASTCALL, NULL},
    {"matmul", TAKES_ARRAY(pg_python_matmul), METH_FASTCALL, NULL},
    {"softmax", TAKES_ARRAY(pg_python_softmax), METH_FASTCALL, NULL},
    {"log_softmax", TAKES_ARRAY(pg_python_log_softmax), METH_FASTCALL, NULL},
    {"rms_norm", TAKES_ARRAY(pg_python_rms_norm), METH_FASTCALL, NULL},
    {"leaves", TAKES_ARRAY(pg_python_leaves), METH_FASTCALL, NULL},
    {"hold_all", TAKES_ARRAY(pg_python_hold_all), METH_FASTCALL, NULL},
    {"holder", TAKES_ARRAY(pg_python_holder), METH_FASTCALL, NULL},
    {"call_mlp", TAKES_ARRAY(pg_python_call_mlp), METH_FASTCALL, NULL},
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
    {0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,  .m_name = "_fast", .m_doc = "The C types of pygrad.",
    .m_methods = FUNCTIONS, .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__fast(void);
PyMODINIT_FUNC PyInit__fast(void) { return PyModuleDef_Init(&MODULE); }
