/* vmath.h: exp, log, pow, tanh, sigmoid, sin and cos of PG_LANES doubles at once, in GCC's and clang's vectors.
 *
 * Whoever includes this file, once for each instruction set, has defined
 *
 *   PG_LANES    doubles in a vector: 2, 4 or 8
 *   PG_V(name)  a name of that inclusion's own, say name##_avx2
 *   PG_FMA      if the target multiplies and adds in one instruction; for speed only
 *
 * and gets the types PG_V(vec), doubles, and PG_V(ivec), int64 (a mask's are -1 or 0), and the functions below.
 *
 * All err by less than a unit in the last place (the most in 10^8 tries was 0.85), sqrt by half of one. Zeros,
 * infinities, nans, and what is too large or too small they take as C99 Annex F says, but errno and the
 * floating-point exceptions mean nothing. Rounding is to nearest, and a * b + c must not be contracted
 * (-ffp-contract=off). Then the bits of a result depend on the arguments in its lane and on PG_FMA, not on
 * PG_LANES or the machine, unless it is from libm.
 *
 * The methods are fdlibm's (Sun Microsystems, 1993), with neither tables nor branches, but for lanes that are
 * rare and difficult: those go to libm. Where a double is too short, there are two, as in T. J. Dekker, A
 * floating-point technique for extending the available precision, 1971. The polynomials are minimax ones, by
 * Remez's algorithm.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* How a vector is passed matters not: all that takes one is inlined. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

#define PG_VEC PG_V(vec)
#define PG_IVEC PG_V(ivec)
#define PG_UVEC PG_V(uvec)
#define PG_PAIR PG_V(pair)
#define PG_SLOW static __attribute__((noinline, cold, unused))

typedef double PG_VEC __attribute__((vector_size(8 * PG_LANES)));
typedef __typeof__((PG_VEC){0} < (PG_VEC){0}) PG_IVEC; /* int64, be it long or long long */
typedef uint64_t PG_UVEC __attribute__((vector_size(8 * PG_LANES)));

/* hi + lo, with more digits than a double has */
typedef struct {
  PG_VEC hi, lo;
} PG_PAIR;

/* Helpers */

PG_INLINE PG_VEC PG_V(load)(const double *from) {
  PG_VEC x;
  memcpy(&x, from, sizeof x);
  return x;
}

PG_INLINE void PG_V(store)(double *to, PG_VEC x) { memcpy(to, &x, sizeof x); }

/* x in all lanes: x - 0, for x + 0 would lose the sign of -0. */
PG_INLINE PG_VEC PG_V(splat)(double x) { return x - (PG_VEC){0}; }

PG_INLINE PG_VEC PG_V(select)(PG_IVEC mask, PG_VEC yes, PG_VEC no) {
  return (PG_VEC)((mask & (PG_IVEC)yes) | (~mask & (PG_IVEC)no));
}

PG_INLINE int PG_V(any)(PG_IVEC mask) {
  int64_t any = 0;
  for (int i = 0; i < PG_LANES; i++) {
    any |= mask[i];
  }
  return any != 0;
}

PG_INLINE PG_VEC PG_V(fabs)(PG_VEC x) { return (PG_VEC)((PG_UVEC)x & UINT64_MAX >> 1); }

PG_INLINE PG_VEC PG_V(copysign)(PG_VEC x, PG_VEC sign) {
  return (PG_VEC)((PG_UVEC)PG_V(fabs)(x) | ((PG_UVEC)sign & ~(UINT64_MAX >> 1)));
}

/* Given -fno-math-errno, compilers make one instruction of this loop, and of the next. */
PG_INLINE PG_VEC PG_V(sqrt)(PG_VEC x) {
  PG_VEC root;
  for (int i = 0; i < PG_LANES; i++) {
    root[i] = __builtin_sqrt(x[i]);
  }
  return root;
}

