/* schedule.c: the order of the loops.
 *
 * An instruction's level is one above its highest operand's: so instructions of one level do not use each
 * other, and may be one loop. Within a level, those with like ops, terms and operands are a group, in the order
 * in which the user's loops made them. Slots are numbered in the order of the loops, so that a loop's results
 * are in consecutive slots.
 *
 * The groups of the batch are in the order of the program, in which values are used soon after they are
 * computed: so that a tile's slots stay in cache. An instruction's time is its number in the program, or that
 * of its latest operand, if that is later; and a group's is that of the last of them. The pairs of a total, and
 * those of a long dot product, are added when their factors are known, unless there are many at once.
 *
 * Native code runs small loops as single statements: there only groups of much work stay together, and dense
 * ones, which the compiler would take long for, and whose loops are faster.
 */
#include <stdlib.h>

#include "routine/lower.h"

/* Levels and phases -------------------------------------------------------------------------------------- */

/* Raises the level, and sets `after_totals`, as an operand demands. */
static void follow(const pg_lowering *l, pg_ref operand, uint32_t *level, bool *after_totals) {
  if (operand != PG_NO_REF) {
    const pg_lowered *y = &l->lowered[operand];
    const bool is_epilogue = y->phase == PG_EPILOGUE && !pg_instruction_of(l, operand)->batched;
    *after_totals = *after_totals || pg_is_total(y->op) || is_epilogue;
    *level = y->level > *level ? y->level : *level;
  }
}

static void follow_sum(const pg_lowering *l, const pg_lowered *x, uint32_t *level, bool *after_totals) {
  for (uint32_t t = 0; t < x->pair_count; t++) {
    const pg_pair pair = l->pairs[x->first_pair + t];
    follow(l, pair.a, level, after_totals);
    follow(l, pair.b, level, after_totals);
  }
  follow(l, x->init, level, after_totals);
}

static void follow_list(const pg_lowering *l, const pg_instruction *x, uint32_t *level, bool *after_totals) {
  pg_list *list = pg_list_of(l, x);
  const pg_span span = pg_span_of(l, x);
  for (uint32_t k = 0; !list->is_levelled && k < span.count; k++) {
    follow(l, l->p->refs[span.first + k], &list->level, &list->after_totals);
  }
  list->is_levelled = true;
  *after_totals = *after_totals || list->after_totals;
  *level = list->level > *level ? list->level : *level;
}

static bool is_sum(const pg_lowered *x) { return x->op == PG_DOT || x->op == PG_DOT_TOTAL; }

/* The ops of both operands, or of the first pair's factors. */
static uint16_t signature_of(const pg_lowering *l, const pg_lowered *x, const pg_instruction *instruction) {
  pg_pair operands = {instruction->a, instruction->b};
  if (is_sum(x)) {
    operands = l->pairs[x->first_pair];
  } else if (x->op >= PG_KERNELS) {
    return 0;
  } else if (pg_operand_count(instruction) < 2) {
    operands.b = PG_NO_REF;
  }
  const int a = l->lowered[operands.a].op;
  const int b = operands.b == PG_NO_REF ? PG_NO_LOOP : l->lowered[operands.b].op;
  return (uint16_t)(a << 8 | b);
}

static void find_levels(pg_lowering *l) {
  for (pg_ref i = 0; i < l->p->count; i++) {
    pg_lowered *x = &l->lowered[i];
    const pg_instruction *instruction = pg_instruction_of(l, i);
    bool after_totals = false;
    uint32_t level = 0;
    if (is_sum(x)) {
      follow_sum(l, x, &level, &after_totals);
    } else if (x->op != PG_NO_LOOP) {
      for (int k = 0; k < pg_operand_count(instruction); k++) {
        follow(l, pg_operand_of(instruction, k), &level, &after_totals);
      }
      if (pg_list_of(l, instruction)) {
        follow_list(l, instruction, &level, &after_totals);
      }
    }
    x->level = level + 1;
    x->signature = signature_of(l, x, instruction);
    x->phase = instruction->batched || pg_is_total(x->op) ? PG_BATCH : after_totals ? PG_EPILOGUE : PG_PROLOGUE;
  }
}

/* Sorting ------------------------------------------------------------------------------------------------ */

