/* value.c: the C type of Value, for what programs do all the time.
 *
 * The type is derived from the Python class in pygrad/engine.py, which defines what each method does and
 * handles the rare cases: operands of other types, errors, ops written in Python. In such a case a method here
 * changes nothing and calls the method of that class, so the two agree.
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

/* The method of the Python class; b may be NULL. */
static PyObject *inherited(const char *name, PyObject *a, PyObject *b) {
  PyObject *method = PyObject_GetAttrString(P->class, name);
  PyObject *out = method ? PyObject_CallFunctionObjArgs(method, a, b, NULL) : NULL;
  Py_XDECREF(method);
  return out;
}

/* The Value for what a maker returned, of operands a and b (name may be NULL); or, where it failed, what the
 * inherited method makes of them: the exception. */
static inline PyObject *result(pg_made made, const char *name, PyObject *a, PyObject *b) {
  if (__builtin_expect(made > 0, 1)) {
    return pg_value_new((pg_id)made);
  }
  return made <= -PG_FIRST_ID ? pinned((pg_id)-made, a, b) : inherited(name, a, b);
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

/* Whether such a number is an int. */
static inline bool is_int(PyObject *x) { return PyLong_CheckExact(x) || PyBool_Check(x); }

/* Operators ---------------------------------------------------------------------------------------------- */

/* Whether a type has these operators of ours: a program may have assigned another function, or overridden it.
 */
static bool is_original(PyTypeObject *type, int slot, const void *function) {
  return PyType_GetSlot(type, slot) == function;
}
#define FUNCTION(f) (__extension__(void *)(f))
#define IS_ORIGINAL(slot, f) is_original(P->type, slot, FUNCTION(f))

typedef pg_made maker_1(pg_id a);
typedef pg_made maker_2(pg_id a, pg_id b);
typedef pg_made maker_number(pg_id a, double y, bool integral);

/* a op b, where one of them is a Value. An operator that does not care which of its operands comes first has
 * makers that take the Value first. */
static inline __attribute__((always_inline)) PyObject *binary(PyObject *a, PyObject *b, maker_2 *of_values,
                                                              maker_number *with_number, const char *method,
                                                              const char *reflected) {
  double y;
  if (pg_is_value(a)) {
    if (pg_is_exact_value(b)) {
      return result(of_values(pg_value_id(a), pg_value_id(b)), method, a, b);
    }
    if (is_number(b, &y)) {
      return result(with_number(pg_value_id(a), y, is_int(b)), method, a, b);
    }
    if (pg_is_value(b)) {
      return result(of_values(pg_value_id(a), pg_value_id(b)), method, a, b);
    }
    return inherited(method, a, b);
  }
  return is_number(a, &y) ? result(with_number(pg_value_id(b), y, is_int(a)), reflected, b, a)
                          : inherited(reflected, b, a);
}

/* As in micrograd, other + self is self + other, whatever that is by now. */
static PyObject *add(PyObject *a, PyObject *b) {
  if (!pg_is_value(a) && __builtin_expect(!is_original(Py_TYPE(b), Py_nb_add, FUNCTION(add)), 0)) {
    return inherited("__radd__", b, a);
  }
  return binary(a, b, pg_make_ADD, pg_make_ADD_number, "__add__", "__radd__");
}

static PyObject *multiply(PyObject *a, PyObject *b) {
  if (!pg_is_value(a) && __builtin_expect(!is_original(Py_TYPE(b), Py_nb_multiply, FUNCTION(multiply)), 0)) {
    return inherited("__rmul__", b, a);
  }
  return binary(a, b, pg_make_MUL, pg_make_MUL_number, "__mul__", "__rmul__");
}

static PyObject *power(PyObject *a, PyObject *b, PyObject *modulus) {
  double y;
  if (modulus != Py_None) {
    return pg_is_value(a) ? PyObject_CallMethod(P->class, "__pow__", "OOO", a, b, modulus)
                          : Py_NewRef(Py_NotImplemented);
  }
  if (!pg_is_value(a)) {
    return inherited("__rpow__", b, a);
  }
  if (plain_number(b, &y)) {
    return result(pg_make_POWER(pg_value_id(a), y, !PyFloat_CheckExact(b)), "__pow__", a, b);
  }
  if (pg_is_value(b)) {
    return result(pg_make_POW(pg_value_id(a), pg_value_id(b)), "__pow__", a, b);
  }
  return inherited("__pow__", a, b);
}

/* The operators below are made of those above, in the way of the Python class. They are C only for operands of
 * the type itself, and only as long as nobody has assigned another function to what they are made of. */

static PyObject *negative(PyObject *a) {
  if (!pg_is_exact_value(a) || !IS_ORIGINAL(Py_nb_multiply, multiply)) {
    return inherited("__neg__", a, NULL);
  }
  return result(pg_make_MUL_number(pg_value_id(a), -1, true), "__neg__", a, NULL);
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

static pg_made with_number(maker_number *make, pg_made step, double y, bool integral) {
  if (step <= -PG_FIRST_ID) {
    pg_release((pg_id)-step);
  }
  if (step <= 0) {
    return PG_STALE;
  }
  const pg_made made = make((pg_id)step, y, integral);
  pg_release((pg_id)step);
  return made;
}

/* The same of an operator made of others: where a closure is below it, the Python method pins each step. */
static inline PyObject *derived(pg_made made, const char *name, PyObject *a, PyObject *b) {
  if (__builtin_expect(made > 0, 1)) {
    return pg_value_new((pg_id)made);
  }
  if (made <= -PG_FIRST_ID) {
    pg_release((pg_id)-made);
  }
  return inherited(name, a, b);
}

static PyObject *subtract(PyObject *a, PyObject *b) {
  double y;
  const bool plain = IS_ORIGINAL(Py_nb_add, add) && IS_ORIGINAL(Py_nb_multiply, multiply) &&
                     IS_ORIGINAL(Py_nb_negative, negative);
  if (plain && pg_is_exact_value(a) && pg_is_exact_value(b)) {
    const pg_made minus_b = pg_make_MUL_number(pg_value_id(b), -1, true);
    return derived(of_values(pg_make_ADD, pg_value_id(a), minus_b), "__sub__", a, b);
  }
  if (plain && pg_is_exact_value(a) && plain_number(b, &y)) {
    return derived(pg_make_ADD_number(pg_value_id(a), negated(b, y), is_int(b)), "__sub__", a, b);
  }
  if (plain && pg_is_exact_value(b) && plain_number(a, &y)) {
    const pg_made minus_b = pg_make_MUL_number(pg_value_id(b), -1, true);
    return derived(with_number(pg_make_ADD_number, minus_b, y, is_int(a)), "__rsub__", b, a);
  }
  return pg_is_value(a) ? inherited("__sub__", a, b) : inherited("__rsub__", b, a);
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
    return derived(of_values(pg_make_MUL, pg_value_id(a), inverse_b), "__truediv__", a, b);
  }
  if (plain && pg_is_exact_value(a) && plain_number(b, &y) && has_inverse(y, &inverse)) {
    return derived(pg_make_MUL_number(pg_value_id(a), inverse, false), "__truediv__", a, b);
  }
  if (plain && pg_is_exact_value(b) && plain_number(a, &y)) {
    const pg_made inverse_b = pg_make_POWER(pg_value_id(b), -1.0, true);
    return derived(with_number(pg_make_MUL_number, inverse_b, y, is_int(a)), "__rtruediv__", b, a);
  }
  return pg_is_value(a) ? inherited("__truediv__", a, b) : inherited("__rtruediv__", b, a);
}

/* A subclass may have another `data`, and so may this type once someone has assigned one. */
PG_RACES static PyObject *as_float(PyObject *a) {
  const pg_id id = pg_value_id(a);
  const bool computed = id && pg_node_at(id)->flags & PG_INTERIOR;
  PyObject *data = !computed || pg_note_number_taken(a) ? PyObject_GetAttr(a, P->data) : NULL;
  PyObject *y = data ? PyNumber_Float(data) : NULL;
  Py_XDECREF(data);
  return y;
}

static __attribute__((noinline)) bool note_read_in_trace(pg_id id) {
  pg_note_read(pg_flags_of(id));
  PyObject *none = pg_tracing() && P->note_read ? PyObject_CallNoArgs(P->note_read) : Py_NewRef(Py_None);
  Py_XDECREF(none);
  return none != NULL;
}

/* See pg_note_read: its numbers are used outside the graph. False with an exception set that a signal handler
 * raised. */
static inline bool note_read(pg_id id) { return !pg_is_traced() || note_read_in_trace(id); }

PyObject *pg_python_set_note_read(PyObject *module, PyObject *function) {
  (void)module;
  return pg_python_set_hook(&P->note_read, function);
}

/* True like micrograd's; a trace notes the question. */
static int truth(PyObject *self) {
  const bool asked = pg_is_traced() && pg_flags_of(pg_value_id(self)) & PG_TRACED;
  return !asked || note_read(pg_value_id(self)) ? 1 : -1;
}

/* The methods of the op table ---------------------------------------------------------------------------- */

/* Their names, in small letters, once the type was made. */
enum {
#define PG_UNARY(name, ...) METHOD_##name,
#define PG_BINARY(name, ...) METHOD_##name,
#include "ops.def"
  METHOD_COUNT
};
_Static_assert((int)METHOD_COUNT <= (int)PG_METHODS, "there is room for all");
#define NAME(op) P->method_names[METHOD_##op]

/* Whether a method of two Values has its operand, by position or by keyword. */
static bool has_other(Py_ssize_t count, PyObject *names) {
  return names ? count == 0 && PyTuple_Size(names) == 1 &&
                     !PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "other")
               : count == 1;
}

