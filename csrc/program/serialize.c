/* serialize.c: a recorded program as plain arrays, which files keep, and back. The arrays may come from a
 * malicious file: everything in them is checked before it is used. */
#include <stdlib.h>
#include <string.h>

#include "program/program.h"

/* The ops of recorded programs: their names in files, and how many operands they have. */
static const struct {
  const char *name;
  int operands;
} OPS[PG_INSTRUCTIONS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = {#name, 1},
#define PG_CONSTANT(name, symbol, forward, adjoint_x) [PG_##name] = {#name, 2},
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) [PG_##name] = {#name, 2},
#include "ops.def"
    [PG_INPUT] = {.name = "INPUT"},
    [PG_PARAMETER] = {.name = "PARAMETER"},
    [PG_CONSTANT] = {.name = "CONSTANT"},
    [PG_LOOKUP] = {.name = "LOOKUP"},
    [PG_ROW] = {.name = "ROW"},
    [PG_PRIMAL] = {"PRIMAL", 1},
    [PG_COTANGENT] = {"COTANGENT", 1},
    [PG_PULLBACK] = {"PULLBACK", 2},
    [PG_EQUAL] = {"EQUAL", 2},
    [PG_GATE] = {"GATE", 2},
};

const char *pg_recorded_name(int op) { return op >= 0 && op < PG_INSTRUCTIONS ? OPS[op].name : NULL; }

/* Serializing -------------------------------------------------------------------------------------------- */

static void copy(void *to, const void *from, size_t count, size_t size) {
  if (to && count) {
    memcpy(to, from, count * size);
  }
}

static void copy_instructions(const pg_program *p, const pg_serialized *to) {
  size_t constants = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    const pg_instruction x = p->instructions[i];
    to->ops[i] = x.op;
    to->a[i] = x.a;
    to->b[i] = x.b;
    if (x.op == PG_CONSTANT) {
      to->constants[constants++] = x.number;
    }
  }
}

void pg_program_serialize(const pg_program *p, pg_serialized *s) {
  s->instruction_count = p->count;
  s->constant_count = s->element_count = 0;
  for (uint32_t i = 0; i < p->count; i++) {
    s->constant_count += p->instructions[i].op == PG_CONSTANT;
  }
  s->input_count = p->inputs;
  s->parameter_count = p->parameter_count;
  s->output_count = p->output_count;
  s->table_count = p->table_count;
  for (uint32_t t = 0; t < p->table_count; t++) {
    const pg_span table = p->tables[t];
    if (s->rows) {
      s->rows[t] = table.count;
      copy(s->elements + s->element_count, p->refs + table.first, table.count, sizeof *p->refs);
    }
    s->element_count += table.count;
  }
  copy(s->parameters, p->parameters, p->parameter_count, sizeof *p->parameters);
  copy(s->outputs, p->outputs, p->output_count, sizeof *p->outputs);
  if (s->ops) {
    copy_instructions(p, s);
  }
}

/* Checking ----------------------------------------------------------------------------------------------- */

/* Whether pg_record() may have made instruction i. `last` has the last element of each table. */
static bool is_sound(const pg_serialized *s, const pg_ref *last, size_t i) {
  const pg_ref a = s->a[i], b = s->b[i];
  switch (s->ops[i]) {
  case PG_INPUT:
    return a < s->input_count && b == PG_NO_REF;
  case PG_PARAMETER:
    return a < s->parameter_count && b == PG_NO_REF;
  case PG_CONSTANT:
    return a == PG_NO_REF && b == PG_NO_REF;
  case PG_LOOKUP:
    return a < i && s->ops[a] == PG_INPUT && b < s->table_count && last[b] < i;
  case PG_ROW:
    return a < i && b < s->table_count && last[b] < i;
  case PG_POWER: /* the exponent belongs to the op */
    return a < i && b < i && s->ops[b] == PG_CONSTANT;
  default:
    return pg_recorded_name(s->ops[i]) && a < i && (OPS[s->ops[i]].operands == 1 ? b == PG_NO_REF : b < i);
  }
}

static bool are_below(const uint32_t *numbers, size_t count, size_t limit) {
  for (size_t i = 0; i < count; i++) {
    if (numbers[i] >= limit) {
      return false;
    }
  }
  return true;
}

/* Finds the last element of each table. False if a table is empty, or they do not have element_count elements.
 */
