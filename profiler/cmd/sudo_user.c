#include "profiler/cmd/sudo_user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"

/* Our environment with some variables set anew. */
static char **environment_of(const struct passwd *user)
{
	const struct {
		const char *name, *value;
	} set[] = {
		{ "HOME", user->pw_dir },
		{ "USER", user->pw_name },
		{ "LOGNAME", user->pw_name },
		{ "SHELL", user->pw_shell },
	};
	VEC(char *) words = { 0 };

	for (char **word = environ; *word; word++) {
		bool replaced = false;
		for (size_t i = 0; i < ARRAY_SIZE(set); i++) {
			size_t n = strlen(set[i].name);
			replaced |= strncmp(*word, set[i].name, n) == 0 && (*word)[n] == '=';
		}
		if (!replaced)
			vec_push(&words, mem_strdup(*word));
	}
	for (size_t i = 0; i < ARRAY_SIZE(set); i++)
		vec_push(&words, mem_printf("%s=%s", set[i].name, set[i].value));
	vec_push(&words, NULL);
	return words.items;
}

struct error *sudo_user_find(struct sudo_user *ret, bool *ret_found)
{
	const char *uid_text = getenv("SUDO_UID"), *gid_text = getenv("SUDO_GID");
	uint64_t uid, gid;

	*ret_found = false;
	if (geteuid() != 0 || !uid_text || !gid_text || strcmp(uid_text, "0") == 0)
		return NULL;
	TRY(parse_u64(uid_text, "SUDO_UID", UINT32_MAX - 1, &uid));
	TRY(parse_u64(gid_text, "SUDO_GID", UINT32_MAX - 1, &gid));

	errno = 0;
	const struct passwd *user = getpwuid((uid_t)uid);
	if (!user)
		return error_hint(error_new(ERR_FAILED,
					    "there is no user with the number %s of SUDO_UID",
					    uid_text),
				  "--as-root runs the program as root");

	*ret = (struct sudo_user){ .uid = (uid_t)uid,
				   .gid = (gid_t)gid,
				   .name = mem_strdup(user->pw_name),
				   .environment = environment_of(user) };
	int count = 64;
	do {
		ret->groups = mem_realloc_array(ret->groups, (size_t)count, sizeof(gid_t));
	} while (getgrouplist(ret->name, ret->gid, ret->groups, &count) < 0);
	ret->group_count = (size_t)count;
	*ret_found = true;
	return NULL;
}

void sudo_user_deinit(struct sudo_user *u)
{
	for (char **word = u->environment; word && *word; word++)
		free(*word);
	free(u->environment);
	free(u->groups);
	free(u->name);
	*u = (struct sudo_user){ 0 };
}
