/* kernels.c: running a routine: the kernels for each set of vector instructions, tiles of samples, threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "pymath.h"

/* Lookups and scatters, one number at a time: they are few. */

enum {
  T = PG_LANES_A_TILE,
  PAD = PG_ALIGNED /* numbers behind the last that vectors may reach */
};

static double *at_place(uint32_t place, double *shared, double *batched, size_t sample) {
  const size_t slot = place >> 1;
  return place & 1 ? batched + slot * T + sample : shared + slot;
}

static void look_up(const uint32_t *list, uint32_t count, double index, double *z, double *shared,
                    double *batched, size_t sample) {
  *z = index >= 0 && index < count ? *at_place(list[(size_t)index], shared, batched, sample) : NAN;
}

static void scatter(const pg_code *c, const uint32_t *list, double *shared, double *batched, size_t sample) {
  const uint32_t *pair = list + c->a;
  for (uint32_t k = 0; k < c->a; k++) {
    if (list[k] != PG_NO_REF) {
      *at_place(list[k], shared, batched, sample) = 0;
    }
  }
  for (uint32_t t = 0; t < c->terms; t++, pair += 2) {
    const double index = *at_place(pair[0], shared, batched, sample);
    if (index >= 0 && index < c->a && list[(size_t)index] != PG_NO_REF) {
      *at_place(list[(size_t)index], shared, batched, sample) += *at_place(pair[1], shared, batched, sample);
    }
  }
}

static void run_list(const pg_routine *r, const pg_code *c, uint32_t row, double *shared, double *batched) {
  const size_t size = c->batched ? T : 1;
  const uint32_t *list = r->places + c->b + (ptrdiff_t)row * c->b_row;
  if (c->op == PG_SCATTER) {
    for (size_t sample = 0; sample < size; sample++) {
      scatter(c, list, shared, batched, sample);
    }
    return;
  }
  double *z = (c->batched ? batched : shared) + (c->dst + (size_t)row * c->n) * size;
  for (ptrdiff_t i = 0; i < (ptrdiff_t)c->n; i++, z += size, list += c->b_step) {
    const uint32_t index = (uint32_t)(c->a + i * c->a_step + (ptrdiff_t)row * c->a_row) << 1 | c->a_batched;
    for (size_t sample = 0; sample < size; sample++) {
      look_up(list, c->terms, *at_place(index, shared, batched, sample), &z[sample], shared, batched, sample);
    }
  }
}

/* kernels.inc for the machine that the compiler was asked for, and on x86-64 for those that have more. */
#pragma GCC diagnostic ignored "-Wpsabi" /* no vector is passed between files */

#define PG_LANES 2
#define PG_V(name) name##_2
#ifdef __aarch64__
#define PG_FMA
#endif
#include "kernels.inc"
#undef PG_FMA
#undef PG_V
#undef PG_LANES

#ifdef __x86_64__
#define PG_FMA
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define PG_LANES 4
#define PG_V(name) name##_4
#include "kernels.inc"
#undef PG_V
#undef PG_LANES
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,fma")
#endif
#define PG_LANES 8
#define PG_V(name) name##_8
#include "kernels.inc"
#undef PG_V
#undef PG_LANES
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef PG_FMA
#endif

/* Runs the code of a phase. `totals` are the slots that totals are added to, as an array of their own. */
typedef void kernels(const pg_routine *r, int phase, double *shared, double *batched, double *totals,
                     size_t samples);

static int lanes(void) {
#ifdef __x86_64__
  const int most = pg_the_arena.test_lanes ? pg_the_arena.test_lanes : 8;
  if (most >= 8 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
    return 8;
  }
  if (most >= 4 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return 4;
  }
#endif
  return 2;
}

int pg_test_use_lanes(int most) {
  pg_the_arena.test_lanes = most;
  return lanes();
}

static kernels *best_kernels(void) {
#ifdef __x86_64__
  const int n = lanes();
  return n == 8 ? run_8 : n == 4 ? run_4 : run_2;
#else
  return run_2;
#endif
}

/* Numbers in and out --------------------------------------------------------------------------------------- */

