/* python.h: the C types for CPython. Private to csrc/python/.
 *
 * They are in a module of its own, pygrad._fast, in the library that holds cffi's pygrad._core: so there is one
 * arena and one build. Everything here is called with the GIL held, but for what says otherwise; or where there
 * is none, under the rules of nogil.h.
 */
#ifndef PYGRAD_PYTHON_H
#define PYGRAD_PYTHON_H

#define PY_SSIZE_T_CLEAN
#if !defined(Py_LIMITED_API) && !defined(Py_GIL_DISABLED)
#define Py_LIMITED_API 0x030B0000 /* one binary for CPython 3.11 and later */
#endif
#include <Python.h>
#include <structmember.h>

#include "pygrad.h"
#include "python/nogil.h"

/* A Value: a handle that holds one node.
 *
 * With its node, 32 bytes, it takes 80: the collector's header 16, this 32; and half a byte so that it is found
 * by its node. What few Values have (attributes, a _backward in Python) is kept elsewhere. A Value without is
 * of no interest to the collector, and not tracked; an instance of a Python subclass always is. */
typedef struct {
  PyObject_HEAD pg_id id; /* 0: no node yet */
  uint32_t link;          /* to another Value, or to its pg_rare: see handles.c */
  PyObject *weak_references;
} pg_value;

/* What few Values have; NULL where there is none. */
typedef struct {
  PyObject *closure;    /* the _backward that was assigned */
  PyObject *pins;       /* a tuple: see pins() of pygrad/_handles.py */
  PyObject *symbol;     /* the _op that was assigned */
  PyObject *shown;      /* the set that _prev has returned, or that was assigned to it */
  PyObject *attributes; /* a dict of what was assigned to other names: see attributes.c */
  uint32_t link;        /* to another Value */
} pg_rare;

enum { PG_METHODS = 64 }; /* room for the methods of the op table */

/* A Program: what it is, the Python class keeps in attributes. */
typedef struct pg_plan pg_plan;
typedef struct {
  PyObject_HEAD pg_plan *plan; /* how calls go to the core: see call.c; NULL until there is one */
  unsigned settings;           /* how often they have changed */
  PyObject *attributes;        /* a dict, or NULL */
  PyObject *weak_references;
} pg_compiled;

enum { PG_SCALARS = 16 }; /* room for the types of NumPy's numbers */

/* A place in a program: an instruction of a code object, by its offset. */
typedef struct {
  PyObject *code;
  long offset;
} pg_place;

enum { PG_PLACES = 64 }; /* that are remembered */

/* An attribute of the type, and its place in the dict of that. */
typedef struct {
  PyObject *descriptor;
  Py_ssize_t place;
} pg_own_attribute;

/* All state of the module. There is one: the arena, too, is one a process (see module.c). */
typedef struct {
  PyTypeObject *type;  /* Value */
  PyObject *class;     /* the Python class that it is derived from */
  PyObject *type_dict; /* that of the type, to be read */
  pg_own_attribute own_data, own_grad;
  PyMethodDef methods[PG_METHODS + 2];
  size_t method_count;
  char method_names[PG_METHODS][16];
  struct {
    PyObject *name, *function;
  } own_methods[PG_METHODS]; /* by op, those of the op table; NULL: none, the op is an operator */
  pg_value *freed;           /* objects for reuse, chained by weak_references */
  size_t freed_count;
  uint32_t *chains;                             /* of Values, by block: see handles.c */
  uint32_t chained_blocks;                      /* that have memory for chains */
  uintptr_t *chunks;                            /* addresses, by number */
  uint16_t *chunk_numbers;                      /* a hash table */
  uint32_t chunk_count, chunk_room;             /* chunk 0 is none */
  PyObject *data, *grad;                        /* names */
  PyThread_type_lock sweep_lock;                /* held by the thread that sweeps; see backward.c */
  _Atomic unsigned long sweep_owner;            /* the thread that has it */
  pg_sweep *sweep;                              /* the one that it runs */
  PyObject *late_closures, *drop_unused, *fail; /* see pg_python_set_hooks */
  PyObject *note_read;                          /* see pg_python_set_note_read */
  PyObject *note_number_taken;                  /* see cut.c for these three */
  PyObject *last_instruction;                   /* a name */
  pg_place harmless_places[PG_PLACES];
  PyObject *declare_attribute; /* see pg_value_set_new_attribute */
  PyTypeObject *attribute_type;
  PyObject *in_c_order;           /* numpy.ascontiguousarray */
  PyObject *array_struct;         /* the name of that attribute */
  PyTypeObject *holder_type;      /* what holds the nodes of an Array */
  struct holder *runs;            /* those of leaves, in a list: see arrays.c */
  int64_t test_objects;           /* objects that are still allocated before that fails; below 0: it does not */
  int64_t interpreter;            /* the one that has the module */
  pg_rare **rares;                /* by index; a free entry is the next free index, times 2, plus 1 */
  uint32_t rare_count, rare_free; /* entries allocated, the first free one */

  PyObject *call, *value_and_grad;                          /* the methods of the Python class Program */
  PyTypeObject *ndarray, *index_type, *scalars[PG_SCALARS]; /* of NumPy, but for pygrad.index's */
  size_t scalar_count;
  PyObject *empty_array, *one; /* numpy.empty, 1.0 */
  PyObject *shape, *start;     /* names */
} pg_python;

