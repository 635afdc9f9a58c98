/* vmath.h: exp, log, pow, tanh, sigmoid, softplus, sin and cos of PG_LANES doubles at once, in the vectors of
 * GCC and clang.
 *
 * For kernels.inc, which one file an instruction set includes. Before including this file, define:
 *
 *   PG_LANES    doubles in a vector: 2, 4 or 8
 *   PG_FMA      if the target has an instruction that multiplies and adds; for speed only
 *
 * It defines the types vec, of doubles, and ivec and uvec, of int64 and uint64 (in a mask, an element is -1 or
 * 0), and functions v_..., all static.
 *
 * Accuracy: the error is below one unit in the last place (at most 0.85 in 10^8 random arguments), that of sqrt
 * below half of one. Zeros, infinities, nans, overflow and underflow follow C99 Annex F, but errno and the
 * floating-point exceptions are undefined. Rounding must be to nearest, and the compiler must not contract
 * a * b + c (-ffp-contract=off). Then the bits of a result depend only on the arguments in its lane and on
 * PG_FMA; where libm computes it, on libm.
 *
 * Methods: those of fdlibm (Sun Microsystems, 1993), without tables or branches. Rare, difficult arguments go
 * to libm. Where one double is too short there are two (T. J. Dekker, A floating-point technique for extending
 * the available precision, 1971). The polynomials are minimax, by Remez's algorithm.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* GCC warns that vectors are passed differently without AVX; but all functions that take one are inlined. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

#define PG_SLOW static __attribute__((noinline, cold, unused))

typedef double vec __attribute__((vector_size(8 * PG_LANES)));
typedef __typeof__((vec){0} < (vec){0}) ivec; /* int64, which may be long or long long */
typedef uint64_t uvec __attribute__((vector_size(8 * PG_LANES)));

/* hi + lo: more digits than a double has */
typedef struct {
  vec hi, lo;
} vec_pair;

/* Helpers */

PG_INLINE vec v_load(const double *from) {
  vec x;
  memcpy(&x, from, sizeof x);
  return x;
}

PG_INLINE void v_store(double *to, vec x) { memcpy(to, &x, sizeof x); }

/* x in all lanes. It is x - 0, since x + 0 loses the sign of -0. */
PG_INLINE vec v_splat(double x) { return x - (vec){0}; }

PG_INLINE vec v_select(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }

PG_INLINE int v_any(ivec mask) {
  int64_t any = 0;
  for (int i = 0; i < PG_LANES; i++) {
    any |= mask[i];
  }
  return any != 0;
}

PG_INLINE vec v_fabs(vec x) { return (vec)((uvec)x & UINT64_MAX >> 1); }

PG_INLINE vec v_copysign(vec x, vec sign) { return (vec)((uvec)v_fabs(x) | ((uvec)sign & ~(UINT64_MAX >> 1))); }

/* With -fno-math-errno, compilers turn the loop, and that of v_fma, into one instruction; but GCC takes long to
 * see that. */
PG_INLINE vec v_sqrt(vec x) {
#if !defined __clang__ && defined __AVX512F__ && PG_LANES == 8
  return __builtin_ia32_sqrtpd512_mask(x, x, (char)-1, 4); /* in the current rounding mode */
#elif !defined __clang__ && defined __AVX__ && PG_LANES == 4
  return __builtin_ia32_sqrtpd256(x);
#elif !defined __clang__ && defined __SSE2__ && PG_LANES == 2
  return __builtin_ia32_sqrtpd(x);
#else
  vec root;
  for (int i = 0; i < PG_LANES; i++) {
    root[i] = __builtin_sqrt(x[i]);
  }
  return root;
#endif
}

