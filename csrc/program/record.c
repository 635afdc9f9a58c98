/* record.c: makes a program of a graph: finds the ancestors of the outputs, sorts them by creation, and emits
 * an instruction for each; for the last node of a row of maxima or minima, two.
 *
 * Other threads may change nodes of the graph meanwhile (hold them, set their data). So nodes are read under
 * the arena's lock. It is released after every NODES_A_LOCK nodes, so that other threads do not wait long.
 */
#include <stdlib.h>
#include <string.h>

#include "graph/trace.h"
#include "program/program.h"

enum { NODES_A_LOCK = 256 };

/* What is known of a node. The entries are a hash table by id. */
typedef struct {
  pg_id id;
  pg_ref ref;             /* its instruction; PG_NO_REF before it is emitted */
  uint32_t input, lookup; /* which input or lookup it is, + 1; 0 for none */
  uint64_t age;           /* larger for nodes made later */
} entry;

typedef struct {
  entry *table;
  uint32_t size, count; /* size is a power of 2 */
  pg_id *stack;         /* nodes whose operands are still to be entered */
  uint32_t depth, room;
  int status; /* PG_NO_MEMORY, PG_ESCAPED */
} entries;

/* The entry of a node, or the empty one where it belongs. */
static entry *find(const entries *e, pg_id id) {
  uint32_t at = id * 0x9E3779B1U;
  while (e->table[at & (e->size - 1)].id && e->table[at & (e->size - 1)].id != id) {
    at++;
  }
  return &e->table[at & (e->size - 1)];
}

static pg_ref ref_of(const entries *e, pg_id id) {
  const pg_ref ref = find(e, id)->ref;
  assert(ref != PG_NO_REF);
  return ref;
}

/* Keeps at least half of the table empty. False if there is no memory. */
static bool grow_table(entries *e) {
  if (2 * (uint64_t)e->count < e->size) {
    return true;
  }
  entries larger = *e;
  larger.size = e->size ? 2 * e->size : 1024;
  larger.table = pg_resize(NULL, larger.size * sizeof *larger.table);
  if (!larger.table) {
    e->status = PG_NO_MEMORY;
    return false;
  }
  memset(larger.table, 0, larger.size * sizeof *larger.table);
  for (uint32_t i = 0; i < e->size; i++) {
    if (e->table[i].id) {
      *find(&larger, e->table[i].id) = e->table[i];
    }
  }
  free(e->table);
  *e = larger;
  return true;
}

/* The entry of a node, new or not. NULL if there is no memory. */
static entry *enter(entries *e, pg_id id) {
  if (!grow_table(e)) {
    return NULL;
  }
  entry *found = find(e, id);
  if (!found->id) {
    e->count++;
    *found = (entry){.id = id, .ref = PG_NO_REF};
  }
  return found;
}

/* Ancestors ---------------------------------------------------------------------------------------------- */

/* Enters a node, unless it is "no node", and puts it on the stack if it is new. */
static void visit(entries *e, pg_id id) {
  const uint32_t before = e->count;
  if (!id || e->status || !enter(e, id) || e->count == before) {
    return;
  }
  if (pg_grow((void **)&e->stack, &e->room, e->depth, 1, sizeof *e->stack)) {
    e->stack[e->depth++] = id;
  } else {
    e->status = PG_NO_MEMORY;
  }
}

static void visit_ancestors(entries *e, size_t outputs, const pg_id *ids) {
  for (size_t i = 0; i < outputs; i++) {
    visit(e, ids[i]);
  }
  while (e->depth && !e->status) {
    pg_lock();
    for (int k = 0; k < NODES_A_LOCK && e->depth && !e->status; k++) {
      const pg_id id = e->stack[--e->depth];
      const pg_node *n = pg_node_at(id);
      if (pg_has_escaped(id)) {
        e->status = PG_ESCAPED;
      }
      visit(e, n->a);
      if (n->op != PG_POWER) { /* the exponent belongs to the op */
        visit(e, n->b);
      }
    }
    pg_unlock();
  }
}

static int by_age(const void *a, const void *b) {
  const uint64_t x = ((const entry *)a)->age, y = ((const entry *)b)->age;
  return (x > y) - (x < y);
}

