/* emit_c.c: routines as C, to be compiled where there is no pygrad: what f.to_c() writes.
 *
 * The text is both C99 and C++11. Each routine becomes a function over an array of the caller's, `w`, which has
 * in this order
 *
 *   the shared slots
 *   a place for what nothing reads: a number, or in the batch a tile's
 *   the batched slots, with a tile of numbers each
 *   if there are targets, what is added to each output
 *
 * and which calls functions of bounded size, the blocks. All global names begin with the caller's name.
 *
 * The function for a gradient of a small program ends with a call of another, of the masked routine, if a
 * derivative is nan.
 */
#include <stdio.h>
#include <string.h>

#include "program/ieee.h"
#include "routine/emit.h"
#include "routine/listing.h"

enum { NUMBERS_A_LINE = 6 };

/* What is written. */
typedef struct {
  const pg_routine *r;
  const char *name; /* what all names begin with */
  char suffix[32];  /* what the routine's own names go on with */
  bool is_gradient, is_batch;
  bool is_masked;           /* it stores results only where there is nan */
  uint32_t parts;           /* how many blocks have been written */
  uint32_t ends[PG_PHASES]; /* the last part of each phase */
} writer;

/* The op tables' forward columns, as text, with the macros of ieee.h expanded. */
#define TEXT(...) #__VA_ARGS__
static const char *const FORWARD[PG_KERNELS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = TEXT(forward),
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_UNARY(name, symbol, forward, adjoint_x)
#include "program/all_ops.def"
};

/* The functions that they call. Their names here begin with pg_, and in what is written with the caller's name.
 */
static const struct {
  const char *name, *arguments, *body;
} FUNCTIONS[] = {
#define PG_FUNCTION(name, arguments, ...) {#name, #arguments, #__VA_ARGS__},
#include "functions.def"
};

enum { PREFIX = 2 }; /* the length of "pg" */

static writer writer_of(const pg_routine *r, const char *name, bool is_masked) {
  writer w = {.r = r, .name = name, .is_gradient = r->cotangent != PG_NO_REF, .is_masked = is_masked};
  for (size_t a = 0; a < r->argument_count + r->result_count; a++) {
    w.is_batch = w.is_batch || r->arrays[a].batched;
  }
  strcpy(w.suffix, w.is_gradient ? "gradient" : "value");
  if (w.is_batch) {
    strcat(w.suffix, "_batch");
  }
  if (is_masked) {
    strcat(w.suffix, "_masked");
  }
  return w;
}

/* Slots -------------------------------------------------------------------------------------------------- */

/* Where the batched slots begin. */
static size_t shared_size(const pg_routine *r) { return (size_t)r->shared + (r->batched ? r->tile : 1); }

/* Where the numbers are that are added to the outputs. */
static size_t added_place(const pg_routine *r) { return shared_size(r) + (size_t)r->batched * r->tile; }

static size_t work_size(const pg_routine *r) {
  return added_place(r) + (r->target_count ? r->output_count : 0);
}

static size_t place_of(const pg_routine *r, pg_slot slot) {
  return slot == PG_NO_SLOT    ? r->shared
         : pg_is_batched(slot) ? shared_size(r) + (size_t)pg_number_of(slot) * r->tile
                               : pg_number_of(slot);
}

/* A result's place in its array is that of an output among all. */
static size_t place_of_target(const pg_routine *r, pg_target t) {
  size_t place = t.array == PG_NO_REF ? r->shared : t.at;
  if (t.array < PG_IN_SLOT) {
    place += added_place(r);
    for (size_t a = r->argument_count; a < t.array; a++) {
      place += r->arrays[a].size;
    }
  }
  return place;
}

static void write_place(const pg_emitter *e, pg_slot slot) {
  pg_print(e->out, "w[%zu%s]", place_of(e->r, slot), pg_is_batched(slot) ? " + q" : "");
}

