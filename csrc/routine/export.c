/* export.c: the routines of one sample as C, to be compiled where there is no pygrad.
 *
 * A routine becomes a function over an array `w` of its slots, each code a loop or a statement.
 */
#include <float.h>
#include <string.h>

#include "routine/code.h"
#include "program/ieee.h"
#include "text.h"

enum {
  CODES_A_PART = 256, /* of a function: what is twice as long takes compilers more than twice the time */
  NUMBERS_A_LINE = 6
};

/* The op tables' rows as IEEE has them: as text, after the macros of ieee.h. */
#define TEXT(...) #__VA_ARGS__
static const char *const FORWARD[PG_KERNELS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = TEXT(forward),
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_UNARY(name, symbol, forward, adjoint_x)
#include "program/all_ops.def"
};

/* The functions that they call. */
static const struct {
  const char *name, *arguments, *body;
} FUNCTIONS[] = {
#define PG_FUNCTION(name, arguments, ...) {#name, #arguments, #__VA_ARGS__},
#include "functions.def"
};

/* Without a batch there is no code but that before it. */
static const pg_codes *codes_of(const pg_routine *r) { return &r->phases[PG_BEFORE]; }

static bool is_gradient(const pg_routine *r) { return r->cotangent != PG_NO_REF; }

/* What names begin with that are the routine's own. */
static const char *prefix(const pg_routine *r) { return is_gradient(r) ? "pg_gradient" : "pg_value"; }

/* Tables ------------------------------------------------------------------------------------------------- */

/* In a form that is read back to the same bits, and has no decimal point that might be a comma somewhere. */
static void write_number(pg_text *out, double x) {
  int exponent;
  if (isnan(x)) {
    pg_print(out, "NAN");
  } else if (isinf(x)) {
    pg_print(out, x < 0 ? "-INFINITY" : "INFINITY");
  } else if (x == rint(x) && fabs(x) < 1e6) {
    pg_print(out, "%.0f.0", x);
  } else {
    const double mantissa = ldexp(frexp(fabs(x), &exponent), DBL_MANT_DIG);
    pg_print(out, "%s0x%llxp%d", x < 0 ? "-" : "", (unsigned long long)mantissa, exponent - DBL_MANT_DIG);
  }
}

static const char *separator(uint32_t k) { return k == 0 ? "" : k % NUMBERS_A_LINE ? ", " : ",\n  "; }

static void write_numbers(pg_text *out, uint32_t count, const double *numbers) {
  pg_print(out, "[] = {\n  ");
  for (uint32_t k = 0; k < count; k++) {
    pg_print(out, "%s", separator(k));
    write_number(out, numbers[k]);
  }
  pg_print(out, "\n};\n");
}

/* Places in the lists that nobody wants are one more slot. */
static uint32_t slots(const pg_routine *r) { return r->shared + (r->place_count > 0); }

static void write_tables(pg_text *out, const pg_routine *r) {
  pg_print(out, "\nstatic const double %s_constants", prefix(r));
  write_numbers(out, r->leaves - r->parameter_count, r->constants + r->parameter_count);
  if (r->place_count) {
    pg_print(out, "\nstatic const uint32_t %s_places[] = {\n  ", prefix(r));
    for (uint32_t k = 0; k < r->place_count; k++) {
      pg_print(out, "%s%u", separator(k), r->places[k] == PG_NO_REF ? r->shared : r->places[k] >> 1);
    }
    pg_print(out, "\n};\n");
  }
}

/* Code --------------------------------------------------------------------------------------------------- */

static void write_step(pg_text *out, long step, char index) {
  if (step == 1 || step == -1) {
    pg_print(out, " %c %c", step < 0 ? '-' : '+', index);
  } else if (step) {
    pg_print(out, " %c %ld * %c", step < 0 ? '-' : '+', step < 0 ? -step : step, index);
  }
}

static void write_slot(pg_text *out, uint32_t slot, long step, long row, long term) {
  pg_print(out, "w[%u", slot);
  write_step(out, step, 'i');
  write_step(out, row, 'j');
  write_step(out, term, 't');
  pg_print(out, "]");
}

static void write_a(pg_text *out, const pg_code *c) { write_slot(out, c->a, c->a_step, c->a_row, c->a_term); }

static void write_b(pg_text *out, const pg_code *c) { write_slot(out, c->b, c->b_step, c->b_row, c->b_term); }

static void write_result(pg_text *out, const pg_code *c) {
  write_slot(out, c->dst, c->n > 1, c->rows > 1 ? c->n : 0, 0);
}

