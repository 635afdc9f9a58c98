/* The kernels of each op: side by side, all the same or apart; one for all or one a sample; few and many; and
 * at the edges of what a double is. Against the op table, as IEEE has it. */
#include "graph/arena.h"
#include "program/ieee.h"
#include "makers.h"
#include "test.h"

enum { N = 40, HALF = N / 2, MOST = 19, BATCH = 70 };

static const pg_lookups NO_LOOKUPS = {0};

static double value_of(int op, double x, double y) {
  switch (op) {
#define PG_UNARY(name, symbol, forward, adjoint_x)                                                             \
  case PG_##name:                                                                                              \
    return forward;
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_UNARY(name, symbol, forward, adjoint_x)
#include "ops.def"
  default:
    return NAN;
  }
}

/* The slopes by both operands. */
static void slopes_of(int op, double x, double y, double *by_x, double *by_y) {
  const double z = value_of(op, x, y), g = 1;
  *by_x = *by_y = 0;
  (void)z, (void)g;
  switch (op) {
#define PG_UNARY(name, symbol, forward, adjoint_x)                                                             \
  case PG_##name:                                                                                              \
    *by_x = adjoint_x;                                                                                         \
    break;
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y)                                                 \
  case PG_##name:                                                                                              \
    *by_x = adjoint_x;                                                                                         \
    *by_y = adjoint_y;                                                                                         \
    break;
#include "ops.def"
  default:
    break;
  }
}

/* What programs have ops of their own for. */
typedef struct {
  pg_id (*make)(pg_id x, pg_id y);
  double (*value)(double x, double y);
} composite;

static pg_id make_negative(pg_id x, pg_id y) {
  (void)y;
  return id_of(pg_make_MUL_number(x, -1, false));
}

static pg_id make_square(pg_id x, pg_id y) {
  (void)y;
  return id_of(pg_make_POWER(x, 2, true));
}

static pg_id make_reciprocal(pg_id x, pg_id y) {
  (void)y;
  return id_of(pg_make_POWER(x, -1, true));
}

static pg_id make_difference(pg_id x, pg_id y) {
  const pg_id negative = make_negative(y, 0), z = id_of(pg_make_ADD(x, negative));
  release(negative);
  return z;
}

static pg_id make_quotient(pg_id x, pg_id y) {
  const pg_id inverse = make_reciprocal(y, 0), z = id_of(pg_make_MUL(x, inverse));
  release(inverse);
  return z;
}

static double negative_of(double x, double y) { return (void)y, -x; }
static double square_of(double x, double y) { return (void)y, x * x; }
static double reciprocal_of(double x, double y) { return (void)y, 1 / x; }
static double difference_of(double x, double y) { return x - y; }
static double quotient_of(double x, double y) { return x / y; }

static const composite COMPOSITES[] = {
    {make_negative, negative_of},     {make_square, square_of},     {make_reciprocal, reciprocal_of},
    {make_difference, difference_of}, {make_quotient, quotient_of},
};

/* op(x[a_step * i], y[b_step * i]) for i below n, or a composite in place of the op. Each of x and y may be
 * inputs or parameters. */
typedef struct {
  const composite *composite;
  int op;
  uint32_t n, a_step, b_step;
  bool a_is_parameter, b_is_parameter, batched;
  double exponent;
} setting;

static const pg_id *parameters;

/* With one output, the sum of all, for the gradient; else all. */
static pg_program *record(const setting *s, bool sum, unsigned without) {
  pg_test_disable(without);
  const maker *m = &MAKERS[s->op - PG_LEAF - 1];
  pg_id inputs[N], made[MOST], sums[MOST];
  pg_trace trace;
  pg_trace_begin(&trace);
  for (int i = 0; i < N; i++) {
    inputs[i] = leaf(1.5);
  }
  for (uint32_t i = 0; i < s->n; i++) {
    const pg_id x = (s->a_is_parameter ? parameters : inputs)[s->a_step * i % HALF];
    const pg_id y = (s->b_is_parameter ? parameters : inputs)[HALF + s->b_step * i % HALF];
    made[i] = s->composite ? s->composite->make(x, y) : id_of(make_with(m, x, y, s->exponent));
    sums[i] = id_of(i ? pg_make_ADD(sums[i - 1], made[i]) : pg_make_ADD(made[0], made[0]));
  }
  int status;
  pg_program *p = pg_record(N, inputs, sum ? 1 : s->n, sum ? &sums[s->n - 1] : made, &NO_LOOKUPS, &status);
  pg_trace_end(&trace);
  pg_test_disable(0);
  for (uint32_t i = s->n; i-- > 0;) {
    release(sums[i]);
    release(made[i]);
  }
  pg_release_all(N, inputs);
  return p;
}

