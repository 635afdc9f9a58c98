/* python.h: the C types for CPython. Private to csrc/python/.
 *
 * They are in a module of its own, pygrad._fast, in the library that holds cffi's pygrad._core: so there is one
 * arena and one build. Everything here is called with the GIL held, but for what says otherwise.
 */
#ifndef PYGRAD_PYTHON_H
#define PYGRAD_PYTHON_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000 /* one binary for CPython 3.11 and later */
#endif
#include <Python.h>
#include <structmember.h>

#include "pygrad.h"

/* A Value: a handle that holds one node.
 *
 * With its node, 32 bytes, it takes 80: the collector's header 16, this 32. What few Values have (a _backward
 * in Python, the operands that it needs) is kept elsewhere. A Value without is of no interest to the collector,
 * and not tracked; an instance of a Python subclass always is. */
typedef struct {
  PyObject_HEAD pg_id id; /* 0: no node yet */
  uint32_t rare;          /* the index of its pg_rare; 0: none */
  PyObject *weak_references;
} pg_value;

/* What few Values have; NULL where there is none. */
typedef struct {
  PyObject *closure; /* the _backward that was assigned */
  PyObject *pins;    /* a tuple: see pins() of pygrad/_handles.py */
  PyObject *symbol;  /* the _op of a node that was made in Python */
} pg_rare;

enum { PG_METHODS = 64 }; /* room for the methods of the op table */

typedef struct pg_block_values pg_block_values;

/* All state of the module. There is one: the arena, too, is one a process (see module.c). */
typedef struct {
  PyTypeObject *type; /* Value */
  PyObject *class;    /* the Python class that it is derived from */
  PyMethodDef methods[PG_METHODS + 2];
  size_t method_count;
  char method_names[PG_METHODS][16];
  pg_value *freed; /* objects for reuse, chained by weak_references */
  size_t freed_count;
  pg_block_values **living;                     /* by block: see handles.c */
  pg_block_values *empty;                       /* one for reuse */
  PyObject *data, *grad;                        /* names */
  PyThread_type_lock sweep_lock;                /* whoever sweeps has it; see backward.c */
  unsigned long sweep_owner;                    /* the thread that has it */
  PyObject *late_closures, *drop_unused, *fail; /* see pg_python_set_hooks */
  int64_t test_objects;           /* objects that are still allocated before that fails; below 0: it does not */
  int64_t interpreter;            /* the one that has the module */
  pg_rare **rares;                /* by index; a free entry is the next free index, times 2, plus 1 */
  uint32_t rare_count, rare_free; /* entries allocated, the first free one */
} pg_python;

extern pg_python pg_the_python;

/* handles.c: the life of a Value ------------------------------------------------------------------------- */

/* A new Value of the C type for a node, of which it takes over one hold. Without memory that hold is released,
 * and MemoryError set. */
PyObject *pg_value_new(pg_id id);
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

PyObject *pg_value_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
void pg_value_tp_dealloc(PyObject *self);
int pg_value_tp_traverse(PyObject *self, visitproc visit, void *arg);
int pg_value_tp_clear(PyObject *self);

/* value.c: the type -------------------------------------------------------------------------------------- */

/* Makes the type, derived from the Python class. */
PyObject *pg_value_derive(PyObject *module, PyObject *args);

/* Raises AttributeError, and returns NULL. */
PyObject *pg_value_no_attribute(PyObject *self, const char *name);

static inline pg_value *pg_value_of(PyObject *x) { return (pg_value *)x; }
static inline pg_id pg_value_id(PyObject *x) { return pg_value_of(x)->id; }
/* Not an instance of a subclass, which may have changed any method. */
static inline bool pg_is_exact_value(PyObject *x) { return Py_IS_TYPE(x, pg_the_python.type); }
static inline bool pg_is_value(PyObject *x) {
  return pg_is_exact_value(x) || PyType_IsSubtype(Py_TYPE(x), pg_the_python.type);
}

/* backward.c: the backward pass -------------------------------------------------------------------------- */

PyObject *pg_value_backward(PyObject *self, PyObject *unused);
/* The same from a node that the caller holds. */
PyObject *pg_python_backward_from(PyObject *module, PyObject *id);
/* What the pass calls in Python: a dict of late closures and a function that drops those no longer needed; and
 * fail(status, id), which raises what the status of a node's backward step stands for. */
PyObject *pg_python_set_hooks(PyObject *module, PyObject *args);
/* For the child of a fork: of its parent's threads it has only the one that forked. */
PyObject *pg_python_after_fork(PyObject *module, PyObject *unused);

#endif
