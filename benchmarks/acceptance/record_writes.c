// LD_PRELOAD library: writes down, in order, what a program does to the files under $RECORD_ROOT, into $RECORD_FILE. replay_writes.py reads it.
// A record is a line "VERB LENGTH OFFSET PATH\n" and LENGTH bytes: what was written, or a rename's second path.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/// The whole path of `path` below the folder of `at`; without a path, that of the open file. "" if it does not concern us.
static const char* whole(int at, const char* path, char out[PATH_MAX * 2]) {
  char base[PATH_MAX] = "", link[64];
  out[0] = 0;
  const char* root = getenv("RECORD_ROOT");
  if (!root) return out;
  if (!path || path[0] != '/') {
    snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
    const ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return out;
    base[length] = 0;
  }
  snprintf(out, PATH_MAX * 2, "%s%s%s", base, path && base[0] ? "/" : "", path ? path : "");
  if (strncmp(out, root, strlen(root)) != 0) out[0] = 0;
  return out;
}

static void record(const char* verb, const char* path, long long offset, const void* bytes, size_t length) {
  static FILE* file;
  if (!path[0]) return;
  pthread_mutex_lock(&mutex);
  if (!file) file = fopen(getenv("RECORD_FILE"), "ae");
  fprintf(file, "%s %zu %lld %s\n", verb, length, offset, path);
  fwrite(bytes, 1, length, file);
  fflush(file);
  pthread_mutex_unlock(&mutex);
}

static int opened(int at, const char* path, int flags, int descriptor) {
  char name[PATH_MAX * 2];
  if (descriptor >= 0 && (flags & O_ACCMODE) != O_RDONLY) record(flags & O_TRUNC ? "truncate" : "open", whole(at, path, name), 0, "", 0);
  return descriptor;
}

#define MODE(last) \
  va_list list; \
  va_start(list, last); \
  const mode_t mode = last & O_CREAT ? va_arg(list, mode_t) : 0; \
  va_end(list);
int open(const char* path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, REAL(open)(path, flags, mode)); }
int open64(const char* path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, REAL(open)(path, flags, mode)); }
int openat(int at, const char* path, int flags, ...) { MODE(flags) return opened(at, path, flags, REAL(openat)(at, path, flags, mode)); }
FILE* fopen64(const char* path, const char* how) {
  FILE* file = REAL(fopen64)(path, how);
  if (file) opened(AT_FDCWD, path, how[0] == 'r' ? O_RDONLY : how[0] == 'w' ? O_WRONLY | O_TRUNC : O_WRONLY, fileno(file));
  return file;
}

static ssize_t written(int file, const void* bytes, ssize_t count, long long offset) {
  char name[PATH_MAX * 2];
  if (count > 0) record("write", whole(file, NULL, name), offset, bytes, (size_t)count);
  return count;
}
ssize_t write(int file, const void* bytes, size_t count) {
  const ssize_t done = REAL(write)(file, bytes, count);
  return written(file, bytes, done, done > 0 ? lseek(file, 0, SEEK_CUR) - done : 0);   // of an appending file too: it stands behind what it wrote
}
ssize_t pwrite(int file, const void* bytes, size_t count, off_t at) { return written(file, bytes, REAL(pwrite)(file, bytes, count, at), at); }
ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t at) { return written(file, bytes, REAL(pwrite64)(file, bytes, count, at), at); }

static int synced(int file, int result) {
  char name[PATH_MAX * 2];
  if (result == 0) record("sync", whole(file, NULL, name), 0, "", 0);
  return result;
}
int fsync(int file) { return synced(file, REAL(fsync)(file)); }
int fdatasync(int file) { return synced(file, REAL(fdatasync)(file)); }

int ftruncate(int file, off_t length) {
  char name[PATH_MAX * 2];
  const int result = REAL(ftruncate)(file, length);
  if (result == 0) record("truncate", whole(file, NULL, name), length, "", 0);
  return result;
}

static int done(const char* verb, int at, const char* path, int result) {
  char name[PATH_MAX * 2];
  if (result == 0) record(verb, whole(at, path, name), 0, "", 0);
  return result;
}
int mkdir(const char* path, mode_t mode) { return done("mkdir", AT_FDCWD, path, REAL(mkdir)(path, mode)); }
int unlink(const char* path) { return done("remove", AT_FDCWD, path, REAL(unlink)(path)); }
int rmdir(const char* path) { return done("remove", AT_FDCWD, path, REAL(rmdir)(path)); }
int remove(const char* path) { return done("remove", AT_FDCWD, path, REAL(remove)(path)); }
int unlinkat(int at, const char* path, int flags) { return done("remove", at, path, REAL(unlinkat)(at, path, flags)); }
int rename(const char* from, const char* to) {
  char source[PATH_MAX * 2], target[PATH_MAX * 2];
  const int result = REAL(rename)(from, to);
  whole(AT_FDCWD, to, target);
  if (result == 0) record("rename", whole(AT_FDCWD, from, source), 0, target, strlen(target));
  return result;
}
