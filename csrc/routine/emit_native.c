/* emit_native.c: routines as C for the machine that runs it: what backend="native" compiles.
 *
 * The text is that of several files, each of which begins with native.h. The last one has the function
 * pygrad_run(), a pg_native_code, which calls functions of bounded size, the blocks, phase by phase.
 *
 * Loops with few results become statements, one for each result. A block has up to BLOCK statements, for one
 * number each, or in the batch within a loop over the vectors of a tile. Their results are local variables, and
 * are stored in their slots only if something reads them after the block. A larger loop is a block of its own.
 *
 * Where all numbers that a loop touches are one after the other in an array of the caller's, it uses that
 * array. So the shared arguments are not copied, nor are the results that are one for all samples: such a run
 * of numbers is "direct".
 */
#include <math.h>
#include <stdlib.h>

#include "routine/listing.h"

enum {
  STATEMENTS = 64, /* a loop with more results times terms is a block of its own */
  BLOCK = 256,
  BLOCKS_A_FILE = 24
};

/* A statement, or a block of its own. */
typedef struct {
  const pg_loop *loop;
  uint32_t index; /* of the loop in its phase */
  uint32_t i, j;  /* of a statement */
  bool is_block;
  bool is_stored; /* a statement: its result is read after the block */
} entry;

/* Numbers that follow each other in an array of the caller's and in shared slots. */
typedef struct {
  pg_slot slot; /* of the first */
  uint32_t count, array, offset;
  bool is_direct, is_result;
} run;

typedef struct {
  pg_text *out;
  const pg_routine *r;
  entry *entries; /* of all phases */
  uint32_t count, room, ends[PG_PHASES];
  run *runs;
  uint32_t run_count, run_room;
  uint32_t *run_of;     /* a shared slot: its run, or PG_NO_REF */
  bool *live[2];        /* a slot: whether what it has is read later; shared, batched */
  uint32_t *names[2];   /* a slot: the variable that has its number, if `blocks` agrees */
  uint32_t *blocks[2];  /* a slot: the block that the name is of */
  uint32_t next, block; /* the next name, and the current block */
  uint32_t blocks_of[PG_PHASES];
  bool failed;
} emitter;

static const char *const NAMES[PG_KERNELS] = {
#define PG_UNARY(name, ...) [PG_##name] = #name,
#define PG_BINARY(name, ...) [PG_##name] = #name,
#include "program/all_ops.def"
};

/* Entries ------------------------------------------------------------------------------------------------ */

static bool is_statement(const pg_loop *l) {
  return (l->op < PG_KERNELS || pg_is_sum(l)) && (uint64_t)l->n * l->rows * pg_terms(l) <= STATEMENTS;
}

static void add_entry(emitter *e, entry x) {
  if (pg_grow((void **)&e->entries, &e->room, e->count, 1, sizeof x)) {
    e->entries[e->count++] = x;
  } else {
    e->failed = true;
  }
}

static void add_entries(emitter *e) {
  for (int phase = 0; phase < PG_PHASES; phase++) {
    const pg_loops *loops = &e->r->phases[phase];
    for (uint32_t k = 0; k < loops->count && !e->failed; k++) {
      const pg_loop *l = &loops->at[k];
      if (!is_statement(l)) {
        add_entry(e, (entry){.loop = l, .index = k, .is_block = true});
        continue;
      }
      for (uint32_t at = 0; at < l->n * l->rows; at++) {
        add_entry(e, (entry){.loop = l, .index = k, .i = at % l->n, .j = at / l->n});
      }
    }
    e->ends[phase] = e->count;
  }
}

/* The end of the block that begins at an entry. */
static uint32_t end_of_block(const emitter *e, uint32_t begin, uint32_t end) {
  uint32_t at = begin, statements = 0;
  if (e->entries[at].is_block) {
    return at + 1;
  }
  for (; at < end && !e->entries[at].is_block && statements < BLOCK; at++) {
    statements += pg_terms(e->entries[at].loop);
  }
  return at;
}

