/* emit.c: the statements of native code and of C for other machines: see emit.h. */
#include "routine/emit.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCK = 256 };

/* Entries ------------------------------------------------------------------------------------------------ */

static bool is_statement(const pg_emitter *e, const pg_loop *l) {
  return (l->op < PG_KERNELS || pg_is_sum(l)) &&
         (uint64_t)l->n * l->rows * pg_terms(l) <= e->dialect->statements;
}

static void add_entry(pg_emitter *e, pg_entry x) {
  if (pg_grow((void **)&e->entries, &e->room, e->count, 1, sizeof x)) {
    e->entries[e->count++] = x;
  } else {
    e->failed = true;
  }
}

static void add_entries(pg_emitter *e) {
  for (int phase = 0; phase < PG_PHASES; phase++) {
    const pg_loops *loops = &e->r->phases[phase];
    for (uint32_t k = 0; k < loops->count && !e->failed; k++) {
      const pg_loop *l = &loops->at[k];
      if (!is_statement(e, l)) {
        add_entry(e, (pg_entry){.loop = l, .index = k, .is_block = true});
        continue;
      }
      for (uint32_t at = 0; at < l->n * l->rows; at++) {
        add_entry(e, (pg_entry){.loop = l, .index = k, .i = at % l->n, .j = at / l->n});
      }
    }
    e->ends[phase] = e->count;
  }
}

uint32_t pg_end_of_block(const pg_emitter *e, uint32_t begin, uint32_t end) {
  uint32_t at = begin, statements = 0;
  if (e->entries[at].is_block) {
    return at + 1;
  }
  for (; at < end && !e->entries[at].is_block && statements < BLOCK; at++) {
    statements += pg_terms(e->entries[at].loop);
  }
  return at;
}

/* Slots -------------------------------------------------------------------------------------------------- */

/* The slot of an operand for one i, j and t. */
static pg_slot at(const pg_strided *x, uint32_t i, uint32_t j, uint32_t t) {
  return x->slot == PG_NO_SLOT
             ? PG_NO_SLOT
             : pg_moved(x->slot, (int64_t)x->i_step * i + (int64_t)x->j_step * j + (int64_t)x->t_step * t);
}

static pg_slot result_of(const pg_entry *x) {
  return pg_moved(x->loop->dst, (int64_t)x->j * x->loop->n + x->i);
}

pg_slots pg_operand_slots(const pg_loop *l, const pg_strided *x) {
  if (x->slot == PG_NO_SLOT) {
    return (pg_slots){PG_NO_SLOT, 0};
  }
  const int64_t ways[3] = {((int64_t)l->n - 1) * x->i_step, ((int64_t)l->rows - 1) * x->j_step,
                           ((int64_t)pg_terms(l) - 1) * x->t_step};
  int64_t first = 0, last = 0;
  for (int k = 0; k < 3; k++) {
    first += ways[k] < 0 ? ways[k] : 0;
    last += ways[k] > 0 ? ways[k] : 0;
  }
  return (pg_slots){pg_moved(x->slot, first), (uint32_t)(last - first + 1)};
}

int pg_read_operands(const pg_loop *l, const pg_strided *found[3]) {
  if (pg_is_sum(l)) {
    found[0] = &l->sum.a, found[1] = &l->sum.b, found[2] = &l->sum.init;
    return l->op == PG_DOT ? 3 : 2;
  }
  found[0] = &l->map.a, found[1] = &l->map.b;
  return pg_is_binary(l->op) ? 2 : 1;
}

typedef void visitor(pg_emitter *e, pg_slots x);

static void visit_list(pg_emitter *e, visitor *f, int64_t first, uint32_t count) {
  for (uint32_t k = 0; k < count; k++) {
    if (e->r->lists[first + k] != PG_NO_SLOT) {
      f(e, (pg_slots){e->r->lists[first + k], 1});
    }
  }
}

void pg_visit_lists(pg_emitter *e, visitor *f, const pg_loop *l) {
  if (pg_is_scatter(l->op)) {
    visit_list(e, f, l->scatter.list, l->op == PG_SCATTER ? l->scatter.size : 0);
    for (uint32_t t = 0; t < l->scatter.pairs; t++) {
      const pg_slot *pair = e->r->lists + l->scatter.first + 2 * (size_t)t;
      f(e, (pg_slots){pair[0], 1});
      f(e, (pg_slots){pair[1], l->n});
    }
    return;
  }
  f(e, pg_operand_slots(l, &l->lookup.index));
  for (uint32_t j = 0; j < pg_table_rows(l); j++) {
    for (uint32_t i = 0; i < pg_tables_a_row(l); i++) {
      visit_list(e, f, pg_number_of(at(&l->lookup.list, i, j, 0)), l->lookup.size);
    }
  }
}

/* Liveness ----------------------------------------------------------------------------------------------- */

