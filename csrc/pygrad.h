/* pygrad.h: the C API. build_ffi.py binds exactly this header.
 *
 * A node is named by its id. Every function takes the arena's lock, may be called from any thread, and
 * refuses an id that names no live node with PG_STALE.
 */
#ifndef PYGRAD_H
#define PYGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t pg_id;

/* What a function returns when it fails is below 0 and one of these. */
enum pg_status {
  PG_OK = 0,
  PG_NO_MEMORY = -1,     /* out of node ids, address space or memory */
  PG_STALE = -2,         /* an id that names no live node */
  PG_ZERO_DIVISION = -3, /* where Python raises ZeroDivisionError */
  PG_OVERFLOW = -4,      /* ... OverflowError */
  PG_DOMAIN = -5,        /* ... ValueError */
  PG_COMPLEX = -6,       /* where Python's result is complex */
  PG_STOPPED = -7        /* a run that was told to stop */
};

enum pg_flags {
  PG_INTERIOR = 1,  /* a sweep has something to do here: an adjoint, operands, or a closure */
  PG_CLOSURE = 2,   /* the sweep stops here: the caller runs the adjoint, not the op table */
  PG_PINNED = 4,    /* a closure at or below this node: whoever holds it must hold its operands, too */
  PG_HELD = 8,      /* held by a handle outside the arena, not only by its parents */
  PG_LABELLED = 16, /* the caller keeps a label for this node */
  PG_INTEGRAL = 32, /* an op's constant that was written as an int: x**2, not x**2.0 */
  PG_KEPT = 64,     /* its hold belongs to a keeper: see pg_keep */
  PG_TRACED = 128   /* made during a trace */
};

/* What a maker returns. Above 0: the id of the new node, held once for the caller. Below 0: at or below
 * -PG_FIRST_ID the node with the negated id, made too, and PG_PINNED; else a status, nothing made. */
typedef int64_t pg_made;
enum { PG_FIRST_ID = 256 };

/* Making nodes. An operand is held by its result until the result is freed. */
pg_made pg_leaf(double data);
pg_made pg_custom(double data, const pg_id *operands, size_t count);

/* For each row of the op table: pg_make_RELU(a); pg_make_ADD(a, b), and pg_make_ADD_number(a, y), whose number
 * becomes a leaf, as in micrograd; pg_make_POWER(a, y, integral). A function an op, since an argument costs 10
 * ns from Python. */
// clang-format off
#define PG_UNARY(name, ...) pg_made pg_make_##name(pg_id a);
#define PG_BINARY(name, ...) pg_made pg_make_##name(pg_id a, pg_id b); pg_made pg_make_##name##_number(pg_id a, double y);
#define PG_CONSTANT(name, ...) pg_made pg_make_##name(pg_id a, double y, bool integral);
#include "ops.def"
// clang-format on

/* Lifetime: a node lives while it is held, or is an operand of a live node. */
int pg_hold(pg_id id);
int pg_release(pg_id id);
/* Hands a hold that was not released yet to a keeper. From here on pg_release(id) refuses, and does nothing. */
int pg_keep(pg_id id);
int pg_release_kept(pg_id id);

/* A dead id reads as nan, 0 or "no node". */
double pg_data(pg_id id);
double pg_grad(pg_id id);
int pg_set_data(pg_id id, double data);
int pg_set_grad(pg_id id, double grad);
int pg_op(pg_id id);
int pg_flags_of(pg_id id);
int pg_set_flags(pg_id id, int flags); /* adds to those set */
uint32_t pg_refs(pg_id id);
pg_id pg_operand(pg_id id, int which); /* 0 or 1; 0 is "no node". An op's constant is operand 1, a leaf. */

/* The op table. NULL, or 0, for a number that is no op. */
int pg_op_count(void);
const char *pg_op_name(int op);
const char *pg_op_symbol(int op);
int pg_op_arity(int op); /* how many operands there are to see: a constant is none */

/* The backward pass, as a sweep that can stop and go on. The root must stay held from begin to end, and
 * one sweep must end (or be given up) before the next begins. */
typedef struct {
  pg_id at;         /* the node processed last */
  uint32_t pending; /* nodes marked and not yet processed */
} pg_sweep;

enum { PG_DONE = 0, PG_MORE = 1 };

int pg_sweep_begin(pg_sweep *sweep, pg_id root);
/* Goes through about `budget` nodes, those in between that are not of the graph included. PG_DONE; PG_MORE:
 * call again; above that the id of a PG_CLOSURE node: run its closure, then call again; below 0 a status:
 * the adjoint of sweep->at failed, the sweep is over.
 */
