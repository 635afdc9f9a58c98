/* kernels.h: the kernels, which run a routine's loops, for each instruction set. Private to run.c and the
 * kernels.
 *
 * Each instruction set has a file, kernels_<name>.c, which includes kernels.inc and defines one pg_kernels; its
 * row is in kernels.c. All of them compute the same, to rounding: an FMA rounds once where others round twice.
 */
#ifndef PYGRAD_KERNELS_H
#define PYGRAD_KERNELS_H

#include "routine/routine.h"

typedef struct {
  const char *name;
  /* Whether this machine has the instructions. */
  bool (*is_supported)(void);
  pg_code *run;
  /* Load or store n consecutive batched slots, from or to n numbers of each sample; these are `step` apart from
   * sample to sample. What is stored is also added up, in any order: the sum is nan if a number is. */
  void (*load_tile)(double *to, const double *from, size_t n, size_t step, size_t samples, size_t tile);
  double (*store_tile)(double *to, const double *from, size_t n, size_t step, size_t samples, size_t tile);
  double (*sum)(const double *numbers, size_t n);
} pg_kernels;

extern const pg_kernels pg_kernels_baseline;
#ifdef __x86_64__
extern const pg_kernels pg_kernels_avx2, pg_kernels_avx512;
#endif

/* The best kernels that this machine can run, or those that a test has chosen. */
const pg_kernels *pg_best_kernels(void);

/* A lookup or a scatter. These are rare, and the same code serves all instruction sets. */
void pg_run_list(const pg_frame *f, const pg_loop *l);

/* Whether a run is to be stopped. */
PG_INLINE bool pg_is_stopped(const bool *stop) { return stop && __atomic_load_n(stop, __ATOMIC_RELAXED); }

#endif
