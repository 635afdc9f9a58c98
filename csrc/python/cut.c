/* cut.c: what float() of a computed Value does before it returns the number: it asks pygrad/_cut.py whether the
 * calling function cuts off a gradient, once for each place where no answer but "no" is possible. */
#include "python/python.h"

static pg_python *const P = &pg_the_python;

PyObject *pg_python_set_note_number_taken(PyObject *module, PyObject *function) {
  (void)module;
  P->last_instruction = P->last_instruction ? P->last_instruction : PyUnicode_InternFromString("f_lasti");
  return P->last_instruction ? pg_python_set_hook(&P->note_number_taken, function) : NULL;
}

/* Where the calling function is, with a reference to its code. False if there is none, or with an exception
 * set.
 */
static bool find_place(pg_place *place) {
  PyFrameObject *frame = PyEval_GetFrame();
  PyObject *offset = frame ? PyObject_GetAttr((PyObject *)frame, P->last_instruction) : NULL;
  if (!offset) {
    return false;
  }
  *place = (pg_place){(PyObject *)PyFrame_GetCode(frame), PyLong_AsLong(offset)};
  Py_DECREF(offset);
  return true;
}

/* Where a place is remembered, if it is; another place may have taken that. */
static pg_place *entry_of(const pg_place *place) {
  return &P->harmless_places[((uintptr_t)place->code / 16 + (uintptr_t)place->offset) % PG_PLACES];
}

/* Asks about the place. Returns whether that raised nothing. */
static bool ask(PyObject *value, const pg_place *place) {
  PyObject *harmless = PyObject_CallFunction(P->note_number_taken, "OI", value, pg_value_id(value));
  if (harmless == Py_True) {
    pg_guard();
    pg_place *entry = entry_of(place), had = *entry;
    *entry = (pg_place){Py_NewRef(place->code), place->offset};
    pg_unguard();
    Py_XDECREF(had.code);
  }
  Py_XDECREF(harmless);
  return harmless != NULL;
}

bool pg_note_number_taken(PyObject *value) {
  pg_place place;
  if (!P->note_number_taken || !find_place(&place)) {
    return !PyErr_Occurred();
  }
  pg_guard();
  const pg_place *entry = entry_of(&place);
  const bool known = entry->code == place.code && entry->offset == place.offset;
  pg_unguard();
  const bool done = known || ask(value, &place);
  Py_DECREF(place.code);
  return done;
}