/* a * b + c, rounded once where that is faster. GCC before 12 would do it lane by lane, which is not. */
PG_INLINE vec v_fma(vec a, vec b, vec c) {
#if defined PG_FMA && !defined __clang__ && PG_LANES == 8
  return __builtin_ia32_vfmaddpd512_mask(a, b, c, 0xFF, 4); /* in the current rounding mode */
#elif defined PG_FMA && !defined __clang__ && defined __x86_64__ && PG_LANES == 4
  return __builtin_ia32_vfmaddpd256(a, b, c);
#elif defined PG_FMA && !defined __clang__ && defined __x86_64__ && PG_LANES == 2
  return __builtin_ia32_vfmaddpd(a, b, c);
#elif defined PG_FMA && (defined __clang__ || __GNUC__ >= 12)
  vec sum;
  for (int i = 0; i < PG_LANES; i++) {
    sum[i] = __builtin_fma(a[i], b[i], c[i]);
  }
  return sum;
#else
  return a * b + c;
#endif
}

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1): Horner's rule for the even powers and for the odd ones, two chains
 * that do not wait for each other. */
PG_INLINE vec v_poly(vec x, int n, const double *c) {
  const vec xx = x * x;
  vec odd = v_splat(c[n - 1]), even = v_splat(c[n - 2]);
#pragma GCC unroll 16
  for (int i = n - 3; i >= 0; i--) {
    const vec next = v_fma(odd, xx, v_splat(c[i]));
    odd = even;
    even = next;
  }
  return v_fma(odd, x, even);
}

/* a + b and what its rounding loses: exact if |a| >= |b|, or if a is a multiple of b's last place (Dekker). */
PG_INLINE vec_pair v_sum(vec a, vec b) {
  const vec hi = a + b;
  return (vec_pair){hi, (a - hi) + b};
}

/* The same for any a and b (Knuth, The Art of Computer Programming, volume 2, 4.2.2). */
PG_INLINE vec_pair v_two_sum(vec a, vec b) {
  const vec hi = a + b, from_b = hi - a;
  return (vec_pair){hi, (a - (hi - from_b)) + (b - from_b)};
}

/* x without its last 27 bits: a product of two heads is exact. */
PG_INLINE vec v_head(vec x) { return (vec)((uvec)x & UINT64_MAX << 27); }

/* n / d, good to some 75 bits: the head of a rounded quotient, and the remainder over d. */
PG_INLINE vec_pair v_quotient(vec_pair n, vec_pair d) {
  const vec inverse = 1.0 / d.hi, hi = v_head(n.hi * inverse);
  const vec d_head = v_head(d.hi), d_tail = (d.hi - d_head) + d.lo;
  const vec remainder = ((n.hi - hi * d_head) - hi * d_tail) + n.lo;
  return (vec_pair){hi, remainder * inverse};
}

/* exp, tanh and sigmoid */

/* ln 2 in two parts, the first with so few bits that k times it is exact */
#define PG_LN2_HI 0x1.62e42fefa3800p-1
#define PG_LN2_LO 0x1.ef35793c76730p-45

/* 2^k (1 + m), where n holds k + 2046 in its last 12 bits */
typedef struct {
  vec_pair m;
  uvec n;
} vec_scaled;

/* e^(x + low) for -746 <= x <= 710, with |m| < 0.42: m = r + r^2/2 + r^3 P(r) where r = x + low - k ln 2.
 * x - k LN2_HI is exact (Cody and Waite), and becomes m's hi. The last place of 0x1.8p52 is 1, so adding it
 * rounds to an integer. */
