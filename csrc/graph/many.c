/* many.c: leaves, holds and numbers of many nodes in one call. Each function checks all ids before it changes
 * anything. */
#include "graph/arena.h"
#include "graph/trace.h"

pg_made pg_leaves(size_t n, const double *data) {
  if (n == 0) {
    return PG_FIRST_ID;
  }
  pg_lock();
  pg_id first = pg_new_leaves(data, n);
  pg_unlock();
  return first ? (pg_made)first : PG_NO_MEMORY;
}

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
    leaves = !(pg_node_at(ids[i])->flags & PG_INTERIOR);
  }
  pg_unlock();
  return leaves;
}

static double *field_of(pg_id id, int field) {
  assert(field == PG_DATA || field == PG_GRAD);
  return field == PG_DATA ? &pg_node_at(id)->data : &pg_node_at(id)->grad;
}

static void set_field(pg_id id, int field, double number) {
  if (field == PG_DATA) {
    pg_note_read(pg_node_at(id)->flags);
  }
  *field_of(id, field) = number;
}

int pg_read(int field, size_t n, const pg_id *ids, double *to) {
  pg_lock();
  bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    pg_note_read(pg_node_at(ids[i])->flags);
    to[i] = *field_of(ids[i], field);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_write(int field, size_t n, const pg_id *ids, const double *from) {
  pg_lock();
  bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    set_field(ids[i], field, from[i]);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_fill(int field, size_t n, const pg_id *ids, double number) {
  pg_lock();
  bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    set_field(ids[i], field, number);
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}

int pg_add_grads(size_t n, const pg_id *ids, const double *grads) {
  pg_lock();
  const bool live = pg_all_live(n, ids);
  for (size_t i = 0; i < n && live; i++) {
    pg_node_at(ids[i])->grad += grads[i];
  }
  pg_unlock();
  return live ? PG_OK : PG_STALE;
}
