/* pullback.c: functions with a backward of their own; program.h says how programs have them. */
#include <stdlib.h>
#include <string.h>

#include "program/derive.h"

static bool is_leaf(const pg_instruction *x) {
  return x->op == PG_INPUT || x->op == PG_PARAMETER || x->op == PG_CONSTANT;
}

enum { KNOWN = 128 };

/* Returns f of each operand of an instruction that is no leaf, or'ed. For the elements of a table, `tables`
 * keeps that, with KNOWN: many lookups in a large table go through it once. */
static int for_operands(const pg_program *p, const pg_instruction *x, uint8_t *tables, int f(void *, pg_ref),
                        void *to) {
  int all = f(to, x->a);
  if (x->op != PG_LOOKUP && x->op != PG_ROW) {
    return all | (x->b == PG_NO_REF ? 0 : f(to, x->b));
  }
  if (!(tables[x->b] & KNOWN)) {
    int elements = KNOWN;
    for (uint32_t k = 0; k < p->tables[x->b].count; k++) {
      elements |= f(to, p->refs[p->tables[x->b].first + k]);
    }
    tables[x->b] = (uint8_t)elements;
  }
  return all | (tables[x->b] & ~KNOWN);
}

/* Samples ------------------------------------------------------------------------------------------------ */

/* What is known of an instruction: whether it differs between samples, whether it depends on cotangents and, if
 * so, not linearly; and whether the backward needs these for each sample. */
enum { BATCHED = 1, DEPENDS = 2, NOT_LINEAR = 4, PER_SAMPLE = 8 };

typedef struct {
  uint8_t *kinds, *tables;
} samples;

static int kind_of_operand(void *to, pg_ref operand) {
  const samples *s = to;
  return s->kinds[operand] & (BATCHED | DEPENDS | NOT_LINEAR);
}

/* Whether an instruction is linear in the operands that depend on cotangents. */
static bool is_linear(const pg_program *p, const samples *s, const pg_instruction *x) {
  switch (x->op) {
  case PG_PRIMAL:
  case PG_DETACH:
    return true;
  case PG_MUL:
    return !(s->kinds[x->a] & s->kinds[x->b] & DEPENDS);
  case PG_ADD:
    return s->kinds[x->a] & s->kinds[x->b] & DEPENDS || pg_is_constant(p, x->a, 0) ||
           pg_is_constant(p, x->b, 0);
  default:
    return false;
  }
}

static bool may_be_per_sample(const pg_instruction *x) { return x->op == PG_PRIMAL || x->op == PG_PULLBACK; }

static int kind_of(const pg_program *p, samples *s, const bool *batched, pg_ref i) {
  const pg_instruction x = p->instructions[i];
  if (is_leaf(&x)) {
    return x.op == PG_INPUT && batched[x.a] ? BATCHED : 0;
  }
  const int all = for_operands(p, &x, s->tables, kind_of_operand, s);
  const int own = s->kinds[i] & PER_SAMPLE && may_be_per_sample(&x) ? BATCHED : 0;
  if (x.op == PG_PULLBACK) {
    return (all & BATCHED) | own;
  }
  if (x.op == PG_COTANGENT) {
    return (all & BATCHED) | DEPENDS;
  }
  return all | own | (all & DEPENDS && !is_linear(p, s, &x) ? NOT_LINEAR : 0);
}

static int want_per_sample(void *to, pg_ref operand) {
  samples *s = to;
  s->kinds[operand] |= s->kinds[operand] & DEPENDS ? PER_SAMPLE : 0;
  return 0;
}

/* Whether the sum of a cotangent over the samples will not do. */
static bool needs_samples(const samples *s, const pg_instruction *x) {
  return (s->kinds[x->a] & BATCHED) || s->kinds[x->b] & (BATCHED | NOT_LINEAR);
}

/* Whether it was not known that an instruction is wanted for each sample. */
static bool mark_per_sample(samples *s, pg_ref i) {
  const bool is_new = !(s->kinds[i] & (PER_SAMPLE | BATCHED));
  s->kinds[i] |= PER_SAMPLE;
  return is_new;
}

