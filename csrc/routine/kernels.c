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
  if (which < 0) { /* to ask the processor takes 10 us in a virtual machine: once is enough */
    for (which = COUNT - 1; !INSTRUCTION_SETS[which]->is_supported(); which--) {
    }
    pg_tests.instruction_set = which;
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

static double *slot_at(const pg_frame *f, pg_slot slot, size_t sample) {
  const size_t number = pg_number_of(slot);
  return pg_is_batched(slot) ? f->batched + number * f->tile + sample : f->shared + number;
}

/* Where an element of a table is. Parameters are read from their nodes. */
static const double *element_at(const pg_frame *f, pg_slot slot) {
  const pg_routine *r = f->routine;
  const bool is_node = pg_is_parameter(r, slot);
  return is_node ? &pg_node_at(r->parameters[pg_number_of(slot)])->data : slot_at(f, slot, 0);
}

/* A parameter may be set meanwhile, by another thread. */
static inline double read(const double *at) {
  double x;
  __atomic_load(at, &x, __ATOMIC_RELAXED);
  return x;
}

/* One result of a lookup, for each sample if it is batched. */
static void look_up(const pg_frame *f, const pg_loop *l, const pg_slot *list, pg_slot from, pg_slot to) {
  const double *index = slot_at(f, from, 0);
  double *result = slot_at(f, to, 0);
  const size_t size = l->lookup.size, step = pg_is_batched(from);
  const size_t samples = pg_is_batched(to) ? pg_computed(f->samples) : 1;
  if (l->lookup.is_even) {
    const double *first = element_at(f, list[0]);
    const ptrdiff_t apart = element_at(f, list[1]) - first;
    const size_t sample = pg_is_batched(list[0]);
    for (size_t s = 0; s < samples; s++, index += step, first += sample) {
      const bool within = *index >= 0 && *index < (double)size;
      result[s] = within ? read(first + (ptrdiff_t)*index * apart) : NAN;
    }
    return;
  }
  for (size_t s = 0; s < samples; s++, index += step) {
    const bool within = *index >= 0 && *index < (double)size;
    const pg_slot slot = within ? list[(size_t)*index] : 0;
    result[s] = within ? read(element_at(f, slot) + (pg_is_batched(slot) ? s : 0)) : NAN;
  }
}

static void run_lookup(const pg_frame *f, const pg_loop *l) {
  const pg_routine *r = f->routine;
  const pg_strided *const index = &l->lookup.index, *const list = &l->lookup.list;
  for (ptrdiff_t j = 0; j < (ptrdiff_t)l->rows; j++) {
    for (ptrdiff_t i = 0; i < (ptrdiff_t)l->n; i++) {
      const pg_slot *at = r->lists + pg_number_of(list->slot) + i * list->i_step + j * list->j_step;
      const ptrdiff_t which = pg_number_of(index->slot) + i * index->i_step + j * index->j_step;
      const pg_slot from = pg_slot_of((uint32_t)which, pg_is_batched(index->slot));
      const pg_slot to = pg_slot_of(pg_number_of(l->dst) + (uint32_t)(j * l->n + i), pg_is_batched(l->dst));
      look_up(f, l, at, from, to);
    }
  }
}

static void scatter(const pg_frame *f, const pg_loop *l, size_t sample) {
  const pg_routine *r = f->routine;
  const uint32_t size = l->scatter.size;
  const pg_slot *list = r->lists + l->scatter.list, *pair = r->lists + l->scatter.first;
  for (uint32_t k = 0; k < size; k++) {
    if (list[k] != PG_NO_SLOT) {
      *slot_at(f, list[k], sample) = 0;
    }
  }
  for (uint32_t t = 0; t < l->scatter.pairs; t++, pair += 2) {
    const double index = *slot_at(f, pair[0], sample);
    if (index >= 0 && index < size && list[(size_t)index] != PG_NO_SLOT) {
      *slot_at(f, list[(size_t)index], sample) += *slot_at(f, pair[1], sample);
    }
  }
}

/* Where a pair adds for an index within range. */
static pg_target target_at(const pg_routine *r, const pg_loop *l, uint32_t which) {
  const pg_target *targets = r->targets + l->scatter.list;
  if (!l->scatter.is_even) {
    return targets[which];
  }
  return (pg_target){targets->array, targets->at + which * (targets[1].at - targets->at)};
}

/* A pair's numbers: of a sample the first is at `numbers`, the others are `apart`. */
typedef struct {
  const double *index, *numbers;
  size_t samples, index_step, step, apart;
} pair;

static bool is_within(const pg_loop *l, double index) { return index >= 0 && index < l->scatter.size; }

static bool are_within(const pg_loop *l, const pair *p) {
  bool all = true;
  for (size_t s = 0; s < p->samples && all; s++) {
    all = is_within(l, p->index[s * p->index_step]);
  }
  return all;
}

/* Appends the numbers of all samples, which are columns of the tile, as rows. */
static void append_tile(const pg_routine *r, const pg_loop *l, pg_additions *to, const pair *p) {
  const size_t length = pg_size_of_addition(l->n) / sizeof(double);
  to->sum += pg_best_kernels()->store_tile(to->end->numbers, p->numbers, l->n, length, p->samples, p->apart);
  for (size_t s = 0; s < p->samples; s++, to->end = pg_next_addition(to->end)) {
    const pg_target first = target_at(r, l, (uint32_t)p->index[s * p->index_step]);
    *to->end = (pg_addition){.first = first, .n = l->n, .step = l->scatter.i_step};
  }
}

/* Appends n numbers, which are `apart`. Returns their sum. */
static double append_row(const pg_loop *l, pg_additions *to, pg_target first, const double *numbers,
                         size_t apart) {
  pg_addition *const row = to->end;
  double sum = 0;
  *row = (pg_addition){.first = first, .n = l->n, .step = l->scatter.i_step};
  for (uint32_t i = 0; i < l->n; i++, numbers += apart) {
    row->numbers[i] = *numbers;
    sum += *numbers;
  }
  to->end = first.array != PG_NO_REF ? pg_next_addition(row) : row;
  return sum;
}

/* Adds n numbers, which are `apart`, to sums. Returns their sum. */
static double add_row(const pg_loop *l, double *sums, const double *numbers, size_t apart) {
  double sum = 0;
  for (uint32_t i = 0; i < l->n; i++, sums += l->scatter.list_step, numbers += apart) {
    *sums += *numbers;
    sum += *numbers;
  }
  return sum;
}

/* Adds a pair, of each sample if it is batched, and those that go with it. */
static void add_pair(const pg_frame *f, const pg_loop *l, const pg_slot *slots) {
  pg_additions *to = f->additions;
  const bool batched = pg_is_batched(slots[1]);
  const pair p = {.index = slot_at(f, slots[0], 0),
                  .numbers = slot_at(f, slots[1], 0),
                  .samples = l->scatter.batched ? f->samples : 1,
                  .index_step = pg_is_batched(slots[0]),
                  .step = batched,
                  .apart = batched ? f->tile : 1};
  if (!to->sums && batched && l->scatter.is_even && are_within(l, &p)) {
    append_tile(f->routine, l, to, &p);
    return;
  }
  for (size_t s = 0; s < p.samples; s++) {
    const double index = p.index[s * p.index_step], *numbers = p.numbers + s * p.step;
    if (is_within(l, index)) {
      const uint32_t which = (uint32_t)index;
      to->sum += to->sums ? add_row(l, to->sums + l->scatter.list + which, numbers, p.apart)
                          : append_row(l, to, target_at(f->routine, l, which), numbers, p.apart);
    }
  }
}

void pg_run_list(const pg_frame *f, const pg_loop *l) {
  if (l->op == PG_LOOKUP) {
    run_lookup(f, l);
    return;
  }
  if (l->op == PG_SCATTER_ADD) {
    const pg_routine *r = f->routine;
    const pg_slot *pair = r->lists + l->scatter.first;
    for (uint32_t t = 0; t < l->scatter.pairs; t++, pair += 2) {
      add_pair(f, l, pair);
    }
    return;
  }
  for (size_t sample = 0; sample < (l->scatter.batched ? pg_computed(f->samples) : 1); sample++) {
    scatter(f, l, sample);
  }
}
