/* Tests of many threads at once, also run by ThreadSanitizer. A lock allows one sweep or one trace at a time,
 * as callers must. */
#include <pthread.h>
#include <sched.h>

#include "graph/arena.h"
#include "makers.h"
#include "memory.h"
#include "test.h"

enum { ROUNDS = 60, BATCH = 200, NODES = 3000 };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static pg_id shared[4];
static pg_routine *routine;

static void *make_and_sweep(void *argument) {
  uint64_t seed = (uint64_t)(uintptr_t)argument;
  for (int round = 0; round < ROUNDS; round++) {
    pg_id z = leaf(0), out[4];
    for (int i = 0; i < 30; i++) {
      const pg_id w = shared[random_below(&seed, 4)];
      const pg_id product = id_of(pg_make_MUL_number(w, 2, false)), sum = id_of(pg_make_ADD(z, product));
      release(product);
      release(z);
      z = sum;
    }
    REQUIRE(pg_map_unary(PG_TANH, 4, shared, out) == PG_OK && pg_release_all(4, out) == PG_OK);
    pthread_mutex_lock(&one_at_a_time);
    REQUIRE(backward(z) == PG_OK);
    pthread_mutex_unlock(&one_at_a_time);
    release(z);
    const pg_id first = id_of(pg_leaves(4, (double[]){1, 2, 3, 4}));
    for (pg_id i = 0; i < 4; i++) {
      release(first + i);
    }
    REQUIRE(round % 20 || pg_check() == NULL);
  }
  return NULL;
}

TEST(threads_make_sweep_and_drop_graphs_over_shared_leaves) {
  for (int i = 0; i < 4; i++) {
    shared[i] = leaf(i);
  }
  in_threads(make_and_sweep);
  double sum = 0;
  for (int i = 0; i < 4; i++) {
    sum += pg_grad(shared[i]);
  }
  CHECK(live_nodes() == 4 && sum == THREADS * ROUNDS * 30 * 2);
  pg_release_all(4, shared);
}

/* Each function that takes the arena's lock, at the same time as itself and as all others. */

static void make_each(void) {
  for (size_t i = 0; i < COUNT(MAKERS); i++) {
    release(id_of(make_with(&MAKERS[i], shared[0], shared[1], 2)));
    if (MAKERS[i].number) {
      release(id_of(MAKERS[i].number(shared[0], 2, false)));
    }
  }
  release(id_of(pg_custom(0, false, shared, 4)));
}

static void make_many(void) {
  pg_id out[4], scratch[2];
#define MAKES(count, made) REQUIRE((made) == PG_OK && pg_release_all(count, out) == PG_OK)
  MAKES(4, pg_map_unary(PG_EXP, 4, shared, out));
  MAKES(4, pg_map_binary(PG_DIVIDE, 4, shared, shared, out));
  MAKES(4, pg_map_number(PG_POWER, 4, shared, 2, true, out));
  MAKES(2, pg_reduce(PG_ADD, 2, 2, shared, out));
  MAKES(4, pg_matmul(2, 2, 2, shared, 2, 1, shared, 2, 1, NULL, out));
  MAKES(4, pg_softmax(2, 2, shared, out));
  MAKES(4, pg_log_softmax(2, 2, shared, out));
  MAKES(2, pg_cross_entropy(2, 2, shared, (uint32_t[]){0, 1}, scratch, out));
  MAKES(4, pg_rms_norm(2, 2, shared, NULL, 1e-5, out));
#undef MAKES
  const pg_mlp mlp = {1, (uint32_t[]){1}, (uint32_t[]){1}, (bool[]){true}, shared, PG_RELU};
  REQUIRE(pg_mlp_forward(&mlp, 1, &shared[2], NULL, NULL, out) == PG_OK);
  release(out[0]);
}

static void read_and_write(void) {
  double numbers[4], zeros[4] = {0}, means[4] = {0}, squares[4] = {0};
  REQUIRE(pg_read(PG_DATA, 4, shared, numbers) == PG_OK && numbers[3] == 1.5);
  REQUIRE(pg_write(PG_DATA, 4, shared, numbers) == PG_OK && pg_fill(PG_GRAD, 4, shared, 0) == PG_OK);
  REQUIRE(pg_set_data(shared[0], 1.5, false) == PG_OK && pg_set_grad(shared[0], 0, false) == PG_OK);
  REQUIRE(pg_data(shared[0]) == 1.5 && pg_data_at(shared[0]) && pg_all_leaves(4, shared));
  REQUIRE(pg_set_flags(shared[0], PG_LABELLED) == PG_OK && pg_flags_of(shared[0]) & PG_LABELLED);
  REQUIRE(pg_sgd_step(&(pg_sgd){.lr = 0}, 4, shared, NULL) == PG_OK);
  REQUIRE(pg_adam_step(&(pg_adam){.lr = 0, .eps = 1}, 1, 4, shared, means, squares, NULL) == PG_OK);
  REQUIRE(pg_add_grads(4, shared, zeros) == PG_OK);
}

static void hold_and_let_go(void) {
  REQUIRE(pg_hold(shared[0]) == PG_OK && pg_release(shared[0]) == PG_OK);
  REQUIRE(pg_hold_all(4, shared) == PG_OK && pg_release_all(4, shared) == PG_OK);
  const pg_id y = id_of(pg_make_RELU(shared[0]));
  REQUIRE(pg_keep(y) == PG_OK && pg_backward_one(y) == PG_OK && pg_release_kept(y) == PG_OK);
  pg_memory memory;
  pg_memory_stats(&memory);
  REQUIRE(memory.live_nodes >= 4);
}

