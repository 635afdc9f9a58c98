/* optim.c: the optimizers: updates of parameters in place. */
#include <string.h>

#include "graph/trace.h"
#include "pymath.h"

/* Parameters are updated a few at a time, in the lanes of vectors. Their numbers are scattered over the arena:
 * so they go from there to a vector, and back, one by one, but never through an array in between. (A processor
 * that loads a vector soon after its parts were stored one by one waits until all of them are in its cache.) */
enum { LANES = 4 };
typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));

/* Compiles a function once for AVX2 and once for any machine, and chooses when the program starts, where
 * compiler and system can. Both give the same bits, since neither contracts a * b + c. */
#ifndef FOR_EACH_MACHINE
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__)
#define FOR_EACH_MACHINE __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_MACHINE
#endif
#endif

/* The parameters in the lanes. */
#define LANES_OF(p, field) ((lanes){(p)[0]->field, (p)[1]->field, (p)[2]->field, (p)[3]->field})

PG_INLINE void store_data(pg_node *const *p, const lanes *data) {
#pragma GCC unroll 4
  for (size_t i = 0; i < LANES; i++) {
    p[i]->data = (*data)[i];
    p[i]->flags |= PG_FLOAT;
  }
}

/* Finds the next parameters, of n. Where fewer are left than there are lanes, the other lanes get a node that
 * stands for none. Returns how many there are. */
PG_INLINE size_t find(pg_node **p, size_t n, const pg_id *ids, pg_node *none) {
#pragma GCC unroll 4
  for (size_t i = 0; i < LANES; i++) {
    p[i] = i < n ? pg_node_at(ids[i]) : none;
  }
  return n < LANES ? n : LANES;
}

/* Numbers of a buffer that may be NULL: those of the parameters from `at` on, and the last few in and out of
 * lanes. */
PG_INLINE double *from(double *buffer, size_t at) { return buffer ? buffer + at : NULL; }

PG_INLINE double *take(double *in_lanes, const double *buffer, size_t at, size_t count) {
  if (buffer) {
    memcpy(in_lanes, buffer + at, count * sizeof *buffer);
  }
  return buffer ? in_lanes : NULL;
}

PG_INLINE void put_back(double *buffer, size_t at, const double *in_lanes, size_t count) {
  if (buffer) {
    memcpy(buffer + at, in_lanes, count * sizeof *buffer);
  }
}

/* What ready() says of parameters of one leaf each, which is one pass over them. */
static int all_ready(size_t n, const pg_id *ids) {
  int flags = 0;
  bool reached = true;
#pragma GCC unroll 4
  for (size_t i = 0; i < n; i++) {
    if (!pg_is_live(ids[i])) {
      return PG_STALE;
    }
    const pg_node *leaf = pg_node_at(ids[i]);
    flags |= leaf->flags;
    reached &= pg_is_reached(leaf);
  }
  const int status = flags & PG_TRACED ? pg_all_usable(n, ids) : PG_OK;
  return status || reached ? status : PG_SOME_UNREACHED;
}

/* Whether a step may update leaves: PG_OK; PG_SOME_UNREACHED if a parameter was not reached; or a status. */
static int ready(size_t n, const pg_id *ids, size_t parameters, const uint32_t *sizes) {
  if (parameters == n) {
    return all_ready(n, ids);
  }
  const int status = pg_all_usable(n, ids);
  for (size_t i = 0; i < parameters && !status; ids += sizes[i++]) {
    if (!pg_any_reached(sizes[i], ids)) {
      return PG_SOME_UNREACHED;
    }
  }
  return status;
}

/* SGD ---------------------------------------------------------------------------------------------------- */

/* One step for the parameters in the lanes; `velocity` may be NULL. */
PG_INLINE void sgd_lanes(const pg_sgd *s, pg_node *const *p, double *velocity) {
  lanes data = LANES_OF(p, data), grad = (s->maximize ? -1.0 : 1.0) * LANES_OF(p, grad);
  if (s->weight_decay != 0) {
    grad += s->weight_decay * data;
  }
  if (velocity) {
    const double kept = s->first ? 0 : s->momentum, added = s->first ? 1 : 1 - s->dampening;
    lanes v;
    memcpy(&v, velocity, sizeof v);
    v = kept * v + added * grad;
    memcpy(velocity, &v, sizeof v);
    grad = s->nesterov ? grad + s->momentum * v : v;
  }
  data -= s->lr * grad;
  store_data(p, &data);
}

FOR_EACH_MACHINE
static void sgd_all(const pg_sgd *sgd, size_t n, const pg_id *ids, double *velocity) {
  const pg_sgd s = *sgd;
  pg_node *p[LANES], none = {0};
  size_t at = 0;
  for (; n - at >= LANES; at += LANES) {
    find(p, LANES, ids + at, NULL);
    sgd_lanes(&s, p, from(velocity, at));
  }
  double v[LANES] = {0};
  const size_t left = find(p, n - at, ids + at, &none);
  sgd_lanes(&s, p, take(v, velocity, at, left));
  put_back(velocity, at, v, left);
}

int pg_sgd_step(const pg_sgd *sgd, size_t n, const pg_id *ids, double *velocity) {
  assert(velocity || sgd->momentum == 0);
  pg_lock();
  const int status = ready(n, ids, sgd->parameters, sgd->sizes);
  if (!status) {
    sgd_all(sgd, n, ids, velocity);
  }
  pg_unlock();
  return status;
}

/* Adam --------------------------------------------------------------------------------------------------- */

/* The constants of one step, the same for all parameters. */
typedef struct {
  double beta1, beta2, eps, added, decay, rate, scale;
} adam_step;