/* What the Python class refuses. */
static PyObject *refuse_call(const char *name, PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *names) {
  PyObject *method = PyObject_GetAttrString(P->class, name);
  PyObject *out = method ? pg_call_inherited(method, self, args, count, names) : NULL;
  Py_XDECREF(method);
  return out;
}

#define PG_UNARY(name, ...)                                                                                    \
  static PyObject *call_##name(PyObject *self, PyObject *unused) {                                             \
    (void)unused;                                                                                              \
    return result(pg_make_##name(pg_value_id(self)), NAME(name), self, NULL);                                  \
  }
#define PG_BINARY(name, ...)                                                                                   \
  static PyObject *call_##name(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {     \
    return has_other(count, names)                                                                             \
               ? binary(self, args[0], pg_make_##name, pg_make_##name##_number, NAME(name), NAME(name))        \
               : refuse_call(NAME(name), self, args, count, names);                                            \
  }
#define PG_CONSTANT(...)
#include "ops.def"

static const struct {
  const char *name;
  PyCFunction function;
  int flags, index, op;
} METHODS[] = {
#define PG_UNARY(name, ...) {#name, call_##name, METH_NOARGS, METHOD_##name, PG_##name},
#define PG_BINARY(name, ...)                                                                                   \
  {#name, PG_TAKES_ARRAY(call_##name), METH_FASTCALL | METH_KEYWORDS, METHOD_##name, PG_##name},
#define PG_CONSTANT(...)
#include "ops.def"
};

static PyObject *absolute(PyObject *self) { return call_ABS(self, NULL); }

/* Attributes --------------------------------------------------------------------------------------------- */

/* Without %R: that hears signals, and CPython 3.11.2 would then replace the exception of the handler by this
 * one. */
PyObject *pg_value_no_attribute(PyObject *self, const char *name) {
  PyObject *type = PyType_GetName(Py_TYPE(self));
  if (type) {
    PyErr_Format(PyExc_AttributeError, "'%U' object has no attribute '%s'", type, name);
    Py_DECREF(type);
  }
  return NULL;
}

static PyObject *get_id(PyObject *self, void *unused) {
  (void)unused;
  return pg_value_id(self) ? PyLong_FromUnsignedLong(pg_value_id(self)) : pg_value_no_attribute(self, "_id");
}

static int set_id(PyObject *self, PyObject *id, void *unused) {
  (void)unused;
  const unsigned long number = id ? PyLong_AsUnsignedLong(id) : 0;
  if (number == (unsigned long)-1 && PyErr_Occurred()) {
    return -1;
  }
  if (number && (number > UINT32_MAX || !pg_refs((pg_id)number))) {
    PyErr_Format(PyExc_ReferenceError, "%lu is not the id of a live node", number);
    return -1;
  }
  return pg_value_set_id(pg_value_of(self), (pg_id)number);
}

/* With a GIL, data and grad are read and written without the arena's lock, half of the time that takes. A Value
 * holds its node, so that is there. Where another thread's backward pass, which has no GIL, is at the same node
 * in this moment, what is read is the number before or after, and what is written may come before or after;
 * ThreadSanitizer is told not to look. */
static PyObject *number(double y, bool integral) {
  return integral ? PyLong_FromDouble(y) : PyFloat_FromDouble(y);
}

/* The node whose number is read; NULL with an exception set. */
static inline const pg_node *node_to_read(PyObject *self) {
  const pg_id id = pg_value_id(self);
  if (__builtin_expect(!id, 0)) {
    pg_value_no_attribute(self, "_id");
    return NULL;
  }
  return note_read(id) ? pg_node_at(id) : NULL;
}

PG_RACES static PyObject *get_data(PyObject *self, void *unused) {
  (void)unused;
  const pg_node *n = node_to_read(self);
  if (!n) {
    return NULL;
  }
  pg_guard();
  const double y = n->data;
  const bool integral = pg_data_is_int(n);
  pg_unguard();
  return number(y, integral);
}

PG_RACES static PyObject *get_grad(PyObject *self, void *unused) {
  (void)unused;
  const pg_node *n = node_to_read(self);
  if (!n) {
    return NULL;
  }
  pg_guard();
  const double y = n->grad;
  const bool integral = pg_grad_is_int(n);
  pg_unguard();
  return number(y, integral);
}

/* Whatever else float() takes, and what it refuses, is for the setter of the Python class. */
static int set_otherwise(PyObject *self, const char *name, PyObject *to) {
  PyObject *property = PyObject_GetAttrString(P->class, name);
  PyObject *none =
      property ? PyObject_CallMethod(property, to ? "__set__" : "__delete__", to ? "OO" : "O", self, to) : NULL;
  Py_XDECREF(property);
  Py_XDECREF(none);
  return none ? 0 : -1;
}

static int set_data(PyObject *self, PyObject *to, void *unused) {
  (void)unused;
  const pg_id id = pg_value_id(self);
  double y;
  if (!id || !to || !is_number(to, &y)) {
    return set_otherwise(self, "data", to);
  }
  if (!note_read(id)) {
    return -1;
  }
  if (!PG_HAS_GIL || __builtin_expect((pg_node_at(id)->flags & PG_FLOAT) != pg_type_of(y, is_int(to)), 0)) {
    return pg_set_data(id, y, is_int(to)); /* under the lock, which guards the flags */
  }
  pg_node_at(id)->data = y;
  return 0;
}

static int set_grad(PyObject *self, PyObject *to, void *unused) {
  (void)unused;
  const pg_id id = pg_value_id(self);
  double y;
  if (!id || !to || !is_number(to, &y)) {
    return set_otherwise(self, "grad", to);
  }
  if (!PG_HAS_GIL || pg_node_at(id)->flags & PG_INTERIOR) {
    return pg_set_grad(id, y, is_int(to)); /* under the lock, which guards the marks of a sweep */
  }
  pg_assign_grad(pg_node_at(id), y, is_int(to));
  return 0;
}

static bool note_own(pg_own_attribute *own, PyObject *name) {
  own->descriptor = Py_XNewRef(PyDict_GetItemWithError(P->type_dict, name));
  return own->descriptor;
}

/* Whether the type has its own attribute of a name, and no other that a program has assigned. Its place in the
 * dict is where it was last, but if others have been deleted: that takes a fraction of a look by name. */
static inline bool has_own(pg_own_attribute *own, PyObject *name) {
  PyObject *key, *found;
  Py_ssize_t next = own->place;
  if (PyDict_Next(P->type_dict, &next, &key, &found) && key == name) {
    return found == own->descriptor;
  }
  for (Py_ssize_t place = next = 0; PyDict_Next(P->type_dict, &next, &key, &found); place = next) {
    if (key == name) {
      own->place = place;
      return found == own->descriptor;
    }
  }
  return false;
}

/* Sets data and grad without a look at the type's attributes by name, in less time. To get attributes in a way
 * of its own would save a third of that time, too, but CPython calls methods at twice the speed of types that
 * have none. Without a GIL, only CPython itself may look at a dict in this way. */
static int set_attribute(PyObject *self, PyObject *name, PyObject *to) {
  if (PG_HAS_GIL && pg_is_exact_value(self)) {
    if (name == P->data && has_own(&P->own_data, name)) {
      return set_data(self, to, NULL);
    }
    if (name == P->grad && has_own(&P->own_grad, name)) {
      return set_grad(self, to, NULL);
    }
  }
  return PyObject_GenericSetAttr(self, name, to) ? pg_value_set_new_attribute(self, name, to) : 0;
}

static bool add_operand(PyObject *set, pg_id id) {
  PyObject *operand = pg_value_for(id);
  const bool added = operand && !PySet_Add(set, operand);
  Py_XDECREF(operand);
  return added;
}

/* Whether the Values were added to the set of those that a live node was computed from. Making one may run
 * Python code, in this thread or another, which assigns others. */
static bool add_operands(PyObject *set, const pg_node *n) {
  const int arity = pg_op_arity(n->op);
  const pg_id a = n->a, b = n->b;
  return (arity < 1 || add_operand(set, a)) && (arity < 2 || add_operand(set, b));
}

/* Pins, and the children of an op in Python, are for the Python class. */
static PyObject *get_prev(PyObject *self, void *unused) {
  (void)unused;
  pg_rare *rare = pg_value_rare(pg_value_of(self));
  PyObject *shown = rare ? pg_rare_get(&rare->shown) : NULL;
  if (shown) {
    return shown;
  }
  if (!pg_value_id(self) || (rare && (rare->pins || rare->symbol))) {
    PyObject *property = PyObject_GetAttrString(P->class, "_prev");
    PyObject *prev = property ? PyObject_CallMethod(property, "__get__", "O", self) : NULL;
    Py_XDECREF(property);
    return prev;
  }
  PyObject *set = PySet_New(NULL);
  bool added = set && add_operands(set, pg_node_at(pg_value_id(self)));
  rare = pg_value_rare(pg_value_of(self));
  if (!added && rare && rare->shown && PyErr_ExceptionMatches(PyExc_ReferenceError)) {
    PyErr_Clear(); /* others were assigned meanwhile, and an operand has gone */
    added = true;
  }
  rare = added ? pg_value_make_rare(pg_value_of(self)) : NULL;
  shown = rare ? pg_rare_first(&rare->shown, set) : NULL; /* it may have been asked for meanwhile */
  Py_XDECREF(set);
  return shown;
}

static int set_prev(PyObject *self, PyObject *to, void *unused) {
  (void)unused;
  return set_otherwise(self, "_prev", to);
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
  PyObject *object = rare ? pg_rare_get(rare_entry(rare, attribute)) : NULL;
  return object ? object : pg_value_no_attribute(self, ((const rare_attribute *)attribute)->name);
}

static int set_rare(PyObject *self, PyObject *object, void *attribute) {
  pg_rare *rare = pg_value_make_rare(pg_value_of(self));
  if (rare) {
    pg_rare_set(rare_entry(rare, attribute), object);
  }
  return rare ? 0 : -1;
}

static rare_attribute CLOSURE = {"_closure", offsetof(pg_rare, closure)},
                      PINS = {"_pins", offsetof(pg_rare, pins)},
                      SYMBOL = {"_symbol", offsetof(pg_rare, symbol)},
                      SHOWN = {"_shown", offsetof(pg_rare, shown)},
                      ATTRIBUTES_OF = {"_attributes", offsetof(pg_rare, attributes)};

static PyGetSetDef ATTRIBUTES[] = {
    {"data", get_data, set_data, NULL, NULL},
    {"grad", get_grad, set_grad, NULL, NULL},
    {"_prev", get_prev, set_prev, NULL, NULL},
    {"_id", get_id, set_id, NULL, NULL},
    {"_closure", get_rare, set_rare, NULL, &CLOSURE},
    {"_pins", get_rare, set_rare, NULL, &PINS},
    {"_symbol", get_rare, set_rare, NULL, &SYMBOL},
    {"_shown", get_rare, set_rare, NULL, &SHOWN},
    {"_attributes", get_rare, NULL, NULL, &ATTRIBUTES_OF},
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
    const pg_made made = pg_leaf(y, is_int(PyTuple_GetItem(args, 0)));
    if (made > 0) {
      return pg_value_set_id(pg_value_of(self), (pg_id)made);
    }
  }
  PyObject *method = PyObject_GetAttrString(P->class, "__init__");
  PyObject *bound = method ? PyObject_CallMethod(method, "__get__", "O", self) : NULL;
  PyObject *none = bound ? PyObject_Call(bound, args, kwargs) : NULL;
  Py_XDECREF(method);
  Py_XDECREF(bound);
  Py_XDECREF(none);
  return none ? 0 : -1;
}

