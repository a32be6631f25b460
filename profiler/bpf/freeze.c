#include "profiler/bpf/freeze.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/mem.h"

#define CONFIG_MAX (1u << 20)

struct number {
	unsigned int major, minor, patch;
};

static unsigned int packed(unsigned int major, unsigned int minor, unsigned int patch)
{
	return major << 24 | (minor & 0xff) << 16 | (patch & 0xffff);
}

/* A distribution's release may stay at x.y.0 for ever; what it was made of stands elsewhere, as
 * another x.y.z of the same x.y: the last one. */
static void look_closer(struct number *n, const char *text)
{
	for (const char *at = text; *at; at++) {
		struct number other = { 0 };

		if ((at == text || at[-1] == ' ') &&
		    sscanf(at, "%u.%u.%u", &other.major, &other.minor, &other.patch) == 3 &&
		    other.major == n->major && other.minor == n->minor)
			n->patch = other.patch;
	}
}

bool kern_version_may_freeze(const struct kern_version *v)
{
	struct number n = { 0 };
	unsigned int is;

	if (sscanf(v->release, "%u.%u.%u", &n.major, &n.minor, &n.patch) < 2)
		return false;
	if (n.patch == 0) {
		look_closer(&n, v->version);
		look_closer(&n, v->signature);
	}
	is = packed(n.major, n.minor, n.patch);
	if (is < packed(5, 19, 0) || is >= packed(6, 4, 0) ||
	    (is >= packed(6, 1, 36) && is < packed(6, 2, 0)) || is >= packed(6, 3, 10))
		return false;
	return !strstr(v->config, "# CONFIG_HARDENED_USERCOPY is not set");
}

bool kern_may_freeze(void)
{
	char *signature = NULL, *config = NULL, path[128];
	struct kern_version v;
	struct utsname name;
	bool may;

	if (uname(&name) != 0)
		return false;
	snprintf(path, sizeof(path), "/boot/config-%s", name.release);
	error_free(file_read_proc("/proc/version_signature", 256, &signature, NULL));
	error_free(file_read_proc(path, CONFIG_MAX, &config, NULL));
	v = (struct kern_version){ .release = name.release,
				   .version = name.version,
				   .signature = signature ? signature : "",
				   .config = config ? config : "" };
	may = kern_version_may_freeze(&v);
	free(signature);
	free(config);
	return may;
}
