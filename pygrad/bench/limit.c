/* limit.c: the workloads and their gradients, written by hand. Their speed is the limit for an engine.
 *
 * This is plain scalar C, without intrinsics and without -ffast-math, as an expert would write it. Sums are
 * split into PARTIAL_SUMS independent sums, because the order of additions would otherwise prevent the compiler
 * from using vector instructions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"

enum { PARTIAL_SUMS = 8 };

static double total(const double *sums) {
  double sum = 0;
  for (int i = 0; i < PARTIAL_SUMS; i++) {
    sum += sums[i];
  }
  return sum;
}

static double dot(int n, const double *x, const double *y) {
  double sums[PARTIAL_SUMS] = {0};
  int i = 0;
  for (; i + PARTIAL_SUMS <= n; i += PARTIAL_SUMS) {
    for (int j = 0; j < PARTIAL_SUMS; j++) {
      sums[j] += x[i + j] * y[i + j];
    }
  }
  for (; i < n; i++) {
    sums[0] += x[i] * y[i];
  }
  return total(sums);
}

static void add_scaled(int n, double *restrict y, double scale, const double *restrict x) {
  for (int i = 0; i < n; i++) {
    y[i] += scale * x[i];
  }
}

/* Functions -------------------------------------------------------------------------------------------------
 */

double expression(const double *a, const double *b, double *da, double *db) {
  const double sum = *a + *b, difference = *b - *a;
  const double c = 3 * *a + 4 * *b + 3;
  const double d = 4 * (3 * (*a * *b + *b * *b * *b) + (sum > 0 ? sum : 0)) + (difference > 0 ? difference : 0);
  const double e = c - d, f = e * e;
  const double de = (0.5 - 10 / (f * f)) * 2 * e;
  *da = de * (3 - 12 * *b - 4 * (sum > 0) + (difference > 0));
  *db = de * (4 - 12 * (*a + 3 * *b * *b) - 4 * (sum > 0) - (difference > 0));
  return f / 2 + 10 / f;
}

double chain(int n, const double *x, const double *w, const double *b, double *dx, double *dw, double *db) {
  double *before = malloc((size_t)n * sizeof *before);
  if (!before) {
    return NAN;
  }
  double v = *x;
  for (int i = 0; i < n; i++) {
    before[i] = v;
    v = v * *w + *b;
  }
  double dv = 1, by_w = 0, by_b = 0;
  for (int i = n - 1; i >= 0; i--) {
    by_w += dv * before[i];
    by_b += dv;
    dv *= *w;
  }
  free(before);
  *dx = dv, *dw = by_w, *db = by_b;
  return v;
}

double wide_sum(int n, const double *x, double *dx) {
  for (int i = 0; i < n; i++) {
    dx[i] = 2 * x[i];
  }
  return dot(n, x, x);
}

double dots(int n, const double *w, const double *x, double *dw, double *dx) {
  double sum = 0;
  memset(dx, 0, (size_t)n * sizeof *dx);
  for (int i = 0; i < n; i++, w += n, dw += n) {
    const double y = dot(n, w, x);
    sum += y * y;
    add_scaled(n, dx, 2 * y, w);
    for (int j = 0; j < n; j++) {
      dw[j] = 2 * y * x[j];
    }
  }
  return sum;
}

double matvec(int n, const double *w, const double *x, double *dw, double *dx) {
  double sum = 0;
  memset(dx, 0, (size_t)n * sizeof *dx);
  for (int i = 0; i < n; i++, w += n, dw += n) {
    sum += dot(n, w, x);
    add_scaled(n, dx, 1, w);
    memcpy(dw, x, (size_t)n * sizeof *dw);
  }
  return sum;
}

/* The moons step --------------------------------------------------------------------------------------------
 */

enum { HIDDEN = 16 };

typedef struct {
  double w1[2][HIDDEN], b1[HIDDEN], w2[HIDDEN][HIDDEN], b2[HIDDEN], w3[HIDDEN], b3;
} mlp;

enum { MLP_SIZE = sizeof(mlp) / sizeof(double) };

