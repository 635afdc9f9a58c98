/* Tests of running out of memory: each function that allocates, failing at each of its allocations. */
#include "graph/arena.h"
#include "makers.h"
#include "test.h"

static pg_id x, y, row[8];

static void make_operands(void) {
  x = leaf(1.5);
  y = leaf(0.5);
  const pg_id first = id_of(pg_leaves(8, (double[]){1, 2, 3, 4, 5, 6, 7, 8}));
  for (pg_id i = 0; i < 8; i++) {
    row[i] = first + i;
  }
}

static void drop_operands(void) {
  release(x);
  release(y);
  pg_release_all(8, row);
}

/* Makers, in as little room as there is -------------------------------------------------------------------- */

/* Makes nodes and drops them. PG_OK or the status. */
typedef int operation(void);

static int dropped(pg_made made) {
  if (made > -PG_FIRST_ID && made < 0) {
    return (int)made;
  }
  release(id_of(made));
  return PG_OK;
}

static pg_id out[8];

static int all_dropped(int result, size_t n) {
  if (result < 0) {
    return result;
  }
  CHECK(pg_release_all(n, out) == PG_OK);
  return PG_OK;
}

#define PG_UNARY(op, ...)                                                                                      \
  static int make_##op(void) { return dropped(pg_make_##op(x)); }
#define PG_BINARY(op, ...)                                                                                     \
  static int make_##op(void) { return dropped(pg_make_##op(x, y)); }                                           \
  static int make_##op##_number(void) { return dropped(pg_make_##op##_number(x, 2, false)); }
#define PG_CONSTANT(op, ...)                                                                                   \
  static int make_##op(void) { return dropped(pg_make_##op(x, 2, true)); }
#include "ops.def"

static int make_leaf(void) { return dropped(pg_leaf(1, false)); }
static int make_nothing(void) { return dropped(pg_custom(1, false, NULL, 0)); }
static int make_cut(void) {
  const pg_made node = pg_make_RELU(x), moved = node > 0 ? pg_cut((pg_id)node) : node;
  if (node > 0) {
    CHECK(pg_release((pg_id)node) == PG_OK);
  }
  return dropped(moved);
}
static int make_custom(void) { return dropped(pg_custom(1, false, row, 5)); }

static int make_leaves(void) {
  const pg_made first = pg_leaves(8, (double[8]){0});
  for (pg_id i = 0; i < 8 && first > 0; i++) {
    out[i] = (pg_id)first + i;
  }
  return all_dropped(first > 0 ? PG_OK : (int)first, 8);
}

static int map_unary(void) { return all_dropped(pg_map_unary(PG_EXP, 8, row, out), 8); }
static int map_binary(void) { return all_dropped(pg_map_binary(PG_DIVIDE, 8, row, row, out), 8); }
static int map_number(void) { return all_dropped(pg_map_number(PG_DIVIDE_INTO, 8, row, 2, true, out), 8); }
static int reduce(void) { return all_dropped(pg_reduce(PG_ADD, 2, 4, row, out), 2); }
static int matmul(void) { return all_dropped(pg_matmul(2, 2, 2, row, 2, 1, row + 4, 2, 1, row, out), 4); }
static int softmax(void) { return all_dropped(pg_softmax(2, 4, row, out), 8); }
static int log_softmax(void) { return all_dropped(pg_log_softmax(2, 4, row, out), 8); }
static int rms_norm(void) { return all_dropped(pg_rms_norm(2, 4, row, row, 1e-5, out), 8); }

static int cross_entropy(void) {
  pg_id scratch[4];
  return all_dropped(pg_cross_entropy(2, 4, row, (uint32_t[]){0, 3}, scratch, out), 2);
}

static int mlp_forward(void) {
  const pg_mlp mlp = {2, (uint32_t[]){2, 1}, (uint32_t[]){1, 1, 2}, (bool[]){true, true, false}, row, PG_RELU};
  const int result = pg_mlp_forward(&mlp, 1, (pg_id[]){0}, (double[]){0.5}, NULL, out);
  return result < 0 ? result : dropped((pg_made)out[2]);
}

