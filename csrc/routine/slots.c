/* slots.c: values that are never alive at the same time share slots: so that a tile's slots stay in cache.
 *
 * lower.c gives each value slots of its own. Slots that one operand, or the result, of one loop spans form a
 * buffer, and move together. A buffer's live range is from the first loop that touches it to the last. Then a
 * buffer of the same size may take its place. (Only of the same size: programs repeat themselves, and have few
 * sizes.)
 *
 * Parameters, other leaves and totals keep their shared slots.
 */
#include <stdlib.h>
#include <string.h>

#include "routine/lower.h"

enum { ARRAYS_A_SPACE = 7 };

/* The slots of one kind. */
typedef struct {
  uint32_t slots, fixed; /* how many there are; how many of these, the first, may not move */
  int32_t *joins;        /* a slot: how many spans begin there and go on to the next, less those that end */
  uint32_t *buffer;      /* a slot: the first slot of its buffer, which stands for the buffer */
  uint32_t *size;        /* a buffer: how many slots it has */
  uint32_t *last;        /* a buffer: when its live range ends; PG_NO_REF at first */
  uint32_t *place;       /* a buffer: its new first slot; PG_NO_REF before it has one */
  uint32_t *vacant;      /* a size: the first on the list of dead buffers whose place is free */
  uint32_t *next_vacant; /* a buffer: the next on that list, or PG_NO_REF */
  uint32_t top;          /* no place is used from here on */
  uint32_t end;          /* buffers that are alive at this time get places of their own */
} space;

/* Time counts loops. In a space, now is the time of the loop that is looked at. */
typedef struct {
  pg_routine *r;
  space spaces[2]; /* shared, batched */
  uint32_t now[2];
} allocator;

static bool make_space(space *s, uint32_t slots, uint32_t fixed) {
  const size_t n = (size_t)slots + 2;
  uint32_t *at = pg_resize(NULL, ARRAYS_A_SPACE * n * sizeof *at);
  if (!at) {
    return false;
  }
  memset(at, 0xFF, ARRAYS_A_SPACE * n * sizeof *at); /* PG_NO_REF */
  *s = (space){
      .slots = slots,
      .fixed = fixed,
      .top = fixed,
      .end = PG_NO_REF,
      .joins = (int32_t *)at,
      .buffer = at + n,
      .size = at + 2 * n,
      .last = at + 3 * n,
      .place = at + 4 * n,
      .vacant = at + 5 * n,
      .next_vacant = at + 6 * n,
  };
  memset(s->joins, 0, n * sizeof *s->joins);
  return true;
}

/* All of a space's arrays are one piece of memory. */
static void free_space(space *s) { free(s->joins); }

/* Spans -------------------------------------------------------------------------------------------------- */

/* Called for each span of slots that a loop touches: from `first` to `last`, at the time `now`. */
typedef void visitor(space *s, uint32_t first, uint32_t last, uint32_t now);

static void visit_span(allocator *u, visitor *visit, bool batched, uint32_t first, uint32_t last) {
  assert(first <= last && last < u->spaces[batched].slots);
  visit(&u->spaces[batched], first, last, u->now[batched]);
}

static void visit_operand(allocator *u, visitor *visit, const pg_loop *l, const pg_strided *x) {
  if (x->slot == PG_NO_SLOT) {
    return;
  }
  int64_t first = pg_number_of(x->slot), last = first;
  const int64_t ways[3] = {((int64_t)l->n - 1) * x->i_step, ((int64_t)l->rows - 1) * x->j_step,
                           ((int64_t)pg_terms(l) - 1) * x->t_step};
  for (int k = 0; k < 3; k++) {
    first += ways[k] < 0 ? ways[k] : 0;
    last += ways[k] > 0 ? ways[k] : 0;
  }
  assert(first >= 0);
  visit_span(u, visit, pg_is_batched(x->slot), (uint32_t)first, (uint32_t)last);
}

static void visit_list(allocator *u, visitor *visit, int64_t first, uint32_t count) {
  assert(first >= 0 && (!count || first + count <= u->r->list_size));
  for (uint32_t k = 0; k < count; k++) {
    const pg_slot slot = u->r->lists[first + k];
    if (slot != PG_NO_SLOT) {
      visit_span(u, visit, pg_is_batched(slot), pg_number_of(slot), pg_number_of(slot));
    }
  }
}

