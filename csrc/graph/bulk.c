/* bulk.c: many nodes in one call: leaves, transfers, and the builders. */
#include "graph/ops.h"

/* Many nodes, none made ---------------------------------------------------------------------------------- */

pg_made pg_leaves(size_t n, const double *data) {
  if (n == 0) {
    return PG_FIRST_ID;
  }
  pg_lock();
  pg_id first = pg_new_leaves(data, n);
  pg_unlock();
  return first ? (pg_made)first : PG_NO_MEMORY;
}

double *pg_data_at(pg_id id) {
  pg_lock();
  double *at = pg_is_live(id) ? &pg_node_at(id)->data : NULL;
  if (at) {
    pg_note_read(pg_node_at(id)->flags);
  }
  pg_unlock();
  return at;
}

int pg_hold_all(size_t n, const pg_id *ids) {
  pg_lock();
  int result = pg_all_live(n, ids) ? PG_OK : PG_STALE;
  for (size_t i = 0; i < n && result >= 0; i++) {
    pg_node *held = pg_node_at(ids[i]);
    held->refs++;
    result = held->flags & PG_PINNED ? PG_SOME_PINNED : result;
  }
  pg_unlock();
  return result;
}

int pg_release_all(size_t n, const pg_id *ids) {
  pg_lock();
  bool live = true;
  for (size_t i = 0; i < n; i++) {
    if (pg_is_live(ids[i])) {
      pg_drop(ids[i]);
    } else {
      live = false;
    }
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

bool pg_all_leaves(size_t n, const pg_id *ids) {
  pg_lock();
  bool leaves = pg_all_live(n, ids);
  for (size_t i = 0; i < n && leaves; i++) {
    leaves = !(pg_node_at(ids[i])->flags & PG_INTERIOR);
  }
  pg_unlock();
  return leaves;
}

static double *part_of(pg_id id, int part) {
  return part == PG_DATA ? &pg_node_at(id)->data : &pg_node_at(id)->grad;
}

static void set_part(pg_id id, int part, double number) {
  if (part == PG_DATA) {
    pg_note_read(pg_node_at(id)->flags);
  }
  *part_of(id, part) = number;
}

int pg_read(int part, size_t n, const pg_id *ids, double *to) {
  pg_lock();
  bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    pg_note_read(pg_node_at(ids[i])->flags);
    to[i] = *part_of(ids[i], part);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_write(int part, size_t n, const pg_id *ids, const double *from) {
  pg_lock();
  bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    set_part(ids[i], part, from[i]);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_fill(int part, size_t n, const pg_id *ids, double number) {
  pg_lock();
  bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    set_part(ids[i], part, number);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

/* The builders' common parts ----------------------------------------------------------------------------- */

/* Every builder takes the lock, begins, makes at most so many nodes with its pen, and ends. */

static int begin(pg_pen *pen, bool live, size_t nodes) {
  *pen = (pg_pen){0};
  if (!live) {
    return PG_STALE;
  }
  return pg_begin(pen, nodes) ? PG_OK : PG_NO_MEMORY;
}

/* What the builder returns: `result` if that is a failure. */
static int end(const pg_pen *pen, int result) {
  if (result == PG_OK) {
    pg_end(*pen);
    result = pen->flags & PG_PINNED ? PG_SOME_PINNED : PG_OK;
  }
  pg_unlock();
  return result;
}

/* At result `at`: drops those before it, and what there is of this one, unless that is 0. */
static int fail(const pg_pen *pen, int status, pg_id *out, size_t at, pg_id unfinished) {
  pg_end(*pen);
  for (size_t i = 0; i < at; i++) {
    pg_drop(out[i]);
  }
  if (unfinished) {
    pg_drop(unfinished);
  }
  out[0] = (pg_id)at;
  return status;
}

PG_INLINE double data_of(const pg_pen *pen, pg_id id) { return pen->nodes[id].data; }

PG_INLINE int pin_of(const pg_pen *pen, pg_id id) { return pen->nodes[id].flags & PG_PINNED; }

/* One more holder, to be passed on. */
PG_INLINE pg_id share(const pg_pen *pen, pg_id id) {
  pen->nodes[id].refs++;
  return id;
}

/* The pen's own hold of a node that has been shared. */
PG_INLINE void unshare(const pg_pen *pen, pg_id id) { pen->nodes[id].refs--; }

/* One more holder for a node that is a result as it is. */
PG_INLINE pg_id same(pg_pen *pen, pg_id id) {
  pen->flags |= (uint8_t)pin_of(pen, id);
  return share(pen, id);
}

/* All that follow take over one hold of each operand, as pg_put does. */

PG_INLINE pg_id leaf(pg_pen *pen, double number) {
  pen->absent += 2;
  return pg_put(pen, PG_LEAF, number, 0, 0, 0);
}

PG_INLINE pg_id node(pg_pen *pen, int op, double data, pg_id a, pg_id b) {
  pen->absent += b == 0;
  return pg_put(pen, op, data, a, b, pin_of(pen, a) | pin_of(pen, b));
}

PG_INLINE pg_id add(pg_pen *pen, pg_id a, pg_id b) {
  return node(pen, PG_ADD, data_of(pen, a) + data_of(pen, b), a, b);
}

PG_INLINE pg_id multiply(pg_pen *pen, pg_id a, pg_id b) {
  return node(pen, PG_MUL, data_of(pen, a) * data_of(pen, b), a, b);
}

PG_INLINE pg_id negate(pg_pen *pen, pg_id a) { return multiply(pen, a, leaf(pen, -1)); }

/* x ** y, which can fail: then there is no node, and the hold of x stays with the caller. */
PG_INLINE pg_id power(pg_pen *pen, pg_id x, double y, bool integral, int *status) {
  double z = pg_pow(data_of(pen, x), y, status);
  if (*status) {
    return 0;
  }
  pg_id exponent = leaf(pen, y);
  pen->nodes[exponent].flags |= integral ? PG_INTEGRAL : 0;
  return node(pen, PG_POWER, z, x, exponent);
}

/* Maps --------------------------------------------------------------------------------------------------- */

/* Makes the result of one element; 0 and a status where that fails. */

PG_INLINE pg_id unary(pg_pen *pen, int op, pg_id x, int *status) {
  double z = pg_forward(op, data_of(pen, x), 0, status);
  return *status ? 0 : node(pen, op, z, share(pen, x), 0);
}

PG_INLINE pg_id binary(pg_pen *pen, int op, pg_id x, pg_id y, int *status) {
  if (op == PG_SUBTRACT) {
    return add(pen, share(pen, x), negate(pen, share(pen, y)));
  }
  if (op == PG_DIVIDE) {
    pg_id inverse = power(pen, y, -1, true, status);
    if (!inverse) {
      return 0;
    }
    share(pen, y);
    return multiply(pen, share(pen, x), inverse);
  }
  double z = pg_forward(op, data_of(pen, x), data_of(pen, y), status);
  return *status ? 0 : node(pen, op, z, share(pen, x), share(pen, y));
}

PG_INLINE pg_id with_number(pg_pen *pen, int op, pg_id x, double y, bool integral, int *status) {
  if (op == PG_SUBTRACT_FROM) {
    pg_id negative = negate(pen, share(pen, x));
    return add(pen, negative, leaf(pen, y));
  }
  if (op == PG_DIVIDE_INTO || op == PG_POWER) {
    pg_id raised = power(pen, x, op == PG_POWER ? y : -1, integral || op == PG_DIVIDE_INTO, status);
    if (!raised) {
      return 0;
    }
    share(pen, x);
    return op == PG_POWER ? raised : multiply(pen, raised, leaf(pen, y));
  }
  double z = pg_forward(op, data_of(pen, x), y, status);
  return *status ? 0 : node(pen, op, z, share(pen, x), leaf(pen, y));
}

int pg_map_unary(int op, size_t n, const pg_id *a, pg_id *out) {
  pg_lock();
  pg_pen pen;
  int status = PG_OK, result = begin(&pen, pg_all_live(n, a), n);
  for (size_t i = 0; i < n && !result; i++) {
    out[i] = unary(&pen, op, a[i], &status);
    result = status ? fail(&pen, status, out, i, 0) : PG_OK;
  }
  return end(&pen, result);
}

int pg_map_binary(int op, size_t n, const pg_id *a, const pg_id *b, pg_id *out) {
  pg_lock();
  pg_pen pen;
  int status = PG_OK, result = begin(&pen, pg_all_live(n, a) && pg_all_live(n, b), 3 * n);
  for (size_t i = 0; i < n && !result; i++) {
    out[i] = binary(&pen, op, a[i], b[i], &status);
    result = status ? fail(&pen, status, out, i, 0) : PG_OK;
  }
  return end(&pen, result);
}

int pg_map_number(int op, size_t n, const pg_id *a, double y, bool integral, pg_id *out) {
  pg_lock();
  pg_pen pen;
  int status = PG_OK, result = begin(&pen, pg_all_live(n, a), 4 * n);
  for (size_t i = 0; i < n && !result; i++) {
    out[i] = with_number(&pen, op, a[i], y, integral, &status);
    result = status ? fail(&pen, status, out, i, 0) : PG_OK;
  }
  return end(&pen, result);
}

/* Reductions --------------------------------------------------------------------------------------------- */

/* The start of a sum, `0 + x`, and its next term. A sum of 0 is "none yet". */
PG_INLINE pg_id plus(pg_pen *pen, pg_id sum, pg_id x) {
  return sum ? add(pen, sum, x) : add(pen, x, leaf(pen, 0));
}

/* sum((xi * yi for xi, yi in zip(x, y)), sum). The running sum and its pin stay out of memory: through memory
 * they would come back after twice the time that a node takes. */
PG_INLINE pg_id dot(pg_pen *pen, size_t n, const pg_id *x, size_t x_step, const pg_id *y, size_t y_step,
                    pg_id sum) {
  double z = sum ? data_of(pen, sum) : 0;
  int pin = sum ? pin_of(pen, sum) : 0;
  for (size_t i = 0; i < n; i++, x += x_step, y += y_step) {
    const double product = data_of(pen, *x) * data_of(pen, *y);
    const int product_pin = pin_of(pen, *x) | pin_of(pen, *y);
    pg_id term = pg_put(pen, PG_MUL, product, share(pen, *x), share(pen, *y), product_pin);
    z = sum ? z + product : product + z;
    pin |= product_pin;
    sum = sum ? pg_put(pen, PG_ADD, z, sum, term, pin) : pg_put(pen, PG_ADD, z, term, leaf(pen, 0), pin);
  }
  return sum;
}

PG_INLINE pg_id reduce(pg_pen *pen, int op, size_t n, const pg_id *x) {
  pg_id z = 0;
  for (size_t i = 0; i < n; i++) {
    pg_id xi = same(pen, x[i]);
    if (op == PG_ADD) {
      z = plus(pen, z, xi);
    } else if (!z) {
      z = op == PG_MUL ? multiply(pen, xi, leaf(pen, 1)) : xi;
    } else {
      int status = PG_OK; /* a failure is Python's affair: it asks for ops that have none */
      z = node(pen, op, pg_forward(op, data_of(pen, z), data_of(pen, xi), &status), z, xi);
    }
  }
  return z ? z : leaf(pen, op == PG_MUL);
}

int pg_reduce(int op, size_t rows, size_t n, const pg_id *x, pg_id *out) {
  pg_lock();
  pg_pen pen;
  int result = begin(&pen, pg_all_live(rows * n, x), rows * (n + 1));
  for (size_t i = 0; i < rows && !result; i++) {
    out[i] = reduce(&pen, op, n, x + i * n);
  }
  return end(&pen, result);
}

int pg_matmul(size_t rows, size_t n, size_t columns, const pg_id *a, size_t a_row, size_t a_column,
              const pg_id *b, size_t b_row, size_t b_column, const pg_id *bias, pg_id *out) {
  pg_lock();
  pg_pen pen;
  bool live = pg_all_live(rows * n, a) && pg_all_live(n * columns, b) && (!bias || pg_all_live(columns, bias));
  int result = begin(&pen, live, rows * columns * (2 * n + 1));
  for (size_t i = 0; i < rows && !result; i++) {
    for (size_t j = 0; j < columns; j++) {
      pg_id sum = bias ? same(&pen, bias[j]) : 0;
      sum = dot(&pen, n, a + i * a_row, a_column, b + j * b_column, b_row, sum);
      out[i * columns + j] = sum ? sum : leaf(&pen, 0);
    }
  }
  return end(&pen, result);
}

/* Rows of probabilities ---------------------------------------------------------------------------------- */

static double largest(const pg_pen *pen, size_t n, const pg_id *x) {
  double most = data_of(pen, x[0]);
  for (size_t i = 1; i < n; i++) {
    double xi = data_of(pen, x[i]);
    most = xi > most ? xi : most;
  }
  return most;
}

/* x is at most the largest, so none of these exps can overflow, and their sum is at least 1, or nan: its log
 * and its inverse do not fail either. */
PG_INLINE pg_id exponential(pg_pen *pen, pg_id x) { return node(pen, PG_EXP, exp(data_of(pen, x)), x, 0); }
PG_INLINE pg_id logarithm(pg_pen *pen, pg_id x) { return node(pen, PG_LOG, log(data_of(pen, x)), x, 0); }

int pg_softmax(size_t rows, size_t n, const pg_id *x, pg_id *out) {
  pg_lock();
  pg_pen pen;
  int result = begin(&pen, pg_all_live(rows * n, x), rows * (5 * n + 3));
  for (size_t row = 0; row < rows && n && !result; row++, x += n, out += n) {
    const double shift = -largest(&pen, n, x);
    for (size_t i = 0; i < n; i++) {
      out[i] = exponential(&pen, add(&pen, share(&pen, x[i]), leaf(&pen, shift)));
    }
    int status = PG_OK;
    pg_id inverse = power(&pen, reduce(&pen, PG_ADD, n, out), -1, true, &status);
    for (size_t i = 0; i < n; i++) {
      out[i] = multiply(&pen, out[i], share(&pen, inverse));
    }
    unshare(&pen, inverse);
  }
  return end(&pen, result);
}

/* Puts the shifted into `shifted`, and returns the log of the sum of their exps. */
PG_INLINE pg_id log_sum_exp(pg_pen *pen, size_t n, const pg_id *x, pg_id *shifted) {
  const double shift = -largest(pen, n, x);
  for (size_t i = 0; i < n; i++) {
    shifted[i] = add(pen, share(pen, x[i]), leaf(pen, shift));
  }
  pg_id sum = 0;
  for (size_t i = 0; i < n; i++) {
    sum = plus(pen, sum, exponential(pen, share(pen, shifted[i])));
  }
  return logarithm(pen, sum);
}

int pg_log_softmax(size_t rows, size_t n, const pg_id *x, pg_id *out) {
  pg_lock();
  pg_pen pen;
  int result = begin(&pen, pg_all_live(rows * n, x), rows * (5 * n + 4));
  for (size_t row = 0; row < rows && n && !result; row++, x += n, out += n) {
    pg_id minus_log = negate(&pen, log_sum_exp(&pen, n, x, out));
    for (size_t i = 0; i < n; i++) {
      out[i] = add(&pen, out[i], share(&pen, minus_log));
    }
    unshare(&pen, minus_log);
  }
  return end(&pen, result);
}

int pg_cross_entropy(size_t rows, size_t n, const pg_id *x, const uint32_t *targets, pg_id *scratch,
                     pg_id *out) {
  pg_lock();
  pg_pen pen;
  int result = begin(&pen, pg_all_live(rows * n, x), rows * (5 * n + 5));
  for (size_t row = 0; row < rows && !result; row++, x += n) {
    if (targets[row] >= n) {
      result = fail(&pen, PG_DOMAIN, out, row, 0);
      break;
    }
    pg_id log_sum = log_sum_exp(&pen, n, x, scratch);
    out[row] = add(&pen, log_sum, negate(&pen, share(&pen, scratch[targets[row]])));
    for (size_t i = 0; i < n; i++) {
      unshare(&pen, scratch[i]);
    }
  }
  return end(&pen, result);
}

int pg_rms_norm(size_t rows, size_t n, const pg_id *x, const pg_id *weights, double eps, pg_id *out) {
  pg_lock();
  pg_pen pen;
  int result =
      begin(&pen, pg_all_live(rows * n, x) && (!weights || pg_all_live(n, weights)), rows * (4 * n + 7));
  for (size_t row = 0; row < rows && n && !result; row++, x += n) {
    pg_id sum = dot(&pen, n, x, 1, x, 1, 0);
    int status = PG_OK;
    pg_id mean = multiply(&pen, sum, leaf(&pen, pg_pow((double)n, -1, &status)));
    pg_id shifted = add(&pen, mean, leaf(&pen, eps));
    pg_id scale = power(&pen, shifted, -0.5, false, &status);
    if (!scale) {
      result = fail(&pen, status, out, row * n, shifted);
      break;
    }
    for (size_t i = 0; i < n; i++) {
      pg_id scaled = multiply(&pen, share(&pen, x[i]), share(&pen, scale));
      out[row * n + i] = weights ? multiply(&pen, scaled, share(&pen, weights[i])) : scaled;
    }
    unshare(&pen, scale);
  }
  return end(&pen, result);
}

/* micrograd's nn ----------------------------------------------------------------------------------------- */

/* One neuron. The inputs are x, or if there are numbers, wherever x is 0, each number a leaf of its own. */
PG_INLINE pg_id neuron(pg_pen *pen, size_t n, const pg_id *w, const pg_id *x, const double *numbers, pg_id b,
                       bool relu) {
  pg_id act = share(pen, b);
  if (numbers) {
    for (size_t i = 0; i < n; i++) {
      pg_id xi = x[i] ? share(pen, x[i]) : leaf(pen, numbers[i]);
      act = add(pen, act, multiply(pen, share(pen, w[i]), xi));
    }
  } else {
    act = dot(pen, n, w, 1, x, 1, act);
  }
  if (relu) {
    int status = PG_OK;
    act = node(pen, PG_RELU, pg_forward(PG_RELU, data_of(pen, act), 0, &status), act, 0);
  }
  return act;
}

int pg_mlp_forward(const pg_mlp *mlp, size_t n, const pg_id *x, const double *numbers, pg_id *out) {
  size_t neurons = 0, parameters = 0, nodes = 0;
  for (size_t layer = 0; layer < mlp->layers; layer++) {
    for (size_t i = 0; i < mlp->widths[layer]; i++, neurons++) {
      parameters += mlp->inputs[neurons] + 1;
      nodes += (size_t)3 * mlp->inputs[neurons] + 1;
    }
  }
  pg_lock();
  bool live = pg_all_live(parameters, mlp->parameters);
  for (size_t i = 0; i < n && live; i++) {
    live = pg_is_live(x[i]) || (!x[i] && numbers);
  }
  pg_pen pen;
  int result = begin(&pen, live, nodes);
  if (!result) {
    const pg_id *w = mlp->parameters;
    pg_id *made = out;
    size_t at = 0;
    for (size_t layer = 0; layer < mlp->layers; layer++) {
      pg_id *const outputs = made;
      for (size_t i = 0; i < mlp->widths[layer]; i++, at++) {
        const size_t inputs = mlp->inputs[at];
        *made++ = neuron(&pen, inputs < n ? inputs : n, w, x, numbers, w[inputs], mlp->relu[at]);
        w += inputs + 1;
      }
      x = outputs;
      numbers = NULL;
      n = mlp->widths[layer];
    }
    pg_end(pen);
    result = pen.flags & PG_PINNED ? PG_SOME_PINNED : PG_OK;
    for (pg_id *hidden = out; hidden < x; hidden++) {
      pg_drop(*hidden);
    }
    for (; x < made; x++) {
      pg_node_at(*x)->flags |= PG_HELD;
    }
  }
  pg_unlock();
  return result;
}
