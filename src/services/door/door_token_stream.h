/* services/door/door_token_stream.h - a request whose peer is somebody else than its connection says, or is not known yet
 *
 * It stands between the stream and whoever serves it. Until door_token_stream_open what comes in is kept, up to a limit.
 */
#ifndef GH_SERVICES_DOOR_DOOR_TOKEN_STREAM_H
#define GH_SERVICES_DOOR_DOOR_TOKEN_STREAM_H

#include "net/http.h"

#define DOOR_TOKEN_BODY_MAX 262144u /* bytes that are kept; more ends the request */

struct door_token_stream;

/* Takes the stream over: on its handler's call. The head is copied. <on_gone>(<arg>): it ended before it was opened. NULL: no memory. */
struct door_token_stream *door_token_stream_create(struct gh_http_stream *inner, const struct gh_http_head *head, void (*on_gone)(void *arg), void *arg);
/* From now on the peer is <name> by <credential>; NULL: nobody. <serve>, called once, is a handler: it gets the stream, the head, and then what
 * was kept. */
void door_token_stream_open(struct door_token_stream *t, const char *name, uint64_t credential,
                            void (*serve)(void *arg, struct gh_http_stream *s, const struct gh_http_head *head), void *arg);

#endif
