/* sweep.c: the backward pass: one linear walk over the blocks, from the root towards older nodes.
 *
 * A node is processed if it bears the mark of this sweep; processing it marks its operands. Blocks without
 * marked nodes are skipped, and the sweep ends when no marked node is left. Leaves get the mark PG_REACHED
 * instead, which no sweep processes: it tells an optimizer that a grad of 0 is one that was computed.
 *
 * Sweeps are numbered. The mark of sweep s is its low byte, which is never 0 or PG_REACHED, and block->swept is
 * the newest sweep that has marked a node of the block. Marks stay behind, on live and on dead nodes. To tell
 * these from its own, a sweep wipes a block's marks before it marks the first node there, but only if all but
 * the low byte of block->swept differs: in 254 consecutive sweeps no mark occurs twice. So wiping costs each
 * block that is in use one pass in 254 sweeps, and other blocks nothing.
 */
#include "graph/ops.h"
#include "graph/trace.h"

/* Adjoints ------------------------------------------------------------------------------------------------ */

/* Adds the node's share to its operands' grads. Stops at the first adjoint that fails; what was added before
 * stays. Where `op` is a constant, so is the switch. */
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
  default: /* the others have no adjoint: a leaf, a custom node, a cell of a list */
    assert(op == PG_LEAF || op == PG_CUSTOM || op == PG_LIST);
    break;
  }
  (void)z, (void)y, (void)x, (void)g, (void)status;
  return PG_OK;
}

/* Adds a share to the grad of each element of a row that equals its maximum or minimum, and adds flags. Returns
 * how many these are, and the first of them. n is the last node of the row, whose first nodes are links. */
static size_t add_to_ties(const pg_node *n, double share, int flags, pg_node **first) {
  size_t ties = 0;
  for (const pg_node *link = n; link->data == n->data;) {
    pg_node *const a = pg_node_at(link->a), *const b = pg_node_at(link->b);
    const bool is_first = !(link->flags & PG_AFTER_LINK);
    if (b->data == n->data) {
      b->grad += share;
      b->flags |= (uint16_t)flags;
      *first = b;
      ties++;
    }
    if (is_first && a->data == n->data) {
      a->grad += share;
      a->flags |= (uint16_t)flags;
      *first = a;
      ties++;
    }
    if (is_first) {
      break;
    }
    link = a;
  }
  return ties;
}

/* The ties of a row get equal shares, whatever their places. Its links get nothing, and so pass nothing on. */
static void share_among_ties(const pg_node *n) {
  pg_node *first = NULL;
  const size_t ties = n->grad == 0 ? 0 : add_to_ties(n, 0, 0, &first);
  if (ties == 1) {
    first->grad += n->grad;
  } else if (ties) {
    add_to_ties(n, n->grad / (double)ties, 0, &first);
  }
}

/* The derivative of a negative base's power by the exponent is undefined. A leaf's grad says so, by nan; a
 * computed exponent would pass it on, and the step fails with the status. */
static int undefined(const pg_node *n, pg_node *exponent, int status) {
  if (n->op != PG_POW || status != PG_DOMAIN || exponent->flags & PG_INTERIOR) {
    return status;
  }
  exponent->grad = NAN;
  return PG_OK;
}

static __attribute__((noinline)) int adjoint(const pg_node *n, pg_node *a, pg_node *b) {
  if (__builtin_expect(n->flags & PG_AFTER_LINK, 0)) {
    share_among_ties(n);
    return PG_OK;
  }
  const int status = adjoint_of(n->op, n, a, b);
  return __builtin_expect(status, 0) ? undefined(n, b, status) : PG_OK;
}

/* Notes that a gradient has reached the operands of a node. */
static void reach_operands(const pg_node *n) {
  for (int which = 0; which < 2; which++) {
    pg_node *operand = pg_node_at(which ? n->b : n->a);
    operand->mark = operand->mark ? operand->mark : PG_REACHED;
  }
}

int pg_backward_one(pg_id id) {
  int status = PG_STALE;
  pg_lock();
  if (pg_is_live(id)) {
    const pg_node *n = pg_node_at(id);
    status = adjoint(n, pg_node_at(n->a), pg_node_at(n->b));
    if (n->op != PG_DETACH) {
      reach_operands(n);
    }
  }
  pg_unlock();
  return status;
}

/* Marks --------------------------------------------------------------------------------------------------- */

enum { MARKS = UINT8_MAX + 1 };

static void wipe_marks(pg_block_id block) {
  for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
    pg_node *n = pg_node_at(id);
    n->mark = n->mark ? PG_REACHED : 0;
  }
  pg_the_arena.blocks[block].swept = 0;
}

