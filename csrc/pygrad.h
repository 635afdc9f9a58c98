/* pygrad.h: the C API. build_ffi.py binds exactly this header.
 *
 * Who may call: any thread, any function, at any time, but for what "Programs" and "The backward pass" say.
 * Each function takes the lock of the arena, which is released before it returns.
 *
 * Who owns what: a node is named by its id and is owned by those who hold it (see "Lifetime"). Arrays belong to
 * the caller, and no function keeps a pointer to one after it has returned.
 *
 * What is returned: a negative number is a status, and says that nothing was done, unless stated otherwise.
 * PG_OK is 0, and positive numbers carry information. The one exception is pg_made, where the sign says more.
 */
#ifndef PYGRAD_H
#define PYGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Status ------------------------------------------------------------------------------------------------- */

enum pg_status {
  PG_OK = 0,
  PG_NO_MEMORY = -1,     /* out of node ids, address space or memory */
  PG_STALE = -2,         /* an id names no live node */
  PG_ZERO_DIVISION = -3, /* where Python raises ZeroDivisionError */
  PG_OVERFLOW = -4,      /* where Python raises OverflowError */
  PG_DOMAIN = -5,        /* where Python raises ValueError */
  PG_COMPLEX = -6,       /* where Python's result is complex */
  PG_STOPPED = -7,       /* a run was told to stop */
  PG_ESCAPED = -8,       /* a node was made during a trace that has ended */
  PG_BUSY = -9,          /* there is a trace already */
  PG_UNKNOWN = -10       /* only a program knows the adjoint */
};

/* Nodes -------------------------------------------------------------------------------------------------- */

/* Names a live node; 0 is "no node". When the node dies, its id may be given to another. */
typedef uint32_t pg_id;

enum pg_flags {
  PG_FLOAT = 1,        /* its data is a float; else it is an int */
  PG_CLOSURE = 2,      /* the sweep stops here: the caller runs the adjoint, not the op table */
  PG_PINNED = 4,       /* a closure is at or below this node: its handle must hold its operands, too */
  PG_HELD = 8,         /* held by a handle outside the arena, not only by its parents */
  PG_LABELLED = 16,    /* the caller keeps a label for this node */
  PG_INTERIOR = 32,    /* the sweep processes this node: it passes gradient on, or has a closure */
  PG_KEPT = 64,        /* its handle's hold was handed to a keeper: see pg_keep() */
  PG_OPAQUE = 128,     /* a custom node, or a cell of its list: the core does not compute what it adds */
  PG_LINK = 256,       /* an inner node of a reduction: the maximum or minimum of a row's first elements */
  PG_AFTER_LINK = 512, /* one whose first operand is such a node of the same row */
  PG_ON_PATH = 1024,   /* the newest search for paths has found one to this node */
  PG_TRACED = 2048,    /* made during a trace */
  PG_PLAIN = 4096,     /* a leaf made of a plain number, as in v + 1 */
  PG_VARIES = 8192     /* the newest search has found that it depends on a leaf that is not plain */
};

/* What a maker returns. Positive: the id of the new node. At or below -PG_FIRST_ID: the negated id of a new
 * node that is PG_PINNED. Otherwise a status, and no node was made. A new node is held once for the caller. */
typedef int64_t pg_made;
enum { PG_FIRST_ID = 256 };

/* Numbers are stored as doubles. Those that are ints in Python stay ints, and make ints, as they do there, but
 * only below 2**53, to where doubles count. `integral` says that a number is an int. */
pg_made pg_leaf(double data, bool integral);
/* A node whose data and adjoint the caller computes. Any number of operands, also none. */
pg_made pg_custom(double data, bool integral, const pg_id *operands, size_t count);
/* Moves the op and the operands of a node to a new one, whose id it returns, pinned or not. What is left is a
 * custom node without operands: no backward pass goes below it, and the caller runs its step, that of the new
 * node. */
pg_made pg_cut(pg_id id);