/* a * b + c, rounded once where that is faster: not if it is done lane by lane, as GCC before 12 would. */
PG_INLINE PG_VEC PG_V(fma)(PG_VEC a, PG_VEC b, PG_VEC c) {
#if defined PG_FMA && (defined __clang__ || __GNUC__ >= 12)
  PG_VEC sum;
  for (int i = 0; i < PG_LANES; i++) {
    sum[i] = __builtin_fma(a[i], b[i], c[i]);
  }
  return sum;
#else
  return a * b + c;
#endif
}

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1): Horner's rule for the even powers and for the odd ones, two chains
 * that run side by side. */
PG_INLINE PG_VEC PG_V(poly)(PG_VEC x, int n, const double *c) {
  const PG_VEC xx = x * x;
  PG_VEC odd = PG_V(splat)(c[n - 1]), even = PG_V(splat)(c[n - 2]);
#pragma GCC unroll 16
  for (int i = n - 3; i >= 0; i--) {
    const PG_VEC next = PG_V(fma)(odd, xx, PG_V(splat)(c[i]));
    odd = even;
    even = next;
  }
  return PG_V(fma)(odd, x, even);
}

/* a + b and what its rounding loses: exact if |a| >= |b|, or if a is a multiple of b's last place (Dekker). */
PG_INLINE PG_PAIR PG_V(sum)(PG_VEC a, PG_VEC b) {
  const PG_VEC hi = a + b;
  return (PG_PAIR){hi, (a - hi) + b};
}

/* x without its last 27 bits: a product of two heads is exact. */
PG_INLINE PG_VEC PG_V(head)(PG_VEC x) { return (PG_VEC)((PG_UVEC)x & UINT64_MAX << 27); }

/* n / d, good to some 75 bits: the head of a rounded quotient, and the remainder over d. */
PG_INLINE PG_PAIR PG_V(quotient)(PG_PAIR n, PG_PAIR d) {
  const PG_VEC inverse = 1.0 / d.hi, hi = PG_V(head)(n.hi * inverse);
  const PG_VEC d_head = PG_V(head)(d.hi), d_tail = (d.hi - d_head) + d.lo;
  const PG_VEC remainder = ((n.hi - hi * d_head) - hi * d_tail) + n.lo;
  return (PG_PAIR){hi, remainder * inverse};
}

/* exp, and what is made of it */

/* ln 2 in two parts, the first with so few bits that k times it is exact */
#define PG_LN2_HI 0x1.62e42fefa3800p-1
#define PG_LN2_LO 0x1.ef35793c76730p-45

/* 2^k (1 + m), where n holds k + 2046 in its last 12 bits */
typedef struct {
  PG_PAIR m;
  PG_UVEC n;
} PG_V(scaled);

/* e^(x + low) for -746 <= x <= 710, with |m| < 0.42: m = r + r^2/2 + r^3 P(r) where r = x + low - k ln 2. Exact
 * is x - k LN2_HI (Cody and Waite), which becomes m's hi. 0x1.8p52 has 1 as its last place, so adding it rounds
 * to an integer. */
PG_INLINE PG_V(scaled) PG_V(exp_pair)(PG_VEC x, PG_VEC low) {
  static const double c[] = {0x1.5555555555559p-3,  0x1.5555555555559p-5,  0x1.111111110f678p-7,
                             0x1.6c16c16c149fap-10, 0x1.a01a01b0029e3p-13, 0x1.a01a01af92621p-16,
                             0x1.71ddf7f8e19a9p-19, 0x1.27e4c75c1f210p-22, 0x1.af5f7609adec0p-26,
                             0x1.1f93656366f80p-29};
  const PG_VEC shift = PG_V(splat)(0x1.8p52 + 2046), log2_e = PG_V(splat)(0x1.71547652b82fep+0);
  const PG_VEC shifted = PG_V(fma)(x, log2_e, shift), k = shifted - shift;
  const PG_VEC hi = PG_V(fma)(k, PG_V(splat)(-PG_LN2_HI), x), lo = PG_V(fma)(k, PG_V(splat)(-PG_LN2_LO), low);
  const PG_VEC r = hi + lo, cubed = PG_V(fma)(r * r * r, PG_V(poly)(r, 10, c), lo);
  return (PG_V(scaled)){{hi, PG_V(fma)(0.5 * r, r, cubed)}, (PG_UVEC)shifted};
}

