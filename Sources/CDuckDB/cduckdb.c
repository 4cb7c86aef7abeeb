#include "cduckdb.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#define POINTER(result, name, parameters, arguments) static result(*pointer_##name) parameters;
#define POINTER_VOID(name, parameters, arguments) static void(*pointer_##name) parameters;
CDUCKDB_FUNCTIONS(POINTER, POINTER_VOID)

#define CALL(result, name, parameters, arguments) \
  result cduckdb_##name parameters { return pointer_##name arguments; }
#define CALL_VOID(name, parameters, arguments) \
  void cduckdb_##name parameters { pointer_##name arguments; }
CDUCKDB_FUNCTIONS(CALL, CALL_VOID)

static char problem[512];

const char *cduckdb_load(const char *library, const char *python_names) {
  // Global, so that the lookup of the other one finds the names here.
  if (python_names && !dlopen(python_names, RTLD_LAZY | RTLD_GLOBAL)) {
    snprintf(problem, sizeof problem, "%s", dlerror());
    return problem;
  }
  void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (!handle) {
    snprintf(problem, sizeof problem, "%s", dlerror());
    return problem;
  }
#define FIND(result, name, parameters, arguments) FIND_VOID(name, parameters, arguments)
#define FIND_VOID(name, parameters, arguments) \
  *(void **)&pointer_##name = dlsym(handle, "duckdb_" #name); \
  if (!pointer_##name) { \
    snprintf(problem, sizeof problem, "%s has no function duckdb_" #name, library); \
    dlclose(handle); \
    return problem; \
  }
  CDUCKDB_FUNCTIONS(FIND, FIND_VOID)
  return NULL;
}

static _Atomic(duckdb_connection) interruptible;
static struct sigaction before;

// duckdb_interrupt only stores to an atomic flag of the connection, which a handler may do.
static void interrupt_connection(int signal) {
  (void)signal;
  duckdb_connection connection = atomic_load(&interruptible);
  if (connection) pointer_interrupt(connection);
}

void cduckdb_interrupt_by_sigint(duckdb_connection connection) {
  duckdb_connection last = atomic_exchange(&interruptible, connection);
  if (connection && !last) {
    struct sigaction action = {.sa_handler = interrupt_connection};
    sigaction(SIGINT, &action, &before);
  } else if (!connection && last) {
    sigaction(SIGINT, &before, NULL);
  }
}
