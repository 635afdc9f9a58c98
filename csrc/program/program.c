/* program.c: lists of instructions: emitting, which simplifies; searching and printing them. */
#include "program/program.h"

#include <stdlib.h>
#include <string.h>

#include "program/ieee.h"
#include "text.h"

static const struct {
  const char *symbol;
  int arity;
} OPS[PG_INSTRUCTIONS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = {symbol, 1},
#define PG_CONSTANT(name, symbol, forward, adjoint_x) [PG_##name] = {symbol, 2},
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) [PG_##name] = {symbol, 2},
#include "program/all_ops.def"
    [PG_INPUT] = {.symbol = "input"},       [PG_PARAMETER] = {.symbol = "parameter"},
    [PG_CONSTANT] = {.symbol = "constant"}, [PG_TOTAL] = {.symbol = "total"},
    [PG_LOOKUP] = {.symbol = "lookup"},     [PG_SCATTER] = {.symbol = "scatter"},
};

/* What an op computes, as IEEE has it: no exceptions. */
static double compute(int op, double x, double y) {
  double z = NAN;
  switch (op) {
#define PG_UNARY(name, symbol, forward, adjoint_x)                                                             \
  case PG_##name:                                                                                              \
    z = forward;                                                                                               \
    break;
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_UNARY(name, symbol, forward, adjoint_x)
#include "program/all_ops.def"
  default:
    assert(!"an op of the tables");
  }
  return z;
}

/* Memory ------------------------------------------------------------------------------------------------- */

