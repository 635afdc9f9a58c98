/* value.c: the C type of Value, for what programs do all the time.
 *
 * It is derived from the Python class in pygrad/engine.py, which says what each method does, and does whatever
 * is rare: operands of other types, errors, ops written in Python. Where a method here meets something it was
 * not made for, it calls the method of that class, having changed nothing: so the two agree.
 */
#include "python/python.h"

#include "graph/trace.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static pg_python *const P = &pg_the_python;

/* Results ------------------------------------------------------------------------------------------------ */

/* A closure is at or below an operand: the result must hold those that are Values (see pins() of _handles.py).
 */
static PyObject *pinned(pg_id id, PyObject *a, PyObject *b) {
  PyObject *out = pg_value_new(id);
  pg_rare *rare = out ? pg_value_make_rare(pg_value_of(out)) : NULL;
  if (rare) {
    const bool both = b && pg_is_value(a) && pg_is_value(b);
    rare->pins = both ? PyTuple_Pack(2, a, b) : PyTuple_Pack(1, pg_is_value(a) ? a : b);
  }
  if (out && !(rare && rare->pins)) {
    Py_CLEAR(out);
  }
  return out;
}

static PyObject *inherited(int which, PyObject *a, PyObject *b) {
  return b ? PyObject_CallFunctionObjArgs(P->inherited[which], a, b, NULL)
           : PyObject_CallFunctionObjArgs(P->inherited[which], a, NULL);
}

/* The Value for what a maker returned, of operands a and b (which may be NULL); or, where it failed, what the
 * inherited method makes of them: the exception. */
static inline PyObject *result(pg_made made, int which, PyObject *a, PyObject *b) {
  if (__builtin_expect(made > 0, 1)) {
    return pg_value_new((pg_id)made);
  }
  return made <= -PG_FIRST_ID ? pinned((pg_id)-made, a, b) : inherited(which, a, b);
}

/* Operands ----------------------------------------------------------------------------------------------- */

/* Whether x is an int or a bool, and a float can have it. */
static bool int_as_double(PyObject *x, double *number) {
  if (!PyLong_CheckExact(x) && !PyBool_Check(x)) {
    return false;
  }
  *number = PyLong_AsDouble(x);
  if (*number == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    return false;
  }
  return true;
}

/* Whether x is a plain number, of one of the types that mean the same everywhere. */
static inline bool plain_number(PyObject *x, double *number) {
  if (PyFloat_CheckExact(x)) {
    *number = PyFloat_AsDouble(x);
    return true;
  }
  return int_as_double(x, number);
}

/* Whether x is a number as operands of + and * may be: np.float64 is a float, too. */
static inline bool is_number(PyObject *x, double *number) {
  if (plain_number(x, number)) {
    return true;
  }
  if (!PyFloat_Check(x)) {
    return false;
  }
  *number = PyFloat_AsDouble(x);
  return true;
}

/* Operators ---------------------------------------------------------------------------------------------- */

typedef pg_made maker_1(pg_id a);
typedef pg_made maker_2(pg_id a, pg_id b);
typedef pg_made maker_number(pg_id a, double y);

/* a op b, where one of them is a Value. An operator that does not care which of its operands comes first has
 * makers that take the Value first. */
static inline __attribute__((always_inline)) PyObject *
binary(PyObject *a, PyObject *b, maker_2 *of_values, maker_number *with_number, int method, int reflected) {
  double y;
  if (pg_is_value(a)) {
    if (pg_is_exact_value(b)) {
      return result(of_values(pg_value_id(a), pg_value_id(b)), method, a, b);
    }
    if (is_number(b, &y)) {
      return result(with_number(pg_value_id(a), y), method, a, b);
    }
    if (pg_is_value(b)) {
      return result(of_values(pg_value_id(a), pg_value_id(b)), method, a, b);
    }
    return inherited(method, a, b);
  }
  return is_number(a, &y) ? result(with_number(pg_value_id(b), y), reflected, b, a)
                          : inherited(reflected, b, a);
}

static PyObject *add(PyObject *a, PyObject *b) {
  return binary(a, b, pg_make_ADD, pg_make_ADD_number, PG_PY_ADD, PG_PY_RADD);
}

