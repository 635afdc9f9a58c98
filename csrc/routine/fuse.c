/* fuse.c: sums of products become dot products.
 *
 * A tree of additions whose inner nodes nothing else uses becomes one PG_DOT: its leaves are the terms. A
 * product or a square that nothing else uses becomes a pair of factors, any other leaf a pair with the number
 * 1; the first such leaf is what the sum begins with. In the same way, the sum over the batch of a product or
 * of a dot product becomes one PG_DOT_TOTAL.
 */
#include <stdlib.h>

#include "routine/lower.h"

typedef struct {
  pg_lowering *l;
  uint32_t *uses; /* an instruction: how often it is used; a value that must have a slot counts at least 2 */
  pg_ref *stack;  /* of a walk through a tree of additions: it has at most one entry more than these */
  uint32_t depth;
  bool failed;
} fusion;

/* Uses --------------------------------------------------------------------------------------------------- */

/* A use that needs the value in a slot. */
static void use_slot(fusion *f, pg_ref i) { f->uses[i] += 2; }

static void use_list(fusion *f, const pg_instruction *x) {
  pg_list *list = pg_list_of(f->l, x);
  const pg_span span = pg_span_of(f->l, x);
  for (uint32_t k = 0; !list->is_used && k < span.count; k++) {
    const pg_ref ref = f->l->p->refs[span.first + k];
    if (x->op != PG_LOOKUP ||
        pg_instruction_of(f->l, ref)->op != PG_PARAMETER) { /* of which it reads the node */
      use_slot(f, ref);
    }
  }
  list->is_used = true;
  list->has_targets = pg_is_scatter(x->op) && x->op != PG_SCATTER;
  const uint32_t size = x->op == PG_LOOKUP        ? span.count
                        : x->op == PG_SCATTER_ADD ? f->l->p->targets[x->b].count
                                                  : x->b + 1;
  list->size = size > list->size ? size : list->size;
}

/* From last to first, so that only instructions that something uses use others. */
static void count_uses(fusion *f) {
  const pg_program *p = f->l->p;
  for (uint32_t i = 0; i < p->output_count; i++) {
    if (p->outputs[i] != PG_NO_REF) {
      use_slot(f, p->outputs[i]);
    }
  }
  for (pg_ref i = p->count; i-- > 0;) {
    const pg_instruction *x = pg_instruction_of(f->l, i);
    f->uses[i] += x->op == PG_SCATTER_ADD;
    if (!f->uses[i]) {
      continue;
    }
    for (int k = 0; k < pg_operand_count(x); k++) {
      assert(pg_operand_of(x, k) < i);
      f->uses[pg_operand_of(x, k)]++;
    }
    if (pg_list_of(f->l, x)) {
      use_list(f, x);
    }
  }
}

/* Sums --------------------------------------------------------------------------------------------------- */

static void add_pair(fusion *f, pg_lowered *sum, pg_ref a, pg_ref b) {
  pg_lowering *l = f->l;
  if (!pg_grow((void **)&l->pairs, &l->pair_room, l->pair_count, 1, sizeof *l->pairs)) {
    f->failed = true;
    return;
  }
  l->pairs[l->pair_count++] = (pg_pair){a, b};
  sum->pair_count++;
}

/* Whether an instruction is of this op, and nothing else uses it: then its only user may compute it. */
static bool is_fusible(const fusion *f, pg_ref i, int op, bool batched) {
  const pg_instruction *x = pg_instruction_of(f->l, i);
  return x->op == op && f->uses[i] == 1 && x->batched == batched && f->l->lowered[i].op == op;
}

static bool is_product(const fusion *f, pg_ref i, bool batched) {
  return is_fusible(f, i, PG_MUL, batched) || is_fusible(f, i, PG_SQUARE, batched);
}

static void add_product(fusion *f, pg_lowered *sum, pg_ref i) {
  const pg_instruction *x = pg_instruction_of(f->l, i);
  add_pair(f, sum, x->a, x->op == PG_SQUARE ? x->a : x->b);
}

static void push_operands(fusion *f, pg_ref i) {
  const pg_instruction *x = pg_instruction_of(f->l, i);
  f->stack[f->depth++] = x->b;
  f->stack[f->depth++] = x->a;
  assert(f->depth <= f->l->p->count + 1);
}