static operation *const MAKING[] = {
    make_leaf, make_nothing, make_cut, make_custom, make_leaves, map_unary,   map_binary,    map_number,
    reduce,    matmul,       softmax,  log_softmax, rms_norm,    mlp_forward, cross_entropy,
#define PG_UNARY(op, ...) make_##op,
#define PG_BINARY(op, ...) make_##op, make_##op##_number,
#include "ops.def"
};

/* Makes leaves until there is no room for more, or `most` of them. Returns how many. */
static size_t fill(pg_id *ids, size_t most) {
  size_t count = 0;
  for (pg_made made; count < most && (made = pg_leaf(0, false)) > 0;) {
    ids[count++] = (pg_id)made;
  }
  return count;
}

TEST(a_maker_that_runs_out_of_room_makes_no_node) {
  static pg_id ballast[1 << 16];
  make_operands();
  pg_test_fail_allocations(0);
  CHECK(pg_release_all(fill(ballast, COUNT(ballast)), ballast) ==
        PG_OK); /* so the block of the operands has room */
  const size_t room = fill(ballast, COUNT(ballast));
  CHECK(room < COUNT(ballast) && pg_leaf(1, false) == PG_NO_MEMORY);
  CHECK(pg_release_all(room, ballast) == PG_OK);
  for (size_t k = 0; k < COUNT(MAKING); k++) {
    int status = PG_NO_MEMORY;
    for (size_t left = 0; status == PG_NO_MEMORY; left++) {
      REQUIRE(fill(ballast, room - left) == room - left);
      const uint64_t before = live_nodes();
      status = MAKING[k]();
      CHECK(live_nodes() == before && pg_data(x) == 1.5 && pg_data(row[7]) == 8 && pg_refs(x) == 1);
      CHECK(status == PG_OK || status == PG_NO_MEMORY);
      CHECK(left > 0 || status == PG_NO_MEMORY);
      CHECK(pg_release_all(room - left, ballast) == PG_OK);
    }
  }
  pg_test_fail_allocations(-1);
  REQUIRE(fill(ballast, room + 1) == room + 1);
  CHECK(pg_release_all(room + 1, ballast) == PG_OK);
  drop_operands();
}

TEST(more_nodes_than_the_arena_has_are_out_of_memory) {
  make_operands();
  CHECK(pg_matmul(1, 0, SIZE_MAX / 2, row, 0, 1, row, 1, 1, NULL, out) == PG_NO_MEMORY);
  drop_operands();
}

/* Functions that allocate memory --------------------------------------------------------------------------- */

/* A traced graph with every kind of node, and with more nodes than arrays have room for at first. */
static struct {
  pg_id nodes[300];
  size_t count;
  pg_lookups lookups;
  pg_trace trace;
} traced;

static pg_id add_traced(pg_made made) { return traced.nodes[traced.count++] = id_of(made); }

static void make_traced(void) {
  static const uint32_t index[] = {1}, table[] = {0}, rows[] = {4};
  pg_trace_begin(&traced.trace);
  const pg_id in = add_traced(pg_leaf(0.5, false)), node = add_traced(pg_make_DETACH(row[0]));
  pg_id z = in;
  for (int i = 0; i < 90; i++) {
    z = add_traced(pg_make_MUL(i % 2 ? row[2] : x, z));
    z = add_traced(pg_make_ADD(z, i % 3 ? in : node));
    z = add_traced(pg_make_TANH(z));
  }
  traced.lookups = (pg_lookups){1, &traced.nodes[1], index, table, 1, rows, row};
}

static void drop_traced(void) {
  pg_trace_end(&traced.trace);
  while (traced.count) {
    release(traced.nodes[--traced.count]);
  }
}

static pg_program *record(void) {
  const pg_id inputs[] = {traced.nodes[0], 0};
  int status;
  return pg_record(2, inputs, 1, &traced.nodes[traced.count - 1], &traced.lookups, &status);
}

static pg_routine *compile(const pg_program *p, int wanted) {
  const bool batched[] = {true, true, true, true};
  return pg_compile(p, 2, (size_t[]){1, 1}, batched, wanted);
}

