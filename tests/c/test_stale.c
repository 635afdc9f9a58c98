/* Tests of ids that name no live node, or one that has escaped from its trace: each function that takes ids
 * returns PG_STALE or PG_ESCAPED, and changes nothing. */
#include "graph/arena.h"
#include "makers.h"
#include "test.h"

static pg_id good;

static void refuse_one(pg_id bad) {
  CHECK(pg_hold(bad) == PG_STALE && pg_release(bad) == PG_STALE);
  CHECK(pg_keep(bad) == PG_STALE && pg_release_kept(bad) == PG_STALE);
  CHECK(isnan(pg_data(bad)) && isnan(pg_grad(bad)) && pg_data_at(bad) == NULL);
  CHECK(pg_op(bad) == 0 && pg_flags_of(bad) == 0 && pg_refs(bad) == 0);
  CHECK(pg_operand(bad, 0) == 0 && pg_operand(bad, 1) == 0);
  CHECK(pg_set_data(bad, 1, false) == PG_STALE && pg_set_grad(bad, 1, false) == PG_STALE &&
        pg_set_flags(bad, 255) == PG_STALE);
  CHECK(pg_backward_one(bad) == PG_STALE && pg_cut(bad) == PG_STALE);
  pg_sweep sweep = {.at = bad};
  CHECK(pg_sweep_begin(&sweep, bad) == PG_STALE && pg_sweep_run(&sweep, 9) == PG_DONE);
  sweep = (pg_sweep){.at = bad, .number = 1};
  CHECK(pg_sweep_run(&sweep, 9) == PG_STALE && sweep.number == 0);
}

static void refuse_among_many(pg_id bad) {
  const pg_id some[] = {good, bad};
  double numbers[2] = {5, 5};
  CHECK(pg_hold_all(2, some) == PG_STALE && pg_refs(good) == 1);
  CHECK(!pg_all_leaves(2, some));
  CHECK(pg_read(PG_DATA, 2, some, numbers) == PG_STALE && pg_write(PG_DATA, 2, some, numbers) == PG_STALE);
  CHECK(pg_fill(PG_GRAD, 2, some, 5) == PG_STALE && numbers[0] == 5);
  CHECK(pg_add_grads(2, some, numbers) == PG_STALE);
  CHECK(pg_release_all(1, &bad) == PG_STALE);
}

/* From here on `status` is the one that is expected. */

static void refuse_as_operand(pg_id bad, int status) {
  for (size_t i = 0; i < COUNT(MAKERS); i++) {
    const maker *m = &MAKERS[i];
    CHECK(make_with(m, bad, good, 2) == status);
    CHECK(!m->binary || m->binary(good, bad) == status);
    CHECK(!m->number || m->number(bad, 2, false) == status);
  }
  CHECK(pg_custom(0, false, (pg_id[]){good, bad, good}, 3) == status && pg_custom(0, false, &bad, 1) == status);
}

