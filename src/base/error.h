/* base/error.h - results that functions return
 *
 * An action returns 0 or one of these; a count is >= 0 or one of these; progress is 1 done, 0 needs more, or one of these.
 */
#ifndef GH_BASE_ERROR_H
#define GH_BASE_ERROR_H

#define GH_ERRORS(X)                                                      \
    X(MEMORY, -1, "out of memory")                                        \
    X(MALFORMED, -2, "malformed input")                                   \
    X(TOO_LONG, -3, "longer than the limit")                              \
    X(RANGE, -4, "value out of range")                                    \
    X(NOT_FOUND, -5, "not found")                                         \
    X(EXISTS, -6, "exists already")                                       \
    X(FULL, -7, "no room left")                                           \
    X(DENIED, -8, "denied")                                               \
    X(STATE, -9, "not possible in this state")                            \
    X(SYSTEM, -10, "system call failed")                                  \
    X(UNSUPPORTED, -11, "not supported")                                  \
    X(CLOSED, -12, "closed by the peer")                                  \
    X(TIMEOUT, -13, "timed out")                                          \
    X(CRYPTO, -14, "cryptographic operation failed")                      \
    X(PROTOCOL, -15, "the peer broke the protocol")                       \
    X(AGAIN, -16, "would block")                                          \
    X(INTERNAL, -17, "internal error")

enum gh_error {
#define X(name, value, text) GH_ERR_##name = value,
    GH_ERRORS(X)
#undef X
};

/* A person's words for <rc>; never NULL. "ok" for values >= 0. */
const char *gh_error_text(int rc);

#endif
