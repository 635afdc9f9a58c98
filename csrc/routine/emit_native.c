/* emit_native.c: routines as C for the machine that runs it: what backend="native" compiles.
 *
 * The text is that of several files, each of which begins with native.h. The last one has the function
 * pygrad_run(), a pg_code, which calls functions of bounded size, the blocks, phase by phase.
 *
 * Where all numbers that a loop touches are one after the other in an array of the caller's, it uses that
 * array. So the shared arguments are not copied, nor are the results that are one for all samples: such a run
 * of numbers is "direct".
 */
#include <stdlib.h>

#include "routine/emit.h"

enum { BLOCKS_A_FILE = 24 };

/* Numbers that follow each other in an array of the caller's and in shared slots. */
typedef struct {
  pg_slot slot; /* of the first */
  uint32_t count, array, offset;
  bool is_direct, is_result;
  bool is_summed; /* derivatives that only loops store, which add them up */
} run;

/* What an emitter of native code has of its own. */
typedef struct {
  run *runs;
  uint32_t run_count, run_room;
  uint32_t *run_of; /* a shared slot: its run, or PG_NO_REF */
  uint32_t blocks_of[PG_PHASES];
} native;

static const char *const NAMES[PG_KERNELS] = {
#define PG_UNARY(name, ...) [PG_##name] = #name,
#define PG_BINARY(name, ...) [PG_##name] = #name,
#include "program/all_ops.def"
};

/* Runs --------------------------------------------------------------------------------------------------- */

static void add_run(pg_emitter *e, run x) {
  native *n = e->own;
  for (uint32_t k = 0; k < x.count; k++) {
    if (n->run_of[pg_number_of(x.slot) + k] != PG_NO_REF) { /* the result is another one, too */
      x.is_direct = false;
    }
  }
  if (!pg_grow((void **)&n->runs, &n->run_room, n->run_count, 1, sizeof x)) {
    e->failed = true;
    return;
  }
  for (uint32_t k = 0; x.is_direct && k < x.count; k++) {
    n->run_of[pg_number_of(x.slot) + k] = n->run_count;
  }
  n->runs[n->run_count++] = x;
}

/* The runs of the shared arguments, then those of the results that are one for all samples. */
static void find_runs(pg_emitter *e) {
  const pg_routine *r = e->r;
  const uint32_t fixed = pg_fixed_slots(r);
  uint32_t k = 0, length;
  for (uint32_t a = 0; a < r->argument_count; a++) {
    for (uint32_t begin = k, end = k + (uint32_t)r->arrays[a].size; k < end && !e->failed; k += length) {
      const pg_slot slot = r->inputs[k].slot;
      length = pg_run_of(r->inputs, k, end);
      if (slot != PG_NO_SLOT && !pg_is_batched(slot) && k != r->cotangent) {
        add_run(e, (run){slot, length, a, k - begin, true, false, false});
      }
    }
  }
  k = 0;
  for (uint32_t a = (uint32_t)r->argument_count; a < r->argument_count + r->result_count; a++) {
    for (uint32_t begin = k, end = k + (uint32_t)r->arrays[a].size; k < end && !e->failed; k += length) {
      const pg_slot slot = r->outputs[k].slot;
      length = pg_run_of(r->outputs, k, end);
      if (slot != PG_NO_SLOT && !r->arrays[a].batched) {
        add_run(e,
                (run){slot, length, a, k - begin, pg_number_of(slot) >= fixed, true, a >= r->first_derivative});
      }
    }
  }
}

/* A run is not direct if a loop touches it and something else at once. */
static void touch(pg_emitter *e, pg_slots x) {
  if (x.first == PG_NO_SLOT || pg_is_batched(x.first)) {
    return;
  }
  const native *n = e->own;
  const uint32_t *found = n->run_of + pg_number_of(x.first);
  bool same = true;
  for (uint32_t k = 0; k < x.count && same; k++) {
    same = found[k] == found[0];
  }
  for (uint32_t k = 0; k < x.count && !same; k++) {
    if (found[k] != PG_NO_REF) {
      n->runs[found[k]].is_direct = false;
    }
  }
}