static void *do_everything(void *argument) {
  static void (*const works[])(void) = {make_each, make_many, read_and_write, hold_and_let_go};
  uint64_t seed = (uint64_t)(uintptr_t)argument;
  for (int round = 0; round < 50 * ROUNDS; round++) {
    works[random_below(&seed, COUNT(works))]();
  }
  return NULL;
}

TEST(threads_call_all_functions_that_take_the_lock_at_once) {
  for (int i = 0; i < 4; i++) {
    shared[i] = leaf(1.5);
  }
  in_threads(do_everything);
  CHECK(live_nodes() == 4 && pg_refs(shared[0]) == 1 && pg_data(shared[3]) == 1.5);
  pg_release_all(4, shared);
}

static void *run_and_change(void *argument) {
  double x[BATCH], cotangent[BATCH], y[BATCH], by_x[BATCH], by_parameters[4];
  for (int i = 0; i < BATCH; i++) {
    x[i] = i, cotangent[i] = 1;
  }
  for (int round = 0; round < ROUNDS; round++) {
    REQUIRE(pg_run(routine, BATCH, (double *const[]){x, cotangent, y, by_x, by_parameters}, 2) == PG_OK);
    for (int i = 0; i < BATCH; i++) { /* two parameters add up to 3 whatever the others do to the third */
      REQUIRE(y[i] >= 3.0 * i && by_x[i] >= 3);
    }
    REQUIRE(pg_set_data(shared[2], (double)(uintptr_t)argument, false) == PG_OK);
    REQUIRE(pg_add_grads(1, shared, by_parameters) == PG_OK);
    REQUIRE(pg_sgd_step(&(pg_sgd){.lr = 0}, 4, shared, NULL) == PG_OK);
  }
  return NULL;
}

static pg_program *record(void) {
  pg_trace trace;
  pg_trace_begin(&trace);
  const pg_id x = leaf(1);
  pg_id slope = id_of(pg_make_ADD(shared[0], shared[1])), more = id_of(pg_make_ABS(shared[2]));
  const pg_id all = id_of(pg_make_ADD(slope, more)), y = id_of(pg_make_MUL(all, x));
  pg_program *p = pg_record(1, &x, 1, &y, &(pg_lookups){0}, &(int){0});
  pg_trace_end(&trace);
  release(y), release(all), release(more), release(slope), release(x);
  return p;
}

TEST(threads_run_one_routine_while_parameters_change) {
  for (int i = 0; i < 4; i++) {
    shared[i] = leaf(i + 1);
  }
  pg_program *p = record();
  routine = pg_compile(p, 1, (size_t[]){1}, (bool[]){true, true}, PG_GRADIENT);
  in_threads(run_and_change);
  pg_routine_free(routine);
  pg_program_free(p);
  CHECK(live_nodes() == 4 && pg_grad(shared[0]) == THREADS * ROUNDS * (BATCH * (BATCH - 1) / 2));
  pg_release_all(4, shared);
}

static void *record_compile_and_make(void *argument) {
  for (int round = 0; round < ROUNDS / 4; round++) {
    if ((uintptr_t)argument % 2) {
      make_and_sweep(argument);
      continue;
    }
    pg_id y = id_of(pg_make_MUL(shared[0], shared[1]));
    for (int i = 0; i < NODES;
         i++) { /* many enough for others to make nodes and drop them during pg_record() */
      const pg_id next = id_of(pg_make_ABS(y));
      release(y);
      y = next;
    }
    pg_program *p = pg_record(1, shared, 1, &y, &(pg_lookups){0}, &(int){0});
    pg_routine *r = pg_compile(p, 1, (size_t[]){1}, (bool[]){true}, PG_VALUES);
    double x[3] = {1, 2, 3}, z[3];
    REQUIRE(pg_run(r, 3, (double *const[]){x, z}, 1) == PG_OK && z[2] == 3 * pg_data(shared[1]));
    pg_routine_free(r);
    pg_program_free(p);
    release(y);
  }
  return NULL;
}

TEST(threads_record_and_compile_while_others_make_nodes) {
  for (int i = 0; i < 4; i++) {
    shared[i] = leaf(i + 1);
  }
  in_threads(record_compile_and_make);
  CHECK(live_nodes() == 4);
  pg_release_all(4, shared);
}

static void *trace_or_make(void *argument) {
  for (int round = 0; round < 100 * ROUNDS; round++) {
    const bool traces = (uintptr_t)argument % 2;
    pg_trace trace;
    while (traces && pg_trace_begin(&trace) == PG_BUSY) {
      sched_yield();
    }
    const pg_id x = leaf(2);
    REQUIRE(pg_tracing() == traces && pg_data(x) == 2 && pg_data(shared[0]) == 1);
    REQUIRE((pg_flags_of(x) & PG_TRACED) == (traces ? PG_TRACED : 0));
    if (traces) {
      pg_trace_end(&trace);
      REQUIRE(trace.reads == 2);
    }
    release(x);
  }
  return NULL;
}

TEST(a_trace_is_of_what_its_own_thread_makes_and_reads) {
  shared[0] = leaf(1);
  in_threads(trace_or_make);
  CHECK(live_nodes() == 1);
  release(shared[0]);
}

static atomic_int allocated_by_all;

static void *allocate(void *argument) {
  (void)argument;
  for (int i = 0; i < BATCH; i++) {
    void *at = pg_resize(NULL, 1);
    allocated_by_all += at != NULL;
    free(at);
  }
  return NULL;
}

TEST(exactly_as_many_allocations_of_all_threads_succeed_as_a_test_allows) {
  pg_test_fail_allocations(THREADS * BATCH / 2);
  in_threads(allocate);
  CHECK(allocated_by_all == THREADS * BATCH / 2 && !pg_may_allocate());
  pg_test_fail_allocations(-1);
  CHECK(pg_may_allocate());
}
