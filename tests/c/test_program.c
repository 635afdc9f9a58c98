/* Programs: what is recorded, compiled and run, against the graph itself, sample by sample. */
#include "graph/arena.h"
#include "makers.h"
#include "program/program.h"
#include "test.h"

/* Graphs to record ------------------------------------------------------------------------------------------
 */

enum { INPUTS = 4, PARAMETERS = 24, TABLE = 5, MOST_NODES = 400, MOST_OUTPUTS = 3 };

/* What a graph is made from. While it is traced, an index stands for no number yet: what it chooses is noted in
 * `lookups`. */
typedef struct {
  uint64_t seed;
  bool smooth, with_lookups, traced;
  size_t outputs;
  const pg_id *parameters;
  pg_id inputs[INPUTS + 1]; /* the last is the index: 0 */
  double index;
  pg_id made[MOST_NODES];
  size_t count;
  pg_id nodes[2], elements[2 * TABLE]; /* lookups in two tables */
} graph;

static pg_id keep(graph *g, pg_made made) {
  REQUIRE(g->count < MOST_NODES);
  return g->made[g->count++] = id_of(made);
}

/* x, or something of its size made of it. */
static pg_id bounded(graph *g, pg_id x) { return keep(g, pg_make_TANH(x)); }

/* x^2 + 0.5, which all functions are made for. */
static pg_id positive(graph *g, pg_id x) {
  return keep(g, pg_make_ADD_number(keep(g, pg_make_POWER(x, 2, true)), 0.5, false));
}

static pg_id random_op(graph *g, uint64_t *seed, pg_id x, pg_id y) {
  static const double EXPONENTS[] = {0, 1, 2, 3, 0.5, -0.5, -1, 2.5, -2};
  switch (random_below(seed, g->smooth ? 13 : 19)) {
  case 0:
    return keep(g, pg_make_ADD(x, y));
  case 1:
    return keep(g, pg_make_MUL(x, y));
  case 2:
    return keep(g, pg_make_MUL_number(x, -1, false));
  case 3:
    return keep(g, pg_make_ADD(x, keep(g, pg_make_MUL_number(y, -1, false))));
  case 4:
    return keep(g, pg_make_MUL(x, keep(g, pg_make_POWER(positive(g, y), -1, true))));
  case 5:
    return keep(g, pg_make_POWER(positive(g, x), EXPONENTS[random_below(seed, COUNT(EXPONENTS))], false));
  case 6:
    return keep(g, pg_make_POW(positive(g, x), y));
  case 7:
    return keep(g, pg_make_EXP(bounded(g, x)));
  case 8:
    return keep(g, pg_make_LOG(positive(g, x)));
  case 9:
    return keep(g, pg_make_SIGMOID(x));
  case 10:
    return keep(g, pg_make_SQRT(positive(g, x)));
  case 11:
    return keep(g, pg_make_SIN(x));
  case 12:
    return keep(g, pg_make_COS(x));
  case 13:
    return keep(g, pg_make_RELU(x));
  case 14:
    return keep(g, pg_make_ABS(x));
  case 15:
    return keep(g, pg_make_DETACH(x));
  case 16:
    return keep(g, pg_make_MAXIMUM(x, y));
  case 17:
    return keep(g, pg_make_MINIMUM(x, y));
  default: { /* any row of the table, where each is defined */
    const pg_id a = positive(g, bounded(g, x)), b = positive(g, bounded(g, y));
    return keep(g, make_with(&MAKERS[random_below(seed, COUNT(MAKERS))], a, b, 2.5));
  }
  }
}

/* Neurons: sum(w * x) + b, for numbers that come in rows. */
static void layer(graph *g, size_t n, const pg_id *x, size_t neurons, const pg_id *w, pg_id *out) {
  for (size_t i = 0; i < neurons; i++, w += n + 1) {
    pg_id sum = w[n];
    for (size_t k = 0; k < n; k++) {
      sum = keep(g, pg_make_ADD(sum, keep(g, pg_make_MUL(w[k], x[k]))));
    }
    out[i] = bounded(g, sum);
  }
}

static pg_id look_up(graph *g, int table, const pg_id *elements) {
  memcpy(g->elements + (ptrdiff_t)table * TABLE, elements, TABLE * sizeof *elements);
  g->nodes[table] =
      keep(g, g->traced ? pg_make_DETACH(elements[0]) : pg_make_ADD_number(elements[(int)g->index], 0, false));
  return g->nodes[table];
}

