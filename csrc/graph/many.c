/* many.c: leaves, holds and numbers of many nodes in one call. Each function checks all ids before it changes
 * anything. */
#include "graph/arena.h"
#include "graph/trace.h"

static pg_made leaves(size_t n, const double *data, int flags) {
  if (n == 0) {
    return PG_FIRST_ID;
  }
  pg_lock();
  pg_id first = pg_new_leaves(data, n, flags);
  pg_unlock();
  return first ? (pg_made)first : PG_NO_MEMORY;
}

pg_made pg_leaves(size_t n, const double *data) { return leaves(n, data, 0); }
pg_made pg_plain_leaves(size_t n, const double *data) { return leaves(n, data, PG_PLAIN); }

double *pg_data_at(pg_id id) {
  pg_lock();
  double *at = pg_is_live(id) ? &pg_node_at(id)->data : NULL;
  if (at) {
    pg_note_read(pg_node_at(id)->flags);
  }
  pg_unlock();
  return at;
}

int pg_hold_all(size_t n, const pg_id *ids) {
  pg_lock();
  int result = pg_all_live(n, ids) ? PG_OK : PG_STALE;
  for (size_t i = 0; i < n && result >= 0; i++) {
    pg_node *held = pg_node_at(ids[i]);
    held->refs++;
    result = held->flags & PG_PINNED ? PG_SOME_PINNED : result;
  }
  pg_unlock();
  return result;
}

int pg_release_all(size_t n, const pg_id *ids) {
  pg_lock();
  bool live = true;
  for (size_t i = 0; i < n; i++) {
    if (pg_is_live(ids[i])) {
      pg_drop(ids[i]);
    } else {
      live = false;
    }
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

bool pg_all_leaves(size_t n, const pg_id *ids) {
  pg_lock();
  bool leaves = pg_all_live(n, ids);
  for (size_t i = 0; i < n && leaves; i++) {
    const pg_node *n = pg_node_at(ids[i]);
    leaves = n->op == PG_LEAF && !(n->flags & PG_INTERIOR);
  }
  pg_unlock();
  return leaves;
}

/* The data or the grad of node 0, NULL if no node was ever made; node `id` has it at [id * NUMBERS]. */
static double *field_of(int field) {
  assert(field == PG_DATA || field == PG_GRAD);
  pg_node *const none = pg_the_arena.nodes;
  return !none ? NULL : field == PG_DATA ? &none->data : &none->grad;
}

static const size_t NUMBERS = sizeof(pg_node) / sizeof(double);

/* As pg_note_read, for each of the nodes. */
static void note_reads(size_t n, const pg_id *ids) {
  for (size_t i = 0; i < n && pg_is_traced(); i++) {
    pg_note_read(pg_node_at(ids[i])->flags);
  }
}

int pg_read(int field, size_t n, const pg_id *ids, double *to) {
  pg_lock();
  const bool live = pg_all_live(n, ids);
  if (live) {
    note_reads(n, ids);
  }
  const double *const numbers = field_of(field);
  for (size_t i = 0; i < n && live; i++) {
    to[i] = numbers[ids[i] * NUMBERS];
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

/* Begins to set data or grads. False, with the lock released, if a node is not live. */
static bool begin_to_set(int field, size_t n, const pg_id *ids) {
  pg_lock();
  const bool live = pg_all_live(n, ids);
  if (!live) {
    pg_unlock();
  } else if (field == PG_DATA) {
    note_reads(n, ids);
  }
  return live;
}

int pg_write(int field, size_t n, const pg_id *ids, const double *from) {
  if (!begin_to_set(field, n, ids)) {
    return PG_STALE;
  }
  for (size_t i = 0; i < n; i++) {
    pg_node *node = pg_node_at(ids[i]);
    if (field == PG_DATA) {
      pg_assign_data(node, from[i], false);
    } else {
      node->grad = from[i];
      node->mark = (uint8_t)((node->mark ? node->mark : PG_ASSIGNED) | PG_FLOAT);
    }
  }
  pg_unlock();
  return PG_OK;
}

PG_INLINE void fill(int field, size_t n, const pg_id *ids, double number) {
  pg_node *const nodes = pg_the_arena.nodes;
  for (size_t i = 0; i < n; i++) {
    if (field == PG_DATA) {
      pg_assign_data(&nodes[ids[i]], number, false);
    } else {
      pg_assign_grad(&nodes[ids[i]], number, number == 0 && !signbit(number));
    }
  }
}

int pg_fill(int field, size_t n, const pg_id *ids, double number) {
  if (!begin_to_set(field, n, ids)) {
    return PG_STALE;
  }
  if (field == PG_GRAD && number == 0 && !signbit(number)) {
    fill(PG_GRAD, n, ids, 0); /* before each backward pass: what is constant here is not computed */
  } else {
    fill(field, n, ids, number);
  }
  pg_unlock();
  return PG_OK;
}

int pg_add_grads(size_t n, const pg_id *ids, const double *grads) {
  pg_lock();
  const bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    pg_add_grad(pg_node_at(ids[i]), grads[i]);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_reached(size_t count, const uint32_t *sizes, const pg_id *ids, bool *out) {
  bool live = true;
  pg_lock();
  for (size_t k = 0; k < count && live; ids += sizes[k++]) {
    live = pg_all_live(sizes[k], ids);
    out[k] = live && pg_any_reached(sizes[k], ids);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}
