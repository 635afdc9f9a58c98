/* arena.h: where the nodes live. Private to the core; callers use pygrad.h.
 *
 * Nodes lie in one range of reserved address space, so that `nodes + id` is a node's address for ever. They
 * are filled block by block in creation order, and blocks hang on a list in the order in which they were
 * opened. A block re-enters the list, at the young end, only after its last node has died: so the list, and
 * within a block the id, always is a topological order (operands are older than results), and the backward
 * pass needs no sort.
 */
#ifndef PYGRAD_ARENA_H
#define PYGRAD_ARENA_H

#include <assert.h>
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
  PG_OP_COUNT
};

typedef struct {
  double data;
  union {
    double grad;
    pg_id link; /* of a dead node on the list of those to be freed */
  };
  pg_id a, b;    /* operands; 0 is "no node" */
  uint32_t refs; /* holders: operands' results and outside handles; 0: dead */
  uint8_t op, flags;
  uint16_t mark; /* the epoch of the sweep that must process this node */
} pg_node;

_Static_assert(sizeof(pg_node) == 32, "a node is 32 bytes");

enum { PG_BLOCK_NODES = 256 };

typedef uint32_t pg_block_id;

typedef struct {
  pg_block_id older, younger; /* neighbours: on the list, or among the spare or the discarded blocks */
  uint16_t live;              /* nodes alive; 0 for a block that is not on the list */
  union {
    uint16_t mark;      /* of a block on the list: the last epoch in which a node here was marked */
    uint16_t discarded; /* of one that is not: its memory was given back */
  };
} pg_block;

typedef struct {
  atomic_flag lock;
  bool fork_safe;   /* fork() waits for the lock */
  pg_node *nodes;   /* node 0 is "no node": zero, and held for ever */
  pg_block *blocks; /* blocks[i] describes the nodes from i * PG_BLOCK_NODES; block 0 ends the list */
  pg_id next, end;  /* the open block's unused part */
  pg_block_id youngest;
  pg_block_id spare;     /* empty blocks, memory kept */
  pg_block_id discarded; /* empty blocks, memory given back */
  uint32_t spares, discards;
  uint32_t fresh;     /* the first block never used */
  uint32_t committed; /* the first block without memory behind it */
  uint32_t capacity;  /* blocks reserved */
  uint16_t epoch;     /* of the newest sweep */
  uint64_t live, peak_live;
  uint32_t open, peak_open; /* blocks on the list */
  _Atomic uint8_t born;     /* during a trace PG_TRACED: a flag of every node that the tracer makes */
  _Atomic uintptr_t tracer; /* a thread, set before `born`; see pg_born */
  uint64_t traced_reads;    /* of traced nodes, by the tracer, which alone may touch this */
} pg_arena;

extern pg_arena pg_the_arena;

/* A spin lock: nearly every holder is gone after a few ns, and those who wait for a longer one can. */
static inline void pg_lock(void) {
  while (atomic_flag_test_and_set_explicit(&pg_the_arena.lock, memory_order_acquire)) {
    pg_os_yield();
  }
}

static inline void pg_unlock(void) { atomic_flag_clear_explicit(&pg_the_arena.lock, memory_order_release); }

/* All below: the caller holds the lock. */

static inline pg_node *pg_node_at(pg_id id) { return &pg_the_arena.nodes[id]; }
static inline pg_block_id pg_block_of(pg_id id) { return id / PG_BLOCK_NODES; }
static inline pg_id pg_first_of(pg_block_id block) { return block * PG_BLOCK_NODES; }

/* Ids that were never given out are refused, too: an id may come from anywhere. */
static inline bool pg_is_live(pg_id id) {
  return id >= PG_FIRST_ID && id < pg_the_arena.fresh * PG_BLOCK_NODES && pg_node_at(id)->refs != 0;
}

bool pg_all_live(size_t n, const pg_id *ids);

/* A new node, held once; 0 if memory has run out. The operands (0: none) must be live. */
pg_id pg_new_node(int op, double data, pg_id a, pg_id b, int flags);

/* New leaves with consecutive ids, held once each; the first of them, or 0 if memory has run out. */
pg_id pg_new_leaves(const double *data, size_t count);

/* The flags of a node that is made now. What other threads make during a trace is none of its business. (This
 * needs no lock.) */
static inline uint8_t pg_born(void) {
  const uint8_t born = atomic_load_explicit(&pg_the_arena.born, memory_order_acquire);
  return __builtin_expect(born, 0) && pg_the_arena.tracer == pg_os_thread() ? born : 0;
}

/* Someone reads a number of a node with these flags, or sets its data: to be warned of if it is traced. (Nor
 * does this.) */
static inline void pg_note_read(int flags) {
  if (pg_born() & flags) {
    pg_the_arena.traced_reads++;
  }
}

/* One holder less; at zero the node is freed, and its operands lose a holder. */
void pg_drop(pg_id id);

/* A new epoch: no node bears its mark. */
uint16_t pg_new_epoch(void);

/* Many new nodes: pg_begin, which alone can fail, then pg_put for each, then pg_end. In between the arena's own
 * counts lag behind, and nothing else may make or drop a node. A pen is passed on by value where that is not
 * inlined: so it can stay in registers. */
typedef struct {
  pg_node *nodes;
  pg_id next, end; /* the open block's unused part */
  pg_id first;     /* what `next` was when the block was opened, or the work begun */
  uint32_t absent; /* operands that are "no node" */
  uint8_t flags;   /* of all the operands */
  uint8_t born;    /* flags of every new node */
} pg_pen;

/* False if there is no memory for so many nodes. */
bool pg_begin(pg_pen *pen, size_t nodes);
pg_pen pg_next_block(pg_pen pen);
void pg_end(pg_pen pen);

#define PG_INLINE static inline __attribute__((always_inline))

/* A new node. It has one holder, and takes over one hold of each of its operands: so a node that is made for
 * one use is simply passed on, and one that has other holders is given one more before. `flags`: PG_PINNED if
 * an operand has it. */
PG_INLINE pg_id pg_put(pg_pen *pen, int op, double data, pg_id a, pg_id b, int flags) {
  if (__builtin_expect(pen->next == pen->end, 0)) {
    *pen = pg_next_block(*pen);
  }
  pg_id id = pen->next++;
  pen->flags |= (uint8_t)flags;
  flags |= (op == PG_LEAF ? 0 : PG_INTERIOR) | pen->born;
  pen->nodes[id] =
      (pg_node){.data = data, .a = a, .b = b, .refs = 1, .op = (uint8_t)op, .flags = (uint8_t)flags};
  return id;
}

#endif
