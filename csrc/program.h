/* program.h: a graph as a list of instructions. Private to the core.
 *
 * Instruction i computes the i-th value from earlier ones. A program keeps the graph as it was recorded. Each
 * kind of call gets a list of its own, built by emitting, which simplifies: whoever makes a list of another
 * (the gradient, the tangents) just emits. lower.c turns a list into code, kernels.c runs that.
 */
#ifndef PYGRAD_PROGRAM_H
#define PYGRAD_PROGRAM_H

#include "arena.h"

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

/* The simplified list of what `wanted` of a program (see pg_compile) for inputs of which some are batched. NULL
 * if memory has run out. */
pg_program *pg_specialize(const pg_program *p, const bool *batched, int wanted);

#endif