/* One node, one identity: two Values of one node are equal. The order by number is that of the Python class. */
static PyObject *compare(PyObject *a, PyObject *b, int op) {
  if (op != Py_EQ && op != Py_NE) {
    return inherited(op == Py_LT ? "__lt__" : op == Py_LE ? "__le__" : op == Py_GT ? "__gt__" : "__ge__", a, b);
  }
  if (!pg_is_value(b)) {
    Py_RETURN_NOTIMPLEMENTED;
  }
  if (!pg_value_id(a) || !pg_value_id(b)) {
    return pg_value_no_attribute(pg_value_id(a) ? b : a, "_id");
  }
  return PyBool_FromLong((pg_value_id(a) == pg_value_id(b)) == (op == Py_EQ));
}

static Py_hash_t hash(PyObject *self) {
  const pg_id id = pg_value_id(self);
  if (!id) {
    pg_value_no_attribute(self, "_id");
    return -1;
  }
  return (Py_hash_t)id;
}

/* The type ----------------------------------------------------------------------------------------------- */

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
char *pg_documented(const char *name, const char *signature, PyObject *as) {
  PyObject *doc = PyObject_GetAttrString(as, "__doc__");
  char *copy = doc ? lasting(PyUnicode_FromFormat("%s%s\n--\n\n%S", name, signature, doc)) : NULL;
  Py_XDECREF(doc);
  return copy;
}

