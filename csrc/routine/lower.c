/* lower.c: a program's list of instructions as code for the kernels.
 *
 * Sums become dot products. Like instructions of one level (the longest way from a leaf) get slots side by
 * side; where their operands lie in even steps, too, they become one instruction of the code: a layer of
 * neurons is one, whatever its size, and so is its gradient. In the worst case there is one for each number.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "routine/code.h"
#include "text.h"

typedef struct {
  uint8_t op; /* PG_CODE_... or an op; PG_NO_CODE: not needed, or a part of another */
  uint8_t phase;
  uint16_t kind; /* ops of the operands, or of the first pair */
  uint32_t level;
  uint32_t slot;
  uint32_t terms, count; /* of sums: where their pairs begin, and how many there are */
  pg_ref init;           /* of dot products: PG_NO_REF for none */
} part;

/* A table, or a scatter. */
typedef struct {
  uint32_t list;           /* where its places begin */
  uint32_t size;           /* how many there are */
  uint32_t level;          /* that of the highest of its refs */
  bool after;              /* some of these are made of totals */
  bool kept, known, coded; /* its uses are counted; so are its levels; its code is made */
} group;

typedef struct {
  const pg_program *p;
  part *parts;
  uint32_t *uses;
  pg_ref *pairs; /* of factors; PG_NO_REF is the number 1 */
  uint32_t pair_count, pair_room;
  pg_ref *stack, *order;
  uint32_t order_count;
  uint32_t one; /* slot of the number 1 */
  group *tables, *scatters;
  pg_codes next, run; /* the codes of the result that is looked at, and of those that it may go on from */
  bool failed;
} lowering;

static const pg_instruction *at(const lowering *l, pg_ref i) { return &l->p->list[i]; }

static int operands(const pg_instruction *i) {
  return i->op == PG_TOTAL || i->op == PG_LOOKUP ? 1 : i->op >= PG_KERNELS ? 0 : i->b == PG_NO_REF ? 1 : 2;
}

/* What a lookup or a scatter reads. NULL for other instructions. */
static group *group_of(const lowering *l, const pg_instruction *x) {
  return x->op == PG_LOOKUP ? &l->tables[x->b] : x->op == PG_SCATTER ? &l->scatters[x->a] : NULL;
}

static pg_span span_of(const lowering *l, const pg_instruction *x) {
  return x->op == PG_LOOKUP ? l->p->tables[x->b] : l->p->scatters[x->a];
}

/* Marks what must have a slot, not become a part of another. */
static void keep(lowering *l, pg_ref i) { l->uses[i] += 2; }

static void count_uses(lowering *l) {
  for (uint32_t i = 0; i < l->p->output_count; i++) {
    keep(l, l->p->outputs[i]);
  }
  for (pg_ref i = l->p->count; i-- > 0;) {
    const pg_instruction *x = at(l, i);
    group *g = group_of(l, x);
    if (!l->uses[i]) {
      continue;
    }
    for (int k = 0; k < operands(x); k++) {
      l->uses[k ? x->b : x->a]++;
    }
    for (uint32_t k = 0; g && !g->kept && k < span_of(l, x).count; k++) {
      keep(l, l->p->refs[span_of(l, x).first + k]);
    }
    if (g) {
      g->kept = true;
      g->size = x->op == PG_LOOKUP ? span_of(l, x).count : x->b + 1 > g->size ? x->b + 1 : g->size;
    }
  }
}

static void add_pair(lowering *l, part *sum, pg_ref a, pg_ref b) {
  if (l->pair_count + 1 > l->pair_room) {
    const uint32_t room = l->pair_room ? 2 * l->pair_room : 256;
    pg_ref *pairs = pg_resize(l->pairs, 2 * (size_t)room * sizeof *pairs);
    if (!pairs) {
      l->failed = true;
      return;
    }
    l->pairs = pairs;
    l->pair_room = room;
  }
  l->pairs[2 * (size_t)l->pair_count] = a;
  l->pairs[2 * (size_t)l->pair_count++ + 1] = b;
  sum->count++;
}

/* Whether an instruction is needed only where it is used, and may be worked out there. */
static bool is_part(const lowering *l, pg_ref i, int op, bool batched) {
  return at(l, i)->op == op && l->uses[i] == 1 && at(l, i)->batched == batched && l->parts[i].op == op;
}