/* Slots -------------------------------------------------------------------------------------------------- */

static pg_slot moved(pg_slot slot, int64_t steps) {
  return pg_slot_of((uint32_t)(pg_number_of(slot) + steps), pg_is_batched(slot));
}

/* The slot of an operand for one i, j and t. */
static pg_slot at(const pg_strided *x, uint32_t i, uint32_t j, uint32_t t) {
  return x->slot == PG_NO_SLOT
             ? PG_NO_SLOT
             : moved(x->slot, (int64_t)x->i_step * i + (int64_t)x->j_step * j + (int64_t)x->t_step * t);
}

static pg_slot result_of(const entry *x) { return moved(x->loop->dst, (int64_t)x->j * x->loop->n + x->i); }

typedef struct {
  pg_slot first; /* PG_NO_SLOT: none */
  uint32_t count;
} span;

static span span_of(const pg_loop *l, const pg_strided *x) {
  if (x->slot == PG_NO_SLOT) {
    return (span){PG_NO_SLOT, 0};
  }
  const int64_t ways[3] = {((int64_t)l->n - 1) * x->i_step, ((int64_t)l->rows - 1) * x->j_step,
                           ((int64_t)pg_terms(l) - 1) * x->t_step};
  int64_t first = 0, last = 0;
  for (int k = 0; k < 3; k++) {
    first += ways[k] < 0 ? ways[k] : 0;
    last += ways[k] > 0 ? ways[k] : 0;
  }
  return (span){moved(x->slot, first), (uint32_t)(last - first + 1)};
}

static span result_span(const pg_loop *l) { return (span){l->dst, l->n * l->rows}; }

/* The operands of a map or a sum. Returns how many. */
static int operands_of(const pg_loop *l, const pg_strided *found[3]) {
  if (pg_is_sum(l)) {
    found[0] = &l->sum.a, found[1] = &l->sum.b, found[2] = &l->sum.init;
    return l->op == PG_DOT ? 3 : 2;
  }
  found[0] = &l->map.a, found[1] = &l->map.b;
  return pg_is_binary(l->op) ? 2 : 1;
}

/* Calls f for each span of slots that a lookup or a scatter touches. */
typedef void visitor(emitter *e, span x);

static void visit_list(emitter *e, visitor *f, int64_t first, uint32_t count) {
  for (uint32_t k = 0; k < count; k++) {
    if (e->r->lists[first + k] != PG_NO_SLOT) {
      f(e, (span){e->r->lists[first + k], 1});
    }
  }
}

static void visit_lists(emitter *e, visitor *f, const pg_loop *l) {
  if (l->op == PG_SCATTER) {
    visit_list(e, f, l->scatter.list, l->scatter.size + 2 * l->scatter.pairs);
    return;
  }
  f(e, span_of(l, &l->lookup.index));
  for (uint32_t j = 0; j < l->rows; j++) {
    for (uint32_t i = 0; i < l->n; i++) {
      visit_list(e, f, pg_number_of(at(&l->lookup.list, i, j, 0)), l->lookup.size);
    }
  }
}

static bool has_list(const pg_loop *l) { return l->op == PG_LOOKUP || l->op == PG_SCATTER; }

/* Runs --------------------------------------------------------------------------------------------------- */

static void add_run(emitter *e, run x) {
  for (uint32_t k = 0; k < x.count; k++) {
    if (e->run_of[pg_number_of(x.slot) + k] != PG_NO_REF) { /* the result is another one, too */
      x.is_direct = false;
    }
  }
  if (!pg_grow((void **)&e->runs, &e->run_room, e->run_count, 1, sizeof x)) {
    e->failed = true;
    return;
  }
  for (uint32_t k = 0; x.is_direct && k < x.count; k++) {
    e->run_of[pg_number_of(x.slot) + k] = e->run_count;
  }
  e->runs[e->run_count++] = x;
}

