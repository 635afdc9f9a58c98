/* Tests of bulk.c and many.c: each bulk builder against the scalar loop that pygrad.h gives for it. */
#include "graph/arena.h"
#include "makers.h"
#include "test.h"

enum { ROWS = 3, N = 7, SIZE = ROWS * N };

/* Leaves for both sides; some of b are also in a. */
typedef struct {
  pg_id a[SIZE], b[SIZE], columns[N], bias[ROWS];
} operands;

static operands make_operands(void) {
  uint64_t seed = 5;
  operands o;
  for (int i = 0; i < SIZE; i++) {
    o.a[i] = leaf(1.5 + random_number(&seed));
    o.b[i] = i % 5 ? leaf(1.5 + random_number(&seed)) : o.a[i];
    REQUIRE(i % 5 || pg_hold(o.b[i]) == PG_OK);
  }
  for (int i = 0; i < N; i++) {
    o.columns[i] = leaf(random_number(&seed));
  }
  for (int i = 0; i < ROWS; i++) {
    o.bias[i] = leaf(random_number(&seed));
  }
  return o;
}

static void drop_operands(const operands *o) {
  pg_release_all(SIZE, o->a);
  pg_release_all(SIZE, o->b);
  pg_release_all(N, o->columns);
  pg_release_all(ROWS, o->bias);
}

static void clear_grads(const operands *o) {
  CHECK(pg_fill(PG_GRAD, SIZE, o->a, 0) == PG_OK && pg_fill(PG_GRAD, SIZE, o->b, 0) == PG_OK);
  CHECK(pg_fill(PG_GRAD, N, o->columns, 0) == PG_OK && pg_fill(PG_GRAD, ROWS, o->bias, 0) == PG_OK);
}

/* The weighted sum of the results, so that a change in any of them shows; then backward. */
static double backward_through(size_t n, const pg_id *results) {
  pg_id total = leaf(0);
  for (size_t i = 0; i < n; i++) {
    const pg_id part = id_of(pg_make_MUL_number(results[i], 1 + (double)i / 8, false)),
                sum = id_of(pg_make_ADD(total, part));
    release(total);
    release(part);
    total = sum;
  }
  CHECK(backward(total) == PG_OK);
  const double data = pg_data(total);
  release(total);
  return data;
}

/* The scalar loops: nodes made one by one. */

static pg_id op1(const char *name, pg_id a) {
  for (size_t i = 0; i < COUNT(MAKERS); i++) {
    if (strcmp(MAKERS[i].name, name) == 0) {
      return id_of(MAKERS[i].unary(a));
    }
  }
  abort();
}

static pg_id and_drop(pg_made made, pg_id x, pg_id y) {
  const pg_id id = id_of(made);
  release(x);
  if (y) {
    release(y);
  }
  return id;
}

static pg_id minus(pg_id a) { return id_of(pg_make_MUL_number(a, -1, false)); }

static pg_id subtract(pg_id a, pg_id b) {
  const pg_id negative = minus(b);
  return and_drop(pg_make_ADD(a, negative), negative, 0);
}

static pg_id inverse(pg_id a) { return id_of(pg_make_POWER(a, -1, true)); }

static pg_id sum_of(size_t n, const pg_id *x) {
  pg_id sum = n ? id_of(pg_make_ADD_number(x[0], 0, false)) : leaf(0);
  for (size_t i = 1; i < n; i++) {
    sum = and_drop(pg_make_ADD(sum, x[i]), sum, 0);
  }
  return sum;
}

/* Compares results, and the gradients through them, with those of the loop, bit for bit; and drops both. */
static void compare(const operands *o, size_t n, const pg_id *ours, const pg_id *loops) {
  double totals[2], grads[2][2 * SIZE + N + ROWS];
  for (int pass = 0; pass < 2; pass++) {
    double *to = grads[pass];
    clear_grads(o);
    totals[pass] = backward_through(n, pass ? loops : ours);
    CHECK(pg_read(PG_GRAD, SIZE, o->a, to) == PG_OK && pg_read(PG_GRAD, SIZE, o->b, to + SIZE) == PG_OK);
    CHECK(pg_read(PG_GRAD, N, o->columns, to + 2 * SIZE) == PG_OK);
    CHECK(pg_read(PG_GRAD, ROWS, o->bias, to + 2 * SIZE + N) == PG_OK);
  }
  CHECK(same(totals[0], totals[1]) && memcmp(grads[0], grads[1], sizeof grads[0]) == 0);
  for (size_t i = 0; i < n; i++) {
    REQUIRE(same(pg_data(ours[i]), pg_data(loops[i])) && pg_op(ours[i]) == pg_op(loops[i]));
  }
  CHECK(pg_release_all(n, ours) == PG_OK);
  for (size_t i = 0; i < n; i++) {
    release(loops[i]);
  }
}

