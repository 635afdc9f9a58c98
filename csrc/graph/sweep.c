/* sweep.c: the backward pass: one linear walk over the blocks, from the root towards older nodes.
 *
 * A node is processed if it bears the mark of this sweep; processing it marks its operands. Blocks without
 * marked nodes are skipped, and the sweep ends when no marked node is left. Leaves get the mark PG_REACHED
 * instead, which no sweep processes: it tells an optimizer that a grad of 0 is one that was computed.
 *
 * Sweeps are numbered. The mark of sweep s is its low byte, which is never 0 or one of the marks of arena.h,
 * and block->swept is the newest sweep that has marked a node of the block. Marks stay behind, on live and on
 * dead nodes. To tell these from its own, a sweep wipes a block's marks before it marks the first node there,
 * but only if all but the low byte of block->swept differs: in 253 consecutive sweeps no mark occurs twice. So
 * wiping costs each block that is in use one pass in 253 sweeps, and other blocks nothing.
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

static __attribute__((noinline)) int adjoint(const pg_node *n, pg_node *a, pg_node *b) {
  return adjoint_of(n->op, n, a, b);
}

/* Marks --------------------------------------------------------------------------------------------------- */

enum { MARKS = UINT8_MAX + 1 };

static void wipe_marks(pg_block_id block) {
  for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
    pg_node *n = pg_node_at(id);
    n->mark = n->mark && n->mark < PG_ASSIGNED ? PG_REACHED : n->mark;
  }
  pg_the_arena.blocks[block].swept = 0;
}

