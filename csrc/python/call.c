/* call.c: the C type of Program: calls with plain numbers and arrays go straight to the core.
 *
 * It is derived from the Python class in pygrad/program/program.py, and has two of its methods: __call__ and
 * value_and_grad, for numbers, for arrays of float64 in C order, of the shape of a sample or of a batch, and
 * for integers that are indices. All else is for the inherited methods: other arguments, errors, kinds of calls
 * that are not compiled yet, and runs so long that they must hear of signals. What a method here cannot do it
 * leaves to the inherited one, having changed nothing: so the two agree.
 */
#include <stdlib.h>

#include "graph/trace.h"
#include "memory.h"
#include "python/call.h"

static pg_python *const P = &pg_the_python;

/* The cotangent's. */
static const pg_shape NUMBER = {.dimensions = 0};

/* Calls -------------------------------------------------------------------------------------------------- */

/* How many numbers of one sample the result has. */
static size_t result_size(const pg_plan *plan) { return pg_size_of(&plan->result, 1); }

/* Takes over a hold of the plan, which is dropped if there is no memory. */
static bool begin(pg_call *c, pg_plan *plan) {
  const size_t numbers = plan->parameter_count + (plan->outline ? result_size(plan) : 0);
  const size_t items = (plan->count + 2) * sizeof *c->items;
  const size_t arrays = (2 * plan->count + 4) * sizeof *c->arrays;
  pg_guard();
  char *memory = plan->spare;
  if (memory) {
    plan->spare = NULL;
  }
  pg_unguard();
  if (!memory && !(memory = pg_resize(NULL, items + arrays + numbers * sizeof *c->numbers))) {
    pg_plan_drop(plan);
    return false;
  }
  *c = (pg_call){.plan = plan, .items = (pg_item *)memory};
  c->arrays = (double **)(memory + items);
  c->numbers = (double *)(memory + items + arrays);
  for (size_t k = 0; k < plan->count + 2; k++) {
    c->items[k].view.obj = c->items[k].array = NULL;
    c->items[k].integers = NULL;
  }
  return true;
}

static void end(pg_call *c) {
  pg_plan *plan = c->plan;
  for (size_t k = 0; k < plan->count + 2; k++) {
    if (c->items[k].view.obj) {
      PyBuffer_Release(&c->items[k].view);
    }
    free(c->items[k].integers);
    Py_XDECREF(c->items[k].array);
  }
  pg_guard();
  if (plan->spare) {
    free(c->items);
  } else {
    plan->spare = c->items;
  }
  pg_unguard();
  pg_plan_drop(plan);
}

/* The two methods ---------------------------------------------------------------------------------------- */

/* Those below return NULL without an exception for what is left to the inherited method. */

static bool run(pg_call *c, int wanted, int f(pg_routine *, size_t, double *const *, int)) {
  pg_kind kind;
  pg_guard();
  const pg_kind *known = pg_known_kind(c->plan, c->batched, wanted);
  if (known) {
    kind = *known;
  }
  pg_unguard();
  if (!known && !pg_add_kind(c->plan, c->batched, wanted, &kind)) {
    return false;
  }
  const size_t batch = c->batch ? c->batch : 1;
  const int threads = c->plan->threads;
  if ((double)batch >= kind.long_from) {
    return false;
  }
  if ((double)batch < kind.brief_below) {
    return f(kind.routine, batch, c->arrays, threads) == PG_OK;
  }
  int status;
  Py_BEGIN_ALLOW_THREADS status = f(kind.routine, batch, c->arrays, threads);
  Py_END_ALLOW_THREADS return status == PG_OK;
}

static inline bool all_finite(const double *numbers, size_t count) {
  double sum = 0; /* nan, if one of them is not finite */
  for (size_t i = 0; i < count; i++) {
    sum += numbers[i] * 0;
  }
  return sum == 0;
}

/* What is computed as an object, to which the caller gets a reference. */
static inline PyObject *as_object(PyObject *array, double number) {
  return array ? Py_NewRef(array) : PyFloat_FromDouble(number);
}

static bool values_are_finite(const pg_call *c, const double *numbers) {
  return !c->plan->check_finite || all_finite(numbers, pg_size_of(&c->plan->result, c->batch));
}

static PyObject *structure(pg_call *c) {
  c->arrays[c->plan->count] = c->numbers;
  return run(c, PG_VALUES, pg_run) && values_are_finite(c, c->numbers)
             ? pg_as_structure(c->plan->outline, c->numbers)
             : NULL;
}