TEST(maps_of_the_op_table_build_the_loops_graph) {
  const operands o = make_operands();
  pg_id ours[SIZE], loops[SIZE];
  for (size_t k = 0; k < COUNT(MAKERS); k++) {
    const maker *m = &MAKERS[k];
    const int op = PG_LEAF + 1 + (int)k;
    CHECK(strcmp(pg_op_name(op), m->name) == 0);
    CHECK((m->unary    ? pg_map_unary(op, SIZE, o.a, ours)
           : m->binary ? pg_map_binary(op, SIZE, o.a, o.b, ours)
                       : pg_map_number(op, SIZE, o.a, 2, true, ours)) == PG_OK);
    for (int i = 0; i < SIZE; i++) {
      loops[i] = id_of(make_with(m, o.a[i], o.b[i], 2));
    }
    compare(&o, SIZE, ours, loops);
    if (m->number) {
      CHECK(pg_map_number(op, SIZE, o.a, 1.25, false, ours) == PG_OK);
      for (int i = 0; i < SIZE; i++) {
        loops[i] = id_of(m->number(o.a[i], 1.25, false));
      }
      compare(&o, SIZE, ours, loops);
    }
  }
  drop_operands(&o);
}

TEST(maps_made_of_two_ops_build_the_loops_graph) {
  const operands o = make_operands();
  pg_id ours[SIZE], loops[SIZE];
  CHECK(pg_map_binary(PG_SUBTRACT, SIZE, o.a, o.b, ours) == PG_OK);
  for (int i = 0; i < SIZE; i++) {
    loops[i] = subtract(o.a[i], o.b[i]);
  }
  compare(&o, SIZE, ours, loops);
  CHECK(pg_map_binary(PG_DIVIDE, SIZE, o.a, o.b, ours) == PG_OK);
  for (int i = 0; i < SIZE; i++) {
    const pg_id over = inverse(o.b[i]);
    loops[i] = and_drop(pg_make_MUL(o.a[i], over), over, 0);
  }
  compare(&o, SIZE, ours, loops);
  CHECK(pg_map_number(PG_SUBTRACT_FROM, SIZE, o.a, 3, false, ours) == PG_OK);
  for (int i = 0; i < SIZE; i++) {
    const pg_id negative = minus(o.a[i]);
    loops[i] = and_drop(pg_make_ADD_number(negative, 3, false), negative, 0);
  }
  compare(&o, SIZE, ours, loops);
  CHECK(pg_map_number(PG_DIVIDE_INTO, SIZE, o.a, 3, false, ours) == PG_OK);
  for (int i = 0; i < SIZE; i++) {
    const pg_id over = inverse(o.a[i]);
    loops[i] = and_drop(pg_make_MUL_number(over, 3, false), over, 0);
  }
  compare(&o, SIZE, ours, loops);
  drop_operands(&o);
}

TEST(reductions_build_the_loops_graph) {
  const operands o = make_operands();
  pg_id ours[ROWS], loops[ROWS];
  const int ops[] = {PG_ADD, PG_MUL, PG_MAXIMUM, PG_MINIMUM};
  for (size_t k = 0; k < COUNT(ops); k++) {
    CHECK(pg_reduce(ops[k], ROWS, N, o.a, ours) == PG_OK);
    for (int row = 0; row < ROWS; row++) {
      const pg_id *x = o.a + (ptrdiff_t)row * N;
      pg_id z = ops[k] == PG_ADD   ? sum_of(1, x)
                : ops[k] == PG_MUL ? id_of(pg_make_MUL_number(x[0], 1, false))
                                   : x[0];
      REQUIRE(z != x[0] || pg_hold(z) == PG_OK);
      for (int i = 1; i < N; i++) {
        const maker *m = &MAKERS[ops[k] - PG_LEAF - 1];
        z = and_drop(m->binary(z, x[i]), z, 0);
      }
      loops[row] = z;
    }
    compare(&o, ROWS, ours, loops);
    CHECK(pg_reduce(ops[k], ROWS, 0, o.a, ours) == PG_OK); /* of empty rows */
    CHECK(pg_data(ours[0]) == (ops[k] == PG_MUL));
    CHECK(pg_release_all(ROWS, ours) == PG_OK);
  }
  pg_id maxima[SIZE]; /* the maximum of one node is that node, held once more */
  CHECK(pg_reduce(PG_MAXIMUM, SIZE, 1, o.a, maxima) == PG_OK);
  CHECK(maxima[3] == o.a[3] && pg_refs(o.a[3]) == 2 && pg_release_all(SIZE, maxima) == PG_OK);
  drop_operands(&o);
}

