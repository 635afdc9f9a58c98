/* lower.c: scheduled instructions become loops.
 *
 * Each instruction in turn becomes one loop with n = 1, a sum as many as it has runs of evenly spaced terms. If
 * the instruction before it, of the same level, gave like loops, and all slots are one even step further, it
 * becomes the next i of those instead. Afterwards, loops that follow each other and are alike become rows of
 * one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "routine/lower.h"

typedef struct {
  pg_lowering *l;
  pg_loops current; /* what the last instructions have become, which the next may extend */
  pg_loops next;    /* what the next instruction alone becomes */
  bool failed;
} emitter;

static void add_loop(emitter *e, pg_loops *loops, pg_loop loop) {
  if (pg_grow((void **)&loops->at, &loops->room, loops->count, 1, sizeof loop)) {
    loops->at[loops->count++] = loop;
  } else {
    e->failed = true;
  }
}

/* The slot of a value, and of the number 1 for PG_NO_REF. */
static pg_slot slot_of(const pg_lowering *l, pg_ref i) { return i == PG_NO_REF ? l->one : l->lowered[i].slot; }

static pg_strided operand_of(const pg_lowering *l, pg_ref i) { return (pg_strided){.slot = slot_of(l, i)}; }

/* Lists -------------------------------------------------------------------------------------------------- */

static uint32_t list_count(const pg_lowering *l) { return l->p->table_count + l->p->scatter_count; }

/* List k of all: those of the tables, then those of the scatters. */
static pg_list *list_at(const pg_lowering *l, uint32_t k) {
  return k < l->p->table_count ? &l->tables[k] : &l->scatters[k - l->p->table_count];
}

static pg_span span_at(const pg_lowering *l, uint32_t k) {
  return k < l->p->table_count ? l->p->tables[k] : l->p->scatters[k - l->p->table_count];
}

/* How many of the routine's lists the elements take. */
static uint32_t slots_of(const pg_list *list) { return list->has_targets ? 0 : list->size; }

/* Finds where each list begins: a scatter's has its elements first, if there are any, then its pairs. False if
 * they are too long. */
static bool place_lists(pg_lowering *l, pg_routine *r) {
  uint64_t size = 0;
  for (uint32_t k = 0; k < list_count(l); k++) {
    pg_list *list = list_at(l, k);
    list->first = (uint32_t)size;
    if (list->is_used) {
      size += slots_of(list) + (uint64_t)(k < l->p->table_count ? 0 : span_at(l, k).count);
    }
    if (size > PG_MAX_INSTRUCTIONS) {
      return false;
    }
  }
  r->list_size = (uint32_t)size;
  return true;
}

static bool fill_lists(pg_lowering *l, pg_routine *r) {
  if (!place_lists(l, r)) {
    return false;
  }
  r->lists = pg_no_refs(r->list_size); /* PG_NO_SLOT for an element that nothing reads */
  if (!r->lists) {
    return false;
  }
  for (uint32_t k = 0; k < list_count(l); k++) {
    const pg_list *list = list_at(l, k);
    const pg_span span = span_at(l, k);
    pg_slot *to = r->lists + list->first + (k < l->p->table_count ? 0 : slots_of(list));
    for (uint32_t e = 0; list->is_used && e < span.count; e++) {
      to[e] = slot_of(l, l->p->refs[span.first + e]);
    }
  }
  for (pg_ref i = 0; i < l->p->count; i++) {
    const pg_instruction *x = pg_instruction_of(l, i);
    if (l->lowered[i].op == PG_SCATTER) {
      assert(x->b < l->scatters[x->a].size);
      r->lists[l->scatters[x->a].first + x->b] = slot_of(l, i);
    }
  }
  return true;
}