/* A record carries all that it is sorted by: other threads may be sorting, too. */
typedef struct {
  uint64_t first;  /* phase, time, level */
  uint64_t second; /* op, number of terms, signature */
  uint32_t third;  /* where the instruction is in the order of the user's loops */
  pg_ordered what;
} record;

_Static_assert(PG_MAX_INSTRUCTIONS < 1 << 30, "levels and times have 30 bits in a record");

static record record_of(const pg_lowering *l, pg_ref i) {
  const pg_lowered *x = &l->lowered[i];
  assert(x->phase < PG_PHASES && x->level < 1U << 30 && x->pair_count < 1U << 30);
  /* A gradient goes through the user's loops backwards. */
  const bool is_backwards = l->p->gradient != PG_NO_REF && i >= l->p->gradient;
  return (record){
      .first = (uint64_t)x->phase << 60 | x->level,
      .second = (uint64_t)x->op << 46 | (uint64_t)x->pair_count << 16 | x->signature,
      .third = is_backwards ? l->p->gradient + (l->p->count - 1 - i) : i,
      .what = {i, 0, x->pair_count, false},
  };
}

static int in_order(const void *a, const void *b) {
  const record *x = a, *y = b;
  if (x->first != y->first) {
    return x->first < y->first ? -1 : 1;
  }
  if (x->second != y->second) {
    return x->second < y->second ? -1 : 1;
  }
  if (x->third != y->third) {
    return x->third < y->third ? -1 : 1;
  }
  return (x->what.pair > y->what.pair) - (x->what.pair < y->what.pair);
}

static bool is_leaf(const pg_lowered *x) {
  return x->op == PG_PARAMETER || x->op == PG_INPUT || x->op == PG_CONSTANT;
}

typedef struct {
  record *at;
  uint32_t count, room;
} records;

static bool add_record(records *to, record x) {
  if (!pg_grow((void **)&to->at, &to->room, to->count, 1, sizeof x)) {
    return false;
  }
  to->at[to->count++] = x;
  return true;
}

static void put_in_order(records *found) {
  if (found->count) { /* else there may be no array */
    qsort(found->at, found->count, sizeof *found->at, in_order);
  }
}

static bool sort_by_level(const pg_lowering *l, records *found) {
  for (pg_ref i = 0; i < l->p->count; i++) {
    if (!is_leaf(&l->lowered[i]) && l->lowered[i].op != PG_NO_LOOP && !add_record(found, record_of(l, i))) {
      return false;
    }
  }
  put_in_order(found);
  return true;
}

/* Times -------------------------------------------------------------------------------------------------- */

enum {
  LARGE = 1 << 14, /* a group of so many results times terms is of much work */
  LONG = 1 << 10,  /* a dot product of so many terms is long */
  FEW = 4, /* dot products; more that share factors are one loop in less time than a loop for each time */
};

static uint32_t time_of(const pg_lowering *l, pg_ref operand) {
  const pg_lowered *y = operand == PG_NO_REF ? NULL : &l->lowered[operand];
  return y && y->phase == PG_BATCH && !pg_is_total(y->op) ? y->time : 0;
}

static uint32_t later(uint32_t a, uint32_t b) { return a > b ? a : b; }

static uint32_t time_of_list(const pg_lowering *l, const pg_instruction *x) {
  pg_list *list = pg_list_of(l, x);
  const pg_span span = pg_span_of(l, x);
  for (uint32_t k = 0; !list->is_timed && k < span.count; k++) {
    list->time = later(list->time, time_of(l, l->p->refs[span.first + k]));
  }
  list->is_timed = true;
  return list->time;
}

static uint32_t time_of_pair(const pg_lowering *l, pg_pair pair) {
  return later(time_of(l, pair.a), time_of(l, pair.b));
}

/* When an instruction can be computed, alone. */
static uint32_t own_time(const pg_lowering *l, pg_ref i) {
  const pg_lowered *x = &l->lowered[i];
  const pg_instruction *instruction = pg_instruction_of(l, i);
  uint32_t time = later(i, time_of(l, x->init));
  for (uint32_t t = 0; t < x->pair_count; t++) {
    time = later(time, time_of_pair(l, l->pairs[x->first_pair + t]));
  }
  for (int k = 0; !is_sum(x) && k < pg_operand_count(instruction); k++) {
    time = later(time, time_of(l, pg_operand_of(instruction, k)));
  }
  return pg_list_of(l, instruction) ? later(time, time_of_list(l, instruction)) : time;
}