TEST(matmul_builds_the_loops_graph) {
  const operands o = make_operands();
  pg_id ours[ROWS * ROWS], loops[ROWS * ROWS];
  for (int with_bias = 0; with_bias < 2; with_bias++) {
    for (size_t n = 0; n <= N; n += N) { /* a is (ROWS, N), b is a transposed (ROWS, N) */
      CHECK(pg_matmul(ROWS, n, ROWS, o.a, N, 1, o.b, 1, N, with_bias ? o.bias : NULL, ours) == PG_OK);
      for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < ROWS; j++) {
          pg_id sum = 0;
          if (with_bias) {
            sum = o.bias[j];
            pg_hold(sum);
          }
          for (size_t k = 0; k < n; k++) {
            const pg_id term = id_of(pg_make_MUL(o.a[i * N + k], o.b[j * N + k]));
            sum = sum ? and_drop(pg_make_ADD(sum, term), sum, term)
                      : and_drop(pg_make_ADD_number(term, 0, false), term, 0);
          }
          loops[i * ROWS + j] = sum ? sum : leaf(0);
        }
      }
      compare(&o, ROWS * ROWS, ours, loops);
    }
  }
  drop_operands(&o);
}

/* x - max(x), and the sum of the exps. */
static pg_id shift_row(const pg_id *x, pg_id *shifted, pg_id *exps) {
  double most = pg_data(x[0]);
  for (int i = 1; i < N; i++) {
    most = pg_data(x[i]) > most ? pg_data(x[i]) : most;
  }
  for (int i = 0; i < N; i++) {
    shifted[i] = id_of(pg_make_ADD_number(x[i], -most, false));
    exps[i] = op1("EXP", shifted[i]);
  }
  return sum_of(N, exps);
}

TEST(rows_of_probabilities_build_the_loops_graph) {
  const operands o = make_operands();
  pg_id ours[SIZE], loops[SIZE], scratch[N], shifted[N], exps[N];
  const uint32_t targets[ROWS] = {0, 3, N - 1};
  CHECK(pg_softmax(ROWS, N, o.a, ours) == PG_OK);
  for (int row = 0; row < ROWS; row++) {
    const pg_id sum = shift_row(o.a + (ptrdiff_t)row * N, shifted, exps), over = inverse(sum);
    for (int i = 0; i < N; i++) {
      loops[row * N + i] = and_drop(pg_make_MUL(exps[i], over), exps[i], shifted[i]);
    }
    release(over);
    release(sum);
  }
  compare(&o, SIZE, ours, loops);

  CHECK(pg_log_softmax(ROWS, N, o.a, ours) == PG_OK);
  for (int row = 0; row < ROWS; row++) {
    const pg_id sum = shift_row(o.a + (ptrdiff_t)row * N, shifted, exps), log = op1("LOG", sum),
                negative = minus(log);
    for (int i = 0; i < N; i++) {
      loops[row * N + i] = and_drop(pg_make_ADD(shifted[i], negative), shifted[i], exps[i]);
    }
    release(negative);
    release(log);
    release(sum);
  }
  compare(&o, SIZE, ours, loops);

  CHECK(pg_cross_entropy(ROWS, N, o.a, targets, scratch, ours) == PG_OK);
  for (int row = 0; row < ROWS; row++) {
    const pg_id sum = shift_row(o.a + (ptrdiff_t)row * N, shifted, exps), log = op1("LOG", sum);
    loops[row] = subtract(log, shifted[targets[row]]);
    for (int i = 0; i < N; i++) {
      release(shifted[i]);
      release(exps[i]);
    }
    release(log);
    release(sum);
  }
  compare(&o, ROWS, ours, loops);

  for (int weighted = 0; weighted < 2; weighted++) {
    CHECK(pg_rms_norm(ROWS, N, o.a, weighted ? o.columns : NULL, 1e-3, ours) == PG_OK);
    for (int row = 0; row < ROWS; row++) {
      const pg_id *x = o.a + (ptrdiff_t)row * N;
      for (int i = 0; i < N; i++) {
        shifted[i] = id_of(pg_make_MUL(x[i], x[i]));
      }
      pg_id scale = sum_of(N, shifted);
      scale = and_drop(pg_make_MUL_number(scale, 1.0 / N, false), scale, 0);
      scale = and_drop(pg_make_ADD_number(scale, 1e-3, false), scale, 0);
      scale = and_drop(pg_make_POWER(scale, -0.5, false), scale, 0);
      for (int i = 0; i < N; i++) {
        release(shifted[i]);
        pg_id scaled = id_of(pg_make_MUL(x[i], scale));
        loops[row * N + i] = weighted ? and_drop(pg_make_MUL(scaled, o.columns[i]), scaled, 0) : scaled;
      }
      release(scale);
    }
    compare(&o, SIZE, ours, loops);
  }
  drop_operands(&o);
}

