// Preloaded, it adds the milliseconds that WEIR_CLOCK_FILE holds (8 bytes, as memory has them) to the wall clock of a
// process and of its children, and changes with the file: an administrator's step, without the right to make one.
// Monotonic time goes on, as it does then.
//
// Not libfaketime: it changes the environment before main, and Swift 6 then finds no command line.
//
//   cc -shared -fPIC -O2 -o step_clock.so step_clock.c -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step_ms;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void open_file(void) {
  const char *path = getenv("WEIR_CLOCK_FILE");
  real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *page = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) step_ms = page;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  if (!real) open_file();
  int code = real(clock, time);
  if (code == 0 && step_ms && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    int64_t ms = *step_ms, ns = time->tv_nsec + (ms % 1000) * 1000000;
    time->tv_sec += ms / 1000 + (ns < 0 ? -1 : ns / 1000000000);
    time->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
  }
  return code;
}

int gettimeofday(struct timeval *time, void *zone) {
  struct timespec now;
  int code = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return code;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
