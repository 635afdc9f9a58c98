/* sweep.c: the backward pass: one linear walk over the blocks, from the root towards older nodes.
 *
 * A node is processed if it bears a mark of this sweep; processing it marks its operands. Blocks without
 * marked nodes are skipped, and the sweep ends with the last block that has some. Leaves get the mark
 * PG_REACHED instead, which no sweep processes: it tells an optimizer that a grad of 0 is one that was
 * computed.
 *
 * Sweeps are numbered by even numbers. The marks of sweep s are its low byte, which is never 0 or one of enum
 * pg_mark, and the odd one after it, for a node whose grad is a float; block->swept is the newest sweep that
 * has marked a node of the block. Marks stay behind, on live and on dead nodes. To tell these from its own, a
 * sweep wipes a block's marks before it marks the first node there, but only if all but the low byte of
 * block->swept differs: in 125 consecutive sweeps no mark occurs twice. So wiping costs each block that is in
 * use one pass in 125 sweeps, and other blocks nothing.
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
  case PG_PRIMAL:
    return PG_UNKNOWN;
  default: /* the others have no adjoint: a leaf, a custom node, a cell of a list, what only traces have */
    assert(op == PG_LEAF || op >= PG_CUSTOM);
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

/* Goes on with a step that has failed at an operand. The derivative of a negative base's power by the exponent
 * is undefined: a leaf's grad says so, by nan; a computed exponent would pass it on, and the step fails for
 * good. */
static int undefined(const pg_node *n, pg_node *operand, int status) {
  if (n->op != PG_POW || status != PG_DOMAIN || operand->flags & PG_INTERIOR) {
    return status;
  }
  operand->grad = NAN;
  return PG_OK;
}

static __attribute__((noinline)) int adjoint(const pg_node *n, pg_node *a, pg_node *b) {
  if (__builtin_expect(n->flags & PG_AFTER_LINK, 0)) {
    share_among_ties(n);
    return PG_OK;
  }
  const int status = adjoint_of(n->op, n, a, b);
  if (__builtin_expect(status, 0)) {
    return n->grad == 0 ? status : undefined(n, b, status); /* at 0 it may not be needed: see complete() */
  }
  return PG_OK;
}

/* Marks --------------------------------------------------------------------------------------------------- */

enum { MARKS = UINT8_MAX + 1 };

static void wipe_marks(pg_block_id block) {
  for (pg_id id = pg_first_of(block); id < pg_first_of(block + 1); id++) {
    pg_node *n = pg_node_at(id);
    if (n->mark < PG_ASSIGNED) {
      n->mark = (uint8_t)(n->mark ? PG_REACHED | (n->mark & PG_FLOAT) : 0);
    }
  }
  pg_the_arena.blocks[block].swept = 0;
}

/* Numbers a new sweep, whose marks no node of a block that it has entered bears. */
static uint32_t new_sweep(void) {
  pg_the_arena.pending_blocks = 0;
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
  pg_the_arena.pending_blocks++;
}

/* Whether a mark is one of a sweep's two. */
static bool is_mark_of(uint32_t sweep, int mark) { return (mark & ~PG_FLOAT) == (uint8_t)sweep; }

/* A walk through the nodes of a block, from the newest to the oldest; zeros are a walk through none. */
typedef struct {
  const pg_node *first; /* of the block */
  const pg_node *end;   /* the last: the first of the block, or the oldest that is marked so far */
  pg_node *n;           /* it goes on with the node before */
  pg_node *last;        /* processed last */
  int64_t stop;
} walk;

/* Has the newest sweep walk to a node. */
PG_INLINE void walk_to(walk *w, const pg_node *n, uint32_t sweep) {
  if (__builtin_expect((uintptr_t)n - (uintptr_t)w->first < PG_BLOCK_NODES * sizeof *n, 1)) {
    w->end = n < w->end ? n : w->end;
    return;
  }
  const pg_block_id block = pg_block_of((pg_id)(n - pg_the_arena.nodes));
  if (__builtin_expect(pg_the_arena.blocks[block].swept != sweep, 0)) {
    enter_block(block, sweep);
  }
}

