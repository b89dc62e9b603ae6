/* Day: a server's days and nights, compressed. Each day it wakes, grows, is hit by bursts, rests, sees its mix
 * of sizes shift, changes its threads, declines, and is silent for the night: not one call.
 *
 *     day FILE DAYS PACE NIGHT_MS SIZE     PACE and SIZE in percent: length of the phases, number of objects
 *
 *     live |        _/\/\/\____.--.__/\__        base     lives for ever, a quarter of what there is by day
 *          |   __--'                     \_      cache    bounded by bytes; the oldest go, every fourth time any one
 *          |__/                            \___  sessions 20 to 60 objects that go together, half by another thread
 *             growth burst idle shift churn decline night   requests: objects that live a moment
 *
 * D1  Work is cut into ticks of 10 ms, and what a tick does follows from the seed alone. Who is late does
 *     not skip any: he catches up, and the lateness is told.
 * D2  Each object is written as a whole when it is made and read back at both ends when it goes; a wrong byte ends
 *     the program.
 * D3  FILE is shared with whoever watches: 64-byte lines of u64. Line 0: phase, day, done, lateness in
 *     ms, operations. Each line after it is one thread's requested bytes alive (two's complement; the sum counts).
 *     The tables that keep the books come from malloc, are written, and are counted. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, TICK_MS = 10, CALENDAR = 1024, LANE = 500, TEMPORARIES = 800 };
enum phase { GROWTH, BURST, IDLE, SHIFT, CHURN, DECLINE, NIGHT };
static const long PHASE_MS[NIGHT] = { 10000, 6000, 4000, 10000, 8000, 7000 };

struct item { unsigned char *at; uint32_t size, stamp; };

/* Objects that go together. */
struct session { struct session *next; uint64_t expires; uint32_t count, size; struct item items[]; };

struct worker {
    pthread_t thread;
    uint64_t random, tick;
    _Atomic int64_t *live;
    uint64_t operations;
    struct item *cache;                  /* a ring: oldest at `first` */
    uint32_t first, cached;
    uint64_t cache_bytes;
    struct session *calendar[CALENDAR];  /* by tick of expiry */
    pthread_mutex_t lock;
    struct session *inbox;               /* guarded by `lock`: sessions that other workers leave to this one */
    struct session *wave;                /* what the present burst made */
    struct item lane[LANE];              /* handed from one short-lived thread to the next */
    pthread_t laner;
    int lane_is_open, lane_runs;
    _Atomic int64_t *lane_live;
    uint64_t lane_random;
};

static struct worker workers[WORKERS];
static _Atomic uint64_t *shared;
static long days, pace, night_ms, size_percent;
static uint32_t cache_slots;
static struct timespec start;

static void die(const char *what)
{
    fprintf(stderr, "day: %s\n", what);
    abort();
}

static uint32_t below(uint64_t *random, uint32_t limit)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((*random >> 33) * limit) >> 31);
}

/* Every doubling from 2^low to 2^high is as likely as any other. */
static uint32_t size_between(uint64_t *random, uint32_t low, uint32_t high)
{
    uint32_t octave = low + below(random, high - low);
    return (1u << octave) + below(random, 1u << octave);
}

static struct item make(uint64_t *random, _Atomic int64_t *live, uint32_t size)
{
    struct item item = { malloc(size), size, below(random, 1u << 31) };
    if (item.at == NULL)
        die("out of memory");
    memset(item.at, (int)(item.stamp & 0xff), size);
    memcpy(item.at, &item.stamp, sizeof item.stamp);
    atomic_store_explicit(live, atomic_load_explicit(live, memory_order_relaxed) + size, memory_order_relaxed);
    return item;
}

static void drop(_Atomic int64_t *live, struct item *item)
{
    if (memcmp(item->at, &item->stamp, sizeof item->stamp) != 0
        || (item->size > 4 && item->at[item->size - 1] != (item->stamp & 0xff)))
        die("an object was overwritten");
    free(item->at);
    item->at = NULL;
    atomic_store_explicit(live, atomic_load_explicit(live, memory_order_relaxed) - item->size, memory_order_relaxed);
}