static double x_of(const setting *s, const double *in, const double *w, uint32_t i) {
  return (s->a_is_parameter ? w : in)[s->a_step * i % HALF];
}

static double y_of(const setting *s, const double *in, const double *w, uint32_t i) {
  const maker *m = &MAKERS[s->op - PG_LEAF - 1];
  return m->constant ? s->exponent : (s->b_is_parameter ? w : in)[HALF + s->b_step * i % HALF];
}

static void check_values(const setting *s, const double *in, const double *w, unsigned without) {
  pg_program *p = record(s, false, without);
  pg_routine *r = pg_compile(p, 1, (size_t[]){N}, (bool[]){s->batched}, PG_VALUES);
  static double z[BATCH * MOST];
  const size_t batch = s->batched ? BATCH : 1;
  CHECK(r && pg_run(r, batch, (double *const[]){(double *)in, z}, 1) == PG_OK);
  for (size_t sample = 0; sample < batch; sample++) {
    for (uint32_t i = 0; i < s->n; i++) {
      const double x = x_of(s, in + sample * N, w, i), y = y_of(s, in + sample * N, w, i);
      const double expected = s->composite ? s->composite->value(x, y) : value_of(s->op, x, y);
      REQUIRE(near(z[sample * s->n + i], expected, 1e-15));
    }
  }
  pg_routine_free(r);
  pg_program_free(p);
}

static void check_gradient(const setting *s, const double *in, const double *w, unsigned without) {
  pg_program *p = record(s, true, without);
  pg_routine *r = pg_compile(p, 1, (size_t[]){N}, (bool[]){s->batched, s->batched}, PG_GRADIENT);
  static double z[BATCH], cotangent[BATCH], by_in[BATCH * N], by_w[N], expected[BATCH * N];
  const size_t batch = s->batched ? BATCH : 1;
  for (size_t sample = 0; sample < batch; sample++) {
    cotangent[sample] = 1;
  }
  CHECK(r && pg_run(r, batch, (double *const[]){(double *)in, cotangent, z, by_in, by_w}, 1) == PG_OK);
  memset(expected, 0, sizeof expected);
  for (size_t sample = 0; sample < batch; sample++) {
    double *to = expected + sample * N;
    for (uint32_t i = 0; i < s->n; i++) {
      double by_x, by_y;
      slopes_of(s->op, x_of(s, in + sample * N, w, i), y_of(s, in + sample * N, w, i), &by_x, &by_y);
      to[s->a_step * i % HALF] += s->a_is_parameter ? 0 : (i ? 1 : 2) * by_x;
      to[HALF + s->b_step * i % HALF] += s->b_is_parameter ? 0 : (i ? 1 : 2) * by_y;
    }
  }
  for (size_t i = 0; i < batch * N; i++) {
    REQUIRE(near(by_in[i], expected[i], 1e-13));
  }
  pg_routine_free(r);
  pg_program_free(p);
}

static const double EDGES[] = {
    0,     -0.0,  1,        -1,        0.5, 5e-324, -5e-324, 1e-308, 2.2250738585072014e-308,
    1e154, 1e308, -1e308,   2,         -3,  2.5,    -0.5,    1e6,    -1e17,
    710,   -746,  INFINITY, -INFINITY, NAN, 0.1,    88};