PG_INLINE vec_scaled v_exp_pair(vec x, vec low) {
  static const double c[] = {0x1.5555555555559p-3,  0x1.5555555555559p-5,  0x1.111111110f678p-7,
                             0x1.6c16c16c149fap-10, 0x1.a01a01b0029e3p-13, 0x1.a01a01af92621p-16,
                             0x1.71ddf7f8e19a9p-19, 0x1.27e4c75c1f210p-22, 0x1.af5f7609adec0p-26,
                             0x1.1f93656366f80p-29};
  const vec shift = v_splat(0x1.8p52 + 2046), log2_e = v_splat(0x1.71547652b82fep+0);
  const vec shifted = v_fma(x, log2_e, shift), k = shifted - shift;
  const vec hi = v_fma(k, v_splat(-PG_LN2_HI), x), lo = v_fma(k, v_splat(-PG_LN2_LO), low);
  const vec r = hi + lo, cubed = v_fma(r * r * r, v_poly(r, 10, c), lo);
  return (vec_scaled){{hi, v_fma(0.5 * r, r, cubed)}, (uvec)shifted};
}

PG_INLINE vec_pair v_one_plus(vec_pair m) {
  const vec_pair s = v_sum(v_splat(1), m.hi);
  return v_sum(s.hi, s.lo + m.lo);
}

/* 2^k for -1022 <= k <= 1023 */
PG_INLINE vec v_power_of_2(uvec n) { return (vec)((n - 1023) << 52); }

/* 2^k x for any k, in two halves, since 2^k may be too large or too small for a double. */
PG_INLINE vec v_scale(vec x, uvec n) {
  const uvec half = n >> 1;
  return x * (vec)(half << 52) * (vec)((n - half) << 52);
}

PG_INLINE vec v_exp(vec x) {
  x = v_select(x > 710.0, v_splat(710), x);
  x = v_select(x < -746.0, v_splat(-746), x);
  const vec_scaled e = v_exp_pair(x, (vec){0});
  return v_scale(v_one_plus(e.m).hi, e.n);
}

/* -E / (2 + E) where E = e^(-2|x|) - 1 = (2^k - 1) + 2^k m. From 20 on it is 1. */
PG_INLINE vec v_tanh(vec x) {
  const vec y = -2.0 * v_fabs(x);
  const vec_scaled e = v_exp_pair(v_select(y < -40.0, v_splat(-40), y), (vec){0});
  const vec power = v_power_of_2(e.n);
  const vec_pair less_1 = v_sum(v_splat(-1), power), lead = v_sum(less_1.hi, power * e.m.hi);
  const vec_pair n = v_sum(lead.hi, lead.lo + (less_1.lo + power * e.m.lo));
  const vec_pair d = v_sum(v_splat(2), n.hi);
  const vec_pair q = v_quotient(n, (vec_pair){d.hi, d.lo + n.lo});
  return v_copysign(q.hi + q.lo, x);
}

/* 1 / (1 + E), or E / (1 + E) if x < 0, where E = e^-|x| = 2^k (1 + m). The numerator is multiplied by 2^k
 * last, so that subnormal results are rounded once. */
PG_INLINE vec v_sigmoid(vec x) {
  const ivec negative = x < 0.0;
  const vec y = -v_fabs(x), one = v_splat(1);
  const vec_scaled e = v_exp_pair(v_select(y < -746.0, v_splat(-746), y), (vec){0});
  const vec power = v_scale(one, e.n);
  const vec_pair m = v_one_plus(e.m), d = v_sum(one, power * m.hi);
  const vec_pair n = {v_select(negative, m.hi, one), (vec)(negative & (ivec)m.lo)};
  const vec_pair q = v_quotient(n, (vec_pair){d.hi, d.lo + power * m.lo});
  return v_scale(q.hi + q.lo, ((uvec)negative & e.n) | (~(uvec)negative & 2046));
}

/* log and pow */

typedef struct {
  vec k, m;
} vec_split;

/* x = 2^k m with least <= m < 2 least, given the bits of least, for x finite and positive. An integer below
 * 2^52 becomes a double by setting the exponent to that of 2^52, and subtracting 2^52. */
