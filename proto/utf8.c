/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/utf8.h"

#include "proto/util.h"

size_t
utf8_char(const char *s, size_t len, uint32_t *code)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	uint32_t value;
	size_t need;

	if (len == 0)
		return 0;
	if (p[0] < 0x80) {
		need = 1;
		value = p[0];
	} else if (p[0] >= 0xc2 && p[0] < 0xe0) {
		need = 2;
		value = p[0] & 0x1f;
	} else if (p[0] >= 0xe0 && p[0] < 0xf0) {
		need = 3;
		value = p[0] & 0x0f;
	} else if (p[0] >= 0xf0 && p[0] < 0xf5) {
		need = 4;
		value = p[0] & 0x07;
	} else {
		return 0;
	}
	if (need > len)
		return 0;

	for (size_t i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (p[i] & 0x3f);
	}
	if (value < smallest[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;

	if (code)
		*code = value;
	return need;
}

size_t
utf8_valid_length(const char *s, size_t len)
{
	size_t at = 0;

	while (at < len) {
		size_t n = utf8_char(s + at, len - at, NULL);

		if (n == 0)
			break;
		at += n;
	}
	return at;
}

bool
utf8_valid(const char *s, size_t len)
{
	return utf8_valid_length(s, len) == len;
}

bool
utf8_is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

bool
utf8_is_hidden(uint32_t code)
{
	/* Unicode's Default_Ignorable_Code_Point, and what separates lines or annotates. */
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0xad, 0xad },
		{ 0x34f, 0x34f },
		{ 0x61c, 0x61c },
		{ 0x115f, 0x1160 },
		{ 0x17b4, 0x17b5 },
		{ 0x180b, 0x180f },
		{ 0x200b, 0x200f },
		{ 0x2028, 0x202e },
		{ 0x2060, 0x206f },
		{ 0x3164, 0x3164 },
		{ 0xfe00, 0xfe0f },
		{ 0xfeff, 0xfeff },
		{ 0xffa0, 0xffa0 },
		{ 0xfff0, 0xfffb },
		{ 0x1bca0, 0x1bca3 },
		{ 0x1d173, 0x1d17a },
		{ 0xe0000, 0xe0fff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	}
	return false;
}

bool
utf8_is_space(uint32_t code)
{
	return code == ' ' || code == 0xa0 || code == 0x1680 ||
	       (code >= 0x2000 && code <= 0x200a) || code == 0x202f || code == 0x205f ||
	       code == 0x2800 || code == 0x3000;
}

bool
utf8_is_combining(uint32_t code)
{
	return (code >= 0x300 && code <= 0x36f) || (code >= 0x1ab0 && code <= 0x1aff) ||
	       (code >= 0x1dc0 && code <= 0x1dff) || (code >= 0x20d0 && code <= 0x20ff) ||
	       (code >= 0xfe20 && code <= 0xfe2f);
}