static void refuse_among_operands(pg_id bad, int status) {
  const pg_id some[] = {good, bad}, fine[] = {good, good}, both[] = {good, good, good, bad};
  double numbers[4] = {5, 5, 5, 5};
  pg_id out[4], scratch[4];
  CHECK(pg_map_unary(PG_RELU, 2, some, out) == status);
  CHECK(pg_map_binary(PG_ADD, 2, some, fine, out) == status);
  CHECK(pg_map_binary(PG_ADD, 2, fine, some, out) == status);
  CHECK(pg_map_number(PG_POWER, 2, some, 2, true, out) == status);
  CHECK(pg_reduce(PG_ADD, 1, 2, some, out) == status);
  CHECK(pg_matmul(1, 2, 1, some, 2, 1, fine, 1, 1, NULL, out) == status);
  CHECK(pg_matmul(1, 2, 1, fine, 2, 1, some, 1, 1, NULL, out) == status);
  CHECK(pg_matmul(1, 2, 1, fine, 2, 1, fine, 1, 1, &bad, out) == status);
  CHECK(pg_softmax(2, 2, both, out) == status && pg_log_softmax(2, 2, both, out) == status);
  CHECK(pg_cross_entropy(2, 2, both, (uint32_t[]){0, 0}, scratch, out) == status);
  CHECK(pg_rms_norm(2, 2, both, NULL, 1, out) == status);
  CHECK(pg_rms_norm(1, 2, fine, some, 1, out) == status);
  const pg_mlp mlp = {1, (uint32_t[]){1}, (uint32_t[]){1}, (bool[]){true}, some, PG_RELU};
  const pg_mlp sound = {1, (uint32_t[]){1}, (uint32_t[]){1}, (bool[]){true}, fine, PG_TANH};
  CHECK(pg_mlp_forward(&mlp, 1, &good, NULL, NULL, out) == status);
  CHECK(pg_mlp_forward(&sound, 1, &bad, NULL, NULL, out) == status);
  CHECK(!bad || pg_mlp_forward(&sound, 1, &bad, numbers, NULL, out) == status);
  CHECK(pg_sgd_step(&(pg_sgd){.lr = 1}, 2, some, NULL) == status);
  CHECK(pg_adam_step(&(pg_adam){.lr = 1}, 1, 2, some, numbers, numbers + 2, NULL) == status);
  CHECK(pg_rmsprop_step(&(pg_rmsprop){.lr = 1}, 2, some, numbers, NULL, NULL) == status);
}

static void check_refused(size_t inputs, const pg_id *input, const pg_id *output, const pg_lookups *lookups) {
  int status = PG_OK;
  CHECK(!pg_record(inputs, input, 1, output, lookups, &status) && status == PG_STALE);
}

static void refuse_in_programs(pg_id bad) {
  const pg_lookups none = {0};
  check_refused(0, NULL, &bad, &none);
  if (bad) { /* 0 is an index */
    check_refused(1, &bad, &good, &none);
  }
  const uint32_t zero[] = {0}, one[] = {1}, two[] = {2};
  const pg_lookups node = {1, &bad, zero, zero, 1, one, &good};
  const pg_lookups element = {1, &good, zero, zero, 1, two, (pg_id[]){good, bad}};
  check_refused(1, (pg_id[]){0}, &good, &node);
  check_refused(1, (pg_id[]){0}, &good, &element);
}

TEST(ids_that_name_no_live_node_are_refused) {
  good = leaf(2);
  const pg_id stale = id_of(pg_make_RELU(good));
  release(stale);
  const pg_id bad[] = {0, 1, 255, stale, good + 100, good + 1000000, INT32_MAX, UINT32_MAX};
  for (size_t i = 0; i < COUNT(bad); i++) {
    refuse_one(bad[i]);
    refuse_among_many(bad[i]);
    refuse_as_operand(bad[i], PG_STALE);
    refuse_among_operands(bad[i], PG_STALE);
    refuse_in_programs(bad[i]);
    CHECK(live_nodes() == 1 && pg_refs(good) == 1 && pg_data(good) == 2 && pg_grad(good) == 0);
  }
  release(good);
}

/* Whether many functions take all of these. */
static bool all_live(size_t n, const pg_id *ids) {
  double numbers[3 * PG_BLOCK_NODES];
  const int status = pg_read(PG_DATA, n, ids, numbers);
  CHECK(status == pg_fill(PG_GRAD, n, ids, 0) && pg_all_leaves(n, ids) == (status == PG_OK));
  return status == PG_OK;
}

enum { MANY = 3 * PG_BLOCK_NODES, WINDOW = 64 };

/* New leaves, and one more, which is stale. */
static pg_id make_many(pg_id *ids) {
  static const double zeros[MANY + 1];
  const pg_id first = (pg_id)pg_leaves(MANY + 1, zeros);
  release(first + MANY);
  for (pg_id i = 0; i < MANY; i++) {
    ids[i] = first + i;
  }
  return first + MANY;
}

