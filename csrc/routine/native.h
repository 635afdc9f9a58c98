/* native.h: what the C code that emit_native.c writes begins with. build_ffi.py puts the text of this file, and
 * of those that it includes, into pg_native_head, so that a user's compiler finds it without these files. The
 * core itself does not include it.
 *
 * In the code, s are the shared slots, b the batched ones. A number at a time is a double, a vector of samples
 * at a time a vec. Loops are macros or inline functions, of which the compiler makes special versions: their
 * sizes and steps are constants.
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_INLINE static inline __attribute__((always_inline, unused))
#ifdef _WIN32
#define PG_EXPORT __declspec(dllexport)
#else
#define PG_EXPORT __attribute__((visibility("default")))
#endif
#if defined __AVX512F__ && defined __AVX512DQ__
#define PG_LANES 8
#elif defined __AVX2__
#define PG_LANES 4
#else
#define PG_LANES 2
#endif
#if defined __FMA__ || defined __aarch64__
#define PG_FMA
#endif

#include "routine/frame.h"
#include "routine/vector_ops.h"

/* What all blocks begin with. */
#define PG_BLOCK                                                                                               \
  double *const *const arrays = f->arrays;                                                                     \
  double *restrict const s = f->shared, *restrict const b = f->batched, *restrict const totals = f->totals;    \
  const ptrdiff_t samples = (ptrdiff_t)f->samples, end = (samples + PG_LANES - 1) / PG_LANES * PG_LANES;       \
  (void)arrays, (void)s, (void)b, (void)totals, (void)samples, (void)end;

/* Statements of the batch: for the vectors of a tile, of which p has the first slot's numbers. */
typedef double placed_vec __attribute__((vector_size(8 * PG_LANES), aligned(8)));
#define PG_VECTORS for (double *p = b; p < b + end; p += PG_LANES)
#define PG_VECTOR(at) (*(placed_vec *)(p + (at)))

/* Functions of such statements. Passes that take GCC long find nothing there: statements are vectors already,
 * no slot is stored twice, and the loop has one variable. On x86-64 the functions that are inlined there have
 * no loops, so that -Og makes the same code in less time. */
#ifdef __clang__
#define PG_IN_VECTORS
#elif defined __x86_64__
#define PG_IN_VECTORS __attribute__((optimize("Og")))
#else
#define PG_IN_VECTORS __attribute__((optimize("no-tree-slp-vectorize", "no-tree-dse", "no-dse", "no-ivopts")))
#endif

#define PG_OUTLINED static __attribute__((noinline, unused))

PG_INLINE bool pg_is_stopped(const bool *stop) { return stop && __atomic_load_n(stop, __ATOMIC_RELAXED); }

/* Ops ---------------------------------------------------------------------------------------------------- */

/* v_EXP(x) and so on, for vectors; and x_EXP(x), the same as a call, since some take many instructions. */
#define PG_UNARY(name, symbol, forward, adjoint_x)                                                             \
  PG_INLINE vec v_##name(vec x) {                                                                              \
    const int *const status = NULL;                                                                            \
    return (void)status, forward;                                                                              \
  }                                                                                                            \
  PG_OUTLINED vec x_##name(vec x) { return v_##name(x); }
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y)                                                 \
  PG_INLINE vec v_##name(vec x, vec y) {                                                                       \
    const int *const status = NULL;                                                                            \
    return (void)status, forward;                                                                              \
  }                                                                                                            \
  PG_OUTLINED vec x_##name(vec x, vec y) { return v_##name(x, y); }
#define PG_CONSTANT(...) PG_BINARY(__VA_ARGS__, )
#include "program/all_ops.def"

/* s_EXP(x) and so on, for single numbers. The functions that the rows call get other names here: build_ffi.py
 * puts a #define for each before functions.def. */
#include "program/ieee.h"
#define pg_gate(x, y) ((x) > 0 ? (y) : 0)
#define PG_CALL(name, arguments, ...)                                                                          \
  PG_INLINE double name arguments { __VA_ARGS__ }
#define PG_FUNCTION(name, arguments, ...) PG_CALL(name, arguments, __VA_ARGS__)
#include "functions.def"
#define PG_UNARY(name, symbol, forward, adjoint_x)                                                             \
  PG_INLINE double s_##name(double x) { return forward; }
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y)                                                 \
  PG_INLINE double s_##name(double x, double y) { return forward; }