static PyObject *values(pg_call *c) {
  const pg_plan *plan = c->plan;
  pg_item *result = &c->items[plan->count + 1];
  if (plan->outline && plan->outline != Py_False && !c->batch) {
    return structure(c);
  }
  double *numbers = pg_new_numbers(&result->array, &result->number, &plan->result, c->batch);
  c->arrays[plan->count] = numbers;
  if (!numbers || !run(c, PG_VALUES, pg_run) || !values_are_finite(c, numbers)) {
    return NULL;
  }
  return plan->outline ? PyObject_CallFunctionObjArgs(plan->build, result->array, NULL)
                       : as_object(result->array, result->number);
}

/* Room for the value, the gradients by the arguments, and by the parameters. */
static bool make_gradients(pg_call *c) {
  const pg_plan *plan = c->plan;
  double **to = c->arrays + plan->count + 1;
  pg_item *result = &c->items[plan->count + 1];
  *to = pg_new_numbers(&result->array, &result->number, &plan->result, c->batch);
  for (size_t k = 0; *to && k < plan->count; k++) {
    pg_item *x = &c->items[k];
    const pg_shape *shape = &plan->arguments[k];
    const size_t batch = pg_batch_of(c, k);
    *++to = x->integers ? x->integers + pg_size_of(shape, batch)
                        : pg_new_numbers(&x->array, &x->gradient, shape, batch);
  }
  if (!*to) {
    return false;
  }
  *++to = c->numbers;
  return true;
}

static bool gradients_are_finite(const pg_call *c) {
  const pg_plan *plan = c->plan;
  double *const *at = c->arrays + plan->count + 1;
  bool all = all_finite(*at, pg_size_of(&plan->result, c->batch));
  for (size_t k = 0; all && k < plan->count; k++) {
    all = all_finite(*++at, pg_size_of(&plan->arguments[k], pg_batch_of(c, k)));
  }
  return all && all_finite(c->numbers, plan->parameter_count);
}

/* None for an index. */
static PyObject *gradient_by(const pg_call *c, size_t k) {
  const pg_item *x = &c->items[k];
  return c->plan->arguments[k].limits ? Py_NewRef(Py_None) : as_object(x->array, x->gradient);
}

static PyObject *value_and_gradients(const pg_call *c) {
  const size_t count = c->plan->count;
  PyObject *gradients = PyTuple_New((Py_ssize_t)count), *both = NULL;
  for (size_t k = 0; gradients && k < count; k++) {
    PyObject *gradient = gradient_by(c, k);
    if (!gradient || PyTuple_SetItem(gradients, (Py_ssize_t)k, gradient)) {
      Py_CLEAR(gradients);
    }
  }
  const pg_item *result = &c->items[count + 1];
  PyObject *value = gradients ? as_object(result->array, result->number) : NULL;
  if (value) {
    both = PyTuple_Pack(2, value, gradients);
  }
  Py_XDECREF(value);
  Py_XDECREF(gradients);
  return both;
}

/* The grads of the parameters are the last to change, unless the run changes them. */
static PyObject *gradient(pg_call *c) {
  const pg_plan *plan = c->plan;
  if (!make_gradients(c)) {
    return NULL;
  }
  if (!plan->check_finite) {
    return run(c, PG_GRADIENT, pg_run_and_add_grads) ? value_and_gradients(c) : NULL;
  }
  if (!run(c, PG_GRADIENT, pg_run) || !gradients_are_finite(c)) {
    return NULL;
  }
  PyObject *both = value_and_gradients(c);
  if (!both) {
    PyErr_Clear();
  } else if (plan->parameter_count &&
             pg_add_grads(plan->parameter_count, plan->parameters, c->numbers) != PG_OK) {
    Py_CLEAR(both);
  }
  return both;
}

/* The plan of a Program, which the caller holds; NULL if there is none. */
static inline pg_plan *held_plan(pg_compiled *f) {
  pg_guard();
  pg_plan *plan = f->plan;
  if (plan) {
    plan->holders++;
  }
  pg_unguard();
  return plan;
}

/* Puts a plan for these settings in the place of that of a Program, unless they have changed since. NULL: they
 * change now. */
static void set_plan(pg_compiled *f, pg_plan *plan, unsigned settings) {
  pg_guard();
  settings = plan ? settings : ++f->settings;
  pg_plan *dropped = plan;
  if (settings == f->settings) {
    dropped = f->plan;
    f->plan = plan;
  }
  pg_unguard();
  pg_plan_drop(dropped); /* may run Python code */
}

