/* emit_c_blocks.c: the functions of bounded size that C for other machines consists of. */
#include <stdio.h>
#include <string.h>

#include "program/ieee.h"
#include "routine/emit_c.h"
#include "routine/listing.h"

/* The op tables' forward columns, as text, with the macros of ieee.h expanded. */
#define TEXT(...) #__VA_ARGS__
static const char *const FORWARD[PG_KERNELS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = TEXT(forward),
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_UNARY(name, symbol, forward, adjoint_x)
#include "program/all_ops.def"
};

bool pg_calls_function(const pg_routine *r, const char *function) {
  const size_t length = strlen(function);
  for (int phase = 0; phase < PG_PHASES; phase++) {
    for (uint32_t k = 0; k < r->phases[phase].count; k++) {
      const int op = r->phases[phase].at[k].op;
      if (op < PG_KERNELS && strncmp(FORWARD[op], function, length) == 0 && FORWARD[op][length] == '(') {
        return true;
      }
    }
  }
  return false;
}

/* Statements --------------------------------------------------------------------------------------------- */

static void write_place(const pg_emitter *e, pg_slot slot) {
  pg_print(e->out, "w[%zu%s]", pg_place_in_work(e->r, slot), pg_is_batched(slot) ? " + q" : "");
}

static void write_slot(const pg_emitter *e, pg_slot slot, bool batch) {
  (void)batch;
  if (pg_has_constant(e->r, slot)) {
    pg_print_literal(e->out, e->r->constants[pg_number_of(slot)]);
  } else {
    write_place(e, slot);
  }
}

static void write_store(const pg_emitter *e, pg_slot slot, uint32_t variable) {
  write_place(e, slot);
  pg_print(e->out, " = v%u;\n", variable);
}

/* The op's forward column, of the variables with these names. */
static void write_forward(const pg_emitter *e, int op, const char *x, const char *y) {
  const pg_writer *w = e->own;
  size_t length;
  for (const char *at = FORWARD[op]; *at; at += length) {
    length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
    if (length == 1 && (*at == 'x' || *at == 'y')) {
      pg_print(e->out, "%s", *at == 'x' ? x : y);
    } else if (length > PG_PREFIX && strncmp(at, "pg_", PG_PREFIX + 1) == 0) {
      pg_print(e->out, "%s%.*s", w->name, (int)length - PG_PREFIX, at + PG_PREFIX);
    } else {
      length = length ? length : 1;
      pg_print(e->out, "%.*s", (int)length, at);
    }
  }
}

static void write_op(const pg_emitter *e, int op, uint32_t x, uint32_t y, bool batch) {
  char names[2][16];
  (void)batch;
  snprintf(names[0], sizeof names[0], "v%u", x);
  snprintf(names[1], sizeof names[1], "v%u", y);
  write_forward(e, op, names[0], names[1]);
}

static void write_product(const pg_emitter *e, uint32_t sum, uint32_t x, uint32_t y, bool batch) {
  (void)batch;
  pg_print(e->out, "v%u + v%u * v%u", sum, x, y);
}

static void write_addition(const pg_emitter *e, uint32_t total, uint32_t x) {
  pg_print(e->out, "t%u += v%u;\n", total, x);
}

static void write_total(const pg_emitter *e, uint32_t total) {
  pg_print(e->out, "w[%u] += t%u;\n", pg_first_total(e->r) + total, total);
}

const pg_dialect pg_portable = {
    .statements = 16, /* more would make large files */
    .types = {"double", "double"},
    .zero = "0",
    .loop = PG_SAMPLES,
    .mask = "",
    .write_slot = write_slot,
    .write_store = write_store,
    .write_op = write_op,
    .write_product = write_product,
    .write_addition = write_addition,
    .write_total = write_total,
};

/* Loops -------------------------------------------------------------------------------------------------- */