static void visit_lookup_lists(allocator *u, visitor *visit, const pg_loop *l) {
  const pg_strided *list = &l->lookup.list;
  for (uint32_t j = 0; j < l->rows; j++) {
    for (uint32_t i = 0; i < l->n; i++) {
      const int64_t steps = (int64_t)i * list->i_step + (int64_t)j * list->j_step;
      visit_list(u, visit, pg_number_of(list->slot) + steps, l->lookup.size);
    }
  }
}

/* The numbers of a pair are n in a row. */
static void visit_pairs(allocator *u, visitor *visit, const pg_loop *l) {
  for (uint32_t t = 0; t < l->scatter.pairs; t++) {
    const pg_slot *pair = u->r->lists + l->scatter.first + 2 * (size_t)t;
    const uint32_t index = pg_number_of(pair[0]), number = pg_number_of(pair[1]);
    visit_span(u, visit, pg_is_batched(pair[0]), index, index);
    visit_span(u, visit, pg_is_batched(pair[1]), number, number + l->n - 1);
  }
}

/* The result first, then the operands. */
static void visit_loop(allocator *u, visitor *visit, const pg_loop *l) {
  if (pg_is_scatter(l->op)) {
    visit_list(u, visit, l->scatter.list, l->op == PG_SCATTER ? l->scatter.size : 0);
    visit_pairs(u, visit, l);
    return;
  }
  if (l->op != PG_DOT_TOTAL) { /* totals do not move */
    const uint32_t first = pg_number_of(l->dst);
    visit_span(u, visit, pg_is_batched(l->dst), first, first + l->n * l->rows - 1);
  }
  if (l->op == PG_LOOKUP) {
    visit_operand(u, visit, l, &l->lookup.index);
    visit_lookup_lists(u, visit, l);
  } else if (pg_is_sum(l)) {
    visit_operand(u, visit, l, &l->sum.a);
    visit_operand(u, visit, l, &l->sum.b);
    visit_operand(u, visit, l, &l->sum.init);
  } else {
    visit_operand(u, visit, l, &l->map.a);
    visit_operand(u, visit, l, &l->map.b);
  }
}

static void visit_ports(allocator *u, visitor *visit, const pg_port *ports, uint32_t count) {
  for (uint32_t k = 0; k < count; k++) {
    if (ports[k].slot != PG_NO_SLOT) {
      const uint32_t number = pg_number_of(ports[k].slot);
      visit_span(u, visit, pg_is_batched(ports[k].slot), number, number);
    }
  }
}

/* Visits all spans in the order of time: the inputs, loop by loop, the outputs. For each loop `visit` is called
 * for all of its spans, then `after`, unless that is NULL. */
static void visit_all(allocator *u, visitor *visit, visitor *after) {
  const pg_routine *r = u->r;
  uint32_t now = 0;
  u->now[0] = u->now[1] = now++;
  visit_ports(u, visit, r->inputs, r->input_count);
  for (int phase = 0; phase < PG_PHASES; phase++) {
    const pg_loops *loops = &r->phases[phase];
    const uint32_t end = now + loops->count;
    for (uint32_t k = 0; k < loops->count; k++, now++) {
      /* The batch is done tile by tile: a shared slot that any of its loops reads is read again in the next
       * tile. So for shared slots, all of its loops are at the same time. */
      u->now[0] = phase == PG_BATCH ? end : now;
      u->now[1] = now;
      visit_loop(u, visit, &loops->at[k]);
      if (after) {
        visit_loop(u, after, &loops->at[k]);
      }
    }
    now++;
  }
  u->now[0] = u->now[1] = now;
  visit_ports(u, visit, r->outputs, r->output_count);
}

/* Buffers ------------------------------------------------------------------------------------------------ */

static void join(space *s, uint32_t first, uint32_t last, uint32_t now) {
  (void)now;
  s->joins[first + 1]++;
  s->joins[last + 1]--;
}

/* Overlapping spans are one buffer: a slot belongs to the buffer of the slot before it if any span has both. */
static void find_buffers(space *s) {
  int32_t joined = 0;
  for (uint32_t slot = 0; slot < s->slots; slot++) {
    joined += s->joins[slot];
    assert(joined >= 0 && (slot || !joined));
    s->buffer[slot] = joined ? s->buffer[slot - 1] : slot;
    s->size[s->buffer[slot]] = slot - s->buffer[slot] + 1;
  }
  for (uint32_t slot = 0; slot < s->fixed; slot++) {
    s->place[slot] = slot;
    const uint32_t end = s->buffer[slot] + s->size[s->buffer[slot]];
    s->top = end > s->top ? end : s->top;
  }
}