/* Marks a node that gets the share of a float: the newest sweep is to process it. Leaves are only reached. */
PG_INLINE void mark_float(walk *w, pg_node *n, uint32_t sweep) {
  if (!(n->flags & PG_INTERIOR)) {
    n->mark = PG_REACHED | (int)PG_FLOAT;
    return;
  }
  walk_to(w, n, sweep);
  n->mark = (uint8_t)(sweep | PG_FLOAT);
}

/* As mark_float(), for the share of an int: the grad is a float if it was one. */
PG_INLINE void mark_int(walk *w, pg_node *n, uint32_t sweep) {
  if (__builtin_expect(n->mark & PG_FLOAT, 0)) {
    mark_float(w, n, sweep);
    return;
  }
  if (!(n->flags & PG_INTERIOR)) {
    n->mark = PG_REACHED;
    return;
  }
  walk_to(w, n, sweep);
  n->mark = (uint8_t)sweep;
}

/* Types ---------------------------------------------------------------------------------------------------- */

/* In Python a grad is an int until a float is added to it, and the root's is the int 1. Most grads are floats
 * before long, and all that a float contributes to are. Types are those that Python would find if its ints were
 * as small as ours: an int grad that has become too large reads as a float. */

/* The type of what a node, as one of this op, adds to the grad of its operand 0 or 1. 0 also where only a
 * closure knows. */
static int type_of_share(int op, const pg_node *n, int which) {
  const pg_node *x = pg_node_at(n->a), *y = pg_node_at(n->b);
  const int type = n->mark & PG_FLOAT;
  switch (op) {
  case PG_CUSTOM:
  case PG_LIST:
    return 0;
  case PG_ADD:
  case PG_RELU: /* True or False times the grad */
  case PG_ABS:
    return type;
  case PG_MUL:
    return type | ((which ? x : y)->flags & PG_FLOAT);
  case PG_POWER: /* y * x**(y - 1) */
  case PG_POW:
    return which == 0 && y->data >= 1 ? type | ((x->flags | y->flags) & PG_FLOAT) : PG_FLOAT;
  case PG_EXP: /* these use the result, to which an int may have been assigned */
  case PG_TANH:
  case PG_SIGMOID:
    return type | (n->flags & PG_FLOAT);
  default:
    return PG_FLOAT;
  }
}

/* Notes that a gradient has reached the operands of a node, as one of this op. */
static void reach_operands(int op, const pg_node *n) {
  const pg_id operands[] = {n->a, n->b};
  for (int which = 0; which < 2; which++) {
    if (operands[which]) {
      pg_reach(pg_node_at(operands[which]), type_of_share(op, n, which));
    }
  }
}

/* Poles ---------------------------------------------------------------------------------------------------- */

/* A slope may be infinite or undefined, and an adjoint fails. That matters where there is a path from the root
 * through the node to a leaf: a path ends at a gate of an adjoint that is off, and at a leaf that is a plain
 * number. These are searched for when an adjoint fails, at most once a sweep. */

/* What a step adds to the operands' grads, and its statuses. */
typedef struct {
  double share[2];
  int status[2];
} step;

static step step_of(const pg_node *n, double g) {
  const double x = pg_node_at(n->a)->data, y = pg_node_at(n->b)->data, z = n->data;
  step s = {0};
  int *status = &s.status[0];
  switch (n->op) {
#define PG_UNARY(name, symbol, result, adjoint_x)                                                              \
  case PG_##name:                                                                                              \
    s.share[0] = (adjoint_x);                                                                                  \
    break;
#define PG_BINARY(name, symbol, result, adjoint_x, adjoint_y)                                                  \
  case PG_##name:                                                                                              \
    s.share[0] = (adjoint_x);                                                                                  \
    status = &s.status[1];                                                                                     \
    s.share[1] = (adjoint_y);                                                                                  \
    break;
#include "ops.def"
  case PG_PRIMAL:
    s.share[0] = g;
    *status = PG_UNKNOWN;
    break;
  default: /* only a closure knows */
    s.share[0] = s.share[1] = g;
    break;
  }
  (void)z, (void)y, (void)x, (void)status;
  return s;
}