/* The runs of the shared arguments, then those of the results that are one for all samples. */
static void find_runs(emitter *e) {
  const pg_routine *r = e->r;
  const uint32_t leaves = r->leaf_count + r->total_count;
  uint32_t k = 0, length;
  for (uint32_t a = 0; a < r->argument_count; a++) {
    for (uint32_t begin = k, end = k + (uint32_t)r->arrays[a].size; k < end && !e->failed; k += length) {
      const pg_slot slot = r->inputs[k].slot;
      length = pg_run_of(r->inputs, k, end);
      if (slot != PG_NO_SLOT && !pg_is_batched(slot) && k != r->cotangent) {
        add_run(e, (run){slot, length, a, k - begin, true, false});
      }
    }
  }
  k = 0;
  for (uint32_t a = (uint32_t)r->argument_count; a < r->argument_count + r->result_count; a++) {
    for (uint32_t begin = k, end = k + (uint32_t)r->arrays[a].size; k < end && !e->failed; k += length) {
      const pg_slot slot = r->outputs[k].slot;
      length = pg_run_of(r->outputs, k, end);
      if (!r->arrays[a].batched) {
        add_run(e, (run){slot, length, a, k - begin, pg_number_of(slot) >= leaves, true});
      }
    }
  }
}

/* A run is not direct if a loop touches it and something else at once. */
static void touch(emitter *e, span x) {
  if (x.first == PG_NO_SLOT || pg_is_batched(x.first)) {
    return;
  }
  const uint32_t *found = e->run_of + pg_number_of(x.first);
  bool same = true;
  for (uint32_t k = 0; k < x.count && same; k++) {
    same = found[k] == found[0];
  }
  for (uint32_t k = 0; k < x.count && !same; k++) {
    if (found[k] != PG_NO_REF) {
      e->runs[found[k]].is_direct = false;
    }
  }
}

static void touch_list(emitter *e, span x) {
  for (uint32_t k = 0; !pg_is_batched(x.first) && k < x.count; k++) {
    const uint32_t found = e->run_of[pg_number_of(x.first) + k];
    if (found != PG_NO_REF) {
      e->runs[found].is_direct = false;
    }
  }
}

/* run.c stores the results that are for each sample, from their slots. */
static void touch_results(emitter *e) {
  const pg_routine *r = e->r;
  uint32_t k = 0;
  for (size_t a = r->argument_count; a < r->argument_count + r->result_count; a++) {
    for (const uint32_t end = k + (uint32_t)r->arrays[a].size; k < end; k++) {
      if (r->arrays[a].batched) {
        touch_list(e, (span){r->outputs[k].slot, 1});
      }
    }
  }
}

static void choose_direct(emitter *e) {
  touch_results(e);
  for (uint32_t k = 0; k < e->count; k++) {
    const pg_loop *l = e->entries[k].loop;
    const pg_strided *operands[3];
    if (!e->entries[k].is_block) {
      continue;
    }
    if (has_list(l)) {
      visit_lists(e, touch_list, l);
      if (l->op == PG_LOOKUP) {
        touch_list(e, result_span(l));
      }
      continue;
    }
    if (l->op != PG_DOT_TOTAL) {
      touch(e, result_span(l));
    }
    for (int o = operands_of(l, operands); o-- > 0;) {
      touch(e, span_of(l, operands[o]));
    }
  }
}

/* Liveness ----------------------------------------------------------------------------------------------- */

static void set_live(emitter *e, span x, bool live) {
  for (uint32_t k = 0; x.first != PG_NO_SLOT && k < x.count; k++) {
    e->live[pg_is_batched(x.first)][pg_number_of(x.first) + k] = live;
  }
}

static void make_live(emitter *e, span x) { set_live(e, x, true); }