extern pg_python pg_the_python;

/* Whether an object may be allocated. Tests count these apart from the core's allocations, which they make fail
 * to fill the arena. */
static inline bool pg_may_allocate_object(void) {
  if (__builtin_expect(pg_the_python.test_objects < 0, 1)) {
    return true;
  }
  if (pg_the_python.test_objects == 0) {
    PyErr_NoMemory();
    return false;
  }
  pg_the_python.test_objects--;
  return true;
}

/* handles.c: the life of a Value ------------------------------------------------------------------------- */

/* A new Value of the C type for a node, of which it takes over one hold. Without memory that hold is released,
 * and MemoryError set. */
PyObject *pg_value_new(pg_id id);
/* A list of new Values, of which each takes over one hold of its node. Without memory all these are released.
 */
PyObject *pg_value_list(size_t count, const pg_id *ids);
/* Gives a Value another node, of which it takes over one hold; 0: none. -1 with MemoryError set, and then that
 * hold is released. */
int pg_value_set_id(pg_value *v, pg_id id);
/* The Value of a live node: the living one, or else a new one. A new reference. */
PyObject *pg_value_for(pg_id id);
/* The living Value of a node, a new reference, or NULL (no exception is set). */
PyObject *pg_value_living(pg_id id);

/* What few Values have, to be read: NULL if it has nothing of it. To be written: NULL with MemoryError set. */
pg_rare *pg_value_rare(const pg_value *v);
pg_rare *pg_value_make_rare(pg_value *v);
/* One of its objects: a new reference to it, or NULL; and another in its place. */
PyObject *pg_rare_get(PyObject *const *entry);
void pg_rare_set(PyObject **entry, PyObject *object);
/* The same, unless there is one. Returns a new reference to the one that is there now. */
PyObject *pg_rare_first(PyObject **entry, PyObject *object);

PyObject *pg_value_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
void pg_value_tp_dealloc(PyObject *self);
int pg_value_tp_traverse(PyObject *self, visitproc visit, void *arg);
int pg_value_tp_clear(PyObject *self);

/* value.c: the type -------------------------------------------------------------------------------------- */

/* Makes the type, derived from the Python class. */
PyObject *pg_value_derive(PyObject *module, PyObject *args);

/* What reading and setting numbers calls while this thread traces: note_read() of pygrad/_cut.py. */
PyObject *pg_python_set_note_read(PyObject *module, PyObject *function);

/* Whether the method of Values for an op is ours, or for an operator, all operators: a program may have
 * assigned others to the type. */
bool pg_value_is_original(int op);

/* For types like that. Each returns NULL with an exception set if it fails; the texts are never freed.
 *
 * The docstring of an object, behind a name and a signature. */
char *pg_documented(const char *name, const char *signature, PyObject *as);
/* The name of a class, with its module. */
char *pg_full_name(PyObject *class);
/* A type of this name, derived from a class, with these slots, of which that of the docstring is filled in. */
PyObject *pg_make_type(PyObject *class, PyType_Slot *slots, const char *name, char *doc, size_t size);

/* A method that takes its arguments in an array of C. */
#define PG_TAKES_ARRAY(function) (PyCFunction)(void (*)(void)) function

/* Raises AttributeError, and returns NULL. */
PyObject *pg_value_no_attribute(PyObject *self, const char *name);