/* One step for the parameters in the lanes; `largest` may be NULL. */
PG_INLINE void adam_lanes(const adam_step *s, double sign, pg_node *const *p, double *mean, double *square,
                          double *largest) {
  lanes data = LANES_OF(p, data), grad = sign * LANES_OF(p, grad), m, v;
  memcpy(&m, mean, sizeof m);
  memcpy(&v, square, sizeof v);
  grad += s->added * data;
  m = s->beta1 * m + (1 - s->beta1) * grad;
  v = s->beta2 * v + (1 - s->beta2) * grad * grad;
  memcpy(mean, &m, sizeof m);
  memcpy(square, &v, sizeof v);
  if (largest) {
    for (size_t i = 0; i < LANES; i++) {
      v[i] = largest[i] = largest[i] >= v[i] ? largest[i] : v[i];
    }
  }
  v *= s->scale;
  const lanes root = {sqrt(v[0]), sqrt(v[1]), sqrt(v[2]), sqrt(v[3])}; /* one instruction, where there is one */
  data = s->decay * data - s->rate * m / (root + s->eps);
  store_data(p, &data);
}

PG_INLINE void adam_each(const adam_step s, double sign, size_t n, const pg_id *ids, double *mean,
                         double *square, double *largest) {
  pg_node *p[LANES], none = {0};
  size_t at = 0;
  for (; n - at >= LANES; at += LANES) {
    find(p, LANES, ids + at, NULL);
    adam_lanes(&s, sign, p, mean + at, square + at, from(largest, at));
  }
  double m[LANES] = {0}, v[LANES] = {0}, l[LANES] = {0};
  const size_t left = find(p, n - at, ids + at, &none);
  adam_lanes(&s, sign, p, take(m, mean, at, left), take(v, square, at, left), take(l, largest, at, left));
  put_back(mean, at, m, left);
  put_back(square, at, v, left);
  put_back(largest, at, l, left);
}

/* Plain Adam has a loop of its own, as what the others add would slow it down. */
FOR_EACH_MACHINE
static void adam_all(const adam_step *step, bool maximize, size_t n, const pg_id *ids, double *mean,
                     double *square, double *largest) {
  if (largest || maximize) {
    adam_each(*step, maximize ? -1 : 1, n, ids, mean, square, largest);
  } else {
    adam_each(*step, 1, n, ids, mean, square, NULL);
  }
}

int pg_adam_step(const pg_adam *adam, uint64_t t, size_t n, const pg_id *ids, double *mean, double *square,
                 double *largest) {
  assert(t > 0);
  const adam_step s = {
      .beta1 = adam->beta1,
      .beta2 = adam->beta2,
      .eps = adam->eps,
      .added = adam->decoupled ? 0 : adam->weight_decay,
      .decay = adam->decoupled ? 1 - adam->lr * adam->weight_decay : 1,
      .rate = adam->lr / (1 - pow(adam->beta1, (double)t)),
      .scale = 1 / (1 - pow(adam->beta2, (double)t)),
  };
  pg_lock();
  const int status = ready(n, ids, adam->parameters, adam->sizes);
  if (!status) {
    adam_all(&s, adam->maximize, n, ids, mean, square, largest);
  }
  pg_unlock();
  return status;
}

/* RMSprop ------------------------------------------------------------------------------------------------ */

/* One step for the parameters in the lanes; `mean` and `velocity` may be NULL. */
PG_INLINE void rmsprop_lanes(const pg_rmsprop *s, pg_node *const *p, double *square, double *mean,
                             double *velocity) {
  lanes data = LANES_OF(p, data), grad = (s->maximize ? -1.0 : 1.0) * LANES_OF(p, grad), v, m;
  memcpy(&v, square, sizeof v);
  grad += s->weight_decay * data;
  v = s->alpha * v + (1 - s->alpha) * grad * grad;
  memcpy(square, &v, sizeof v);
  if (mean) {
    memcpy(&m, mean, sizeof m);
    m += (1 - s->alpha) * (grad - m);
    memcpy(mean, &m, sizeof m);
    v -= m * m;
  }
  const lanes root = {sqrt(v[0]), sqrt(v[1]), sqrt(v[2]), sqrt(v[3])};
  lanes step = grad / (root + s->eps);
  if (velocity) {
    memcpy(&m, velocity, sizeof m);
    step += s->momentum * m;
    memcpy(velocity, &step, sizeof step);
  }
  data -= s->lr * step;
  store_data(p, &data);
}

FOR_EACH_MACHINE
static void rmsprop_all(const pg_rmsprop *rmsprop, size_t n, const pg_id *ids, double *square, double *mean,
                        double *velocity) {
  const pg_rmsprop s = *rmsprop;
  pg_node *p[LANES], none = {0};
  size_t at = 0;
  for (; n - at >= LANES; at += LANES) {
    find(p, LANES, ids + at, NULL);
    rmsprop_lanes(&s, p, square + at, from(mean, at), from(velocity, at));
  }
  double q[LANES] = {0}, m[LANES] = {0}, v[LANES] = {0};
  const size_t left = find(p, n - at, ids + at, &none);
  rmsprop_lanes(&s, p, take(q, square, at, left), take(m, mean, at, left), take(v, velocity, at, left));
  put_back(square, at, q, left);
  put_back(mean, at, m, left);
  put_back(velocity, at, v, left);
}

int pg_rmsprop_step(const pg_rmsprop *rmsprop, size_t n, const pg_id *ids, double *square, double *mean,
                    double *velocity) {
  assert(velocity || rmsprop->momentum == 0);
  pg_lock();
  const int status = ready(n, ids, rmsprop->parameters, rmsprop->sizes);
  if (!status) {
    rmsprop_all(rmsprop, n, ids, square, mean, velocity);
  }
  pg_unlock();
  return status;
}