/* Makes a dot product of a tree of sums and of products in it, if there is more than one sum. */
static void gather_sum(lowering *l, pg_ref root) {
  const bool batched = at(l, root)->batched;
  part sum = {.op = PG_CODE_DOT, .terms = l->pair_count, .init = PG_NO_REF};
  uint32_t waiting = 0, gathered = 0;
  l->stack[waiting++] = at(l, root)->b;
  l->stack[waiting++] = at(l, root)->a;
  while (waiting) {
    const pg_ref i = l->stack[--waiting];
    if (is_part(l, i, PG_ADD, batched)) {
      gathered++;
      l->stack[waiting++] = at(l, i)->b;
      l->stack[waiting++] = at(l, i)->a;
    } else if (is_part(l, i, PG_MUL, batched)) {
      gathered++;
      add_pair(l, &sum, at(l, i)->a, at(l, i)->b);
    } else if (sum.init == PG_NO_REF) {
      sum.init = i;
    } else {
      add_pair(l, &sum, i, PG_NO_REF);
    }
  }
  if (gathered == 0) {
    l->pair_count = sum.terms;
    return;
  }
  /* Again, to take out what has become a part. */
  l->stack[waiting++] = root;
  while (waiting) {
    const pg_ref i = l->stack[--waiting];
    for (int k = 0; k < 2; k++) {
      const pg_ref operand = k ? at(l, i)->b : at(l, i)->a;
      if (is_part(l, operand, PG_ADD, batched)) {
        l->stack[waiting++] = operand;
        l->parts[operand].op = PG_NO_CODE;
      } else if (is_part(l, operand, PG_MUL, batched)) {
        l->parts[operand].op = PG_NO_CODE;
      }
    }
  }
  l->parts[root] = sum;
}

static void gather_total(lowering *l, pg_ref total) {
  const pg_ref i = at(l, total)->a;
  part sum = {.op = PG_CODE_TOTAL, .terms = l->pair_count, .init = PG_NO_REF};
  part *operand = &l->parts[i];
  if (is_part(l, i, PG_MUL, true)) {
    add_pair(l, &sum, at(l, i)->a, at(l, i)->b);
    operand->op = PG_NO_CODE;
  } else if (operand->op == PG_CODE_DOT && l->uses[i] == 1) {
    for (size_t t = operand->terms; t < (size_t)operand->terms + operand->count; t++) {
      add_pair(l, &sum, l->pairs[2 * t], l->pairs[2 * t + 1]);
    }
    if (operand->init != PG_NO_REF) {
      add_pair(l, &sum, operand->init, PG_NO_REF);
    }
    operand->op = PG_NO_CODE;
  } else {
    add_pair(l, &sum, i, PG_NO_REF);
  }
  l->parts[total] = sum;
}

static void gather(lowering *l) {
  for (pg_ref i = 0; i < l->p->count; i++) {
    l->parts[i] = (part){.op = l->uses[i] ? at(l, i)->op : PG_NO_CODE, .init = PG_NO_REF};
  }
  for (pg_ref i = l->p->count; i-- > 0 && !(l->p->without & PG_WITHOUT_DOTS) && !l->failed;) {
    if (l->parts[i].op == PG_ADD) {
      gather_sum(l, i);
    }
  }
  for (pg_ref i = 0; i < l->p->count && !l->failed; i++) {
    if (l->parts[i].op == PG_TOTAL) {
      gather_total(l, i);
    }
  }
}

/* Levels and phases -------------------------------------------------------------------------------------- */

/* What comes of an operand: a level above it, and later than what is made of totals. */
static void follow(const lowering *l, pg_ref operand, uint32_t *level, bool *after) {
  if (operand != PG_NO_REF) {
    const part *y = &l->parts[operand];
    *after = *after || y->op == PG_CODE_TOTAL || (y->phase == PG_AFTER && !at(l, operand)->batched);
    *level = y->level > *level ? y->level : *level;
  }
}

static void follow_group(const lowering *l, const pg_instruction *x, uint32_t *level, bool *after) {
  group *g = group_of(l, x);
  for (uint32_t k = 0; !g->known && k < span_of(l, x).count; k++) {
    follow(l, l->p->refs[span_of(l, x).first + k], &g->level, &g->after);
  }
  g->known = true;
  *after = *after || g->after;
  *level = g->level > *level ? g->level : *level;
}