static void layer(int inputs, const double (*w)[HIDDEN], const double *b, const double *x, double *h) {
  double sum[HIDDEN];
  memcpy(sum, b, sizeof sum);
  for (int i = 0; i < inputs; i++) {
    add_scaled(HIDDEN, sum, x[i], w[i]);
  }
  for (int j = 0; j < HIDDEN; j++) {
    h[j] = sum[j] > 0 ? sum[j] : 0;
  }
}

/* dh is the gradient with respect to the layer's outputs. The function changes it to the gradient with respect
 * to the inputs of the ReLU. */
static void layer_backward(int inputs, const double *x, const double *h, double *dh, double (*dw)[HIDDEN],
                           double *db) {
  for (int j = 0; j < HIDDEN; j++) {
    dh[j] = h[j] > 0 ? dh[j] : 0;
  }
  for (int i = 0; i < inputs; i++) {
    add_scaled(HIDDEN, dw[i], x[i], dh);
  }
  add_scaled(HIDDEN, db, 1, dh);
}

/* The hinge loss of one point. Adds its gradient to g. */
static double hinge(const mlp *p, const double *point, double label, double scale, mlp *g) {
  double h1[HIDDEN], h2[HIDDEN], dh1[HIDDEN], dh2[HIDDEN];
  layer(2, p->w1, p->b1, point, h1);
  layer(HIDDEN, p->w2, p->b2, h1, h2);
  const double loss = 1 - label * (p->b3 + dot(HIDDEN, p->w3, h2));
  if (!(loss > 0)) {
    return 0;
  }
  const double dscore = -label * scale;
  for (int j = 0; j < HIDDEN; j++) {
    dh2[j] = dscore * p->w3[j];
  }
  add_scaled(HIDDEN, g->w3, dscore, h2);
  g->b3 += dscore;
  layer_backward(HIDDEN, h1, h2, dh2, g->w2, g->b2);
  for (int i = 0; i < HIDDEN; i++) {
    dh1[i] = dot(HIDDEN, p->w2[i], dh2);
  }
  layer_backward(2, point, h1, dh1, g->w1, g->b1);
  return loss * scale;
}

double moons(int n, const double *points, const double *labels, double rate, double *parameters,
             double *gradient) {
  const double decay = 1e-4;
  mlp p, g = {0};
  memcpy(&p, parameters, sizeof p);
  double loss = decay * dot(MLP_SIZE, parameters, parameters);
  for (int i = 0; i < n; i++) {
    loss += hinge(&p, points + 2 * i, labels[i], 1.0 / n, &g);
  }
  memcpy(gradient, &g, sizeof g);
  add_scaled(MLP_SIZE, gradient, 2 * decay, parameters);
  add_scaled(MLP_SIZE, parameters, -rate, gradient);
  return loss;
}

/* The GPT step ----------------------------------------------------------------------------------------------
 */

void adam(int n, double *restrict parameters, const double *restrict gradient, double *restrict means,
          double *restrict squares, double rate, int step) {
  const double beta1 = 0.85, beta2 = 0.99, epsilon = 1e-8;
  const double unbias1 = 1 / (1 - pow(beta1, step)), unbias2 = 1 / (1 - pow(beta2, step));
  for (int i = 0; i < n; i++) {
    means[i] = beta1 * means[i] + (1 - beta1) * gradient[i];
    squares[i] = beta2 * squares[i] + (1 - beta2) * gradient[i] * gradient[i];
    parameters[i] -= rate * (means[i] * unbias1) / (sqrt(squares[i] * unbias2) + epsilon);
  }
}

enum { VOCABULARY = 27, CONTEXT = 16, WIDTH = 16, HEADS = 4, HEAD = WIDTH / HEADS, WIDE = 4 * WIDTH };

typedef struct {
  double token[VOCABULARY][WIDTH], position[CONTEXT][WIDTH];
  double query[WIDTH][WIDTH], key[WIDTH][WIDTH], value[WIDTH][WIDTH], output[WIDTH][WIDTH];
  double widen[WIDE][WIDTH], narrow[WIDTH][WIDE], logits[VOCABULARY][WIDTH];
} transformer;

