/* tangents.c: forward mode: emits the tangent of each instruction from those of its operands. */
#include <stdlib.h>

#include "program/derive.h"

/* What has been emitted. PG_NO_REF for a tangent is 0; for a table or a scatter, that it has none yet. */
typedef struct {
  pg_rule *emit;
  const pg_ref *paths; /* an instruction: their number, which masks the contributions; or NULL */
  pg_ref *of;          /* an instruction: its tangent */
  uint32_t *tables;    /* a table: that of its elements' tangents */
  uint32_t *scatters;  /* a scatter: that of the same indices and the tangents of what belongs to them */
} tangents;

/* A new span, of the tangents of a span's refs. In a scatter each other ref is an index, which stays. */
static pg_span tangent_span(pg_program *p, pg_span of, bool is_scatter, const pg_ref *tangents) {
  const pg_ref zero = pg_emit_constant(p, 0);
  pg_span span = {.first = p->ref_count};
  for (uint32_t k = 0; k < of.count && !p->failed; k++) {
    const pg_ref ref = p->refs[of.first + k];
    const pg_ref tangent = tangents[ref] == PG_NO_REF ? zero : tangents[ref];
    pg_add_ref(p, &span, is_scatter && k % 2 == 0 ? ref : tangent);
  }
  return span;
}

static bool has_tangents(const pg_program *p, pg_span of, const pg_ref *tangents) {
  bool any = false;
  for (uint32_t k = 0; k < of.count && !any; k++) {
    any = tangents[p->refs[of.first + k]] != PG_NO_REF;
  }
  return any;
}

/* The mean of the tangents of the elements that equal the row's maximum or minimum. */
static pg_ref tangent_of_row(pg_program *p, const tangents *t, pg_ref z) {
  const pg_span row = p->tables[p->instructions[z].b];
  pg_sum sum = {PG_NO_REF, PG_NO_REF};
  for (uint32_t k = 0; k < row.count && !p->failed; k++) {
    const pg_ref element = p->refs[row.first + k];
    if (t->of[element] != PG_NO_REF) {
      pg_contribute(p, &sum, pg_emit_for_tie(p, z, element, t->of[element]));
    }
  }
  const pg_ref total = pg_finish_sum(p, &sum, true);
  return total == PG_NO_REF ? total : pg_emit(p, PG_QUOTIENT, total, pg_emit_ties(p, z));
}

/* None for a total: PG_GRADIENT | PG_TANGENTS has totals only in gradients that are no result: those by the
 * parameters. */
static pg_ref tangent_of(pg_program *p, const tangents *t, pg_ref z) {
  const pg_instruction i = p->instructions[z];
  if (i.op == PG_LOOKUP && !has_tangents(p, p->tables[i.b], t->of)) {
    return PG_NO_REF;
  }
  if (i.op == PG_LOOKUP) {
    if (t->tables[i.b] == PG_NO_REF) {
      t->tables[i.b] = pg_add_table(p, tangent_span(p, p->tables[i.b], false, t->of));
    }
    return pg_emit_lookup(p, i.a, t->tables[i.b]);
  }
  if (i.op == PG_ROW) {
    return tangent_of_row(p, t, z);
  }
  if (i.op == PG_PRIMAL) { /* what a forward computed has tangents, though gradients go by its backward */
    return t->of[i.a];
  }
  if (i.op == PG_SCATTER) {
    if (t->scatters[i.a] == PG_NO_REF) {
      t->scatters[i.a] = pg_add_scatter(p, tangent_span(p, p->scatters[i.a], true, t->of));
    }
    return pg_emit_scatter(p, t->scatters[i.a], i.b, false);
  }
  pg_sum sum = {PG_NO_REF, PG_NO_REF};
  const pg_ref operands[2] = {i.a, i.b};
  for (int k = 0; k < pg_adjoint_count(&i); k++) {
    if (t->of[operands[k]] != PG_NO_REF) {
      const pg_ref x = t->emit(p, z, k, t->of[operands[k]]);
      pg_contribute(p, &sum, t->paths ? pg_emit_masked(p, t->paths[operands[k]], x) : x);
    }
  }
  return pg_finish_sum(p, &sum, true);
}

static bool begin_tangents(tangents *t, const pg_program *p, pg_rule *emit, const pg_ref *paths) {
  *t = (tangents){
      .emit = emit,
      .paths = paths,
      .of = pg_no_refs(p->count),
      .tables = pg_no_refs(p->table_count),
      .scatters = pg_no_refs(p->scatter_count),
  };
  return t->of && t->tables && t->scatters;
}

static void free_tangents(tangents *t) {
  free(t->of);
  free(t->tables);
  free(t->scatters);
}

void pg_add_tangents(pg_program *p, const bool *batched, uint32_t first, uint32_t last) {
  const uint32_t count = p->count;
  tangents t = {0}, paths = {0};
  p->failed = p->failed || (p->masked && !begin_tangents(&paths, p, pg_emit_paths, NULL)) ||
              !begin_tangents(&t, p, pg_emit_adjoint, paths.of);
  for (pg_ref i = 0; i < count && !p->failed; i++) {
    const pg_instruction x = p->instructions[i];
    if (x.op == PG_INPUT) {
      t.of[i] = pg_emit_leaf(p, PG_INPUT, p->inputs + x.a, 0, batched[p->inputs + x.a]);
      if (p->masked) {
        paths.of[i] = pg_emit_seed(p, t.of[i]);
      }
    }
  }
  for (pg_ref z = 0; z < count && !p->failed; z++) {
    if (t.of[z] == PG_NO_REF) {
      t.of[z] = tangent_of(p, &t, z);
      if (p->masked) {
        paths.of[z] = tangent_of(p, &paths, z);
      }
    }
  }
  for (uint32_t k = first; k < last && !p->failed; k++) {
    pg_add_output(p, t.of[p->outputs[k]]);
  }
  free_tangents(&t);
  free_tangents(&paths);
}
