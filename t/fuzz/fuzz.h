/*
 * A mutation loop for readers of files: NAME SECONDS [-s SEED] FILE...  Each
 * target defines fuzz_one() and is built with sanitizers.  What a reader has
 * accepted is changed further.  The input that was being read lies in
 * NAME.input, which stays there when the program ends otherwise than by
 * itself: NAME 0 NAME.input reads it again.
 */

#ifndef T_FUZZ_H
#define T_FUZZ_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>


#define FUZZ_MAX_SIZE   ((size_t) 1 << 20)
#define FUZZ_POOL       512

/* An input that takes longer hangs. */
#define FUZZ_PATIENCE   30


/* Reads an input, which it may change (not its size).  1: it was accepted. */
static int fuzz_one(unsigned char *data, size_t size);

/* Gives fuzz_add() what a target starts from besides files. */
static void fuzz_seed(void);

typedef struct {
    unsigned char  *data;
    size_t          size;
} fuzz_input_t;

static uint64_t       fuzz_state = 1;
static fuzz_input_t   fuzz_file[4096], fuzz_pool[FUZZ_POOL];
static size_t         fuzz_files, fuzz_pooled;


/* xorshift64*: a number below n. */
static size_t
fuzz_random(size_t n)
{
    fuzz_state ^= fuzz_state >> 12;
    fuzz_state ^= fuzz_state << 25;
    fuzz_state ^= fuzz_state >> 27;

    return (size_t) (fuzz_state * 0x2545f4914f6cdd1du >> 20) % n;
}


static uint64_t
fuzz_number(void)
{
    static const uint64_t  numbers[] = {
        0, 1, 2, 3, 7, 8, 16, 63, 64, 127, 128, 255, 256, 65535, 65536,
        INT32_MAX, 1u << 31, UINT32_MAX, (uint64_t) 1 << 32, INT64_MAX,
        (uint64_t) 1 << 63, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 63
    };

    return fuzz_random(3) == 0
           ? fuzz_random((size_t) 1 << (1 + fuzz_random(40)))
           : numbers[fuzz_random(sizeof(numbers) / sizeof(numbers[0]))];
}


/* A number that occurs again and again is changed in several places. */
static void
fuzz_replace(unsigned char *data, size_t size)
{
    size_t         width = fuzz_random(2) ? 4 : 8, at;
    uint64_t       new = fuzz_number();
    unsigned char  old[8];

    if (size < 16) {
        return;
    }

    at = fuzz_random(size / width) * width;
    memcpy(old, data + at, width);
    memcpy(data + at, &new, width);

    for (size_t i = 0; i + width <= size; i += width) {
        if (memcmp(data + i, old, width) == 0 && fuzz_random(3) == 0) {
            memcpy(data + i, &new, width);
        }
    }
}


/* Some bytes move, within the input or away from it. */
static size_t
fuzz_move(unsigned char *data, size_t size)
{
    size_t  n, from, to;

    from = fuzz_random(size);
    to = fuzz_random(size);
    n = 1 + fuzz_random(fuzz_random(8) ? 32 : size);
    n = n < size - from ? n : size - from;

    switch (fuzz_random(4)) {
    case 0:
        memmove(data + from, data + from + n, size - from - n);
        return size - n > 0 ? size - n : 1;

    case 1:
        if (size + n > FUZZ_MAX_SIZE) {
            return size;
        }

        memmove(data + from + n, data + from, size - from);
        return size + n;

    default:
        n = n < size - to ? n : size - to;
        memmove(data + to, data + from, n);
        return size;
    }
}


/* A piece of another input, or a line of it, takes the place of one. */
static void
fuzz_splice(unsigned char *data, size_t size)
{
    size_t                at = fuzz_random(size), n;
    const fuzz_input_t   *in = &fuzz_file[fuzz_random(fuzz_files)];
    const unsigned char  *from = in->data + fuzz_random(in->size);
    const unsigned char  *end = in->data + in->size, *line;

    n = 1 + fuzz_random(fuzz_random(4) ? 64 : 4096);

    if (fuzz_random(2)) {
        line = memchr(from, '\n', (size_t) (end - from));
        from = line != NULL ? line + 1 : from;
        line = memchr(from, '\n', (size_t) (end - from));
        n = line != NULL ? (size_t) (line + 1 - from) : n;
    }

    n = n < (size_t) (end - from) ? n : (size_t) (end - from);
    n = n < size - at ? n : size - at;
    memcpy(data + at, from, n);
}


