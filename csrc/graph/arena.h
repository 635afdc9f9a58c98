/* arena.h: where the nodes live, and how they are made and freed. Private to the core; others use pygrad.h.
 *
 * Nodes lie in one range of reserved address space, so the address of a node, `nodes + id`, never changes. They
 * are filled block by block in creation order, and blocks hang on a list in the order in which they were
 * opened. A block re-enters the list, at its young end, only after its last node has died. So the list, and
 * within a block the id, is always a topological order (operands are older than results), and the backward pass
 * needs no sort.
 *
 * The arena owns all nodes. It is the only state of the core besides the test settings of memory.h, and its
 * lock guards all of it but what trace.h describes. Functions here expect the caller to hold the lock; only
 * pg_lock() and pg_unlock() do not.
 */
#ifndef PYGRAD_ARENA_H
#define PYGRAD_ARENA_H

#include <assert.h>
#include <math.h>
#include <stdatomic.h>

#include "os/os.h"
#include "pygrad.h"

enum {
  PG_LEAF = 0,
#define PG_UNARY(name, symbol, forward, adjoint_x) PG_##name,
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_##name,
#include "ops.def"
  PG_CUSTOM, /* made by pg_custom: the caller computes it, and runs its closure */
  PG_LIST,   /* a cell of a custom node's list of operands, when there are more than two */

  /* Functions with a backward of their own have these in traces: program.h says what programs make of them. */
  PG_PRIMAL,    /* a number that the function returned */
  PG_COTANGENT, /* the gradient of a primal, which only programs know: 1 */
  PG_PULLBACK,  /* of an operand, and the gradient that the backward gives it: 0 */
  PG_OP_COUNT
};

typedef struct {
  double data;
  union {
    double grad;
    pg_id link; /* of a dead node: the next of those that pg_drop() must free */
  };
  pg_id a, b;     /* operands; 0 is "no node" */
  uint32_t refs;  /* holders: operands' results and outside handles; 0: dead */
  uint16_t flags; /* of enum pg_flags */
  uint8_t op;
  uint8_t mark; /* 0: as it was made; one of enum pg_mark; or that of the last sweep. See sweep.c. */
} pg_node;

_Static_assert(sizeof(pg_node) == 32, "a node is 32 bytes");

enum { PG_BLOCK_NODES = 256 };

/* Ints are smaller than this: the results of ops on them are exact if they are smaller, too. */
#define PG_INTS 0x1p53

/* Marks are even, and odd by PG_FLOAT for a node whose grad is a float. These are no sweep's. */
enum pg_mark {
  PG_ASSIGNED = 252, /* no gradient has reached the node, but a number was assigned to its grad */
  PG_REACHED = 254   /* a gradient has */
};

/* Whether the sweep processes nodes of an op: they pass gradient on. */
static inline bool pg_is_swept(int op) { return op != PG_LEAF && op != PG_DETACH; }

typedef uint32_t pg_block_id;

typedef struct {
  pg_block_id older, younger; /* neighbours: on the list, or among the spare or the discarded blocks */
  uint32_t swept;             /* the newest sweep that was to process a node here; 0: none */
  uint32_t trace;             /* the newest trace when it was opened: traced nodes here are of this one */
  uint16_t live;              /* nodes alive; 0 for a block that is not on the list */
  bool discarded;             /* its memory was given back to the system */
} pg_block;

