/* What is freed with the heap of the parent holds nothing of what it held. */
#include "priv/heap.h"

#include <string.h>

#include "../test.h"
#include "crypto/heap.h"

static const struct gh_crypto_heap *heap;
static unsigned char seen[64]; /* of the last block that was given back, as free() got it */

/* Instead of the library: keeps what priv/heap.c hands over. */
int gh_crypto_heap_set(const struct gh_crypto_heap *h)
{
    heap = h;
    return 0;
}

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
    if (p)
        memcpy(seen, p, 8); /* every block of this test is longer */
    __real_free(p);
}

static void freed_and_moved_blocks_are_wiped_until_the_child_begins(void **state)
{
    char *block;

    (void)state;
    assert_int_equal(gh_heap_wipe(), 0);
    block = heap->take(32, NULL, 0);
    memcpy(block, "number 7", 8);
    heap->give(block, NULL, 0);
    assert_memory_equal(seen, "\0\0\0\0\0\0\0\0", 8);
    block = heap->take(32, NULL, 0);
    memcpy(block, "number 7", 8);
    memset(seen, 1, sizeof seen);
    block = heap->resize(block, 4000, NULL, 0);
    assert_non_null(block);
    assert_memory_equal(block, "number 7", 8);
    assert_memory_equal(seen, "\0\0\0\0\0\0\0\0", 8);
    assert_null(heap->resize(block, 0, NULL, 0));
    assert_memory_equal(seen, "\0\0\0\0\0\0\0\0", 8);
    heap->give(NULL, NULL, 0);
    gh_heap_wipe_no_more();
    block = heap->resize(NULL, 32, NULL, 0);
    memcpy(block, "nothing!", 8);
    heap->give(block, NULL, 0);
    assert_memory_equal(seen, "nothing!", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(freed_and_moved_blocks_are_wiped_until_the_child_begins) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
