/* handles.c: the life of a Value: made, found by its node, freed.
 *
 * The tables of names, of the Values of nodes, and of what few Values have: who uses them guards them.
 */
#include "python/python.h"

#include <stdlib.h>
#include <string.h>

#include "graph/arena.h"
#include "memory.h"

pg_python pg_the_python = {.test_objects = -1};
static pg_python *const P = &pg_the_python;

/* Names ---------------------------------------------------------------------------------------------------- */

/* An object's name is its address in 4 bytes: which chunk of address space it is in, and where in that. Chunks
 * are numbered from 1 as objects are met in them, and keep their numbers, so 32 GiB of addresses have names. */
enum {
  UNIT = 2 * sizeof(void *), /* bytes; every object is at a multiple */
  CHUNK_UNITS = 1 << 16,
  MAX_CHUNKS = 1 << 15,
};
static const uintptr_t CHUNK_BYTES = (uintptr_t)UNIT * CHUNK_UNITS;

static inline pg_value *named(uint32_t name) {
  return (pg_value *)(P->chunks[name / CHUNK_UNITS] + (uintptr_t)(name % CHUNK_UNITS) * UNIT);
}

/* Where a chunk's number is, or belongs, in a hash table of P->chunk_room * 2 entries. */
static uint16_t *number_of(uintptr_t chunk) {
  const size_t mask = (size_t)P->chunk_room * 2 - 1;
  size_t i = (chunk / CHUNK_BYTES) & mask;
  while (P->chunk_numbers[i] && P->chunks[P->chunk_numbers[i]] != chunk) {
    i = (i + 1) & mask;
  }
  return &P->chunk_numbers[i];
}

static bool grow_chunks(void) {
  const uint32_t room = P->chunk_room ? P->chunk_room * 2 : 32;
  if (room > MAX_CHUNKS) {
    return false;
  }
  uint16_t *numbers = pg_resize(NULL, room * 2 * sizeof *numbers);
  uintptr_t *chunks = numbers ? pg_resize(P->chunks, room * sizeof *chunks) : NULL;
  if (!chunks) {
    free(numbers);
    return false;
  }
  free(P->chunk_numbers);
  P->chunks = chunks;
  P->chunk_numbers = memset(numbers, 0, room * 2 * sizeof *numbers);
  P->chunk_room = room;
  P->chunk_count = P->chunk_count ? P->chunk_count : 1;
  for (uint32_t i = 1; i < P->chunk_count; i++) {
    *number_of(chunks[i]) = (uint16_t)i;
  }
  return true;
}

/* 0 if there is no memory. */
static __attribute__((noinline)) uint32_t name_of(const pg_value *v) {
  const uintptr_t chunk = (uintptr_t)v & ~(CHUNK_BYTES - 1);
  uint16_t *number = P->chunk_room ? number_of(chunk) : NULL;
  if (!number || !*number) {
    if (P->chunk_count == P->chunk_room && !grow_chunks()) {
      return 0;
    }
    number = number_of(chunk);
    *number = (uint16_t)P->chunk_count;
    P->chunks[P->chunk_count++] = chunk;
  }
  return *number * (uint32_t)CHUNK_UNITS + (uint32_t)((uintptr_t)v % CHUNK_BYTES / UNIT);
}

/* Where a Value has a pg_rare, its link is RARE with the index of that, which has the link instead. */
static const uint32_t RARE = UINT32_C(1) << 31;

static inline bool has_rare(const pg_value *v) { return v->link & RARE; }
static inline uint32_t index_of(const pg_value *v) { return v->link & ~RARE; }

/* The Values of nodes -------------------------------------------------------------------------------------- */

/* A block's Values hang on CHAINS chains, by the ids of their nodes: the Values of nodes that were made one
 * after the other, of which most soon go, are the first of theirs. A Value links to the next by name. */
enum { CHAINS = 32 };

/* Of a Value without a node, the link is its own name, or 0 if it has none yet. */
static inline uint32_t *link_of(pg_value *v) {
  return __builtin_expect(has_rare(v), 0) ? &P->rares[index_of(v)]->link : &v->link;
}

