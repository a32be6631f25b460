#include "profiler/unwind/status.h"

#include <ctype.h>
#include <pthread.h>

#include "base/compiler.h"

static const struct {
	const char *upper, *words;
	enum unwind_class class;
} statuses[] = {
#define X(name, class, words) [UNWIND_##name] = { #name, words, UNWIND_CLASS_##class },
	UNWIND_STATUSES(X)
#undef X
};

/* The public names, in lower case: made once from the list, which has them in upper case. */
static char names[UNWIND_STATUS_COUNT][24];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void make_names(void)
{
	for (int s = 0; s < UNWIND_STATUS_COUNT; s++)
		for (size_t i = 0; statuses[s].upper[i] && i + 1 < sizeof(names[s]); i++)
			names[s][i] = (char)tolower((unsigned char)statuses[s].upper[i]);
}

const char *unwind_status_name(enum unwind_status s)
{
	pthread_once(&names_once, make_names);
	return names[s];
}

const char *unwind_status_words(enum unwind_status s)
{
	return statuses[s].words;
}

enum unwind_class unwind_status_class(enum unwind_status s)
{
	return statuses[s].class;
}
