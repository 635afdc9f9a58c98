/* gradient.c: reverse mode: emits the gradient of an output.
 *
 * It visits the instructions from last to first, as the backward pass does. When it gets to an instruction, all
 * contributions to its gradient are known; it emits their sum, and the contributions to the operands.
 *
 * A lookup contributes to one element of its table, which the index chooses at run time. So lookups wait until
 * the instructions behind the last element of their table are done; then one scatter serves all lookups in the
 * table. To the gradients of inputs and parameters, which are outputs, it adds what is looked up: so its cost
 * does not depend on the size of the table.
 */
#include <stdlib.h>

#include "program/derive.h"

typedef struct gradient {
  pg_rule *emit;
  struct gradient *paths; /* their numbers, which mask the contributions; or NULL */
  bool adds;              /* see pg_add_gradients() */
  uint32_t first_output;  /* the gradient by the first input; those by the other inputs and parameters follow */
  pg_sum *sums;           /* an instruction: the contributions to its gradient */
  pg_ref *previous;       /* a lookup: the one before it on its table's list; PG_NO_REF ends the list */
  uint32_t *ends_here;    /* an instruction: the first on the list of tables that end with it; or PG_NO_REF */
  uint32_t *next;         /* a table: the next on that list */
  pg_ref *waiting;        /* a table: the first on the list of lookups that wait */
  pg_backwards backwards; /* empty before the first pullback */
} gradient;

static void free_gradient(gradient *d) {
  free(d->sums);
  free(d->previous);
  free(d->ends_here);
  free(d->next);
  free(d->waiting);
  pg_free_backwards(&d->backwards);
}

static pg_ref last_element(const pg_program *p, uint32_t table) {
  const pg_span elements = p->tables[table];
  pg_ref last = 0;
  for (uint32_t k = 0; k < elements.count; k++) {
    const pg_ref element = p->refs[elements.first + k];
    last = element > last ? element : last;
  }
  return last;
}

static bool begin_gradient(gradient *d, const pg_program *p, pg_rule *emit, gradient *paths) {
  *d = (gradient){
      .emit = emit,
      .paths = paths,
      .sums = (pg_sum *)(void *)pg_no_refs(2 * (size_t)p->count),
      .previous = pg_no_refs(p->count),
      .ends_here = pg_no_refs(p->count),
      .next = pg_no_refs(p->table_count),
      .waiting = pg_no_refs(p->table_count),
  };
  if (!d->sums || !d->previous || !d->ends_here || !d->next || !d->waiting) {
    return false;
  }
  for (uint32_t t = 0; t < p->table_count; t++) {
    const pg_ref last = last_element(p, t);
    d->next[t] = d->ends_here[last];
    d->ends_here[last] = t;
  }
  return true;
}

/* Whether the gradient of an element is an output, to which PG_SCATTER_ADD may add. */
static bool is_target(const pg_program *p, const gradient *d, pg_ref element) {
  const pg_instruction *x = &p->instructions[element];
  return d->adds && (x->op == PG_INPUT || x->op == PG_PARAMETER) && !x->batched;
}

/* The number of the output that is the gradient of an input or a parameter. */
static uint32_t output_of(const pg_program *p, const gradient *d, pg_ref leaf) {
  const pg_instruction *x = &p->instructions[leaf];
  return d->first_output + (x->op == PG_INPUT ? 0 : p->inputs) + x->a;
}

/* Adds the pairs to the outputs that are gradients of the table's elements. */
static void add_to_outputs(pg_program *p, const gradient *d, uint32_t table, pg_span pairs) {
  pg_span targets = {.first = p->ref_count};
  bool any = false;
  for (uint32_t k = 0; k < p->tables[table].count && !p->failed; k++) {
    const pg_ref element = p->refs[p->tables[table].first + k];
    const bool is_one = is_target(p, d, element);
    pg_add_target(p, &targets, is_one ? output_of(p, d, element) : PG_NO_REF);
    if (is_one) {
      p->outputs[output_of(p, d, element)] = PG_NO_REF;
    }
    any = any || is_one;
  }
  if (any) {
    pg_emit_scatter_add(p, pg_add_scatter(p, pairs), pg_add_targets(p, targets));
  }
}