/* The activations of one position, which the forward pass stores for the backward pass. Later positions attend
 * to the keys and values of all earlier ones. */
typedef struct {
  double embedded[WIDTH], x[WIDTH], h[WIDTH], query[WIDTH], key[WIDTH], value[WIDTH], attended[WIDTH];
  double middle[WIDTH], h2[WIDTH], wide[WIDE], last[WIDTH], probabilities[VOCABULARY];
  double scale1, scale2, scale3, weights[HEADS][CONTEXT];
} activations;

static void linear(int rows, int columns, const double *w, const double *x, double *y) {
  for (int i = 0; i < rows; i++) {
    y[i] = dot(columns, w + i * columns, x);
  }
}

static void linear_backward(int rows, int columns, const double *w, const double *x, const double *dy,
                            double *dw, double *dx) {
  for (int i = 0; i < rows; i++) {
    add_scaled(columns, dw + i * columns, dy[i], x);
    add_scaled(columns, dx, dy[i], w + i * columns);
  }
}

static double norm(const double *x, double *y) {
  const double scale = 1 / sqrt(dot(WIDTH, x, x) / (double)WIDTH + 1e-5);
  for (int i = 0; i < WIDTH; i++) {
    y[i] = x[i] * scale;
  }
  return scale;
}

static void norm_backward(const double *x, double scale, const double *dy, double *dx) {
  const double pull = dot(WIDTH, x, dy) * scale * scale * scale / (double)WIDTH;
  for (int i = 0; i < WIDTH; i++) {
    dx[i] += dy[i] * scale - x[i] * pull;
  }
}

static void softmax(int n, const double *x, double *y) {
  double largest = x[0], sum = 0;
  for (int i = 1; i < n; i++) {
    largest = x[i] > largest ? x[i] : largest;
  }
  for (int i = 0; i < n; i++) {
    y[i] = exp(x[i] - largest);
    sum += y[i];
  }
  for (int i = 0; i < n; i++) {
    y[i] /= sum;
  }
}

static void attend(activations *all, int at) {
  activations *a = &all[at];
  memset(a->attended, 0, sizeof a->attended);
  for (int head = 0; head < HEADS; head++) {
    const int from = head * HEAD;
    double scores[CONTEXT];
    for (int t = 0; t <= at; t++) {
      scores[t] = dot(HEAD, a->query + from, all[t].key + from) / sqrt(HEAD);
    }
    softmax(at + 1, scores, a->weights[head]);
    for (int t = 0; t <= at; t++) {
      add_scaled(HEAD, a->attended + from, a->weights[head][t], all[t].value + from);
    }
  }
}

/* Adds the gradients with respect to the keys and values of this and earlier positions to dkeys and dvalues. */
static void attend_backward(const activations *all, int at, const double *dattended, double *dquery,
                            double (*dkeys)[WIDTH], double (*dvalues)[WIDTH]) {
  const activations *a = &all[at];
  for (int head = 0; head < HEADS; head++) {
    const int from = head * HEAD;
    const double *weights = a->weights[head];
    double dweights[CONTEXT], mean = 0;
    for (int t = 0; t <= at; t++) {
      dweights[t] = dot(HEAD, dattended + from, all[t].value + from);
      mean += dweights[t] * weights[t];
      add_scaled(HEAD, dvalues[t] + from, weights[t], dattended + from);
    }
    for (int t = 0; t <= at; t++) {
      const double dscore = weights[t] * (dweights[t] - mean) / sqrt(HEAD);
      add_scaled(HEAD, dquery + from, dscore, all[t].key + from);
      add_scaled(HEAD, dkeys[t] + from, dscore, a->query + from);
    }
  }
}

