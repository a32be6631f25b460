#include "profiler/process/maps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MAPS_MAX (256u << 20) /* 65,530 mappings with the longest paths */

static bool take_hex(char **at, char end, uint64_t *ret)
{
	uint64_t v = 0;
	char *s = *at;

	for (;; s++) {
		int digit;

		if (*s >= '0' && *s <= '9')
			digit = *s - '0';
		else if (*s >= 'a' && *s <= 'f')
			digit = *s - 'a' + 10;
		else
			break;
		if (v >> 60)
			return false;
		v = v << 4 | (uint64_t)digit;
	}
	if (s == *at || *s != end)
		return false;
	*at = s + 1;
	*ret = v;
	return true;
}

bool proc_map_parse(char *line, struct proc_map *ret)
{
	struct proc_map m = { 0 };
	uint64_t major, minor;
	char *at = line, *end;

	if (!take_hex(&at, '-', &m.start) || !take_hex(&at, ' ', &m.end) || m.end <= m.start)
		return false;
	if (strnlen(at, 5) < 5 || at[4] != ' ')
		return false;
	m.exec = at[2] == 'x';
	at += 5;
	if (!take_hex(&at, ' ', &m.offset) || !take_hex(&at, ':', &major) ||
	    !take_hex(&at, ' ', &minor))
		return false;
	m.major = (uint32_t)major;
	m.minor = (uint32_t)minor;
	m.inode = strtoull(at, &end, 10);
	if (end == at)
		return false;
	/* the name starts after the padding; it may itself contain anything but a newline */
	at = end + strspn(end, " ");
	m.path = at;
	*ret = m;
	return true;
}

struct error *proc_maps_read(uint32_t pid, struct proc_maps *ret)
{
	struct proc_maps m = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	TRY(file_read_proc(path, MAPS_MAX, &m.text, NULL));
	for (char *line = m.text, *next; line && *line; line = next) {
		struct proc_map map;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (proc_map_parse(line, &map) && map.exec)
			vec_push(&m.maps, map);
	}
	*ret = m;
	return NULL;
}

void proc_maps_deinit(struct proc_maps *m)
{
	free(m->text);
	m->text = NULL;
	vec_deinit(&m->maps);
}
