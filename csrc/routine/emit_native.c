/* emit_native.c: routines as C for the machine that runs it: what backend="native" compiles.
 *
 * The text is that of several files, each of which begins with native.h. The last one has the function
 * pygrad_run(), a pg_code, which calls functions of bounded size, the blocks, phase by phase.
 * emit_native_arrays.c says how these come by the caller's arrays.
 */
#include <stdlib.h>

#include "routine/emit_native.h"

enum { BLOCKS_A_FILE = 24 };

static const char *const NAMES[PG_KERNELS] = {
#define PG_UNARY(name, ...) [PG_##name] = #name,
#define PG_BINARY(name, ...) [PG_##name] = #name,
#include "program/all_ops.def"
};

/* Statements --------------------------------------------------------------------------------------------- */

/* The vector of a batched slot, or the number of a shared one, in memory. */
static void write_place(const pg_emitter *e, pg_slot slot) {
  if (pg_is_batched(slot)) {
    pg_print(e->out, "PG_VECTOR(%zu)", pg_place_in_tile(e, slot));
  } else {
    pg_print(e->out, "*(");
    pg_write_address(e, slot);
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
  return steps * (pg_is_batched(x->slot) ? (int64_t)pg_width(e) : 1);
}

/* An operand's address and its steps; in the batch, also whether it is batched. */
static void write_operand(pg_emitter *e, const pg_strided *x, bool has_terms, bool vectors) {
  pg_print(e->out, ", ");
  pg_write_address(e, x->slot);
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
  const pg_array_run *direct = pg_direct_run(e, l->dst);
  return direct && direct->is_summed ? "f->sum, " : "NULL, ";
}

static void write_map_loop(pg_emitter *e, const pg_loop *l, bool vectors) {
  const bool binary = pg_is_binary(l->op);
  pg_print(e->out, "PG_%sMAP%s(%s%s, %u, %u, ", vectors ? "TILE_" : "", binary ? "_TWO" : "",
           vectors ? "" : sum_of(e, l), NAMES[l->op], l->n, l->rows);
  if (vectors) {
    pg_print(e->out, "%u, end, ", e->r->tile);
  }
  pg_write_address(e, l->dst);
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
  pg_write_address(e, l->dst);
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
  pg_native *n = e->own;
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

static void write_run(const pg_emitter *e) {
  const pg_native *n = e->own;
  if (n->blocks_of[0] + n->blocks_of[1] + n->blocks_of[2] > BLOCKS_A_FILE) {
    pg_print(e->out, "\f\n");
  }
  pg_print(e->out, "static void load(const pg_frame *f) {\nPG_BLOCK\n");
  pg_write_copies(e, false);
  pg_print(e->out, "}\nstatic void store(const pg_frame *f) {\nPG_BLOCK\n");
  pg_write_copies(e, true);
  pg_write_sums(e);
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
  pg_native own = {.run_of = pg_no_refs(routine->shared)};
  pg_emitter e = {.out = &text, .r = routine, .dialect = &NATIVE, .own = &own, .failed = !own.run_of};
  pg_emitter_begin(&e);
  if (!e.failed) {
    pg_find_runs(&e);
  }
  if (!e.failed) {
    write_phases(&e);
    write_run(&e);
  }
  pg_emitter_end(&e);
  free(own.run_of);
  free(own.runs);
  text.failed = text.failed || e.failed;
  return pg_text_of(&text);
}