PG_INLINE vec_split v_split(vec x, uint64_t least) {
  const uint64_t one = UINT64_C(1) << 52; /* in the exponent */
  const ivec subnormal = x < 0x1p-1022;
  const vec bias = v_select(subnormal, v_splat(0x1p52 + 1024 + 54), v_splat(0x1p52 + 1024));
  const uvec bits = (uvec)v_select(subnormal, 0x1p54 * x, x) + (1024 * one - least);
  const vec k = (vec)((bits >> 52) | (uvec)v_splat(0x1p52)) - bias;
  return (vec_split){k, (vec)((bits & (one - 1)) + least)};
}

/* k ln 2 + log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2). With s = f / (2 + f), the second is log((1 + s) / (1 - s))
 * = 2s + s R = f - (f^2/2 - s (f^2/2 + R)), where R is even. k ln 2 + f is a sum of two doubles, without
 * error. */
PG_INLINE vec_pair v_log_parts(vec x) {
  static const double c[] = {0x1.555555555557cp-1, 0x1.9999999985761p-2, 0x1.2492493dddb4cp-2,
                             0x1.c71c54e4d214fp-3, 0x1.7465b9773cb90p-3, 0x1.39adf062daeb1p-3,
                             0x1.2e94080011391p-3};
  const vec_split p = v_split(x, 0x3fe6a09e667f3bcd);
  const vec f = p.m - 1.0, half = 0.5 * f, s = f / (p.m + 1.0), z = s * s;
  const vec with_r = v_fma(z, v_poly(z, 7, c), half * f);
  const vec_pair lead = v_sum(p.k * PG_LN2_HI, f);
  return (vec_pair){lead.hi, lead.lo - v_fma(half, f, -v_fma(s, with_r, p.k * PG_LN2_LO))};
}

PG_INLINE vec v_log(vec x) {
  const vec_pair log_x = v_log_parts(x);
  vec y = log_x.hi + log_x.lo;
  y = v_select(x < HUGE_VAL, y, x); /* else inf or nan */
  y = v_select(x < 0.0, v_splat((double)NAN), y);
  return v_select(x == 0.0, v_splat(-HUGE_VAL), y);
}

/* max(x, 0) + log(1 + E) where E = e^-|x| = 2^k (1 + m). 1 + E is a pair u, of which log takes the hi: the lo
 * adds lo / hi. Below 2^-30, where u has too few digits of E, log(1 + E) is E - E^2/2. */
PG_INLINE vec v_softplus(vec x) {
  const vec y = -v_fabs(x), one = v_splat(1);
  const vec_scaled e = v_exp_pair(v_select(y < -746.0, v_splat(-746), y), (vec){0});
  const vec power = v_scale(one, e.n);
  const vec_pair m = v_one_plus(e.m), big_e = {power * m.hi, power * m.lo};
  const vec_pair u = v_sum(one, big_e.hi), log_u = v_log_parts(u.hi);
  const ivec tiny = big_e.hi < 0x1p-30;
  const vec_pair log_1_e = {
      v_select(tiny, big_e.hi, log_u.hi),
      v_select(tiny, big_e.lo - 0.5 * big_e.hi * big_e.hi, log_u.lo + (u.lo + big_e.lo) / u.hi)};
  const vec_pair lead = v_two_sum(v_select(x > 0.0, x, (vec){0}), log_1_e.hi);
  const vec sum = lead.hi + (lead.lo + log_1_e.lo);
  return v_select(x < HUGE_VAL, sum, x); /* else inf or nan */
}

/* log x, good to some 67 bits, its hi a head: k ln 2 + log b + 2/3 s (3 + s^2 + s^4 P(s^2)) where b = 1 or 1.5
 * and s = (m - b) / (m + b), which is 0.1 at most. A first approximation in doubles gives the heads; then
 * what they leave is computed. So few steps have to wait for others. */