static void touch_list(pg_emitter *e, pg_slots x) {
  const native *n = e->own;
  for (uint32_t k = 0; !pg_is_batched(x.first) && k < x.count; k++) {
    const uint32_t found = n->run_of[pg_number_of(x.first) + k];
    if (found != PG_NO_REF) {
      n->runs[found].is_direct = false;
    }
  }
}

/* run.c stores the results that are for each sample, from their slots. */
static void touch_results(pg_emitter *e) {
  const pg_routine *r = e->r;
  uint32_t k = 0;
  for (size_t a = r->argument_count; a < r->argument_count + r->result_count; a++) {
    for (const uint32_t end = k + (uint32_t)r->arrays[a].size; k < end; k++) {
      if (r->arrays[a].batched) {
        touch_list(e, (pg_slots){r->outputs[k].slot, 1});
      }
    }
  }
}

/* What a statement stores, no loop adds up. */
static void touch_statement(pg_emitter *e, const pg_entry *x) {
  const native *n = e->own;
  const pg_slot slot = pg_moved(x->loop->dst, (int64_t)x->j * x->loop->n + x->i);
  const uint32_t found = pg_is_batched(slot) ? PG_NO_REF : n->run_of[pg_number_of(slot)];
  if (found != PG_NO_REF) {
    n->runs[found].is_summed = false;
  }
}

static void choose_direct(pg_emitter *e) {
  touch_results(e);
  for (uint32_t k = 0; k < e->count; k++) {
    const pg_loop *l = e->entries[k].loop;
    const pg_strided *operands[3];
    if (!e->entries[k].is_block) {
      touch_statement(e, &e->entries[k]);
      continue;
    }
    if (pg_has_list(l)) {
      pg_visit_lists(e, touch_list, l);
      if (l->op == PG_LOOKUP) {
        touch_list(e, pg_result_slots(l));
      }
      continue;
    }
    if (l->op != PG_DOT_TOTAL) {
      touch(e, pg_result_slots(l));
    }
    for (int o = pg_read_operands(l, operands); o-- > 0;) {
      touch(e, pg_operand_slots(l, operands[o]));
    }
  }
}

/* Operands ----------------------------------------------------------------------------------------------- */

static const run *direct_run(const pg_emitter *e, pg_slot slot) {
  const native *n = e->own;
  const uint32_t found = pg_is_batched(slot) ? PG_NO_REF : n->run_of[pg_number_of(slot)];
  return found != PG_NO_REF && n->runs[found].is_direct ? &n->runs[found] : NULL;
}

static size_t width(const pg_emitter *e) { return PG_NATIVE_WIDTH((size_t)e->r->tile); }

/* Where a tile has the numbers of a batched slot. */
static size_t place_in_tile(const pg_emitter *e, pg_slot slot) { return pg_number_of(slot) * width(e); }

/* The address of a slot's number, or of its first. */
static void write_address(const pg_emitter *e, pg_slot slot) {
  const run *direct = direct_run(e, slot);
  if (direct) {
    pg_print(e->out, "arrays[%u] + %u", direct->array,
             direct->offset + pg_number_of(slot) - pg_number_of(direct->slot));
  } else if (pg_is_batched(slot)) {
    pg_print(e->out, "b + %zu", place_in_tile(e, slot));
  } else {
    pg_print(e->out, "s + %u", pg_number_of(slot));
  }
}

/* Statements --------------------------------------------------------------------------------------------- */

/* The vector of a batched slot, or the number of a shared one, in memory. */
static void write_place(const pg_emitter *e, pg_slot slot) {
  if (pg_is_batched(slot)) {
    pg_print(e->out, "PG_VECTOR(%zu)", place_in_tile(e, slot));
  } else {
    pg_print(e->out, "*(");
    write_address(e, slot);
    pg_print(e->out, ")");
  }
}

static void write_slot(const pg_emitter *e, pg_slot slot, bool batch) {
  if (pg_is_batched(slot)) {
    write_place(e, slot);
    return;
  }
  pg_print(e->out, batch ? "v_splat(" : "(");
  if (pg_has_constant(e->r, slot)) {
    pg_print_literal(e->out, e->r->constants[pg_number_of(slot)]);
  } else {
    write_place(e, slot);
  }
  pg_print(e->out, ")");
}

