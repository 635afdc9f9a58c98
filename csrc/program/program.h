/* program.h: a graph as a list of instructions. Private to the core.
 *
 * Instruction i computes the i-th value from earlier ones. A program keeps the graph as it was recorded
 * (record.c). Each kind of call gets a list of its own (derive.c), built by emitting, which simplifies
 * (program.c): whoever makes a list of another (the gradient, the tangents) just emits. lower.c turns a list
 * into code, kernels.c runs that.
 */
#ifndef PYGRAD_PROGRAM_H
#define PYGRAD_PROGRAM_H

#include "graph/arena.h"
#include "memory.h"

typedef uint32_t pg_ref; /* an instruction, by its place in the list */

#define PG_NO_REF UINT32_MAX

/* More are refused as if there were no memory: so that no count of what is made of them can overflow. */
enum { PG_MAX_INSTRUCTIONS = 1 << 29 };

enum {
  PG_PROGRAM_OPS = PG_OP_COUNT - 1,
#define PG_UNARY(name, symbol, forward, adjoint_x) PG_##name,
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_##name,
#include "program.def"
#undef PG_UNARY
#undef PG_BINARY
  PG_KERNELS,            /* all above compute one number from one or two */
  PG_INPUT = PG_KERNELS, /* the a-th number that is given */
  PG_PARAMETER,          /* the a-th */
  PG_CONSTANT,           /* number */
  PG_TOTAL,              /* a, added up over the batch */
  PG_LOOKUP,             /* element a of table b */
  PG_SCATTER,            /* element b of the transpose of lookups: what scatter a gives to it */
  PG_INSTRUCTIONS
};

typedef struct {
  double number;
  pg_ref a, b; /* operands; PG_NO_REF where there is none */
  uint8_t op;
  bool batched; /* one value a sample, not one for all */
} pg_instruction;

/* Some of the refs: of a table, its elements; of a scatter, pairs of an index and of what it gives to the
 * element of that index. */
typedef struct {
  uint32_t first, count;
} pg_span;

struct pg_program {
  pg_instruction *list;
  uint32_t count, room;
  pg_ref *refs; /* of the spans */
  uint32_t ref_count, ref_room;
  pg_span *tables, *scatters;
  uint32_t table_count, table_room, scatter_count, scatter_room;
  uint32_t *buckets; /* to find equal instructions by */
  uint32_t bucket_count;
  pg_ref *outputs;
  uint32_t output_count;
  uint32_t inputs;
  pg_id *parameters;
  uint32_t parameter_count;
  pg_ref
      gradient; /* where the gradient's instructions begin, which go from the last of the others to the first */
  unsigned without; /* optimizations not wanted */
  bool verbatim;    /* as it was recorded: nothing is simplified yet */
  bool failed;      /* memory has run out: what is in the list is of no use */
};

/* An empty list; NULL if there is no memory for it. */
pg_program *pg_new_program(unsigned without);

/* Makes room for more entries of an array that doubles. False, and the array is as it was, if there is no
 * memory. */
bool pg_grow(void **array, uint32_t *room, uint32_t count, uint32_t more, size_t size);

/* Emitting: each of these returns an instruction that is new at the end of the list, or an equal one that was
 * there before. Once p->failed, what they return is of no use; but all may still be called. */

/* An op of the tables, or something simpler; b: PG_NO_REF for a unary op. */
pg_ref pg_emit(pg_program *p, int op, pg_ref a, pg_ref b);
pg_ref pg_emit_leaf(pg_program *p, int op, pg_ref which, double number, bool batched);
pg_ref pg_emit_constant(pg_program *p, double number);
pg_ref pg_emit_total(pg_program *p, pg_ref a);
pg_ref pg_emit_lookup(pg_program *p, pg_ref index, uint32_t table);
pg_ref pg_emit_scatter(pg_program *p, uint32_t scatter, uint32_t element);

/* Another ref of the span that is being made, which is the last; then the span's number. */
void pg_add_ref(pg_program *p, pg_span *span, pg_ref ref);
uint32_t pg_add_table(pg_program *p, pg_span span);
uint32_t pg_add_scatter(pg_program *p, pg_span span);

static inline bool pg_is_constant(const pg_program *p, pg_ref i, double number) {
  return i != PG_NO_REF && p->list[i].op == PG_CONSTANT && p->list[i].number == number;
}

/* The simplified list of what `wanted` of a program (see pg_compile) for inputs of which some are batched. NULL
 * if memory has run out. */
pg_program *pg_specialize(const pg_program *p, const bool *batched, int wanted);

#endif
