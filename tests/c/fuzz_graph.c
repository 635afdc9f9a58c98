/* Fuzz target: reads bytes as a program over the C API, and runs it. After each step the whole arena is
 * checked. A program releases each hold once, but it also tries dead and foreign ids, and lets memory run out.
 * tests/support/replay.py reads the same bytes step by step in the same way, and compares with
 * pygrad.reference.
 */
#include "graph/arena.h"
#include "fuzz.h"
#include "makers.h"

/* Holds -------------------------------------------------------------------------------------------------- */

enum { HELD = 32 };

static struct {
  pg_id held[HELD]; /* a ring; 0: nothing */
  uint32_t next;
  pg_id dead; /* the node released last */
  pg_trace trace;
} state;

static const double NUMBERS[] = {0,      -0.0,  1,   -1,   0.5,      2,         3,   -2,
                                 1e-300, 1e300, 0.1, -0.7, INFINITY, -INFINITY, NAN, 5e-324};

static double number(void) { return NUMBERS[byte() % COUNT(NUMBERS)]; }

/* Some of the numbers are ints. */
static bool is_int(double x) { return x == 1 || x == 3 || x == -2; }

static void numbers_into(size_t n, double *numbers) {
  for (size_t i = 0; i < n; i++) {
    numbers[i] = number();
  }
}

static void let_go(uint32_t at) {
  const pg_id id = state.held[at];
  state.held[at] = 0;
  state.dead = id;
  MUST((pg_flags_of(id) & PG_KEPT ? pg_release_kept(id) : pg_release(id)) == PG_OK);
}

/* Takes over a hold, and releases the one that was in its place. */
static void put(pg_id id) {
  const uint32_t at = state.next++ % HELD;
  if (state.held[at]) {
    let_go(at);
  }
  state.held[at] = id;
}

static void put_made(pg_made made) {
  if (made >= PG_FIRST_ID || made <= -PG_FIRST_ID) {
    put((pg_id)(made < 0 ? -made : made));
  } else {
    MUST(made < 0 && made >= PG_ESCAPED);
  }
}

/* Takes over the results of a bulk builder, unless it has failed. */
static void put_all(int result, size_t n, const pg_id *ids) {
  MUST(result >= PG_ESCAPED && result <= PG_SOME_PINNED);
  for (size_t i = 0; i < n && result >= 0; i++) {
    put(ids[i]);
  }
}

/* The first place from this on that has a hold; HELD if there is none. */
static uint32_t place(void) {
  const uint32_t first = byte();
  for (uint32_t i = 0; i < HELD; i++) {
    if (state.held[(first + i) % HELD]) {
      return (first + i) % HELD;
    }
  }
  return HELD;
}

/* A node that is held, or now and then a dead or foreign id. */
static pg_id any(void) {
  const pg_id junk[] = {0, 1, 255, state.dead, INT32_MAX, UINT32_MAX, 1 << 20, state.dead};
  if (left && data[0] >= 0xF8) {
    const pg_id id = junk[byte() % COUNT(junk)];
    return pg_refs(id) ? 0 : id; /* the id may be that of a new node */
  }
  const uint32_t at = place();
  return at < HELD ? state.held[at] : 0;
}

static void any_of(size_t n, pg_id *ids) {
  for (size_t i = 0; i < n; i++) {
    ids[i] = any();
  }
}

/* Steps ---------------------------------------------------------------------------------------------------- */

static void make_leaf(void) {
  const double x = number();
  put_made(pg_leaf(x, is_int(x)));
}

static void make_op(void) {
  const maker *m = &MAKERS[byte() % COUNT(MAKERS)];
  const bool with_number = byte() % 2;
  const pg_id a = any(), b = any();
  const double y = number();
  put_made(m->number && with_number ? m->number(a, y, is_int(y))
           : m->constant            ? m->constant(a, y, is_int(y))
                                    : make_with(m, a, b, y));
}

static void make_custom(void) {
  pg_id operands[5];
  const size_t n = byte() % 6;
  const double x = number();
  any_of(n, operands);
  put_made(pg_custom(x, is_int(x), operands, n));
}