static void write_store(const pg_emitter *e, pg_slot slot, uint32_t variable) {
  write_place(e, slot);
  pg_print(e->out, " = v%u;\n", variable);
}

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

/* Operators of C, which compilers are through with sooner than with a call of a function that they inline. */
static const char OPERATORS[PG_KERNELS] = {
    [PG_ADD] = '+', [PG_MINUS] = '-', [PG_MUL] = '*', [PG_SQUARE] = '*', [PG_QUOTIENT] = '/',
};

static void write_op(const pg_emitter *e, int op, uint32_t x, uint32_t y, bool batch) {
  if (OPERATORS[op]) {
    pg_print(e->out, "v%u %c v%u", x, OPERATORS[op], y);
    return;
  }
  pg_print(e->out, "%c_%s(v%u", !batch ? 's' : is_long(op) ? 'x' : 'v', NAMES[op], x);
  pg_print(e->out, pg_is_binary(op) ? ", v%u)" : ")", y);
}

static void write_product(const pg_emitter *e, uint32_t sum, uint32_t x, uint32_t y, bool batch) {
  pg_print(e->out, "%c_fma(v%u, v%u, v%u)", batch ? 'v' : 's', x, y, sum);
}

static void write_addition(const pg_emitter *e, uint32_t total, uint32_t x) {
  pg_print(e->out, "t%u += pg_masked(mask, v%u);\n", total, x);
}

static void write_total(const pg_emitter *e, uint32_t total) {
  pg_print(e->out, "totals[%u] += pg_add_lanes(t%u);\n", total, total);
}

static const pg_dialect NATIVE = {
    .statements = 64,
    .types = {"double", "vec"},
    .zero = "v_splat(0)",
    .loop = "PG_VECTORS",
    .mask = "const ivec mask = pg_lanes_below(samples - (p - b));\n",
    .write_slot = write_slot,
    .write_store = write_store,
    .write_op = write_op,
    .write_product = write_product,
    .write_addition = write_addition,
    .write_total = write_total,
};

/* Loops -------------------------------------------------------------------------------------------------- */

static int64_t numbers(const pg_emitter *e, const pg_strided *x, int64_t steps) {
  return steps * (pg_is_batched(x->slot) ? (int64_t)width(e) : 1);
}