static void set_live(pg_emitter *e, pg_slots x, bool live) {
  for (uint32_t k = 0; x.first != PG_NO_SLOT && k < x.count; k++) {
    e->live[pg_is_batched(x.first)][pg_number_of(x.first) + k] = live;
  }
}

static void make_live(pg_emitter *e, pg_slots x) { set_live(e, x, true); }

/* What is live before an entry, from what is live after it. */
static void pass_backwards(pg_emitter *e, const pg_entry *x) {
  const pg_loop *l = x->loop;
  const pg_strided *operands[3];
  if (pg_has_list(l)) {
    pg_visit_lists(e, make_live, l);
    return;
  }
  if (l->op != PG_DOT_TOTAL) {
    set_live(e, x->is_block ? pg_result_slots(l) : (pg_slots){result_of(x), 1}, false);
  }
  for (int o = pg_read_operands(l, operands); o-- > 0;) {
    for (uint32_t t = 0; t < pg_terms(l) && !x->is_block; t++) {
      make_live(e, (pg_slots){at(operands[o], x->i, x->j, t), 1});
    }
    if (x->is_block) {
      make_live(e, pg_operand_slots(l, operands[o]));
    }
  }
}

static void find_stored(pg_emitter *e, uint32_t begin, uint32_t end) {
  uint32_t *starts = pg_room(end - begin, sizeof *starts), count = 0;
  if (!starts) {
    e->failed = true;
    return;
  }
  for (uint32_t k = begin; k < end; k = pg_end_of_block(e, k, end)) {
    starts[count++] = k;
  }
  for (uint32_t last = end; count-- > 0; last = starts[count]) {
    for (uint32_t k = last; k-- > starts[count];) { /* of several with the same slot, the last is stored */
      pg_entry *x = &e->entries[k];
      if (!x->is_block && x->loop->op != PG_DOT_TOTAL) {
        bool *is_live = &e->live[pg_is_batched(result_of(x))][pg_number_of(result_of(x))];
        x->is_stored = *is_live;
        *is_live = false;
      }
    }
    for (uint32_t k = last; k-- > starts[count];) {
      pass_backwards(e, &e->entries[k]);
    }
  }
  free(starts);
}

static void find_all_stored(pg_emitter *e) {
  for (uint32_t k = 0; k < e->r->output_count; k++) {
    make_live(e, (pg_slots){e->r->outputs[k].slot, 1});
  }
  for (int phase = PG_PHASES; phase-- > 0 && !e->failed;) {
    find_stored(e, pg_begin_of(e, phase), e->ends[phase]);
  }
}

/* Variables ---------------------------------------------------------------------------------------------- */

bool pg_has_constant(const pg_routine *r, pg_slot slot) {
  const uint32_t number = pg_number_of(slot);
  return !pg_is_batched(slot) && number >= r->parameter_count && number < r->leaf_count &&
         !isnan(r->constants[number]);
}

static bool is_one(const pg_emitter *e, pg_slot slot) {
  return pg_has_constant(e->r, slot) && e->r->constants[pg_number_of(slot)] == 1;
}

static void set_name(pg_emitter *e, pg_slot slot, uint32_t name) {
  e->blocks[pg_is_batched(slot)][pg_number_of(slot)] = e->block;
  e->names[pg_is_batched(slot)][pg_number_of(slot)] = name;
}

static bool has_name(const pg_emitter *e, pg_slot slot) {
  return e->blocks[pg_is_batched(slot)][pg_number_of(slot)] == e->block;
}

static uint32_t name_of(const pg_emitter *e, pg_slot slot) {
  assert(has_name(e, slot));
  return e->names[pg_is_batched(slot)][pg_number_of(slot)];
}

static void write_variable(const pg_emitter *e, uint32_t variable, bool batch) {
  pg_print(e->out, "const %s v%u = ", e->dialect->types[batch], variable);
}

/* The variable for a slot; declares it if the block has not read or written the slot before. */
static uint32_t load(pg_emitter *e, pg_slot slot, bool batch) {
  if (!has_name(e, slot)) {
    set_name(e, slot, e->next++);
    write_variable(e, name_of(e, slot), batch);
    e->dialect->write_slot(e, slot, batch);
    pg_print(e->out, ";\n");
  }
  return name_of(e, slot);
}

/* Statements --------------------------------------------------------------------------------------------- */

/* Returns the variable of the result. */
static uint32_t write_map(pg_emitter *e, const pg_entry *x, bool batch) {
  const pg_loop *l = x->loop;
  const uint32_t a = load(e, at(&l->map.a, x->i, x->j, 0), batch);
  const uint32_t b = pg_is_binary(l->op) ? load(e, at(&l->map.b, x->i, x->j, 0), batch) : a;
  write_variable(e, e->next, batch);
  e->dialect->write_op(e, l->op, a, b, batch);
  pg_print(e->out, ";\n");
  return e->next++;
}