static PyObject *multiply(PyObject *a, PyObject *b) {
  return binary(a, b, pg_make_MUL, pg_make_MUL_number, PG_PY_MUL, PG_PY_RMUL);
}

static PyObject *power(PyObject *a, PyObject *b, PyObject *modulus) {
  double y;
  if (modulus != Py_None) {
    return PyObject_CallFunctionObjArgs(P->inherited[pg_is_value(a) ? PG_PY_POW : PG_PY_RPOW], a, b, modulus,
                                        NULL);
  }
  if (!pg_is_value(a)) {
    return inherited(PG_PY_RPOW, b, a);
  }
  if (plain_number(b, &y)) {
    return result(pg_make_POWER(pg_value_id(a), y, !PyFloat_CheckExact(b)), PG_PY_POW, a, b);
  }
  if (pg_is_value(b)) {
    return result(pg_make_POW(pg_value_id(a), pg_value_id(b)), PG_PY_POW, a, b);
  }
  return inherited(PG_PY_POW, a, b);
}

/* The operators below are made of those above, in the way of the Python class. They are C only for operands of
 * the type itself, and only as long as nobody has assigned another function to what they are made of. */

/* The slots of methods that may have been assigned. */
static bool is_original(int slot, const void *function) { return PyType_GetSlot(P->type, slot) == function; }
#define FUNCTION(f) (__extension__(void *)(f))
#define IS_ORIGINAL(slot, f) is_original(slot, FUNCTION(f))

static PyObject *negative(PyObject *a) {
  if (!pg_is_exact_value(a) || !IS_ORIGINAL(Py_nb_multiply, multiply)) {
    return inherited(PG_PY_NEG, a, NULL);
  }
  return result(pg_make_MUL_number(pg_value_id(a), -1.0), PG_PY_NEG, a, NULL);
}

/* -0 is 0, where it was an int. */
static double negated(PyObject *number, double y) { return PyFloat_CheckExact(number) || y != 0 ? -y : y; }

/* A node that only the next one needs: op(step, b), where `step` is what a maker returned. A step that has no
 * plain result, or a closure below it, is for the Python method. */
static pg_made of_values(maker_2 *make, pg_id a, pg_made step) {
  if (step <= -PG_FIRST_ID) {
    pg_release((pg_id)-step);
  }
  if (step <= 0) {
    return PG_STALE;
  }
  const pg_made made = make(a, (pg_id)step);
  pg_release((pg_id)step);
  return made;
}

static pg_made with_number(maker_number *make, pg_made step, double y) {
  if (step <= -PG_FIRST_ID) {
    pg_release((pg_id)-step);
  }
  if (step <= 0) {
    return PG_STALE;
  }
  const pg_made made = make((pg_id)step, y);
  pg_release((pg_id)step);
  return made;
}

/* The same of an operator made of others: where a closure is below it, the Python method pins each step. */
static inline PyObject *derived(pg_made made, int which, PyObject *a, PyObject *b) {
  if (__builtin_expect(made > 0, 1)) {
    return pg_value_new((pg_id)made);
  }
  if (made <= -PG_FIRST_ID) {
    pg_release((pg_id)-made);
  }
  return inherited(which, a, b);
}

static PyObject *subtract(PyObject *a, PyObject *b) {
  double y;
  const bool plain = IS_ORIGINAL(Py_nb_add, add) && IS_ORIGINAL(Py_nb_multiply, multiply) &&
                     IS_ORIGINAL(Py_nb_negative, negative);
  if (plain && pg_is_exact_value(a) && pg_is_exact_value(b)) {
    const pg_made minus_b = pg_make_MUL_number(pg_value_id(b), -1.0);
    return derived(of_values(pg_make_ADD, pg_value_id(a), minus_b), PG_PY_SUB, a, b);
  }
  if (plain && pg_is_exact_value(a) && plain_number(b, &y)) {
    return derived(pg_make_ADD_number(pg_value_id(a), negated(b, y)), PG_PY_SUB, a, b);
  }
  if (plain && pg_is_exact_value(b) && plain_number(a, &y)) {
    const pg_made minus_b = pg_make_MUL_number(pg_value_id(b), -1.0);
    return derived(with_number(pg_make_ADD_number, minus_b, y), PG_PY_RSUB, b, a);
  }
  return pg_is_value(a) ? inherited(PG_PY_SUB, a, b) : inherited(PG_PY_RSUB, b, a);
}

