/* pymath.h: Python's float arithmetic in C: the same libm calls, and a status where Python raises.
 *
 * These are the functions that rows of ops.def call. A function with a `status` sets it where Python raises an
 * exception, and leaves it alone otherwise. They follow Objects/floatobject.c (float_pow) and
 * Modules/mathmodule.c (math_1) of CPython, whose special cases are those of C99 Annex F. program/ieee.h
 * replaces them where no exceptions are wanted.
 */
#ifndef PYGRAD_PYMATH_H
#define PYGRAD_PYMATH_H

#include <math.h>

#include "pygrad.h"

/* math.exp, math.sin, ...: a nan out of a number is a domain error, an infinity out of a finite one an
 * overflow. */
static inline double pg_checked(double x, double result, int *status) {
  if (isnan(result) && !isnan(x)) {
    *status = PG_DOMAIN;
  } else if (isinf(result) && isfinite(x)) {
    *status = PG_OVERFLOW;
  }
  return result;
}

static inline double pg_exp(double x, int *status) { return pg_checked(x, exp(x), status); }
static inline double pg_sin(double x, int *status) { return pg_checked(x, sin(x), status); }
static inline double pg_cos(double x, int *status) { return pg_checked(x, cos(x), status); }
static inline double pg_sqrt(double x, int *status) { return pg_checked(x, sqrt(x), status); }

static inline double pg_log(double x, int *status) {
  if (x <= 0) {
    *status = PG_DOMAIN;
    return NAN;
  }
  return log(x);
}

/* x / y */
static inline double pg_div(double x, double y, int *status) {
  if (y == 0) {
    *status = PG_ZERO_DIVISION;
    return NAN;
  }
  return x / y;
}

/* x ** y. For inf and nan Python follows Annex F, too (which does not cover signalling nans, hence the first
 * test). For finite numbers Python raises in three cases. */
static inline double pg_pow(double x, double y, int *status) {
  if (y == 0 || x == 1) {
    return 1;
  }
  const double z = pow(x, y);
  if (isfinite(x) && isfinite(y)) {
    if (x == 0 && y < 0) {
      *status = PG_ZERO_DIVISION;
    } else if (x < 0 && y != floor(y)) {
      *status = isinf(pow(-x, y)) ? PG_OVERFLOW : PG_COMPLEX; /* Python computes the complex number first */
    } else if (isinf(z)) {
      *status = PG_OVERFLOW;
    }
  }
  return z;
}

/* d(x ** y)/dy, where z = x ** y. For a base of 0 it is the limit, 0; a negative base is a domain error. */
static inline double pg_pow_slope(double x, double z, int *status) {
  return x == 0 ? 0 : z * pg_log(x, status);
}

/* y where x is positive, else 0. A macro, so that a y that Python cannot compute raises only where it matters.
 */
#define pg_gate(x, y) ((x) > 0 ? (y) : 0)

static inline double pg_abs(double x) { return fabs(x); }
static inline double pg_tanh(double x) { return tanh(x); }

#define PG_FUNCTION(name, arguments, ...)                                                                      \
  static inline double name arguments { __VA_ARGS__ }
#include "functions.def"

#endif
