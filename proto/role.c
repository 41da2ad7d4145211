/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/role.h"

static const char *const role_words[] = {
	[ROLE_NONE] = "none",
	[ROLE_VIEWER] = "viewer",
	[ROLE_OPERATOR] = "operator",
	[ROLE_ADMIN] = "admin",
};
const struct enumdef role_enum = { "Role", role_words, ARRAY_SIZE(role_words) };

const char *
role_name(enum role role)
{
	if (role == ROLE_JOIN)
		return "join";
	return role == ROLE_HOST ? "host" : enum_word(&role_enum, role);
}

bool
role_may(enum role has, enum role needs)
{
	if (has == ROLE_JOIN || needs == ROLE_JOIN)
		return has == needs;
	return has >= needs;
}
