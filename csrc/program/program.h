/* program.h: a program: a graph as a list of instructions. Private to the core.
 *
 * Instruction i computes value i from earlier values. There are two kinds of programs:
 *
 *   recorded      what pg_record() or deserializing makes: the graph as it is, one instruction a node.
 *                 It is `verbatim`, and nobody changes it afterwards.
 *   specialized   what pg_specialize() makes of a recorded one for one kind of call: simplified, equal
 *                 instructions shared, with the gradient or the tangents if they are wanted. The files of
 *                 routine/ turn it into a routine.
 *
 * One instruction, by op. The columns are the fields of pg_instruction; where a column is empty, `number` is 0
 * and a ref is PG_NO_REF.
 *
 *   op             number     a              b              value
 *   of the tables             instruction    instruction    op(a, b); b is empty for a unary op
 *   PG_INPUT                  which                         the caller's number
 *   PG_PARAMETER              which                         the data of the parameter's node
 *   PG_CONSTANT    number                                   the number
 *   PG_TOTAL                  instruction                   the sum of a over the samples of the batch
 *   PG_LOOKUP                 instruction    table          the element of table b at the index a
 *   PG_ROW                    instruction    table          a, which is the maximum or minimum of table b
 *   PG_SCATTER                scatter        element        the sum of those pairs of scatter a with index b
 *   PG_SCATTER_TOTAL          scatter        element        the same, added up over the samples of the batch
 *   PG_SCATTER_ADD            scatter        targets        none: it adds each pair of scatter a to an output
 *   PG_PRIMAL                 instruction                   a, to which no gradient gets
 *   PG_COTANGENT              primal                        none: it stands for the gradient of a
 *   PG_PULLBACK               instruction    instruction    -0; if a gradient gets there, b is that of a
 *
 * The op tables are ops.def and program.def. A table is a span of refs, its elements. A scatter is the
 * transpose of the lookups in one table, and a span of pairs of refs: an index, and what belongs to the element
 * there. Targets are a span of numbers of outputs, one for each element; PG_NO_REF for those without. Where
 * only PG_SCATTER_ADD adds to an output, the output is PG_NO_REF.
 *
 * Threads: whoever emits into a program must be the only one to use it. Any number of threads may read a
 * program that nobody changes.
 */
#ifndef PYGRAD_PROGRAM_H
#define PYGRAD_PROGRAM_H

#include "graph/arena.h"
#include "memory.h"

typedef uint32_t pg_ref; /* an instruction, by its number */

#define PG_NO_REF UINT32_MAX

/* A program that would be larger is refused as if there were no memory: then no count of anything made from it
 * can overflow 32 bits. */
enum { PG_MAX_INSTRUCTIONS = 1 << 29 };

enum {
  PG_PROGRAM_OPS = PG_OP_COUNT - 1,
#define PG_UNARY(name, symbol, forward, adjoint_x) PG_##name,
#define PG_BINARY(name, symbol, forward, adjoint_x, adjoint_y) PG_##name,
#include "program/program.def"
  PG_KERNELS, /* the ops above have rows in the tables, adjoints and kernels */
  PG_INPUT = PG_KERNELS,
  PG_PARAMETER,
  PG_CONSTANT,
  PG_TOTAL,
  PG_LOOKUP,
  PG_SCATTER,
  PG_SCATTER_TOTAL,
  PG_SCATTER_ADD, /* batched: adds the pairs of all samples */
  PG_ROW, /* its gradient goes to the ties in equal shares, where that of a chain of maxima goes by place */
  PG_INSTRUCTIONS
};

typedef struct {
  double number;
  pg_ref a, b;
  uint8_t op;
  bool batched; /* one value a sample; else one for all samples */
} pg_instruction;

_Static_assert(PG_INSTRUCTIONS < 250, "routines number further ops behind these, in 8 bits");

/* Consecutive entries of a program's refs. */
typedef struct {
  uint32_t first, count;
} pg_span;

/* Each array is owned by the program, which pg_program_free() frees. */
struct pg_program {
  pg_instruction *instructions;
  uint32_t count, room;
  pg_ref *refs; /* what the spans are made of */
  uint32_t ref_count, ref_room;
  pg_span *tables, *scatters, *targets;
  uint32_t table_count, table_room, scatter_count, scatter_room, target_count, target_room;
  uint32_t *buckets; /* a hash table of instructions: their number + 1, or 0 */
  uint32_t bucket_count;
  pg_ref *outputs;
  uint32_t output_count;
  uint32_t inputs; /* how many */
  pg_id *parameters;
  uint32_t parameter_count;
  pg_ref gradient;   /* the first instruction of the gradient, which visits those before it from last to first;
                      * PG_NO_REF for no gradient */
  unsigned disabled; /* pg_optimization: see pg_test_disable() */
  bool verbatim;     /* emitting neither simplifies nor shares */
  bool masked;       /* derivatives are masked by the numbers of paths: see derive.h */
  bool failed;       /* memory has run out: the contents are of no use */
  atomic_uint holders; /* besides the one that made it */
};

