/* compile.c: pg_compile(): a program becomes a routine for one kind of call. The passes are described in
 * lower.h. */
#include <stdlib.h>

#include "routine/lower.h"

void pg_routine_free(pg_routine *r) {
  if (r) {
    if (r->library) {
      pg_os_unload(r->library);
    }
    for (int phase = 0; phase < PG_PHASES; phase++) {
      free(r->phases[phase].at);
    }
    free(r->spare);
    free(r->arrays);
    free(r->parameters);
    free(r->lists);
    free(r->targets);
    free(r->loaded);
    free(r->constants);
    free(r->inputs);
    free(r->outputs);
    pg_routine_free(r->masked);
    pg_program_free(r->program);
    free(r);
  }
}

/* The loops of a specialized program, in which each value has slots of its own. NULL if there is no memory. */
static pg_routine *lower(const pg_program *p, bool is_for_native) {
  pg_lowering l = {
      .p = p,
      .is_for_native = is_for_native,
      .lowered = pg_zeros(p->count, sizeof *l.lowered),
      .tables = pg_zeros(p->table_count, sizeof *l.tables),
      .scatters = pg_zeros(p->scatter_count, sizeof *l.scatters),
  };
  pg_routine *r = pg_zeros(1, sizeof *r);
  bool made = l.lowered && l.tables && l.scatters && r;
  if (made) {
    r->is_for_native = is_for_native;
    r->input_count = p->inputs;
    r->output_count = p->output_count;
    r->parameter_count = p->parameter_count;
    made = pg_fuse(&l) && pg_schedule(&l, r) && pg_lower(&l, r);
  }
  for (int phase = 0; made && phase < PG_PHASES && !(p->disabled & PG_VECTORS); phase++) {
    pg_merge_rows(&r->phases[phase], is_for_native && phase == PG_BATCH ? 2 : 1);
  }
  free(l.lowered);
  free(l.pairs);
  free(l.order);
  free(l.tables);
  free(l.scatters);
  if (!made) {
    pg_routine_free(r);
    return NULL;
  }
  return r;
}

/* The caller's arrays ------------------------------------------------------------------------------------ */

/* Describes the arguments and the results: see the table at pg_wanted. */
static bool describe_arrays(pg_routine *r, const pg_program *p, size_t count, const size_t *sizes,
                            const bool *batched, int wanted) {
  r->arrays = pg_zeros(4 * count + 4, sizeof *r->arrays);
  if (!r->arrays) {
    return false;
  }
  pg_array *to = r->arrays;
  const bool tangents = wanted & PG_TANGENTS, gradient = wanted & PG_GRADIENT;
  r->argument_count = count + (tangents ? count : gradient ? 1 : 0);
  bool any = false;
  for (size_t k = 0; k < r->argument_count; k++) {
    any = any || batched[k];
    *to++ = (pg_array){k < count ? sizes[k] : tangents ? sizes[k - count] : 1, batched[k]};
  }
  if (!(gradient && tangents)) {
    *to++ = (pg_array){p->output_count, any};
  }
  for (size_t k = 0; k < count && gradient; k++) {
    *to++ = (pg_array){sizes[k], tangents ? any : batched[k]};
  }
  if (gradient && !tangents) {
    *to++ = (pg_array){p->parameter_count, false};
  } else if (tangents && !gradient) {
    *to++ = (pg_array){p->output_count, any};
  }
  r->result_count = (size_t)(to - r->arrays) - r->argument_count;
  r->first_derivative = r->argument_count + !(gradient && tangents);
  return true;
}

/* Whether each input is batched, and behind these, whether the tangent of each is, or the cotangent: that is
 * said of whole arguments. The caller owns it. NULL if there is no memory. */
static bool *batched_inputs(const pg_program *p, size_t count, const size_t *sizes, const bool *batched,
                            int wanted) {
  bool *of_inputs = pg_zeros(2 * (size_t)p->inputs + 1, sizeof *of_inputs);
  size_t at = 0;
  for (size_t k = 0; of_inputs && k < (wanted & PG_TANGENTS ? 2 : 1) * count; k++) {
    for (size_t i = 0; i < sizes[k % count]; i++) {
      assert(at < 2 * (size_t)p->inputs);
      of_inputs[at++] = batched[k];
    }
  }
  if (of_inputs && wanted == PG_GRADIENT) {
    of_inputs[p->inputs] = batched[count];
  }
  return of_inputs;
}

