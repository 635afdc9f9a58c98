/* run.c: runs a routine: splits a batch into tiles, shares them among threads, loads and stores the numbers.
 *
 * A batch is cut into tiles, and these into at most PG_MAX_CHUNKS chunks. A thread takes
 * chunk after chunk. Each chunk has totals of its own, added up in the order of its tiles; in the end the
 * chunks' are added in their order. So the results do not depend on the number of threads, or on which of them
 * did what.
 *
 * Likewise for what PG_SCATTER_ADD adds: each chunk notes a list of additions, which are made in the end. So
 * they cost what is looked up. Where the list would be longer than the tables, it has a sum for each target
 * instead.
 *
 * If a derivative is nan, the masked routine runs, too: its numbers replace those that are nan, and no others.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "routine/kernels.h"

enum {
  PAD = PG_ALIGNED,    /* numbers between the parts of a run's memory, which aligning them may take */
  MAX_HELPERS = 63,    /* threads besides the caller's */
  NS_A_THREAD = 50000, /* what starting one may take */
  AHEAD = 128,         /* numbers: so far ahead of what is added, the nodes to add to are asked for */
  FOUND_NAN = 1,       /* besides the statuses: a derivative is nan */
};

/* A run, which all of its threads share. */
typedef struct {
  const pg_routine *r;
  const pg_kernels *kernels;
  size_t batch, tiles, chunks;
  double *const *arrays;   /* of the caller */
  double *shared;          /* the shared slots */
  double *totals;          /* of each chunk: r->total_count */
  pg_additions *additions; /* of the prologue, of each chunk, of the epilogue; NULL without targets */
  atomic_size_t next;      /* the next chunk to be taken */
  const bool *stop;        /* NULL, or set by the caller to stop the run */
  bool to_grads;           /* the gradient by the parameters, the last result, is added to their grads */
  bool replaces_nan;       /* results are stored only where there is nan */
  atomic_bool found_nan;   /* in a sum of derivatives */
} job;

/* Loading and storing ------------------------------------------------------------------------------------ */

/* Loads the shared inputs, or the batched ones of the samples of a tile, which begin at `first`. */
static void load_inputs(const job *j, const pg_frame *tile, size_t first) {
  const pg_routine *r = j->r;
  uint32_t k = 0, run;
  for (size_t a = 0; a < r->argument_count; a++) {
    const pg_array array = r->arrays[a];
    const uint32_t end = k + (uint32_t)array.size;
    for (const double *from = j->arrays[a]; k < end; k += run, from += run) {
      const pg_slot slot = r->inputs[k].slot;
      run = pg_run_of(r->inputs, k, end);
      if (slot == PG_NO_SLOT || pg_is_batched(slot) != (tile != NULL)) {
        continue;
      }
      if (tile) {
        const size_t step = array.batched ? array.size : 0;
        j->kernels->load_tile(tile->batched + pg_number_of(slot) * tile->tile, from + first * step, run, step,
                              tile->samples, tile->tile);
      } else {
        memcpy(j->shared + pg_number_of(slot), from, run * sizeof *from);
      }
    }
  }
}

/* Where the output is the same for all samples, so is its cotangent: the sum of the samples'. */
static void add_cotangents(const pg_routine *r, size_t batch, const double *cotangent, double *shared) {
  const pg_slot slot = r->inputs[r->cotangent].slot;
  if (slot != PG_NO_SLOT && !pg_is_batched(slot)) {
    double *sum = shared + pg_number_of(slot);
    *sum = 0;
    for (size_t s = 0; s < batch; s++) {
      *sum += cotangent[r->arrays[r->argument_count - 1].batched ? s : 0];
    }
  }
}

/* Stores n numbers where there is nan. Those that are stored are `apart`. */
static void replace_nan(double *to, const double *from, size_t n, size_t apart) {
  for (size_t k = 0; k < n; k++) {
    to[k * apart] = isnan(to[k * apart]) ? from[k] : to[k * apart];
  }
}

/* Stores n batched slots of a tile, `from` on, into n numbers of each sample, which are `step` apart. Returns a
 * sum that is nan if one of them is. */