/* A maker for each row of the op table: pg_make_RELU(a); pg_make_ADD(a, b), and pg_make_ADD_number(a, y,
 * integral), whose number becomes a leaf, as in micrograd; pg_make_POWER(a, y, integral). One function an op,
 * because passing the op as an argument costs 10 ns from Python. */
// clang-format off
#define PG_UNARY(name, ...) pg_made pg_make_##name(pg_id a);
#define PG_BINARY(name, ...) pg_made pg_make_##name(pg_id a, pg_id b); pg_made pg_make_##name##_number(pg_id a, double y, bool integral);
#define PG_CONSTANT(name, ...) pg_made pg_make_##name(pg_id a, double y, bool integral);
#include "ops.def"
// clang-format on

/* Lifetime ----------------------------------------------------------------------------------------------- */

/* A node lives as long as someone holds it: a caller, or a live node of which it is an operand. */
int pg_hold(pg_id id);
int pg_release(pg_id id);
/* Hands a hold that was not released yet to a keeper. From then on pg_release(id) fails, and only
 * pg_release_kept(id) gives it up. */
int pg_keep(pg_id id);
int pg_release_kept(pg_id id);

/* Reading and editing ------------------------------------------------------------------------------------ */

/* A dead id reads as nan, 0 or "no node". */
double pg_data(pg_id id);
double pg_grad(pg_id id);
int pg_set_data(pg_id id, double data, bool integral);
int pg_set_grad(pg_id id, double grad, bool integral);
int pg_op(pg_id id);
int pg_flags_of(pg_id id);
int pg_set_flags(pg_id id, int flags); /* adds these to the node's flags */
uint32_t pg_refs(pg_id id);            /* how many hold it */
pg_id pg_operand(pg_id id, int which); /* 0 or 1; an op's constant is operand 1, a leaf */
/* How many blocks are younger than that of each node. The ids are in ascending order. Of two nodes the older is
 * the one with the greater age, or else with the smaller id: the order in which they were made. */
void pg_ages(size_t count, const pg_id *ids, uint32_t *ages);

/* The op table ------------------------------------------------------------------------------------------- */

/* NULL or 0 for a number that is not an op. */
int pg_op_count(void);
const char *pg_op_name(int op);
const char *pg_op_symbol(int op);
int pg_op_arity(int op); /* operands that a user sees: an op's constant is not one */

/* The backward pass -------------------------------------------------------------------------------------- */

/* A sweep, which can stop and go on. The caller holds the root from begin to end. One sweep must end, be paused
 * or be given up before the next begins. Zeros are a sweep that has ended. */
typedef struct {
  pg_id root;
  pg_id at;        /* the node processed last */
  uint32_t number; /* see sweep.c; 0: it has ended */
  bool has_paths;  /* the search for paths was this sweep's */
} pg_sweep;

enum { PG_DONE = 0, PG_MORE = 1 };

/* Sets the root's grad to 1. */
int pg_sweep_begin(pg_sweep *sweep, pg_id root);
/* Goes through about `budget` nodes, including nodes in between that are not part of the graph. Returns
 * PG_DONE; or PG_MORE: call again; or the id of a PG_CLOSURE node: run its closure, then call again; or the
 * status of the adjoint of sweep->at, which failed, or PG_STALE if another sweep has begun: the sweep is over.
 */
int64_t pg_sweep_run(pg_sweep *sweep, uint32_t budget);
/* Other sweeps may run in between, if the pending nodes are noted before and given back after. The first
 * writes those that are marked and not yet processed, unless `pending` is NULL, and returns how many they are.
 */
uint32_t pg_sweep_pending(const pg_sweep *sweep, pg_id *pending);
void pg_sweep_resume(pg_sweep *sweep, uint32_t count, const pg_id *pending);
/* One step of the pass: adds the node's share to the grads of its operands. */
int pg_backward_one(pg_id id);

/* Many nodes --------------------------------------------------------------------------------------------- */

