/* The classic errors with strings: no room for the NUL, no NUL, lengths added wrong. */
#include "suite.h"

#define GROUP "strings"

/* A text of `length` letters, in static memory. */
static const char *letters(size_t length) {
    static char text[LARGE + 1];
    memset(text, 'A', length);
    text[length] = 0;
    return text;
}

/* malloc(strlen(text)) and strcpy: the NUL lands behind the block. */
static void no_room_for_nul(size_t size) {
    char *copy = victim(size);
    erring();
    strcpy(opaque(copy), letters(size));
    erred();
}

IN_EACH_SIZE(no_room_for_nul, "strcpy into malloc(strlen(text))")

/* The length leaves slack within the size class of most allocators. */
MISUSE(no_room_for_nul_slack, "strcpy of 41 letters into malloc(41)") {
    char *copy = victim(41);
    erring();
    strcpy(opaque(copy), letters(41));
    erred();
}

static void missing_nul(size_t size) {
    char *copy = victim(size);
    strncpy(copy, letters(size), size);
    erring();
    /* Kept: strlen is pure, and a length that nobody wants is not asked for. */
    volatile size_t length = strlen(opaque(copy));
    erred();
    (void)length;
    unwatch(copy);
    free(copy);
}

IN_EACH_SIZE(missing_nul, "strncpy that fills the block, then strlen reads on")

MISUSE(strcat_too_long, "strcat of 40 letters to 40 in 64 bytes") {
    char *copy = victim(SMALL);
    strcpy(copy, letters(40));
    unwatch(copy);
    erring();
    strcat(opaque(copy), letters(40));
    erred();
    free(copy);
}

MISUSE(sprintf_too_long, "sprintf of 20 digits and more into 16 bytes") {
    char *copy = victim(16);
    unwatch(copy);
    erring();
    sprintf(opaque(copy), "%020lu: %s", (unsigned long)getpid(), "id");
    erred();
    free(copy);
}

MISUSE(index_minus_one, "strips the newline of an empty line: text[strlen(text) - 1]") {
    char *line = victim(SMALL);
    line[0] = 0;
    unwatch(line);
    erring();
    poke(line, (ptrdiff_t)strlen(line) - 1);
    erred();
    free(line);
}

MISUSE(strdup_then_append, "appends to what strdup gave") {
    block(8);
    char *copy = strdup(letters(7));
    erring();
    strcat(opaque(copy), letters(24));
    erred();
    free(copy);
}