typedef struct {
  atomic_flag lock;
  atomic_uint waiting; /* how many threads wait for it */
  bool fork_safe;      /* fork() waits for the lock */
  pg_node *nodes;      /* node 0 is "no node": zero, and always held */
  pg_block *blocks;    /* blocks[i] describes the nodes from i * PG_BLOCK_NODES; block 0 ends the list */
  pg_id next, end;     /* the open block's unused part */
  pg_block_id youngest;
  pg_block_id spare;     /* empty blocks, memory kept */
  pg_block_id discarded; /* empty blocks, memory given back */
  uint32_t spares, discards;
  uint32_t fresh;          /* the first block never used */
  uint32_t committed;      /* the first block without memory behind it */
  uint32_t capacity;       /* blocks reserved */
  uint32_t sweep;          /* the newest sweep; once there was one, its low byte is its even mark */
  uint32_t pending_blocks; /* that the newest sweep has entered, and not yet walked through */
  uint64_t live, peak_live;
  uint32_t open, peak_open;         /* blocks on the list */
  uint32_t trace;                   /* the newest trace */
  uint32_t escaped_trace;           /* of the node that was refused last because its trace has ended */
  _Atomic uint16_t trace_flag;      /* PG_TRACED during a trace, else 0; see trace.h for these three */
  _Atomic uintptr_t tracing_thread; /* set before trace_flag */
  _Atomic uint64_t traced_reads;
} pg_arena;

extern pg_arena pg_the_arena;

/* Until the lock is taken. */
void pg_wait_for_lock(void);

/* Gives those a turn who wait for the lock, for a thread that is to take it again at once. */
void pg_let_others(void);

/* A spin lock: nearly every holder is gone after a few ns, and those who wait for a longer one can. */
static inline void pg_lock(void) {
  if (__builtin_expect(atomic_flag_test_and_set_explicit(&pg_the_arena.lock, memory_order_acquire), 0)) {
    pg_wait_for_lock();
  }
}

static inline void pg_unlock(void) { atomic_flag_clear_explicit(&pg_the_arena.lock, memory_order_release); }

/* Reading ------------------------------------------------------------------------------------------------ */

static inline pg_node *pg_node_at(pg_id id) { return &pg_the_arena.nodes[id]; }
static inline pg_block_id pg_block_of(pg_id id) { return id / PG_BLOCK_NODES; }
static inline pg_id pg_first_of(pg_block_id block) { return block * PG_BLOCK_NODES; }

/* Any number may be asked about; ids that were never given out are not live. */
static inline bool pg_is_live(pg_id id) {
  return id >= PG_FIRST_ID && id < pg_the_arena.fresh * PG_BLOCK_NODES && pg_node_at(id)->refs != 0;
}

bool pg_all_live(size_t n, const pg_id *ids);

/* Begins to fill another block, unless the open one is empty, and numbers a new trace: so a block has traced
 * nodes of one trace only. False if there is no memory. */
bool pg_begin_traced_block(void);

/* Holding ------------------------------------------------------------------------------------------------- */

/* Takes a handle's hold of a node; false if it is not live. */
static inline bool pg_hold_live(pg_id id) {
  const bool live = pg_is_live(id);
  if (live) {
    pg_node_at(id)->refs++;
    pg_node_at(id)->flags |= PG_HELD;
  }
  return live;
}

/* Editing ------------------------------------------------------------------------------------------------- */

/* What follows may be called without the lock by who holds the node: csrc/python/value.c does so. */
#define PG_RACES __attribute__((no_sanitize("thread")))

/* The flag of a number that is stored as data. */
static inline int pg_type_of(double y, bool integral) { return integral && fabs(y) < PG_INTS ? 0 : PG_FLOAT; }

PG_RACES static inline void pg_assign_data(pg_node *n, double data, bool integral) {
  n->data = data;
  n->flags = (uint16_t)((n->flags & ~PG_FLOAT) | pg_type_of(data, integral));
}

/* To a leaf to which a number is assigned no gradient has come; it is reached if that number is not 0. For
 * other nodes the caller holds the lock, as a sweep that goes on may have marked them. */
PG_RACES static inline void pg_assign_grad(pg_node *n, double grad, bool integral) {
  const int type = pg_type_of(grad, integral);
  n->grad = grad;
  if (!(n->flags & PG_INTERIOR)) {
    n->mark = (uint8_t)(type || grad != 0 ? PG_ASSIGNED | type : 0);
  } else {
    n->mark = (uint8_t)((n->mark ? n->mark & ~PG_FLOAT : PG_ASSIGNED) | type);
  }
}

