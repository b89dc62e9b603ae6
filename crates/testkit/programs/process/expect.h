/* What the process tests share: expectations that abort the run with a line, patterns written
 * into blocks, a random sequence, and figures from /proc.
 *
 * Nothing here allocates, so that a program decides alone when the allocator is entered: text
 * is formatted on the stack and written with write(2), files are read into stack buffers.
 *
 * A failed expectation ends the process at once with status 99 and one line that names it.
 * `say` writes to standard output; the tests compare that text, so a program that ends early
 * with status 0 fails too.
 */
#ifndef PROCESS_EXPECT_H
#define PROCESS_EXPECT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void write_line(int descriptor, const char *format, va_list arguments) {
    char text[512];
    int length = vsnprintf(text, sizeof text - 1, format, arguments);
    if (length < 0) {
        length = 0;
    }
    if (length > (int)sizeof text - 2) {
        length = (int)sizeof text - 2;
    }
    text[length] = '\n';
    ssize_t ignored = write(descriptor, text, (size_t)length + 1);
    (void)ignored;
}

__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...) {
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    write_line(STDOUT_FILENO, format, arguments);
    va_end(arguments);
    errno = saved;
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line(STDERR_FILENO, format, arguments);
    va_end(arguments);
    _exit(99);
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail("%s:%d: expected: %s (errno %d)", __FILE__, __LINE__, #condition, errno);         \
        }                                                                                          \
    } while (0)

/* A step of a 64-bit congruential sequence; the high bits are the good ones. */
static inline uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    uint64_t x = *state ^ (*state >> 29);
    return x * 0x9e3779b97f4a7c15ULL >> 16;
}

/* Sizes as programs ask for them: mostly small, now and then a page or more. */
static inline size_t next_size(uint64_t *state) {
    uint64_t kind = next_random(state) % 100;
    if (kind < 70) {
        return 1 + next_random(state) % 256;
    }
    if (kind < 93) {
        return 1 + next_random(state) % 4096;
    }
    if (kind < 99) {
        return 1 + next_random(state) % 32768;
    }
    return 1 + next_random(state) % 400000;
}

/* A block carries its size and its key, so that whoever frees it can check it whole. */
struct stamp {
    size_t size;
    uint64_t key;
};

static inline unsigned char pattern_byte(uint64_t key, size_t index) {
    return (unsigned char)(key * 31 + index * 7 + (index >> 8));
}

/* Fills ends and one byte a page between them: enough to see overlap, cheap enough for storms. */
static inline void *stamped(void *block, size_t size, uint64_t key) {
    struct stamp *head = (struct stamp *)block;
    unsigned char *bytes = (unsigned char *)block;
    head->size = size;
    head->key = key;
    for (size_t i = sizeof *head; i < size; i += (i > 256 && i + 512 < size) ? 509 : 1) {
        bytes[i] = pattern_byte(key, i);
    }
    return block;
}

static inline void expect_stamp(const void *block) {
    const struct stamp *head = (const struct stamp *)block;
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t i = sizeof *head; i < head->size; i += (i > 256 && i + 512 < head->size) ? 509 : 1) {
        if (bytes[i] != pattern_byte(head->key, i)) {
            fail("block %p of %zu bytes, key %#llx: byte %zu is %#x", block, head->size,
                 (unsigned long long)head->key, i, bytes[i]);
        }
    }
}

/* Allocates at least `size` bytes and stamps them; never returns null. */
static inline void *new_stamped(size_t size, uint64_t key) {
    if (size < sizeof(struct stamp)) {
        size = sizeof(struct stamp);
    }
    void *block = malloc(size);
    EXPECT(block != NULL);
    EXPECT((uintptr_t)block % 16 == 0);
    return stamped(block, size, key);
}

static inline void free_stamped(void *block) {
    if (block != NULL) {
        expect_stamp(block);
        free(block);
    }
}

/* Reads one `Name:   123 kB` line of /proc/self/status; 0 when it is not there. */
static inline size_t status_kib(const char *name) {
    char text[4096];
    int descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    EXPECT(descriptor >= 0);
    ssize_t length = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    EXPECT(length > 0);
    text[length] = 0;
    const char *line = strstr(text, name);
    return line == NULL ? 0 : strtoul(line + strlen(name), NULL, 10);
}

static inline size_t rss_kib(void) { return status_kib("VmRSS:"); }
static inline size_t peak_rss_kib(void) { return status_kib("VmHWM:"); }
static inline size_t address_space_kib(void) { return status_kib("VmSize:"); }

#endif