/* Numbers a new sweep, whose mark no node of a block that it has entered bears. */
static uint32_t new_sweep(void) {
  do {
    pg_the_arena.sweep++;
  } while (pg_the_arena.sweep % MARKS == 0 || pg_the_arena.sweep % MARKS == PG_REACHED);
  if (pg_the_arena.sweep == 1) { /* the first, or 2**32 sweeps on: numbers occur again */
    for (pg_block_id block = 1; block < pg_the_arena.fresh; block++) {
      if (pg_the_arena.blocks[block].swept) {
        wipe_marks(block);
      }
    }
  }
  return pg_the_arena.sweep;
}

/* Prepares a block for its first mark of this sweep. */
static __attribute__((noinline)) void enter_block(pg_block_id block, uint32_t sweep) {
  const uint32_t swept = pg_the_arena.blocks[block].swept;
  assert(swept < sweep);
  if (swept && swept / MARKS != sweep / MARKS) {
    wipe_marks(block);
  }
  pg_the_arena.blocks[block].swept = sweep;
}

/* Marks a node, which is to be processed by the newest sweep. Leaves are only reached. True if the node was not
 * marked before. (`blocks` is the arena's: as a local variable of the caller it stays in a register.) */
PG_INLINE bool mark(const pg_block *blocks, pg_node *n, pg_id id, uint32_t sweep) {
  if (!(n->flags & PG_INTERIOR)) {
    n->mark = PG_REACHED;
    return false;
  }
  if (__builtin_expect(blocks[pg_block_of(id)].swept != sweep, 0)) {
    enter_block(pg_block_of(id), sweep);
  }
  if (n->mark == (uint8_t)sweep) {
    return false;
  }
  n->mark = (uint8_t)sweep;
  return true;
}

/* Paths ---------------------------------------------------------------------------------------------------- */

/* Where the root does not depend on a node, the node's grad is 0, and so is what it adds to its operands',
 * though its slope may be infinite. A path from the root ends at a gate of an adjoint that is off: there the
 * adjoint is 0 even for a grad of nan. These paths are searched for when an adjoint fails, at most once a
 * sweep. */

static void pass_path(const pg_node *n, pg_node *a, pg_node *b) {
  const double x = a->data, y = b->data, z = n->data, g = NAN;
  double to_a = NAN, to_b = NAN;
  int code = PG_OK, *const status = &code;
  switch (n->op) {
#define PG_UNARY(name, symbol, result, adjoint_x)                                                              \
  case PG_##name:                                                                                              \
    to_a = (adjoint_x);                                                                                        \
    break;
#define PG_BINARY(name, symbol, result, adjoint_x, adjoint_y)                                                  \
  case PG_##name:                                                                                              \
    to_a = (adjoint_x);                                                                                        \
    to_b = (adjoint_y);                                                                                        \
    break;
#include "ops.def"
  default:
    break;
  }
  (void)z, (void)y, (void)x, (void)status;
  a->flags |= isnan(to_a) ? PG_ON_PATH : 0;
  b->flags |= isnan(to_b) ? PG_ON_PATH : 0;
}

/* The nodes of the root's block that are newer than the root are not on a path. */
static void find_paths(pg_id root) {
  pg_node *const nodes = pg_the_arena.nodes, *first;
  const pg_block *const blocks = pg_the_arena.blocks;
  for (pg_block_id block = pg_block_of(root); block; block = blocks[block].older) {
    for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
      nodes[id].flags &= (uint16_t)~PG_ON_PATH;
    }
  }
  nodes[root].flags |= PG_ON_PATH;
  for (pg_block_id block = pg_block_of(root); block; block = blocks[block].older) {
    for (const pg_node *n = nodes + pg_first_of(block + 1); n-- != nodes + pg_first_of(block);) {
      if (!(n->flags & PG_ON_PATH)) {
        continue;
      }
      if (n->flags & PG_AFTER_LINK) {
        add_to_ties(n, 0, PG_ON_PATH, &first);
      } else {
        pass_path(n, nodes + n->a, nodes + n->b);
      }
    }
  }
  nodes->flags = 0; /* "no node", which leaves have as operands */
}

/* Whether there is a path to the node processed last. */
static bool has_path(pg_sweep *sweep) {
  const pg_node *n = pg_node_at(sweep->at);
  if (n->grad == 0 && !sweep->has_paths) {
    find_paths(sweep->root);
    sweep->has_paths = true;
  }
  return n->grad != 0 || n->flags & PG_ON_PATH;
}

/* The sweep ------------------------------------------------------------------------------------------------ */