/* Arrays are in C order, and have `n` entries unless stated otherwise. */

/* Leaves with consecutive ids, held once each; returns the first. */
pg_made pg_leaves(size_t n, const double *data);
/* The same of plain numbers, which are operands. */
pg_made pg_plain_leaves(size_t n, const double *data);
/* The address of a node's data, NULL for a dead id. Its grad is the next double, and the data of the next id is
 * PG_NODE_BYTES further on. The address is valid as long as the node lives. */
double *pg_data_at(pg_id id);
enum { PG_NODE_BYTES = 32 };

/* PG_OK; PG_SOME_PINNED if a node is pinned; or a status. */
int pg_hold_all(size_t n, const pg_id *ids);
enum { PG_SOME_PINNED = 1 };
/* Gives up holds of pg_hold_all() and the bulk builders. A node that lives on stays PG_HELD, so such a hold
 * must not be the one that PG_HELD stands for. Releases all live nodes; PG_STALE if some ids were of dead ones.
 */
int pg_release_all(size_t n, const pg_id *ids);
bool pg_all_leaves(size_t n, const pg_id *ids);

enum pg_field { PG_DATA, PG_GRAD };
bool pg_is_int(int field, pg_id id);
int pg_read(int field, size_t n, const pg_id *ids, double *to);
int pg_write(int field, size_t n, const pg_id *ids, const double *from);
/* Grads of 0 are ints, as when the nodes were made; all else that these write are floats. */
int pg_fill(int field, size_t n, const pg_id *ids, double number);
int pg_add_grads(size_t n, const pg_id *ids, const double *grads);

/* Which of `count` parameters a gradient has reached since 0 was assigned to their grads by pg_set_grad() or
 * pg_fill(). Parameter k has the next sizes[k] of the ids. It is reached if a sweep or pg_add_grads() came to
 * one of its leaves, whatever that added, or if a grad is not 0. */
int pg_reached(size_t count, const uint32_t *sizes, const pg_id *ids, bool *out);

/* The bulk builders -------------------------------------------------------------------------------------- */

/* Each builds the graph of the scalar loop given with it, node for node and in its order, and writes the ids of
 * the results to `out`, each held once for the caller. Returns PG_OK; PG_SOME_PINNED if a closure is at or
 * below a result; or a status: then no node was made, and if an op failed, out[0] is the index of the result at
 * which it did. */

/* [op(x) for x in a];  [op(x, y) for x, y in zip(a, b)];  [op(x, y) for x in a], where y is a number */
int pg_map_unary(int op, size_t n, const pg_id *a, pg_id *out);
int pg_map_binary(int op, size_t n, const pg_id *a, const pg_id *b, pg_id *out);
int pg_map_number(int op, size_t n, const pg_id *a, double y, bool integral, pg_id *out);
/* Ops that these accept besides those of the op table. Each makes two, as micrograd does. */
enum {
  PG_SUBTRACT = 64, /* x + (-y), of two nodes */
  PG_DIVIDE,        /* x * y**-1, of two nodes */
  PG_SUBTRACT_FROM, /* y + (-x), y a number */
  PG_DIVIDE_INTO    /* y * x**-1, y a number */
};

/* [reduce(op, row) for row in x], by an op that cannot fail. A sum begins with the number 0, a product with 1,
 * any other with the row's first element. */
int pg_reduce(int op, size_t rows, size_t n, const pg_id *x, pg_id *out);

/* [[sum((a[i][k] * b[k][j] for k in range(n)), bias[j]) for j in range(columns)] for i in range(rows)]
 * with a[i][k] at a[i * a_row + k * a_column], which is dense in either order, and b likewise. Without a bias
 * (NULL) sums begin with the number 0. */
int pg_matmul(size_t rows, size_t n, size_t columns, const pg_id *a, size_t a_row, size_t a_column,
              const pg_id *b, size_t b_row, size_t b_column, const pg_id *bias, pg_id *out);