static pg_plan *new_plan(pg_compiled *f) {
  pg_guard();
  const unsigned settings = f->settings;
  pg_unguard();
  PyObject *executor = PyObject_GetAttrString((PyObject *)f, "_executor");
  if (!executor) { /* it was not initialized, of which the inherited method complains */
    if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
      PyErr_Clear();
    }
    return NULL;
  }
  pg_plan *plan = pg_plan_of(executor);
  Py_DECREF(executor);
  if (plan) {
    set_plan(f, plan, settings);
  }
  return plan ? held_plan(f) : NULL;
}

/* Whether C makes calls with so many arguments. While a function is traced, the parameters are those of that
 * function: see compose.py. */
static inline bool takes(const pg_plan *plan, size_t count, PyObject *cotangent) {
  return count == plan->count && (cotangent ? plan->is_scalar : !plan->parameter_count || !pg_trace_flag());
}

/* The arguments of a call are in an array, or else in a tuple. */
static PyObject *straight(PyObject *self, PyObject *const *args, PyObject *tuple, Py_ssize_t count,
                          PyObject *cotangent) {
  pg_call c;
  pg_plan *plan = held_plan((pg_compiled *)self);
  plan = plan ? plan : new_plan((pg_compiled *)self);
  if (plan && !takes(plan, (size_t)count, cotangent)) {
    pg_plan_drop(plan);
    return NULL;
  }
  if (!plan || !begin(&c, plan)) {
    return NULL;
  }
  bool read = true;
  for (Py_ssize_t k = 0; read && k < count; k++) {
    read = pg_read_argument(&c, (size_t)k, &plan->arguments[k], tuple ? PyTuple_GetItem(tuple, k) : args[k]);
  }
  read = read && (!cotangent || pg_read_argument(&c, (size_t)count, &NUMBER, cotangent));
  PyObject *out = !read ? NULL : cotangent ? gradient(&c) : values(&c);
  end(&c);
  return out;
}

/* The method of the Python class, with the arguments of a call. */
static PyObject *inherited(PyObject *method, PyObject *self, PyObject *const *args, PyObject *tuple,
                           Py_ssize_t count, PyObject *kwargs) {
  PyObject *all = PyTuple_New(count + 1);
  if (!all) {
    return NULL;
  }
  PyTuple_SetItem(all, 0, Py_NewRef(self));
  for (Py_ssize_t k = 0; k < count; k++) {
    PyTuple_SetItem(all, k + 1, Py_NewRef(tuple ? PyTuple_GetItem(tuple, k) : args[k]));
  }
  PyObject *out = PyObject_Call(method, all, kwargs);
  Py_DECREF(all);
  return out;
}

static PyObject *call(PyObject *self, PyObject *args, PyObject *kwargs) {
  const Py_ssize_t count = PyTuple_Size(args);
  PyObject *out = kwargs && PyDict_Size(kwargs) ? NULL : straight(self, NULL, args, count, NULL);
  return out || PyErr_Occurred() ? out : inherited(P->call, self, NULL, args, count, kwargs);
}

/* The keywords of a call as a dict, or NULL without memory. */
static PyObject *as_dict(PyObject *const *values, PyObject *names) {
  PyObject *dict = PyDict_New();
  for (Py_ssize_t k = 0; dict && names && k < PyTuple_Size(names); k++) {
    if (PyDict_SetItem(dict, PyTuple_GetItem(names, k), values[k])) {
      Py_CLEAR(dict);
    }
  }
  return dict;
}

PyObject *pg_call_inherited(PyObject *method, PyObject *self, PyObject *const *args, Py_ssize_t count,
                            PyObject *names) {
  PyObject *kwargs = as_dict(args + count, names);
  PyObject *out = kwargs ? inherited(method, self, args, NULL, count, kwargs) : NULL;
  Py_XDECREF(kwargs);
  return out;
}

/* __call__, where it is called as a method. */
static PyObject *call_method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
  PyObject *out = names ? NULL : straight(self, args, NULL, count, NULL);
  if (out || PyErr_Occurred()) {
    return out;
  }
  return pg_call_inherited(P->call, self, args, count, names);
}

static PyObject *value_and_grad(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
  PyObject *out = NULL;
  if (!names) {
    out = straight(self, args, NULL, count, P->one);
  } else if (PyTuple_Size(names) == 1 &&
             PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "cotangent") == 0) {
    out = straight(self, args, NULL, count, args[count]);
  }
  if (out || PyErr_Occurred()) {
    return out;
  }
  return pg_call_inherited(P->value_and_grad, self, args, count, names);
}

