/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/secret_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "virtx/command.h"

#define SECRET_MAX 4096 /* bytes */

/* What is no file, as a pipe, is somebody else's to guard. */
int
secret_file_check(const char *what, const char *file, struct error *err)
{
	struct stat st;

	if (strcmp(file, "-") == 0 || stat(file, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_mode & (S_IRWXG | S_IRWXO)) == 0)
		return 0;
	return error_set(err, CLIENT_ERROR_STATUS,
	    "%s: '%s' is open to others, by its mode 0%o: chmod 600 makes it yours alone", what,
	    file, (unsigned int)(st.st_mode & 07777));
}

int
secret_file_read(const char *file, char **ret, struct error *err)
{
	size_t len;
	char *text;

	*ret = NULL;
	if (secret_file_check("the token", file, err) < 0)
		return -1;
	text = command_read(file, SECRET_MAX, &len, err);
	if (!text)
		return error_wrap(err, "the token");
	return secret_take(text, len, file, ret, err);
}

int
secret_take(char *text, size_t len, const char *where, char **ret, struct error *err)
{
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)text[i]))
			len = 0;
	}
	if (len == 0) {
		secret_file_free(text);
		return error_set(err, CLIENT_ERROR_STATUS,
		    "the token: '%s' has to hold its secret, one word, and nothing else", where);
	}
	*ret = text;
	return 0;
}

int
secret_file_make(const char *file, struct error *err)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_errno(
		    err, CLIENT_ERROR_STATUS, errno, "cannot make the file '%s'", file);
	return fd;
}

int
secret_file_write(int fd, const char *file, const char *secret, struct error *err)
{
	int rc = write_all(fd, secret, strlen(secret));

	if (rc == 0)
		rc = write_all(fd, "\n", 1);
	if (rc < 0)
		return error_errno(err, CLIENT_ERROR_STATUS, -rc, "cannot write '%s'", file);
	return 0;
}

void
secret_file_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}
