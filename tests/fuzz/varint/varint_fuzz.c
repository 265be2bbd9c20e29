/* tests/fuzz/varint/varint_fuzz.c - what the reader takes for a varint, the writer writes so that it reads the same
 *
 * RFC 9000, section 16. The value is computed a second time here, from the definition.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/span.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Length from the two high bits, then the bytes in network order without them. */
static size_t naive_varint(const uint8_t *data, size_t size, uint64_t *ret)
{
    size_t len = size ? (size_t)1 << (data[0] >> 6) : 0;
    uint64_t v = 0;

    if (len == 0 || len > size)
        return 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | (i ? data[i] : data[i] & 0x3fu);
    *ret = v;
    return len;
}

static void check_round_trip(uint64_t value, size_t read_len)
{
    uint8_t buf[8];
    struct gh_writer w = gh_writer_of(buf, sizeof buf);

    gh_write_varint(&w, value);
    require(!w.failed);
    require(gh_writer_len(&w) == gh_varint_len(value));
    require(gh_writer_len(&w) <= read_len); /* the shortest form */

    struct gh_reader r = gh_reader_of(gh_span_of(buf, gh_writer_len(&w)));
    require(gh_read_varint(&r) == value);
    require(gh_reader_done(&r));

    /* One byte too little: the writer says so and stays inside. */
    struct gh_writer small = gh_writer_of(buf, gh_varint_len(value) - 1);
    gh_write_varint(&small, value);
    require(small.failed);
    require(gh_writer_len(&small) < gh_varint_len(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gh_reader r = gh_reader_of(gh_span_of(data, size));

    while (gh_reader_left(&r) > 0) {
        size_t left = gh_reader_left(&r);
        uint64_t expected = 0;
        size_t len = naive_varint(data + (size - left), left, &expected);
        uint64_t value = gh_read_varint(&r);

        require(r.failed == (len == 0));
        if (r.failed) {
            require(value == 0 && !gh_reader_done(&r));
            break;
        }
        require(value == expected && gh_reader_left(&r) == left - len);
        check_round_trip(value, len);
    }
    return 0;
}