static void write_loop(pg_text *out, char index, uint32_t count) {
  if (count > 1) {
    pg_print(out, "for (long %c = 0; %c < %u; %c++) ", index, index, count, index);
  }
}

/* An op's row, with slots in place of x and y. */
static void write_op(pg_text *out, const pg_code *c) {
  size_t length;
  write_result(out, c);
  pg_print(out, " = ");
  for (const char *at = FORWARD[c->op]; *at; at += length) {
    length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
    if (length == 1 && *at == 'x') {
      write_a(out, c);
    } else if (length == 1 && *at == 'y') {
      write_b(out, c);
    } else {
      length = length ? length : 1;
      pg_print(out, "%.*s", (int)length, at);
    }
  }
  pg_print(out, ";\n");
}

static void write_init(pg_text *out, const pg_code *c) {
  if (c->init == PG_NO_REF) {
    pg_print(out, "0");
  } else {
    write_slot(out, c->init, c->init_step, c->init_row, 0);
  }
}

static void write_product(pg_text *out, const pg_code *c) {
  write_a(out, c);
  pg_print(out, " * ");
  write_b(out, c);
  pg_print(out, ";\n");
}

static void write_dot(pg_text *out, const pg_code *c) {
  if (c->terms == 1) {
    write_result(out, c);
    pg_print(out, " = ");
    write_init(out, c);
    pg_print(out, " + ");
    write_product(out, c);
    return;
  }
  pg_print(out, "{\n    double sum = ");
  write_init(out, c);
  pg_print(out, ";\n    ");
  write_loop(out, 't', c->terms);
  pg_print(out, "sum += ");
  write_product(out, c);
  pg_print(out, "    ");
  write_result(out, c);
  pg_print(out, " = sum;\n  }\n");
}

static void write_lookup(pg_text *out, const pg_routine *r, const pg_code *c) {
  pg_print(out, "{\n    const double index = ");
  write_a(out, c);
  pg_print(out, ";\n    ");
  write_result(out, c);
  pg_print(out, " = index >= 0 && index < %u ? w[%s_places[%u", c->terms, prefix(r), c->b);
  write_step(out, c->b_step, 'i');
  write_step(out, c->b_row, 'j');
  pg_print(out, " + (long)index]] : NAN;\n  }\n");
}

static void write_scatter(pg_text *out, const pg_routine *r, const pg_code *c) {
  pg_print(out, "{\n    const uint32_t *to = %s_places + %u, *pair = to + %u;\n", prefix(r), c->b, c->a);
  pg_print(out, "    for (long k = 0; k < %u; k++) w[to[k]] = 0;\n", c->a);
  pg_print(out, "    for (long t = 0; t < %u; t++, pair += 2) {\n", c->terms);
  pg_print(out, "      const double index = w[pair[0]];\n");
  pg_print(out, "      if (index >= 0 && index < %u) w[to[(long)index]] += w[pair[1]];\n    }\n  }\n", c->a);
}

static void write_code(pg_text *out, const pg_routine *r, const pg_code *c) {
  assert(!c->batched && c->op != PG_CODE_TOTAL);
  pg_print(out, "  ");
  write_loop(out, 'j', c->rows);
  write_loop(out, 'i', c->n);
  if (c->op < PG_KERNELS) {
    write_op(out, c);
  } else if (c->op == PG_CODE_DOT) {
    write_dot(out, c);
  } else if (c->op == PG_LOOKUP) {
    write_lookup(out, r, c);
  } else {
    write_scatter(out, r, c);
  }
}

static void write_parts(pg_text *out, const pg_routine *r) {
  for (uint32_t k = 0; k < codes_of(r)->count; k++) {
    if (k % CODES_A_PART == 0) {
      pg_print(out, "\nstatic void %s_part_%u(double *w) {\n", prefix(r), k / CODES_A_PART);
    }
    write_code(out, r, &codes_of(r)->list[k]);
    if (k % CODES_A_PART == CODES_A_PART - 1 || k == codes_of(r)->count - 1) {
      pg_print(out, "}\n");
    }
  }
}

/* Functions ---------------------------------------------------------------------------------------------- */

static void write_head(pg_text *out, const pg_routine *r) {
  pg_print(out, "void %s(const double *inputs, const double *parameters, ", prefix(r));
  pg_print(out, is_gradient(r) ? "double cotangent, double *outputs,\n"
                                 "    double *input_gradient, double *parameter_gradient, double *work)"
                               : "double *outputs, double *work)");
}

