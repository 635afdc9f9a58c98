/* attributes.c: the attributes that programs add to Values: v.color = "red".
 *
 * A Value has no room for a dict of its own; the dict is in its pg_rare. So that attributes are found there,
 * the type gets a descriptor for each name, when it is first assigned: all else stays as fast as it was, which
 * it would not if the type had a way of its own to look up attributes. In an instance of a Python subclass that
 * has a dict, the descriptor uses that dict.
 */
#include "python/python.h"

static pg_python *const P = &pg_the_python;

typedef struct {
  PyObject_HEAD PyObject *name;
  PyObject *otherwise; /* what the class has under this name: the method, say; NULL: nothing */
} attribute;

static attribute *as_attribute(PyObject *self) { return (attribute *)self; }

/* The dict of a Value, a new reference: where there is none and none is to be made, NULL without an exception.
 */
static PyObject *dict_of(PyObject *value, bool make) {
  if (!pg_is_exact_value(value)) {
    PyObject *dict = PyObject_GenericGetDict(value, NULL);
    if (dict || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
      return dict;
    }
    PyErr_Clear(); /* a subclass with __slots__ */
  }
  pg_rare *rare = make ? pg_value_make_rare(pg_value_of(value)) : pg_value_rare(pg_value_of(value));
  PyObject *dict = rare ? pg_rare_get(&rare->attributes) : NULL;
  if (rare && !dict && make) {
    PyObject *made = PyDict_New(); /* which may run the collector, and Python code, which makes another */
    dict = pg_rare_first(&rare->attributes, made);
    Py_XDECREF(made);
  }
  return dict;
}

static int no_attribute(PyObject *value, PyObject *name) {
  const char *utf8 = PyUnicode_AsUTF8AndSize(name, NULL);
  if (utf8) {
    pg_value_no_attribute(value, utf8);
  }
  return -1;
}

/* What plain Python finds where an instance does not have the attribute. */
static PyObject *get_otherwise(attribute *self, PyObject *value, PyObject *type) {
  if (!self->otherwise) {
    if (value) {
      no_attribute(value, self->name);
    } else {
      PyErr_Format(PyExc_AttributeError, "type object 'Value' has no attribute '%U'", self->name);
    }
    return NULL;
  }
  const descrgetfunc get =
      __extension__(descrgetfunc) PyType_GetSlot(Py_TYPE(self->otherwise), Py_tp_descr_get);
  return get ? get(self->otherwise, value, type) : Py_NewRef(self->otherwise);
}

static PyObject *get(PyObject *self, PyObject *value, PyObject *type) {
  attribute *const a = as_attribute(self);
  PyObject *dict = value ? dict_of(value, false) : NULL, *item = NULL;
  if (dict) {
    PG_BEGIN_READING(dict);
    item = Py_XNewRef(PyDict_GetItemWithError(dict, a->name));
    PG_END_READING();
    Py_DECREF(dict);
  }
  return item || PyErr_Occurred() ? item : get_otherwise(a, value, type);
}

static int set(PyObject *self, PyObject *value, PyObject *to) {
  PyObject *name = as_attribute(self)->name, *dict = dict_of(value, to != NULL);
  int failed = -1;
  if (dict) {
    failed = to ? PyDict_SetItem(dict, name, to) : PyDict_DelItem(dict, name);
  } else if (!PyErr_Occurred()) {
    failed = no_attribute(value, name);
  }
  if (failed && PyErr_ExceptionMatches(PyExc_KeyError)) {
    PyErr_Clear();
    no_attribute(value, name);
  }
  Py_XDECREF(dict);
  return failed;
}

static void dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  Py_XDECREF(as_attribute(self)->name);
  Py_XDECREF(as_attribute(self)->otherwise);
  PyObject_Free(self);
  Py_DECREF(type);
}

#define FUNCTION(f) (__extension__(void *)(f))

static PyType_Slot SLOTS[] = {
    {Py_tp_descr_get, FUNCTION(get)},
    {Py_tp_descr_set, FUNCTION(set)},
    {Py_tp_dealloc, FUNCTION(dealloc)},
    {0, NULL},
};

static PyType_Spec SPEC = {
    .name = "pygrad._fast.attribute",
    .basicsize = sizeof(attribute),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = SLOTS,
};

PyObject *pg_python_attribute(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *name, *otherwise = NULL;
  if (!PyArg_ParseTuple(args, "U|O", &name, &otherwise)) {
    return NULL;
  }
  if (!P->attribute_type) {
    P->attribute_type = (PyTypeObject *)PyType_FromSpec(&SPEC);
  }
  attribute *a = P->attribute_type ? PyObject_New(attribute, P->attribute_type) : NULL;
  if (a) {
    a->name = Py_NewRef(name);
    a->otherwise = Py_XNewRef(otherwise);
  }
  return (PyObject *)a;
}

PyObject *pg_value_behind_attribute(PyObject *found) {
  return found && Py_TYPE(found) == P->attribute_type ? as_attribute(found)->otherwise : found;
}

PyObject *pg_python_set_declare_attribute(PyObject *module, PyObject *function) {
  (void)module;
  return pg_python_set_hook(&P->declare_attribute, function);
}

int pg_value_set_new_attribute(PyObject *self, PyObject *name, PyObject *to) {
  PyObject *type, *exception, *traceback;
  if (!to || !P->declare_attribute || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
    return -1;
  }
  PyErr_Fetch(&type, &exception, &traceback);
  PyObject *declared = PyObject_CallFunctionObjArgs(P->declare_attribute, name, NULL);
  if (declared == Py_False) {
    PyErr_Restore(type, exception, traceback);
    Py_DECREF(declared);
    return -1;
  }
  Py_XDECREF(type);
  Py_XDECREF(exception);
  Py_XDECREF(traceback);
  Py_XDECREF(declared);
  return declared ? PyObject_GenericSetAttr(self, name, to) : -1;
}