int64_t pg_sweep_run(pg_sweep *sweep, uint32_t budget);
/* One step of the pass: adds the node's share to the grads of its operands. */
int pg_backward_one(pg_id id);

/* Many nodes at once. Arrays are in C order; those of ids are `n` long where nothing else is said.
 *
 * Leaves with consecutive ids, held once each: returns the first. pg_data_at(id) is the address of a node's
 * data, or NULL for a dead id; its grad lies behind it, and the data of the next id PG_NODE_BYTES on. It stays
 * valid as long as the node lives.
 */
enum { PG_NODE_BYTES = 32 };
pg_made pg_leaves(size_t n, const double *data);
double *pg_data_at(pg_id id);

int pg_hold_all(size_t n, const pg_id *ids); /* returns as the bulk builders do */
/* Lets go of the holds that pg_hold_all and the bulk builders give: nodes that live on are not to be PG_HELD by
 * one of these. The ids of freed nodes are passed over. */
int pg_release_all(size_t n, const pg_id *ids);
bool pg_all_leaves(size_t n, const pg_id *ids);

enum pg_field { PG_DATA, PG_GRAD };
int pg_read(int field, size_t n, const pg_id *ids, double *to);
int pg_write(int field, size_t n, const pg_id *ids, const double *from);
int pg_fill(int field, size_t n, const pg_id *ids, double number);

/* The bulk builders. Each builds the graph of the scalar loop that stands with it, node for node and in its
 * order, and puts the ids of the results into `out`, each held once for the caller. Returns PG_OK;
 * PG_SOME_PINNED if a closure is at or below a result; or a status: nothing was made, and out[0] is the
 * index of the result at which it failed.
 */
enum { PG_SOME_PINNED = 1 };

/* [op(x) for x in a]; [op(x, y) for x, y in zip(a, b)]; [op(x, y) for x in a], where y is a number */
int pg_map_unary(int op, size_t n, const pg_id *a, pg_id *out);
int pg_map_binary(int op, size_t n, const pg_id *a, const pg_id *b, pg_id *out);
int pg_map_number(int op, size_t n, const pg_id *a, double y, bool integral, pg_id *out);
/* Besides those of the op table there are these, made of two as in micrograd. */
enum {
  PG_SUBTRACT = 64, /* x + (-y), of two nodes */
  PG_DIVIDE,        /* x * y**-1, of two nodes */
  PG_SUBTRACT_FROM, /* y + (-x), y a number */
  PG_DIVIDE_INTO    /* y * x**-1, y a number */
};

/* [reduce(op, row) for row in x]; a sum begins with the number 0, a product with 1, others with the row's first
 */
int pg_reduce(int op, size_t rows, size_t n, const pg_id *x, pg_id *out);

/* [[sum((a[i][k] * b[k][j] for k in range(n)), bias[j]) for j in range(columns)] for i in range(rows)]
 * with a[i][k] at a[i * a_row + k * a_column], which is dense in either order, b likewise; no bias (NULL) is
 * the number 0 */
int pg_matmul(size_t rows, size_t n, size_t columns, const pg_id *a, size_t a_row, size_t a_column,
              const pg_id *b, size_t b_row, size_t b_column, const pg_id *bias, pg_id *out);

/* for x in rows:  shifted = [xi - max(data of x) for xi in x];  exps = [s.exp() for s in shifted]
 * of these two, pg_softmax makes both in one loop, pg_log_softmax and pg_cross_entropy each exp as it is added
 *   pg_softmax:        inverse = sum(exps) ** -1;     [e * inverse for e in exps]
 *   pg_log_softmax:    minus_log = -sum(exps).log();  [s + minus_log for s in shifted]
 *   pg_cross_entropy:  sum(exps).log() - shifted[target]
 */
int pg_softmax(size_t rows, size_t n, const pg_id *x, pg_id *out);
int pg_log_softmax(size_t rows, size_t n, const pg_id *x, pg_id *out);
int pg_cross_entropy(size_t rows, size_t n, const pg_id *x, const uint32_t *targets, pg_id *scratch,
                     pg_id *out);

/* for x in rows:  scale = (sum(xi * xi for xi in x) / n + eps) ** -0.5
 *                 [xi * scale for xi in x], or with weights [xi * scale * wi for xi, wi in zip(x, weights)] */
