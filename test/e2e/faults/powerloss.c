/*
 * What a disk forgets when the power goes, for one program: preloaded, it notes how to undo each change below
 * WRIT_POWER_ROOT until the program has synced it. After SIGKILL of all its processes rollback.ts undoes what was never
 * synced, or a random part of that. Changes pass through at once, so the program reads what it wrote.
 *
 *   f-<inode>  a file's bytes: forgotten by fsync and fdatasync of the file
 *   d-<inode>  a folder's names: forgotten by fsync of the folder (POSIX promises no more), where WRIT_POWER_NAMES=1
 *   k-…        what was unlinked or replaced, while the folder may still come back with it
 *   stats      syncs, the longest in ns, writes
 *
 * Not seen: shared mappings, io_uring, writes by stdio within libc. What is not seen counts as lasting.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))
#define MAX_FD 65536

/* Bytes of a file: at `offset`, `length` became others; `kept` old bytes follow. A cut has length 0. */
struct change {
  uint64_t offset, length, old_size, kept;
};

/* Names: two paths and two kept links follow, each ended by a NUL; `size` counts all of it. */
struct renaming {
  uint64_t at_ns;
  uint32_t kind, size;
};
enum { CREATED = 1, MADE = 2, UNLINKED = 3, RENAMED = 4 };

struct stats {
  _Atomic uint64_t syncs, longest_ns, writes;
};

static char root[PATH_MAX], notes[PATH_MAX];
static size_t root_length;
static int names;
static struct stats *stats;
static unsigned char tracked[MAX_FD];
static _Atomic uint64_t counter;

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

__attribute__((constructor)) static void begin(void) {
  const char *at = getenv("WRIT_POWER_ROOT"), *to = getenv("WRIT_POWER_NOTES"), *with = getenv("WRIT_POWER_NAMES");
  if (!at || !to) return;
  snprintf(root, sizeof root, "%s/", at);
  snprintf(notes, sizeof notes, "%s", to);
  names = with && *with == '1';
  char path[PATH_MAX + 8];
  snprintf(path, sizeof path, "%s/stats", notes);
  int fd = REAL(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0 || REAL(ftruncate)(fd, sizeof *stats) != 0) return;
  void *map = mmap(NULL, sizeof *stats, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REAL(close)(fd);
  if (map == MAP_FAILED) return;
  stats = map;
  root_length = strlen(root);
}

static uint64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static int below(const char *path) { return root_length > 0 && strncmp(path, root, root_length) == 0; }

/* Absolute; false for what is not below the root. No links and no dots: the programs name their files plainly. */
static int resolve(int dir, const char *path, char *out) {
  if (root_length == 0) return 0;
  if (path[0] == '/')
    snprintf(out, PATH_MAX, "%s", path);
  else {
    char base[PATH_MAX];
    if (dir == AT_FDCWD) {
      if (!getcwd(base, sizeof base)) return 0;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
      ssize_t got = readlink(link, base, sizeof base - 1);
      if (got < 0) return 0;
      base[got] = 0;
    }
    snprintf(out, PATH_MAX, "%s/%s", base, path);
  }
  return below(out);
}

static int open_notes(char kind, ino_t inode, int flags) {
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/%c-%llu", notes, kind, (unsigned long long)inode);
  return REAL(open)(path, flags | O_CLOEXEC, 0666);
}

static void append(int fd, const void *head, size_t head_length, const void *tail, size_t tail_length) {
  struct iovec parts[2] = {{(void *)head, head_length}, {(void *)tail, tail_length}};
  if (REAL(writev)(fd, parts, tail_length ? 2 : 1) != (ssize_t)(head_length + tail_length)) abort();
}

/* A file that is new has nothing to be undone of the one that had its inode before. */
static void fresh_notes(char kind, ino_t inode, int anew) {
  int fd = open_notes(kind, inode, O_RDWR | O_CREAT | O_APPEND | (anew ? O_TRUNC : 0));
  if (fd < 0) return;
  struct stat facts;
  uint64_t committed = sizeof committed;
  if (fstat(fd, &facts) == 0 && facts.st_size == 0) append(fd, &committed, sizeof committed, NULL, 0);
  REAL(close)(fd);
}

/* What stands at [offset, offset + length) is about to change; a cut to `offset` where `cut`. */
static void note_change(int fd, uint64_t offset, uint64_t length, int cut) {
  struct stat facts;
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) return;
  int to = open_notes('f', facts.st_ino, O_WRONLY | O_APPEND);
  if (to < 0) return;
  atomic_fetch_add(&stats->writes, 1);
  uint64_t size = (uint64_t)facts.st_size;
  uint64_t end = cut || offset + length > size ? size : offset + length;
  struct change change = {offset, cut ? 0 : length, size, end > offset ? end - offset : 0};
  char *old = NULL;
  if (change.kept) {
    old = malloc(change.kept);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int from = REAL(open)(path, O_RDONLY | O_CLOEXEC); /* The program's own may be for writing only. */
    if (!old || from < 0 || pread(from, old, change.kept, (off_t)offset) != (ssize_t)change.kept) change.kept = 0;
    if (from >= 0) REAL(close)(from);
  }
  append(to, &change, sizeof change, old, change.kept);
  free(old);
  REAL(close)(to);
}