/* From an array of the caller's into the slots, what lies side by side at once. */
static void write_loads(pg_text *out, const pg_place *places, uint32_t count, const char *from) {
  for (uint32_t k = 0; k < count; k += places[k].run) {
    if (places[k].slot != PG_NO_REF) {
      const uint32_t run = places[k].run < count - k ? places[k].run : count - k;
      pg_print(out, "  memcpy(work + %u, %s + %u, %u * sizeof *work);\n", places[k].slot, from, k, run);
    }
  }
}

static void write_stores(pg_text *out, const pg_place *places, uint32_t count, const char *to) {
  for (uint32_t k = 0; k < count; k += places[k].run) {
    const uint32_t run = places[k].run < count - k ? places[k].run : count - k;
    pg_print(out, "  memcpy(%s + %u, work + %u, %u * sizeof *work);\n", to, k, places[k].slot, run);
  }
}

static void write_function(pg_text *out, const pg_routine *r) {
  const uint32_t inputs = r->input_count - is_gradient(r);
  write_tables(out, r);
  write_parts(out, r);
  pg_print(out, "\n");
  write_head(out, r);
  pg_print(out, " {\n  (void)inputs, (void)parameters, (void)outputs; /* there may be none */\n");
  if (r->parameter_count) {
    pg_print(out, "  memcpy(work, parameters ? parameters : pg_parameters, sizeof pg_parameters);\n");
  }
  pg_print(out, "  memcpy(work + pg_PARAMETERS, %s_constants, sizeof %s_constants);\n", prefix(r), prefix(r));
  write_loads(out, r->inputs, inputs, "inputs");
  if (is_gradient(r)) {
    pg_print(out, "  (void)cotangent, (void)input_gradient, (void)parameter_gradient;\n");
    write_loads(out, r->inputs + inputs, 1, "&cotangent");
  }
  for (uint32_t k = 0; k < codes_of(r)->count; k += CODES_A_PART) {
    pg_print(out, "  %s_part_%u(work);\n", prefix(r), k / CODES_A_PART);
  }
  if (is_gradient(r)) {
    write_stores(out, r->outputs, 1, "outputs");
    write_stores(out, r->outputs + 1, inputs, "input_gradient");
    write_stores(out, r->outputs + 1 + inputs, r->parameter_count, "parameter_gradient");
  } else {
    write_stores(out, r->outputs, r->output_count, "outputs");
  }
  pg_print(out, "}\n");
}

/* Files -------------------------------------------------------------------------------------------------- */

static bool calls(const pg_routine *r, const char *function) {
  const size_t length = strlen(function);
  for (uint32_t k = 0; k < codes_of(r)->count; k++) {
    const int op = codes_of(r)->list[k].op;
    if (op < PG_KERNELS && strncmp(FORWARD[op], function, length) == 0 && FORWARD[op][length] == '(') {
      return true;
    }
  }
  return false;
}

static void write_file(pg_text *out, size_t count, const pg_routine *const *routines,
                       const double *parameters) {
  const pg_routine *r = routines[0];
  uint32_t work = 0;
  for (size_t k = 0; k < count; k++) {
    work = slots(routines[k]) > work ? slots(routines[k]) : work;
  }
  pg_print(out, "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n\n");
  pg_print(out, "enum { pg_INPUTS = %u, pg_PARAMETERS = %u, pg_OUTPUTS = %u, pg_WORK = %u };\n\n",
           r->input_count, r->parameter_count, r->output_count, work);
  for (size_t k = 0; k < count; k++) {
    write_head(out, routines[k]);
    pg_print(out, ";\n");
  }
  if (r->parameter_count) {
    pg_print(out, "\nconst double pg_parameters");
    write_numbers(out, r->parameter_count, parameters);
  }
  pg_print(out, "\n");
  for (size_t f = 0; f < sizeof FUNCTIONS / sizeof *FUNCTIONS; f++) {
    if (calls(r, FUNCTIONS[f].name) || calls(routines[count - 1], FUNCTIONS[f].name)) {
      pg_print(out, "static double %s%s { %s }\n", FUNCTIONS[f].name, FUNCTIONS[f].arguments,
               FUNCTIONS[f].body);
    }
  }
  for (size_t k = 0; k < count; k++) {
    write_function(out, routines[k]);
  }
}

char *pg_export(size_t count, const pg_routine *const *routines, const double *parameters) {
  pg_text text = {0};
  write_file(&text, count, routines, parameters);
  return pg_text_of(&text);
}