static double forward(const transformer *p, int at, int token, int next, activations *all) {
  activations *a = &all[at];
  for (int i = 0; i < WIDTH; i++) {
    a->embedded[i] = p->token[token][i] + p->position[at][i];
  }
  a->scale1 = norm(a->embedded, a->x);
  a->scale2 = norm(a->x, a->h);
  linear(WIDTH, WIDTH, *p->query, a->h, a->query);
  linear(WIDTH, WIDTH, *p->key, a->h, a->key);
  linear(WIDTH, WIDTH, *p->value, a->h, a->value);
  attend(all, at);
  linear(WIDTH, WIDTH, *p->output, a->attended, a->middle);
  add_scaled(WIDTH, a->middle, 1, a->x);
  a->scale3 = norm(a->middle, a->h2);
  linear(WIDE, WIDTH, *p->widen, a->h2, a->wide);
  for (int i = 0; i < WIDE; i++) {
    a->wide[i] = a->wide[i] > 0 ? a->wide[i] : 0;
  }
  linear(WIDTH, WIDE, *p->narrow, a->wide, a->last);
  add_scaled(WIDTH, a->last, 1, a->middle);
  double logits[VOCABULARY];
  linear(VOCABULARY, WIDTH, *p->logits, a->last, logits);
  softmax(VOCABULARY, logits, a->probabilities);
  return -log(a->probabilities[next]);
}

/* dkeys and dvalues hold the contributions of the later positions. */
static void backward(const transformer *p, int at, int token, int next, double scale, const activations *all,
                     double (*dkeys)[WIDTH], double (*dvalues)[WIDTH], transformer *g) {
  const activations *a = &all[at];
  double dlogits[VOCABULARY], dmiddle[WIDTH] = {0}, dwide[WIDE] = {0}, dh2[WIDTH] = {0}, dattended[WIDTH] = {0};
  double dquery[WIDTH] = {0}, dh[WIDTH] = {0}, dx[WIDTH], dembedded[WIDTH] = {0};
  for (int i = 0; i < VOCABULARY; i++) {
    dlogits[i] = (a->probabilities[i] - (i == next)) * scale;
  }
  linear_backward(VOCABULARY, WIDTH, *p->logits, a->last, dlogits, *g->logits, dmiddle);
  linear_backward(WIDTH, WIDE, *p->narrow, a->wide, dmiddle, *g->narrow, dwide);
  for (int i = 0; i < WIDE; i++) {
    dwide[i] = a->wide[i] > 0 ? dwide[i] : 0;
  }
  linear_backward(WIDE, WIDTH, *p->widen, a->h2, dwide, *g->widen, dh2);
  norm_backward(a->middle, a->scale3, dh2, dmiddle);
  memcpy(dx, dmiddle, sizeof dx);
  linear_backward(WIDTH, WIDTH, *p->output, a->attended, dmiddle, *g->output, dattended);
  attend_backward(all, at, dattended, dquery, dkeys, dvalues);
  linear_backward(WIDTH, WIDTH, *p->query, a->h, dquery, *g->query, dh);
  linear_backward(WIDTH, WIDTH, *p->key, a->h, dkeys[at], *g->key, dh);
  linear_backward(WIDTH, WIDTH, *p->value, a->h, dvalues[at], *g->value, dh);
  norm_backward(a->x, a->scale2, dh, dx);
  norm_backward(a->embedded, a->scale1, dx, dembedded);
  add_scaled(WIDTH, g->token[token], 1, dembedded);
  add_scaled(WIDTH, g->position[at], 1, dembedded);
}

double gpt(int n, const int *tokens, const double *parameters, double *gradient) {
  const transformer *p = (const transformer *)parameters;
  transformer *g = (transformer *)gradient;
  activations all[CONTEXT];
  double dkeys[CONTEXT][WIDTH] = {0}, dvalues[CONTEXT][WIDTH] = {0}, loss = 0;
  memset(g, 0, sizeof *g);
  for (int at = 0; at < n; at++) {
    loss += forward(p, at, tokens[at], tokens[at + 1], all);
  }
  for (int at = n - 1; at >= 0; at--) {
    backward(p, at, tokens[at], tokens[at + 1], 1.0 / n, all, dkeys, dvalues, g);
  }
  return loss / n;
}

/* The Asian option ------------------------------------------------------------------------------------------
 */