/* Numbers a new sweep, whose mark no node of a block that it has entered bears. */
static uint32_t new_sweep(void) {
  do {
    pg_the_arena.sweep++;
  } while (pg_the_arena.sweep % MARKS == 0 || pg_the_arena.sweep % MARKS >= PG_ASSIGNED);
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
PG_INLINE bool mark(const pg_block *blocks, pg_node *n, pg_id id, uint32_t sweep, bool is_float) {
  const int flags = n->flags & (is_float ? PG_INTERIOR | PG_INT_GRAD : PG_INTERIOR);
  if (flags != PG_INTERIOR) {
    if (is_float && __builtin_expect(flags & PG_INT_GRAD, 0)) {
      n->flags &= (uint16_t)~PG_INT_GRAD;
    }
    if (!(flags & PG_INTERIOR)) {
      n->mark = PG_REACHED;
      return false;
    }
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

/* Types ---------------------------------------------------------------------------------------------------- */

/* In Python a grad is an int until a float is added to it. Most are floats before long, and all that a float
 * contributes to are: only the nodes near the root, and those that int factors lead to, take a look. */

/* Called before an int is added to a grad. One that was never touched is the int 0. */
PG_INLINE void expect_int(pg_node *n) {
  if (!n->mark) {
    n->flags |= PG_INT_GRAD;
  }
}

PG_INLINE void expect_float(pg_node *n) {
  if (__builtin_expect(n->flags & PG_INT_GRAD, 0)) {
    n->flags &= (uint16_t)~PG_INT_GRAD;
  }
}

PG_INLINE void add_int(pg_node *n, double share) {
  n->grad += share;
  if (!(fabs(n->grad) < PG_INTS)) {
    n->flags &= (uint16_t)~PG_INT_GRAD;
  }
}

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

/* The step of a node that contributes ints: as adjoint(), but an operand's grad stays an int if an int is
 * added. */
static int int_adjoint(const pg_node *n, const bool *is_int) {
  pg_node *const operands[] = {pg_node_at(n->a), pg_node_at(n->b)};
  pg_node shares[] = {*operands[0], *operands[1]};
  shares[0].grad = shares[1].grad = -0.0; /* what is added to that comes out as it is */
  const int status = adjoint(n, &shares[0], &shares[1]);
  for (int which = 0; which < pg_op_arity(n->op); which++) {
    const double share = shares[which].grad;
    if (is_int[which] && fabs(share) < PG_INTS) {
      expect_int(operands[which]);
      add_int(operands[which], share + 0.0); /* an int has no -0 */
    } else if (!status || share != 0) {
      expect_float(operands[which]);
      operands[which]->grad += share;
    }
  }
  return status;
}

/* One node's step. */
static int step(const pg_node *n) {
  const bool is_int = pg_grad_is_int(n),
             ints[] = {is_int && contributes_int(n, 0), is_int && contributes_int(n, 1)};
  if (ints[0] || ints[1]) {
    return int_adjoint(n, ints);
  }
  pg_node *const operands[] = {pg_node_at(n->a), pg_node_at(n->b)};
  for (int which = 0; which < pg_op_arity(n->op); which++) {
    expect_float(operands[which]);
  }
  return adjoint(n, operands[0], operands[1]);
}

/* Notes that a gradient has reached the operands of a node. */
static void reach_operands(const pg_node *n) {
  const pg_id operands[] = {n->a, n->b};
  for (int which = 0; which < 2; which++) {
    if (operands[which]) {
      expect_int(pg_node_at(operands[which]));
      pg_reach(pg_node_at(operands[which]));
    }
  }
}

int pg_backward_one(pg_id id) {
  int status = PG_STALE;
  pg_lock();
  if (pg_is_live(id)) {
    const pg_node *n = pg_node_at(id);
    status = step(n);
    if (pg_is_swept(n->op) && pg_op_arity(n->op)) {
      reach_operands(n);
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
    pg_node_at(root)->grad = 1;
    pg_node_at(root)->flags |= PG_INT_GRAD;
    *sweep = (pg_sweep){.at = root, .pending = mark(pg_the_arena.blocks, pg_node_at(root), root, new_sweep(), false)};
  }
  pg_unlock();
  return status;
}

/* Processes a node of any op, and marks its operands. Returns what stops the sweep. What a closure will add has
 * a type that it alone knows. */
static __attribute__((noinline)) int64_t step_and_mark(const pg_block *blocks, const pg_node *n, uint32_t sweep,
                                                       uint32_t *pending) {
  const bool closure = n->flags & PG_CLOSURE, is_own = !closure && pg_op_arity(n->op);
  const int64_t stop = is_own ? step(n) : closure ? n - pg_the_arena.nodes : PG_DONE;
  const pg_id operands[] = {n->a, n->b};
  for (int which = 0; which < 2; which++) {
    pg_node *operand = pg_node_at(operands[which]);
    if (operands[which]) {
      if (!is_own) {
        expect_int(operand);
      }
      *pending += mark(blocks, operand, operands[which], sweep, false);
    }
  }
  return stop;
}

/* What a node contributes is a float. */
static __attribute__((noinline)) void forget_ints(const pg_node *n) {
  for (int which = 0; which < pg_op_arity(n->op); which++) {
    expect_float(pg_node_at(which ? n->b : n->a));
  }
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
    const int op = n->op, rare = n->flags & (PG_CLOSURE | PG_INT_GRAD);
    last = n;
    pg_node *a = nodes + a_id, *b = nodes + b_id;
    if (__builtin_expect(rare, 0)) {
      if (rare == PG_INT_GRAD && op == PG_ADD) {
        expect_int(a);
        expect_int(b);
        pending += (uint32_t)mark(blocks, a, a_id, sweep, false) + mark(blocks, b, b_id, sweep, false) - 1;
        add_int(a, n->grad);
        add_int(b, n->grad);
        continue;
      }
      if (rare != PG_INT_GRAD || op != PG_MUL || !(a->flags & b->flags & PG_FLOAT)) {
        stop = step_and_mark(blocks, n, sweep, &pending);
        pending--;
        continue;
      }
    }
    if (op < PG_CUSTOM) {
      pending += (uint32_t)mark(blocks, a, a_id, sweep, false) + mark(blocks, b, b_id, sweep, false) - 1;
      if (__builtin_expect((a->flags | b->flags) & PG_INT_GRAD, 0)) {
        forget_ints(n);
      }
    }
    /* Most nodes are of these two ops. Inlined, they take half the time. */
    if (op == PG_ADD) {
      adjoint_of(PG_ADD, n, a, b);
    } else if (op == PG_MUL) {
      adjoint_of(PG_MUL, n, a, b);
    } else if (op < PG_CUSTOM) {
      stop = adjoint(n, a, b);
    } else {
      stop = step_and_mark(blocks, n, sweep, &pending);
      pending--;
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
  if (s.pending && !pg_is_live(s.at)) {
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