/* The number of an operand, for i, j, t and q. */
static void write_number(const pg_emitter *e, const pg_strided *x) {
  pg_print(e->out, "w[%zu", pg_place_in_work(e->r, x->slot));
  if (!pg_is_batched(x->slot)) {
    pg_print_steps(e->out, x, NULL, " * ");
  } else {
    pg_print(e->out, " + q");
    if (x->i_step || x->j_step || x->t_step) {
      pg_print(e->out, " + (");
      pg_print_steps(e->out, x, "", " * ");
      pg_print(e->out, ") * %u", e->r->tile);
    }
  }
  pg_print(e->out, "]");
}

static void write_result(const pg_emitter *e, const pg_loop *l) {
  const pg_strided results = pg_results_of(l);
  write_number(e, &results);
}

static void write_for(const pg_emitter *e, char index, uint32_t count) {
  if (count > 1) {
    pg_print(e->out, "for (ptrdiff_t %c = 0; %c < %u; %c++) ", index, index, count, index);
  }
}

static void write_map(const pg_emitter *e, const pg_loop *l) {
  pg_print(e->out, "{\nconst double x = ");
  write_number(e, &l->map.a);
  if (pg_is_binary(l->op)) {
    pg_print(e->out, ", y = ");
    write_number(e, &l->map.b);
  }
  pg_print(e->out, ";\n");
  write_result(e, l);
  pg_print(e->out, " = ");
  write_forward(e, l->op, "x", "y");
  pg_print(e->out, ";\n}\n");
}

static void write_init(const pg_emitter *e, const pg_loop *l) {
  if (l->sum.init.slot == PG_NO_SLOT) {
    pg_print(e->out, "0");
  } else {
    write_number(e, &l->sum.init);
  }
}

/* A loop over the terms, and that over the samples within it. */
static void write_terms(const pg_emitter *e, const pg_loop *l, bool batch) {
  write_for(e, 't', l->sum.terms);
  pg_print(e->out, batch ? PG_SAMPLES " " : "");
}

static void write_products(const pg_emitter *e, const pg_loop *l) {
  pg_print(e->out, " += ");
  write_number(e, &l->sum.a);
  pg_print(e->out, " * ");
  write_number(e, &l->sum.b);
  pg_print(e->out, ";\n");
}

/* For one sample, or a total: in a variable. */
static void write_sum(const pg_emitter *e, const pg_loop *l) {
  pg_print(e->out, "{\ndouble sum = ");
  write_init(e, l);
  pg_print(e->out, ";\n");
  write_terms(e, l, l->op == PG_DOT_TOTAL);
  pg_print(e->out, "sum");
  write_products(e, l);
  write_result(e, l);
  pg_print(e->out, l->op == PG_DOT_TOTAL ? " += sum;\n}\n" : " = sum;\n}\n");
}

/* For each sample: the innermost loop is over these, so that a compiler may use vectors. */
static void write_sums(const pg_emitter *e, const pg_loop *l) {
  pg_print(e->out, "{\n" PG_SAMPLES " ");
  write_result(e, l);
  pg_print(e->out, " = ");
  write_init(e, l);
  pg_print(e->out, ";\n");
  write_terms(e, l, true);
  write_result(e, l);
  write_products(e, l);
  pg_print(e->out, "}\n");
}

static void write_lookup(const pg_emitter *e, const pg_loop *l) {
  const pg_writer *w = e->own;
  pg_print(e->out, "{\nconst double index = ");
  write_number(e, &l->lookup.index);
  pg_print(e->out, ";\n");
  write_result(e, l);
  pg_print(e->out, " = index >= 0 && index < %u ? *%s_slot(w, %s_%s_places[%u", l->lookup.size, w->name,
           w->name, w->suffix, pg_number_of(l->lookup.list.slot));
  pg_print_steps(e->out, &l->lookup.list, NULL, " * ");
  pg_print(e->out, " + (ptrdiff_t)index], %s) : NAN;\n}\n", pg_is_batched(l->dst) ? "q" : "0");
}

