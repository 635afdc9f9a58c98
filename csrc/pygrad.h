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

enum pg_status {
  PG_OK = 0,
  PG_NO_MEMORY,     /* ids, address space or memory have run out */
  PG_STALE,         /* an id that names no live node */
  PG_ZERO_DIVISION, /* where Python raises ZeroDivisionError */
  PG_OVERFLOW,      /* ... OverflowError */
  PG_DOMAIN,        /* ... ValueError */
  PG_COMPLEX        /* where Python's result is complex */
};

enum pg_flags {
  PG_INTERIOR = 1,  /* a sweep has something to do here: an adjoint, operands, or a closure */
  PG_CLOSURE = 2,   /* the sweep stops here: the caller runs the adjoint, not the op table */
  PG_PINNED = 4,    /* a closure at or below this node: whoever holds it must hold its operands, too */
  PG_HELD = 8,      /* held by a handle outside the arena, not only by its parents */
  PG_LABELLED = 16, /* the caller keeps a label for this node */
  PG_INTEGRAL = 32, /* an op's constant that was written as an int: x**2, not x**2.0 */
  PG_KEPT = 64      /* its hold belongs to a keeper: see pg_keep */
};

/* What a maker returns. Above 0: the id of the new node, held once for the caller. Below 0: at or below
 * -PG_FIRST_ID the node with the negated id, made too, and PG_PINNED; else a negated status, nothing made. */
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
 * call again; above that the id of a PG_CLOSURE node: run its closure, then call again; below 0 a negated
 * status: the adjoint of sweep->at failed, the sweep is over.
 */
int64_t pg_sweep_run(pg_sweep *sweep, uint32_t budget);
/* One step of the pass: adds the node's share to the grads of its operands. */
int pg_backward_one(pg_id id);

typedef struct {
  uint64_t live_nodes, peak_live_nodes;
  uint64_t blocks, peak_blocks; /* that hold a live node or are being filled */
  uint64_t reserved_bytes;      /* of address space */
  uint64_t committed_bytes;     /* of memory */
} pg_memory;

void pg_memory_stats(pg_memory *stats);

/* For tests: the allocation after `successes` more, and all that follow, fail. Negative: none does. */
void pg_test_fail_allocations(int64_t successes);

#endif
