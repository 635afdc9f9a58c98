/* record.c: a graph as a program. */
#include <stdlib.h>
#include <string.h>

#include "program/program.h"

/* What is known of the nodes of a graph while it is recorded: places in a hash table by id. */
typedef struct {
  pg_id id;
  pg_ref place;           /* in the list; PG_NO_REF at first */
  uint32_t input, lookup; /* its number + 1; 0: no such thing */
  uint64_t age;           /* nodes made later are larger */
} found;

typedef struct {
  found *table;
  uint32_t size, count; /* a power of 2 */
  pg_id *stack;         /* of nodes whose operands are to be entered */
  uint32_t waiting, room;
  bool failed;
} found_nodes;

static found *find(const found_nodes *f, pg_id id) {
  uint32_t at = id * 0x9E3779B1U;
  while (f->table[at & (f->size - 1)].id && f->table[at & (f->size - 1)].id != id) {
    at++;
  }
  return &f->table[at & (f->size - 1)];
}

/* The entry of a node, new or not. */
static found *enter(found_nodes *f, pg_id id) {
  if (2 * (uint64_t)f->count >= f->size) {
    found_nodes larger = *f;
    larger.size = f->size ? 2 * f->size : 1024;
    larger.table = pg_resize(NULL, larger.size * sizeof *larger.table);
    if (!larger.table) {
      f->failed = true;
      return NULL;
    }
    memset(larger.table, 0, larger.size * sizeof *larger.table);
    for (uint32_t i = 0; i < f->size; i++) {
      if (f->table[i].id) {
        *find(&larger, f->table[i].id) = f->table[i];
      }
    }
    free(f->table);
    *f = larger;
  }
  found *entry = find(f, id);
  if (!entry->id) {
    f->count++;
    *entry = (found){.id = id, .place = PG_NO_REF};
  }
  return entry;
}

/* Enters a node if it is new, to be looked at. */
static void visit(found_nodes *f, pg_id id) {
  const uint32_t before = f->count;
  if (!id || f->failed || !enter(f, id) || f->count == before) {
    return;
  }
  if (pg_grow((void **)&f->stack, &f->room, f->waiting, 1, sizeof *f->stack)) {
    f->stack[f->waiting++] = id;
  } else {
    f->failed = true;
  }
}

static void visit_ancestors(found_nodes *f, size_t outputs, const pg_id *ids) {
  for (size_t i = 0; i < outputs; i++) {
    visit(f, ids[i]);
  }
  while (f->waiting && !f->failed) {
    const pg_node *n = pg_node_at(f->stack[--f->waiting]);
    visit(f, n->a);
    if (n->op != PG_POWER) { /* its exponent is a part of the op */
      visit(f, n->b);
    }
  }
}

static int by_age(const void *a, const void *b) {
  const uint64_t x = ((const found *)a)->age, y = ((const found *)b)->age;
  return (x > y) - (x < y);
}

/* The entries, oldest node first, in a table of their own. NULL: no memory. */
static found *by_creation(const found_nodes *f) {
  pg_lock();
  const uint32_t fresh = pg_the_arena.fresh; /* what others open from now on, none of these nodes is in */
  pg_unlock();
  uint32_t *turn = pg_resize(NULL, fresh * sizeof *turn); /* of a block on the list */
  found *sorted = pg_resize(NULL, (f->count + 1) * sizeof *sorted);
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
    for (uint32_t i = 0; i < f->size; i++) {
      found entry = f->table[i];
      if (entry.id) {
        entry.age = (uint64_t)turn[pg_block_of(entry.id)] << 32 | entry.id;
        sorted[count++] = entry;
      }
    }
    qsort(sorted, count, sizeof *sorted, by_age);
  } else {
    free(sorted);
    sorted = NULL;
  }
  free(turn);
  return sorted;
}

static pg_ref emit_recorded_lookup(pg_program *p, const found_nodes *f, const pg_lookups *l, uint32_t k) {
  const uint32_t table = l->tables[k];
  if (p->tables[table].count == 0) {
    const pg_id *elements = l->elements + p->tables[table].first;
    p->tables[table].first = p->ref_count;
    for (uint32_t i = 0; i < l->rows[table] && !p->failed; i++) {
      pg_add_ref(p, &p->tables[table], find(f, elements[i])->place);
    }
  }
  return pg_emit_lookup(p, pg_emit_leaf(p, PG_INPUT, l->indices[k], 0, false), table);
}