bool pg_grow(void **array, uint32_t *room, uint32_t count, uint32_t more, size_t size) {
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

void pg_program_free(pg_program *p) {
  if (p) {
    free(p->list);
    free(p->refs);
    free(p->tables);
    free(p->scatters);
    free(p->buckets);
    free(p->parameters);
    free(p->outputs);
    free(p);
  }
}

pg_program *pg_new_program(unsigned without) {
  pg_program *p = pg_resize(NULL, sizeof *p);
  if (p) {
    *p = (pg_program){.without = without, .gradient = PG_NO_REF};
  }
  return p;
}

/* Emitting ----------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const pg_instruction *i) {
  uint64_t bits;
  memcpy(&bits, &i->number, sizeof bits);
  uint64_t h = bits ^ ((uint64_t)i->op << 56) ^ (i->batched ? 1ULL << 55 : 0);
  const uint64_t parts[] = {i->a, i->b};
  for (int k = 0; k < 2; k++) {
    h = (h ^ parts[k]) * 0x9E3779B97F4A7C15ULL;
    h ^= h >> 29;
  }
  return (uint32_t)h;
}

static bool same(const pg_instruction *i, const pg_instruction *j) {
  return i->op == j->op && i->batched == j->batched && i->a == j->a && i->b == j->b &&
         memcmp(&i->number, &j->number, sizeof i->number) == 0;
}

/* The bucket of an equal instruction, or the empty one where it belongs. */
static uint32_t *bucket_of(const pg_program *p, const pg_instruction *i) {
  uint32_t at = hash_of(i);
  for (;; at++) {
    uint32_t *bucket = &p->buckets[at & (p->bucket_count - 1)];
    if (*bucket == 0 || same(&p->list[*bucket - 1], i)) {
      return bucket;
    }
  }
}

static bool grow_buckets(pg_program *p) {
  if (2 * (uint64_t)p->count < p->bucket_count) {
    return true;
  }
  uint32_t count = p->bucket_count ? 2 * p->bucket_count : 256;
  uint32_t *buckets = pg_resize(NULL, count * sizeof *buckets);
  if (!buckets) {
    return false;
  }
  memset(buckets, 0, count * sizeof *buckets);
  free(p->buckets);
  p->buckets = buckets;
  p->bucket_count = count;
  for (uint32_t i = 0; i < p->count; i++) {
    *bucket_of(p, &p->list[i]) = i + 1;
  }
  return true;
}

/* The instruction as it is, or an equal one that is there already. */
static pg_ref append(pg_program *p, pg_instruction i) {
  if (p->failed || p->count == PG_MAX_INSTRUCTIONS ||
      !pg_grow((void **)&p->list, &p->room, p->count, 1, sizeof i) || (!p->verbatim && !grow_buckets(p))) {
    p->failed = true;
    return 0;
  }
  if (!p->verbatim) {
    uint32_t *bucket = bucket_of(p, &i);
    if (*bucket && !(p->without & PG_WITHOUT_SHARING && i.op < PG_KERNELS)) {
      return *bucket - 1;
    }
    *bucket = p->count + 1;
  }
  p->list[p->count] = i;
  return p->count++;
}

pg_ref pg_emit_leaf(pg_program *p, int op, pg_ref which, double number, bool batched) {
  return append(p, (pg_instruction){number, which, PG_NO_REF, (uint8_t)op, batched});
}

pg_ref pg_emit_constant(pg_program *p, double number) {
  return pg_emit_leaf(p, PG_CONSTANT, PG_NO_REF, number, false);
}

static bool is_op(const pg_program *p, pg_ref i, int op) { return p->list[i].op == op; }

/* What x ** y is for some constants y. PG_NO_REF for others. */
static pg_ref simpler_power(pg_program *p, pg_ref x, double y) {
  if (y == 0) {
    return pg_emit_constant(p, 1);
  }
  if (y == 1) {
    return x;
  }
  if (y == 2) {
    return pg_emit(p, PG_SQUARE, x, PG_NO_REF);
  }
  if (y == 3) {
    return pg_emit(p, PG_MUL, x, pg_emit(p, PG_SQUARE, x, PG_NO_REF));
  }
  if (y == 0.5) {
    return pg_emit(p, PG_SQRT, x, PG_NO_REF);
  }
  if (y == -0.5 || y == -1) {
    return pg_emit(p, PG_RECIPROCAL, simpler_power(p, x, -y), PG_NO_REF);
  }
  return PG_NO_REF;
}

/* The same number by other means. PG_NO_REF if there are none. */
static pg_ref simpler(pg_program *p, int op, pg_ref a, pg_ref b) {
  switch (op) {
  case PG_ADD:
    if (pg_is_constant(p, a, 0)) {
      return b;
    }
    if (pg_is_constant(p, b, 0)) {
      return a;
    }
    if (is_op(p, b, PG_NEGATIVE)) {
      return pg_emit(p, PG_MINUS, a, p->list[b].a);
    }
    return is_op(p, a, PG_NEGATIVE) ? pg_emit(p, PG_MINUS, b, p->list[a].a) : PG_NO_REF;
  case PG_MUL:
    for (int i = 0; i < 2; i++, op = PG_MUL) {
      const pg_ref x = i ? b : a, y = i ? a : b;
      if (pg_is_constant(p, x, 1)) {
        return y;
      }
      if (pg_is_constant(p, x, -1)) {
        return pg_emit(p, PG_NEGATIVE, y, PG_NO_REF);
      }
      if (is_op(p, x, PG_RECIPROCAL)) {
        return pg_emit(p, PG_QUOTIENT, y, p->list[x].a);
      }
    }
    return PG_NO_REF;
  case PG_POWER:
    return is_op(p, b, PG_CONSTANT) ? simpler_power(p, a, p->list[b].number) : PG_NO_REF;
  case PG_QUOTIENT:
    return pg_is_constant(p, a, 1) ? pg_emit(p, PG_RECIPROCAL, b, PG_NO_REF) : PG_NO_REF;
  case PG_NEGATIVE:
    return is_op(p, a, PG_NEGATIVE) ? p->list[a].a : PG_NO_REF;
  default:
    return PG_NO_REF;
  }
}

pg_ref pg_emit(pg_program *p, int op, pg_ref a, pg_ref b) {
  if (p->failed) {
    return 0;
  }
  const pg_instruction x = p->list[a], y = b == PG_NO_REF ? (pg_instruction){.op = PG_CONSTANT} : p->list[b];
  const pg_instruction plain = {0, a, b, (uint8_t)op, x.batched || y.batched};
  if (p->verbatim) {
    return append(p, plain);
  }
  if (!(p->without & PG_WITHOUT_FOLDING) && x.op == PG_CONSTANT && y.op == PG_CONSTANT) {
    return pg_emit_constant(p, compute(op, x.number, y.number));
  }
  if (!(p->without & PG_WITHOUT_REDUCTION)) {
    pg_ref other = simpler(p, op, a, b);
    if (other != PG_NO_REF) {
      return other;
    }
  }
  /* x * y is y * x; constants first, so that like products look alike */
  const bool constant_a = x.op == PG_CONSTANT, constant_b = y.op == PG_CONSTANT;
  if (op == PG_MUL && (constant_a == constant_b ? b < a : constant_b)) {
    return append(p, (pg_instruction){0, b, a, PG_MUL, plain.batched});
  }
  return append(p, plain);
}

pg_ref pg_emit_total(pg_program *p, pg_ref a) {
  return append(p, (pg_instruction){0, a, PG_NO_REF, PG_TOTAL, false});
}

void pg_add_ref(pg_program *p, pg_span *span, pg_ref ref) {
  if (!pg_grow((void **)&p->refs, &p->ref_room, p->ref_count, 1, sizeof *p->refs)) {
    p->failed = true;
  } else {
    p->refs[p->ref_count++] = ref;
    span->count++;
  }
}

static uint32_t add_span(pg_program *p, pg_span **spans, uint32_t *count, uint32_t *room, pg_span span) {
  if (!pg_grow((void **)spans, room, *count, 1, sizeof span)) {
    p->failed = true;
    return 0;
  }
  (*spans)[*count] = span;
  return (*count)++;
}

uint32_t pg_add_table(pg_program *p, pg_span span) {
  return add_span(p, &p->tables, &p->table_count, &p->table_room, span);
}

uint32_t pg_add_scatter(pg_program *p, pg_span span) {
  return add_span(p, &p->scatters, &p->scatter_count, &p->scatter_room, span);
}

pg_ref pg_emit_lookup(pg_program *p, pg_ref index, uint32_t table) {
  if (p->failed) {
    return 0;
  }
  const pg_span elements = p->tables[table];
  bool batched = p->list[index].batched;
  for (uint32_t k = 0; k < elements.count && !batched; k++) {
    batched = p->list[p->refs[elements.first + k]].batched;
  }
  return append(p, (pg_instruction){0, index, table, PG_LOOKUP, batched});
}

pg_ref pg_emit_scatter(pg_program *p, uint32_t scatter, uint32_t element) {
  if (p->failed) {
    return 0;
  }
  const pg_span pairs = p->scatters[scatter];
  bool batched = false;
  for (uint32_t k = 0; k < pairs.count && !batched; k++) {
    batched = p->list[p->refs[pairs.first + k]].batched;
  }
  return append(p, (pg_instruction){0, scatter, element, PG_SCATTER, batched});
}

/* Searching ------------------------------------------------------------------------------------------------ */

/* The value of instruction i of a list without totals, given those before it. */
static double value_of(const pg_program *p, const double *inputs, const double *values, pg_ref i) {
  const pg_instruction x = p->list[i];
  switch (x.op) {
  case PG_INPUT:
    return inputs[x.a];
  case PG_CONSTANT:
    return x.number;
  case PG_LOOKUP: {
    const pg_span table = p->tables[x.b];
    const bool within = values[x.a] >= 0 && values[x.a] < table.count;
    return within ? values[p->refs[table.first + (uint32_t)values[x.a]]] : NAN;
  }
  case PG_SCATTER: {
    double sum = 0;
    const pg_span pairs = p->scatters[x.a];
    for (uint32_t k = 0; k < pairs.count; k += 2) {
      sum += values[p->refs[pairs.first + k]] == x.b ? values[p->refs[pairs.first + k + 1]] : 0;
    }
    return sum;
  }
  default:
    return compute(x.op, values[x.a], x.b == PG_NO_REF ? 0 : values[x.b]);
  }
}

/* What an instruction made inf or nan of: see pg_find_not_finite. How many numbers; 0 if it did not. */
static int culprit(const pg_instruction *x, const double *values, double value, double numbers[3]) {
  int count = 0;
  bool finite = true, nan = false;
  const pg_ref operands[2] = {x->a, x->b};
  for (int k = 0; k < (x->op < PG_KERNELS ? 2 : 0) && operands[k] != PG_NO_REF; k++) {
    numbers[count++] = values[operands[k]];
    finite = finite && isfinite(values[operands[k]]);
    nan = nan || isnan(values[operands[k]]);
  }
  numbers[count++] = value;
  const bool made = x->op == PG_LOOKUP || x->op == PG_SCATTER || x->op == PG_CONSTANT ? false
                    : isnan(value)                                                    ? !nan
                                                                                      : finite;
  return made && !isfinite(value) ? count : 0;
}

int pg_find_not_finite(const pg_program *p, const double *inputs, bool gradient, const char **symbol,
                       double numbers[3]) {
  bool *batched = pg_resize(NULL, p->inputs + 1);
  pg_program plain = *p;
  plain.without = ~0U; /* each op as it was written */
  pg_program *q = batched ? (memset(batched, 0, p->inputs), pg_specialize(&plain, batched, gradient)) : NULL;
  double *values = q ? pg_resize(NULL, (q->count + 1) * sizeof *values) : NULL;
  int found = values ? 0 : PG_NO_MEMORY;
  for (pg_ref i = 0; values && i < q->count && found == 0; i++) {
    values[i] =
        q->list[i].op == PG_PARAMETER ? pg_data(p->parameters[q->list[i].a]) : value_of(q, inputs, values, i);
    found = culprit(&q->list[i], values, values[i], numbers);
    *symbol = OPS[q->list[i].op].symbol;
  }
  free(values);
  free(batched);
  pg_program_free(q);
  return found;
}

/* Listing ------------------------------------------------------------------------------------------------ */

const char *pg_symbol(int op) { return op < PG_INSTRUCTIONS ? OPS[op].symbol : ""; }

bool pg_is_binary(int op) { return op >= PG_INSTRUCTIONS || OPS[op].arity == 2; }

static void print_instruction(pg_text *out, const pg_program *p, pg_ref i) {
  const pg_instruction *x = &p->list[i];
  pg_print(out, "%%%u = ", i);
  if (x->op == PG_CONSTANT) {
    pg_print(out, "%.17g\n", x->number);
  } else if (x->op == PG_INPUT || x->op == PG_PARAMETER) {
    pg_print(out, "%s %u\n", OPS[x->op].symbol, x->a);
  } else if (x->op == PG_LOOKUP) {
    pg_print(out, "lookup %%%u {", x->a);
    for (uint32_t k = 0; k < p->tables[x->b].count; k++) {
      pg_print(out, " %%%u", p->refs[p->tables[x->b].first + k]);
    }
    pg_print(out, " }\n");
  } else if (x->b == PG_NO_REF) {
    pg_print(out, "%s %%%u\n", OPS[x->op].symbol, x->a);
  } else {
    pg_print(out, "%%%u %s %%%u\n", x->a, OPS[x->op].symbol, x->b);
  }
}

char *pg_program_text(const pg_program *p) {
  pg_text text = {0}, *const out = &text;
  pg_print(out, "%u inputs, %u parameters, %u instructions\n", p->inputs, p->parameter_count, p->count);
  for (pg_ref i = 0; i < p->count; i++) {
    print_instruction(out, p, i);
  }
  pg_print(out, "return");
  for (uint32_t i = 0; i < p->output_count; i++) {
    pg_print(out, " %%%u", p->outputs[i]);
  }
  pg_print(out, "\n");
  return pg_text_of(out);
}