/* A copy of the entries, the oldest node first; the caller owns it. NULL if there is no memory. */
static entry *by_creation(const entries *e) {
  pg_lock();
  const uint32_t fresh = pg_the_arena.fresh; /* blocks opened from now on have none of these nodes */
  pg_unlock();
  uint32_t *turn = pg_resize(NULL, fresh * sizeof *turn); /* a block on the list: larger for younger ones */
  entry *sorted = pg_room(e->count, sizeof *sorted);
  if (turn && sorted) {
    uint32_t blocks = UINT32_MAX;
    pg_lock();
    for (pg_block_id block = pg_the_arena.youngest; block; block = pg_the_arena.blocks[block].older) {
      if (block < fresh) {
        turn[block] = blocks--;
      }
    }
    pg_unlock();
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->size; i++) {
      entry found = e->table[i];
      if (found.id) {
        found.age = (uint64_t)turn[pg_block_of(found.id)] << 32 | found.id;
        sorted[count++] = found;
      }
    }
    assert(count == e->count);
    qsort(sorted, count, sizeof *sorted, by_age);
  } else {
    free(sorted);
    sorted = NULL;
  }
  free(turn);
  return sorted;
}

/* Emitting ----------------------------------------------------------------------------------------------- */

static pg_ref emit_lookup_node(pg_program *p, const entries *e, const pg_lookups *l, uint32_t k) {
  const uint32_t table = l->tables[k];
  if (p->tables[table].count == 0) { /* its elements have instructions by now, being older */
    const pg_id *elements = l->elements + p->tables[table].first;
    p->tables[table].first = p->ref_count;
    for (uint32_t i = 0; i < l->rows[table] && !p->failed; i++) {
      pg_add_ref(p, &p->tables[table], ref_of(e, elements[i]));
    }
  }
  return pg_emit_lookup(p, pg_emit_leaf(p, PG_INPUT, l->indices[k], 0, false), table);
}

/* Whether a node is the last of a row's: the reduction's result. Its first nodes are links. */
static bool ends_row(const pg_node *n) { return (n->flags & (PG_AFTER_LINK | PG_LINK)) == PG_AFTER_LINK; }

/* Emits the row that this node ends. `extremum` is the instruction of its own op. */
static pg_ref emit_row(pg_program *p, const entries *e, const pg_node *n, pg_ref extremum) {
  pg_span row = {.first = p->ref_count};
  for (; n->flags & PG_AFTER_LINK; n = pg_node_at(n->a)) {
    pg_add_ref(p, &row, ref_of(e, n->b));
  }
  pg_add_ref(p, &row, ref_of(e, n->b));
  pg_add_ref(p, &row, ref_of(e, n->a));
  return pg_emit_row(p, extremum, pg_add_table(p, row));
}

/* Emits the instruction of a node whose operands have theirs. The caller holds the lock. */
static pg_ref emit_node(pg_program *p, const entries *e, const pg_lookups *lookups, const entry *x) {
  const pg_node *n = pg_node_at(x->id);
  if (x->input) {
    return pg_emit_leaf(p, PG_INPUT, x->input - 1, 0, false);
  }
  if (x->lookup) {
    return emit_lookup_node(p, e, lookups, x->lookup - 1);
  }
  if (n->op == PG_LEAF && n->flags & PG_TRACED) {
    return pg_emit_constant(p, n->data);
  }
  if (n->op == PG_LEAF) {
    p->parameters[p->parameter_count] = x->id;
    return pg_emit_leaf(p, PG_PARAMETER, p->parameter_count++, 0, false);
  }
  const pg_ref a = ref_of(e, n->a);
  if (n->op == PG_POWER) {
    return pg_emit(p, PG_POWER, a, pg_emit_constant(p, pg_node_at(n->b)->data));
  }
  const pg_ref made = pg_emit(p, n->op, a, n->b ? ref_of(e, n->b) : PG_NO_REF);
  return ends_row(n) ? emit_row(p, e, n, made) : made;
}

