/* windows.c: os.h for Windows. */
#include "os/os.h"

#ifdef _WIN32
#include <string.h>
#include <windows.h>

size_t pg_os_page(void) {
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  return system.dwPageSize;
}

void *pg_os_reserve(size_t bytes) { return VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_NOACCESS); }

void pg_os_unreserve(void *at, size_t bytes) {
  (void)bytes;
  VirtualFree(at, 0, MEM_RELEASE);
}

bool pg_os_commit(void *at, size_t bytes) {
  return VirtualAlloc(at, bytes, MEM_COMMIT, PAGE_READWRITE) != NULL;
}

/* MEM_RESET lets the system take the pages at any time. They keep what they hold, or read as zero: so it is
 * zero in either case. (MEM_DECOMMIT would need memory to make the part readable again.) */
bool pg_os_discard(void *at, size_t bytes) {
  const size_t page = pg_os_page();
  if ((uintptr_t)at % page || bytes % page) {
    return false;
  }
  memset(at, 0, bytes);
  VirtualAlloc(at, bytes, MEM_RESET, PAGE_READWRITE);
  return true;
}

/* To sleep takes 1 to 16 ms, which is too long. */
void pg_os_yield(unsigned waited) {
  (void)waited;
  SwitchToThread();
}

uintptr_t pg_os_thread(void) { return GetCurrentThreadId(); }

static DWORD WINAPI run(void *argument) {
  const pg_os_worker *worker = argument;
  worker->work(worker->argument);
  return 0;
}

bool pg_os_start(pg_os_worker *worker) {
  worker->handle = (uintptr_t)CreateThread(NULL, 0, run, worker, 0, NULL);
  return worker->handle != 0;
}

void pg_os_join(pg_os_worker *worker) {
  WaitForSingleObject((HANDLE)worker->handle, INFINITE);
  CloseHandle((HANDLE)worker->handle);
}

bool pg_os_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
  (void)before, (void)in_parent, (void)in_child;
  return true; /* Windows does not fork */
}

void *pg_os_load(const char *path, const char *function, void **found) {
  wchar_t wide[MAX_PATH];
  const int length = MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, MAX_PATH);
  const HMODULE library = length ? LoadLibraryW(wide) : NULL;
  const FARPROC address = library ? GetProcAddress(library, function) : NULL;
  memcpy(found, &address, sizeof *found);
  if (library && !address) {
    FreeLibrary(library);
    return NULL;
  }
  return library;
}

void pg_os_unload(void *library) { FreeLibrary(library); }
#endif
