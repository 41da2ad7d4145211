/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtx/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

int
output_configure(const struct command_call *call, struct writer *writer, struct error *err)
{
	static const int of_tables[] = { COMMAND_OPTION_COLUMNS, COMMAND_OPTION_FILTER,
		COMMAND_OPTION_SORT, COMMAND_OPTION_NO_HEADERS, 'q' };
	int format;

	if (command_enum(call, 'o', &format, err) < 0)
		return -1;
	writer->format = (enum writer_format)format;
	writer->table.columns = call->values[COMMAND_OPTION_COLUMNS];
	writer->table.filter = call->values[COMMAND_OPTION_FILTER];
	writer->table.sort = call->values[COMMAND_OPTION_SORT];
	writer->no_headers = call->counts[COMMAND_OPTION_NO_HEADERS] > 0;
	writer->quiet = call->counts['q'] > 0;
	for (size_t i = 0; i < ARRAY_SIZE(of_tables) && writer_is_document(writer); i++)
		if (call->counts[of_tables[i]] > 0 &&
		    !(call->command->several && of_tables[i] == COMMAND_OPTION_FILTER))
			return error_set(err, CLIENT_ERROR_STATUS,
			    "--%s is for tables, CSV and names: with --output %s all of the answer "
			    "is shown",
			    command_option(call->command, of_tables[i])->name,
			    enum_word(&writer_format_enum, writer->format));
	return 0;
}

void
output_set_terminal(struct writer *writer)
{
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
	int fd = fileno(writer->out);
	struct winsize size;

	if (!isatty(fd))
		return;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0)
		writer->table.width = size.ws_col;
	writer->colour = str_empty(no_colour) && !str_empty(term) && !str_equal(term, "dumb");
}
