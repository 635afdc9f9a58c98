/* Reads bytes as the arrays of a saved program: a target for libFuzzer. What pg_program_deserialize takes for a
 * program must be one: it is listed, searched, compiled and run in each way, and serialized again into the same
 * arrays.
 */
#include "program/program.h"
#include "fuzz.h"

/* An array as long as it says, and no longer: a sanitizer watches the end. */
static void *array(size_t count, size_t size) {
  void *at = malloc(count * size);
  MUST(at || !count);
  return at;
}

static uint32_t any(void) {
  const uint8_t x = byte();
  return x < 0xF0 ? x : UINT32_MAX - (0xFF - x);
}

/* Mostly one that is below some limit. */
static uint32_t below(size_t limit) {
  const uint32_t x = any();
  return x < 0xE0 && limit ? x % (uint32_t)limit : x;
}

static uint32_t *some_below(size_t limit, size_t count) {
  uint32_t *numbers = array(count, sizeof *numbers);
  for (size_t i = 0; i < count; i++) {
    numbers[i] = below(limit);
  }
  return numbers;
}

/* Mostly one that pg_record may have made: else few would get beyond the first check. */
static void read_instruction(pg_serialized *s, size_t i) {
  const int op = byte() % (PG_INSTRUCTIONS + 2);
  s->ops[i] = (uint8_t)op;
  s->a[i] = s->b[i] = UINT32_MAX;
  if (byte() >= 0xF0) {
    s->a[i] = any();
    s->b[i] = any();
  } else if (op < PG_KERNELS) {
    s->a[i] = below(i);
    s->b[i] = pg_is_binary(op) ? below(i) : UINT32_MAX;
  } else if (op == PG_INPUT || op == PG_PARAMETER) {
    s->a[i] = below(op == PG_INPUT ? s->input_count : s->parameter_count);
  } else if (op == PG_LOOKUP) {
    s->a[i] = below(i);
    s->b[i] = below(s->table_count);
  } else if (op == PG_CONSTANT) {
    s->constant_count++;
  }
}

static pg_serialized read_arrays(const pg_id *leaves) {
  pg_serialized s = {.instruction_count = byte() % 64,
                     .input_count = byte() % 8,
                     .parameter_count = byte() % 8,
                     .output_count = byte() % 4,
                     .table_count = byte() % 4};
  s.ops = array(s.instruction_count, 1);
  s.a = array(s.instruction_count, sizeof *s.a);
  s.b = array(s.instruction_count, sizeof *s.b);
  for (size_t i = 0; i < s.instruction_count; i++) {
    read_instruction(&s, i);
  }
  s.constant_count += byte() >= 0xF0;
  s.constants = array(s.constant_count, sizeof *s.constants);
  for (size_t i = 0; i < s.constant_count; i++) {
    s.constants[i] = (byte() - 128) / 32.0;
  }
  s.parameters = array(s.parameter_count, sizeof *s.parameters);
  for (size_t i = 0; i < s.parameter_count; i++) { /* of leaves, or of nothing */
    const uint32_t id = below(2);
    s.parameters[i] = id < 2 ? leaves[id] : id;
  }
  s.outputs = some_below(s.instruction_count, s.output_count);
  s.rows = array(s.table_count, sizeof *s.rows);
  for (size_t t = 0; t < s.table_count; t++) {
    s.rows[t] = below(6);
    s.element_count += s.rows[t] < 64 ? s.rows[t] : 1;
  }
  s.elements = some_below(s.instruction_count, s.element_count);
  return s;
}

static void free_arrays(const pg_serialized *s) {
  free(s->ops), free(s->a), free(s->b), free(s->constants), free(s->parameters), free(s->outputs);
  free(s->rows), free(s->elements);
}

static bool equal(const void *x, const void *y, size_t count, size_t size) {
  return count == 0 || memcmp(x, y, count * size) == 0;
}

