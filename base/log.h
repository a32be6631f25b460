/*
 * Debug messages for people who work on cprof: CPROF_DEBUG=unwind,ring prints those of the rooms
 * named, CPROF_DEBUG=all prints all, to stderr. Nothing else is ever logged: what a user must know
 * is an error, a line of the summary, or a diagnostic in the recording.
 */
#ifndef CPROF_BASE_LOG_H
#define CPROF_BASE_LOG_H

#include <stdbool.h>

#include "base/compiler.h"

bool log_enabled(const char *room);
void log_write(const char *room, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_debug(room, ...)                                                                       \
	do {                                                                                       \
		if (log_enabled(room))                                                             \
			log_write(room, __VA_ARGS__);                                              \
	} while (0)

#endif
