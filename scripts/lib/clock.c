/* Moves the wall clock of a process by as many seconds as stand in the file CLOCK_OFFSET, which is looked
   at each time. Clocks that cannot be set (monotonic ones) are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long offset(void) {
  const char *name = getenv("CLOCK_OFFSET");
  char text[32];
  int file = name ? open(name, O_RDONLY) : -1;
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = 0;
  return atoll(text);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int outcome = real(clock, time);
  if (outcome == 0 && clock == CLOCK_REALTIME) time->tv_sec += offset();
  return outcome;
}