static inline pg_value *pg_value_of(PyObject *x) { return (pg_value *)x; }
static inline pg_id pg_value_id(PyObject *x) { return pg_value_of(x)->id; }
/* Not an instance of a subclass, which may have changed any method. */
static inline bool pg_is_exact_value(PyObject *x) { return Py_IS_TYPE(x, pg_the_python.type); }
static inline bool pg_is_value(PyObject *x) {
  return pg_is_exact_value(x) || PyType_IsSubtype(Py_TYPE(x), pg_the_python.type);
}

/* Sets a function that C calls. Returns None. */
static inline PyObject *pg_python_set_hook(PyObject **hook, PyObject *function) {
  PyObject *had = *hook;
  *hook = Py_NewRef(function);
  Py_XDECREF(had); /* may run Python code */
  Py_RETURN_NONE;
}

/* cut.c: numbers that are taken from Values --------------------------------------------------------------- */

/* Warns if the calling function cuts off the gradient of a computed Value as it takes the number. False with an
 * exception set that this raised. */
bool pg_note_number_taken(PyObject *value);
/* For this: note_number_taken(value, id), which is True if the place where it is called never does. */
PyObject *pg_python_set_note_number_taken(PyObject *module, PyObject *function);

/* attributes.c: the attributes that programs add to Values ------------------------------------------------- */

/* What the type has under a name, given what its dict has: the descriptor of an attribute may stand before it.
 * Borrowed; NULL: nothing. */
PyObject *pg_value_behind_attribute(PyObject *found);
/* Sets an attribute for which PyObject_GenericSetAttr() has found no place, and raised AttributeError. */
int pg_value_set_new_attribute(PyObject *self, PyObject *name, PyObject *to);
/* attribute(name, default...): the descriptor of such an attribute. */
PyObject *pg_python_attribute(PyObject *module, PyObject *args);
/* For these: declare(name), which gives the type a descriptor; False if it must not have one. */
PyObject *pg_python_set_declare_attribute(PyObject *module, PyObject *function);

/* arrays.c: the bulk builders on NumPy arrays of ids: see pygrad/_bulk.py, which has the same in Python ------
 */

typedef PyObject *pg_python_function(PyObject *module, PyObject *const *args, Py_ssize_t count);
pg_python_function pg_python_map_unary, pg_python_map_binary, pg_python_map_number, pg_python_reduce,
    pg_python_matmul, pg_python_softmax, pg_python_log_softmax, pg_python_rms_norm, pg_python_cross_entropy,
    pg_python_leaves, pg_python_hold_all;
/* The holder of leaves that has this one; None if there is none. */
PyObject *pg_python_run_of(PyObject *module, PyObject *id);
/* For these: numpy.ascontiguousarray. */
PyObject *pg_python_set_in_c_order(PyObject *module, PyObject *function);

/* models.c: call_mlp(address of a pg_mlp, neurons, results, parameters, x): the Values that a model makes of a
 * list or tuple x; None if an input is neither a Value of the type nor a float or int; or a status below 0. */
pg_python_function pg_python_call_mlp;
/* The twin of _holds_only_numbers in pygrad/_parameters.py. */
PyObject *pg_python_holds_only_numbers(PyObject *module, PyObject *x);

/* backward.c: the backward pass -------------------------------------------------------------------------- */

PyObject *pg_value_backward(PyObject *self, PyObject *unused);
/* The same from a node that the caller holds. */
PyObject *pg_python_backward_from(PyObject *module, PyObject *id);
/* What the pass calls in Python: a dict of late closures and a function that drops those no longer needed; and
 * fail(status, id), which raises what the status of a node's backward step stands for. */
PyObject *pg_python_set_hooks(PyObject *module, PyObject *args);
/* For the child of a fork: of its parent's threads it has only the one that forked. */
PyObject *pg_python_after_fork(PyObject *module, PyObject *unused);

/* call.c: the C type of Program -------------------------------------------------------------------------- */

/* Makes it, derived from the Python class: (class, signature, numpy.ndarray, numpy.empty, types of numbers,
 * Index). */
PyObject *pg_program_derive(PyObject *module, PyObject *args);
/* Calls a method of a Python class with what a method here got: arguments, then those with these names, if any.
 */
PyObject *pg_call_inherited(PyObject *method, PyObject *self, PyObject *const *args, Py_ssize_t count,
                            PyObject *names);

#endif