TEST(rows_without_elements_make_no_nodes) {
  const pg_id kept = leaf(1);
  pg_id out[4] = {7, 7, 7, 7};
  CHECK(pg_softmax(2, 0, NULL, out) == PG_OK && pg_log_softmax(2, 0, NULL, out) == PG_OK);
  CHECK(pg_rms_norm(2, 0, NULL, NULL, 0, out) == PG_OK);
  CHECK(pg_cross_entropy(2, 0, NULL, (uint32_t[]){0, 0}, out, out) == PG_DOMAIN);
  CHECK(pg_matmul(0, 3, 0, NULL, 3, 1, NULL, 1, 3, NULL, out) == PG_OK);
  CHECK(out[3] == 7 && live_nodes() == 1);
  release(kept);
}

TEST(an_mlp_builds_the_loops_graph) {
  enum { PARAMETERS = 2 * 3 + 3 * 3 + 6 };
  uint64_t seed = 9;
  pg_id p[PARAMETERS], out[6];
  for (int i = 0; i < PARAMETERS; i++) {
    p[i] = leaf(random_number(&seed));
  }
  const uint32_t widths[] = {2, 3, 1}, inputs[] = {2, 2, 2, 2, 2, 5};
  const bool nonlinear[] = {true, false, true, true, false, false};
  const pg_mlp mlp = {3, widths, inputs, nonlinear, p, PG_RELU};
  const pg_id given[2] = {leaf(0.5), leaf(-0.25)};
  double grads[2];
  for (int pass = 0; pass < 3; pass++) { /* the inputs are nodes, numbers, or both */
    const pg_id x[2] = {pass == 1 ? 0 : given[0], pass >= 1 ? 0 : given[1]};
    const double numbers[2] = {0.5, -0.25};
    const pg_id some[3] = {p[0], p[3], p[PARAMETERS - 6]};
    CHECK(pg_fill(PG_GRAD, PARAMETERS, p, 0) == PG_OK);
    CHECK(pg_mlp_forward(&mlp, 2, x, pass ? numbers : NULL, NULL, out) == PG_OK);
    CHECK(pg_flags_of(out[5]) & PG_HELD);
    CHECK(backward(out[5]) == PG_OK);
    double now[3];
    CHECK(pg_read(PG_GRAD, 3, some, now) == PG_OK);
    CHECK(pass == 0 || (same(now[0], grads[0]) && same(now[1], grads[1])));
    memcpy(grads, now, sizeof grads);
    CHECK(pg_data(out[5]) != 0);
    release(out[5]);
  }
  const pg_id zero_and_node[2] = {0, given[1]};
  CHECK(pg_mlp_forward(&mlp, 2, zero_and_node, NULL, NULL, out) == PG_STALE); /* no number is given for it */
  pg_release_all(PARAMETERS, p);
  pg_release_all(2, given);
}