PG_INLINE vec_pair v_log_pair(vec x) {
  static const double c[] = {0x1.3333333333328p-1, 0x1.b6db6db6ea556p-2, 0x1.5555552e6a4c3p-2,
                             0x1.1745fd52092a6p-2, 0x1.d86c77dbeab9ap-3, 0x1.a6ffbdddaa732p-3};
  const vec_split p = v_split(x, 0x3febb67ae8584caa); /* sqrt(3/4) */
  const ivec upper = p.m > 0x1.3988e1409212ep+0;      /* sqrt(3/2) */
  const vec b = v_select(upper, v_splat(1.5), v_splat(1)), f = p.m - b;
  const vec log_b_hi = (vec)(upper & (ivec)v_splat(0x1.9f323ecbf9000p-2));
  const vec log_b_lo = (vec)(upper & (ivec)v_splat(0x1.097e56d1aecdfp-43));
  const vec lead = v_fma(p.k, v_splat(PG_LN2_HI), log_b_hi); /* exact */
  const vec_pair d = v_sum(b, p.m);

  const vec s_try = f * (1.0 / d.hi), z_try = s_try * s_try, series = v_poly(z_try, 6, c);
  const vec t = v_head(3.0 + v_fma(z_try * z_try, series, z_try)), st = v_head(s_try * t);
  const vec last = 0x1.5555550000000p-1 * st, hi = v_head(lead + last);

  const vec_pair s = v_quotient((vec_pair){f, (vec){0}}, d);
  const vec z = s.hi * s.hi, z_lo = s.lo * (2.0 * s.hi + s.lo), zz = z + z_lo;
  const vec t_lo = v_fma(zz * zz, series, (z - (t - 3.0)) + z_lo);
  const vec st_lo = v_fma(t_lo, s.hi + s.lo, v_fma(s.lo, t, s.hi * t - st));
  const vec rest = v_fma(st, v_splat(0x1.5555555555555p-27), (last - (hi - lead)) + log_b_lo);
  const vec lo = v_fma(p.k, v_splat(PG_LN2_LO), rest);
  return (vec_pair){hi, v_fma(st_lo, v_splat(0x1.5555555555555p-1), lo)};
}

/* Not inlined, and with pointers to copies, so that the loop around the call does not have to spill registers.
 */
PG_SLOW void v_pow_lanes(const ivec *good, const vec *x, const vec *y, vec *z) {
  for (int i = 0; i < PG_LANES; i++) {
    if (!(*good)[i]) {
      (*z)[i] = pow((*x)[i], (*y)[i]);
    }
  }
}

PG_INLINE vec v_pow_slow(ivec good, vec x, vec y, vec z) {
  v_pow_lanes(&good, &x, &y, &z);
  return z;
}

/* e^(y log|x|), with x's sign if y is odd; the last bit of y + 2^52 is y's. libm does infinities, nans,
 * overflow, underflow, 0 to a negative power, negative numbers to a power that is not an integer, and huge y.
 */
PG_INLINE vec v_pow(vec x, vec y) {
  const vec size = v_fabs(x), shifted = v_fabs(y) + 0x1p52, y_head = v_head(y);
  const ivec zero = (size == 0.0) & (y > 0.0), integer = shifted - 0x1p52 == v_fabs(y);
  const vec_pair log_x = v_log_pair(size);
  const vec hi = (vec)(~zero & (ivec)(y_head * log_x.hi));
  const vec lo = v_fma(y, log_x.lo, (y - y_head) * log_x.hi);
  const vec_scaled e = v_exp_pair(hi, lo);
  const ivec z = ~zero & (ivec)(v_one_plus(e.m).hi * v_power_of_2(e.n));
  const ivec sign = integer & (ivec)x & (ivec)((uvec)shifted << 63);
  const ivec good = (v_fabs(hi) < 708.0) & (size < HUGE_VAL) & (shifted < 0x1p53) &
                    ((size > 0.0) | (y >= 0.0)) & ((x >= 0.0) | integer);
  const vec result = (vec)(z | sign);
  return __builtin_expect(v_any(~good), 0) ? v_pow_slow(good, x, y, result) : result;
}

/* sin and cos */

