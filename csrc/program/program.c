/* program.c: what all files of program/ use: the memory of programs, and what the op tables say of an op. */
#include "program/program.h"

#include <stdlib.h>
#include <string.h>

#include "program/ieee.h"

static const struct {
  const char *symbol;
  int arity;
} OPS[PG_INSTRUCTIONS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = {symbol, 1},
#define PG_CONSTANT(name, symbol, forward, adjoint_x) [PG_##name] = {symbol, 2},
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) [PG_##name] = {symbol, 2},
#include "program/all_ops.def"
    [PG_INPUT] = {.symbol = "input"},
    [PG_PARAMETER] = {.symbol = "parameter"},
    [PG_CONSTANT] = {.symbol = "constant"},
    [PG_TOTAL] = {.symbol = "total"},
    [PG_LOOKUP] = {.symbol = "lookup"},
    [PG_SCATTER] = {.symbol = "scatter"},
    [PG_ROW] = {.symbol = "row"},
    [PG_PRIMAL] = {.symbol = "primal"},
    [PG_COTANGENT] = {.symbol = "cotangent"},
    [PG_PULLBACK] = {.symbol = "pullback"},
    [PG_SCATTER_ADD] = {.symbol = "scatter"},
    [PG_SCATTER_TOTAL] = {.symbol = "scatter"},
};

const char *pg_symbol(int op) { return op < PG_INSTRUCTIONS ? OPS[op].symbol : ""; }

bool pg_is_binary(int op) { return op >= PG_INSTRUCTIONS || OPS[op].arity == 2; }

double pg_compute(int op, double x, double y) {
  double z = NAN;
  switch (op) {
#define PG_UNARY(name, symbol, forward, adjoint_x)                                                             \
  case PG_##name:                                                                                              \
    z = forward;                                                                                               \
    break;
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_UNARY(name, symbol, forward, adjoint_x)
#include "program/all_ops.def"
  default:
    assert(false); /* not an op of the tables */
  }
  return z;
}

bool pg_grow(void **array, uint32_t *room, uint32_t count, uint32_t more, size_t size) {
  assert(count <= *room);
  if (count + more <= *room) {
    return true;
  }
  uint64_t wanted = *room ? *room : 64;
  while (wanted < (uint64_t)count + more) {
    wanted *= 2;
  }
  void *grown = wanted < PG_NO_REF ? pg_resize(*array, wanted * size) : NULL;
  if (!grown) {
    return false;
  }
  *array = grown;
  *room = (uint32_t)wanted;
  return true;
}

/* One more than is asked for: 0 bytes might give NULL, which stands for no memory. */
void *pg_room(size_t count, size_t size) { return pg_resize(NULL, (count + 1) * size); }

void *pg_zeros(size_t count, size_t size) {
  void *at = pg_room(count, size);
  return at ? memset(at, 0, (count + 1) * size) : NULL;
}

pg_ref *pg_no_refs(size_t count) {
  pg_ref *refs = pg_room(count, sizeof *refs);
  return refs ? memset(refs, 0xFF, (count + 1) * sizeof *refs) : NULL; /* PG_NO_REF has all bits set */
}

pg_program *pg_new_program(unsigned disabled) {
  pg_program *p = pg_resize(NULL, sizeof *p);
  if (p) {
    *p = (pg_program){.disabled = disabled, .gradient = PG_NO_REF};
  }
  return p;
}

pg_program *pg_hold_program(const pg_program *p) {
  pg_program *held = (pg_program *)p; /* of which only the count changes */
  atomic_fetch_add(&held->holders, 1);
  return held;
}

void pg_program_free(pg_program *p) {
  if (p && atomic_fetch_sub(&p->holders, 1) == 0) {
    free(p->instructions);
    free(p->refs);
    free(p->tables);
    free(p->scatters);
    free(p->targets);
    free(p->buckets);
    free(p->parameters);
    free(p->outputs);
    free(p);
  }
}

void pg_test_disable(unsigned optimizations) { pg_tests.disabled = optimizations; }