static void extend_live_range(space *s, uint32_t first, uint32_t last, uint32_t now) {
  (void)last;
  const uint32_t buffer = s->buffer[first];
  s->last[buffer] = s->last[buffer] == PG_NO_REF || now > s->last[buffer] ? now : s->last[buffer];
}

/* Gives a buffer a place when its live range begins. */
static void place(space *s, uint32_t first, uint32_t last, uint32_t now) {
  const uint32_t buffer = s->buffer[first], size = s->size[buffer];
  assert(last < buffer + size);
  (void)last, (void)now;
  if (s->place[buffer] != PG_NO_REF) {
    return;
  }
  if (s->vacant[size] != PG_NO_REF && s->last[buffer] < s->end) {
    s->place[buffer] = s->place[s->vacant[size]];
    s->vacant[size] = s->next_vacant[s->vacant[size]];
  } else {
    s->top += size < PG_ALIGNED ? 0 : (PG_ALIGNED - s->top % PG_ALIGNED) % PG_ALIGNED;
    s->place[buffer] = s->top;
    s->top += size;
  }
}

/* Makes the place of a buffer vacant when its live range ends. */
static void vacate(space *s, uint32_t first, uint32_t last, uint32_t now) {
  (void)last;
  const uint32_t buffer = s->buffer[first], size = s->size[buffer];
  if (buffer >= s->fixed && s->last[buffer] == now) {
    s->last[buffer] = 0; /* only once */
    s->next_vacant[buffer] = s->vacant[size];
    s->vacant[size] = buffer;
  }
}

/* Moving ------------------------------------------------------------------------------------------------- */

static pg_slot moved(const allocator *u, pg_slot slot) {
  if (slot == PG_NO_SLOT) {
    return slot;
  }
  const space *s = &u->spaces[pg_is_batched(slot)];
  const uint32_t number = pg_number_of(slot), buffer = s->buffer[number];
  assert(s->place[buffer] != PG_NO_REF);
  return pg_slot_of(s->place[buffer] + (number - buffer), pg_is_batched(slot));
}

static void move_loop(const allocator *u, pg_loop *l) {
  if (l->op != PG_DOT_TOTAL) {
    l->dst = moved(u, l->dst);
  }
  if (l->op == PG_LOOKUP) {
    l->lookup.index.slot = moved(u, l->lookup.index.slot);
  } else if (!pg_is_scatter(l->op)) {
    pg_strided *operands[3];
    const int count = pg_strided_operands(l, operands);
    for (int k = 0; k < count; k++) {
      operands[k]->slot = moved(u, operands[k]->slot);
    }
  }
}

static void move_all(allocator *u) {
  pg_routine *r = u->r;
  for (int phase = 0; phase < PG_PHASES; phase++) {
    for (uint32_t k = 0; k < r->phases[phase].count; k++) {
      move_loop(u, &r->phases[phase].at[k]);
    }
  }
  for (uint32_t k = 0; k < r->list_size; k++) {
    r->lists[k] = moved(u, r->lists[k]);
  }
  for (uint32_t k = 0; k < r->input_count; k++) {
    r->inputs[k].slot = moved(u, r->inputs[k].slot);
  }
  for (uint32_t k = 0; k < r->output_count; k++) {
    r->outputs[k].slot = moved(u, r->outputs[k].slot);
  }
  r->shared = u->spaces[0].top;
  r->batched = u->spaces[1].top;
}

bool pg_reuse_slots(pg_routine *r) {
  allocator u = {.r = r};
  const bool made =
      make_space(&u.spaces[0], r->shared, pg_fixed_slots(r)) && make_space(&u.spaces[1], r->batched, 0);
  if (made) {
    visit_all(&u, join, NULL);
    find_buffers(&u.spaces[0]);
    find_buffers(&u.spaces[1]);
    visit_all(&u, extend_live_range, NULL);
    if (r->is_for_native) { /* the outputs may be in the caller's arrays */
      u.spaces[0].end = u.now[0];
    }
    visit_all(&u, place, vacate);
    move_all(&u);
  }
  free_space(&u.spaces[0]);
  free_space(&u.spaces[1]);
  return made;
}