/* What is live before an entry, from what is live after it. */
static void pass_backwards(emitter *e, const entry *x) {
  const pg_loop *l = x->loop;
  const pg_strided *operands[3];
  if (has_list(l)) {
    visit_lists(e, make_live, l);
    return;
  }
  if (l->op != PG_DOT_TOTAL) {
    set_live(e, x->is_block ? result_span(l) : (span){result_of(x), 1}, false);
  }
  for (int o = operands_of(l, operands); o-- > 0;) {
    for (uint32_t t = 0; t < pg_terms(l) && !x->is_block; t++) {
      make_live(e, (span){at(operands[o], x->i, x->j, t), 1});
    }
    if (x->is_block) {
      make_live(e, span_of(l, operands[o]));
    }
  }
}

static void find_stored(emitter *e, uint32_t begin, uint32_t end) {
  uint32_t *starts = pg_room(end - begin, sizeof *starts), count = 0;
  if (!starts) {
    e->failed = true;
    return;
  }
  for (uint32_t k = begin; k < end; k = end_of_block(e, k, end)) {
    starts[count++] = k;
  }
  for (uint32_t last = end; count-- > 0; last = starts[count]) {
    for (uint32_t k = starts[count]; k < last; k++) {
      entry *x = &e->entries[k];
      if (!x->is_block && x->loop->op != PG_DOT_TOTAL) {
        const pg_slot slot = result_of(x);
        x->is_stored = e->live[pg_is_batched(slot)][pg_number_of(slot)];
      }
    }
    for (uint32_t k = last; k-- > starts[count];) {
      pass_backwards(e, &e->entries[k]);
    }
  }
  free(starts);
}

static uint32_t begin_of(const emitter *e, int phase) { return phase ? e->ends[phase - 1] : 0; }

static void find_all_stored(emitter *e) {
  for (uint32_t k = 0; k < e->r->output_count; k++) {
    make_live(e, (span){e->r->outputs[k].slot, 1});
  }
  for (int phase = PG_PHASES; phase-- > 0 && !e->failed;) {
    find_stored(e, begin_of(e, phase), e->ends[phase]);
  }
}

/* Operands ----------------------------------------------------------------------------------------------- */

static const run *direct_run(const emitter *e, pg_slot slot) {
  const uint32_t found = pg_is_batched(slot) ? PG_NO_REF : e->run_of[pg_number_of(slot)];
  return found != PG_NO_REF && e->runs[found].is_direct ? &e->runs[found] : NULL;
}

/* The address of a slot's number, or of its first. */
static void write_address(const emitter *e, pg_slot slot) {
  const run *direct = direct_run(e, slot);
  if (direct) {
    pg_print(e->out, "arrays[%u] + %u", direct->array,
             direct->offset + pg_number_of(slot) - pg_number_of(direct->slot));
  } else if (pg_is_batched(slot)) {
    pg_print(e->out, "b + %zu", (size_t)pg_number_of(slot) * e->r->tile);
  } else {
    pg_print(e->out, "s + %u", pg_number_of(slot));
  }
}

static bool is_constant(const emitter *e, pg_slot slot) {
  const uint32_t number = pg_number_of(slot);
  return !pg_is_batched(slot) && number >= e->r->parameter_count && number < e->r->leaf_count &&
         !isnan(e->r->constants[number]);
}

/* Declares the variable for a slot that the block has not read or written before. */
static void load(emitter *e, pg_slot slot, bool vectors) {
  const bool batched = pg_is_batched(slot);
  const uint32_t number = pg_number_of(slot);
  if (slot == PG_NO_SLOT || e->blocks[batched][number] == e->block) {
    return;
  }
  e->blocks[batched][number] = e->block;
  e->names[batched][number] = e->next++;
  pg_print(e->out, "const %s v%u = ", vectors ? "vec" : "double", e->names[batched][number]);
  if (batched) {
    pg_print(e->out, "v_load(");
    write_address(e, slot);
    pg_print(e->out, " + q);\n");
    return;
  }
  pg_print(e->out, vectors ? "v_splat(" : "(");
  if (is_constant(e, slot)) {
    pg_print_literal(e->out, e->r->constants[number]);
  } else {
    pg_print(e->out, "*(");
    write_address(e, slot);
    pg_print(e->out, ")");
  }
  pg_print(e->out, ");\n");
}