PG_INLINE PG_PAIR PG_V(one_plus)(PG_PAIR m) {
  const PG_PAIR s = PG_V(sum)(PG_V(splat)(1), m.hi);
  return PG_V(sum)(s.hi, s.lo + m.lo);
}

/* 2^k for -1022 <= k <= 1023 */
PG_INLINE PG_VEC PG_V(power_of_2)(PG_UVEC n) { return (PG_VEC)((n - 1023) << 52); }

/* 2^k x for any k: half of it, then the other, for 2^k may be no double, or a subnormal one. */
PG_INLINE PG_VEC PG_V(scale)(PG_VEC x, PG_UVEC n) {
  const PG_UVEC half = n >> 1;
  return x * (PG_VEC)(half << 52) * (PG_VEC)((n - half) << 52);
}

PG_INLINE PG_VEC PG_V(exp)(PG_VEC x) {
  x = PG_V(select)(x > 710.0, PG_V(splat)(710), x);
  x = PG_V(select)(x < -746.0, PG_V(splat)(-746), x);
  const PG_V(scaled) e = PG_V(exp_pair)(x, (PG_VEC){0});
  return PG_V(scale)(PG_V(one_plus)(e.m).hi, e.n);
}

/* -E / (2 + E) where E = e^(-2|x|) - 1 = (2^k - 1) + 2^k m. From 20 on it is 1. */
PG_INLINE PG_VEC PG_V(tanh)(PG_VEC x) {
  const PG_VEC y = -2.0 * PG_V(fabs)(x);
  const PG_V(scaled) e = PG_V(exp_pair)(PG_V(select)(y < -40.0, PG_V(splat)(-40), y), (PG_VEC){0});
  const PG_VEC power = PG_V(power_of_2)(e.n);
  const PG_PAIR less_1 = PG_V(sum)(PG_V(splat)(-1), power), lead = PG_V(sum)(less_1.hi, power * e.m.hi);
  const PG_PAIR n = PG_V(sum)(lead.hi, lead.lo + (less_1.lo + power * e.m.lo));
  const PG_PAIR d = PG_V(sum)(PG_V(splat)(2), n.hi);
  const PG_PAIR q = PG_V(quotient)(n, (PG_PAIR){d.hi, d.lo + n.lo});
  return PG_V(copysign)(q.hi + q.lo, x);
}

/* 1 / (1 + E), or E / (1 + E) if x < 0, where E = e^-|x| = 2^k (1 + m). The numerator's 2^k comes last, so that
 * subnormal results have all their digits. */
PG_INLINE PG_VEC PG_V(sigmoid)(PG_VEC x) {
  const PG_IVEC negative = x < 0.0;
  const PG_VEC y = -PG_V(fabs)(x), one = PG_V(splat)(1);
  const PG_V(scaled) e = PG_V(exp_pair)(PG_V(select)(y < -746.0, PG_V(splat)(-746), y), (PG_VEC){0});
  const PG_VEC power = PG_V(scale)(one, e.n);
  const PG_PAIR m = PG_V(one_plus)(e.m), d = PG_V(sum)(one, power * m.hi);
  const PG_PAIR n = {PG_V(select)(negative, m.hi, one), (PG_VEC)(negative & (PG_IVEC)m.lo)};
  const PG_PAIR q = PG_V(quotient)(n, (PG_PAIR){d.hi, d.lo + power * m.lo});
  return PG_V(scale)(q.hi + q.lo, ((PG_UVEC)negative & e.n) | (~(PG_UVEC)negative & 2046));
}

/* log and pow */

typedef struct {
  PG_VEC k, m;
} PG_V(parts);

/* x = 2^k m with least <= m < 2 least, given the bits of least, for x finite and positive. Beside the exponent
 * of 2^52, an integer is the fraction of 2^52 + itself. */