/* Adds the pairs to the gradients of the other elements. */
static void add_to_elements(pg_program *p, gradient *d, uint32_t table, pg_span pairs, bool batched) {
  const uint32_t scatters[2] = {pg_add_scatter(p, pairs), pg_add_scatter(p, pairs)}; /* for totals the second */
  for (uint32_t k = 0; k < p->tables[table].count && !p->failed; k++) {
    const pg_ref element = p->refs[p->tables[table].first + k];
    const bool total = batched && !p->instructions[element].batched;
    if (p->instructions[element].op != PG_CONSTANT && !is_target(p, d, element)) {
      pg_contribute(p, &d->sums[element], pg_emit_scatter(p, scatters[total], k, total));
    }
  }
}

/* Scatters the lookups in a table that are batched, or those that are not: the gradient of one of the latter is
 * a sum over the batch, which must not be added once for each sample. */
static void scatter(pg_program *p, gradient *d, uint32_t table, bool batched) {
  pg_span pairs = {.first = p->ref_count};
  for (pg_ref i = d->waiting[table]; i != PG_NO_REF && !p->failed; i = d->previous[i]) {
    const pg_instruction lookup = p->instructions[i];
    assert(lookup.op == PG_LOOKUP && lookup.b == table);
    if (lookup.batched == batched) {
      pg_add_ref(p, &pairs, lookup.a);
      pg_add_ref(p, &pairs, pg_finish_sum(p, &d->sums[i], batched));
    }
  }
  if (pairs.count) {
    add_to_outputs(p, d, table, pairs);
    add_to_elements(p, d, table, pairs, batched);
  }
}

/* Gives the elements of a row that equal its maximum or minimum equal shares. */
static void share_among_ties(pg_program *p, gradient *d, pg_ref z) {
  const pg_instruction row = p->instructions[z];
  const pg_ref g = pg_finish_sum(p, &d->sums[z], row.batched);
  const pg_ref share = pg_emit(p, PG_QUOTIENT, g, pg_emit_ties(p, z));
  for (uint32_t k = 0; k < p->tables[row.b].count && !p->failed; k++) {
    const pg_ref element = p->refs[p->tables[row.b].first + k];
    if (p->instructions[element].op != PG_CONSTANT) {
      pg_contribute(p, &d->sums[element], pg_emit_for_tie(p, z, element, share));
    }
  }
}

/* Adds to the gradient of an operand what comes on these paths, whose number is emitted only where there is
 * one. */
static void contribute(pg_program *p, gradient *d, pg_ref operand, pg_ref paths, pg_ref x) {
  pg_contribute(p, &d->sums[operand], d->paths ? pg_emit_masked(p, paths, x) : x);
}

/* The gradient that a function's own backward gives an operand. It is added for each sample, also where no
 * gradient gets to the results on which it depends. */
static pg_ref own_gradient(pg_program *p, gradient *d, pg_ref z) {
  const pg_instruction i = p->instructions[z];
  if (!d->backwards.depends[i.b] && d->backwards.counts) {
    return pg_finish_sum(p, &d->sums[z], i.batched);
  }
  const pg_ref x = pg_emit_backward(p, &d->backwards, d->sums, i.b);
  if (p->failed || !i.batched || p->instructions[x].batched || pg_is_constant(p, x, 0)) {
    return x;
  }
  const pg_ref copy = pg_emit(p, PG_PRIMAL, x, PG_NO_REF);
  if (!p->failed) {
    p->instructions[copy].batched = true;
  }
  return copy;
}

