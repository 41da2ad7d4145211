/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is written byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/json.h"
#include "proto/model.h"

/* What each byte becomes: JSON's short forms, \u for the other controls, U+FFFD for what is no
 * UTF-8. */
static void
test_each_byte(void **state)
{
	static const char shorts[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";

	for (int c = 1; c < 256; c++) {
		char in[] = { 'a', (char)c, 'z', '\0' };
		const char *at = strchr(shorts, c);
		_free_ char *wanted = at	 ? xasprintf("\"a\\%cz\"", letters[at - shorts])
				      : c < ' '	 ? xasprintf("\"a\\u%04Xz\"", c)
				      : c < 0x80 ? xasprintf("\"a%cz\"", c)
						 : xstrdup("\"a\xef\xbf\xbdz\"");
		_free_ char *quoted = json_quote(in);

		assert_string_equal(quoted, wanted);
	}
}

static void
test_integers_are_written(void **state)
{
	static const int64_t values[] = { 0, 1, -1, 9, 10, -10, 99, 100, INT64_MAX, INT64_MIN };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct vm_list_item item = { .fields.ts = values[i] };
		_free_ char *text = json_encode(&vm_list_item_model, &item, NULL);
		_free_ char *wanted = xasprintf("\"ts\":%lld}", (long long)values[i]);

		assert_non_null(strstr(text, wanted));
	}
}

/* It goes behind what is there. */
static void
test_append(void **state)
{
	struct vm_list_item item = { .uuid = (char[]){ "u" } };
	_free_ char *text = json_encode(&vm_list_item_model, &item, NULL);
	_free_ char *twice = xasprintf("[%s,%s", text, text);
	_buffer_ struct buffer out = { 0 };

	buffer_add(&out, "[", 1);
	json_append(&out, &vm_list_item_model, &item);
	buffer_add(&out, ",", 1);
	json_append(&out, &vm_list_item_model, &item);
	assert_string_equal(out.data, twice);
	assert_int_equal(out.len, strlen(twice));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_integers_are_written),
		cmocka_unit_test(test_append),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