#define PG_CONSTANT(...) PG_BINARY(__VA_ARGS__, )
#include "program/all_ops.def"

#ifdef PG_FMA
#define s_fma(x, y, z) __builtin_fma(x, y, z)
#else
#define s_fma(x, y, z) ((x) * (y) + (z))
#endif

/* Loops over shared slots -------------------------------------------------------------------------------- */

#define PG_ROWS(rows) for (ptrdiff_t j = 0; j < (rows); j++)

/* Without a loop, which -Og would not unroll. */
PG_INLINE double pg_add_lanes(vec x) {
  double sum = 0;
  sum += x[0], sum += x[1];
#if PG_LANES >= 4
  sum += x[2], sum += x[3];
#endif
#if PG_LANES == 8
  sum += x[4], sum += x[5], sum += x[6], sum += x[7];
#endif
  return sum;
}

/* Adds n numbers to a sum. */
PG_INLINE void pg_add_up(double *sum, const double *numbers, ptrdiff_t n) {
  ptrdiff_t i = 0;
  double all = *sum;
  if (n >= 2 * PG_LANES) {
    vec sums[2] = {v_splat(0), v_splat(0)};
    for (; i + 2 * PG_LANES <= n; i += 2 * PG_LANES) {
      sums[0] += v_load(numbers + i);
      sums[1] += v_load(numbers + i + PG_LANES);
    }
    all += pg_add_lanes(sums[0] + sums[1]);
  }
  for (; i < n; i++) {
    all += numbers[i];
  }
  *sum = all;
}