static double store_batched(const job *j, const pg_frame *tile, double *to, uint32_t from, size_t n,
                            size_t step) {
  const double *numbers = tile->batched + from * tile->tile;
  if (!j->replaces_nan) {
    return j->kernels->store_tile(to, numbers, n, step, tile->samples, tile->tile);
  }
  for (size_t k = 0; k < n; k++) {
    replace_nan(to + k, numbers + k * tile->tile, tile->samples, step);
  }
  return 0;
}

/* Stores n numbers that are the same for all samples into those of so many, which are `step` apart. */
static void store_shared(const job *j, double *to, const double *from, size_t n, size_t step, size_t samples) {
  for (size_t s = 0; s < samples; s++, to += step) {
    if (__builtin_expect(j->replaces_nan, 0)) {
      replace_nan(to, from, n, 1);
    } else {
      memcpy(to, from, n * sizeof *to);
    }
  }
}

/* A sum that is nan if one of these numbers is. */
static double sum_of(const job *j, const double *numbers, size_t n) {
  return n == 1 ? *numbers : j->kernels->sum(numbers, n);
}

/* Whether a result is the gradient by the parameters, and to be added to their grads. */
static bool is_of_grads(const job *j, size_t array) {
  return j->to_grads && array + 1 == j->r->argument_count + j->r->result_count;
}

/* Stores the outputs that are shared, once for each sample if the result is batched; or those that are batched,
 * of the samples of a tile, which begin at `first`. Returns a sum that is nan if a derivative among them is. */
static double store_outputs(const job *j, const pg_frame *tile, size_t first) {
  const pg_routine *r = j->r;
  uint32_t k = 0, run;
  double sum = 0;
  for (size_t a = r->argument_count; a < r->argument_count + r->result_count; a++) {
    const pg_array array = r->arrays[a];
    const size_t step = array.batched ? array.size : 0;
    const bool is_derivative = a >= r->first_derivative;
    const uint32_t begin = k, end = k + (uint32_t)array.size;
    for (; k < end; k += run) {
      const pg_slot slot = r->outputs[k].slot;
      const bool is_there = r->native && !array.batched; /* native code has stored it */
      double *to = j->arrays[a] + (k - begin) + first * step, of_run;
      run = pg_run_of(r->outputs, k, end);
      if (slot == PG_NO_SLOT) {
        if (!tile && !is_of_grads(j, a)) {
          memset(to, 0, run * sizeof *to);
        }
        continue;
      }
      if (is_there || pg_is_batched(slot) != (tile != NULL)) {
        continue;
      }
      if (tile) {
        of_run = store_batched(j, tile, to, pg_number_of(slot), run, step);
      } else {
        const double *from = j->shared + pg_number_of(slot);
        of_run = is_derivative ? sum_of(j, from, run) : 0;
        store_shared(j, to, from, run, step, array.batched ? j->batch : 1);
      }
      sum += is_derivative ? of_run : 0;
    }
  }
  return sum;
}

/* Time --------------------------------------------------------------------------------------------------- */

/* What a loop may take for a sample, about: a call for each row, of a whole tile if it is of the batch, and for
 * each number what it costs at worst, as when pow() goes to libm. */