int pg_rms_norm(size_t rows, size_t n, const pg_id *x, const pg_id *weights, double eps, pg_id *out);

/* A multi-layer perceptron of micrograd's nn, for one sample x: layer for layer, neuron for neuron,
 *   act = sum((wi * xi for wi, xi in zip(w, x)), b), then act.relu() if the neuron has one
 * A neuron's w and b follow each other in `parameters`. Where x[i] is 0, the input is numbers[i]. Each neuron
 * has inputs. The results are those of the last layer, at the end of `out`, which has room for one id a neuron;
 * they are PG_HELD. */
typedef struct {
  size_t layers;
  const uint32_t *widths; /* neurons, a layer */
  const uint32_t *inputs; /* weights, a neuron */
  const bool *relu;       /* a neuron */
  const pg_id *parameters;
} pg_mlp;
int pg_mlp_forward(const pg_mlp *mlp, size_t n, const pg_id *x, const double *numbers, pg_id *out);

/* Parameter updates, in place, from the grads. Buffers have `n` numbers. Return PG_OK or a status below 0, and
 * then nothing was updated. */

/* Stochastic gradient descent, as in PyTorch: with g = grad + weight_decay * data, and if there is a velocity
 *   velocity = g on the first step, else momentum * velocity + (1 - dampening) * g
 *   g = g + momentum * velocity with nesterov, else velocity
 *   data -= lr * g
 */
typedef struct {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, first;
} pg_sgd;
int pg_sgd_step(const pg_sgd *sgd, size_t n, const pg_id *ids, double *velocity);

/* Adam (Kingma & Ba, 2015), in step t = 1, 2, ...; AdamW (Loshchilov & Hutter, 2019) if the decay is decoupled:
 *   data *= 1 - lr * weight_decay if decoupled, else g = grad + weight_decay * data
 *   mean = beta1 * mean + (1 - beta1) * g
 *   square = beta2 * square + (1 - beta2) * g * g
 *   data -= lr * (mean / (1 - beta1**t)) / (sqrt(square / (1 - beta2**t)) + eps)
 */
typedef struct {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;
} pg_adam;
int pg_adam_step(const pg_adam *adam, uint64_t t, size_t n, const pg_id *ids, double *mean, double *square);

/* Programs: a graph, recorded once, to be run again and again on other numbers. Not for two threads at once,
 * but for pg_run. */
typedef struct pg_program pg_program;
typedef struct pg_routine pg_routine;

/* Nodes that this thread makes from here on are traced, until pg_trace_end, which returns how often it read the
 * data or grad of a traced node, or set its data. */
void pg_trace_begin(void);
uint64_t pg_trace_end(void);
bool pg_tracing(void);

enum {
  PG_WITHOUT_FOLDING = 1,
  PG_WITHOUT_SHARING = 2,
  PG_WITHOUT_REDUCTION = 4,
  PG_WITHOUT_DOTS = 8,
  PG_WITHOUT_VECTORS = 16,
  PG_WITHOUT_REUSE = 32 /* of slots */
};

/* Nodes that stand for an element of a table which an input, the index, chooses at each run. */
typedef struct {
  size_t count;
  const pg_id *nodes;
  const uint32_t *indices, *tables; /* a node: which input, and which table */
  size_t table_count;
  const uint32_t *rows;  /* a table */
  const pg_id *elements; /* of all tables, one after the other; they are older than the nodes */
} pg_lookups;

/* The program of the graph from the inputs (leaves, or 0 for an index) to the outputs. Other leaves are
 * parameters if they are not traced, else constants. `without`: optimizations that are not wanted. No node may
 * be PG_PINNED. NULL if there is no memory, or an id names no live node. */
pg_program *pg_record(size_t inputs, const pg_id *input_ids, size_t outputs, const pg_id *output_ids,
                      const pg_lookups *lookups, unsigned without);
void pg_program_free(pg_program *program);
size_t pg_program_parameters(const pg_program *program, pg_id *ids); /* how many; `ids` may be NULL */

/* What a recorded program is made of, for files. Instruction i is of op ops[i], and its operands are the
 * instructions a[i] and b[i], both before it; UINT32_MAX where there is none. Those without operands: an INPUT
 * and a PARAMETER are the a-th; each CONSTANT is the next of the constants. A LOOKUP is the element that the
 * input a chooses from table b. A table has so many rows, and its elements behind those of the tables before.
 */
