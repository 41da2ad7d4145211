/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/ha.h"

static const char *const policies[] = { "none", "restart" };
const struct enumdef ha_policy_enum = { "HaPolicy", policies, ARRAY_SIZE(policies) };

int
ha_policy_parse(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		if (str_equal(word, policies[i]))
			return (int)i;
	}
	return -1;
}

/* 0 for what is no order. */
static int
parse_order(const char *text)
{
	return text && text[0] >= '1' && text[0] <= '9' && !text[1] ? text[0] - '0' : 0;
}

static struct custom_field *
find_field(const struct vmdef *def, const char *name)
{
	for (size_t i = 0; i < def->n_custom; i++) {
		if (str_equal(def->custom[i].name, name))
			return &def->custom[i];
	}
	return NULL;
}

static const char *
find(const struct vmdef *def, const char *name)
{
	const struct custom_field *field = find_field(def, name);

	return field ? field->value : NULL;
}

/* What somebody has given another meaning stays fit to be sent back. */
static bool
is_as_before(const struct vmdef *old, const struct custom_field *field)
{
	return old && str_equal(find(old, field->name), field->value);
}

int
ha_check(const struct vmdef *def, const struct vmdef *old, const char *prefix, struct error *err)
{
	for (size_t i = 0; i < def->n_custom; i++) {
		const struct custom_field *field = &def->custom[i];

		if (str_equal(field->name, HA_POLICY) && ha_policy_parse(field->value) < 0 &&
		    !is_as_before(old, field))
			return error_set(err, 400,
			    "%s.custom[%zu].value: the field '" HA_POLICY
			    "' is 'restart' or 'none', not '%s'",
			    prefix, i, str_or_empty(field->value));
		if (str_equal(field->name, HA_ORDER) && !parse_order(field->value) &&
		    !is_as_before(old, field))
			return error_set(err, 400,
			    "%s.custom[%zu].value: the field '" HA_ORDER
			    "' is a number from 1 to 9, not '%s'",
			    prefix, i, str_or_empty(field->value));
	}
	return 0;
}

bool
ha_restarts(const struct vmdef *def, bool otherwise)
{
	int policy = ha_policy_parse(find(def, HA_POLICY));

	return policy < 0 ? otherwise : policy == 1;
}

int
ha_order(const struct vmdef *def)
{
	int order = parse_order(find(def, HA_ORDER));

	return order ? order : HA_ORDER_DEFAULT;
}

void
ha_set(struct vmdef *def, const char *name, const char *value)
{
	struct custom_field *field = find_field(def, name);

	if (!field) {
		def->custom = xrealloc(def->custom, def->n_custom + 1, sizeof(*def->custom));
		field = &def->custom[def->n_custom++];
		*field = (struct custom_field){ .name = xstrdup(name) };
	}
	free(field->value);
	field->value = xstrdup(value);
}
