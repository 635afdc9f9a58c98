/* handles.c: the life of a Value: made, found by its node, freed. */
#include "python/python.h"

#include <stdlib.h>

#include "graph/arena.h"
#include "memory.h"

pg_python pg_the_python = {.test_objects = -1};
static pg_python *const P = &pg_the_python;

/* The Values of nodes ------------------------------------------------------------------------------------- */

/* The Values of the nodes of one block. A block has this as long as one of its nodes has a Value: 8 bytes a
 * node, where nodes have Values. */
struct pg_block_values {
  uint32_t count;
  PyObject *values[PG_BLOCK_NODES]; /* not held */
};

static bool make_table(void) {
  P->living = pg_may_allocate() ? calloc(pg_the_arena.capacity, sizeof *P->living) : NULL;
  return P->living != NULL;
}

/* One that has become empty is kept for the next block: Values come and go in few blocks at a time. */
static pg_block_values *add_block(pg_block_id block) {
  if (!P->living && !make_table()) {
    return NULL;
  }
  pg_block_values *values = P->empty;
  P->empty = NULL;
  if (!values) {
    values = pg_may_allocate() ? calloc(1, sizeof *values) : NULL;
  }
  P->living[block] = values;
  return values;
}

static __attribute__((noinline)) void remove_block(pg_block_id block) {
  free(P->empty);
  P->empty = P->living[block];
  P->living[block] = NULL;
}

static inline pg_block_values *values_of(pg_block_id block) { return P->living ? P->living[block] : NULL; }

/* Makes a Value the one that is found for its node. False if there is no memory. */
static inline bool enter(pg_value *v) {
  pg_block_values *block = values_of(pg_block_of(v->id));
  if (__builtin_expect(!block, 0) && !(block = add_block(pg_block_of(v->id)))) {
    return false;
  }
  PyObject **entry = &block->values[v->id % PG_BLOCK_NODES];
  block->count += !*entry;
  *entry = (PyObject *)v;
  return true;
}

/* The node may have got a second Value while the first was being deallocated. */
static inline void leave(const pg_value *v) {
  pg_block_values *block = P->living[pg_block_of(v->id)];
  PyObject **entry = block ? &block->values[v->id % PG_BLOCK_NODES] : NULL;
  if (entry && *entry == (const PyObject *)v) {
    *entry = NULL;
    if (--block->count == 0) {
      remove_block(pg_block_of(v->id));
    }
  }
}

/* While a Value is deallocated, Python code may run that asks for it: a finalizer of one of its attributes. */
PyObject *pg_value_living(pg_id id) {
  const pg_block_values *block = id < pg_the_arena.fresh * PG_BLOCK_NODES ? values_of(pg_block_of(id)) : NULL;
  PyObject *value = block ? block->values[id % PG_BLOCK_NODES] : NULL;
  return value && Py_REFCNT(value) > 0 ? Py_NewRef(value) : NULL;
}

/* What few Values have ------------------------------------------------------------------------------------ */

pg_rare *pg_value_rare(const pg_value *v) { return v->rare ? P->rares[v->rare] : NULL; }

static pg_rare *as_entry(uint32_t next_free) { return (pg_rare *)((uintptr_t)next_free * 2 + 1); }
static uint32_t next_free(const pg_rare *entry) { return (uint32_t)((uintptr_t)entry / 2); }

/* Makes the table of them longer. Entry 0 is for "none". */
static bool grow_rares(void) {
  const uint32_t count = P->rare_count ? P->rare_count * 2 : 64;
  pg_rare **rares = pg_resize(P->rares, count * sizeof *rares);
  if (!rares) {
    return false;
  }
  for (uint32_t i = P->rare_count; i < count; i++) {
    rares[i] = as_entry(i + 1 < count ? i + 1 : 0);
  }
  P->rare_free = P->rare_count ? P->rare_count : 1;
  P->rares = rares;
  P->rare_count = count;
  return true;
}

pg_rare *pg_value_make_rare(pg_value *v) {
  if (v->rare) {
    return P->rares[v->rare];
  }
  pg_rare *rare = P->rare_free || grow_rares() ? pg_resize(NULL, sizeof *rare) : NULL;
  if (!rare) {
    PyErr_NoMemory();
    return NULL;
  }
  *rare = (pg_rare){0};
  v->rare = P->rare_free;
  P->rare_free = next_free(P->rares[v->rare]);
  P->rares[v->rare] = rare;
  if (!PyObject_GC_IsTracked((PyObject *)v)) {
    PyObject_GC_Track(v);
  }
  return rare;
}

/* It is gone before its objects are: they may run Python code. */
static void drop_rare(pg_value *v) {
  const uint32_t index = v->rare;
  pg_rare *rare = P->rares[index];
  const pg_rare had = *rare;
  v->rare = 0;
  P->rares[index] = as_entry(P->rare_free);
  P->rare_free = index;
  free(rare);
  Py_XDECREF(had.closure);
  Py_XDECREF(had.pins);
  Py_XDECREF(had.symbol);
  Py_XDECREF(had.shown);
  Py_XDECREF(had.attributes);
}

/* Making ------------------------------------------------------------------------------------------------- */

/* Objects are all of one size and come and go in great numbers: those that go are kept for those that come. Not
 * where the sanitizer is to see that none is used after it went. */