/* The last `outputs` of what is made are the outputs: found in out. */
static void build(graph *g, const double *x, pg_id *out) {
  uint64_t seed = g->seed;
  pg_id pool[64];
  size_t count = 0;
  g->count = 0;
  for (int i = 0; i < INPUTS; i++) {
    pool[count++] = g->inputs[i] = keep(g, pg_leaf(x[i], false));
  }
  g->index = x[INPUTS];
  layer(g, INPUTS, g->inputs, 4, g->parameters, pool + count);
  count += 4;
  pool[count++] = keep(g, pg_leaf(0.75, false));
  pool[count++] = g->parameters[0];
  pool[count++] = g->parameters[20];
  if (g->with_lookups) { /* one table of parameters, one of what is computed, with a constant among it */
    const pg_id mixed[TABLE] = {pool[8], pool[4], pool[0], g->parameters[1], pool[5]};
    pool[count++] = look_up(g, 0, g->parameters + 8);
    pool[count++] = look_up(g, 1, mixed);
  }
  for (int step = 0; step < 24; step++) {
    const pg_id a = pool[random_below(&seed, (uint32_t)count)], b = pool[random_below(&seed, (uint32_t)count)];
    const pg_id z = random_op(g, &seed, a, b);
    pool[count++] = step % 3 ? bounded(g, z) : z;
  }
  pg_id sum = pool[count - 1]; /* all there is counts */
  for (size_t i = count - 1; i-- > INPUTS;) {
    sum = keep(g, pg_make_ADD(sum, pool[i]));
  }
  out[0] = sum;
  out[1] = pool[count - 2];
  out[2] = pool[7]; /* as it may be: of inputs only, or of parameters */
}

static void drop(const graph *g) {
  for (size_t i = 0; i < g->count; i++) {
    release(g->made[i]);
  }
}

/* Without some optimizations. */
static pg_program *record(graph *g, unsigned without) {
  pg_test_disable(without);
  const double x[INPUTS + 1] = {0.1, -0.2, 0.3, -0.4, 0};
  pg_id out[MOST_OUTPUTS];
  g->traced = true;
  pg_trace trace;
  pg_trace_begin(&trace);
  build(g, x, out);
  g->inputs[INPUTS] = 0;
  const pg_lookups lookups = {g->with_lookups ? 2 : 0,
                              g->nodes,
                              (uint32_t[]){INPUTS, INPUTS},
                              (uint32_t[]){0, 1},
                              g->with_lookups ? 2 : 0,
                              (uint32_t[]){TABLE, TABLE},
                              g->elements};
  int status;
  pg_program *p = pg_record(INPUTS + 1, g->inputs, g->outputs, out, &lookups, &status);
  pg_trace_end(&trace);
  pg_test_disable(0);
  g->traced = false;
  drop(g);
  return p;
}

/* What comes out, by the graph ------------------------------------------------------------------------------
 */

enum { MOST_BATCH = 1200, GROUPS = 2, FIRST = 3 }; /* inputs in the first group; the index is in the second */

static const size_t SIZES[GROUPS] = {FIRST, INPUTS + 1 - FIRST};

/* One kind of call, its numbers, and what is expected. Groups of numbers are one for all or one a sample. */
typedef struct {
  size_t batch;
  bool batched[GROUPS], any;
  double *x[GROUPS], *tangents[GROUPS], *cotangent;
  double *values, *slopes;    /* by sample */
  double *gradients[GROUPS];  /* of each sample */
  double *curvatures[GROUPS]; /* of each sample */
  double by_parameters[PARAMETERS];
} calls;

static double *numbers(size_t n) {
  double *at = malloc((n + 1) * sizeof *at);
  memset(at, 0, (n + 1) * sizeof *at);
  return at;
}

static void sample_of(const calls *c, double *const *groups, size_t s, double *x) {
  for (int k = 0, i = 0; k < GROUPS; k++) {
    for (size_t j = 0; j < SIZES[k]; j++) {
      x[i++] = groups[k][(c->batched[k] ? s * SIZES[k] : 0) + j];
    }
  }
}

