/* tests/fuzz/replay.c - feeds a fuzz target files, and every file of folders, without libFuzzer
 *
 * Each input is handed over in a block of exactly its size, so that a sanitizer sees the first byte read beyond it.
 * Exit status 0 when every input came back, 1 when one could not be read or there was none; a finding aborts.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    FILE *f = fopen(path, "rb");
    int rc = 1;

    if (data && f && fread(data, 1, size, f) == size) {
        printf("%s\n", path);
        fflush(stdout); /* the last line names the input that ended the process */
        uint8_t *exact = size ? data : data + 1;
        LLVMFuzzerTestOneInput(exact, size);
        rc = 0;
    } else {
        perror(path);
    }
    if (f)
        fclose(f);
    free(data);
    return rc;
}

static int feed_path(const char *path, unsigned *count);

static int feed_folder(const char *path, unsigned *count)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort), rc = 0;
    char child[4096];

    if (n < 0) {
        perror(path);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            if (snprintf(child, sizeof child, "%s/%s", path, names[i]->d_name) < (int)sizeof child)
                rc |= feed_path(child, count);
            else
                rc = 1;
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

static int feed_path(const char *path, unsigned *count)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        perror(path);
        return 1;
    }
    if (S_ISDIR(st.st_mode))
        return feed_folder(path, count);
    (*count)++;
    return feed_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int rc = 0;

    for (int i = 1; i < argc; i++)
        rc |= feed_path(argv[i], &count);
    printf("%u inputs\n", count);
    return rc || count == 0; /* an empty corpus proves nothing */
}
