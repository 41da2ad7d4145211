/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/cluster_edit.h"

#include <string.h>

#define BLANK " \t\r"

/* A line of a file, in parts of its text: a section or a setting, or neither. */
struct line {
	const char *text;
	size_t len; /* without its newline */
	const char *section;
	size_t section_len;
	const char *key;
	size_t key_len;
	const char *value; /* all of it */
	size_t value_len;
	const char *word; /* its first, without quotes */
	size_t word_len;
};

/* Its length without the blanks at its end. */
static size_t
trimmed(const char *text, size_t len)
{
	while (len > 0 && strchr(BLANK, text[len - 1]))
		len--;
	return len;
}

/* The line at *at, which becomes the next; false at the end. Its section is that of the one before
 * unless it begins one. */
static bool
next_line(const char **at, struct line *line)
{
	const char *p = *at, *end, *equals;

	if (!*p)
		return false;
	line->text = p;
	line->len = strcspn(p, "\n");
	end = p + line->len;
	*at = *end ? end + 1 : end;
	line->key = line->value = line->word = NULL;
	line->key_len = line->value_len = line->word_len = 0;
	p += strspn(p, BLANK);
	if (*p == '[') {
		line->section = p + 1;
		line->section_len = strcspn(p + 1, "]\n");
		return true;
	}
	/* INI has both. */
	equals = p + strcspn(p, "=:\n");
	if (equals == end || *p == '#' || *p == ';')
		return true;
	line->key = p;
	line->key_len = trimmed(p, (size_t)(equals - p));
	equals++;
	line->value = equals + strspn(equals, BLANK);
	line->value_len = trimmed(line->value, (size_t)(end - line->value));
	equals += strspn(equals, BLANK "\"'");
	line->word = equals;
	line->word_len = strcspn(equals, BLANK "\"'\n");
	return true;
}

static bool
same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* Whether a part of a rule (NULL for none) says so of the setting in this line. */
static bool
is_so(const struct line *line, bool (*says)(const char *, const char *, const char *))
{
	_free_ char *section = NULL, *key = NULL, *value = NULL;
	bool so;

	if (line->key_len == 0 || !says)
		return false;
	section = xstrndup(str_or_empty(line->section), line->section_len);
	key = xstrndup(line->key, line->key_len);
	value = xstrndup(line->value, line->value_len);
	so = says(section, key, value);
	/* It may be a key of serf's. */
	explicit_bzero(value, line->value_len);
	return so;
}

static bool
is_dropped(const struct line *line, const struct cluster_edit_rule *rule)
{
	const char *never = rule ? rule->never : NULL;

	if (never && line->key_len > 0 && line->section_len == 0 &&
	    same(line->key, line->key_len, never, strlen(never)))
		return true;
	return rule && is_so(line, rule->drops);
}

/* Whether the settings say something else about the key of this line, or leave it no room. */
static bool
is_replaced(const struct line *line, const char *settings, const struct cluster_edit_rule *rule)
{
	const char *several = rule ? rule->several : NULL;
	struct line own = { 0 };

	if (line->key_len == 0)
		return false;
	if (is_dropped(line, rule))
		return true;
	while (next_line(&settings, &own)) {
		if (!same(own.key, own.key_len, line->key, line->key_len) ||
		    !same(own.section, own.section_len, line->section, line->section_len))
			continue;
		if (!several || !same(own.key, own.key_len, several, strlen(several)) ||
		    same(own.word, own.word_len, line->word, line->word_len))
			return true;
	}
	return false;
}

static bool
begins(const struct line *line, const char *text)
{
	return line->len >= strlen(text) && memcmp(line->text, text, strlen(text)) == 0;
}

/* How much of the front of a line goes: of a comment of ours, but one that stays. */
static size_t
front(const struct line *line, const struct cluster_edit_rule *rule)
{
	size_t skip = strlen(CLUSTER_EDIT_WAS);
	struct line setting = *line;
	const char *at = line->text + skip;

	if (!begins(line, CLUSTER_EDIT_WAS))
		return 0;
	if (rule && next_line(&at, &setting) && is_so(&setting, rule->stays))
		return 0;
	return skip;
}

