/* nodes.c: making nodes one at a time, reading them, and the backward sweep. */
#include "graph/ops.h"

/* The op table ------------------------------------------------------------------------------------------ */

static const struct {
  const char *name, *symbol;
  int arity;
} OPS[PG_OP_COUNT] = {
    [PG_LEAF] = {"LEAF", "", 0},
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = {#name, symbol, 1},
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) [PG_##name] = {#name, symbol, 2},
#include "ops.def"
    [PG_CUSTOM] = {"CUSTOM", "", 0},
    [PG_LIST] = {"LIST", "", 0},
};

static bool is_op(int op) { return op >= 0 && op < PG_OP_COUNT; }

int pg_op_count(void) { return PG_OP_COUNT; }
const char *pg_op_name(int op) { return is_op(op) ? OPS[op].name : NULL; }
const char *pg_op_symbol(int op) { return is_op(op) ? OPS[op].symbol : NULL; }
int pg_op_arity(int op) { return is_op(op) ? OPS[op].arity : 0; }

/* Adds the node's share to its operands' grads. At a failed adjoint it stops: what was added before stays. */
PG_INLINE int adjoint_of(int op, const pg_node *n, pg_node *a, pg_node *b) {
  const double x = a->data, y = b->data, z = n->data, g = n->grad;
  int code = PG_OK, *const status = &code;
  switch (op) {
#define ACCUMULATE(operand, share)                                                                             \
  do {                                                                                                         \
    const double added = (share);                                                                              \
    if (code) {                                                                                                \
      return code;                                                                                             \
    }                                                                                                          \
    (operand)->grad += added;                                                                                  \
  } while (0)
#define PG_UNARY(name, symbol, result, adjoint_x)                                                              \
  case PG_##name:                                                                                              \
    ACCUMULATE(a, adjoint_x);                                                                                  \
    break;
#define PG_BINARY(name, symbol, result, adjoint_x, adjoint_y)                                                  \
  case PG_##name:                                                                                              \
    ACCUMULATE(a, adjoint_x);                                                                                  \
    ACCUMULATE(b, adjoint_y);                                                                                  \
    break;
#include "ops.def"
#undef ACCUMULATE
  default:
    break;
  }
  (void)z, (void)y, (void)x, (void)g, (void)status;
  return PG_OK;
}

static __attribute__((noinline)) int adjoint(const pg_node *n, pg_node *a, pg_node *b) {
  return adjoint_of(n->op, n, a, b);
}

/* Makers ------------------------------------------------------------------------------------------------ */

/* An interior node; pinned if an operand is. */
static pg_made make(int op, double data, pg_id a, pg_id b, int flags) {
  flags |= PG_HELD | PG_INTERIOR;
  if (a) { /* else there may be no arena yet */
    flags |= (pg_node_at(a)->flags | pg_node_at(b)->flags) & PG_PINNED;
  }
  pg_id id = pg_new_node(op, data, a, b, flags);
  if (!id) {
    return PG_NO_MEMORY;
  }
  return flags & PG_PINNED ? -(pg_made)id : (pg_made)id;
}

/* An interior node whose second operand is a new leaf. */
static pg_made make_with_leaf(int op, double data, pg_id a, double number, int leaf_flags) {
  pg_id leaf = pg_new_node(PG_LEAF, number, 0, 0, leaf_flags);
  if (!leaf) {
    return PG_NO_MEMORY;
  }
  pg_made made = make(op, data, a, leaf, 0);
  pg_drop(leaf); /* held by the result alone; freed if there is none */
  return made;
}

pg_made pg_leaf(double data) {
  pg_lock();
  pg_id id = pg_new_node(PG_LEAF, data, 0, 0, PG_HELD);
  pg_unlock();
  return id ? (pg_made)id : PG_NO_MEMORY;
}

static pg_made unary(int op, pg_id a) {
  pg_lock();
  int status = pg_is_live(a) ? PG_OK : PG_STALE;
  double data = status ? 0 : pg_forward(op, pg_node_at(a)->data, 0, &status);
  pg_made made = status ? status : make(op, data, a, 0, 0);
  pg_unlock();
  return made;
}

static pg_made binary(int op, pg_id a, pg_id b) {
  pg_lock();
  int status = pg_is_live(a) && pg_is_live(b) ? PG_OK : PG_STALE;
  double data = status ? 0 : pg_forward(op, pg_node_at(a)->data, pg_node_at(b)->data, &status);
  pg_made made = status ? status : make(op, data, a, b, 0);
  pg_unlock();
  return made;
}

static pg_made with_number(int op, pg_id a, double number, int leaf_flags) {
  pg_lock();
  int status = pg_is_live(a) ? PG_OK : PG_STALE;
  double data = status ? 0 : pg_forward(op, pg_node_at(a)->data, number, &status);
  pg_made made = status ? status : make_with_leaf(op, data, a, number, leaf_flags);
  pg_unlock();
  return made;
}

#define PG_UNARY(name, ...)                                                                                    \
  pg_made pg_make_##name(pg_id a) { return unary(PG_##name, a); }
#define PG_BINARY(name, ...)                                                                                   \
  pg_made pg_make_##name(pg_id a, pg_id b) { return binary(PG_##name, a, b); }                                 \
  pg_made pg_make_##name##_number(pg_id a, double y) { return with_number(PG_##name, a, y, 0); }
#define PG_CONSTANT(name, ...)                                                                                 \
  pg_made pg_make_##name(pg_id a, double y, bool integral) {                                                   \
    return with_number(PG_##name, a, y, integral ? PG_INTEGRAL : 0);                                           \
  }
#include "ops.def"

/* Operand 0 is the first of the operands, operand 1 the head of a list of the others. */
pg_made pg_custom(double data, const pg_id *operands, size_t count) {
  pg_lock();
  int status = PG_OK;
  for (size_t i = 0; i < count && !status; i++) {
    status = pg_is_live(operands[i]) ? PG_OK : PG_STALE;
  }
  pg_id list = 0;
  for (size_t i = count; i-- > 1 && !status;) {
    pg_id longer = pg_new_node(PG_LIST, 0, operands[i], list, PG_INTERIOR);
    status = longer ? PG_OK : PG_NO_MEMORY;
    if (list) {
      pg_drop(list); /* held by `longer` alone; freed if that failed */
    }
    list = longer;
  }
  pg_made made = status ? status : make(PG_CUSTOM, data, count ? operands[0] : 0, list, PG_PINNED);
  if (list) {
    pg_drop(list);
  }
  pg_unlock();
  return made;
}

/* Lifetime ---------------------------------------------------------------------------------------------- */

int pg_hold(pg_id id) {
  pg_lock();
  bool live = pg_is_live(id);
  if (live) {
    pg_node_at(id)->refs++;
    pg_node_at(id)->flags |= PG_HELD;
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

/* Lets go of a hold if the node is live and has none of these flags. */
static int release(pg_id id, int unless) {
  pg_lock();
  bool may = pg_is_live(id) && !(pg_node_at(id)->flags & unless);
  if (may) {
    pg_node_at(id)->flags &= (uint8_t)~PG_HELD;
    pg_drop(id);
  }
  pg_unlock();
  return may ? PG_OK : PG_STALE;
}

int pg_release(pg_id id) { return release(id, PG_KEPT); }
int pg_release_kept(pg_id id) { return release(id, 0); }

int pg_keep(pg_id id) {
  pg_lock();
  bool held = pg_is_live(id) && pg_node_at(id)->flags & PG_HELD;
  if (held) {
    pg_node_at(id)->flags |= PG_KEPT;
  }
  pg_unlock();
  return held ? PG_OK : PG_STALE;
}

/* Reading and editing ----------------------------------------------------------------------------------- */

/* The node, or if it is dead, what reads as nan, 0 and "no node". */
static pg_node live_node(pg_id id) {
  pg_lock();
  pg_node n = pg_is_live(id) ? *pg_node_at(id) : (pg_node){.data = NAN, .grad = NAN};
  pg_unlock();
  return n;
}

/* Its numbers are read from outside. */
static pg_node read_node(pg_id id) {
  pg_node n = live_node(id);
  pg_note_read(n.flags);
  return n;
}

double pg_data(pg_id id) { return read_node(id).data; }
double pg_grad(pg_id id) { return read_node(id).grad; }
int pg_op(pg_id id) { return live_node(id).op; }
int pg_flags_of(pg_id id) { return live_node(id).flags; }
uint32_t pg_refs(pg_id id) { return live_node(id).refs; }

pg_id pg_operand(pg_id id, int which) {
  pg_node n = live_node(id);
  return which == 0 ? n.a : n.b;
}

int pg_set_data(pg_id id, double data) {
  pg_lock();
  bool live = pg_is_live(id);
  if (live) {
    pg_note_read(pg_node_at(id)->flags);
    pg_node_at(id)->data = data;
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_set_grad(pg_id id, double grad) {
  pg_lock();
  bool live = pg_is_live(id);
  if (live) {
    pg_node_at(id)->grad = grad;
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_set_flags(pg_id id, int flags) {
  pg_lock();
  bool live = pg_is_live(id);
  if (live) {
    pg_node_at(id)->flags |= (uint8_t)flags;
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

/* Tracing ------------------------------------------------------------------------------------------------ */

void pg_trace_begin(void) {
  pg_the_arena.traced_reads = 0;
  pg_the_arena.tracer = pg_os_thread();
  pg_the_arena.born = PG_TRACED;
}

uint64_t pg_trace_end(void) {
  pg_the_arena.born = 0;
  return pg_the_arena.traced_reads;
}

bool pg_tracing(void) { return pg_born() != 0; }

/* The backward pass ------------------------------------------------------------------------------------- */

/* Asks for the node to be processed. Leaves need no processing. True if it was not marked before. */
PG_INLINE bool mark(pg_node *n, pg_id id, uint16_t epoch) {
  if (!(n->flags & PG_INTERIOR) || n->mark == epoch) {
    return false;
  }
  n->mark = epoch;
  pg_the_arena.blocks[pg_block_of(id)].mark = epoch;
  return true;
}

int pg_sweep_begin(pg_sweep *sweep, pg_id root) {
  pg_lock();
  bool live = pg_is_live(root);
  if (live) {
    pg_node_at(root)->grad = 1;
    *sweep = (pg_sweep){.at = root, .pending = mark(pg_node_at(root), root, pg_new_epoch())};
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

/* Processes what is marked in the block of sweep->at, from there to the block's first node. What stops the
 * sweep, if anything does, is returned, with sweep->at the node processed last. */
static int64_t sweep_block(pg_sweep *sweep, uint32_t *budget) {
  const uint16_t epoch = pg_the_arena.epoch;
  pg_node *const nodes = pg_the_arena.nodes;
  const pg_node *const first = nodes + pg_first_of(pg_block_of(sweep->at));
  pg_node *n = nodes + sweep->at + 1, *last = NULL;
  uint32_t pending = sweep->pending;
  int64_t stop = PG_DONE;
  while (n-- != first && pending && !stop) {
    if (n->mark != epoch) {
      continue;
    }
    n->mark = 0; /* so that the sweep may go on from this node */
    last = n;
    pg_node *a = nodes + n->a, *b = nodes + n->b;
    pending += (uint32_t)mark(a, n->a, epoch) + mark(b, n->b, epoch) - 1;
    /* Nearly all nodes are of the first two ops: as code of their own they take half the time. */
    if (n->op == PG_ADD && !(n->flags & PG_CLOSURE)) {
      adjoint_of(PG_ADD, n, a, b);
    } else if (n->op == PG_MUL && !(n->flags & PG_CLOSURE)) {
      adjoint_of(PG_MUL, n, a, b);
    } else {
      stop = n->flags & PG_CLOSURE ? n - nodes : adjoint(n, a, b);
    }
  }
  sweep->pending = pending;
  if (last) {
    sweep->at = (pg_id)(last - nodes);
    *budget = *budget > PG_BLOCK_NODES ? *budget - PG_BLOCK_NODES : 0;
    stop = stop || *budget ? stop : PG_MORE;
  }
  return stop;
}

/* Between two calls sweep->at is a node of the root's graph, so its block stays on the list, where it is. */
int64_t pg_sweep_run(pg_sweep *sweep, uint32_t budget) {
  pg_lock();
  const pg_block *blocks = pg_the_arena.blocks;
  pg_sweep s = *sweep;
  int64_t stop = PG_DONE;
  if (s.pending && !pg_is_live(s.at)) {
    stop = PG_STALE;
    s.pending = 0;
  }
  while (s.pending && pg_block_of(s.at)) { /* block 0 ends the list, but what is pending comes before it */
    const pg_block *block = &blocks[pg_block_of(s.at)];
    if (block->mark == pg_the_arena.epoch) {
      stop = sweep_block(&s, &budget);
      if (stop) {
        break;
      }
    }
    budget -= budget > 0; /* passing a block costs, too */
    s.at = pg_first_of(block->older) + PG_BLOCK_NODES - 1;
  }
  *sweep = s;
  pg_unlock();
  return stop;
}

int pg_backward_one(pg_id id) {
  int status = PG_STALE;
  pg_lock();
  if (pg_is_live(id)) {
    const pg_node *n = pg_node_at(id);
    status = adjoint(n, pg_node_at(n->a), pg_node_at(n->b));
  }
  pg_unlock();
  return status;
}