/* z[i] = op(a[i * ai], b[i * bi]) in each row; aj and bj are the steps to the next row. */
#define PG_MAP(sum, op, n, rows, z0, a0, ai, aj)                                                               \
  PG_ROWS(rows) {                                                                                              \
    double *const z = (z0) + j * (n);                                                                          \
    const double *const a = (a0) + j * (aj);                                                                   \
    ptrdiff_t i = 0;                                                                                           \
    for (; i + PG_LANES <= (n); i += PG_LANES) {                                                               \
      v_store(z + i, v_##op(v_fetch(a + i * (ai), ai, PG_LANES)));                                             \
    }                                                                                                          \
    for (; i < (n); i++) {                                                                                     \
      z[i] = s_##op(a[i * (ai)]);                                                                              \
    }                                                                                                          \
    if (sum) {                                                                                                 \
      pg_add_up(sum, z, n);                                                                                    \
    }                                                                                                          \
  }
#define PG_MAP_TWO(sum, op, n, rows, z0, a0, ai, aj, b0, bi, bj)                                               \
  PG_ROWS(rows) {                                                                                              \
    double *const z = (z0) + j * (n);                                                                          \
    const double *const a = (a0) + j * (aj), *const b = (b0) + j * (bj);                                       \
    ptrdiff_t i = 0;                                                                                           \
    for (; i + PG_LANES <= (n); i += PG_LANES) {                                                               \
      v_store(z + i, v_##op(v_fetch(a + i * (ai), ai, PG_LANES), v_fetch(b + i * (bi), bi, PG_LANES)));        \
    }                                                                                                          \
    for (; i < (n); i++) {                                                                                     \
      z[i] = s_##op(a[i * (ai)], b[i * (bi)]);                                                                 \
    }                                                                                                          \
    if (sum) {                                                                                                 \
      pg_add_up(sum, z, n);                                                                                    \
    }                                                                                                          \
  }

/* `count` vectors of dot products whose operands lie side by side along i, or are the same for each. */
PG_INLINE void pg_dots_across(int count, ptrdiff_t terms, double *z, const double *init, ptrdiff_t init_i,
                              const double *a, ptrdiff_t ai, ptrdiff_t at, const double *b, ptrdiff_t bi,
                              ptrdiff_t bt) {
  vec sum[8];
  for (int k = 0; k < count; k++) {
    sum[k] = init ? v_fetch(init + k * PG_LANES * init_i, init_i, PG_LANES) : v_splat(0);
  }
  for (ptrdiff_t t = 0; t < terms; t++, a += at, b += bt) {
    for (int k = 0; k < count; k++) {
      sum[k] = v_fma(v_fetch(a + k * PG_LANES * ai, ai, PG_LANES), v_fetch(b + k * PG_LANES * bi, bi, PG_LANES),
                     sum[k]);
    }
  }
  for (int k = 0; k < count; k++) {
    v_store(z + k * PG_LANES, sum[k]);
  }
}

/* `count` dot products whose terms lie side by side. */
PG_INLINE void pg_dots_along(int count, ptrdiff_t terms, double *z, const double *init, ptrdiff_t init_i,
                             const double *a, ptrdiff_t ai, const double *b, ptrdiff_t bi) {
  vec sum[8];
  double rest[8];
  for (int k = 0; k < count; k++) {
    sum[k] = v_splat(0);
    rest[k] = init ? init[k * init_i] : 0;
  }
  ptrdiff_t t = 0;
  for (; t + PG_LANES <= terms; t += PG_LANES) {
    for (int k = 0; k < count; k++) {
      sum[k] = v_fma(v_load(a + k * ai + t), v_load(b + k * bi + t), sum[k]);
    }
  }
  for (; t < terms; t++) {
    for (int k = 0; k < count; k++) {
      rest[k] = s_fma(a[k * ai + t], b[k * bi + t], rest[k]);
    }
  }
  for (int k = 0; k < count; k++) {
    z[k] = rest[k] + pg_add_lanes(sum[k]);
  }
}

/* One dot product in 8 sums that do not wait for each other: of vectors where the terms lie side by side. */
PG_INLINE double pg_dot(ptrdiff_t terms, double init, const double *a, ptrdiff_t at, const double *b,
                        ptrdiff_t bt) {
  const bool along = (at == 1 || at == 0) && (bt == 1 || bt == 0);
  ptrdiff_t t = 0;
  if (along && terms >= 8 * PG_LANES) {
    vec sum[8];
    for (int k = 0; k < 8; k++) {
      sum[k] = v_splat(0);
    }
    for (; t + 8 * PG_LANES <= terms; t += 8 * PG_LANES) {
      for (int k = 0; k < 8; k++) {
        sum[k] = v_fma(v_fetch(a + (t + k * PG_LANES) * at, at, PG_LANES),
                       v_fetch(b + (t + k * PG_LANES) * bt, bt, PG_LANES), sum[k]);
      }
    }
    init += pg_add_lanes(((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
  } else if (terms >= 8) {
    double sum[8] = {0};
    for (; t + 8 <= terms; t += 8) {
      for (int k = 0; k < 8; k++) {
        sum[k] = s_fma(a[(t + k) * at], b[(t + k) * bt], sum[k]);
      }
    }
    init += ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
  }
  for (; t < terms; t++) {
    init = s_fma(a[t * at], b[t * bt], init);
  }
  return init;
}

/* z[i] = init[i * init_i] + the sum over t of a[i * ai + t * at] * b[i * bi + t * bt] in each row. */
PG_INLINE void pg_dots(double *sum, ptrdiff_t n, ptrdiff_t rows, ptrdiff_t terms, double *z, const double *init,
                       ptrdiff_t init_i, ptrdiff_t init_j, const double *a, ptrdiff_t ai, ptrdiff_t aj,
                       ptrdiff_t at, const double *b, ptrdiff_t bi, ptrdiff_t bj, ptrdiff_t bt) {
  const bool across = (ai == 0 || ai == 1) && (bi == 0 || bi == 1), along = at == 1 && bt == 1;
  for (ptrdiff_t j = 0; j < rows; j++, z += n, a += aj, b += bj, init = init ? init + init_j : init) {
    ptrdiff_t i = 0;
#define PG_AT(x, step) ((x) + i * (step))
#define PG_INIT (init ? init + i * init_i : init)
    for (; across && PG_LANES == 8 && i + 8 * PG_LANES <= n; i += 8 * PG_LANES) {
      pg_dots_across(8, terms, z + i, PG_INIT, init_i, PG_AT(a, ai), ai, at, PG_AT(b, bi), bi, bt);
    }
    for (; across && i + 4 * PG_LANES <= n; i += 4 * PG_LANES) {
      pg_dots_across(4, terms, z + i, PG_INIT, init_i, PG_AT(a, ai), ai, at, PG_AT(b, bi), bi, bt);
    }
    for (; across && i + 2 * PG_LANES <= n; i += 2 * PG_LANES) {
      pg_dots_across(2, terms, z + i, PG_INIT, init_i, PG_AT(a, ai), ai, at, PG_AT(b, bi), bi, bt);
    }
    for (; across && i + PG_LANES <= n; i += PG_LANES) {
      pg_dots_across(1, terms, z + i, PG_INIT, init_i, PG_AT(a, ai), ai, at, PG_AT(b, bi), bi, bt);
    }
    for (; along && i + 4 <= n; i += 4) {
      pg_dots_along(4, terms, z + i, PG_INIT, init_i, PG_AT(a, ai), ai, PG_AT(b, bi), bi);
    }
    for (; i < n; i++) {
      z[i] = pg_dot(terms, init ? init[i * init_i] : 0, PG_AT(a, ai), at, PG_AT(b, bi), bt);
    }
    if (sum) {
      pg_add_up(sum, z, n); /* while the row is in cache */
    }
#undef PG_AT
#undef PG_INIT
  }
}

/* Loops over batched slots ------------------------------------------------------------------------------- */

/* The vector of samples from q on, of an operand that is batched or shared. */
PG_INLINE vec pg_samples(const double *x, bool batched, ptrdiff_t q) {
  return batched ? v_load(x + q) : v_splat(*x);
}

/* -1 in the lanes whose samples are below `samples`. */
PG_INLINE ivec pg_lanes_below(ptrdiff_t samples) {
  static const double LANES[] = {0, 1, 2, 3, 4, 5, 6, 7};
  return v_load(LANES) < v_splat((double)samples);
}

PG_INLINE vec pg_masked(ivec mask, vec x) { return (vec)(mask & (ivec)x); }

/* Steps are in numbers: a batched slot has PG_NATIVE_WIDTH(tile) of them. */
#define PG_TILE_LOOP(end) for (ptrdiff_t q = 0; q < (end); q += PG_LANES)
#define PG_TILE_MAP(op, n, rows, tile, end, z0, a0, ai, aj, a_batched)                                         \
  PG_ROWS(rows) for (ptrdiff_t i = 0; i < (n); i++) PG_TILE_LOOP(end) {                                        \
    const vec x = pg_samples((a0) + i * (ai) + j * (aj), a_batched, q);                                        \
    v_store((z0) + (i + j * (n)) * PG_NATIVE_WIDTH(tile) + q, v_##op(x));                                      \
  }
#define PG_TILE_MAP_TWO(op, n, rows, tile, end, z0, a0, ai, aj, a_batched, b0, bi, bj, b_batched)              \
  PG_ROWS(rows) for (ptrdiff_t i = 0; i < (n); i++) PG_TILE_LOOP(end) {                                        \
    const vec x = pg_samples((a0) + i * (ai) + j * (aj), a_batched, q);                                        \
    const vec y = pg_samples((b0) + i * (bi) + j * (bj), b_batched, q);                                        \
    v_store((z0) + (i + j * (n)) * PG_NATIVE_WIDTH(tile) + q, v_##op(x, y));                                   \
  }

/* Dot products of `results` i, for so many vectors of samples. */
PG_INLINE void pg_tile_dots_at(int results, int vectors, ptrdiff_t terms, ptrdiff_t width, ptrdiff_t q,
                               double *z, const double *init, ptrdiff_t init_i, bool init_batched,
                               const double *a, ptrdiff_t ai, ptrdiff_t at, bool a_batched, const double *b,
                               ptrdiff_t bi, ptrdiff_t bt, bool b_batched) {
  vec sum[4][4];
  for (int i = 0; i < results; i++) {
    for (int k = 0; k < vectors; k++) {
      sum[i][k] = init ? pg_samples(init + i * init_i, init_batched, q + k * PG_LANES) : v_splat(0);
    }
  }
  for (ptrdiff_t t = 0; t < terms; t++, a += at, b += bt) {
    for (int i = 0; i < results; i++) {
      for (int k = 0; k < vectors; k++) {
        sum[i][k] = v_fma(pg_samples(a + i * ai, a_batched, q + k * PG_LANES),
                          pg_samples(b + i * bi, b_batched, q + k * PG_LANES), sum[i][k]);
      }
    }
  }
  for (int i = 0; i < results; i++) {
    for (int k = 0; k < vectors; k++) {
      v_store(z + i * width + q + k * PG_LANES, sum[i][k]);
    }
  }
}

PG_INLINE void pg_tile_dots(ptrdiff_t n, ptrdiff_t rows, ptrdiff_t terms, ptrdiff_t tile, ptrdiff_t end,
                            double *z, const double *init, ptrdiff_t init_i, ptrdiff_t init_j,
                            bool init_batched, const double *a, ptrdiff_t ai, ptrdiff_t aj, ptrdiff_t at,
                            bool a_batched, const double *b, ptrdiff_t bi, ptrdiff_t bj, ptrdiff_t bt,
                            bool b_batched) {
  enum { AT_ONCE = PG_LANES == 8 ? 4 : 2 }; /* so many times 4 sums fit into the registers */
  const ptrdiff_t width = PG_NATIVE_WIDTH(tile);
  const int vectors = tile < 4 * PG_LANES ? (int)(tile / PG_LANES) : 4;
  for (ptrdiff_t j = 0; j < rows; j++, z += n * width, a += aj, b += bj, init = init ? init + init_j : init) {
    ptrdiff_t i = 0;
    for (; i + AT_ONCE <= n; i += AT_ONCE) {
      for (ptrdiff_t q = 0; q < end; q += vectors * PG_LANES) {
        pg_tile_dots_at(AT_ONCE, vectors, terms, width, q, z + i * width, init ? init + i * init_i : init,
                        init_i, init_batched, a + i * ai, ai, at, a_batched, b + i * bi, bi, bt, b_batched);
      }
    }
    for (; i < n; i++) {
      for (ptrdiff_t q = 0; q < end; q += vectors * PG_LANES) {
        pg_tile_dots_at(1, vectors, terms, width, q, z + i * width, init ? init + i * init_i : init, init_i,
                        init_batched, a + i * ai, ai, at, a_batched, b + i * bi, bi, bt, b_batched);
      }
    }
  }
}

/* Adds to `count` totals the sums over the samples of a[i * ai + t * at] * b[i * bi + t * bt]. */
PG_INLINE void pg_tile_totals_at(int count, ptrdiff_t terms, ptrdiff_t samples, double *totals, const double *a,
                                 ptrdiff_t ai, ptrdiff_t at, bool a_batched, const double *b, ptrdiff_t bi,
                                 ptrdiff_t bt, bool b_batched) {
  vec sum[8];
  for (int i = 0; i < count; i++) {
    sum[i] = v_splat(0);
  }
  for (ptrdiff_t t = 0; t < terms; t++, a += at, b += bt) {
    ptrdiff_t q = 0;
    for (; q + PG_LANES <= samples; q += PG_LANES) {
      for (int i = 0; i < count; i++) {
        sum[i] = v_fma(pg_samples(a + i * ai, a_batched, q), pg_samples(b + i * bi, b_batched, q), sum[i]);
      }
    }
    if (q < samples) {
      const ivec mask = pg_lanes_below(samples - q);
      for (int i = 0; i < count; i++) {
        sum[i] += pg_masked(mask, pg_samples(a + i * ai, a_batched, q) * pg_samples(b + i * bi, b_batched, q));
      }
    }
  }
  for (int i = 0; i < count; i++) {
    totals[i] += pg_add_lanes(sum[i]);
  }
}

PG_INLINE void pg_tile_totals(ptrdiff_t n, ptrdiff_t rows, ptrdiff_t terms, ptrdiff_t samples, double *totals,
                              const double *a, ptrdiff_t ai, ptrdiff_t aj, ptrdiff_t at, bool a_batched,
                              const double *b, ptrdiff_t bi, ptrdiff_t bj, ptrdiff_t bt, bool b_batched) {
  for (ptrdiff_t j = 0; j < rows; j++, totals += n, a += aj, b += bj) {
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8) {
      pg_tile_totals_at(8, terms, samples, totals + i, a + i * ai, ai, at, a_batched, b + i * bi, bi, bt,
                        b_batched);
    }
    for (; i < n; i++) {
      pg_tile_totals_at(1, terms, samples, totals + i, a + i * ai, ai, at, a_batched, b + i * bi, bi, bt,
                        b_batched);
    }
  }
}
