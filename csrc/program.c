/* program.c: lists of instructions: recording a graph, simplifying, and the derivatives. */
#include "program.h"

#include <stdlib.h>
#include <string.h>

#include "ieee.h"
#include "text.h"

/* The rows of the op tables. A program's derivatives are made of the text of the adjoints: see "Derivatives".
 */
static const struct {
  const char *symbol, *forward, *adjoint[2];
  int arity;
} OPS[PG_INSTRUCTIONS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = {symbol, #forward, {#adjoint_x, NULL}, 1},
#define PG_CONSTANT(name, symbol, forward, adjoint_x) [PG_##name] = {symbol, #forward, {#adjoint_x, NULL}, 2},
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y)                                                 \
  [PG_##name] = {symbol, #forward, {#adjoint_x, #adjoint_y}, 2},
#define PG_ALL_OPS
#include "ops.def"
    [PG_INPUT] = {.symbol = "input"},       [PG_PARAMETER] = {.symbol = "parameter"},
    [PG_CONSTANT] = {.symbol = "constant"}, [PG_TOTAL] = {.symbol = "total"},
    [PG_LOOKUP] = {.symbol = "lookup"},     [PG_SCATTER] = {.symbol = "scatter"},
};

/* What an op computes, as IEEE has it: no exceptions. */
static double compute(int op, double x, double y) {
  double z = NAN;
  switch (op) {
#define PG_UNARY(name, symbol, forward, adjoint_x)                                                             \
  case PG_##name:                                                                                              \
    z = forward;                                                                                               \
    break;
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_UNARY(name, symbol, forward, adjoint_x)
#define PG_ALL_OPS
#include "ops.def"
  default:
    assert(!"an op of the tables");
  }
  return z;
}

/* Memory ------------------------------------------------------------------------------------------------- */

/* Makes room for more entries of an array that doubles. False, and the array is as it was, if there is no
 * memory. */
static bool grow(void **array, uint32_t *room, uint32_t count, uint32_t more, size_t size) {
  if (count + more <= *room) {
    return true;
  }
  uint64_t wanted = *room ? *room : 64;
  while (wanted < (uint64_t)count + more) {
    wanted *= 2;
  }
  void *grown = wanted < PG_NO_REF ? pg_resize(*array, wanted * size) : NULL;
  if (!grown) {
    return false;
  }
  *array = grown;
  *room = (uint32_t)wanted;
  return true;
}

void pg_program_free(pg_program *p) {
  if (p) {
    free(p->list);
    free(p->refs);
    free(p->tables);
    free(p->scatters);
    free(p->buckets);
    free(p->parameters);
    free(p->outputs);
    free(p);
  }
}

static pg_program *new_program(unsigned without) {
  pg_program *p = pg_resize(NULL, sizeof *p);
  if (p) {
    *p = (pg_program){.without = without, .gradient = PG_NO_REF};
  }
  return p;
}

/* Emitting ----------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const pg_instruction *i) {
  uint64_t bits;
  memcpy(&bits, &i->number, sizeof bits);
  uint64_t h = bits ^ ((uint64_t)i->op << 56) ^ (i->batched ? 1ULL << 55 : 0);
  const uint64_t parts[] = {i->a, i->b};
  for (int k = 0; k < 2; k++) {
    h = (h ^ parts[k]) * 0x9E3779B97F4A7C15ULL;
    h ^= h >> 29;
  }
  return (uint32_t)h;
}

static bool same(const pg_instruction *i, const pg_instruction *j) {
  return i->op == j->op && i->batched == j->batched && i->a == j->a && i->b == j->b &&
         memcmp(&i->number, &j->number, sizeof i->number) == 0;
}

/* The bucket of an equal instruction, or the empty one where it belongs. */
static uint32_t *bucket_of(const pg_program *p, const pg_instruction *i) {
  uint32_t at = hash_of(i);
  for (;; at++) {
    uint32_t *bucket = &p->buckets[at & (p->bucket_count - 1)];
    if (*bucket == 0 || same(&p->list[*bucket - 1], i)) {
      return bucket;
    }
  }
}

static bool grow_buckets(pg_program *p) {
  if (2 * (uint64_t)p->count < p->bucket_count) {
    return true;
  }
  uint32_t count = p->bucket_count ? 2 * p->bucket_count : 256;
  uint32_t *buckets = pg_resize(NULL, count * sizeof *buckets);
  if (!buckets) {
    return false;
  }
  memset(buckets, 0, count * sizeof *buckets);
  free(p->buckets);
  p->buckets = buckets;
  p->bucket_count = count;
  for (uint32_t i = 0; i < p->count; i++) {
    *bucket_of(p, &p->list[i]) = i + 1;
  }
  return true;
}

/* The instruction as it is, or an equal one that is there already. */
static pg_ref append(pg_program *p, pg_instruction i) {
  if (p->failed || p->count == PG_MAX_INSTRUCTIONS ||
      !grow((void **)&p->list, &p->room, p->count, 1, sizeof i) || (!p->verbatim && !grow_buckets(p))) {
    p->failed = true;
    return 0;
  }
  if (!p->verbatim) {
    uint32_t *bucket = bucket_of(p, &i);
    if (*bucket && !(p->without & PG_WITHOUT_SHARING && i.op < PG_KERNELS)) {
      return *bucket - 1;
    }
    *bucket = p->count + 1;
  }
  p->list[p->count] = i;
  return p->count++;
}

static pg_ref leaf(pg_program *p, int op, pg_ref which, double number, bool batched) {
  return append(p, (pg_instruction){number, which, PG_NO_REF, (uint8_t)op, batched});
}

static pg_ref constant(pg_program *p, double number) { return leaf(p, PG_CONSTANT, PG_NO_REF, number, false); }

static bool is_constant(const pg_program *p, pg_ref i, double number) {
  return i != PG_NO_REF && p->list[i].op == PG_CONSTANT && p->list[i].number == number;
}

static bool is_op(const pg_program *p, pg_ref i, int op) { return p->list[i].op == op; }

static pg_ref emit(pg_program *p, int op, pg_ref a, pg_ref b);

/* What x ** y is for some constants y. PG_NO_REF for others. */
static pg_ref simpler_power(pg_program *p, pg_ref x, double y) {
  if (y == 0) {
    return constant(p, 1);
  }
  if (y == 1) {
    return x;
  }
  if (y == 2) {
    return emit(p, PG_SQUARE, x, PG_NO_REF);
  }
  if (y == 3) {
    return emit(p, PG_MUL, x, emit(p, PG_SQUARE, x, PG_NO_REF));
  }
  if (y == 0.5) {
    return emit(p, PG_SQRT, x, PG_NO_REF);
  }
  if (y == -0.5 || y == -1) {
    return emit(p, PG_RECIPROCAL, simpler_power(p, x, -y), PG_NO_REF);
  }
  return PG_NO_REF;
}

/* The same number by other means. PG_NO_REF if there are none. */
static pg_ref simpler(pg_program *p, int op, pg_ref a, pg_ref b) {
  switch (op) {
  case PG_ADD:
    if (is_constant(p, a, 0)) {
      return b;
    }
    if (is_constant(p, b, 0)) {
      return a;
    }
    if (is_op(p, b, PG_NEGATIVE)) {
      return emit(p, PG_MINUS, a, p->list[b].a);
    }
    return is_op(p, a, PG_NEGATIVE) ? emit(p, PG_MINUS, b, p->list[a].a) : PG_NO_REF;
  case PG_MUL:
    for (int i = 0; i < 2; i++, op = PG_MUL) {
      const pg_ref x = i ? b : a, y = i ? a : b;
      if (is_constant(p, x, 1)) {
        return y;
      }
      if (is_constant(p, x, -1)) {
        return emit(p, PG_NEGATIVE, y, PG_NO_REF);
      }
      if (is_op(p, x, PG_RECIPROCAL)) {
        return emit(p, PG_QUOTIENT, y, p->list[x].a);
      }
    }
    return PG_NO_REF;
  case PG_POWER:
    return is_op(p, b, PG_CONSTANT) ? simpler_power(p, a, p->list[b].number) : PG_NO_REF;
  case PG_QUOTIENT:
    return is_constant(p, a, 1) ? emit(p, PG_RECIPROCAL, b, PG_NO_REF) : PG_NO_REF;
  case PG_NEGATIVE:
    return is_op(p, a, PG_NEGATIVE) ? p->list[a].a : PG_NO_REF;
  default:
    return PG_NO_REF;
  }
}

/* An op of the tables, or something simpler. */
static pg_ref emit(pg_program *p, int op, pg_ref a, pg_ref b) {
  if (p->failed) {
    return 0;
  }
  const pg_instruction x = p->list[a], y = b == PG_NO_REF ? (pg_instruction){.op = PG_CONSTANT} : p->list[b];
  const pg_instruction plain = {0, a, b, (uint8_t)op, x.batched || y.batched};
  if (p->verbatim) {
    return append(p, plain);
  }
  if (!(p->without & PG_WITHOUT_FOLDING) && x.op == PG_CONSTANT && y.op == PG_CONSTANT) {
    return constant(p, compute(op, x.number, y.number));
  }
  if (!(p->without & PG_WITHOUT_REDUCTION)) {
    pg_ref other = simpler(p, op, a, b);
    if (other != PG_NO_REF) {
      return other;
    }
  }
  /* x * y is y * x; constants first, so that like products look alike */
  const bool constant_a = x.op == PG_CONSTANT, constant_b = y.op == PG_CONSTANT;
  if (op == PG_MUL && (constant_a == constant_b ? b < a : constant_b)) {
    return append(p, (pg_instruction){0, b, a, PG_MUL, plain.batched});
  }
  return append(p, plain);
}

static pg_ref emit_total(pg_program *p, pg_ref a) {
  return append(p, (pg_instruction){0, a, PG_NO_REF, PG_TOTAL, false});
}

/* Another ref of the span that is being made, which is the last. */
static void add_ref(pg_program *p, pg_span *span, pg_ref ref) {
  if (!grow((void **)&p->refs, &p->ref_room, p->ref_count, 1, sizeof *p->refs)) {
    p->failed = true;
  } else {
    p->refs[p->ref_count++] = ref;
    span->count++;
  }
}

static uint32_t add_span(pg_program *p, pg_span **spans, uint32_t *count, uint32_t *room, pg_span span) {
  if (!grow((void **)spans, room, *count, 1, sizeof span)) {
    p->failed = true;
    return 0;
  }
  (*spans)[*count] = span;
  return (*count)++;
}

static uint32_t add_table(pg_program *p, pg_span span) {
  return add_span(p, &p->tables, &p->table_count, &p->table_room, span);
}

static uint32_t add_scatter(pg_program *p, pg_span span) {
  return add_span(p, &p->scatters, &p->scatter_count, &p->scatter_room, span);
}

static pg_ref emit_lookup(pg_program *p, pg_ref index, uint32_t table) {
  if (p->failed) {
    return 0;
  }
  const pg_span elements = p->tables[table];
  bool batched = p->list[index].batched;
  for (uint32_t k = 0; k < elements.count && !batched; k++) {
    batched = p->list[p->refs[elements.first + k]].batched;
  }
  return append(p, (pg_instruction){0, index, table, PG_LOOKUP, batched});
}

static pg_ref emit_scatter(pg_program *p, uint32_t scatter, uint32_t element) {
  if (p->failed) {
    return 0;
  }
  const pg_span pairs = p->scatters[scatter];
  bool batched = false;
  for (uint32_t k = 0; k < pairs.count && !batched; k++) {
    batched = p->list[p->refs[pairs.first + k]].batched;
  }
  return append(p, (pg_instruction){0, scatter, element, PG_SCATTER, batched});
}

/* Derivatives -------------------------------------------------------------------------------------------- */

/* An adjoint is read from its row, where it stands as C: names, numbers, + - * and calls of pg_ functions. Each
 * call is an op: the one whose forward column is that call. */
typedef struct {
  const char *at;
  pg_program *p;
  pg_ref x, y, z, g;
} reader;

static pg_ref read_sum(reader *r);

static bool skip(reader *r, char c) {
  while (*r->at == ' ') {
    r->at++;
  }
  if (*r->at != c) {
    return false;
  }
  r->at++;
  return true;
}

static bool is_called(int op, const char *name, size_t length) {
  const char *forward = OPS[op].forward;
  return forward && strncmp(forward, name, length) == 0 && strncmp(forward + length, "(x", 2) == 0;
}

/* Each function that the tables call is an op of theirs. */
static int op_called(const char *name, size_t length) {
  int op = 0;
  while (!is_called(op, name, length)) {
    op++;
    assert(op < PG_KERNELS);
  }
  return op;
}

static pg_ref read_name(reader *r) {
  const char *name = r->at;
  while ((*r->at >= 'a' && *r->at <= 'z') || *r->at == '_') {
    r->at++;
  }
  const size_t length = (size_t)(r->at - name);
  if (length == 1) {
    return *name == 'x' ? r->x : *name == 'y' ? r->y : *name == 'z' ? r->z : r->g;
  }
  pg_ref operands[2] = {PG_NO_REF, PG_NO_REF};
  skip(r, '(');
  for (int i = 0; !skip(r, ')'); skip(r, ',')) {
    skip(r, ' ');
    if (strncmp(r->at, "status", 6) == 0) {
      r->at += 6;
    } else {
      operands[i++] = read_sum(r);
    }
  }
  int op = op_called(name, length);
  if (op == PG_POWER && !is_op(r->p, operands[1], PG_CONSTANT)) {
    op = PG_POW;
  }
  return emit(r->p, op, operands[0], operands[1]);
}

/* Not strtod's work: where the locale has a decimal comma, that stops at a point. */
static pg_ref read_number(reader *r) {
  double number = 0, digit = 1;
  for (; *r->at >= '0' && *r->at <= '9'; r->at++) {
    number = 10 * number + (*r->at - '0');
  }
  if (*r->at == '.') {
    for (r->at++; *r->at >= '0' && *r->at <= '9'; r->at++) {
      number += (*r->at - '0') * (digit /= 10);
    }
  }
  return constant(r->p, number);
}

static pg_ref read_factor(reader *r) {
  if (skip(r, '-')) {
    return emit(r->p, PG_NEGATIVE, read_factor(r), PG_NO_REF);
  }
  if (skip(r, '(')) {
    pg_ref inner = read_sum(r);
    skip(r, ')');
    return inner;
  }
  if (*r->at >= '0' && *r->at <= '9') {
    return read_number(r);
  }
  return read_name(r);
}

static pg_ref read_product(reader *r) {
  pg_ref product = read_factor(r);
  while (skip(r, '*')) {
    product = emit(r->p, PG_MUL, product, read_factor(r));
  }
  return product;
}

static pg_ref read_sum(reader *r) {
  pg_ref sum = read_product(r);
  for (;;) {
    if (skip(r, '+')) {
      sum = emit(r->p, PG_ADD, sum, read_product(r));
    } else if (skip(r, '-')) {
      sum = emit(r->p, PG_MINUS, sum, read_product(r));
    } else {
      return sum;
    }
  }
}

/* The share of an op's operand in the gradient g of its result. */
static pg_ref derivative(pg_program *p, pg_ref z, int operand, pg_ref g) {
  const pg_instruction i = p->list[z];
  reader r = {OPS[i.op].adjoint[operand], p, i.a, i.b, z, g};
  return read_sum(&r);
}

/* How many operands an instruction has that a derivative goes through. */
static int arity(const pg_instruction *i) { return i->op == PG_POWER ? 1 : OPS[i->op].arity; }

/* What has come in for an instruction so far: what is a number a sample, and what is one for all. */
typedef struct {
  pg_ref batched, shared;
} adjoint;

/* The adjoints of a list that grows meanwhile. Lookups wait until those that come after the last element of
 * their table are done: then all lookups in a table give their shares to its elements at once. */
typedef struct {
  adjoint *of;         /* an instruction */
  pg_ref *before;      /* a lookup: the one that was waiting before it; PG_NO_REF for none */
  uint32_t *ends_here; /* an instruction: a table whose last element it is; PG_NO_REF for none */
  uint32_t *next;      /* a table: another that ends there */
  pg_ref *waiting;     /* a table: the newest lookup that waits */
} adjoints;

static void free_adjoints(adjoints *a) {
  free(a->of);
  free(a->before);
  free(a->ends_here);
  free(a->next);
  free(a->waiting);
}

static pg_ref *no_refs(size_t count) {
  pg_ref *refs = pg_resize(NULL, (count + 1) * sizeof *refs);
  return refs ? memset(refs, 0xFF, count * sizeof *refs) : NULL; /* each is PG_NO_REF */
}

static bool begin_adjoints(adjoints *a, const pg_program *p) {
  *a = (adjoints){
      .of = (adjoint *)(void *)no_refs(2 * (size_t)p->count),
      .before = no_refs(p->count),
      .ends_here = no_refs(p->count),
      .next = no_refs(p->table_count),
      .waiting = no_refs(p->table_count),
  };
  if (!a->of || !a->before || !a->ends_here || !a->next || !a->waiting) {
    return false;
  }
  for (uint32_t t = 0; t < p->table_count; t++) {
    const pg_span elements = p->tables[t];
    pg_ref last = 0;
    for (uint32_t k = 0; k < elements.count; k++) {
      const pg_ref element = p->refs[elements.first + k];
      last = element > last ? element : last;
    }
    a->next[t] = a->ends_here[last];
    a->ends_here[last] = t;
  }
  return true;
}

static bool is_reached(const adjoint *a) { return a->batched != PG_NO_REF || a->shared != PG_NO_REF; }

static void accumulate(pg_program *p, adjoint *to, pg_ref share) {
  if (is_constant(p, share, 0)) {
    return;
  }
  pg_ref *part = p->list[share].batched ? &to->batched : &to->shared;
  *part = *part == PG_NO_REF ? share : emit(p, PG_ADD, *part, share);
}

/* All that has come in. What is one for all gets the total over the batch. */
static pg_ref gathered(pg_program *p, const adjoint *a, bool batched) {
  pg_ref sum = a->batched;
  if (sum != PG_NO_REF && !batched) {
    sum = emit_total(p, sum);
  }
  if (sum == PG_NO_REF || a->shared == PG_NO_REF) {
    return sum == PG_NO_REF ? a->shared : sum;
  }
  return emit(p, PG_ADD, sum, a->shared);
}

/* Gives the elements of a table what has come in for the lookups in it. */
static void scatter(pg_program *p, adjoints *a, uint32_t table) {
  pg_span pairs = {.first = p->ref_count};
  pg_ref next;
  for (pg_ref i = a->waiting[table]; i != PG_NO_REF && !p->failed; i = next) {
    const pg_instruction lookup = p->list[i];
    next = a->before[i];
    add_ref(p, &pairs, lookup.a);
    add_ref(p, &pairs, gathered(p, &a->of[i], lookup.batched));
  }
  const uint32_t number = add_scatter(p, pairs);
  for (uint32_t k = 0; k < p->tables[table].count && !p->failed; k++) {
    const pg_ref element = p->refs[p->tables[table].first + k];
    if (p->list[element].op != PG_CONSTANT) {
      accumulate(p, &a->of[element], emit_scatter(p, number, k));
    }
  }
}

/* Gives the operands of an instruction their shares in what has come in for it. */
static void propagate(pg_program *p, adjoints *a, pg_ref z) {
  const pg_instruction i = p->list[z];
  if (!is_reached(&a->of[z])) {
    return;
  }
  if (i.op == PG_LOOKUP) {
    a->before[z] = a->waiting[i.b];
    a->waiting[i.b] = z;
    return;
  }
  const pg_ref operands[2] = {i.a, i.b};
  const pg_ref g = arity(&i) ? gathered(p, &a->of[z], i.batched) : PG_NO_REF;
  for (int k = 0; k < arity(&i); k++) {
    if (p->list[operands[k]].op != PG_CONSTANT) {
      accumulate(p, &a->of[operands[k]], derivative(p, z, k, g));
    }
  }
}

/* Emits the gradient of an output. */
static void emit_gradient(pg_program *p, adjoints *a, pg_ref output, pg_ref cotangent) {
  accumulate(p, &a->of[output], cotangent);
  for (pg_ref z = p->gradient; z-- > 0 && !p->failed;) {
    for (uint32_t table = a->ends_here[z]; table != PG_NO_REF; table = a->next[table]) {
      if (a->waiting[table] != PG_NO_REF) {
        scatter(p, a, table);
      }
    }
    propagate(p, a, z);
  }
}

/* Tangents: forward, each instruction's from those of its operands. PG_NO_REF stands for 0. */

/* The tangents of a span's refs; of pairs only the second has one, and the first is kept. */
static pg_span tangent_span(pg_program *p, pg_span of, bool pairs, const pg_ref *tangents) {
  const pg_ref zero = constant(p, 0);
  pg_span span = {.first = p->ref_count};
  for (uint32_t k = 0; k < of.count && !p->failed; k++) {
    const pg_ref ref = p->refs[of.first + k];
    const pg_ref tangent = tangents[ref] == PG_NO_REF ? zero : tangents[ref];
    add_ref(p, &span, pairs && k % 2 == 0 ? ref : tangent);
  }
  return span;
}

/* The spans of tangents, by that of which they are the tangents; PG_NO_REF where there is none yet. */
typedef struct {
  pg_ref *of; /* an instruction */
  uint32_t *tables;
  uint32_t *scatters;
} tangents;

static pg_ref tangent_of(pg_program *p, const tangents *t, pg_ref z) {
  const pg_instruction i = p->list[z];
  if (i.op == PG_LOOKUP) {
    if (t->tables[i.b] == PG_NO_REF) {
      t->tables[i.b] = add_table(p, tangent_span(p, p->tables[i.b], false, t->of));
    }
    return emit_lookup(p, i.a, t->tables[i.b]);
  }
  if (i.op == PG_SCATTER) {
    if (t->scatters[i.a] == PG_NO_REF) {
      t->scatters[i.a] = add_scatter(p, tangent_span(p, p->scatters[i.a], true, t->of));
    }
    return emit_scatter(p, t->scatters[i.a], i.b);
  }
  adjoint sum = {PG_NO_REF, PG_NO_REF};
  const pg_ref operands[2] = {i.a, i.b};
  for (int k = 0; k < arity(&i); k++) {
    if (t->of[operands[k]] != PG_NO_REF) {
      accumulate(p, &sum, derivative(p, z, k, t->of[operands[k]]));
    }
  }
  return gathered(p, &sum, true);
}

/* Emits the tangents of all instructions, given those of the inputs. A total's is not needed: see pg_compile.
 */
static void emit_tangents(pg_program *p, const tangents *t, uint32_t count) {
  for (pg_ref z = 0; z < count && !p->failed; z++) {
    if (t->of[z] == PG_NO_REF) {
      t->of[z] = tangent_of(p, t, z);
    }
  }
}

/* Recording ---------------------------------------------------------------------------------------------- */

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
  if (grow((void **)&f->stack, &f->room, f->waiting, 1, sizeof *f->stack)) {
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
      add_ref(p, &p->tables[table], find(f, elements[i])->place);
    }
  }
  return emit_lookup(p, leaf(p, PG_INPUT, l->indices[k], 0, false), table);
}