static uint32_t name_of(const emitter *e, pg_slot slot) {
  assert(e->blocks[pg_is_batched(slot)][pg_number_of(slot)] == e->block);
  return e->names[pg_is_batched(slot)][pg_number_of(slot)];
}

static uint32_t new_name(emitter *e, pg_slot slot) {
  e->blocks[pg_is_batched(slot)][pg_number_of(slot)] = e->block;
  return e->names[pg_is_batched(slot)][pg_number_of(slot)] = e->next++;
}

/* Statements --------------------------------------------------------------------------------------------- */

/* Ops of many instructions, which are not repeated in each statement. */
static bool is_long(int op) {
  switch (op) {
  case PG_POWER:
  case PG_POW:
  case PG_POW_SLOPE:
  case PG_EXP:
  case PG_LOG:
  case PG_TANH:
  case PG_SIGMOID:
  case PG_SOFTPLUS:
  case PG_SIN:
  case PG_COS:
    return true;
  default:
    return false;
  }
}

static void write_map(emitter *e, const entry *x, bool vectors) {
  const pg_loop *l = x->loop;
  const pg_slot a = at(&l->map.a, x->i, x->j, 0), b = at(&l->map.b, x->i, x->j, 0);
  const bool binary = pg_is_binary(l->op);
  load(e, a, vectors);
  load(e, binary ? b : PG_NO_SLOT, vectors);
  const uint32_t of_a = name_of(e, a), of_b = binary ? name_of(e, b) : 0, of_result = new_name(e, result_of(x));
  pg_print(e->out, "const %s v%u = %c_%s(v%u", vectors ? "vec" : "double", of_result,
           !vectors         ? 's'
           : is_long(l->op) ? 'x'
                            : 'v',
           NAMES[l->op], of_a);
  pg_print(e->out, binary ? ", v%u);\n" : ");\n", of_b);
}

static bool is_one(const emitter *e, pg_slot slot) {
  return is_constant(e, slot) && e->r->constants[pg_number_of(slot)] == 1;
}

/* Adds the products of a sum to what the variable `sum` has. */
static void write_products(emitter *e, const entry *x, bool vectors, uint32_t sum) {
  const pg_loop *l = x->loop;
  for (uint32_t t = 0; t < l->sum.terms; t++) {
    const pg_slot a = at(&l->sum.a, x->i, x->j, t), b = at(&l->sum.b, x->i, x->j, t);
    load(e, a, vectors);
    if (is_one(e, b)) {
      pg_print(e->out, "v%u += v%u;\n", sum, name_of(e, a));
      continue;
    }
    load(e, b, vectors);
    pg_print(e->out, "v%u = %c_fma(v%u, v%u, v%u);\n", sum, vectors ? 'v' : 's', name_of(e, a), name_of(e, b),
             sum);
  }
}

static void write_dot(emitter *e, const entry *x, bool vectors) {
  const pg_slot init = at(&x->loop->sum.init, x->i, x->j, 0);
  const uint32_t sum = e->next++;
  load(e, init, vectors);
  pg_print(e->out, "%s v%u = ", vectors ? "vec" : "double", sum);
  if (init == PG_NO_SLOT) {
    pg_print(e->out, vectors ? "v_splat(0);\n" : "0;\n");
  } else {
    pg_print(e->out, "v%u;\n", name_of(e, init));
  }
  write_products(e, x, vectors, sum);
  const pg_slot result = result_of(x);
  e->blocks[pg_is_batched(result)][pg_number_of(result)] = e->block;
  e->names[pg_is_batched(result)][pg_number_of(result)] = sum;
}