int pg_sweep_begin(pg_sweep *sweep, pg_id root) {
  pg_lock();
  const int status = pg_all_usable(1, &root);
  if (!status) {
    pg_node_at(root)->grad = 1;
    *sweep = (pg_sweep){.root = root, .at = root, .number = new_sweep()};
    sweep->pending = mark(pg_the_arena.blocks, pg_node_at(root), root, sweep->number);
  }
  pg_unlock();
  return status;
}

/* Processes the marked nodes of the block of state->at, from there to the block's first node. Returns what
 * stops the sweep, PG_DONE if nothing does; then state->at is the node processed last. */
static int64_t sweep_block(pg_sweep *state, uint32_t *budget) {
  const uint32_t sweep = pg_the_arena.sweep;
  pg_node *const nodes = pg_the_arena.nodes;
  const pg_block *const blocks = pg_the_arena.blocks;
  const pg_node *const first = nodes + pg_first_of(pg_block_of(state->at));
  pg_node *n = nodes + state->at + 1, *last = NULL;
  uint32_t pending = state->pending;
  int64_t stop = PG_DONE;
  while (n-- != first && pending && !stop) {
    if (n->mark != (uint8_t)sweep) {
      continue;
    }
    assert(n->flags & PG_INTERIOR);
    const pg_id a_id = n->a, b_id = n->b;
    const int op = n->op, closure = n->flags & PG_CLOSURE;
    last = n;
    pg_node *a = nodes + a_id, *b = nodes + b_id;
    pending += (uint32_t)mark(blocks, a, a_id, sweep) + mark(blocks, b, b_id, sweep) - 1;
    /* Most nodes are of these two ops. Inlined, they take half the time. */
    if (op == PG_ADD && !closure) {
      adjoint_of(PG_ADD, n, a, b);
    } else if (op == PG_MUL && !closure) {
      adjoint_of(PG_MUL, n, a, b);
    } else {
      stop = closure ? n - nodes : adjoint(n, a, b);
    }
  }
  state->pending = pending;
  if (last) {
    last->mark = PG_REACHED; /* so that the sweep may go on from this node */
    state->at = (pg_id)(last - nodes);
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
  if (s.pending && (s.number != pg_the_arena.sweep || !pg_is_live(s.at))) {
    stop = PG_STALE;
    s.pending = 0;
  }
  if (pg_is_live(s.at) && pg_node_at(s.at)->flags & PG_CLOSURE) {
    reach_operands(pg_node_at(s.at)); /* the closure, which has run, may have assigned them a grad of 0 */
  }
  while (s.pending && pg_block_of(s.at)) { /* block 0 ends the list, after all that is pending */
    const pg_block *block = &blocks[pg_block_of(s.at)];
    if (block->swept == pg_the_arena.sweep) {
      stop = sweep_block(&s, &budget);
      if (stop < 0 && !has_path(&s)) {
        stop = PG_DONE; /* with this node; others of the block may follow */
        continue;
      }
      if (stop) {
        break;
      }
    }
    budget -= budget > 0; /* skipping a block costs time, too */
    s.at = pg_first_of(block->older) + PG_BLOCK_NODES - 1;
  }
  *sweep = s;
  pg_unlock();
  return stop;
}

/* Writes the nodes of a block, up to a node, that bear the mark of this sweep. Returns how many these are. */
static uint32_t marked_in_block(uint32_t sweep, pg_id last, pg_id *out) {
  uint32_t count = 0;
  for (pg_id id = last; id >= pg_first_of(pg_block_of(last)); id--) {
    if (pg_node_at(id)->mark == (uint8_t)sweep) {
      out[count++] = id;
    }
  }
  return count;
}

void pg_sweep_pause(pg_sweep *sweep, pg_id *pending) {
  pg_lock();
  const pg_block *blocks = pg_the_arena.blocks;
  uint32_t found = 0;
  const bool is_newest = sweep->number == pg_the_arena.sweep;
  for (pg_id last = sweep->at; is_newest && found < sweep->pending && pg_block_of(last);) {
    const pg_block *block = &blocks[pg_block_of(last)];
    if (block->swept == sweep->number) {
      found += marked_in_block(sweep->number, last, pending + found);
    }
    last = pg_first_of(block->older) + PG_BLOCK_NODES - 1;
  }
  sweep->pending = found;
  pg_unlock();
}

void pg_sweep_resume(pg_sweep *sweep, const pg_id *pending) {
  pg_lock();
  sweep->number = new_sweep();
  sweep->has_paths = false;
  uint32_t marked = 0;
  for (uint32_t i = 0; i < sweep->pending; i++) {
    marked +=
        pg_is_live(pending[i]) && mark(pg_the_arena.blocks, pg_node_at(pending[i]), pending[i], sweep->number);
  }
  sweep->pending = marked;
  pg_unlock();
}