static void make_leaves(void) {
  static double numbers[1000];
  static pg_id between[1000];
  const size_t n = 1 + (size_t)3 * byte();
  const double x = number();
  for (size_t i = 0; i < n; i++) {
    numbers[i] = x;
  }
  const pg_made first = pg_leaves(n, numbers);
  for (size_t i = 0; i < n && first > 0; i++) {
    between[i] = (pg_id)first + (pg_id)i;
  }
  if (first > 0) { /* the first is kept */
    put((pg_id)first);
    MUST(pg_release_all(n - 1, between + 1) == PG_OK);
  }
}

static void map(void) {
  const unsigned op = byte() % (COUNT(MAKERS) + 4);
  const double y = number();
  pg_id a[3], b[3], out[3];
  any_of(3, a);
  any_of(3, b);
  if (op >= COUNT(MAKERS)) {
    const int two = PG_SUBTRACT + (int)(op - COUNT(MAKERS));
    put_all(two < PG_SUBTRACT_FROM ? pg_map_binary(two, 3, a, b, out)
                                   : pg_map_number(two, 3, a, y, is_int(y), out),
            3, out);
    return;
  }
  const int of_table = PG_LEAF + 1 + (int)op;
  put_all(MAKERS[op].unary    ? pg_map_unary(of_table, 3, a, out)
          : MAKERS[op].binary ? pg_map_binary(of_table, 3, a, b, out)
                              : pg_map_number(of_table, 3, a, y, is_int(y), out),
          3, out);
}

static void reduce(void) {
  static const int OPS[] = {PG_ADD, PG_MUL, PG_MAXIMUM, PG_MINIMUM};
  const int op = OPS[byte() % COUNT(OPS)];
  pg_id x[4], out[2];
  any_of(4, x);
  put_all(pg_reduce(op, 2, 2, x, out), 2, out);
}

static void matmul(void) {
  const bool with_bias = byte() % 2;
  pg_id a[4], b[4], bias[2], out[4];
  any_of(4, a);
  any_of(4, b);
  any_of(2, bias);
  put_all(pg_matmul(2, 2, 2, a, 2, 1, b, 2, 1, with_bias ? bias : NULL, out), 4, out);
}

static void rows(void) {
  const unsigned kind = byte() % 5;
  uint32_t targets[2] = {byte() % 3};
  targets[1] = byte() % 3;
  const double eps = number();
  pg_id x[4], weights[2], scratch[2], out[4];
  any_of(4, x);
  any_of(2, weights);
  switch (kind) {
  case 0:
    put_all(pg_softmax(2, 2, x, out), 4, out);
    break;
  case 1:
    put_all(pg_log_softmax(2, 2, x, out), 4, out);
    break;
  case 2:
    put_all(pg_cross_entropy(2, 2, x, targets, scratch, out), 2, out);
    break;
  default:
    put_all(pg_rms_norm(2, 2, x, kind == 3 ? weights : NULL, eps, out), 4, out);
  }
}

static void mlp(void) {
  pg_id parameters[9], x[2], out[3];
  any_of(9, parameters);
  any_of(2, x);
  double numbers[2];
  numbers_into(2, numbers);
  const pg_mlp two_layers = {
      2, (uint32_t[]){2, 1}, (uint32_t[]){2, 2, 2}, (bool[]){true, false, false}, parameters, PG_RELU};
  const bool are_ints[] = {is_int(numbers[0]), is_int(numbers[1])};
  const int result = pg_mlp_forward(&two_layers, 2, x, byte() % 2 ? numbers : NULL, are_ints, out);
  put_all(result, 1, out + 2);
}

static void set_closure(void) { pg_set_flags(any(), PG_CLOSURE | PG_PINNED | PG_INTERIOR); }
static void set_label(void) { pg_set_flags(any(), PG_LABELLED); }

static void release(void) {
  const uint32_t at = place();
  if (at < HELD) {
    let_go(at);
  }
}

static void copy(void) {
  const pg_id id = any();
  if (pg_hold(id) == PG_OK) {
    put(id);
  }
}

static void keep(void) {
  const uint32_t at = place();
  if (at < HELD) {
    pg_keep(state.held[at]);
  }
}