/* program.c: memory, and the names of ops ---------------------------------------------------------------- */

/* An empty program, owned by the caller; NULL if there is no memory. */
pg_program *pg_new_program(unsigned disabled);

/* Makes room for `more` entries behind the first `count` of an array of entries of `size` bytes, at least
 * doubling it. False, and the array is unchanged, if there is no memory. */
bool pg_grow(void **array, uint32_t *room, uint32_t count, uint32_t more, size_t size);

/* New memory for count + 1 entries; all zero; all PG_NO_REF. The caller owns it. NULL if there is no memory. */
void *pg_room(size_t count, size_t size);
void *pg_zeros(size_t count, size_t size);
pg_ref *pg_no_refs(size_t count);

/* The symbol of an op, "" for those that only routines have; and whether it has two operands. */
const char *pg_symbol(int op);
bool pg_is_binary(int op);

/* What an op of the tables computes, as IEEE has it: without exceptions. */
double pg_compute(int op, double x, double y);

/* emit.c: emitting and simplifying ----------------------------------------------------------------------- */

/* Each of these returns an instruction: a new one at the end of the program, or, unless it is verbatim, an
 * equal or a simpler one. Operands must be instructions of the program. If memory runs out, p->failed is set;
 * the functions may still be called then, and what they return must not be used. */

/* An op of the tables; b is PG_NO_REF for a unary one. */
pg_ref pg_emit(pg_program *p, int op, pg_ref a, pg_ref b);
/* A PG_INPUT, PG_PARAMETER or PG_CONSTANT. */
pg_ref pg_emit_leaf(pg_program *p, int op, pg_ref which, double number, bool batched);
pg_ref pg_emit_constant(pg_program *p, double number);
pg_ref pg_emit_total(pg_program *p, pg_ref a);
pg_ref pg_emit_lookup(pg_program *p, pg_ref index, uint32_t table);
pg_ref pg_emit_row(pg_program *p, pg_ref extremum, uint32_t table);
/* A PG_SCATTER, or where the pairs are batched, and the element is not, a PG_SCATTER_TOTAL. */
pg_ref pg_emit_scatter(pg_program *p, uint32_t scatter, uint32_t element, bool batched);
void pg_emit_scatter_add(pg_program *p, uint32_t scatter, uint32_t targets);

/* Appends a ref to a span that ends where the program's refs end. */
void pg_add_ref(pg_program *p, pg_span *span, pg_ref ref);
/* Returns the number of the new table, scatter or targets. */
uint32_t pg_add_table(pg_program *p, pg_span span);
uint32_t pg_add_scatter(pg_program *p, pg_span span);
uint32_t pg_add_targets(pg_program *p, pg_span span);

static inline bool pg_is_constant(const pg_program *p, pg_ref i, double number) {
  return i != PG_NO_REF && p->instructions[i].op == PG_CONSTANT && p->instructions[i].number == number;
}

/* pullback.c --------------------------------------------------------------------------------------------- */

/* Functions with a backward of their own. A primal is one of the numbers that the function returned. The
 * backward is made of cotangents, the gradients of primals, and gives each operand a gradient by a pullback.
 * The results are sums of a primal and of all pullbacks: so a gradient of theirs gets to both, first to the
 * primals, which are older than the results and have no other uses, and then to the pullbacks. */

static inline bool pg_is_of_backward(int op) {
  return op == PG_PRIMAL || op == PG_COTANGENT || op == PG_PULLBACK;
}

/* Finds the primals whose gradients are wanted for each sample, though the primals are the same for all: the
 * sum over the samples would not do for a backward that is not linear, or differs between samples. And the
 * pullbacks of gradients that do not depend on cotangents, which are added once for each sample. `batched`
 * says of `count` inputs whether they are, with the cotangent if it is one; each[i] is set for these i. False
 * if there is no memory. */
bool pg_find_per_sample(const pg_program *p, const bool *batched, uint32_t count, bool *each);

/* specialize.c ------------------------------------------------------------------------------------------- */

/* The specialized program of what is wanted (see pg_compile()) of a recorded one; `batched` says of each input,
 * and behind these of each input's tangent for PG_TANGENTS, or else of the cotangent, whether it is batched.
 * The caller owns it. NULL if there is no memory. */
pg_program *pg_specialize(const pg_program *p, const bool *batched, int wanted, bool masked);

/* Takes one more holder of a recorded program; pg_program_free() lets go of one. */
pg_program *pg_hold_program(const pg_program *p);

#endif