/* Adds a method, documented as that of the Python class; false with an exception set if that has none. */
static bool add_method(const char *name, PyCFunction function, int flags) {
  PyObject *method = PyObject_GetAttrString(P->class, name);
  const char *signature = flags == METH_NOARGS ? "($self, /)" : "($self, /, other)";
  const char *doc = method ? pg_documented(name, signature, method) : NULL;
  Py_XDECREF(method);
  if (doc) {
    P->methods[P->method_count++] = (PyMethodDef){name, function, flags, doc};
  }
  return doc != NULL;
}

static void copy_in_small_letters(char *to, size_t size, const char *name) {
  for (size_t i = 0; name[i] && i + 1 < size; i++) {
    to[i] = (char)tolower(name[i]);
  }
}

/* A method for each row of the op table for which the class has one: the others are operators. */
static bool add_methods(void) {
  for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++) {
    char *name = P->method_names[METHODS[i].index];
    copy_in_small_letters(name, sizeof *P->method_names, METHODS[i].name);
    if (!add_method(name, METHODS[i].function, METHODS[i].flags)) {
      if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return false;
      }
      PyErr_Clear();
    }
  }
  return add_method("backward", pg_value_backward, METH_NOARGS);
}

static bool document_attributes(void) {
  for (PyGetSetDef *attribute = ATTRIBUTES; attribute->name; attribute++) {
    PyObject *property = PyObject_GetAttrString(P->class, attribute->name);
    PyObject *doc = property ? PyObject_GetAttrString(property, "__doc__") : NULL;
    PyErr_Clear(); /* those that begin with an underscore have none */
    Py_XDECREF(property);
    attribute->doc = doc && doc != Py_None ? lasting(Py_NewRef(doc)) : NULL;
    Py_XDECREF(doc);
  }
  return !PyErr_Occurred();
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
    {Py_nb_bool, FUNCTION(truth)},
    {Py_tp_methods, pg_the_python.methods},
    {Py_tp_doc, NULL}, /* filled in */
    {0, NULL},
};