/* What is made of the same ops is likely to come from the same loop. */
static uint16_t kind_of(const lowering *l, const part *x, const pg_instruction *instruction) {
  pg_ref operands_of[2] = {instruction->a, instruction->b};
  if (x->op == PG_CODE_DOT || x->op == PG_CODE_TOTAL) {
    memcpy(operands_of, &l->pairs[2 * (size_t)x->terms], sizeof operands_of);
  } else if (operands(instruction) < 2) {
    operands_of[1] = PG_NO_REF;
  }
  unsigned kind = 0;
  for (int k = 0; k < 2; k++) {
    kind = kind << 8 | (operands_of[k] == PG_NO_REF ? PG_NO_CODE : l->parts[operands_of[k]].op);
  }
  return (uint16_t)kind;
}

static void find_levels(lowering *l) {
  for (pg_ref i = 0; i < l->p->count; i++) {
    part *x = &l->parts[i];
    const pg_instruction *instruction = at(l, i);
    bool after = false;
    uint32_t level = 0;
    if (x->op == PG_CODE_DOT || x->op == PG_CODE_TOTAL) {
      for (uint32_t t = 0; t < 2 * x->count; t++) {
        follow(l, l->pairs[2 * (size_t)x->terms + t], &level, &after);
      }
      follow(l, x->init, &level, &after);
    } else if (x->op != PG_NO_CODE) {
      for (int k = 0; k < operands(instruction); k++) {
        follow(l, k ? instruction->b : instruction->a, &level, &after);
      }
      if (group_of(l, instruction)) {
        follow_group(l, instruction, &level, &after);
      }
    }
    x->level = level + 1;
    const bool computed = x->op < PG_KERNELS || x->op == PG_CODE_DOT || x->op == PG_CODE_TOTAL;
    x->kind = computed ? kind_of(l, x, instruction) : 0;
    x->phase = instruction->batched || x->op == PG_CODE_TOTAL ? PG_BATCH : after ? PG_AFTER : PG_BEFORE;
  }
}

/* Slots -------------------------------------------------------------------------------------------------- */

static pg_place place_of(const lowering *l, pg_ref i) {
  return i == PG_NO_REF ? (pg_place){.slot = l->one}
                        : (pg_place){.slot = l->parts[i].slot, .batched = at(l, i)->batched};
}

static const lowering *sorting; /* qsort has no argument for it; the caller holds the GIL */

static int by_kind(const void *a, const void *b) {
  const pg_ref i = *(const pg_ref *)a, j = *(const pg_ref *)b;
  const part *x = &sorting->parts[i], *y = &sorting->parts[j];
  if (x->phase != y->phase) {
    return x->phase < y->phase ? -1 : 1;
  }
  if (x->level != y->level) {
    return x->level < y->level ? -1 : 1;
  }
  if (x->op != y->op) {
    return x->op < y->op ? -1 : 1;
  }
  if (x->count != y->count) {
    return x->count < y->count ? -1 : 1;
  }
  if (x->kind != y->kind) {
    return x->kind < y->kind ? -1 : 1;
  }
  const bool upwards = i < sorting->p->gradient || j < sorting->p->gradient;
  return i == j ? 0 : (i < j) == upwards ? -1 : 1;
}

/* A gradient's sums run downwards, where kernels run upwards. */
static void turn_upwards(lowering *l, pg_ref i) {
  const part *x = &l->parts[i];
  if (x->count < 2) {
    return;
  }
  pg_ref *pairs = &l->pairs[2 * (size_t)x->terms];
  const size_t last = x->count - 1;
  if (l->parts[pairs[0]].slot <= l->parts[pairs[2 * last]].slot) {
    return;
  }
  for (size_t t = 0; t < x->count / 2; t++) {
    for (size_t k = 0; k < 2; k++) {
      const pg_ref swapped = pairs[2 * t + k];
      pairs[2 * t + k] = pairs[2 * (last - t) + k];
      pairs[2 * (last - t) + k] = swapped;
    }
  }
}

/* Leaves first: parameters, inputs and constants, the number 1, then the totals; then the results, in the order
 * of the code: level by level, like ops together, and these in the order of the loops that they come from. */