/* Statements --------------------------------------------------------------------------------------------- */

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
  const writer *w = e->own;
  size_t length;
  for (const char *at = FORWARD[op]; *at; at += length) {
    length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
    if (length == 1 && (*at == 'x' || *at == 'y')) {
      pg_print(e->out, "%s", *at == 'x' ? x : y);
    } else if (length > PREFIX && strncmp(at, "pg_", PREFIX + 1) == 0) {
      pg_print(e->out, "%s%.*s", w->name, (int)length - PREFIX, at + PREFIX);
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
  pg_print(e->out, "v%u += v%u * v%u;\n", sum, x, y);
}

static void write_addition(const pg_emitter *e, uint32_t total, uint32_t x) {
  pg_print(e->out, "t%u += v%u;\n", total, x);
}

static void write_total(const pg_emitter *e, uint32_t total) {
  pg_print(e->out, "w[%u] += t%u;\n", pg_first_total(e->r) + total, total);
}

#define SAMPLES "for (ptrdiff_t q = 0; q < samples; q++)"

static const pg_dialect PORTABLE = {
    .statements = 16, /* more would make large files */
    .types = {"double", "double"},
    .zeros = {"0", "0"},
    .loop = SAMPLES,
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
  pg_print(e->out, "w[%zu", place_of(e->r, x->slot));
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
  pg_print(e->out, batch ? SAMPLES " " : "");
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
  pg_print(e->out, "{\n" SAMPLES " ");
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
  const writer *w = e->own;
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
  const writer *w = e->own;
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
  const writer *w = e->own;
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
  pg_print(e->out, of_samples && !is_sum ? SAMPLES " " : "");
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

static void write_blocks(pg_emitter *e) {
  writer *w = e->own;
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

static void write_calls(const pg_emitter *e, int phase) {
  const writer *w = e->own;
  for (uint32_t k = phase ? w->ends[phase - 1] : 0; k < w->ends[phase]; k++) {
    pg_print(e->out, "%s_%s_part_%u(%s);\n", w->name, w->suffix, k, arguments_of(phase, false));
  }
}

/* Tables ------------------------------------------------------------------------------------------------- */

static const char *separator(uint32_t k) { return k == 0 ? "" : k % NUMBERS_A_LINE ? ", " : ",\n"; }

static void write_numbers(pg_text *out, uint32_t count, const double *numbers) {
  pg_print(out, "[] = {\n");
  for (uint32_t k = 0; k < count; k++) {
    pg_print(out, "%s", separator(k));
    pg_print_literal(out, numbers[k]);
  }
  pg_print(out, "\n};\n");
}

/* The constants; for each element of a list its place times 2, and 1 more if it is batched; and the places of
 * the targets. */
static void write_tables(const pg_emitter *e) {
  const pg_routine *r = e->r;
  const writer *w = e->own;
  pg_print(e->out, "\nstatic const double %s_%s_constants", w->name, w->suffix);
  write_numbers(e->out, r->leaf_count - r->first_constant, r->constants + r->first_constant);
  if (r->list_size) {
    pg_print(e->out, "\nstatic const ptrdiff_t %s_%s_places[] = {\n", w->name, w->suffix);
    for (uint32_t k = 0; k < r->list_size; k++) {
      const pg_slot slot = r->lists[k];
      pg_print(e->out, "%s%zu", separator(k),
               2 * place_of(r, slot) + (slot != PG_NO_SLOT && pg_is_batched(slot)));
    }
    pg_print(e->out, "\n};\n");
  }
  if (r->target_count) {
    pg_print(e->out, "\nstatic const ptrdiff_t %s_%s_targets[] = {\n", w->name, w->suffix);
    for (uint32_t k = 0; k < r->target_count; k++) {
      pg_print(e->out, "%s%zu", separator(k), place_of_target(r, r->targets[k]));
    }
    pg_print(e->out, "\n};\n");
  }
}

/* Loading and storing ------------------------------------------------------------------------------------ */

/* An array of the caller's, in which a port has the place `port - origin`. */
typedef struct {
  char name[48];
  uint32_t origin;
} caller_array;

static size_t argument_count(const writer *w) { return w->r->argument_count - w->is_gradient; }

/* One of the routine's arrays, which begins at a port. For one sample, the arguments are one array. */
static caller_array array_of(const writer *w, size_t array, uint32_t first) {
  const size_t result = array - w->r->argument_count;
  caller_array found = {"outputs", first};
  if (array < w->r->argument_count && w->is_batch) {
    snprintf(found.name, sizeof found.name, "arguments[%zu]", array);
  } else if (array < w->r->argument_count) {
    found = (caller_array){"inputs", 0};
  } else if (result > argument_count(w)) {
    found = (caller_array){"parameter_gradient", first};
  } else if (result > 0 && w->is_batch) {
    snprintf(found.name, sizeof found.name, "argument_gradients[%zu]", result - 1);
  } else if (result > 0) {
    found = (caller_array){"input_gradient", 1};
  }
  return found;
}

/* Numbers of one array whose slots are all batched, or all shared: ports from `first` up to `end`. */
typedef struct {
  size_t array;
  caller_array at;
  uint32_t first, end, runs;
  bool loads, batched;
  bool is_used; /* there is something to load or store */
} stretch;

/* Whether the places of the numbers are in a table: always in the batch; else if there are many runs, each of
 * which would be a statement. */
static bool has_table(const stretch *x) { return x->batched || x->runs > 16; }

/* The first stretch of an array's ports from `first` up to `end`. */
static stretch stretch_of(const pg_port *ports, uint32_t first, uint32_t end, bool loads) {
  stretch x = {.first = first, .end = first, .loads = loads};
  for (; x.end < end; x.end += pg_run_of(ports, x.end, end), x.runs++) {
    const pg_slot slot = ports[x.end].slot;
    const bool is_used = slot != PG_NO_SLOT || !loads, batched = slot != PG_NO_SLOT && pg_is_batched(slot);
    if (is_used && x.is_used && batched != x.batched) {
      break;
    }
    if (is_used) {
      x.is_used = true;
      x.batched = batched;
    }
  }
  return x;
}

/* Calls f for each stretch of the arguments, the cotangent excepted, or of the results. */
static void visit_stretches(const pg_emitter *e, bool loads, void (*f)(const pg_emitter *, const stretch *)) {
  const pg_routine *r = e->r;
  const writer *w = e->own;
  const size_t begin = loads ? 0 : r->argument_count;
  const size_t end = loads ? argument_count(w) : r->argument_count + r->result_count;
  uint32_t k = 0;
  for (size_t a = begin; a < end; a++) {
    const caller_array at = array_of(w, a, k);
    for (const uint32_t last = k + (uint32_t)r->arrays[a].size; k < last;) {
      stretch x = stretch_of(loads ? r->inputs : r->outputs, k, last, loads);
      x.array = a;
      x.at = at;
      if (x.is_used) {
        f(e, &x);
      }
      k = x.end;
    }
  }
}

static const pg_port *ports_of(const pg_emitter *e, const stretch *x) {
  return x->loads ? e->r->inputs : e->r->outputs;
}

/* Where a port's number is. To an output without a slot, it is added. */
static size_t port_place(const pg_emitter *e, const stretch *x, uint32_t port) {
  const pg_slot slot = ports_of(e, x)[port].slot;
  return slot == PG_NO_SLOT && !x->loads ? added_place(e->r) + port : place_of(e->r, slot);
}

static void write_table_name(const pg_emitter *e, const stretch *x) {
  const writer *w = e->own;
  pg_print(e->out, "%s_%s_%s_%u", w->name, w->suffix, x->loads ? "from" : "to", x->first);
}

static void write_table(const pg_emitter *e, const stretch *x) {
  if (!has_table(x)) {
    return;
  }
  pg_print(e->out, "\nstatic const ptrdiff_t ");
  write_table_name(e, x);
  pg_print(e->out, "[] = {\n");
  for (uint32_t k = x->first; k < x->end; k++) {
    pg_print(e->out, "%s%zu", separator(k - x->first), port_place(e, x, k));
  }
  pg_print(e->out, "\n};\n");
}

/* Where an array has a port of a sample. */
static void write_address(const pg_emitter *e, const stretch *x, uint32_t port, const char *sample) {
  const pg_array *array = &e->r->arrays[x->array];
  pg_print(e->out, "%s + %u", x->at.name, port - x->at.origin);
  if (array->batched) {
    pg_print(e->out, " + %s * %zu", sample, array->size);
  }
}

/* One of the numbers that a table places. */
static void write_element(const pg_emitter *e, const stretch *x, const char *sample) {
  const pg_array *array = &e->r->arrays[x->array];
  pg_print(e->out, "(");
  write_address(e, x, x->first, sample);
  pg_print(e->out, ")[k");
  if (x->batched && array->batched) {
    pg_print(e->out, " + q * %zu", array->size);
  }
  pg_print(e->out, "]");
}

static void write_copy_by_table(const pg_emitter *e, const stretch *x, const char *sample) {
  const writer *w = e->own;
  const char *q = x->batched ? " + q" : "";
  pg_print(e->out, "for (ptrdiff_t k = 0; k < %u; k++) ", x->end - x->first);
  if (x->batched) {
    pg_print(e->out, SAMPLES " ");
  }
  if (x->loads) {
    pg_print(e->out, "work[");
    write_table_name(e, x);
    pg_print(e->out, "[k]%s] = ", q);
  }
  if (w->is_masked && !x->loads) {
    pg_print(e->out, "if (isnan(");
    write_element(e, x, sample);
    pg_print(e->out, ")) ");
  }
  write_element(e, x, sample);
  if (!x->loads) {
    pg_print(e->out, " = work[");
    write_table_name(e, x);
    pg_print(e->out, "[k]%s]", q);
  }
  pg_print(e->out, ";\n");
}

static void write_copy_by_runs(const pg_emitter *e, const stretch *x, const char *sample) {
  const writer *w = e->own;
  const pg_port *ports = ports_of(e, x);
  for (uint32_t k = x->first, run; k < x->end; k += run) {
    run = pg_run_of(ports, k, x->end);
    const size_t place = port_place(e, x, k);
    if (ports[k].slot == PG_NO_SLOT && x->loads) {
      continue;
    }
    const bool masks = w->is_masked && !x->loads;
    pg_print(e->out, masks ? "%s_replace_nan(" : "memcpy(", w->name);
    if (x->loads) {
      pg_print(e->out, "work + %zu, ", place);
    }
    write_address(e, x, k, sample);
    if (!x->loads) {
      pg_print(e->out, ", work + %zu", place);
    }
    pg_print(e->out, masks ? ", %u);\n" : ", %u * sizeof *work);\n", run);
  }
}

static void write_tile_copy(const pg_emitter *e, const stretch *x) {
  if (x->batched) {
    write_copy_by_table(e, x, "first");
  }
}

/* A result of a batch that is in shared slots is the same for all samples. */
static void write_shared_copy(const pg_emitter *e, const stretch *x) {
  if (x->batched) {
    return;
  }
  const bool repeats = e->r->arrays[x->array].batched;
  if (repeats) {
    pg_print(e->out, "for (size_t sample = 0; sample < batch; sample++) {\n");
  }
  (has_table(x) ? write_copy_by_table : write_copy_by_runs)(e, x, "sample");
  if (repeats) {
    pg_print(e->out, "}\n");
  }
}

/* Adds to outputs that have slots, too. */
static void write_additions(const pg_emitter *e, const stretch *x) {
  const pg_port *ports = ports_of(e, x);
  for (uint32_t k = x->first, run; k < x->end && e->r->target_count && !e->r->arrays[x->array].batched;
       k += run) {
    run = pg_run_of(ports, k, x->end);
    if (ports[k].slot != PG_NO_SLOT) {
      pg_print(e->out, "for (ptrdiff_t k = 0; k < %u; k++) (", run);
      write_address(e, x, k, "");
      pg_print(e->out, ")[k] += work[%zu + k];\n", added_place(e->r) + k);
    }
  }
}

/* Loads the cotangent: of a tile's samples; or the sum of all, where the output is the same for all. */
static void write_cotangent(const pg_emitter *e, bool batched) {
  const writer *w = e->own;
  const pg_slot slot = w->is_gradient ? e->r->inputs[e->r->cotangent].slot : PG_NO_SLOT;
  if (slot == PG_NO_SLOT || pg_is_batched(slot) != batched) {
    return;
  }
  const size_t place = place_of(e->r, slot);
  if (batched) {
    pg_print(e->out, SAMPLES " work[%zu + q] = cotangent ? (cotangent + first)[q] : 1;\n", place);
  } else if (w->is_batch) {
    pg_print(e->out, "work[%zu] = 0;\n", place);
    pg_print(e->out, "for (size_t k = 0; k < batch; k++) work[%zu] += cotangent ? cotangent[k] : 1;\n", place);
  } else {
    pg_print(e->out, "work[%zu] = cotangent;\n", place);
  }
}

/* Functions ---------------------------------------------------------------------------------------------- */

static void write_head(pg_text *out, const writer *w) {
  pg_print(out, "%svoid %s_%s(", w->is_masked ? "static " : "", w->name, w->suffix);
  pg_print(out, w->is_batch ? "size_t batch, const double *const *arguments" : "const double *inputs");
  pg_print(out, ", const double *parameters, ");
  if (w->is_gradient) {
    pg_print(out, "%scotangent, double *outputs,\n    ", w->is_batch ? "const double *" : "double ");
    pg_print(out, "double *%s, double *parameter_gradient, ",
             w->is_batch ? "const *argument_gradients" : "input_gradient");
  } else {
    pg_print(out, "double *outputs, ");
  }
  pg_print(out, "double *work)");
}

/* There may be no numbers of a kind. */
static void write_uses(pg_text *out, const writer *w) {
  pg_print(out, "(void)%s, (void)parameters, (void)outputs;\n", w->is_batch ? "arguments" : "inputs");
  if (w->is_gradient) {
    pg_print(out, "(void)cotangent, (void)%s, (void)parameter_gradient;\n",
             w->is_batch ? "argument_gradients" : "input_gradient");
  }
}

static void write_tiles(const pg_emitter *e) {
  const uint32_t tile = e->r->tile;
  pg_print(e->out, "for (size_t first = 0; first < batch; first += %u) {\n", tile);
  pg_print(e->out,
           "const ptrdiff_t samples = batch - first < %u ? (ptrdiff_t)(batch - first) : %u;\n(void)samples;\n",
           tile, tile);
  visit_stretches(e, true, write_tile_copy);
  write_cotangent(e, true);
  write_calls(e, PG_BATCH);
  visit_stretches(e, false, write_tile_copy);
  pg_print(e->out, "}\n");
}

/* Calls the masked function if the sum of the derivatives is nan: one of them is, or inf and -inf are among
 * them. */
static void write_call_of_masked(const pg_emitter *e) {
  const pg_routine *r = e->r;
  const writer *w = e->own;
  uint32_t k = (uint32_t)r->arrays[r->argument_count].size;
  pg_print(e->out, "double sum = 0;\n");
  for (size_t a = r->first_derivative; a < r->argument_count + r->result_count; a++) {
    const caller_array to = array_of(w, a, k);
    if (r->arrays[a].size) {
      pg_print(e->out, "for (size_t k = 0; k < %zu%s; k++) sum += (%s + %u)[k];\n", r->arrays[a].size,
               r->arrays[a].batched ? " * batch" : "", to.name, k - to.origin);
    }
    k += (uint32_t)r->arrays[a].size;
  }
  pg_print(e->out, "if (isnan(sum)) {\n%s_%s_masked(", w->name, w->suffix);
  pg_print(e->out, w->is_batch ? "batch, arguments, " : "inputs, ");
  pg_print(e->out, "parameters, cotangent, outputs, %s, parameter_gradient, work);\n}\n",
           w->is_batch ? "argument_gradients" : "input_gradient");
}

static void write_function(const pg_emitter *e) {
  const pg_routine *r = e->r;
  const writer *w = e->own;
  pg_print(e->out, "\n");
  write_head(e->out, w);
  pg_print(e->out, " {\n");
  write_uses(e->out, w);
  if (r->parameter_count) {
    pg_print(e->out, "memcpy(work, parameters ? parameters : %s_parameters, sizeof %s_parameters);\n", w->name,
             w->name);
  }
  pg_print(e->out, "memcpy(work + %u, %s_%s_constants, sizeof %s_%s_constants);\n", r->first_constant, w->name,
           w->suffix, w->name, w->suffix);
  if (r->total_count + r->scattered_count) {
    pg_print(e->out, "memset(work + %u, 0, %u * sizeof *work);\n", pg_first_total(r),
             r->total_count + r->scattered_count);
  }
  if (r->target_count) {
    pg_print(e->out, "memset(work + %zu, 0, %u * sizeof *work);\n", added_place(r), r->output_count);
  }
  visit_stretches(e, true, write_shared_copy);
  write_cotangent(e, false);
  write_calls(e, PG_PROLOGUE);
  if (w->is_batch) {
    write_tiles(e);
  }
  write_calls(e, PG_EPILOGUE);
  visit_stretches(e, false, write_shared_copy);
  visit_stretches(e, false, write_additions);
  if (atomic_load(&r->masked)) {
    write_call_of_masked(e);
  }
  pg_print(e->out, "}\n");
}

static void write_routine(pg_text *out, const pg_routine *r, const char *name, bool is_masked) {
  writer w = writer_of(r, name, is_masked);
  pg_emitter e = {.out = out, .r = r, .dialect = &PORTABLE, .own = &w};
  pg_emitter_begin(&e);
  if (!e.failed) {
    write_tables(&e);
    visit_stretches(&e, true, write_table);
    visit_stretches(&e, false, write_table);
    write_blocks(&e);
    write_function(&e);
  }
  pg_emitter_end(&e);
  out->failed = out->failed || e.failed;
}

/* Files -------------------------------------------------------------------------------------------------- */

static bool calls(const pg_routine *r, const char *function) {
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

/* Those functions of functions.def that one of the routines calls, and what all may call. */
static void write_functions(pg_text *out, size_t count, pg_routine *const *routines, const char *name) {
  bool called[sizeof FUNCTIONS / sizeof *FUNCTIONS] = {false}, has_lists = false, has_masked = false;
  for (size_t k = 0; k < count; k++) {
    has_masked = has_masked || atomic_load(&routines[k]->masked);
    for (const pg_routine *r = routines[k]; r; r = atomic_load(&r->masked)) {
      has_lists = has_lists || r->list_size;
      for (size_t f = 0; f < sizeof FUNCTIONS / sizeof *FUNCTIONS; f++) {
        called[f] = called[f] || calls(r, FUNCTIONS[f].name);
      }
    }
  }
  for (size_t f = 0; f < sizeof FUNCTIONS / sizeof *FUNCTIONS; f++) {
    if (called[f]) {
      pg_print(out, "static double %s%s%s { %s }\n", name, FUNCTIONS[f].name + PREFIX, FUNCTIONS[f].arguments,
               FUNCTIONS[f].body);
    }
  }
  if (has_lists) { /* finds the number of a list's element */
    pg_print(out, "static double *%s_slot(double *w, ptrdiff_t place, ptrdiff_t q) {\n", name);
    pg_print(out, "return w + place / 2 + (place %% 2 ? q : 0);\n}\n");
  }
  if (has_masked) {
    pg_print(out, "static void %s_replace_nan(double *to, const double *from, ptrdiff_t n) {\n", name);
    pg_print(out, "for (ptrdiff_t k = 0; k < n; k++) if (isnan(to[k])) to[k] = from[k];\n}\n");
  }
}

/* The sizes of arrays, and the functions. */
static void write_declarations(pg_text *out, size_t count, pg_routine *const *routines, const char *name) {
  const pg_routine *r = routines[0];
  size_t most[2] = {0};
  for (size_t k = 0; k < count; k++) {
    size_t *size = &most[writer_of(routines[k], name, false).is_batch];
    for (const pg_routine *r = routines[k]; r; r = atomic_load(&r->masked)) {
      *size = work_size(r) > *size ? work_size(r) : *size;
    }
  }
  pg_print(out, "enum { %s_INPUTS = %u, %s_PARAMETERS = %u, ", name, r->input_count, name, r->parameter_count);
  pg_print(out, "%s_OUTPUTS = %u, %s_WORK = %zu", name, r->output_count, name, most[false]);
  if (most[true]) {
    pg_print(out, ", %s_BATCH_WORK = %zu", name, most[true]);
  }
  pg_print(out, " };\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
  for (size_t k = 0; k < count; k++) {
    const writer w = writer_of(routines[k], name, false);
    write_head(out, &w);
    pg_print(out, ";\n");
  }
  if (r->parameter_count) {
    pg_print(out, "extern const double %s_parameters[%s_PARAMETERS];\n", name, name);
  }
  pg_print(out, "#ifdef __cplusplus\n}\n#endif\n\n");
}

/* Makes the masked routines of the gradients, unless these are large: there are no sums of products in a masked
 * routine, as each product is masked, so that it may be 50 times as large. False if there is no memory. */
static bool make_masked(size_t count, pg_routine *const *routines) {
  enum { MOST_INSTRUCTIONS = 1000 };
  bool made = true;
  for (size_t k = 0; k < count && made; k++) {
    const bool has = routines[k]->cotangent != PG_NO_REF && routines[k]->program->count <= MOST_INSTRUCTIONS;
    made = !has || pg_masked(routines[k]);
  }
  return made;
}

char *pg_emit_c(size_t count, pg_routine *const *routines, const double *parameters, const char *name) {
  pg_text text = {0}, *const out = &text;
  text.failed = !make_masked(count, routines);
  pg_print(out, "#include <math.h>\n#include <stddef.h>\n#include <string.h>\n\n");
  write_declarations(out, count, routines, name);
  if (routines[0]->parameter_count) {
    pg_print(out, "const double %s_parameters", name);
    write_numbers(out, routines[0]->parameter_count, parameters);
  }
  write_functions(out, count, routines, name);
  for (size_t k = 0; k < count; k++) {
    const pg_routine *masked = atomic_load(&routines[k]->masked);
    if (masked) {
      write_routine(out, masked, name, true);
    }
    write_routine(out, routines[k], name, false);
  }
  return pg_text_of(out);
}