/* The variable of a sum of products, which begins with that of init. */
static uint32_t write_products(pg_emitter *e, const pg_entry *x, bool batch) {
  const pg_loop *l = x->loop;
  const pg_slot init = l->op == PG_DOT ? at(&l->sum.init, x->i, x->j, 0) : PG_NO_SLOT;
  uint32_t sum = init == PG_NO_SLOT ? PG_NO_REF : load(e, init, batch);
  for (uint32_t t = 0; t < l->sum.terms; t++) {
    const pg_slot slots[2] = {at(&l->sum.a, x->i, x->j, t), at(&l->sum.b, x->i, x->j, t)};
    const uint32_t a = load(e, slots[0], batch), b = is_one(e, slots[1]) ? PG_NO_REF : load(e, slots[1], batch);
    if (sum == PG_NO_REF && b == PG_NO_REF) {
      sum = a;
      continue;
    }
    write_variable(e, e->next, batch);
    if (b == PG_NO_REF) {
      e->dialect->write_op(e, PG_ADD, sum, a, batch);
    } else if (sum == PG_NO_REF) {
      e->dialect->write_op(e, PG_MUL, a, b, batch);
    } else {
      e->dialect->write_product(e, sum, a, b, batch);
    }
    pg_print(e->out, ";\n");
    sum = e->next++;
  }
  return sum;
}

static uint32_t total_of(const pg_emitter *e, const pg_entry *x) {
  return pg_number_of(result_of(x)) - pg_first_total(e->r);
}

static void write_stored(const pg_emitter *e, const pg_entry *x) {
  if (x->is_stored) {
    e->dialect->write_store(e, result_of(x), name_of(e, result_of(x)));
  }
}

static void write_statement(pg_emitter *e, const pg_entry *x, bool batch) {
  const uint32_t variable = pg_is_sum(x->loop) ? write_products(e, x, batch) : write_map(e, x, batch);
  if (x->loop->op == PG_DOT_TOTAL) {
    e->dialect->write_addition(e, total_of(e, x), variable);
    return;
  }
  set_name(e, result_of(x), variable);
  if (batch) { /* at once: else the compiler keeps it on the stack until the end */
    write_stored(e, x);
  }
}

/* The sums of the totals in a block: declares them, or adds them to the totals. Returns how many. */
static uint32_t write_totals(pg_emitter *e, uint32_t begin, uint32_t end, bool declare) {
  uint32_t written = 0;
  for (uint32_t k = begin; k < end; k++) {
    const pg_entry *x = &e->entries[k];
    const uint32_t slot = pg_number_of(result_of(x)), mark = PG_NO_REF - (declare ? 1 : 2);
    if (x->loop->op != PG_DOT_TOTAL || e->blocks[false][slot] == mark) { /* once for each total */
      continue;
    }
    e->blocks[false][slot] = mark;
    if (declare) {
      pg_print(e->out, "%s t%u = %s;\n", e->dialect->types[true], total_of(e, x), e->dialect->zero);
    } else {
      e->dialect->write_total(e, total_of(e, x));
    }
    written++;
  }
  return written;
}

void pg_write_statements(pg_emitter *e, int phase, uint32_t begin, uint32_t end) {
  const bool batch = phase == PG_BATCH;
  e->block++;
  e->next = 0;
  if (batch) {
    const uint32_t totals = write_totals(e, begin, end, true);
    pg_print(e->out, "%s {\n%s", e->dialect->loop, totals ? e->dialect->mask : "");
  }
  for (uint32_t k = begin; k < end; k++) {
    write_statement(e, &e->entries[k], batch);
  }
  for (uint32_t k = end; !batch && k-- > begin;) { /* side by side: compilers store vectors of them */
    write_stored(e, &e->entries[k]);
  }
  if (batch) {
    pg_print(e->out, "}\n");
    write_totals(e, begin, end, false);
  }
}

/* Emitters ----------------------------------------------------------------------------------------------- */

void pg_emitter_begin(pg_emitter *e) {
  const size_t sizes[2] = {e->r->shared, e->r->batched};
  for (int k = 0; k < 2; k++) {
    e->failed = !(e->live[k] = pg_zeros(sizes[k], sizeof *e->live[k])) || e->failed;
    e->failed = !(e->names[k] = pg_no_refs(sizes[k])) || e->failed;
    e->failed = !(e->blocks[k] = pg_no_refs(sizes[k])) || e->failed;
  }
  if (!e->failed) {
    add_entries(e);
  }
  if (!e->failed) {
    find_all_stored(e);
  }
}

void pg_emitter_end(pg_emitter *e) {
  for (int k = 0; k < 2; k++) {
    free(e->live[k]);
    free(e->names[k]);
    free(e->blocks[k]);
  }
  free(e->entries);
}