/* Takes the loops of the additions and products below an addition away: they are in its dot product. */
static void take_loops(fusion *f, pg_ref root, bool batched) {
  f->stack[f->depth++] = root;
  while (f->depth) {
    const pg_instruction *x = pg_instruction_of(f->l, f->stack[--f->depth]);
    for (int k = 0; k < 2; k++) {
      const pg_ref operand = pg_operand_of(x, k);
      if (is_fusible(f, operand, PG_ADD, batched)) {
        f->stack[f->depth++] = operand;
        f->l->lowered[operand].op = PG_NO_LOOP;
      } else if (is_product(f, operand, batched)) {
        f->l->lowered[operand].op = PG_NO_LOOP;
      }
    }
  }
}

/* Makes a dot product of the tree below an addition, unless there is nothing to fuse. */
static void fuse_sum(fusion *f, pg_ref root) {
  const bool batched = pg_instruction_of(f->l, root)->batched;
  pg_lowered sum = {.op = PG_DOT, .first_pair = f->l->pair_count, .init = PG_NO_REF};
  bool fuses = false;
  push_operands(f, root);
  while (f->depth) {
    const pg_ref i = f->stack[--f->depth];
    if (is_fusible(f, i, PG_ADD, batched)) {
      fuses = true;
      push_operands(f, i);
    } else if (is_product(f, i, batched)) {
      fuses = true;
      add_product(f, &sum, i);
    } else if (sum.init == PG_NO_REF) {
      sum.init = i;
    } else {
      add_pair(f, &sum, i, PG_NO_REF);
    }
  }
  if (!fuses) {
    f->l->pair_count = sum.first_pair;
    return;
  }
  take_loops(f, root, batched);
  f->l->lowered[root] = sum;
}

static void fuse_total(fusion *f, pg_ref total) {
  const pg_ref i = pg_instruction_of(f->l, total)->a;
  pg_lowered sum = {.op = PG_DOT_TOTAL, .first_pair = f->l->pair_count, .init = PG_NO_REF};
  pg_lowered *operand = &f->l->lowered[i];
  if (is_product(f, i, true)) {
    add_product(f, &sum, i);
    operand->op = PG_NO_LOOP;
  } else if (operand->op == PG_DOT && f->uses[i] == 1) {
    for (uint32_t t = 0; t < operand->pair_count && !f->failed; t++) {
      const pg_pair pair = f->l->pairs[operand->first_pair + t];
      add_pair(f, &sum, pair.a, pair.b);
    }
    if (operand->init != PG_NO_REF) {
      add_pair(f, &sum, operand->init, PG_NO_REF);
    }
    operand->op = PG_NO_LOOP;
  } else {
    add_pair(f, &sum, i, PG_NO_REF);
  }
  f->l->lowered[total] = sum;
}

static void fuse(fusion *f) {
  pg_lowering *l = f->l;
  for (pg_ref i = 0; i < l->p->count; i++) {
    uint8_t op = f->uses[i] ? pg_instruction_of(l, i)->op : PG_NO_LOOP;
    op = op == PG_ROW || op == PG_PRIMAL ? PG_DETACH : op; /* which computes the same */
    l->lowered[i] = (pg_lowered){.op = op, .init = PG_NO_REF};
  }
  for (pg_ref i = l->p->count; i-- > 0 && !(l->p->disabled & PG_DOTS) && !f->failed;) {
    if (l->lowered[i].op == PG_ADD) {
      fuse_sum(f, i);
    }
  }
  for (pg_ref i = 0; i < l->p->count && !f->failed; i++) {
    if (l->lowered[i].op == PG_TOTAL) {
      fuse_total(f, i);
    }
  }
}

bool pg_fuse(pg_lowering *l) {
  fusion f = {
      .l = l,
      .uses = pg_zeros(l->p->count, sizeof *f.uses),
      .stack = pg_room(l->p->count, sizeof *f.stack),
  };
  f.failed = !f.uses || !f.stack;
  if (!f.failed) {
    count_uses(&f);
    fuse(&f);
  }
  free(f.uses);
  free(f.stack);
  return !f.failed;
}