char *
cluster_edit_undo(const char *text, const struct cluster_edit_rule *rule)
{
	struct buffer out = { 0 };
	struct line line = { 0 }, outer = { 0 };
	bool within = false;

	while (next_line(&text, &line)) {
		if (begins(&line, CLUSTER_EDIT_BEGIN)) {
			if (within)
				break;
			within = true;
			outer = line;
		} else if (begins(&line, CLUSTER_EDIT_END)) {
			within = false;
			/* The sections of the block end with it. */
			line = outer;
		} else if (!within) {
			size_t skip = front(&line, rule);

			buffer_printf(&out, "%.*s\n", (int)(line.len - skip), line.text + skip);
		}
	}
	if (!within)
		return buffer_steal(&out, NULL);
	buffer_clear(&out);
	return NULL;
}

bool
cluster_edit_has(const char *text)
{
	struct line line = { 0 };

	while (next_line(&text, &line)) {
		if (begins(&line, CLUSTER_EDIT_BEGIN))
			return true;
	}
	return false;
}

void
cluster_edit_show(
    const char *text, const struct cluster_edit_rule *rule, const char *words, FILE *out)
{
	const char *several = rule ? rule->several : NULL;

	for (const char *at = text, *end; *at; at = *end ? end + 1 : end) {
		size_t key, was = strlen(CLUSTER_EDIT_WAS);

		end = at + strcspn(at, "\n");
		if (strncmp(at, CLUSTER_EDIT_WAS, was) != 0)
			continue;
		at += was + strspn(at + was, " \t");
		key = strcspn(at, " \t=:\n");
		/* The rest of a list is no setting. */
		if (at + strcspn(at, "=:\n") == end)
			continue;
		if (several && strlen(several) == key && memcmp(at, several, key) == 0)
			key = (size_t)(end - at);
		fprintf(out, "    %s: %.*s\n", words, (int)key, at);
	}
}

/* Whether a list ends in this line: by a ] that is in no word, and in no comment. */
static bool
ends_list(const struct line *line)
{
	char quote = '\0';

	for (size_t i = 0; i < line->len; i++) {
		char c = line->text[i];

		if (quote)
			quote = c == quote ? '\0' : quote;
		else if (c == '"' || c == '\'')
			quote = c;
		else if (c == '#')
			return false;
		else if (c == ']')
			return true;
	}
	return false;
}

char *
cluster_edit_set(const char *text, const char *settings, const struct cluster_edit_rule *rule)
{
	_free_ char *bare = cluster_edit_undo(text, NULL);
	const char *at = bare;
	struct buffer out = { 0 };
	struct line line = { 0 };
	bool goes_on = false; /* a list that was replaced */

	if (!bare)
		return NULL;
	while (next_line(&at, &line)) {
		bool replaced = goes_on || is_replaced(&line, settings, rule);

		buffer_printf(
		    &out, "%s%.*s\n", replaced ? CLUSTER_EDIT_WAS : "", (int)line.len, line.text);
		goes_on = replaced && (goes_on || (line.word_len > 0 && line.word[0] == '[')) &&
			  !ends_list(&line);
	}
	if (*settings)
		buffer_printf(&out, "%s\n%s%s\n", CLUSTER_EDIT_BEGIN, settings, CLUSTER_EDIT_END);
	return buffer_steal(&out, NULL);
}

/* How often the text says something of the key of this line, or -1 where it says something else. */
static int
count_same(const char *text, const struct line *own)
{
	struct line line = { 0 };
	int n = 0;

	while (next_line(&text, &line)) {
		if (begins(&line, CLUSTER_EDIT_BEGIN))
			return -1;
		if (!same(line.key, line.key_len, own->key, own->key_len) ||
		    !same(line.section, line.section_len, own->section, own->section_len))
			continue;
		if (!same(line.value, line.value_len, own->value, own->value_len))
			return -1;
		n++;
	}
	return n;
}

bool
cluster_edit_says(const char *text, const char *settings, const struct cluster_edit_rule *rule)
{
	struct line line = { 0 }, own = { 0 };

	for (const char *at = text; next_line(&at, &line);) {
		if (is_dropped(&line, rule))
			return false;
	}
	while (next_line(&settings, &own)) {
		if (own.key_len > 0 && count_same(text, &own) <= 0)
			return false;
	}
	return true;
}

char *
cluster_edit_get(const char *text, const char *section, const char *key)
{
	struct line line = { 0 };

	while (next_line(&text, &line)) {
		if (same(line.section, line.section_len, section, strlen(section)) &&
		    same(line.key, line.key_len, key, strlen(key)))
			return xstrndup(line.word, line.word_len);
	}
	return NULL;
}
