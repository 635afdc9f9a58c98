/* call.c: the C type of Program: calls with plain numbers and arrays go straight to the core.
 *
 * It is derived from the Python class in pygrad/program/program.py, and has two of its methods: __call__ and
 * value_and_grad, for numbers, and for arrays of float64 in C order, of the shape of a sample or of a batch.
 * All else is for the inherited methods: other arguments, errors, kinds of calls that are not compiled yet, and
 * runs so long that they must hear of signals. What a method here cannot do it leaves to the inherited one,
 * having changed nothing: so the two agree.
 */
#include "python/python.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

static pg_python *const P = &pg_the_python;

enum {
  MOST_BATCHED = 64, /* only so many of the first arguments may be batches */
  BRIEF_NS = 20000,  /* a run that may take longer gives up the GIL: to take it back may take as long */
};

/* Plans -------------------------------------------------------------------------------------------------- */

/* The shape of one sample of an argument or a result. */
typedef struct {
  Py_ssize_t dimensions; /* below 0: not an array, but a structure or an index */
  Py_ssize_t *sizes;     /* in the plan's memory */
  PyObject *shape;       /* the sizes, as a tuple */
} pg_shape;

/* A kind of call that was compiled. */
typedef struct {
  uint64_t batched; /* bit k: argument k is a batch */
  int wanted;       /* of enum pg_wanted */
  pg_routine *routine;
  double brief_below, long_from; /* sizes of batches */
} pg_kind;

/* What is known of a Program's calls. Several may be on their way, each of which holds the plan. */
struct pg_plan {
  size_t holders;
  PyObject *executor; /* which owns the routines */
  PyObject *outline;  /* of results in a structure: see as_structure(); False if C cannot make that; NULL for
                         an array or a number */
  PyObject *build;    /* makes a structure from the array of all numbers: for batches, and for False */
  int threads;
  bool check_finite, is_scalar;
  size_t count; /* of arguments */
  pg_shape *arguments, result;
  size_t parameter_count;
  pg_id *parameters;
  pg_kind *kinds;
  size_t kind_count;
  void *spare; /* the memory of an earlier call, for the next one; or NULL */
};

/* The cotangent's. */
static const pg_shape NUMBER = {.dimensions = 0};