static int is_tracked(int fd) { return root_length > 0 && fd >= 0 && fd < MAX_FD && tracked[fd]; }

static void note_write(int fd, uint64_t length) {
  if (!is_tracked(fd) || length == 0) return;
  struct stat facts;
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) return;
  int appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
  off_t at = appends ? facts.st_size : lseek(fd, 0, SEEK_CUR);
  if (at >= 0) note_change(fd, (uint64_t)at, length, 0);
}

static uint64_t total(const struct iovec *parts, int count) {
  uint64_t sum = 0;
  for (int i = 0; i < count; i++) sum += parts[i].iov_len;
  return sum;
}

/* ---- names ---- */

static ino_t folder_of(const char *path) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (!slash || slash == folder) return 0;
  *slash = 0;
  struct stat facts;
  return stat(folder, &facts) == 0 ? facts.st_ino : 0;
}

/* Keeps what has that name by a link of our own; an empty name where there is nothing. */
static void keep(const char *path, char *link_name) {
  snprintf(link_name, 64, "k-%d-%llu", getpid(), (unsigned long long)atomic_fetch_add(&counter, 1) + now_ns());
  char to[PATH_MAX + 80];
  snprintf(to, sizeof to, "%s/%s", notes, link_name);
  if (REAL(linkat)(AT_FDCWD, path, AT_FDCWD, to, 0) != 0) link_name[0] = 0;
}

static void note_name(uint32_t kind, const char *path, const char *to, const char *kept, const char *kept_to) {
  ino_t folder = folder_of(to[0] ? to : path);
  if (!folder) return;
  fresh_notes('d', folder, 0);
  int fd = open_notes('d', folder, O_WRONLY | O_APPEND);
  if (fd < 0) return;
  char text[2 * PATH_MAX + 160];
  int length = snprintf(text, sizeof text, "%s%c%s%c%s%c%s%c", path, 0, to, 0, kept, 0, kept_to, 0);
  struct renaming renaming = {now_ns(), kind, (uint32_t)length};
  append(fd, &renaming, sizeof renaming, text, (size_t)length);
  REAL(close)(fd);
}

/* ---- syncs ---- */

static void drop_kept(int fd, uint64_t from, uint64_t to) {
  struct renaming renaming;
  while (from < to && pread(fd, &renaming, sizeof renaming, (off_t)from) == sizeof renaming) {
    char *text = malloc(renaming.size);
    if (text && pread(fd, text, renaming.size, (off_t)(from + sizeof renaming)) == (ssize_t)renaming.size) {
      const char *at = text;
      for (int i = 0; i < 4; i++, at += strlen(at) + 1) {
        char path[PATH_MAX + 80];
        snprintf(path, sizeof path, "%s/%s", notes, at);
        if (i >= 2 && *at) REAL(unlinkat)(AT_FDCWD, path, 0);
      }
    }
    free(text);
    from += sizeof renaming + renaming.size;
  }
}

static int synced(int fd, int (*work)(int)) {
  struct stat facts;
  if (root_length == 0 || fstat(fd, &facts) != 0 || !(S_ISREG(facts.st_mode) || S_ISDIR(facts.st_mode))) return work(fd);
  int to = open_notes(S_ISDIR(facts.st_mode) ? 'd' : 'f', facts.st_ino, O_RDWR);
  if (to < 0) return work(fd);
  struct stat before, after;
  uint64_t from = now_ns();
  int known = fstat(to, &before) == 0;
  int answer = work(fd);
  uint64_t took = now_ns() - from, longest = atomic_load(&stats->longest_ns);
  while (took > longest && !atomic_compare_exchange_weak(&stats->longest_ns, &longest, took)) continue;
  atomic_fetch_add(&stats->syncs, 1);
  int error = errno;
  if (answer == 0 && known) { /* What was written while it ran is not synced by it. */
    uint64_t committed = sizeof committed, upto = (uint64_t)before.st_size;
    if (S_ISDIR(facts.st_mode) && pread(to, &committed, sizeof committed, 0) == sizeof committed) drop_kept(to, committed, upto);
    if (fstat(to, &after) == 0 && after.st_size == before.st_size && REAL(ftruncate)(to, sizeof committed) == 0) upto = sizeof committed;
    if (REAL(pwrite)(to, &upto, sizeof upto, 0) != sizeof upto) abort();
  }
  REAL(close)(to);
  errno = error;
  return answer;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

/* ---- opening and closing ---- */

static int opened(int dir, const char *path, int flags, mode_t mode) {
  char whole[PATH_MAX];
  int writes = (flags & O_ACCMODE) != O_RDONLY && !(flags & O_TMPFILE & ~O_DIRECTORY);
  if (!writes || !resolve(dir, path, whole)) return REAL(openat)(dir, path, flags, mode);
  struct stat facts;
  int there = fstatat(dir, path, &facts, 0) == 0;
  if (there && (flags & O_TRUNC) && facts.st_size > 0) {
    int fd = REAL(openat)(dir, path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
      fresh_notes('f', facts.st_ino, 0);
      note_change(fd, 0, 0, 1);
      REAL(close)(fd);
    }
  }
  int fd = REAL(openat)(dir, path, flags, mode);
  if (fd < 0 || fd >= MAX_FD) return fd;
  int error = errno;
  if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode)) {
    tracked[fd] = (flags & (O_SYNC | O_DSYNC)) == 0;
    fresh_notes('f', facts.st_ino, !there);
    if (!there && names) note_name(CREATED, whole, "", "", "");
  }
  errno = error;
  return fd;
}