static void check_each_setting(int which) {
  static const uint32_t SIZES[] = {1, 5, MOST}, STEPS[][2] = {{1, 1}, {1, 0}, {0, 1}, {2, 1}, {0, 0}};
  static const double EXPONENTS[] = {2.5, 3, -1, -0.5, 0};
  static double moderate[BATCH * N], edges[BATCH * N];
  if (!pg_test_use_instruction_set(which)) {
    return; /* this machine has no such instructions */
  }
  uint64_t seed = 1;
  pg_id w[N];
  double of_w[N];
  for (int i = 0; i < N; i++) {
    w[i] = leaf(of_w[i] = 1.5 + random_number(&seed));
  }
  parameters = w;
  for (int i = 0; i < BATCH * N; i++) {
    moderate[i] = 1.5 + random_number(&seed);
    edges[i] = EDGES[random_below(&seed, COUNT(EDGES))];
  }
  const unsigned plain = PG_DOTS | PG_REDUCTION;
  for (unsigned k = 0; k < COUNT(STEPS) * COUNT(SIZES) * 6; k++) {
    const unsigned size = k / 6 % COUNT(SIZES), steps = k / 6 / COUNT(SIZES);
    setting s = {.n = SIZES[size],
                 .a_step = STEPS[steps][0],
                 .b_step = STEPS[steps][1],
                 .batched = k % 2,
                 .a_is_parameter = k / 2 % 3 == 1,
                 .b_is_parameter = k / 2 % 3 == 2,
                 .exponent = EXPONENTS[k % COUNT(EXPONENTS)]};
    for (s.op = PG_LEAF + 1; s.op < PG_CUSTOM; s.op++) {
      check_values(&s, edges, of_w, plain);
      check_gradient(&s, moderate, of_w, k % 4 < 2 ? plain : PG_SHARING);
    }
    s.op = PG_ADD; /* for what takes two numbers */
    for (size_t c = 0; c < COUNT(COMPOSITES); c++) {
      s.composite = &COMPOSITES[c];
      check_values(&s, edges, of_w, PG_DOTS);
    }
  }
  pg_release_all(N, w);
}

TEST(each_op_in_each_setting_in_baseline_kernels) { check_each_setting(0); }
TEST(each_op_in_each_setting_in_kernels_of_the_second_instruction_set) { check_each_setting(1); }
TEST(each_op_in_each_setting_in_kernels_of_the_third_instruction_set) { check_each_setting(2); }

/* Dot products: z[i] = init[i] + sum over t of a[i, t] * b[i, t], with what lies side by side along i, or along
 * t. */
static void check_dots(int which) {
  enum { TERMS = 19, RESULTS = 21 };
  static double in[BATCH * TERMS], z[BATCH * RESULTS];
  if (!pg_test_use_instruction_set(which)) {
    return;
  }
  uint64_t seed = 2;
  pg_id w[TERMS * RESULTS + RESULTS];
  for (size_t i = 0; i < COUNT(w); i++) {
    w[i] = leaf(random_number(&seed));
  }
  for (size_t i = 0; i < COUNT(in); i++) {
    in[i] = random_number(&seed);
  }
  for (int way = 0; way < 8; way++) {
    const bool batched = way & 1, across = way & 2, with_init = way & 4;
    pg_trace trace;
    pg_trace_begin(&trace);
    const pg_id first = id_of(pg_leaves(TERMS, in));
    pg_id x[TERMS], out[RESULTS];
    for (pg_id i = 0; i < TERMS; i++) {
      x[i] = first + i;
    }
    const size_t row = across ? 1 : TERMS, column = across ? RESULTS : 1;
    const pg_id *bias = with_init ? w + (ptrdiff_t)TERMS * RESULTS : NULL;
    CHECK(pg_matmul(1, TERMS, RESULTS, x, TERMS, 1, w, column, row, bias, out) == PG_OK);
    int status;
    pg_program *p = pg_record(TERMS, x, RESULTS, out, &NO_LOOKUPS, &status);
    pg_trace_end(&trace);
    pg_routine *r = pg_compile(p, 1, (size_t[]){TERMS}, (bool[]){batched}, PG_VALUES);
    const size_t batch = batched ? BATCH : 1;
    CHECK(r && pg_run(r, batch, (double *const[]){in, z}, 1) == PG_OK);
    for (size_t i = 0; i < batch * RESULTS; i++) {
      double sum = bias ? pg_data(bias[i % RESULTS]) : 0;
      for (size_t t = 0; t < TERMS; t++) {
        sum += in[i / RESULTS * TERMS + t] * pg_data(w[i % RESULTS * row + t * column]);
      }
      REQUIRE(near(z[i], sum, 1e-14));
    }
    pg_routine_free(r);
    pg_program_free(p);
    pg_release_all(RESULTS, out);
    pg_release_all(TERMS, x);
  }
  pg_release_all(COUNT(w), w);
}