static pg_program *program;
static pg_routine *routine;

static int do_record(void) {
  pg_program *p = record();
  pg_program_free(p);
  return p ? PG_OK : PG_NO_MEMORY;
}

static int do_compile(int wanted) {
  pg_routine *r = compile(program, wanted);
  pg_routine_free(r);
  return r ? PG_OK : PG_NO_MEMORY;
}

static int compile_values(void) { return do_compile(PG_VALUES); }
static int compile_gradient(void) { return do_compile(PG_GRADIENT); }
static int compile_tangents(void) { return do_compile(PG_TANGENTS); }
static int compile_curvatures(void) { return do_compile(PG_GRADIENT | PG_TANGENTS); }

static int print_program(void) {
  char *text = pg_program_text(program);
  pg_text_free(text);
  return text ? PG_OK : PG_NO_MEMORY;
}

static int print_routine(void) {
  char *text = pg_routine_text(routine);
  pg_text_free(text);
  return text ? PG_OK : PG_NO_MEMORY;
}

static int find_not_finite(void) {
  const char *symbol;
  double numbers[3];
  const int found = pg_find_not_finite(program, (double[]){1, 2, 1}, true, &symbol, numbers);
  CHECK(found == 0 || found == PG_NO_MEMORY);
  return found;
}

TEST(a_failed_allocation_leaks_nothing) {
  static operation *const ALLOCATING[] = {
      do_record,          compile_values, compile_gradient, compile_tangents,
      compile_curvatures, print_program,  print_routine,    find_not_finite,
  };
  make_operands();
  make_traced();
  program = record();
  routine = compile(program, PG_GRADIENT);
  CHECK(program && routine);
  for (size_t k = 0; k < COUNT(ALLOCATING); k++) {
    int status = PG_NO_MEMORY;
    for (int64_t successes = 0; status == PG_NO_MEMORY; successes++) {
      const int64_t bytes_before = allocated();
      const uint64_t live_before = live_nodes();
      pg_test_fail_allocations(successes);
      status = ALLOCATING[k]();
      pg_test_fail_allocations(-1);
      CHECK(allocated() == bytes_before && live_nodes() == live_before);
      CHECK(status == PG_OK || status == PG_NO_MEMORY);
      CHECK(successes > 0 || status == PG_NO_MEMORY);
    }
  }
  pg_routine_free(routine);
  pg_program_free(program);
  drop_traced();
  drop_operands();
}

TEST(a_run_works_with_fewer_threads_and_less_memory) {
  enum { BATCH = 400 };
  static double in[BATCH], index[BATCH], cotangent[BATCH], z[BATCH], by_in[BATCH], by_index[BATCH],
      by_parameters[8];
  static double first_z[BATCH], first_by_in[BATCH];
  double *const all[] = {in, index, cotangent, z, by_in, by_index, by_parameters};
  make_operands();
  make_traced();
  program = record();
  for (int i = 0; i < BATCH; i++) {
    in[i] = i / 400.0, index[i] = i % 4, cotangent[i] = 1;
  }
  int finished = 0;
  for (int64_t successes = 0; successes < 8; successes++) {
    routine = compile(program, PG_GRADIENT);
    const int64_t before = allocated();
    pg_test_fail_allocations(successes);
    const int status = pg_run(routine, BATCH, all, 4);
    pg_test_fail_allocations(-1);
    CHECK(status ==
          (successes > 1 ? PG_OK : PG_NO_MEMORY));    /* two for the run: all threads but this may be missing */
    CHECK(allocated() == before + (status == PG_OK)); /* the memory is kept for the next run */
    if (status == PG_OK && finished++ == 0) {
      memcpy(first_z, z, sizeof z), memcpy(first_by_in, by_in, sizeof by_in);
    }
    CHECK(status || (memcmp(first_z, z, sizeof z) == 0 && memcmp(first_by_in, by_in, sizeof by_in) == 0));
    memset(z, 0, sizeof z), memset(by_in, 0, sizeof by_in);
    pg_routine_free(routine);
  }
  pg_program_free(program);
  drop_traced();
  drop_operands();
}