/* Finds where the targets of each scatter begin. */
static bool place_targets(pg_lowering *l, pg_routine *r) {
  uint64_t count = 0;
  for (uint32_t k = 0; k < l->p->scatter_count; k++) {
    pg_list *list = &l->scatters[k];
    list->target = (uint32_t)count;
    count += list->has_targets ? list->size : 0;
    if (count > PG_MAX_INSTRUCTIONS) {
      return false;
    }
  }
  r->target_count = (uint32_t)count;
  r->targets = pg_room(count, sizeof *r->targets);
  return r->targets;
}

/* Of outputs the numbers are set: pg_compile() finds their arrays. */
static bool fill_targets(pg_lowering *l, pg_routine *r) {
  if (!place_targets(l, r)) {
    return false;
  }
  for (uint32_t t = 0; t < r->target_count; t++) {
    r->targets[t] = (pg_target){.array = PG_NO_REF};
  }
  for (pg_ref i = 0; i < l->p->count; i++) {
    const pg_instruction *x = pg_instruction_of(l, i);
    if (l->lowered[i].op == PG_SCATTER_TOTAL) {
      r->targets[l->scatters[x->a].target + x->b] = (pg_target){PG_IN_SLOT, pg_number_of(slot_of(l, i))};
    } else if (l->lowered[i].op == PG_SCATTER_ADD) {
      const pg_span outputs = l->p->targets[x->b];
      for (uint32_t k = 0; k < outputs.count; k++) {
        const uint32_t output = l->p->refs[outputs.first + k];
        r->targets[l->scatters[x->a].target + k] = (pg_target){output == PG_NO_REF ? PG_NO_REF : 0, output};
      }
    }
  }
  return true;
}

/* Extending loops ---------------------------------------------------------------------------------------- */

/* Whether `next` is as far from `first` as `length` equal steps go. From one slot to the second it sets the
 * step. */
static bool is_in_step(uint32_t length, pg_slot first, pg_slot next, int32_t *step) {
  const int64_t apart = (int64_t)pg_number_of(next) - pg_number_of(first);
  if (length == 1) {
    *step = (int32_t)apart;
  }
  return apart == (int64_t)length * *step;
}

/* Whether operands step alike and are of the same kind. */
static bool are_alike(const pg_strided *a, const pg_strided *b) {
  return a->i_step == b->i_step && a->t_step == b->t_step && pg_is_batched(a->slot) == pg_is_batched(b->slot) &&
         (a->slot == PG_NO_SLOT) == (b->slot == PG_NO_SLOT);
}

/* Whether loops do the same with other slots. A scatter is like no other. */
static bool alike(pg_loop *c, pg_loop *d) {
  pg_strided *of_c[3], *of_d[3];
  if (c->op != d->op || pg_is_scatter(c->op) || c->n != d->n || pg_terms(c) != pg_terms(d) ||
      pg_is_batched(c->dst) != pg_is_batched(d->dst) ||
      (c->op == PG_LOOKUP && c->lookup.size != d->lookup.size)) {
    return false;
  }
  const int count = pg_strided_operands(c, of_c);
  pg_strided_operands(d, of_d);
  for (int k = 0; k < count; k++) {
    if (!are_alike(of_c[k], of_d[k])) {
      return false;
    }
  }
  return true;
}

/* Whether the slots of `next` are those that follow in a loop, which has `length` times `size` results so far,
 * along i or along j. The steps that are not known before the second are set in the loop. */
static bool follows(pg_loop *loop, uint32_t length, uint32_t size, pg_loop *next, bool along_rows) {
  pg_strided *operands[3], *of_next[3];
  const int count = pg_strided_operands(loop, operands);
  pg_strided_operands(next, of_next);
  bool fits = pg_number_of(next->dst) == pg_number_of(loop->dst) + length * size;
  for (int k = 0; k < count && fits; k++) {
    int32_t *step = along_rows ? &operands[k]->j_step : &operands[k]->i_step;
    fits = is_in_step(length, operands[k]->slot, of_next[k]->slot, step);
  }
  return fits;
}