/* A Program as an object --------------------------------------------------------------------------------- */

/* The settings have changed: the next call makes a new plan. */
static PyObject *forget_plan(PyObject *self, PyObject *unused) {
  (void)unused;
  set_plan((pg_compiled *)self, NULL, 0);
  Py_RETURN_NONE;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
  const pg_compiled *f = (pg_compiled *)self;
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(f->attributes);
  if (f->plan && f->plan->holders == 1) {
    Py_VISIT(f->plan->executor);
    Py_VISIT(f->plan->outline);
    Py_VISIT(f->plan->build);
  }
  return 0;
}

static int clear(PyObject *self) {
  pg_compiled *f = (pg_compiled *)self;
  set_plan(f, NULL, 0);
  Py_CLEAR(f->attributes);
  return 0;
}

static void deallocate(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (((pg_compiled *)self)->weak_references) {
    PyObject_ClearWeakRefs(self);
  }
  clear(self);
  (__extension__(freefunc) PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

static PyMethodDef METHODS[] = {
    {"__call__", PG_TAKES_ARRAY(call_method), METH_FASTCALL | METH_KEYWORDS | METH_COEXIST, NULL},
    {"value_and_grad", PG_TAKES_ARRAY(value_and_grad), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_settings_changed", forget_plan, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ATTRIBUTES[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef MEMBERS[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(pg_compiled, attributes), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pg_compiled, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

#define FUNCTION(f) (__extension__(void *)(f))

static PyType_Slot SLOTS[] = {
    {Py_tp_dealloc, FUNCTION(deallocate)},
    {Py_tp_traverse, FUNCTION(traverse)},
    {Py_tp_clear, FUNCTION(clear)},
    {Py_tp_call, FUNCTION(call)},
    {Py_tp_methods, METHODS},
    {Py_tp_getset, ATTRIBUTES},
    {Py_tp_members, MEMBERS},
    {Py_tp_doc, NULL}, /* filled in */
    {0, NULL},
};

/* Takes over a reference in place of the one before: the package may be imported again. */
static void keep(PyObject **at, PyObject *object) {
  PyObject *before = *at;
  *at = object;
  Py_XDECREF(before);
}

/* The types of NumPy's numbers that a call takes, which are never freed. */
static bool set_scalars(PyObject *types) {
  P->scalar_count = 0;
  for (Py_ssize_t k = 0; k < PyTuple_Size(types) && P->scalar_count < PG_SCALARS; k++) {
    P->scalars[P->scalar_count++] = (PyTypeObject *)Py_NewRef(PyTuple_GetItem(types, k));
  }
  return !PyErr_Occurred();
}

/* The two methods of the Python class, and their docstrings. */
static bool set_methods(PyObject *class) {
  keep(&P->call, PyObject_GetAttrString(class, "__call__"));
  keep(&P->value_and_grad, PyObject_GetAttrString(class, "value_and_grad"));
  if (!P->call || !P->value_and_grad) {
    return false;
  }
  METHODS[0].ml_doc = pg_documented("__call__", "($self, /, *args, **kwargs)", P->call);
  METHODS[1].ml_doc =
      pg_documented("value_and_grad", "($self, /, *args, cotangent=1.0, **kwargs)", P->value_and_grad);
  return METHODS[0].ml_doc && METHODS[1].ml_doc;
}

PyObject *pg_program_derive(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *class, *ndarray, *empty, *scalars, *index_type;
  const char *signature;
  if (!PyArg_ParseTuple(args, "O!sOOO!O", &PyType_Type, &class, &signature, &ndarray, &empty, &PyTuple_Type,
                        &scalars, &index_type)) {
    return NULL;
  }
  keep((PyObject **)&P->ndarray, Py_NewRef(ndarray));
  keep((PyObject **)&P->index_type, Py_NewRef(index_type));
  keep(&P->empty_array, Py_NewRef(empty));
  keep(&P->one, PyFloat_FromDouble(1));
  keep(&P->shape, PyUnicode_InternFromString("shape"));
  keep(&P->start, PyUnicode_InternFromString("start"));
  const char *name = pg_full_name(class);
  char *doc = name ? pg_documented("Program", signature, class) : NULL;
  if (!P->one || !P->shape || !P->start || !doc || !set_scalars(scalars) || !set_methods(class)) {
    return NULL;
  }
  return pg_make_type(class, SLOTS, name, doc, sizeof(pg_compiled));
}
