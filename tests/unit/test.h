/* tests/unit/test.h - cmocka with the headers that it wants first, and a runner */
#ifndef GH_TEST_H
#define GH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
