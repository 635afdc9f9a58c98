/* Tests of serialize.c, emit_c.c and emit_native.c: programs as arrays, which are read back, and as C source.
 */
#include "program/program.h"
#include "makers.h"
#include "test.h"

/* x * w + (table[index] + other[index]) * 0.1, then something of each op. */
typedef struct {
  pg_id leaves[4], made[64];
  size_t count;
  pg_program *program;
} recorded;

static pg_id keep(recorded *r, pg_made made) { return r->made[r->count++] = id_of(made); }

static recorded record(void) {
  recorded r = {.leaves = {leaf(1.5), leaf(0.5), leaf(2), leaf(NAN)}};
  pg_trace trace;
  pg_trace_begin(&trace);
  const pg_id x = keep(&r, pg_leaf(1.25, false)), c = keep(&r, pg_leaf(0.1, false));
  const pg_id nodes[] = {keep(&r, pg_make_DETACH(r.leaves[1])), keep(&r, pg_make_DETACH(r.leaves[2]))};
  const pg_id found = keep(&r, pg_make_ADD(nodes[0], nodes[1]));
  pg_id z = keep(&r, pg_make_ADD(keep(&r, pg_make_MUL(x, r.leaves[0])), keep(&r, pg_make_MUL(found, c))));
  for (size_t i = 0; i < COUNT(MAKERS); i++) {
    z = keep(&r, pg_make_ADD(z, keep(&r, make_with(&MAKERS[i], x, r.leaves[0], 2.5))));
  }
  const uint32_t indices[] = {1, 1}, tables[] = {0, 1}, rows[] = {2, 3};
  const pg_id elements[] = {r.leaves[1], r.leaves[2], r.leaves[0], r.leaves[1], r.leaves[3]};
  const pg_lookups lookups = {2, nodes, indices, tables, 2, rows, elements};
  r.program = pg_record(2, (pg_id[]){x, 0}, 1, &z, &lookups, &(int){0});
  pg_trace_end(&trace);
  REQUIRE(r.program != NULL);
  return r;
}

static void drop(recorded *r) {
  pg_program_free(r->program);
  while (r->count) {
    release(r->made[--r->count]);
  }
  pg_release_all(COUNT(r->leaves), r->leaves);
}

enum { MOST = 128 };

/* Parts with room for all. */
typedef struct {
  pg_serialized arrays;
  uint8_t ops[MOST];
  uint32_t a[MOST], b[MOST], outputs[4], rows[4], elements[8];
  double constants[MOST];
  pg_id parameters[8];
} taken_apart;

static void take_apart(const pg_program *p, taken_apart *t) {
  t->arrays = (pg_serialized){.ops = t->ops,
                              .a = t->a,
                              .b = t->b,
                              .constants = t->constants,
                              .parameters = t->parameters,
                              .outputs = t->outputs,
                              .rows = t->rows,
                              .elements = t->elements};
  pg_program_serialize(p, &t->arrays);
  REQUIRE(t->arrays.instruction_count <= MOST);
}

static double run(const pg_program *p) {
  pg_routine *r = pg_compile(p, 1, (size_t[]){2}, (bool[]){false}, PG_VALUES);
  double z = 0;
  CHECK(r && pg_run(r, 1, (double *const[]){(double[]){0.75, 1}, &z}, 1) == PG_OK);
  pg_routine_free(r);
  return z;
}

TEST(a_deserialized_program_is_the_same) {
  recorded r = record();
  taken_apart t, again;
  pg_serialized counts = {0};
  pg_program_serialize(r.program, &counts);
  take_apart(r.program, &t);
  CHECK(counts.instruction_count == t.arrays.instruction_count && counts.element_count == 5);
  const char *fault = "none was looked for";
  pg_program *p = pg_program_deserialize(&t.arrays, &fault);
  CHECK(p && !fault && same(run(p), run(r.program)));
  take_apart(p, &again);
  const size_t n = t.arrays.instruction_count;
  CHECK(memcmp(t.ops, again.ops, n) == 0 && memcmp(t.a, again.a, n * sizeof *t.a) == 0);
  CHECK(memcmp(t.b, again.b, n * sizeof *t.b) == 0 && t.outputs[0] == again.outputs[0]);
  CHECK(memcmp(t.constants, again.constants, t.arrays.constant_count * sizeof *t.constants) == 0);
  CHECK(memcmp(t.rows, again.rows, 2 * sizeof *t.rows) == 0);
  CHECK(memcmp(t.elements, again.elements, 5 * sizeof *t.elements) == 0);
  CHECK(memcmp(t.parameters, again.parameters, t.arrays.parameter_count * sizeof *t.parameters) == 0);
  pg_program_free(p);
  drop(&r);
}