static uint32_t total_of(const emitter *e, const entry *x) {
  return pg_number_of(result_of(x)) - pg_first_total(e->r);
}

static void write_total(emitter *e, const entry *x) {
  const uint32_t sum = e->next++;
  pg_print(e->out, "vec v%u = v_splat(0);\n", sum);
  write_products(e, x, true, sum);
  pg_print(e->out, "t%u += pg_masked(mask, v%u);\n", total_of(e, x), sum);
}

static void write_statement(emitter *e, const entry *x, bool vectors) {
  if (x->loop->op == PG_DOT) {
    write_dot(e, x, vectors);
  } else if (x->loop->op == PG_DOT_TOTAL) {
    write_total(e, x);
  } else {
    write_map(e, x, vectors);
  }
}

/* Stores those results that are read after the block: of each slot the last. */
static void write_stores(emitter *e, uint32_t begin, uint32_t end) {
  for (uint32_t k = end; k-- > begin;) {
    const entry *x = &e->entries[k];
    const pg_slot slot = result_of(x);
    const bool batched = pg_is_batched(slot);
    if (!x->is_stored || e->blocks[batched][pg_number_of(slot)] != e->block) {
      continue;
    }
    pg_print(e->out, batched ? "v_store(" : "*(");
    write_address(e, slot);
    pg_print(e->out, batched ? " + q, v%u);\n" : ") = v%u;\n", name_of(e, slot));
    e->blocks[batched][pg_number_of(slot)] = PG_NO_REF;
  }
}

/* The sums of the totals in a block: declares them, or adds their lanes to the chunk's. */
static void write_totals(emitter *e, uint32_t begin, uint32_t end, bool declare) {
  for (uint32_t k = begin; k < end; k++) {
    const entry *x = &e->entries[k];
    if (x->loop->op != PG_DOT_TOTAL) {
      continue;
    }
    const uint32_t slot = pg_number_of(result_of(x));
    const uint32_t mark = declare ? PG_NO_REF - 1 : PG_NO_REF - 2;
    if (e->blocks[0][slot] != mark) { /* once for each total */
      e->blocks[0][slot] = mark;
      pg_print(e->out, declare ? "vec t%u = v_splat(0);\n" : "totals[%u] += pg_add_lanes(t%u);\n",
               total_of(e, x), total_of(e, x));
    }
  }
}

static bool has_totals(const emitter *e, uint32_t begin, uint32_t end) {
  for (uint32_t k = begin; k < end; k++) {
    if (e->entries[k].loop->op == PG_DOT_TOTAL) {
      return true;
    }
  }
  return false;
}

static void write_statements(emitter *e, int phase, uint32_t begin, uint32_t end) {
  const bool vectors = phase == PG_BATCH;
  if (vectors) {
    write_totals(e, begin, end, true);
    pg_print(e->out, "PG_TILE_LOOP(end) {\n");
    if (has_totals(e, begin, end)) {
      pg_print(e->out, "const ivec mask = pg_lanes_below(samples - q);\n");
    }
  }
  for (uint32_t k = begin; k < end; k++) {
    write_statement(e, &e->entries[k], vectors);
  }
  write_stores(e, begin, end);
  if (vectors) {
    pg_print(e->out, "}\n");
    write_totals(e, begin, end, false);
  }
}

/* Loops -------------------------------------------------------------------------------------------------- */

static int64_t numbers(const emitter *e, const pg_strided *x, int64_t steps) {
  return steps * (pg_is_batched(x->slot) ? e->r->tile : 1);
}

/* An operand's address and its steps; in the batch, also whether it is batched. */
static void write_operand(emitter *e, const pg_strided *x, bool has_terms, bool vectors) {
  pg_print(e->out, ", ");
  write_address(e, x->slot);
  pg_print(e->out, ", %lld, %lld", (long long)numbers(e, x, x->i_step), (long long)numbers(e, x, x->j_step));
  if (has_terms) {
    pg_print(e->out, ", %lld", (long long)numbers(e, x, x->t_step));
  }
  if (vectors) {
    pg_print(e->out, ", %d", pg_is_batched(x->slot));
  }
}