/* Goes from the pullbacks to their primals. A gradient that does not depend on those of the primals is added
 * once for each sample: there the pullback is PER_SAMPLE itself. True if something new was found. */
static bool find_per_sample(const pg_program *p, samples *s) {
  bool found = false;
  memset(s->tables, 0, p->table_count);
  for (pg_ref i = p->count; i-- > 0;) {
    const pg_instruction x = p->instructions[i];
    if (x.op == PG_PULLBACK) {
      if (needs_samples(s, &x)) {
        want_per_sample(s, x.b);
      }
      if (!(s->kinds[x.b] & DEPENDS) && !pg_is_constant(p, x.b, 0)) {
        found = mark_per_sample(s, i) || found;
      }
    } else if (s->kinds[i] & PER_SAMPLE && x.op == PG_COTANGENT) {
      found = mark_per_sample(s, x.a) || found;
    } else if (s->kinds[i] & PER_SAMPLE && !is_leaf(&x)) {
      for_operands(p, &x, s->tables, want_per_sample, s);
    }
  }
  return found;
}

bool pg_find_per_sample(const pg_program *p, const bool *batched, uint32_t count, bool *each) {
  bool any = false, found = false;
  for (uint32_t k = 0; k < count; k++) { /* also those that nothing uses: they say that there is a batch */
    any = any || batched[k];
  }
  for (pg_ref i = 0; i < p->count; i++) {
    found = found || p->instructions[i].op == PG_PULLBACK;
  }
  if (!any || !found) {
    return true;
  }
  samples s = {pg_zeros(p->count, sizeof *s.kinds), pg_zeros(p->table_count, sizeof *s.tables)};
  while (found && s.kinds && s.tables) {
    memset(s.tables, 0, p->table_count);
    for (pg_ref i = 0; i < p->count; i++) {
      s.kinds[i] = (uint8_t)((s.kinds[i] & PER_SAMPLE) | kind_of(p, &s, batched, i));
    }
    found = find_per_sample(p, &s);
  }
  for (pg_ref i = 0; i < p->count && !found; i++) {
    each[i] = may_be_per_sample(&p->instructions[i]) && s.kinds[i] & PER_SAMPLE;
  }
  free(s.kinds);
  free(s.tables);
  return !found;
}

/* Gradients ---------------------------------------------------------------------------------------------- */

static int depends(void *to, pg_ref operand) {
  const pg_backwards *d = to;
  return d->depends[operand];
}

bool pg_begin_backwards(pg_backwards *d, const pg_program *p, bool counts) {
  *d = (pg_backwards){
      .counts = counts,
      .of = pg_no_refs(p->gradient),
      .tables = pg_no_refs(p->table_count),
      .depends = pg_zeros(p->gradient, sizeof *d->depends),
      .known = pg_zeros(p->table_count, sizeof *d->known),
  };
  if (!d->of || !d->tables || !d->depends || !d->known) {
    return false;
  }
  for (pg_ref i = 0; i < p->gradient; i++) {
    const pg_instruction *x = &p->instructions[i];
    const bool has_gradient = !is_leaf(x) && x->op != PG_PULLBACK;
    d->depends[i] = x->op == PG_COTANGENT || (has_gradient && for_operands(p, x, d->known, depends, d));
  }
  memset(d->known, 0, p->table_count); /* from here on, of push() */
  return true;
}

void pg_free_backwards(pg_backwards *d) {
  free(d->of);
  free(d->tables);
  free(d->depends);
  free(d->known);
  free(d->stack);
}

static int push(void *to, pg_ref i) {
  pg_backwards *d = to;
  if (d->of[i] != PG_NO_REF) {
    return 0;
  }
  if (!d->depends[i]) {
    d->of[i] = i;
  } else if (pg_grow((void **)&d->stack, &d->room, d->depth, 1, sizeof *d->stack)) {
    d->stack[d->depth++] = i;
  } else {
    d->failed = true;
  }
  return 0;
}

static pg_ref paths_to_elements(pg_program *p, const pg_backwards *d, pg_span table) {
  pg_ref sum = PG_NO_REF;
  for (uint32_t k = 0; k < table.count && !p->failed; k++) {
    const pg_ref element = p->refs[table.first + k];
    if (d->depends[element]) {
      sum = sum == PG_NO_REF ? d->of[element] : pg_emit(p, PG_ADD, sum, d->of[element]);
    }
  }
  return sum;
}