static bool find_last(const pg_serialized *s, pg_ref *last) {
  size_t at = 0;
  for (size_t t = 0; t < s->table_count; t++) {
    if (s->rows[t] == 0 || s->rows[t] > s->element_count - at) {
      return false;
    }
    last[t] = 0;
    for (const size_t end = at + s->rows[t]; at < end; at++) {
      last[t] = s->elements[at] > last[t] ? s->elements[at] : last[t];
    }
  }
  return at == s->element_count;
}

/* What is wrong with the arrays; NULL if nothing is. `last` has room for a ref a table, and gets their last
 * elements. */
static const char *fault_of(const pg_serialized *s, pg_ref *last) {
  size_t constants = 0;
  if (!find_last(s, last)) {
    return "its tables are not of the sizes that it says";
  }
  for (size_t i = 0; i < s->instruction_count; i++) {
    if (!is_sound(s, last, i)) {
      return "an instruction has an op or operands that it cannot have";
    }
    constants += s->ops[i] == PG_CONSTANT;
  }
  if (constants != s->constant_count) {
    return "it has more or fewer numbers than constants";
  }
  if (!are_below(s->elements, s->element_count, s->instruction_count) ||
      !are_below(s->outputs, s->output_count, s->instruction_count)) {
    return "an output, or an element of a table, is an instruction that is not there";
  }
  return NULL;
}

static bool are_few(const pg_serialized *s) {
  const size_t counts[] = {s->instruction_count, s->input_count, s->parameter_count,
                           s->output_count,      s->table_count, s->element_count};
  for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
    if (counts[k] > PG_MAX_INSTRUCTIONS) {
      return false;
    }
  }
  return true;
}

/* Deserializing ------------------------------------------------------------------------------------------ */

static void fill(pg_program *p, const pg_serialized *s) {
  size_t constants = 0;
  for (size_t i = 0; i < s->instruction_count; i++) {
    const double number = s->ops[i] == PG_CONSTANT ? s->constants[constants++] : 0;
    p->instructions[i] = (pg_instruction){number, s->a[i], s->b[i], s->ops[i], false};
  }
  uint32_t first = 0;
  for (size_t t = 0; t < s->table_count; first += s->rows[t++]) {
    p->tables[t] = (pg_span){.first = first, .count = s->rows[t]};
  }
  copy(p->refs, s->elements, s->element_count, sizeof *p->refs);
  copy(p->parameters, s->parameters, s->parameter_count, sizeof *p->parameters);
  copy(p->outputs, s->outputs, s->output_count, sizeof *p->outputs);
}

/* The program of arrays without a fault. NULL if there is no memory. */
static pg_program *put_together(const pg_serialized *s) {
  pg_program *p = pg_resize(NULL, sizeof *p);
  if (!p) {
    return NULL;
  }
  const uint32_t count = (uint32_t)s->instruction_count, elements = (uint32_t)s->element_count;
  const uint32_t tables = (uint32_t)s->table_count;
  *p = (pg_program){
      .instructions = pg_room(count, sizeof *p->instructions),
      .count = count,
      .room = count,
      .refs = pg_room(elements, sizeof *p->refs),
      .ref_count = elements,
      .ref_room = elements,
      .tables = pg_room(tables, sizeof *p->tables),
      .table_count = tables,
      .table_room = tables,
      .outputs = pg_room(s->output_count, sizeof *p->outputs),
      .output_count = (uint32_t)s->output_count,
      .inputs = (uint32_t)s->input_count,
      .parameters = pg_room(s->parameter_count, sizeof *p->parameters),
      .parameter_count = (uint32_t)s->parameter_count,
      .gradient = PG_NO_REF,
      .disabled = pg_tests.disabled,
      .verbatim = true,
  };
  if (!p->instructions || !p->refs || !p->tables || !p->outputs || !p->parameters) {
    pg_program_free(p);
    return NULL;
  }
  fill(p, s);
  assert(p->count <= PG_MAX_INSTRUCTIONS);
  return p;
}

pg_program *pg_program_deserialize(const pg_serialized *s, const char **fault) {
  *fault = "it has more of something than any program has";
  if (!are_few(s)) {
    return NULL;
  }
  pg_ref *last = pg_room(s->table_count, sizeof *last);
  const bool has_memory = last != NULL;
  *fault = last ? fault_of(s, last) : NULL;
  free(last);
  return has_memory && !*fault ? put_together(s) : NULL;
}
