/* tests/unit/net/fake_stream.h - a stream of net/http.h that writes down what a service does with it
 *
 * Nothing is called back behind the test's back: the test plays the peer by the functions below.
 */
#ifndef GH_TEST_FAKE_STREAM_H
#define GH_TEST_FAKE_STREAM_H

#include "net/http.h"

#define GH_FAKE_FIELDS 32
#define GH_FAKE_DATAGRAMS 64

struct gh_fake_field {
    char name[64], value[512];
};

struct gh_fake_stream {
    struct gh_http_stream stream; /* first */
    struct gh_http_peer peer;     /* the test may change it before the request */

    unsigned status;              /* 0: not answered */
    struct gh_fake_field fields[GH_FAKE_FIELDS];
    size_t field_count;
    char *body;                   /* NUL follows; "" when empty */
    size_t body_len;
    bool ended;                   /* the service has finished its side */
    bool reset;
    enum gh_http_reset why;
    bool closed;                  /* on_closed was told */

    uint8_t *datagrams[GH_FAKE_DATAGRAMS];
    size_t datagram_lens[GH_FAKE_DATAGRAMS];
    size_t datagram_count;

    bool held;            /* the service says itself what it has taken: */
    size_t consumed;

    size_t room;          /* bytes that send takes before it says GH_ERR_AGAIN; SIZE_MAX at first */
    size_t datagram_room; /* datagrams taken before GH_ERR_AGAIN; SIZE_MAX at first */
    size_t datagram_max;  /* 1200 at first */
};

/* A peer without certificate, address or uid. */
void gh_fake_stream_init(struct gh_fake_stream *f);
void gh_fake_stream_fini(struct gh_fake_stream *f);

/* Calls the handler. <path> with its query; <fields> may be NULL when <count> is 0. */
void gh_fake_stream_request(struct gh_fake_stream *f, struct gh_http_handler handler, const char *method, const char *path,
                            const struct gh_http_field *fields, size_t count);
/* As above with a whole head, for extended CONNECT. */
void gh_fake_stream_head(struct gh_fake_stream *f, struct gh_http_handler handler, const struct gh_http_head *head);

/* What the peer does next. */
void gh_fake_stream_body(struct gh_fake_stream *f, const void *data, size_t len, bool end);
bool gh_fake_stream_datagram(struct gh_fake_stream *f, const void *data, size_t len); /* false: the service takes none */
void gh_fake_stream_writable(struct gh_fake_stream *f, size_t room);
void gh_fake_stream_close(struct gh_fake_stream *f, uint64_t code); /* once; a second call does nothing */

/* The value of the answer's first field <name>, or NULL. */
const char *gh_fake_stream_field(const struct gh_fake_stream *f, const char *name);

#endif
