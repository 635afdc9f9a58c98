/* nodes.c: making nodes one at a time, holding them, reading and editing them. */
#include "graph/ops.h"
#include "graph/trace.h"

/* Making ------------------------------------------------------------------------------------------------ */

/* Of a node that is held by a handle. */
static inline int flags_of(int op, int type) {
  return PG_HELD | (pg_is_swept(op) ? PG_INTERIOR : 0) | (op == PG_CUSTOM ? PG_OPAQUE : 0) | type;
}

/* Makes the node of an op, held by a handle, whose data is of this type: PG_FLOAT or 0. `rare` are those flags
 * of its operands that few nodes have: it is pinned if an operand is; PG_ESCAPED if one of them has escaped
 * from its trace. */
static __attribute__((noinline)) pg_made make_rare(int op, double data, int type, pg_id a, pg_id b, int rare) {
  if (rare & PG_TRACED && (pg_has_escaped(a) || pg_has_escaped(b))) {
    return PG_ESCAPED;
  }
  const int pin = rare & PG_PINNED;
  const pg_made made = pg_new_node(op, data, a, b, flags_of(op, type) | pin);
  return !made ? PG_NO_MEMORY : pin ? -made : made;
}

/* The same of any live operands (0: none). */
static pg_made make(int op, double data, int type, pg_id a, pg_id b) {
  const int rare = (pg_node_at(a)->flags | pg_node_at(b)->flags) & (PG_PINNED | PG_TRACED);
  if (__builtin_expect(rare, 0)) {
    return make_rare(op, data, type, a, b, rare);
  }
  const pg_id id = pg_new_node(op, data, a, b, flags_of(op, type));
  return id ? (pg_made)id : PG_NO_MEMORY;
}

/* The same, with a new leaf as its second operand. */
static pg_made make_with_leaf(int op, double data, int type, pg_id a, double number, int type_of_number) {
  pg_id leaf = pg_new_node(PG_LEAF, number, 0, 0, PG_PLAIN | type_of_number);
  if (!leaf) {
    return PG_NO_MEMORY;
  }
  pg_made made = make(op, data, type, a, leaf);
  pg_drop(leaf); /* now held by the result alone; freed if that was not made */
  return made;
}

pg_made pg_leaf(double data, bool integral) {
  pg_lock();
  pg_id id = pg_new_node(PG_LEAF, data, 0, 0, PG_HELD | pg_type_of(data, integral));
  pg_unlock();
  return id ? (pg_made)id : PG_NO_MEMORY;
}

PG_INLINE pg_made unary(int op, pg_id a) {
  pg_lock();
  int status = pg_is_live(a) ? PG_OK : PG_STALE;
  double data = status ? 0 : pg_forward(op, pg_node_at(a)->data, 0, &status);
  pg_made made = status;
  if (!status) {
    const int type = pg_type_of_result(op, pg_node_at(a), pg_node_at(0), &data);
    made = make(op, data, type, a, 0);
  }
  pg_unlock();
  return made;
}

PG_INLINE pg_made binary(int op, pg_id a, pg_id b) {
  pg_lock();
  int status = pg_is_live(a) && pg_is_live(b) ? PG_OK : PG_STALE;
  double data = status ? 0 : pg_forward(op, pg_node_at(a)->data, pg_node_at(b)->data, &status);
  pg_made made = status;
  if (!status) {
    const int type = pg_type_of_result(op, pg_node_at(a), pg_node_at(b), &data);
    made = make(op, data, type, a, b);
  }
  pg_unlock();
  return made;
}

PG_INLINE pg_made with_number(int op, pg_id a, double number, bool integral) {
  const int type_of_number =
      op == PG_POWER && integral ? 0 : pg_type_of(number, integral); /* x**2, not x**2.0 */
  const pg_node y = {.data = number, .flags = (uint16_t)type_of_number};
  pg_lock();
  int status = pg_is_live(a) ? PG_OK : PG_STALE;
  double data = status ? 0 : pg_forward(op, pg_node_at(a)->data, number, &status);
  pg_made made = status;
  if (!status) {
    const int type = pg_type_of_result(op, pg_node_at(a), &y, &data);
    made = make_with_leaf(op, data, type, a, number, type_of_number);
  }
  pg_unlock();
  return made;
}

#define PG_UNARY(name, ...)                                                                                    \
  pg_made pg_make_##name(pg_id a) { return unary(PG_##name, a); }
#define PG_BINARY(name, ...)                                                                                   \
  pg_made pg_make_##name(pg_id a, pg_id b) { return binary(PG_##name, a, b); }                                 \
  pg_made pg_make_##name##_number(pg_id a, double y, bool integral) {                                          \
    return with_number(PG_##name, a, y, integral);                                                             \
  }
#define PG_CONSTANT(name, ...)                                                                                 \
  pg_made pg_make_##name(pg_id a, double y, bool integral) { return with_number(PG_##name, a, y, integral); }
#include "ops.def"

/* Operand 0 is the first of the operands, operand 1 the head of a list of the others: a cell's operand 0 is one
 * of them, its operand 1 the next cell. */