/* Emits all nodes. */
static void emit_all(pg_program *p, entries *e, const entry *sorted, const pg_lookups *lookups) {
  for (uint32_t i = 0; i < e->count && !p->failed;) {
    pg_lock();
    for (int k = 0; k < NODES_A_LOCK && i < e->count && !p->failed; k++, i++) {
      find(e, sorted[i].id)->ref = emit_node(p, e, lookups, &sorted[i]);
    }
    pg_unlock();
  }
}

/* Enters inputs and lookups, which are not computed from their nodes' operands, and the tables' elements. */
static void enter_inputs(pg_program *p, entries *e, size_t inputs, const pg_id *ids,
                         const pg_lookups *lookups) {
  for (size_t i = 0; i < inputs && !e->status; i++) {
    entry *found = ids[i] ? enter(e, ids[i]) : NULL;
    if (found) {
      found->input = (uint32_t)i + 1;
    }
  }
  for (size_t k = 0; k < lookups->count && !e->status; k++) {
    entry *found = enter(e, lookups->nodes[k]);
    if (found) {
      found->lookup = (uint32_t)k + 1;
    }
  }
  uint32_t elements = 0; /* until emit_lookup_node() fills it, a span says where the table's ids begin */
  for (size_t t = 0; t < lookups->table_count; t++) {
    pg_add_table(p, (pg_span){.first = elements});
    elements += lookups->rows[t];
  }
  for (uint32_t i = 0; i < elements; i++) {
    visit(e, lookups->elements[i]);
  }
}

static void record(pg_program *p, entries *e, size_t outputs, const pg_id *output_ids,
                   const pg_lookups *lookups) {
  visit_ancestors(e, outputs, output_ids);
  entry *sorted = e->status ? NULL : by_creation(e);
  p->parameters = pg_room(e->count, sizeof *p->parameters);
  p->outputs = pg_room(outputs, sizeof *p->outputs);
  if (!sorted || !p->parameters || !p->outputs) {
    p->failed = true;
  } else {
    emit_all(p, e, sorted, lookups);
    for (size_t i = 0; i < outputs; i++) {
      p->outputs[i] = find(e, output_ids[i])->ref;
    }
    p->output_count = (uint32_t)outputs;
  }
  free(sorted);
}

/* Whether all ids name live nodes; an input may be 0. */
static bool are_live(size_t inputs, const pg_id *input_ids, size_t outputs, const pg_id *output_ids,
                     const pg_lookups *lookups) {
  size_t elements = 0;
  for (size_t t = 0; t < lookups->table_count; t++) {
    elements += lookups->rows[t];
  }
  pg_lock();
  bool live = pg_all_live(outputs, output_ids) && pg_all_live(lookups->count, lookups->nodes) &&
              pg_all_live(elements, lookups->elements);
  for (size_t i = 0; i < inputs && live; i++) {
    live = !input_ids[i] || pg_is_live(input_ids[i]);
  }
  pg_unlock();
  return live;
}

pg_program *pg_record(size_t inputs, const pg_id *input_ids, size_t outputs, const pg_id *output_ids,
                      const pg_lookups *lookups, int *status) {
  const bool live = are_live(inputs, input_ids, outputs, output_ids, lookups);
  pg_program *p = live ? pg_new_program(pg_tests.disabled) : NULL;
  *status = p ? PG_OK : live ? PG_NO_MEMORY : PG_STALE;
  if (!p) {
    return NULL;
  }
  p->verbatim = true;
  p->inputs = (uint32_t)inputs;
  entries e = {0};
  enter_inputs(p, &e, inputs, input_ids, lookups);
  record(p, &e, outputs, output_ids, lookups);
  free(e.table);
  free(e.stack);
  if (p->failed || e.status) {
    *status = e.status ? e.status : PG_NO_MEMORY;
    pg_program_free(p);
    return NULL;
  }
  return p;
}

size_t pg_program_size(const pg_program *p) { return p->count; }

size_t pg_program_parameters(const pg_program *p, pg_id *ids) {
  if (ids && p->parameter_count) {
    memcpy(ids, p->parameters, p->parameter_count * sizeof *ids);
  }
  return p->parameter_count;
}