/* The gradient at x, by the inputs and added to that by the parameters. */
static void gradient_at(graph *g, const double *x, double cotangent, size_t output, double *values,
                        double *gradient) {
  pg_id out[MOST_OUTPUTS];
  build(g, x, out);
  REQUIRE(pg_read(PG_DATA, g->outputs, out, values) == PG_OK);
  const pg_id scaled = id_of(pg_make_MUL_number(out[output], cotangent, false));
  REQUIRE(backward(scaled) == PG_OK);
  REQUIRE(pg_read(PG_GRAD, INPUTS, g->inputs, gradient) == PG_OK);
  gradient[INPUTS] = 0;
  release(scaled);
  drop(g);
}

static calls expect(graph *g, size_t batch, bool first, bool second) {
  calls c = {.batch = batch, .batched = {first, second}, .any = first || second};
  uint64_t seed = g->seed + batch;
  c.cotangent = numbers(batch);
  c.values = numbers(batch * g->outputs);
  c.slopes = numbers(batch * g->outputs);
  for (int k = 0; k < GROUPS; k++) {
    const size_t n = SIZES[k] * (c.batched[k] ? batch : 1);
    c.x[k] = numbers(n), c.tangents[k] = numbers(n);
    c.gradients[k] = numbers(SIZES[k] * batch), c.curvatures[k] = numbers(SIZES[k] * batch);
    for (size_t i = 0; i < n; i++) {
      c.x[k][i] = random_number(&seed);
      c.tangents[k][i] = random_number(&seed);
      if (k == 1 && i % SIZES[1] == SIZES[1] - 1) {
        c.x[k][i] = random_below(&seed, TABLE);
        c.tangents[k][i] = 0;
      }
    }
  }
  REQUIRE(pg_fill(PG_GRAD, PARAMETERS, g->parameters, 0) == PG_OK);
  for (size_t s = 0; s < batch; s++) {
    double x[INPUTS + 1], t[INPUTS + 1], gradient[INPUTS + 1], nudged[2][INPUTS + 1], ignored[MOST_OUTPUTS];
    sample_of(&c, c.x, s, x);
    sample_of(&c, c.tangents, s, t);
    c.cotangent[s] = random_number(&seed);
    gradient_at(g, x, c.cotangent[s], 0, c.values + s * g->outputs, gradient);
    for (size_t i = 0; i < INPUTS + 1; i++) {
      c.gradients[i >= FIRST][s * SIZES[i >= FIRST] + (i >= FIRST ? i - FIRST : i)] = gradient[i];
    }
    double before[PARAMETERS];
    REQUIRE(pg_read(PG_GRAD, PARAMETERS, g->parameters, before) == PG_OK);
    for (size_t o = 0; o < g->outputs; o++) {
      gradient_at(g, x, 1, o, ignored, gradient);
      for (int i = 0; i < INPUTS; i++) {
        c.slopes[s * g->outputs + o] += gradient[i] * t[i];
      }
    }
    for (int way = 0; way < 2 && g->smooth; way++) {
      double near_x[INPUTS + 1];
      for (int i = 0; i <= INPUTS; i++) {
        near_x[i] = x[i] + (way ? -1e-6 : 1e-6) * t[i];
      }
      gradient_at(g, near_x, 1, 0, ignored, nudged[way]);
    }
    for (size_t i = 0; i <= INPUTS && g->smooth; i++) {
      const double slope = (nudged[0][i] - nudged[1][i]) / 2e-6;
      c.curvatures[i >= FIRST][s * SIZES[i >= FIRST] + (i >= FIRST ? i - FIRST : i)] = slope;
    }
    REQUIRE(pg_write(PG_GRAD, PARAMETERS, g->parameters, before) == PG_OK);
  }
  REQUIRE(pg_read(PG_GRAD, PARAMETERS, g->parameters, c.by_parameters) == PG_OK);
  return c;
}

static void forget(calls *c) {
  free(c->cotangent), free(c->values), free(c->slopes);
  for (int k = 0; k < GROUPS; k++) {
    free(c->x[k]), free(c->tangents[k]), free(c->gradients[k]), free(c->curvatures[k]);
  }
}

/* What comes out, by the program ----------------------------------------------------------------------------
 */

