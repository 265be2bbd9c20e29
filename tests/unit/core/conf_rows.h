/* A section with one row of each type, for the tests of core/conf. */
#ifndef GH_TEST_CONF_ROWS_H
#define GH_TEST_CONF_ROWS_H

#include "core/conf.h"

enum {
    R_BOOL,
    R_UINT,
    R_SIZE,
    R_TIME,
    R_STRING,
    R_PATH,
    R_ENUM,
    R_SET,
    R_ADDR,
    R_ADDRS,
    R_NET,
    R_NETS,
    R_WORDS,
    R_TOKEN,
};

static const struct gh_conf_row rows[] = {
    [R_BOOL] = { "flag", GH_CONF_BOOL, .dflt = "true", .help = "a switch" },
    [R_UINT] = { "count", GH_CONF_UINT, .dflt = "7", .min = "1", .max = "63", .unit = "things", .help = "how many", .reload = true },
    [R_SIZE] = { "room", GH_CONF_SIZE, .dflt = "64KiB", .min = "1KiB", .max = "1GiB", .help = "how much" },
    [R_TIME] = { "patience", GH_CONF_DURATION, .dflt = "3s", .min = "100ms", .max = "2h", .help = "how long", .reload = true },
    [R_STRING] = { "title", GH_CONF_STRING, .dflt = "none", .max = "20", .help = "a name" },
    [R_PATH] = { "place", GH_CONF_PATH, .help = "a file" },
    [R_ENUM] = { "mode", GH_CONF_ENUM, .dflt = "auto", .values = "auto|text|json", .help = "a choice" },
    [R_SET] = { "kinds", GH_CONF_ENUM_SET, .dflt = "red", .values = "red|green|blue", .min = "1", .help = "some choices" },
    [R_ADDR] = { "reach", GH_CONF_ADDR, .help = "where" },
    [R_ADDRS] = { "listen", GH_CONF_ADDR_LIST, .dflt = ":4433", .max = "3", .help = "where to listen" },
    [R_NET] = { "net", GH_CONF_PREFIX, .help = "a network" },
    [R_NETS] = { "nets", GH_CONF_PREFIX_LIST, .dflt = "0.0.0.0/0, ::/0", .help = "networks" },
    [R_WORDS] = { "words", GH_CONF_STRING_LIST, .help = "words" },
    [R_TOKEN] = { "token", GH_CONF_SECRET, .help = "a secret" },
    { 0 },
};

static const struct gh_conf_section section = { "thing", "Something.", rows, false, NULL };

#endif