/* The logarithm of the price grows by drift + deviation * normal each day. Both are the same on all paths. */
static void curve(int days, double rate, const double *vols, double *drift, double *deviation) {
  const double dt = 1.0 / days;
  for (int day = 0; day < days; day++) {
    drift[day] = (rate - vols[day] * vols[day] / 2) * dt;
    deviation[day] = vols[day] * sqrt(dt);
  }
}

double asian_value(int n, int days, double strike, double spot, double rate, const double *vols,
                   const double *normals) {
  double *drift = malloc(2 * (size_t)days * sizeof *drift), *deviation = drift + days, payoffs = 0;
  if (!drift) {
    return NAN;
  }
  curve(days, rate, vols, drift, deviation);
  for (int path = 0; path < n; path++, normals += days) {
    double x = log(spot), sum = 0;
    for (int day = 0; day < days; day++) {
      x += drift[day] + deviation[day] * normals[day];
      sum += exp(x);
    }
    const double mean = sum / days;
    payoffs += mean > strike ? mean - strike : 0;
  }
  free(drift);
  return payoffs * exp(-rate) / n;
}

double asian(int n, int days, double strike, double spot, double rate, const double *vols,
             const double *normals, double *dspot, double *drate, double *dvols) {
  const double dt = 1.0 / days, scale = exp(-rate) / n;
  double *drift = calloc(5 * (size_t)days, sizeof *drift), payoffs = 0, by_x = 0, by_rate = 0;
  if (!drift) {
    return NAN;
  }
  /* For each day: the price, and the sums over all paths of the gradients with respect to drift and deviation.
   */
  double *deviation = drift + days, *price = drift + 2 * days, *by_drift = drift + 3 * days;
  double *by_deviation = drift + 4 * days;
  curve(days, rate, vols, drift, deviation);
  for (int path = 0; path < n; path++, normals += days) {
    double x = log(spot), sum = 0, dx = 0;
    for (int day = 0; day < days; day++) {
      x += drift[day] + deviation[day] * normals[day];
      price[day] = exp(x);
      sum += price[day];
    }
    const double mean = sum / days;
    if (!(mean > strike)) {
      continue;
    }
    payoffs += mean - strike;
    for (int day = days - 1; day >= 0; day--) {
      dx += price[day]; /* a day's growth affects the prices of that day and all later days */
      by_drift[day] += dx;
      by_deviation[day] += dx * normals[day];
    }
    by_x += dx;
  }
  for (int day = 0; day < days; day++) {
    by_rate += by_drift[day] * dt;
    dvols[day] = (by_deviation[day] * sqrt(dt) - by_drift[day] * vols[day] * dt) * scale / days;
  }
  free(drift);
  *dspot = by_x / spot * scale / days;
  *drate = by_rate * scale / days - payoffs * scale;
  return payoffs * scale;
}

/* The basket option --------------------------------------------------------------------------------------
 */

enum { STOCKS = 8, BASKET_DAYS = 126, PERIODS = 12 };

double basket_value(int n, double rate, const double *spots, const double *levels, const double *skews,
                    const double *matrix, const double *normals) {
  const double dt = 1.0 / 252, root = sqrt(dt), strike = 100, smile = 0.1;
  double payoffs = 0;
  for (int path = 0; path < n; path++) {
    double y[STOCKS] = {0}, total = 0;
    for (int day = 0; day < BASKET_DAYS; day++, normals += STOCKS) {
      const double *level = levels + day * PERIODS / BASKET_DAYS * STOCKS;
      const double *skew = skews + day * PERIODS / BASKET_DAYS * STOCKS;
      for (int i = 0; i < STOCKS; i++) {
        double normal = 0;
        for (int k = 0; k <= i; k++) {
          normal += matrix[i * STOCKS + k] * normals[k];
        }
        const double vol = level[i] + (skew[i] + smile * y[i]) * y[i];
        y[i] += (rate - vol * vol * 0.5) * dt + vol * normal * root;
        total += spots[i] * exp(y[i]);
      }
    }
    const double mean = total / (BASKET_DAYS * STOCKS);
    payoffs += mean > strike ? mean - strike : 0;
  }
  return payoffs * exp(-rate * (double)BASKET_DAYS * dt) / n;
}