static record at_time(record x, uint32_t time) {
  assert(time < 1U << 30);
  x.first += (uint64_t)time << 30;
  return x;
}

/* The pairs of a sum when their factors are known, and its init. */
static bool add_pairs(const pg_lowering *l, record x, records *to) {
  const pg_lowered *sum = &l->lowered[x.what.instruction];
  const pg_pair *pairs = &l->pairs[sum->first_pair];
  const uint32_t least = time_of(l, sum->init);
  bool added = true;
  for (uint32_t t = 0; t < sum->pair_count && added; t += x.what.count) {
    const uint32_t time = later(least, time_of_pair(l, pairs[t]));
    x.what.pair = t;
    x.what.count = 1;
    while (t + x.what.count < sum->pair_count &&
           later(least, time_of_pair(l, pairs[t + x.what.count])) == time) {
      x.what.count++;
    }
    added = add_record(to, at_time(x, time));
  }
  return added;
}

/* Whether the pairs of a group of sums are known at few times, many at each. Else their sums grow as the
 * factors become known: if they waited for the last ones, they would keep all others in slots. */
static bool are_at_once(pg_lowering *l, const record *group, uint32_t count, uint32_t pairs, uint32_t mark) {
  enum { AT_ONCE = 64 };
  uint32_t times = 0;
  for (uint32_t k = 0; k < count; k++) {
    const pg_lowered *x = &l->lowered[group[k].what.instruction];
    for (uint32_t t = 0; t < x->pair_count; t++) {
      pg_lowered *then = &l->lowered[time_of_pair(l, l->pairs[x->first_pair + t])];
      times += then->mark_of_time != mark;
      then->mark_of_time = mark;
    }
  }
  return pairs / AT_ONCE >= times;
}

/* How many of the factors are batched, and are not marked yet; marks them. */
static uint32_t mark_factors(pg_lowering *l, pg_pair pair, uint32_t mark) {
  const pg_ref factors[2] = {pair.a, pair.b};
  uint32_t marked = 0;
  for (int k = 0; k < 2; k++) {
    pg_lowered *x = factors[k] == PG_NO_REF ? NULL : &l->lowered[factors[k]];
    if (x && x->mark != mark && pg_instruction_of(l, factors[k])->batched) {
      x->mark = mark;
      marked++;
    }
  }
  return marked;
}

/* Whether a group multiplies each batched number many times, as a layer of neurons does. */
static bool is_dense(pg_lowering *l, const record *group, uint32_t count, uint32_t mark) {
  enum { TIMES = 4 };
  uint32_t products = 0, numbers = l->lowered[group->what.instruction].op == PG_DOT_TOTAL ? 0 : count;
  for (uint32_t k = 0; k < count; k++) {
    const pg_lowered *x = &l->lowered[group[k].what.instruction];
    products += x->pair_count;
    for (uint32_t t = 0; t < x->pair_count; t++) {
      numbers += mark_factors(l, l->pairs[x->first_pair + t], mark);
    }
  }
  return products >= TIMES * numbers;
}

/* A group, which begins at a record and has so many. The mark is another one for each. */
static bool add_group(pg_lowering *l, const record *group, uint32_t count, uint32_t mark, records *to) {
  const pg_lowered *first = &l->lowered[group->what.instruction];
  uint32_t last = 0, work = 0;
  for (uint32_t k = 0; k < count; k++) {
    pg_lowered *x = &l->lowered[group[k].what.instruction];
    x->time = x->phase == PG_BATCH ? own_time(l, group[k].what.instruction) : 0;
    last = later(last, x->time);
    work += x->pair_count ? x->pair_count : 1;
  }
  const bool is_long = first->op == PG_DOT_TOTAL ? work >= LARGE : first->pair_count >= LONG && count < FEW;
  const bool grows = is_long && !are_at_once(l, group, count, work, mark);
  const bool is_large = (work >= LARGE && !grows) || pg_is_scatter(first->op) ||
                        (l->is_for_native && is_sum(first) && is_dense(l, group, count, mark));
  bool added = true;
  for (uint32_t k = 0; k < count && added; k++) {
    pg_lowered *x = &l->lowered[group[k].what.instruction];
    x->time = is_large || !l->is_for_native ? last : x->time;
    x->is_single = x->phase == PG_BATCH && !is_large && l->is_for_native;
    const bool is_split = !is_large && (x->op == PG_DOT_TOTAL || grows);
    added = is_split ? add_pairs(l, group[k], to) : add_record(to, at_time(group[k], x->time));
  }
  return added;
}