/* Puts numbers into their slots: the shared ones if there are no samples, else those of a tile's samples. The
 * last sample stands for those that are missing. */
static void load_inputs(const pg_routine *r, double *const *numbers, size_t first, size_t samples,
                        double *shared, double *batched) {
  uint32_t k = 0, run;
  for (size_t g = 0; g < r->arguments; g++) {
    const pg_group group = r->groups[g];
    for (size_t i = 0; i < group.size; i += run, k += run) {
      const pg_place place = r->inputs[k];
      run = place.run < group.size - i ? place.run : (uint32_t)(group.size - i);
      const double *from = numbers[g] + i;
      if (place.slot == PG_NO_REF || place.batched != (samples > 0)) {
        continue;
      }
      if (!place.batched) {
        memcpy(shared + place.slot, from, run * sizeof *from);
        continue;
      }
      const size_t step = group.batched ? group.size : 0;
      for (uint32_t j = 0; j < run; j++) {
        double *to = batched + (size_t)(place.slot + j) * T;
        for (size_t s = 0; s < samples; s++) {
          to[s] = from[j + (first + s) * step];
        }
        for (size_t s = samples; s < T; s++) {
          to[s] = to[samples - 1];
        }
      }
    }
  }
}

/* Where the output is the same for all samples, so is what comes in for it: all their cotangents. */
static void add_cotangents(const pg_routine *r, size_t batch, const double *cotangent, double *shared) {
  const pg_place place = r->inputs[r->cotangent];
  if (place.slot != PG_NO_REF && !place.batched) {
    shared[place.slot] = 0;
    for (size_t s = 0; s < batch; s++) {
      shared[place.slot] += cotangent[r->groups[r->arguments - 1].batched ? s : 0];
    }
  }
}

/* Writes the results that are batched, for a tile's samples, or those that are shared, to all samples where one
 * a sample is wanted. */
static void store_outputs(const pg_routine *r, double *const *numbers, bool of_batch, size_t first,
                          size_t samples, const double *shared, const double *batched) {
  uint32_t k = 0, run;
  for (size_t g = r->arguments; g < r->arguments + r->results; g++) {
    const pg_group group = r->groups[g];
    for (size_t i = 0; i < group.size; i += run, k += run) {
      const pg_place place = r->outputs[k];
      run = place.run < group.size - i ? place.run : (uint32_t)(group.size - i);
      if (place.batched != of_batch) {
        continue;
      }
      const size_t step = group.batched ? group.size : 0;
      double *to = numbers[g] + i + first * step;
      for (size_t s = 0; s < (group.batched ? samples : 1); s++, to += step) {
        if (!place.batched) {
          memcpy(to, shared + place.slot, run * sizeof *to);
          continue;
        }
        for (uint32_t j = 0; j < run; j++) {
          to[j] = batched[(size_t)(place.slot + j) * T + s];
        }
      }
    }
  }
}

/* Running -------------------------------------------------------------------------------------------------- */

typedef struct {
  const pg_routine *r;
  kernels *run;
  size_t batch, tiles, chunks;
  double *const *numbers;
  double *shared;
  double *totals;     /* of each chunk */
  atomic_size_t next; /* chunk to be taken */
} job;

/* A chunk's tiles, one after another: so its totals do not depend on who works on it. */
static void run_chunk(job *j, size_t chunk, double *batched) {
  double *totals = j->totals + chunk * j->r->totals;
  for (size_t tile = chunk * j->tiles / j->chunks; tile < (chunk + 1) * j->tiles / j->chunks; tile++) {
    const size_t first = tile * T, samples = j->batch - first < T ? j->batch - first : T;
    load_inputs(j->r, j->numbers, first, samples, j->shared, batched);
    j->run(j->r, PG_BATCH, j->shared, batched, totals, samples);
    store_outputs(j->r, j->numbers, true, first, samples, j->shared, batched);
  }
}

static void run_chunks(job *j, double *batched) {
  for (size_t chunk; (chunk = atomic_fetch_add(&j->next, 1)) < j->chunks;) {
    run_chunk(j, chunk, batched);
  }
}