/* Whether 1 / y is what Python makes of y**-1 without an exception. */
static bool has_inverse(double y, double *inverse) {
  *inverse = pow(y, -1.0);
  return isfinite(*inverse) || isnan(y);
}

static PyObject *divide(PyObject *a, PyObject *b) {
  double y, inverse;
  const bool plain = IS_ORIGINAL(Py_nb_multiply, multiply) && IS_ORIGINAL(Py_nb_power, power);
  if (plain && pg_is_exact_value(a) && pg_is_exact_value(b)) {
    const pg_made inverse_b = pg_make_POWER(pg_value_id(b), -1.0, true);
    return derived(of_values(pg_make_MUL, pg_value_id(a), inverse_b), PG_PY_TRUEDIV, a, b);
  }
  if (plain && pg_is_exact_value(a) && plain_number(b, &y) && has_inverse(y, &inverse)) {
    return derived(pg_make_MUL_number(pg_value_id(a), inverse), PG_PY_TRUEDIV, a, b);
  }
  if (plain && pg_is_exact_value(b) && plain_number(a, &y)) {
    const pg_made inverse_b = pg_make_POWER(pg_value_id(b), -1.0, true);
    return derived(with_number(pg_make_MUL_number, inverse_b, y), PG_PY_RTRUEDIV, b, a);
  }
  return pg_is_value(a) ? inherited(PG_PY_TRUEDIV, a, b) : inherited(PG_PY_RTRUEDIV, b, a);
}

static PyObject *get_data(PyObject *self, void *unused);

static PyObject *as_float(PyObject *a) {
  if (!pg_is_exact_value(a) || !pg_value_id(a)) {
    return inherited(PG_PY_FLOAT, a, NULL);
  }
  return get_data(a, NULL);
}

/* The methods of the op table ---------------------------------------------------------------------------- */

/* Their inherited methods are behind those of the operators. */
enum {
  METHODS_BEGIN = PG_PY_OPERATORS - 1,
#define PG_UNARY(name, ...) METHOD_##name,
#define PG_BINARY(name, ...) METHOD_##name,
#include "ops.def"
  METHODS_END
};
_Static_assert((int)METHODS_END <= (int)PG_PY_INHERITED, "there is room for all ops");

#define PG_UNARY(name, ...)                                                                                    \
  static PyObject *call_##name(PyObject *self, PyObject *unused) {                                             \
    (void)unused;                                                                                              \
    return result(pg_make_##name(pg_value_id(self)), METHOD_##name, self, NULL);                               \
  }
#define PG_BINARY(name, ...)                                                                                   \
  static PyObject *call_##name(PyObject *self, PyObject *other) {                                              \
    return binary(self, other, pg_make_##name, pg_make_##name##_number, METHOD_##name, METHOD_##name);         \
  }
#define PG_CONSTANT(...)
#include "ops.def"

static const struct {
  const char *name;
  PyCFunction function;
  int flags, inherited;
} METHODS[] = {
#define PG_UNARY(name, ...) {#name, call_##name, METH_NOARGS, METHOD_##name},
#define PG_BINARY(name, ...) {#name, call_##name, METH_O, METHOD_##name},
#define PG_CONSTANT(...)
#include "ops.def"
};

static PyObject *absolute(PyObject *self) { return call_ABS(self, NULL); }

/* Attributes --------------------------------------------------------------------------------------------- */

static PyObject *no_attribute(const char *name) {
  PyErr_SetString(PyExc_AttributeError, name);
  return NULL;
}

static PyObject *get_id(PyObject *self, void *unused) {
  (void)unused;
  return pg_value_id(self) ? PyLong_FromUnsignedLong(pg_value_id(self)) : no_attribute("_id");
}

static int set_id(PyObject *self, PyObject *id, void *unused) {
  (void)unused;
  const unsigned long number = id ? PyLong_AsUnsignedLong(id) : 0;
  if (number == (unsigned long)-1 && PyErr_Occurred()) {
    return -1;
  }
  return pg_value_set_id(pg_value_of(self), (pg_id)number);
}

/* data and grad are read and written without the arena's lock, half of the time that takes. A Value holds its
 * node, so that is there. Where another thread's backward pass, which has no GIL, is at the same node in this
 * moment, what is read is the number before or after, and what is written may come before or after;
 * ThreadSanitizer knows no such race.
 */