/* The records are sorted by level: so the times of all operands are known, and groups are side by side. */
static bool sort_by_time(pg_lowering *l, records *found) {
  records timed = {0};
  bool added = true;
  for (uint32_t begin = 0, end; begin < found->count && added; begin = end) {
    const record *group = &found->at[begin];
    for (end = begin + 1; end < found->count && found->at[end].first == group->first &&
                          found->at[end].second == group->second;) {
      end++;
    }
    added = add_group(l, group, end - begin, end, &timed);
  }
  if (added) {
    put_in_order(&timed);
  }
  free(found->at);
  *found = timed;
  return added;
}

static bool sort(pg_lowering *l) {
  records found = {0};
  bool sorted = sort_by_level(l, &found) && sort_by_time(l, &found) &&
                pg_grow((void **)&l->order, &l->order_room, 0, found.count, sizeof *l->order);
  for (uint32_t k = 0; sorted && k < found.count; k++) {
    pg_ordered *what = &l->order[l->order_count++];
    bool *is_begun = &l->lowered[found.at[k].what.instruction].is_begun;
    *what = found.at[k].what;
    what->begins = !*is_begun;
    *is_begun = true;
  }
  free(found.at);
  return sorted;
}

/* Slots -------------------------------------------------------------------------------------------------- */

/* Reverses the pairs of a dot product if their slots go downwards, as a gradient's do: kernels are fastest
 * upwards. */
static void turn_upwards(pg_lowering *l, const pg_lowered *x) {
  if (x->pair_count < 2) {
    return;
  }
  pg_pair *first = &l->pairs[x->first_pair], *last = first + x->pair_count - 1;
  if (pg_number_of(l->lowered[first->a].slot) <= pg_number_of(l->lowered[last->a].slot)) {
    return;
  }
  for (; first < last; first++, last--) {
    const pg_pair swapped = *first;
    *first = *last;
    *last = swapped;
  }
}

/* Leaves come first: the parameters, inputs and constants, the number 1. Then the totals, and what is
 * scattered. Then the results of the loops in their order. */
static void number_slots(pg_lowering *l, pg_routine *r) {
  uint32_t next[2] = {r->parameter_count, 0}; /* shared, batched */
  for (pg_ref i = 0; i < l->p->count; i++) {
    pg_lowered *x = &l->lowered[i];
    const pg_instruction *instruction = pg_instruction_of(l, i);
    if (instruction->op == PG_PARAMETER) {
      x->slot = pg_slot_of(instruction->a, false);
    } else if (is_leaf(x)) {
      x->slot = pg_slot_of(next[instruction->batched]++, instruction->batched);
    }
    r->total_count += x->op == PG_DOT_TOTAL;
    r->scattered_count += x->op == PG_SCATTER_TOTAL;
  }
  l->one = pg_slot_of(next[0]++, false);
  r->leaf_count = next[0];
  uint32_t total = r->leaf_count, scattered = total + r->total_count;
  next[0] += r->total_count + r->scattered_count;
  for (uint32_t k = 0; k < l->order_count; k++) {
    const pg_ordered what = l->order[k];
    pg_lowered *x = &l->lowered[what.instruction];
    const bool batched = pg_instruction_of(l, what.instruction)->batched;
    if (what.count == x->pair_count) {
      turn_upwards(l, x);
    }
    if (x->op != PG_SCATTER_ADD && what.begins) {
      uint32_t *number = x->op == PG_DOT_TOTAL       ? &total
                         : x->op == PG_SCATTER_TOTAL ? &scattered
                                                     : &next[batched];
      x->slot = pg_slot_of((*number)++, batched);
    }
  }
  assert(total == r->leaf_count + r->total_count && scattered == pg_fixed_slots(r));
  r->shared = next[0];
  r->batched = next[1];
}

bool pg_schedule(pg_lowering *l, pg_routine *r) {
  find_levels(l);
  if (!sort(l)) {
    return false;
  }
  number_slots(l, r);
  return true;
}
