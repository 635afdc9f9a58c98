/* ops.c: the op table as data: names, symbols and arities. */
#include "graph/arena.h"

static const struct {
  const char *name, *symbol;
  int arity;
} OPS[PG_OP_COUNT] = {
    [PG_LEAF] = {"LEAF", "", 0},
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = {#name, symbol, 1},
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) [PG_##name] = {#name, symbol, 2},
#include "ops.def"
    [PG_CUSTOM] = {"CUSTOM", "", 0},
    [PG_LIST] = {"LIST", "", 0},
    [PG_PRIMAL] = {"PRIMAL", "primal", 0},
    [PG_COTANGENT] = {"COTANGENT", "cotangent", 0},
    [PG_PULLBACK] = {"PULLBACK", "pullback", 0},
};

static bool is_op(int op) { return op >= 0 && op < PG_OP_COUNT; }

int pg_op_count(void) { return PG_OP_COUNT; }
const char *pg_op_name(int op) { return is_op(op) ? OPS[op].name : NULL; }
const char *pg_op_symbol(int op) { return is_op(op) ? OPS[op].symbol : NULL; }
int pg_op_arity(int op) { return is_op(op) ? OPS[op].arity : 0; }