/* Where a gate is off, a share is 0 even for a grad of nan. */
static bool is_open(const step *s, int which) { return isnan(s->share[which]); }

/* Finds the nodes that a root depends on. Those of its block that are newer are not on a path. */
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
        const step s = step_of(n, NAN);
        nodes[n->a].flags |= is_open(&s, 0) ? PG_ON_PATH : 0;
        nodes[n->b].flags |= is_open(&s, 1) ? PG_ON_PATH : 0;
      }
    }
  }
  nodes->flags = 0; /* "no node", which leaves have as operands */
}

/* Whether a node depends on a leaf that is no plain number, given that its operands say so. */
static bool varies(const pg_node *n) {
  if (n->flags & (PG_CLOSURE | PG_OPAQUE)) {
    return true; /* perhaps: only a closure knows */
  }
  if (n->op == PG_LEAF) {
    return !(n->flags & PG_PLAIN);
  }
  const step s = step_of(n, NAN);
  return (is_open(&s, 0) && pg_node_at(n->a)->flags & PG_VARIES) ||
         (is_open(&s, 1) && pg_node_at(n->b)->flags & PG_VARIES);
}

/* Finds the nodes that depend on such a leaf, among those that are no newer than the root's block. */
static void find_varying(pg_id root) {
  const pg_block *const blocks = pg_the_arena.blocks;
  pg_block_id block = pg_block_of(root);
  while (blocks[block].older) {
    block = blocks[block].older;
  }
  for (;; block = blocks[block].younger) {
    for (pg_node *n = pg_node_at(pg_first_of(block)); n != pg_node_at(pg_first_of(block + 1)); n++) {
      n->flags = (uint16_t)((n->flags & ~PG_VARIES) | (n->refs && varies(n) ? PG_VARIES : 0));
    }
    if (block == pg_block_of(root)) {
      break;
    }
  }
}

/* Goes on with a step that has failed: what depends on no leaf has a grad of nan. What was added before it
 * failed stays. Returns a status if it fails again, and is needed. */
static int complete(const pg_node *n, bool is_needed) {
  const step s = step_of(n, n->grad);
  const pg_id operands[] = {n->a, n->b};
  for (int k = s.status[0] ? 0 : 1; k < 2; k++) {
    pg_node *const operand = pg_node_at(operands[k]);
    if (!s.status[k]) {
      operand->grad += s.share[k];
    } else if (!is_needed || !(operand->flags & PG_VARIES)) {
      operand->grad = n->grad == 0 ? operand->grad : NAN;
    } else if (undefined(n, operand, s.status[k])) {
      return s.status[k];
    }
  }
  return PG_OK;
}

/* Goes on with the step of the node processed last, which has failed. */
static int complete_last(pg_sweep *sweep) {
  const pg_node *n = pg_node_at(sweep->at);
  if (!sweep->has_paths) {
    find_paths(sweep->root);
    find_varying(sweep->root);
    sweep->has_paths = true;
  }
  return complete(n, n->grad != 0 || n->flags & PG_ON_PATH);
}

