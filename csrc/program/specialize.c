/* specialize.c: makes the program for one kind of call of a recorded one: copies it, which simplifies, then
 * derives what is wanted. */
#include <stdlib.h>
#include <string.h>

#include "program/derive.h"

void pg_add_output(pg_program *p, pg_ref i) {
  p->outputs[p->output_count++] = i == PG_NO_REF ? pg_emit_constant(p, 0) : i;
}

/* Copying ------------------------------------------------------------------------------------------------ */

/* What a program is copied for. */
typedef struct {
  const pg_program *p;
  const bool *batched; /* an input: see pg_specialize() */
  const bool *each;    /* an instruction: see pg_find_per_sample(); NULL where no gradient is wanted */
  pg_ref *copies;      /* what the instructions have become */
} copying;

/* Copies one of a function with a backward of its own, which matters to gradients alone. */
static pg_ref copy_of_backward(pg_program *q, const copying *c, pg_ref i) {
  const pg_instruction x = c->p->instructions[i];
  if (!c->each) {
    return x.op == PG_PRIMAL ? c->copies[x.a] : pg_emit_constant(q, -0.0);
  }
  const pg_ref made = pg_emit(q, x.op, c->copies[x.a], x.b == PG_NO_REF ? PG_NO_REF : c->copies[x.b]);
  if (!q->failed && c->each[i]) {
    q->instructions[made].batched = true;
  }
  return made;
}

/* Emits instruction i of c->p into q. */
static pg_ref copy_instruction(pg_program *q, const copying *c, pg_ref i) {
  const pg_program *p = c->p;
  const pg_ref *copies = c->copies;
  const pg_instruction x = p->instructions[i];
  if (pg_is_of_backward(x.op)) {
    return copy_of_backward(q, c, i);
  }
  if (x.op < PG_KERNELS) {
    return pg_emit(q, x.op, copies[x.a], x.b == PG_NO_REF ? PG_NO_REF : copies[x.b]);
  }
  if (x.op == PG_LOOKUP || x.op == PG_ROW) {
    const pg_span elements = p->tables[x.b];
    if (q->tables[x.b].count == 0) { /* its elements are there by now, not before */
      q->tables[x.b].first = q->ref_count;
      for (uint32_t k = 0; k < elements.count && !q->failed; k++) {
        pg_add_ref(q, &q->tables[x.b], copies[p->refs[elements.first + k]]);
      }
    }
    return x.op == PG_ROW ? pg_emit_row(q, copies[x.a], x.b) : pg_emit_lookup(q, copies[x.a], x.b);
  }
  assert(x.op == PG_INPUT || x.op == PG_PARAMETER || x.op == PG_CONSTANT);
  return pg_emit_leaf(q, x.op, x.a, x.number, x.op == PG_INPUT && c->batched[x.a]);
}

static void copy_all(pg_program *q, const copying *c) {
  for (uint32_t t = 0; t < c->p->table_count; t++) {
    pg_add_table(q, (pg_span){0});
  }
  for (pg_ref i = 0; i < c->p->count && !q->failed; i++) {
    c->copies[i] = copy_instruction(q, c, i);
  }
  for (uint32_t i = 0; i < c->p->output_count; i++) {
    pg_add_output(q, c->copies[c->p->outputs[i]]);
  }
}

/* Deriving ----------------------------------------------------------------------------------------------- */

/* Appends what is wanted besides the values to the outputs. */
static void derive(pg_program *q, const bool *batched, int wanted) {
  const uint32_t values = q->output_count;
  if (wanted == PG_GRADIENT) { /* the cotangent is one more input, and batched if the output is */
    const pg_ref output = q->outputs[0];
    const bool any = q->instructions[output].batched;
    pg_add_gradients(q, output, pg_emit_leaf(q, PG_INPUT, q->inputs, 0, any), true);
    q->inputs++;
  } else if (wanted == PG_TANGENTS) {
    pg_add_tangents(q, batched, 0, values);
    q->inputs *= 2;
  } else if (wanted ==
             (PG_GRADIENT | PG_TANGENTS)) { /* the tangents of the gradient by the inputs, and no more */
    pg_add_gradients(q, q->outputs[0], pg_emit_constant(q, 1), false);
    pg_add_tangents(q, batched, 1, 1 + q->inputs);
    q->output_count = q->inputs;
    memmove(q->outputs, q->outputs + 1 + q->inputs + q->parameter_count, q->inputs * sizeof *q->outputs);
    q->inputs *= 2;
  }
}

pg_program *pg_specialize(const pg_program *p, const bool *batched, int wanted, bool masked) {
  assert(!(wanted & PG_GRADIENT) || p->output_count == 1);
  pg_program *q = pg_new_program(p->disabled);
  if (!q) {
    return NULL;
  }
  pg_ref *copies = pg_no_refs(p->count);
  bool *each = wanted & PG_GRADIENT ? pg_zeros(p->count, sizeof *each) : NULL;
  const uint32_t count = p->inputs + (wanted == PG_GRADIENT);
  const copying c = {p, batched, each, copies};
  q->masked = masked;
  q->inputs = p->inputs;
  q->parameter_count = p->parameter_count;
  q->outputs = pg_no_refs(2 * ((size_t)p->output_count + p->inputs) + p->parameter_count);
  q->failed = !copies || !q->outputs ||
              (wanted & PG_GRADIENT && !(each && pg_find_per_sample(p, batched, count, each)));
  if (!q->failed) {
    copy_all(q, &c);
  }
  if (!q->failed) {
    derive(q, batched, wanted);
    pg_drop_backwards(q);
  }
  free(copies);
  free(each);
  if (q->failed) {
    pg_program_free(q);
    return NULL;
  }
  return q;
}
