#include "base/drop.h"

static const struct {
    const char *name, *help;
} drops[GH_DROP_COUNT] = {
    [GH_DROP_NONE] = { "none", "not dropped" },
#define X(name, text, help) [GH_DROP_##name] = { text, help },
    GH_DROPS(X)
#undef X
};

const char *gh_drop_name(enum gh_drop d)
{
    return (unsigned)d < GH_DROP_COUNT ? drops[d].name : "unknown";
}

const char *gh_drop_help(enum gh_drop d)
{
    return (unsigned)d < GH_DROP_COUNT ? drops[d].help : "unknown";
}