static void write_map_loop(emitter *e, const pg_loop *l, bool vectors) {
  const bool binary = pg_is_binary(l->op);
  pg_print(e->out, "PG_%sMAP%s(%s, %u, %u, ", vectors ? "TILE_" : "", binary ? "_TWO" : "", NAMES[l->op], l->n,
           l->rows);
  if (vectors) {
    pg_print(e->out, "%u, end, ", e->r->tile);
  }
  write_address(e, l->dst);
  write_operand(e, &l->map.a, false, vectors);
  if (binary) {
    write_operand(e, &l->map.b, false, vectors);
  }
  pg_print(e->out, ")\n");
}

static void write_dot_loop(emitter *e, const pg_loop *l, bool vectors) {
  pg_print(e->out, "pg_%sdots(%u, %u, %u, ", vectors ? "tile_" : "", l->n, l->rows, l->sum.terms);
  if (vectors) {
    pg_print(e->out, "%u, end, ", e->r->tile);
  }
  write_address(e, l->dst);
  if (l->sum.init.slot == PG_NO_SLOT) {
    pg_print(e->out, vectors ? ", NULL, 0, 0, 0" : ", NULL, 0, 0");
  } else {
    write_operand(e, &l->sum.init, false, vectors);
  }
  write_operand(e, &l->sum.a, true, vectors);
  write_operand(e, &l->sum.b, true, vectors);
  pg_print(e->out, ");\n");
}

static void write_total_loop(emitter *e, const pg_loop *l) {
  pg_print(e->out, "pg_tile_totals(%u, %u, %u, samples, totals + %u", l->n, l->rows, l->sum.terms,
           pg_number_of(l->dst) - pg_first_total(e->r));
  write_operand(e, &l->sum.a, true, true);
  write_operand(e, &l->sum.b, true, true);
  pg_print(e->out, ");\n");
}

static void write_loop(emitter *e, int phase, const entry *x) {
  const pg_loop *l = x->loop;
  if (has_list(l)) {
    pg_print(e->out, "c->run_list(c->routine, %d, %u, s, b);\n", phase, x->index);
  } else if (l->op == PG_DOT_TOTAL) {
    write_total_loop(e, l);
  } else if (l->op == PG_DOT) {
    write_dot_loop(e, l, pg_is_batched(l->dst));
  } else {
    write_map_loop(e, l, pg_is_batched(l->dst));
  }
}

/* Files -------------------------------------------------------------------------------------------------- */

static void write_block(emitter *e, int phase, uint32_t begin, uint32_t end) {
  const uint32_t written = e->blocks_of[0] + e->blocks_of[1] + e->blocks_of[2];
  if (written && written % BLOCKS_A_FILE == 0) {
    pg_print(e->out, "\f\n");
  }
  e->block++;
  pg_print(e->out, "void pygrad_%d_%u(const pg_native_call *c) {\nPG_BLOCK\n", phase, e->blocks_of[phase]++);
  if (e->entries[begin].is_block) {
    write_loop(e, phase, &e->entries[begin]);
  } else {
    write_statements(e, phase, begin, end);
  }
  pg_print(e->out, "}\n");
}

static void write_phases(emitter *e) {
  for (int phase = 0; phase < PG_PHASES; phase++) {
    const uint32_t end = e->ends[phase];
    for (uint32_t k = begin_of(e, phase), next; k < end && !e->out->failed; k = next) {
      next = end_of_block(e, k, end);
      write_block(e, phase, k, next);
    }
  }
}