static void give_slots(lowering *l, pg_routine *r) {
  r->shared = r->parameter_count;
  for (pg_ref i = 0; i < l->p->count; i++) {
    part *x = &l->parts[i];
    if (x->op == PG_PARAMETER) {
      x->slot = at(l, i)->a;
    } else if (x->op == PG_INPUT || x->op == PG_CONSTANT) {
      x->slot = at(l, i)->batched ? r->batched++ : r->shared++;
    } else if (x->op != PG_NO_CODE) {
      l->order[l->order_count++] = i;
      r->totals += x->op == PG_CODE_TOTAL;
    }
  }
  l->one = r->shared++;
  r->leaves = r->first_total = r->shared;
  r->shared += r->totals;
  uint32_t total = r->first_total;
  sorting = l;
  qsort(l->order, l->order_count, sizeof *l->order, by_kind);
  for (uint32_t k = 0; k < l->order_count; k++) {
    part *x = &l->parts[l->order[k]];
    turn_upwards(l, l->order[k]);
    x->slot = x->op == PG_CODE_TOTAL ? total++ : at(l, l->order[k])->batched ? r->batched++ : r->shared++;
  }
}

static uint32_t packed(pg_place place) { return place.slot << 1 | place.batched; }

/* Writes down where the elements of tables are, and the results and pairs of scatters. */
static void fill_lists(lowering *l, pg_routine *r) {
  const pg_program *p = l->p;
  for (uint32_t k = 0; k < p->table_count + p->scatter_count; k++) {
    group *g = k < p->table_count ? &l->tables[k] : &l->scatters[k - p->table_count];
    g->list = r->place_count;
    r->place_count += g->kept ? g->size + (k < p->table_count ? 0 : p->scatters[k - p->table_count].count) : 0;
  }
  r->places = pg_resize(NULL, (r->place_count + 1) * sizeof *r->places);
  if (!r->places) {
    l->failed = true;
    return;
  }
  memset(r->places, 0xFF, r->place_count * sizeof *r->places); /* PG_NO_REF: an element that nobody wants */
  for (uint32_t k = 0; k < p->table_count + p->scatter_count; k++) {
    const bool is_table = k < p->table_count;
    const group *g = is_table ? &l->tables[k] : &l->scatters[k - p->table_count];
    const pg_span span = is_table ? p->tables[k] : p->scatters[k - p->table_count];
    for (uint32_t e = 0; g->kept && e < span.count; e++) {
      r->places[g->list + (is_table ? 0 : g->size) + e] = packed(place_of(l, p->refs[span.first + e]));
    }
  }
  for (pg_ref i = 0; i < p->count; i++) {
    if (l->parts[i].op == PG_SCATTER) {
      r->places[l->scatters[at(l, i)->a].list + at(l, i)->b] = packed(place_of(l, i));
    }
  }
}

/* Code --------------------------------------------------------------------------------------------------- */

static void add_code(lowering *l, pg_codes *codes, pg_code code) {
  if (codes->count == codes->room) {
    const uint32_t room = codes->room ? 2 * codes->room : 64;
    pg_code *list = pg_resize(codes->list, room * sizeof *list);
    if (!list) {
      l->failed = true;
      return;
    }
    codes->list = list;
    codes->room = room;
  }
  codes->list[codes->count++] = code;
}

static bool step_fits(uint32_t n, uint32_t first, uint32_t next, int32_t *step) {
  const int64_t apart = (int64_t)next - first;
  if (n == 1) {
    *step = (int32_t)apart;
  }
  return apart == (int64_t)n * *step;
}

/* Whether two codes do the same with other slots. */
static bool alike(const pg_code *c, const pg_code *d) {
  return c->op == d->op && c->op != PG_SCATTER && c->n == d->n && c->terms == d->terms &&
         c->batched == d->batched && c->a_batched == d->a_batched && c->b_batched == d->b_batched &&
         c->init_batched == d->init_batched && (c->init == PG_NO_REF) == (d->init == PG_NO_REF) &&
         c->a_step == d->a_step && c->b_step == d->b_step && c->init_step == d->init_step &&
         c->a_term == d->a_term && c->b_term == d->b_term;
}

/* Whether c's slots lie behind those of a run of codes as these lie behind each other. Then `steps`, three,
 * which are not known before the second of a run, go from one to the next. */
static bool goes_on(const pg_code *run, uint32_t length, uint32_t size, const pg_code *c, int32_t *steps[3]) {
  const uint32_t init = c->init == PG_NO_REF ? PG_NO_REF : run->init;
  return c->dst == run->dst + length * size && step_fits(length, run->a, c->a, steps[0]) &&
         step_fits(length, run->b, c->b, steps[1]) && step_fits(length, init, c->init, steps[2]);
}

/* Makes the codes of another result, `l->next`, a part of those of the results before it, `l->run`, if they do
 * the same with slots that lie in even steps. */
