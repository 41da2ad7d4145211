/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 'edit vm' with editors that are scripts. */
#include "verb_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtx/failure.h"

#define VM                                                                                    \
	"{\"def\":{\"name\":\"web\",\"memory\":{\"total\":1024},\"custom\":[{\"name\":\"a\"," \
	"\"value\":\"\\u001b[0m\\\"\"}]}}"

static char folder[] = "/tmp/virtx-edit-XXXXXX";

/* What does what sh is told, as the editor, with a first word of its own. */
static void
set_editor(const char *script)
{
	_free_ char *path = xasprintf("%s/editor", folder), *value = xasprintf("%s  -x\t-y ", path);
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fprintf(file, "#!/bin/sh\n[ $# = 3 ] && [ \"$1$2\" = -x-y ] || exit 9\n%s\n", script);
	fclose(file);
	assert_int_equal(chmod(path, 0700), 0);
	setenv("EDITOR", value, 1);
}

/* The file that was kept, NULL for none. The caller frees. */
static char *
kept(void)
{
	DIR *dir = opendir(folder);
	char *found = NULL;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strncmp(entry->d_name, "virtx-", 6) == 0) {
			assert_null(found);
			found = xasprintf("%s/%s", folder, entry->d_name);
		}
	}
	closedir(dir);
	return found;
}

static void
assert_kept(struct verb_fixture *f, const char *words)
{
	_free_ char *file = kept(), *said = NULL, *text = NULL;
	struct stat stat_of;
	struct error err;
	size_t len;

	assert_non_null(file);
	said = xasprintf("; what was written is kept in '%s'", file);
	assert_says(f->err.detail, said);
	assert_int_equal(stat(file, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0600);
	text = command_read(file, 65536, &len, &err);
	assert_says(text, words);
	unlink(file);
}

static int
setup(void **state)
{
	strcpy(folder, "/tmp/virtx-edit-XXXXXX");
	assert_non_null(mkdtemp(folder));
	setenv("TMPDIR", folder, 1);
	unsetenv("VISUAL");
	return verb_setup(state);
}

static int
teardown(void **state)
{
	_free_ char *path = xasprintf("%s/editor", folder);

	unlink(path);
	assert_int_equal(rmdir(folder), 0);
	return verb_teardown(state);
}

#define EDIT(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static void
test_edited(void **state)
{
	struct verb_fixture *f = *state;

	verb_forget(f);
	verb_answer(f, 200, "ETag: \"t1\"\r\n", VM);
	verb_answer(f, 204, "", "");
	set_editor("sed -i 's/total: 1024/total: 2G/' \"$3\"");
	verb_ok(f, "edit vm -s " VM_UUID);
	verb_asked(f, 1, "PUT /vms/" VM_UUID, "\"memory\":{\"total\":2048,");
	verb_asked(f, 1, "PUT /vms/" VM_UUID, "\"value\":\"\\u001B[0m\\\"\"");
	verb_asked(f, 1, "PUT /vms/" VM_UUID, "\"deletestorage\":true,\"force\":false");
	assert_says(f->requests[1].head, "If-Match: \"t1\"\r\n");
	assert_null(kept());
}

static void
test_not_changed(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, VM);
	set_editor("echo '# nothing' >> \"$3\"");
	verb_ok(f, "edit vm " VM_UUID);
	assert_says(f->said, "virtx: nothing is changed\n");
	assert_int_equal(f->n_requests, 1);
	assert_null(kept());
	/* Nor was anything written. */
	set_editor("exit 7");
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED, "failed (exit code 7)");
	assert_null(kept());
	setenv("VISUAL", "/nonexistent/editor -x", 1);
	/* valgrind's posix_spawn tells no more than an exit code. */
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED,
	    "cannot edit vm '" VM_UUID "': the editor '/nonexistent/editor'");
	assert_null(kept());
	setenv("VISUAL", " \t", 1);
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED, "has no word");
	setenv("VISUAL", "a b c d e f g h i j k l m n o p", 1);
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED, "has too many words");
	assert_null(kept());
	setenv("TMPDIR", "/nonexistent", 1);
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED, "cannot make '/nonexistent/virtx-");
}

static void
test_kept(void **state)
{
	struct verb_fixture *f = *state;

	verb_answer_json(f, VM);
	set_editor("echo 'nmae: x' >> \"$3\"");
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED, "did you mean 'name'?");
	assert_int_equal(failure_code(COMMAND_FAILED, &f->err), FAILURE_USAGE);
	assert_kept(f, "nmae: x\n");
	set_editor("echo 'vlanid: 5' >> \"$3\"; exit 3");
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED, "failed (exit code 3)");
	assert_kept(f, "vlanid: 5\n");
	assert_int_equal(f->n_requests, 2);
	set_editor("rm \"$3\"");
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED, "No such file or directory");
	assert_null(strstr(f->err.detail, "is kept"));
	assert_null(kept());
	verb_forget(f);
	verb_answer(f, 200, "", VM);
	verb_answer(f, 412, "", "{\"status\":412,\"detail\":\"it has changed\"}");
	set_editor("sed -i s/web/www/ \"$3\"");
	verb_fails(f, "edit vm " VM_UUID, COMMAND_FAILED, "412: ");
	assert_kept(f, "name: \"www\"\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		EDIT(test_edited),
		EDIT(test_not_changed),
		EDIT(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