/* A share of this type reaches its grad. */
static inline void pg_reach(pg_node *n, int type) {
  if (!n->mark || n->mark >= PG_ASSIGNED) {
    n->mark |= PG_REACHED;
  }
  n->mark |= (uint8_t)type;
}

static inline void pg_add_grad(pg_node *n, double share) {
  n->grad += share;
  pg_reach(n, PG_FLOAT);
}

/* Whether a number is an int. NumPy may write floats to it through a view, and these are not. */
static inline bool pg_is_whole(double y) { return y == floor(y) && fabs(y) < PG_INTS; }
PG_RACES static inline bool pg_data_is_int(const pg_node *n) {
  return !(n->flags & PG_FLOAT) && pg_is_whole(n->data);
}
PG_RACES static inline bool pg_grad_is_int(const pg_node *n) {
  if (n->grad == 0) { /* -0 is a float: no sum of ints from 0 on is -0 */
    return !signbit(n->grad) && !(n->mark & PG_FLOAT);
  }
  return n->mark && !(n->mark & PG_FLOAT) && pg_is_whole(n->grad);
}

/* Whether a gradient has reached a leaf: see pg_reached. Without a branch, as most loops read both anyway. */
static inline bool pg_is_reached(const pg_node *leaf) { return (leaf->mark >= PG_REACHED) | (leaf->grad != 0); }

/* Whether one has reached one of n live leaves. */
static inline bool pg_any_reached(size_t n, const pg_id *ids) {
  bool any = false;
  for (size_t i = 0; i < n && !any; i++) {
    any = pg_is_reached(pg_node_at(ids[i]));
  }
  return any;
}

/* Making nodes one at a time ------------------------------------------------------------------------------- */

/* A new node, held once by the caller; 0 if memory has run out. The operands (0: none) must be live; the node
 * holds them. */
pg_id pg_new_node(int op, double data, pg_id a, pg_id b, int flags);

/* New leaves with consecutive ids, held once each; the first of them, or 0 if memory has run out. */
pg_id pg_new_leaves(const double *data, size_t count, int flags);

/* Takes away one holder. A node without holders is freed, and its operands lose a holder, and so on. */
void pg_drop(pg_id id);

/* Making many nodes ---------------------------------------------------------------------------------------- */

/* First pg_build_begin(), the only one that can fail; then pg_build_add() for each node; then
 * pg_build_end(). In between the arena's own counts lag behind, and no other function may make or drop a node.
 * A builder is passed by value to functions that are not inlined, so that it can stay in registers. */
typedef struct {
  pg_node *nodes;
  pg_id next, end;     /* the open block's unused part */
  pg_id first;         /* what `next` was when this block was opened, or the builder begun */
  uint32_t absent;     /* operands that are "no node" */
  uint16_t flags;      /* of all the operands */
  uint16_t trace_flag; /* for every new node */
} pg_build;

/* False if there is no memory for so many nodes. */
bool pg_build_begin(pg_build *build, size_t nodes);
pg_build pg_build_next_block(pg_build build);
void pg_build_end(pg_build build);

#define PG_INLINE static inline __attribute__((always_inline))

/* A new node with one holder, the caller. It takes over one hold of each of its operands: an operand made for
 * this node alone is simply passed on; one that others hold, too, is held once more before. `flags`: PG_PINNED
 * if an operand has it; PG_FLOAT if it is a float. */
PG_INLINE pg_id pg_build_add(pg_build *build, int op, double data, pg_id a, pg_id b, int flags) {
  if (__builtin_expect(build->next == build->end, 0)) {
    *build = pg_build_next_block(*build);
  }
  pg_id id = build->next++;
  build->flags |= (uint16_t)flags;
  flags |= (pg_is_swept(op) ? PG_INTERIOR : 0) | build->trace_flag;
  build->nodes[id] =
      (pg_node){.data = data, .a = a, .b = b, .refs = 1, .flags = (uint16_t)flags, .op = (uint8_t)op};
  return id;
}

#endif
