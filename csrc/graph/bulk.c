/* bulk.c: the bulk builders: each makes the graph of a whole scalar loop in one call.
 *
 * Each takes the lock, checks that all operands may be used, begins a build of at most so many nodes, makes
 * them, and ends the build. Only an op can fail in between; then all that was made is dropped. */
#include "graph/ops.h"
#include "graph/trace.h"

/* What they share ---------------------------------------------------------------------------------------- */

/* Begins a build of at most so many nodes, unless the operands' status is not PG_OK. PG_OK or a status. */
static int begin(pg_build *build, int status, size_t nodes) {
  *build = (pg_build){0};
  if (status) {
    return status;
  }
  return pg_build_begin(build, nodes) ? PG_OK : PG_NO_MEMORY;
}

/* What pg_all_usable() says of two rows of operands; NULL: none. */
static int both_usable(size_t n, const pg_id *a, size_t m, const pg_id *b) {
  const int status = pg_all_usable(n, a);
  return status || !b ? status : pg_all_usable(m, b);
}

/* Ends the build if it has not failed, and unlocks. Returns what the bulk builder returns: a failed `result` as
 * it is. */
static int end(const pg_build *build, int result) {
  if (result == PG_OK) {
    pg_build_end(*build);
    result = build->flags & PG_PINNED ? PG_SOME_PINNED : PG_OK;
  }
  pg_unlock();
  return result;
}

/* Ends a build that failed at result `at`: drops the results before it, and the unfinished node (0: none).
 * Returns the status. */
static int fail(const pg_build *build, int status, pg_id *out, size_t at, pg_id unfinished) {
  pg_build_end(*build);
  for (size_t i = 0; i < at; i++) {
    pg_drop(out[i]);
  }
  if (unfinished) {
    pg_drop(unfinished);
  }
  out[0] = (pg_id)at;
  return status;
}

PG_INLINE double data_of(const pg_build *build, pg_id id) { return build->nodes[id].data; }

PG_INLINE int pin_of(const pg_build *build, pg_id id) { return build->nodes[id].flags & PG_PINNED; }

/* Takes one more hold of a node, for a result that takes it over. Returns the node. */
PG_INLINE pg_id hold(const pg_build *build, pg_id id) {
  assert(build->nodes[id].refs);
  build->nodes[id].refs++;
  return id;
}

/* Gives up the hold that came with a node's making. Its results must hold it by now. */
PG_INLINE void unhold(const pg_build *build, pg_id id) {
  assert(build->nodes[id].refs > 1);
  build->nodes[id].refs--;
}

/* Takes a hold of a node that is itself a result, or becomes an operand of one whose pin is computed elsewhere.
 */
PG_INLINE pg_id hold_result(pg_build *build, pg_id id) {
  build->flags |= (uint16_t)pin_of(build, id);
  return hold(build, id);
}

/* The functions from here to power() take over one hold of each operand, as pg_build_add() does. */

PG_INLINE pg_id leaf(pg_build *build, double number, bool integral) {
  build->absent += 2;
  return pg_build_add(build, PG_LEAF, number, 0, 0, PG_PLAIN | pg_type_of(number, integral));
}

PG_INLINE pg_id node(pg_build *build, int op, double data, pg_id a, pg_id b) {
  assert(build->nodes[a].refs && build->nodes[b].refs);
  build->absent += b == 0;
  const int type = pg_type_of_result(op, &build->nodes[a], &build->nodes[b], &data);
  return pg_build_add(build, op, data, a, b, pin_of(build, a) | pin_of(build, b) | type);
}

PG_INLINE pg_id add(pg_build *build, pg_id a, pg_id b) {
  return node(build, PG_ADD, data_of(build, a) + data_of(build, b), a, b);
}

PG_INLINE pg_id multiply(pg_build *build, pg_id a, pg_id b) {
  return node(build, PG_MUL, data_of(build, a) * data_of(build, b), a, b);
}

PG_INLINE pg_id negate(pg_build *build, pg_id a) { return multiply(build, a, leaf(build, -1, true)); }