TEST(a_closure_below_the_operands_pins_what_is_made_of_them) {
  const pg_id x = leaf(2), custom = id_of(pg_custom(1, false, &x, 1)), weight = leaf(1);
  const pg_id a[2] = {x, custom};
  pg_id out[4], scratch[2];
  CHECK(pg_hold_all(2, a) == PG_SOME_PINNED && pg_release_all(2, a) == PG_OK);
#define PINS(call, count)                                                                                      \
  CHECK((call) == PG_SOME_PINNED);                                                                             \
  CHECK(pg_flags_of(out[(count) - 1]) & PG_PINNED);                                                            \
  CHECK(pg_release_all(count, out) == PG_OK)
  PINS(pg_map_unary(PG_RELU, 2, a, out), 2);
  PINS(pg_map_binary(PG_ADD, 2, a, a, out), 2);
  PINS(pg_map_binary(PG_SUBTRACT, 2, a, a, out), 2);
  PINS(pg_map_number(PG_DIVIDE_INTO, 2, a, 2, false, out), 2);
  PINS(pg_reduce(PG_ADD, 1, 2, a, out), 1);
  PINS(pg_reduce(PG_MAXIMUM, 2, 1, a, out), 2); /* these are the operands */
  PINS(pg_matmul(1, 2, 1, a, 2, 1, (pg_id[]){x, x}, 1, 1, NULL, out), 1);
  PINS(pg_matmul(1, 0, 1, a, 2, 1, a, 1, 1, &custom, out), 1);
  PINS(pg_softmax(1, 2, a, out), 2);
  PINS(pg_log_softmax(1, 2, a, out), 2);
  PINS(pg_cross_entropy(1, 2, a, (uint32_t[]){0}, scratch, out), 1);
  PINS(pg_rms_norm(1, 2, a, NULL, 0, out), 2);
#undef PINS
  const pg_mlp mlp = {1, (uint32_t[]){1}, (uint32_t[]){1}, (bool[]){false}, (pg_id[]){weight, custom}, PG_RELU};
  CHECK(pg_mlp_forward(&mlp, 1, &x, NULL, NULL, out) == PG_SOME_PINNED);
  release(out[0]);
  release(custom);
  pg_release_all(2, (pg_id[]){x, weight});
}

TEST(a_builder_that_fails_makes_nothing_and_says_where) {
  const pg_id a[3] = {leaf(4), leaf(0), leaf(-1)}, half = leaf(0.5);
  pg_id out[6] = {0}, scratch[3];
  const uint64_t before = live_nodes();
#define FAILS(call, status, at)                                                                                \
  CHECK((call) == (status));                                                                                   \
  CHECK(out[0] == (at) && live_nodes() == before)
  FAILS(pg_map_unary(PG_LOG, 3, a, out), PG_DOMAIN, 1);
  FAILS(pg_map_unary(PG_SQRT, 3, a, out), PG_DOMAIN, 2);
  FAILS(pg_map_binary(PG_DIVIDE, 3, a, a, out), PG_ZERO_DIVISION, 1);
  FAILS(pg_map_binary(PG_POW, 3, a, (pg_id[]){half, half, half}, out), PG_COMPLEX, 2);
  FAILS(pg_map_number(PG_DIVIDE_INTO, 3, a, 1, false, out), PG_ZERO_DIVISION, 1);
  FAILS(pg_map_number(PG_POWER, 3, a, 0.5, false, out), PG_COMPLEX, 2);
  FAILS(pg_map_number(PG_POW, 3, a, 0.5, false, out), PG_COMPLEX, 2);
  FAILS(pg_cross_entropy(3, 1, a, (uint32_t[]){0, 1, 0}, scratch, out), PG_DOMAIN, 1);
  FAILS(pg_rms_norm(3, 1, a, NULL, 0, out), PG_ZERO_DIVISION, 1);
#undef FAILS
  pg_release_all(3, a);
  release(half);
}

/* Fills the open block with leaves until it has room for so many nodes. */
static size_t pad(pg_id *leaves, uint32_t room) {
  size_t count = 0;
  do {
    leaves[count++] = leaf(0);
  } while ((leaves[count - 1] + room) % PG_BLOCK_NODES != PG_BLOCK_NODES - 1);
  return count;
}