static inline uint32_t *chain_of(pg_id id) {
  return &P->chains[(size_t)pg_block_of(id) * CHAINS + id % CHAINS];
}

/* Puts memory behind the chains of all blocks in use. */
static __attribute__((noinline)) bool grow_chains(void) {
  const size_t bytes = CHAINS * sizeof *P->chains;
  if (!P->chains) {
    P->chains = pg_may_allocate() ? pg_os_reserve(pg_the_arena.capacity * bytes) : NULL;
  }
  const uint32_t blocks = pg_the_arena.committed;
  if (!P->chains || !pg_may_allocate() || !pg_os_commit(P->chains, blocks * bytes)) {
    return false;
  }
  P->chained_blocks = blocks;
  return true;
}

/* Makes a Value be found for its node. False if there is no memory. */
static inline bool enter(pg_value *v) {
  pg_let_find((PyObject *)v);
  uint32_t *link = link_of(v);
  if (__builtin_expect(pg_block_of(v->id) >= P->chained_blocks, 0) && !grow_chains()) {
    return false;
  }
  const uint32_t name = __builtin_expect(*link != 0, 1) ? *link : name_of(v);
  if (__builtin_expect(!name, 0)) {
    return false;
  }
  uint32_t *first = chain_of(v->id);
  *link = *first;
  *first = name;
  return true;
}

static inline void leave(pg_value *v) {
  uint32_t *at = chain_of(v->id), *link = link_of(v);
  while (named(*at) != v) {
    at = link_of(named(*at));
  }
  const uint32_t name = *at;
  *at = *link;
  *link = name;
}

/* While a Value is deallocated, Python code may run that asks for it: a finalizer of one of its attributes. */
static PyObject *living(pg_id id) {
  for (uint32_t name = pg_block_of(id) < P->chained_blocks ? *chain_of(id) : 0; name;) {
    pg_value *v = named(name);
    if (v->id == id && pg_hold_found((PyObject *)v)) {
      return (PyObject *)v;
    }
    name = *link_of(v);
  }
  return NULL;
}

PyObject *pg_value_living(pg_id id) {
  pg_guard();
  PyObject *value = living(id);
  pg_unguard();
  return value;
}

/* What few Values have ------------------------------------------------------------------------------------ */

static pg_rare *rare_of(const pg_value *v) { return has_rare(v) ? P->rares[index_of(v)] : NULL; }

pg_rare *pg_value_rare(const pg_value *v) {
  pg_guard();
  pg_rare *rare = rare_of(v);
  pg_unguard();
  return rare;
}

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

static pg_rare *make_rare(pg_value *v) {
  pg_rare *rare = P->rare_free || grow_rares() ? pg_resize(NULL, sizeof *rare) : NULL;
  if (!rare) {
    return NULL;
  }
  *rare = (pg_rare){.link = v->link};
  v->link = RARE | P->rare_free;
  P->rare_free = next_free(P->rares[index_of(v)]);
  P->rares[index_of(v)] = rare;
  if (!PyObject_GC_IsTracked((PyObject *)v)) {
    PyObject_GC_Track(v);
  }
  return rare;
}

pg_rare *pg_value_make_rare(pg_value *v) {
  pg_guard();
  pg_rare *had = rare_of(v), *rare = had ? had : make_rare(v);
  pg_unguard();
  if (!rare) {
    PyErr_NoMemory();
  }
  return rare;
}

PyObject *pg_rare_get(PyObject *const *entry) {
  pg_guard();
  PyObject *object = Py_XNewRef(*entry);
  pg_unguard();
  return object;
}

void pg_rare_set(PyObject **entry, PyObject *object) {
  pg_guard();
  PyObject *had = *entry;
  *entry = Py_XNewRef(object);
  pg_unguard();
  Py_XDECREF(had); /* may run Python code */
}

PyObject *pg_rare_first(PyObject **entry, PyObject *object) {
  pg_guard();
  if (!*entry) {
    *entry = Py_XNewRef(object);
  }
  PyObject *first = Py_XNewRef(*entry);
  pg_unguard();
  return first;
}