/* Emits a node whose operands are in the list. */
static pg_ref emit_node(pg_program *p, const found_nodes *f, const pg_lookups *lookups, const found *entry) {
  const pg_node *n = pg_node_at(entry->id);
  if (entry->input) {
    return pg_emit_leaf(p, PG_INPUT, entry->input - 1, 0, false);
  }
  if (entry->lookup) {
    return emit_recorded_lookup(p, f, lookups, entry->lookup - 1);
  }
  if (n->op == PG_LEAF && n->flags & PG_TRACED) {
    return pg_emit_constant(p, n->data);
  }
  if (n->op == PG_LEAF) {
    p->parameters[p->parameter_count] = entry->id;
    return pg_emit_leaf(p, PG_PARAMETER, p->parameter_count++, 0, false);
  }
  const pg_ref a = find(f, n->a)->place;
  if (n->op == PG_POWER) {
    return pg_emit(p, PG_POWER, a, pg_emit_constant(p, pg_node_at(n->b)->data));
  }
  return pg_emit(p, n->op, a, n->b ? find(f, n->b)->place : PG_NO_REF);
}

/* Enters the nodes that are not made of their operands in the graph. */
static void enter_inputs(pg_program *p, found_nodes *f, size_t inputs, const pg_id *ids,
                         const pg_lookups *lookups) {
  for (size_t i = 0; i < inputs && !f->failed; i++) {
    found *entry = ids[i] ? enter(f, ids[i]) : NULL;
    if (entry) {
      entry->input = (uint32_t)i + 1;
    }
  }
  for (size_t k = 0; k < lookups->count && !f->failed; k++) {
    found *entry = enter(f, lookups->nodes[k]);
    if (entry) {
      entry->lookup = (uint32_t)k + 1;
    }
  }
  uint32_t elements = 0; /* until a table is in the program, its span says where its ids begin */
  for (size_t t = 0; t < lookups->table_count; t++) {
    pg_add_table(p, (pg_span){.first = elements});
    elements += lookups->rows[t];
  }
  for (uint32_t i = 0; i < elements; i++) {
    visit(f, lookups->elements[i]);
  }
}

/* To the next trace these are nodes that were there before. */
static void end_trace_of(uint32_t count, const found *nodes) {
  pg_lock();
  for (uint32_t i = 0; i < count; i++) {
    pg_node_at(nodes[i].id)->flags &= (uint16_t)~PG_TRACED;
  }
  pg_unlock();
}

static void record(pg_program *p, found_nodes *f, size_t outputs, const pg_id *output_ids,
                   const pg_lookups *lookups) {
  visit_ancestors(f, outputs, output_ids);
  found *sorted = f->failed ? NULL : by_creation(f);
  p->parameters = pg_resize(NULL, (f->count + 1) * sizeof *p->parameters);
  p->outputs = pg_resize(NULL, (outputs + 1) * sizeof *p->outputs);
  if (!sorted || !p->parameters || !p->outputs) {
    p->failed = true;
  } else {
    for (uint32_t i = 0; i < f->count && !p->failed; i++) {
      find(f, sorted[i].id)->place = emit_node(p, f, lookups, &sorted[i]);
    }
    for (size_t i = 0; i < outputs; i++) {
      p->outputs[i] = find(f, output_ids[i])->place;
    }
    end_trace_of(f->count, sorted);
    p->output_count = (uint32_t)outputs;
  }
  free(sorted);
}

/* Whether all ids name live nodes, but for the inputs that are 0. */
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
                      const pg_lookups *lookups, unsigned without) {
  pg_program *p = are_live(inputs, input_ids, outputs, output_ids, lookups) ? pg_new_program(without) : NULL;
  if (!p) {
    return NULL;
  }
  p->verbatim = true;
  p->inputs = (uint32_t)inputs;
  found_nodes f = {0};
  enter_inputs(p, &f, inputs, input_ids, lookups);
  record(p, &f, outputs, output_ids, lookups);
  free(f.table);
  free(f.stack);
  if (p->failed || f.failed) {
    pg_program_free(p);
    return NULL;
  }
  return p;
}

size_t pg_program_parameters(const pg_program *p, pg_id *ids) {
  if (ids && p->parameter_count) {
    memcpy(ids, p->parameters, p->parameter_count * sizeof *ids);
  }
  return p->parameter_count;
}