TEST(dot_products_in_baseline_kernels) { check_dots(0); }
TEST(dot_products_in_kernels_of_the_second_instruction_set) { check_dots(1); }
TEST(dot_products_in_kernels_of_the_third_instruction_set) { check_dots(2); }

/* Totals over the batch of products of which both factors, or one or the other, are one a sample:
 * z = (x[0] + w) * v + (x[1] + w) * u, times a cotangent that may be one for all. Where x is detached, nothing
 * but the totals needs the products. */
static void check_totals(int which, bool detached) {
  if (!pg_test_use_instruction_set(which)) {
    return;
  }
  const pg_id w = leaf(0.5), v = leaf(3), u = leaf(-2);
  pg_trace trace;
  pg_trace_begin(&trace);
  const pg_id x[2] = {leaf(1), leaf(2)}, y[2] = {id_of(pg_make_DETACH(x[0])), id_of(pg_make_DETACH(x[1]))};
  const pg_id a = id_of(pg_make_ADD((detached ? y : x)[0], w)),
              b = id_of(pg_make_ADD((detached ? y : x)[1], w));
  const pg_id c = id_of(pg_make_MUL(a, v)), d = id_of(pg_make_MUL(b, u)), z = id_of(pg_make_ADD(c, d));
  int status;
  pg_program *p = pg_record(2, x, 1, &z, &NO_LOOKUPS, &status);
  pg_trace_end(&trace);
  pg_id order[3]; /* of the parameters */
  CHECK(p && pg_program_parameters(p, order) == 3);
  static double in[2 * BATCH], cotangent[BATCH], values[BATCH], by_x[2 * BATCH], by_parameters[3];
  for (size_t batch = 1; batch <= BATCH; batch += 3) {
    for (int shared = 0; shared < 2; shared++) {
      double expected[3] = {0};
      for (size_t s = 0; s < batch; s++) {
        in[2 * s] = (double)s, in[2 * s + 1] = 1 - (double)s;
        cotangent[s] = shared ? 2 : (double)(s % 7);
        const double g = cotangent[shared ? 0 : s];
        expected[0] += (3 - 2) * g, expected[1] += (in[2 * s] + 0.5) * g,
            expected[2] += (in[2 * s + 1] + 0.5) * g;
      }
      pg_routine *r = pg_compile(p, 1, (size_t[]){2}, (bool[]){true, !shared}, PG_GRADIENT);
      CHECK(r && pg_run(r, batch, (double *const[]){in, cotangent, values, by_x, by_parameters}, 1) == PG_OK);
      for (int i = 0; i < 3; i++) {
        REQUIRE(near(by_parameters[i], expected[order[i] == w ? 0 : order[i] == v ? 1 : 2], 1e-13));
      }
      REQUIRE(near(by_x[2 * (batch - 1)], detached ? 0 : 3 * cotangent[batch - 1], 1e-13));
      pg_routine_free(r);
    }
  }
  pg_program_free(p);
  release(z), release(d), release(c), release(b), release(a);
  release(y[0]), release(y[1]), release(x[0]), release(x[1]);
  release(w), release(v), release(u);
}

TEST(totals_in_baseline_kernels) { check_totals(0, false), check_totals(0, true); }
TEST(totals_in_kernels_of_the_second_instruction_set) { check_totals(1, false), check_totals(1, true); }
TEST(totals_in_kernels_of_the_third_instruction_set) { check_totals(2, false), check_totals(2, true); }