bool pg_value_is_original(int op) {
  if (op >= PG_METHODS || !P->own_methods[op].name) {
    return IS_ORIGINAL(Py_nb_add, add) && IS_ORIGINAL(Py_nb_multiply, multiply) &&
           IS_ORIGINAL(Py_nb_power, power) && IS_ORIGINAL(Py_nb_negative, negative) &&
           IS_ORIGINAL(Py_nb_subtract, subtract) && IS_ORIGINAL(Py_nb_true_divide, divide);
  }
  bool original;
  PG_BEGIN_READING(P->type_dict);
  PyObject *found = PyDict_GetItemWithError(P->type_dict, P->own_methods[op].name);
  original = pg_value_behind_attribute(found) == P->own_methods[op].function;
  PG_END_READING();
  return original;
}

/* Notes the methods of the op table, data and grad. */
static bool note_own_attributes(void) {
  P->type_dict = PyObject_GenericGetDict((PyObject *)P->type, NULL);
  for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS && P->type_dict; i++) {
    PyObject *name = PyUnicode_InternFromString(P->method_names[METHODS[i].index]);
    PyObject *function = name ? PyDict_GetItemWithError(P->type_dict, name) : NULL;
    if (function) { /* an operator has no method of that name */
      P->own_methods[METHODS[i].op].name = Py_NewRef(name);
      P->own_methods[METHODS[i].op].function = Py_NewRef(function);
    }
    Py_XDECREF(name);
  }
  return !PyErr_Occurred() && note_own(&P->own_data, P->data) && note_own(&P->own_grad, P->grad);
}