/* x ** y. If it fails, it sets the status and returns 0, and the caller keeps the hold of x. */
PG_INLINE pg_id power(pg_build *build, pg_id x, double y, bool integral, int *status) {
  double z = pg_pow(data_of(build, x), y, status);
  if (*status) {
    return 0;
  }
  build->absent += 2;
  pg_id exponent =
      pg_build_add(build, PG_LEAF, y, 0, 0, PG_PLAIN | (integral ? 0 : PG_FLOAT)); /* of any size */
  return node(build, PG_POWER, z, x, exponent);
}

/* Maps --------------------------------------------------------------------------------------------------- */

/* Each of these makes the result of one element. It holds its operands itself. If it fails, it sets the status
 * and returns 0. */

PG_INLINE pg_id unary(pg_build *build, int op, pg_id x, int *status) {
  double z = pg_forward(op, data_of(build, x), 0, status);
  return *status ? 0 : node(build, op, z, hold(build, x), 0);
}

PG_INLINE pg_id binary(pg_build *build, int op, pg_id x, pg_id y, int *status) {
  if (op == PG_SUBTRACT) {
    return add(build, hold(build, x), negate(build, hold(build, y)));
  }
  if (op == PG_DIVIDE) {
    pg_id inverse = power(build, y, -1, true, status);
    if (!inverse) {
      return 0;
    }
    hold(build, y);
    return multiply(build, hold(build, x), inverse);
  }
  double z = pg_forward(op, data_of(build, x), data_of(build, y), status);
  return *status ? 0 : node(build, op, z, hold(build, x), hold(build, y));
}

/* `number` is y as a node. */
PG_INLINE pg_id with_number(pg_build *build, int op, pg_id x, const pg_node *number, bool integral,
                            int *status) {
  const double y = number->data;
  if (op == PG_SUBTRACT_FROM) {
    pg_id negative = negate(build, hold(build, x));
    return add(build, negative, leaf(build, y, integral));
  }
  if (op == PG_DIVIDE_INTO || op == PG_POWER) {
    pg_id raised = power(build, x, op == PG_POWER ? y : -1, integral || op == PG_DIVIDE_INTO, status);
    if (!raised) {
      return 0;
    }
    hold(build, x);
    return op == PG_POWER ? raised : multiply(build, raised, leaf(build, y, integral));
  }
  double z = pg_forward(op, data_of(build, x), y, status);
  if (*status) {
    return 0;
  }
  const int flags = pin_of(build, x) | pg_type_of_result(op, &build->nodes[x], number, &z);
  build->absent += 2;
  const pg_id leaf_of_y = pg_build_add(build, PG_LEAF, y, 0, 0, PG_PLAIN | number->flags);
  return pg_build_add(build, op, z, hold(build, x), leaf_of_y, flags);
}

int pg_map_unary(int op, size_t n, const pg_id *a, pg_id *out) {
  pg_lock();
  pg_build build;
  int status = PG_OK, result = begin(&build, pg_all_usable(n, a), n);
  for (size_t i = 0; i < n && !result; i++) {
    out[i] = unary(&build, op, a[i], &status);
    result = status ? fail(&build, status, out, i, 0) : PG_OK;
  }
  return end(&build, result);
}

int pg_map_binary(int op, size_t n, const pg_id *a, const pg_id *b, pg_id *out) {
  pg_lock();
  pg_build build;
  int status = PG_OK, result = begin(&build, both_usable(n, a, n, b), 3 * n);
  for (size_t i = 0; i < n && !result; i++) {
    out[i] = binary(&build, op, a[i], b[i], &status);
    result = status ? fail(&build, status, out, i, 0) : PG_OK;
  }
  return end(&build, result);
}

int pg_map_number(int op, size_t n, const pg_id *a, double y, bool integral, pg_id *out) {
  pg_lock();
  pg_build build;
  const pg_node number = {.data = y, .flags = (uint16_t)pg_type_of(y, integral)};
  int status = PG_OK, result = begin(&build, pg_all_usable(n, a), 4 * n);
  for (size_t i = 0; i < n && !result; i++) {
    out[i] = with_number(&build, op, a[i], &number, integral, &status);
    result = status ? fail(&build, status, out, i, 0) : PG_OK;
  }
  return end(&build, result);
}

