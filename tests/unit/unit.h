/* What every unit test program includes: cmocka and the headers that it wants before it. */
#ifndef CPROF_TESTS_UNIT_H
#define CPROF_TESTS_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

/* Fails the test with the error's own words. */
#define assert_no_error(expr)                                                         \
	do {                                                                          \
		struct error *unit_error_ = (expr);                                   \
		if (unit_error_)                                                      \
			fail_msg("%s: %s", #expr, error_message(unit_error_));        \
	} while (0)

/* Skips the test with a reason, which `make check` shows. */
#define skip_because(...)                               \
	do {                                            \
		print_message("# skip: " __VA_ARGS__);  \
		print_message("\n");                   \
		skip();                                 \
	} while (0)

#endif