int pg_backward_one(pg_id id) {
  int status = PG_STALE;
  pg_lock();
  if (pg_is_live(id)) {
    const pg_node *n = pg_node_at(id);
    status = adjoint(n, pg_node_at(n->a), pg_node_at(n->b));
    if (status) {
      find_varying(id);
      status = complete(n, true);
    }
    if (n->op != PG_DETACH) {
      reach_operands(n->op, n);
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
    n->mark &= (uint8_t)~PG_FLOAT;
    *sweep = (pg_sweep){.root = root, .at = root, .number = new_sweep()};
    mark_int(&(walk){0}, n, sweep->number);
  }
  pg_unlock();
  return status;
}

static void mark_operand(walk *w, int op, int which, uint32_t sweep) {
  const pg_node *n = w->last;
  pg_node *const operand = pg_node_at(which ? n->b : n->a);
  if (type_of_share(op, n, which)) {
    mark_float(w, operand, sweep);
  } else {
    mark_int(w, operand, sweep);
  }
}

/* Processes the node w.last, of any op and type. */
static __attribute__((noinline)) walk process(walk w) {
  const pg_node *const n = w.last;
  const uint32_t sweep = pg_the_arena.sweep;
  const int op = n->flags & PG_CLOSURE ? PG_CUSTOM : n->op;
  mark_operand(&w, op, 0, sweep);
  mark_operand(&w, op, 1, sweep);
  w.stop = n->flags & PG_CLOSURE ? n - pg_the_arena.nodes : adjoint(n, pg_node_at(n->a), pg_node_at(n->b));
  return w;
}

/* Sums and products are most of the nodes. Inlined, they take half the time, if their variables stay in
 * registers: so rare nodes end a walk, and nobody counts the nodes that are left. */

/* Whether both are leaves whose data are floats. */
static bool are_float_leaves(const pg_node *a, const pg_node *b) {
  return a->flags & b->flags & PG_FLOAT && !((a->flags | b->flags) & PG_INTERIOR);
}

/* Walks through nodes whose grads are ints. */
static __attribute__((noinline)) walk walk_ints(walk w) {
  const uint32_t sweep = pg_the_arena.sweep;
  pg_node *const nodes = pg_the_arena.nodes;
  pg_node *n = w.n, *last = w.last;
  while (n-- != w.end) {
    if (__builtin_expect(n->mark != (uint8_t)sweep, 0)) {
      if (n->mark == (uint8_t)(sweep | PG_FLOAT)) {
        break;
      }
      continue;
    }
    assert(n->flags & PG_INTERIOR);
    const int op = n->op;
    pg_node *a = nodes + n->a, *b = nodes + n->b;
    if (n->flags & (PG_CLOSURE | PG_OPAQUE)) {
      return process((walk){w.first, w.end, n, n, PG_DONE});
    }
    last = n;
    if (op == PG_ADD) {
      mark_int(&w, a, sweep);
      mark_int(&w, b, sweep);
      adjoint_of(PG_ADD, n, a, b);
    } else if (op == PG_MUL && are_float_leaves(a, b)) {
      a->mark = b->mark = PG_REACHED | (int)PG_FLOAT;
      adjoint_of(PG_MUL, n, a, b);
    } else {
      return process((walk){w.first, w.end, n, n, PG_DONE});
    }
  }
  return (walk){w.first, w.end, n + 1, last, PG_DONE};
}

/* Walks through nodes whose grads are floats. */
static __attribute__((noinline)) walk walk_floats(walk w) {
  const uint32_t sweep = pg_the_arena.sweep;
  pg_node *const nodes = pg_the_arena.nodes;
  pg_node *n = w.n, *last = w.last;
  while (n-- != w.end) {
    if (__builtin_expect(n->mark != (uint8_t)(sweep | PG_FLOAT), 0)) {
      if (n->mark == (uint8_t)sweep) {
        break;
      }
      continue;
    }
    assert(n->flags & PG_INTERIOR);
    const int op = n->op;
    pg_node *a = nodes + n->a, *b = nodes + n->b;
    if (n->flags & (PG_CLOSURE | PG_OPAQUE)) {
      return process((walk){w.first, w.end, n, n, PG_DONE});
    }
    last = n;
    mark_float(&w, a, sweep);
    mark_float(&w, b, sweep);
    if (op == PG_ADD) {
      adjoint_of(PG_ADD, n, a, b);
    } else if (op == PG_MUL) {
      adjoint_of(PG_MUL, n, a, b);
    } else {
      const int status = adjoint(n, a, b);
      if (status) {
        return (walk){w.first, w.end, n, n, status};
      }
    }
  }
  return (walk){w.first, w.end, n + 1, last, PG_DONE};
}

/* Processes the marked nodes of the block of state->at, from there to the block's first node. Returns what
 * stops the sweep, PG_DONE if nothing does; then state->at is the node processed last. */
static int64_t sweep_block(pg_sweep *state, uint32_t *budget) {
  pg_node *const from = pg_node_at(state->at), *const first = pg_node_at(pg_first_of(pg_block_of(state->at)));
  const bool is_begin = state->at == state->root && is_mark_of(state->number, from->mark);
  walk w = {.first = first, .end = is_begin ? from : first, .n = from + 1};
  while (w.n > w.end && !w.stop) {
    w = w.n[-1].mark == (uint8_t)(state->number | PG_FLOAT) ? walk_floats(w) : walk_ints(w);
  }
  if (w.last) {
    w.last->mark =
        (uint8_t)(PG_REACHED | (w.last->mark & PG_FLOAT)); /* so that the sweep may go on from here */
    state->at = (pg_id)(w.last - pg_the_arena.nodes);
    *budget = *budget > PG_BLOCK_NODES ? *budget - PG_BLOCK_NODES : 0;
    w.stop = w.stop || *budget ? w.stop : PG_MORE;
  }
  return w.stop;
}

/* Between two calls sweep->at is a node of the root's graph, so its block stays on the list, where it is. */
int64_t pg_sweep_run(pg_sweep *sweep, uint32_t budget) {
  pg_lock();
  pg_sweep s = *sweep;
  int64_t stop = PG_DONE;
  if (s.number && (s.number != pg_the_arena.sweep || !pg_is_live(s.at))) {
    stop = PG_STALE;
    s.number = 0;
  }
  if (pg_is_live(s.at) && pg_node_at(s.at)->flags & PG_CLOSURE) {
    reach_operands(PG_CUSTOM,
                   pg_node_at(s.at)); /* the closure, which has run, may have assigned them a grad of 0 */
  }
  while (s.number && pg_block_of(s.at)) { /* block 0 ends the list, after all that is pending */
    const pg_block *block = &pg_the_arena.blocks[pg_block_of(s.at)];
    if (block->swept == s.number) {
      stop = sweep_block(&s, &budget);
      if (stop < 0 && (stop = complete_last(&s)) == PG_OK) {
        continue; /* with other nodes of the block */
      }
      if (stop) {
        break;
      }
      pg_the_arena.pending_blocks--;
    }
    if (!pg_the_arena.pending_blocks) {
      s.number = 0;
      break;
    }
    budget -= budget > 0; /* skipping a block costs time, too */
    s.at = pg_first_of(block->older) + PG_BLOCK_NODES - 1;
  }
  assert(stop || !s.number);
  *sweep = s;
  pg_unlock();
  return stop;
}

/* Writes the nodes of a block, up to a node, that bear a mark of this sweep. Returns how many these are. */
static uint32_t marked_in_block(uint32_t sweep, pg_id last, pg_id *out) {
  uint32_t count = 0;
  for (pg_id id = last; id >= pg_first_of(pg_block_of(last)); id--) {
    if (is_mark_of(sweep, pg_node_at(id)->mark)) {
      if (out) {
        out[count] = id;
      }
      count++;
    }
  }
  return count;
}

uint32_t pg_sweep_pending(const pg_sweep *sweep, pg_id *pending) {
  pg_lock();
  const bool is_newest = sweep->number && sweep->number == pg_the_arena.sweep;
  uint32_t found = 0, blocks = is_newest ? pg_the_arena.pending_blocks : 0;
  for (pg_id last = sweep->at; blocks && pg_block_of(last);) {
    const pg_block *block = &pg_the_arena.blocks[pg_block_of(last)];
    if (block->swept == sweep->number) {
      found += marked_in_block(sweep->number, last, pending ? pending + found : NULL);
      blocks--;
    }
    last = pg_first_of(block->older) + PG_BLOCK_NODES - 1;
  }
  pg_unlock();
  return found;
}

void pg_sweep_resume(pg_sweep *sweep, uint32_t count, const pg_id *pending) {
  pg_lock();
  sweep->number = new_sweep();
  sweep->has_paths = false;
  for (uint32_t i = 0; i < count; i++) {
    if (pg_is_live(pending[i])) {
      mark_int(&(walk){0}, pg_node_at(pending[i]), sweep->number);
    }
  }
  pg_unlock();
}