/* Reductions --------------------------------------------------------------------------------------------- */

/* sum + x, or 0 + x for the first term, where `sum` is 0 ("no node"). */
PG_INLINE pg_id plus(pg_build *build, pg_id sum, pg_id x) {
  return sum ? add(build, sum, x) : add(build, x, leaf(build, 0, true));
}

/* What a sum of products keeps of the flags of its operands. */
enum { KEPT = PG_PINNED | PG_FLOAT };

/* The flags of a sum or product of operands with these. */
PG_INLINE int exact(double *z, int flags) {
  return __builtin_expect(flags & PG_FLOAT, PG_FLOAT) ? flags : flags | pg_type_of_int(z);
}

/* sum((xi * yi for xi, yi in zip(x, y)), sum), where a `sum` of 0 is the number 0. The running sum and its
 * flags are kept in registers: storing and loading them takes twice as long as making a node. */
PG_INLINE pg_id dot(pg_build *build, size_t n, const pg_id *x, size_t x_step, const pg_id *y, size_t y_step,
                    pg_id sum) {
  double z = sum ? data_of(build, sum) : 0;
  int flags = sum ? build->nodes[sum].flags & KEPT : 0;
  for (size_t i = 0; i < n; i++, x += x_step, y += y_step) {
    double product = data_of(build, *x) * data_of(build, *y);
    const int product_flags = exact(&product, (build->nodes[*x].flags | build->nodes[*y].flags) & KEPT);
    pg_id term = pg_build_add(build, PG_MUL, product, hold(build, *x), hold(build, *y), product_flags);
    z = sum ? z + product : product + z;
    flags = exact(&z, flags | product_flags);
    sum = sum ? pg_build_add(build, PG_ADD, z, sum, term, flags)
              : pg_build_add(build, PG_ADD, z, term, leaf(build, 0, true), flags);
  }
  return sum;
}

/* One row, from left to right. */
PG_INLINE pg_id reduce(pg_build *build, int op, size_t n, const pg_id *x) {
  pg_id z = 0;
  for (size_t i = 0; i < n; i++) {
    pg_id xi = hold_result(build, x[i]);
    if (op == PG_ADD) {
      z = plus(build, z, xi);
    } else if (!z) {
      z = op == PG_MUL ? multiply(build, xi, leaf(build, 1, true)) : xi;
    } else {
      int status = PG_OK;
      z = node(build, op, pg_forward(op, data_of(build, z), data_of(build, xi), &status), z, xi);
      if (op != PG_MUL) {
        build->nodes[z].flags |= (i + 1 < n ? PG_LINK : 0) | (i > 1 ? PG_AFTER_LINK : 0);
      }
      assert(!status); /* callers reduce by ops that cannot fail */
    }
  }
  return z ? z : leaf(build, op == PG_MUL, true);
}

int pg_reduce(int op, size_t rows, size_t n, const pg_id *x, pg_id *out) {
  pg_lock();
  pg_build build;
  int result = begin(&build, pg_all_usable(rows * n, x), rows * (n + 1));
  for (size_t i = 0; i < rows && !result; i++) {
    out[i] = reduce(&build, op, n, x + i * n);
  }
  return end(&build, result);
}

/* Whether all elements of a matrix are among the rows * columns ids that are checked to be live. */
static inline __attribute__((unused)) bool is_dense(size_t rows, size_t columns, size_t row, size_t column) {
  return rows == 0 || columns == 0 || (rows - 1) * row + (columns - 1) * column < rows * columns;
}

