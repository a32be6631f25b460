/*
 * The one error object. A function that can fail for a reason outside of cprof returns
 * `struct error *`: NULL is success. An error says what failed and why in one line, and may carry a
 * hint: what the user can do about it. Context is added on the way up with error_prefix().
 *
 * Ownership: who receives an error owns it, and either returns it or frees it.
 */
#ifndef CPROF_BASE_ERROR_H
#define CPROF_BASE_ERROR_H

#include <stdbool.h>
#include <stdio.h>

#include "base/compiler.h"

enum error_code {
	ERR_FAILED = 1,	 /* anything without a class of its own */
	ERR_USAGE,	 /* the command line is wrong: exit status 2 */
	ERR_SYSTEM,	 /* a system call failed: error_errno_of() tells which errno */
	ERR_FORMAT,	 /* input that is not what it claims to be, or is damaged */
	ERR_UNSUPPORTED, /* understood, but cannot be done here or not yet */
	ERR_PERMISSION,	 /* the kernel or the file system refuses */
	ERR_NOT_FOUND,
};

struct error;

/* A new error with a printf-formatted message (no trailing newline or full stop). Never fails. */
struct error *error_new(enum error_code code, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_USE;

/* The same for a failed system call: ": STRERROR" is appended. EPERM and EACCES become
 * ERR_PERMISSION, ENOENT and ESRCH ERR_NOT_FOUND. */
struct error *error_errno(int errnum, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_USE;

/* Puts "CONTEXT: " in front of the message. Passes NULL through, so that it can wrap a return. */
struct error *error_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_USE;

/* Sets what the user can do about it, replacing an earlier hint. Passes NULL through. */
struct error *error_hint(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_USE;

const char *error_message(const struct error *err);
const char *error_hint_of(const struct error *err); /* NULL where there is none */
enum error_code error_code_of(const struct error *err);
int error_errno_of(const struct error *err); /* 0 where no system call failed */

/* Prints "cprof: MESSAGE" and, on a second line, the hint. */
void error_print(const struct error *err, FILE *out);

void error_free(struct error *err); /* takes NULL */

/* For CLEANUP(): frees *err. */
void error_cleanup(struct error **err);

/* Returns the error of EXPR to the caller, if there is one. */
#define TRY(expr)                                                                                  \
	do {                                                                                       \
		struct error *try_error_ = (expr);                                                 \
		if (try_error_)                                                                    \
			return try_error_;                                                         \
	} while (0)

#endif
