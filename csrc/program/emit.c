/* emit.c: appends instructions to a program, and simplifies on the way.
 *
 * Unless a program is verbatim, three optimizations apply when an instruction is emitted, each of which
 * pg_test_disable() can switch off:
 *
 *   folding     an op of constants becomes a constant
 *   reduction   an op becomes a cheaper one: x * -1 a negation, x ** 2 a square, x * (1 / y) a division
 *   sharing     an instruction that is there already is not appended again
 *
 * Finite results stay the same; the signs of zeros, infinities and nans may not.
 */
#include <stdlib.h>
#include <string.h>

#include "program/program.h"

/* Sharing ------------------------------------------------------------------------------------------------ */

static uint32_t hash_of(const pg_instruction *i) {
  uint64_t bits;
  memcpy(&bits, &i->number, sizeof bits);
  uint64_t h = bits ^ ((uint64_t)i->op << 56) ^ (i->batched ? 1ULL << 55 : 0);
  const uint64_t operands[] = {i->a, i->b};
  for (int k = 0; k < 2; k++) {
    h = (h ^ operands[k]) * 0x9E3779B97F4A7C15ULL;
    h ^= h >> 29;
  }
  return (uint32_t)h;
}

static bool equal(const pg_instruction *i, const pg_instruction *j) {
  return i->op == j->op && i->batched == j->batched && i->a == j->a && i->b == j->b &&
         memcmp(&i->number, &j->number, sizeof i->number) == 0;
}

/* The bucket of an equal instruction, or the empty one where it belongs. */
static uint32_t *bucket_of(const pg_program *p, const pg_instruction *i) {
  uint32_t at = hash_of(i);
  for (;; at++) {
    uint32_t *bucket = &p->buckets[at & (p->bucket_count - 1)];
    if (*bucket == 0 || equal(&p->instructions[*bucket - 1], i)) {
      return bucket;
    }
  }
}

/* Keeps at least half of the buckets empty. */
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
    *bucket_of(p, &p->instructions[i]) = i + 1;
  }
  return true;
}

/* Appends the instruction as it is, or returns an equal one. */
static pg_ref append(pg_program *p, pg_instruction i) {
  if (p->failed || p->count == PG_MAX_INSTRUCTIONS ||
      !pg_grow((void **)&p->instructions, &p->room, p->count, 1, sizeof i) ||
      (!p->verbatim && !grow_buckets(p))) {
    p->failed = true;
    return 0;
  }
  if (!p->verbatim) {
    uint32_t *bucket = bucket_of(p, &i);
    if (*bucket && !(p->disabled & PG_SHARING && i.op < PG_KERNELS) && !pg_is_of_backward(i.op)) {
      return *bucket - 1;
    }
    *bucket = p->count + 1;
  }
  p->instructions[p->count] = i;
  return p->count++;
}

/* Reduction ---------------------------------------------------------------------------------------------- */

static bool is_op(const pg_program *p, pg_ref i, int op) { return p->instructions[i].op == op; }

/* x ** y in cheaper ops, for some constants y. PG_NO_REF for others. */
static pg_ref cheaper_power(pg_program *p, pg_ref x, double y) {
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
    return pg_emit(p, PG_RECIPROCAL, cheaper_power(p, x, -y), PG_NO_REF);
  }
  return PG_NO_REF;
}

/* The same value in cheaper ops. PG_NO_REF if there are none. */
static pg_ref cheaper(pg_program *p, int op, pg_ref a, pg_ref b) {
  switch (op) {
  case PG_ADD:
    if (pg_is_constant(p, a, 0)) {
      return b;
    }
    if (pg_is_constant(p, b, 0)) {
      return a;
    }
    if (is_op(p, b, PG_NEGATIVE)) {
      return pg_emit(p, PG_MINUS, a, p->instructions[b].a);
    }
    return is_op(p, a, PG_NEGATIVE) ? pg_emit(p, PG_MINUS, b, p->instructions[a].a) : PG_NO_REF;
  case PG_MUL:
    if (a == b) {
      return pg_emit(p, PG_SQUARE, a, PG_NO_REF);
    }
    for (int i = 0; i < 2; i++) {
      const pg_ref x = i ? b : a, y = i ? a : b;
      if (pg_is_constant(p, x, 1)) {
        return y;
      }
      if (pg_is_constant(p, x, -1)) {
        return pg_emit(p, PG_NEGATIVE, y, PG_NO_REF);
      }
      if (is_op(p, x, PG_RECIPROCAL)) {
        return pg_emit(p, PG_QUOTIENT, y, p->instructions[x].a);
      }
    }
    return PG_NO_REF;
  case PG_POWER:
    return is_op(p, b, PG_CONSTANT) ? cheaper_power(p, a, p->instructions[b].number) : PG_NO_REF;
  case PG_GATE:
    return !is_op(p, a, PG_CONSTANT) ? PG_NO_REF : p->instructions[a].number > 0 ? b : pg_emit_constant(p, 0);
  case PG_QUOTIENT:
    return pg_is_constant(p, a, 1) ? pg_emit(p, PG_RECIPROCAL, b, PG_NO_REF) : PG_NO_REF;
  case PG_NEGATIVE:
    return is_op(p, a, PG_NEGATIVE) ? p->instructions[a].a : PG_NO_REF;
  default:
    return PG_NO_REF;
  }
}