int pg_matmul(size_t rows, size_t n, size_t columns, const pg_id *a, size_t a_row, size_t a_column,
              const pg_id *b, size_t b_row, size_t b_column, const pg_id *bias, pg_id *out) {
  assert(is_dense(rows, n, a_row, a_column) && is_dense(n, columns, b_row, b_column));
  pg_lock();
  pg_build build;
  int status = both_usable(rows * n, a, n * columns, b);
  status = status || !bias ? status : pg_all_usable(columns, bias);
  int result = begin(&build, status, rows * columns * (2 * n + 1));
  for (size_t i = 0; i < rows && !result; i++) {
    for (size_t j = 0; j < columns; j++) {
      pg_id sum = bias ? hold_result(&build, bias[j]) : 0;
      sum = dot(&build, n, a + i * a_row, a_column, b + j * b_column, b_row, sum);
      out[i * columns + j] = sum ? sum : leaf(&build, 0, true);
    }
  }
  return end(&build, result);
}

/* Rows of probabilities ---------------------------------------------------------------------------------- */

/* The largest data of a row that is not empty; what comes after a leading nan does not matter. */
static double largest(const pg_build *build, size_t n, const pg_id *x) {
  assert(n > 0);
  double most = data_of(build, x[0]);
  for (size_t i = 1; i < n; i++) {
    double xi = data_of(build, x[i]);
    most = xi > most ? xi : most;
  }
  return most;
}

/* exp(x) and log(x) of a shifted row. The shifted x are at most 0, so no exp overflows. The sum of exps is at
 * least 1, or nan, so its log and its inverse do not fail either. */
PG_INLINE pg_id exponential(pg_build *build, pg_id x) {
  return node(build, PG_EXP, exp(data_of(build, x)), x, 0);
}
PG_INLINE pg_id logarithm(pg_build *build, pg_id x) {
  return node(build, PG_LOG, log(data_of(build, x)), x, 0);
}

int pg_softmax(size_t rows, size_t n, const pg_id *x, pg_id *out) {
  pg_lock();
  pg_build build;
  int result = begin(&build, pg_all_usable(rows * n, x), rows * (5 * n + 3));
  for (size_t row = 0; row < rows && n && !result; row++, x += n, out += n) {
    const double shift = -largest(&build, n, x);
    for (size_t i = 0; i < n; i++) {
      out[i] = exponential(&build, add(&build, hold(&build, x[i]), leaf(&build, shift, false)));
    }
    int status = PG_OK;
    pg_id inverse = power(&build, reduce(&build, PG_ADD, n, out), -1, true, &status);
    assert(inverse && !status);
    for (size_t i = 0; i < n; i++) {
      out[i] = multiply(&build, out[i], hold(&build, inverse));
    }
    unhold(&build, inverse);
  }
  return end(&build, result);
}

/* Makes the shifted elements of a row, and returns the log of the sum of their exps. */
PG_INLINE pg_id log_sum_exp(pg_build *build, size_t n, const pg_id *x, pg_id *shifted) {
  const double shift = -largest(build, n, x);
  for (size_t i = 0; i < n; i++) {
    shifted[i] = add(build, hold(build, x[i]), leaf(build, shift, false));
  }
  pg_id sum = 0;
  for (size_t i = 0; i < n; i++) {
    sum = plus(build, sum, exponential(build, hold(build, shifted[i])));
  }
  return logarithm(build, sum);
}

int pg_log_softmax(size_t rows, size_t n, const pg_id *x, pg_id *out) {
  pg_lock();
  pg_build build;
  int result = begin(&build, pg_all_usable(rows * n, x), rows * (5 * n + 4));
  for (size_t row = 0; row < rows && n && !result; row++, x += n, out += n) {
    pg_id minus_log = negate(&build, log_sum_exp(&build, n, x, out));
    for (size_t i = 0; i < n; i++) {
      out[i] = add(&build, out[i], hold(&build, minus_log));
    }
    unhold(&build, minus_log);
  }
  return end(&build, result);
}

int pg_cross_entropy(size_t rows, size_t n, const pg_id *x, const uint32_t *targets, pg_id *scratch,
                     pg_id *out) {
  pg_lock();
  pg_build build;
  int result = begin(&build, pg_all_usable(rows * n, x), rows * (5 * n + 5));
  for (size_t row = 0; row < rows && !result; row++, x += n) {
    if (targets[row] >= n) {
      result = fail(&build, PG_DOMAIN, out, row, 0);
      break;
    }
    pg_id log_sum = log_sum_exp(&build, n, x, scratch);
    out[row] = add(&build, log_sum, negate(&build, hold(&build, scratch[targets[row]])));
    for (size_t i = 0; i < n; i++) {
      unhold(&build, scratch[i]);
    }
  }
  return end(&build, result);
}