static void write_scatter(const pg_emitter *e, const pg_loop *l) {
  const pg_writer *w = e->own;
  const uint32_t size = l->scatter.size;
  const char *q = l->scatter.batched ? "q" : "0";
  pg_print(e->out, "{\nconst ptrdiff_t *to = %s_%s_places + %u, *pair = to + %u;\n", w->name, w->suffix,
           l->scatter.list, size);
  pg_print(e->out, "for (ptrdiff_t k = 0; k < %u; k++) *%s_slot(w, to[k], %s) = 0;\n", size, w->name, q);
  pg_print(e->out, "for (ptrdiff_t k = 0; k < %u; k++, pair += 2) {\n", l->scatter.pairs);
  pg_print(e->out, "const double index = *%s_slot(w, pair[0], %s);\n", w->name, q);
  pg_print(e->out,
           "if (index >= 0 && index < %u) *%s_slot(w, to[(ptrdiff_t)index], %s) += *%s_slot(w, pair[1], "
           "%s);\n}\n}\n",
           size, w->name, q, w->name, q);
}

static void write_scatter_add(const pg_emitter *e, const pg_loop *l) {
  const pg_writer *w = e->own;
  const char *q = l->scatter.batched ? "q" : "0";
  pg_print(e->out, "{\nconst ptrdiff_t *to = %s_%s_targets + %u", w->name, w->suffix, l->scatter.list);
  if (l->n > 1) {
    pg_print(e->out, " + i * %d", l->scatter.list_step);
  }
  pg_print(e->out, ", *pair = %s_%s_places + %u;\n", w->name, w->suffix, l->scatter.first);
  pg_print(e->out, "for (ptrdiff_t k = 0; k < %u; k++, pair += 2) {\n", l->scatter.pairs);
  pg_print(e->out, "const double index = *%s_slot(w, pair[0], %s);\n", w->name, q);
  pg_print(e->out, "if (index >= 0 && index < %u) w[to[(ptrdiff_t)index]] += *%s_slot(w, pair[1]",
           l->scatter.size, w->name);
  if (l->n > 1) {
    pg_print(e->out, " + i * (pair[1] %% 2 ? %u : 2)", 2 * e->r->tile);
  }
  pg_print(e->out, ", %s);\n}\n}\n", q);
}

static void write_loop(const pg_emitter *e, const pg_loop *l) {
  const bool is_sum = pg_is_sum(l), of_samples = l->op != PG_DOT_TOTAL && pg_is_of_batch(l);
  write_for(e, 'j', l->op == PG_SCATTER ? 1 : l->rows);
  write_for(e, 'i', l->op == PG_SCATTER ? 1 : l->n);
  pg_print(e->out, of_samples && !is_sum ? PG_SAMPLES " " : "");
  if (is_sum) {
    (of_samples ? write_sums : write_sum)(e, l);
  } else if (l->op == PG_LOOKUP) {
    write_lookup(e, l);
  } else if (l->op == PG_SCATTER) {
    write_scatter(e, l);
  } else if (l->op == PG_SCATTER_ADD) {
    write_scatter_add(e, l);
  } else {
    write_map(e, l);
  }
}

/* Blocks ------------------------------------------------------------------------------------------------- */

static const char *arguments_of(int phase, bool declared) {
  return phase == PG_BATCH ? declared ? "double *w, ptrdiff_t samples" : "work, samples"
         : declared        ? "double *w"
                           : "work";
}

void pg_write_blocks(pg_emitter *e) {
  pg_writer *w = e->own;
  for (int phase = 0; phase < PG_PHASES; phase++) {
    const uint32_t end = e->ends[phase];
    for (uint32_t k = pg_begin_of(e, phase), next; k < end && !e->out->failed; k = next) {
      next = pg_end_of_block(e, k, end);
      pg_print(e->out, "\nstatic void %s_%s_part_%u(%s) {\n", w->name, w->suffix, w->parts++,
               arguments_of(phase, true));
      if (e->entries[k].is_block) {
        write_loop(e, e->entries[k].loop);
      } else {
        pg_write_statements(e, phase, k, next);
      }
      pg_print(e->out, "}\n");
    }
    w->ends[phase] = w->parts;
  }
}

void pg_write_calls(const pg_emitter *e, int phase) {
  const pg_writer *w = e->own;
  for (uint32_t k = phase ? w->ends[phase - 1] : 0; k < w->ends[phase]; k++) {
    pg_print(e->out, "%s_%s_part_%u(%s);\n", w->name, w->suffix, k, arguments_of(phase, false));
  }
}
