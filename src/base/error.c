#include "base/error.h"

const char *gh_error_text(int rc)
{
    if (rc >= 0)
        return "ok";
    switch (rc) {
#define X(name, value, text) \
    case value:              \
        return text;
        GH_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}