typedef struct {
  size_t instruction_count, constant_count, input_count, parameter_count, output_count, table_count,
      element_count;
  uint8_t *ops;
  uint32_t *a, *b;
  double *constants;
  pg_id *parameters;
  uint32_t *outputs; /* instructions */
  uint32_t *rows, *elements;
} pg_parts;

/* The name of an op that a recorded program may have: it stays the same, where the number may change. NULL for
 * others. */
const char *pg_recorded_name(int op);
/* Sets the counts. Fills in those arrays that are there (of ops, a, b and constants all or none; of rows and
 * elements both or none). */
void pg_program_parts(const pg_program *program, pg_parts *parts);
/* The program of these parts, if it is one that pg_record may have made. NULL if it is not, and says what is
 * wrong, or, with no fault, if there is no memory. */
pg_program *pg_program_of(const pg_parts *parts, unsigned without, const char **fault);

/* What a routine computes, from what arguments besides the inputs, which come in groups as the caller likes:
 *
 *                              arguments                 results
 *   PG_VALUES                  inputs                    the outputs
 *   PG_GRADIENT                inputs, cotangent         the one output, its gradient by each group, by
 * parameters PG_TANGENTS                inputs, tangents of each  the outputs, the tangents of the outputs
 *   PG_GRADIENT | PG_TANGENTS  inputs, tangents of each  the tangents of the gradient by each group
 */
enum pg_wanted { PG_VALUES = 0, PG_GRADIENT = 1, PG_TANGENTS = 2 };

/* The code for one kind of arguments: `sizes` has the size of each group of inputs, `batched` says of each
 * argument whether it is one such group for all samples, or one a sample. A gradient by what is for all is
 * added up over the samples; other results are one a sample if any argument is. (For PG_GRADIENT | PG_TANGENTS
 * the inputs must be all batched, or none.) NULL: no memory. */
pg_routine *pg_compile(const pg_program *program, size_t groups, const size_t *sizes, const bool *batched,
                       int wanted);
void pg_routine_free(pg_routine *routine);

/* Runs it for `batch` samples (1 where nothing is batched). `numbers` are arguments, then results, as
 * pg_compile has them: the groups of samples one after the other. The parameters' are those of their nodes.
 * Returns PG_OK or a status below 0. */
int pg_run(pg_routine *routine, size_t batch, double *const *numbers, int threads);

/* The same, but given up soon after another thread has set `stop`: PG_STOPPED, and the results are of no use.
 */
int pg_run_until(pg_routine *routine, size_t batch, double *const *numbers, int threads, const bool *stop);
/* From about what batch on a run may take so many ns, on one thread. */
double pg_long_batch(const pg_routine *routine, double ns);

/* The first op of one sample that makes inf of finite numbers, or nan of others: its symbol, and the numbers,
 * first those that it was given. `inputs` are followed by the cotangent if the gradient is searched, too. 0 if
 * there is none, else how many numbers there are, or a status below 0. */
int pg_find_not_finite(const pg_program *program, const double *inputs, bool gradient, const char **symbol,
                       double numbers[3]);

/* The listing of a program, or of a routine's code; to be freed with pg_text_free. */
char *pg_program_text(const pg_program *program);
char *pg_routine_text(const pg_routine *routine);
/* C with functions that do what routines for one sample do: one for PG_VALUES, then perhaps one for
 * PG_GRADIENT, which take these parameters where none are given. Its names begin with pg_. To be freed
 * likewise; NULL: no memory. */
char *pg_export(size_t count, const pg_routine *const *routines, const double *parameters);
void pg_text_free(char *text);

/* Adds to the grads of nodes. */
int pg_add_grads(size_t n, const pg_id *ids, const double *grads);

typedef struct {
  uint64_t live_nodes, peak_live_nodes;
  uint64_t blocks, peak_blocks; /* that hold a live node or are being filled */
  uint64_t reserved_bytes;      /* of address space */
  uint64_t committed_bytes;     /* of memory */
} pg_memory;

void pg_memory_stats(pg_memory *stats);

/* For tests: the allocation after `successes` more, and all that follow, fail. Negative: none does. */
void pg_test_fail_allocations(int64_t successes);
/* Programs run in kernels of so many lanes at most, 2, 4 or 8; 0: as many as the machine has. Returns how many.
 */
int pg_test_use_lanes(int most);
/* The first rule found that the arena breaks, or NULL if it is sound. Takes some ns a node. */
const char *pg_check(void);

#endif
