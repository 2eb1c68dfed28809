/* Preloaded into every process of a build: another time, another order of directory entries.
 *
 * SHIFT_SECONDS moves the wall clock; SHUFFLE_SEED shuffles what readdir gives. Files' own times stay the kernel's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) {
    const char *text = getenv("SHIFT_SECONDS");
    return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *value) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, value);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) value->tv_sec += shift();
    return status;
}

int gettimeofday(struct timeval *restrict value, void *restrict zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int status = real(value, zone);
    if (status == 0 && value) value->tv_sec += shift();
    return status;
}

time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place) *place = now.tv_sec;
    return now.tv_sec;
}

struct listing {
    DIR *stream;
    struct dirent64 *entries;
    size_t count, next;
    struct listing *after;
};

static struct listing *listings;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void forget(DIR *stream) {
    pthread_mutex_lock(&lock);
    for (struct listing **place = &listings; *place; place = &(*place)->after) {
        if ((*place)->stream != stream) continue;
        struct listing *found = *place;
        *place = found->after;
        free(found->entries);
        free(found);
        break;
    }
    pthread_mutex_unlock(&lock);
}

static struct listing *read_all(DIR *stream, const char *seed) {
    static struct dirent64 *(*real)(DIR *);
    if (!real) real = dlsym(RTLD_NEXT, "readdir64");
    struct listing *made = calloc(1, sizeof *made);
    struct dirent64 *entry;
    size_t room = 0;
    made->stream = stream;
    while ((entry = real(stream))) {
        if (made->count == room) made->entries = realloc(made->entries, (room = room * 2 + 16) * sizeof *entry);
        memcpy(&made->entries[made->count++], entry, entry->d_reclen);
    }
    uint64_t state = strtoull(seed, 0, 10) * 2654435761u + 1;
    for (size_t place = made->count; place > 1; place--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t other = (state >> 33) % place;
        struct dirent64 kept = made->entries[place - 1];
        made->entries[place - 1] = made->entries[other];
        made->entries[other] = kept;
    }
    made->after = listings;
    return listings = made;
}

struct dirent64 *readdir64(DIR *stream) {
    const char *seed = getenv("SHUFFLE_SEED");
    if (!seed) {
        static struct dirent64 *(*real)(DIR *);
        if (!real) real = dlsym(RTLD_NEXT, "readdir64");
        return real(stream);
    }
    pthread_mutex_lock(&lock);
    struct listing *found = listings;
    while (found && found->stream != stream) found = found->after;
    if (!found) found = read_all(stream, seed);
    struct dirent64 *entry = found->next < found->count ? &found->entries[found->next++] : NULL;
    pthread_mutex_unlock(&lock);
    return entry;
}

struct dirent *readdir(DIR *stream) { return (struct dirent *)readdir64(stream); }

int closedir(DIR *stream) {
    static int (*real)(DIR *);
    if (!real) real = dlsym(RTLD_NEXT, "closedir");
    forget(stream);
    return real(stream);
}

void rewinddir(DIR *stream) {
    static void (*real)(DIR *);
    if (!real) real = dlsym(RTLD_NEXT, "rewinddir");
    forget(stream);
    real(stream);
}
