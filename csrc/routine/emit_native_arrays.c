/* emit_native_arrays.c: which of the caller's arrays native code uses as they are, and how it copies the rest.
 *
 * Where all numbers that a loop touches are one after the other in an array of the caller's, it uses that
 * array. So the shared arguments are not copied, nor are the results that are one for all samples: such a run
 * of numbers is "direct".
 */
#include "routine/emit_native.h"

/* Runs --------------------------------------------------------------------------------------------------- */

static void add_run(pg_emitter *e, pg_array_run x) {
  pg_native *n = e->own;
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
static void add_runs(pg_emitter *e) {
  const pg_routine *r = e->r;
  const uint32_t fixed = pg_fixed_slots(r);
  uint32_t k = 0, length;
  for (uint32_t a = 0; a < r->argument_count; a++) {
    for (uint32_t begin = k, end = k + (uint32_t)r->arrays[a].size; k < end && !e->failed; k += length) {
      const pg_slot slot = r->inputs[k].slot;
      length = pg_run_of(r->inputs, k, end);
      if (slot != PG_NO_SLOT && !pg_is_batched(slot) && k != r->cotangent) {
        add_run(e, (pg_array_run){slot, length, a, k - begin, true, false, false});
      }
    }
  }
  k = 0;
  for (uint32_t a = (uint32_t)r->argument_count; a < r->argument_count + r->result_count; a++) {
    for (uint32_t begin = k, end = k + (uint32_t)r->arrays[a].size; k < end && !e->failed; k += length) {
      const pg_slot slot = r->outputs[k].slot;
      length = pg_run_of(r->outputs, k, end);
      if (slot != PG_NO_SLOT && !r->arrays[a].batched) {
        add_run(e, (pg_array_run){slot, length, a, k - begin, pg_number_of(slot) >= fixed, true,
                                  a >= r->first_derivative});
      }
    }
  }
}

/* A run is not direct if a loop touches it and something else at once. */
static void touch(pg_emitter *e, pg_slots x) {
  if (x.first == PG_NO_SLOT || pg_is_batched(x.first)) {
    return;
  }
  const pg_native *n = e->own;
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
  const pg_native *n = e->own;
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
  const pg_native *n = e->own;
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

void pg_find_runs(pg_emitter *e) {
  add_runs(e);
  if (!e->failed) {
    choose_direct(e);
  }
}

/* Addresses ---------------------------------------------------------------------------------------------- */

const pg_array_run *pg_direct_run(const pg_emitter *e, pg_slot slot) {
  const pg_native *n = e->own;
  const uint32_t found = pg_is_batched(slot) ? PG_NO_REF : n->run_of[pg_number_of(slot)];
  return found != PG_NO_REF && n->runs[found].is_direct ? &n->runs[found] : NULL;
}

void pg_write_address(const pg_emitter *e, pg_slot slot) {
  const pg_array_run *direct = pg_direct_run(e, slot);
  if (direct) {
    pg_print(e->out, "arrays[%u] + %u", direct->array,
             direct->offset + pg_number_of(slot) - pg_number_of(direct->slot));
  } else if (pg_is_batched(slot)) {
    pg_print(e->out, "b + %zu", pg_place_in_tile(e, slot));
  } else {
    pg_print(e->out, "s + %u", pg_number_of(slot));
  }
}

/* Copies ------------------------------------------------------------------------------------------------- */

static void write_copy(const pg_emitter *e, const pg_array_run *x) {
  for (uint32_t i = 0, length; i < x->count; i += length) {
    const pg_slot slot = pg_moved(x->slot, i);
    const pg_array_run *other = x->is_result ? pg_direct_run(e, slot) : NULL;
    length = 1; /* the longest part that is all in one place */
    while (i + length < x->count && (x->is_result ? pg_direct_run(e, pg_moved(slot, length)) : NULL) == other) {
      length++;
    }
    if (x->is_result) {
      pg_print(e->out, "memcpy(arrays[%u] + %u, ", x->array, x->offset + i);
      pg_write_address(e, slot);
    } else {
      pg_print(e->out, "memcpy(s + %u, arrays[%u] + %u", pg_number_of(slot), x->array, x->offset + i);
    }
    pg_print(e->out, ", %u * sizeof *s);\n", length);
  }
}

/* Whether it is one number, in a slot. */
static bool is_single(const pg_emitter *e, const pg_array_run *x) {
  return x->count == 1 && !x->is_direct && !pg_direct_run(e, x->slot);
}

/* How many runs from one on are single numbers that lie side by side in the array, as in a gradient whose slots
 * go downwards. */
static uint32_t count_singles(const pg_emitter *e, uint32_t first) {
  const pg_native *n = e->own;
  const pg_array_run *x = &n->runs[first];
  uint32_t k = 0;
  while (first + k < n->run_count && is_single(e, &x[k]) && x[k].array == x->array &&
         x[k].offset == x->offset + k) {
    k++;
  }
  return k;
}

/* Copies single numbers, whose slots are in a table. */
static void write_singles(const pg_emitter *e, const pg_array_run *x, uint32_t count) {
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

void pg_write_copies(const pg_emitter *e, bool results) {
  enum { MANY = 8 };
  const pg_native *n = e->own;
  for (uint32_t k = 0, count; k < n->run_count; k += count) {
    const pg_array_run *x = &n->runs[k];
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
static bool is_added(const pg_emitter *e, const pg_array_run *x) {
  const pg_native *n = e->own;
  const bool repeats =
      x > n->runs && x[-1].array >= e->r->first_derivative && x[-1].slot == x->slot && x[-1].count >= x->count;
  return repeats || (x->is_direct && x->is_summed);
}

void pg_write_sums(const pg_emitter *e) {
  const pg_native *n = e->own;
  uint32_t k = 0;
  while (k < n->run_count) {
    const pg_array_run *const first = &n->runs[k];
    uint32_t count = 0;
    for (; k < n->run_count; k++) {
      const pg_array_run *x = &n->runs[k];
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
