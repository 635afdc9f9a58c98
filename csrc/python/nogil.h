/* nogil.h: what takes the place of the GIL where CPython has none. Private to csrc/python/.
 *
 * With a GIL, the calling thread holds it, and nothing here costs an instruction.
 */
#ifndef PYGRAD_NOGIL_H
#define PYGRAD_NOGIL_H

#include <Python.h>

#include "graph/arena.h"

#ifdef Py_GIL_DISABLED

enum { PG_HAS_GIL = 0 };

/* Guards the state of this folder, the module's and its objects', by the arena's lock. Between these two,
 * nothing may wait, release an object, or run Python code. */
static inline void pg_guard(void) { pg_lock(); }
static inline void pg_unguard(void) { pg_unlock(); }

#if PY_VERSION_HEX < 0x030E0000 /* which has these two, but not for others */
static inline void PyUnstable_EnableTryIncRef(PyObject *x) {
  Py_ssize_t shared = _Py_atomic_load_ssize_relaxed(&x->ob_ref_shared);
  while (!(shared & _Py_REF_SHARED_FLAG_MASK) &&
         !_Py_atomic_compare_exchange_ssize(&x->ob_ref_shared, &shared, shared | _Py_REF_MAYBE_WEAKREF)) {
  }
}

static inline int PyUnstable_TryIncRef(PyObject *x) {
  if (_Py_IsOwnedByCurrentThread(x)) {
    return Py_INCREF(x), 1;
  }
  Py_ssize_t shared = _Py_atomic_load_ssize_relaxed(&x->ob_ref_shared);
  while (shared != 0 && shared != _Py_REF_MERGED) {
    if (_Py_atomic_compare_exchange_ssize(&x->ob_ref_shared, &shared, shared + (1 << _Py_REF_SHARED_SHIFT))) {
      return 1;
    }
  }
  return 0;
}
#endif

static inline void pg_let_find(PyObject *x) { PyUnstable_EnableTryIncRef(x); }

/* CPython takes a reference to an object that this very thread is freeing, once its finalizer has run.
 * Py_REFCNT() does not tell: it adds two counts, and may read them before and after another thread moves
 * references. */
static inline bool pg_hold_found(PyObject *x) {
  const bool is_being_freed =
      _Py_IsOwnedByCurrentThread(x) && !_Py_atomic_load_uint32_relaxed(&x->ob_ref_local);
  return !is_being_freed && PyUnstable_TryIncRef(x);
}

/* Between these two no other thread changes a list or dict, so what they return without a reference stays. */
#define PG_BEGIN_READING(x) Py_BEGIN_CRITICAL_SECTION(x)
#define PG_END_READING() Py_END_CRITICAL_SECTION()

#else

enum { PG_HAS_GIL = 1 };

static inline void pg_guard(void) {}
static inline void pg_unguard(void) {}

/* Prepares an object for pg_hold_found(), which returns whether it took a reference: it takes none to an object
 * that another thread is freeing, or this one, while Python code runs that this calls. */
static inline void pg_let_find(PyObject *x) { (void)x; }
static inline bool pg_hold_found(PyObject *x) { return Py_REFCNT(x) > 0 && (Py_INCREF(x), true); }

#define PG_BEGIN_READING(x) {
#define PG_END_READING() }

#endif

#endif