/* for x in rows:  shifted = [xi - max(data of x) for xi in x];  exps = [s.exp() for s in shifted]
 *   pg_softmax:        inverse = sum(exps) ** -1;     [e * inverse for e in exps]
 *   pg_log_softmax:    minus_log = -sum(exps).log();  [s + minus_log for s in shifted]
 *   pg_cross_entropy:  sum(exps).log() - shifted[target]
 * pg_softmax makes each exp right after its shifted element; the other two make it when the sum adds it.
 * pg_cross_entropy needs room for n ids in `scratch`, and fails with PG_DOMAIN for a target that is not below
 * n. */
int pg_softmax(size_t rows, size_t n, const pg_id *x, pg_id *out);
int pg_log_softmax(size_t rows, size_t n, const pg_id *x, pg_id *out);
int pg_cross_entropy(size_t rows, size_t n, const pg_id *x, const uint32_t *targets, pg_id *scratch,
                     pg_id *out);

/* for x in rows:  scale = (sum(xi * xi for xi in x) / n + eps) ** -0.5
 *                 [xi * scale for xi in x], or with weights [xi * scale * wi for xi, wi in zip(x, weights)] */
int pg_rms_norm(size_t rows, size_t n, const pg_id *x, const pg_id *weights, double eps, pg_id *out);

/* A multi-layer perceptron of micrograd's nn, for one sample x: layer by layer, neuron by neuron,
 *   act = sum((wi * xi for wi, xi in zip(w, x)), b), then the activation of act if the neuron is nonlinear
 * A neuron's w and b follow each other in `parameters`. Where x[i] is 0, the input is a new leaf of numbers[i];
 * if no x[i] is, `numbers` may be NULL. integral[i] says whether it is an int; NULL: none is. Each neuron has
 * inputs. `out` has room for one id a neuron; the results, those of the last layer, are at its end, and are
 * PG_HELD. */
typedef struct {
  size_t layers;
  const uint32_t *widths; /* a layer: its neurons */
  const uint32_t *inputs; /* a neuron: its weights */
  const bool *nonlinear;  /* a neuron: whether it has an activation */
  const pg_id *parameters;
  int activation; /* PG_RELU or PG_TANH */
} pg_mlp;
int pg_mlp_forward(const pg_mlp *mlp, size_t n, const pg_id *x, const double *numbers, const bool *integral,
                   pg_id *out);

/* Optimizers --------------------------------------------------------------------------------------------- */

/* Each updates n leaves in place from their grads. The buffers hold the optimizer's state between steps.
 * Parameter k of those that the options count has the next sizes[k] of the leaves. If no gradient has reached
 * one (see pg_reached), nothing is updated and PG_SOME_UNREACHED returned. With 0 parameters nobody asks. With
 * `maximize` the grads count with the opposite sign. A buffer that the options do not need may be NULL. */
enum { PG_SOME_UNREACHED = 1 };

/* Stochastic gradient descent, as in PyTorch: with g = grad + weight_decay * data, and if there is a velocity
 *   velocity = g on the first step, else momentum * velocity + (1 - dampening) * g
 *   g = g + momentum * velocity with nesterov, else velocity
 *   data -= lr * g
 */
typedef struct {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, first, maximize;
  size_t parameters;
  const uint32_t *sizes;
} pg_sgd;
int pg_sgd_step(const pg_sgd *sgd, size_t n, const pg_id *ids, double *velocity);

/* Adam (Kingma & Ba, 2015), in step t = 1, 2, ...; AdamW (Loshchilov & Hutter, 2019) if the decay is decoupled:
 *   data *= 1 - lr * weight_decay if decoupled, else g = grad + weight_decay * data
 *   mean = beta1 * mean + (1 - beta1) * g
 *   square = beta2 * square + (1 - beta2) * g * g
 *   largest = max(largest, square), if it is given (Reddi et al., 2018), and then in place of square
 *   data -= lr * (mean / (1 - beta1**t)) / (sqrt(square / (1 - beta2**t)) + eps)
 */
