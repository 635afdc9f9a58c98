/* emit_c_arrays.c: how C for other machines loads from the caller's arrays and stores into them. */
#include <stdio.h>

#include "routine/emit_c.h"

/* An array of the caller's, in which a port has the place `port - origin`. */
typedef struct {
  char name[48];
  uint32_t origin;
} caller_array;

static size_t argument_count(const pg_writer *w) { return w->r->argument_count - w->is_gradient; }

/* One of the routine's arrays, which begins at a port. For one sample, the arguments are one array. */
static caller_array array_of(const pg_writer *w, size_t array, uint32_t first) {
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
  const pg_writer *w = e->own;
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
  return slot == PG_NO_SLOT && !x->loads ? pg_added_place(e->r) + port : pg_place_in_work(e->r, slot);
}

static void write_table_name(const pg_emitter *e, const stretch *x) {
  const pg_writer *w = e->own;
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
    pg_print(e->out, "%s%zu", pg_separator(k - x->first), port_place(e, x, k));
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
  const pg_writer *w = e->own;
  const char *q = x->batched ? " + q" : "";
  pg_print(e->out, "for (ptrdiff_t k = 0; k < %u; k++) ", x->end - x->first);
  if (x->batched) {
    pg_print(e->out, PG_SAMPLES " ");
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
  const pg_writer *w = e->own;
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
      pg_print(e->out, ")[k] += work[%zu + k];\n", pg_added_place(e->r) + k);
    }
  }
}

void pg_write_cotangent(const pg_emitter *e, bool batched) {
  const pg_writer *w = e->own;
  const pg_slot slot = w->is_gradient ? e->r->inputs[e->r->cotangent].slot : PG_NO_SLOT;
  if (slot == PG_NO_SLOT || pg_is_batched(slot) != batched) {
    return;
  }
  const size_t place = pg_place_in_work(e->r, slot);
  if (batched) {
    pg_print(e->out, PG_SAMPLES " work[%zu + q] = cotangent ? (cotangent + first)[q] : 1;\n", place);
  } else if (w->is_batch) {
    pg_print(e->out, "work[%zu] = 0;\n", place);
    pg_print(e->out, "for (size_t k = 0; k < batch; k++) work[%zu] += cotangent ? cotangent[k] : 1;\n", place);
  } else {
    pg_print(e->out, "work[%zu] = cotangent;\n", place);
  }
}

void pg_write_array_tables(const pg_emitter *e) {
  visit_stretches(e, true, write_table);
  visit_stretches(e, false, write_table);
}

void pg_write_shared_copies(const pg_emitter *e, bool loads) { visit_stretches(e, loads, write_shared_copy); }

void pg_write_tile_copies(const pg_emitter *e, bool loads) { visit_stretches(e, loads, write_tile_copy); }

void pg_write_additions(const pg_emitter *e) { visit_stretches(e, false, write_additions); }

void pg_write_call_of_masked(const pg_emitter *e) {
  const pg_routine *r = e->r;
  const pg_writer *w = e->own;
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