/* A loop of which only the first i is left. */
static pg_loop first_of(pg_loop loop) {
  pg_strided *operands[3];
  const int count = pg_strided_operands(&loop, operands);
  for (int k = 0; k < count; k++) {
    operands[k]->i_step = 0;
  }
  loop.n = 1;
  return loop;
}

/* Makes the next instruction's loops a part of the current ones, if all of them fit. */
static bool extend(emitter *e) {
  pg_loops *current = &e->current, *next = &e->next;
  bool fits = current->count == next->count && !(e->l->p->disabled & PG_VECTORS);
  for (uint32_t k = 0; k < next->count && fits; k++) {
    pg_loop first = first_of(current->at[k]), tried = current->at[k];
    fits = alike(&first, &next->at[k]) && follows(&tried, tried.n, 1, &next->at[k], false);
  }
  for (uint32_t k = 0; k < next->count && fits; k++) {
    follows(&current->at[k], current->at[k].n, 1, &next->at[k], false);
    current->at[k].n++;
  }
  return fits;
}

void pg_merge_rows(pg_loops *loops, uint32_t results) {
  uint32_t kept = 0;
  for (uint32_t k = 0; k < loops->count; k++) {
    pg_loop next = loops->at[k];
    if (kept && (next.n >= results || next.op == PG_LOOKUP)) {
      pg_loop *last = &loops->at[kept - 1], tried = *last;
      if (alike(last, &next) && follows(&tried, last->rows, next.n, &next, true)) {
        *last = tried;
        last->rows++;
        continue;
      }
    }
    loops->at[kept++] = next;
  }
  loops->count = kept;
}

/* Emitting ----------------------------------------------------------------------------------------------- */

/* Whether two terms that are far apart would tie all slots between them together: see slots.c. */
static bool are_far(const pg_strided *x) { return pg_is_batched(x->slot) && abs(x->t_step) > PG_ALIGNED; }

/* Sets the factors of a sum's terms from t on, and returns how many of these, before `end`, are evenly spaced.
 * Two terms always are. */
static uint32_t even_terms(const pg_lowering *l, const pg_lowered *x, uint32_t t, uint32_t end, pg_strided *a,
                           pg_strided *b) {
  const pg_pair *pairs = &l->pairs[x->first_pair];
  *a = operand_of(l, pairs[t].a);
  *b = operand_of(l, pairs[t].b);
  uint32_t n = 1;
  for (; t + n < end && !x->is_single; n++) {
    const pg_slot p = slot_of(l, pairs[t + n].a), q = slot_of(l, pairs[t + n].b);
    if (pg_is_batched(p) != pg_is_batched(a->slot) || pg_is_batched(q) != pg_is_batched(b->slot) ||
        !is_in_step(n, a->slot, p, &a->t_step) || !is_in_step(n, b->slot, q, &b->t_step)) {
      break;
    }
  }
  if (n == 2 && (are_far(a) || are_far(b))) {
    a->t_step = b->t_step = 0;
    n = 1;
  }
  return n;
}

static void emit_sum(emitter *e, pg_ordered what) {
  const pg_lowered *x = &e->l->lowered[what.instruction];
  const uint32_t end = what.pair + what.count;
  const bool goes_on = x->op == PG_DOT && !what.begins;
  pg_loop loop = {.op = x->op, .n = 1, .rows = 1, .dst = x->slot};
  loop.sum.init.slot = goes_on ? x->slot : x->init == PG_NO_REF ? PG_NO_SLOT : slot_of(e->l, x->init);
  for (uint32_t t = what.pair; t < end && !e->failed; t += loop.sum.terms) {
    loop.sum.terms = even_terms(e->l, x, t, end, &loop.sum.a, &loop.sum.b);
    add_loop(e, &e->next, loop);
    if (x->op == PG_DOT) { /* the following terms are added to these */
      loop.sum.init.slot = x->slot;
    }
  }
}