typedef struct {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled, maximize;
  size_t parameters;
  const uint32_t *sizes;
} pg_adam;
int pg_adam_step(const pg_adam *adam, uint64_t t, size_t n, const pg_id *ids, double *mean, double *square,
                 double *largest);

/* RMSprop (Tieleman & Hinton, 2012), as in PyTorch: with g = grad + weight_decay * data
 *   square = alpha * square + (1 - alpha) * g * g
 *   mean += (1 - alpha) * (g - mean), if it is given, and then square - mean * mean in place of square
 *   velocity = momentum * velocity + g / (sqrt(square) + eps), if it is given
 *   data -= lr * velocity, or lr * g / (sqrt(square) + eps)
 */
typedef struct {
  double lr, alpha, eps, weight_decay, momentum;
  bool maximize;
  size_t parameters;
  const uint32_t *sizes;
} pg_rmsprop;
int pg_rmsprop_step(const pg_rmsprop *rmsprop, size_t n, const pg_id *ids, double *square, double *mean,
                    double *velocity);

/* Programs ----------------------------------------------------------------------------------------------- */

/* A graph is recorded once, compiled for a kind of call, and run again and again on other numbers.
 *
 *   pg_record -> pg_program    the recorded graph, which never changes
 *   pg_compile -> pg_routine   the machine-independent code for one kind of call
 *   pg_run                     runs it for a batch of samples
 *
 * The caller owns programs, routines and texts, and frees each with its own function, once.
 *
 * Threads: every function of this section may be called from any thread, and at the same time as any other
 * function of this header, also on the same program or routine, with three exceptions:
 *   - nobody may use a program, routine or text while, or after, it is freed;
 *   - the caller of pg_record() holds all nodes that it names until it returns;
 *   - there is one trace at a time: pg_trace_begin() returns PG_BUSY if there is another.
 */
typedef struct pg_program pg_program;
typedef struct pg_routine pg_routine;

/* A trace, which the caller owns; zero before it begins. */
typedef struct {
  uint32_t number; /* from 1; 0: it has not begun, or has ended */
  uint64_t reads;  /* once it has ended: how often its thread read the data or grad of a node, or set its data,
                      or another thread those of a traced node */
} pg_trace;

/* Nodes that this thread makes from here on are traced, until the trace ends. Then they have only the numbers
 * of the example: they may be read, but are no operands, roots or parameters any more, which is PG_ESCAPED. */
int pg_trace_begin(pg_trace *trace);
/* Does nothing unless the trace has begun and not ended. */
void pg_trace_end(pg_trace *trace);
/* Whether this thread is tracing. */
bool pg_tracing(void);
/* The number of the trace of the node for which the newest PG_ESCAPED was returned. */
uint32_t pg_escaped_from(void);
/* Whether a node of the trace may still live. */
bool pg_has_nodes_of_trace(uint32_t trace);

/* Lookups: nodes that stand for an element of a table, which an input, the index, chooses at each run. */
typedef struct {
  size_t count;
  const pg_id *nodes;
  const uint32_t *indices; /* a node: the number of the input that is its index */
  const uint32_t *tables;  /* a node: the number of its table */
  size_t table_count;
  const uint32_t *rows;  /* a table: how many elements it has */
  const pg_id *elements; /* of all tables, one table after the other; older than the nodes */
} pg_lookups;

/* The program of the graph from the inputs to the outputs, before its trace ends. An input is a leaf, or 0 for
 * an index. Other leaves are constants if they are traced, else parameters. No node may be PG_PINNED. NULL, and
 * then *status says why, if there is no memory, an id names no live node, or the graph has a node that has
 * escaped. */
pg_program *pg_record(size_t inputs, const pg_id *input_ids, size_t outputs, const pg_id *output_ids,
                      const pg_lookups *lookups, int *status);