PG_INLINE PG_V(parts) PG_V(split)(PG_VEC x, uint64_t least) {
  const uint64_t one = UINT64_C(1) << 52; /* in the exponent */
  const PG_IVEC subnormal = x < 0x1p-1022;
  const PG_VEC bias = PG_V(select)(subnormal, PG_V(splat)(0x1p52 + 1024 + 54), PG_V(splat)(0x1p52 + 1024));
  const PG_UVEC bits = (PG_UVEC)PG_V(select)(subnormal, 0x1p54 * x, x) + (1024 * one - least);
  const PG_VEC k = (PG_VEC)((bits >> 52) | (PG_UVEC)PG_V(splat)(0x1p52)) - bias;
  return (PG_V(parts)){k, (PG_VEC)((bits & (one - 1)) + least)};
}

/* k ln 2 + log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2). With s = f / (2 + f), the second is log((1 + s) / (1 - s))
 * = 2s + s R = f - (f^2/2 - s (f^2/2 + R)), where R is even; k ln 2 + f is added up exactly. */
PG_INLINE PG_VEC PG_V(log)(PG_VEC x) {
  static const double c[] = {0x1.555555555557cp-1, 0x1.9999999985761p-2, 0x1.2492493dddb4cp-2,
                             0x1.c71c54e4d214fp-3, 0x1.7465b9773cb90p-3, 0x1.39adf062daeb1p-3,
                             0x1.2e94080011391p-3};
  const PG_V(parts) p = PG_V(split)(x, 0x3fe6a09e667f3bcd);
  const PG_VEC f = p.m - 1.0, half = 0.5 * f, s = f / (p.m + 1.0), z = s * s;
  const PG_VEC with_r = PG_V(fma)(z, PG_V(poly)(z, 7, c), half * f);
  const PG_PAIR lead = PG_V(sum)(p.k * PG_LN2_HI, f);
  PG_VEC y = lead.hi + (lead.lo - PG_V(fma)(half, f, -PG_V(fma)(s, with_r, p.k * PG_LN2_LO)));
  y = PG_V(select)(x < HUGE_VAL, y, x); /* else inf or nan */
  y = PG_V(select)(x < 0.0, PG_V(splat)((double)NAN), y);
  return PG_V(select)(x == 0.0, PG_V(splat)(-HUGE_VAL), y);
}

/* log x, good to some 67 bits, its hi a head: k ln 2 + log b + 2/3 s (3 + s^2 + s^4 P(s^2)) where b = 1 or 1.5
 * and s = (m - b) / (m + b), which is 0.1 at most. The heads are those of a first try in doubles, so that few
 * of the steps must wait for another; what they leave is found next. */
PG_INLINE PG_PAIR PG_V(log_pair)(PG_VEC x) {
  static const double c[] = {0x1.3333333333328p-1, 0x1.b6db6db6ea556p-2, 0x1.5555552e6a4c3p-2,
                             0x1.1745fd52092a6p-2, 0x1.d86c77dbeab9ap-3, 0x1.a6ffbdddaa732p-3};
  const PG_V(parts) p = PG_V(split)(x, 0x3febb67ae8584caa); /* sqrt(3/4) */
  const PG_IVEC upper = p.m > 0x1.3988e1409212ep+0;         /* sqrt(3/2) */
  const PG_VEC b = PG_V(select)(upper, PG_V(splat)(1.5), PG_V(splat)(1)), f = p.m - b;
  const PG_VEC log_b_hi = (PG_VEC)(upper & (PG_IVEC)PG_V(splat)(0x1.9f323ecbf9000p-2));
  const PG_VEC log_b_lo = (PG_VEC)(upper & (PG_IVEC)PG_V(splat)(0x1.097e56d1aecdfp-43));
  const PG_VEC lead = PG_V(fma)(p.k, PG_V(splat)(PG_LN2_HI), log_b_hi); /* exact */
  const PG_PAIR d = PG_V(sum)(b, p.m);

  const PG_VEC s_try = f * (1.0 / d.hi), z_try = s_try * s_try, series = PG_V(poly)(z_try, 6, c);
  const PG_VEC t = PG_V(head)(3.0 + PG_V(fma)(z_try * z_try, series, z_try)), st = PG_V(head)(s_try * t);
  const PG_VEC last = 0x1.5555550000000p-1 * st, hi = PG_V(head)(lead + last);

  const PG_PAIR s = PG_V(quotient)((PG_PAIR){f, (PG_VEC){0}}, d);
  const PG_VEC z = s.hi * s.hi, z_lo = s.lo * (2.0 * s.hi + s.lo), zz = z + z_lo;
  const PG_VEC t_lo = PG_V(fma)(zz * zz, series, (z - (t - 3.0)) + z_lo);
  const PG_VEC st_lo = PG_V(fma)(t_lo, s.hi + s.lo, PG_V(fma)(s.lo, t, s.hi * t - st));
  const PG_VEC rest = PG_V(fma)(st, PG_V(splat)(0x1.5555555555555p-27), (last - (hi - lead)) + log_b_lo);
  const PG_VEC lo = PG_V(fma)(p.k, PG_V(splat)(PG_LN2_LO), rest);
  return (PG_PAIR){hi, PG_V(fma)(st_lo, PG_V(splat)(0x1.5555555555555p-1), lo)};
}

