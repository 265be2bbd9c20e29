/* ports/user_directory.h - users who prove themselves by a token instead of a certificate
 *
 * The service that reads their file offers it when it loads. What a stream's peer was let in by is its <credential> (net/http.h).
 */
#ifndef GH_PORTS_USER_DIRECTORY_H
#define GH_PORTS_USER_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

struct gh_worker;

struct gh_port_users {
    /* Is <credential> still one of <user>? On the worker's thread. */
    bool (*holds)(void *self, struct gh_worker *w, const char *user, uint64_t credential);
    void *self;
};

#endif