PG_SLOW void v_sin_lanes(double (*f)(double), const ivec *good, const vec *x, vec *y) {
  for (int i = 0; i < PG_LANES; i++) {
    if (!(*good)[i]) {
      (*y)[i] = f((*x)[i]);
    }
  }
}

PG_INLINE vec v_sin_slow(double (*f)(double), ivec good, vec x, vec y) {
  v_sin_lanes(f, &good, &x, &y);
  return y;
}

/* x - k pi/2 for 0 <= k < 2^17: pi/2 is in three parts, the first two so short that k times them is exact (Cody
 * and Waite), and so is the first difference. */
PG_INLINE vec_pair v_less_quarters(vec x, vec k) {
  const vec_pair r = v_sum(x - k * 0x1.921fb54440000p+0, k * -0x1.68c234c4c0000p-39);
  return v_sum(r.hi, r.lo - k * 0x1.98a2e03707345p-77);
}

/* r - r^3/6 + r^5 P(r^2) where |r| <= pi/4 and z = r^2; r's lo matters times the slope, 1 - r^2/2. */
PG_INLINE vec v_sin_near_0(vec_pair r, vec z) {
  static const double c[] = {0x1.111111110fd03p-7, -0x1.a01a019c823b6p-13, 0x1.71de35c7f2e31p-19,
                             -0x1.ae5e9bc77ad40p-26, 0x1.5da095fab8df4p-33};
  const vec cube = r.hi * z, low = r.lo - 0.5 * z * r.lo;
  const vec rest = v_fma(cube * z, v_poly(z, 5, c), low);
  return r.hi + v_fma(cube, v_splat(-0x1.555555555554dp-3), rest);
}

/* 1 - r^2/2 + r^4 P(r^2), where the slope is -r. */
PG_INLINE vec v_cos_near_0(vec_pair r, vec z) {
  static const double c[] = {0x1.5555555555553p-5,   -0x1.6c16c16c15eb2p-10, 0x1.a01a019dcd396p-16,
                             -0x1.27e4f8be3d8a3p-22, 0x1.1eea59c86763dp-29,  -0x1.8fe253640b5a0p-37};
  const vec_pair lead = v_sum(v_splat(1), -0.5 * z);
  return lead.hi + (lead.lo + v_fma(z * z, v_poly(z, 6, c), -r.hi * r.lo));
}

/* sin(x + turn pi/2) for 0 <= x <= 2e5. In odd quadrants it is the cosine of the remainder; in the third
 * and fourth it is negative. */
PG_INLINE vec v_sin_turned(vec x, uint64_t turn) {
  const vec shift = v_splat(0x1.8p52), two_over_pi = v_splat(0x1.45f306dc9c883p-1);
  const vec shifted = v_fma(x, two_over_pi, shift);
  const vec_pair r = v_less_quarters(x, shifted - shift);
  const vec z = r.hi * r.hi;
  const uvec quadrant = (uvec)shifted + turn;
  const vec y = v_select((ivec)(0 - (quadrant & 1)), v_cos_near_0(r, z), v_sin_near_0(r, z));
  return (vec)((uvec)y ^ (quadrant & 2) << 62);
}

PG_INLINE vec v_sin(vec x) {
  const vec size = v_fabs(x), y = v_sin_turned(size, 0);
  const vec result = (vec)((uvec)y ^ ((uvec)x & ~(UINT64_MAX >> 1))); /* sin -x = -sin x */
  const ivec good = size <= 2e5;
  return __builtin_expect(v_any(~good), 0) ? v_sin_slow(sin, good, x, result) : result;
}

PG_INLINE vec v_cos(vec x) {
  const vec size = v_fabs(x), result = v_sin_turned(size, 1);
  const ivec good = size <= 2e5;
  return __builtin_expect(v_any(~good), 0) ? v_sin_slow(cos, good, x, result) : result;
}

#pragma GCC diagnostic pop