void pg_program_free(pg_program *program);
/* Writes the ids of the parameters, unless `ids` is NULL. Returns how many there are. */
size_t pg_program_parameters(const pg_program *program, pg_id *ids);
/* How many instructions it has: one for each node of the graph. */
size_t pg_program_size(const pg_program *program);

/* A recorded program as arrays, which the caller owns. Instruction i has the op ops[i]; a[i] and b[i] are
 * UINT32_MAX where this table has nothing:
 *
 *   op          a[i]                     b[i]
 *   of ops.def  an earlier instruction   another, if the op has two operands
 *   INPUT       its number
 *   PARAMETER   its number
 *   CONSTANT                             (its number is the next of `constants`)
 *   LOOKUP      an earlier INPUT         a table, whose elements are all earlier
 *   ROW         an earlier instruction   the same
 *   PRIMAL      an earlier instruction
 *   COTANGENT   an earlier instruction
 *   PULLBACK    an earlier instruction   another
 *   EQUAL       an earlier instruction   another
 *   GATE        an earlier instruction   another
 */
typedef struct {
  size_t instruction_count, constant_count, input_count, parameter_count, output_count, table_count,
      element_count;
  uint8_t *ops;
  uint32_t *a, *b;
  double *constants;
  pg_id *parameters;
  uint32_t *outputs;  /* instructions */
  uint32_t *rows;     /* a table: how many elements it has */
  uint32_t *elements; /* instructions, of all tables, one table after the other */
} pg_serialized;

/* The name in files of an op that a recorded program may have; NULL for others. Names stay the same from
 * version to version, numbers of ops may not. */
const char *pg_recorded_name(int op);
/* Sets the counts, and fills those arrays that are not NULL. (Of ops, a, b and constants, either all are NULL
 * or none; likewise rows and elements.) */
void pg_program_serialize(const pg_program *program, pg_serialized *serialized);
/* The program of these arrays, which may come from anywhere. NULL if pg_record() cannot have made them, and
 * then *fault says why, or if there is no memory, and then *fault is NULL. */
pg_program *pg_program_deserialize(const pg_serialized *serialized, const char **fault);

// clang-format off
/* What a routine computes. The caller passes the inputs in arrays, the arguments, each of which has the next few
 * inputs.
 *
 *   wanted                      arguments                           results
 *   PG_VALUES                   inputs                              outputs
 *   PG_GRADIENT                 inputs, cotangent                   output, gradients by each argument and by
 *                                                                   the parameters
 *   PG_TANGENTS                 inputs, tangents of each argument   outputs, tangents of the outputs
 *   PG_GRADIENT | PG_TANGENTS   inputs, tangents of each argument   tangents of the gradients by each argument
 */
// clang-format on
enum pg_wanted { PG_VALUES = 0, PG_GRADIENT = 1, PG_TANGENTS = 2 };
/* Added to these: the routine is for native code. */
enum { PG_NATIVE = 4 };

/* The routine for one kind of call. `count` is the number of arguments with inputs, and sizes[k] the number of
 * inputs in argument k. batched[k] says, for all arguments in the table above, whether argument k has an entry
 * for each sample, or one for all samples.
 *
 * A result has an entry for each sample if any argument has. But the gradient by an argument that is one for
 * all samples, and by the parameters, is added up over the samples.
 *
 * The gradient is there for programs with one output. PG_GRADIENT | PG_TANGENTS takes arguments that are all
 * batched, or none. NULL if there is no memory. */
pg_routine *pg_compile(const pg_program *program, size_t count, const size_t *sizes, const bool *batched,
                       int wanted);
void pg_routine_free(pg_routine *routine);

/* Runs a routine for `batch` samples (1 where nothing is batched), on at most so many threads. arrays[] has the
 * arguments and then the results, in C order, sample by sample where they are batched. The results do not
 * depend on the number of threads. The data of the parameters is read when the run begins; that of elements of
 * tables, when they are looked up. Returns PG_OK or a status below 0. */
