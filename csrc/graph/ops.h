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
  default:
    assert(false); /* not an op of the table */
  }
  return z;
}

#endif