static void hold_all(void) {
  pg_id ids[4];
  any_of(4, ids);
  const int result = pg_hold_all(4, ids);
  MUST(result >= 0 ? pg_release_all(4, ids) == PG_OK : result == PG_STALE);
}

static void backward(void) {
  const uint32_t budget = 1 + byte();
  pg_sweep sweep;
  int64_t stop = pg_sweep_begin(&sweep, any()) ? PG_DONE : PG_MORE;
  while (stop > 0) {
    stop = pg_sweep_run(&sweep, budget);
    if (stop > PG_MORE && pg_backward_one((pg_id)stop)) { /* a closure that raises */
      break;
    }
  }
}

static void give_up(void) {
  pg_sweep sweep;
  pg_sweep_begin(&sweep, any());
}

static void set(void) {
  const bool is_data = byte() % 2;
  const pg_id id = any();
  const double x = number();
  is_data ? pg_set_data(id, x, is_int(x)) : pg_set_grad(id, x, is_int(x));
}

static void write(void) {
  const int part = byte() % 2 ? PG_DATA : PG_GRAD;
  const bool fill = byte() % 2;
  pg_id ids[3];
  double read[3];
  any_of(3, ids);
  double x[3];
  numbers_into(3, x);
  const int result = fill ? pg_fill(part, 3, ids, x[0]) : pg_write(part, 3, ids, x);
  MUST(pg_read(part, 3, ids, read) == result);
}

static void read(void) {
  const pg_id id = any();
  double *at = pg_data_at(id);
  MUST(pg_refs(id) ? at != NULL : at == NULL && isnan(pg_data(id)) && !pg_op(id) && !pg_flags_of(id));
  uint32_t age = UINT32_MAX;
  pg_ages(1, &id, &age);
  MUST(!pg_refs(id) == (age == UINT32_MAX));
  MUST(pg_op_name(pg_op(id)) && pg_operand(id, 0) <= INT32_MAX && pg_operand(id, 1) <= INT32_MAX);
}

static void update(void) {
  const bool adam = byte() % 2;
  const double lr = number();
  pg_id ids[3];
  double first[3] = {0}, second[3] = {0};
  any_of(3, ids);
  if (adam) {
    pg_adam_step(&(pg_adam){.lr = lr, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8}, 1, 3, ids, first, second,
                 NULL);
  } else {
    pg_sgd_step(&(pg_sgd){.lr = lr, .momentum = 0.5, .first = true}, 3, ids, first);
  }
}

static void let_memory_run_out(void) {
  const unsigned successes = byte();
  pg_test_fail_allocations(successes >= 0x40 ? -1 : (int)(successes % 32));
}

static void use_instruction_set(void) { pg_test_use_instruction_set(byte() % 3); }

static void trace(void) {
  if (pg_tracing()) {
    pg_trace_end(&state.trace);
  } else {
    pg_trace_begin(&state.trace);
  }
}

/* Programs ------------------------------------------------------------------------------------------------- */

static bool is_leaf(pg_id id) { return pg_refs(id) && pg_op(id) == PG_LEAF; }
static bool is_pinned(pg_id id) { return !pg_refs(id) || pg_flags_of(id) & PG_PINNED; }

static double *numbers_of(size_t n) {
  double pattern[6],
      *numbers = malloc(n * sizeof *numbers); /* of exactly this size: a sanitizer watches its end */
  numbers_into(COUNT(pattern), pattern);
  for (size_t i = 0; i < n; i++) {
    numbers[i] = pattern[i % COUNT(pattern)];
  }
  return numbers;
}