pg_made pg_custom(double data, bool integral, const pg_id *operands, size_t count) {
  pg_lock();
  int status = pg_all_usable(count, operands);
  pg_id list = 0;
  for (size_t i = count; i-- > 1 && !status;) {
    pg_id longer = pg_new_node(PG_LIST, 0, operands[i], list, PG_INTERIOR | PG_OPAQUE);
    status = longer ? PG_OK : PG_NO_MEMORY;
    if (list) {
      pg_drop(list); /* now held by `longer` alone; freed if that was not made */
    }
    list = longer;
  }
  pg_made made =
      status ? status
             : make_rare(PG_CUSTOM, data, pg_type_of(data, integral), count ? operands[0] : 0, list, PG_PINNED);
  if (list) {
    pg_drop(list);
  }
  pg_unlock();
  return made;
}

pg_made pg_cut(pg_id id) {
  pg_lock();
  pg_made made = PG_STALE;
  if (pg_is_live(id)) {
    pg_node *const n = pg_node_at(id);
    const int kept = PG_FLOAT | PG_OPAQUE | PG_INTERIOR | PG_PINNED | PG_AFTER_LINK;
    const pg_id moved = pg_new_node(PG_LEAF, n->data, 0, 0, PG_HELD | (n->flags & kept));
    made = moved ? (pg_made)moved : PG_NO_MEMORY;
    if (moved) {
      pg_node *const m = pg_node_at(moved);
      m->op = n->op, m->a = n->a, m->b = n->b;
      n->op = PG_CUSTOM, n->a = n->b = 0;
      n->flags = (uint16_t)((n->flags & ~PG_AFTER_LINK) | PG_OPAQUE | PG_INTERIOR | PG_PINNED);
    }
  }
  pg_unlock();
  return made;
}

/* Lifetime ---------------------------------------------------------------------------------------------- */

int pg_hold(pg_id id) {
  pg_lock();
  const bool held = pg_hold_live(id);
  pg_unlock();
  return held ? PG_OK : PG_STALE;
}

/* Gives up a handle's hold if the node is live and has none of these flags. */
static int release(pg_id id, int unless) {
  pg_lock();
  bool may = pg_is_live(id) && !(pg_node_at(id)->flags & unless);
  if (may) {
    pg_node_at(id)->flags &= (uint16_t)~PG_HELD;
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

/* A copy of the node; of a dead one, what reads as nan, 0 and "no node". */
static pg_node live_node(pg_id id) {
  pg_lock();
  pg_node n = pg_is_live(id) ? *pg_node_at(id) : (pg_node){.data = NAN, .grad = NAN};
  pg_unlock();
  return n;
}

/* The same, for a caller who reads its numbers. */
static pg_node read_node(pg_id id) {
  pg_node n = live_node(id);
  pg_note_read(n.flags);
  return n;
}

double pg_data(pg_id id) { return read_node(id).data; }
double pg_grad(pg_id id) { return read_node(id).grad; }
bool pg_is_int(int field, pg_id id) {
  const pg_node n = live_node(id);
  return field == PG_DATA ? pg_data_is_int(&n) : pg_grad_is_int(&n);
}

int pg_op(pg_id id) { return live_node(id).op; }
int pg_flags_of(pg_id id) { return live_node(id).flags; }
uint32_t pg_refs(pg_id id) { return live_node(id).refs; }

/* The place of the first id, among ids in ascending order, that is not below this one. */
static size_t first_from(pg_id id, size_t count, const pg_id *ids) {
  size_t low = 0;
  while (low < count) {
    const size_t middle = low + (count - low) / 2;
    if (ids[middle] < id) {
      low = middle + 1;
    } else {
      count = middle;
    }
  }
  return low;
}

void pg_ages(size_t count, const pg_id *ids, uint32_t *ages) {
  uint32_t age = 0;
  pg_lock();
  for (pg_block_id block = pg_the_arena.youngest; block; block = pg_the_arena.blocks[block].older) {
    const pg_id end = pg_first_of(block + 1);
    for (size_t at = first_from(pg_first_of(block), count, ids); at < count && ids[at] < end; at++) {
      ages[at] = age;
    }
    age++;
  }
  pg_unlock();
}

pg_id pg_operand(pg_id id, int which) {
  pg_node n = live_node(id);
  return which == 0 ? n.a : n.b;
}

int pg_set_data(pg_id id, double data, bool integral) {
  pg_lock();
  bool live = pg_is_live(id);
  if (live) {
    pg_note_read(pg_node_at(id)->flags);
    pg_assign_data(pg_node_at(id), data, integral);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_set_grad(pg_id id, double grad, bool integral) {
  pg_lock();
  bool live = pg_is_live(id);
  if (live) {
    pg_assign_grad(pg_node_at(id), grad, integral);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_set_flags(pg_id id, int flags) {
  pg_lock();
  bool live = pg_is_live(id);
  if (live) {
    pg_node_at(id)->flags |= (uint16_t)flags;
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}
