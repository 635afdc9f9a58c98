/* Each row of the op table, those of programs too: its vector kernel against its scalar function, in units in
 * the last place, for each instruction set and in batches that end anywhere in a tile. No op is named here.
 */
#include <stdio.h>

#include "program/program.h"
#include "routine/routine.h"
#include "test.h"

enum { TILE = PG_TILE, MOST = 2 * TILE + 1 };

/* How far the scalar function, of libm, and the kernel may be apart, in ulps. */
static const double ULPS = 8;

static const struct {
  const char *name;
  int op;
  bool binary, with_number;
} ROWS[] = {
#define PG_UNARY(name, ...) {#name, PG_##name, false, false},
#define PG_BINARY(name, ...) {#name, PG_##name, true, false},
#define PG_CONSTANT(name, ...) {#name, PG_##name, true, true},
#include "program/all_ops.def"
};

static bool within_ulps(double x, double y) {
  const double size = fabs(y);
  return x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= ULPS * (nextafter(size, INFINITY) - size);
}

/* x op y of inputs, as the table has it: nothing is simplified. A number y is a constant. */
static pg_program *one_op(size_t row, double y) {
  pg_program *p = pg_new_program(PG_REDUCTION);
  p->verbatim = true;
  p->inputs = 2;
  const pg_ref a = pg_emit_leaf(p, PG_INPUT, 0, 0, false);
  const pg_ref b = ROWS[row].with_number ? pg_emit_constant(p, y) : pg_emit_leaf(p, PG_INPUT, 1, 0, false);
  p->outputs = pg_resize(NULL, sizeof *p->outputs);
  p->outputs[0] = pg_emit(p, ROWS[row].op, a, ROWS[row].binary ? b : PG_NO_REF);
  p->output_count = 1;
  return p;
}

/* With x and y one a sample or, if shared, the first of each. */
static void check_row(size_t row, bool x_shared, bool y_shared, const double *x, const double *y,
                      double number) {
  static const size_t BATCHES[] = {1, 2, 3, 4, 5, 7, 8, 9, TILE - 1, TILE, TILE + 1, MOST - 2, MOST - 1, MOST};
  pg_program *p = one_op(row, number);
  pg_routine *r = pg_compile(p, 2, (size_t[]){1, 1}, (bool[]){!x_shared, !y_shared}, PG_VALUES);
  CHECK(r);
  for (size_t i = 0; i < COUNT(BATCHES); i++) {
    const size_t batch = x_shared && y_shared ? 1 : BATCHES[i];
    double z[MOST];
    REQUIRE(pg_run(r, batch, (double *const[]){(double *)x, (double *)y, z}, 1) == PG_OK);
    for (size_t s = 0; s < batch; s++) {
      const double a = x[x_shared ? 0 : s], b = ROWS[row].with_number ? number : y[y_shared ? 0 : s];
      const double expected = pg_compute(ROWS[row].op, a, b);
      if (!within_ulps(z[s], expected)) {
        fprintf(stderr, "the kernel of %s gives %.17g for (%.17g, %.17g), and the scalar function %.17g\n",
                ROWS[row].name, z[s], a, b, expected);
        REQUIRE(!"the kernel and the scalar function agree");
      }
    }
  }
  pg_routine_free(r);
  pg_program_free(p);
}

static const double EDGES[] = {
    0,        -0.0,      1,      -1, 0.5, -0.5, 5e-324, -5e-324, 1e-308, 2.2250738585072014e-308,
    1e154,    1e308,     -1e308, 2,  -2,  3,    -3,     2.5,     0.1,    -1e17,
    1e6,      710,       -746,   88, 20,  -20,  37,     -37,     -40,    -300,
    INFINITY, -INFINITY, NAN};

static void check_each_row(int which) {
  static const double NUMBERS[] = {2, -1, 3, 2.5, -0.5, 0};
  if (!pg_test_use_instruction_set(which)) {
    return; /* this machine has no such instructions */
  }
  uint64_t seed = 1;
  double x[MOST], y[MOST];
  for (size_t row = 0; row < COUNT(ROWS); row++) {
    for (unsigned k = 0; k < 4 * COUNT(NUMBERS); k++) {
      for (size_t s = 0; s < MOST; s++) {
        x[s] = random_below(&seed, 3) ? 4 * random_number(&seed) : EDGES[random_below(&seed, COUNT(EDGES))];
        y[s] = random_below(&seed, 3) ? 4 * random_number(&seed) : EDGES[random_below(&seed, COUNT(EDGES))];
      }
      check_row(row, k % 4 == 1 || k % 4 == 3, k % 4 == 2 || k % 4 == 3, x, y, NUMBERS[k / 4]);
    }
  }
}

TEST(each_row_of_the_op_table_in_baseline_kernels) { check_each_row(0); }
TEST(each_row_of_the_op_table_in_kernels_of_the_second_instruction_set) { check_each_row(1); }
TEST(each_row_of_the_op_table_in_kernels_of_the_third_instruction_set) { check_each_row(2); }