TEST(one_of_many_consecutive_ids_that_names_no_live_node_is_found) {
  pg_id ids[MANY];
  const pg_id stale = make_many(ids);
  CHECK(all_live(MANY, ids));
  for (size_t i = 0; i < MANY; i++) {
    const pg_id id = ids[i];
    ids[i] = i % 2 ? stale : 0;
    CHECK(!all_live(MANY, ids));
    ids[i] = ids[MANY - 1 - i];
    CHECK(all_live(MANY, ids));
    ids[i] = id;
  }
  CHECK(pg_release_all(MANY, ids) == PG_OK);
  /* Such as never were given out, and 0, 1, ...: the numbers wrap around. */
  for (pg_id last = WINDOW - 2; last > (pg_id)WINDOW - MANY; last -= 7) {
    for (pg_id i = 0; i < WINDOW; i++) {
      ids[i] = last - (WINDOW - 1) + i;
    }
    CHECK(!all_live(WINDOW, ids));
  }
}

TEST(a_leaf_that_has_died_beside_blocks_of_which_all_nodes_live_is_found) {
  pg_id ids[MANY];
  for (int forward = 0; forward < 2; forward++) {
    make_many(ids);
    for (size_t k = 0; k < MANY; k++) {
      const size_t dead = forward ? k : MANY - 1 - k;
      release(ids[dead]);
      for (size_t i = 0; i + WINDOW <= MANY; i += 8) {
        CHECK(all_live(WINDOW, ids + i) == (forward ? i > dead : i + WINDOW <= dead));
      }
    }
  }
}

TEST(ids_are_refused_where_there_is_no_arena_yet) {
  refuse_one(256);
  refuse_one(UINT32_MAX);
  CHECK(pg_make_ADD(256, 256) == PG_STALE);
}

TEST(nodes_of_a_trace_that_has_ended_are_refused_but_can_be_read) {
  good = leaf(2);
  pg_trace first = {0}, second = {0};
  CHECK(pg_trace_begin(&first) == PG_OK);
  const pg_id x = leaf(3),
              y = id_of(pg_make_MUL(x, good)); /* as in any trace, what the thread makes is of use */
  const uint32_t number = first.number;
  pg_trace_end(&first);
  for (int round = 0; round < 3; round++) { /* outside of a trace, in the next one, and after that */
    if (round == 1) {
      CHECK(pg_trace_begin(&second) == PG_OK && second.number != number);
    }
    for (int i = 0; i < 2; i++) {
      const pg_id bad = i ? y : x;
      refuse_as_operand(bad, PG_ESCAPED);
      refuse_among_operands(bad, PG_ESCAPED);
      pg_sweep sweep;
      int status = PG_OK;
      CHECK(pg_sweep_begin(&sweep, bad) == PG_ESCAPED && pg_escaped_from() == number);
      CHECK(!pg_record(0, NULL, 1, &bad, &(pg_lookups){0}, &status) && status == PG_ESCAPED);
      CHECK(pg_data(bad) == (i ? 6 : 3) && pg_hold(bad) == PG_OK && pg_release(bad) == PG_OK);
      CHECK(pg_refs(good) == 2 && live_nodes() == 3);
    }
    if (round == 1) {
      pg_trace_end(&second);
    }
  }
  CHECK(pg_has_nodes_of_trace(number));
  release(y), release(x), release(good);
  CHECK(pg_trace_begin(&second) == PG_OK && !pg_has_nodes_of_trace(number));
  pg_trace_end(&first); /* again: it does nothing */
  CHECK(pg_tracing());
  pg_trace_end(&second);
  CHECK(!pg_tracing());
}

TEST(what_outlives_a_trace_does_not_harm_what_is_made_after_it) {
  pg_trace trace = {0};
  CHECK(pg_trace_begin(&trace) == PG_OK);
  const pg_id kept = leaf(1);
  pg_trace_end(&trace);
  const pg_id x = leaf(2), y = id_of(pg_make_ADD(x, x)); /* in the block of a traced node */
  CHECK(kept / PG_BLOCK_NODES == y / PG_BLOCK_NODES && backward(y) == PG_OK && pg_grad(x) == 2);
  release(y), release(x), release(kept);
}
