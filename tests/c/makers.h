/* makers.h: the functions that make a node, from the op table. */
#ifndef PYGRAD_MAKERS_H
#define PYGRAD_MAKERS_H

#include "pygrad.h"

typedef struct {
  const char *name;
  pg_made (*unary)(pg_id a);
  pg_made (*binary)(pg_id a, pg_id b);
  pg_made (*number)(pg_id a, double y, bool integral);
  pg_made (*constant)(pg_id a, double y, bool integral);
} maker;

static const maker MAKERS[] = {
#define PG_UNARY(op, ...) {.name = #op, .unary = pg_make_##op},
#define PG_BINARY(op, ...) {.name = #op, .binary = pg_make_##op, .number = pg_make_##op##_number},
#define PG_CONSTANT(op, ...) {.name = #op, .constant = pg_make_##op},
#include "ops.def"
};

/* Makes a node by one row of the table. Its second operand, if any, is b, or the number y if the op takes a
 * constant. */
static inline pg_made make_with(const maker *m, pg_id a, pg_id b, double y) {
  return m->unary ? m->unary(a) : m->binary ? m->binary(a, b) : m->constant(a, y, false);
}

#endif