/* Emits a node whose operands are in the list. */
static pg_ref emit_node(pg_program *p, const found_nodes *f, const pg_lookups *lookups, const found *entry) {
  const pg_node *n = pg_node_at(entry->id);
  if (entry->input) {
    return leaf(p, PG_INPUT, entry->input - 1, 0, false);
  }
  if (entry->lookup) {
    return emit_recorded_lookup(p, f, lookups, entry->lookup - 1);
  }
  if (n->op == PG_LEAF && n->flags & PG_TRACED) {
    return constant(p, n->data);
  }
  if (n->op == PG_LEAF) {
    p->parameters[p->parameter_count] = entry->id;
    return leaf(p, PG_PARAMETER, p->parameter_count++, 0, false);
  }
  const pg_ref a = find(f, n->a)->place;
  if (n->op == PG_POWER) {
    return emit(p, PG_POWER, a, constant(p, pg_node_at(n->b)->data));
  }
  return emit(p, n->op, a, n->b ? find(f, n->b)->place : PG_NO_REF);
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
  uint32_t elements = 0; /* for now a table's span says where its ids begin */
  for (size_t t = 0; t < lookups->table_count; t++) {
    add_table(p, (pg_span){.first = elements});
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
    pg_node_at(nodes[i].id)->flags &= (uint8_t)~PG_TRACED;
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
  pg_program *p = are_live(inputs, input_ids, outputs, output_ids, lookups) ? new_program(without) : NULL;
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

/* Specializing ------------------------------------------------------------------------------------------- */

static pg_ref emit_specialized(pg_program *q, const pg_program *p, const bool *batched, const pg_ref *places,
                               pg_ref i) {
  const pg_instruction x = p->list[i];
  if (x.op < PG_KERNELS) {
    return emit(q, x.op, places[x.a], x.b == PG_NO_REF ? PG_NO_REF : places[x.b]);
  }
  if (x.op == PG_LOOKUP) {
    const pg_span elements = p->tables[x.b];
    if (q->tables[x.b].count == 0) {
      q->tables[x.b].first = q->ref_count;
      for (uint32_t k = 0; k < elements.count && !q->failed; k++) {
        add_ref(q, &q->tables[x.b], places[p->refs[elements.first + k]]);
      }
    }
    return emit_lookup(q, places[x.a], x.b);
  }
  return leaf(q, x.op, x.a, x.number, x.op == PG_INPUT && batched[x.a]);
}

/* Emits p's instructions into q; `places` says where each has gone. */
static void emit_all(pg_program *q, const pg_program *p, const bool *batched, pg_ref *places) {
  for (uint32_t t = 0; t < p->table_count; t++) {
    add_table(q, (pg_span){0});
  }
  for (pg_ref i = 0; i < p->count && !q->failed; i++) {
    places[i] = emit_specialized(q, p, batched, places, i);
  }
}

static void add_output(pg_program *q, pg_ref i) {
  q->outputs[q->output_count++] = i == PG_NO_REF ? constant(q, 0) : i;
}

/* The gradients by inputs and parameters become outputs. What is not batched has one number for all samples;
 * an output that is, one cotangent a sample: what comes in for the former is added up over these. */
static void add_gradients(pg_program *q, pg_ref output, pg_ref cotangent) {
  adjoints a;
  q->gradient = q->count;
  const uint32_t first = q->output_count, parameters = first + q->inputs;
  for (uint32_t i = 0; i < q->inputs + q->parameter_count; i++) {
    add_output(q, PG_NO_REF);
  }
  if (!begin_adjoints(&a, q)) {
    q->failed = true;
  } else {
    emit_gradient(q, &a, output, cotangent);
  }
  for (pg_ref i = 0; i < q->gradient && !q->failed; i++) {
    const pg_instruction x = q->list[i];
    if ((x.op == PG_INPUT || x.op == PG_PARAMETER) && is_reached(&a.of[i]) && i != cotangent) {
      q->outputs[(x.op == PG_INPUT ? first : parameters) + x.a] = gathered(q, &a.of[i], x.batched);
    }
  }
  free_adjoints(&a);
}

/* The tangents of outputs from `first` on, up to `last`, become outputs. */
static void add_tangents(pg_program *q, const bool *batched, uint32_t first, uint32_t last) {
  const uint32_t count = q->count;
  tangents t = {no_refs(count), no_refs(q->table_count), no_refs(q->scatter_count)};
  if (!t.of || !t.tables || !t.scatters) {
    q->failed = true;
  }
  for (pg_ref i = 0; i < count && !q->failed; i++) {
    const pg_instruction x = q->list[i];
    if (x.op == PG_INPUT) {
      t.of[i] = leaf(q, PG_INPUT, q->inputs + x.a, 0, batched[q->inputs + x.a]);
    }
  }
  emit_tangents(q, &t, count);
  for (uint32_t k = first; k < last && !q->failed; k++) {
    add_output(q, t.of[q->outputs[k]]);
  }
  free(t.of);
  free(t.tables);
  free(t.scatters);
}

static void specialize(pg_program *q, const pg_program *p, const bool *batched, int wanted, pg_ref *places) {
  emit_all(q, p, batched, places);
  for (uint32_t i = 0; i < p->output_count; i++) {
    add_output(q, places[p->outputs[i]]);
  }
  if (q->failed) {
    return;
  }
  if (wanted == PG_GRADIENT) {
    const pg_ref output = q->outputs[0];
    add_gradients(q, output, leaf(q, PG_INPUT, q->inputs, 0, q->list[output].batched));
    q->inputs++;
  } else if (wanted == PG_TANGENTS) {
    add_tangents(q, batched, 0, p->output_count);
    q->inputs *= 2;
  } else if (wanted) {
    add_gradients(q, q->outputs[0], constant(q, 1));
    add_tangents(q, batched, 1, 1 + q->inputs);
    /* Only these are wanted. */
    q->output_count = q->inputs;
    memmove(q->outputs, q->outputs + 1 + q->inputs + q->parameter_count, q->inputs * sizeof *q->outputs);
    q->inputs *= 2;
  }
}

pg_program *pg_specialize(const pg_program *p, const bool *batched, int wanted) {
  pg_program *q = new_program(p->without);
  if (!q) {
    return NULL;
  }
  pg_ref *places = no_refs(p->count);
  q->inputs = p->inputs;
  q->parameter_count = p->parameter_count;
  q->outputs = no_refs(2 * ((size_t)p->output_count + p->inputs) + p->parameter_count);
  q->failed = !places || !q->outputs;
  if (!q->failed) {
    specialize(q, p, batched, wanted, places);
  }
  free(places);
  if (q->failed) {
    pg_program_free(q);
    return NULL;
  }
  return q;
}

/* Searching ------------------------------------------------------------------------------------------------ */

/* The value of instruction i of a list without totals, given those before it. */
static double value_of(const pg_program *p, const double *inputs, const double *values, pg_ref i) {
  const pg_instruction x = p->list[i];
  switch (x.op) {
  case PG_INPUT:
    return inputs[x.a];
  case PG_CONSTANT:
    return x.number;
  case PG_LOOKUP: {
    const pg_span table = p->tables[x.b];
    const bool within = values[x.a] >= 0 && values[x.a] < table.count;
    return within ? values[p->refs[table.first + (uint32_t)values[x.a]]] : NAN;
  }
  case PG_SCATTER: {
    double sum = 0;
    const pg_span pairs = p->scatters[x.a];
    for (uint32_t k = 0; k < pairs.count; k += 2) {
      sum += values[p->refs[pairs.first + k]] == x.b ? values[p->refs[pairs.first + k + 1]] : 0;
    }
    return sum;
  }
  default:
    return compute(x.op, values[x.a], x.b == PG_NO_REF ? 0 : values[x.b]);
  }
}

/* What an instruction made inf or nan of: see pg_find_not_finite. How many numbers; 0 if it did not. */
static int culprit(const pg_instruction *x, const double *values, double value, double numbers[3]) {
  int count = 0;
  bool finite = true, nan = false;
  const pg_ref operands[2] = {x->a, x->b};
  for (int k = 0; k < (x->op < PG_KERNELS ? 2 : 0) && operands[k] != PG_NO_REF; k++) {
    numbers[count++] = values[operands[k]];
    finite = finite && isfinite(values[operands[k]]);
    nan = nan || isnan(values[operands[k]]);
  }
  numbers[count++] = value;
  const bool made = x->op == PG_LOOKUP || x->op == PG_SCATTER || x->op == PG_CONSTANT ? false
                    : isnan(value)                                                    ? !nan
                                                                                      : finite;
  return made && !isfinite(value) ? count : 0;
}

int pg_find_not_finite(const pg_program *p, const double *inputs, bool gradient, const char **symbol,
                       double numbers[3]) {
  bool *batched = pg_resize(NULL, p->inputs + 1);
  pg_program plain = *p;
  plain.without = ~0U; /* each op as it was written */
  pg_program *q = batched ? (memset(batched, 0, p->inputs), pg_specialize(&plain, batched, gradient)) : NULL;
  double *values = q ? pg_resize(NULL, (q->count + 1) * sizeof *values) : NULL;
  int found = values ? 0 : -PG_NO_MEMORY;
  for (pg_ref i = 0; values && i < q->count && found == 0; i++) {
    values[i] =
        q->list[i].op == PG_PARAMETER ? pg_data(p->parameters[q->list[i].a]) : value_of(q, inputs, values, i);
    found = culprit(&q->list[i], values, values[i], numbers);
    *symbol = OPS[q->list[i].op].symbol;
  }
  free(values);
  free(batched);
  pg_program_free(q);
  return found;
}

/* Listing ------------------------------------------------------------------------------------------------ */

const char *pg_symbol(int op) { return op < PG_INSTRUCTIONS ? OPS[op].symbol : ""; }

bool pg_is_binary(int op) { return op >= PG_INSTRUCTIONS || OPS[op].arity == 2; }

static void print_instruction(pg_text *out, const pg_program *p, pg_ref i) {
  const pg_instruction *x = &p->list[i];
  pg_print(out, "%%%u = ", i);
  if (x->op == PG_CONSTANT) {
    pg_print(out, "%.17g\n", x->number);
  } else if (x->op == PG_INPUT || x->op == PG_PARAMETER) {
    pg_print(out, "%s %u\n", OPS[x->op].symbol, x->a);
  } else if (x->op == PG_LOOKUP) {
    pg_print(out, "lookup %%%u {", x->a);
    for (uint32_t k = 0; k < p->tables[x->b].count; k++) {
      pg_print(out, " %%%u", p->refs[p->tables[x->b].first + k]);
    }
    pg_print(out, " }\n");
  } else if (x->b == PG_NO_REF) {
    pg_print(out, "%s %%%u\n", OPS[x->op].symbol, x->a);
  } else {
    pg_print(out, "%%%u %s %%%u\n", x->a, OPS[x->op].symbol, x->b);
  }
}

char *pg_program_text(const pg_program *p) {
  pg_text text = {0}, *const out = &text;
  pg_print(out, "%u inputs, %u parameters, %u instructions\n", p->inputs, p->parameter_count, p->count);
  for (pg_ref i = 0; i < p->count; i++) {
    print_instruction(out, p, i);
  }
  pg_print(out, "return");
  for (uint32_t i = 0; i < p->output_count; i++) {
    pg_print(out, " %%%u", p->outputs[i]);
  }
  pg_print(out, "\n");
  return pg_text_of(out);
}