#define RACE __attribute__((no_sanitize("thread")))

RACE static double read_number(const double *number) {
  double y;
  __atomic_load(number, &y, __ATOMIC_RELAXED);
  return y;
}

RACE static void write_number(double *number, double y) { __atomic_store(number, &y, __ATOMIC_RELAXED); }

static PyObject *get_number(PyObject *self, size_t offset) {
  const pg_id id = pg_value_id(self);
  if (__builtin_expect(!id, 0)) {
    return no_attribute("_id");
  }
  pg_node *node = pg_node_at(id);
  if (__builtin_expect(pg_trace_flag(), 0)) {
    pg_note_read(pg_flags_of(id));
  }
  return PyFloat_FromDouble(read_number((const double *)((const char *)node + offset)));
}

static PyObject *get_data(PyObject *self, void *unused) {
  (void)unused;
  return get_number(self, offsetof(pg_node, data));
}

static PyObject *get_grad(PyObject *self, void *unused) {
  (void)unused;
  return get_number(self, offsetof(pg_node, grad));
}

static int set_number(PyObject *self, PyObject *number, size_t offset, int which) {
  const pg_id id = pg_value_id(self);
  double y;
  if (!number) {
    no_attribute("data and grad cannot be deleted");
    return -1;
  }
  if (id && is_number(number, &y)) {
    if (__builtin_expect(pg_trace_flag(), 0) && which == PG_PY_SET_DATA) {
      pg_note_read(pg_flags_of(id));
    }
    write_number((double *)((char *)pg_node_at(id) + offset), y);
    return 0;
  }
  PyObject *none = inherited(which, self, number);
  Py_XDECREF(none);
  return none ? 0 : -1;
}

static int set_data(PyObject *self, PyObject *number, void *unused) {
  (void)unused;
  return set_number(self, number, offsetof(pg_node, data), PG_PY_SET_DATA);
}

static int set_grad(PyObject *self, PyObject *number, void *unused) {
  (void)unused;
  return set_number(self, number, offsetof(pg_node, grad), PG_PY_SET_GRAD);
}

/* Sets data and grad without a look at the type's attributes, in half the time. To get attributes in a way of
 * its own would save a third of that time, too, but CPython calls methods at twice the speed of types that have
 * none. */
static int set_attribute(PyObject *self, PyObject *name, PyObject *to) {
  if (pg_is_exact_value(self)) {
    if (name == P->data) {
      return set_data(self, to, NULL);
    }
    if (name == P->grad) {
      return set_grad(self, to, NULL);
    }
  }
  return PyObject_GenericSetAttr(self, name, to);
}

/* Those of pg_rare: Python code keeps objects in them. */
typedef struct {
  const char *name;
  size_t offset;
} rare_attribute;

static PyObject **rare_entry(pg_rare *rare, const void *attribute) {
  return (PyObject **)((char *)rare + ((const rare_attribute *)attribute)->offset);
}

static PyObject *get_rare(PyObject *self, void *attribute) {
  pg_rare *rare = pg_value_rare(pg_value_of(self));
  PyObject *object = rare ? *rare_entry(rare, attribute) : NULL;
  return object ? Py_NewRef(object) : no_attribute(((const rare_attribute *)attribute)->name);
}

static int set_rare(PyObject *self, PyObject *object, void *attribute) {
  pg_rare *rare = pg_value_make_rare(pg_value_of(self));
  if (!rare) {
    return -1;
  }
  PyObject **entry = rare_entry(rare, attribute), *had = *entry;
  *entry = Py_XNewRef(object);
  Py_XDECREF(had);
  return 0;
}

static rare_attribute CLOSURE = {"_closure", offsetof(pg_rare, closure)},
                      PINS = {"_pins", offsetof(pg_rare, pins)},
                      SYMBOL = {"_symbol", offsetof(pg_rare, symbol)};

