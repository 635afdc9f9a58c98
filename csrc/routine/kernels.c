/* kernels.c: the table of instruction sets, and the loops that are the same for all of them: lookups and
 * scatters. */
#include "routine/kernels.h"

#include <math.h>

/* Instruction sets --------------------------------------------------------------------------------------- */

/* One row each, the best last. */
static const pg_kernels *const INSTRUCTION_SETS[] = {
    &pg_kernels_baseline,
#ifdef __x86_64__
    &pg_kernels_avx2,
    &pg_kernels_avx512,
#endif
};

enum { COUNT = sizeof INSTRUCTION_SETS / sizeof *INSTRUCTION_SETS };

const pg_kernels *pg_best_kernels(void) {
  int which = pg_tests.instruction_set;
  for (which = which < 0 ? COUNT - 1 : which; !INSTRUCTION_SETS[which]->is_supported(); which--) {
  }
  return INSTRUCTION_SETS[which];
}

const char *pg_test_use_instruction_set(int which) {
  if (which >= COUNT || (which >= 0 && !INSTRUCTION_SETS[which]->is_supported())) {
    return NULL;
  }
  pg_tests.instruction_set = which;
  return pg_best_kernels()->name;
}

/* Lookups and scatters ----------------------------------------------------------------------------------- */

static double *slot_at(const pg_routine *r, pg_slot slot, double *shared, double *batched, size_t sample) {
  const size_t number = pg_number_of(slot);
  return pg_is_batched(slot) ? batched + number * r->tile + sample : shared + number;
}

static double look_up(const pg_routine *r, const pg_slot *list, uint32_t size, double index, double *shared,
                      double *batched, size_t sample) {
  return index >= 0 && index < size ? *slot_at(r, list[(size_t)index], shared, batched, sample) : NAN;
}

static void run_lookup(const pg_routine *r, const pg_loop *l, uint32_t j, double *shared, double *batched) {
  const pg_strided *const index = &l->lookup.index, *const list = &l->lookup.list;
  for (uint32_t i = 0; i < l->n; i++) {
    const ptrdiff_t steps = (ptrdiff_t)i * list->i_step + (ptrdiff_t)j * list->j_step;
    const pg_slot *at = r->lists + pg_number_of(list->slot) + steps;
    const ptrdiff_t which = (ptrdiff_t)i * index->i_step + (ptrdiff_t)j * index->j_step;
    const pg_slot from = pg_slot_of((uint32_t)(pg_number_of(index->slot) + which), pg_is_batched(index->slot));
    const pg_slot to = pg_slot_of(pg_number_of(l->dst) + j * l->n + i, pg_is_batched(l->dst));
    for (size_t sample = 0; sample < (pg_is_batched(to) ? r->tile : 1); sample++) {
      const double x = *slot_at(r, from, shared, batched, sample);
      *slot_at(r, to, shared, batched, sample) = look_up(r, at, l->lookup.size, x, shared, batched, sample);
    }
  }
}

static void scatter(const pg_routine *r, const pg_loop *l, double *shared, double *batched, size_t sample) {
  const uint32_t size = l->scatter.size;
  const pg_slot *list = r->lists + l->scatter.list, *pair = list + size;
  for (uint32_t k = 0; k < size; k++) {
    if (list[k] != PG_NO_SLOT) {
      *slot_at(r, list[k], shared, batched, sample) = 0;
    }
  }
  for (uint32_t t = 0; t < l->scatter.pairs; t++, pair += 2) {
    const double index = *slot_at(r, pair[0], shared, batched, sample);
    if (index >= 0 && index < size && list[(size_t)index] != PG_NO_SLOT) {
      *slot_at(r, list[(size_t)index], shared, batched, sample) +=
          *slot_at(r, pair[1], shared, batched, sample);
    }
  }
}

void pg_run_list(const pg_routine *r, const pg_loop *l, uint32_t j, double *shared, double *batched) {
  if (l->op == PG_LOOKUP) {
    run_lookup(r, l, j, shared, batched);
    return;
  }
  assert(l->op == PG_SCATTER && j == 0);
  for (size_t sample = 0; sample < (l->scatter.batched ? r->tile : 1); sample++) {
    scatter(r, l, shared, batched, sample);
  }
}