static void pull_back(pg_program *p, gradient *d, pg_ref z) {
  const pg_ref operand = p->instructions[z].a;
  const bool counts = d->emit == pg_emit_paths;
  p->failed = p->failed || !(d->backwards.of || pg_begin_backwards(&d->backwards, p, counts));
  if (!p->failed && p->instructions[operand].op != PG_CONSTANT) {
    const bool any = d->paths && !pg_is_empty(&d->paths->sums[z]);
    const pg_ref paths = any ? own_gradient(p, d->paths, z) : PG_NO_REF;
    contribute(p, d, operand, paths, own_gradient(p, d, z));
  }
}

/* Emits the scatters of the tables that end with an instruction. */
static void scatter_ended(pg_program *p, gradient *d, pg_ref z) {
  for (uint32_t table = d->ends_here[z]; table != PG_NO_REF; table = d->next[table]) {
    if (d->waiting[table] != PG_NO_REF) {
      scatter(p, d, table, true);
      scatter(p, d, table, false);
    }
  }
}

/* Emits the contributions of an instruction to the gradients of its operands. */
static void visit(pg_program *p, gradient *d, pg_ref z) {
  scatter_ended(p, d, z);
  const pg_instruction i = p->instructions[z];
  if (pg_is_empty(&d->sums[z])) {
    return;
  }
  if (i.op == PG_LOOKUP) {
    d->previous[z] = d->waiting[i.b];
    d->waiting[i.b] = z;
    return;
  }
  if (i.op == PG_ROW) {
    share_among_ties(p, d, z);
    return;
  }
  if (i.op == PG_PULLBACK) {
    pull_back(p, d, z);
    return;
  }
  const pg_ref operands[2] = {i.a, i.b};
  const int count = pg_adjoint_count(&i);
  const pg_ref g = count ? pg_finish_sum(p, &d->sums[z], i.batched) : PG_NO_REF;
  const pg_ref paths = count && d->paths ? pg_finish_sum(p, &d->paths->sums[z], i.batched) : PG_NO_REF;
  for (int k = 0; k < count; k++) {
    assert(operands[k] < z);
    if (p->instructions[operands[k]].op != PG_CONSTANT) {
      contribute(p, d, operands[k], paths, d->emit(p, z, k, g));
    }
  }
}

static void visit_all(pg_program *p, gradient *d) {
  for (pg_ref z = p->gradient; z-- > 0 && !p->failed;) {
    if (d->paths) {
      visit(p, d->paths, z);
    }
    visit(p, d, z);
  }
}

void pg_add_gradients(pg_program *p, pg_ref output, pg_ref cotangent, bool adds) {
  gradient d = {0}, paths = {0};
  const uint32_t first_output = p->output_count;
  p->gradient = p->count;
  for (uint32_t i = 0; i < p->inputs + p->parameter_count; i++) {
    pg_add_output(p, PG_NO_REF); /* those that do not matter have the gradient 0 */
  }
  if (!begin_gradient(&d, p, pg_emit_adjoint, p->masked ? &paths : NULL) ||
      (p->masked && !begin_gradient(&paths, p, pg_emit_paths, NULL))) {
    p->failed = true;
  } else {
    d.adds = adds && !p->masked;
    d.first_output = first_output;
    if (p->masked) {
      pg_contribute(p, &paths.sums[output], pg_emit_seed(p, cotangent));
    }
    pg_contribute(p, &d.sums[output], cotangent);
    visit_all(p, &d);
  }
  for (pg_ref i = 0; i < p->gradient && !p->failed; i++) {
    const pg_instruction x = p->instructions[i];
    if ((x.op == PG_INPUT || x.op == PG_PARAMETER) && !pg_is_empty(&d.sums[i]) && i != cotangent) {
      p->outputs[output_of(p, &d, i)] = pg_finish_sum(p, &d.sums[i], x.batched);
    }
  }
  free_gradient(&d);
  free_gradient(&paths);
}