static size_t
fuzz_mutate(unsigned char *data, size_t size)
{
    size_t    at, width;
    uint64_t  number;

    for (size_t n = 1 + fuzz_random(4); n > 0; n--) {
        at = fuzz_random(size);

        switch (fuzz_random(9)) {
        case 0:
            data[at] ^= (unsigned char) (1 << fuzz_random(8));
            break;

        case 1:
            data[at] = (unsigned char) fuzz_random(256);
            break;

        case 2:
        case 3:
            width = (size_t) 1 << fuzz_random(4);
            at = at / width * width;
            number = fuzz_number();
            width = width < size - at ? width : size - at;
            memcpy(data + at, &number, width);
            break;

        case 4:
        case 5:
        case 6:
            fuzz_replace(data, size);
            break;

        case 7:
            fuzz_splice(data, size);
            break;

        default:
            size = fuzz_move(data, size);
        }
    }

    return size;
}


static void
fuzz_keep(const unsigned char *data, size_t size)
{
    fuzz_input_t  *slot;

    slot = &fuzz_pool[fuzz_pooled < FUZZ_POOL ? fuzz_pooled++
                                              : fuzz_random(FUZZ_POOL)];
    free(slot->data);
    slot->data = malloc(size);
    slot->size = size;
    memcpy(slot->data, data, size);
}


static void
fuzz_add(const unsigned char *data, size_t size)
{
    fuzz_input_t  *f = &fuzz_file[fuzz_files];

    if (size == 0 || size > FUZZ_MAX_SIZE
        || fuzz_files == sizeof(fuzz_file) / sizeof(fuzz_file[0]))
    {
        return;
    }

    f->data = malloc(size);
    f->size = size;
    memcpy(f->data, data, size);
    fuzz_files++;
}


static void
fuzz_read(const char *path)
{
    FILE                  *f = fopen(path, "rb");
    static unsigned char   data[FUZZ_MAX_SIZE + 1];

    if (f != NULL) {
        fuzz_add(data, fread(data, 1, sizeof(data), f));
        fclose(f);
    }
}


/* What lies in a file, mapped, outlives a crash. */
static void
fuzz_resize(int fd, size_t size)
{
    if (ftruncate(fd, (off_t) size) == -1) {
        perror("ftruncate");
        exit(2);
    }
}


static unsigned char *
fuzz_shared(const char *path, int *fd)
{
    void  *mem;

    *fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);

    mem = mmap(NULL, FUZZ_MAX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd,
               0);

    if (mem == MAP_FAILED) {
        perror(path);
        exit(2);
    }

    return mem;
}


/* From memory of just that size, where a sanitizer sees its end. */
static int
fuzz_try(const unsigned char *data, size_t size)
{
    int             accepted;
    unsigned char  *copy = aligned_alloc(64, (size + 63) / 64 * 64);

    alarm(FUZZ_PATIENCE);
    memcpy(copy, data, size);
    accepted = fuzz_one(copy, size);
    free(copy);
    alarm(0);

    return accepted;
}


static int
fuzz_run(const char *name, long seconds)
{
    int              accepted, fd;
    char             path[4096];
    size_t           size, runs = 0, good = 0;
    time_t           end = time(NULL) + seconds;
    fuzz_input_t    *in;
    unsigned char   *input;

    snprintf(path, sizeof(path), "%s.input", name);

    for (size_t i = 0; i < fuzz_files; i++) {
        (void) fuzz_try(fuzz_file[i].data, fuzz_file[i].size);
    }

    if (seconds == 0) {
        return 0;
    }

    input = fuzz_shared(path, &fd);

    for ( ; time(NULL) < end; runs++) {
        in = fuzz_pooled > 0 && fuzz_random(2)
             ? &fuzz_pool[fuzz_random(fuzz_pooled)]
             : &fuzz_file[fuzz_random(fuzz_files)];

        fuzz_resize(fd, FUZZ_MAX_SIZE);
        memcpy(input, in->data, in->size);
        size = fuzz_mutate(input, in->size);
        fuzz_resize(fd, size);

        accepted = fuzz_try(input, size);
        good += (size_t) accepted;

        if (accepted) {
            fuzz_keep(input, size);
        }
    }

    printf("%s: %zu inputs, %zu accepted\n", name, runs, good);
    unlink(path);

    return 0;
}


int
main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s SECONDS [-s SEED] FILE...\n", argv[0]);
        return 2;
    }

    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "-s") == 0 && i + 1 < argc) {
            fuzz_state = strtoull(argv[++i], NULL, 10) * 2 + 1;
        } else {
            fuzz_read(argv[i]);
        }
    }

    fuzz_seed();

    if (fuzz_files == 0) {
        fprintf(stderr, "%s: nothing to start from\n", argv[0]);
        return 2;
    }

    return fuzz_run(argv[0], strtol(argv[1], NULL, 10));
}

#endif /* T_FUZZ_H */