/* A function of its own, and pointers to copies, keep what a call spills out of the loop around it. */
PG_SLOW void PG_V(pow_lanes)(const PG_IVEC *good, const PG_VEC *x, const PG_VEC *y, PG_VEC *z) {
  for (int i = 0; i < PG_LANES; i++) {
    if (!(*good)[i]) {
      (*z)[i] = pow((*x)[i], (*y)[i]);
    }
  }
}

PG_INLINE PG_VEC PG_V(pow_slow)(PG_IVEC good, PG_VEC x, PG_VEC y, PG_VEC z) {
  PG_V(pow_lanes)(&good, &x, &y, &z);
  return z;
}

/* e^(y log|x|), with x's sign if y is odd; y + 2^52 has y's last bit in its own. To libm go infinities and
 * nans, results too large or too small, 0 to a negative power, negative numbers to one that is no integer, and
 * huge y. */
PG_INLINE PG_VEC PG_V(pow)(PG_VEC x, PG_VEC y) {
  const PG_VEC size = PG_V(fabs)(x), shifted = PG_V(fabs)(y) + 0x1p52, y_head = PG_V(head)(y);
  const PG_IVEC zero = (size == 0.0) & (y > 0.0), integer = shifted - 0x1p52 == PG_V(fabs)(y);
  const PG_PAIR log_x = PG_V(log_pair)(size);
  const PG_VEC hi = (PG_VEC)(~zero & (PG_IVEC)(y_head * log_x.hi));
  const PG_VEC lo = PG_V(fma)(y, log_x.lo, (y - y_head) * log_x.hi);
  const PG_V(scaled) e = PG_V(exp_pair)(hi, lo);
  const PG_IVEC z = ~zero & (PG_IVEC)(PG_V(one_plus)(e.m).hi * PG_V(power_of_2)(e.n));
  const PG_IVEC sign = integer & (PG_IVEC)x & (PG_IVEC)((PG_UVEC)shifted << 63);
  const PG_IVEC good = (PG_V(fabs)(hi) < 708.0) & (size < HUGE_VAL) & (shifted < 0x1p53) &
                       ((size > 0.0) | (y >= 0.0)) & ((x >= 0.0) | integer);
  const PG_VEC result = (PG_VEC)(z | sign);
  return __builtin_expect(PG_V(any)(~good), 0) ? PG_V(pow_slow)(good, x, y, result) : result;
}

/* sin and cos */

PG_SLOW void PG_V(sin_lanes)(double (*f)(double), const PG_IVEC *good, const PG_VEC *x, PG_VEC *y) {
  for (int i = 0; i < PG_LANES; i++) {
    if (!(*good)[i]) {
      (*y)[i] = f((*x)[i]);
    }
  }
}

PG_INLINE PG_VEC PG_V(sin_slow)(double (*f)(double), PG_IVEC good, PG_VEC x, PG_VEC y) {
  PG_V(sin_lanes)(f, &good, &x, &y);
  return y;
}

/* x - k pi/2 for 0 <= k < 2^17: pi/2 is in three parts, the first two so short that k times them is exact (Cody
 * and Waite), and so is the first difference. */