static bool extend_run(lowering *l) {
  pg_codes *run = &l->run, *next = &l->next;
  bool fits = run->count == next->count && !(l->p->without & PG_WITHOUT_VECTORS);
  for (uint32_t k = 0; k < next->count && fits; k++) {
    pg_code first = run->list[k];
    first.n = 1, first.a_step = first.b_step = first.init_step = 0;
    fits = alike(&first, &next->list[k]);
  }
  for (int pass = 0; pass < 2; pass++) { /* first all must fit */
    for (uint32_t k = 0; k < next->count && fits; k++) {
      pg_code *c = &run->list[k], tried = *c;
      pg_code *to = pass ? c : &tried;
      fits = goes_on(c, c->n, 1, &next->list[k], (int32_t *[3]){&to->a_step, &to->b_step, &to->init_step});
      to->n++;
    }
  }
  return fits;
}

static void flush_run(lowering *l, pg_codes *codes) {
  for (uint32_t k = 0; k < l->run.count && !l->failed; k++) {
    add_code(l, codes, l->run.list[k]);
  }
  l->run.count = 0;
}

/* Makes codes that follow each other and differ by even steps rows of one. They are run one after the other as
 * before, so that one may use the results of another. */
static void merge_rows(pg_codes *codes) {
  uint32_t kept = 0;
  for (uint32_t k = 0; k < codes->count; k++) {
    const pg_code c = codes->list[k];
    pg_code *last = &codes->list[kept ? kept - 1 : 0], tried = *last;
    if (kept && alike(last, &c) &&
        goes_on(last, last->rows, c.n, &c, (int32_t *[3]){&tried.a_row, &tried.b_row, &tried.init_row})) {
      tried.rows++;
      *last = tried;
    } else {
      codes->list[kept++] = c;
    }
  }
  codes->count = kept;
}

/* How many pairs from t on lie in even steps. */
static uint32_t even_pairs(const lowering *l, const part *x, uint32_t t, pg_code *c) {
  const pg_ref *pairs = &l->pairs[2 * (size_t)x->terms];
  const pg_place a = place_of(l, pairs[2 * t]), b = place_of(l, pairs[2 * t + 1]);
  c->a = a.slot, c->b = b.slot;
  c->a_batched = a.batched, c->b_batched = b.batched;
  uint32_t n = 1;
  for (; t + n < x->count; n++) {
    const pg_place p = place_of(l, pairs[2 * (size_t)(t + n)]), q = place_of(l, pairs[2 * (size_t)(t + n) + 1]);
    if (p.batched != a.batched || q.batched != b.batched || !step_fits(n, a.slot, p.slot, &c->a_term) ||
        !step_fits(n, b.slot, q.slot, &c->b_term)) {
      break;
    }
  }
  return n;
}

static void emit_sum(lowering *l, pg_ref i) {
  const part *x = &l->parts[i];
  pg_code c = {.n = 1, .rows = 1, .dst = x->slot, .op = x->op, .batched = at(l, i)->batched, .init = PG_NO_REF};
  if (x->init != PG_NO_REF) {
    c.init = place_of(l, x->init).slot;
    c.init_batched = place_of(l, x->init).batched;
  }
  for (uint32_t t = 0; t < x->count && !l->failed; t += c.terms) {
    c.a_term = c.b_term = 0;
    c.terms = even_pairs(l, x, t, &c);
    add_code(l, &l->next, c);
    if (x->op == PG_CODE_DOT) { /* what follows is added */
      c.init = x->slot;
      c.init_batched = c.batched;
    }
  }
}

static void emit_op(lowering *l, pg_ref i) {
  const pg_instruction *x = at(l, i);
  const pg_place a = place_of(l, x->a), b = operands(x) > 1 ? place_of(l, x->b) : a;
  pg_code c = {
      .n = 1, .rows = 1, .dst = l->parts[i].slot, .op = x->op, .init = PG_NO_REF, .batched = x->batched};
  c.a = a.slot, c.b = b.slot;
  c.a_batched = a.batched, c.b_batched = b.batched;
  if (x->op == PG_LOOKUP) {
    c.b = l->tables[x->b].list;
    c.b_batched = false;
    c.terms = l->tables[x->b].size;
  }
  add_code(l, &l->next, c);
}

