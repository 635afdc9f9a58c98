/* reuse.c: numbers whose time is over lend their slots to others, so that what a tile works on stays in cache.
 *
 * lower.c gives each number a slot of its own. Slots that one operand or one result of a code spans are a
 * buffer, and move together. A buffer's time is from the first code that touches it to the last; then another
 * of its size may take its place. (Exact fits only: what a program repeats has the same few sizes again and
 * again.)
 */
#include <stdlib.h>
#include <string.h>

#include "routine/code.h"

/* The shared slots, or the batched ones. */
typedef struct {
  uint32_t slots, fixed; /* the first so many stay where they are */
  int32_t *joins;        /* a slot: how many more spans it belongs to together with the slot before it */
  uint32_t *buffer;      /* a slot: its buffer, named by its first slot */
  uint32_t *size, *first_time, *last_time, *place; /* a buffer's; no place yet: PG_NO_REF */
  uint32_t *vacant, *next_vacant; /* a size: a buffer that has left; such a buffer: another of its size */
  uint32_t top;                   /* from here on all is vacant */
} space;

typedef struct {
  pg_routine *r;
  space spaces[2];   /* shared, batched */
  uint32_t times[2]; /* of the code that is looked at, for shared and for batched slots */
} reuse;

static bool make_space(space *s, uint32_t slots, uint32_t fixed) {
  const size_t n = (size_t)slots + 2;
  uint32_t *at = pg_resize(NULL, 8 * n * sizeof *at);
  if (!at) {
    return false;
  }
  memset(at, 0xFF, 8 * n * sizeof *at); /* PG_NO_REF */
  *s = (space){.slots = slots, .fixed = fixed, .top = fixed, .joins = (int32_t *)at, .buffer = at + n};
  s->size = at + 2 * n, s->first_time = at + 3 * n, s->last_time = at + 4 * n, s->place = at + 5 * n;
  s->vacant = at + 6 * n, s->next_vacant = at + 7 * n;
  memset(s->joins, 0, n * sizeof *s->joins);
  return true;
}

/* Spans ---------------------------------------------------------------------------------------------------- */

/* What is done with each span of slots, from the first to the last, that a code touches. */
typedef void visitor(space *s, uint32_t first, uint32_t last, uint32_t time);

static void visit_span(reuse *u, visitor *visit, bool batched, uint32_t first, uint32_t last) {
  visit(&u->spaces[batched], first, last, u->times[batched]);
}

static void visit_operand(reuse *u, visitor *visit, const pg_code *c, bool batched, uint32_t at, int32_t step,
                          int32_t row, int32_t term) {
  int64_t first = at, last = at;
  const int64_t ways[3] = {((int64_t)c->n - 1) * step, ((int64_t)c->rows - 1) * row,
                           c->terms ? ((int64_t)c->terms - 1) * term : 0};
  for (int k = 0; k < 3; k++) {
    first += ways[k] < 0 ? ways[k] : 0;
    last += ways[k] > 0 ? ways[k] : 0;
  }
  visit_span(u, visit, batched, (uint32_t)first, (uint32_t)last);
}

static void visit_list(reuse *u, visitor *visit, int64_t list, uint32_t count) {
  for (uint32_t k = 0; k < count; k++) {
    const uint32_t place = u->r->places[list + k];
    if (place != PG_NO_REF) {
      visit_span(u, visit, place & 1, place >> 1, place >> 1);
    }
  }
}

static void visit_code(reuse *u, visitor *visit, const pg_code *c) {
  const uint32_t all = c->n * c->rows;
  if (c->op == PG_SCATTER) {
    visit_list(u, visit, c->b, c->a + 2 * c->terms);
    return;
  }
  if (c->op != PG_CODE_TOTAL) { /* totals stay where they are */
    visit_span(u, visit, c->batched, c->dst, c->dst + all - 1);
  }
  visit_operand(u, visit, c, c->a_batched, c->a, c->a_step, c->a_row, c->a_term);
  if (c->op != PG_LOOKUP) {
    visit_operand(u, visit, c, c->b_batched, c->b, c->b_step, c->b_row, c->b_term);
  } else {
    for (uint32_t k = 0; k < all; k++) {
      visit_list(u, visit, c->b + (int64_t)(k % c->n) * c->b_step + (int64_t)(k / c->n) * c->b_row, c->terms);
    }
  }
  if (c->init != PG_NO_REF) {
    visit_operand(u, visit, c, c->init_batched, c->init, c->init_step, c->init_row, 0);
  }
}

static void visit_places(reuse *u, visitor *visit, const pg_place *places, uint32_t count) {
  for (uint32_t k = 0; k < count; k++) {
    if (places[k].slot != PG_NO_REF) {
      visit_span(u, visit, places[k].batched, places[k].slot, places[k].slot);
    }
  }
}

/* Calls one visitor, then the other if there is one, for all that each code touches, in the order of time: what
 * is loaded, the codes, what is stored. */
