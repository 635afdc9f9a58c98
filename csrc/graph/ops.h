/* ops.h: what the ops compute, from the op table. Private to the core. */
#ifndef PYGRAD_OPS_H
#define PYGRAD_OPS_H

#include "graph/arena.h"
#include "pymath.h"

/* The result of an op on x and y (a unary op does not read y). Where `op` is a constant, so is the switch. */
static inline double pg_forward(int op, double x, double y, int *status) {
  double z = NAN;
  switch (op) {
#define PG_UNARY(name, symbol, result, adjoint_x)                                                              \
  case PG_##name:                                                                                              \
    z = (result);                                                                                              \
    break;
#define PG_BINARY(name, symbol, result, adjoint_x, adjoint_y) PG_UNARY(name, symbol, result, adjoint_x)
#include "ops.def"
  case PG_PRIMAL:
    z = x;
    break;
  case PG_COTANGENT:
  case PG_PULLBACK:
    z = op == PG_COTANGENT ? 1 : -0.0;
    break;
  default:
    assert(false); /* not an op that computes */
  }
  return z;
}

/* The type of the result of an op on ints: an int, unless it is too large. An int has no -0. */
PG_INLINE int pg_type_of_int(double *z) {
  *z += 0.0;
  return pg_type_of(*z, true);
}

/* The type of the result of any op but + and *. */
PG_INLINE int pg_type_of_rare(int op, const pg_node *a, const pg_node *b) {
  switch (op) {
  case PG_POWER:
  case PG_POW:
    return b->data < 0 ? PG_FLOAT : (a->flags | b->flags) & PG_FLOAT;
  case PG_RELU:
    return a->data < 0 ? 0 : a->flags & PG_FLOAT;
  case PG_ABS:
  case PG_DETACH:
    return a->flags & PG_FLOAT;
  case PG_MAXIMUM:
    return (a->data >= b->data || isnan(a->data) ? a : b)->flags & PG_FLOAT;
  case PG_MINIMUM:
    return (a->data <= b->data || isnan(a->data) ? a : b)->flags & PG_FLOAT;
  default: /* a float, as of Python's math */
    return PG_FLOAT;
  }
}

/* The type of an op's result, as Python's: PG_FLOAT, or 0 for an int. `b`: node 0 for a unary op. */
PG_INLINE int pg_type_of_result(int op, const pg_node *a, const pg_node *b, double *z) {
  const int type = op == PG_ADD || op == PG_MUL ? (a->flags | b->flags) & PG_FLOAT : pg_type_of_rare(op, a, b);
  return __builtin_expect(type, PG_FLOAT) ? type : pg_type_of_int(z);
}

#endif