TEST(any_node_may_be_the_first_of_a_block) {
  const operands o = make_operands();
  pg_id leaves[PG_BLOCK_NODES], out[SIZE], scratch[N];
  const pg_id given[2] = {0, o.a[1]};
  const pg_mlp mlp = {1, (uint32_t[]){2}, (uint32_t[]){2, 2}, (bool[]){true, false}, o.a, PG_RELU};
#define AT_EACH(rooms, call, results)                                                                          \
  for (uint32_t room = 0; room < (rooms); room++) {                                                            \
    const size_t count = pad(leaves, room);                                                                    \
    CHECK((call) == PG_OK);                                                                                    \
    CHECK(pg_release_all(results, out) == PG_OK && pg_release_all(count, leaves) == PG_OK);                    \
  }
  for (int op = PG_LEAF + 1; op < PG_CUSTOM; op++) {
    const maker *m = &MAKERS[op - PG_LEAF - 1];
    AT_EACH(3,
            m->unary    ? pg_map_unary(op, 3, o.a, out)
            : m->binary ? pg_map_binary(op, 3, o.a, o.b, out)
                        : pg_map_number(op, 3, o.a, 2.5, false, out),
            3)
    if (m->number) {
      AT_EACH(5, pg_map_number(op, 3, o.a, 2, false, out), 3)
      AT_EACH(7, pg_reduce(op, 1, 5, o.a, out), 1)
    }
  }
  AT_EACH(8, pg_map_binary(PG_SUBTRACT, 2, o.a, o.b, out), 2)
  AT_EACH(8, pg_map_binary(PG_DIVIDE, 2, o.a, o.b, out), 2)
  AT_EACH(8, pg_map_number(PG_SUBTRACT_FROM, 2, o.a, 3, false, out), 2)
  AT_EACH(8, pg_map_number(PG_DIVIDE_INTO, 2, o.a, 3, false, out), 2)
  AT_EACH(2, pg_reduce(PG_ADD, 1, 0, o.a, out), 1)
  AT_EACH(2, pg_matmul(1, 0, 1, o.a, 0, 0, o.b, 0, 0, NULL, out), 1)
  AT_EACH(10, pg_matmul(1, 3, 1, o.a, 1, 1, o.b, 1, 1, NULL, out), 1)
  AT_EACH(10, pg_matmul(1, 3, 1, o.a, 1, 1, o.b, 1, 1, o.bias, out), 1)
  AT_EACH(30, pg_softmax(1, 4, o.a, out), 4)
  AT_EACH(30, pg_log_softmax(1, 4, o.a, out), 4)
  AT_EACH(30, pg_cross_entropy(1, 4, o.a, (uint32_t[]){1}, scratch, out), 1)
  AT_EACH(30, pg_rms_norm(1, 4, o.a, o.b, 1e-5, out), 4)
  AT_EACH(20, pg_mlp_forward(&mlp, 2, given, (double[]){2, 0}, NULL, out), 2)
  AT_EACH(20, pg_mlp_forward(&mlp, 2, o.b, NULL, NULL, out), 2)
#undef AT_EACH
  drop_operands(&o);
}

TEST(numbers_written_to_nodes_are_read_back) {
  const pg_id first = id_of(pg_leaves(4, (double[]){1, 2, 3, 4})), ids[3] = {first + 3, first, first};
  double to[3];
  CHECK(pg_read(PG_DATA, 3, ids, to) == PG_OK && to[0] == 4 && to[2] == 1);
  CHECK(pg_write(PG_DATA, 3, ids, (double[]){7, 8, 9}) == PG_OK && pg_data(first) == 9 &&
        pg_data(first + 3) == 7);
  CHECK(pg_write(PG_GRAD, 1, ids, (double[]){5}) == PG_OK && pg_grad(first + 3) == 5);
  CHECK(pg_fill(PG_GRAD, 3, ids, 2) == PG_OK && pg_grad(first) == 2);
  CHECK(pg_read(PG_GRAD, 1, ids, to) == PG_OK && to[0] == 2);
  const pg_id z = id_of(pg_make_RELU(first));
  CHECK(pg_all_leaves(3, ids) && !pg_all_leaves(1, &z) && pg_all_leaves(0, NULL));
  release(z);
  CHECK(pg_hold_all(3, ids) == PG_OK && pg_refs(first) == 3 && pg_release_all(3, ids) == PG_OK);
  pg_release_all(4, (pg_id[]){first, first + 1, first + 2, first + 3});
}
