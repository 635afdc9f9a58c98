/* optim.c: the optimizers: updates of parameters in place. */
#include <string.h>

#include "graph/arena.h"
#include "pymath.h"

/* Parameters are updated a slice at a time: their numbers, which are scattered over the arena, are gathered
 * into arrays first, so that the compiler can vectorize the rest. A last slice that is not full is computed
 * with whatever is in its unused entries; these are not written back. */
enum { SLICE = 64 };

/* Compiles a function once for AVX2 and once for any machine, and chooses when the program starts, where
 * compiler and system can. Both give the same bits, since neither contracts a * b + c. */
#ifndef FOR_EACH_MACHINE
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__)
#define FOR_EACH_MACHINE __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_MACHINE
#endif
#endif

typedef struct {
  size_t n;
  const pg_id *ids;
  double data[SLICE], grad[SLICE];
} slice;

/* Gathers up to SLICE parameters, all of them live. */
static void gather(slice *g, size_t n, const pg_id *ids) {
  g->n = n < SLICE ? n : SLICE;
  g->ids = ids;
  for (size_t i = 0; i < g->n; i++) {
    assert(pg_is_live(ids[i]));
    const pg_node *p = pg_node_at(ids[i]);
    g->data[i] = p->data;
    g->grad[i] = p->grad;
  }
}

/* Writes the data back. */
static void scatter(const slice *g) {
  for (size_t i = 0; i < g->n; i++) {
    pg_node_at(g->ids[i])->data = g->data[i];
  }
}

int pg_sgd_step(const pg_sgd *sgd, size_t n, const pg_id *ids, double *velocity) {
  const pg_sgd s = *sgd;
  assert(velocity || s.momentum == 0);
  slice g = {0};
  double v[SLICE] = {0};
  pg_lock();
  const bool live = pg_all_live(n, ids);
  for (size_t at = 0; at < n && live; at += SLICE) {
    gather(&g, n - at, ids + at);
    for (size_t i = 0; i < SLICE && s.weight_decay != 0; i++) {
      g.grad[i] += s.weight_decay * g.data[i];
    }
    if (velocity) {
      memcpy(v, velocity + at, g.n * sizeof *v);
      const double kept = s.first ? 0 : s.momentum, added = s.first ? 1 : 1 - s.dampening;
      for (size_t i = 0; i < SLICE; i++) {
        v[i] = kept * v[i] + added * g.grad[i];
        g.grad[i] = s.nesterov ? g.grad[i] + s.momentum * v[i] : v[i];
      }
      memcpy(velocity + at, v, g.n * sizeof *v);
    }
    for (size_t i = 0; i < SLICE; i++) {
      g.data[i] -= s.lr * g.grad[i];
    }
    scatter(&g);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

/* The constants of one step of Adam, the same for all parameters. */
typedef struct {
  double beta1, beta2, eps, added, decay, rate, scale;
} adam_step;

FOR_EACH_MACHINE
static void adam_slice(const adam_step *restrict s, slice *restrict g, double *restrict mean,
                       double *restrict square) {
  for (size_t i = 0; i < SLICE; i++) {
    const double grad = g->grad[i] + s->added * g->data[i];
    mean[i] = s->beta1 * mean[i] + (1 - s->beta1) * grad;
    square[i] = s->beta2 * square[i] + (1 - s->beta2) * grad * grad;
    g->data[i] = s->decay * g->data[i] - s->rate * mean[i] / (sqrt(square[i] * s->scale) + s->eps);
  }
}

int pg_adam_step(const pg_adam *adam, uint64_t t, size_t n, const pg_id *ids, double *mean, double *square) {
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
  slice g = {0};
  double m[SLICE] = {0}, v[SLICE] = {0};
  pg_lock();
  const bool live = pg_all_live(n, ids);
  for (size_t at = 0; at < n && live; at += SLICE) {
    gather(&g, n - at, ids + at);
    memcpy(m, mean + at, g.n * sizeof *m);
    memcpy(v, square + at, g.n * sizeof *v);
    adam_slice(&s, &g, m, v);
    memcpy(mean + at, m, g.n * sizeof *m);
    memcpy(square + at, v, g.n * sizeof *v);
    scatter(&g);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}