static void expect_near(size_t n, const double *found, const double *expected, double tolerance) {
  for (size_t i = 0; i < n; i++) {
    REQUIRE(near(found[i], expected[i], tolerance));
  }
}

static void check_values(const graph *g, const pg_program *p, const calls *c, int threads) {
  pg_routine *r = pg_compile(p, GROUPS, SIZES, c->batched, PG_VALUES);
  double *values = numbers(c->batch * g->outputs);
  CHECK(r && pg_run(r, c->batch, (double *const[]){c->x[0], c->x[1], values}, threads) == PG_OK);
  expect_near(c->batch * g->outputs, values, c->values, 1e-11);
  free(values);
  pg_routine_free(r);
}

static void check_gradient(const graph *g, const pg_program *p, const calls *c, int threads) {
  const size_t parameters = pg_program_parameters(p, NULL);
  pg_id ids[PARAMETERS];
  CHECK(pg_program_parameters(p, ids) == parameters);
  pg_routine *r = pg_compile(p, GROUPS, SIZES, (bool[]){c->batched[0], c->batched[1], c->any}, PG_GRADIENT);
  double *values = numbers(c->batch), *by_parameters = numbers(parameters), *found[GROUPS], *expected[GROUPS];
  for (int k = 0; k < GROUPS; k++) { /* what is for all gets the sum */
    found[k] = numbers(SIZES[k] * c->batch);
    expected[k] = numbers(SIZES[k] * c->batch);
    for (size_t i = 0; i < SIZES[k] * c->batch; i++) {
      expected[k][c->batched[k] ? i : i % SIZES[k]] += c->gradients[k][i];
    }
  }
  double *const all[] = {c->x[0], c->x[1], c->cotangent, values, found[0], found[1], by_parameters};
  for (int run = 0; run < 2; run++) { /* the second in the memory of the first */
    CHECK(r && pg_run(r, c->batch, all, threads) == PG_OK);
    expect_near(c->batch, values, c->values, 1e-11);
    for (int k = 0; k < GROUPS; k++) {
      expect_near(SIZES[k] * (c->batched[k] ? c->batch : 1), found[k], expected[k], 1e-9);
    }
    CHECK(pg_fill(PG_GRAD, parameters, ids, 0) == PG_OK);
    CHECK(pg_add_grads(parameters, ids, by_parameters) == PG_OK);
    for (size_t i = 0; i < parameters; i++) {
      size_t which = 0; /* of the graph's */
      while (g->parameters[which] != ids[i]) {
        which++;
      }
      REQUIRE(near(pg_grad(ids[i]), c->by_parameters[which], 1e-9));
    }
  }
  for (int k = 0; k < GROUPS; k++) {
    free(found[k]), free(expected[k]);
  }
  free(values), free(by_parameters);
  pg_routine_free(r);
}

static void check_tangents(const graph *g, const pg_program *p, const calls *c, int threads) {
  const bool batched[] = {c->batched[0], c->batched[1], c->batched[0], c->batched[1]};
  pg_routine *r = pg_compile(p, GROUPS, SIZES, batched, PG_TANGENTS);
  double *values = numbers(c->batch * g->outputs), *slopes = numbers(c->batch * g->outputs);
  double *const all[] = {c->x[0], c->x[1], c->tangents[0], c->tangents[1], values, slopes};
  CHECK(r && pg_run(r, c->batch, all, threads) == PG_OK);
  expect_near(c->batch * g->outputs, values, c->values, 1e-11);
  expect_near(c->batch * g->outputs, slopes, c->slopes, 1e-9);
  free(values), free(slopes);
  pg_routine_free(r);
}

static void check_curvatures(const pg_program *p, const calls *c, int threads) {
  const bool batched[] = {c->batched[0], c->batched[1], c->batched[0], c->batched[1]};
  pg_routine *r = pg_compile(p, GROUPS, SIZES, batched, PG_GRADIENT | PG_TANGENTS);
  double *first = numbers(c->batch * SIZES[0]), *second = numbers(c->batch * SIZES[1]);
  double *const all[] = {c->x[0], c->x[1], c->tangents[0], c->tangents[1], first, second};
  CHECK(r && pg_run(r, c->batch, all, threads) == PG_OK);
  expect_near(c->batch * SIZES[0], first, c->curvatures[0], 1e-6);
  expect_near(c->batch * SIZES[1], second, c->curvatures[1], 1e-6);
  free(first), free(second);
  pg_routine_free(r);
}