static struct session *make_session(struct worker *me, uint32_t count, uint32_t low, uint32_t high)
{
    uint32_t size = (uint32_t)(sizeof(struct session) + count * sizeof(struct item));
    struct session *session = malloc(size);
    if (session == NULL)
        die("out of memory");
    session->count = count;
    session->size = size;
    *me->live += size;
    for (uint32_t i = 0; i < count; i++)
        session->items[i] = make(&me->random, me->live, size_between(&me->random, low, high));
    me->operations += count + 1;
    return session;
}

static void drop_session(struct worker *me, struct session *session)
{
    for (uint32_t i = 0; i < session->count; i++)
        drop(me->live, &session->items[i]);
    *me->live -= session->size;
    me->operations += session->count + 1;
    free(session);
}

static void drop_all(struct worker *me, struct session **list)
{
    while (*list != NULL) {
        struct session *session = *list;
        *list = session->next;
        drop_session(me, session);
    }
}

static void file_session(struct worker *me, struct session *session)
{
    uint64_t at = session->expires > me->tick ? session->expires : me->tick + 1;
    if (at >= me->tick + CALENDAR)
        at = me->tick + CALENDAR - 1;
    session->next = me->calendar[at % CALENDAR];
    me->calendar[at % CALENDAR] = session;
}

/* --- what a tick consists of ------------------------------------------------------------------------ */

/* Sessions: most last a second, one in sixteen five. Half of them end on the next worker. */
static void begin_sessions(struct worker *me, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct session *session = make_session(me, 20 + below(&me->random, 41), 4, 11);
        uint32_t ms = below(&me->random, 16) == 0 ? 5000 : 200 + below(&me->random, 1600);
        session->expires = me->tick + 1 + (uint64_t)ms * (uint64_t)pace / 100 / TICK_MS;
        if (below(&me->random, 2) == 0) {
            file_session(me, session);
            continue;
        }
        struct worker *other = &workers[(me - workers + 1) % WORKERS];
        pthread_mutex_lock(&other->lock);
        session->next = other->inbox;
        other->inbox = session;
        pthread_mutex_unlock(&other->lock);
    }
}

static void end_sessions(struct worker *me)
{
    pthread_mutex_lock(&me->lock);
    struct session *inbox = me->inbox;
    me->inbox = NULL;
    pthread_mutex_unlock(&me->lock);
    while (inbox != NULL) {
        struct session *session = inbox;
        inbox = session->next;
        file_session(me, session);
    }
    drop_all(me, &me->calendar[me->tick % CALENDAR]);
}

static void evict(struct worker *me)
{
    struct item *oldest = &me->cache[me->first];
    if (below(&me->random, 4) == 0) {
        struct item *any = &me->cache[(me->first + below(&me->random, me->cached)) % cache_slots];
        struct item swap = *any;
        *any = *oldest;
        *oldest = swap;
    }
    me->cache_bytes -= oldest->size;
    drop(me->live, oldest);
    me->first = (me->first + 1) % cache_slots;
    me->cached--;
    me->operations++;
}

/* Entries of the cache: at most `news` are made, and the bytes brought to `target`. */
static void renew_cache(struct worker *me, uint32_t news, uint64_t target, uint32_t low, uint32_t high)
{
    for (uint32_t i = 0; i < news; i++) {
        /* One in 400 is a document, not a record. */
        int is_long = below(&me->random, 400) == 0;
        uint32_t size = is_long ? size_between(&me->random, 14, 18) : size_between(&me->random, low, high);
        while (me->cached > 0 && (me->cache_bytes + size > target || me->cached == cache_slots))
            evict(me);
        me->cache[(me->first + me->cached++) % cache_slots] = make(&me->random, me->live, size);
        me->cache_bytes += size;
        me->operations++;
    }
    /* A decline is no faster than the cache was built: some hundred entries a tick. */
    for (int i = 0; i < 800 && me->cached > 0 && me->cache_bytes > target; i++)
        evict(me);
}

/* Requests: a handful of objects of all small sizes, and a buffer that grows, all gone at the end of each. */
static void serve(struct worker *me, uint32_t requests)
{
    struct item held[10];
    for (uint32_t i = 0; i < requests; i++) {
        for (int j = 0; j < 10; j++)
            held[j] = make(&me->random, me->live, size_between(&me->random, 4, 10));
        uint32_t size = 64;
        struct item buffer = make(&me->random, me->live, size);
        for (uint32_t last = size << below(&me->random, 6); size < last; size *= 2) {
            buffer.at = realloc(buffer.at, size * 2);
            if (buffer.at == NULL)
                die("out of memory");
            memset(buffer.at + size, (int)(buffer.stamp & 0xff), size);
            *me->live += size;
            buffer.size = size * 2;
        }
        drop(me->live, &buffer);
        for (int j = 0; j < 10; j++)
            drop(me->live, &held[j]);
        me->operations += 22;
    }
}