/* One argument has the three inputs; the other arguments and the results follow from that. */
static void run(const pg_program *p, int wanted, bool batched) {
  const size_t batch = batched ? 1 + byte() : 1, parameters = pg_program_parameters(p, NULL);
  pg_routine *r = pg_compile(p, 1, (size_t[]){3}, (bool[]){batched, batched}, wanted);
  double *x = numbers_of(3 * batch), *more = numbers_of(3 * batch);
  double *out = malloc(3 * batch * sizeof *out), *values = malloc(batch * sizeof *values);
  double *slopes = malloc((batch + parameters) * sizeof *slopes);
  memset(slopes, 0, (batch + parameters) * sizeof *slopes);
  double *const all[][5] = {[PG_VALUES] = {x, values},
                            [PG_GRADIENT] = {x, more, values, out, slopes},
                            [PG_TANGENTS] = {x, more, values, slopes},
                            [PG_GRADIENT | PG_TANGENTS] = {x, more, out}};
  const int threads = 1 + byte() % 3;
  if (r) {
    const int status = pg_run(r, batch, all[wanted], threads);
    MUST(status == PG_OK || status == PG_NO_MEMORY);
    pg_text_free(pg_routine_text(r));
    if (wanted <= PG_GRADIENT) {
      pg_text_free(pg_emit_c(1, &r, slopes, "f"));
    }
  }
  pg_routine *native = pg_compile(p, 1, (size_t[]){3}, (bool[]){batched, batched}, wanted | PG_NATIVE);
  if (native) {
    pg_text_free(pg_emit_native(native));
  }
  pg_routine_free(native);
  pg_routine_free(r);
  free(x), free(more), free(out), free(values), free(slopes);
}

/* A program of two inputs and an index, which chooses a factor of the output. */
static void record(void) {
  const pg_id output = any(), a = any(), b = any();
  pg_id elements[2];
  any_of(2, elements);
  const unsigned flags = byte(), without = byte();
  double x[4];
  numbers_into(4, x);
  if (is_pinned(output) || !is_leaf(a) || !is_leaf(b) || is_pinned(elements[0]) || is_pinned(elements[1])) {
    return;
  }
  const pg_made node = pg_make_DETACH(elements[0]);
  const pg_made product = node > 0 ? pg_make_MUL((pg_id)node, output) : node;
  if (product > 0) {
    const bool with_lookup = flags & 1;
    const pg_id inputs[] = {a, b, 0}, nodes[] = {(pg_id)node},
                outputs[] = {with_lookup ? (pg_id)product : output};
    const uint32_t index[] = {2}, table[] = {0}, size[] = {2};
    const pg_lookups lookups = {with_lookup, nodes, index, table, with_lookup, size, elements};
    pg_test_disable(without % 3 ? 0 : without / 4);
    int status;
    pg_program *p = pg_record(3, inputs, 1, outputs, &lookups, &status);
    pg_test_disable(0);
    if (p) {
      const char *symbol;
      double found[3];
      pg_text_free(pg_program_text(p));
      MUST(pg_find_not_finite(p, x, flags & 16, &symbol, found) <= 3);
      run(p, flags / 4 % 4, flags & 2);
    }
    pg_program_free(p);
  }
  MUST(product < 0 || pg_release((pg_id)product) == PG_OK);
  MUST(node < 0 || pg_release((pg_id)node) == PG_OK);
}

/* In the order of tests/support/replay.py. */
static void (*const STEPS[])(void) = {
    make_leaf,
    make_op,
    make_custom,
    make_leaves,
    map,
    reduce,
    matmul,
    rows,
    mlp,
    set_closure,
    set_label,
    release,
    copy,
    keep,
    hold_all,
    backward,
    give_up,
    set,
    write,
    read,
    update,
    let_memory_run_out,
    use_instruction_set,
    trace,
    record,
};

static void start(void) {
  state.next = state.dead = 0;
  MUST(live_nodes() == 0);
}

static void finish(void) {
  pg_trace_end(&state.trace);
  pg_test_fail_allocations(-1);
  for (uint32_t at = 0; at < HELD; at++) {
    if (state.held[at]) {
      let_go(at);
    }
  }
  MUST(live_nodes() == 0);
}

/* Each input gets a new arena, so that an input that fails also fails alone. */
static void forget_arena(void) {
  pg_arena *A = &pg_the_arena;
  if (A->capacity) {
    pg_os_unreserve(A->nodes, (size_t)A->capacity * PG_BLOCK_NODES * sizeof(pg_node));
    pg_os_unreserve(A->blocks, A->capacity * sizeof(pg_block));
  }
  *A = (pg_arena){.lock = ATOMIC_FLAG_INIT, .fork_safe = A->fork_safe};
}

void fuzz(void) {
  start();
  while (left) {
    STEPS[byte() % COUNT(STEPS)]();
    MUST_BE_SOUND();
  }
  finish();
  forget_arena();
}