/* The code of all elements, with the first of them. */
static void emit_scatter(lowering *l, pg_ref i) {
  const pg_instruction *x = at(l, i);
  group *g = group_of(l, x);
  if (!g->coded) {
    g->coded = true;
    const pg_code c = {.op = PG_SCATTER,
                       .n = 1,
                       .rows = 1,
                       .a = g->size,
                       .b = g->list,
                       .terms = span_of(l, x).count / 2,
                       .init = PG_NO_REF,
                       .batched = x->batched};
    add_code(l, &l->next, c);
  }
}

static void emit_codes(lowering *l, pg_routine *r) {
  for (uint32_t k = 0; k < l->order_count && !l->failed; k++) {
    const pg_ref i = l->order[k];
    const part *x = &l->parts[i], *before = k ? &l->parts[l->order[k - 1]] : x;
    l->next.count = 0;
    if (x->op == PG_CODE_DOT || x->op == PG_CODE_TOTAL) {
      emit_sum(l, i);
    } else if (x->op == PG_SCATTER) {
      emit_scatter(l, i);
    } else {
      emit_op(l, i);
    }
    /* Only what is of one level may become one vector: it is not made of itself. */
    if (l->failed || (before->phase == x->phase && before->level == x->level && extend_run(l))) {
      continue;
    }
    flush_run(l, &r->phases[before->phase]);
    const pg_codes run = l->run;
    l->run = l->next;
    l->next = run;
  }
  if (l->order_count) {
    flush_run(l, &r->phases[l->parts[l->order[l->order_count - 1]].phase]);
  }
}

/* Routines ----------------------------------------------------------------------------------------------- */

void pg_routine_free(pg_routine *r) {
  if (r) {
    for (int phase = 0; phase < PG_PHASES; phase++) {
      free(r->phases[phase].list);
    }
    free(r->spare);
    free(r->groups);
    free(r->parameters);
    free(r->places);
    free(r->constants);
    free(r->inputs);
    free(r->outputs);
    free(r);
  }
}

static void *zeros(size_t count, size_t size) {
  void *at = pg_resize(NULL, (count + 1) * size);
  return at ? memset(at, 0, (count + 1) * size) : NULL;
}

static void find_runs(pg_place *places, uint32_t count) {
  for (uint32_t k = count; k-- > 0;) {
    const pg_place place = places[k], next = places[k + 1];
    const bool goes_on = k + 1 < count && place.slot != PG_NO_REF && next.slot == place.slot + 1;
    places[k].run = goes_on && next.batched == place.batched ? next.run + 1 : 1;
  }
}

static void fill_routine(lowering *l, pg_routine *r) {
  r->constants = zeros(r->leaves, sizeof *r->constants);
  r->inputs = zeros(r->input_count, sizeof *r->inputs);
  r->outputs = zeros(r->output_count, sizeof *r->outputs);
  if (!r->constants || !r->inputs || !r->outputs) {
    l->failed = true;
    return;
  }
  r->constants[l->one] = 1;
  for (uint32_t k = 0; k < r->input_count; k++) {
    r->inputs[k].slot = PG_NO_REF; /* not used */
  }
  for (pg_ref i = 0; i < l->p->count; i++) {
    if (l->parts[i].op == PG_CONSTANT) {
      r->constants[l->parts[i].slot] = at(l, i)->number;
    } else if (l->parts[i].op == PG_INPUT) {
      r->inputs[at(l, i)->a] = place_of(l, i);
      if (!at(l, i)->batched) {
        r->constants[l->parts[i].slot] = NAN; /* no constant */
      }
    }
  }
  for (uint32_t k = 0; k < r->output_count; k++) {
    r->outputs[k] = place_of(l, l->p->outputs[k]);
  }
}

static pg_routine *lower(const pg_program *p) {
  lowering l = {
      .p = p,
      .parts = zeros(p->count, sizeof *l.parts),
      .uses = zeros(p->count, sizeof *l.uses),
      .stack = zeros(p->count, sizeof *l.stack),
      .order = zeros(p->count, sizeof *l.order),
      .tables = zeros(p->table_count, sizeof *l.tables),
      .scatters = zeros(p->scatter_count, sizeof *l.scatters),
  };
  pg_routine *r = zeros(1, sizeof *r);
  l.failed = !l.parts || !l.uses || !l.stack || !l.order || !l.tables || !l.scatters || !r;
  if (!l.failed) {
    r->input_count = p->inputs;
    r->output_count = p->output_count;
    r->parameter_count = p->parameter_count;
    count_uses(&l);
    gather(&l);
  }
  if (!l.failed) {
    find_levels(&l);
    give_slots(&l, r);
    fill_lists(&l, r);
    emit_codes(&l, r);
    fill_routine(&l, r);
  }
  free(l.parts);
  free(l.uses);
  free(l.pairs);
  free(l.stack);
  free(l.order);
  free(l.tables);
  free(l.scatters);
  free(l.next.list);
  free(l.run.list);
  if (l.failed) {
    pg_routine_free(r);
    return NULL;
  }
  return r;
}