/* A burst: 8 MiB a worker that come within 50 ms, stay for 200 and go at once; every 600 ms. */
static void burst(struct worker *me, uint32_t tick)
{
    uint32_t place = tick % 60;
    if (place < 5) {
        for (uint32_t i = 0; i < 48u * (uint32_t)size_percent / 100 + 1; i++) {
            struct session *session = make_session(me, 60, 5, 11);
            session->next = me->wave;
            me->wave = session;
        }
        struct session *buffers = make_session(me, 2, 16, 19);
        buffers->next = me->wave;
        me->wave = buffers;
    } else if (place == 25) {
        drop_all(me, &me->wave);
    }
}

/* --- threads that come and go ------------------------------------------------------------------------ */

static void *live_a_short_life(void *argument)
{
    struct worker *owner = argument;
    for (int i = 0; i < LANE / 2; i++) {
        struct item *item = &owner->lane[below(&owner->lane_random, LANE)];
        if (item->at != NULL)
            drop(owner->lane_live, item);
        *item = make(&owner->lane_random, owner->lane_live, size_between(&owner->lane_random, 4, 12));
    }
    return NULL;
}

static void end_laner(struct worker *me)
{
    if (me->lane_runs && pthread_join(me->laner, NULL) != 0)
        die("a thread was lost");
    me->lane_runs = 0;
}

static void churn(struct worker *me, uint32_t tick)
{
    if (tick % 2 == 1)
        return;
    end_laner(me);
    me->lane_is_open = 1;
    me->lane_runs = pthread_create(&me->laner, NULL, live_a_short_life, me) == 0;
    if (!me->lane_runs)
        die("no thread");
    me->operations += LANE;
}

static void close_lane(struct worker *me)
{
    if (!me->lane_is_open)
        return;
    end_laner(me);
    for (int i = 0; i < LANE; i++)
        if (me->lane[i].at != NULL)
            drop(me->lane_live, &me->lane[i]);
    me->lane_is_open = 0;
}

/* --- the day ------------------------------------------------------------------------------------------ */

/* Cache sizes in the shift: records of 16 to 512 bytes, then up to 4 KiB, then 1 to 16 KiB, and back. */
static const uint32_t SHIFT_LOW[4] = { 4, 6, 10, 4 }, SHIFT_HIGH[4] = { 9, 12, 14, 11 };

static void tick_of(struct worker *me, enum phase phase, uint32_t tick, uint32_t ticks)
{
    uint64_t full = (uint64_t)size_percent * 20 * (1 << 20) / 100;
    uint32_t news = 150 * (uint32_t)size_percent / 100 + 1, sessions = 8 * (uint32_t)size_percent / 100 + 1;
    uint32_t low = 4, high = 11, quarter = tick * 4 / ticks;
    end_sessions(me);
    switch (phase) {
    case GROWTH:
        full = full * 4 / 10 + full * 6 / 10 * (tick + 1) / ticks;
        news *= 2;
        break;
    case BURST:
        burst(me, tick);
        break;
    case IDLE:
        news = 5;
        sessions = 1;
        break;
    case SHIFT:
        low = SHIFT_LOW[quarter % 4];
        high = SHIFT_HIGH[quarter % 4];
        news *= quarter % 4 == 2 ? 1 : 3;
        break;
    case CHURN:
        churn(me, tick);
        break;
    case DECLINE:
        full -= full * 6 / 10 * (tick + 1) / ticks;
        news /= 4;
        sessions -= sessions * (tick + 1) / ticks;
        break;
    case NIGHT:
        return;
    }
    if (phase != BURST)
        drop_all(me, &me->wave);
    if (phase != CHURN)
        close_lane(me);
    renew_cache(me, news, full, low, high);
    begin_sessions(me, sessions);
    serve(me, phase == IDLE ? TEMPORARIES / 20 : TEMPORARIES * (uint32_t)size_percent / 100 / WORKERS);
    me->tick++;
}