#ifdef __SANITIZE_ADDRESS__
static const size_t MAX_FREED = 0;
#else
static const size_t MAX_FREED = 1 << 12;
#endif

static inline pg_value *reuse(void) {
  pg_value *v = P->freed;
  P->freed = (pg_value *)v->weak_references;
  P->freed_count--;
  return (pg_value *)PyObject_Init((PyObject *)v, P->type);
}

/* An object of the type itself, not tracked; NULL with MemoryError set. */
static inline pg_value *new_object(void) {
  if (!pg_may_allocate_object()) {
    return NULL;
  }
  pg_value *v = P->freed ? reuse() : PyObject_GC_New(pg_value, P->type);
  if (v) {
    v->id = v->rare = 0;
    v->weak_references = NULL;
  }
  return v;
}

PyObject *pg_value_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  (void)args, (void)kwargs;
  if (type == P->type) {
    return (PyObject *)new_object();
  }
  if (!pg_may_allocate_object()) {
    return NULL;
  }
  PyObject *none = PyTuple_New(0); /* whatever the arguments are, they are for __init__ */
  PyObject *self =
      none ? (__extension__(newfunc) PyType_GetSlot(&PyBaseObject_Type, Py_tp_new))(type, none, NULL) : NULL;
  Py_XDECREF(none);
  return self;
}

/* Makes a new object the Value of a node, of which it takes over one hold. */
static inline PyObject *with_node(pg_value *v, pg_id id) {
  v->id = id;
  if (__builtin_expect(!enter(v), 0)) {
    v->id = 0;
    Py_DECREF(v);
    pg_release(id);
    return PyErr_NoMemory();
  }
  return (PyObject *)v;
}

PyObject *pg_value_new(pg_id id) {
  pg_value *v = new_object();
  if (__builtin_expect(!v, 0)) {
    pg_release(id);
    return NULL;
  }
  return with_node(v, id);
}

PyObject *pg_value_for(pg_id id) {
  PyObject *value = pg_value_living(id);
  pg_value *v = value ? NULL : new_object();
  if (!v) {
    return value;
  }
  value = pg_value_living(id); /* new_object() may run the collector, and a finalizer ask for the same Value */
  if (!value && !pg_hold(id)) {
    return with_node(v, id);
  }
  if (!value) {
    PyErr_SetString(PyExc_ReferenceError, "the node was freed");
  }
  Py_DECREF(v);
  return value;
}

PyObject *pg_value_list(size_t count, const pg_id *ids) {
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; i < count; i++) {
    PyObject *value = list ? pg_value_new(ids[i]) : NULL;
    if (value) {
      PyList_SetItem(list, (Py_ssize_t)i, value);
    } else if (list) {
      Py_CLEAR(list); /* which releases those before; pg_value_new has released this one */
    } else {
      pg_release(ids[i]);
    }
  }
  return list;
}

int pg_value_set_id(pg_value *v, pg_id id) {
  const pg_id had = v->id;
  if (had) {
    leave(v);
  }
  v->id = id;
  if (had) {
    pg_release(had);
  }
  if (id && !enter(v)) {
    v->id = 0;
    pg_release(id);
    PyErr_NoMemory();
    return -1;
  }
  return 0;
}

/* Freeing ------------------------------------------------------------------------------------------------ */

static void free_object(pg_value *v) {
  PyTypeObject *type = Py_TYPE((PyObject *)v);
  if (type == P->type && P->freed_count < MAX_FREED) {
    v->weak_references = (PyObject *)P->freed;
    P->freed = v;
    P->freed_count++;
  } else {
    (__extension__(freefunc) PyType_GetSlot(type, Py_tp_free))(v);
  }
  Py_DECREF(type);
}

/* No Python code runs before the node is released but that of weak references and of what few Values have: so
 * an exception that a signal handler raises can strike nowhere in here. */
void pg_value_tp_dealloc(PyObject *self) {
  pg_value *v = pg_value_of(self);
  const pg_id id = v->id;
  if (id) {
    leave(v);
  }
  PyObject_GC_UnTrack(self); /* most are not tracked, but one that came from a subclass by __class__ is */
  if (v->weak_references) {
    PyObject_ClearWeakRefs(self);
  }
  if (v->rare) {
    drop_rare(v);
  }
  free_object(v);
  if (id) {
    pg_release(id);
  }
}

int pg_value_tp_traverse(PyObject *self, visitproc visit, void *arg) {
  const pg_rare *rare = pg_value_rare(pg_value_of(self));
  Py_VISIT(Py_TYPE(self));
  if (rare) {
    Py_VISIT(rare->closure);
    Py_VISIT(rare->pins);
    Py_VISIT(rare->symbol);
    Py_VISIT(rare->shown);
    Py_VISIT(rare->attributes);
  }
  return 0;
}

/* The node stays: its results may need it. */
int pg_value_tp_clear(PyObject *self) {
  pg_rare *rare = pg_value_rare(pg_value_of(self));
  if (rare) {
    const pg_rare had = *rare;
    *rare = (pg_rare){.symbol = had.symbol};
    Py_XDECREF(had.closure);
    Py_XDECREF(had.pins);
    Py_XDECREF(had.shown);
    Py_XDECREF(had.attributes);
  }
  return 0;
}
