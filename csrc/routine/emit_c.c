/* emit_c.c: routines for one sample as C, to be compiled where there is no pygrad: what f.to_c() writes.
 *
 * A routine becomes a function over an array `w` of its slots, and each of its loops a statement or a loop. All
 * global names in the text begin with the caller's name.
 */
#include <string.h>

#include "program/ieee.h"
#include "routine/listing.h"

enum {
  LOOPS_A_FUNCTION = 256, /* compilers take more than twice the time for a function that is twice as long */
  NUMBERS_A_LINE = 6
};

/* What is written, and where to. */
typedef struct {
  pg_text *out;
  const pg_routine *r;
  const char *name;   /* what all names begin with */
  const char *suffix; /* what the routine's own names go on with */
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

/* For one sample nothing is batched: all loops are in the prologue. */
static const pg_loops *loops_of(const pg_routine *r) {
  assert(r->phases[PG_BATCH].count == 0 && r->phases[PG_EPILOGUE].count == 0);
  return &r->phases[PG_PROLOGUE];
}

static bool is_gradient(const pg_routine *r) { return r->cotangent != PG_NO_REF; }

static writer writer_of(pg_text *out, const char *name, const pg_routine *r) {
  return (writer){out, r, name, is_gradient(r) ? "gradient" : "value"};
}

/* Tables ------------------------------------------------------------------------------------------------- */

static const char *separator(uint32_t k) { return k == 0 ? "" : k % NUMBERS_A_LINE ? ", " : ",\n  "; }

static void write_numbers(pg_text *out, uint32_t count, const double *numbers) {
  pg_print(out, "[] = {\n  ");
  for (uint32_t k = 0; k < count; k++) {
    pg_print(out, "%s", separator(k));
    pg_print_literal(out, numbers[k]);
  }
  pg_print(out, "\n};\n");
}

/* One more than the routine has if there are lists: for the elements that nothing reads. */
static uint32_t slots(const pg_routine *r) { return r->shared + (r->list_size > 0); }

static void write_tables(const writer *w) {
  const pg_routine *r = w->r;
  pg_print(w->out, "\nstatic const double %s_%s_constants", w->name, w->suffix);
  write_numbers(w->out, r->leaf_count - r->parameter_count, r->constants + r->parameter_count);
  if (r->list_size) {
    pg_print(w->out, "\nstatic const uint32_t %s_%s_places[] = {\n  ", w->name, w->suffix);
    for (uint32_t k = 0; k < r->list_size; k++) {
      const uint32_t slot = r->lists[k] == PG_NO_SLOT ? r->shared : pg_number_of(r->lists[k]);
      pg_print(w->out, "%s%u", separator(k), slot);
    }
    pg_print(w->out, "\n};\n");
  }
}

/* Loops -------------------------------------------------------------------------------------------------- */

static void write_operand(pg_text *out, const pg_strided *x) {
  assert(!pg_is_batched(x->slot));
  pg_print(out, "w[%u", pg_number_of(x->slot));
  pg_print_steps(out, x, NULL, " * ");
  pg_print(out, "]");
}

static void write_result(pg_text *out, const pg_loop *l) {
  const pg_strided results = pg_results_of(l);
  write_operand(out, &results);
}

static void write_for(pg_text *out, char index, uint32_t count) {
  if (count > 1) {
    pg_print(out, "for (long %c = 0; %c < %u; %c++) ", index, index, count, index);
  }
}

/* The op's forward column, with slots in place of x and y. */
static void write_map(const writer *w, const pg_loop *l) {
  size_t length;
  write_result(w->out, l);
  pg_print(w->out, " = ");
  for (const char *at = FORWARD[l->op]; *at; at += length) {
    length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
    if (length == 1 && *at == 'x') {
      write_operand(w->out, &l->map.a);
    } else if (length == 1 && *at == 'y') {
      write_operand(w->out, &l->map.b);
    } else if (length > PREFIX && strncmp(at, "pg_", PREFIX + 1) == 0) {
      pg_print(w->out, "%s%.*s", w->name, (int)length - PREFIX, at + PREFIX);
    } else {
      length = length ? length : 1;
      pg_print(w->out, "%.*s", (int)length, at);
    }
  }
  pg_print(w->out, ";\n");
}

static void write_init(pg_text *out, const pg_loop *l) {
  if (l->sum.init.slot == PG_NO_SLOT) {
    pg_print(out, "0");
  } else {
    write_operand(out, &l->sum.init);
  }
}

static void write_product(pg_text *out, const pg_loop *l) {
  write_operand(out, &l->sum.a);
  pg_print(out, " * ");
  write_operand(out, &l->sum.b);
  pg_print(out, ";\n");
}

static void write_dot(pg_text *out, const pg_loop *l) {
  if (l->sum.terms == 1) {
    write_result(out, l);
    pg_print(out, " = ");
    write_init(out, l);
    pg_print(out, " + ");
    write_product(out, l);
    return;
  }
  pg_print(out, "{\n    double sum = ");
  write_init(out, l);
  pg_print(out, ";\n    ");
  write_for(out, 't', l->sum.terms);
  pg_print(out, "sum += ");
  write_product(out, l);
  pg_print(out, "    ");
  write_result(out, l);
  pg_print(out, " = sum;\n  }\n");
}

static void write_lookup(const writer *w, const pg_loop *l) {
  const pg_strided *list = &l->lookup.list;
  pg_print(w->out, "{\n    const double index = ");
  write_operand(w->out, &l->lookup.index);
  pg_print(w->out, ";\n    ");
  write_result(w->out, l);
  pg_print(w->out, " = index >= 0 && index < %u ? w[%s_%s_places[%u", l->lookup.size, w->name, w->suffix,
           pg_number_of(list->slot));
  pg_print_steps(w->out, list, NULL, " * ");
  pg_print(w->out, " + (long)index]] : NAN;\n  }\n");
}

static void write_scatter(const writer *w, const pg_loop *l) {
  const uint32_t size = l->scatter.size;
  pg_print(w->out, "{\n    const uint32_t *to = %s_%s_places + %u, *pair = to + %u;\n", w->name, w->suffix,
           l->scatter.list, size);
  pg_print(w->out, "    for (long k = 0; k < %u; k++) w[to[k]] = 0;\n", size);
  pg_print(w->out, "    for (long t = 0; t < %u; t++, pair += 2) {\n", l->scatter.pairs);
  pg_print(w->out, "      const double index = w[pair[0]];\n");
  pg_print(w->out, "      if (index >= 0 && index < %u) w[to[(long)index]] += w[pair[1]];\n    }\n  }\n", size);
}

static void write_loop(const writer *w, const pg_loop *l) {
  pg_print(w->out, "  ");
  write_for(w->out, 'j', l->rows);
  write_for(w->out, 'i', l->n);
  if (l->op < PG_KERNELS) {
    write_map(w, l);
  } else if (l->op == PG_DOT) {
    write_dot(w->out, l);
  } else if (l->op == PG_LOOKUP) {
    write_lookup(w, l);
  } else {
    assert(l->op == PG_SCATTER);
    write_scatter(w, l);
  }
}

/* Writes the loops, in functions of LOOPS_A_FUNCTION. */
static void write_loops(const writer *w) {
  const pg_loops *loops = loops_of(w->r);
  for (uint32_t k = 0; k < loops->count; k++) {
    if (k % LOOPS_A_FUNCTION == 0) {
      pg_print(w->out, "\nstatic void %s_%s_part_%u(double *w) {\n", w->name, w->suffix, k / LOOPS_A_FUNCTION);
    }
    write_loop(w, &loops->at[k]);
    if (k % LOOPS_A_FUNCTION == LOOPS_A_FUNCTION - 1 || k == loops->count - 1) {
      pg_print(w->out, "}\n");
    }
  }
}

/* Functions ---------------------------------------------------------------------------------------------- */

static void write_head(const writer *w) {
  pg_print(w->out, "void %s_%s(const double *inputs, const double *parameters, ", w->name, w->suffix);
  pg_print(w->out, is_gradient(w->r) ? "double cotangent, double *outputs,\n"
                                       "    double *input_gradient, double *parameter_gradient, double *work)"
                                     : "double *outputs, double *work)");
}

/* Copies numbers from an array of the caller's into the slots: consecutive ones at once. */
static void write_loads(pg_text *out, const pg_port *ports, uint32_t count, const char *from) {
  uint32_t run;
  for (uint32_t k = 0; k < count; k += run) {
    run = pg_run_of(ports, k, count);
    if (ports[k].slot != PG_NO_SLOT) {
      const uint32_t slot = pg_number_of(ports[k].slot);
      pg_print(out, "  memcpy(work + %u, %s + %u, %u * sizeof *work);\n", slot, from, k, run);
    }
  }
}

static void write_stores(pg_text *out, const pg_port *ports, uint32_t count, const char *to) {
  uint32_t run;
  for (uint32_t k = 0; k < count; k += run) {
    run = pg_run_of(ports, k, count);
    const uint32_t slot = pg_number_of(ports[k].slot);
    pg_print(out, "  memcpy(%s + %u, work + %u, %u * sizeof *work);\n", to, k, slot, run);
  }
}

static void write_all_stores(pg_text *out, const pg_routine *r, uint32_t inputs) {
  if (is_gradient(r)) {
    write_stores(out, r->outputs, 1, "outputs");
    write_stores(out, r->outputs + 1, inputs, "input_gradient");
    write_stores(out, r->outputs + 1 + inputs, r->parameter_count, "parameter_gradient");
  } else {
    write_stores(out, r->outputs, r->output_count, "outputs");
  }
}

static void write_function(const writer *w) {
  const pg_routine *r = w->r;
  const char *name = w->name, *suffix = w->suffix;
  const uint32_t inputs = r->input_count - is_gradient(r);
  write_tables(w);
  write_loops(w);
  pg_print(w->out, "\n");
  write_head(w);
  pg_print(w->out, " {\n  (void)inputs, (void)parameters, (void)outputs; /* there may be none */\n");
  if (r->parameter_count) {
    pg_print(w->out, "  memcpy(work, parameters ? parameters : %s_parameters, sizeof %s_parameters);\n", name,
             name);
  }
  pg_print(w->out, "  memcpy(work + %s_PARAMETERS, %s_%s_constants, sizeof %s_%s_constants);\n", name, name,
           suffix, name, suffix);
  write_loads(w->out, r->inputs, inputs, "inputs");
  if (is_gradient(r)) {
    pg_print(w->out, "  (void)cotangent, (void)input_gradient, (void)parameter_gradient;\n");
    write_loads(w->out, r->inputs + inputs, 1, "&cotangent");
  }
  for (uint32_t k = 0; k < loops_of(r)->count; k += LOOPS_A_FUNCTION) {
    pg_print(w->out, "  %s_%s_part_%u(work);\n", name, suffix, k / LOOPS_A_FUNCTION);
  }
  write_all_stores(w->out, r, inputs);
  pg_print(w->out, "}\n");
}

/* Files -------------------------------------------------------------------------------------------------- */

static bool calls(const pg_routine *r, const char *function) {
  const size_t length = strlen(function);
  for (uint32_t k = 0; k < loops_of(r)->count; k++) {
    const int op = loops_of(r)->at[k].op;
    if (op < PG_KERNELS && strncmp(FORWARD[op], function, length) == 0 && FORWARD[op][length] == '(') {
      return true;
    }
  }
  return false;
}

/* Those functions of functions.def that one of the routines calls. */
static void write_functions(pg_text *out, size_t count, const pg_routine *const *routines, const char *name) {
  for (size_t f = 0; f < sizeof FUNCTIONS / sizeof *FUNCTIONS; f++) {
    if (calls(routines[0], FUNCTIONS[f].name) || calls(routines[count - 1], FUNCTIONS[f].name)) {
      pg_print(out, "static double %s%s%s { %s }\n", name, FUNCTIONS[f].name + PREFIX, FUNCTIONS[f].arguments,
               FUNCTIONS[f].body);
    }
  }
}

/* The numbers of slots that the largest of the routines needs. */
static uint32_t most_slots(size_t count, const pg_routine *const *routines) {
  uint32_t most = 0;
  for (size_t k = 0; k < count; k++) {
    most = slots(routines[k]) > most ? slots(routines[k]) : most;
  }
  return most;
}

char *pg_emit_c(size_t count, const pg_routine *const *routines, const double *parameters, const char *name) {
  const pg_routine *r = routines[0];
  pg_text text = {0}, *const out = &text;
  pg_print(out, "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n\n");
  pg_print(out, "enum { %s_INPUTS = %u, %s_PARAMETERS = %u, ", name, r->input_count, name, r->parameter_count);
  pg_print(out, "%s_OUTPUTS = %u, %s_WORK = %u };\n\n", name, r->output_count, name,
           most_slots(count, routines));
  for (size_t k = 0; k < count; k++) {
    const writer w = writer_of(out, name, routines[k]);
    write_head(&w);
    pg_print(out, ";\n");
  }
  if (r->parameter_count) {
    pg_print(out, "\nconst double %s_parameters", name);
    write_numbers(out, r->parameter_count, parameters);
  }
  pg_print(out, "\n");
  write_functions(out, count, routines, name);
  for (size_t k = 0; k < count; k++) {
    const writer w = writer_of(out, name, routines[k]);
    write_function(&w);
  }
  return pg_text_of(out);
}