static PyGetSetDef ATTRIBUTES[] = {
    {"data", get_data, set_data, NULL, NULL},
    {"grad", get_grad, set_grad, NULL, NULL},
    {"_id", get_id, set_id, NULL, NULL},
    {"_closure", get_rare, set_rare, NULL, &CLOSURE},
    {"_pins", get_rare, set_rare, NULL, &PINS},
    {"_symbol", get_rare, set_rare, NULL, &SYMBOL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef MEMBERS[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pg_value, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* A Value as an object ----------------------------------------------------------------------------------- */

/* Value(number); whatever else Value() takes is for the Python class. */
static int init(PyObject *self, PyObject *args, PyObject *kwargs) {
  double y;
  if (PyTuple_Size(args) == 1 && !(kwargs && PyDict_Size(kwargs)) && is_number(PyTuple_GetItem(args, 0), &y)) {
    const pg_made made = pg_leaf(y);
    if (made > 0) {
      return pg_value_set_id(pg_value_of(self), (pg_id)made);
    }
  }
  PyObject *bound = PyObject_CallMethod(P->inherited[PG_PY_INIT], "__get__", "O", self);
  PyObject *none = bound ? PyObject_Call(bound, args, kwargs) : NULL;
  Py_XDECREF(bound);
  Py_XDECREF(none);
  return none ? 0 : -1;
}

/* One node, one identity: two Values of one node are equal. */
static PyObject *compare(PyObject *a, PyObject *b, int op) {
  if ((op != Py_EQ && op != Py_NE) || !pg_is_value(b)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  return PyBool_FromLong((pg_value_id(a) == pg_value_id(b)) == (op == Py_EQ));
}

static Py_hash_t hash(PyObject *self) { return (Py_hash_t)pg_value_id(self); }

/* The type ----------------------------------------------------------------------------------------------- */

static const struct {
  int inherited;
  const char *name;
} OPERATORS[] = {
    {PG_PY_ADD, "__add__"},         {PG_PY_RADD, "__radd__"},         {PG_PY_MUL, "__mul__"},
    {PG_PY_RMUL, "__rmul__"},       {PG_PY_SUB, "__sub__"},           {PG_PY_RSUB, "__rsub__"},
    {PG_PY_TRUEDIV, "__truediv__"}, {PG_PY_RTRUEDIV, "__rtruediv__"}, {PG_PY_POW, "__pow__"},
    {PG_PY_RPOW, "__rpow__"},       {PG_PY_NEG, "__neg__"},           {PG_PY_FLOAT, "__float__"},
    {PG_PY_INIT, "__init__"},
};

/* The setter of a property of the class. */
static PyObject *setter_of(PyObject *class, const char *name) {
  PyObject *property = PyObject_GetAttrString(class, name);
  PyObject *function = property ? PyObject_GetAttrString(property, "fset") : NULL;
  Py_XDECREF(property);
  return function;
}

static bool inherit(PyObject *class) {
  for (size_t i = 0; i < sizeof OPERATORS / sizeof *OPERATORS; i++) {
    PyObject *method = PyObject_GetAttrString(class, OPERATORS[i].name);
    if (!method) {
      return false;
    }
    P->inherited[OPERATORS[i].inherited] = method;
  }
  P->inherited[PG_PY_SET_DATA] = setter_of(class, "data");
  P->inherited[PG_PY_SET_GRAD] = setter_of(class, "grad");
  return P->inherited[PG_PY_SET_DATA] && P->inherited[PG_PY_SET_GRAD];
}

/* A text in memory that stays, for a type refers to it. Takes over the reference. NULL with an exception set.
 */
static char *lasting(PyObject *text) {
  const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
  char *copy = utf8 ? PyMem_Malloc(strlen(utf8) + 1) : NULL;
  if (copy) {
    strcpy(copy, utf8);
  } else if (utf8) {
    PyErr_NoMemory();
  }
  Py_XDECREF(text);
  return copy;
}

/* The docstring of an object, behind a signature. */
static char *documented(const char *name, const char *signature, PyObject *as) {
  PyObject *doc = PyObject_GetAttrString(as, "__doc__");
  char *copy = doc ? lasting(PyUnicode_FromFormat("%s%s\n--\n\n%S", name, signature, doc)) : NULL;
  Py_XDECREF(doc);
  return copy;
}

static bool add_method(PyMethodDef *method, const char *name, PyCFunction function, int flags, PyObject *as) {
  const char *doc = documented(name, flags == METH_O ? "($self, other, /)" : "($self, /)", as);
  *method = (PyMethodDef){name, function, flags, doc};
  return doc != NULL;
}

/* A method for each row of the op table for which the class has one: the others are operators. */
static bool add_methods(PyObject *class) {
  PyMethodDef *method = P->methods;
  PyObject *backward = PyObject_GetAttrString(class, "backward");
  if (!backward || !add_method(method++, "backward", pg_value_backward, METH_NOARGS, backward)) {
    Py_XDECREF(backward);
    return false;
  }
  Py_DECREF(backward);
  for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++) {
    char *name = P->method_names[i];
    for (size_t c = 0; METHODS[i].name[c] && c + 1 < sizeof P->method_names[i]; c++) {
      name[c] = (char)tolower(METHODS[i].name[c]);
    }
    PyObject *inherited = PyObject_GetAttrString(class, name);
    if (!inherited) {
      PyErr_Clear();
      continue;
    }
    P->inherited[METHODS[i].inherited] = inherited;
    if (!add_method(method++, name, METHODS[i].function, METHODS[i].flags, inherited)) {
      return false;
    }
  }
  return true;
}

static PyType_Slot SLOTS[] = {
    {Py_tp_new, FUNCTION(pg_value_tp_new)},
    {Py_tp_init, FUNCTION(init)},
    {Py_tp_dealloc, FUNCTION(pg_value_tp_dealloc)},
    {Py_tp_traverse, FUNCTION(pg_value_tp_traverse)},
    {Py_tp_clear, FUNCTION(pg_value_tp_clear)},
    {Py_tp_setattro, FUNCTION(set_attribute)},
    {Py_tp_richcompare, FUNCTION(compare)},
    {Py_tp_hash, FUNCTION(hash)},
    {Py_tp_getset, ATTRIBUTES},
    {Py_tp_members, MEMBERS},
    {Py_nb_add, FUNCTION(add)},
    {Py_nb_multiply, FUNCTION(multiply)},
    {Py_nb_power, FUNCTION(power)},
    {Py_nb_negative, FUNCTION(negative)},
    {Py_nb_subtract, FUNCTION(subtract)},
    {Py_nb_true_divide, FUNCTION(divide)},
    {Py_nb_absolute, FUNCTION(absolute)},
    {Py_nb_float, FUNCTION(as_float)},
    {Py_tp_methods, pg_the_python.methods},
    {Py_tp_doc, NULL}, /* filled in */
    {0, NULL},
};

/* The name of the class, with its module: the type has the same. */
static char *full_name(PyObject *class) {
  PyObject *module = PyObject_GetAttrString(class, "__module__");
  PyObject *name = module ? PyObject_GetAttrString(class, "__qualname__") : NULL;
  char *copy = name ? lasting(PyUnicode_FromFormat("%U.%U", module, name)) : NULL;
  Py_XDECREF(module);
  Py_XDECREF(name);
  return copy;
}

static PyObject *make_type(PyObject *class, const char *name, char *doc) {
  for (PyType_Slot *slot = SLOTS; slot->slot; slot++) {
    if (slot->slot == Py_tp_doc) {
      slot->pfunc = doc;
    }
  }
  PyType_Spec spec = {
      .name = name,
      .basicsize = sizeof(pg_value),
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
      .slots = SLOTS,
  };
  PyObject *type = PyType_FromSpecWithBases(&spec, class);
  PyObject *short_name = type ? PyObject_GetAttrString(type, "__name__") : NULL;
  if (type && (!short_name || PyObject_SetAttrString(type, "__name__", short_name))) { /* for messages */
    Py_CLEAR(type);
  }
  Py_XDECREF(short_name);
  return type;
}

PyObject *pg_value_derive(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *class;
  const char *signature;
  if (!PyArg_ParseTuple(args, "O!s", &PyType_Type, &class, &signature)) {
    return NULL;
  }
  if (P->type) {
    PyErr_SetString(PyExc_RuntimeError, "there is one C type of Value, and it was made before");
    return NULL;
  }
  char *name = full_name(class);
  char *doc = name ? documented("Value", signature, class) : NULL;
  if (!doc || !inherit(class) || !add_methods(class)) {
    return NULL;
  }
  P->data = PyUnicode_InternFromString("data");
  P->grad = PyUnicode_InternFromString("grad");
  PyObject *type = P->data && P->grad ? make_type(class, name, doc) : NULL;
  P->type = (PyTypeObject *)type;
  return Py_XNewRef(type);
}
