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
 *
 * This file writes the functions for routines, and what is around them; emit_c_blocks.c the blocks, and
 * emit_c_arrays.c how a function loads from the caller's arrays and stores into them.
 */
#include <string.h>

#include "routine/emit_c.h"
#include "routine/listing.h"

/* The functions that the op tables' forward columns call. Their names here begin with pg_, and in what is
 * written with the caller's name. */
static const struct {
  const char *name, *arguments, *body;
} FUNCTIONS[] = {
#define PG_FUNCTION(name, arguments, ...) {#name, #arguments, #__VA_ARGS__},
#include "functions.def"
};

static pg_writer writer_of(const pg_routine *r, const char *name, bool is_masked) {
  pg_writer w = {.r = r, .name = name, .is_gradient = r->cotangent != PG_NO_REF, .is_masked = is_masked};
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

/* Tables ------------------------------------------------------------------------------------------------- */

/* A result's place in its array is that of an output among all. */
static size_t place_of_target(const pg_routine *r, pg_target t) {
  size_t place = t.array == PG_NO_REF ? r->shared : t.at;
  if (t.array < PG_IN_SLOT) {
    place += pg_added_place(r);
    for (size_t a = r->argument_count; a < t.array; a++) {
      place += r->arrays[a].size;
    }
  }
  return place;
}

static void write_numbers(pg_text *out, uint32_t count, const double *numbers) {
  pg_print(out, "[] = {\n");
  for (uint32_t k = 0; k < count; k++) {
    pg_print(out, "%s", pg_separator(k));
    pg_print_literal(out, numbers[k]);
  }
  pg_print(out, "\n};\n");
}

/* The constants; for each element of a list its place times 2, and 1 more if it is batched; and the places of
 * the targets. */
static void write_tables(const pg_emitter *e) {
  const pg_routine *r = e->r;
  const pg_writer *w = e->own;
  pg_print(e->out, "\nstatic const double %s_%s_constants", w->name, w->suffix);
  write_numbers(e->out, r->leaf_count - r->first_constant, r->constants + r->first_constant);
  if (r->list_size) {
    pg_print(e->out, "\nstatic const ptrdiff_t %s_%s_places[] = {\n", w->name, w->suffix);
    for (uint32_t k = 0; k < r->list_size; k++) {
      const pg_slot slot = r->lists[k];
      pg_print(e->out, "%s%zu", pg_separator(k),
               2 * pg_place_in_work(r, slot) + (slot != PG_NO_SLOT && pg_is_batched(slot)));
    }
    pg_print(e->out, "\n};\n");
  }
  if (r->target_count) {
    pg_print(e->out, "\nstatic const ptrdiff_t %s_%s_targets[] = {\n", w->name, w->suffix);
    for (uint32_t k = 0; k < r->target_count; k++) {
      pg_print(e->out, "%s%zu", pg_separator(k), place_of_target(r, r->targets[k]));
    }
    pg_print(e->out, "\n};\n");
  }
}

/* Functions ---------------------------------------------------------------------------------------------- */

static void write_head(pg_text *out, const pg_writer *w) {
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
static void write_uses(pg_text *out, const pg_writer *w) {
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
  pg_write_tile_copies(e, true);
  pg_write_cotangent(e, true);
  pg_write_calls(e, PG_BATCH);
  pg_write_tile_copies(e, false);
  pg_print(e->out, "}\n");
}

static void write_function(const pg_emitter *e) {
  const pg_routine *r = e->r;
  const pg_writer *w = e->own;
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
    pg_print(e->out, "memset(work + %zu, 0, %u * sizeof *work);\n", pg_added_place(r), r->output_count);
  }
  pg_write_shared_copies(e, true);
  pg_write_cotangent(e, false);
  pg_write_calls(e, PG_PROLOGUE);
  if (w->is_batch) {
    write_tiles(e);
  }
  pg_write_calls(e, PG_EPILOGUE);
  pg_write_shared_copies(e, false);
  pg_write_additions(e);
  if (atomic_load(&r->masked)) {
    pg_write_call_of_masked(e);
  }
  pg_print(e->out, "}\n");
}

static void write_routine(pg_text *out, const pg_routine *r, const char *name, bool is_masked) {
  pg_writer w = writer_of(r, name, is_masked);
  pg_emitter e = {.out = out, .r = r, .dialect = &pg_portable, .own = &w};
  pg_emitter_begin(&e);
  if (!e.failed) {
    write_tables(&e);
    pg_write_array_tables(&e);
    pg_write_blocks(&e);
    write_function(&e);
  }
  pg_emitter_end(&e);
  out->failed = out->failed || e.failed;
}

/* Files -------------------------------------------------------------------------------------------------- */

/* Those functions of functions.def that one of the routines calls, and what all may call. */
static void write_functions(pg_text *out, size_t count, pg_routine *const *routines, const char *name) {
  bool called[sizeof FUNCTIONS / sizeof *FUNCTIONS] = {false}, has_lists = false, has_masked = false;
  for (size_t k = 0; k < count; k++) {
    has_masked = has_masked || atomic_load(&routines[k]->masked);
    for (const pg_routine *r = routines[k]; r; r = atomic_load(&r->masked)) {
      has_lists = has_lists || r->list_size;
      for (size_t f = 0; f < sizeof FUNCTIONS / sizeof *FUNCTIONS; f++) {
        called[f] = called[f] || pg_calls_function(r, FUNCTIONS[f].name);
      }
    }
  }
  for (size_t f = 0; f < sizeof FUNCTIONS / sizeof *FUNCTIONS; f++) {
    if (called[f]) {
      pg_print(out, "static double %s%s%s { %s }\n", name, FUNCTIONS[f].name + PG_PREFIX,
               FUNCTIONS[f].arguments, FUNCTIONS[f].body);
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
      *size = pg_work_size(r) > *size ? pg_work_size(r) : *size;
    }
  }
  pg_print(out, "enum { %s_INPUTS = %u, %s_PARAMETERS = %u, ", name, r->input_count, name, r->parameter_count);
  pg_print(out, "%s_OUTPUTS = %u, %s_WORK = %zu", name, r->output_count, name, most[false]);
  if (most[true]) {
    pg_print(out, ", %s_BATCH_WORK = %zu", name, most[true]);
  }
  pg_print(out, " };\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
  for (size_t k = 0; k < count; k++) {
    const pg_writer w = writer_of(routines[k], name, false);
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
