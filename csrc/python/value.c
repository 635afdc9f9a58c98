/* value.c: the C type of Value, for what programs do all the time.
 *
 * It is derived from the Python class in pygrad/engine.py, which says what each method does, and does whatever is rare:
 * operands of other types, errors, ops written in Python. Where a method here meets something it was not made for, it
 * calls the method of that class, having changed nothing: so the two agree.
 */
#include "python/python.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static pg_python *const P = &pg_the_python;

/* Results ------------------------------------------------------------------------------------------------ */

/* A closure is at or below an operand: the result must hold those that are Values (see pins() of _handles.py). */
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

/* a op b, where one of them is a Value. An operator that does not care which of its operands comes first has makers
 * that take the Value first. */
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
  return is_number(a, &y) ? result(with_number(pg_value_id(b), y), reflected, b, a) : inherited(reflected, b, a);
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
    return PyObject_CallFunctionObjArgs(P->inherited[pg_is_value(a) ? PG_PY_POW : PG_PY_RPOW], a, b, modulus, NULL);
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

/* The operators below are made of those above, in the way of the Python class. They are C only for operands of the type
 * itself, and only as long as nobody has assigned another function to what they are made of. */

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

/* A node that only the next one needs: op(step, b), where `step` is what a maker returned. A step that has no plain
 * result, or a closure below it, is for the Python method. */
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

static PyObject *absolute(PyObject *a) { return result(pg_make_ABS(pg_value_id(a)), PG_PY_OPERATORS + PG_PY_ABS, a, NULL); }

static PyObject *as_float(PyObject *a) {
  if (!pg_is_exact_value(a) || !pg_value_id(a)) {
    return inherited(PG_PY_FLOAT, a, NULL);
  }
  return PyFloat_FromDouble(pg_data(pg_value_id(a)));
}

/* Methods: those of the op table ------------------------------------------------------------------------- */

/* Where their inherited methods are. */
enum {
#define PG_UNARY(name, ...) PG_PY_##name,
#define PG_BINARY(name, ...) PG_PY_##name,
#include "ops.def"
  PG_PY_OP_COUNT
};
