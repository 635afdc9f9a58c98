/* adjoint.c: the adjoints of ops, as instructions, and sums of contributions.
 *
 * The op tables have each adjoint as a C expression, which eager mode compiles. Here the text of that
 * expression is parsed, and instructions are emitted for it: so a row of the table is all that an op needs.
 *
 *   sum      product { (+ | -) product }
 *   product  factor { * factor }
 *   factor   - factor | ( sum ) | number | x | y | z | g | function ( sum {, sum} [, status] )
 *
 * A function is the op whose forward column is a call of it.
 *
 * For the number of paths the same text is read differently: g is that number, every other factor is 1, and
 * only gates do what they say.
 */
#include <string.h>

#include "program/derive.h"

/* The columns of the op tables, as text. */
static const struct {
  const char *forward, *adjoint[2];
} OPS[PG_INSTRUCTIONS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = {#forward, {#adjoint_x, NULL}},
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y)                                                 \
  [PG_##name] = {#forward, {#adjoint_x, #adjoint_y}},
#include "program/all_ops.def"
};

/* Parsing ------------------------------------------------------------------------------------------------ */

/* What is left of the text, and what its names stand for. */
typedef struct {
  const char *at;
  pg_program *p;
  pg_ref x, y, z, g;
  bool counts; /* the paths */
} parser;

static pg_ref parse_sum(parser *r);

/* Skips spaces, and the character if it comes next. */
static bool skip(parser *r, char c) {
  while (*r->at == ' ') {
    r->at++;
  }
  if (*r->at != c) {
    return false;
  }
  r->at++;
  return true;
}

static bool is_called(int op, const char *name, size_t length) {
  const char *forward = OPS[op].forward;
  return forward && strncmp(forward, name, length) == 0 && strncmp(forward + length, "(x", 2) == 0;
}

/* Each function that an adjoint calls is the forward column of some op. */
static int op_called(const char *name, size_t length) {
  int op = 0;
  while (!is_called(op, name, length)) {
    op++;
    assert(op < PG_KERNELS);
  }
  return op;
}

static pg_ref one(pg_program *p) { return pg_emit_constant(p, 1); }

/* The op of two operands, of which either may have the paths. */
static pg_ref emit_op(parser *r, int op, pg_ref a, pg_ref b) {
  if (!r->counts || op == PG_GATE) {
    return pg_emit(r->p, op, a, b);
  }
  return b == PG_NO_REF ? a : pg_emit(r->p, PG_MUL, a, b);
}

static pg_ref parse_operand(parser *r, bool counts) {
  const bool outer = r->counts;
  r->counts = counts;
  const pg_ref operand = parse_sum(r);
  r->counts = outer;
  return operand;
}

static pg_ref parse_name(parser *r) {
  const char *name = r->at;
  while ((*r->at >= 'a' && *r->at <= 'z') || *r->at == '_') {
    r->at++;
  }
  const size_t length = (size_t)(r->at - name);
  if (length == 1) {
    return *name == 'g' ? r->g : r->counts ? one(r->p) : *name == 'x' ? r->x : *name == 'y' ? r->y : r->z;
  }
  int op = op_called(name, length);
  pg_ref operands[2] = {PG_NO_REF, PG_NO_REF};
  skip(r, '(');
  for (int i = 0; !skip(r, ')'); skip(r, ',')) {
    skip(r, ' ');
    if (strncmp(r->at, "status", 6) == 0) {
      r->at += 6;
    } else {
      operands[i] = parse_operand(r, r->counts && !(op == PG_GATE && i == 0));
      i++;
    }
  }
  if (op == PG_POWER && r->p->instructions[operands[1]].op != PG_CONSTANT) {
    op = PG_POW;
  }
  return emit_op(r, op, operands[0], operands[1]);
}

/* strtod() would follow the locale, where the decimal point may be a comma. */
static pg_ref parse_number(parser *r) {
  double number = 0, digit = 1;
  for (; *r->at >= '0' && *r->at <= '9'; r->at++) {
    number = 10 * number + (*r->at - '0');
  }
  if (*r->at == '.') {
    for (r->at++; *r->at >= '0' && *r->at <= '9'; r->at++) {
      number += (*r->at - '0') * (digit /= 10);
    }
  }
  return r->counts && number != 0 ? one(r->p) : pg_emit_constant(r->p, number);
}

static pg_ref parse_factor(parser *r) {
  if (skip(r, '-')) {
    return emit_op(r, PG_NEGATIVE, parse_factor(r), PG_NO_REF);
  }
  if (skip(r, '(')) {
    pg_ref inner = parse_sum(r);
    skip(r, ')');
    return inner;
  }
  if (*r->at >= '0' && *r->at <= '9') {
    return parse_number(r);
  }
  return parse_name(r);
}

static pg_ref parse_product(parser *r) {
  pg_ref product = parse_factor(r);
  while (skip(r, '*')) {
    product = emit_op(r, PG_MUL, product, parse_factor(r));
  }
  return product;
}

static pg_ref parse_sum(parser *r) {
  pg_ref sum = parse_product(r);
  for (;;) {
    if (skip(r, '+')) {
      sum = emit_op(r, PG_ADD, sum, parse_product(r));
    } else if (skip(r, '-')) {
      sum = emit_op(r, PG_MINUS, sum, parse_product(r));
    } else {
      return sum;
    }
  }
}

static pg_ref parse(pg_program *p, pg_ref z, int operand, pg_ref g, bool counts) {
  assert(p->failed || (z < p->count && g < p->count && operand < pg_adjoint_count(&p->instructions[z])));
  const pg_instruction i = p->instructions[z];
  parser r = {OPS[i.op].adjoint[operand], p, i.a, i.b, z, g, counts};
  return parse_sum(&r);
}

pg_ref pg_emit_adjoint(pg_program *p, pg_ref z, int operand, pg_ref g) {
  return parse(p, z, operand, g, false);
}

/* Paths -------------------------------------------------------------------------------------------------- */

pg_ref pg_emit_paths(pg_program *p, pg_ref z, int operand, pg_ref g) { return parse(p, z, operand, g, true); }

pg_ref pg_emit_seed(pg_program *p, pg_ref seed) {
  return pg_emit(p, PG_MINUS, one(p), pg_emit(p, PG_EQUAL, seed, pg_emit_constant(p, 0)));
}

pg_ref pg_emit_masked(pg_program *p, pg_ref paths, pg_ref x) {
  return pg_emit(p, PG_GATE, paths == PG_NO_REF ? pg_emit_constant(p, 0) : paths, x);
}

int pg_adjoint_count(const pg_instruction *i) {
  return !OPS[i->op].adjoint[0] ? 0 : OPS[i->op].adjoint[1] ? 2 : 1;
}

/* Rows --------------------------------------------------------------------------------------------------- */

static pg_ref is_tie(pg_program *p, pg_ref z, pg_ref element) {
  return pg_emit(p, PG_EQUAL, element, p->instructions[z].a);
}

pg_ref pg_emit_ties(pg_program *p, pg_ref z) {
  const pg_span row = p->tables[p->instructions[z].b];
  pg_ref count = is_tie(p, z, p->refs[row.first]);
  for (uint32_t k = 1; k < row.count && !p->failed; k++) {
    count = pg_emit(p, PG_ADD, count, is_tie(p, z, p->refs[row.first + k]));
  }
  return pg_emit(p, PG_MAXIMUM, count, pg_emit_constant(p, 1));
}

pg_ref pg_emit_for_tie(pg_program *p, pg_ref z, pg_ref element, pg_ref x) {
  return pg_emit(p, PG_GATE, is_tie(p, z, element), x);
}

/* Sums --------------------------------------------------------------------------------------------------- */

void pg_contribute(pg_program *p, pg_sum *sum, pg_ref contribution) {
  if (pg_is_constant(p, contribution, 0)) {
    return;
  }
  pg_ref *to = p->instructions[contribution].batched ? &sum->batched : &sum->shared;
  *to = *to == PG_NO_REF ? contribution : pg_emit(p, PG_ADD, *to, contribution);
}

pg_ref pg_finish_sum(pg_program *p, const pg_sum *sum, bool batched) {
  pg_ref total = sum->batched;
  if (total != PG_NO_REF && !batched) {
    total = pg_emit_total(p, total);
  }
  if (total == PG_NO_REF || sum->shared == PG_NO_REF) {
    return total == PG_NO_REF ? sum->shared : total;
  }
  return pg_emit(p, PG_ADD, total, sum->shared);
}