/* The first number that operand a of an instruction cannot have. */
static uint32_t first_beyond(const taken_apart *t, size_t i) {
  switch (t->ops[i]) {
  case PG_INPUT:
    return (uint32_t)t->arrays.input_count;
  case PG_PARAMETER:
    return (uint32_t)t->arrays.parameter_count;
  case PG_CONSTANT:
    return 0;
  default:
    return (uint32_t)i;
  }
}

TEST(arrays_that_no_program_has_are_refused) {
  recorded r = record();
  taken_apart t;
  take_apart(r.program, &t);
  const size_t n = t.arrays.instruction_count;
#define REFUSED_WITH(place, wrong)                                                                             \
  do {                                                                                                         \
    const __typeof__(place) before = place;                                                                    \
    const char *fault = NULL;                                                                                  \
    place = (wrong);                                                                                           \
    pg_program *p = pg_program_deserialize(&t.arrays, &fault);                                                 \
    place = before;                                                                                            \
    check(!p && fault, "refused: " #place " = " #wrong, __FILE__, __LINE__);                                   \
  } while (0)
  const size_t too_many = (size_t)PG_MAX_INSTRUCTIONS + 1;
  REFUSED_WITH(t.arrays.instruction_count, too_many);
  REFUSED_WITH(t.arrays.input_count, too_many);
  REFUSED_WITH(t.arrays.parameter_count, too_many);
  REFUSED_WITH(t.arrays.output_count, too_many);
  REFUSED_WITH(t.arrays.table_count, too_many);
  REFUSED_WITH(t.arrays.element_count, too_many);
  REFUSED_WITH(t.arrays.constant_count, t.arrays.constant_count + 1);
  REFUSED_WITH(t.arrays.input_count, 1);
  REFUSED_WITH(t.arrays.parameter_count, 1);
  REFUSED_WITH(t.arrays.table_count, 0);
  REFUSED_WITH(t.arrays.table_count, 1);
  REFUSED_WITH(t.arrays.element_count, 4);
  REFUSED_WITH(t.arrays.element_count, 6);
  REFUSED_WITH(t.rows[0], 0);
  REFUSED_WITH(t.rows[0], 3);
  REFUSED_WITH(t.rows[1], 0);
  REFUSED_WITH(t.rows[1], 2);
  REFUSED_WITH(t.rows[1], 4);
  REFUSED_WITH(t.rows[1], UINT32_MAX);
  REFUSED_WITH(t.elements[0], (uint32_t)n);
  REFUSED_WITH(t.elements[1], (uint32_t)n - 1);
  REFUSED_WITH(t.outputs[0], (uint32_t)n);
  for (size_t i = 0; i < n; i++) {
    REFUSED_WITH(t.ops[i], PG_INSTRUCTIONS);
    REFUSED_WITH(t.ops[i], PG_LEAF);
    REFUSED_WITH(t.ops[i], PG_SCATTER);
    REFUSED_WITH(t.a[i], (uint32_t)n);
    REFUSED_WITH(t.a[i], first_beyond(&t, i));
    if (t.ops[i] == PG_LOOKUP) {
      REFUSED_WITH(t.b[i], 2);
      REFUSED_WITH(t.a[i], t.elements[0]);                         /* an instruction, but no input */
      for (size_t k = t.b[i] ? 2 : 0; k < (t.b[i] ? 5 : 2); k++) { /* of its table */
        REFUSED_WITH(t.elements[k], (uint32_t)i);
      }
    } else if (t.b[i] != UINT32_MAX) {
      REFUSED_WITH(t.b[i], (uint32_t)i);
    }
    if (t.ops[i] == PG_POWER) {
      REFUSED_WITH(t.b[i], t.a[i]); /* an instruction, but no constant */
    }
    REFUSED_WITH(t.b[i], t.b[i] == UINT32_MAX ? 0 : UINT32_MAX);
  }
#undef REFUSED_WITH
  drop(&r);
}

TEST(only_recorded_ops_have_names) {
  CHECK(strcmp(pg_recorded_name(PG_ADD), "ADD") == 0 && strcmp(pg_recorded_name(PG_LOOKUP), "LOOKUP") == 0);
  CHECK(!pg_recorded_name(-1) && !pg_recorded_name(PG_INSTRUCTIONS) && !pg_recorded_name(PG_SCATTER));
}

TEST(deserializing_may_run_out_of_memory) {
  recorded r = record();
  taken_apart t;
  take_apart(r.program, &t);
  pg_program *p = NULL;
  for (int64_t successes = 0; !p; successes++) {
    const int64_t before = allocated();
    const char *fault = "";
    pg_test_fail_allocations(successes);
    p = pg_program_deserialize(&t.arrays, &fault);
    pg_test_fail_allocations(-1);
    CHECK(!fault && (p || allocated() == before) && (p || successes < 7));
  }
  pg_program_free(p);
  drop(&r);
}

TEST(a_program_is_written_as_c) {
  recorded r = record();
  const int64_t before = allocated();
  enum { KINDS = 4 };
  pg_routine *routines[KINDS];
  const double parameters[] = {1.5, INFINITY, -INFINITY, NAN, -0.0, 0.1, 1e300, -5e-324};
  for (int k = 0; k < KINDS; k++) {
    const bool batched = k >= 2;
    const int wanted = k % 2 ? PG_GRADIENT : PG_VALUES;
    routines[k] = pg_compile(r.program, 1, (size_t[]){2}, (bool[]){batched, batched}, wanted | PG_NATIVE);
  }
  char *text = NULL;
  for (int64_t successes = 0; !text; successes++) {
    pg_test_fail_allocations(successes);
    text = pg_emit_c(KINDS, routines, parameters, "f"); /* the masked routines that it has made stay */
    pg_test_fail_allocations(-1);
    CHECK(successes < 1000);
  }
  CHECK(strstr(text, "void f_value(") && strstr(text, "void f_gradient_batch(") && !strstr(text, "pg_") &&
        strstr(text, "INFINITY"));
  pg_text_free(text);
  for (int k = 0; k < KINDS; k++) {
    pg_routine_free(routines[k]);
  }
  CHECK(allocated() == before);
  drop(&r);
}

TEST(native_code_is_written_in_any_memory) {
  recorded r = record();
  for (int batched = 0; batched < 2; batched++) {
    pg_routine *routine = NULL;
    char *text = NULL;
    for (int64_t successes = 0; !text; successes++) {
      const int64_t before = allocated();
      pg_test_fail_allocations(successes);
      routine = pg_compile(r.program, 1, (size_t[]){2}, (bool[]){batched, batched}, PG_GRADIENT | PG_NATIVE);
      text = routine ? pg_emit_native(routine) : NULL;
      pg_test_fail_allocations(-1);
      if (!text) {
        pg_routine_free(routine);
      }
      CHECK((text || allocated() == before) && successes < 200);
    }
    CHECK(strstr(text, "void pygrad_run(") && strstr(text, batched ? "PG_VECTORS" : "arrays[0]"));
    pg_text_free(text);
    pg_routine_free(routine);
  }
  drop(&r);
}

TEST(a_run_that_is_told_to_stop_stops) {
  recorded r = record();
  pg_routine *routine = pg_compile(r.program, 1, (size_t[]){2}, (bool[]){true}, PG_VALUES);
  double x[200] = {0}, z[100];
  bool stop = false;
  CHECK(pg_run_until(routine, 100, (double *const[]){x, z}, 2, &stop) == PG_OK);
  pg_stop(&stop);
  CHECK(pg_run_until(routine, 100, (double *const[]){x, z}, 2, &stop) == PG_STOPPED);
  CHECK(pg_long_batch(routine, 1e9) > pg_long_batch(routine, 1e6) && pg_long_batch(routine, -1e9) == 0);
  pg_routine_free(routine);
  drop(&r);
}