/* Copies those runs that are not direct. */
static void write_copies(emitter *e, bool results) {
  pg_print(e->out, "static void %s(const pg_native_call *c) {\nPG_BLOCK\n", results ? "store" : "load");
  for (uint32_t k = 0; k < e->run_count; k++) {
    const run *x = &e->runs[k];
    if (x->is_direct || x->is_result != results) {
      continue;
    }
    for (uint32_t i = 0, n; i < x->count; i += n) {
      const pg_slot slot = moved(x->slot, i);
      const run *other = results ? direct_run(e, slot) : NULL;
      n = 1; /* the longest part that is all in one place */
      while (i + n < x->count && (results ? direct_run(e, moved(slot, n)) : NULL) == other) {
        n++;
      }
      if (results) {
        pg_print(e->out, "memcpy(arrays[%u] + %u, ", x->array, x->offset + i);
        write_address(e, slot);
      } else {
        pg_print(e->out, "memcpy(s + %u, arrays[%u] + %u", pg_number_of(slot), x->array, x->offset + i);
      }
      pg_print(e->out, ", %u * sizeof *s);\n", n);
    }
  }
  pg_print(e->out, "}\n");
}

static void write_run(emitter *e) {
  if (e->blocks_of[0] + e->blocks_of[1] + e->blocks_of[2] > BLOCKS_A_FILE) {
    pg_print(e->out, "\f\n");
  }
  write_copies(e, false);
  write_copies(e, true);
  for (int phase = 0; phase < PG_PHASES; phase++) {
    for (uint32_t k = 0; k < e->blocks_of[phase]; k++) {
      pg_print(e->out, "void pygrad_%d_%u(const pg_native_call *);\n", phase, k);
    }
  }
  pg_print(e->out, "typedef void block(const pg_native_call *);\n");
  for (int phase = 0; phase < PG_PHASES; phase++) {
    pg_print(e->out, "static block *const PHASE_%d[] = {\n", phase);
    for (uint32_t k = 0; k < e->blocks_of[phase]; k++) {
      pg_print(e->out, "pygrad_%d_%u,\n", phase, k);
    }
    pg_print(e->out, "NULL};\n");
  }
  pg_print(e->out, "__attribute__((visibility(\"default\"))) pg_native_code pygrad_run;\n"
                   "void pygrad_run(const pg_native_call *c, int phase) {\n"
                   "static block *const *const PHASES[] = {PHASE_0, PHASE_1, PHASE_2};\n"
                   "if (phase == 0) load(c);\n"
                   "for (block *const *at = PHASES[phase]; *at && !pg_is_stopped(c->stop); at++) (*at)(c);\n"
                   "if (phase == 2) store(c);\n"
                   "}\n");
}

static bool begin(emitter *e) {
  const size_t sizes[2] = {e->r->shared, e->r->batched};
  bool made = (e->run_of = pg_no_refs(e->r->shared)) != NULL;
  for (int k = 0; k < 2; k++) {
    made = (e->live[k] = pg_zeros(sizes[k], sizeof *e->live[k])) && made;
    made = (e->names[k] = pg_no_refs(sizes[k])) && made;
    made = (e->blocks[k] = pg_no_refs(sizes[k])) && made;
  }
  return made;
}

static void end(emitter *e) {
  for (int k = 0; k < 2; k++) {
    free(e->live[k]);
    free(e->names[k]);
    free(e->blocks[k]);
  }
  free(e->run_of);
  free(e->runs);
  free(e->entries);
}

char *pg_emit_native(const pg_routine *routine) {
  pg_text text = {0};
  emitter e = {.out = &text, .r = routine};
  e.failed = !begin(&e);
  if (!e.failed) {
    add_entries(&e);
  }
  if (!e.failed) {
    find_runs(&e);
  }
  if (!e.failed) {
    choose_direct(&e);
    find_all_stored(&e);
  }
  if (!e.failed) {
    write_phases(&e);
    write_run(&e);
  }
  end(&e);
  text.failed = text.failed || e.failed;
  return pg_text_of(&text);
}
