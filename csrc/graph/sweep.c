/* sweep.c: the backward pass: one linear walk over the blocks, from the root towards older nodes.
 *
 * A node is processed if it bears a mark of this sweep; processing it marks its operands. Blocks without
 * marked nodes are skipped, and the sweep ends when no marked node is left. Leaves get the mark PG_REACHED
 * instead, which no sweep processes: it tells an optimizer that a grad of 0 is one that was computed.
 *
 * Sweeps are numbered by even numbers. The marks of sweep s are its low byte, which is never 0 or one of enum
 * pg_mark, and the odd one after it, for a node whose grad is an int; block->swept is the newest sweep that has
 * marked a node of the block. Marks stay behind, on live and on dead nodes. To tell these from its own, a sweep
 * wipes a block's marks before it marks the first node there, but only if all but the low byte of block->swept
 * differs: in 125 consecutive sweeps no mark occurs twice. So wiping costs each block that is in use one pass
 * in 125 sweeps, and other blocks nothing.
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

/* Adds a share to the grad of each element of a row that equals its maximum or minimum. Returns how many these
 * are. n is the last node of the row, whose first nodes are links. */
static size_t add_to_ties(const pg_node *n, double share) {
  size_t ties = 0;
  for (const pg_node *link = n; link->data == n->data;) {
    pg_node *const a = pg_node_at(link->a), *const b = pg_node_at(link->b);
    const bool is_first = !(a->flags & PG_LINK);
    if (b->data == n->data) {
      b->grad += share;
      ties++;
    }
    if (is_first && a->data == n->data) {
      a->grad += share;
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
  const size_t ties = n->grad == 0 ? 0 : add_to_ties(n, 0);
  if (ties) {
    add_to_ties(n, n->grad / (double)ties);
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
  if (__builtin_expect(a->flags & PG_LINK, 0) && a->op == n->op) {
    share_among_ties(n);
    return PG_OK;
  }
  const int status = adjoint_of(n->op, n, a, b);
  return __builtin_expect(status, 0) ? undefined(n, b, status) : PG_OK;
}

/* Marks --------------------------------------------------------------------------------------------------- */

enum { MARKS = UINT8_MAX + 1 };

static void wipe_marks(pg_block_id block) {
  for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
    pg_node *n = pg_node_at(id);
    if (n->mark < PG_ASSIGNED) {
      n->mark = (uint8_t)(n->mark ? PG_REACHED | (n->mark & PG_INT_GRAD) : 0);
    }
  }
  pg_the_arena.blocks[block].swept = 0;
}

/* Numbers a new sweep, whose marks no node of a block that it has entered bears. */
static uint32_t new_sweep(void) {
  do {
    pg_the_arena.sweep += 2;
  } while (pg_the_arena.sweep % MARKS == 0 || pg_the_arena.sweep % MARKS >= PG_ASSIGNED);
  if (pg_the_arena.sweep == 2) { /* the first, or 2**32 on: numbers occur again */
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

/* Whether a mark is one of a sweep's two. */
PG_INLINE bool is_mark_of(uint32_t sweep, int mark) { return (mark & ~PG_INT_GRAD) == (uint8_t)sweep; }

/* Marks a node, which is to be processed by the newest sweep. Leaves are only reached. Its grad is a float from
 * now on, unless `keep` says that it has the type it had. True if the node did not bear this mark before: one
 * that turns from int to float is counted twice, and the sweep may look for it in older blocks in vain.
 * (`blocks` is the arena's: as a local variable of the caller it stays in a register.) */
PG_INLINE bool mark(const pg_block *blocks, pg_node *n, pg_id id, uint32_t sweep, bool keep) {
  if (!(n->flags & PG_INTERIOR)) {
    n->mark = (uint8_t)(PG_REACHED | (keep ? pg_int_grad(n) : 0));
    return false;
  }
  if (__builtin_expect(blocks[pg_block_of(id)].swept != sweep, 0)) {
    enter_block(pg_block_of(id), sweep);
  }
  const uint8_t to = (uint8_t)(sweep | (keep ? (uint32_t)pg_int_grad(n) : 0));
  if (n->mark == to) {
    return false;
  }
  n->mark = to;
  return true;
}

/* Types ---------------------------------------------------------------------------------------------------- */

/* In Python a grad is an int until a float is added to it. Most are floats before long, and all that a float
 * contributes to are. So only the nodes near the root, and those that int factors lead to, take these steps. */

/* Whether a node whose grad is an int contributes an int to its operand 0 or 1. */
static bool contributes_int(const pg_node *n, int which) {
  const pg_node *x = pg_node_at(n->a), *y = pg_node_at(n->b);
  switch (n->op) {
  case PG_ADD:
  case PG_RELU: /* True or False times the grad */
  case PG_ABS:
    return true;
  case PG_MUL:
    return !((which ? x : y)->flags & PG_FLOAT);
  case PG_POWER: /* y * x**(y - 1) */
  case PG_POW:
    return which == 0 && !((x->flags | y->flags) & PG_FLOAT) && y->data >= 1;
  default:
    return false;
  }
}

/* Adds to the grad of a node that is marked. */
PG_INLINE void add(pg_node *n, double share, bool is_int) {
  const double grad = n->grad + share;
  n->grad = grad;
  if (!(is_int && fabs(share) < PG_INTS && fabs(grad) < PG_INTS)) {
    n->mark &= (uint8_t)~PG_INT_GRAD;
  }
}

/* As adjoint(), for a node of any type whose operands are marked. */
static __attribute__((noinline)) int step(const pg_node *n) {
  pg_node *const operands[] = {pg_node_at(n->a), pg_node_at(n->b)};
  const bool is_int = pg_grad_is_int(n);
  if (n->op == PG_ADD) {
    add(operands[0], n->grad, is_int);
    add(operands[1], n->grad, is_int);
    return PG_OK;
  }
  pg_node shares[] = {*operands[0], *operands[1]};
  shares[0].grad = shares[1].grad = -0.0; /* what is added to that comes out as it is */
  const int status = adjoint(n, &shares[0], &shares[1]);
  for (int which = 0; which < pg_op_arity(n->op); which++) {
    const bool adds_int = is_int && contributes_int(n, which);
    const double share = shares[which].grad + (adds_int ? 0.0 : -0.0); /* an int has no -0 */
    if (!status || share != 0) {
      add(operands[which], share, adds_int);
    }
  }
  return status;
}

/* Notes that a gradient reaches the operands of a node. */
static void reach_operands(const pg_node *n) {
  const pg_id operands[] = {n->a, n->b};
  for (int which = 0; which < 2; which++) {
    if (operands[which]) {
      pg_reach(pg_node_at(operands[which]));
    }
  }
}

int pg_backward_one(pg_id id) {
  int status = PG_STALE;
  pg_lock();
  if (pg_is_live(id)) {
    const pg_node *n = pg_node_at(id);
    status = PG_OK;
    if (pg_is_swept(n->op) && pg_op_arity(n->op)) {
      reach_operands(n);
      status = step(n);
    }
  }
  pg_unlock();
  return status;
}

/* The sweep ------------------------------------------------------------------------------------------------ */

int pg_sweep_begin(pg_sweep *sweep, pg_id root) {
  pg_lock();
  const int status = pg_all_usable(1, &root);
  if (!status) {
    pg_node *n = pg_node_at(root);
    n->grad = 1;
    *sweep = (pg_sweep){.at = root, .number = new_sweep()};
    sweep->pending = mark(pg_the_arena.blocks, n, root, sweep->number, true);
    n->mark |= PG_INT_GRAD;
  }
  pg_unlock();
  return status;
}

/* Processes a node of any op and type, and marks its operands, `marked` of which were not marked before.
 * Returns what stops the sweep. Only a closure itself knows the type of what it will add. */
static __attribute__((noinline)) int64_t step_and_mark(const pg_block *blocks, const pg_node *n, uint32_t sweep,
                                                       uint32_t *marked) {
  const pg_id operands[] = {n->a, n->b};
  *marked = 0;
  for (int which = 0; which < 2; which++) {
    if (operands[which]) {
      *marked += mark(blocks, pg_node_at(operands[which]), operands[which], sweep, true);
    }
  }
  return n->flags & PG_CLOSURE ? n - pg_the_arena.nodes : step(n);
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
    if (__builtin_expect(n->mark != (uint8_t)sweep || n->flags & (PG_CLOSURE | PG_OPAQUE), 0)) {
      if (is_mark_of(sweep, n->mark)) {
        uint32_t marked;
        stop = step_and_mark(blocks, n, sweep, &marked);
        pending += marked - 1;
        last = n;
      }
      continue;
    }
    assert(n->flags & PG_INTERIOR);
    const pg_id a_id = n->a, b_id = n->b;
    const int op = n->op;
    last = n;
    pg_node *a = nodes + a_id, *b = nodes + b_id;
    pending += (uint32_t)mark(blocks, a, a_id, sweep, false) + mark(blocks, b, b_id, sweep, false) - 1;
    /* Most nodes are of these two ops. Inlined, they take half the time. */
    if (op == PG_ADD) {
      adjoint_of(PG_ADD, n, a, b);
    } else if (op == PG_MUL) {
      adjoint_of(PG_MUL, n, a, b);
    } else {
      stop = adjoint(n, a, b);
    }
  }
  state->pending = pending;
  if (last) {
    last->mark =
        (uint8_t)(PG_REACHED | (last->mark & PG_INT_GRAD)); /* so that the sweep may go on from this node */
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

/* Writes the nodes of a block, up to a node, that bear a mark of this sweep. Returns how many these are. */
static uint32_t marked_in_block(uint32_t sweep, pg_id last, pg_id *out) {
  uint32_t count = 0;
  for (pg_id id = last; id >= pg_first_of(pg_block_of(last)); id--) {
    if (is_mark_of(sweep, pg_node_at(id)->mark)) {
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
  uint32_t marked = 0;
  for (uint32_t i = 0; i < sweep->pending; i++) {
    marked += pg_is_live(pending[i]) &&
              mark(pg_the_arena.blocks, pg_node_at(pending[i]), pending[i], sweep->number, true);
  }
  sweep->pending = marked;
  pg_unlock();
}