int pg_rms_norm(size_t rows, size_t n, const pg_id *x, const pg_id *weights, double eps, pg_id *out) {
  pg_lock();
  pg_build build;
  int result = begin(&build, both_usable(rows * n, x, n, weights), rows * (4 * n + 7));
  for (size_t row = 0; row < rows && n && !result; row++, x += n) {
    pg_id sum = dot(&build, n, x, 1, x, 1, 0);
    int status = PG_OK;
    pg_id mean = multiply(&build, sum, leaf(&build, pg_pow((double)n, -1, &status), false));
    assert(!status);
    pg_id shifted = add(&build, mean, leaf(&build, eps, false));
    pg_id scale = power(&build, shifted, -0.5, false, &status);
    if (!scale) {
      result = fail(&build, status, out, row * n, shifted);
      break;
    }
    for (size_t i = 0; i < n; i++) {
      pg_id scaled = multiply(&build, hold(&build, x[i]), hold(&build, scale));
      out[row * n + i] = weights ? multiply(&build, scaled, hold(&build, weights[i])) : scaled;
    }
    unhold(&build, scale);
  }
  return end(&build, result);
}

/* micrograd's nn ----------------------------------------------------------------------------------------- */

/* One neuron of n inputs: x[i], or where that is 0 ("no node"), a new leaf of numbers[i]. `numbers` may be NULL
 * if no x[i] is 0, and `integral` if none of them is an int. The activation cannot fail; 0 is none. */
PG_INLINE pg_id neuron(pg_build *build, size_t n, const pg_id *w, const pg_id *x, const double *numbers,
                       const bool *integral, pg_id b, int activation) {
  pg_id act = hold(build, b);
  if (numbers) {
    for (size_t i = 0; i < n; i++) {
      pg_id xi = x[i] ? hold(build, x[i]) : leaf(build, numbers[i], integral && integral[i]);
      act = add(build, act, multiply(build, hold(build, w[i]), xi));
    }
  } else {
    act = dot(build, n, w, 1, x, 1, act);
  }
  if (activation) {
    int status = PG_OK;
    act = node(build, activation, pg_forward(activation, data_of(build, act), 0, &status), act, 0);
    assert(!status);
  }
  return act;
}

int pg_mlp_forward(const pg_mlp *mlp, size_t n, const pg_id *x, const double *numbers, const bool *integral,
                   pg_id *out) {
  size_t neurons = 0, parameters = 0, nodes = 0;
  for (size_t layer = 0; layer < mlp->layers; layer++) {
    for (size_t i = 0; i < mlp->widths[layer]; i++, neurons++) {
      parameters += mlp->inputs[neurons] + 1;
      nodes += (size_t)3 * mlp->inputs[neurons] + 1;
    }
  }
  pg_lock();
  int status = pg_all_usable(parameters, mlp->parameters);
  for (size_t i = 0; i < n && !status; i++) {
    status = x[i] || !numbers ? pg_all_usable(1, &x[i]) : PG_OK;
  }
  pg_build build;
  int result = begin(&build, status, nodes);
  if (!result) {
    const pg_id *w = mlp->parameters;
    pg_id *made = out;
    size_t at = 0;
    for (size_t layer = 0; layer < mlp->layers; layer++) {
      pg_id *const outputs = made;
      for (size_t i = 0; i < mlp->widths[layer]; i++, at++) {
        const size_t inputs = mlp->inputs[at];
        *made++ = neuron(&build, inputs < n ? inputs : n, w, x, numbers, integral, w[inputs],
                         mlp->nonlinear[at] ? mlp->activation : 0);
        w += inputs + 1;
      }
      x = outputs;
      numbers = NULL;
      n = mlp->widths[layer];
    }
    pg_build_end(build);
    result = build.flags & PG_PINNED ? PG_SOME_PINNED : PG_OK;
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