/* It is gone before its objects are: they may run Python code. */
static __attribute__((noinline)) void drop_rare(pg_value *v) {
  pg_guard();
  const uint32_t index = index_of(v);
  pg_rare *rare = P->rares[index];
  const pg_rare had = *rare;
  v->link = had.link;
  P->rares[index] = as_entry(P->rare_free);
  P->rare_free = index;
  free(rare);
  pg_unguard();
  Py_XDECREF(had.closure);
  Py_XDECREF(had.pins);
  Py_XDECREF(had.symbol);
  Py_XDECREF(had.shown);
  Py_XDECREF(had.attributes);
}

/* Making ------------------------------------------------------------------------------------------------- */

/* Objects are all of one size and come and go in great numbers: those that go are kept for those that come. Not
 * where the sanitizer is to see that none is used after it went; nor without a GIL, as threads would wait for
 * each other, and CPython keeps some for each. */
#if defined(__SANITIZE_ADDRESS__) || defined(Py_GIL_DISABLED)
static const size_t MAX_FREED = 0;
#else
static const size_t MAX_FREED = 1 << 12;
#endif

static inline pg_value *reuse(void) {
  pg_value *v = P->freed;
  P->freed = (pg_value *)v->weak_references;
  P->freed_count--;
  return (pg_value *)PyObject_Init((PyObject *)v, P->type); /* it has its name */
}

static pg_value *allocate(void) {
  pg_value *v = PyObject_GC_New(pg_value, P->type);
  if (v) {
    v->link = 0;
  }
  return v;
}

/* An object of the type itself, not tracked; NULL with MemoryError set. */
static inline pg_value *new_object(void) {
  if (!pg_may_allocate_object()) {
    return NULL;
  }
  pg_value *v = P->freed ? reuse() : allocate();
  if (v) {
    v->id = 0;
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
  pg_guard();
  v->id = id;
  const bool entered = enter(v);
  pg_unguard();
  if (__builtin_expect(!entered, 0)) {
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
  pg_value *v = value ? NULL : new_object(); /* may run a finalizer that asks for the same Value */
  if (!v) {
    return value;
  }
  pg_lock();
  value = living(id);
  const bool held = !value && pg_hold_live(id);
  v->id = held ? id : 0;
  const bool entered = held && enter(v);
  pg_unlock();
  if (entered) {
    return (PyObject *)v;
  }
  v->id = 0;
  Py_DECREF(v);
  if (held) {
    pg_release(id);
    PyErr_NoMemory();
  } else if (!value) {
    PyErr_SetString(PyExc_ReferenceError, "the node was freed");
  }
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
  pg_guard();
  const pg_id had = v->id;
  if (had) {
    leave(v);
  }
  v->id = id;
  const bool entered = !id || enter(v);
  v->id = entered ? id : 0;
  pg_unguard();
  if (had) {
    pg_release(had);
  }
  if (!entered) {
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
    pg_guard();
    leave(v);
    pg_unguard();
  }
  PyObject_GC_UnTrack(self); /* most are not tracked, but one that came from a subclass by __class__ is */
  if (v->weak_references) {
    PyObject_ClearWeakRefs(self);
  }
  if (has_rare(v)) {
    drop_rare(v);
  }
  free_object(v);
  if (id) {
    pg_release(id);
  }
}

/* The collector has stopped all threads, none of them within the guard. */
int pg_value_tp_traverse(PyObject *self, visitproc visit, void *arg) {
  const pg_rare *rare = rare_of(pg_value_of(self));
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
  pg_guard();
  pg_rare *rare = rare_of(pg_value_of(self)), had = {0};
  if (rare) {
    had = *rare;
    *rare = (pg_rare){.symbol = had.symbol, .link = had.link};
  }
  pg_unguard();
  if (rare) {
    Py_XDECREF(had.closure);
    Py_XDECREF(had.pins);
    Py_XDECREF(had.shown);
    Py_XDECREF(had.attributes);
  }
  return 0;
}