/* The name of the class, with its module: the type has the same. */
char *pg_full_name(PyObject *class) {
  PyObject *module = PyObject_GetAttrString(class, "__module__");
  PyObject *name = module ? PyObject_GetAttrString(class, "__qualname__") : NULL;
  char *copy = name ? lasting(PyUnicode_FromFormat("%U.%U", module, name)) : NULL;
  Py_XDECREF(module);
  Py_XDECREF(name);
  return copy;
}

static bool copy_attribute(PyObject *type, const char *name, PyObject *from) {
  PyObject *attribute = PyObject_GetAttrString(from, name);
  const bool set = attribute && PyObject_SetAttrString(type, name, attribute) == 0;
  Py_XDECREF(attribute);
  return set;
}

PyObject *pg_make_type(PyObject *class, PyType_Slot *slots, const char *name, char *doc, size_t size) {
  for (PyType_Slot *slot = slots; slot->slot; slot++) {
    if (slot->slot == Py_tp_doc) {
      slot->pfunc = doc;
    }
  }
  PyType_Spec spec = {
      .name = name,
      .basicsize = (int)size,
      .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
      .slots = slots,
  };
  PyObject *type = PyType_FromSpecWithBases(&spec, class);
  /* Messages have the name without the module; inspect finds the source by the line, from CPython 3.13 on. */
  if (type && !(copy_attribute(type, "__name__", type) && (!PyObject_HasAttrString(class, "__firstlineno__") ||
                                                           copy_attribute(type, "__firstlineno__", class)))) {
    Py_CLEAR(type);
  }
  return type;
}

