/* vector_ops.h: the functions that the op tables call, for vectors: for the kernels and for native code. All
 * that it defines is static. Before including this file, define what vmath.h asks for.
 */
#include <stddef.h>
#include <string.h>

#include "routine/vmath.h"

/* The next numbers of an operand: side by side, all the same, or far apart. The last one is repeated if fewer
 * than a vector are left. */
PG_INLINE vec v_fetch(const double *a, ptrdiff_t step, size_t left) {
  if (step == 1 && left >= PG_LANES) {
    return v_load(a);
  }
  if (step == 0) {
    return v_splat(*a);
  }
  double numbers[PG_LANES];
  for (size_t i = 0; i < PG_LANES; i++) {
    numbers[i] = a[(ptrdiff_t)(i < left ? i : left - 1) * step];
  }
  return v_load(numbers);
}

PG_INLINE void v_put(double *z, vec numbers, size_t left) {
  if (left >= PG_LANES) {
    v_store(z, numbers);
  } else {
    memcpy(z, &numbers, left * sizeof *z);
  }
}

/* The functions that the forward columns of the op tables call, for vectors. No status is set: nothing raises.
 */
#define ZERO v_splat(0)
#define ONE v_splat(1)
#define pg_div(x, y, status) ((x) / (y)) /* a macro, since x may be a number */
PG_INLINE vec pg_relu(vec x) { return v_select(x < 0, ZERO, x); }
PG_INLINE vec pg_step(vec x) { return v_select(x > 0, ONE, ZERO); }
PG_INLINE vec pg_sign(vec x) { return v_select(x > 0, ONE, v_select(x < 0, -ONE, ZERO)); }
PG_INLINE vec pg_abs(vec x) { return v_fabs(x); }
PG_INLINE vec pg_tanh(vec x) { return v_tanh(x); }
PG_INLINE vec pg_sigmoid(vec x) { return v_sigmoid(x); }
PG_INLINE vec pg_softplus(vec x) { return v_softplus(x); }
PG_INLINE vec pg_maximum(vec x, vec y) { return v_select((x >= y) | (x != x), x, y); }
PG_INLINE vec pg_minimum(vec x, vec y) { return v_select((x <= y) | (x != x), x, y); }
PG_INLINE vec pg_gate(vec x, vec y) { return v_select(x > 0, y, ZERO); }
PG_INLINE vec pg_equal(vec x, vec y) { return v_select(x == y, ONE, ZERO); }
PG_INLINE vec pg_share(vec x, vec y) { return v_select(x > y, ONE, v_select(x == y, v_splat(0.5), ZERO)); }
PG_INLINE vec pg_pow(vec x, vec y, const int *status) { return (void)status, v_pow(x, y); }
PG_INLINE vec pg_exp(vec x, const int *status) { return (void)status, v_exp(x); }
PG_INLINE vec pg_log(vec x, const int *status) { return (void)status, v_log(x); }
PG_INLINE vec pg_sqrt(vec x, const int *status) { return (void)status, v_sqrt(x); }
PG_INLINE vec pg_sin(vec x, const int *status) { return (void)status, v_sin(x); }
PG_INLINE vec pg_cos(vec x, const int *status) { return (void)status, v_cos(x); }
PG_INLINE vec pg_pow_slope(vec x, vec z, const int *status) {
  return (void)status, v_select(x == 0, ZERO, z * v_log(x));
}