/* The groups that arguments and results come in. */
static bool give_groups(pg_routine *r, const pg_program *p, size_t groups, const size_t *sizes,
                        const bool *batched, int wanted) {
  r->groups = zeros(4 * groups + 4, sizeof *r->groups);
  if (!r->groups) {
    return false;
  }
  pg_group *g = r->groups;
  const size_t further = wanted == PG_GRADIENT ? 1 : wanted & PG_TANGENTS ? groups : 0;
  bool any = false;
  for (size_t k = 0; k < groups + further; k++) {
    any = any || batched[k];
    *g++ = (pg_group){k < groups ? sizes[k] : wanted == PG_GRADIENT ? 1 : sizes[k - groups], batched[k]};
  }
  r->arguments = groups + further;
  if (!(wanted & PG_GRADIENT && wanted & PG_TANGENTS)) {
    *g++ = (pg_group){p->output_count, any};
  }
  for (size_t k = 0; k < groups && wanted & PG_GRADIENT; k++) {
    *g++ = (pg_group){sizes[k], wanted & PG_TANGENTS ? any : batched[k]};
  }
  if (wanted == PG_GRADIENT) {
    *g++ = (pg_group){p->parameter_count, false};
  } else if (wanted == PG_TANGENTS) {
    *g++ = (pg_group){p->output_count, any};
  }
  r->results = (size_t)(g - r->groups) - r->arguments;
  return true;
}

/* What is batched, for each input in place of each group. NULL: no memory. */
static bool *spread(const pg_program *p, size_t groups, const size_t *sizes, const bool *batched, int wanted) {
  bool *each = zeros(2 * (size_t)p->inputs, sizeof *each);
  size_t at = 0;
  for (size_t k = 0; each && k < (wanted & PG_TANGENTS ? 2 : 1) * groups; k++) {
    for (size_t i = 0; i < sizes[k % groups]; i++) {
      each[at++] = batched[k];
    }
  }
  return each;
}

static bool finish(pg_routine *r, const pg_program *p, int wanted) {
  for (int phase = 0; phase < PG_PHASES && !(p->without & PG_WITHOUT_VECTORS); phase++) {
    merge_rows(&r->phases[phase]);
  }
  r->parameters = zeros(p->parameter_count, sizeof *r->parameters);
  if (!r->parameters || !(p->without & PG_WITHOUT_REUSE || pg_reuse_slots(r))) {
    return false;
  }
  pg_program_parameters(p, r->parameters);
  r->cotangent = wanted == PG_GRADIENT ? p->inputs : PG_NO_REF;
  find_runs(r->inputs, r->input_count);
  find_runs(r->outputs, r->output_count);
  return true;
}

pg_routine *pg_compile(const pg_program *p, size_t groups, const size_t *sizes, const bool *batched,
                       int wanted) {
  bool *each = spread(p, groups, sizes, batched, wanted);
  pg_program *special = each ? pg_specialize(p, each, wanted) : NULL;
  pg_routine *r = special ? lower(special) : NULL;
  if (r && !(give_groups(r, p, groups, sizes, batched, wanted) && finish(r, p, wanted))) {
    pg_routine_free(r);
    r = NULL;
  }
  pg_program_free(special);
  free(each);
  return r;
}

/* Listing ------------------------------------------------------------------------------------------------ */

static void print_place(pg_text *out, uint32_t slot, bool batched) {
  pg_print(out, " %c%u", batched ? 'b' : 's', slot);
}

static void print_range(pg_text *out, uint32_t slot, uint32_t count, bool batched) {
  print_place(out, slot, batched);
  if (count > 1) {
    pg_print(out, "..%u", slot + count - 1);
  }
}