/* Only that of its last holder. */
static void drop_plan(pg_plan *plan) {
  if (!plan || --plan->holders) {
    return;
  }
  for (size_t k = 0; plan->arguments && k < plan->count; k++) {
    free(plan->arguments[k].sizes);
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

static bool set_arguments(pg_plan *plan, PyObject *shapes) {
  plan->count = (size_t)PyTuple_Size(shapes);
  plan->arguments = pg_resize(NULL, plan->count * sizeof *plan->arguments + 1);
  if (!plan->arguments) {
    return false;
  }
  memset(plan->arguments, 0, plan->count * sizeof *plan->arguments);
  bool set = true;
  for (size_t k = 0; set && k < plan->count; k++) {
    set = set_shape(&plan->arguments[k], PyTuple_GetItem(shapes, (Py_ssize_t)k));
  }
  return set;
}

static bool set_parameters(pg_plan *plan, PyObject *ids) {
  Py_buffer view;
  if (PyObject_GetBuffer(ids, &view, PyBUF_SIMPLE)) {
    return false;
  }
  plan->parameter_count = (size_t)view.len / sizeof(pg_id);
  plan->parameters = pg_resize(NULL, (size_t)view.len + 1);
  if (plan->parameters) {
    memcpy(plan->parameters, view.buf, (size_t)view.len);
  }
  PyBuffer_Release(&view);
  return plan->parameters != NULL;
}

/* From what Executor.plan() returns; NULL, maybe with an exception set. */
static pg_plan *plan_of_executor(PyObject *executor) {
  PyObject *shapes, *shape, *outline, *build, *ids, *known = PyObject_CallMethod(executor, "plan", NULL);
  pg_plan *plan = known ? pg_resize(NULL, sizeof *plan) : NULL;
  int is_scalar, check_finite;
  bool made = plan != NULL;
  if (made) {
    *plan = (pg_plan){.holders = 1, .executor = Py_NewRef(executor)};
    made = PyArg_ParseTuple(known, "O!O!OOOppi", &PyTuple_Type, &shapes, &PyTuple_Type, &shape, &outline,
                            &build, &ids, &is_scalar, &check_finite, &plan->threads);
  }
  if (made) {
    plan->is_scalar = is_scalar;
    plan->check_finite = check_finite;
    plan->outline = outline == Py_None ? NULL : Py_NewRef(outline);
    plan->build = Py_NewRef(build);
    made = set_arguments(plan, shapes) && set_shape(&plan->result, shape) && set_parameters(plan, ids);
  }
  Py_XDECREF(known);
  if (plan && !made) {
    drop_plan(plan);
    plan = NULL;
  }
  return plan;
}

static inline bool has_bit(uint64_t bits, size_t k) { return k < MOST_BATCHED && (bits >> k & 1); }

static PyObject *as_bools(uint64_t bits, size_t count) {
  PyObject *tuple = PyTuple_New((Py_ssize_t)count);
  for (size_t k = 0; tuple && k < count; k++) {
    PyTuple_SetItem(tuple, (Py_ssize_t)k, PyBool_FromLong(has_bit(bits, k)));
  }
  return tuple;
}

/* Asks the executor for a kind of call. NULL, maybe with an exception set, if it is not compiled. */
static const pg_kind *add_kind(pg_plan *plan, uint64_t batched, int wanted) {
  PyObject *key = as_bools(batched, plan->count + (wanted == PG_GRADIENT));
  PyObject *found = key ? PyObject_CallMethod(plan->executor, "address", "Oi", key, wanted) : NULL;
  unsigned long long address;
  pg_kind kind = {.batched = batched, .wanted = wanted};
  const bool known = found && found != Py_None && PyArg_ParseTuple(found, "Kd", &address, &kind.long_from);
  Py_XDECREF(key);
  Py_XDECREF(found);
  pg_kind *kinds = known ? pg_resize(plan->kinds, (plan->kind_count + 1) * sizeof *kinds) : NULL;
  if (!kinds) {
    return NULL;
  }
  kind.routine = (pg_routine *)(uintptr_t)address;
  kind.brief_below = pg_long_batch(kind.routine, BRIEF_NS);
  plan->kinds = kinds;
  plan->kinds[plan->kind_count] = kind;
  return &plan->kinds[plan->kind_count++];
}

static inline const pg_kind *kind_of(pg_plan *plan, uint64_t batched, int wanted) {
  for (size_t k = 0; k < plan->kind_count; k++) {
    if (plan->kinds[k].batched == batched && plan->kinds[k].wanted == wanted) {
      return &plan->kinds[k];
    }
  }
  return add_kind(plan, batched, wanted);
}

/* Calls -------------------------------------------------------------------------------------------------- */

/* An argument of a call, or its cotangent, or with its array alone a result. */
typedef struct {
  double number, gradient; /* of an argument that is a number */
  Py_buffer view;          /* of one that is an array; else its obj is NULL */
  PyObject *array;         /* what is computed, unless that is a number: the gradient; or NULL */
} pg_item;

/* A call on its way. The items are the arguments, the cotangent, and the result. */
typedef struct {
  pg_plan *plan;
  pg_item *items;
  double **arrays; /* for pg_run */
  double *numbers; /* the gradients by the parameters, or the results in a structure */
  uint64_t batched;
  size_t batch; /* 0: nothing is batched */
} pg_call;

static size_t size_of(const pg_shape *sample, size_t batch) {
  size_t size = batch ? batch : 1;
  for (Py_ssize_t i = 0; i < sample->dimensions; i++) {
    size *= (size_t)sample->sizes[i];
  }
  return size;
}

/* How many numbers of one sample the result has. */
static size_t result_size(const pg_plan *plan) { return size_of(&plan->result, 1); }

static bool begin(pg_call *c, pg_plan *plan) {
  const size_t numbers = plan->parameter_count + (plan->outline ? result_size(plan) : 0);
  const size_t items = (plan->count + 2) * sizeof *c->items;
  const size_t arrays = (2 * plan->count + 4) * sizeof *c->arrays;
  char *memory = plan->spare;
  if (memory) {
    plan->spare = NULL;
  } else if (!(memory = pg_resize(NULL, items + arrays + numbers * sizeof *c->numbers))) {
    return false;
  }
  *c = (pg_call){.plan = plan, .items = (pg_item *)memory};
  c->arrays = (double **)(memory + items);
  c->numbers = (double *)(memory + items + arrays);
  plan->holders++;
  for (size_t k = 0; k < plan->count + 2; k++) {
    c->items[k].view.obj = c->items[k].array = NULL;
  }
  return true;
}

static void end(pg_call *c) {
  pg_plan *plan = c->plan;
  for (size_t k = 0; k < plan->count + 2; k++) {
    if (c->items[k].view.obj) {
      PyBuffer_Release(&c->items[k].view);
    }
    Py_XDECREF(c->items[k].array);
  }
  if (plan->spare) {
    free(c->items);
  } else {
    plan->spare = c->items;
  }
  drop_plan(plan);
}

/* Arguments ---------------------------------------------------------------------------------------------- */

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

/* The size of the batch that an argument is; 0: it is none. */
static inline size_t batch_of(const pg_call *c, size_t k) { return has_bit(c->batched, k) ? c->batch : 0; }

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
  if (batch == 0 || k >= MOST_BATCHED || (c->batch && c->batch != (size_t)batch)) {
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

static inline bool read_argument(pg_call *c, size_t k, const pg_shape *accepted, PyObject *x) {
  if (accepted->dimensions == 0 && read_number(x, &c->items[k].number)) {
    c->arrays[k] = &c->items[k].number;
    return true;
  }
  return accepted->dimensions >= 0 && read_array(c, k, accepted, x);
}

/* Results ------------------------------------------------------------------------------------------------ */

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

/* Where the numbers of a new array are, or of a single number in its place; NULL without memory. */
static double *new_numbers(PyObject **array, double *number, const pg_shape *sample, size_t batch) {
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

/* Structures ---------------------------------------------------------------------------------------------- */

static PyObject *as_structure(PyObject *outline, const double *numbers);

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
    PyObject *item = as_structure(part, numbers);
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
    PyObject *item = as_structure(part, numbers);
    if (!item || PyDict_SetItem(dict, key, item)) {
      Py_CLEAR(dict);
    }
    Py_XDECREF(item);
  }
  return dict;
}

/* The results of one sample. Their outline has the same lists, tuples, dicts and None; in place of a number it
 * has the place of that among all, an int; in place of an array its Segment.
 */
static PyObject *as_structure(PyObject *outline, const double *numbers) {
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

/* The two methods ---------------------------------------------------------------------------------------- */

/* Those below return NULL without an exception for what is left to the inherited method. */

static bool run(pg_call *c, int wanted, int f(pg_routine *, size_t, double *const *, int)) {
  const pg_kind *found = kind_of(c->plan, c->batched, wanted);
  if (!found) {
    return false;
  }
  const pg_kind kind = *found;
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

static bool values_are_finite(const pg_call *c, const double *numbers) {
  return !c->plan->check_finite || all_finite(numbers, size_of(&c->plan->result, c->batch));
}

static PyObject *structure(pg_call *c) {
  c->arrays[c->plan->count] = c->numbers;
  return run(c, PG_VALUES, pg_run) && values_are_finite(c, c->numbers)
             ? as_structure(c->plan->outline, c->numbers)
             : NULL;
}

static PyObject *values(pg_call *c) {
  const pg_plan *plan = c->plan;
  pg_item *result = &c->items[plan->count + 1];
  if (plan->outline && plan->outline != Py_False && !c->batch) {
    return structure(c);
  }
  double *numbers = new_numbers(&result->array, &result->number, &plan->result, c->batch);
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
  *to = new_numbers(&result->array, &result->number, &plan->result, c->batch);
  for (size_t k = 0; *to && k < plan->count; k++) {
    pg_item *x = &c->items[k];
    *++to = new_numbers(&x->array, &x->gradient, &plan->arguments[k], batch_of(c, k));
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
  bool all = all_finite(*at, size_of(&plan->result, c->batch));
  for (size_t k = 0; all && k < plan->count; k++) {
    all = all_finite(*++at, size_of(&plan->arguments[k], batch_of(c, k)));
  }
  return all && all_finite(c->numbers, plan->parameter_count);
}

static PyObject *value_and_gradients(const pg_call *c) {
  const size_t count = c->plan->count;
  PyObject *gradients = PyTuple_New((Py_ssize_t)count), *both = NULL;
  for (size_t k = 0; gradients && k < count; k++) {
    PyObject *gradient = as_object(c->items[k].array, c->items[k].gradient);
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

static pg_plan *new_plan(PyObject *self) {
  pg_compiled *f = (pg_compiled *)self;
  const unsigned settings = f->settings;
  PyObject *executor = PyObject_GetAttrString(self, "_executor");
  if (!executor) { /* it was not initialized, of which the inherited method complains */
    if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
      PyErr_Clear();
    }
    return NULL;
  }
  pg_plan *plan = plan_of_executor(executor);
  Py_DECREF(executor);
  if (settings != f->settings) { /* another thread has changed them meanwhile */
    drop_plan(plan);
    return NULL;
  }
  pg_plan *had = f->plan;
  f->plan = plan;
  drop_plan(had); /* may run Python code */
  return plan;
}

/* The arguments of a call are in an array, or else in a tuple. */
static PyObject *straight(PyObject *self, PyObject *const *args, PyObject *tuple, Py_ssize_t count,
                          PyObject *cotangent) {
  pg_call c;
  pg_plan *plan = ((pg_compiled *)self)->plan;
  plan = plan ? plan : new_plan(self);
  if (!plan || (size_t)count != plan->count || (cotangent && !plan->is_scalar) || !begin(&c, plan)) {
    return NULL;
  }
  bool read = true;
  for (Py_ssize_t k = 0; read && k < count; k++) {
    read = read_argument(&c, (size_t)k, &plan->arguments[k], tuple ? PyTuple_GetItem(tuple, k) : args[k]);
  }
  read = read && (!cotangent || read_argument(&c, (size_t)count, &NUMBER, cotangent));
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
  pg_compiled *f = (pg_compiled *)self;
  pg_plan *plan = f->plan;
  f->plan = NULL;
  f->settings++;
  drop_plan(plan);
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
  pg_plan *plan = f->plan;
  f->plan = NULL;
  drop_plan(plan);
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
  PyObject *class, *ndarray, *empty, *scalars;
  const char *signature;
  if (!PyArg_ParseTuple(args, "O!sOOO!", &PyType_Type, &class, &signature, &ndarray, &empty, &PyTuple_Type,
                        &scalars)) {
    return NULL;
  }
  keep((PyObject **)&P->ndarray, Py_NewRef(ndarray));
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
