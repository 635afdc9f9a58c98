/* Many threads record, compile, list and run programs at once, with no lock of their own: for ThreadSanitizer,
 * too. */
#include <pthread.h>

#include "test.h"

enum { ROUNDS = 12, WIDTH = 12, LAYERS = 4, BATCH = 70 };

static const pg_lookups NO_LOOKUPS = {0};
static pg_id weights[WIDTH]; /* parameters of all graphs */

/* A net: how wide it is depends on the thread. */
typedef struct {
  size_t inputs, made;
  pg_id x[WIDTH], nodes[4 * LAYERS * WIDTH * WIDTH];
} net;

static pg_id keep(net *n, pg_made made) { return n->nodes[n->made++] = id_of(made); }

static pg_id build(net *n, size_t inputs) {
  pg_id layer[WIDTH];
  n->inputs = inputs, n->made = 0;
  for (size_t i = 0; i < inputs; i++) {
    layer[i] = n->x[i] = keep(n, pg_leaf(0.5, false));
  }
  for (int depth = 0; depth < LAYERS; depth++) {
    pg_id next[WIDTH];
    for (size_t i = 0; i < inputs; i++) {
      next[i] = weights[i];
      for (size_t k = 0; k < inputs; k++) {
        next[i] = keep(n, pg_make_ADD(next[i], keep(n, pg_make_MUL(weights[k], layer[k]))));
      }
      next[i] = keep(n, pg_make_TANH(next[i]));
    }
    memcpy(layer, next, sizeof layer);
  }
  return layer[inputs - 1];
}

static void drop(net *n) {
  while (n->made) {
    release(n->nodes[--n->made]);
  }
}

static void check_run(const pg_program *p, size_t inputs, double expected, const double *slopes) {
  static _Thread_local double x[BATCH * WIDTH], cotangent[BATCH], z[BATCH], by_x[BATCH * WIDTH], by_w[WIDTH];
  pg_routine *r = pg_compile(p, 1, &inputs, (bool[]){true, true}, PG_GRADIENT);
  for (size_t i = 0; i < BATCH * inputs; i++) {
    x[i] = 0.5;
    cotangent[i / inputs] = 1;
  }
  REQUIRE(r && pg_run(r, BATCH, (double *const[]){x, cotangent, z, by_x, by_w}, 2) == PG_OK);
  for (size_t s = 0; s < BATCH; s++) {
    REQUIRE(near(z[s], expected, 1e-12));
    for (size_t i = 0; i < inputs; i++) {
      REQUIRE(near(by_x[s * inputs + i], slopes[i], 1e-9));
    }
  }
  char *text = pg_routine_text(r);
  REQUIRE(text);
  pg_text_free(text);
  pg_routine_free(r);
}

static pthread_mutex_t one_sweep = PTHREAD_MUTEX_INITIALIZER;

static void *record_compile_and_run(void *argument) {
  static _Thread_local net n;
  const size_t inputs = WIDTH - (size_t)(uintptr_t)argument;
  for (int round = 0; round < ROUNDS; round++) {
    double slopes[WIDTH];
    const pg_id z = build(&n, inputs);
    pthread_mutex_lock(&one_sweep);
    REQUIRE(backward(z) == PG_OK && pg_read(PG_GRAD, inputs, n.x, slopes) == PG_OK);
    pthread_mutex_unlock(&one_sweep);
    pg_program *p = pg_record(inputs, n.x, 1, &z, &NO_LOOKUPS, &(int){0});
    REQUIRE(p && pg_program_parameters(p, NULL) == inputs);
    check_run(p, inputs, pg_data(z), slopes);
    const char *symbol;
    double x[WIDTH + 1] = {0.5}, numbers[3];
    REQUIRE(pg_find_not_finite(p, x, true, &symbol, numbers) == 0);
    pg_program_free(p);
    drop(&n);
    /* What others may do to the nodes that all graphs have in common. */
    REQUIRE(pg_hold(weights[0]) == PG_OK && pg_set_data(weights[0], 0.25, false) == PG_OK);
    REQUIRE(pg_release(weights[0]) == PG_OK);
  }
  return NULL;
}

static void make_weights(void) {
  for (int i = 0; i < WIDTH; i++) {
    weights[i] = leaf(0.25 + 0.01 * i);
  }
}

TEST(threads_record_compile_and_run_programs_of_their_own_at_once) {
  make_weights();
  in_threads(record_compile_and_run);
  CHECK(live_nodes() == WIDTH);
  pg_release_all(WIDTH, weights);
}

static pg_program *shared;

static void *compile_the_shared_one(void *argument) {
  const size_t inputs = WIDTH;
  for (int round = 0; round < ROUNDS; round++) {
    const int wanted = (int)(((uintptr_t)argument + (size_t)round) % 4);
    const bool batched = round % 2;
    pg_routine *r = pg_compile(shared, 1, &inputs, (bool[]){batched, batched}, wanted);
    char *text = pg_routine_text(r), *listing = pg_program_text(shared);
    REQUIRE(r && text && listing);
    pg_text_free(text);
    pg_text_free(listing);
    pg_routine_free(r);
  }
  return NULL;
}

TEST(threads_compile_one_program_at_once) {
  static net n;
  make_weights();
  const pg_id z = build(&n, WIDTH);
  shared = pg_record(WIDTH, n.x, 1, &z, &NO_LOOKUPS, &(int){0});
  drop(&n);
  CHECK(shared);
  in_threads(compile_the_shared_one);
  pg_program_free(shared);
  pg_release_all(WIDTH, weights);
}
