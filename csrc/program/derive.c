/* derive.c: the list for a kind of call: a program simplified, with its gradient or its tangents. */
#include <stdlib.h>
#include <string.h>

#include "program/program.h"

/* The op tables' text, which derivatives are made of. */
static const struct {
  const char *forward, *adjoint[2];
} OPS[PG_INSTRUCTIONS] = {
#define PG_UNARY(name, symbol, forward, adjoint_x) [PG_##name] = {#forward, {#adjoint_x, NULL}},
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y)                                                 \
  [PG_##name] = {#forward, {#adjoint_x, #adjoint_y}},
#include "program/all_ops.def"
};

/* Reading adjoints ---------------------------------------------------------------------------------------- */

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
  if (op == PG_POWER && r->p->list[operands[1]].op != PG_CONSTANT) {
    op = PG_POW;
  }
  return pg_emit(r->p, op, operands[0], operands[1]);
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
  return pg_emit_constant(r->p, number);
}

static pg_ref read_factor(reader *r) {
  if (skip(r, '-')) {
    return pg_emit(r->p, PG_NEGATIVE, read_factor(r), PG_NO_REF);
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
    product = pg_emit(r->p, PG_MUL, product, read_factor(r));
  }
  return product;
}

static pg_ref read_sum(reader *r) {
  pg_ref sum = read_product(r);
  for (;;) {
    if (skip(r, '+')) {
      sum = pg_emit(r->p, PG_ADD, sum, read_product(r));
    } else if (skip(r, '-')) {
      sum = pg_emit(r->p, PG_MINUS, sum, read_product(r));
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
static int arity(const pg_instruction *i) { return !OPS[i->op].adjoint[0] ? 0 : OPS[i->op].adjoint[1] ? 2 : 1; }

/* The gradient ------------------------------------------------------------------------------------------- */

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
  if (pg_is_constant(p, share, 0)) {
    return;
  }
  pg_ref *part = p->list[share].batched ? &to->batched : &to->shared;
  *part = *part == PG_NO_REF ? share : pg_emit(p, PG_ADD, *part, share);
}

/* All that has come in. What is one for all gets the total over the batch. */
static pg_ref gathered(pg_program *p, const adjoint *a, bool batched) {
  pg_ref sum = a->batched;
  if (sum != PG_NO_REF && !batched) {
    sum = pg_emit_total(p, sum);
  }
  if (sum == PG_NO_REF || a->shared == PG_NO_REF) {
    return sum == PG_NO_REF ? a->shared : sum;
  }
  return pg_emit(p, PG_ADD, sum, a->shared);
}

/* Gives the elements of a table what has come in for the lookups in it. */
static void scatter(pg_program *p, adjoints *a, uint32_t table) {
  pg_span pairs = {.first = p->ref_count};
  pg_ref next;
  for (pg_ref i = a->waiting[table]; i != PG_NO_REF && !p->failed; i = next) {
    const pg_instruction lookup = p->list[i];
    next = a->before[i];
    pg_add_ref(p, &pairs, lookup.a);
    pg_add_ref(p, &pairs, gathered(p, &a->of[i], lookup.batched));
  }
  const uint32_t number = pg_add_scatter(p, pairs);
  for (uint32_t k = 0; k < p->tables[table].count && !p->failed; k++) {
    const pg_ref element = p->refs[p->tables[table].first + k];
    if (p->list[element].op != PG_CONSTANT) {
      accumulate(p, &a->of[element], pg_emit_scatter(p, number, k));
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

/* Tangents ----------------------------------------------------------------------------------------------- */

/* Forward: each instruction's from those of its operands. PG_NO_REF stands for 0. */

/* The tangents of a span's refs; of pairs only the second has one, and the first is kept. */
static pg_span tangent_span(pg_program *p, pg_span of, bool pairs, const pg_ref *tangents) {
  const pg_ref zero = pg_emit_constant(p, 0);
  pg_span span = {.first = p->ref_count};
  for (uint32_t k = 0; k < of.count && !p->failed; k++) {
    const pg_ref ref = p->refs[of.first + k];
    const pg_ref tangent = tangents[ref] == PG_NO_REF ? zero : tangents[ref];
    pg_add_ref(p, &span, pairs && k % 2 == 0 ? ref : tangent);
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
      t->tables[i.b] = pg_add_table(p, tangent_span(p, p->tables[i.b], false, t->of));
    }
    return pg_emit_lookup(p, i.a, t->tables[i.b]);
  }
  if (i.op == PG_SCATTER) {
    if (t->scatters[i.a] == PG_NO_REF) {
      t->scatters[i.a] = pg_add_scatter(p, tangent_span(p, p->scatters[i.a], true, t->of));
    }
    return pg_emit_scatter(p, t->scatters[i.a], i.b);
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

/* Specializing ------------------------------------------------------------------------------------------- */

static pg_ref emit_specialized(pg_program *q, const pg_program *p, const bool *batched, const pg_ref *places,
                               pg_ref i) {
  const pg_instruction x = p->list[i];
  if (x.op < PG_KERNELS) {
    return pg_emit(q, x.op, places[x.a], x.b == PG_NO_REF ? PG_NO_REF : places[x.b]);
  }
  if (x.op == PG_LOOKUP) {
    const pg_span elements = p->tables[x.b];
    if (q->tables[x.b].count == 0) {
      q->tables[x.b].first = q->ref_count;
      for (uint32_t k = 0; k < elements.count && !q->failed; k++) {
        pg_add_ref(q, &q->tables[x.b], places[p->refs[elements.first + k]]);
      }
    }
    return pg_emit_lookup(q, places[x.a], x.b);
  }
  return pg_emit_leaf(q, x.op, x.a, x.number, x.op == PG_INPUT && batched[x.a]);
}

/* Emits p's instructions into q; `places` says where each has gone. */
static void emit_all(pg_program *q, const pg_program *p, const bool *batched, pg_ref *places) {
  for (uint32_t t = 0; t < p->table_count; t++) {
    pg_add_table(q, (pg_span){0});
  }
  for (pg_ref i = 0; i < p->count && !q->failed; i++) {
    places[i] = emit_specialized(q, p, batched, places, i);
  }
}

static void add_output(pg_program *q, pg_ref i) {
  q->outputs[q->output_count++] = i == PG_NO_REF ? pg_emit_constant(q, 0) : i;
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
      t.of[i] = pg_emit_leaf(q, PG_INPUT, q->inputs + x.a, 0, batched[q->inputs + x.a]);
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
    add_gradients(q, output, pg_emit_leaf(q, PG_INPUT, q->inputs, 0, q->list[output].batched));
    q->inputs++;
  } else if (wanted == PG_TANGENTS) {
    add_tangents(q, batched, 0, p->output_count);
    q->inputs *= 2;
  } else if (wanted) {
    add_gradients(q, q->outputs[0], pg_emit_constant(q, 1));
    add_tangents(q, batched, 1, 1 + q->inputs);
    /* Only these are wanted. */
    q->output_count = q->inputs;
    memmove(q->outputs, q->outputs + 1 + q->inputs + q->parameter_count, q->inputs * sizeof *q->outputs);
    q->inputs *= 2;
  }
}

pg_program *pg_specialize(const pg_program *p, const bool *batched, int wanted) {
  pg_program *q = pg_new_program(p->without);
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
