#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool log_enabled(const char *room)
{
	const char *at = getenv("CPROF_DEBUG");
	size_t len = strlen(room);

	while (at && *at) {
		size_t word = strcspn(at, ",");
		if ((word == len && memcmp(at, room, len) == 0) ||
		    (word == 3 && memcmp(at, "all", 3) == 0))
			return true;
		at += word + (at[word] == ',');
	}
	return false;
}

void log_write(const char *room, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	fprintf(stderr, "cprof[%s] %s\n", room, line);
}