static double *aligned(double *at) {
  const size_t bytes = PG_ALIGNED * sizeof *at;
  return at + (bytes - (uintptr_t)at % bytes) % bytes / sizeof *at;
}

/* A helper has a tile of its own. Without memory for it the others do its work. */
static void *help(void *argument) {
  job *j = argument;
  double *batched = pg_resize(NULL, ((size_t)j->r->batched * T + 2 * PAD) * sizeof *batched);
  if (batched) {
    run_chunks(j, aligned(batched));
    free(batched);
  }
  return NULL;
}

/* Works on all chunks, with so many threads, this one included; with fewer, where the system has no more. */
static void run_batch(job *j, int threads, double *batched) {
  pthread_t helpers[63];
  int started = 0;
  const int wanted = (size_t)threads > j->chunks ? (int)j->chunks : threads;
  while (started + 1 < wanted && started < 63 && pg_may_allocate() &&
         pthread_create(&helpers[started], NULL, help, j) == 0) {
    started++;
  }
  run_chunks(j, batched);
  while (started) {
    pthread_join(helpers[--started], NULL);
  }
}

/* Reads the parameters into their slots, which are the first. False if one of them is gone. */
static bool load_parameters(const pg_routine *r, double *shared) {
  pg_lock();
  const bool live = pg_all_live(r->parameter_count, r->parameters);
  for (uint32_t i = 0; i < r->parameter_count && live; i++) {
    shared[i] = pg_node_at(r->parameters[i])->data;
  }
  pg_unlock();
  return live;
}

/* Before, on and after the batch. */
static void run_phases(job *j, int threads, double *batched) {
  const pg_routine *r = j->r;
  memcpy(j->shared + r->parameter_count, r->constants + r->parameter_count,
         (r->leaves - r->parameter_count) * sizeof *j->shared);
  memset(j->shared + r->first_total, 0, r->totals * sizeof *j->shared);
  memset(j->totals, 0, j->chunks * r->totals * sizeof *j->totals);
  load_inputs(r, j->numbers, 0, 0, j->shared, NULL);
  if (r->cotangent != PG_NO_REF) {
    add_cotangents(r, j->batch, j->numbers[r->arguments - 1], j->shared);
  }
  j->run(r, PG_BEFORE, j->shared, NULL, NULL, 1);
  if (r->batched || r->totals) {
    run_batch(j, threads, batched);
  }
  for (size_t chunk = 0; chunk < j->chunks; chunk++) {
    for (uint32_t i = 0; i < r->totals; i++) {
      j->shared[r->first_total + i] += j->totals[chunk * r->totals + i];
    }
  }
  j->run(r, PG_AFTER, j->shared, NULL, NULL, 1);
  store_outputs(r, j->numbers, false, 0, j->batch, j->shared, NULL);
}

int pg_run(pg_routine *r, size_t batch, double *const *numbers, int threads) {
  job j = {.r = r, .run = best_kernels(), .batch = batch, .numbers = numbers, .tiles = (batch + T - 1) / T};
  j.chunks = j.tiles < PG_MAX_CHUNKS ? j.tiles : PG_MAX_CHUNKS;
  const size_t shared = (size_t)r->shared + PAD, totals = PG_MAX_CHUNKS * (size_t)r->totals + PAD;
  double *memory = atomic_exchange(&r->spare, NULL);
  if (!memory) {
    memory = pg_resize(NULL, (shared + totals + (size_t)r->batched * T + 3 * PAD) * sizeof *memory);
  }
  if (!memory) {
    return -PG_NO_MEMORY;
  }
  j.shared = aligned(memory);
  j.totals = j.shared + shared;
  const bool live = load_parameters(r, j.shared);
  if (live) {
    run_phases(&j, threads, aligned(j.totals + totals));
  }
  free(atomic_exchange(&r->spare, memory));
  return live ? PG_OK : -PG_STALE;
}

int pg_add_grads(size_t n, const pg_id *ids, const double *grads) {
  pg_lock();
  const bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    pg_node_at(ids[i])->grad += grads[i];
  }
  pg_unlock();
  return live ? PG_OK : -PG_STALE;
}