static void must_come_apart(const pg_program *p, const pg_serialized *s) {
  pg_serialized t = {0};
  pg_program_serialize(p, &t);
  MUST(t.instruction_count == s->instruction_count && t.constant_count == s->constant_count);
  MUST(t.input_count == s->input_count && t.parameter_count == s->parameter_count);
  MUST(t.output_count == s->output_count && t.table_count == s->table_count &&
       t.element_count == s->element_count);
  t.ops = array(t.instruction_count + 1, 1);
  t.a = array(t.instruction_count, sizeof *t.a), t.b = array(t.instruction_count, sizeof *t.b);
  t.constants = array(t.constant_count, sizeof *t.constants);
  t.parameters = array(t.parameter_count, sizeof *t.parameters);
  t.outputs = array(t.output_count, sizeof *t.outputs);
  t.rows = array(t.table_count + 1, sizeof *t.rows), t.elements = array(t.element_count, sizeof *t.elements);
  pg_program_serialize(p, &t);
  MUST(equal(t.ops, s->ops, t.instruction_count, 1) && equal(t.a, s->a, t.instruction_count, sizeof *t.a));
  MUST(equal(t.b, s->b, t.instruction_count, sizeof *t.b));
  MUST(equal(t.constants, s->constants, t.constant_count, sizeof *t.constants));
  MUST(equal(t.parameters, s->parameters, t.parameter_count, sizeof *t.parameters));
  MUST(equal(t.outputs, s->outputs, t.output_count, sizeof *t.outputs));
  MUST(equal(t.rows, s->rows, t.table_count, sizeof *t.rows));
  MUST(equal(t.elements, s->elements, t.element_count, sizeof *t.elements));
  free_arrays(&t);
}

/* One group of inputs; what the results are does not matter. */
static void run(const pg_program *p, const pg_serialized *s, int wanted, bool batched) {
  const size_t batch = batched ? 67 : 1, inputs = s->input_count;
  pg_routine *r = pg_compile(p, 1, &inputs, (bool[]){batched, batched}, wanted);
  const size_t most = batch * (inputs + s->output_count + 1) + s->parameter_count;
  double *x = array(most, sizeof *x), *y = array(most, sizeof *y);
  double *out[3];
  for (size_t i = 0; i < most; i++) {
    x[i] = (double)(i % 5) - 1;
    y[i] = 0.5;
  }
  for (int k = 0; k < 3; k++) {
    out[k] = array(most, sizeof **out);
  }
  double *const all[][5] = {[PG_VALUES] = {x, out[0]},
                            [PG_GRADIENT] = {x, y, out[0], out[1], out[2]},
                            [PG_TANGENTS] = {x, y, out[0], out[1]},
                            [PG_GRADIENT | PG_TANGENTS] = {x, y, out[0]}};
  MUST(r);
  const int status = pg_run(r, batch, all[wanted], 1);
  MUST(status == PG_OK || status == PG_STALE);
  pg_text_free(pg_routine_text(r));
  if (wanted <= PG_GRADIENT) {
    pg_text_free(pg_emit_c(1, &r, y, "f"));
  }
  pg_routine_free(r);
  free(x), free(y), free(out[0]), free(out[1]), free(out[2]);
}

void fuzz(void) {
  static pg_id leaves[2];
  if (!leaves[0]) {
    leaves[0] = (pg_id)pg_leaf(0.5, false), leaves[1] = (pg_id)pg_leaf(2, false);
  }
  pg_test_disable(byte() % 64);
  const pg_serialized s = read_arrays(leaves);
  const char *fault;
  pg_program *p = pg_program_deserialize(&s, &fault);
  pg_test_disable(0);
  MUST(!p == (fault != NULL));
  if (p) {
    must_come_apart(p, &s);
    pg_text_free(pg_program_text(p));
    const char *symbol;
    double numbers[3], inputs[9] = {0.5, 1, -1, 2, 0, 0.25, 3, 1, 1};
    for (int wanted = PG_VALUES; wanted <= (PG_GRADIENT | PG_TANGENTS); wanted++) {
      if (s.output_count == 1 || !(wanted & PG_GRADIENT)) {
        run(p, &s, wanted, false);
        run(p, &s, wanted, true);
      }
    }
    MUST(pg_find_not_finite(p, inputs, s.output_count == 1, &symbol, numbers) <= 3);
  }
  pg_program_free(p);
  free_arrays(&s);
  MUST_BE_SOUND();
}