int pg_run(pg_routine *routine, size_t batch, double *const *arrays, int threads);
/* The same for PG_GRADIENT, and adds the gradient by the parameters to their grads when the run has ended. Of
 * tables, it adds to those elements that were looked up. The last array is undefined afterwards. */
int pg_run_and_add_grads(pg_routine *routine, size_t batch, double *const *arrays, int threads);

/* The same, but another thread can stop it: soon after pg_stop(stop) this returns PG_STOPPED, and the results
 * are undefined. */
int pg_run_until(pg_routine *routine, size_t batch, double *const *arrays, int threads, const bool *stop);
void pg_stop(bool *stop);
/* About the largest batch for which a run takes less than so many ns on one thread. */
double pg_long_batch(const pg_routine *routine, double ns);

/* Native code: the text of C files, with \f between them, that compute what a routine for PG_NATIVE does. The
 * caller puts the text of native.h, pg_native_head in Python, before each, compiles them, and makes a library.
 */
char *pg_emit_native(const pg_routine *routine);
/* Loads the library of a routine for PG_NATIVE, which runs it from then on; for that it must not run before,
 * and this is called once. False if the library cannot be loaded. */
bool pg_use_native(pg_routine *routine, const char *path);

/* Finds an op that makes an infinity from finite numbers, or a nan from numbers, which an output depends on,
 * for one sample. `inputs` are all inputs; if the gradient is searched, too, the cotangent follows. Sets
 * *symbol to the op's, and `numbers` to its operands and its result, and returns how many these are; 0 if there
 * is no such op; or a status below 0. */
int pg_find_not_finite(const pg_program *program, const double *inputs, bool gradient, const char **symbol,
                       double numbers[3]);

/* These return text, which the caller frees with pg_text_free(); NULL if there is no memory.
 *
 * Listings of a program and of a routine, for people to read. */
char *pg_program_text(const pg_program *program);
char *pg_routine_text(const pg_routine *routine);
/* C functions that compute what routines do: one for PG_VALUES for one sample, and behind it others for
 * PG_VALUES or PG_GRADIENT, of one sample or a batch, one of each at most; with PG_NATIVE, or they are slower.
 * `parameters` are the numbers that the functions use where their caller passes none. All names in it begin
 * with `name` and _. */
char *pg_emit_c(size_t count, pg_routine *const *routines, const double *parameters, const char *name);
void pg_text_free(char *text);

/* Memory ------------------------------------------------------------------------------------------------- */

typedef struct {
  uint64_t live_nodes, peak_live_nodes;
  uint64_t blocks, peak_blocks; /* that have a live node or are being filled */
  uint64_t reserved_bytes;      /* address space */
  uint64_t committed_bytes;     /* memory */
} pg_memory;

void pg_memory_stats(pg_memory *stats);

/* Tests -------------------------------------------------------------------------------------------------- */

/* The allocation after `successes` more, and all that follow, fail. Negative: none does. */
void pg_test_fail_allocations(int64_t successes);
/* The optimizations of programs. */
enum pg_optimization {
  PG_FOLDING = 1,    /* ops of constants become constants */
  PG_SHARING = 2,    /* equal instructions become one */
  PG_REDUCTION = 4,  /* ops become cheaper ones: x**2 a multiplication */
  PG_DOTS = 8,       /* sums of products become dot products */
  PG_VECTORS = 16,   /* like instructions become one loop */
  PG_SLOT_REUSE = 32 /* dead values give their slots to others */
};

/* Programs made from now on are compiled without these optimizations. 0: with all. */
void pg_test_disable(unsigned optimizations);
/* Programs run in the kernels for an instruction set of the machine's kind, numbered from 0, the
 * baseline; below 0: for the best that this machine has. Returns its name; NULL, and changes nothing, if this
 * machine does not have it. */
const char *pg_test_use_instruction_set(int which);
/* Checks all invariants of the arena: NULL, or the first that does not hold. Takes some ns a node. */
const char *pg_check(void);

#endif