static double most_ns(const pg_loop *l, uint32_t tile) {
  const double numbers = (double)l->rows * l->n, calls = 20.0 * l->rows / (pg_is_of_batch(l) ? tile : 1);
  switch (l->op) {
  case PG_DOT:
  case PG_DOT_TOTAL:
    return calls + 0.5 * numbers * l->sum.terms;
  case PG_SCATTER_ADD:
    return calls + 8.0 * l->n * l->scatter.pairs;
  case PG_SCATTER:
    return calls + 4.0 * l->rows * ((double)l->scatter.size + l->scatter.pairs);
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

static double most_ns_of(const pg_routine *r, int phase) {
  const pg_loops *loops = &r->phases[phase];
  double ns = 0;
  for (uint32_t k = 0; k < loops->count; k++) {
    ns += most_ns(&loops->at[k], r->tile);
  }
  return ns;
}

/* Running -------------------------------------------------------------------------------------------------- */

static void run_list(const pg_frame *f, int phase, uint32_t loop) {
  const pg_routine *r = f->routine;
  pg_run_list(f, &r->phases[phase].at[loop]);
}

/* What a part of the run works on: in the batch, chunk `part` - 1. */
static pg_frame frame_of(const job *j, size_t part) {
  return (pg_frame){.arrays = j->arrays,
                    .shared = j->shared,
                    .stop = j->stop,
                    .run_list = run_list,
                    .routine = j->r,
                    .additions = j->additions ? &j->additions[part] : NULL};
}

static void run_phase(const job *j, const pg_frame *f, int phase) {
  (j->r->native ? j->r->native : j->kernels->run)(f, phase);
}

static void note_nan(job *j, double sum) {
  if (isnan(sum)) {
    atomic_store(&j->found_nan, true);
  }
}

/* The slots of the last tile are as wide as its samples need. Those of native code have one width. */
static size_t width_of(const pg_routine *r, size_t samples) {
  return r->native ? PG_NATIVE_WIDTH(r->tile) : pg_computed(samples);
}

static void run_chunk(job *j, size_t chunk, double *batched) {
  assert(chunk < j->chunks && j->chunks <= PG_MAX_CHUNKS);
  const size_t end = (chunk + 1) * j->tiles / j->chunks, most = j->r->tile;
  pg_frame f = frame_of(j, 1 + chunk);
  f.batched = batched;
  f.totals = j->totals + chunk * j->r->total_count;
  double sum = 0;
  for (size_t tile = chunk * j->tiles / j->chunks; tile < end && !pg_is_stopped(j->stop); tile++) {
    const size_t first = tile * most, left = j->batch - first;
    f.samples = left < most ? left : most;
    f.tile = width_of(j->r, f.samples);
    load_inputs(j, &f, first);
    run_phase(j, &f, PG_BATCH);
    sum += store_outputs(j, &f, first);
  }
  note_nan(j, sum);
}

static void run_chunks(job *j, double *batched) {
  for (size_t chunk; (chunk = atomic_fetch_add(&j->next, 1)) < j->chunks;) {
    run_chunk(j, chunk, batched);
  }
}

/* The next address at which a vector is fastest. */
static double *aligned(double *at) {
  const size_t bytes = PG_ALIGNED * sizeof *at;
  return at + (bytes - (uintptr_t)at % bytes) % bytes / sizeof *at;
}

/* How many numbers the batched slots may take, with those around them. */
static size_t tile_size(const pg_routine *r) { return r->batched * width_of(r, r->tile) + 2 * PAD; }

/* A helper has batched slots of its own. If there is no memory for them, the other threads do its work. */
static void help(void *argument) {
  job *j = argument;
  double *batched = pg_resize(NULL, tile_size(j->r) * sizeof *batched);
  if (batched) {
    run_chunks(j, aligned(batched));
    free(batched);
  }
}

/* Runs all chunks on at most so many threads, this one included: on fewer where the system has no more, or
 * where starting one takes as long as its share of the work. */
static void run_batch(job *j, int threads, double *batched) {
  pg_os_worker helpers[MAX_HELPERS];
  int started = 0;
  const double shares = threads > 1 ? (double)j->batch * most_ns_of(j->r, PG_BATCH) / (double)NS_A_THREAD : 1;
  const int most = (double)j->chunks < shares ? (int)j->chunks : (int)shares;
  const int wanted = threads < most ? threads : most;
  for (; started + 1 < wanted && started < MAX_HELPERS && pg_may_allocate(); started++) {
    helpers[started] = (pg_os_worker){.work = help, .argument = j};
    if (!pg_os_start(&helpers[started])) {
      break;
    }
  }
  run_chunks(j, batched);
  while (started) {
    pg_os_join(&helpers[--started]);
  }
}

/* Loads those parameters that are read from slots, the first ones. False if one is no live node. */
static bool load_parameters(const pg_routine *r, double *shared) {
  bool live = true;
  pg_lock();
  for (uint32_t k = 0; k < r->loaded_count && live; k++) {
    const pg_span run = r->loaded[k];
    live = pg_all_live(run.count, r->parameters + run.first);
    for (uint32_t i = run.first; i < run.first + run.count && live; i++) {
      shared[i] = pg_node_at(r->parameters[i])->data;
    }
  }
  pg_unlock();
  return live;
}

/* Additions ---------------------------------------------------------------------------------------------- */

/* How many numbers a phase adds for a sample; and how large the list of these additions is. */
static size_t added_by(const pg_loops *loops, size_t *bytes) {
  size_t numbers = 0;
  *bytes = 0;
  for (uint32_t k = 0; k < loops->count; k++) {
    const pg_loop *l = &loops->at[k];
    const size_t rows = l->op == PG_SCATTER_ADD ? l->scatter.pairs : 0;
    numbers += rows * l->n;
    *bytes += rows * pg_size_of_addition(l->n);
  }
  return numbers;
}

/* Makes room for all additions. False if there is no memory. */
static bool begin_additions(job *j) {
  const pg_routine *r = j->r;
  if (!r->target_count) {
    return true;
  }
  assert(j->chunks);
  const size_t samples = (j->tiles + j->chunks - 1) / j->chunks * r->tile, parts = j->chunks + 2;
  size_t each, before, after;
  const bool sums = added_by(&r->phases[PG_BATCH], &each) * samples > r->target_count;
  added_by(&r->phases[PG_PROLOGUE], &before);
  added_by(&r->phases[PG_EPILOGUE], &after);
  const size_t size = sums ? r->target_count * sizeof(double) : each * samples;
  const size_t own = parts * sizeof *j->additions;
  j->additions = pg_resize(NULL, own + before + j->chunks * size + after);
  if (!j->additions) {
    return false;
  }
  char *at = (char *)j->additions + own;
  for (size_t k = 0; k < parts; k++) {
    pg_additions *part = &j->additions[k];
    const bool is_chunk = k > 0 && k <= j->chunks;
    *part = (pg_additions){.at = (pg_addition *)(void *)at, .end = (pg_addition *)(void *)at};
    if (is_chunk && sums) {
      part->sums = (double *)(void *)at;
      for (uint32_t t = 0; t < r->target_count; t++) {
        part->sums[t] = -0.0;
      }
    }
    at += is_chunk ? size : before;
  }
  return true;
}

/* Adds n numbers to the grads of nodes, each `step` further; PG_STALE if one is not live. */
static int add_to_nodes(const pg_id *ids, uint32_t n, ptrdiff_t step, const double *numbers) {
  int status = PG_OK;
  for (uint32_t i = 0; i < n; i++) {
    const pg_id id = ids[(ptrdiff_t)i * step];
    if (pg_is_live(id)) {
      pg_add_grad(pg_node_at(id), numbers[i]);
    } else {
      status = PG_STALE;
    }
  }
  return status;
}

/* Adds n numbers to a target and those that follow, each `step` further. */
static int add_to_targets(const job *j, pg_target first, uint32_t n, ptrdiff_t step, const double *numbers) {
  if (is_of_grads(j, first.array)) {
    return add_to_nodes(j->r->parameters + first.at, n, step, numbers);
  }
  double *to = (first.array == PG_IN_SLOT ? j->shared : j->arrays[first.array]) + first.at;
  for (uint32_t i = 0; i < n; i++) {
    to[(ptrdiff_t)i * step] += numbers[i];
  }
  return PG_OK;
}

/* Asks for the nodes of an addition before it is made: they are where those of most parameters are, which were
 * made one after the other. */
static void fetch_nodes(const job *j, const pg_addition *x) {
  const pg_id *parameters = j->r->parameters;
  const uint32_t each = abs(x->step) == 1 ? 2 : 1; /* two neighbours share a line of the cache */
  uint32_t at = x->first.at;
  if (is_of_grads(j, x->first.array)) {
    __builtin_prefetch(parameters + at);
    for (uint32_t i = 0; i < x->n; i += each, at += each * (uint32_t)x->step) {
      __builtin_prefetch(pg_node_at(parameters[0] + at), 1);
    }
  }
}

/* Makes the additions of a part of the run to slots, or those to results, in their order. */
static int add_part(const job *j, const pg_additions *part, bool to_slots) {
  int status = PG_OK;
  pg_addition *ahead = part->at;
  for (pg_addition *x = ahead; x < part->end; x = pg_next_addition(x)) {
    for (; ahead < part->end && ahead->numbers - x->numbers < AHEAD; ahead = pg_next_addition(ahead)) {
      fetch_nodes(j, ahead);
    }
    if ((x->first.array == PG_IN_SLOT) == to_slots && add_to_targets(j, x->first, x->n, x->step, x->numbers)) {
      status = PG_STALE;
    }
  }
  for (size_t t = 0; part->sums && t < j->r->target_count; t++) {
    const pg_target target = j->r->targets[t];
    const double sum = part->sums[t];
    const bool none = target.array == PG_NO_REF || (sum == 0 && signbit(sum));
    if (!none && (target.array == PG_IN_SLOT) == to_slots && add_to_targets(j, target, 1, 0, &sum)) {
      status = PG_STALE;
    }
  }
  return status;
}

static int add_all(const job *j, bool to_slots) {
  int status = PG_OK;
  for (size_t part = 0; j->r->target_count && part < j->chunks + 2; part++) {
    status = add_part(j, &j->additions[part], to_slots) ? PG_STALE : status;
  }
  return status;
}

/* Adds the gradient by the parameters to their grads: what is in the last result, and the additions. */
static int add_to_grads(const job *j) {
  const pg_routine *r = j->r;
  const double *gradient = j->arrays[r->argument_count + r->result_count - 1];
  const pg_port *ports = r->outputs + (r->output_count - r->parameter_count);
  int status = PG_OK;
  pg_lock();
  for (uint32_t k = 0, run; k < r->parameter_count; k += run) {
    run = pg_run_of(ports, k, r->parameter_count);
    if (ports[k].slot == PG_NO_SLOT) {
      continue;
    }
    if (!pg_all_live(run, r->parameters + k)) {
      status = PG_STALE;
      break;
    }
    for (uint32_t i = k; i < k + run; i++) {
      pg_add_grad(pg_node_at(r->parameters[i]), gradient[i]);
    }
  }
  status = status ? status : add_all(j, false);
  pg_unlock();
  return status;
}

static void run_phases(job *j, int threads, double *batched) {
  const pg_routine *r = j->r;
  memcpy(j->shared + r->first_constant, r->constants + r->first_constant,
         (r->leaf_count - r->first_constant) * sizeof *j->shared);
  memset(j->shared + pg_first_total(r), 0, (r->total_count + r->scattered_count) * sizeof *j->shared);
  memset(j->totals, 0, j->chunks * r->total_count * sizeof *j->totals);
  if (!r->native) { /* which loads and stores what is shared itself */
    load_inputs(j, NULL, 0);
  }
  if (r->cotangent != PG_NO_REF) {
    add_cotangents(r, j->batch, j->arrays[r->argument_count - 1], j->shared);
  }
  pg_frame prologue = frame_of(j, 0), epilogue = frame_of(j, 1 + j->chunks);
  double sum = 0;
  prologue.sum = epilogue.sum = &sum;
  run_phase(j, &prologue, PG_PROLOGUE);
  if (r->phases[PG_BATCH].count || r->batched) {
    run_batch(j, threads, batched);
  }
  for (size_t chunk = 0; chunk < j->chunks; chunk++) {
    for (uint32_t i = 0; i < r->total_count; i++) {
      j->shared[pg_first_total(r) + i] += j->totals[chunk * r->total_count + i];
    }
  }
  if (r->scattered_count) {
    add_all(j, true);
  }
  run_phase(j, &epilogue, PG_EPILOGUE);
  note_nan(j, sum + store_outputs(j, NULL, 0));
}

/* Makes the additions to the results. Where a derivative is nan, none is made to grads: the results have all.
 */
static int finish(job *j) {
  const pg_routine *r = j->r;
  for (size_t part = 0; r->target_count && part < j->chunks + 2; part++) {
    note_nan(j, j->additions[part].sum);
  }
  const bool nan = atomic_load(&j->found_nan);
  if (j->to_grads && !nan) {
    return add_to_grads(j);
  }
  if (j->to_grads) {
    j->to_grads = false;
    store_outputs(j, NULL, 0);
  }
  add_all(j, false);
  return nan ? FOUND_NAN : PG_OK;
}

/* Runs a routine, or replaces by its results what is nan. Returns FOUND_NAN if a derivative may be nan
 * then, else a status. */
static int run_once(pg_routine *r, size_t batch, double *const *arrays, int threads, const bool *stop,
                    bool to_grads, bool replaces_nan) {
  job j = {.r = r,
           .kernels = pg_best_kernels(),
           .batch = batch,
           .arrays = arrays,
           .to_grads = to_grads,
           .tiles = (batch + r->tile - 1) / r->tile,
           .stop = stop,
           .replaces_nan = replaces_nan};
  j.chunks = j.tiles < PG_MAX_CHUNKS ? j.tiles : PG_MAX_CHUNKS;
  const size_t shared = (size_t)r->shared + PAD, totals = PG_MAX_CHUNKS * (size_t)r->total_count + PAD;
  double *memory = atomic_exchange(&r->spare, NULL);
  if (!memory) {
    memory = pg_resize(NULL, (shared + totals + PAD + tile_size(r)) * sizeof *memory);
  }
  if (!memory || !begin_additions(&j)) {
    free(memory);
    return PG_NO_MEMORY;
  }
  assert(threads >= 1 && pg_fixed_slots(r) <= r->shared && r->is_for_native == (r->native != NULL));
  j.shared = aligned(memory);
  j.totals = j.shared + shared;
  int status = load_parameters(r, j.shared) ? PG_OK : PG_STALE;
  if (!status) {
    run_phases(&j, threads, aligned(j.totals + totals));
    status = pg_is_stopped(stop) ? PG_STOPPED : finish(&j);
  }
  free(j.additions);
  free(atomic_exchange(&r->spare, memory));
  return status;
}

static int run(pg_routine *r, size_t batch, double *const *arrays, int threads, const bool *stop,
               bool to_grads) {
  int status = run_once(r, batch, arrays, threads, stop, to_grads, false);
  if (__builtin_expect(status == FOUND_NAN, 0)) {
    pg_routine *masked = pg_masked(r);
    status = masked ? run_once(masked, batch, arrays, threads, stop, false, true) : PG_NO_MEMORY;
    status = status == FOUND_NAN ? PG_OK : status;
    if (!status && to_grads) {
      const double *gradient = arrays[r->argument_count + r->result_count - 1];
      status = pg_add_grads(r->parameter_count, r->parameters, gradient);
    }
  }
  return status;
}

bool pg_use_native(pg_routine *r, const char *path) {
  void *found;
  r->library = pg_os_load(path, "pygrad_run", &found);
  r->native = r->library ? (pg_code *)(uintptr_t)found : NULL;
  return r->library;
}

int pg_run(pg_routine *r, size_t batch, double *const *arrays, int threads) {
  return run(r, batch, arrays, threads, NULL, false);
}

int pg_run_until(pg_routine *r, size_t batch, double *const *arrays, int threads, const bool *stop) {
  return run(r, batch, arrays, threads, stop, false);
}

void pg_stop(bool *stop) { __atomic_store_n(stop, true, __ATOMIC_RELAXED); }

int pg_run_and_add_grads(pg_routine *r, size_t batch, double *const *arrays, int threads) {
  return run(r, batch, arrays, threads, NULL, true);
}

double pg_long_batch(const pg_routine *r, double ns) {
  const double left = ns - most_ns_of(r, PG_PROLOGUE) - most_ns_of(r, PG_EPILOGUE);
  const double each = most_ns_of(r, PG_BATCH); /* which is not all: a batch is copied, too */
  return left < 0 ? 0 : left / (each + 1);
}
