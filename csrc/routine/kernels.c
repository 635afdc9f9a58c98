/* kernels.c: running a routine: the kernels for each set of vector instructions, tiles of samples, threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "routine/code.h"
#include "pymath.h"

/* Lookups and scatters, one number at a time: they are few. */

enum {
  T = PG_LANES_A_TILE,
  PAD = PG_ALIGNED,   /* numbers behind the last that vectors may reach */
  NS_A_THREAD = 50000 /* what starting one may take */
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

/* Whether a run is to be given up. */
PG_INLINE bool told(const bool *stop) { return stop && __atomic_load_n(stop, __ATOMIC_RELAXED); }

/* What there is for each set of vector instructions. */
typedef struct {
  /* Runs the code of a phase. `totals` are the slots that totals are added to, as an array of their own. */
  void (*run)(const pg_routine *r, int phase, double *shared, double *batched, double *totals, size_t samples,
              const bool *stop);
  void (*load_tile)(double *to, const double *from, size_t n, size_t step, size_t samples);
  void (*store_tile)(double *to, const double *from, size_t n, size_t step, size_t samples);
} kernels;

/* kernels.inc for the machine that the compiler was asked for, and on x86-64 for those that have more. */
#pragma GCC diagnostic ignored "-Wpsabi" /* no vector is passed between files */

#define PG_LANES 2
#define PG_V(name) name##_2
#ifdef __aarch64__
#define PG_FMA
#endif
#include "routine/kernels.inc"
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
#include "routine/kernels.inc"
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
#include "routine/kernels.inc"
#undef PG_V
#undef PG_LANES
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef PG_FMA
#endif

static int lanes(void) {
#ifdef __x86_64__
  const int most = pg_tests.lanes ? pg_tests.lanes : 8;
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
  pg_tests.lanes = most;
  return lanes();
}

static const kernels *best_kernels(void) {
#ifdef __x86_64__
  const int n = lanes();
  return n == 8 ? &kernels_8 : n == 4 ? &kernels_4 : &kernels_2;
#else
  return &kernels_2;
#endif
}

/* Numbers in and out --------------------------------------------------------------------------------------- */

/* A run. */
typedef struct {
  const pg_routine *r;
  const kernels *kernels;
  size_t batch, tiles, chunks;
  double *const *numbers;
  double *shared;
  double *totals;     /* of each chunk */
  atomic_size_t next; /* chunk to be taken */
  const bool *stop;   /* set by the caller of the run when it is to be given up */
} job;

/* Puts numbers into their slots: the shared ones if there are no samples, else those of a tile's samples. */
static void load_inputs(const job *j, size_t first, size_t samples, double *batched) {
  const pg_routine *r = j->r;
  uint32_t k = 0, run;
  for (size_t g = 0; g < r->arguments; g++) {
    const pg_group group = r->groups[g];
    for (size_t i = 0; i < group.size; i += run, k += run) {
      const pg_place place = r->inputs[k];
      const double *from = j->numbers[g] + i;
      run = place.run < group.size - i ? place.run : (uint32_t)(group.size - i);
      if (place.slot == PG_NO_REF || place.batched != (samples > 0)) {
        continue;
      }
      if (place.batched) {
        const size_t step = group.batched ? group.size : 0;
        j->kernels->load_tile(batched + (size_t)place.slot * T, from + first * step, run, step, samples);
      } else {
        memcpy(j->shared + place.slot, from, run * sizeof *from);
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
static void store_outputs(const job *j, bool of_batch, size_t first, size_t samples, const double *batched) {
  const pg_routine *r = j->r;
  uint32_t k = 0, run;
  for (size_t g = r->arguments; g < r->arguments + r->results; g++) {
    const pg_group group = r->groups[g];
    const size_t step = group.batched ? group.size : 0;
    for (size_t i = 0; i < group.size; i += run, k += run) {
      const pg_place place = r->outputs[k];
      double *to = j->numbers[g] + i + first * step;
      run = place.run < group.size - i ? place.run : (uint32_t)(group.size - i);
      if (place.batched != of_batch) {
        continue;
      }
      if (place.batched) {
        j->kernels->store_tile(to, batched + (size_t)place.slot * T, run, step, samples);
        continue;
      }
      for (size_t s = 0; s < (group.batched ? samples : 1); s++, to += step) {
        memcpy(to, j->shared + place.slot, run * sizeof *to);
      }
    }
  }
}

/* Running -------------------------------------------------------------------------------------------------- */

/* A chunk's tiles, one after another: so its totals do not depend on who works on it. */
static void run_chunk(job *j, size_t chunk, double *batched) {
  double *totals = j->totals + chunk * j->r->totals;
  const size_t end = (chunk + 1) * j->tiles / j->chunks;
  for (size_t tile = chunk * j->tiles / j->chunks; tile < end && !told(j->stop); tile++) {
    const size_t first = tile * T, samples = j->batch - first < T ? j->batch - first : T;
    load_inputs(j, first, samples, batched);
    j->kernels->run(j->r, PG_BATCH, j->shared, batched, totals, samples, j->stop);
    store_outputs(j, true, first, samples, batched);
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

/* A guess, for each sample: a row costs a call, for a tile of samples where it is batched, and a number what it
 * may cost at worst, as in lanes where pow() goes to libm. */
static double most_ns(const pg_code *c) {
  const double samples = c->batched || c->op == PG_CODE_TOTAL ? T : 1;
  const double numbers = (double)c->rows * c->n, calls = 20.0 * c->rows / samples;
  switch (c->op) {
  case PG_CODE_DOT:
  case PG_CODE_TOTAL:
    return calls + 0.5 * numbers * c->terms;
  case PG_SCATTER:
    return calls + 4.0 * c->rows * ((double)c->a + c->terms);
  case PG_POW:
  case PG_POWER:
  case PG_POW_SLOPE:
  case PG_SIN:
  case PG_COS:
    return calls + 50 * numbers;
  default:
    return calls + 2 * numbers;
  }
}

static double most_ns_of(const pg_codes *codes) {
  double ns = 0;
  for (uint32_t k = 0; k < codes->count; k++) {
    ns += most_ns(&codes->list[k]);
  }
  return ns;
}

/* Works on all chunks, with so many threads, this one included; with fewer, where the system has no more, or
 * where starting one takes as long as its share of the work. */
static void run_batch(job *j, int threads, double *batched) {
  pthread_t helpers[63];
  int started = 0;
  const double shares = threads > 1 ? (double)j->batch * most_ns_of(&j->r->phases[PG_BATCH]) / NS_A_THREAD : 1;
  const int most = j->chunks < shares ? (int)j->chunks : (int)shares, wanted = threads < most ? threads : most;
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
  load_inputs(j, 0, 0, NULL);
  if (r->cotangent != PG_NO_REF) {
    add_cotangents(r, j->batch, j->numbers[r->arguments - 1], j->shared);
  }
  j->kernels->run(r, PG_BEFORE, j->shared, NULL, NULL, 1, j->stop);
  if (r->batched || r->totals) {
    run_batch(j, threads, batched);
  }
  for (size_t chunk = 0; chunk < j->chunks; chunk++) {
    for (uint32_t i = 0; i < r->totals; i++) {
      j->shared[r->first_total + i] += j->totals[chunk * r->totals + i];
    }
  }
  j->kernels->run(r, PG_AFTER, j->shared, NULL, NULL, 1, j->stop);
  store_outputs(j, false, 0, j->batch, NULL);
}

int pg_run_until(pg_routine *r, size_t batch, double *const *numbers, int threads, const bool *stop) {
  job j = {.r = r,
           .kernels = best_kernels(),
           .batch = batch,
           .numbers = numbers,
           .tiles = (batch + T - 1) / T,
           .stop = stop};
  j.chunks = j.tiles < PG_MAX_CHUNKS ? j.tiles : PG_MAX_CHUNKS;
  const size_t shared = (size_t)r->shared + PAD, totals = PG_MAX_CHUNKS * (size_t)r->totals + PAD;
  double *memory = atomic_exchange(&r->spare, NULL);
  if (!memory) {
    memory = pg_resize(NULL, (shared + totals + (size_t)r->batched * T + 3 * PAD) * sizeof *memory);
  }
  if (!memory) {
    return PG_NO_MEMORY;
  }
  j.shared = aligned(memory);
  j.totals = j.shared + shared;
  const bool live = load_parameters(r, j.shared);
  if (live) {
    run_phases(&j, threads, aligned(j.totals + totals));
  }
  free(atomic_exchange(&r->spare, memory));
  return !live ? PG_STALE : told(stop) ? PG_STOPPED : PG_OK;
}

int pg_run(pg_routine *r, size_t batch, double *const *numbers, int threads) {
  return pg_run_until(r, batch, numbers, threads, NULL);
}

double pg_long_batch(const pg_routine *r, double ns) {
  const double left = ns - most_ns_of(&r->phases[PG_BEFORE]) - most_ns_of(&r->phases[PG_AFTER]);
  const double each = most_ns_of(&r->phases[PG_BATCH]); /* which is not all: a batch is copied, too */
  return left < 0 ? 0 : left / (each + 1);
}