static void check_all(graph *g, unsigned without, size_t batch, bool first, bool second, int threads) {
  pg_program *p = record(g, without);
  CHECK(p);
  calls c = expect(g, batch, first, second);
  check_values(g, p, &c, threads);
  check_tangents(g, p, &c, threads);
  if (g->outputs == 1) {
    check_gradient(g, p, &c, threads);
  }
  if (g->outputs == 1 && g->smooth && first == second) {
    check_curvatures(p, &c, threads);
  }
  forget(&c);
  pg_program_free(p);
}

static void make_parameters(pg_id *parameters) {
  uint64_t seed = 11;
  for (int i = 0; i < PARAMETERS; i++) {
    parameters[i] = leaf(random_number(&seed));
  }
}

/* Each set of kernels ---------------------------------------------------------------------------------------
 */

static void check_with_instruction_set(int which) {
  static const unsigned WITHOUT[] = {
      0, PG_FOLDING, PG_SHARING, PG_REDUCTION, PG_DOTS, PG_VECTORS, PG_SLOT_REUSE, ~0U,
  };
  static const size_t BATCHES[] = {1, 3, 64, 70, 130};
  if (!pg_test_use_instruction_set(which)) {
    return; /* this machine has no such instructions */
  }
  pg_id parameters[PARAMETERS];
  make_parameters(parameters);
  for (uint64_t seed = 0; seed < 32; seed++) {
    graph g = {.seed = seed, .parameters = parameters, .outputs = 1};
    g.smooth = seed % 2, g.with_lookups = seed % 4 > 1;
    g.outputs = seed % 8 == 7 ? MOST_OUTPUTS : 1;
    const bool first = seed % 3 > 0, second = seed % 5 > 1;
    check_all(&g, WITHOUT[seed / 2 % COUNT(WITHOUT)], first || second ? BATCHES[seed % COUNT(BATCHES)] : 1,
              first, second, 1 + (int)seed % 3);
  }
  pg_release_all(PARAMETERS, parameters);
}

TEST(programs_agree_with_the_graph_in_baseline_kernels) { check_with_instruction_set(0); }
TEST(programs_agree_with_the_graph_in_kernels_of_the_second_instruction_set) { check_with_instruction_set(1); }
TEST(programs_agree_with_the_graph_in_kernels_of_the_third_instruction_set) { check_with_instruction_set(2); }
TEST(the_best_instruction_set_is_the_last_that_the_machine_has) {
  const char *best = pg_test_use_instruction_set(-1), *last = NULL, *name;
  for (int which = 0; (name = pg_test_use_instruction_set(which)) || which < 3; which++) {
    last = name ? name : last;
  }
  CHECK(best == last && strcmp(pg_test_use_instruction_set(0), "baseline") == 0);
  CHECK(!pg_test_use_instruction_set(99) && strcmp(pg_test_use_instruction_set(0), "baseline") == 0);
  CHECK(pg_test_use_instruction_set(-1) == best);
}

TEST(threads_make_no_difference_in_the_bits) {
  pg_id parameters[PARAMETERS];
  make_parameters(parameters);
  graph g = {.seed = 3, .parameters = parameters, .outputs = 1, .with_lookups = true};
  pg_program *p = record(&g, 0);
  const size_t n = pg_program_parameters(p, NULL);
  pg_routine *r = pg_compile(p, GROUPS, SIZES, (bool[]){true, false, true}, PG_GRADIENT);
  CHECK(p && r);
  double *x = numbers(FIRST * MOST_BATCH), *cotangent = numbers(MOST_BATCH), rest[2] = {0.5, 1};
  uint64_t seed = 1;
  for (size_t i = 0; i < FIRST * MOST_BATCH; i++) {
    x[i] = random_number(&seed);
    cotangent[i / FIRST] = x[i];
  }
  double *results[2][4];
  for (int way = 0; way < 2; way++) {
    double **to = results[way];
    to[0] = numbers(MOST_BATCH), to[1] = numbers(FIRST * MOST_BATCH), to[2] = numbers(2), to[3] = numbers(n);
    double *const all[] = {x, rest, cotangent, to[0], to[1], to[2], to[3]};
    CHECK(pg_run(r, MOST_BATCH, all, way ? 7 : 1) == PG_OK);
  }
  CHECK(memcmp(results[0][0], results[1][0], MOST_BATCH * sizeof *x) == 0);
  CHECK(memcmp(results[0][1], results[1][1], FIRST * MOST_BATCH * sizeof *x) == 0);
  CHECK(memcmp(results[0][2], results[1][2], 2 * sizeof *x) == 0);
  CHECK(memcmp(results[0][3], results[1][3], n * sizeof *x) == 0);
  for (int way = 0; way < 2; way++) {
    for (int i = 0; i < 4; i++) {
      free(results[way][i]);
    }
  }
  free(x), free(cotangent);
  pg_routine_free(r);
  pg_program_free(p);
  pg_release_all(PARAMETERS, parameters);
}