/* Sleeps until `ms` after the start; keeps the worst lateness (D1). */
static void await_time(long ms)
{
    struct timespec until = start, now;
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    long late = (now.tv_sec - until.tv_sec) * 1000 + (now.tv_nsec - until.tv_nsec) / 1000000;
    if (late > (long)shared[3])
        shared[3] = (uint64_t)late;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
}

static void *live_all_days(void *argument)
{
    struct worker *me = argument;
    int tells = me == &workers[0];
    long begun = 0;
    for (long day = 0; day < days; day++) {
        for (int phase = GROWTH; phase < NIGHT; phase++) {
            long ms = PHASE_MS[phase] * pace / 100;
            uint32_t ticks = (uint32_t)(ms / TICK_MS < 4 ? 4 : ms / TICK_MS);
            for (uint32_t tick = 0; tick < ticks; tick++) {
                await_time(begun + (long)tick * TICK_MS);
                if (tells) {
                    shared[0] = (uint64_t)phase;
                    shared[1] = (uint64_t)day;
                }
                tick_of(me, (enum phase)phase, tick, ticks);
            }
            begun += (long)ticks * TICK_MS;
        }
        await_time(begun);
        if (tells)
            shared[0] = NIGHT;
        begun += night_ms;
    }
    await_time(begun);
    return NULL;
}

/* What is made at the start and stays: as much as the cache has left at night. */
static struct item *make_base(uint32_t count, _Atomic int64_t *live)
{
    uint64_t random = 11;
    struct item *base = malloc(count * sizeof *base);
    if (base == NULL)
        die("out of memory");
    *live += (int64_t)(count * sizeof *base);
    for (uint32_t i = 0; i < count; i++)
        base[i] = make(&random, live, size_between(&random, 4, 12));
    return base;
}

int main(int argc, char **argv)
{
    int file = argc == 6 ? open(argv[1], O_RDWR) : -1;
    if (file < 0) {
        fprintf(stderr, "usage: day FILE DAYS PACE NIGHT_MS SIZE; FILE is there and has 4096 bytes\n");
        return 2;
    }
    days = atol(argv[2]), pace = atol(argv[3]), night_ms = atol(argv[4]), size_percent = atol(argv[5]);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        die("no shared page");
    _Atomic int64_t *lines = (_Atomic int64_t *)shared;
    uint32_t base_count = 60000 * (uint32_t)size_percent / 100;
    struct item *base = make_base(base_count, lines + 8);
    cache_slots = 120000 * (uint32_t)size_percent / 100 + 100;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < WORKERS; i++) {
        struct worker *me = &workers[i];
        me->random = 1000 + (uint64_t)i, me->lane_random = 2000 + (uint64_t)i;
        me->live = lines + 8 * (2 + i), me->lane_live = lines + 8 * (2 + WORKERS + i);
        size_t bytes = cache_slots * sizeof *me->cache;
        me->cache = malloc(bytes);
        if (me->cache == NULL)
            die("out of memory");
        memset(me->cache, 1, bytes);
        *me->live += (int64_t)bytes;
        pthread_mutex_init(&me->lock, NULL);
        if (pthread_create(&me->thread, NULL, live_all_days, me) != 0)
            die("no thread");
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < WORKERS; i++)
        shared[4] += workers[i].operations;
    shared[2] = 1;
    /* What is left must still be what it was. */
    for (int i = 0; i < WORKERS; i++) {
        struct worker *me = &workers[i];
        while (me->cached > 0)
            evict(me);
        drop_all(me, &me->inbox);
        for (int day = 0; day < CALENDAR; day++)
            drop_all(me, &me->calendar[day]);
        *me->live -= (int64_t)(cache_slots * sizeof *me->cache);
        free(me->cache);
    }
    for (uint32_t i = 0; i < base_count; i++)
        drop(lines + 8, &base[i]);
    *(lines + 8) -= (int64_t)(base_count * sizeof *base);
    free(base);
    int64_t rest = 0;
    for (int line = 1; line < 64; line++)
        rest += lines[8 * line];
    if (rest != 0)
        die("the books do not balance");
    printf("%llu operations\n", (unsigned long long)shared[4]);
    return 0;
}