static void emit_lookup(emitter *e, pg_ref i) {
  const pg_instruction *x = pg_instruction_of(e->l, i);
  const pg_list *list = pg_list_of(e->l, x);
  pg_loop loop = {.op = PG_LOOKUP, .n = 1, .rows = 1, .dst = slot_of(e->l, i)};
  loop.lookup.index = operand_of(e->l, x->a);
  loop.lookup.list = (pg_strided){.slot = pg_slot_of(list->first, false)};
  loop.lookup.size = list->size;
  add_loop(e, &e->next, loop);
}

/* The first element of a scatter emits the loop for all of them. */
static void emit_scatter(emitter *e, pg_ref i) {
  const pg_instruction *x = pg_instruction_of(e->l, i);
  pg_list *list = pg_list_of(e->l, x);
  if (list->is_emitted) {
    return;
  }
  list->is_emitted = true;
  pg_loop loop = {.op = list->has_targets ? PG_SCATTER_ADD : PG_SCATTER, .n = 1, .rows = 1, .dst = PG_NO_SLOT};
  loop.scatter.list = list->has_targets ? list->target : list->first;
  loop.scatter.size = list->size;
  loop.scatter.first = list->first + slots_of(list);
  loop.scatter.pairs = pg_span_of(e->l, x).count / 2;
  loop.scatter.batched = x->batched || x->op == PG_SCATTER_TOTAL;
  add_loop(e, &e->next, loop);
}

static void emit_map(emitter *e, pg_ref i) {
  const pg_instruction *x = pg_instruction_of(e->l, i);
  const uint8_t op = e->l->lowered[i].op;
  assert(op < PG_KERNELS);
  pg_loop loop = {.op = op, .n = 1, .rows = 1, .dst = slot_of(e->l, i)};
  loop.map.a = operand_of(e->l, x->a);
  loop.map.b = pg_operand_count(x) > 1 ? operand_of(e->l, x->b) : loop.map.a;
  add_loop(e, &e->next, loop);
}

static void emit_next(emitter *e, pg_ordered what) {
  const pg_ref i = what.instruction;
  const int op = e->l->lowered[i].op;
  e->next.count = 0;
  if (op == PG_DOT || op == PG_DOT_TOTAL) {
    emit_sum(e, what);
  } else if (op == PG_LOOKUP) {
    emit_lookup(e, i);
  } else if (pg_is_scatter(op)) {
    emit_scatter(e, i);
  } else {
    emit_map(e, i);
  }
}

/* Whether the terms of a sum tie many slots together of which it uses few: see slots.c. */
static bool are_scattered(const pg_loop *l, const pg_strided *x) {
  enum { MANY = 1024 };
  const int64_t apart = ((int64_t)l->sum.terms - 1) * abs(x->t_step);
  return pg_is_batched(x->slot) && apart > MANY && apart > 4 * (int64_t)l->n * l->sum.terms;
}

/* Adds a loop for each term of a sum. */
static void add_terms(emitter *e, pg_loops *phase, const pg_loop *l) {
  pg_loop next = *l;
  next.sum.terms = 1;
  next.sum.a.t_step = next.sum.b.t_step = 0;
  for (uint32_t t = 0; t < l->sum.terms; t++) {
    add_loop(e, phase, next);
    next.sum.a.slot = pg_moved(next.sum.a.slot, l->sum.a.t_step);
    next.sum.b.slot = pg_moved(next.sum.b.slot, l->sum.b.t_step);
    if (l->op == PG_DOT) {
      next.sum.init = (pg_strided){.slot = l->dst, .i_step = 1};
    }
  }
}

/* The current loops are finished: nothing can extend them any more. */
static void flush(emitter *e, pg_loops *phase) {
  for (uint32_t k = 0; k < e->current.count && !e->failed; k++) {
    const pg_loop *l = &e->current.at[k];
    if (pg_is_sum(l) && l->n >= 4 && (are_scattered(l, &l->sum.a) || are_scattered(l, &l->sum.b))) {
      add_terms(e, phase, l);
    } else {
      add_loop(e, phase, *l);
    }
  }
  e->current.count = 0;
}