static void visit_all(reuse *u, visitor *visit, visitor *after) {
  const pg_routine *r = u->r;
  uint32_t time = 0;
  u->times[0] = u->times[1] = time++;
  visit_places(u, visit, r->inputs, r->input_count);
  for (int phase = 0; phase < PG_PHASES; phase++) {
    const pg_codes *codes = &r->phases[phase];
    const uint32_t end = time + codes->count;
    for (uint32_t k = 0; k < codes->count; k++, time++) {
      /* The batch is worked on tile by tile, so that for what is shared its codes are one time. */
      u->times[0] = phase == PG_BATCH ? end : time;
      u->times[1] = time;
      visit_code(u, visit, &codes->list[k]);
      if (after) {
        visit_code(u, after, &codes->list[k]);
      }
    }
    time++;
  }
  u->times[0] = u->times[1] = time;
  visit_places(u, visit, r->outputs, r->output_count);
}

/* Buffers -------------------------------------------------------------------------------------------------- */

static void join(space *s, uint32_t first, uint32_t last, uint32_t time) {
  (void)time;
  s->joins[first + 1]++;
  s->joins[last + 1]--;
}

static void find_buffers(space *s) {
  int32_t joined = 0;
  for (uint32_t slot = 0; slot < s->slots; slot++) {
    joined += s->joins[slot];
    s->buffer[slot] = joined ? s->buffer[slot - 1] : slot;
    s->size[s->buffer[slot]] = slot - s->buffer[slot] + 1;
  }
  for (uint32_t slot = 0; slot < s->fixed; slot++) {
    s->place[slot] = slot;
    const uint32_t end = s->buffer[slot] + s->size[s->buffer[slot]];
    s->top = end > s->top ? end : s->top;
  }
}

static void extend_time(space *s, uint32_t first, uint32_t last, uint32_t time) {
  (void)last;
  const uint32_t buffer = s->buffer[first];
  s->first_time[buffer] = time < s->first_time[buffer] ? time : s->first_time[buffer];
  s->last_time[buffer] =
      s->last_time[buffer] == PG_NO_REF || time > s->last_time[buffer] ? time : s->last_time[buffer];
}

/* A place for a buffer whose time begins. */
static void settle(space *s, uint32_t first, uint32_t last, uint32_t time) {
  (void)last;
  (void)time;
  const uint32_t buffer = s->buffer[first], size = s->size[buffer];
  if (s->place[buffer] != PG_NO_REF) {
    return;
  }
  if (s->vacant[size] != PG_NO_REF) {
    s->place[buffer] = s->place[s->vacant[size]];
    s->vacant[size] = s->next_vacant[s->vacant[size]];
  } else {
    s->top += size < PG_ALIGNED ? 0 : (PG_ALIGNED - s->top % PG_ALIGNED) % PG_ALIGNED;
    s->place[buffer] = s->top;
    s->top += size;
  }
}

/* The place of a buffer whose time is over becomes vacant. */
static void leave(space *s, uint32_t first, uint32_t last, uint32_t time) {
  (void)last;
  const uint32_t buffer = s->buffer[first], size = s->size[buffer];
  if (buffer >= s->fixed && s->last_time[buffer] == time) {
    s->last_time[buffer] = 0; /* only once */
    s->next_vacant[buffer] = s->vacant[size];
    s->vacant[size] = buffer;
  }
}

/* Moving --------------------------------------------------------------------------------------------------- */

static uint32_t moved(const reuse *u, bool batched, uint32_t slot) {
  const space *s = &u->spaces[batched];
  const uint32_t buffer = s->buffer[slot];
  return s->place[buffer] + (slot - buffer);
}

static void move_code(const reuse *u, pg_code *c) {
  if (c->op == PG_SCATTER) {
    return;
  }
  if (c->op != PG_CODE_TOTAL) {
    c->dst = moved(u, c->batched, c->dst);
  }
  c->a = moved(u, c->a_batched, c->a);
  if (c->op != PG_LOOKUP) {
    c->b = moved(u, c->b_batched, c->b);
  }
  if (c->init != PG_NO_REF) {
    c->init = moved(u, c->init_batched, c->init);
  }
}

static void move_places(const reuse *u, pg_place *places, uint32_t count) {
  for (uint32_t k = 0; k < count; k++) {
    if (places[k].slot != PG_NO_REF) {
      places[k].slot = moved(u, places[k].batched, places[k].slot);
    }
  }
}

static void move_all(reuse *u) {
  pg_routine *r = u->r;
  for (int phase = 0; phase < PG_PHASES; phase++) {
    for (uint32_t k = 0; k < r->phases[phase].count; k++) {
      move_code(u, &r->phases[phase].list[k]);
    }
  }
  for (uint32_t k = 0; k < r->place_count; k++) {
    if (r->places[k] != PG_NO_REF) {
      r->places[k] = moved(u, r->places[k] & 1, r->places[k] >> 1) << 1 | (r->places[k] & 1);
    }
  }
  move_places(u, r->inputs, r->input_count);
  move_places(u, r->outputs, r->output_count);
  r->shared = u->spaces[0].top;
  r->batched = u->spaces[1].top;
}

bool pg_reuse_slots(pg_routine *r) {
  reuse u = {.r = r};
  const bool made = make_space(&u.spaces[0], r->shared, r->first_total + r->totals) &&
                    make_space(&u.spaces[1], r->batched, 0);
  if (made) {
    visit_all(&u, join, NULL);
    find_buffers(&u.spaces[0]);
    find_buffers(&u.spaces[1]);
    visit_all(&u, extend_time, NULL);
    visit_all(&u, settle, leave);
    move_all(&u);
  }
  free(u.spaces[0].joins);
  free(u.spaces[1].joins);
  return made;
}
