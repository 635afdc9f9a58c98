/* backward.c: the backward pass from a Value: sweeps over the graph that stop wherever a Python function does a
 * node's step. The twin of pygrad/_sweep.py. */
#include "python/python.h"

static pg_python *const P = &pg_the_python;

enum {
  SHORT_SLICE = 1 << 12, /* nodes, some 10 us: taking the GIL back may take longer */
  LONG_SLICE = 1 << 18,  /* 1 to 2 ms: between these other threads use the arena, and Python hears signals */
};

PyObject *pg_python_set_hooks(PyObject *module, PyObject *args) {
  (void)module;
  PyObject *late, *drop, *fail;
  if (!PyArg_ParseTuple(args, "O!OO", &PyDict_Type, &late, &drop, &fail)) {
    return NULL;
  }
  PyObject *had[] = {P->late_closures, P->drop_unused, P->fail};
  P->late_closures = Py_NewRef(late);
  P->drop_unused = Py_NewRef(drop);
  P->fail = Py_NewRef(fail);
  for (size_t i = 0; i < sizeof had / sizeof *had; i++) {
    Py_XDECREF(had[i]); /* may free Values, and so run Python code */
  }
  Py_RETURN_NONE;
}

/* The right to sweep ------------------------------------------------------------------------------------- */

/* Waits for the thread that has it. False with an exception set that a signal handler raised. */
static bool wait_for_lock(void) {
  PyLockStatus status;
  do {
    Py_BEGIN_ALLOW_THREADS status = PyThread_acquire_lock_timed(P->sweep_lock, -1, 1);
    Py_END_ALLOW_THREADS if (status == PY_LOCK_INTR && PyErr_CheckSignals()) { return false; }
  } while (status != PY_LOCK_ACQUIRED);
  return true;
}

static void set_owner(unsigned long thread) {
  atomic_store_explicit(&P->sweep_owner, thread, memory_order_relaxed);
}

static bool is_owner(void) {
  return atomic_load_explicit(&P->sweep_owner, memory_order_relaxed) == PyThread_get_thread_ident();
}

/* Only one thread at a time has the right. */
static bool begin(void) {
  if (!PyThread_acquire_lock(P->sweep_lock, NOWAIT_LOCK) && !wait_for_lock()) {
    return false;
  }
  set_owner(PyThread_get_thread_ident());
  return true;
}

static void end(void) {
  set_owner(0);
  PyThread_release_lock(P->sweep_lock);
}

PyObject *pg_python_after_fork(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  if (!is_owner()) {
    P->sweep_lock = PyThread_allocate_lock(); /* the old one may be in any state, and cannot be freed */
    set_owner(0);
  }
  return P->sweep_lock ? Py_NewRef(Py_None) : PyErr_NoMemory();
}

/* The sweep ---------------------------------------------------------------------------------------------- */

static bool succeeded(PyObject *result) {
  Py_XDECREF(result);
  return result != NULL;
}

static bool fail(int64_t status, pg_id at) {
  if (succeeded(PyObject_CallFunction(P->fail, "LI", (long long)status, at))) {
    PyErr_SetString(PyExc_SystemError, "a failed backward step raised nothing");
  }
  return false;
}

static bool call_closure(pg_id id) {
  PyObject *value = pg_value_living(id);
  const pg_rare *rare = value ? pg_value_rare(pg_value_of(value)) : NULL;
  PyObject *closure = rare ? pg_rare_get(&rare->closure) : NULL;
  const bool called = closure ? succeeded(PyObject_CallNoArgs(closure)) : fail(PG_STALE, id);
  Py_XDECREF(closure);
  Py_XDECREF(value);
  return called;
}

/* Goes on until the sweep is done. The GIL is given up after what is short. */
static bool finish(pg_sweep *sweep) {
  int64_t stop = pg_sweep_run(sweep, SHORT_SLICE);
  while (stop != PG_DONE) {
    if (stop < 0) {
      return fail(stop, sweep->at);
    }
    if (stop > PG_MORE) {
      if (!call_closure((pg_id)stop)) {
        return false;
      }
      stop = pg_sweep_run(sweep, SHORT_SLICE);
      continue;
    }
    Py_BEGIN_ALLOW_THREADS stop = pg_sweep_run(sweep, LONG_SLICE);
    if (!PG_HAS_GIL) {
      pg_let_others(); /* with a GIL, to take it back does so */
    }
    Py_END_ALLOW_THREADS if (PyErr_CheckSignals()) { return false; }
  }
  return true;
}

/* For the thread that has the right to sweep. */
static bool sweep_from(pg_id root) {
  if (PyDict_Size(P->late_closures) && !succeeded(PyObject_CallNoArgs(P->drop_unused))) {
    return false;
  }
  const int status = pg_sweep_begin(P->sweep, root);
  return status == PG_OK ? finish(P->sweep) : fail(status, root);
}

/* A _backward function, a signal handler or a destructor has called backward() in this thread's sweep, which is
 * paused meanwhile. */
static bool sweep_within(pg_sweep *outer, pg_id root) {
  pg_id *pending = PyMem_Malloc(pg_sweep_pending(outer, NULL) * sizeof *pending);
  if (!pending) {
    PyErr_NoMemory();
    return false;
  }
  const uint32_t count = pg_sweep_pending(outer, pending);
  const bool done = sweep_from(root);
  pg_sweep_resume(outer, count, pending);
  PyMem_Free(pending);
  return done;
}

static PyObject *backward_from(pg_id root) {
  const bool is_within = is_owner();
  if (!is_within && !begin()) {
    return NULL;
  }
  pg_sweep sweep = {0}, *const outer = is_within ? P->sweep : NULL;
  P->sweep = &sweep;
  const bool done = outer ? sweep_within(outer, root) : sweep_from(root);
  P->sweep = outer;
  if (!is_within) {
    end();
  }
  return done ? Py_NewRef(Py_None) : NULL;
}

/* The caller of a method holds its Value, and so the root. */
PyObject *pg_value_backward(PyObject *self, PyObject *unused) {
  (void)unused;
  const pg_id id = pg_value_id(self);
  return id ? backward_from(id) : pg_value_no_attribute(self, "_id");
}

PyObject *pg_python_backward_from(PyObject *module, PyObject *id) {
  (void)module;
  const unsigned long root = PyLong_AsUnsignedLong(id);
  return PyErr_Occurred() ? NULL : backward_from((pg_id)root);
}