static void emit_loops(emitter *e, pg_routine *r) {
  const pg_lowering *l = e->l;
  for (uint32_t k = 0; k < l->order_count && !e->failed; k++) {
    const pg_lowered *x = &l->lowered[l->order[k].instruction];
    const pg_lowered *before = k ? &l->lowered[l->order[k - 1].instruction] : x;
    emit_next(e, l->order[k]);
    /* Within a level no instruction uses another: so they can become one loop. */
    if (e->failed || (before->phase == x->phase && before->level == x->level && !x->is_single && extend(e))) {
      continue;
    }
    flush(e, &r->phases[before->phase]);
    const pg_loops emptied = e->current;
    e->current = e->next;
    e->next = emptied;
  }
  if (l->order_count) {
    flush(e, &r->phases[l->lowered[l->order[l->order_count - 1].instruction].phase]);
  }
}

/* Constants and ports ------------------------------------------------------------------------------------ */

static bool fill_leaves(const pg_lowering *l, pg_routine *r) {
  r->constants = pg_zeros(r->leaf_count, sizeof *r->constants);
  r->inputs = pg_zeros(r->input_count, sizeof *r->inputs);
  r->outputs = pg_zeros(r->output_count, sizeof *r->outputs);
  if (!r->constants || !r->inputs || !r->outputs) {
    return false;
  }
  r->constants[pg_number_of(l->one)] = 1;
  r->first_constant = pg_number_of(l->one); /* the last leaf */
  for (uint32_t k = 0; k < r->input_count; k++) {
    r->inputs[k].slot = PG_NO_SLOT; /* unless an instruction reads it */
  }
  for (pg_ref i = 0; i < l->p->count; i++) {
    const pg_instruction *x = pg_instruction_of(l, i);
    const pg_slot slot = l->lowered[i].slot;
    if (l->lowered[i].op == PG_CONSTANT) {
      r->constants[pg_number_of(slot)] = x->number;
      r->first_constant = pg_number_of(slot) < r->first_constant ? pg_number_of(slot) : r->first_constant;
    } else if (l->lowered[i].op == PG_INPUT) {
      assert(x->a < r->input_count);
      r->inputs[x->a].slot = slot;
      if (!pg_is_batched(slot)) {
        r->constants[pg_number_of(slot)] = NAN;
      }
    }
  }
  for (uint32_t k = 0; k < r->output_count; k++) {
    r->outputs[k].slot = l->p->outputs[k] == PG_NO_REF ? PG_NO_SLOT : slot_of(l, l->p->outputs[k]);
  }
  return true;
}

/* Finds the parameters that are read from slots: runs of consecutive ones. */
static bool find_loaded(const pg_lowering *l, pg_routine *r) {
  bool *is_loaded = pg_zeros(r->parameter_count, sizeof *is_loaded);
  uint32_t room = 0;
  bool found = is_loaded;
  for (pg_ref i = 0; found && i < l->p->count; i++) {
    if (l->lowered[i].op == PG_PARAMETER) {
      is_loaded[pg_instruction_of(l, i)->a] = true;
    }
  }
  for (uint32_t k = 0; found && k < r->parameter_count; k++) {
    if (is_loaded[k] && k && is_loaded[k - 1]) {
      r->loaded[r->loaded_count - 1].count++;
    } else if (is_loaded[k]) {
      found = pg_grow((void **)&r->loaded, &room, r->loaded_count, 1, sizeof *r->loaded);
      if (found) {
        r->loaded[r->loaded_count++] = (pg_span){k, 1};
      }
    }
  }
  free(is_loaded);
  return found;
}

bool pg_lower(pg_lowering *l, pg_routine *r) {
  emitter e = {.l = l};
  e.failed = !fill_lists(l, r) || !fill_targets(l, r) || !fill_leaves(l, r) || !find_loaded(l, r);
  if (!e.failed) {
    emit_loops(&e, r);
  }
  free(e.current.at);
  free(e.next.at);
  return !e.failed;
}