/* What is not arithmetic ------------------------------------------------------------------------------------
 */

static const pg_lookups NO_LOOKUPS = {0};

TEST(a_program_may_return_its_inputs_parameters_and_constants) {
  const pg_id w = leaf(2);
  pg_trace trace;
  pg_trace_begin(&trace);
  const pg_id x = leaf(1), unused = leaf(1), c = leaf(7);
  const pg_id inputs[2] = {x, unused}, outputs[4] = {x, w, c, x};
  pg_program *p = pg_record(2, inputs, 4, outputs, &NO_LOOKUPS, &(int){0});
  pg_trace_end(&trace);
  pg_release_all(3, (pg_id[]){x, unused, c});
  for (int batched = 0; batched < 2; batched++) {
    pg_routine *r = pg_compile(p, 1, (size_t[]){2}, (bool[]){batched}, PG_VALUES);
    double y[3][4] = {{0}};
    const double numbers_in[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    CHECK(pg_run(r, batched ? 3 : 1, (double *const[]){(double *)numbers_in, (double *)y}, 1) == PG_OK);
    for (int s = 0; s < (batched ? 3 : 1); s++) {
      CHECK(y[s][0] == 2 * s + 1 && y[s][1] == 2 && y[s][2] == 7 && y[s][3] == 2 * s + 1);
    }
    pg_routine_free(r);
  }
  pg_program_free(p);
  release(w);
}

TEST(a_program_without_outputs_or_inputs_runs) {
  pg_program *p = pg_record(0, NULL, 0, NULL, &NO_LOOKUPS, &(int){0});
  CHECK(p && pg_program_parameters(p, NULL) == 0);
  pg_routine *r = pg_compile(p, 0, NULL, NULL, PG_VALUES);
  double nothing = 0;
  CHECK(r && pg_run(r, 1, (double *const[]){&nothing}, 1) == PG_OK);
  pg_routine_free(r);
  pg_program_free(p);
  pg_program_free(NULL);
  pg_routine_free(NULL);
}

TEST(an_index_that_is_out_of_range_gives_nan) {
  const pg_id table[3] = {leaf(1), leaf(2), leaf(3)};
  pg_trace trace;
  pg_trace_begin(&trace);
  const pg_id node = id_of(pg_make_DETACH(table[0])), z = id_of(pg_make_MUL(node, node));
  const pg_lookups lookups = {1, &node, (uint32_t[]){0}, (uint32_t[]){0}, 1, (uint32_t[]){3}, table};
  pg_program *p = pg_record(1, (pg_id[]){0}, 1, &z, &lookups, &(int){0});
  pg_trace_end(&trace);
  CHECK(p && pg_program_parameters(p, NULL) == 3);
  release(z);
  release(node);
  double indices[] = {0, 2, 3, -1, NAN, 1e300}, cotangents[] = {1, 1, 1, 1, 1, 1}, y[6], by_index[6],
         by_table[3];
  for (int batched = 0; batched < 2; batched++) {
    pg_routine *r = pg_compile(p, 1, (size_t[]){1}, (bool[]){batched, batched}, PG_GRADIENT);
    CHECK(pg_run(r, batched ? 6 : 1, (double *const[]){indices, cotangents, y, by_index, by_table}, 1) ==
          PG_OK);
    CHECK(y[0] == 1 && (!batched || (y[1] == 9 && isnan(y[2]) && isnan(y[3]) && isnan(y[4]) && isnan(y[5]))));
    CHECK(by_table[0] == 2 && by_table[1] == 0 && (!batched || by_table[2] == 6));
    pg_routine_free(r);
  }
  const char *symbol;
  double found[3];
  CHECK(pg_find_not_finite(p, (double[]){2, 1}, true, &symbol, found) == 0);
  CHECK(pg_find_not_finite(p, (double[]){5, 1}, true, &symbol, found) == 0); /* no op's doing */
  pg_program_free(p);
  pg_release_all(3, table);
}

TEST(the_op_that_makes_inf_or_nan_is_found) {
  const pg_id w = leaf(0);
  pg_trace trace;
  pg_trace_begin(&trace);
  const pg_id x = leaf(1), log = id_of(pg_make_LOG(x)), q = id_of(pg_make_ADD(log, w));
  pg_program *p = pg_record(1, &x, 1, &q, &NO_LOOKUPS, &(int){0});
  pg_trace_end(&trace);
  const char *symbol;
  double numbers_found[3];
  CHECK(pg_find_not_finite(p, (double[]){2, 1}, true, &symbol, numbers_found) == 0);
  CHECK(pg_find_not_finite(p, (double[]){-1}, false, &symbol, numbers_found) == 2);
  CHECK(strcmp(symbol, "log") == 0 && numbers_found[0] == -1 && isnan(numbers_found[1]));
  CHECK(pg_find_not_finite(p, (double[]){0}, false, &symbol, numbers_found) == 2);
  CHECK(strcmp(symbol, "log") == 0 && numbers_found[1] == -INFINITY);
  CHECK(pg_find_not_finite(p, (double[]){5e-324, 1}, true, &symbol, numbers_found) == 3);
  CHECK(strcmp(symbol, "/") == 0 && numbers_found[2] == INFINITY);
  pg_set_data(w, NAN, false);
  CHECK(pg_find_not_finite(p, (double[]){2}, false, &symbol, numbers_found) == 1);
  CHECK(strcmp(symbol, "parameter") == 0);
  pg_program_free(p);
  pg_release_all(4, (pg_id[]){q, log, x, w});
}

TEST(no_op_is_found_where_all_is_finite) {
  const pg_id w = leaf(1.5);
  pg_trace trace;
  pg_trace_begin(&trace);
  pg_id made[COUNT(MAKERS) + 1] = {leaf(1.25)}, sums[COUNT(MAKERS) + 1] = {made[0]};
  for (size_t i = 0; i < COUNT(MAKERS); i++) {
    made[i + 1] = id_of(make_with(&MAKERS[i], made[0], w, 2.5));
    sums[i + 1] = id_of(pg_make_ADD(sums[i], made[i + 1]));
  }
  pg_program *p = pg_record(1, made, 1, &sums[COUNT(MAKERS)], &NO_LOOKUPS, &(int){0});
  pg_trace_end(&trace);
  const char *symbol;
  double numbers_found[3];
  CHECK(pg_find_not_finite(p, (double[]){1.25, 1}, true, &symbol, numbers_found) == 0);
  pg_program_free(p);
  for (size_t i = COUNT(MAKERS); i > 0; i--) {
    release(sums[i]);
    release(made[i]);
  }
  release(made[0]);
  release(w);
}

TEST(ops_of_constants_are_folded_to_the_graph_s_numbers) {
  pg_trace trace;
  pg_trace_begin(&trace);
  const pg_id x = leaf(1.25), c = leaf(1.5), d = leaf(0.75);
  for (size_t i = 0; i < COUNT(MAKERS); i++) {
    const pg_id folded = id_of(make_with(&MAKERS[i], c, d, 2.5)), z = id_of(pg_make_ADD(x, folded));
    pg_program *p = pg_record(1, &x, 1, &z, &NO_LOOKUPS, &(int){0});
    pg_routine *r = pg_compile(p, 1, (size_t[]){1}, (bool[]){false}, PG_VALUES);
    double in = 2, out = 0;
    CHECK(pg_run(r, 1, (double *const[]){&in, &out}, 1) == PG_OK && out == 2 + pg_data(folded));
    pg_routine_free(r);
    pg_program_free(p);
    release(z);
    release(folded);
  }
  pg_trace_end(&trace);
  release(d), release(c), release(x);
}

TEST(a_program_whose_parameter_is_gone_does_not_run) {
  const pg_id w = leaf(2);
  pg_trace trace;
  pg_trace_begin(&trace);
  const pg_id x = leaf(1), z = id_of(pg_make_MUL(w, x));
  pg_program *p = pg_record(1, &x, 1, &z, &NO_LOOKUPS, &(int){0});
  pg_trace_end(&trace);
  pg_routine *r = pg_compile(p, 1, (size_t[]){1}, (bool[]){false}, PG_VALUES);
  double in = 3, out = 0;
  CHECK(pg_run(r, 1, (double *const[]){&in, &out}, 1) == PG_OK && out == 6);
  pg_release_all(3, (pg_id[]){z, x, w});
  out = 0;
  CHECK(pg_run(r, 1, (double *const[]){&in, &out}, 1) == PG_STALE && out == 0);
  pg_routine_free(r);
  pg_program_free(p);
}

TEST(listings_show_programs_and_routines) {
  pg_id parameters[PARAMETERS];
  make_parameters(parameters);
  graph g = {.seed = 6, .parameters = parameters, .outputs = 1, .with_lookups = true};
  pg_program *p = record(&g, 0);
  char *text = pg_program_text(p);
  CHECK(text && strncmp(text, "5 inputs, ", 10) == 0 && strstr(text, "\nreturn %"));
  pg_text_free(text);
  for (int batched = 0; batched < 2; batched++) {
    pg_routine *r = pg_compile(p, GROUPS, SIZES, (bool[]){batched, true, true}, PG_GRADIENT);
    text = pg_routine_text(r);
    CHECK(text && strstr(text, "total") && strstr(text, "lookup") && strstr(text, "scatter") &&
          strstr(text, "dot"));
    pg_text_free(text);
    pg_routine_free(r);
  }
  pg_text_free(NULL);
  pg_program_free(p);
  pg_release_all(PARAMETERS, parameters);
}

/* Folding ------------------------------------------------------------------------------------------------ */

static const struct {
  int op;
  bool binary;
} OPS[] = {
#define PG_UNARY(name, ...) {PG_##name, false},
#define PG_CONSTANT(name, ...) {PG_##name, true},
#define PG_BINARY(name, ...) {PG_##name, true},
#include "program/all_ops.def"
};

static double folded(int op, bool binary, double x, double y) {
  pg_program *p = pg_new_program(0);
  const pg_ref a = pg_emit_constant(p, x), b = pg_emit_constant(p, y);
  const pg_instruction z = p->instructions[pg_emit(p, op, a, binary ? b : PG_NO_REF)];
  REQUIRE(z.op == PG_CONSTANT);
  pg_program_free(p);
  return z.number;
}

static double run_op(int op, bool binary, double x, double y) {
  pg_program *p = pg_new_program(PG_REDUCTION);
  p->verbatim = true;
  p->inputs = 2;
  const pg_ref a = pg_emit_leaf(p, PG_INPUT, 0, 0, false);
  const pg_ref b = op == PG_POWER ? pg_emit_constant(p, y) : pg_emit_leaf(p, PG_INPUT, 1, 0, false);
  p->outputs = pg_resize(NULL, sizeof *p->outputs);
  p->outputs[0] = pg_emit(p, op, a, binary ? b : PG_NO_REF);
  p->output_count = 1;
  pg_routine *r = pg_compile(p, 1, (size_t[]){2}, (bool[]){false}, PG_VALUES);
  double z;
  REQUIRE(pg_run(r, 1, (double *const[]){(double[]){x, y}, &z}, 1) == PG_OK);
  pg_routine_free(r);
  pg_program_free(p);
  return z;
}

TEST(each_op_of_constants_is_folded_to_what_the_kernels_compute) {
  const double pairs[][2] = {{0.5, 2}, {2, -1.5}, {-1.5, 3}, {0, 0.5}, {-0.0, -1}, {INFINITY, 1}, {NAN, 1}};
  for (size_t i = 0; i < COUNT(OPS); i++) {
    for (size_t k = 0; k < COUNT(pairs); k++) {
      const double x = pairs[k][0], y = pairs[k][1];
      CHECK(near(folded(OPS[i].op, OPS[i].binary, x, y), run_op(OPS[i].op, OPS[i].binary, x, y), 1e-12));
    }
  }
}