/* An operand's address and its steps; in the batch, also whether it is batched. */
static void write_operand(pg_emitter *e, const pg_strided *x, bool has_terms, bool vectors) {
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

/* The sum to which a loop adds its results. */
static const char *sum_of(const pg_emitter *e, const pg_loop *l) {
  const run *direct = direct_run(e, l->dst);
  return direct && direct->is_summed ? "f->sum, " : "NULL, ";
}

static void write_map_loop(pg_emitter *e, const pg_loop *l, bool vectors) {
  const bool binary = pg_is_binary(l->op);
  pg_print(e->out, "PG_%sMAP%s(%s%s, %u, %u, ", vectors ? "TILE_" : "", binary ? "_TWO" : "",
           vectors ? "" : sum_of(e, l), NAMES[l->op], l->n, l->rows);
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

static void write_dot_loop(pg_emitter *e, const pg_loop *l, bool vectors) {
  pg_print(e->out, "pg_%sdots(%s%u, %u, %u, ", vectors ? "tile_" : "", vectors ? "" : sum_of(e, l), l->n,
           l->rows, l->sum.terms);
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

static void write_total_loop(pg_emitter *e, const pg_loop *l) {
  pg_print(e->out, "pg_tile_totals(%u, %u, %u, samples, totals + %u", l->n, l->rows, l->sum.terms,
           pg_number_of(l->dst) - pg_first_total(e->r));
  write_operand(e, &l->sum.a, true, true);
  write_operand(e, &l->sum.b, true, true);
  pg_print(e->out, ");\n");
}

static void write_loop(pg_emitter *e, int phase, const pg_entry *x) {
  const pg_loop *l = x->loop;
  if (pg_has_list(l)) {
    pg_print(e->out, "f->run_list(f, %d, %u);\n", phase, x->index);
  } else if (l->op == PG_DOT_TOTAL) {
    write_total_loop(e, l);
  } else if (l->op == PG_DOT) {
    write_dot_loop(e, l, pg_is_batched(l->dst));
  } else {
    write_map_loop(e, l, pg_is_batched(l->dst));
  }
}

/* Files -------------------------------------------------------------------------------------------------- */

static void write_block(pg_emitter *e, int phase, uint32_t begin, uint32_t end) {
  native *n = e->own;
  const uint32_t written = n->blocks_of[0] + n->blocks_of[1] + n->blocks_of[2];
  if (written && written % BLOCKS_A_FILE == 0) {
    pg_print(e->out, "\f\n");
  }
  const bool is_loop = e->entries[begin].is_block;
  pg_print(e->out, "%svoid pygrad_%d_%u(const pg_frame *f) {\nPG_BLOCK\n",
           phase == PG_BATCH && !is_loop ? "PG_IN_VECTORS " : "", phase, n->blocks_of[phase]++);
  if (is_loop) {
    write_loop(e, phase, &e->entries[begin]);
  } else {
    pg_write_statements(e, phase, begin, end);
  }
  pg_print(e->out, "}\n");
}

static void write_phases(pg_emitter *e) {
  for (int phase = 0; phase < PG_PHASES; phase++) {
    const uint32_t end = e->ends[phase];
    for (uint32_t k = pg_begin_of(e, phase), next; k < end && !e->out->failed; k = next) {
      next = pg_end_of_block(e, k, end);
      write_block(e, phase, k, next);
    }
  }
}

static void write_copy(const pg_emitter *e, const run *x) {
  for (uint32_t i = 0, length; i < x->count; i += length) {
    const pg_slot slot = pg_moved(x->slot, i);
    const run *other = x->is_result ? direct_run(e, slot) : NULL;
    length = 1; /* the longest part that is all in one place */
    while (i + length < x->count && (x->is_result ? direct_run(e, pg_moved(slot, length)) : NULL) == other) {
      length++;
    }
    if (x->is_result) {
      pg_print(e->out, "memcpy(arrays[%u] + %u, ", x->array, x->offset + i);
      write_address(e, slot);
    } else {
      pg_print(e->out, "memcpy(s + %u, arrays[%u] + %u", pg_number_of(slot), x->array, x->offset + i);
    }
    pg_print(e->out, ", %u * sizeof *s);\n", length);
  }
}

/* Whether it is one number, in a slot. */
static bool is_single(const pg_emitter *e, const run *x) {
  return x->count == 1 && !x->is_direct && !direct_run(e, x->slot);
}

/* How many runs from one on are single numbers that lie side by side in the array, as in a gradient whose slots
 * go downwards. */
static uint32_t count_singles(const pg_emitter *e, uint32_t first) {
  const native *n = e->own;
  const run *x = &n->runs[first];
  uint32_t k = 0;
  while (first + k < n->run_count && is_single(e, &x[k]) && x[k].array == x->array &&
         x[k].offset == x->offset + k) {
    k++;
  }
  return k;
}

/* Copies single numbers, whose slots are in a table. */
static void write_singles(const pg_emitter *e, const run *x, uint32_t count) {
  pg_print(e->out, "{\nstatic const uint32_t SLOTS[] = {\n");
  for (uint32_t k = 0; k < count; k++) {
    pg_print(e->out, "%u,\n", pg_number_of(x[k].slot));
  }
  pg_print(e->out, "};\nfor (ptrdiff_t k = 0; k < %u; k++) ", count);
  pg_print(e->out,
           x->is_result ? "(arrays[%u] + %u)[k] = s[SLOTS[k]];\n}\n"
                        : "s[SLOTS[k]] = (arrays[%u] + %u)[k];\n}\n",
           x->array, x->offset);
}

/* Copies those runs that are not direct. */
static void write_copies(const pg_emitter *e, bool results) {
  enum { MANY = 8 };
  const native *n = e->own;
  for (uint32_t k = 0, count; k < n->run_count; k += count) {
    const run *x = &n->runs[k];
    const uint32_t singles = count_singles(e, k);
    count = singles < MANY ? 1 : singles;
    if (x->is_direct || x->is_result != results) {
      continue;
    }
    if (count > 1) {
      write_singles(e, x, count);
    } else {
      write_copy(e, x);
    }
  }
}

/* Whether the sum has these derivatives already: from loops, or from the run before, which has the same. */
static bool is_added(const pg_emitter *e, const run *x) {
  const native *n = e->own;
  const bool repeats =
      x > n->runs && x[-1].array >= e->r->first_derivative && x[-1].slot == x->slot && x[-1].count >= x->count;
  return repeats || (x->is_direct && x->is_summed);
}

/* Adds those derivatives to the sum that it does not have: at once, those that lie side by side. */
static void write_sums(const pg_emitter *e) {
  const native *n = e->own;
  uint32_t k = 0;
  while (k < n->run_count) {
    const run *const first = &n->runs[k];
    uint32_t count = 0;
    for (; k < n->run_count; k++) {
      const run *x = &n->runs[k];
      const bool is_next = x->array == first->array && x->offset == first->offset + count;
      if (!is_next || x->array < e->r->first_derivative || is_added(e, x)) {
        break;
      }
      count += x->count;
    }
    if (count) {
      pg_print(e->out, "pg_add_up(f->sum, arrays[%u] + %u, %u);\n", first->array, first->offset, count);
    } else {
      k++;
    }
  }
}

static void write_run(const pg_emitter *e) {
  const native *n = e->own;
  if (n->blocks_of[0] + n->blocks_of[1] + n->blocks_of[2] > BLOCKS_A_FILE) {
    pg_print(e->out, "\f\n");
  }
  pg_print(e->out, "static void load(const pg_frame *f) {\nPG_BLOCK\n");
  write_copies(e, false);
  pg_print(e->out, "}\nstatic void store(const pg_frame *f) {\nPG_BLOCK\n");
  write_copies(e, true);
  write_sums(e);
  pg_print(e->out, "}\n");
  for (int phase = 0; phase < PG_PHASES; phase++) {
    for (uint32_t k = 0; k < n->blocks_of[phase]; k++) {
      pg_print(e->out, "void pygrad_%d_%u(const pg_frame *);\n", phase, k);
    }
  }
  pg_print(e->out, "typedef void block(const pg_frame *);\n");
  for (int phase = 0; phase < PG_PHASES; phase++) {
    pg_print(e->out, "static block *const PHASE_%d[] = {\n", phase);
    for (uint32_t k = 0; k < n->blocks_of[phase]; k++) {
      pg_print(e->out, "pygrad_%d_%u,\n", phase, k);
    }
    pg_print(e->out, "NULL};\n");
  }
  pg_print(e->out, "PG_EXPORT pg_code pygrad_run;\n"
                   "void pygrad_run(const pg_frame *f, int phase) {\n"
                   "static block *const *const PHASES[] = {PHASE_0, PHASE_1, PHASE_2};\n"
                   "if (phase == 0) load(f);\n"
                   "for (block *const *at = PHASES[phase]; *at && !pg_is_stopped(f->stop); at++) (*at)(f);\n"
                   "if (phase == 2) store(f);\n"
                   "}\n");
}

char *pg_emit_native(const pg_routine *routine) {
  pg_text text = {0};
  native own = {.run_of = pg_no_refs(routine->shared)};
  pg_emitter e = {.out = &text, .r = routine, .dialect = &NATIVE, .own = &own, .failed = !own.run_of};
  pg_emitter_begin(&e);
  if (!e.failed) {
    find_runs(&e);
  }
  if (!e.failed) {
    choose_direct(&e);
    write_phases(&e);
    write_run(&e);
  }
  pg_emitter_end(&e);
  free(own.run_of);
  free(own.runs);
  text.failed = text.failed || e.failed;
  return pg_text_of(&text);
}
