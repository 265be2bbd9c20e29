/* tests/alloc/fail_alloc.c - loaded before a test program: one allocation of it fails
 *
 * An allocation is known by where it is asked for: a hash of the return addresses, relative to the program, from the call of malloc to the
 * third function of ours. Those that a test's own code asks for are never touched.
 *
 *   FAIL_ALLOC_MAP   what lies where in the program: lines "START END CLASS", hexadecimal and in order; CLASS s (ours), t (a test's)
 *   FAIL_ALLOC_LIST  a file: gets a line "HASH DEPTH NUMBER" for each place, DEPTH functions of others away from ours, that was seen first
 *                    at the program's allocation NUMBER
 *   FAIL_ALLOC_AT    a hash: the first allocation there returns NULL
 *   FAIL_ALLOC_FROM  a number: nobody looks at the allocations before that
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 40
#define OURS 3  /* functions of ours that tell two places apart */
#define OTHERS 2 /* functions of others, nearest to malloc, that do too */
#define SEEN 65536u
#define RANGES 65536u
#define HERE "\nfail_alloc: here\n" /* what tools/fail-alloc looks for */

struct range {
    uintptr_t start, end;
    char class;
};

static struct range ranges[RANGES];
static size_t range_count;
static uint64_t seen[SEEN], target, from, number;
static uintptr_t base, size_of_program;
static int list = -1;
static bool ready, done;
static __thread bool inside;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int first_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz > size_of_program)
            size_of_program = info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    return 1;
}

__attribute__((constructor)) static void start(void)
{
    const char *map = getenv("FAIL_ALLOC_MAP"), *out = getenv("FAIL_ALLOC_LIST"), *at = getenv("FAIL_ALLOC_AT");
    void *frames[4];
    FILE *f;

    inside = true;
    backtrace(frames, 4); /* it allocates the first time */
    f = map ? fopen(map, "r") : NULL;
    dl_iterate_phdr(first_object, NULL);
    while (f && range_count < RANGES &&
           fscanf(f, "%lx %lx %c", &ranges[range_count].start, &ranges[range_count].end, &ranges[range_count].class) == 3)
        range_count++;
    if (f)
        fclose(f);
    if (out)
        list = open(out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (at)
        target = strtoull(at, NULL, 16);
    if (getenv("FAIL_ALLOC_FROM"))
        from = strtoull(getenv("FAIL_ALLOC_FROM"), NULL, 10);
    ready = range_count > 0;
    inside = false;
}

static char class_of(uintptr_t at)
{
    size_t low = 0, high = range_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (at < ranges[middle].start)
            high = middle;
        else if (at >= ranges[middle].end)
            low = middle + 1;
        else
            return ranges[middle].class;
    }
    return 'o';
}

static void mix(uint64_t *hash, uintptr_t value)
{
    *hash = (*hash ^ value) * UINT64_C(1099511628211);
    *hash ^= *hash >> 29;
}

/* 0: a place that is none of ours. */
static uint64_t place(unsigned *ret_depth)
{
    void *frames[FRAMES];
    int n = backtrace(frames, FRAMES);
    uint64_t hash = UINT64_C(14695981039346656037);
    unsigned ours = 0, others = 0;

    for (int i = 2; i < n && ours < OURS; i++) { /* the first two are of this file */
        uintptr_t at = (uintptr_t)frames[i] - base;
        char class = class_of(at - 1);

        if (class == 't' && ours == 0)
            return 0;
        if (class == 't')
            break;
        if (class == 's')
            ours++;
        else if (ours == 0)
            others++;
        if (class == 's' || (ours == 0 && others <= OTHERS))
            mix(&hash, at < size_of_program ? at : 0); /* libraries lie elsewhere each time */
    }
    *ret_depth = others;
    return ours ? (hash ? hash : 1) : 0;
}

static void learn(uint64_t hash, unsigned depth, uint64_t now)
{
    char line[64];
    size_t i = hash % SEEN;
    int n;

    pthread_mutex_lock(&lock);
    for (size_t tries = 0; seen[i] && seen[i] != hash && tries < SEEN; tries++)
        i = (i + 1) % SEEN;
    if (!seen[i]) {
        seen[i] = hash;
        n = snprintf(line, sizeof line, "%016llx %u %llu\n", (unsigned long long)hash, depth, (unsigned long long)now);
        if (write(list, line, (size_t)n) < 0)
            list = -1;
    }
    pthread_mutex_unlock(&lock);
}

static __attribute__((noinline)) bool fails(void)
{
    unsigned depth = 0;
    uint64_t hash, now;
    bool hit;

    if (!ready || inside)
        return false;
    now = __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED);
    if (list < 0 && (!target || done || now < from))
        return false;
    inside = true;
    hash = place(&depth);
    if (hash && list >= 0)
        learn(hash, depth, now);
    hit = hash && hash == target && !__atomic_exchange_n(&done, true, __ATOMIC_RELAXED);
    inside = false;
    if (hit && write(STDOUT_FILENO, HERE, sizeof HERE - 1) >= 0)
        errno = ENOMEM;
    return hit;
}

/* What comes after us in the order of look-up: the sanitizer's, or the C library's. */
#define NEXT(name, type)                                          \
    static type next_##name;                                      \
    static type real_##name(void)                                 \
    {                                                             \
        if (!next_##name)                                         \
            *(void **)&next_##name = dlsym(RTLD_NEXT, #name);     \
        return next_##name;                                       \
    }

typedef void *(*malloc_fn)(size_t);
typedef void *(*calloc_fn)(size_t, size_t);
typedef void *(*realloc_fn)(void *, size_t);
typedef void *(*reallocarray_fn)(void *, size_t, size_t);
typedef char *(*strdup_fn)(const char *);
NEXT(malloc, malloc_fn)
NEXT(calloc, calloc_fn)
NEXT(realloc, realloc_fn)
NEXT(reallocarray, reallocarray_fn)
NEXT(strdup, strdup_fn)

void *malloc(size_t size)
{
    return fails() ? NULL : real_malloc()(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : real_calloc()(count, size);
}

void *realloc(void *p, size_t size)
{
    return fails() ? NULL : real_realloc()(p, size);
}

void *reallocarray(void *p, size_t count, size_t size)
{
    return fails() ? NULL : real_reallocarray()(p, count, size);
}

char *strdup(const char *s)
{
    return fails() ? NULL : real_strdup()(s);
}