/* The package was imported again, or reloaded: the type stays, so that there is one for all nodes, and the new
 * class takes the place of the one before. */
static PyObject *derive_again(PyObject *class) {
  PyObject *bases = PyTuple_Pack(1, class);
  const bool set = bases && !PyObject_SetAttrString((PyObject *)P->type, "__bases__", bases);
  Py_XDECREF(bases);
  if (!set) {
    return NULL;
  }
  Py_DECREF(P->class);
  P->class = Py_NewRef(class);
  return Py_NewRef((PyObject *)P->type);
}

PyObject *pg_value_derive(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *class;
  const char *signature;
  if (!PyArg_ParseTuple(args, "O!s", &PyType_Type, &class, &signature)) {
    return NULL;
  }
  if (P->type) {
    return derive_again(class);
  }
  P->class = Py_NewRef(class);
  P->method_count = 0; /* an import that failed before may have left some */
  char *name = pg_full_name(class);
  char *doc = name ? pg_documented("Value", signature, class) : NULL;
  if (!doc || !add_methods() || !document_attributes()) {
    return NULL;
  }
  P->data = PyUnicode_InternFromString("data");
  P->grad = PyUnicode_InternFromString("grad");
  PyObject *type = P->data && P->grad ? pg_make_type(class, SLOTS, name, doc, sizeof(pg_value)) : NULL;
  P->type = (PyTypeObject *)type;
  return type && note_own_attributes() ? Py_NewRef(type) : NULL;
}
