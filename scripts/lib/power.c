/* Notes beside every file how much of it is on the disk: what a power cut would leave for certain. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int note(const char *name, int file) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  struct stat before;
  char link[64], path[4096 + 8];
  int known = fstat(file, &before) == 0 && S_ISREG(before.st_mode);
  int outcome = real(file);
  if (outcome != 0 || !known) return outcome;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, 4096);
  if (length > 0) {
    snprintf(path + length, 8, ".synced");
    FILE *beside = fopen(path, "w");
    if (beside) {
      fprintf(beside, "%lld", (long long)before.st_size);
      fclose(beside);
    }
  }
  return outcome;
}

int fsync(int file) { return note("fsync", file); }
int fdatasync(int file) { return note("fdatasync", file); }