#define MODE(flags)                                                                                                    \
  mode_t mode = 0;                                                                                                     \
  if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {                                                              \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode = va_arg(rest, mode_t);                                                                                       \
    va_end(rest);                                                                                                      \
  }

int open(const char *path, int flags, ...) {
  MODE(flags)
  return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE(flags)
  return opened(AT_FDCWD, path, flags, mode);
}
int openat(int dir, const char *path, int flags, ...) {
  MODE(flags)
  return opened(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) {
  MODE(flags)
  return opened(dir, path, flags, mode);
}
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
  if (fd >= 0 && fd < MAX_FD) tracked[fd] = 0;
  return REAL(close)(fd);
}

/* ---- writing ---- */

ssize_t write(int fd, const void *bytes, size_t length) {
  note_write(fd, length);
  return REAL(write)(fd, bytes, length);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (is_tracked(fd)) note_write(fd, total(parts, count));
  return REAL(writev)(fd, parts, count);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  if (is_tracked(fd)) note_change(fd, (uint64_t)at, length, 0);
  return REAL(pwrite)(fd, bytes, length, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return pwrite(fd, bytes, length, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  if (is_tracked(fd)) note_change(fd, (uint64_t)at, total(parts, count), 0);
  return REAL(pwritev)(fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return pwritev(fd, parts, count, at); }

static void note_size(int fd, off_t length) {
  struct stat facts;
  if (!is_tracked(fd) || fstat(fd, &facts) != 0) return;
  if (length < facts.st_size) note_change(fd, (uint64_t)length, 0, 1);
  if (length > facts.st_size) note_change(fd, (uint64_t)facts.st_size, (uint64_t)(length - facts.st_size), 0);
}
int ftruncate(int fd, off_t length) {
  note_size(fd, length);
  return REAL(ftruncate)(fd, length);
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }
int posix_fallocate(int fd, off_t at, off_t length) {
  struct stat facts;
  if (is_tracked(fd) && fstat(fd, &facts) == 0 && at + length > facts.st_size) note_size(fd, at + length);
  return REAL(posix_fallocate)(fd, at, length);
}
int posix_fallocate64(int fd, off_t at, off_t length) { return posix_fallocate(fd, at, length); }

/* ---- names ---- */

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
  char old[PATH_MAX], new[PATH_MAX], kept[64] = "", kept_to[64] = "";
  int ours = names && resolve(from_dir, from, old) && resolve(to_dir, to, new);
  if (ours) {
    keep(old, kept);
    keep(new, kept_to);
  }
  int answer = REAL(renameat2)(from_dir, from, to_dir, to, flags);
  if (ours && answer == 0) note_name(RENAMED, old, new, kept, kept_to);
  return answer;
}
int renameat(int from_dir, const char *from, int to_dir, const char *to) {
  return renameat2(from_dir, from, to_dir, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int dir, const char *path, int flags) {
  char whole[PATH_MAX], kept[64] = "";
  int ours = names && !(flags & AT_REMOVEDIR) && resolve(dir, path, whole);
  if (ours) keep(whole, kept);
  int answer = REAL(unlinkat)(dir, path, flags);
  if (ours && answer == 0) note_name(UNLINKED, whole, "", kept, "");
  return answer;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
  char whole[PATH_MAX];
  int answer = REAL(linkat)(from_dir, from, to_dir, to, flags);
  if (answer == 0 && names && resolve(to_dir, to, whole)) note_name(CREATED, whole, "", "", "");
  return answer;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int mkdirat(int dir, const char *path, mode_t mode) {
  char whole[PATH_MAX];
  int answer = REAL(mkdirat)(dir, path, mode);
  if (answer == 0 && names && resolve(dir, path, whole)) note_name(MADE, whole, "", "", "");
  return answer;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