PG_INLINE PG_PAIR PG_V(less_quarters)(PG_VEC x, PG_VEC k) {
  const PG_PAIR r = PG_V(sum)(x - k * 0x1.921fb54440000p+0, k * -0x1.68c234c4c0000p-39);
  return PG_V(sum)(r.hi, r.lo - k * 0x1.98a2e03707345p-77);
}

/* r - r^3/6 + r^5 P(r^2) where |r| <= pi/4 and z = r^2; r's lo matters times the slope, 1 - r^2/2. */
PG_INLINE PG_VEC PG_V(sin_near_0)(PG_PAIR r, PG_VEC z) {
  static const double c[] = {0x1.111111110fd03p-7, -0x1.a01a019c823b6p-13, 0x1.71de35c7f2e31p-19,
                             -0x1.ae5e9bc77ad40p-26, 0x1.5da095fab8df4p-33};
  const PG_VEC cube = r.hi * z, low = r.lo - 0.5 * z * r.lo;
  const PG_VEC rest = PG_V(fma)(cube * z, PG_V(poly)(z, 5, c), low);
  return r.hi + PG_V(fma)(cube, PG_V(splat)(-0x1.555555555554dp-3), rest);
}

/* 1 - r^2/2 + r^4 P(r^2), where the slope is -r. */
PG_INLINE PG_VEC PG_V(cos_near_0)(PG_PAIR r, PG_VEC z) {
  static const double c[] = {0x1.5555555555553p-5,   -0x1.6c16c16c15eb2p-10, 0x1.a01a019dcd396p-16,
                             -0x1.27e4f8be3d8a3p-22, 0x1.1eea59c86763dp-29,  -0x1.8fe253640b5a0p-37};
  const PG_PAIR lead = PG_V(sum)(PG_V(splat)(1), -0.5 * z);
  return lead.hi + (lead.lo + PG_V(fma)(z * z, PG_V(poly)(z, 6, c), -r.hi * r.lo));
}

/* sin(x + turn pi/2) for 0 <= x <= 2e5. In an odd quadrant it is the cosine of what is left, in the third and
 * fourth it is negative. */
PG_INLINE PG_VEC PG_V(sin_turned)(PG_VEC x, uint64_t turn) {
  const PG_VEC shift = PG_V(splat)(0x1.8p52), two_over_pi = PG_V(splat)(0x1.45f306dc9c883p-1);
  const PG_VEC shifted = PG_V(fma)(x, two_over_pi, shift);
  const PG_PAIR r = PG_V(less_quarters)(x, shifted - shift);
  const PG_VEC z = r.hi * r.hi;
  const PG_UVEC quadrant = (PG_UVEC)shifted + turn;
  const PG_VEC y = PG_V(select)((PG_IVEC)(0 - (quadrant & 1)), PG_V(cos_near_0)(r, z), PG_V(sin_near_0)(r, z));
  return (PG_VEC)((PG_UVEC)y ^ (quadrant & 2) << 62);
}

PG_INLINE PG_VEC PG_V(sin)(PG_VEC x) {
  const PG_VEC size = PG_V(fabs)(x), y = PG_V(sin_turned)(size, 0);
  const PG_VEC result = (PG_VEC)((PG_UVEC)y ^ ((PG_UVEC)x & ~(UINT64_MAX >> 1))); /* sin -x = -sin x */
  const PG_IVEC good = size <= 2e5;
  return __builtin_expect(PG_V(any)(~good), 0) ? PG_V(sin_slow)(sin, good, x, result) : result;
}

PG_INLINE PG_VEC PG_V(cos)(PG_VEC x) {
  const PG_VEC size = PG_V(fabs)(x), result = PG_V(sin_turned)(size, 1);
  const PG_IVEC good = size <= 2e5;
  return __builtin_expect(PG_V(any)(~good), 0) ? PG_V(sin_slow)(cos, good, x, result) : result;
}

#undef PG_LN2_HI
#undef PG_LN2_LO
#undef PG_SLOW
#undef PG_PAIR
#undef PG_UVEC
#undef PG_IVEC
#undef PG_VEC

#pragma GCC diagnostic pop