/* Returns the number of the table that a table has become. Where paths are counted, an element that depends on
 * no cotangent adds its number to the gradient nevertheless, so it has the paths to the others. */
static uint32_t copy_table(pg_program *p, pg_backwards *d, uint32_t number) {
  if (d->tables[number] != PG_NO_REF) {
    return d->tables[number];
  }
  const pg_span table = p->tables[number];
  pg_ref paths = PG_NO_REF; /* to all elements, if they are needed */
  pg_span copy = {.first = p->ref_count};
  for (uint32_t k = 0; k < table.count && !p->failed; k++) {
    const pg_ref element = p->refs[table.first + k];
    const bool needs_paths = d->counts && !d->depends[element] && !pg_is_constant(p, element, 0);
    paths = needs_paths && paths == PG_NO_REF ? paths_to_elements(p, d, table) : paths;
    pg_add_ref(p, &copy, needs_paths ? paths : d->of[element]);
  }
  return d->tables[number] = pg_add_table(p, copy);
}

/* Emits what an instruction is, whose operands are known. */
static pg_ref copy(pg_program *p, pg_backwards *d, const pg_sum *sums, pg_ref i) {
  const pg_instruction x = p->instructions[i];
  if (x.op == PG_COTANGENT) {
    const pg_ref g = pg_finish_sum(p, &sums[x.a], p->instructions[x.a].batched);
    return g == PG_NO_REF ? pg_emit_constant(p, 0) : g;
  }
  if (x.op == PG_LOOKUP) {
    return pg_emit_lookup(p, d->of[x.a], copy_table(p, d, x.b));
  }
  if (d->counts) { /* those to a row are those to its maximum or minimum */
    const bool by_a = d->depends[x.a], by_b = x.op != PG_ROW && x.b != PG_NO_REF && d->depends[x.b];
    return by_a && by_b ? pg_emit(p, PG_ADD, d->of[x.a], d->of[x.b]) : d->of[by_b ? x.b : x.a];
  }
  switch (x.op) {
  case PG_PRIMAL:
    return d->of[x.a];
  case PG_ROW:
    return pg_emit_row(p, d->of[x.a], copy_table(p, d, x.b));
  default:
    return pg_emit(p, x.op, d->of[x.a], x.b == PG_NO_REF ? PG_NO_REF : d->of[x.b]);
  }
}

pg_ref pg_emit_backward(pg_program *p, pg_backwards *d, const pg_sum *sums, pg_ref b) {
  push(d, b);
  while (d->depth && !d->failed && !p->failed) {
    const pg_ref i = d->stack[d->depth - 1];
    const uint32_t before = d->depth;
    if (d->of[i] == PG_NO_REF && p->instructions[i].op != PG_COTANGENT) {
      const pg_instruction x = p->instructions[i];
      for_operands(p, &x, d->known, push, d);
    }
    if (d->depth == before && !d->failed) {
      d->of[i] = d->of[i] == PG_NO_REF ? copy(p, d, sums, i) : d->of[i];
      d->depth--;
    }
  }
  p->failed = p->failed || d->failed;
  return p->failed ? 0 : d->of[b];
}

static bool is_sum_of_constants(const pg_program *p, const pg_instruction *x) {
  return x->op == PG_ADD && p->instructions[x->a].op == PG_CONSTANT && p->instructions[x->b].op == PG_CONSTANT;
}

void pg_drop_backwards(pg_program *p) {
  bool any = false;
  for (pg_ref i = 0; i < p->count; i++) {
    pg_instruction *x = &p->instructions[i];
    any = any || x->op == PG_PULLBACK;
    if (x->op == PG_PULLBACK || x->op == PG_COTANGENT || (any && is_sum_of_constants(p, x))) {
      const double sum = x->op == PG_ADD ? p->instructions[x->a].number + p->instructions[x->b].number : -0.0;
      *x = (pg_instruction){sum, PG_NO_REF, PG_NO_REF, PG_CONSTANT, false};
    }
  }
}