/* Emitting ----------------------------------------------------------------------------------------------- */

pg_ref pg_emit(pg_program *p, int op, pg_ref a, pg_ref b) {
  if (p->failed) {
    return 0;
  }
  assert(op > PG_LEAF && op < PG_KERNELS && a < p->count && (b < p->count || b == PG_NO_REF));
  const pg_instruction x = p->instructions[a];
  const pg_instruction y = b == PG_NO_REF ? (pg_instruction){.op = PG_CONSTANT} : p->instructions[b];
  const pg_instruction plain = {0, a, b, (uint8_t)op, x.batched || y.batched};
  if (p->verbatim || pg_is_of_backward(op)) { /* each call has its own: a backward need not be linear */
    return append(p, plain);
  }
  if (!(p->disabled & PG_FOLDING) && x.op == PG_CONSTANT && y.op == PG_CONSTANT) {
    return pg_emit_constant(p, pg_compute(op, x.number, y.number));
  }
  if (!(p->disabled & PG_REDUCTION)) {
    const pg_ref other = cheaper(p, op, a, b);
    if (other != PG_NO_REF) {
      return other;
    }
  }
  /* x * y is y * x. Constants come first, so that like products look alike. */
  const bool constant_a = x.op == PG_CONSTANT, constant_b = y.op == PG_CONSTANT;
  if (op == PG_MUL && (constant_a == constant_b ? b < a : constant_b)) {
    return append(p, (pg_instruction){0, b, a, PG_MUL, plain.batched});
  }
  return append(p, plain);
}

pg_ref pg_emit_leaf(pg_program *p, int op, pg_ref which, double number, bool batched) {
  assert(op == PG_INPUT || op == PG_PARAMETER || op == PG_CONSTANT);
  return append(p, (pg_instruction){number, which, PG_NO_REF, (uint8_t)op, batched});
}

pg_ref pg_emit_constant(pg_program *p, double number) {
  return pg_emit_leaf(p, PG_CONSTANT, PG_NO_REF, number, false);
}

pg_ref pg_emit_total(pg_program *p, pg_ref a) {
  assert(p->failed || p->instructions[a].batched);
  return append(p, (pg_instruction){0, a, PG_NO_REF, PG_TOTAL, false});
}

pg_ref pg_emit_lookup(pg_program *p, pg_ref index, uint32_t table) {
  if (p->failed) {
    return 0;
  }
  assert(index < p->count && table < p->table_count);
  const bool batched = p->instructions[index].batched || p->tables[table].batched;
  return append(p, (pg_instruction){0, index, table, PG_LOOKUP, batched});
}

pg_ref pg_emit_row(pg_program *p, pg_ref extremum, uint32_t table) {
  if (p->failed) {
    return 0;
  }
  assert(extremum < p->count && table < p->table_count);
  return append(p, (pg_instruction){0, extremum, table, PG_ROW, p->instructions[extremum].batched});
}

pg_ref pg_emit_scatter(pg_program *p, uint32_t scatter, uint32_t element, bool total) {
  if (p->failed) {
    return 0;
  }
  assert(scatter < p->scatter_count);
  const bool batched = !total && p->scatters[scatter].batched;
  return append(p, (pg_instruction){0, scatter, element, total ? PG_SCATTER_TOTAL : PG_SCATTER, batched});
}

void pg_emit_scatter_add(pg_program *p, uint32_t scatter, uint32_t targets) {
  if (!p->failed) {
    assert(scatter < p->scatter_count && targets < p->target_count);
    const bool batched = p->scatters[scatter].batched;
    append(p, (pg_instruction){0, scatter, targets, PG_SCATTER_ADD, batched});
  }
}

/* Spans -------------------------------------------------------------------------------------------------- */

void pg_add_target(pg_program *p, pg_span *targets, uint32_t output) {
  assert(p->failed || targets->first + targets->count == p->ref_count);
  if (!pg_grow((void **)&p->refs, &p->ref_room, p->ref_count, 1, sizeof *p->refs)) {
    p->failed = true;
  } else {
    p->refs[p->ref_count++] = output;
    targets->count++;
  }
}

void pg_add_ref(pg_program *p, pg_span *span, pg_ref i) {
  pg_add_target(p, span, i);
  span->batched = span->batched || (!p->failed && p->instructions[i].batched);
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

uint32_t pg_add_targets(pg_program *p, pg_span span) {
  return add_span(p, &p->targets, &p->target_count, &p->target_room, span);
}