/* Finds out which inputs or outputs are in consecutive slots: these are copied at once. */
static void find_runs(pg_port *ports, uint32_t count) {
  for (uint32_t k = count; k-- > 0;) {
    const pg_slot slot = ports[k].slot;
    const bool goes_on = k + 1 < count && ports[k + 1].slot == (slot == PG_NO_SLOT ? slot : slot + 2);
    ports[k].run = goes_on ? ports[k + 1].run + 1 : 1;
  }
}

/* Finds the places of the targets in the results, which have the outputs one after the other. */
static void place_targets(pg_routine *r) {
  for (uint32_t k = 0; k < r->target_count; k++) {
    pg_target *t = &r->targets[k];
    if (t->array < PG_IN_SLOT) {
      for (t->array = (uint32_t)r->argument_count; t->at >= r->arrays[t->array].size; t->array++) {
        t->at -= (uint32_t)r->arrays[t->array].size;
      }
    }
  }
}

static bool are_even_targets(const pg_target *t, uint32_t size) {
  bool even = size > 1 && t[0].array != PG_NO_REF;
  for (uint32_t k = 1; k < size && even; k++) {
    even = t[k].array == t[0].array && t[k].at - t[k - 1].at == t[1].at - t[0].at;
  }
  return even;
}

/* Whether the elements of a list are evenly spaced: of parameters, the nodes. */
static bool is_even_list(const pg_routine *r, const pg_slot *list, uint32_t size) {
  const bool nodes = pg_is_parameter(r, list[0]);
  bool even = size > 1;
  for (uint32_t k = 1; k < size && even; k++) {
    even = pg_is_parameter(r, list[k]) == nodes && pg_is_batched(list[k]) == pg_is_batched(list[0]) &&
           pg_place_of(r, list[k]) - pg_place_of(r, list[k - 1]) ==
               pg_place_of(r, list[1]) - pg_place_of(r, list[0]);
  }
  return even;
}

static bool are_even_lists(const pg_routine *r, const pg_loop *l) {
  const pg_strided *x = &l->lookup.list;
  bool even = true;
  for (int64_t j = 0; j < l->rows && even; j++) {
    for (int64_t i = 0; i < l->n && even; i++) {
      even = is_even_list(r, r->lists + pg_number_of(x->slot) + i * x->i_step + j * x->j_step, l->lookup.size);
    }
  }
  return even;
}

/* The loop of a, and of b as its next i, or as its first: before the others. */
static pg_loop joined_with(const pg_routine *r, const pg_loop *a, const pg_loop *b, bool before) {
  const int64_t lists = (int64_t)b->scatter.list - a->scatter.list;
  const int64_t places = (int64_t)r->targets[b->scatter.list].at - r->targets[a->scatter.list].at;
  const int64_t steps = before ? -1 : (int64_t)a->n;
  pg_loop joined = before ? *b : *a;
  joined.scatter.list_step = (int32_t)(lists / steps);
  joined.scatter.i_step = (int32_t)(places / steps);
  joined.n = a->n + 1;
  return joined;
}

/* Whether b scatters the next numbers by the same indices as a does, or those before. */
static bool goes_on(const pg_routine *r, const pg_loop *a, const pg_loop *b, bool before) {
  const pg_slot *x = r->lists + a->scatter.first, *y = r->lists + b->scatter.first;
  const pg_target *to = r->targets + a->scatter.list, *next = r->targets + b->scatter.list;
  const pg_loop joined = joined_with(r, a, b, before);
  const int64_t steps = before ? -1 : (int64_t)a->n;
  bool alike = a->scatter.is_even && b->scatter.is_even && a->scatter.pairs == b->scatter.pairs &&
               a->scatter.size == b->scatter.size && a->scatter.batched == b->scatter.batched &&
               next->array == to->array && next[1].at - next->at == to[1].at - to->at &&
               (a->n == 1 || (joined.scatter.i_step == a->scatter.i_step &&
                              joined.scatter.list_step == a->scatter.list_step)) &&
               b->scatter.list == a->scatter.list + steps * joined.scatter.list_step &&
               next->at == to->at + steps * joined.scatter.i_step;
  for (uint32_t t = 0; alike && t < a->scatter.pairs; t++) {
    alike = x[2 * t] == y[2 * t] && y[2 * t + 1] == pg_moved(x[2 * t + 1], steps);
  }
  return alike;
}

/* Makes one loop of those that scatter a row each: so that rows are added whole. A gradient's slots may go
 * downwards. */
