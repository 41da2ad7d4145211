/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtx edit vm. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "virtx/choice.h"
#include "virtx/definition.h"
#include "virtx/verbs.h"
#include "virtx/yaml.h"

#define EDITOR_WORDS_MAX 16
#define FILE_MAX	 (1024 * 1024) /* bytes */

extern char **environ;

static const struct option_row edit_vm_options[] = {
	{ 's', "storage", NULL, "delete the managed disks that the new definition has no more" },
	{ 'f', "force", NULL, "drop what it says beside and cannot keep" },
	{ 0 },
};

/* What the user edits with, as words: no shell gets to see it. */
static int
editor_words(char *text, char *file, char *words[EDITOR_WORDS_MAX], struct error *err)
{
	size_t n = 0;
	char *rest = NULL;

	for (char *word = strtok_r(text, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		if (n + 2 == EDITOR_WORDS_MAX)
			return error_set(
			    err, CLIENT_ERROR_STATUS, "VISUAL or EDITOR has too many words");
		words[n++] = word;
	}
	words[n++] = file;
	words[n] = NULL;
	return 0;
}

/* Runs it, and waits for its end. A key that interrupts is the editor's. */
static int
run_words(char **words, struct error *err)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction interrupt, quit;
	posix_spawnattr_t attributes;
	int rc, status = 0;
	sigset_t defaults;
	pid_t pid;

	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGQUIT);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawnp(&pid, words[0], NULL, &attributes, words, environ);
	posix_spawnattr_destroy(&attributes);
	while (rc == 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			rc = errno;
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	if (rc != 0)
		return error_errno(err, CLIENT_ERROR_STATUS, rc, "the editor '%s'", words[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return error_set(err, CLIENT_ERROR_STATUS, "the editor '%s' failed (%s %d)",
		    words[0], WIFEXITED(status) ? "exit code" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return 0;
}

static int
run_editor(char *file, struct error *err)
{
	const char *editor = choice_or_environment(choice_or_environment(NULL, "VISUAL"), "EDITOR");
	_free_ char *text = xstrdup(editor ? editor : "vi");
	char *words[EDITOR_WORDS_MAX];

	if (editor_words(text, file, words, err) < 0)
		return -1;
	if (words[0] == file)
		return error_set(err, CLIENT_ERROR_STATUS, "VISUAL or EDITOR has no word");
	return run_words(words, err);
}

/* A new file with the text, which the user alone may read; *file is its path. */
static int
make_file(const char *text, char **file, struct error *err)
{
	const char *folder = choice_or_environment(NULL, "TMPDIR");
	_free_ char *path = xasprintf("%s/virtx-XXXXXX.yaml", folder ? folder : "/tmp");
	_close_ int fd = mkostemps(path, (int)strlen(".yaml"), O_CLOEXEC);
	int rc;

	if (fd < 0)
		return error_errno(err, CLIENT_ERROR_STATUS, errno, "cannot make '%s'", path);
	rc = write_all(fd, text, strlen(text));
	if (rc < 0) {
		unlink(path);
		return error_errno(err, CLIENT_ERROR_STATUS, -rc, "cannot write '%s'", path);
	}
	*file = steal_ptr(path);
	return 0;
}

/* Whether nothing was written to it. */
static bool
is_untouched(const char *file, const char *text)
{
	struct error ignored = { 0 };
	size_t len;
	_free_ char *now = command_read(file, FILE_MAX, &len, &ignored);

	return now && strcmp(now, text) == 0;
}

/* Sends what the file has become; 1 where it says what was there before. */
static int
send_file(const struct command_call *call, const char *file, const struct vmdef *before,
    const char *tag, struct error *err)
{
	struct vm_update_options options = {
		.deletestorage = call->counts['s'] > 0,
		.force = call->counts['f'] > 0,
	};
	int rc = definition_read_file(file, &options.vmdef, NULL, err);

	if (rc == 0 && model_equal(&vmdef_model, &options.vmdef, before))
		rc = 1;
	else if (rc == 0)
		rc = definition_send(call, &options, tag, err);
	model_clear(&vm_update_options_model, &options);
	return rc;
}

/* As send_file. What was written is kept where it was not done. */
static int
edit(
    const struct command_call *call, const struct vmdef *before, const char *tag, struct error *err)
{
	_free_ char *plain = yaml_encode(&vmdef_model, before);
	_free_ char *safe = writer_safe_json(plain);
	_free_ char *text = xasprintf("# VM %s. Sizes are in MiB, or have a unit: 4G.\n"
				      "# Where nothing is changed nothing is done.\n%s",
	    call->shown[0], safe);
	_free_ char *file = NULL;
	int rc;

	if (make_file(text, &file, err) < 0)
		return -1;
	rc = run_editor(file, err);
	if (rc == 0)
		rc = send_file(call, file, before, tag, err);
	if (rc < 0 && access(file, F_OK) == 0 && !is_untouched(file, text))
		error_append(err, "what was written is kept in '%s'", file);
	else
		unlink(file);
	return rc;
}

static enum command_result
edit_vm(struct command_call *call, struct error *err)
{
	struct vmdef before = { 0 };
	_free_ char *tag = NULL;
	int rc = definition_fetch(call, &before, &tag, err);

	if (rc == 0)
		rc = edit(call, &before, tag, err);
	model_clear(&vmdef_model, &before);
	if (rc < 0) {
		error_wrap(err, "cannot edit vm %s", call->shown[0]);
		return COMMAND_FAILED;
	}
	if (rc > 0)
		fprintf(stderr, "virtx: nothing is changed\n");
	return COMMAND_OK;
}

const struct command edit_vm_command = {
	.words = "edit vm",
	.operands = { ARG_VM },
	.options = edit_vm_options,
	.summary = "Edit the definition of a powered-off VM",
	.help =
	    "VISUAL, EDITOR or vi gets it as YAML. What cannot be done is kept in the file, which "
	    "the error names. What others change meanwhile is not taken back: that is an error.",
	.examples = "virtx edit vm web\n"
		    "virtx edit vm --storage web\n",
	.run = edit_vm,
};