/* An operand, as a place and the steps to others: s8[i + 16t] */
static void print_operand(pg_text *out, uint32_t slot, bool batched, int32_t step, int32_t row, int32_t term) {
  const int32_t steps[] = {step, row, term};
  const char *open = "[";
  print_place(out, slot, batched);
  for (int k = 0; k < 3; k++) {
    if (steps[k]) {
      pg_print(out, *open == '[' ? "[" : steps[k] < 0 ? " - " : " + ");
      if (*open == '[' && steps[k] < 0) {
        pg_print(out, "-");
      }
      if (steps[k] != 1 && steps[k] != -1) {
        pg_print(out, "%d", abs(steps[k]));
      }
      pg_print(out, "%c", "ijt"[k]);
      open = "]";
    }
  }
  pg_print(out, *open == ']' ? "]" : "");
}

static void print_list(pg_text *out, const pg_routine *r, uint32_t list, uint32_t count) {
  pg_print(out, " {");
  for (uint32_t k = 0; k < count && k < 8; k++) {
    const uint32_t place = r->places[list + k];
    if (place == PG_NO_REF) {
      pg_print(out, " -");
    } else {
      print_place(out, place >> 1, place & 1);
    }
  }
  pg_print(out, count > 8 ? " ... }" : " }");
}

static void print_code(pg_text *out, const pg_routine *r, const pg_code *c) {
  pg_print(out, " ");
  if (c->op == PG_SCATTER) {
    print_list(out, r, c->b, c->a);
    pg_print(out, " = scatter");
    print_list(out, r, c->b + c->a, 2 * c->terms);
    pg_print(out, "\n");
    return;
  }
  print_range(out, c->dst, c->n * c->rows, c->batched);
  pg_print(out,
           c->op == PG_CODE_TOTAL ? " += total"
           : c->op == PG_CODE_DOT ? " = dot"
                                  : " = %s",
           pg_symbol(c->op));
  pg_print(out, c->n > 1 ? ", i < %u" : "", c->n);
  pg_print(out, c->rows > 1 ? ", j < %u" : "", c->rows);
  pg_print(out, c->op > PG_INSTRUCTIONS - 1 && c->terms > 1 ? ", t < %u:" : ":", c->terms);
  print_operand(out, c->a, c->a_batched, c->a_step, c->a_row, c->a_term);
  if (c->op == PG_LOOKUP) {
    print_list(out, r, c->b, c->terms);
  } else if (pg_is_binary(c->op)) {
    print_operand(out, c->b, c->b_batched, c->b_step, c->b_row, c->b_term);
  }
  if (c->init != PG_NO_REF) {
    pg_print(out, " from");
    print_operand(out, c->init, c->init_batched, c->init_step, c->init_row, 0);
  }
  pg_print(out, "\n");
}

/* Where numbers come in and go out. */
static void print_places(pg_text *out, const char *name, const pg_place *places, uint32_t count) {
  for (uint32_t k = 0; k < count; k += places[k].run) {
    if (places[k].slot != PG_NO_REF) {
      pg_print(out, places[k].run > 1 ? "  %s %u to %u:" : "  %s %u:", name, k, k + places[k].run - 1);
      print_range(out, places[k].slot, places[k].run, places[k].batched);
      pg_print(out, "\n");
    }
  }
}

static void print_leaves(pg_text *out, const pg_routine *r) {
  if (r->parameter_count) {
    pg_print(out, "  parameters:");
    print_range(out, 0, r->parameter_count, false);
    pg_print(out, "\n");
  }
  print_places(out, "input", r->inputs, r->input_count);
  for (uint32_t slot = r->parameter_count; slot < r->leaves; slot++) {
    if (!isnan(r->constants[slot])) {
      pg_print(out, "  constant %.17g: s%u\n", r->constants[slot], slot);
    }
  }
}

char *pg_routine_text(const pg_routine *r) {
  static const char *const PHASES[PG_PHASES] = {"once, before the batch", "for each tile of the batch",
                                                "once, after the batch"};
  pg_text text = {0}, *const out = &text;
  pg_print(out, "%u slots of one number (s), %u of one a sample (b)\n", r->shared, r->batched);
  print_leaves(out, r);
  for (int phase = 0; phase < PG_PHASES; phase++) {
    if (r->phases[phase].count) {
      pg_print(out, "%s:\n", PHASES[phase]);
    }
    for (uint32_t k = 0; k < r->phases[phase].count; k++) {
      print_code(out, r, &r->phases[phase].list[k]);
    }
  }
  pg_print(out, "results:\n");
  print_places(out, "output", r->outputs, r->output_count);
  return pg_text_of(out);
}