static void merge_scatters(const pg_routine *r, pg_loops *loops) {
  uint32_t kept = 0;
  for (uint32_t k = 0; k < loops->count; k++) {
    pg_loop next = loops->at[k], *last = kept ? &loops->at[kept - 1] : NULL;
    if (next.op == PG_SCATTER_ADD) {
      next.scatter.is_even = are_even_targets(r->targets + next.scatter.list, next.scatter.size);
    }
    const bool both = last && last->op == PG_SCATTER_ADD && next.op == PG_SCATTER_ADD;
    const bool before = both && goes_on(r, last, &next, true);
    if (before || (both && goes_on(r, last, &next, false))) {
      *last = joined_with(r, last, &next, before);
    } else {
      loops->at[kept++] = next;
    }
  }
  loops->count = kept;
}

/* Finds the lists that need not be read. */
static void find_even_lists(const pg_routine *r, const pg_loops *loops) {
  for (uint32_t k = 0; k < loops->count; k++) {
    if (loops->at[k].op == PG_LOOKUP) {
      loops->at[k].lookup.is_even = are_even_lists(r, &loops->at[k]);
    }
  }
}

/* As many samples as leave the slots of a tile in cache. Narrow tiles cost the kernels more than that gains:
 * they look at each loop once for a tile. */
static uint32_t tile_of(const pg_routine *r) {
  const size_t cache = r->is_for_native ? 1 << 18 : 1 << 20; /* bytes */
  const uint32_t least = r->is_for_native ? 16 : 64;
  uint32_t tile = PG_TILE;
  while (tile > least && (size_t)r->batched * tile * sizeof(double) > cache) {
    tile /= 2;
  }
  return tile;
}

/* What depends on the caller's arrays, and then on where the slots are in the end. */
static bool finish(pg_routine *r, const pg_program *p, int wanted) {
  r->parameters = pg_room(p->parameter_count, sizeof *r->parameters);
  if (!r->parameters) {
    return false;
  }
  pg_program_parameters(p, r->parameters);
  r->cotangent = wanted == PG_GRADIENT ? p->inputs : PG_NO_REF;
  place_targets(r);
  for (int phase = 0; phase < PG_PHASES; phase++) {
    merge_scatters(r, &r->phases[phase]);
  }
  if (!(p->disabled & PG_SLOT_REUSE) && !pg_reuse_slots(r)) {
    return false;
  }
  r->tile = tile_of(r);
  for (int phase = 0; phase < PG_PHASES; phase++) {
    find_even_lists(r, &r->phases[phase]);
  }
  find_runs(r->inputs, r->input_count);
  find_runs(r->outputs, r->output_count);
  return true;
}

static pg_routine *compile(const pg_program *p, size_t count, const size_t *sizes, const bool *batched,
                           int wanted, bool masked) {
  const bool is_for_native = wanted & PG_NATIVE;
  wanted &= ~PG_NATIVE;
  bool *of_inputs = batched_inputs(p, count, sizes, batched, wanted);
  pg_program *special = of_inputs ? pg_specialize(p, of_inputs, wanted, masked) : NULL;
  pg_routine *r = special ? lower(special, is_for_native) : NULL;
  if (r && !(describe_arrays(r, p, count, sizes, batched, wanted) && finish(r, p, wanted))) {
    pg_routine_free(r);
    r = NULL;
  }
  if (r) {
    r->program = pg_hold_program(p);
    r->wanted = wanted;
  }
  pg_program_free(special);
  free(of_inputs);
  return r;
}

pg_routine *pg_compile(const pg_program *p, size_t count, const size_t *sizes, const bool *batched,
                       int wanted) {
  return compile(p, count, sizes, batched, wanted, false);
}

pg_routine *pg_masked(pg_routine *r) {
  pg_routine *found = atomic_load(&r->masked), *none = NULL;
  if (found) {
    return found;
  }
  size_t *sizes = pg_room(r->argument_count, sizeof *sizes);
  bool *batched = pg_room(r->argument_count, sizeof *batched);
  for (size_t k = 0; k < r->argument_count && sizes && batched; k++) {
    sizes[k] = r->arrays[k].size;
    batched[k] = r->arrays[k].batched;
  }
  const size_t count = r->wanted & PG_TANGENTS ? r->argument_count / 2 : r->argument_count - 1;
  found = sizes && batched ? compile(r->program, count, sizes, batched, r->wanted, true) : NULL;
  free(sizes);
  free(batched);
  if (found && !atomic_compare_exchange_strong(&r->masked, &none, found)) { /* another thread was faster */
    pg_routine_free(found);
    found = none;
  }
  return found;
}
